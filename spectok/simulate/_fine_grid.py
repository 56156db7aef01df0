"""Fine wavelength grids on which noise-free spectra are computed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["FINE", "LIGHT", "FineGrid"]

LIGHT = 299792.458  # km/s


@dataclass(frozen=True)
class FineGrid:
    """Segments of constant step in log10 wavelength, one after the other.

    Attributes
    ----------
    segments : tuple of (float, int)
        log10 of the first wavelength [vacuum Angstrom] and the number of points.
    step : float
        In log10 wavelength, the same for all segments.
    """

    segments: tuple[tuple[float, int], ...]
    step: float

    @property
    def size(self) -> int:
        """Number of points."""
        return sum(n for _, n in self.segments)

    @property
    def velocity(self) -> float:
        """The step [km/s]."""
        return float(np.log(10) * self.step * LIGHT)

    def bounds(self) -> list[tuple[int, int]]:
        """First and last point plus one of each segment."""
        ends = np.cumsum([0] + [n for _, n in self.segments])
        return [(int(a), int(b)) for a, b in zip(ends[:-1], ends[1:], strict=True)]

    def wavelength(self) -> np.ndarray:
        """All points [vacuum Angstrom], shape (F,)."""
        return np.concatenate([10 ** (a + self.step * np.arange(n)) for a, n in self.segments])

    def segment_of(self, wavelength: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Bounds of the segment in which each wavelength lies, two arrays of shape (L,)."""
        starts = np.array([10**a for a, _ in self.segments])
        which = np.searchsorted(starts, wavelength, side="right") - 1
        bounds = np.array(self.bounds())[np.maximum(which, 0)]
        ends = np.array([10 ** (a + self.step * (n - 1)) for a, n in self.segments])
        if (which < 0).any() or (wavelength > ends[which]).any():
            raise ValueError(
                f"wavelengths {wavelength.min():.1f} to {wavelength.max():.1f} Angstrom are not "
                f"inside the simulated range, {starts[0]:.1f} to {ends[-1]:.1f} Angstrom"
            )
        return bounds[:, 0], bounds[:, 1]


def _covering(low: float, high: float, step: float) -> tuple[float, int]:
    """A segment from low to high [Angstrom] with a little room at both ends."""
    start = np.log10(low) - 60 * step
    return float(start), int(np.ceil((np.log10(high) - start) / step)) + 60


FINE = {
    "optical": FineGrid((_covering(3530.0, 10430.0, 2.5e-5),), 2.5e-5),
    "hermes": FineGrid(
        tuple(
            _covering(low, high, 4e-6)
            for low, high in (
                (4710.0, 4906.0),
                (5645.0, 5877.0),
                (6474.0, 6742.0),
                (7581.0, 7892.0),
            )
        ),
        4e-6,
    ),
    "h": FineGrid((_covering(15090.0, 17010.0, 6e-6),), 6e-6),
}
"""The three families of instruments: optical at R of a few thousand, HERMES' arms, the H band."""
