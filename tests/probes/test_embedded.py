"""Embeddings that a model with a reader makes, in every verb of the probes."""

import numpy as np
import pytest
import torch
from astropy.table import QTable
from astropy.utils.exceptions import AstropyUserWarning

import spectok
from spectok import simulate
from spectok.probes import (
    ProbeClassifier,
    ProbeRegressor,
    knn_probe,
    linear_probe,
    neighbours,
    novelty,
    novelty_reference,
)


@pytest.fixture(scope="module")
def reads(tmp_path_factory):
    """A tiny tokenizer whose reader has random weights: alike spectra have alike embeddings."""
    torch.manual_seed(3)
    model = spectok.SpectralTokenizer(spectok.ModelConfig.of_size("tiny", embedding_size=24))
    assert model.reader is not None
    return spectok.load_model(
        spectok.save_model(model, tmp_path_factory.mktemp("models") / "reads-test")
    )


@pytest.fixture(scope="module")
def spectra():
    """120 spectra in 60 pairs: two views of the same object, with other noise."""
    rng = np.random.default_rng(0)
    wavelength = np.linspace(4000.0, 6000.0, 640)
    where = rng.uniform(4200, 5800, (60, 3, 1))
    height = rng.uniform(1.0, 6.0, (60, 3, 1))
    flux = 3.0 + (height * np.exp(-0.5 * ((wavelength - where) / 40) ** 2)).sum(1)
    flux = np.concatenate([flux, flux])
    return wavelength, flux + rng.normal(0, 0.02, flux.shape), np.full(flux.shape, 0.02**-2)


@pytest.fixture(scope="module")
def tokens(reads, spectra):
    return spectok.encode_arrays(*spectra, model=reads, progress=False)


@pytest.fixture(scope="module")
def embeddings(tokens, reads):
    return spectok.embed(tokens, model=reads, progress=False)


def cut(table, rows):
    """Rows by spectrum."""
    return table[np.isin(table["spectrum_index"], rows)]


def test_the_other_view_is_the_nearest(tokens, embeddings, reads):
    found = neighbours(tokens, n=1, model=reads)
    assert found.meta["METHOD"] == "embedding"
    right = np.asarray(found["neighbour_index"]) == (np.arange(120) + 60) % 120
    assert right.mean() > 0.8  # by chance 1 in 119
    for other in (
        embeddings,
        np.asarray(embeddings["embedding"]),
        spectok.group(tokens, embeddings),
    ):
        again = neighbours(other, n=1)
        assert np.array_equal(again["neighbour_index"], found["neighbour_index"])
    # Sides may differ in kind.
    mixed = neighbours(cut(tokens, range(5)), embeddings, n=1, model=reads)
    assert mixed["neighbour_index"].tolist() == list(range(5))
    by_flux = neighbours(tokens, n=1, model=reads, method="flux")
    assert by_flux.meta["METHOD"] == "flux"


def test_a_model_without_a_reader_compares_flux(spectra):
    model = spectok.SpectralTokenizer(spectok.ModelConfig.of_size("tiny"))
    wavelength, flux, ivar = spectra
    tokens = spectok.encode_arrays(wavelength, flux[:4], ivar[:4], model=model, progress=False)
    assert neighbours(tokens, n=1, model=model).meta["METHOD"] == "flux"
    with pytest.raises(ValueError, match="no reader"):
        neighbours(tokens, n=1, model=model, method="embedding")
    with pytest.raises(ValueError, match="makes no embeddings, and without pixels nothing else"):
        novelty(tokens, model=model)


@pytest.mark.parametrize("make", [ProbeClassifier, ProbeRegressor, linear_probe, knn_probe])
def test_probes_take_tables_items_and_both(make, tokens, embeddings):
    """What is planted: how much flux there is in the blue."""
    items = spectok.group(tokens)
    blue = np.array([item["token"][:5, 0].mean() for item in items])
    kind = np.where(blue > np.median(blue), "blue", "red")
    number = make is ProbeRegressor
    for given in (tokens, items, embeddings, spectok.group(tokens, embeddings)):
        probe = make() if isinstance(make, type) else make("classification")
        probe.fit(given, blue if number else kind)
        said = probe.predict(given)
        score = np.corrcoef(said, blue)[0, 1] if number else (said == kind).mean()
        # The reader's weights are random: by chance a correlation of 120 stays under 0.3.
        assert score > 0.6


def test_oddity_of_embeddings(tokens, embeddings, reads):
    """Ordinary ones are seldom odd, others are; of tokens it is that of their embeddings."""
    ordinary, rest = embeddings[:60], embeddings[60:].copy()
    rest["embedding"][:5] = -3.0 * rest["embedding"][:5]
    odd = novelty(rest, reference=ordinary)
    assert odd.colnames == [
        "spectrum_index", "object_id", "distance", "p_distance", "score", "valid",
    ]  # fmt: skip
    assert (odd["p_distance"][:5] < 0.05).all() and np.median(odd["p_distance"][5:]) > 0.2
    assert np.allclose(odd["score"], -np.log10(np.minimum(odd["p_distance"], 1)))
    assert odd["spectrum_index"].tolist() == list(range(60, 120))
    plain = novelty(embeddings[60:], reference=ordinary)
    late = cut(tokens, range(60, 120))
    for given in (late, spectok.group(late, embeddings[60:]), embeddings["embedding"][60:]):
        again = novelty(given, reference=ordinary, model=reads)
        assert np.allclose(again["distance"], plain["distance"], rtol=1e-3)
    blind = rest.copy()
    blind["n_valid"][7] = 0
    with pytest.warns(AstropyUserWarning, match="1 of 60 spectra have no valid token.* is 67"):
        said = novelty(blind, reference=ordinary)
    assert np.flatnonzero(np.isnan(said["score"])).tolist() == [7] and not said["valid"][7]


def test_what_embeddings_are_not_judged_by(tokens, embeddings, reads):
    with pytest.raises(ValueError, match="has 49 usable spectra, and at least 50"):
        novelty(embeddings, reference=embeddings[:49])
    with pytest.raises(ValueError, match="'tokens' needs the spectra themselves"):
        novelty(tokens, method="tokens", model=reads)
    with pytest.raises(ValueError, match="method must be one of auto, embedding, tokens, not 'x'"):
        novelty(tokens, method="x", model=reads)
    other = QTable(embeddings, copy=True)
    other.meta["SHA256"] = "b" * 64
    with pytest.raises(ValueError, match="mean different things"):
        novelty(embeddings, reference=other)
    with pytest.raises(ValueError, match="numbers, those of the reference 5"):
        novelty(embeddings, reference=np.asarray(embeddings["embedding"])[:, :5])
    with pytest.raises(TypeError, match="spectra holds tokens without embeddings"):
        novelty(spectok.group(tokens), reference=embeddings)


@pytest.mark.slow
def test_spectra_are_judged_by_their_embeddings(reads, tmp_path):
    ordinary = novelty_reference(simulate.observe("sdss", 60, seed=1, snr=10), model=reads)
    assert ordinary["embedding"].shape == (60, reads.config.embedding_size)
    some = simulate.observe("sdss", 4, seed=2, snr=10)
    by = {m: novelty(some, reference=ordinary, model=reads, method=m) for m in ("auto", "tokens")}
    assert not np.allclose(by["auto"]["distance"], by["tokens"]["distance"])
    assert np.array_equal(by["auto"]["p_misfit"], by["tokens"]["p_misfit"])
    assert np.isfinite(by["auto"]["score"]).all()
    # The same table is a reference for embeddings, and a file keeps it.
    ordinary.write(tmp_path / "ordinary.fits")
    again = QTable.read(tmp_path / "ordinary.fits")
    embedded = spectok.embed(some, model=reads, progress=False)
    odd = [novelty(embedded, reference=r)["distance"] for r in (ordinary, again)]
    assert np.allclose(*odd, rtol=1e-4)
    old = ordinary.copy()
    del old["embedding"]
    plain = novelty(some, reference=old, model=reads)
    assert np.array_equal(plain["distance"], by["tokens"]["distance"])
    with pytest.raises(ValueError, match="'embedding' needs a reference with embeddings"):
        novelty(some, reference=old, model=reads, method="embedding")
