"""Resampling of template files to constant steps of log10 wavelength."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from astropy import units as u
from astropy.io import fits
from scipy.interpolate import CubicSpline
from specutils.utils.wcs_utils import air_to_vac

__all__ = ["read_basis", "resample", "table", "vacuum"]


def vacuum(wavelength: np.ndarray) -> np.ndarray:
    """Vacuum wavelength of an air wavelength, both in Angstrom."""
    return air_to_vac(np.asarray(wavelength, float) * u.AA).to_value(u.AA)


def resample(
    wavelength: np.ndarray, flux: np.ndarray, start: float, step: float, n: int
) -> np.ndarray:
    """Bring spectra to points of constant log10 step; NaN where they do not reach.

    Finer input is averaged over the new pixels, so that nothing aliases; coarser input follows
    a cubic spline; a grid that fits already is kept as it is.

    Parameters
    ----------
    wavelength : array, shape (L,)
        Ascending [Angstrom].
    flux : array, shape (..., L)
    start, step : float
        log10 of the first new wavelength, and the step.
    n : int
        Number of new points.

    Returns
    -------
    flux : array, shape (..., n)
    """
    old, new = np.log10(wavelength), start + step * np.arange(n)
    own = np.diff(old)
    out = np.full((*flux.shape[:-1], n), np.nan)
    inside = (new >= old[0] - 1e-9) & (new <= old[-1] + 1e-9)
    if np.ptp(own) < 1e-3 * step and abs(own[0] / step - 1) < 1e-3:
        place = (new[inside] - old[0]) / step
        if np.abs(place - np.rint(place)).max() < 1e-3:
            out[..., inside] = flux[..., np.rint(place).astype(int)]
            return out
    if np.median(own) < 0.7 * step:
        area = 0.5 * (flux[..., 1:] + flux[..., :-1]) * own
        total = np.concatenate([np.zeros((*flux.shape[:-1], 1)), np.cumsum(area, -1)], -1)
        spline = CubicSpline(old, total, axis=-1)
        inside &= (new >= old[0] + 0.5 * step) & (new <= old[-1] - 0.5 * step)
        centre = new[inside]
        out[..., inside] = (spline(centre + 0.5 * step) - spline(centre - 0.5 * step)) / step
    else:
        out[..., inside] = CubicSpline(old, flux, axis=-1)(new[inside])
    return out


def table(flux: np.ndarray) -> dict[str, np.ndarray]:
    """Arrays of a ``table`` family: rows over their medians, with what each of them covers.

    Parameters
    ----------
    flux : array, shape (M, n)
        NaN where a spectrum does not reach.

    Returns
    -------
    arrays : dict
        ``flux`` in half precision, ends repeated; ``first``, ``last`` column plus one.

    Notes
    -----
    The noisy ends of observed templates, where the flux falls deep below zero, are left out.
    """
    rows, first, last = [], [], []
    for row in flux:
        row = row / np.nanmedian(row)
        known = np.flatnonzero(np.isfinite(row))
        low, high = known[0], known[-1] + 1
        deep = np.flatnonzero(row < -0.1)
        span = high - low
        low = max([low, *(deep[deep < low + 0.15 * span] + 1)])
        high = min([high, *deep[deep > high - 0.15 * span]])
        row = np.interp(np.arange(len(row)), known, row[known])
        row[:low], row[high:] = row[low], row[high - 1]
        rows.append(np.clip(row, 0.0, 6e4))
        first.append(low)
        last.append(high)
    return {
        "flux": np.array(rows, np.float16),
        "first": np.array(first, np.int64),
        "last": np.array(last, np.int64),
    }


def read_basis(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Read a redrock basis.

    Parameters
    ----------
    path : `pathlib.Path`

    Returns
    -------
    wavelength : array, shape (L,)
        Vacuum Angstrom, rest frame.
    vectors : array, shape (K, L)
    coefficients : array, shape (M, K), or None
        Of real objects, where the file has them.
    """
    with fits.open(path, memmap=False) as hdus:
        head, vectors = hdus[0].header, hdus[0].data.astype(float)
        axis = head["CRVAL1"] + head["CDELT1"] * np.arange(vectors.shape[1])
        wavelength = 10.0**axis if head.get("LOGLAM", 0) else axis
        names = [hdu.name for hdu in hdus]
        coeff = hdus["ARCHETYPE_COEFF"].data.astype(float) if "ARCHETYPE_COEFF" in names else None
    return wavelength, vectors, coeff
