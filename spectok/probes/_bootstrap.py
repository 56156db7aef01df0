"""Confidence intervals of any metric, by bootstrap."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from astropy import units as u
from numpy.typing import ArrayLike
from scipy.stats import bootstrap

from spectok.probes._metric_inputs import same_length

__all__ = ["interval"]


def interval(
    statistic: Callable[..., Any],
    *arrays: ArrayLike,
    level: float = 0.95,
    n_resamples: int = 1000,
    groups: ArrayLike | None = None,
    seed: int = 0,
) -> tuple[Any, Any, Any]:
    """A statistic with its confidence interval, by bootstrap over objects.

    Objects are drawn with replacement, all their values together, and the interval holds the
    middle ``level`` of the statistic's values (percentile bootstrap).

    Parameters
    ----------
    statistic : callable
        Takes ``arrays``, returns a number or a scalar `~astropy.units.Quantity`: any metric of
        this module.
    *arrays : array, `~astropy.units.Quantity` or `~astropy.table.Column`, shape (N,)
        One value per row each, such as true and predicted ones.
    level : float
        Between 0 and 1.
    n_resamples : int
        Number of draws.
    groups : array, shape (N,), optional
        Rows of equal value, such as repeated spectra of one object, are drawn together. By
        default every row is an object.
    seed : int
        The same seed gives the same interval.

    Returns
    -------
    value, low, high : float or `~astropy.units.Quantity`
        The statistic of all rows, and the ends of the interval. With few or alike objects the
        interval is too narrow: a share of 0 of n has an interval of 0 to 0.

    Raises
    ------
    ValueError
        For unequal lengths, fewer than two objects, and a level or number of draws that cannot be.

    References
    ----------
    Efron & Tibshirani (1993), An Introduction to the Bootstrap, chapter 13.

    Examples
    --------
    >>> import numpy as np
    >>> from spectok.probes import metrics
    >>> rng = np.random.default_rng(1)
    >>> true = rng.uniform(0.0, 1.0, 400)
    >>> value, low, high = metrics.interval(
    ...     metrics.scaled_mad, true, true + rng.normal(0.0, 0.1, 400)
    ... )
    >>> low < 0.1 < high
    True
    """
    if not 0.0 < level < 1.0:
        raise ValueError(f"level must be between 0 and 1, such as 0.95, not {level}")
    if n_resamples < 1:
        raise ValueError(f"n_resamples must be at least 1, not {n_resamples}")
    if not arrays:
        raise ValueError("there is no array: give what the statistic takes, after it")
    kept: list[Any] = [a if hasattr(a, "unit") else np.asarray(a) for a in arrays]
    names = tuple(f"array {k}" for k in range(len(kept)))
    if groups is None:
        same_length(kept, names)
        rows = [np.array([k]) for k in range(len(kept[0]))]
    else:
        groups = np.asarray(groups)
        same_length([*kept, groups], (*names, "groups"))
        _, place = np.unique(groups, return_inverse=True)
        order = np.argsort(place, kind="stable")
        rows = np.split(order, np.cumsum(np.bincount(place))[:-1])
    if len(rows) < 2:
        raise ValueError("an interval needs at least two objects, but there is one")
    value = statistic(*kept)
    unit = getattr(value, "unit", None)

    def drawn(numbers: np.ndarray) -> float:
        chosen = np.concatenate([rows[int(k)] for k in numbers])
        again = statistic(*(a[chosen] for a in kept))
        return float(again if unit is None else u.Quantity(again).to_value(unit))

    found = bootstrap(
        (np.arange(len(rows)),), drawn, vectorized=False, method="percentile",
        n_resamples=n_resamples, confidence_level=level, random_state=np.random.default_rng(seed),
    ).confidence_interval  # fmt: skip
    ends = (float(found.low), float(found.high))
    if unit is None:
        return (float(value), *ends)
    return (value, *(u.Quantity(end, unit) for end in ends))
