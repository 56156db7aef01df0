"""Which pixels are hidden to score a reconstruction."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectok._hidden import BLOCK, hidden_blocks


@given(seed=st.integers(0, 2**32 - 1), bad=st.floats(0.0, 0.05), size=st.integers(0, 3000))
def test_blocks_of_good_pixels_apart_from_each_other(seed, bad, size):
    rng = np.random.default_rng(seed)
    valid = rng.random(size) >= bad
    hidden = hidden_blocks(valid, rng)
    assert hidden.shape == valid.shape
    assert not (hidden & ~valid).any()
    edges = np.flatnonzero(np.diff(np.r_[0, hidden, 0]))
    lengths = edges[1::2] - edges[::2]
    assert (lengths == BLOCK).all()
    assert hidden.sum() <= 0.1 * valid.sum()


def test_a_tenth_is_hidden():
    hidden = hidden_blocks(np.ones(3840, bool), np.random.default_rng(0))
    assert hidden.mean() == pytest.approx(0.1, abs=BLOCK / 3840)
