"""What makes an ordinary spectrum odd, for the benchmark of novelty.

Each function takes a spectrum (wavelength, flux, sigma, valid), another one of another kind, and
a random generator, and returns a changed spectrum.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import median_filter

__all__ = ["ODDITIES"]


def line(spectrum, other, rng):
    """An emission line as narrow as the instrument makes them, 20 sigma high, anywhere."""
    wavelength, flux, sigma, valid = spectrum
    place = np.arange(flux.size)
    centre = rng.choice(np.flatnonzero(valid)[50:-50])
    height = 20 * np.median(sigma[valid & (np.abs(place - centre) < 50)])
    return wavelength, flux + height * np.exp(-0.5 * ((place - centre) / 1.5) ** 2), sigma, valid


def strong_line(spectrum, other, rng):
    """The same, and at least five times as high as the continuum."""
    wavelength, flux, sigma, valid = spectrum
    place = np.arange(flux.size)
    centre = rng.choice(np.flatnonzero(valid)[50:-50])
    near = valid & (np.abs(place - centre) < 50)
    height = max(20 * np.median(sigma[near]), 5 * np.median(flux[near]))
    return wavelength, flux + height * np.exp(-0.5 * ((place - centre) / 1.5) ** 2), sigma, valid


def blend(spectrum, other, rng):
    """Light of two objects, of a star and of a galaxy or quasar, level in their medians."""
    wavelength, flux, sigma, valid = spectrum
    _, flux2, sigma2, valid2 = other
    level = [np.median(np.abs(f[v])) for f, v in ((flux, valid), (flux2, valid2))]
    share = level[0] / level[1]
    return wavelength, flux + share * flux2, np.hypot(sigma, share * sigma2), valid & valid2


def shifted(spectrum, other, rng):
    """All wavelengths 20 Angstrom too long."""
    return spectrum[0] + 20.0, *spectrum[1:]


def reversed_flux(spectrum, other, rng):
    """The pixels in the wrong order."""
    return spectrum[0], *(part[::-1] for part in spectrum[1:])


def pure_noise(spectrum, other, rng):
    """Nothing but the stated noise."""
    wavelength, flux, sigma, valid = spectrum
    return wavelength, sigma * rng.standard_normal(flux.size), sigma, valid


def small_errors(spectrum, other, rng):
    """Errors stated half as large as they were."""
    wavelength, flux, sigma, valid = spectrum
    return wavelength, flux, sigma / 2, valid


def step(spectrum, other, rng):
    """The red half 1.5 times as bright."""
    wavelength, flux, sigma, valid = spectrum
    factor = np.where(wavelength > np.median(wavelength), 1.5, 1.0)
    return wavelength, flux * factor, sigma * factor, valid


def cosmic_ray(spectrum, other, rng):
    """Three pixels that a cosmic ray has hit, at most 60 sigma, and no mask."""
    wavelength, flux, sigma, valid = spectrum
    flux = flux.copy()
    hit = rng.choice(np.flatnonzero(valid)[50:-50]) + np.arange(3)
    flux[hit] += sigma[hit] * np.array([30.0, 60.0, 20.0])
    return wavelength, flux, sigma, valid


def normalised(spectrum, other, rng):
    """Divided by a running median of 301 pixels."""
    wavelength, flux, sigma, valid = spectrum
    good = np.flatnonzero(valid)
    filled = np.interp(np.arange(flux.size), good, flux[good])
    continuum = median_filter(filled, 301, mode="nearest")
    # Where there is no light there is nothing to divide by.
    continuum = np.maximum(continuum, 0.2 * np.median(np.abs(filled)))
    return wavelength, flux / continuum, sigma / continuum, valid


ODDITIES = (
    line, strong_line, blend, shifted, reversed_flux, pure_noise, small_errors, step, cosmic_ray,
    normalised,
)  # fmt: skip
