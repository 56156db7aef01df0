"""Axes that carry units, and other tools that the plots share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units as u

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

__all__ = [
    "CLASSES", "ERROR", "GREY", "HIDDEN", "MODEL", "bare", "let_carry", "mask_of", "named",
    "numbers", "two_panels", "wavelength_unit",
]  # fmt: skip

# Okabe & Ito (2008): told apart by colour-blind readers too.
GREY, MODEL, HIDDEN, ERROR = "#8c8c8c", "#0072b2", "#d55e00", "#cc79a7"
CLASSES = (MODEL, "#e69f00", "#009e73", ERROR, "#56b4e9", HIDDEN, "#000000", "#f0e442")


def let_carry(axis: Axis, unit: u.UnitBase, what: str) -> u.UnitBase:
    """The unit that an axis of a plot has, which is ``unit`` from now on if it had none.

    The axis keeps a converter of its own, so that Quantities are drawn on it in its unit with
    and without `~astropy.visualization.quantity_support`, and other axes learn nothing of it.

    Parameters
    ----------
    axis : `~matplotlib.axis.Axis`
    unit : `~astropy.units.UnitBase`
        Of what will be drawn.
    what : str
        Its name for error messages.

    Raises
    ------
    ValueError
        Where the axis has a unit to which ``unit`` does not convert.
    """
    from astropy.visualization import quantity_support

    given = axis.get_units()
    if given is not None and not (isinstance(given, u.UnitBase) and unit.is_equivalent(given)):
        raise ValueError(
            f"the axis is in {given}, but {what} in {unit}, which does not convert: give other "
            "axes, or bring both to one kind of unit first"
        )
    newer = hasattr(axis, "set_converter")  # since matplotlib 3.10
    converter = axis.get_converter() if newer else axis.converter
    if converter is None:
        with quantity_support() as converter:
            pass
    if newer:
        # For good: a later quantity_support() would bring another one, with a warning.
        axis.set_converter(converter)
    else:
        axis.converter = converter
    if given is None:
        axis.set_units(unit)
        return unit
    return given


def named(name: str, unit: Any) -> str:
    """A label with its unit, if it has one."""
    if unit is None or unit == u.dimensionless_unscaled:
        return name
    return f"{name} [{unit.to_string('unicode')}]"


def numbers(values: Any, unit: Any = None) -> np.ndarray:
    """Plain numbers in a unit (by default their own), NaN where they are masked."""
    masked = mask_of(values)
    values = getattr(values, "unmasked", values)
    if unit is not None and getattr(values, "unit", None) is not None:
        # Not u.Quantity: dex and magnitudes stay what they are.
        values = values.to(unit) if hasattr(values, "to") else u.Quantity(values).to(unit)
    out = np.array(bare(getattr(values, "value", values)), dtype=float)
    out[masked] = np.nan
    return out


def bare(values: Any) -> np.ndarray:
    """Values of an array, under its mask as well."""
    # Not numpy.ma.getdata for all: a Series of pandas has a ``_data`` that is no array.
    return np.ma.getdata(values) if isinstance(values, np.ma.MaskedArray) else np.asarray(values)


def mask_of(values: Any) -> np.ndarray:
    """Which values are masked."""
    mask = getattr(values, "mask", None)
    # A Series of pandas has a method of this name.
    return np.broadcast_to(False if mask is None or callable(mask) else mask, np.shape(values))


def wavelength_unit(unit: u.UnitBase) -> u.UnitBase:
    """In which unit to draw wavelengths that came in this one."""
    return unit if unit.is_equivalent(u.AA) else u.AA


def two_panels(axes: Any, figsize: tuple[float, float]) -> tuple[Axes, Axes]:
    """The caller's axes, or those of a new figure: a panel, and a lower one for residuals."""
    if axes is None:
        import matplotlib.pyplot as plt

        _, axes = plt.subplots(
            2, 1, figsize=figsize, sharex=True, height_ratios=(3, 1), layout="constrained"
        )
    if np.size(axes) != 2:
        raise ValueError(
            f"axes must be two, for the picture and for its residuals, not {np.size(axes)}: "
            "make them with matplotlib's plt.subplots(2)"
        )
    top, bottom = np.ravel(axes)
    return top, bottom
