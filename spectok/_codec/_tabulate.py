"""What the network said, as a token table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy import units as u
from astropy.table import QTable

from spectok import __version__
from spectok._batch import PatchLayout
from spectok._codec._told import Told
from spectok._convert import Clockwork, FluxUnit, Rows
from spectok._flags import TokenFlag
from spectok._tokens import column_unit, id_column, reasons_to_text, table_unit, to_table
from spectok._weights import model_identity
from spectok.model import SpectralTokenizer

__all__ = ["Encoded", "TableBuilder"]

_PER_TOKEN = (
    "token_index", "wavelength", "wavelength_min", "wavelength_max", "n_pixels", "n_valid",
    "valid", "token",
)  # fmt: skip
_OF_CURVES = ("band", "origin")
_LARGEST_WHOLE = 1 << 53  # up to which a float holds every integer


@dataclass(frozen=True)
class Encoded:
    """What the network made of one spectrum of T patches.

    Attributes
    ----------
    layout : `~spectok._batch.PatchLayout`
    value : float32 array, shape (T, C)
    valid : bool array, shape (T,)
    n_valid : int array, shape (T,)
    scale : float
    from_noise : bool
    """

    layout: PatchLayout
    value: np.ndarray
    valid: np.ndarray
    n_valid: np.ndarray
    scale: float
    from_noise: bool


class TableBuilder:
    """A token table that grows by some thousand spectra at a time.

    Parameters
    ----------
    network : `~spectok.SpectralTokenizer`
        What encodes them.
    precision : str, optional
        In which it computes, where that is not float32.

    Attributes
    ----------
    count : int
        Spectra so far.
    """

    def __init__(self, network: SpectralTokenizer, precision: str | None = None) -> None:
        self._network, self._precision = network, precision
        self._per_token = _PER_TOKEN + (_OF_CURVES if network.config.of_times else ())
        self._columns: dict[str, list[np.ndarray]] = {name: [] for name in self._per_token}
        self._clockwork: Clockwork | None = None
        self._n_tokens: list[int] = []
        self._names: list[Any] = []
        self._flags: list[int] = []
        self._scales: list[float] = []
        self._kept: dict[str, list[Any]] = {}
        self._shape: tuple[int, ...] | None = None
        self._told = Told(network.config.patch_size)

    @property
    def count(self) -> int:
        return len(self._n_tokens)

    def add(
        self, rows: list[Rows], encoded: list[Encoded | None], names: list[Any] | None
    ) -> None:
        """Add spectra, with what was made of them and, for all of the call, their names."""
        parts: dict[str, list[Any]] = {name: [] for name in self._per_token}
        found = iter(encoded)
        for part in rows:
            self._add_names(part, names)
            self._shape = part.shape
            self._clockwork = self._clockwork or part.clockwork
            ranges = None
            for j in range(len(part.flux)):
                one = next(found)
                flag = int(part.flags[j])
                if one is None:
                    flag |= TokenFlag.NO_VALID_PATCH
                    columns, scale = self._placeholder(), 1.0
                    self._told.refused(self.count, part.reason or "")
                else:
                    ranges = ranges or _ranges(one.layout)
                    keep = slice(None)
                    if not one.valid.any():
                        flag |= TokenFlag.NO_VALID_PATCH
                        keep = slice(0, 1)
                    elif one.from_noise:
                        flag |= TokenFlag.SCALE_FROM_NOISE
                    columns = (*ranges, one.n_valid, one.valid, one.value, *_of_curve(one.layout))
                    columns, scale = tuple(column[keep] for column in columns), one.scale
                    self._told.encoded(self.count, part, j, one.valid, one.n_valid)
                for name, column in zip(self._per_token, columns, strict=True):
                    parts[name].append(column)
                self._n_tokens.append(len(columns[0]))
                self._flags.append(flag)
                self._scales.append(scale)
        for name, pieces in parts.items():
            self._columns[name].append(np.concatenate(pieces))

    def finish(self, flux_unit: FluxUnit | None) -> QTable:
        """The table, and warnings of what a user must be told."""
        unit_in = u.dimensionless_unscaled if flux_unit is None else flux_unit.unit
        internal = u.dimensionless_unscaled if flux_unit is None else flux_unit.internal
        name, sha256 = model_identity(self._network)
        unit = column_unit(internal)
        n_tokens = np.array(self._n_tokens)
        # Part by part given free: the table is the largest thing here, and there is one of it.
        columns = {key: np.concatenate(self._columns.pop(key)) for key in self._per_token}
        meta = {
            "MODEL": name,
            "SHA256": sha256,
            "PATCH": self._network.config.patch_size,
            "FLUXUNIT": table_unit(unit_in).to_string(),
            "SPECTOK": __version__,
        }
        if self._network.config.context_size:
            meta["CONTEXT"] = self._network.config.context_size
        if self._clockwork is not None:
            meta["TIMESCAL"] = self._clockwork.scale
            meta["TIMEFMT"] = self._clockwork.format
        zero_point = getattr(flux_unit, "zero_point", None)
        if zero_point is not None:
            meta["ZEROPNT"] = zero_point
        if self._precision:
            meta["PRECIS"] = self._precision
        if self._shape is not None and -int(np.prod(self._shape)) == self.count:
            meta["SHAPE"] = " ".join(map(str, self._shape))
        if self._told.reasons:
            meta["REFUSED"] = reasons_to_text(self._told.reasons)
        table = to_table(
            {
                "spectrum_index": np.repeat(np.arange(self.count), n_tokens),
                "object_id": np.repeat(id_column(self._names), n_tokens),
                "scale": np.repeat(np.array(self._scales, dtype=np.float64), n_tokens)
                * table_unit(internal).to(unit)
                * unit,
                "flags": np.repeat(np.array(self._flags, dtype=np.int32), n_tokens),
                **columns,
            },
            meta,
        )
        unknown = []
        for key, values in self._kept.items():
            column = _kept_column(values)
            if column is None:
                unknown.append(key)
            else:
                table[key] = np.repeat(column, n_tokens)
        lost_unit = None if table_unit(unit_in).is_equivalent(unit_in) else unit_in
        self._told.warn(self._names, self._flags, lost_unit, unknown)
        return table

    def _add_names(self, part: Rows, names: list[Any] | None) -> None:
        first, number = len(self._names), len(part.flux)
        own = part.object_id
        if names is not None:
            own = names[first : first + number]
        if own is None or len(own) != number:
            own = [str(first + j) for j in range(number)]
        self._names += own
        for key in set(self._kept) | set(part.kept):
            # Those before had none of it, and neither may these.
            column = self._kept.setdefault(key, [None] * first)
            column += part.kept.get(key, [None] * number)

    def _placeholder(self) -> tuple[np.ndarray, ...]:
        """The one row of a spectrum that could not be used: it lies nowhere."""
        nowhere = np.full(1, np.nan)
        none = np.zeros(1, dtype=np.int64)
        token = np.zeros((1, self._network.config.token_size), np.float32)
        places = (none, nowhere, nowhere, nowhere, none, none, np.zeros(1, bool), token)
        return places + (nowhere,) * (len(self._per_token) - len(places))


def _ranges(layout: PatchLayout) -> tuple[np.ndarray, ...]:
    """Number, centre, lowest and highest wavelength and number of pixels of each patch."""
    low, high, n_pixels = layout.patch_range()
    places = layout.wavelength.reshape(layout.n_patches, -1)
    centre = 0.5 * (places[:, 0] + places[:, -1])
    # Of light curves the places are counted from the first point.
    low, centre, high = (layout.origin + one for one in (low, centre, high))
    return np.arange(len(low)), centre, low, high, n_pixels


def _of_curve(layout: PatchLayout) -> tuple[np.ndarray, ...]:
    """Filter and origin of each patch of a light curve; nothing for a spectrum."""
    if layout.band is None:
        return ()
    return layout.band, np.full(layout.band.size, layout.origin)


def _kept_column(values: list[Any]) -> np.ndarray | u.Quantity | None:
    """Metadata of all spectra as one column; what is unknown is NaN or empty."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    if all(isinstance(value, u.Quantity) and value.isscalar for value in known):
        unit = known[0].unit
        if all(value.unit.is_equivalent(unit) for value in known):
            return u.Quantity([np.nan * unit if v is None else v.to(unit) for v in values])
    if all(isinstance(value, (bool, np.bool_)) for value in known) and len(known) == len(values):
        return np.array(values, dtype=bool)
    if all(isinstance(value, (int, np.integer)) for value in known) and len(known) == len(values):
        return id_column([int(value) for value in values])
    whole = [value for value in known if isinstance(value, (int, np.integer))]
    # An identifier of 19 digits, unknown of some, would lose its last ones as a float.
    exact = all(abs(int(value)) <= _LARGEST_WHOLE for value in whole)
    if exact and all(isinstance(value, (int, float, np.integer, np.floating)) for value in known):
        return np.array([np.nan if value is None else float(value) for value in values])
    texts = [
        value.decode("utf-8", "replace") if isinstance(value, bytes) else value for value in values
    ]
    return np.array(["" if text is None else str(text) for text in texts])
