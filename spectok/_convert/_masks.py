"""The masks that values carry themselves: numpy's and astropy's masked arrays, columns."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["hidden_mask", "own_mask"]


def own_mask(values: Any) -> np.ndarray | None:
    """The mask of a masked array, Quantity or column, of the values' shape; None without one.

    The ``mask`` of a pandas Series or frame is a method, and no mask.
    """
    mask = getattr(values, "mask", None)
    if mask is None or callable(mask):
        return None
    return np.broadcast_to(np.asarray(mask, dtype=bool), np.shape(values))


def hidden_mask(array: Any) -> np.ndarray | None:
    """The mask of an array, or of the masked array that it is a plain view of.

    astropy's uncertainties turn a masked array into a plain view of it, and drop its mask. The
    view still knows what it looks at, and so does a slice of it.
    """
    mask = own_mask(array)
    if mask is not None or not isinstance(array, np.ndarray):
        return mask
    base = array.base
    while isinstance(base, np.ndarray) and mask is None:
        mask = own_mask(base)
        base = base if mask is not None else base.base
    if mask is None or base is None or not mask.any():
        return None
    if array.shape == base.shape:
        return mask
    base = np.asarray(getattr(base, "unmasked", base))
    if not base.flags.c_contiguous or base.itemsize != array.itemsize:
        return None
    first = (array.ctypes.data - base.ctypes.data) // base.itemsize
    strides = tuple(stride // base.itemsize for stride in array.strides)
    flat = np.ascontiguousarray(mask).reshape(-1)
    return np.lib.stride_tricks.as_strided(flat[first:], array.shape, strides)
