"""Tokens on a grid of log wavelength: against sums of their cosines over fine pixels."""

import math

import numpy as np
import pytest
import torch

from spectok.probes._redshift_grid import N_CHANNELS, channels_of, log_grid, on_log_grid, placed

STEP = 1e-3
CENTRES = np.array([4000.0, 4100.0, 4300.0])  # between the second and the third is a gap
HALF = np.full(3, 50.0)


def item_of(coefficients, log_noise, centres=CENTRES, half=HALF):
    """An item whose flux is a known sum of cosines."""
    token = np.concatenate([np.arcsinh(8.0 * coefficients), log_noise[:, None]], 1)
    fields = [("wavelength", float), ("half", float), ("token", np.float32, token.shape[1:])]
    item = np.empty(len(token), fields)
    item["wavelength"], item["half"], item["token"] = centres, half, token
    return item


@pytest.fixture
def coefficients():
    return np.random.default_rng(3).normal(0.0, 0.4, (3, 6)) + [1.0, 0, 0, 0, 0, 0]


@pytest.fixture
def item(coefficients):
    return item_of(coefficients, np.log([0.1, 0.2, 0.3]))


def truth(coefficients, wavelength):
    """The flux of the first patch whose range holds a wavelength; NaN in the gap."""
    flux = np.full(wavelength.shape, np.nan)
    for centre, half, one in zip(CENTRES, HALF, coefficients, strict=True):
        inside = np.abs(wavelength - centre) <= half
        place = (wavelength[inside] - centre + half) / (2 * half)
        flux[inside] = sum(c * np.cos(k * np.pi * place) for k, c in enumerate(one))
    return flux


def test_flux_is_the_mean_over_a_pixel(item, coefficients):
    first, size = log_grid([item], STEP)
    flux, _, covered = on_log_grid([item], first, size, STEP)
    for pixel in np.flatnonzero(covered[0].numpy()):
        fine = 10.0 ** (STEP * (first + pixel + np.linspace(-0.5, 0.5, 2001)))
        known = truth(coefficients, fine)
        if np.isfinite(known).all() and len(np.unique(np.rint((fine - 3950) // 100))) == 1:
            assert flux[0, pixel] == pytest.approx(known.mean(), abs=5e-3)


def test_gap_and_ends_are_not_covered(item):
    first, size = log_grid([item], STEP)
    flux, noise, covered = on_log_grid([item], first - 5, size + 10, STEP)
    wavelength = 10.0 ** (STEP * (first - 5 + np.arange(size + 10)))
    inside = (np.abs(wavelength[:, None] - CENTRES) <= HALF).any(1)
    assert np.array_equal(covered[0].numpy(), inside)
    assert (flux[0][~covered[0]] == 0).all() and (noise[0][~covered[0]] == 1).all()


def test_noise_falls_with_the_pixels_that_are_averaged(item):
    first, size = log_grid([item], STEP)
    _, noise, covered = on_log_grid([item], first, size, STEP)
    wavelength = 10.0 ** (STEP * (first + np.arange(size)))
    here = covered[0].numpy() & (wavelength < 4050)
    pixels = 4000.0 * STEP * math.log(10.0) / (100.0 / 32)
    assert noise[0].numpy()[here] == pytest.approx(0.1 / math.sqrt(pixels), rel=1e-4)


def test_wider_grid_shifts_nothing(item):
    first, size = log_grid([item], STEP)
    narrow = on_log_grid([item], first, size, STEP)
    wide = on_log_grid([item], first - 3, size + 3, STEP)
    for a, b in zip(narrow, wide, strict=True):
        assert torch.equal(a, b[:, 3:])


def test_redshift_is_a_shift(coefficients):
    noise = np.log([0.1, 0.2, 0.3])
    stretch = 10.0 ** (17 * STEP)
    near = item_of(coefficients, noise)
    far = item_of(coefficients, noise, CENTRES * stretch, HALF * stretch)
    first, size = log_grid([near], STEP)
    one, other = placed([near], first, size, STEP), placed([far], first + 17, size, STEP)
    assert one.shape == (1, N_CHANNELS, size)
    # A pixel at the very edge of a patch may fall on either side.
    same = one[:, -1] == other[:, -1]
    assert same.float().mean() > 0.95
    if same.all():
        assert torch.allclose(one.float(), other.float(), atol=2e-2)


def test_scale_of_the_noise_is_all_that_a_flux_line_changes():
    flux = torch.ones(1, 400)
    flux[0, 200] += 5.0
    covered = torch.ones(1, 400, dtype=torch.bool)
    some = channels_of(flux, torch.full_like(flux, 0.5), covered, STEP)
    fewer = channels_of(flux, torch.full_like(flux, 0.05), covered, STEP)
    assert some[0, 0, 200] == pytest.approx(math.asinh(5.0 * (1 - 1 / 17) / 0.5), rel=2e-3)
    assert fewer[0, 0, 200] == pytest.approx(math.asinh(5.0 * (1 - 1 / 17) / 0.05), rel=2e-3)
    assert some[0, :, 10].abs().max() < 3.0 and torch.isfinite(fewer).all()


def test_channels_of_nothing_are_zero():
    flux, noise = torch.randn(2, 50), torch.ones(2, 50)
    covered = torch.zeros(2, 50, dtype=torch.bool)
    assert (channels_of(flux, noise, covered, STEP) == 0).all()


def test_empty_item(item):
    first, size = log_grid([item, item[:0]], STEP)
    found = placed([item, item[:0]], first, size, STEP)
    assert (found[1] == 0).all() and (found[0] != 0).any()
