"""The package's own settings, in astropy's way (layer 0)."""

from astropy.config import ConfigItem, ConfigNamespace

__all__ = ["conf"]


class _Item(ConfigItem):
    rootname = "spectok"


class Conf(ConfigNamespace):
    """Configuration of `spectok`: the head of ``spectok.cfg``, above its sections."""

    rootname = "spectok"
    weights = _Item(
        "",
        "Folder with a folder for each named download; empty: SPECTOK_WEIGHTS, else download.",
        module="spectok",
    )


conf = Conf()
