"""A spectrum as plain numbers to draw and to score, in its own unit."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy import units as u
from astropy.nddata import StdDevUncertainty

from spectok._convert._wavelength import in_angstrom

__all__ = ["numbers_of"]


def numbers_of(spectrum: Any, unit: u.UnitBase | None = None) -> tuple[np.ndarray, ...]:
    """Wavelength, flux, standard deviation and good pixels of a spectrum of any shape.

    Parameters
    ----------
    spectrum : `~specutils.Spectrum`
    unit : `~astropy.units.UnitBase`, optional
        Of the flux; by default its own.

    Returns
    -------
    wavelength : float64 array, shape (L,)
        Angstrom, in the spectrum's own medium and order.
    flux, sigma : arrays, shape (..., L)
        The spectral axis last; sigma NaN without an uncertainty.
    good : bool array, shape (..., L)
    """
    wavelength = in_angstrom(spectrum.spectral_axis, "the spectrum")
    unit = spectrum.flux.unit if unit is None else unit
    flux = np.asarray(spectrum.flux.to_value(unit))
    good = np.isfinite(flux)
    if spectrum.mask is not None:
        good &= ~np.asarray(spectrum.mask, dtype=bool)
    sigma = np.full(flux.shape, np.nan)
    if spectrum.uncertainty is not None:
        with np.errstate(divide="ignore", invalid="ignore"):
            deviation = spectrum.uncertainty.represent_as(StdDevUncertainty)
            sigma = u.Quantity(deviation.array, deviation.unit or unit).to_value(unit)
            good &= np.isfinite(sigma) & (sigma > 0)
    place = getattr(spectrum, "spectral_axis_index", None)
    place = -1 if place is None else place
    return wavelength, *(np.moveaxis(a, place, -1) for a in (flux, sigma, good))
