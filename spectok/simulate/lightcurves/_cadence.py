"""When a survey looks, through which filters, and how noisy it is (numpy only)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

__all__ = ["SURVEYS", "Cadence"]


@dataclass(frozen=True, kw_only=True)
class Cadence:
    """How a survey visits an object.

    Parameters
    ----------
    bands : mapping of float to float
        Effective wavelengths of the filters [Angstrom], and the usual error of a visit in each,
        as a flux with the zero point 27.5 (AB).
    length : (float, float)
        Shortest and longest time over which an object is followed [d].
    gap : (float, float)
        Range of the mean time between two visits [d].
    together : bool
        A visit takes all filters within the hour; otherwise one of them.
    scatter : float
        Of the logarithm of the errors from night to night (Moon, seeing, clouds).
    lost : (float, float)
        Range of the share of points that is lost.
    season : float
        Days of a year in which the object is up.
    gain : float
        Photoelectrons per unit of flux: what the object's own photons add to the noise.

    Examples
    --------
    >>> import numpy as np
    >>> from spectok.simulate.lightcurves import SURVEYS
    >>> time, band, sigma = SURVEYS["des"].visits(np.random.default_rng(0))
    >>> sorted(set(band.tolist()))
    [4820.0, 6410.0, 7810.0, 9250.0]
    """

    bands: Mapping[float, float]
    length: tuple[float, float]
    gap: tuple[float, float]
    together: bool = True
    scatter: float = 0.45
    lost: tuple[float, float] = (0.0, 0.2)
    season: float = 365.25
    gain: float = 2.0

    def visits(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Times [d], filters [Angstrom] and sky errors of one object's points.

        Parameters
        ----------
        rng : `numpy.random.Generator`
            All chance comes from it.

        Returns
        -------
        time, band, sigma : `numpy.ndarray`, shape (L,)
            Sorted by band and, within each, by time; at least four points.

        Raises
        ------
        ValueError
            Where a hundred draws have fewer points each.
        """
        for _ in range(100):
            found = self._visits(rng)
            if found[0].size >= 4:
                return found
        raise ValueError(f"a hundred draws of {self} had fewer than four points: look longer")

    def _visits(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        length = rng.uniform(*self.length)
        mean = np.exp(rng.uniform(*np.log(self.gap)))
        # Weather: some nights follow each other, and then a week is lost.
        steps = mean * rng.gamma(1.2, 1 / 1.2, int(3 * length / mean) + 8)
        night = np.cumsum(steps)
        night = night[(night < length) & (night % 365.25 < self.season)]
        names = np.array(list(self.bands))
        usual = np.array(list(self.bands.values()))
        sky = rng.normal(0, 0.7 * self.scatter, night.size)
        if self.together:
            which = np.tile(np.arange(names.size), night.size)
            visit = np.repeat(np.arange(night.size), names.size)
        else:
            which, visit = rng.integers(names.size, size=night.size), np.arange(night.size)
        time = night[visit] + 0.012 * which * self.together
        own = rng.normal(0, 0.7 * self.scatter, time.size)
        sigma = usual[which] * np.exp(sky[visit] + own)
        kept = rng.random(time.size) >= rng.uniform(*self.lost)
        order = np.lexsort((time, names[which]))
        order = order[kept[order]]
        return time[order], names[which][order], sigma[order]

    def varied(self, rng: np.random.Generator) -> Cadence:
        """The same survey with filters a little or wholly different, deeper or shallower.

        Parameters
        ----------
        rng : `numpy.random.Generator`
            All chance comes from it.

        Returns
        -------
        cadence : Cadence
            So that a network meets filters that no survey here has.
        """
        number = int(rng.integers(1, 7))
        names = np.sort(rng.uniform(3400.0, 11000.0, number)).round(1)
        if rng.random() < 0.5:
            names = np.array(list(self.bands)) + rng.normal(0, 120.0, len(self.bands))
        usual = np.exp(np.mean(np.log(list(self.bands.values()))) + rng.normal(0, 0.4))
        errors = usual * np.exp(rng.normal(0, 0.4, names.size))
        return replace(
            self,
            bands=dict(zip(np.sort(names).tolist(), errors.tolist(), strict=True)),
            gap=(0.7 * self.gap[0], 2.0 * self.gap[1]),
        )


SURVEYS: dict[str, Cadence] = {
    "des": Cadence(
        bands={4820.0: 4.3, 6410.0: 2.6, 7810.0: 4.2, 9250.0: 3.9},
        length=(40.0, 175.0),
        gap=(2.5, 6.0),
        scatter=0.6,
    ),
    "lsst": Cadence(
        bands={3671.0: 5.5, 4827.0: 2.0, 6223.0: 2.6, 7546.0: 5.0, 8691.0: 9.6, 9712.0: 29.0},
        length=(80.0, 700.0),
        gap=(1.0, 6.0),
        together=False,
        season=190.0,
    ),
    "ztf": Cadence(
        bands={4746.0: 130.0, 6366.0: 120.0}, length=(60.0, 600.0), gap=(1.5, 5.0), season=230.0
    ),
    "tess": Cadence(
        bands={7865.0: 300.0}, length=(4.0, 27.0), gap=(0.05, 0.3), scatter=0.1, lost=(0.0, 0.3)
    ),
}
"""Cadences by name: like those of the Dark Energy Survey's supernova fields, Rubin's LSST, the
Zwicky Transient Facility and TESS."""
