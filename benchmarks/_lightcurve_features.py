"""What classifiers of light curves are given: interpolated bands, and what the model says."""

from __future__ import annotations

import numpy as np

import spectok
from spectok.probes import transient_features
from spectok.training import degrade_curve

# Days around the maximum at which every band is looked at.
GRID = np.concatenate([np.arange(-30, 30, 4.0), np.arange(30, 100, 10.0)])
CHUNK = 2000  # curves whose tokens are held at once


def interpolated(curves, bands):
    """The floor: each band interpolated linearly around the maximum, and how bright it is.

    The maximum is that of the point with the largest flux over its error.
    """
    out = np.zeros((len(curves), len(bands) * (len(GRID) + 2) + 3), np.float32)
    for row, one in enumerate(curves):
        top = int(np.argmax(one.flux / one.sigma))
        at, height = one.time[top], max(one.flux[top], one.sigma[top])
        parts = [np.array([np.log(height), np.log(height / one.sigma[top]), one.band[top] / 1e4])]
        for band in bands:
            some = one.band == band
            flux = np.full(len(GRID), np.nan)
            count, mean = 0, np.nan
            if some.any():
                place = one.time[some] - at
                flux = np.interp(GRID, place, one.flux[some], left=np.nan, right=np.nan) / height
                count = int((one.flux[some] > 3 * one.sigma[some]).sum())
                mean = one.flux[some].max() / height
            parts += [flux, np.array([count, mean])]
        out[row] = np.concatenate(parts)
    return out


def degraded(curves, seed):
    """A worse observation of each curve."""
    rng = np.random.default_rng((18, seed))
    return [degrade_curve(one, rng) for one in curves]


def learned(model, curves, bands):
    """What `spectok.probes.transient_features` makes of each curve, (N, F)."""
    out = []
    for start in range(0, len(curves), CHUNK):
        some = curves[start : start + CHUNK]
        tokens = spectok.encode_arrays(
            [one.time for one in some],
            [one.flux for one in some],
            [one.sigma**-2.0 for one in some],
            band=[one.band for one in some],
            model=model,
            progress=False,
        )
        out.append(
            transient_features(tokens, bands=bands, model=model, progress=False)["features"]
        )
    return np.concatenate(out)
