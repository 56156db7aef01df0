"""Choice of the spectra that are held out to watch a fit."""

from __future__ import annotations

import warnings

import numpy as np

from spectok.probes._sklearn import (
    GroupShuffleSplit,
    ShuffleSplit,
    StratifiedGroupKFold,
    StratifiedShuffleSplit,
)

__all__ = ["hold_out", "less_the_only"]

_FEWEST = 10


def hold_out(
    n: int, share: float, groups: np.ndarray | None, strata: np.ndarray | None, seed: int
) -> np.ndarray:
    """Rows to hold out: of every class its share, whole groups; none where they are few.

    Parameters
    ----------
    n : int
        Spectra.
    share : float
        How many of them; with groups and classes, as nearly as their sizes allow.
    groups : `numpy.ndarray`, shape (N,), optional
        Objects that the spectra are of.
    strata : `numpy.ndarray` of int, shape (N,), optional
        Their classes.
    seed : int

    Raises
    ------
    ValueError
        Where all spectra are of one group.
    """
    if share * n < _FEWEST:
        return np.zeros(0, int)
    n_groups = n if groups is None else len(np.unique(groups))
    if n_groups < 2:
        raise ValueError(
            "all spectra are of one group, so none can be held out: give groups that differ, "
            "or held_out=0"
        )
    rows = np.arange(n)
    if strata is None:
        splitter = ShuffleSplit if groups is None else GroupShuffleSplit
        split = splitter(1, test_size=share, random_state=seed).split(rows, groups=groups)
        return np.sort(next(split)[1])
    # The only spectrum of a class cannot be on both sides: it is learnt from.
    rows = rows[np.bincount(strata)[strata] > 1]
    if not len(rows):
        return rows
    strata = strata[rows]
    if groups is None:
        n_classes = len(np.unique(strata))
        size = min(max(round(share * n), n_classes), len(rows) - n_classes)
        split = StratifiedShuffleSplit(1, test_size=size, random_state=seed).split(rows, strata)
        return np.sort(rows[next(split)[1]])
    groups = groups[rows]
    folds = min(round(1 / share), np.bincount(strata).max(), len(np.unique(groups)))
    if folds < 2:
        return np.zeros(0, int)
    with warnings.catch_warnings():
        # A class of fewer spectra than there are folds is in some of them.
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        split = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
        found = [part for _, part in split.split(rows, strata, groups)]
    best = min(range(folds), key=lambda k: abs(len(found[k]) - share * n))
    return np.sort(rows[found[best]])


def less_the_only(
    held_out: np.ndarray, known: np.ndarray, groups: np.ndarray | None
) -> np.ndarray:
    """Held-out rows without those that alone have a class or label, nor the rest of their group.

    ``known`` (N, K) says which row has which.
    """
    training = np.setdiff1d(np.arange(len(known)), held_out)
    missing = ~known[training].any(0)
    only = known[held_out][:, missing].any(1)
    if groups is None:
        return held_out[~only]
    return held_out[~np.isin(groups[held_out], groups[held_out][only])]
