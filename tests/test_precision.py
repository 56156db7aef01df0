"""Encoding in bfloat16: how far tokens move, and what the table says of it."""

import numpy as np
import pytest
import torch
from astropy.table import QTable
from astropy.utils.exceptions import AstropyUserWarning

import spectok
from spectok import simulate
from spectok._codec import _network
from spectok._weights import bfloat16_copy


@pytest.fixture(scope="module", autouse=True)
def units():
    """As on a processor that has the units: the numbers are the same on all."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_network, "multiplies_bfloat16", lambda device: True)
        yield


@pytest.fixture(scope="module")
def spectra():
    return simulate.observe("sdss", 12, seed=5)


@pytest.fixture(scope="module")
def both(spectra):
    return spectok.encode(spectra), spectok.encode(spectra, precision="bf16")


def test_tokens_move_by_less_than_a_hundredth_of_their_scatter(both):
    exact, rounded = both
    valid = np.asarray(exact["valid"])
    assert np.array_equal(valid, rounded["valid"])
    place = np.asarray(exact["token_index"])[valid]
    a, b = (np.asarray(table["token"], dtype=float)[valid] for table in both)
    # Over spectra, patch by patch.
    scatter = np.sqrt(np.mean([a[place == k].var(0) for k in np.unique(place)], axis=0))
    error = np.sqrt(((a - b) ** 2).mean(0))
    assert (error > 0).all(), "it did not compute in another precision"
    assert (error < 0.01 * scatter).all(), error / scatter
    # What is not rounded: where, how many, how bright.
    for name in ("wavelength", "n_valid", "scale", "flags"):
        assert np.array_equal(exact[name], rounded[name])


def test_the_table_says_it_and_files_keep_it(both, tmp_path):
    exact, rounded = both
    assert "PRECIS" not in exact.meta and rounded.meta["PRECIS"] == "bf16"
    for name in ("tokens.fits", "tokens.ecsv"):
        rounded.write(tmp_path / name)
        again = QTable.read(tmp_path / name)
        assert spectok.pool(again).meta["PRECIS"] == "bf16"
        spectok.decode(again[again["spectrum_index"] == 0], exact["wavelength"][:40])


def test_a_joint_table_says_the_worse(both):
    exact, rounded = both
    assert spectok.concatenate([exact, rounded]).meta["PRECIS"] == "bf16"
    assert spectok.concatenate([rounded, exact]).meta["PRECIS"] == "bf16"
    assert "PRECIS" not in spectok.concatenate([exact, exact]).meta


def test_weights_are_cast_once_and_the_model_is_not(tiny_folder, make_arrays):
    model = spectok.load_model(tiny_folder)
    copy = bfloat16_copy(model)
    assert copy is bfloat16_copy(model)
    kinds = {name: p.dtype for name, p in copy.named_parameters()}
    assert kinds["encoder.0.feed.0.weight"] == torch.bfloat16
    assert kinds["encoder.0.norm_self.weight"] == torch.float32
    assert kinds["to_token.weight"] == kinds["embed_patch.weight"] == torch.float32
    assert all(p.dtype == torch.float32 for p in model.parameters())
    with torch.no_grad():
        model.encoder[0].feed[0].weight.mul_(2.0)
    changed = bfloat16_copy(model)
    assert changed is not copy
    assert torch.equal(
        changed.encoder[0].feed[0].weight.float(), 2.0 * copy.encoder[0].feed[0].weight.float()
    )


def test_other_precisions_are_refused(make_arrays, tiny):
    wavelength, flux, sigma = make_arrays(64)
    with pytest.raises(ValueError, match="precision must be \"bf16\" or None.*not 'fp16'"):
        spectok.encode_arrays(wavelength, flux, sigma**-2, model=tiny, precision="fp16")


def test_where_there_are_no_units_it_is_said(make_arrays, tiny, monkeypatch):
    monkeypatch.setattr(_network, "multiplies_bfloat16", lambda device: False)
    wavelength, flux, sigma = make_arrays(64)
    with pytest.warns(
        AstropyUserWarning, match="this processor has no units.*leave it out here"
    ) as said:
        table = spectok.encode_arrays(wavelength, flux, sigma**-2, model=tiny, precision="bf16")
    assert table.meta["PRECIS"] == "bf16"
    assert said[0].filename == __file__
