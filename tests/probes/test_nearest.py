"""The nearest vectors: those of brute force, and ties in the order of the rows."""

import numpy as np
import pytest

from spectok.probes import _nearest
from spectok.probes._nearest import nearest_vectors


def by_hand(asked, known, n, own):
    """The definition, in double precision."""
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (asked.astype(float), known)]
    away = np.round(1 - unit[0] @ unit[1].T, 6)
    if own:
        np.fill_diagonal(away, np.inf)
    index = np.argsort(away, axis=1, kind="stable")[:, :n]
    return index, np.take_along_axis(away, index, 1)


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("block", [7, 4096])
def test_brute_force_says_the_same(own, block, monkeypatch):
    monkeypatch.setattr(_nearest, "_BLOCK", block)
    rng = np.random.default_rng(0)
    known = rng.normal(size=(60, 8)).astype(np.float32)
    asked = known if own else rng.normal(size=(20, 8)).astype(np.float32)
    index, distance = nearest_vectors(asked, known, 5, own=own)
    expected, away = by_hand(asked, known, 5, own)
    assert np.array_equal(index, expected) and np.allclose(distance, away, atol=2e-6)


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("n", [1, 3, 6])
def test_ties_are_in_the_order_of_the_rows(own, n):
    """Eight vectors, each there several times, however many of them are asked for."""
    rng = np.random.default_rng(1)
    known = rng.normal(size=(8, 5)).astype(np.float32)[rng.permutation(np.arange(40) % 8)]
    asked = known if own else known[::3]
    index, distance = nearest_vectors(asked, known, n, own=own)
    expected, away = by_hand(asked, known, n, own)
    assert np.array_equal(index, expected) and np.allclose(distance, away, atol=2e-6)


def test_all_of_them():
    known = np.random.default_rng(2).normal(size=(6, 3)).astype(np.float32)
    index, _ = nearest_vectors(known, known, 5, own=True)
    assert all(set(row) == set(range(6)) - {k} for k, row in enumerate(index))
    index, distance = nearest_vectors(known[:1], known, 6)
    assert set(index[0]) == set(range(6)) and index[0, 0] == 0 and distance[0, 0] == 0
