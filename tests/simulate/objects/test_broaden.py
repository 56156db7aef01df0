"""Broadening in the Fourier domain against convolution in real space."""

import numpy as np
import pytest
import torch
from scipy.interpolate import CubicSpline

from spectok.simulate._fine_grid import FINE, FineGrid
from spectok.simulate.objects._broaden import broaden


def smooth_noise(n, seed=0):
    """What a spectrograph of some resolution may show: noise without detail below two points."""
    kernel = np.exp(-0.5 * (np.arange(-12, 13) / 2.0) ** 2)
    noise = np.random.default_rng(seed).normal(size=n)
    return 5 + np.convolve(noise, kernel / kernel.sum(), "same")


def convolved(flux, offsets, weights, at):
    """Weighted mean of the flux at points moved by offsets [points]."""
    spline = CubicSpline(np.arange(len(flux)), flux)
    return spline(at[:, None] - offsets) @ (weights / weights.sum())


@pytest.mark.parametrize("step", [2.5e-5, 4e-6])
@pytest.mark.parametrize("sigma", [10.0, 60.0, 250.0])
def test_gaussian(step, sigma):
    grid = FineGrid(((3.6, 3000),), step)
    flux, at = smooth_noise(3000), np.arange(1000, 2000, 7)
    if 4 * sigma / grid.velocity > 900:
        at = np.array([1500])
    seen = broaden(torch.as_tensor(flux[None]).float(), grid, sigma=torch.tensor([sigma]))
    x = np.linspace(-5, 5, 4001)
    expected = convolved(flux, x * sigma / grid.velocity, np.exp(-0.5 * x**2), at)
    np.testing.assert_allclose(seen[0, at].numpy(), expected, atol=2e-3 * flux.std())


@pytest.mark.parametrize("step", [2.5e-5, 4e-6, 6e-6])
@pytest.mark.parametrize("rotation", [3.0, 12.0, 60.0, 300.0])
def test_rotation_has_grays_profile(step, rotation):
    grid = FineGrid(((3.6, 2000),), step)
    flux, at = smooth_noise(2000), np.arange(500, 1500, 7)
    seen = broaden(torch.as_tensor(flux[None]).float(), grid, rotation=torch.tensor([rotation]))
    # Gray (2005), equation 18.14, limb darkening 0.6, at the cosines of equal angles.
    angle = (np.arange(4000) + 0.5) / 4000 * np.pi
    y, darkening = np.cos(angle), 0.6
    profile = 2 * (1 - darkening) * np.sqrt(1 - y**2) + np.pi * darkening / 2 * (1 - y**2)
    expected = convolved(flux, y * rotation / grid.velocity, profile * np.sin(angle), at)
    np.testing.assert_allclose(seen[0, at].numpy(), expected, atol=4e-3 * flux.std())


def test_both_at_once_and_each_spectrum_its_own():
    grid = FineGrid(((3.6, 1000),), 2.5e-5)
    flux = torch.as_tensor(np.stack([smooth_noise(1000, k) for k in range(3)])).float()
    sigma, rotation = torch.tensor([20.0, 80.0, 200.0]), torch.tensor([100.0, 10.0, 50.0])
    together = broaden(flux, grid, sigma=sigma, rotation=rotation)
    for k in range(3):
        one = broaden(flux[k : k + 1], grid, sigma=sigma[k : k + 1])
        one = broaden(one, grid, rotation=rotation[k : k + 1])
        middle = slice(150, -150)
        torch.testing.assert_close(together[k, middle], one[0, middle], atol=2e-4, rtol=0)


@pytest.mark.parametrize("name", FINE)
def test_a_constant_stays_one_in_every_segment(name):
    fine = FINE[name]
    level = torch.cat([torch.full((b - a,), 1.0 + k) for k, (a, b) in enumerate(fine.bounds())])
    seen = broaden(level[None], fine, sigma=torch.tensor([90.0]), rotation=torch.tensor([200.0]))
    torch.testing.assert_close(seen[0], level, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", FINE)
def test_ends_do_not_see_each_other(name):
    fine = FINE[name]
    flux = torch.zeros(1, fine.size)
    for _, last in fine.bounds():
        flux[:, last - 30 : last] = 1.0
    widest = 281.0 if name == "optical" else 140.0  # galaxies are seen in the optical only
    for how in ({"rotation": torch.tensor([500.0])}, {"sigma": torch.tensor([widest])}):
        seen = broaden(flux, fine, **how)
        for first, _ in fine.bounds():
            assert seen[0, first : first + 500].abs().max() < 2e-4
