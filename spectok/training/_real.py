"""Real spectra from a pack, augmented (no astropy here)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from spectok.training._data import Example

__all__ = ["RealSpectra"]


class RealSpectra:
    """Real spectra with augmentation.

    Moved in wavelength, multiplied by smooth calibration waves, with noise added on top of
    their own: what an object would look like in another observation.

    Parameters
    ----------
    arrays : mapping of str to array
        ``real.flux``, ``real.sigma``, ``real.wavelength``, ``real.valid``, ``real.offset``,
        ``real.survey``, ``real.validation``.
    surveys : sequence of str
        Names of the codes in ``real.survey``.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray], surveys: tuple[str, ...]) -> None:
        self.arrays = arrays
        usable = arrays["real.validation"] == 0
        self.rows = {
            name: np.flatnonzero((arrays["real.survey"] == code) & usable)
            for code, name in enumerate(surveys)
        }

    def spectrum(self, row: int) -> tuple[np.ndarray, ...]:
        """Wavelength, flux, sigma and valid of one spectrum as they were observed."""
        start, stop = self.arrays["real.offset"][row : row + 2]
        wavelength, flux, sigma, valid = (
            self.arrays[f"real.{name}"][start:stop]
            for name in ("wavelength", "flux", "sigma", "valid")
        )
        return wavelength, flux.astype(float), sigma.astype(float), valid.astype(bool)

    def example(self, rng: np.random.Generator, survey: str) -> Example:
        """A random spectrum of a survey, augmented."""
        wavelength, flux, sigma, valid = self.spectrum(int(rng.choice(self.rows[survey])))
        # Every grid keeps its shape: a shift in velocity is a factor on the wavelength.
        wide = 2e-2 if survey in ("sdss", "desi") else 3e-4
        wavelength = wavelength * (1 + rng.normal(0.0, wide) * (rng.random() < 0.7))
        place = (wavelength - wavelength.min()) / np.ptp(wavelength)
        waves = np.sin(np.pi * np.outer(place, np.arange(1, 5))) @ rng.normal(0.0, 0.15, 4)
        factor = np.exp(waves + rng.normal(0.0, 0.4) * (place - 0.5))
        extra = 10 ** rng.uniform(-1.0, 0.6) * (rng.random() < 0.5)
        flux = np.where(valid, (flux + extra * sigma * rng.standard_normal(len(flux))) * factor, 0)
        sigma = np.where(valid, sigma * np.hypot(1.0, extra) * factor, 1.0)
        return Example(
            wavelength, flux, sigma, valid, wavelength, flux, sigma, valid, noiseless=False
        )
