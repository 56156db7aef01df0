"""What of a spectrum's metadata goes along with its tokens, where it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["kept_values"]


def kept_values(meta: Any, key: str, count: int) -> list[Any]:
    """The values of N spectra under a key of ``meta``, else of ``meta["label"]``; None: unknown.

    One value serves all spectra; so many as there are spectra, one each.
    """
    value = None
    for place in (meta, meta.get("label") if isinstance(meta, Mapping) else None):
        if value is None and isinstance(place, Mapping):
            value = place.get(key)
    if value is None or isinstance(value, (str, bytes)) or np.ndim(value) == 0:
        return [value] * count
    values = list(value) if np.ndim(value) == 1 else list(np.ravel(value))
    if len(values) == 1:
        return values * count
    return values if len(values) == count else [None] * count
