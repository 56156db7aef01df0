"""Response of pixels to a finely sampled spectrum, in closed form."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr

from spectok.simulate._fine_grid import LIGHT, FineGrid

__all__ = ["pixel_response"]


def pixel_response(
    grid: FineGrid,
    wavelength: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    lsf: np.ndarray,
    lsf_sigma: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Columns of the fine grid that each pixel sees, and their weights, (L, K) both.

    Pixels lie at ``wavelength`` between ``low`` and ``high`` [vacuum Angstrom]. ``lsf`` is the
    standard deviation of their line-spread function, and ``lsf_sigma`` that of the one
    which is already in the spectra [km/s].
    """
    # Straight lines between the points blur too, by a sixth of the step's square.
    done = lsf_sigma**2 + grid.velocity**2 / 6
    left = np.sqrt(np.maximum(lsf**2 - done, 0.5**2))
    sigma = left / LIGHT * wavelength
    fine = grid.wavelength()
    first, last = grid.segment_of(wavelength)
    reach = 4.5 * sigma
    begin = np.maximum(np.searchsorted(fine, low - reach) - 1, first)
    end = np.minimum(np.searchsorted(fine, high + reach) + 1, last)
    taps = int((end - begin).max())
    begin = np.minimum(begin, last - taps)
    columns = begin[:, None] + np.arange(taps)
    here = fine[columns]
    # The step to a neighbour beyond the segment's ends is that of the end itself.
    after = np.empty_like(here)
    after[:, :-1], after[:, -1] = here[:, 1:], here[:, -1] * 10**grid.step
    before = np.empty_like(here)
    before[:, 1:], before[:, 0] = here[:, :-1], here[:, 0] * 10**-grid.step

    def ramp(knot: np.ndarray) -> np.ndarray:
        """Integral over the pixel of (x - knot)+ convolved with the Gaussian."""
        return _second(high[:, None] - knot, sigma[:, None]) - _second(
            low[:, None] - knot, sigma[:, None]
        )

    near, far = here - before, after - here
    weights = ramp(before) / near - ramp(here) * (1 / near + 1 / far) + ramp(after) / far
    weights /= (high - low)[:, None]
    return columns, weights / weights.sum(1, keepdims=True)


def _second(x: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Twice integrated normal distribution: the integral of E[(x + noise)+]."""
    scaled = x / sigma
    density = np.exp(-0.5 * scaled**2) / np.sqrt(2 * np.pi)
    return 0.5 * ((x**2 + sigma**2) * ndtr(scaled) + x * sigma * density)
