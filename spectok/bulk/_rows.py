"""Arrays of spectra to columns of the output, in batches; what fails is found and kept alone."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from astropy import units as u
from astropy.table import QTable
from astropy.utils.exceptions import AstropyUserWarning

from spectok._codec import embed
from spectok._codec._run import encode_rows
from spectok._convert import Rows, parse_unit, stream_arrays
from spectok._convert._rows import join_arms
from spectok._file_batches import in_halves
from spectok._flags import TokenFlag
from spectok._tokens import refusals
from spectok.bulk._cells import Cell
from spectok.bulk._options import Options
from spectok.model import SpectralTokenizer

__all__ = [
    "NO_TOKEN",
    "OK",
    "PER_TOKEN",
    "Encoded",
    "encode_cells",
    "encode_some",
    "quiet",
    "reason_of",
]

OK, NO_TOKEN = "ok", "no valid token"
PER_TOKEN = ("wavelength", "wavelength_min", "wavelength_max", "n_pixels", "n_valid", "valid",
             "token")  # fmt: skip
# Wavelengths that a spectrum of stars and galaxies begins at [Angstrom]: X-rays to the far
# infrared. Nanometres and microns, and logarithms, lie outside.
_PLAUSIBLE = (80.0, 5e6)


class Encoded:
    """Columns of N spectra.

    Attributes
    ----------
    status : list of str
    flags, n_tokens, n_valid : int arrays, shape (N,)
        ``n_tokens`` counts valid tokens, ``n_valid`` good pixels in them.
    embedding : float32 array, shape (N, E), or None
    rows : int array, shape (N,)
        Rows of the token table that belong to each.
    scale : float64 array, shape (N,)
    unit, scale_unit : list of str
        Of the flux that came in, and of the scale.
    tokens : dict of str to array
        Columns of the token table, all rows one after the other; empty where not wanted.
    """

    def __init__(self, parts: Sequence[dict[str, Any]]) -> None:
        join = lambda key: [x for part in parts for x in part[key]]  # noqa: E731
        self.status, self.unit = join("status"), join("unit")
        self.scale_unit = join("scale_unit")
        self.flags, self.n_tokens, self.n_valid, self.rows, self.scale = (
            np.concatenate([part[name] for part in parts])
            for name in ("flags", "n_tokens", "n_valid", "rows", "scale")
        )
        found = [part["embedding"] for part in parts]
        self.embedding = None if found[0] is None else np.concatenate(found)
        names = parts[0]["tokens"]
        self.tokens = {k: np.concatenate([part["tokens"][k] for part in parts]) for k in names}

    def __len__(self) -> int:
        return len(self.status)


def encode_cells(
    cells: Sequence[Cell], network: SpectralTokenizer, options: Options
) -> Encoded | None:
    """Encode rows of a table; None where there is no row.

    Raises
    ------
    ValueError
        With ``errors="raise"``, for the first row that cannot be used.
    """

    def encode(some: Sequence[Cell]) -> QTable:
        return encode_rows(
            list(_rows_of(some, options)), None, network, None, options.device,
            options.batch_size, False, precision=options.precision,
        )  # fmt: skip

    return encode_some(cells, encode, network, options)


def encode_some(
    given: Sequence[Any],
    encode: Callable[[Sequence[Any]], QTable],
    network: SpectralTokenizer,
    options: Options,
) -> Encoded | None:
    """Encode a batch; where that fails, halves of it, down to the one that is to blame.

    Parameters
    ----------
    given : sequence
        One thing for each spectrum, or for each file of some.
    encode : callable
        Makes a token table of some of them; what cannot be used is refused in it.
    network : `~spectok.SpectralTokenizer`
    options : `Options`

    Returns
    -------
    encoded : `Encoded` or None
        None where nothing was given.
    """
    if not len(given):
        return None

    def work(some: Sequence[Any]) -> dict[str, Any]:
        return _columns(encode(some), network, options)

    if options.errors == "raise":
        return Encoded([work(given)])
    return Encoded(
        [
            _failed(reason_of(made), network, options) if isinstance(made, Exception) else made
            for _, made in in_halves(given, work)
        ]
    )


def reason_of(error: BaseException) -> str:
    """What went wrong, in one line."""
    text = " ".join(str(error).split())
    known = isinstance(error, (ValueError, OSError, TypeError)) and text
    return text if known else f"{type(error).__name__}: {text}".rstrip(": ")


def _rows_of(cells: Sequence[Cell], options: Options) -> Iterator[Rows]:
    """Rows of numbers, one spectrum each; refused ones in their places."""
    together = {} if options.errors == "raise" else _converted_together(cells, options)
    for number, cell in enumerate(cells):
        if number in together:
            yield together[number]
            continue
        where = f"row {number}"
        error: Exception | None = None
        rows: list[Rows] = []
        if cell.reason is not None:
            error = ValueError(cell.reason)
        else:
            for arrays in cell.arms:
                try:
                    rows += _convert(arrays, cell.medium, options)
                except Exception as wrong:  # whatever a row is, it costs only itself
                    error = wrong
                    break
        if error is None:
            try:
                yield join_arms(rows, where) if len(rows) > 1 else rows[0]
                continue
            except Exception as wrong:
                error = wrong
        if options.errors == "raise":
            raise ValueError(f"{where}: {reason_of(error)}") from error
        yield Rows.refused(1, ValueError(reason_of(error)), where)


def _converted_together(cells: Sequence[Cell], options: Options) -> dict[int, Rows]:
    """Rows of the plain ones among the cells, converted in one call, which is much faster."""
    chosen: list[int] = []
    kind = None
    for number, cell in enumerate(cells):
        if cell.reason is not None or len(cell.arms) != 1:
            continue
        (arrays,) = cell.arms
        own = (cell.medium, arrays["ivar"] is None, arrays["mask"] is None)
        kind = kind or own
        axis = arrays["wavelength"]
        if own == kind and axis is not None and axis.dtype.kind in "iuf" and _begins_well(
            axis, cell.medium, options
        ):  # fmt: skip
            chosen.append(number)
    if len(chosen) < 2 or kind is None:
        return {}
    units = {} if kind[0] else options.units
    columns: dict[str, list[Any] | None] = {}
    for role in ("wavelength", "flux", "ivar", "mask"):
        rows: list[Any] = [cells[number].arms[0][role] for number in chosen]
        unit = _unit_of(role, units)
        if rows[0] is None:
            columns[role] = None
        else:
            columns[role] = rows if unit is None else [row * unit for row in rows]
    try:
        found = list(
            stream_arrays(*columns.values(), medium=kind[0] or options.medium, errors="row")
        )
    except Exception:  # one by one, it will be found which
        return {}
    return dict(zip(chosen, found, strict=True))


def _unit_of(role: str, units: Mapping[str, str]) -> u.UnitBase | None:
    """What the numbers of a field are in; None for plain ones."""
    if role in units:
        return parse_unit(units[role])
    return u.AA if role == "wavelength" else None


def _begins_well(axis: np.ndarray, medium: str | None, options: Options) -> bool:
    """Whether wavelengths begin where those of a spectrum may."""
    unit = _unit_of("wavelength", {} if medium else options.units)
    if unit is None or unit.physical_type != "length":
        return True
    usable = axis[np.isfinite(axis) & (axis > 0)]
    return not usable.size or _PLAUSIBLE[0] <= usable[0] * unit.to(u.AA) <= _PLAUSIBLE[1]


def _convert(
    arrays: dict[str, np.ndarray | None], medium: str | None, options: Options
) -> list[Rows]:
    wavelength, flux, ivar, mask = (arrays[k] for k in ("wavelength", "flux", "ivar", "mask"))
    units = {} if medium else options.units
    axis: Any = np.asarray(wavelength, float)
    unit = _unit_of("wavelength", units) or u.AA
    if not _begins_well(axis, medium, options):
        raise ValueError(
            f"its wavelengths begin at {axis[0] * unit.to(u.AA):.4g} Angstrom, where no "
            'spectrum does: say their unit, as in units={"wavelength": "nm"}; logarithms are not '
            "taken"
        )
    axis = axis * unit
    in_flux, in_ivar = (_unit_of(role, units) for role in ("flux", "ivar"))
    values: Any = flux if in_flux is None else flux * in_flux
    if ivar is not None and in_ivar is not None:
        ivar = ivar * in_ivar
    medium = medium or options.medium
    try:
        return list(stream_arrays(axis, values, ivar, mask, medium=medium, errors="strict"))
    except ValueError as error:
        raise ValueError(str(error).removeprefix("the spectra: ")) from error


def _columns(tokens: QTable, network: SpectralTokenizer, options: Options) -> dict[str, Any]:
    """Columns of the output, from a token table."""
    index = np.asarray(tokens["spectrum_index"])
    first = np.flatnonzero(np.r_[True, index[1:] != index[:-1]])
    number = len(first)
    flags = np.asarray(tokens["flags"])[first]
    valid = np.asarray(tokens["valid"], bool)
    good = np.where(valid, np.asarray(tokens["n_valid"]), 0)
    n_tokens = np.add.reduceat(valid.astype(np.int32), first)
    status = np.where(n_tokens > 0, OK, NO_TOKEN).astype(object)
    refused = np.flatnonzero(flags & TokenFlag.REFUSED)
    if len(refused):
        told = refusals(tokens)
        reasons = dict(zip(told["spectrum_index"], told["reason"], strict=True))
        for row in refused:
            status[row] = f"error: {reasons[index[first[row]]]}"
    scale = u.Quantity(tokens["scale"])[first]
    embedding = None
    if options.with_embedding:
        embedding = np.asarray(embed(tokens, model=network, progress=False)["embedding"])
    kept = {}
    if options.with_tokens:
        kept = {name: _plain(tokens[name]) for name in PER_TOKEN}
    return {
        "status": status.tolist(),
        "flags": flags.astype(np.int32),
        "n_tokens": n_tokens,
        "n_valid": np.add.reduceat(good, first).astype(np.int32),
        "embedding": embedding,
        "rows": np.diff(np.append(first, len(index))),
        "scale": scale.value,
        "unit": [str(tokens.meta["FLUXUNIT"])] * number,
        "scale_unit": [scale.unit.to_string()] * number,
        "tokens": kept,
    }


def _failed(reason: str, network: SpectralTokenizer, options: Options) -> dict[str, Any]:
    """The columns of one spectrum that could not even be refused."""
    none = Rows.refused(1, ValueError(reason), "the spectrum")
    tokens = encode_rows([none], None, network, None, None, None, False)
    return _columns(tokens, network, options)


def _plain(column: Any) -> np.ndarray:
    return column.to_value(u.AA) if isinstance(column, u.Quantity) else np.asarray(column)


class _Silence:
    """Warnings of spectra are silenced while anybody encodes in bulk: the columns say it all.

    Filters of warnings belong to the process: the first thread that comes in sets them, and the
    last one that leaves gives them back.
    """

    def __init__(self) -> None:
        self._lock, self._inside = threading.Lock(), 0
        self._before: warnings.catch_warnings | None = None

    def enter(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._before = warnings.catch_warnings()
                self._before.__enter__()
                warnings.simplefilter("ignore", AstropyUserWarning)

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0 and self._before is not None:
                self._before.__exit__(None, None, None)
                self._before = None


_silence = _Silence()


@contextmanager
def quiet() -> Iterator[None]:
    """No warning of a single spectrum inside."""
    _silence.enter()
    try:
        yield
    finally:
        _silence.leave()
