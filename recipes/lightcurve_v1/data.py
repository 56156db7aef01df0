"""Curves of the Supernova Photometric Classification Challenge, and the split of lightcurve-v1.

``snpcc.npz`` holds ``t`` (rows of MJD, band, flux, error of all objects one after another), ``n``
(rows of each object) and labels, which pretraining never reads.
"""

from __future__ import annotations

import numpy as np

from spectok.training import Curve

# Effective wavelengths of DES's g, r, i and z [Angstrom].
BANDS = np.array([4820.0, 6410.0, 7810.0, 9250.0])
SEED = 18  # of the split


def read_curves(path):
    """All curves, sorted by band and time."""
    with np.load(path) as file:
        rows, counts = file["t"], file["n"]
    curves = []
    for part in np.split(rows, np.cumsum(counts)[:-1]):
        part = part[np.lexsort((part[:, 0], part[:, 1]))]
        curves.append(
            Curve(part[:, 0], BANDS[part[:, 1].astype(int)], part[:, 2].copy(), part[:, 3].copy())
        )
    return curves


def halves(number):
    """Which curves may be pretrained on, and which are never seen before they are scored."""
    order = np.random.default_rng(SEED).permutation(number)
    return np.sort(order[: number // 2]), np.sort(order[number // 2 :])
