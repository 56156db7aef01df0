"""Columns of other tables (pandas, polars, Arrow, torch) as numbers or as lists of rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy import units as u

__all__ = ["as_rows"]


def as_rows(values: Any) -> Any:
    """Columns of tables as what they hold: numbers, or a list of rows where a cell is a row.

    Known are pandas (nullable numbers, cells that are arrays), polars and Arrow, by what they can
    do; torch tensors; numpy's arrays of arrays. Anything else is returned as it is.
    """
    if hasattr(values, "detach"):  # a tensor that may need a gradient, or be on another device
        values = values.detach().cpu()
        values = (values.float() if str(values.dtype) == "torch.bfloat16" else values).numpy()
    if isinstance(values, (list, tuple)):
        return [as_rows(row) for row in values] if any(map(_is_foreign, values)) else values
    if _is_foreign(values):
        try:
            values = np.asarray(values, dtype=np.float64)  # missing numbers become NaN
        except (TypeError, ValueError):
            values = _nullable(values)
    if isinstance(values, np.ndarray) and values.dtype == object and values.ndim == 1:
        if len(values) and all(row is None or np.ndim(row) == 1 for row in values):
            rows = [np.zeros(0) if row is None else _numbers(as_rows(row)) for row in values]
            unit = getattr(values, "unit", None)  # astropy's columns of arrays
            return rows if unit is None else [row * u.Unit(unit) for row in rows]
        return _numbers(values)
    return values


def _is_foreign(values: Any) -> bool:
    """A column or table of pandas, polars or Arrow; not of numpy or astropy."""
    return not isinstance(values, np.ndarray) and (
        hasattr(values, "to_numpy") or hasattr(values, "to_pylist") or hasattr(values, "detach")
    )


def _nullable(values: Any) -> np.ndarray:
    """Columns whose missing numbers are None or pandas' NA, and columns of lists."""
    if hasattr(values, "to_pylist"):
        values = values.to_pylist()
    out = np.empty(len(values), dtype=object)
    for i, value in enumerate(values):
        out[i] = value
    return out


def _numbers(values: Any) -> Any:
    """An array of objects as float64, None and NA as NaN; as it is where that is impossible."""
    if isinstance(values, np.ndarray) and values.dtype != object:
        return values
    try:
        return np.array([_number(value) for value in values], dtype=np.float64)
    except (TypeError, ValueError):
        return values


def _number(value: Any) -> float:
    # pandas' NA is neither a number nor equal to itself.
    return np.nan if value is None or type(value).__name__ == "NAType" else float(value)
