"""Search of the nearest of many vectors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spectok.probes._sklearn import NearestNeighbors, normalize, pairwise_distances_chunked

__all__ = ["nearest_vectors"]

_DECIMALS = 7  # of a distance of single-precision vectors: what differs less is a tie
_BLOCK = 4096


def nearest_vectors(
    asked: NDArray[np.float32], known: NDArray[np.float32], n: int, *, own: bool = False
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Rows of the n nearest known vectors, and one minus their cosines, (N, n) each.

    By brute force, a block at a time: exact, without an index to build, and a matter of seconds
    for some queries among a million.

    Parameters
    ----------
    asked, known : `numpy.ndarray`, shape (N, E) and (R, E)
    n : int
        At most R, or R - 1 where they are the same.
    own : bool
        ``asked`` is ``known``, and no vector is its own neighbour.

    Returns
    -------
    index, distance : `numpy.ndarray`, shape (N, n)
        The nearest first; of the equally near, those that come first in ``known``.
    """
    # Half the squared distance of vectors of unit length is one minus their cosine.
    asked, known = normalize(asked), normalize(known)
    search = NearestNeighbors(algorithm="brute").fit(known)
    wanted = n + own
    more = min(wanted + 1, len(known))  # one more shows ties at the edge
    index = np.empty((len(asked), n), np.int64)
    distance = np.empty((len(asked), n))
    for start in range(0, len(asked), _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, len(asked)))
        away, which = search.kneighbors(asked[rows], more)
        away = np.round(0.5 * away.astype(np.float64) ** 2, _DECIMALS)
        edge = np.zeros(len(rows), bool)
        if more > wanted:
            edge = away[:, wanted - 1] == away[:, wanted]
        if own:
            away = np.where(which == rows[:, None], np.inf, away)
        order = np.lexsort((which, away), axis=1)[:, :n]
        index[rows] = np.take_along_axis(which, order, 1)
        distance[rows] = np.take_along_axis(away, order, 1)
        if edge.any():
            tied = rows[edge]
            index[tied], distance[tied] = _with_ties(asked, known, tied, n, own)
    return index, distance


def _with_ties(
    asked: np.ndarray, known: np.ndarray, rows: np.ndarray, n: int, own: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The nearest of those for which more are equally near than are asked for."""
    index, distance, done = np.empty((len(rows), n), np.int64), np.empty((len(rows), n)), 0
    for block in pairwise_distances_chunked(asked[rows], known):
        away = np.round(0.5 * block.astype(np.float64) ** 2, _DECIMALS)
        part = slice(done, done + len(away))
        if own:
            away[np.arange(len(away)), rows[part]] = np.inf
        index[part] = np.argsort(away, axis=1, kind="stable")[:, :n]
        distance[part] = np.take_along_axis(away, index[part], 1)
        done += len(away)
    return index, distance
