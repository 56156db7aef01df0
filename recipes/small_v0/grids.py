"""Wavelength grids: air to vacuum, constant steps of log10 wavelength, template bases."""

from __future__ import annotations

import astropy.units as u
import numpy as np
from astropy.io import fits
from scipy.interpolate import CubicSpline
from specutils.utils.wcs_utils import air_to_vac


def vacuum(wavelength) -> np.ndarray:
    """Vacuum wavelength of an air wavelength, both in Angstrom."""
    return air_to_vac(np.asarray(wavelength, float) * u.AA).to_value(u.AA)


def bridge(wavelength, flux):
    """Fill wide gaps of the grid (detector gaps) by a straight line.

    A spline would swing through them.
    """
    jump = np.diff(np.log10(wavelength))
    own = np.median(jump)
    parts = [wavelength]
    for i in np.flatnonzero(jump > 5 * own):
        n = int(jump[i] / own)
        parts.append(np.linspace(wavelength[i], wavelength[i + 1], n + 1)[1:-1])
    full = np.sort(np.concatenate(parts))
    return full, flux if len(parts) == 1 else np.interp(full, wavelength, flux)


def trim(wavelength, flux):
    """Cut ends of observed templates that are noise: deep below zero there."""
    low = np.flatnonzero(flux < -0.1 * np.median(flux))
    n = len(flux)
    first = max((i + 1 for i in low if i < 0.15 * n), default=0)
    last = min((i for i in low if i > 0.85 * n), default=n)
    return wavelength[first:last], flux[first:last]


def resample(wavelength, flux, step):
    """Bring a spectrum to a constant log10 step: start, flux.

    Finer input is averaged over the new pixels (so nothing aliases), coarser
    input follows a cubic spline, and a grid that already fits is kept as it is.
    """
    loglam = np.log10(wavelength)
    own = np.diff(loglam)
    if np.ptp(own) < 1e-3 * step and abs(own[0] / step - 1) < 1e-3:
        return loglam[0], flux
    n = int((loglam[-1] - loglam[0]) / step) - 1
    start = loglam[0] + step
    centre = start + step * np.arange(n)
    if np.median(own) < 0.7 * step:
        total = np.concatenate([[0], np.cumsum(0.5 * (flux[1:] + flux[:-1]) * own)])
        edges = np.concatenate([centre - 0.5 * step, [centre[-1] + 0.5 * step]])
        return start, np.diff(CubicSpline(loglam, total)(edges)) / step
    return start, CubicSpline(loglam, flux)(centre)


def basis(path):
    """Read a redrock basis: wavelength, vectors, archetype coefficients or None."""
    with fits.open(path, memmap=False) as hdus:
        head, vectors = hdus[0].header, hdus[0].data.astype(float)
        axis = head["CRVAL1"] + head["CDELT1"] * np.arange(vectors.shape[1])
        wavelength = 10.0**axis if head.get("LOGLAM", 0) else axis
        names = [h.name for h in hdus]
        coeff = hdus["ARCHETYPE_COEFF"].data.astype(float) if "ARCHETYPE_COEFF" in names else None
    return wavelength, vectors, coeff
