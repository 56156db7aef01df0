"""Real spectra from a pack, augmented (no astropy here)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.polynomial import chebyshev

from spectok._batch import find_segments
from spectok.training._data import Example

__all__ = ["RealSpectra", "pack_spectra"]

# Wavelengths are kept as polynomials of this degree, true to this part of a pixel: SDSS's files,
# which hold log10 of the wavelength in single precision, are themselves rounded by 0.0024.
_DEGREE, _TRUE_TO = 9, 0.003


def pack_spectra(
    spectra: Iterable[tuple[int, np.ndarray, np.ndarray, np.ndarray, np.ndarray]],
) -> dict[str, np.ndarray]:
    """Lay spectra out in a few arrays of four bytes per pixel, for `RealSpectra`.

    Parameters
    ----------
    spectra : iterable of (survey, wavelength, flux, sigma, valid)
        A number that stands for the survey, and arrays of shape (L,): vacuum Angstrom, arms one
        after the other; flux and its standard deviation in any unit; True for good pixels.
        Spectra without a good pixel are refused.

    Returns
    -------
    arrays : dict of str to array
        ``spectra.flux`` and ``spectra.sigma``: all spectra one after the other in half
        precision, over each one's median absolute flux (or its median sigma where that is 0);
        sigma is 0 where a pixel is not valid, not finite, or beyond half precision (65,504 times
        the median; a sigma under 3e-8 of it). ``spectra.offset``: pixels
        [offset[i]:offset[i + 1]] are spectrum i. ``spectra.survey``. ``spectra.piece`` and
        ``spectra.grid``: the first pixel of every stretch of wavelengths, and the Chebyshev
        coefficients of the wavelength's logarithm over it, true to 0.003 of a pixel.

    Raises
    ------
    ValueError
        For a spectrum without a good pixel.

    Examples
    --------
    >>> import numpy as np
    >>> from spectok.training import pack_spectra
    >>> wavelength = 3600.0 + 0.8 * np.arange(7781)
    >>> ones = np.ones(7781)
    >>> arrays = pack_spectra([(0, wavelength, ones, 0.1 * ones, ones > 0)])
    >>> sum(array.nbytes for array in arrays.values()) / 7781 < 5
    True
    """
    flux_, sigma_, offset, survey_, piece, grid = [], [], [0], [], [], []
    for number, (survey, wavelength, flux, sigma, valid) in enumerate(spectra):
        good = valid & np.isfinite(flux) & (sigma > 0) & np.isfinite(sigma)
        if not good.any():
            raise ValueError(f"spectrum {number} has no good pixel: leave it out")
        scale = np.median(np.abs(flux[good])) or np.median(sigma[good])
        with np.errstate(over="ignore", invalid="ignore"):
            flux, sigma = ((a / scale).astype(np.float16) for a in (flux, sigma))
        good &= np.isfinite(flux) & np.isfinite(sigma) & (sigma > 0)
        flux_.append(np.where(good, flux, 0))
        sigma_.append(np.where(good, sigma, 0))
        start = find_segments(wavelength)
        for first, last in zip(start, np.append(start[1:], len(wavelength)), strict=True):
            for begin, coefficients in _fit(np.log(wavelength[first:last])):
                piece.append(offset[-1] + first + begin)
                grid.append(coefficients)
        offset.append(offset[-1] + len(wavelength))
        survey_.append(survey)
    return {
        "spectra.flux": np.concatenate(flux_),
        "spectra.sigma": np.concatenate(sigma_),
        "spectra.offset": np.array(offset, np.int64),
        "spectra.survey": np.array(survey_, np.uint8),
        "spectra.piece": np.array(piece, np.int64),
        "spectra.grid": np.array(grid, np.float64),
    }


def _fit(logarithm: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """First pixel and coefficients of the pieces that a stretch of wavelengths needs."""
    n = len(logarithm)
    x = np.linspace(-1, 1, n)
    coefficients = np.zeros(_DEGREE + 1)
    degree = min(_DEGREE, n - 1)
    coefficients[: degree + 1] = chebyshev.chebfit(x, logarithm, degree)
    if n <= _DEGREE + 1:
        return [(0, coefficients)]
    error = np.abs(chebyshev.chebval(x, coefficients) - logarithm)
    if (error <= _TRUE_TO * np.gradient(logarithm)).all():
        return [(0, coefficients)]
    # No smooth function (pixels were left out): halves may be, and ten pixels always are.
    half = n // 2
    rest = [(half + first, found) for first, found in _fit(logarithm[half:])]
    return [*_fit(logarithm[:half]), *rest]


class RealSpectra:
    """Real spectra with augmentation.

    Moved in wavelength, multiplied by smooth calibration waves, with noise added on top of
    their own: what an object would look like in another observation.

    Parameters
    ----------
    arrays : mapping of str to array
        What `pack_spectra` returned.
    surveys : sequence of str
        Names of the numbers that stand for the surveys.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray], surveys: Sequence[str]) -> None:
        self.arrays = arrays
        code = arrays["spectra.survey"]
        self.rows = {name: np.flatnonzero(code == k) for k, name in enumerate(surveys)}
        # Where the pieces of each spectrum begin among all pieces.
        self.pieces = np.searchsorted(arrays["spectra.piece"], arrays["spectra.offset"])

    def spectrum(self, row: int) -> tuple[np.ndarray, ...]:
        """Wavelength, flux, sigma and valid of one spectrum as they were observed."""
        start, stop = self.arrays["spectra.offset"][row : row + 2]
        first, last = self.pieces[row : row + 2]
        ends = np.append(self.arrays["spectra.piece"][first:last], stop)
        wavelength = [
            np.exp(chebyshev.chebval(np.linspace(-1, 1, n), coefficients))
            for n, coefficients in zip(
                np.diff(ends), self.arrays["spectra.grid"][first:last], strict=True
            )
        ]
        flux, sigma = (
            self.arrays[f"spectra.{name}"][start:stop].astype(float) for name in ("flux", "sigma")
        )
        return np.concatenate(wavelength), flux, sigma, sigma > 0

    def examples(self, rng: np.random.Generator, survey: str, n: int) -> list[Example]:
        """N random spectra of a survey, augmented."""
        rows = self.rows.get(survey, np.empty(0, int))
        if not len(rows):
            raise ValueError(
                f"there is no spectrum of {survey!r} in the pack: leave its real spectra out of "
                "the mixture"
            )
        return [self._example(rng, survey, row) for row in rng.choice(rows, n).tolist()]

    def _example(self, rng: np.random.Generator, survey: str, row: int) -> Example:
        wavelength, flux, sigma, valid = self.spectrum(row)
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
