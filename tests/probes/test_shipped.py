"""Heads and the catalogue that come with the weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import spectok
from spectok import probes, simulate
from spectok._split import sky_split
from spectok.probes._shipped import heads_of


@pytest.mark.slow
def test_a_head_answers_without_any_training():
    found = {}
    for kind in ("galaxy", "quasar", "star"):
        spectra = simulate.observe("sdss", 20, kind=kind, seed=5, snr=30)
        found[kind] = probes.load_head("class").predict(spectok.embed(spectra))
    right = [np.mean(found[k] == name) for k, name in
             (("galaxy", "GALAXY"), ("quasar", "QSO"), ("star", "STAR"))]  # fmt: skip
    assert min(right) > 0.5 and np.mean(right) > 0.75


def test_unknown_heads_are_named():
    with pytest.raises(ValueError, match="no head 'age' .* there are class"):
        probes.load_head("age")


def test_a_model_without_heads_says_so(tiny):
    with pytest.raises(ValueError, match="it has none"):
        probes.load_head("class", model=tiny)
    with pytest.raises(ValueError, match="give a table of spectok.embed as reference="):
        probes.catalogue(model=tiny)
    assert heads_of(tiny) == []


@pytest.mark.slow
def test_a_head_of_other_weights_is_refused(tmp_path, monkeypatch):
    """A model that took the name of the shipped one."""
    model = spectok.load_model()
    model.requires_grad_(True)
    with torch.no_grad():
        model.to_token.bias += 0.01
    own = spectok.load_model(spectok.save_model(model, tmp_path / "small-v1.2"))
    with pytest.raises(ValueError, match="was made with other weights"):
        probes.load_head("class", model=own)


def test_the_redshift_head_is_that_of_the_same_tokens():
    """Two weights with one tokenizer have one head: it reads tokens alone."""
    first, second = (
        probes.load_head("redshift", model=name).network_.state_dict()
        for name in ("small-v1.1", "small-v1.2")
    )
    assert first.keys() == second.keys()
    assert all(torch.equal(value, second[key]) for key, value in first.items())


def test_the_catalogue_holds_training_spectra_only():
    table = probes.catalogue()
    assert len(table) > 500 and len(set(table["object_id"])) == len(table)
    placed = np.isfinite(table["ra"].value)
    assert placed.mean() > 0.9
    sets = sky_split(table["ra"].value[placed], table["dec"].value[placed])
    assert set(sets) == {"train"}
    assert set(table["class"]) == {"GALAXY", "QSO", "STAR"}
    quasars = table["class"] == "QSO"
    assert np.nanmedian(table["redshift"][quasars]) > 0.5
    assert np.isfinite(table["embedding"]).all()


@pytest.mark.slow
def test_its_embeddings_are_those_of_the_weights(shared_data):
    """A spectrum of the catalogue, read from its file, finds itself."""
    table = probes.catalogue()
    known = {str(name) for name in table["object_id"]}
    files = sorted((shared_data / "sdss/real").glob("spec-*.fits"))
    some = [
        spectok.surveys.read(file)[0] for file in files if file.stem.removeprefix("spec-") in known
    ][:3]
    assert len(some) == 3
    found = probes.neighbours(spectok.embed(some), table, n=1)
    assert [str(n) for n in found["neighbour_id"]] == [one.meta["object_id"] for one in some]
    assert (found["distance"] < 1e-3).all()


def test_catalogue_as_a_file(tmp_path):
    table = probes.catalogue()
    for name in ("c.fits", "c.ecsv"):
        table.write(tmp_path / name)
        again = type(table).read(tmp_path / name)
        found = probes.neighbours(table[:2], again, n=1)
        assert found["neighbour_index"].tolist() == [0, 1]
