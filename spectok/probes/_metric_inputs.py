"""Checks of what is given to the metrics."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy import units as u
from numpy.typing import NDArray

__all__ = ["as_classes", "as_numbers", "as_redshifts", "same_length", "with_unit"]

_NAMES = ("true", "predicted", "std")


def same_length(arrays: list[Any], names: tuple[str, ...]) -> None:
    """Refuse what is not one-dimensional, is empty or differs in length."""
    for array, name in zip(arrays, names, strict=False):
        if np.ndim(array) != 1:
            raise ValueError(
                f"{name} must be one-dimensional, one value per object, not of shape "
                f"{np.shape(array)}"
            )
    lengths = [len(array) for array in arrays]
    if len(set(lengths)) > 1:
        said = ", ".join(f"{name}: {k}" for name, k in zip(names, lengths, strict=False))
        raise ValueError(f"all must have one value per object, but lengths differ ({said})")
    if lengths[0] == 0:
        raise ValueError("there is no object: a metric needs at least one")


def as_classes(*given: Any) -> list[NDArray]:
    """Names of classes, none of them missing."""
    _refuse_masked(given)
    arrays = [np.asarray(values) for values in given]
    same_length(arrays, _NAMES)
    for array, name in zip(arrays, _NAMES, strict=False):
        missing = np.array([x is None or x != x or x in ("", b"") for x in array.tolist()])
        if missing.any():
            raise ValueError(
                f"{int(missing.sum())} of {len(array)} {name} are missing or empty: leave these "
                "rows out, or give them a class of their own"
            )
    arrays = [np.char.decode(a, "utf-8") if a.dtype.kind == "S" else a for a in arrays]
    text = [a.dtype.kind in "UO" for a in arrays]
    if len(set(text)) > 1:
        raise ValueError(
            f"true holds {arrays[0].dtype} and predicted {arrays[1].dtype}: write classes the "
            "same way in both"
        )
    return [a.astype(str) if t else a for a, t in zip(arrays, text, strict=True)]


def as_numbers(*given: Any) -> tuple[list[NDArray[np.float64]], u.UnitBase | None]:
    """Finite numbers in the unit of the first, and that unit."""
    _refuse_masked(given)
    units = [getattr(values, "unit", None) for values in given]
    if any(one is None for one in units) and any(one is not None for one in units):
        said = ", ".join(f"{n}: {one or 'none'}" for n, one in zip(_NAMES, units, strict=False))
        raise ValueError(f"some have a unit and some none ({said}): give it to all or to none")
    unit = units[0]
    if unit is None:
        arrays = [np.asarray(values, float) for values in given]
    else:
        try:
            arrays = [u.Quantity(values).to_value(unit).astype(float) for values in given]
        except u.UnitConversionError as error:
            raise ValueError(f"units do not convert: {error}") from error
    same_length(arrays, _NAMES)
    for array, name in zip(arrays, _NAMES, strict=False):
        bad = ~np.isfinite(array)
        if bad.any():
            raise ValueError(
                f"{int(bad.sum())} of {len(array)} {name} are not finite: leave these rows out "
                "of all arrays, such as by good = np.isfinite(...)"
            )
    return arrays, unit


def as_redshifts(*given: Any) -> list[NDArray[np.float64]]:
    """Redshifts above -1, without a unit."""
    (true, predicted), unit = as_numbers(*given)
    if unit is not None:
        try:
            factor = (1.0 * unit).to_value(u.dimensionless_unscaled)
        except u.UnitConversionError as error:
            raise ValueError(
                f"redshifts have no unit, but these are in {unit}: give z, not a velocity"
            ) from error
        true, predicted = true * factor, predicted * factor
    if (true <= -1).any():
        raise ValueError(
            f"{int((true <= -1).sum())} of {len(true)} true redshifts are -1 or below: none is; "
            "leave these rows out"
        )
    return [true, predicted]


def with_unit(value: float, unit: u.UnitBase | None) -> Any:
    return value if unit is None else u.Quantity(value, unit)


def _refuse_masked(given: tuple[Any, ...]) -> None:
    for values, name in zip(given, _NAMES, strict=False):
        mask = getattr(values, "mask", False)
        n_masked = 0 if callable(mask) else int(np.sum(mask))  # pandas has a method of this name
        if n_masked:
            raise ValueError(
                f"{n_masked} of {len(values)} {name} are masked: leave these rows out of all "
                "arrays"
            )
