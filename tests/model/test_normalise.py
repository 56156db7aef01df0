"""The scale, and the fast asinh."""

import numpy as np
import pytest
import torch

from spectok.model._normalise import asinh, median_scale


@pytest.mark.parametrize(
    ("flux", "sigma", "scale", "from_noise"),
    [
        ([1.0, 2.0, 30.0], [0.1, 0.1, 9.0], 2.0, False),
        ([-1.0, -2.0, -3.0], [0.1, 0.4, 9.0], 0.4, True),
        ([0.0, 0.0, 0.0], [0.1, 0.1, 0.1], 0.1, True),
        ([0.05, 0.2, 0.0], [0.1, 0.1, 0.1], 0.1, True),
    ],
)
def test_scale(flux, sigma, scale, from_noise):
    valid = torch.ones(1, 3, dtype=torch.bool)
    got, noise = median_scale(torch.tensor([flux]), torch.tensor([sigma]), valid)
    assert got.item() == pytest.approx(scale) and noise.item() is from_noise


def test_scale_heeds_good_pixels_only():
    flux = torch.tensor([[1.0, np.nan, 3.0, 1e30, 2.0]])
    sigma = torch.tensor([[1.0, np.nan, 1.0, np.inf, 1.0]])
    valid = torch.tensor([[True, False, True, False, True]])
    assert median_scale(flux, sigma, valid)[0].item() == 2.0
    scale, _ = median_scale(flux, sigma, torch.zeros_like(valid))
    assert scale.item() == 1.0


def test_asinh_over_all_magnitudes():
    x = np.concatenate(
        [-np.geomspace(1e-30, 1e18, 500)[::-1], [0], np.geomspace(1e-30, 1e18, 500)]
    )
    got = asinh(torch.from_numpy(x).float()).double().numpy()
    assert np.allclose(got, np.arcsinh(x.astype(np.float32).astype(float)), rtol=3e-7, atol=0)
    assert torch.isfinite(asinh(torch.tensor([3e38, -3e38, torch.inf]))).all()
