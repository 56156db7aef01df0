"""Mock light curves: objects of several kinds through a survey's cadence and noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spectok.simulate.lightcurves._cadence import SURVEYS, Cadence
from spectok.simulate.lightcurves._transients import TRANSIENTS, transient
from spectok.simulate.lightcurves._variables import constant, flaring, periodic, red_noise

__all__ = ["KINDS", "LightCurves", "observe"]

_VARIABLES = {
    "periodic": periodic,
    "red noise": red_noise,
    "flaring": flaring,
    "constant": constant,
}
KINDS: tuple[str, ...] = (*TRANSIENTS, *_VARIABLES)
"""Kinds of objects: transients first."""
_SHARES = {
    "Ia": 0.22, "Ibc": 0.11, "IIP": 0.17, "IIL": 0.09, "IIn": 0.09, "other": 0.06,
    "periodic": 0.09, "red noise": 0.09, "flaring": 0.05, "constant": 0.03,
}  # fmt: skip
# A transient is found where its brightest point has this signal to noise.
_FOUND = 5.0
_TRIES = 60
_CLOSEST = 0.002  # redshift


@dataclass(frozen=True)
class LightCurves:
    """N mock light curves of different lengths.

    Parameters
    ----------
    time, band, flux, sigma, truth : list of `numpy.ndarray`, shape (L_i,)
        Days; effective wavelength of the filter [Angstrom]; flux, error and noise-free flux with
        the zero point 27.5 (AB). Sorted by band and, within each, by time.
    kind : `numpy.ndarray` of str, shape (N,)
        Of `KINDS`.
    redshift : `numpy.ndarray`, shape (N,)
        Of transients; NaN of others.

    Examples
    --------
    >>> from spectok.simulate import lightcurves
    >>> curves = lightcurves.observe("des", 3, seed=1)
    >>> len(curves), len(curves.time[0]) == len(curves.flux[0])
    (3, True)
    """

    time: list[np.ndarray]
    band: list[np.ndarray]
    flux: list[np.ndarray]
    sigma: list[np.ndarray]
    truth: list[np.ndarray]
    kind: np.ndarray
    redshift: np.ndarray

    def __len__(self) -> int:
        return len(self.time)


def observe(
    survey: str | Cadence,
    n: int = 1,
    *,
    kinds: Sequence[str] | Mapping[str, float] | None = None,
    seed: int | np.random.Generator = 0,
) -> LightCurves:
    """Draw mock light curves as a survey would see them.

    Parameters
    ----------
    survey : str or Cadence
        One of `SURVEYS`, or a cadence of one's own.
    n : int
        Number of objects.
    kinds : sequence of str or mapping of str to float, optional
        Kinds of objects, of `KINDS`, with their shares; by default all, mostly supernovae.
    seed : int or `numpy.random.Generator`
        The same seed gives the same light curves.

    Returns
    -------
    curves : LightCurves
        Transients among them have a point with a signal to noise of 5 or more.

    Raises
    ------
    ValueError
        For an unknown survey or kind, and for a survey too shallow to find a transient.

    References
    ----------
    Kessler et al. (2010), arXiv:1008.1024 (the challenge whose curves the defaults resemble);
    Bazin et al. (2009), arXiv:0904.1066; Kelly et al. (2009), arXiv:0903.5315.

    Examples
    --------
    >>> from spectok.simulate import lightcurves
    >>> curves = lightcurves.observe("des", 5, kinds=["Ia", "IIP"], seed=1)
    >>> len(curves), bool((curves.redshift > 0).all())
    (5, True)
    """
    if isinstance(survey, str) and survey not in SURVEYS:
        raise ValueError(f"no survey {survey!r}; choose one of {', '.join(SURVEYS)}")
    cadence = SURVEYS[survey] if isinstance(survey, str) else survey
    shares = _SHARES if kinds is None else kinds
    if not isinstance(shares, Mapping):
        shares = dict.fromkeys(shares, 1.0)
    unknown = [name for name in shares if name not in KINDS]
    if unknown or not shares:
        raise ValueError(
            f"kinds must be of {', '.join(KINDS)}, not {', '.join(unknown) or 'empty'}"
        )
    rng = np.random.default_rng(seed)
    weight = np.array(list(shares.values()), float)
    kind = rng.choice(list(shares), n, p=weight / weight.sum())
    visits = [cadence.visits(rng) for _ in range(n)]
    longest = max(len(one[0]) for one in visits)
    # Padding repeats the last point.
    time, band, sky = (
        np.stack([np.pad(one[k], (0, longest - len(one[k])), mode="edge") for one in visits])
        for k in range(3)
    )
    truth, redshift = np.zeros_like(time), np.full(n, np.nan)
    for name in shares:
        rows = np.flatnonzero(kind == name)
        if name in _VARIABLES:
            if rows.size:
                usual = np.median(sky[rows], axis=1)
                truth[rows] = _VARIABLES[name](rng, rows.size, time[rows], band[rows], usual)
            continue
        for number in range(_TRIES):
            if not rows.size:
                break
            # Where a survey looked too rarely to find one so far away, there is a closer one.
            z = np.maximum(_redshifts(rng, rows.size, sky[rows]) * 0.9**number, _CLOSEST)
            span = time[rows].max(1) - time[rows].min(1)
            at = time[rows].min(1) + span * rng.uniform(-0.1, 1.05, rows.size)
            flux = transient(rng, name, rows.size, time[rows] - at[:, None], band[rows], z)
            found = (flux / np.sqrt(sky[rows] ** 2 + flux / cadence.gain)).max(1) > _FOUND
            truth[rows[found]], redshift[rows[found]] = flux[found], z[found]
            rows = rows[~found]
        if rows.size:
            raise ValueError(
                f"{_TRIES} draws of {name} had no point with a signal to noise of {_FOUND:g}: "
                "the errors of the survey's bands are too large, or it looks too rarely"
            )
    sigma = np.sqrt(sky**2 + np.maximum(truth, 0) / cadence.gain)
    flux = truth + sigma * rng.normal(size=truth.shape)
    lengths = [len(one[0]) for one in visits]
    parts: list[Any] = [
        [row[:length] for row, length in zip(array, lengths, strict=True)]
        for array in (time, band, flux, sigma, truth)
    ]
    of_time, of_band, of_flux, of_sigma, of_truth = parts
    return LightCurves(of_time, of_band, of_flux, of_sigma, of_truth, kind, redshift)


def _redshifts(rng: np.random.Generator, n: int, sky: np.ndarray) -> np.ndarray:
    """Redshifts that grow in number as volume does, as deep as a survey sees a supernova."""
    # A supernova of magnitude -19 at five times the usual error.
    depth = 27.5 - 2.5 * np.log10(5 * np.median(sky, axis=1))
    farthest = np.clip(10 ** (0.2 * (depth + 19.0 - 43.3)), 0.01, 1.2)
    return farthest * rng.random(n) ** (1 / 2.2)
