"""Items: what is taken, what is refused and in which words."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from astropy import units as u
from astropy.table import QTable
from specutils import Spectrum

import spectok
from spectok.probes._sequences import (
    as_inputs,
    as_sequences,
    batches_of,
    make_batch,
    same_tokenizer,
    tokenizer_of,
)

OTHER = {"MODEL": "another", "SHA256": "b" * 64}


@pytest.fixture(scope="module")
def table(make_arrays, tiny):
    wavelength, flux, sigma = make_arrays(200, 4)
    return spectok.encode_arrays(wavelength, flux, sigma**-2, model=tiny)


def test_a_table_and_its_items_are_the_same(table):
    a, b = as_sequences(table), as_sequences(spectok.group(table))
    assert a.shape == b.shape == (4,)
    assert all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))
    assert tokenizer_of(a) == {key: table.meta[key] for key in ("MODEL", "SHA256")}


@pytest.mark.parametrize("take", [
    lambda items: items[1:], lambda items: items[[2, 0]], lambda items: list(items),
    lambda items: np.concatenate([items, items]), lambda items: pickle.loads(pickle.dumps(items)),
    copy.deepcopy, lambda items: [item[1:3] for item in items],
    lambda items: [item[item["wavelength"] > 0] for item in items],
    lambda items: [np.concatenate([item, item]) for item in items],
])  # fmt: skip
def test_items_remember_their_model(take, table):
    items = as_sequences(take(spectok.group(table)))
    assert items.dtype == object and items.ndim == 1
    assert all(item.dtype.metadata["SHA256"] == table.meta["SHA256"] for item in items)


def test_items_of_one_length_stay_items(make_items):
    assert as_sequences(list(make_items([5, 5, 5]))).shape == (3,)
    assert as_sequences(list(make_items([5]))).shape == (1,)


def test_tokens_of_two_models_are_refused(make_items):
    items = np.concatenate([make_items([3, 3]), make_items([3], made_by=OTHER)])
    with pytest.raises(ValueError) as error:
        as_sequences(items)
    said = str(error.value)
    assert "spectrum 2" in said and "'another'" in said and "'by-hand'" in said
    assert "b" * 12 in said and "encode all" in said


def test_items_that_lost_their_model_pass(make_items):
    items = np.concatenate([make_items([3], made_by=None), make_items([3, 3])])
    assert tokenizer_of(as_sequences(items))["MODEL"] == "by-hand"
    assert tokenizer_of(as_sequences(items[:1])) == {}
    same_tokenizer({}, OTHER, "these")
    same_tokenizer(OTHER, {}, "these")


def test_token_sizes_that_differ(make_items):
    items = np.concatenate([make_items([3, 3]), make_items([3], channels=5)])
    with pytest.raises(ValueError, match="the tokens of spectrum 2 have 5 numbers, those of spec"):
        as_sequences(items)


@pytest.mark.parametrize(("given", "kind", "words"), [
    (lambda items: items[0], TypeError, "the item of one spectrum"),
    (lambda items: [], ValueError, "no spectrum to work on"),
    (lambda items: np.zeros((4, 16)), TypeError, "vectors without tokens, and tokens are needed"),
    (lambda items: np.zeros(4), TypeError, "spectrum 0 is a float64, not an item of"),
    (lambda items: np.zeros((4, 2, 3)), TypeError, "spectrum 0 is a ndarray, not an item of"),
    (lambda items: [[1.0, 2.0], [3.0, 4.0]], TypeError, "spectrum 0 is a list, not an item of"),
    (lambda items: [items[0], [1.0, 2.0]], TypeError, "spectrum 1 is a list, not an item of"),
    (lambda items: None, TypeError, "expected a token table or items .* got NoneType"),
    (lambda items: (item for item in items), TypeError, "got generator"),
    (lambda items: QTable({"a": [1]}), ValueError, "no token table: it lacks the columns"),
])  # fmt: skip
def test_what_is_refused(given, kind, words, make_items):
    with pytest.raises(kind, match=words):
        as_sequences(given(make_items([3, 4])))


def test_a_list_of_tables_is_refused(table):
    """It looks like items, but holds the tokens that are not valid, too."""
    with pytest.raises(TypeError, match="spectrum 0 is a QTable.*spectok.concatenate"):
        as_sequences([table, table])


@pytest.mark.parametrize("name", ["token", "wavelength"])
@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_broken_numbers_are_refused(name, value, make_items):
    items = make_items([3, 4])
    items[1][name][2] = value
    with pytest.raises(ValueError, match="spectrum 1 has tokens that are not finite, or wave"):
        as_sequences(items)


def test_batches_are_padded(make_items):
    items = make_items([2, 0, 5])
    batch = make_batch(items)
    assert batch.token.shape == (3, 5, 4) and batch.valid.sum(1).tolist() == [2, 0, 5]
    assert np.array_equal(batch.token[0, :2], items[0]["token"]) and not batch.token[1].any()
    assert np.array_equal(batch.wavelength[2], items[2]["wavelength"])
    assert (batch.wavelength > 0).all()
    assert make_batch(items[1:2]).valid.tolist() == [[False]]


def test_batches_cover_every_row_once():
    lengths = np.array([5, 1, 9, 3, 7, 1, 2])
    batches = list(batches_of(lengths, 3))
    assert [len(b) for b in batches] == [3, 3, 1]
    assert sorted(np.concatenate(batches)) == list(range(7))
    assert (np.diff(lengths[np.concatenate(batches)]) >= 0).all()


# ------------------------------------------------------------------ vectors


def both_of(items, vector):
    both = np.empty(len(items), [("tokens", object), ("vector", np.float32, vector.shape[1:])])
    both["tokens"], both["vector"] = items, vector
    return both


VECTORS = np.random.default_rng(4).normal(size=(4, 3)).astype(np.float32)


@pytest.mark.parametrize("take", [
    lambda x: x, lambda x: x.astype(float), lambda x: x.astype(">f4"), lambda x: np.ma.array(x),
    torch.from_numpy, pd.DataFrame, lambda x: QTable({"embedding": x})["embedding"],
    lambda x: QTable({"embedding": x}), lambda x: QTable({"embedding": x.astype(">f4")}),
    lambda x: QTable({"vector": x, "valid": np.ones(4, bool), "n_tokens": [3] * 4}),
])  # fmt: skip
def test_kinds_of_vectors(take):
    inputs = as_inputs(take(VECTORS))
    assert inputs.sequences is None and inputs.sizes == (0, 3) and len(inputs) == 4
    assert inputs.vector.dtype == np.float32 and inputs.vector.dtype.isnative
    assert np.array_equal(inputs.vector, VECTORS) and inputs.filled.all() and not inputs.made_by
    assert inputs[1:].vector.shape == (3, 3) and not inputs.lengths.any()
    assert torch.equal(make_batch(inputs).vector, torch.from_numpy(VECTORS))


@pytest.mark.parametrize("take", [
    lambda both: both, list, lambda both: both[[3, 2, 1, 0]][::-1],
    lambda both: np.concatenate([both[:1], both[1:]]), copy.deepcopy,
    lambda both: pickle.loads(pickle.dumps(both)),
])  # fmt: skip
def test_tokens_with_vectors(take, table):
    inputs = as_inputs(take(spectok.group(table, VECTORS)))
    assert inputs.sizes == (16, 3) and np.array_equal(inputs.vector, VECTORS)
    items = spectok.group(table)
    assert all(np.array_equal(a, b) for a, b in zip(inputs.sequences, items, strict=True))
    assert inputs.made_by["SHA256"] == table.meta["SHA256"]
    batch = make_batch(inputs[1:3]).to("cpu")
    assert torch.equal(batch.vector, torch.from_numpy(VECTORS[1:3])) and batch.valid.any()


def test_vectors_of_empty_spectra_are_not_read(make_items):
    vector = VECTORS.copy()
    vector[1] = np.nan
    inputs = as_inputs(both_of(make_items([3, 0, 2, 1]), vector))
    assert inputs.filled.tolist() == [True, False, True, True] and not inputs.vector[1].any()
    table = QTable({"embedding": vector, "n_valid": [1, 0, 2, 3]})
    assert as_inputs(table).filled.tolist() == [True, False, True, True]


def test_vectors_that_are_refused(make_items, table):
    broken = VECTORS.copy()
    broken[2, 1] = np.inf
    for given in (broken, QTable({"embedding": broken}), both_of(make_items([3] * 4), broken)):
        with pytest.raises(ValueError, match="1 of 4 spectra .the first is 2. have numbers that"):
            as_inputs(given)
    with pytest.raises(ValueError, match="'embedding' must hold one vector .* shape is .4,."):
        as_inputs(QTable({"embedding": np.zeros(4)}))
    with pytest.raises(ValueError, match="no spectrum to work on"):
        as_inputs(np.zeros((0, 4)))
    with pytest.raises(TypeError, match="have the unit Jy, and vectors have none"):
        as_inputs(VECTORS * u.Jy)
    assert as_inputs(VECTORS * u.one).sizes == (0, 3)
    with pytest.raises(TypeError, match=r"this is a Spectrum, .* spectok.encode\(spectra\)"):
        as_inputs(Spectrum(flux=np.ones((2, 9)) * u.Jy, spectral_axis=np.arange(1, 10) * u.um))
