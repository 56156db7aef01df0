"""Models of light curves: bands, patches of few points, times of their own."""

import numpy as np
import pytest
import torch

import spectok
from spectok._batch import Prepared, SpectrumBatch
from spectok._curves import curve_layout
from spectok.model._bands import band_phases, keep_bands_apart

BANDS = np.array([4820.0, 6410.0, 7810.0, 9250.0])


def curve(n, seed, bands=BANDS):
    rng = np.random.default_rng(seed)
    band, time = rng.choice(bands, n), rng.uniform(0, 120, n)
    order = np.lexsort((time, band))
    return time[order], band[order], 5 * np.sin(time[order] / 20) + rng.normal(size=n)


def batch_of(curves, patch_size=4):
    ready = []
    for time, band, flux in curves:
        ones = np.ones(time.size)
        ready.append(Prepared(curve_layout(time, band, patch_size), flux, ones, ones > 0))
    return SpectrumBatch.of(ready)


@pytest.fixture(scope="module")
def model():
    """Whose every weight matters."""
    torch.manual_seed(3)
    model = spectok.SpectralTokenizer(
        spectok.ModelConfig.of_size(
            "tiny", coordinate_unit="d", patch_size=4, token_size=12, context_size=7,
            min_period=0.5, max_period=2048.0, embedding_size=8, reader_group=1,
        )
    )  # fmt: skip
    with torch.no_grad():
        for module in (model.to_token, model.to_pixels):
            torch.nn.init.normal_(module.weight, std=0.1)
        for module in (model.embed_wavelength, model.embed_output):
            torch.nn.init.normal_(module.project.weight, std=0.2)
        torch.nn.init.normal_(model.process.own.weight, std=0.05)
    return model.eval()


def test_alone_or_among_others(model):
    curves = [curve(n, n) for n in (31, 52, 7, 1)]
    with torch.inference_mode():
        together = model(batch_of(curves))
        vectors = model.embed(together[0])
        for row, one in enumerate(curves):
            alone = model(batch_of([one]))
            n = alone[0].value.shape[1]
            assert torch.allclose(together[0].value[row, :n], alone[0].value[0], atol=1e-4)
            places = alone[1].shape[1]
            assert torch.allclose(together[1][row, :places], alone[1][0], atol=1e-3)
            assert torch.allclose(vectors[row], model.embed(alone[0])[0], atol=1e-4)
    assert all(part.isfinite().all() for part in (together[0].value, *together[1:], vectors))


def test_a_point_alone_is_a_token(model):
    with torch.inference_mode():
        tokens = model.encode(batch_of([curve(1, 0)]))
    assert tokens.valid.tolist() == [[True]]


def test_another_band_and_another_time_say_something_else(model):
    """The filter and each point's own time within its patch are seen."""
    time, band, flux = curve(8, 1, BANDS[:1])
    moved = time.copy()
    moved[1] += 0.4 * (time[2] - time[1])
    with torch.inference_mode():
        first, other, later = (
            model.encode(batch_of([(t, b, flux)])).value
            for t, b in ((time, band), (time, band + 1500.0), (moved, band))
        )
    assert not torch.allclose(first, other, atol=1e-3)
    assert not torch.allclose(first, later, atol=1e-3)


def test_a_band_far_away_is_embedded_as_the_nearest(model):
    band = torch.tensor([[4000.0, 6000.0, 9000.0]], dtype=torch.float64)
    valid = torch.tensor([[True, True, False]])
    own, asked = keep_bands_apart(band, valid, torch.tensor([[4200.0, 8900.0]]).double())
    assert asked[0].tolist() == own[0, :2].tolist()


def test_new_decoders_follow_what_bright_points_say():
    """A new network is a process through its cosines, of bands that differ."""
    torch.manual_seed(0)
    model = spectok.SpectralTokenizer(
        spectok.ModelConfig.of_size("tiny", coordinate_unit="d", patch_size=4, token_size=6)
    )
    time = np.tile(np.arange(0.0, 40.0, 2.0), 2)
    band = np.repeat(BANDS[:2], 20)
    flux = np.where(band == BANDS[0], 100.0 + time, 300.0 - 2 * time)
    batch = batch_of([(time, band, flux)])
    with torch.inference_mode():
        tokens, found, _ = model(batch)
    again = found[batch.valid] * tokens.scale
    assert (again - batch.flux[batch.valid]).abs().max() < 1.5


def test_bands_of_two_surveys_are_alike_and_others_are_not():
    g, other_g, z = band_phases(torch.tensor([4750.0, 4820.0, 9250.0], dtype=torch.float64))
    assert (g - other_g).norm() < 0.2 * (g - z).norm()


def test_bands_where_they_belong(model):
    batch = batch_of([curve(20, 0)])
    with torch.inference_mode():
        tokens = model.encode(batch)
        with pytest.raises(ValueError, match="light curves, but what is asked for has no bands"):
            model.decode(tokens, batch.wavelength)
        spectra = spectok.SpectralTokenizer(spectok.ModelConfig.of_size("tiny", patch_size=4))
        with pytest.raises(ValueError, match="spectra, but the tokens have bands"):
            spectra.decode(spectra.encode(batch), batch.wavelength, band=batch.band)
