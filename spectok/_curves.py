"""Light curves laid out in patches: so many points of one band, across gaps (no units here)."""

from __future__ import annotations

import numpy as np

from spectok._batch import PatchLayout

__all__ = ["curve_layout"]

_LONE = 0.01  # days from a lone point to its padding: what its patch is long


def curve_layout(
    time: np.ndarray, band: np.ndarray, patch_size: int, *, origin: float | None = None
) -> PatchLayout:
    """Lay out the points of a light curve in patches of at most ``patch_size`` points.

    Bands are arms: a patch holds points of one band, and the points of a band are spread evenly
    over as few patches as will do. Gaps do not end a patch; its length is known to the network,
    and so is each point's place in it.

    Parameters
    ----------
    time : `numpy.ndarray`, shape (L,)
        Days, ascending within each band.
    band : `numpy.ndarray`, shape (L,)
        Effective wavelength of each point's filter, Angstrom; ascending.
    patch_size : int
    origin : float, optional
        Time that the layout's times count from; the earliest point's by default. Times at which
        a curve is asked for count from the origin of what was seen of it.

    Returns
    -------
    layout : `~spectok._batch.PatchLayout`
        Its times are days since its ``origin``.

    Raises
    ------
    ValueError
        For points that are not in this order.
    """
    time, band = np.asarray(time, np.float64), np.asarray(band, np.float64)
    step = np.diff(band)
    if (step < 0).any() or (np.diff(time)[step == 0] < 0).any():
        raise ValueError("points must be sorted by band and, within each, by time")
    origin = float(time.min()) if origin is None else origin
    start = np.flatnonzero(np.r_[True, step > 0])
    count = np.diff(np.append(start, time.size))
    pieces = -(-count // patch_size)
    index, present, places = [], [], []
    for first, number, parts in zip(start, count, pieces, strict=True):
        for some in np.array_split(np.arange(first, first + number), parts):
            n_padding = patch_size - some.size
            own = time[some] - origin
            index += [some, np.full(n_padding, some[-1])]
            present += [np.ones(some.size, bool), np.zeros(n_padding, bool)]
            # Padding stands at the last point, so that a patch is as long as its points are
            # apart; where that is no length at all, just behind it.
            after = _LONE if own[-1] == own[0] else 0.0
            places += [own, np.full(n_padding, own[-1] + after)]
    return PatchLayout(
        np.concatenate(index), np.concatenate(present), np.concatenate(places), patch_size,
        np.repeat(band[start], pieces), origin,
    )  # fmt: skip
