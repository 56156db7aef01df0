"""Missing values in survey files (no astropy)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["ABSURD", "broken", "says_something"]

# An error so many times the median says "no data": APOGEE's files write 1e10 there.
ABSURD = 1e3


def says_something(value: Any) -> bool:
    """Whether a label is one: no None, NaN or empty text, no -999 or -9999 for "missing"."""
    if isinstance(value, str):
        return value.strip().lower() not in ("", "none", "nan", "null")
    if isinstance(value, (int, float)):  # a boolean is an integer too
        return -999 < value < np.inf
    return value is not None


def broken(mask: np.ndarray, bits: Mapping[str, int]) -> np.ndarray:
    """True where an integer mask has one of some bits."""
    return (mask.astype(np.int64) & np.int64(sum(1 << bit for bit in bits.values()))) != 0
