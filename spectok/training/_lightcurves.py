"""Batches of light curves for pretraining: mock ones, and real ones without labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import Dataset

from spectok._batch import Prepared, SpectrumBatch
from spectok._curves import curve_layout
from spectok.simulate.lightcurves import SURVEYS, observe
from spectok.training._data import TrainingBatch

__all__ = ["Curve", "LightCurveBatches", "batch_of_curves", "degrade_curve"]

_VARIED = 0.3  # share of mock batches whose filters no survey has
_LEAST = 4  # points that stay
_MOST = 128  # points: of longer mock curves a stretch
# What is withheld: single points; a stretch of time in all bands; one band; all that comes later.
_WAYS, _CHANCES = ("points", "stretch", "band", "later"), (0.45, 0.25, 0.15, 0.15)


@dataclass(frozen=True)
class Curve:
    """One light curve as plain numbers.

    Parameters
    ----------
    time, band, flux, sigma : `numpy.ndarray`, shape (L,)
        Days, effective wavelengths of the filters [Angstrom], fluxes and errors in one unit;
        sorted by band and, within each, by time.
    truth : `numpy.ndarray`, shape (L,), optional
        Noise-free flux, where it is known.

    Examples
    --------
    >>> import numpy as np
    >>> from spectok.training import Curve
    >>> curve = Curve(np.arange(9.0), np.full(9, 6200.0), np.ones(9), np.ones(9))
    >>> len(curve.at(curve.time < 5).time)
    5
    """

    time: np.ndarray
    band: np.ndarray
    flux: np.ndarray
    sigma: np.ndarray
    truth: np.ndarray | None = None

    def at(self, some: np.ndarray) -> Curve:
        """The same object with some of its points.

        Parameters
        ----------
        some : `numpy.ndarray`
            A mask of shape (L,), or positions in ascending order.

        Returns
        -------
        curve : Curve
            Of these points.
        """
        truth = None if self.truth is None else self.truth[some]
        return Curve(self.time[some], self.band[some], self.flux[some], self.sigma[some], truth)


class LightCurveBatches(Dataset):
    """Numbered training batches of light curves, for `fit`.

    Each curve is seen in part, and asked for at other points: single ones, a stretch of time, a
    whole band or what comes later is withheld. Mock curves are asked for without their noise.
    Batch ``k`` depends on the seed and on ``k`` alone.

    Parameters
    ----------
    patch_size : int
        Points of a patch.
    n_curves : int
        Curves of a batch.
    seed : int
        The same seed gives the same batches.
    real : sequence of Curve
        Real curves; labels are not looked at.
    real_share : float
        Share of batches that are real, where there are any.
    surveys : mapping of str to float
        Cadences of `spectok.simulate.lightcurves` with their shares of the mock batches.
    seen_weight : float
        Weight of a noisy point that the encoder has seen; others count 1.

    Raises
    ------
    ValueError
        For no survey and no real curve.

    Examples
    --------
    >>> from spectok.training import LightCurveBatches
    >>> batches = LightCurveBatches(patch_size=4, n_curves=3, seed=1)
    >>> batch = batches[0]
    >>> batch.seen.band.shape[0]
    3
    """

    def __init__(
        self,
        *,
        patch_size: int,
        n_curves: int,
        seed: int,
        real: Sequence[Curve] = (),
        real_share: float = 0.5,
        surveys: Mapping[str, float] | None = None,
        seen_weight: float = 0.2,
    ) -> None:
        if surveys is None:
            surveys = {"des": 0.55, "lsst": 0.25, "ztf": 0.12, "tess": 0.08}
        if not surveys and not len(real):
            raise ValueError("there is nothing to learn from: give surveys, or real curves")
        self.patch_size, self.n_curves, self.seed = patch_size, n_curves, seed
        self.real, self.surveys, self.seen_weight = real, dict(surveys), seen_weight
        self.real_share = (real_share if self.surveys else 1.0) if len(real) else 0.0

    def __getitem__(self, number: int) -> TrainingBatch:
        rng = np.random.default_rng((self.seed, number))
        if rng.random() < self.real_share:
            chosen = rng.choice(len(self.real), self.n_curves)
            curves = [_again(rng, self.real[k]) for k in chosen]
        else:
            curves = self._mocks(rng)
        seen, asked, weights = [], [], []
        for curve in curves:
            kept = ~_withheld(rng, curve)
            wanted = np.flatnonzero(rng.random(kept.size) < rng.uniform(0.4, 1.3))
            wanted = wanted if wanted.size else np.array([rng.integers(kept.size)])
            seen.append(curve.at(kept))
            asked.append(curve.at(wanted))
            counts = np.where(kept[wanted], self.seen_weight, 1.0)
            weights.append(counts if curve.truth is None else np.ones(wanted.size))
        noiseless = curves[0].truth is not None
        batch, _ = batch_of_curves(seen, self.patch_size)
        target, layouts = batch_of_curves(asked, self.patch_size, since=seen, truth=noiseless)
        weight = torch.zeros_like(target.flux)
        for row, (layout, own) in enumerate(zip(layouts, weights, strict=True)):
            weight[row, : layout.index.size] = torch.from_numpy(layout.gather(own)).float()
        return TrainingBatch(
            batch, torch.zeros_like(batch.valid), target, weight,
            torch.full((len(weight), 1), noiseless),
        )  # fmt: skip

    def _mocks(self, rng: np.random.Generator) -> list[Curve]:
        names, shares = list(self.surveys), np.array(list(self.surveys.values()))
        cadence = SURVEYS[str(rng.choice(names, p=shares / shares.sum()))]
        if rng.random() < _VARIED:
            cadence = cadence.varied(rng)
        found = observe(cadence, self.n_curves, seed=rng)
        parts = (found.time, found.band, found.flux, found.sigma, found.truth)
        return [_stretch(rng, Curve(*one)) for one in zip(*parts, strict=True)]


def degrade_curve(
    curve: Curve, rng: np.random.Generator, *, share: tuple[float, float] = (0.6, 1.0)
) -> Curve:
    """The same object, observed worse: some of its points, half of the time with more noise.

    What pretraining sees of an object again and again, and a way to more examples of the few
    objects that have labels.

    Parameters
    ----------
    curve : Curve
        At least one point; of up to four points none is left out.
    rng : `numpy.random.Generator`
        Decides which points stay, and draws the noise.
    share : tuple of float
        Least and largest share of the points that stay, each point by chance.

    Returns
    -------
    curve : Curve
        With errors that include the added noise.

    Raises
    ------
    ValueError
        For shares that do not ascend between 0 and 1.

    Examples
    --------
    >>> import numpy as np
    >>> from spectok.training import Curve, degrade_curve
    >>> curve = Curve(np.arange(90.0), np.full(90, 6200.0), np.ones(90), np.ones(90))
    >>> worse = degrade_curve(curve, np.random.default_rng(1), share=(0.5, 0.5))
    >>> 20 < worse.time.size < 70
    True
    """
    if not 0 <= share[0] <= share[1] <= 1:
        raise ValueError(f"share must be two ascending numbers between 0 and 1, not {share}")
    kept = rng.random(curve.time.size) < rng.uniform(*share)
    if kept.sum() < _LEAST:
        kept = np.zeros(curve.time.size, bool)
        kept[rng.choice(kept.size, min(_LEAST, kept.size), replace=False)] = True
    some = curve.at(kept)
    if rng.random() < 0.5:
        return some
    extra = np.exp(rng.uniform(np.log(0.2), np.log(1.5)))
    flux = some.flux + extra * some.sigma * rng.normal(size=some.flux.size)
    return Curve(some.time, some.band, flux, some.sigma * np.hypot(1, extra), some.truth)


def batch_of_curves(
    curves: Sequence[Curve],
    patch_size: int,
    *,
    since: Sequence[Curve] | None = None,
    truth: bool = False,
) -> tuple[SpectrumBatch, list]:
    """Curves laid out and padded as one batch, with their layouts.

    Times count from the first point of each curve in ``since``: of what was seen, where
    ``curves`` is what is asked for. Fluxes are those without noise, with ``truth``.
    """
    layouts = [
        curve_layout(one.time, one.band, patch_size, origin=float(first.time.min()))
        for one, first in zip(curves, curves if since is None else since, strict=True)
    ]
    ready = [
        Prepared(
            layout,
            one.truth if truth and one.truth is not None else one.flux,
            one.sigma,
            np.isfinite(one.flux),
        )
        for layout, one in zip(layouts, curves, strict=True)
    ]
    return SpectrumBatch.of(ready), layouts


def _again(rng: np.random.Generator, curve: Curve) -> Curve:
    """A real curve as it is, or a worse observation of it."""
    return curve if rng.random() < 0.4 else degrade_curve(curve, rng, share=(0.5, 1.0))


def _stretch(rng: np.random.Generator, curve: Curve) -> Curve:
    """At most so many points: of a long curve a stretch of time."""
    if curve.time.size <= _MOST:
        return curve
    ordered = np.sort(curve.time)
    first = int(rng.integers(0, ordered.size - _MOST + 1))
    return curve.at((curve.time >= ordered[first]) & (curve.time <= ordered[first + _MOST - 1]))


def _withheld(rng: np.random.Generator, curve: Curve) -> np.ndarray:
    """Points that the encoder does not see, (L,); some always stay."""
    number = curve.time.size
    way = str(rng.choice(_WAYS, p=_CHANCES))
    hidden = rng.random(number) < rng.uniform(0.05, 0.4)
    if way == "stretch":
        length = np.ptp(curve.time) * rng.uniform(0.05, 0.35)
        start = rng.uniform(curve.time.min(), curve.time.max())
        hidden |= (curve.time >= start) & (curve.time < start + length)
    elif way == "band":
        hidden |= curve.band == rng.choice(curve.band)
    elif way == "later":
        hidden |= curve.time > np.quantile(curve.time, rng.uniform(0.3, 0.9))
    if number - hidden.sum() < _LEAST:
        hidden[:] = False
        hidden[rng.choice(number, max(number - _LEAST, 0), replace=False)] = True
    return hidden
