"""Embeddings: the public verbs, and their table."""

import dataclasses

import numpy as np
import pytest
import torch
from astropy import units as u
from astropy.table import QTable

import spectok
from spectok import TokenFlag, simulate
from spectok._codec import _network


@pytest.fixture(scope="module")
def reading():
    """A tiny tokenizer with a reader, both untrained."""
    torch.manual_seed(5)
    model = spectok.SpectralTokenizer(spectok.ModelConfig.of_size("tiny", embedding_size=16))
    torch.nn.init.normal_(model.to_token.weight, std=0.1)  # or the encoder would change nothing
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def spectra():
    return [*simulate.observe("sdss", 2, seed=1), *simulate.observe("desi", 2, seed=1)]


@pytest.fixture(scope="module")
def embeddings(spectra, reading):
    return spectok.embed(spectra, model=reading)


def test_table(embeddings, reading):
    assert embeddings.colnames == ["spectrum_index", "object_id", "embedding", "n_valid", "flags"]
    assert embeddings["embedding"].shape == (4, 16)
    assert embeddings["embedding"].dtype == np.float32
    assert list(embeddings["spectrum_index"]) == [0, 1, 2, 3]
    assert set(embeddings.meta) == {"MODEL", "SHA256", "SPECTOK"}
    assert embeddings["object_id"][0].startswith("mock-sdss")


def test_stored_tokens_suffice(spectra, embeddings, reading, tmp_path):
    tokens = spectok.encode(spectra, model=reading)
    again = spectok.embed(tokens, model=reading)
    assert np.array_equal(again["embedding"], embeddings["embedding"])
    tokens.write(tmp_path / "tokens.fits")
    read = spectok.embed(QTable.read(tmp_path / "tokens.fits"), model=reading)
    assert np.array_equal(read["embedding"], embeddings["embedding"])
    # Valid tokens carry n_valid good pixels; others do not count.
    good = tokens[tokens["valid"]]
    for k in range(4):
        assert embeddings["n_valid"][k] == good["n_valid"][good["spectrum_index"] == k].sum()


def test_precision_is_that_of_the_tokens(spectra, embeddings, reading, monkeypatch):
    """As encode rounds them; the reader itself stays in float32."""
    monkeypatch.setattr(_network, "multiplies_bfloat16", lambda device: True)
    rounded = spectok.embed(spectra, model=reading, precision="bf16")
    tokens = spectok.encode(spectra, model=reading, precision="bf16")
    assert np.array_equal(rounded["embedding"], spectok.embed(tokens, model=reading)["embedding"])
    assert not np.array_equal(rounded["embedding"], embeddings["embedding"])
    assert rounded.meta["PRECIS"] == "bf16"
    with pytest.raises(ValueError, match="precision must be"):
        spectok.embed(spectra, model=reading, precision="fp16")
    with pytest.raises(ValueError, match="precision cannot be changed in a token table"):
        spectok.embed(tokens, model=reading, precision="bf16")
    wavelength, flux = np.linspace(4000.0, 5000.0, 640), np.full((1, 640), 3.0)
    arrays = wavelength, flux, np.ones((1, 640))
    assert spectok.embed_arrays(*arrays, model=reading, precision="bf16").meta["PRECIS"] == "bf16"


def test_what_was_kept_stands_beside(reading):
    spectra = simulate.observe("sdss", 2, seed=1)
    for number, one in enumerate(spectra):
        one.meta.update(ra=10.0 + number, embedding="mine")
    found = spectok.embed(spectra, model=reading, keep=["ra", "embedding"])
    assert list(found["ra"]) == [10.0, 11.0]
    assert found["embedding"].shape == (2, 16)  # and not what was kept under this name
    tokens = spectok.encode(spectra, model=reading, keep=["ra"])
    assert list(spectok.embed(tokens, model=reading)["ra"]) == [10.0, 11.0]
    with pytest.raises(ValueError, match="keep cannot be changed"):
        spectok.embed(tokens, model=reading, keep=["ra"])


def test_what_is_refused_keeps_its_row_and_its_reason(spectra, reading, tmp_path):
    with pytest.raises(TypeError, match="expected a specutils Spectrum"):
        spectok.embed([spectra[0], "no spectrum"], model=reading)
    with pytest.warns(UserWarning, match="1 of 2 spectra cannot be used"):
        found = spectok.embed([spectra[0], "no spectrum"], model=reading, errors="row")
    assert found["n_valid"][0] > 0 and found["n_valid"][1] == 0
    assert (found["embedding"][1] == 0).all()
    assert found["flags"][1] & TokenFlag.REFUSED
    found.write(tmp_path / "e.fits")
    for table in (found, QTable.read(tmp_path / "e.fits")):
        refused = spectok.refusals(table)
        assert list(refused["spectrum_index"]) == [1]
        assert list(refused["object_id"]) == ["1"]
        assert list(refused["refused"]) == [True]
        assert "expected a specutils Spectrum, got str" in refused["reason"][0]


def test_arrays_that_are_refused(reading):
    wavelength, flux = np.linspace(4000.0, 5000.0, 640), np.arange(640.0)
    arrays = [wavelength, wavelength[:9]], [flux, flux], [np.ones(640)] * 2
    with pytest.raises(ValueError, match="9 wavelengths for fluxes"):
        spectok.embed_arrays(*arrays, model=reading)
    with pytest.warns(UserWarning, match="1 of 2 spectra cannot be used"):
        found = spectok.embed_arrays(*arrays, model=reading, errors="row", object_id=[7, 8])
    assert list(found["object_id"]) == [7, 8]
    assert "9 wavelengths for fluxes" in spectok.refusals(found)["reason"][0]
    with pytest.warns(UserWarning):
        tokens = spectok.encode_arrays(*arrays, model=reading, errors="row")
    assert list(spectok.refusals(spectok.pool(tokens))["reason"]) == list(
        spectok.refusals(tokens)["reason"]
    )


def test_alone_and_among_others(spectra, embeddings, reading):
    for k, one in enumerate(spectra):
        alone = spectok.embed(one, model=reading)["embedding"][0]
        assert np.abs(alone - embeddings["embedding"][k]).max() < 1e-5


def test_arrays(reading):
    wavelength = np.linspace(4000.0, 5000.0, 640)
    flux = np.random.default_rng(0).normal(10.0, 1.0, (3, 640))
    found = spectok.embed_arrays(
        wavelength, flux * u.Jy, ivar=np.ones((3, 640)), object_id=["a", "b", "c"], model=reading
    )
    tokens = spectok.encode_arrays(wavelength, flux * u.Jy, ivar=np.ones((3, 640)), model=reading)
    assert list(found["object_id"]) == ["a", "b", "c"]
    assert np.array_equal(found["embedding"], spectok.embed(tokens, model=reading)["embedding"])


def test_brightness_does_not_matter(reading):
    """The scale is taken off before; a power of two leaves every bit."""
    wavelength = np.linspace(4000.0, 5000.0, 640)
    flux = np.random.default_rng(0).normal(10.0, 1.0, (2, 640))
    one = spectok.embed_arrays(wavelength, flux, ivar=np.ones_like(flux), model=reading)
    far = spectok.embed_arrays(
        wavelength, flux * 2.0**-60, ivar=np.full_like(flux, 2.0**120), model=reading
    )
    assert np.array_equal(one["embedding"], far["embedding"])


def test_nothing_valid_keeps_a_row_of_zeros(reading):
    wavelength = np.linspace(4000.0, 5000.0, 640)
    flux = np.random.default_rng(0).normal(10.0, 1.0, (2, 640))
    mask = np.zeros((2, 640), bool)
    mask[1] = True
    with pytest.warns(UserWarning, match="not one good patch|no good pixel"):
        found = spectok.embed_arrays(wavelength, flux, np.ones((2, 640)), mask, model=reading)
    assert list(found["n_valid"] > 0) == [True, False]
    assert (found["embedding"][1] == 0).all()
    assert found["flags"][1] & TokenFlag.NO_VALID_PATCH


@pytest.mark.parametrize("name", ["e.fits", "e.ecsv", "e.parquet", "e.hdf5"])
def test_files(embeddings, tmp_path, name):
    options = {"path": "e", "serialize_meta": True} if name.endswith("hdf5") else {}
    embeddings.write(tmp_path / name, **options)
    options = {"path": "e"} if options else {}
    read = QTable.read(tmp_path / name, **options)
    assert np.array_equal(np.asarray(read["embedding"], np.float32), embeddings["embedding"])
    assert [str(n) for n in np.asarray(read["object_id"]).astype(str)] == list(
        embeddings["object_id"]
    )


def test_parquet_holds_a_list_of_fixed_size(embeddings, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    embeddings.write(tmp_path / "e.parquet")
    kind = parquet.read_schema(tmp_path / "e.parquet").field("embedding").type
    assert "list" in str(kind) and "16" in str(kind)


def test_a_model_without_a_reader_is_refused_before_anything_is_computed(spectra, tiny):
    with pytest.raises(ValueError, match="has no reader and makes no embeddings"):
        spectok.embed(spectra, model=tiny)
    with pytest.raises(ValueError, match="has no reader.*encode the spectra again"):
        spectok.embed(spectok.encode(spectra[:1], model=tiny), model=tiny)


def test_options_that_tokens_have_no_use_for(spectra, reading):
    tokens = spectok.encode(spectra[:1], model=reading)
    with pytest.raises(ValueError, match="medium cannot be changed in a token table"):
        spectok.embed(tokens, model=reading, medium="air")
    with pytest.raises(ValueError, match="object_id, arms cannot be changed"):
        spectok.embed(tokens, model=reading, object_id=["a"], arms=True)


def test_tokens_of_other_weights_are_refused(spectra, reading):
    tokens = spectok.encode(spectra[:1], model=reading)
    other = spectok.SpectralTokenizer(dataclasses.replace(reading.config, embedding_size=8)).eval()
    with pytest.raises(ValueError, match="other weights cannot read them"):
        spectok.embed(tokens, model=other)


def test_saved_with_the_weights(reading, spectra, embeddings, tmp_path):
    folder = spectok.save_model(reading, tmp_path / "mine")
    again = spectok.load_model(folder)
    assert again.config.embedding_size == 16
    found = spectok.embed(spectra, model=again)
    assert np.array_equal(found["embedding"], embeddings["embedding"])
