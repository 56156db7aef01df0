"""Numbers of context in a token: the network's own, beside the code of its patch."""

from __future__ import annotations

import dataclasses

import astropy.units as u
import numpy as np
import pytest
import torch

import spectok
from spectok import ModelConfig, SpectralTokenizer
from spectok.model._cosines import cosines_and_noise
from spectok.probes._redshift_grid import on_log_grid

WAVELENGTH = 4000.0 + 1.3 * np.arange(640)
FLUX = 3.0 + np.sin(WAVELENGTH / 20.0)
IVAR = np.full(640, 400.0)


def network(**changes):
    torch.manual_seed(3)
    return SpectralTokenizer(ModelConfig.of_size("tiny", **changes))


@pytest.fixture(scope="module")
def with_context():
    return network(token_size=20, context_size=4).eval().requires_grad_(False)


@pytest.mark.parametrize(
    ("token_size", "context_size"), [(5, 4), (5, 5), (2, 1)], ids=["no cosine", "none", "least"]
)
def test_a_token_needs_a_cosine(token_size, context_size):
    with pytest.raises(ValueError, match="no room for a cosine"):
        ModelConfig(token_size=token_size, context_size=context_size)


def test_weights_without_the_field_have_none():
    stored = dataclasses.asdict(ModelConfig())
    del stored["context_size"]
    assert ModelConfig.from_stored(stored).context_size == 0


def test_cosines_and_noise_take_the_context_out():
    value = torch.arange(8.0)
    assert cosines_and_noise(value, 3).tolist() == [0, 1, 2, 3, 7]
    assert cosines_and_noise(value, 0) is value


def test_a_new_model_has_context_and_the_same_cosines(with_context):
    """It lies between the cosines and the noise, and is not what a patch alone gives."""
    plain = network(token_size=16)
    tokens = spectok.encode_arrays(WAVELENGTH, FLUX, ivar=IVAR, model=with_context)
    other = spectok.encode_arrays(WAVELENGTH, FLUX, ivar=IVAR, model=plain)
    value = torch.from_numpy(np.asarray(tokens["token"]))
    local = cosines_and_noise(value, 4).numpy()
    assert np.allclose(local, other["token"], atol=1e-5)
    context = value[:, 15:19].numpy()
    assert (context.std(0) > 0.01).all() and np.abs(context).max() <= 8.0
    # A change far away, in another patch, is seen in it.
    flux = FLUX.copy()
    flux[-64:] = flux[-64:][::-1]  # the scale stays what it is
    changed = spectok.encode_arrays(WAVELENGTH, flux, ivar=IVAR, model=with_context)
    moved = np.abs(np.asarray(changed["token"])[0] - np.asarray(tokens["token"])[0])
    assert moved[15:19].max() > 1e-4 and moved[:15].max() < 1e-6


def test_tables_say_how_much_context_there_is(with_context, tiny, tmp_path):
    tokens = spectok.encode_arrays(WAVELENGTH, FLUX, ivar=IVAR, model=with_context)
    assert tokens.meta["CONTEXT"] == 4
    plain = spectok.encode_arrays(WAVELENGTH, FLUX, ivar=IVAR, model=tiny)
    assert "CONTEXT" not in plain.meta
    for name in ("t.fits", "t.ecsv", "t.parquet", "t.h5"):
        options = {"serialize_meta": True, "path": "t"} if name.endswith("h5") else {}
        tokens.write(tmp_path / name, **options)
        again = type(tokens).read(tmp_path / name)
        items = spectok.group(again)
        assert int(items[0].dtype.metadata["CONTEXT"]) == 4
        assert np.array_equal(again["token"], tokens["token"])
    assert spectok.concatenate([tokens, tokens]).meta["CONTEXT"] == 4


def test_decoding_reads_the_context(with_context, tmp_path):
    """Until it is trained the decoder draws the cosines; then the context moves what it draws."""
    tokens = spectok.encode_arrays(WAVELENGTH, FLUX, ivar=IVAR, model=with_context)
    drawn = spectok.decode(tokens, WAVELENGTH * u.AA, model=with_context)
    assert np.median(np.abs(drawn.flux.value - FLUX)) < 0.02
    trained = network(token_size=20, context_size=4).eval().requires_grad_(False)
    torch.nn.init.normal_(trained.to_pixels.weight, std=0.2)
    trained = spectok.load_model(spectok.save_model(trained, tmp_path / "trained"))
    tokens = spectok.encode_arrays(WAVELENGTH, FLUX, ivar=IVAR, model=trained)
    other = tokens.copy()
    other["token"][:, 15:19] += 1.0
    before, after = (
        spectok.decode(t, WAVELENGTH * u.AA, model=trained).flux.value for t in (tokens, other)
    )
    assert np.abs(before - after).max() > 1e-4


def test_a_reader_embeds_with_context():
    model = network(token_size=20, context_size=4, embedding_size=8).eval().requires_grad_(False)
    found = spectok.embed_arrays(WAVELENGTH, FLUX, ivar=IVAR, model=model)
    assert np.isfinite(found["embedding"]).all() and found["embedding"].shape == (1, 8)


def test_redshift_probes_draw_the_cosines_alone(with_context):
    tokens = spectok.encode_arrays(WAVELENGTH, FLUX, ivar=IVAR, model=with_context)
    step = 1e-4
    first = round(np.log10(4100.0) / step)
    flux, noise, covered = on_log_grid(spectok.group(tokens), first, 300, step)
    grid = 10.0 ** (step * (first + np.arange(300)))
    truth = np.interp(grid, WAVELENGTH, FLUX) / tokens["scale"][0]
    assert covered.all()
    assert np.abs(flux[0].numpy() - truth).max() < 0.05
