"""Tokens between tokens."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from spectok.model._interpolate import bracket, interpolate_tokens, pick


def tokens(n_tokens, seed, share_valid=1.0):
    rng = np.random.default_rng(seed)
    value = torch.from_numpy(rng.normal(size=(2, n_tokens, 5)).astype(np.float32))
    wavelength = torch.from_numpy(rng.uniform(4e3, 9e3, (2, n_tokens)))
    valid = torch.from_numpy(rng.random((2, n_tokens)) < share_valid)
    return value, wavelength, valid


@given(n_tokens=st.integers(1, 30), seed=st.integers(0, 200), share=st.sampled_from([1.0, 0.6]))
def test_identity_at_the_tokens_own_wavelengths(n_tokens, seed, share):
    value, wavelength, valid = tokens(n_tokens, seed, share)
    out = interpolate_tokens(value, wavelength, valid, wavelength)
    assert torch.equal(out[valid], value[valid])


@given(n_tokens=st.integers(1, 20), seed=st.integers(0, 200), share=st.sampled_from([1.0, 0.6]))
def test_linear_between_valid_tokens_and_constant_beyond(n_tokens, seed, share):
    value, wavelength, valid = tokens(n_tokens, seed, share)
    target = torch.linspace(3500.0, 9500.0, 301, dtype=torch.float64).expand(2, -1)
    out = interpolate_tokens(value, wavelength, valid, target).numpy()
    assert np.isfinite(out).all()
    for row in range(2):
        good = valid[row].numpy()
        if not good.any():
            continue
        order = np.argsort(wavelength[row].numpy()[good])
        x, y = wavelength[row].numpy()[good][order], value[row].numpy()[good][order]
        for channel in range(5):
            expected = np.interp(target[row].numpy(), x, y[:, channel])
            assert np.allclose(out[row, :, channel], expected, atol=1e-5)


@given(n_tokens=st.integers(1, 20), seed=st.integers(0, 200), share=st.sampled_from([1.0, 0.6]))
def test_bracket_finds_the_valid_tokens_on_either_side(n_tokens, seed, share):
    _, wavelength, valid = tokens(n_tokens, seed, share)
    target = torch.linspace(3500.0, 9500.0, 101, dtype=torch.float64).expand(2, -1)
    low, high = bracket(wavelength, valid, target)
    for row in range(2):
        good = np.sort(wavelength[row][valid[row]].numpy())
        if not good.size:
            continue
        below, above = (wavelength[row][found[row]].numpy() for found in (low, high))
        for x, left, right in zip(target[row].numpy(), below, above, strict=True):
            # Beyond the outermost token both are that one.
            assert left == (good[good < x].max() if (good < x).any() else good[0])
            assert right == (good[good >= x].min() if (good >= x).any() else good[-1])


def test_pick():
    value = torch.arange(24.0).reshape(2, 4, 3)
    position = torch.tensor([[3, 3, 0], [1, 2, 0]])
    found = pick(value, position)
    assert found.shape == (2, 3, 3)
    assert found[0, 0].tolist() == [9.0, 10.0, 11.0] and found[1, 1].tolist() == [18.0, 19.0, 20.0]
