"""Phases of the wavelength embedding, against arithmetic with 60 digits."""

import dataclasses
from decimal import Decimal, getcontext

import numpy as np
import pytest
import torch

from spectok.model import ModelConfig
from spectok.model._embedding import WavelengthEmbedding, patch_place, patchify, unpatchify

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
        config.n_periods, config.min_period, config.max_period, config.width
    )


def sines_and_cosines(cycles):
    angle = 2 * np.pi * cycles.double().numpy()
    return np.concatenate([np.sin(angle), np.cos(angle)], axis=-1)


def test_the_reference_knows_its_sines():
    for x in (0.3, 2.0, 4.0, 6.2, -1.0, 1000.0):
        assert sine_and_cosine(Decimal(x)) == pytest.approx((np.sin(x), np.cos(x)), abs=1e-12)


@pytest.mark.parametrize("wavelength", [1216.0, 4000.123, 17000.0, 16999.9871, 240000.0])
@pytest.mark.parametrize("min_period", [8.0, 0.5])
def test_phase_is_right_to_a_millionth(wavelength, min_period):
    config = ModelConfig.of_size("base", min_period=min_period)
    cycles = embedding_of(config).cycles(torch.tensor([wavelength], dtype=torch.float64))[0]
    assert np.abs(sines_and_cosines(cycles) - reference(wavelength, config)).max() < 1e-6
    assert (cycles >= 0).all() and (cycles <= 1).all()


@pytest.mark.parametrize("half", [0.75, 24.8])
@pytest.mark.parametrize("centre", [4000.123, 17000.0])
def test_embedding_is_the_place_and_the_length_through_a_linear_map(centre, half):
    config = ModelConfig.of_size("tiny", width=16)
    embedding = embedding_of(config)
    place = [torch.tensor([[x]], dtype=torch.float64) for x in (centre, half)]
    with torch.no_grad():
        torch.nn.init.normal_(embedding.project.weight)
        found = embedding(*place)
    assert found.shape == (1, 1, 16) and found.dtype == torch.float32
    given = np.append(reference(centre, config), np.log(half) - 2)
    weight, bias = (p.detach().double().numpy() for p in embedding.project.parameters())
    assert np.abs(found[0, 0].numpy() - (weight @ given + bias)).max() < 1e-5


def test_a_patch_without_a_length_is_embedded_all_the_same():
    place = [torch.tensor([[x]], dtype=torch.float64) for x in (5000.0, 0.0)]
    assert torch.isfinite(embedding_of(ModelConfig.of_size("tiny"))(*place)).all()


def test_naive_float32_would_fail():
    """What the embedding guards against: 0.02 at 17,000 A and a period of 0.5 A."""
    wavelength = np.linspace(16990.0, 17000.0, 1001)
    naive = np.sin(2 * np.pi * wavelength.astype(np.float32) / np.float32(0.5))
    assert np.abs(naive - np.sin(2 * np.pi * wavelength / 0.5)).max() > 5e-3


def test_as_many_periods_as_asked_for_from_the_same_range():
    config = ModelConfig.of_size("tiny")
    embedding = embedding_of(config)
    wavelength = torch.tensor([4000.123, 17000.0], dtype=torch.float64)
    cycles = embedding.cycles(wavelength, 5)
    assert cycles.shape == (2, 5) and cycles.dtype == torch.float32
    expected = reference(17000.0, dataclasses.replace(config, n_periods=5))
    assert np.abs(sines_and_cosines(cycles[1]) - expected).max() < 1e-6
    period = 1 / embedding.frequency(torch.device("cpu"), 5).numpy()
    assert period[[0, -1]] == pytest.approx([config.min_period, config.max_period], rel=1e-12)


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


def test_place_of_a_patch_is_its_middle_and_half_its_length():
    wavelength = torch.tensor([[1.0, 2.0, 4.0, 10.0, 10.5, 11.5]], dtype=torch.float64)
    centre, half = patch_place(wavelength, 3)
    assert centre.tolist() == [[2.5, 10.75]] and half.tolist() == [[1.5, 0.75]]
    assert centre.dtype == half.dtype == torch.float64
