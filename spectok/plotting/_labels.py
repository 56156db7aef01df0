"""Plot of predicted labels against true ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units as u
from astropy.stats import mad_std

from spectok.plotting._axes import ERROR, GREY, MODEL, let_carry, named, numbers, two_panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_labels"]


def plot_labels(
    true: Any,
    predicted: Any,
    *,
    error: Any = None,
    label: str | None = None,
    axes: Sequence[Axes] | None = None,
    title: str | None = None,
) -> np.ndarray:
    """Plot predicted labels and their errors against true ones, and predicted minus true.

    Parameters
    ----------
    true, predicted : array or `~astropy.units.Quantity`, shape (N,)
        Spectra with a NaN or a masked entry in either are left out.
    error : like ``predicted``, optional
        One standard deviation, such as ``return_std=True`` of a probe gives.
    label : str, optional
        What they are.
    axes : sequence of two `~matplotlib.axes.Axes`, optional
        For the labels and for the differences; by default a new figure's.
    title : str, optional
        Above the upper panel.

    Returns
    -------
    axes : `numpy.ndarray` of `~matplotlib.axes.Axes`, shape (2,)
        They carry the unit of ``true``. The legend states the number of spectra, the median
        difference, its scatter (1.4826 times the median absolute deviation) and, where there
        are errors, the share of the differences that are less than their error.

    Raises
    ------
    ValueError
        - Where shapes differ.
        - Where some have a unit and some none, or units do not convert.
        - Where not one spectrum has both labels.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy import units as u
    >>> from spectok import plotting
    >>> rng = np.random.default_rng(0)
    >>> true = rng.uniform(4000, 7000, 200) * u.K
    >>> predicted = true + rng.normal(0, 80, 200) * u.K
    >>> top, bottom = plotting.plot_labels(true, predicted, error=np.full(200, 80) * u.K,
    ...                                    label="Teff")
    >>> bottom.get_xlabel()
    'true Teff [K]'
    """
    unit = getattr(true, "unit", None)
    given = [true, predicted] if error is None else [true, predicted, error]
    shapes = [np.shape(one) for one in given]
    if len(set(shapes)) > 1 or len(shapes[0]) != 1:
        raise ValueError(
            f"true and predicted labels (and errors) have the shapes {shapes}: give arrays of "
            "one number per spectrum, such as one column of a table"
        )
    bare = [getattr(one, "unit", None) in (None, u.dimensionless_unscaled) for one in given]
    if len(set(bare)) > 1:
        raise ValueError(
            "of true and predicted labels (and errors) some have a unit and some none: give all "
            "of them one, or none"
        )
    x, y = (numbers(one, unit) for one in given[:2])
    sigma = np.full(x.shape, np.nan) if error is None else _errors(error, unit)
    known = np.isfinite(x) & np.isfinite(y)
    if not known.any():
        raise ValueError("not one spectrum has a true and a predicted label: nothing to draw")
    x, y, sigma = x[known], y[known], sigma[known]
    top, bottom = two_panels(axes, (6, 6))
    if isinstance(unit, u.UnitBase) and unit != u.dimensionless_unscaled:
        for axis in (top.xaxis, top.yaxis, bottom.xaxis, bottom.yaxis):
            unit_drawn = let_carry(axis, unit, "the labels are")
        factor = unit.to(unit_drawn)
        unit, x, y, sigma = unit_drawn, x * factor, y * factor, sigma * factor
    many = len(x) > 1000
    points: dict[str, Any] = {
        "fmt": "o",
        "ms": 1.5 if many else 3,
        "color": MODEL,
        "mew": 0,
        "rasterized": True,
    }
    points |= {"ecolor": GREY, "elinewidth": 0.5, "alpha": 0.5 if many else 0.9}
    bars = None if error is None else np.where(np.isfinite(sigma), sigma, 0.0)
    top.errorbar(x, y, bars, **points, label=_summary(y - x, sigma, unit))
    ends = np.array([min(x.min(), y.min()), max(x.max(), y.max())])
    top.plot(ends, ends, color="k", lw=0.8)
    _differences(bottom, x, y - x, bars, points)
    what = label or "label"
    top.set_ylabel(named(f"predicted {what}", unit))
    top.set_xlabel("")  # it stands below
    bottom.set_xlabel(named(f"true {what}", unit))
    # A magnitude less a magnitude is in mag, and no magnitude of anything.
    bottom.set_ylabel(named("difference", getattr(unit, "function_unit", unit)))
    top.legend(loc="upper left", fontsize="small")
    if title is not None:
        top.set_title(title)
    return np.array([top, bottom])


def _errors(error: Any, unit: Any) -> np.ndarray:
    """Standard deviations as numbers in the unit of the labels."""
    # The error of a logarithm is in dex, and its label in dex of something.
    logarithmic = unit is not None and not isinstance(unit, u.UnitBase)
    return numbers(error, unit.function_unit if logarithmic else unit)


def _summary(difference: np.ndarray, sigma: np.ndarray, unit: Any) -> str:
    """Number, bias, scatter and, with errors, how true those are."""
    of = "" if unit is None or unit == u.dimensionless_unscaled else f" {_short(unit)}"
    text = (
        f"{len(difference):,} spectra: median {_two(np.median(difference), sign=True)}{of}, "
        f"scatter {_two(mad_std(difference))}{of}"
    )
    stated = sigma > 0
    if stated.any():
        within = np.mean(np.abs(difference[stated]) < sigma[stated])
        text += f"\n{within:.0%} within their stated error"
    return text


def _two(value: float, sign: bool = False) -> str:
    """Two digits, and no exponent."""
    return np.format_float_positional(value, 2, fractional=False, trim="-", sign=sign)


def _short(unit: Any) -> str:
    """That of a difference."""
    return (unit if isinstance(unit, u.UnitBase) else unit.function_unit).to_string("unicode")


def _differences(
    axes: Axes, x: np.ndarray, difference: np.ndarray, bars: np.ndarray | None, points: dict
) -> None:
    """The differences; those far out stand at the edge as triangles."""
    reach = 1.3 * np.percentile(np.abs(difference), 98) or 1.0
    out = np.abs(difference) > reach
    inside = None if bars is None else bars[~out]
    axes.errorbar(x[~out], difference[~out], inside, **points)
    for marker, side in (("^", difference > reach), ("v", difference < -reach)):
        edge = np.full(side.sum(), 0.95 * reach if marker == "^" else -0.95 * reach)
        axes.plot(x[side], edge, marker, ms=4, color=ERROR, mew=0)
    axes.axhline(0, color="k", lw=0.8)
    axes.set_ylim(-reach, reach)
