"""Plots: what is drawn, and on which axes."""

import matplotlib
import numpy as np
import pytest

matplotlib.use("Agg")
import matplotlib.pyplot as plt

import spectok
from spectok import plotting, simulate


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def spectrum():
    return simulate.observe("sdss", kind="star", snr=20)[0][:960]


@pytest.fixture(scope="module")
def tokens(spectrum, tiny):
    return spectok.encode(spectrum, model=tiny)


def test_reconstruction_shows_data_model_band_and_residuals(spectrum, tokens, tiny):
    again = spectok.decode(tokens, spectrum.spectral_axis, model=tiny)
    hidden = np.zeros(960, bool)
    hidden[100:112] = hidden[400:412] = True
    top, bottom = plotting.plot_reconstruction(spectrum, again, hidden=hidden, title="mock")
    labels = top.get_legend_handles_labels()[1]
    assert labels == [
        "data", "its error", "model ± 1σ", "reconstruction", "hidden from the encoder"
    ]  # fmt: skip
    drawn = next(line for line in top.lines if line.get_label() == "reconstruction")
    np.testing.assert_allclose(drawn.get_ydata(), again.flux.value)
    # Seen and hidden residuals are apart and together complete.
    seen, unseen = (line.get_ydata() for line in bottom.lines[:2])
    good = ~np.asarray(spectrum.mask)
    assert np.isfinite(unseen).sum() == (hidden & good).sum()
    assert np.isfinite(seen).sum() == (~hidden & good).sum()
    assert "Å" in bottom.get_xlabel()
    assert top.get_title() == "mock"


def test_reconstruction_on_given_axes_makes_no_figure(spectrum, tokens, tiny):
    again = spectok.decode(tokens, spectrum.spectral_axis, model=tiny)
    _, axes = plt.subplots(2)
    before = plt.get_fignums()
    returned = plotting.plot_reconstruction(spectrum, again, axes=axes)
    assert plt.get_fignums() == before
    assert list(returned) == list(axes)


def test_arms_share_the_axes(spectrum, tiny):
    arms = [spectrum[:480], spectrum[480:]]
    tokens = spectok.encode(arms, arms=True, model=tiny)
    again = [spectok.decode(tokens, arm.spectral_axis, model=tiny) for arm in arms]
    top, _ = plotting.plot_reconstruction(arms, again)
    assert len(top.get_legend_handles_labels()[1]) == 4  # said once, not once an arm


def test_two_dimensional_spectra_are_refused(spectrum, tokens, tiny):
    again = spectok.decode(tokens, spectrum.spectral_axis[:100], model=tiny)
    with pytest.raises(ValueError, match="one-dimensional spectra"):
        plotting.plot_reconstruction(spectrum, again)
    with pytest.raises(ValueError, match="one of each for every arm"):
        plotting.plot_reconstruction([spectrum, spectrum], again)


def test_token_map(tokens):
    axes = plotting.plot_tokens(tokens)
    low, high = axes.get_xlim()
    assert low == pytest.approx(tokens["wavelength_min"].value.min())
    assert high == pytest.approx(tokens["wavelength_max"].value.max())
    assert "30 tokens" in axes.get_title()


def test_token_map_of_an_unknown_spectrum(tokens):
    with pytest.raises(ValueError, match="no valid token of spectrum 7"):
        plotting.plot_tokens(tokens, 7)
