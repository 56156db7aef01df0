"""The grid of wavelengths on which tokens are read side by side."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spectok.probes._token_grid import choose_grid, on_grid


def tensors(wavelength, token, valid=None):
    wavelength = np.atleast_2d(np.asarray(wavelength, np.float64))
    valid = np.ones(wavelength.shape, bool) if valid is None else np.atleast_2d(valid)
    token = np.asarray(token, np.float32).reshape(*wavelength.shape, -1)
    return (*map(torch.from_numpy, (token, wavelength)), torch.from_numpy(np.array(valid)))


# ------------------------------------------------------------------ choose_grid


def test_one_grid_is_kept_exactly(make_items):
    items = make_items([20] * 30, start=15100.1234, step=5.4321)
    assert np.array_equal(choose_grid(items, 512), items[0]["wavelength"])


def test_empty_items_and_shorter_ones_add_nothing(make_items):
    items = make_items([0, 20, 5, 0, 12])
    assert np.array_equal(choose_grid(items, 512), items[1]["wavelength"])


def test_several_grids_are_covered(make_items):
    groups = [(4000.0, 28.0), (3600.0, 25.6), (15100.0, 3.3), (4013.0, 28.0)]
    items = np.concatenate(
        [make_items([30] * 3, start=start, step=step) for start, step in groups]
    )
    grid = choose_grid(items, 512)
    assert (np.diff(grid) > 0).all()
    for item in items:
        step = np.diff(item["wavelength"]).min()
        away = np.abs(item["wavelength"][:, None] - grid).min(1)
        assert away.max() <= 0.5 * step
    # Nothing twice: a shifted grid adds nothing where the first one is near.
    assert len(grid) < 30 * len(groups)
    assert set(items[0]["wavelength"]) <= set(grid)


def test_thinned_at_the_largest(make_items):
    items = make_items([300])
    grid = choose_grid(items, 50)
    assert len(grid) == 50
    assert grid[[0, -1]].tolist() == items[0]["wavelength"][[0, -1]].tolist()
    assert set(grid) <= set(items[0]["wavelength"])
    steps = np.diff(grid) / 30.0
    assert steps.min() >= 5 and steps.max() <= 7
    assert np.array_equal(choose_grid(items, 300), items[0]["wavelength"])


def test_many_spectra_are_sampled(make_items):
    """Of 1,000 spectra every fifth is looked at, so a survey of a tenth is found."""
    items = np.concatenate([make_items([5] * 900), make_items([5] * 100, start=9000.0)])
    assert choose_grid(items, 512).max() == 9000.0 + 4 * 30.0


def test_a_lone_token_is_a_grid(make_items):
    assert choose_grid(make_items([1, 1, 1]), 512).tolist() == [4000.0]


# ------------------------------------------------------------------ on_grid


def test_the_same_grid_changes_nothing():
    token, wavelength, valid = tensors(4000 + 30.0 * np.arange(6), np.arange(18.0))
    value, known = on_grid(token, wavelength, valid, wavelength[0])
    assert value is token and known is valid


def test_unknown_places():
    """Unknown is what lies further from the next token than from the next place."""
    token, wavelength, valid = tensors([4000.0, 4030.0, 4060.0], [1.0, 2.0, 3.0])
    grid = torch.tensor([3910.0, 3940, 3970, 4000, 4015, 4060, 4090, 4120, 4121])
    known = on_grid(token, wavelength, valid, grid.double())[1]
    assert known[0].tolist() == [False, False, True, True, True, True, True, False, False]


def test_invalid_tokens_are_unseen():
    place = 4000 + 30.0 * np.arange(8)
    ok = np.array([1, 1, 0, 0, 0, 1, 1, 0], bool)
    token, wavelength, valid = tensors(place, np.where(ok, np.arange(8.0), 1e9), ok)
    grid = torch.from_numpy(place + 0.1)
    value, known = on_grid(token, wavelength, valid, grid)
    expected = np.interp(place + 0.1, place[ok], np.arange(8.0)[ok])
    assert np.allclose(value[0, :, 0], expected, rtol=1e-5)
    # 4090 A is 60 A from the valid ones; the others are within 30 of one.
    assert known[0].tolist() == [True, True, True, False, True, True, True, True]


def test_a_spectrum_without_tokens_is_unknown_everywhere():
    token, wavelength, valid = tensors([[1.0, 1.0], [4000.0, 4030.0]], np.ones(4),
                                       [[False, False], [True, True]])  # fmt: skip
    grid = torch.tensor([4000.0, 4030.0, 4060.0]).double()
    value, known = on_grid(token, wavelength, valid, grid)
    assert not known[0].any() and known[1].all() and torch.isfinite(value).all()


@given(
    st.integers(0, 2**32 - 1), st.integers(2, 12), st.integers(0, 4),
    st.lists(st.floats(3500.0, 5500.0), min_size=1, max_size=9, unique=True),
)  # fmt: skip
def test_linear_as_numpy_interpolates(seed, n, n_padding, grid):
    rng = np.random.default_rng(seed)
    place = np.cumsum(rng.uniform(1.0, 60.0, n)) + 4000.0
    number = rng.normal(size=(n, 2))
    order = rng.permutation(n + n_padding)  # tokens in any order, padding anywhere
    wavelength = np.r_[place, np.ones(n_padding)][order]
    token = np.r_[number, np.full((n_padding, 2), 1e6)][order]
    valid = (np.arange(n + n_padding) < n)[order]
    grid = np.sort(grid)
    value, known = on_grid(*tensors(wavelength, token, valid), torch.from_numpy(grid))
    expected = np.stack([np.interp(grid, place, column) for column in number.T], 1)
    assert value.shape == (1, len(grid), 2) and known.shape == (1, len(grid))
    assert np.allclose(value[0], expected, atol=1e-4)
    away = np.abs(grid[:, None] - place).min(1)
    apart = np.abs(grid[:, None] - grid) + np.diag(np.full(len(grid), np.inf))
    reach = apart.min(1) if len(grid) > 1 else np.array([50.0])
    clear = np.abs(away - 1.01 * reach) > 1e-6 * (1 + reach)
    assert np.array_equal(known[0].numpy()[clear], (away <= 1.01 * reach)[clear])


@pytest.mark.parametrize("place", [3000.0, 5000.0])
def test_constant_beyond_the_ends(place):
    token, wavelength, valid = tensors([4000.0, 4030.0], [1.0, 2.0])
    value, _ = on_grid(token, wavelength, valid, torch.tensor([place], dtype=torch.float64))
    assert float(value) == (1.0 if place < 4000 else 2.0)
