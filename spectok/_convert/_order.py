"""In which order the pixels of a wavelength axis are read: the one rule, for files and spectra."""

from __future__ import annotations

import numpy as np

__all__ = ["order_of_pixels"]

# Orders have at least so many pixels on average; what turns about more often is shuffled.
_ORDER_PIXELS = 16


def order_of_pixels(wavelength: np.ndarray) -> tuple[np.ndarray, int]:
    """The order of the pixels by wavelength, and how many overlapping orders they form.

    Overlapping orders laid end to end must not be interleaved pixel by pixel: neighbours would
    come from different orders. Each stays whole, and they follow by their first wavelength.

    Parameters
    ----------
    wavelength : array, shape (L,)
        Finite numbers, in any order: ascending, descending, shuffled, or orders one after the
        other.

    Returns
    -------
    order : int array, shape (L,)
    n_orders : int
        1 where ``wavelength[order]`` ascends from end to end.
    """
    by_wavelength = np.argsort(wavelength, kind="stable")
    sign = np.sign(np.diff(wavelength)).astype(int)
    runs = _runs(sign)
    if not sign.all() or len(runs) == 1 or len(wavelength) < _ORDER_PIXELS * len(runs):
        return by_wavelength, 1
    runs.sort(key=lambda run: wavelength[run[0]])
    if all(wavelength[a[-1]] < wavelength[b[0]] for a, b in zip(runs, runs[1:], strict=False)):
        return by_wavelength, 1
    return np.concatenate(runs), len(runs)


def _runs(sign: np.ndarray) -> list[np.ndarray]:
    """Pixels of each run along which the wavelength rises or falls, ascending in wavelength."""
    turns = np.flatnonzero(sign[1:] != sign[:-1]) + 1
    runs, first, last = [], 0, len(sign)
    while first < last:
        after = turns[np.searchsorted(turns, first, side="right") :]
        stop = int(after[0]) if after.size else last
        run = np.arange(first, stop + 1)
        runs.append(run if sign[first] > 0 else run[::-1])
        first = stop + 1
    if first == last:
        runs.append(np.arange(first, last + 1))
    return runs
