"""Tokens on other patches, against sums and least squares written out in NumPy."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from spectok._batch import TokenBatch
from spectok.model._recut import recut

PATCH, NUMBER = 32, 16


def drawn(n_tokens=6, size=NUMBER, seed=0):
    """Tokens of one spectrum with contiguous patches on a linear grid."""
    rng = np.random.default_rng(seed)
    value = rng.normal(0, 0.5, (1, n_tokens, size)).astype(np.float32)
    value[..., -1] = rng.uniform(-4, -2, n_tokens)
    length = 40.0
    centre = 5000.0 + length * (np.arange(n_tokens) + 0.5)
    half = np.full(n_tokens, 0.5 * length * (PATCH - 1) / PATCH)
    return TokenBatch(
        torch.from_numpy(value),
        torch.from_numpy(centre)[None],
        torch.from_numpy(half)[None],
        torch.ones(1, n_tokens, dtype=torch.bool),
        torch.ones(1),
    )


def edges(low, high, number):
    """Outer edges of patches of one length, each (1, number)."""
    every = torch.linspace(low, high, number + 1, dtype=torch.float64)[None]
    return every[:, :-1], every[:, 1:]


def flux_of(tokens, wavelength, length=40.0, context=0):
    """The curve of the cosines, patch by patch."""
    value = tokens.value[0].double().numpy()
    code = np.sinh(np.delete(value, np.s_[value.shape[1] - 1 - context :], axis=1)) / 8
    which = np.floor((wavelength - 5000.0) / length).astype(int)
    place = (wavelength - 5000.0) / length - which
    return (code[which] * np.cos(np.pi * place[:, None] * np.arange(code.shape[1]))).sum(1)


@pytest.mark.parametrize("context", [0, 8])
def test_own_patches_give_the_tokens_back(context):
    tokens = drawn(size=NUMBER + context)
    value, which = recut(tokens, *edges(5000.0, 5240.0, 6), patch_size=PATCH, context_size=context)
    assert torch.allclose(value, tokens.value, atol=2e-4)
    assert torch.equal(which, torch.arange(6)[None, :, None].expand(1, 6, PATCH))


@pytest.mark.parametrize(("number", "low", "high"), [(3, 5000.0, 5240.0), (9, 5013.0, 5200.0)])
def test_other_patches_are_least_squares_of_the_curve(number, low, high):
    tokens = drawn()
    first, last = edges(low, high, number)
    value, which = recut(tokens, first, last, patch_size=PATCH)
    place = (np.arange(PATCH) + 0.5) / PATCH
    basis = np.cos(np.pi * place[:, None] * np.arange(NUMBER - 1))
    for k in range(number):
        start, end = float(first[0, k]), float(last[0, k])
        wanted, *_ = np.linalg.lstsq(basis, flux_of(tokens, start + (end - start) * place))
        assert np.allclose(np.sinh(value[0, k, :-1].numpy()) / 8, wanted, atol=1e-4)
    middles = first[..., None] + (last - first)[..., None] * torch.from_numpy(place)
    assert torch.equal(which, ((middles - 5000) / 40).floor().long())


def test_joined_pixels_are_means():
    """Where new pixels are three old ones, the curve is averaged over them."""
    tokens = drawn()
    first, last = edges(5000.0, 5240.0, 2)
    value, _ = recut(tokens, first, last, patch_size=PATCH, joined=3)
    middle = 5000.0 + 120.0 * (np.arange(6 * PATCH) + 0.5) / (3 * PATCH)
    mean = flux_of(tokens, middle).reshape(2, PATCH, 3).mean(-1)
    place = (np.arange(PATCH) + 0.5) / PATCH
    basis = np.cos(np.pi * place[:, None] * np.arange(NUMBER - 1))
    wanted = np.linalg.lstsq(basis, mean.T)[0].T
    assert np.allclose(np.sinh(value[0, :, :-1].numpy()) / 8, wanted, atol=1e-4)


def test_noise_of_joined_and_divided_pixels():
    """Two pixels joined have the noise of one over the root of two."""
    tokens = drawn()
    tokens.value[..., -1] = -3.0
    for number, factor in ((3, 2**-0.5), (12, 2**0.5)):
        value, _ = recut(tokens, *edges(5000.0, 5240.0, number), patch_size=PATCH)
        assert torch.allclose(value[..., -1], torch.tensor(-3.0 + math.log(factor)), atol=1e-5)


def test_only_real_pixels_of_valid_tokens_count():
    """Nothing lies in a token that is not valid, nor in the padding of the last."""
    tokens = drawn()
    tokens.valid[0, 2] = False
    end = 5040.0 + 40.0 * torch.arange(6, dtype=torch.float64)[None]
    end[0, 5] = 5220.0
    tokens = dataclasses.replace(tokens, end=end)
    first, last = edges(4980.0, 5260.0, 14)
    _, which = recut(tokens, first, last, patch_size=PATCH)
    wanted = torch.tensor([-1, 0, 0, 1, 1, -1, -1, 3, 3, 4, 4, 5, -1, -1])
    assert torch.equal(which, wanted[None, :, None].expand(1, 14, PATCH))
