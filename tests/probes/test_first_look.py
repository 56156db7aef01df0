"""All that the weights know of a spectrum, in one row."""

from __future__ import annotations

import numpy as np
import pytest

import spectok
from spectok import probes, simulate


@pytest.fixture(scope="module")
def spectra():
    kinds = ("galaxy", "quasar", "star")
    return [simulate.observe("sdss", 1, kind=kind, seed=8, snr=40)[0] for kind in kinds]


def test_one_row_for_each(spectra):
    table = probes.first_look(spectra)
    assert len(table) == 3
    assert set(table["class"]) <= {"GALAXY", "QSO", "STAR"}
    assert (table["probability"] >= 1 / 3).all() and (table["probability"] <= 1).all()
    assert ((table["ordinary"] >= 0) & (table["ordinary"] <= 1)).all()
    assert set(table["nearest_class"]) <= {"GALAXY", "QSO", "STAR"}
    true = np.array([one.meta["label"]["redshift"] for one in spectra])
    assert (299792.458 * np.abs(table["redshift"] - true) < 1000.0 * (1.0 + true)).all()
    assert (table["redshift_confidence"] > 0.9).all() and (table["redshift_std"] < 0.01).all()


def test_spectra_tokens_and_embeddings_say_the_same(spectra):
    tokens = spectok.encode(spectra)
    tables = [probes.first_look(x) for x in (spectra, tokens, spectok.embed(tokens))]
    for other in tables[1:]:
        for name in ("class", "nearest_id"):
            assert list(tables[0][name]) == list(other[name])
        assert np.allclose(tables[0]["probability"], other["probability"], atol=1e-4)
    assert np.allclose(tables[0]["redshift"], tables[1]["redshift"], atol=1e-5)
    assert np.isnan(tables[2]["redshift"]).all()  # an embedding has no lines to measure
    assert all("an embedding alone: no redshift" in text for text in tables[2]["remark"])


def test_class_and_redshift_that_exclude_each_other_are_named(spectra, monkeypatch):
    from spectok.probes import _first_look

    class Says:
        classes_ = np.array(["GALAXY", "QSO", "STAR"])

        def predict_proba(self, table):
            return np.array([[0.1, 0.1, 0.8], [0.1, 0.8, 0.1], [0.8, 0.1, 0.1]])

    def load_head(name, **options):
        return Says() if name == "class" else probes.load_head(name, **options)

    monkeypatch.setattr(_first_look, "load_head", load_head)
    remarks = probes.first_look(spectra)["remark"]  # of a galaxy, a quasar, a star
    assert "contradict each other: no star has this redshift" in remarks[0]
    assert remarks[1] == ""
    assert "contradict each other: stars have this redshift" in remarks[2]


def test_rows_keep_their_own_redshifts_where_some_have_none(spectra):
    apogee = simulate.observe("apogee", 1, seed=1, snr=100)[0]
    table = probes.first_look([spectra[1], apogee, spectra[0]])
    true = [spectra[k].meta["label"]["redshift"] for k in (1, 0)]
    assert np.allclose(table["redshift"][[0, 2]], true, atol=0.005)
    assert np.isnan(table["redshift"][1]) and "no redshift" in table["remark"][1]


@pytest.mark.slow
def test_where_no_class_was_learned_it_is_silent():
    table = probes.first_look(simulate.observe("apogee", 2, seed=1, snr=100))
    assert set(table["class"]) == {""} and np.isnan(table["probability"]).all()
    assert all("no class" in text for text in table["remark"])
    galah = probes.first_look(simulate.observe("galah", 1, seed=1, snr=60))
    assert set(galah["class"]) == {""} and np.isnan(galah["redshift"]).all()


def test_a_short_piece_of_the_optical_is_not_enough(spectra):
    grid = spectra[0].spectral_axis.value
    some = (grid > 5000) & (grid < 5600)
    piece = spectok.encode_arrays(grid[some], spectra[0].flux.value[some],
                                  ivar=spectra[0].uncertainty.array[some])  # fmt: skip
    table = probes.first_look(piece)
    assert table["class"][0] == "" and np.isnan(table["redshift"][0])
    assert "no class and no redshift" in table["remark"][0]


def test_what_no_spectrum_looks_like_is_said():
    rng = np.random.default_rng(1)
    grid = np.linspace(3800.0, 9200.0, 3840)
    hump = 1.0 + 50.0 * np.exp(-((grid - 6000.0) ** 2) / 2 / 300.0**2) + rng.normal(0, 0.01, 3840)
    table = probes.first_look(spectok.encode_arrays(grid, hump, ivar=np.full(3840, 1e4)))
    assert table["ordinary"][0] < 0.01 and "trust nothing" in table["remark"][0]


def test_without_a_valid_token_nothing_is_said(spectra):
    with pytest.warns(UserWarning):
        tokens = spectok.encode_arrays(
            [spectra[0].spectral_axis.value, np.arange(4000.0, 4100.0)],
            [spectra[0].flux.value, np.full(100, np.nan)], errors="row",
        )  # fmt: skip
    table = probes.first_look(tokens)
    assert table["remark"][1] == "no valid token" and table["class"][1] == ""
    assert np.isfinite(table["redshift"][0]) and np.isnan(table["redshift"][1])
    assert table["nearest_id"][1] == "" and np.isnan(table["distance"][1])


def test_a_model_that_nothing_comes_with_is_named(tiny, spectra):
    with pytest.raises(ValueError, match="no catalogue comes with the model 'tiny-test'"):
        probes.first_look(spectra, model=tiny)


def test_it_can_be_written(spectra, tmp_path):
    table = probes.first_look(spectra)
    for name in ("a.fits", "a.ecsv", "a.parquet"):
        table.write(tmp_path / name)
        assert len(type(table).read(tmp_path / name)) == 3


def test_a_lone_spectrum_is_compared_with_the_catalogue(spectra):
    found = probes.neighbours(spectra[1], n=3)
    assert len(found) == 3 and {"neighbour_class", "neighbour_redshift"} <= set(found.colnames)
    known = {str(name) for name in probes.catalogue()["object_id"]}
    assert {str(name) for name in found["neighbour_id"]} <= known
    assert (np.diff(found["distance"]) >= 0).all()
    both = probes.neighbours(spectra, "catalogue", n=1)
    assert len(both) == 3 and "neighbour_class" in both.colnames
    among = probes.neighbours(spectra, n=1)
    assert set(among["neighbour_index"]) <= {0, 1, 2} and "neighbour_class" not in among.colnames


def test_catalogues_that_are_not_there(spectra, tiny):
    with pytest.raises(ValueError, match="must be a table or 'catalogue'"):
        probes.neighbours(spectra, "gallery")
    with pytest.raises(ValueError, match="no catalogue comes with the model"):
        probes.neighbours(spectok.embed(spectra), "catalogue", model=tiny)


def test_a_lone_vector_of_unknown_origin_is_not_compared_with_the_catalogue():
    with pytest.warns(UserWarning, match="fewer neighbours|share no wavelengths"):
        found = probes.neighbours(np.ones((1, 128), np.float32), n=1)
    assert found["neighbour_index"].tolist() == [-1] and "neighbour_class" not in found.colnames
