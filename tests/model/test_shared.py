"""Tokens of all spectrographs on the same patches, before the reader."""

import numpy as np
import pytest
import torch
from astropy import units as u
from astropy.utils.exceptions import AstropyUserWarning

import spectok
from spectok import ModelConfig, SpectralTokenizer
from spectok._tokens import sequences, to_token_batch
from spectok.model._shared import joined_pixels, on_shared_patches

STEP = 3.2e-3


def grid(low, high, step):
    """Wavelengths at multiples of a step in dex."""
    return 10.0 ** np.arange(np.log10(low), np.log10(high), step)


# Of SDSS, of an instrument with linear pixels, half as long, and of one thirty times as sharp.
GRIDS = {
    "log": grid(4000.0, 9000.0, 1e-4),
    "linear": np.arange(4300.0, 8000.0, 0.8),
    "sharp": grid(5000.0, 5100.0, 3.3e-6),
}


def spectrum(name, *, seed=0, bad=()):
    """Flux with a line, and its inverse variance, which is 0 in some stretches."""
    rng, wavelength = np.random.default_rng(seed), GRIDS[name]
    line = 1.5 * np.exp(-0.5 * ((wavelength - 5050.0) / 8.0) ** 2)
    ivar = np.full(len(wavelength), 400.0)
    for low, high in bad:
        ivar[(wavelength > low) & (wavelength < high)] = 0.0
    return wavelength, 2.0 + line + rng.normal(0, 0.05, len(wavelength)), ivar


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(3)
    config = ModelConfig.of_size("tiny", embedding_size=8, reader_step=STEP, context_size=3)
    return SpectralTokenizer(config).eval().requires_grad_(False)


def tokens_of(model, name, **options):
    wavelength, flux, ivar = spectrum(name, **options)
    return spectok.encode_arrays(wavelength, flux, ivar=ivar, model=model)


def batch_of(*tables):
    return to_token_batch([one for table in tables for one in sequences(table)])


@pytest.mark.parametrize("name", ["log", "linear"])
@pytest.mark.parametrize("bad", [(), [(5000.0, 5400.0), (7990.0, 8001.0)]])
def test_patches_are_those_of_to_rest_frame(model, name, bad):
    """The same patches and the same numbers as the function that users cut tokens with."""
    tokens = tokens_of(model, name, bad=bad)
    ((rows, cut),) = on_shared_patches(batch_of(tokens), model.config)
    assert rows.tolist() == [0]
    (wanted,) = sequences(spectok.to_rest_frame(tokens, 0.0, step=STEP))
    own = {
        round(float(w), 6): (v.numpy(), float(h))
        for w, v, h, k in zip(
            cut.wavelength[0], cut.value[0], cut.half[0], cut.valid[0], strict=True
        )
        if k
    }
    valid = wanted.valid
    assert sorted(own) == [round(float(w), 6) for w in wanted.wavelength[valid]]
    for place, token, low in zip(
        wanted.wavelength[valid], wanted.token[valid], wanted.wavelength_min[valid], strict=True
    ):
        value, half = own[round(float(place), 6)]
        assert np.allclose(value, token, atol=1e-5)
        assert half == pytest.approx(place - low, rel=1e-9)


def test_all_spectrographs_share_patches_and_groups(model):
    config, found = model.config, {}
    for name in ("log", "linear"):
        ((_, cut),) = on_shared_patches(batch_of(tokens_of(model, name)), config)
        edge = torch.log10(cut.wavelength[0] - cut.half[0] * 32 / 31) / STEP
        assert torch.allclose(edge, edge.round(), atol=1e-6)
        assert int(edge[0].round()) % config.reader_group == 0  # so groups begin alike
        found[name] = {int(k) for k, good in zip(edge.round(), cut.valid[0], strict=True) if good}
    assert found["linear"] < found["log"]


def test_what_is_much_sharper_keeps_its_patches(model):
    tokens = batch_of(tokens_of(model, "sharp"))
    assert joined_pixels(tokens, model.config).tolist() == [0]
    ((_, same),) = on_shared_patches(tokens, model.config)
    assert torch.equal(same.value, tokens.value) and torch.equal(same.half, tokens.half)


def test_pixels_are_joined_as_many_as_fit(model):
    batch = batch_of(tokens_of(model, "log"), tokens_of(model, "linear"))
    # 0.8 Angstrom at 6150 Angstrom are 5.65e-5 dex, of 1e-4.
    assert joined_pixels(batch, model.config).tolist() == [1, 2]


def part(model, low, high, seed=0):
    """Tokens of a stretch of the spectrum with logarithmic pixels."""
    wavelength, flux, ivar = spectrum("log", seed=seed)
    some = (wavelength > low) & (wavelength < high)
    return spectok.encode_arrays(wavelength[some], flux[some], ivar=ivar[some], model=model)


def test_an_embedding_does_not_depend_on_its_batch(model):
    """Neither on spectra that are cut otherwise, nor on those of other ranges cut with it."""
    tables = [tokens_of(model, name, seed=k) for k, name in enumerate(("sharp", "log", "linear"))]
    ranges = [(4500, 4600), (4500, 4650), (4500, 4800), (8000, 9000)]
    tables += [part(model, *both, seed=k) for k, both in enumerate(ranges)]
    with pytest.warns(AstropyUserWarning, match="not one good patch"):
        refused = tokens_of(model, "log", bad=[(0.0, 1e5)])
    alone = [spectok.embed(table, model=model)["embedding"][0] for table in (*tables, refused)]
    together = model.embed(batch_of(*tables, refused))
    assert np.allclose(together.numpy(), np.stack(alone), atol=1e-5)
    assert not together[-1].any() and together[:-1].any(1).all()


def test_memory_is_bounded_and_nothing_changes(model, monkeypatch):
    """Large batches are cut in parts."""
    tables = [tokens_of(model, "log", seed=k) for k in range(5)]
    whole = model.embed(batch_of(*tables))
    monkeypatch.setattr("spectok.model._shared._AT_ONCE", 250)
    parts = [len(rows) for rows, _ in on_shared_patches(batch_of(*tables), model.config)]
    assert parts == [2, 2, 1]
    assert np.allclose(whole.numpy(), model.embed(batch_of(*tables)).numpy(), atol=1e-5)


def test_no_spectrum_loses_all(model):
    """Three sharp patches that fill no new one by half still make an embedding."""
    wavelength = np.arange(6000.0, 6018.0, 0.2)
    flux = np.random.default_rng(0).normal(2.0, 0.1, len(wavelength))
    tokens = spectok.encode_arrays(wavelength, flux, ivar=np.full(len(flux), 100.0), model=model)
    assert joined_pixels(batch_of(tokens), model.config).tolist() == [7]
    assert spectok.embed(tokens, model=model)["embedding"].any()


def test_masks_do_not_decide_how_a_spectrum_is_cut(model):
    wavelength = np.arange(3600.0, 9800.0, 0.9)
    ivar = np.ones((3, len(wavelength)))
    ivar[1, wavelength > 6000] = 0.0
    ivar[2, wavelength < 7500] = 0.0
    flux = np.random.default_rng(0).normal(2.0, 1.0, ivar.shape)
    tokens = spectok.encode_arrays(wavelength, flux, ivar=ivar, model=model)
    assert len(set(joined_pixels(batch_of(tokens), model.config).tolist())) == 1


def test_a_patch_that_reaches_below_zero_is_survived(model):
    wavelength = np.arange(1.0, 10000.0, 10.0)
    flux = np.random.default_rng(0).normal(2.0, 0.1, len(wavelength))
    tokens = spectok.encode_arrays(
        wavelength * u.AA, flux, ivar=np.full(len(flux), 100.0), model=model
    )
    assert np.isfinite(spectok.embed(tokens, model=model)["embedding"]).all()
    rest = spectok.to_rest_frame(tokens, 0.0, step=0.02)
    assert np.isfinite(rest["token"][rest["valid"]]).all()


@pytest.mark.parametrize("redshift", [0.1, 1.5])
def test_ordinary_spectra_at_rest_are_named(redshift):
    """Places are wavelengths as observed, whether or not a moved spectrum has tokens there."""
    torch.manual_seed(0)
    config = ModelConfig.of_size("tiny", embedding_size=8, reader_step=STEP, reader_places=4)
    model = SpectralTokenizer(config)
    rest = spectok.to_rest_frame(tokens_of(model, "log"), redshift)
    with pytest.warns(AstropyUserWarning, match="1 of 1 spectra at rest are of ordinary res"):
        spectok.embed(rest, model=model)


def test_spectra_and_their_tokens_have_one_embedding(model):
    wavelength, flux, ivar = spectrum("linear")
    spectra = spectok.embed_arrays(wavelength, flux, ivar=ivar, model=model)
    tokens = spectok.embed(tokens_of(model, "linear"), model=model)
    assert np.array_equal(spectra["embedding"], tokens["embedding"])


@pytest.mark.filterwarnings("error")
def test_tokens_cut_before_have_the_same_embedding(model):
    """Cutting is done once: tokens that lie on the shared patches stay as they are."""
    tokens = tokens_of(model, "log")
    cut = spectok.to_rest_frame(tokens, 0.0, step=STEP)
    both = [spectok.embed(one, model=model)["embedding"] for one in (tokens, cut)]
    assert np.allclose(*both, atol=1e-4)


def test_the_network_and_the_table_agree_on_where_patches_end(model):
    """A last patch that is padded: neither says anything of what was not observed."""
    from spectok._batch import SpectrumBatch, prepare

    wavelength, flux, ivar = spectrum("log")
    wavelength, flux, ivar = wavelength[:1111], flux[:1111], ivar[:1111]  # 34 patches and 23
    one = prepare(wavelength, flux[None], ivar[None] ** -0.5, ivar[None] > 0, 32)
    with torch.inference_mode():
        direct = model.embed(model.encode(SpectrumBatch.of(one)))
    table = spectok.embed_arrays(wavelength, flux, ivar=ivar, model=model)
    assert np.allclose(direct.numpy(), table["embedding"], atol=1e-5)


@pytest.mark.parametrize("wrong", [{"reader_step": -0.1}, {"reader_step": 2.0},
                                   {"reader_step": 1e-3, "coordinate_unit": "d"}])  # fmt: skip
def test_impossible_steps_are_refused(wrong):
    with pytest.raises(ValueError, match="reader_step must be from 0 to 1 dex"):
        ModelConfig.of_size("tiny", **wrong)
