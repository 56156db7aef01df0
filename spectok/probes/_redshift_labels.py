"""Redshifts as labels, and the range of redshifts that is considered."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spectok._convert import to_redshifts

__all__ = ["log_range", "read_redshifts"]

_MARGIN = 0.01  # dex: redshifts that are tried beyond those of the labels


def read_redshifts(given: Any) -> NDArray[np.float64]:
    """Redshifts, (N,), of redshifts or velocities: above -1; NaN where masked or unknown."""
    z = to_redshifts(given)
    if z.ndim != 1:
        raise ValueError(f"redshifts must be of shape (N,), one per spectrum, not {z.shape}")
    bad = np.isinf(z) | (z <= -1.0)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise ValueError(
            f"the redshift of spectrum {row} is {z[row]:g}: none is infinite, or -1 and below; "
            "give NaN where it is not known"
        )
    return z


def log_range(z: NDArray[np.float64], given: tuple[float, float] | None) -> tuple[float, float]:
    """Decimal logarithms of 1 + z between which redshifts are considered.

    Raises
    ------
    ValueError
        Where the range given is none, or labels lie outside.
    """
    if given is None:
        low, high = np.log10(1.0 + z.min()) - _MARGIN, np.log10(1.0 + z.max()) + _MARGIN
        return float(low), float(high)
    low, high = given
    if not -1.0 < low < high < math.inf:
        raise ValueError(
            f"redshift_range must be two redshifts above -1, the lower first, not {given}"
        )
    outside = (z < low) | (z > high)
    if outside.any():
        raise ValueError(
            f"{int(outside.sum())} of {len(z)} redshifts are outside redshift_range, {low:g} to "
            f"{high:g} (the first is {z[outside][0]:g}): widen it, or leave them out"
        )
    return math.log10(1.0 + low), math.log10(1.0 + high)
