"""The weights that come with the package."""

import numpy as np
import pytest
import torch

import spectok
from spectok import simulate


def test_all_have_the_tokenizer_of_the_first():
    """Tokens of all three are the same, so nothing stored loses its meaning."""
    first = spectok.load_model("small-v1").state_dict()
    for name in ("small-v1.1", "small-v1.2"):
        other = spectok.load_model(name).state_dict()
        assert all(torch.equal(value, other[key]) for key, value in first.items())
        assert {key.split(".")[0] for key in other.keys() - first.keys()} == {"reader"}


def test_list():
    assert spectok.list_models()[:3] == ["small-v1.2", "small-v1", "small-v1.1"]
    assert spectok.load_model().config.embedding_size == 128
    assert spectok.list_models("d") == ["lightcurve-v1"]
    assert "lightcurve-v1" not in spectok.list_models("Angstrom")


@pytest.mark.slow
def test_embeddings_find_the_same_object_in_another_survey():
    """Mocks of formulas, which the weights have not seen; by chance one in 60."""
    sdss, desi = simulate.observe_pairs("sdss", "desi", 60, seed=11, snr=20.0)
    first, second = (spectok.embed(list(s), progress=False)["embedding"] for s in (sdss, desi))
    scale = np.concatenate([first, second]).std(0)
    apart = np.linalg.norm(first[:, None] / scale - second[None] / scale, axis=-1)
    assert (apart.argmin(1) == np.arange(60)).mean() > 0.6
