"""What a bulk run is asked to do: one record that travels to every worker."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from spectok._convert import parse_unit

__all__ = ["DEFAULT_KEEP", "FIELDS", "Options"]

FIELDS = {"wavelength": "lambda", "flux": "flux", "ivar": "ivar", "mask": "mask"}
# Kept where they are there; columns that are asked for by name must be there.
DEFAULT_KEEP = ("object_id", "ra", "dec")
_WRITE = ("embedding", "tokens", "both")
_NEEDED = ("wavelength", "flux")
_MEASURED = ("wavelength", "flux", "ivar")


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of a bulk run, checked.

    Parameters
    ----------
    write : str
        ``"embedding"``, ``"tokens"`` or ``"both"``.
    spectrum : str or sequence of str, optional
        Column that holds the spectrum, or those of its arms; None: the fields are columns.
    fields : mapping of str to str
        Names of wavelength, flux, ivar and mask within it.
    keep : sequence of str, optional
        Columns to copy; None: `DEFAULT_KEEP`, as far as they are there.
    medium, device, precision, batch_size : as for `spectok.encode`
        What they are there.
    model : object
        A model, its name or its folder.
    units : mapping of str to str
        Units of ``wavelength``, ``flux`` and ``ivar``.
    survey : str, optional
        Whose rows of the Multimodal Universe these are; "auto" looks at the columns, None leaves
        every row as it is.
    errors : str
        ``"row"`` or ``"raise"``.

    Raises
    ------
    ValueError
        For another ``write``, ``errors``, ``precision`` or field, and for units that mean nothing.
    """

    write: str = "embedding"
    spectrum: str | Sequence[str] | None = "spectrum"
    fields: Mapping[str, str] = dataclasses.field(default_factory=lambda: dict(FIELDS))
    keep: Sequence[str] | None = None
    model: Any = None
    medium: str | None = None
    device: Any = None
    precision: str | None = None
    batch_size: int | None = None
    units: Mapping[str, str] = dataclasses.field(default_factory=dict)
    survey: str | None = "auto"
    errors: str = "row"

    def __post_init__(self) -> None:
        if self.write not in _WRITE:
            raise ValueError(f"write must be one of {', '.join(_WRITE)}, not {self.write!r}")
        if self.errors not in ("row", "raise"):
            raise ValueError(f'errors must be "row" or "raise", not {self.errors!r}')
        if self.precision not in (None, "bf16"):
            raise ValueError(f'precision must be "bf16" or None, not {self.precision!r}')
        if self.medium not in (None, "air", "vacuum"):
            raise ValueError(f'medium must be "air" or "vacuum", not {self.medium!r}')
        fields = dict(self.fields)
        unknown = [name for name in fields if name not in FIELDS]
        missing = [name for name in _NEEDED if name not in fields]
        if unknown or missing:
            raise ValueError(
                f"fields must name wavelength and flux, and may name ivar and mask, not "
                f"{', '.join(fields) or 'nothing'}"
            )
        object.__setattr__(self, "fields", fields)
        if self.spectrum is not None and not isinstance(self.spectrum, str):
            object.__setattr__(self, "spectrum", tuple(self.spectrum))
        if self.keep is not None:
            keep = (self.keep,) if isinstance(self.keep, str) else tuple(self.keep)
            object.__setattr__(self, "keep", keep)
        units = dict(self.units)
        lost = [name for name in units if name not in _MEASURED]
        if lost:
            raise ValueError(f"units may be of {', '.join(_MEASURED)}, not of {', '.join(lost)}")
        for name, unit in units.items():
            parse_unit(unit, f"units: {name}")
        object.__setattr__(self, "units", {name: str(unit) for name, unit in units.items()})

    @property
    def arms(self) -> tuple[str | None, ...]:
        """Columns of the arms: one, or None where the fields are columns themselves."""
        if self.spectrum is None or isinstance(self.spectrum, str):
            return (self.spectrum,)
        return tuple(self.spectrum)

    @property
    def with_tokens(self) -> bool:
        return self.write in ("tokens", "both")

    @property
    def with_embedding(self) -> bool:
        return self.write in ("embedding", "both")

    def said(self) -> dict[str, Any]:
        """What decides the numbers that are written, as plain values for a file."""
        return {
            "write": self.write,
            "spectrum": list(self.arms) if len(self.arms) > 1 else self.arms[0],
            "fields": dict(self.fields),
            "keep": None if self.keep is None else list(self.keep),
            "medium": self.medium,
            "precision": self.precision,
            "units": dict(self.units),
            "survey": self.survey,
        }
