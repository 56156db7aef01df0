"""What a model does before it has learnt anything: every patch is a sum of cosines."""

import numpy as np
import pytest
import torch

import spectok
from spectok._batch import PatchLayout, SpectrumBatch
from spectok.model import ModelConfig, SpectralTokenizer

PATCH = 32


@pytest.fixture(scope="module")
def new():
    torch.manual_seed(5)
    return SpectralTokenizer(ModelConfig.of_size("tiny")).eval().requires_grad_(False)


def smooth(wavelength):
    """A continuum with lines that are 8 pixels of 1.3 A wide."""
    lines = [(0.5, 4101.0), (-0.4, 4155.5), (1.5, 4240.3), (-0.8, 4333.3)]
    flux = 1 + 0.2 * np.sin(wavelength / 150)
    for depth, centre in lines:
        flux += depth * np.exp(-0.5 * ((wavelength - centre) / 4.4) ** 2)
    return flux


def batch_of(wavelength, flux, sigma):
    layout = PatchLayout.of(wavelength, PATCH)
    sigma = np.broadcast_to(sigma, flux.shape)
    return SpectrumBatch.from_layouts([layout], [flux], [sigma], [np.ones(flux.shape, bool)])


OWN = 4000.0 + 1.3 * np.arange(12 * PATCH)


@pytest.mark.parametrize(
    "wavelength",
    [
        pytest.param(OWN, id="own grid"),
        pytest.param(4003.0 + 0.47 * np.arange(32 * PATCH), id="finer"),
        pytest.param(4001.3 + 2.9 * np.arange(5 * PATCH), id="coarser"),
    ],
)
def test_it_returns_smooth_spectra(wavelength, new):
    tokens = new.encode(batch_of(OWN, smooth(OWN), 1e-4))
    flux, sigma = new.decode(tokens, torch.from_numpy(wavelength)[None])
    wrong = np.abs(flux[0].numpy() * tokens.scale.item() - smooth(wavelength))
    assert np.median(wrong) < 2e-4
    # Where the edge of a patch cuts a line, cosines, which are level there, err by more.
    assert np.sqrt((wrong**2).mean()) < 0.004 and wrong.max() < 0.06
    # And says that it may err by half the noise.
    assert np.allclose(sigma * tokens.scale, 0.5e-4, rtol=1e-3)


@pytest.mark.parametrize("snr", [1.0, 10.0, 100.0])
def test_it_removes_noise(snr, new):
    rng = np.random.default_rng(0)
    truth = smooth(OWN)
    tokens = new.encode(batch_of(OWN, truth + rng.normal(size=OWN.size) / snr, 1 / snr))
    flux, _ = new.decode(tokens, torch.from_numpy(OWN)[None])
    wrong = (flux[0].numpy() * tokens.scale.item() - truth) * snr
    assert np.sqrt((wrong**2).mean()) < 0.75


def test_tokens_are_coefficients_and_noise(new):
    tokens = new.encode(batch_of(OWN, np.full(OWN.size, 3.0), 0.03))
    expected = np.zeros((12, 16))
    expected[:, 0], expected[:, 15] = np.arcsinh(8.0), np.log(0.01)
    assert np.allclose(tokens.value[0], expected, atol=1e-5)


@pytest.mark.parametrize("snr", [1.0, 30.0, 1000.0, 1e5])
def test_the_network_changes_tokens_in_units_of_the_noise(snr, tiny_folder, new):
    changed = spectok.load_model(tiny_folder)
    rng = np.random.default_rng(1)
    batch = batch_of(OWN, smooth(OWN) + rng.normal(size=OWN.size) / snr, 1 / snr)
    a, b = (m.encode(batch).value.double().numpy()[0] for m in (new, changed))
    coefficients = (np.sinh(b[:, :15]) - np.sinh(a[:, :15])) / 8
    relative = coefficients / np.exp(a[:, 15:])
    # The last map of that model hands on about half of what it gets, which is of order 1.
    assert 0.3 < np.sqrt((relative**2).mean()) < 1.5
    assert 0.1 < np.abs(b[:, 15] - a[:, 15]).max() < 5


def test_a_constant_change_is_that_many_times_the_noise(tiny_folder):
    model = spectok.load_model(tiny_folder)
    model.to_token.weight.zero_()
    for snr in (2.0, 100.0):
        batch = batch_of(OWN, smooth(OWN), 1 / snr)
        before = model.encode(batch).value
        model.to_token.bias.fill_(1.0)
        after = model.encode(batch).value
        model.to_token.bias.zero_()
        difference = (after[..., :15].double().sinh() - before[..., :15].double().sinh()) / 8
        expected = np.sinh(1.0) * before[..., 15:].double().exp()
        assert np.allclose(difference, expected.expand_as(difference), rtol=1e-3, atol=0)
        assert np.allclose(after[..., 15] - before[..., 15], 1.0, atol=1e-5)
