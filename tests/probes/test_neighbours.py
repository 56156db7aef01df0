"""Neighbours: the same objects in other surveys are found, and nothing vanishes."""

from functools import partial

import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable

import spectok
from spectok import simulate
from spectok.probes._neighbours import neighbours

by_flux = partial(neighbours, method="flux")


def encode(wavelength, flux, **options):
    options = {"ivar": np.full(flux.shape, 400.0), "progress": False} | options
    return spectok.encode_arrays(wavelength * u.AA, flux, **options)


@pytest.fixture(scope="module")
def pairs():
    sdss, desi = simulate.observe_pairs("sdss", "desi", 12, seed=5, snr=20)
    return spectok.encode(sdss, progress=False), spectok.encode(desi, progress=False), sdss


@pytest.fixture(scope="module")
def shapes():
    """Six spectra of distinct shapes on 4,000 to 6,000 Angstrom."""
    wavelength = np.linspace(4000.0, 6000.0, 1280)
    lines = [np.exp(-0.5 * ((wavelength - 4300 - 250 * k) / 30) ** 2) for k in range(6)]
    return wavelength, 2.0 + 3.0 * np.array(lines)


@pytest.mark.parametrize("continuum", [True, False])
def test_the_same_objects_are_found_in_another_survey(pairs, continuum):
    sdss, desi, _ = pairs
    found = neighbours(sdss, desi, n=3, continuum=continuum)
    first = found[found["rank"] == 1]
    right = np.asarray(first["neighbour_index"]) == np.asarray(first["spectrum_index"])
    assert right.mean() >= 0.75
    assert (found["neighbour_id"][right.argmax() * 3]).startswith("mock-desi-5-")
    # The names of both sides belong to their indices.
    names = {s.meta["object_id"] for s in pairs[2]}
    assert set(found["object_id"]) == names
    distance = np.asarray(found["distance"]).reshape(-1, 3)
    assert (np.diff(distance, axis=1) >= 0).all() and (distance >= 0).all()


def test_distance_is_the_cosine_of_the_decoded_spectra(shapes):
    wavelength, flux = shapes
    tokens = encode(wavelength, flux[:2])
    found = by_flux(tokens, n=1)
    grid = np.linspace(4005.0, 5995.0, 400)
    a, b = spectok.decode(tokens, grid * u.AA).flux.value
    expected = 1 - a @ b / np.sqrt(a @ a * (b @ b))
    # Weights and grid differ a little from the plain cosine.
    assert np.asarray(found["distance"]) == pytest.approx(expected, rel=0.15)


def test_brightness_and_sampling_do_not_matter(shapes):
    wavelength, flux = shapes
    coarse = wavelength[::2]
    tokens = encode(wavelength, flux)
    other = encode(coarse, 1e5 * flux[:, ::2], ivar=np.full((6, 640), 400e-10))
    found = by_flux(tokens, other, n=1)
    assert found["neighbour_index"].tolist() == [0, 1, 2, 3, 4, 5]
    assert np.asarray(found["distance"]).max() < 1e-3


def test_flux_unit_does_not_matter(shapes):
    wavelength, flux = shapes
    unit = u.Unit("erg / (s cm2 AA)")
    as_jansky = (flux * unit).to(u.Jy, u.spectral_density(wavelength * u.AA))
    ivar = (0.05 * np.ones(flux.shape) * unit).to(u.Jy, u.spectral_density(wavelength * u.AA))
    a = encode(wavelength, flux * unit)
    b = encode(wavelength, as_jansky, ivar=ivar**-2)
    found = by_flux(a, b, n=1)
    assert found["neighbour_index"].tolist() == [0, 1, 2, 3, 4, 5]
    assert np.asarray(found["distance"]).max() < 1e-3


def test_without_a_reference_no_spectrum_is_its_own_neighbour(shapes):
    tokens = encode(*shapes, object_id=list("abcdef"))
    found = neighbours(tokens, n=5)
    assert (found["object_id"] != found["neighbour_id"]).all()
    assert len(set(zip(found["object_id"], found["neighbour_id"], strict=True))) == 30
    itself = neighbours(tokens, tokens, n=1)
    assert (itself["object_id"] == itself["neighbour_id"]).all()
    assert np.asarray(itself["distance"]) == pytest.approx(0.0, abs=1e-9)


def test_one_spectrum_on_each_side(shapes):
    wavelength, flux = shapes
    found = neighbours(encode(wavelength, flux[0]), encode(wavelength, flux[1]), n=1)
    assert len(found) == 1 and found["neighbour_index"][0] == 0


def test_blocks_change_nothing(shapes, monkeypatch):
    tokens = encode(*shapes)
    whole = by_flux(tokens, n=3)
    monkeypatch.setattr("spectok.probes._decoded._BLOCK", 4)
    parts = by_flux(tokens, n=3)
    assert parts["neighbour_index"].tolist() == whole["neighbour_index"].tolist()


def test_nothing_vanishes(shapes):
    wavelength, flux = shapes
    mask = np.zeros(flux.shape, bool)
    mask[1] = True  # not one good pixel
    with pytest.warns(UserWarning, match="no valid"):
        tokens = encode(wavelength, flux, mask=mask)
    away = encode(wavelength + 3000.0, flux[:1])
    both = spectok.concatenate([tokens, away])
    with pytest.warns(UserWarning) as caught:
        found = by_flux(both, encode(wavelength, flux), n=2)
    (warning,) = caught
    assert "1 of 7 spectra (first: 1) have no valid token" in str(warning.message)
    assert "1 of 7 spectra (first: 6) share no wavelengths" in str(warning.message)
    assert np.asarray(found["spectrum_index"]).tolist() == list(np.repeat(range(7), 2))
    lost = np.isin(found["spectrum_index"], [1, 6])
    assert (found["neighbour_index"][lost] == -1).all()
    assert (found["neighbour_id"][lost] == "").all()
    assert np.isnan(found["distance"][lost]).all() and np.isfinite(found["distance"][~lost]).all()
    with pytest.warns(UserWarning, match="1 of 6 reference spectra have no valid token"):
        found = by_flux(encode(wavelength, flux), tokens, n=1)
    assert 1 not in found["neighbour_index"]


def test_fewer_references_than_asked_for(shapes):
    wavelength, flux = shapes
    with pytest.warns(UserWarning, match="6 of 6 .* fewer neighbours"):
        found = neighbours(encode(wavelength, flux), encode(wavelength, flux[:2]), n=3)
    assert (found["neighbour_index"][found["rank"] == 3] == -1).all()


def test_refusals(shapes, tiny):
    wavelength, flux = shapes
    tokens = encode(wavelength, flux)
    with pytest.raises(ValueError, match="4000 to 6000 Angstrom, the reference 7000 to 9000"):
        by_flux(tokens, encode(wavelength + 3000.0, flux))
    with pytest.raises(ValueError, match="encode both with one model"):
        by_flux(tokens, encode(wavelength, flux, model=tiny))
    with pytest.raises(ValueError, match="at least 1"):
        by_flux(tokens, n=0)
    with pytest.warns(UserWarning):
        blind = encode(wavelength, flux, mask=np.ones(flux.shape, bool))
    with pytest.raises(ValueError, match="reference has a valid token"):
        by_flux(tokens, blind)


def test_what_cannot_be_compared(shapes):
    tokens = encode(*shapes)
    items, numbers = spectok.group(tokens), np.eye(6, 4)
    for given in ((tokens, items), (items, tokens)):
        with pytest.raises(TypeError, match=r"tokens without embeddings: .* spectok.embed"):
            neighbours(*given)
    with pytest.raises(TypeError, match="'flux' decodes, and reference holds no token table"):
        neighbours(tokens, numbers, method="flux")
    for given in (tokens, numbers):
        with pytest.raises(ValueError, match="no continuum that could be left out"):
            neighbours(given, method="embedding", continuum=False)
    with pytest.raises(TypeError, match="'flux' decodes, and tokens holds no token table"):
        neighbours(numbers, continuum=False)
    with pytest.raises(ValueError, match="method must be one of auto, embedding, flux, not 'x'"):
        neighbours(tokens, method="x")


# ------------------------------------------------------------------ embeddings


def embedding_of(vector, **columns):
    table = QTable({"spectrum_index": np.arange(len(vector)), "embedding": vector, **columns})
    table.meta.update(MODEL="by-hand", SHA256="a" * 64)
    return table


def test_embeddings_are_compared_by_their_cosine():
    rng = np.random.default_rng(0)
    asked, known = (rng.normal(size=(n, 6)).astype(np.float32) for n in (5, 40))
    found = neighbours(asked, known, n=3)
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (asked, known)]
    away = 1 - unit[0].astype(float) @ unit[1].astype(float).T
    expected = np.argsort(away, axis=1)[:, :3]
    assert np.array_equal(np.asarray(found["neighbour_index"]).reshape(5, 3), expected)
    distance = np.asarray(found["distance"]).reshape(5, 3)
    assert np.allclose(distance, np.take_along_axis(away, expected, 1), atol=1e-6)
    assert found["object_id"][3] == "1" and found.meta["METHOD"] == "embedding"
    # Brightness of a vector means nothing.
    assert (
        neighbours(7 * asked, known, n=3)["neighbour_index"].tolist() == expected.ravel().tolist()
    )


@pytest.mark.parametrize("kind", ["S", "U", "O", "int"])
def test_names_and_indices_are_those_of_the_tables(kind):
    vector = np.random.default_rng(1).normal(size=(6, 4)).astype(np.float32)
    names = np.arange(900, 906) if kind == "int" else np.array([f"J{k}" for k in range(6)], kind)
    table = embedding_of(vector, object_id=names)
    table["spectrum_index"] = 10 * np.arange(6)
    found = neighbours(table[:2], table, n=2)
    assert found["spectrum_index"].tolist() == [0, 0, 10, 10]
    assert found["neighbour_index"][found["rank"] == 1].tolist() == [0, 10]
    first = [900, 901] if kind == "int" else ["J0", "J1"]
    assert found["neighbour_id"][found["rank"] == 1].tolist() == first
    assert found["object_id"].tolist() == [first[0], first[0], first[1], first[1]]
    assert found["object_id"].dtype.kind == ("i" if kind == "int" else "U")


def test_embeddings_without_a_valid_token_are_nobodys_neighbours():
    vector = np.random.default_rng(2).normal(size=(5, 4)).astype(np.float32)
    vector[3] = np.nan
    table = embedding_of(vector, n_valid=[9, 9, 9, 0, 9])
    with pytest.warns(UserWarning) as caught:
        found = neighbours(table, n=4)
    (warning,) = caught
    assert "1 of 5 spectra (first: 3) have no valid token" in str(warning.message)
    assert "4 of 5 spectra (first: 0) have fewer neighbours" in str(warning.message)
    assert 3 not in found["neighbour_index"]
    lost = (found["spectrum_index"] == 3) | (found["rank"] == 4)
    assert (found["neighbour_index"][lost] == -1).all() and np.isnan(found["distance"][lost]).all()
    assert (found["neighbour_index"][~lost] >= 0).all()
    with pytest.raises(ValueError, match="no spectrum of reference has a valid token"):
        neighbours(table[:2], table[3:4])


def test_embeddings_of_other_models_or_sizes_are_refused():
    vector = np.eye(5, 4, dtype=np.float32) + 1
    table, other = embedding_of(vector), embedding_of(vector)
    other.meta["SHA256"] = "b" * 64
    with pytest.raises(ValueError, match="encode both with one model"):
        neighbours(table, other)
    with pytest.raises(ValueError, match="have 4 numbers, those of the reference 3"):
        neighbours(table, vector[:, :3])


def test_items_with_vectors_have_embeddings(shapes):
    tokens = encode(*shapes)
    vector = np.random.default_rng(3).normal(size=(6, 4)).astype(np.float32)
    found = neighbours(spectok.group(tokens, vector), vector, n=1)
    assert found["neighbour_index"].tolist() == list(range(6))
