"""One row of a Multimodal Universe file to plain arrays, and what is mended in it (no astropy)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ._missing import ABSURD, says_something

__all__ = ["SurveyRecord", "as_arrays", "known", "make_record", "text"]

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
    >>> from spectok.surveys import SurveyRecord
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
    """What `spectok.encode_arrays` takes, from records.

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
    >>> from spectok.surveys import SurveyRecord, as_arrays
    >>> pixels = np.linspace(4000.0, 5000.0, 320)
    >>> record = SurveyRecord("1", "SDSS", pixels, np.ones(320), np.ones(320), pixels > 0)
    >>> tokens = spectok.encode_arrays(**as_arrays([record, record]))
    >>> len(tokens)
    20
    """
    names = ("wavelength", "flux", "ivar", "mask", "object_id")
    return {name: [getattr(record, name) for record in records] for name in names}


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


def known(labels: Mapping[str, Any]) -> dict[str, Any]:
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
    wavelength, flux = native(wavelength), native(flux)
    # An error that is missing is unknown: no pixel is good.
    ivar = np.zeros_like(flux) if ivar is None else native(ivar)
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


def native(values: np.ndarray) -> np.ndarray:
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
