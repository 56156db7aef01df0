"""The token table: arrays to QTable, and back to tensors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from astropy import units as u
from astropy.table import QTable, Table

from spectok._batch import TokenBatch, padded

__all__ = [
    "COLUMNS",
    "CURVE_COLUMNS",
    "FRAME_COLUMN",
    "TokenSequence",
    "check_table",
    "column_unit",
    "id_column",
    "kept_of",
    "has_unit",
    "is_of_curves",
    "legible",
    "meta_entry",
    "meta_of",
    "sequences",
    "table_unit",
    "text_of",
    "to_table",
    "to_token_batch",
]

COLUMNS = (
    "spectrum_index", "object_id", "token_index", "wavelength", "wavelength_min",
    "wavelength_max", "n_pixels", "n_valid", "valid", "scale", "flags", "token",
)  # fmt: skip
# Of light curves: times in days for wavelengths, each token's filter, and the time of each
# object's first point, from which the network counts.
CURVE_COLUMNS = (
    "spectrum_index", "object_id", "token_index", "time", "time_min", "time_max", "band",
    "origin", "n_pixels", "n_valid", "valid", "scale", "flags", "token",
)  # fmt: skip
# What spectok.to_rest_frame adds: the redshift that was taken out.
FRAME_COLUMN = "frame_redshift"
_PLACES = ("wavelength", "wavelength_min", "wavelength_max")
_FORMATS = {
    "time": ".4f", "time_min": ".4f", "time_max": ".4f", "band": ".0f", "origin": ".4f",
    "wavelength": ".2f", "wavelength_min": ".2f", "wavelength_max": ".2f", "scale": ".4g",
    "token": ".3f", "vector": ".3f", "embedding": ".3f",
}  # fmt: skip
# FITS knows eight upper-case characters; so do the tables, and nothing changes on the way.
_META = ("MODEL", "SHA256", "PATCH", "FLUXUNIT", "SPECTOK")
# In what the network computed, where it is not float32; and the numbers of context in a token,
# where it has some. And the patches that tokens at rest were cut into.
# And of light curves: the scale and the format of the times that came in, and the magnitude of
# unit flux.
_MAY_HAVE = ("PRECIS", "CONTEXT", "FRAME", "TIMESCAL", "TIMEFMT", "ZEROPNT")

_UNITS_OF_CURVES = {
    "time": u.d, "time_min": u.d, "time_max": u.d, "band": u.AA, "origin": u.d,
}  # fmt: skip
_NO_BAND = 6000.0  # of an object that was refused: any will do


def to_table(columns: dict[str, Any], meta: dict[str, Any]) -> QTable:
    """Columns of plain arrays, and the unit of the scale, to a token table.

    Parameters
    ----------
    columns : dict
        The columns of the table by name; wavelengths as Quantities or in Angstrom. With
        ``band`` and ``origin`` they are times in days.
    meta : dict
        The keys ``MODEL``, ``SHA256``, ``PATCH``, ``FLUXUNIT``, ``SPECTOK``; where it applies
        ``SHAPE`` (of the array that the spectra came in), ``REFUSED`` (see `refusals`),
        ``PRECIS`` (in which the network computed, if not in float32), ``CONTEXT`` (numbers of
        context in a token, before the last) and ``FRAME`` (of `spectok.to_rest_frame`).
    """
    if "band" in columns:
        columns = {name.replace("wavelength", "time"): c for name, c in columns.items()}
        table = QTable({name: columns[name] for name in CURVE_COLUMNS}, copy=False)
        for name, unit in _UNITS_OF_CURVES.items():
            table[name] = u.Quantity(table[name], unit, copy=False)
    else:
        table = QTable({name: columns[name] for name in COLUMNS}, copy=False)
        for name in _PLACES:
            table[name] = u.Quantity(table[name], u.AA, copy=False)
    table.meta.update(meta)
    return legible(table)


def is_of_curves(table: Table) -> bool:
    """Whether a token table is of light curves."""
    return "time" in table.colnames and "wavelength" not in table.colnames


def legible(table: QTable) -> QTable:
    """The same table with formats to read it by; files and slices keep every digit."""
    for name in set(_FORMATS).intersection(table.colnames):
        table[name].info.format = _FORMATS[name]
    return table


def meta_of(table: Table) -> dict[str, Any]:
    """What a token table says of its model, whatever the case that its file gave the keys.

    Raises
    ------
    ValueError
        Where something is missing: the table was not made by spectok, or lost its ``meta``.
    """
    given = {str(key).upper(): value for key, value in table.meta.items()}
    missing = [key for key in _META if key not in given]
    if missing:
        raise ValueError(
            f"the token table lacks {', '.join(missing)} in its meta: it was not made by "
            "spectok.encode, or an operation dropped its meta (copy it with table.meta.update)"
        )
    return {key: given[key] for key in (*_META, *_MAY_HAVE) if key in given}


def meta_entry(table: Table, key: str) -> Any:
    """One more entry of a table's meta, or None; files may have changed the case of its key."""
    return next((value for name, value in table.meta.items() if str(name).upper() == key), None)


def id_column(names: Sequence[Any]) -> np.ndarray:
    """Identifiers as a column: of integers where all are (and fit 64 bits), else of texts."""
    if all(isinstance(name, (int, np.integer)) for name in names):
        try:
            return np.array([int(name) for name in names], dtype=np.int64)
        except OverflowError:
            pass
    return np.array([str(name) for name in names], dtype=str)


def check_table(table: Table) -> None:
    """Refuse what is no token table, is empty, or says the same token twice."""
    if not isinstance(table, Table):
        raise TypeError(f"expected a token table (astropy QTable), got {type(table).__name__}")
    wanted = CURVE_COLUMNS if is_of_curves(table) else COLUMNS
    missing = [name for name in wanted if name not in table.colnames]
    if missing:
        remedy = "encode its spectra first (spectok.encode)"
        if "embedding" in table.colnames:
            remedy = "it holds embeddings, which cannot be turned back: use the tokens they are of"
        lacks = ", ".join(sorted(missing, key="token".__ne__)[:4]) + ", ..." * (len(missing) > 4)
        raise ValueError(f"this is no token table: it lacks the columns {lacks}; {remedy}")
    if len(table) == 0:
        raise ValueError("the token table is empty: there is nothing in it to work on")
    finite = np.isfinite(np.asarray(table["token"], dtype=np.float64)).all(-1)
    damaged = ~finite & np.asarray(table["valid"], dtype=bool)
    if damaged.any():
        row = int(damaged.argmax())
        raise ValueError(
            f"{int(damaged.sum())} valid tokens are not finite (the first is token "
            f"{table['token_index'][row]} of spectrum {table['spectrum_index'][row]}): another "
            "program has changed the table; encode these spectra again"
        )
    keys = np.stack([np.asarray(table[c]) for c in ("spectrum_index", "token_index")], axis=1)
    if len(np.unique(keys, axis=0)) != len(keys):
        raise ValueError(
            "some (spectrum_index, token_index) occur more than once: tables of several calls "
            "are joined by spectok.concatenate, which renumbers them (vstack does not)"
        )


@dataclass(frozen=True)
class TokenSequence:
    """The rows of one spectrum in a token table, in ascending wavelength.

    Attributes
    ----------
    index : int
        Its ``spectrum_index``.
    object_id : str or int
    flags : int
    scale : float
        In the unit of the column.
    valid : bool array, shape (T,)
    wavelength, wavelength_min, wavelength_max : float64 arrays, shape (T,)
        Vacuum Angstrom.
    n_pixels, n_valid : int arrays, shape (T,)
    token : float32 array, shape (T, C)
    row : int
        Its first row in the table.
    band : float64 array, shape (T,), optional
        Of light curves, whose wavelengths are times in days: the tokens' filters, Angstrom.
    origin : float
        Of light curves: time of the first point.
    """

    index: int
    object_id: str | int
    flags: int
    scale: float
    valid: np.ndarray
    wavelength: np.ndarray
    wavelength_min: np.ndarray
    wavelength_max: np.ndarray
    n_pixels: np.ndarray
    n_valid: np.ndarray
    token: np.ndarray
    row: int
    band: np.ndarray | None = None
    origin: float = 0.0

    def covers(self, wavelength: np.ndarray) -> np.ndarray:
        """Where a wavelength lies within one patch of a valid token; shape of the input.

        Or a time: of light curves within the longer of that patch and a usual one.
        """
        low, high = self.wavelength_min[self.valid], self.wavelength_max[self.valid]
        n_pixels = self.n_pixels[self.valid]
        reach = (high - low) * n_pixels / np.maximum(n_pixels - 1, 1)
        if self.band is not None and reach.size:
            reach = np.maximum(reach, np.median(reach))  # one of a single point has no length
        # Intervals that began at or before a wavelength, less those that ended before it.
        begun = np.searchsorted(np.sort(low - reach), wavelength, side="right")
        ended = np.searchsorted(np.sort(high + reach), wavelength, side="left")
        return begun > ended


def sequences(table: Table) -> list[TokenSequence]:
    """The spectra of a token table, in ascending ``spectrum_index``.

    Raises
    ------
    TypeError, ValueError
        Where the table is no token table, is empty or repeats tokens.
    """
    check_table(table)
    curves = is_of_curves(table)
    own = CURVE_COLUMNS if curves else COLUMNS
    # Times stand where wavelengths do.
    arrays = {name.replace("time", "wavelength"): np.asarray(table[name]) for name in own}
    names = table["object_id"]
    if getattr(names, "mask", None) is not None and names.dtype.kind in "US":
        arrays["object_id"] = names.filled("")  # ECSV masks empty texts
    for name in _PLACES:
        column = name.replace("wavelength", "time") if curves else name
        arrays[name] = _plain(table[column], column, u.d if curves else u.AA)
    for name in ("band", "origin") if curves else ():
        arrays[name] = _plain(table[name], name, _UNITS_OF_CURVES[name])
    order = np.lexsort((arrays["wavelength"], arrays["spectrum_index"]))
    index = arrays["spectrum_index"][order]
    starts = np.flatnonzero(np.r_[True, index[1:] != index[:-1]])
    out = []
    for rows in np.split(order, starts[1:]):
        first = rows[0]
        name = arrays["object_id"][first]
        out.append(
            TokenSequence(
                int(arrays["spectrum_index"][first]),
                text_of(name),
                int(arrays["flags"][first]),
                float(arrays["scale"][first]),
                arrays["valid"][rows].astype(bool),
                arrays["wavelength"][rows],
                arrays["wavelength_min"][rows],
                arrays["wavelength_max"][rows],
                arrays["n_pixels"][rows].astype(np.int64),
                arrays["n_valid"][rows].astype(np.int64),
                # FITS hands over big-endian numbers, which torch refuses.
                arrays["token"][rows].astype(np.float32),
                int(rows.min()),
                arrays["band"][rows].astype(np.float64) if curves else None,
                float(arrays["origin"][first]) if curves else 0.0,
            )
        )
    return out


def kept_of(table: Table, spectra: Sequence[TokenSequence]) -> dict[str, Any]:
    """What was kept of each spectrum beside its tokens: a column of N values by its name."""
    rows = [one.row for one in spectra]
    own = CURVE_COLUMNS if is_of_curves(table) else COLUMNS
    return {name: table[name][rows] for name in table.colnames if name not in own}


def text_of(name: Any) -> str | int:
    """An identifier of a table: integers stay what they are, all else is text."""
    if isinstance(name, (int, np.integer)):
        return int(name)
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)


def has_unit(column: Any) -> bool:
    """Whether a column still has the unit that it was written with, and other tools kept it."""
    unit = getattr(column, "unit", None)
    return unit is not None and not isinstance(unit, u.UnrecognizedUnit)


def _plain(column: Any, name: str, unit: u.UnitBase) -> np.ndarray:
    """Wavelengths or times of a table as plain numbers; without their unit they still are."""
    if not has_unit(column):
        return np.asarray(column, dtype=np.float64)
    try:
        return u.Quantity(column, copy=False).to_value(unit).astype(np.float64)
    except u.UnitConversionError as error:
        raise ValueError(
            f"the column {name} of the token table is in {column.unit}, which is no "
            f"{'time' if unit == u.d else 'wavelength'}: something has changed it; its numbers "
            f"were {'days' if unit == u.d else 'Angstrom'}"
        ) from error


def to_token_batch(spectra: Sequence[TokenSequence]) -> TokenBatch:
    """Token sequences padded to the longest of them."""
    # What was refused lies nowhere (NaN), and is never looked at.
    place = padded([np.nan_to_num(s.wavelength - s.origin, nan=1.0) for s in spectra], fill=None)
    half = padded([np.nan_to_num(s.wavelength - s.wavelength_min) for s in spectra])
    band = end = None
    if spectra[0].band is not None:
        filters = [np.nan_to_num(s.band, nan=_NO_BAND) for s in spectra if s.band is not None]
        band = torch.from_numpy(padded(filters, fill=None))
    else:
        reach = [
            s.wavelength_max
            + 0.5 * (s.wavelength_max - s.wavelength_min) / (s.n_pixels - 1).clip(1)
            for s in spectra
        ]
        end = torch.from_numpy(padded([np.nan_to_num(r) for r in reach], fill=None))
    return TokenBatch(
        torch.from_numpy(padded([s.token for s in spectra], np.float32)),
        torch.from_numpy(place),
        torch.from_numpy(half),
        torch.from_numpy(padded([s.valid for s in spectra], bool)),
        torch.ones(len(spectra)),
        band=band,
        end=end,
    )


def table_unit(unit: u.UnitBase) -> u.UnitBase:
    """A unit that can be written down and read again; else (private units) dimensionless.

    A private name for something known (MaNGA's spaxel is a pixel) is replaced by it.
    """
    if _readable(unit):
        return unit
    known = u.CompositeUnit(unit.scale, [], [])
    for base, power in zip(unit.bases, unit.powers, strict=True):
        known = known * (base if _readable(base) else base.decompose()) ** power
    return known if _readable(known) else u.dimensionless_unscaled


def column_unit(unit: u.UnitBase) -> u.UnitBase:
    """`table_unit` without a scale that is no power of ten, which FITS cannot hold."""
    unit = table_unit(unit)
    power = math.log10(unit.scale)
    if power != round(power):
        unit = u.CompositeUnit(1, unit.bases, unit.powers)
    try:
        unit.to_string("fits")
    except u.UnitScaleError:  # a name of something with a scale of its own, such as ST
        parts = unit.decompose()
        return u.CompositeUnit(1, parts.bases, parts.powers)
    except ValueError:  # astropy writes it in a way of its own
        pass
    return unit


def _readable(unit: u.UnitBase) -> bool:
    try:
        return u.Unit(unit.to_string()) == unit
    except ValueError:
        return False
