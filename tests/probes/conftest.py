"""Items of tokens made by hand, and rules planted in them."""

from types import SimpleNamespace

import numpy as np
import pytest

MODEL = {"MODEL": "by-hand", "SHA256": "a" * 64}
# Small and quick: what is planted here needs no more. Spelt out, so that better defaults for
# real spectra change nothing here.
SMALL = {
    "method": "attention",
    "width": 16, "heads": 2, "blocks": 1, "queries": 2, "reading": 16, "dropout": 0.1,
    "learning_rate": 1e-2, "weight_decay": 0.01, "batch_size": 32, "max_epochs": 8, "patience": 6,
    "held_out": 0.1,
}  # fmt: skip


def item_of(wavelength, token, made_by=MODEL):
    """One structured array as `spectok.group` makes them."""
    token = np.asarray(token, np.float32)
    fields = [("wavelength", np.float64), ("token", np.float32, token.shape[1:])]
    item = np.empty(len(token), np.dtype(fields, **({"metadata": made_by} if made_by else {})))
    item["wavelength"], item["token"] = wavelength, token
    return item


def items_of(lengths, *, channels=4, seed=0, start=4000.0, step=30.0, made_by=MODEL):
    """Items of these lengths on one grid, of normal numbers."""
    rng = np.random.default_rng(seed)
    items = np.empty(len(lengths), object)
    for row, n in enumerate(lengths):
        items[row] = item_of(
            start + step * np.arange(n), rng.normal(0, 0.5, (n, channels)), made_by
        )
    return items


@pytest.fixture(scope="session")
def make_item():
    """Function (wavelength, token, made_by) -> item."""
    return item_of


@pytest.fixture(scope="session")
def make_items():
    """Function (lengths, channels=4, seed=0, start=4000, step=30, made_by) -> items."""
    return items_of


@pytest.fixture(scope="session")
def small():
    """Parameters of a small, quick probe."""
    return dict(SMALL)


@pytest.fixture(scope="session")
def planted():
    """1,000 spectra on one grid of eight places, and what is planted in their tokens.

    ``kind``: "line" where the second number of the token at 4090 A is higher by 2.
    ``number``: 5000 + 400 times the first number of the token at 4150 A.
    ``noisy``: a number of the same token with normal errors of 100.
    The first 800 are for training.
    """
    items = items_of([8] * 1000, seed=7)
    rng = np.random.default_rng(8)
    line = rng.random(1000) < 0.5
    for item, has in zip(items, line, strict=True):
        item["token"][3, 1] += 2.0 * has
    first = np.array([item["token"][5, 0] for item in items], np.float64)
    number = 5000.0 + 400.0 * first
    return SimpleNamespace(
        items=items,
        kind=np.where(line, "line", "no line"),
        number=number,
        noisy=number + rng.normal(0.0, 100.0, 1000),
        train=slice(0, 800),
        test=slice(800, 1000),
    )
