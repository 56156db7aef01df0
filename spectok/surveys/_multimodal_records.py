"""Records of the Multimodal Universe: rows read, mended, as plain arrays (no astropy)."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spectok._split import name_split, sky_split

from ._missing import ABSURD, says_something
from ._multimodal_files import Chunk, SurveyFile, read_chunks, report

__all__ = ["ShardReader", "SurveyRecord", "Unit", "as_arrays", "make_record", "text"]

# File, row group, first row, row after the last.
Unit = tuple[int, int, int, int]
# apStar files: log10 wavelength of the first pixel, and the step.
_APOGEE_GRID = (4.179, 6e-6)


@dataclass(frozen=True, slots=True)
class SurveyRecord:
    """One spectrum as plain arrays of shape (L,), without padding.

    Parameters
    ----------
    object_id : str
        The survey's own identifier.
    survey : str
        "SDSS", "DESI", "GALAH" or "APOGEE".
    wavelength : numpy.ndarray of float64
        Vacuum Angstrom, in the frame that the survey gives: APOGEE's is at rest.
    flux, ivar : numpy.ndarray
        Flux and its inverse variance, in the precision and the unit of the file. Inverse
        variance is zero where ``valid`` is False; a flux that is not finite is zero.
    valid : numpy.ndarray of bool
        True for good pixels. There may be none.
    ra, dec : float
        Degrees, NaN where the file has none.
    labels : dict
        Labels that the file has, by name.
    shard, position : int
        How far its shard has been read: reading this shard on from this position gives the
        spectra that come after this one.

    Examples
    --------
    >>> import numpy as np
    >>> from spectok.surveys._multimodal_records import SurveyRecord
    >>> pixels = np.linspace(4000.0, 5000.0, 4)
    >>> record = SurveyRecord("1", "SDSS", pixels, np.ones(4), np.ones(4), pixels > 4100.0)
    >>> record.mask.tolist()
    [True, False, False, False]
    """

    object_id: str
    survey: str
    wavelength: np.ndarray
    flux: np.ndarray
    ivar: np.ndarray
    valid: np.ndarray
    ra: float = np.nan
    dec: float = np.nan
    labels: Mapping[str, Any] = field(default_factory=dict)
    shard: int = 0
    position: int = 0

    @property
    def mask(self) -> np.ndarray:
        """True for bad pixels, as in astropy: the inverse of ``valid``."""
        return ~self.valid


def as_arrays(records: Sequence[SurveyRecord]) -> dict[str, list]:
    """Arrays for `spectok.encode_arrays`, from records.

    Parameters
    ----------
    records : sequence of SurveyRecord
        Of any surveys, lengths and grids.

    Returns
    -------
    arrays : dict of str to list
        "wavelength", "flux", "ivar", "mask" and "object_id", one entry per record.

    Examples
    --------
    >>> import numpy as np, spectok
    >>> from spectok.surveys._multimodal_records import SurveyRecord, as_arrays
    >>> pixels = np.linspace(4000.0, 5000.0, 320)
    >>> record = SurveyRecord("1", "SDSS", pixels, np.ones(320), np.ones(320), pixels > 0)
    >>> tokens = spectok.encode_arrays(**as_arrays([record, record]))
    >>> len(tokens)
    20
    """
    names = ("wavelength", "flux", "ivar", "mask", "object_id")
    return {name: [getattr(record, name) for record in records] for name in names}


class ShardReader:
    """Reads a shard; holds the files that are open.

    Parameters
    ----------
    files : sequence of SurveyFile
    units : sequence of `Unit`
        The shard's share, in the order of the epoch.
    plan : iterable of list of (int, int, int)
        Chunks that are in memory together: position in ``units``, first row, row after the
        last.
    seed : tuple of int, optional
        Of this shard in this epoch; without it rows come in the order of the units.
    chunk_rows : int
        Rows of a chunk.
    split : str, optional
        Objects of which part of the sky; by default all.
    galah_offset : int, optional
        By default 2 in HDF5 files and 0 in Parquet files.
    damaged : "raise" or "skip"
        What to do with files that cannot be read and rows that hold no spectrum.
    """

    def __init__(
        self,
        files: Sequence[SurveyFile],
        units: Sequence[Unit],
        plan: Iterable[list[tuple[int, int, int]]],
        *,
        seed: tuple[int, ...] | None,
        chunk_rows: int,
        split: str | None,
        galah_offset: int | None,
        damaged: str,
    ) -> None:
        self.files, self.units, self.plan, self.seed = files, units, plan, seed
        self.chunk_rows = chunk_rows
        self.split, self.galah_offset, self.damaged = split, galah_offset, damaged
        self.empty: list[str] = []
        # Units that are being read; None: the rest of it cannot be.
        self.lanes: dict[int, Generator[Chunk, None, None] | None] = {}

    def records(self, shard: int, position: int) -> Iterator[SurveyRecord]:
        """The shard's spectra that come after a position."""
        seen = 0
        try:
            for number, chunks in enumerate(self.plan):
                sizes = [stop - start for _, start, stop in chunks]
                if seen + sum(sizes) <= position:
                    seen += sum(sizes)
                    continue
                loaded = [self._load(*chunk) for chunk in chunks]
                rows = [(part, row) for part, size in enumerate(sizes) for row in range(size)]
                if self.seed is not None:
                    rng = np.random.default_rng((*self.seed, number))
                    rows = [rows[i] for i in rng.permutation(len(rows))]
                for part, row in rows:
                    seen += 1
                    chunk = loaded[part]
                    if seen <= position or chunk is None or not chunk.keep[row]:
                        continue
                    unit, start, _ = chunks[part]
                    record = self._record(unit, start + row, chunk.row(row), shard, seen)
                    if record is not None:
                        yield record
        finally:
            for lane in self.lanes.values():
                if lane is not None:
                    lane.close()
            if self.empty:
                report(
                    ValueError(
                        f"{len(self.empty)} rows without a spectrum; the first: {self.empty[0]}"
                    ),
                    self.damaged,
                )

    def _load(self, unit: int, start: int, stop: int) -> Chunk | None:
        """The next chunk of a unit; None where it cannot be read."""
        number, group, _, end = self.units[unit]
        file = self.files[number]
        if unit not in self.lanes:
            self.lanes[unit] = read_chunks(
                file,
                group,
                start,
                end,
                size=self.chunk_rows,
                wanted=None if self.split is None else self._wanted,
            )
        lane = self.lanes[unit]
        chunk = None
        if lane is not None:
            try:
                chunk = next(lane, None)
                if chunk is None or len(chunk.keep) != stop - start:
                    raise OSError(f"{file.path}: holds fewer rows than it says: fetch it again")
            except OSError as error:
                report(OSError(f"{error} (rows from {start} on)"), self.damaged)
                self.lanes[unit], chunk = None, None
        if stop == end:
            lane = self.lanes.pop(unit)
            if lane is not None:
                lane.close()
        return chunk

    def _wanted(self, ra: np.ndarray, dec: np.ndarray, object_id: Sequence) -> np.ndarray:
        """Which rows are of the part of the sky that is asked for."""
        placed = np.isfinite(ra) & np.isfinite(dec) & (np.abs(dec) <= 90.0)
        part = np.empty(len(ra), "U10")
        part[placed] = sky_split(ra[placed], dec[placed])
        names = [str(text(object_id[int(i)])) or "unnamed" for i in np.flatnonzero(~placed)]
        part[~placed] = name_split(names)
        return part == self.split

    def _record(
        self, unit: int, row: int, values: dict, shard: int, position: int
    ) -> SurveyRecord | None:
        """One row as a record; None where it holds no spectrum."""
        file = self.files[self.units[unit][0]]
        offset = self.galah_offset
        if offset is None:
            offset = 0 if file.parquet else 2
        object_id = str(text(values["object_id"]))
        try:
            return make_record(
                file.survey,
                values,
                galah_offset=offset,
                object_id=object_id,
                ra=np.nan if values["ra"] is None else float(values["ra"]),
                dec=np.nan if values["dec"] is None else float(values["dec"]),
                labels=_known({key: values[f"label {key}"] for key in file.labels}),
                shard=shard,
                position=position,
            )
        except ValueError as error:
            where = f"{file.path}: row {row} of group {self.units[unit][1]}, object {object_id}"
            if self.damaged == "raise":
                raise ValueError(
                    f'{where}: {error}; leave such rows out with damaged="skip"'
                ) from error
            self.empty.append(f"{where}: {error}")
            return None


def text(value: Any) -> Any:
    """Text of the file without its blanks, other values as plain Python.

    Copies of SDSS hold identifiers such as ``b'   482050393'``: bytes that went through
    ``str``.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if not isinstance(value, str):
        return value
    wrapped = re.fullmatch(r"b(['\"])(.*)\1", value.strip())
    return (wrapped[2] if wrapped else value).strip()


def _known(labels: Mapping[str, Any]) -> dict[str, Any]:
    """Labels that say something, as plain Python."""
    plain = {key: text(value) for key, value in labels.items()}
    return {key: value for key, value in plain.items() if says_something(value)}


def make_record(
    survey: str,
    arrays: Mapping[str, np.ndarray | None],
    *,
    galah_offset: int,
    **rest: Any,
) -> SurveyRecord:
    """Take the padding off, mend what is known to be wrong, and find the good pixels.

    Parameters
    ----------
    survey : str
    arrays : mapping of str to (L,) array or None
        "wavelength", "flux", "ivar" and, where the file has one, "mask" (True = bad).
    galah_offset : int
        Pixels by which the file's wavelengths of GALAH are too long.
    **rest
        The other fields of the record.

    Raises
    ------
    ValueError
        If the row holds no spectrum.
    """
    wavelength, flux, ivar = (arrays[name] for name in ("wavelength", "flux", "ivar"))
    if wavelength is None or flux is None:
        raise ValueError("it has no flux or no wavelengths")
    wavelength, flux = _native(wavelength), _native(flux)
    # An error that is missing is unknown: no pixel is good.
    ivar = np.zeros_like(flux) if ivar is None else _native(ivar)
    mask = arrays.get("mask")
    # Not astype(bool): a mask may hold None, and who knows nothing of a pixel trusts it not.
    bad = np.zeros(flux.shape, bool) if mask is None else np.asarray(mask) != 0
    if not wavelength.shape == flux.shape == ivar.shape == bad.shape:
        raise ValueError(
            f"its {wavelength.size} wavelengths, {flux.size} fluxes, {ivar.size} inverse "
            f"variances and {bad.size} mask values are not equally many"
        )
    # Padding is -1; NaN and 0 are no wavelengths either.
    real = np.isfinite(wavelength) & (wavelength > 0)
    if not real.any():
        raise ValueError("it has not one wavelength: all is padding")
    wavelength = wavelength[real].astype(np.float64)
    flux, ivar, bad = flux[real], ivar[real], bad[real]
    valid = ~bad & np.isfinite(flux) & np.isfinite(ivar) & (ivar > 0)
    if survey == "GALAH":
        # Errors are relative to the flux: a flux that is not positive has none.
        valid &= flux > 0
        wavelength = _air_to_vacuum(_shift(wavelength, -galah_offset))
    elif survey == "APOGEE":
        valid &= flux != 0  # gaps between the detectors
        if valid.any():
            valid &= ivar > ABSURD**-2 * np.median(ivar[valid])
        wavelength = _exact_apogee(wavelength)
    ivar = np.where(valid, ivar, ivar.dtype.type(0))
    flux = np.where(np.isfinite(flux), flux, flux.dtype.type(0))
    if survey == "DESI" and (np.diff(wavelength) <= 0).any():
        wavelength, flux, ivar = _join_arms(wavelength, flux, ivar)
        valid = ivar > 0
    return SurveyRecord(
        survey=survey, wavelength=wavelength, flux=flux, ivar=ivar, valid=valid, **rest
    )


def _native(values: np.ndarray) -> np.ndarray:
    """Floats in the machine's byte order."""
    values = np.asarray(values)
    if values.dtype.kind != "f":
        return values.astype(np.float64)
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _shift(wavelength: np.ndarray, pixels: int) -> np.ndarray:
    """Move GALAH's wavelengths by a number of pixels; each of the four arms is linear."""
    arms = np.split(wavelength, np.flatnonzero(np.diff(wavelength) > 1.0) + 1)
    steps = [np.ptp(arm) / max(arm.size - 1, 1) for arm in arms]
    return np.concatenate([arm + pixels * step for arm, step in zip(arms, steps, strict=True)])


def _air_to_vacuum(wavelength: np.ndarray) -> np.ndarray:
    """Angstrom in air to vacuum, by the formula of Morton (2000, ApJS 130, 403), inverted.

    Numpy only, for machines without astropy; `spectok.encode` uses the same formula.
    """
    vacuum = wavelength
    for _ in range(4):  # each round gains three digits and more
        wavenumber = (1e4 / vacuum) ** 2
        index = 1.0 + 8.34254e-5 + 2.406147e-2 / (130.0 - wavenumber)
        index += 1.5998e-4 / (38.9 - wavenumber)
        vacuum = wavelength * index
    return vacuum


def _exact_apogee(wavelength: np.ndarray) -> np.ndarray:
    """APOGEE's own grid, which the files keep in single precision (4 % of a pixel)."""
    first, step = _APOGEE_GRID
    pixel = (np.log10(wavelength) - first) / step
    whole = np.round(pixel)
    return 10.0 ** (first + step * whole) if np.abs(pixel - whole).max() < 0.1 else wavelength


def _join_arms(
    wavelength: np.ndarray, flux: np.ndarray, ivar: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Average DESI's arms where they overlap: they share one grid, so nothing is resampled."""
    # To 0.01 Angstrom, because single precision may round two arms differently.
    _, first, place = np.unique(np.round(wavelength, 2), return_index=True, return_inverse=True)
    weight = np.bincount(place, ivar)
    total = np.bincount(place, ivar * flux)
    mean = np.where(weight > 0, total / np.where(weight > 0, weight, 1.0), flux[first])
    return wavelength[first], mean.astype(flux.dtype), weight.astype(ivar.dtype)
