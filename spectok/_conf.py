"""The package's own settings, in astropy's way (layer 0)."""

from astropy.config import ConfigItem, ConfigNamespace

__all__ = ["Item", "conf"]


class Item(ConfigItem):
    """One setting in ``spectok.cfg``."""

    rootname = "spectok"


class Conf(ConfigNamespace):
    """Configuration of `spectok`: the head of ``spectok.cfg``, above its sections."""

    rootname = "spectok"
    weights = Item(
        "",
        "Folder with a folder for each named download; empty: SPECTOK_WEIGHTS, else download.",
        module="spectok",
    )


conf = Conf()
