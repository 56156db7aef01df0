"""Phases of the wavelength embedding, against arithmetic with 60 digits."""

from decimal import Decimal, getcontext

import numpy as np
import pytest
import torch

from spectok.model import ModelConfig
from spectok.model._embedding import WavelengthEmbedding, patch_centre, patchify, unpatchify

getcontext().prec = 60
PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459")


def sine_and_cosine(angle):
    """By their series, after a reduction that loses no digit."""
    angle %= 2 * PI
    sine, cosine, term = Decimal(0), Decimal(0), Decimal(1)
    for n in range(1, 90):
        if n % 2:
            cosine += term if n % 4 == 1 else -term
        else:
            sine += term if n % 4 == 2 else -term
        term = term * angle / n
    return float(sine), float(cosine)


def reference(wavelength, config):
    low, high = (Decimal(p).ln() for p in (config.min_period, config.max_period))
    periods = [
        (low + (high - low) * k / (config.n_periods - 1)).exp() for k in range(config.n_periods)
    ]
    pairs = [sine_and_cosine(2 * PI * Decimal(float(wavelength)) / p) for p in periods]
    return np.array([s for s, _ in pairs] + [c for _, c in pairs])


def embedding_of(config):
    return WavelengthEmbedding(
        config.n_periods, config.min_period, config.max_period, config.patch_size, config.width
    )


def test_the_reference_knows_its_sines():
    for x in (0.3, 2.0, 4.0, 6.2, -1.0, 1000.0):
        assert sine_and_cosine(Decimal(x)) == pytest.approx((np.sin(x), np.cos(x)), abs=1e-12)


@pytest.mark.parametrize("start", [1216.0, 4000.123, 17000.0, 16999.9871, 240000.0])
@pytest.mark.parametrize("step", [0.05, 0.1957, 1.3])
@pytest.mark.parametrize("min_period", [8.0, 0.5])
def test_phase_is_right_to_a_few_millionths(start, step, min_period):
    config = ModelConfig.of_size("tiny", min_period=min_period)
    wavelength = start + step * np.arange(config.patch_size)
    patches = torch.from_numpy(wavelength).reshape(1, 1, -1)
    pixels = embedding_of(config).pixel_embedding(patches)[0, 0].double().numpy()
    chosen = (0, 7, config.patch_size - 1)
    expected = np.stack([reference(wavelength[i], config) for i in chosen])
    # float32 holds 2 pi n + x, n up to 43 cycles from the centre, to 43 * 2 pi * 6e-8 = 1.6e-5.
    bound = 1e-6 + 2 * np.pi * 6e-8 * (step * 16 / min_period)
    assert np.abs(pixels[list(chosen)] - expected).max() < 2 * bound


def test_naive_float32_would_fail():
    """What the embedding guards against: 0.02 at 17,000 A and a period of 0.5 A."""
    wavelength = np.linspace(16990.0, 17000.0, 1001)
    naive = np.sin(2 * np.pi * wavelength.astype(np.float32) / np.float32(0.5))
    assert np.abs(naive - np.sin(2 * np.pi * wavelength / 0.5)).max() > 5e-3


def test_cycles_of_single_wavelengths():
    config = ModelConfig.of_size("base")
    cycles = embedding_of(config).cycles(torch.tensor([17000.0], dtype=torch.float64))[0]
    angle = 2 * np.pi * cycles.double().numpy()
    expected = reference(17000.0, config)
    assert np.abs(np.concatenate([np.sin(angle), np.cos(angle)]) - expected).max() < 1e-6
    assert (cycles >= 0).all() and (cycles <= 1).all()


def test_periods_span_their_range():
    config = ModelConfig.of_size("base")
    period = 1 / embedding_of(config).frequency(torch.device("cpu")).numpy()
    assert period.dtype == np.float64
    assert period[[0, -1]] == pytest.approx([config.min_period, config.max_period], rel=1e-12)
    assert np.allclose(np.diff(np.log(period)), np.log(period[1] / period[0]))


def test_patchify_and_back():
    pixels = torch.arange(2 * 96.0).reshape(2, 96)
    patches = patchify(pixels, 32)
    assert patches.shape == (2, 3, 32) and torch.equal(patches[1, 2], pixels[1, 64:])
    assert torch.equal(unpatchify(patches), pixels)
    assert patch_centre(pixels, 32)[0].tolist() == [15.5, 47.5, 79.5]
