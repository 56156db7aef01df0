"""Which spectra are computed together: those of similar length (no units here)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

__all__ = ["buckets"]


def buckets(
    lengths: Sequence[int], *, batch_size: int | None = None, max_tokens: int = 1024
) -> Iterator[np.ndarray]:
    """Group spectra of similar length into batches.

    Sorted by length, so that a batch pads little: a batch is cut where its shortest member
    would be padded by more than 5 %, and at the limits below.

    Parameters
    ----------
    lengths : sequence of int
        Patches of each spectrum.
    batch_size : int, optional
        Spectra in a batch at the most.
    max_tokens : int, optional
        Without ``batch_size``: tokens in a batch at the most, padding included. Small batches
        stay in the processor's cache.

    Yields
    ------
    rows : `numpy.ndarray` of int
        Positions in ``lengths``.

    Raises
    ------
    ValueError
        For a ``batch_size`` below 1.
    """
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, not {batch_size}")
    n = np.asarray(lengths)
    order = np.argsort(n, kind="stable")[::-1]
    first = 0
    while first < len(order):
        longest = max(int(n[order[first]]), 1)
        limit = batch_size if batch_size is not None else max(max_tokens // longest, 1)
        rows = order[first : first + limit]
        rows = rows[n[rows] >= 0.95 * longest]
        yield rows
        first += len(rows)
