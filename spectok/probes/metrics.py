"""Metrics of the field, each with its formula and where it comes from.

All take arrays, Quantities and table columns, true values first. Results carry the unit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy import units as u
from astropy.constants import c as _LIGHT
from astropy.stats import mad_std
from astropy.table import Table
from numpy.typing import ArrayLike

from spectok.probes._bootstrap import interval
from spectok.probes._metric_inputs import as_classes, as_numbers, as_redshifts, with_unit

__all__ = [
    "bias",
    "calibration",
    "class_accuracy",
    "confusion",
    "interval",
    "redshift_nmad",
    "redshift_outliers",
    "scaled_mad",
]

_GAUSS = (0.6826894921, 0.9544997361)


def class_accuracy(true: ArrayLike, predicted: ArrayLike) -> Table:
    r"""Accuracy of each class, and their mean.

    .. math:: A_k = \frac{n(\mathrm{true} = k, \mathrm{predicted} = k)}{n(\mathrm{true} = k)},
        \quad \bar A = \frac{1}{K} \sum_k A_k

    The accuracy of a class is its recall; the mean gives every class the same weight, however
    many objects it has (balanced accuracy).

    Parameters
    ----------
    true, predicted : array, shape (N,)
        Names or numbers of classes.

    Returns
    -------
    table : `~astropy.table.Table`
        ``class``, ``accuracy`` and ``n`` (true members), one row per class that occurs in
        ``true``, in sorted order; the last row is "mean".

    Raises
    ------
    ValueError
        - For unequal lengths.
        - For no objects.
        - For missing values.

    References
    ----------
    Shen et al. (2025), arXiv:2510.17959 (galaxies, quasars and stars).

    Examples
    --------
    >>> from spectok.probes import metrics
    >>> table = metrics.class_accuracy(["star", "star", "galaxy"], ["star", "galaxy", "galaxy"])
    >>> table["accuracy"].tolist()
    [1.0, 0.5, 0.75]
    """
    true, predicted = as_classes(true, predicted)
    names, counts = np.unique(true, return_counts=True)
    share = [float((predicted[true == name] == name).mean()) for name in names]
    return Table(
        {
            "class": [*names.astype(str), "mean"],
            "accuracy": [*share, float(np.mean(share))],
            "n": [*counts, len(true)],
        }
    )


def confusion(true: ArrayLike, predicted: ArrayLike) -> Table:
    """Counts of every true class (rows) by predicted class (columns).

    Parameters
    ----------
    true, predicted : array, shape (N,)
        Names or numbers of classes.

    Returns
    -------
    table : `~astropy.table.Table`
        ``true``, and one column of counts for each class that occurs in either, in sorted order.

    Raises
    ------
    ValueError
        - For unequal lengths.
        - For no objects.
        - For missing values.

    Examples
    --------
    >>> from spectok.probes import metrics
    >>> table = metrics.confusion(["star", "star", "galaxy"], ["star", "galaxy", "galaxy"])
    >>> table["galaxy"].tolist()
    [1, 1]
    """
    true, predicted = as_classes(true, predicted)
    names, place = np.unique(np.concatenate([true, predicted]), return_inverse=True)
    counts = np.zeros((len(names), len(names)), int)
    np.add.at(counts, (place[: len(true)], place[len(true) :]), 1)
    return Table([names.astype(str), *counts.T], names=["true", *(f"{name}" for name in names)])


def bias(true: ArrayLike, predicted: ArrayLike) -> Any:
    """Median of predicted - true.

    Parameters
    ----------
    true, predicted : array or `~astropy.units.Quantity`, shape (N,)
        In units that convert.

    Returns
    -------
    bias : float or `~astropy.units.Quantity`
        In the unit of ``true``.

    Raises
    ------
    ValueError
        - For unequal lengths.
        - For no values.
        - For values that are not finite.
        - For units that do not convert.

    Examples
    --------
    >>> from spectok.probes import metrics
    >>> metrics.bias([1.0, 2.0, 3.0], [1.5, 2.25, 3.5])
    0.5
    """
    (true, predicted), unit = as_numbers(true, predicted)
    return with_unit(float(np.median(predicted - true)), unit)


def scaled_mad(true: ArrayLike, predicted: ArrayLike) -> Any:
    r"""Robust scatter of the residuals r = predicted - true.

    .. math:: \sigma = 1.4826 \, \mathrm{median} \, |r - \mathrm{median}(r)|

    For a Gaussian it is the standard deviation. The median is taken out: give `bias` beside it.

    Parameters
    ----------
    true, predicted : array or `~astropy.units.Quantity`, shape (N,)
        In units that convert.

    Returns
    -------
    sigma : float or `~astropy.units.Quantity`
        In the unit of ``true``.

    Raises
    ------
    ValueError
        - For unequal lengths.
        - For no values.
        - For values that are not finite.
        - For units that do not convert.

    References
    ----------
    Leung & Bovy (2019), MNRAS 483, 3255; Shen et al. (2025), arXiv:2510.17959.

    Examples
    --------
    >>> from spectok.probes import metrics
    >>> metrics.scaled_mad([0.0, 0.0, 0.0], [1.0, 2.0, 4.0])
    1.4826...
    """
    (true, predicted), unit = as_numbers(true, predicted)
    return with_unit(float(mad_std(predicted - true)), unit)


def redshift_nmad(true: ArrayLike, predicted: ArrayLike) -> float:
    r"""Normalised median absolute deviation of redshifts.

    .. math:: \sigma = 1.4826 \, \mathrm{median} \, |d - \mathrm{median}(d)|, \quad
        d = \frac{z_\mathrm{predicted} - z}{1 + z}

    Differences are divided by one plus the true redshift first, then the median is taken out.
    The reference takes the median out first; the two differ where there is a bias only.

    Parameters
    ----------
    true, predicted : array, shape (N,)
        Redshifts.

    Returns
    -------
    sigma : float
        0 is perfect.

    Raises
    ------
    ValueError
        - For unequal lengths.
        - For no values, or infinite ones.
        - For true redshifts of -1 and below.

    References
    ----------
    Brammer, van Dokkum & Coppi (2008), ApJ 686, 1503.

    Examples
    --------
    >>> from spectok.probes import metrics
    >>> metrics.redshift_nmad([1.0, 1.0, 1.0], [1.0, 1.01, 1.04])
    0.007413...
    """
    true, predicted = as_redshifts(true, predicted)
    return float(mad_std((predicted - true) / (1 + true)))


def redshift_outliers(
    true: ArrayLike, predicted: ArrayLike, *, velocity: u.Quantity = 1000.0 * u.km / u.s
) -> float:
    r"""Share of redshifts that are wrong by more than a velocity.

    .. math:: \frac{c \, |z_\mathrm{predicted} - z|}{1 + z} > v

    Parameters
    ----------
    true, predicted : array, shape (N,)
        Redshifts.
    velocity : `~astropy.units.Quantity`
        DESI's catastrophic failures: galaxies beyond 1,000 km/s, quasars beyond 3,000 km/s.

    Returns
    -------
    share : float
        Between 0 and 1.

    Raises
    ------
    TypeError
        For a velocity without a unit.
    ValueError
        As `redshift_nmad`, and for a velocity that is none or not positive.

    References
    ----------
    Lan et al. (2023), ApJ 943, 68 (galaxies); Alexander et al. (2023), AJ 165, 124 (quasars).

    Examples
    --------
    >>> from astropy import units as u
    >>> from spectok.probes import metrics
    >>> metrics.redshift_outliers([2.0, 2.0], [2.001, 2.02], velocity=1000 * u.km / u.s)
    0.5
    """
    if not isinstance(velocity, u.Quantity):
        raise TypeError("velocity needs a unit: write velocity * u.km / u.s")
    if not velocity.unit.is_equivalent(u.m / u.s) or not velocity > 0 * u.m / u.s:
        raise ValueError(f"velocity must be a velocity above 0, not {velocity}")
    true, predicted = as_redshifts(true, predicted)
    limit = float((velocity / _LIGHT).to_value(u.dimensionless_unscaled))
    return float((np.abs(predicted - true) / (1 + true) > limit).mean())


def calibration(true: ArrayLike, predicted: ArrayLike, std: ArrayLike) -> dict[str, float | int]:
    r"""Calibration of predicted uncertainties: shares of z = (predicted - true) / std.

    Parameters
    ----------
    true, predicted, std : array or `~astropy.units.Quantity`, shape (N,)
        In units that convert; ``std`` is one standard deviation.

    Returns
    -------
    found : dict
        ``within_1`` and ``within_2``, shares with \|z\| below 1 and 2, beside ``gauss_1`` and
        ``gauss_2``, 0.683 and 0.954, which they should be; ``scatter``, 1.4826 times the median
        absolute deviation of z from its median, which should be 1; ``offset``, the median of z,
        which should be 0; and ``n``. A scatter above 1: the uncertainties are too small.

    Raises
    ------
    ValueError
        As `bias`, and for uncertainties that are not positive.

    Examples
    --------
    >>> from spectok.probes import metrics
    >>> metrics.calibration([0.0, 0.0], [0.5, 1.5], [1.0, 1.0])["within_1"]
    0.5
    """
    (true, predicted, std), _ = as_numbers(true, predicted, std)
    if not (std > 0).all():
        raise ValueError(
            f"{int((~(std > 0)).sum())} of {len(std)} std are not positive: an uncertainty is; "
            "leave these rows out"
        )
    z = (predicted - true) / std
    return {
        "within_1": float((np.abs(z) < 1).mean()), "gauss_1": _GAUSS[0],
        "within_2": float((np.abs(z) < 2).mean()), "gauss_2": _GAUSS[1],
        "scatter": float(mad_std(z)), "offset": float(np.median(z)), "n": len(z),
    }  # fmt: skip
