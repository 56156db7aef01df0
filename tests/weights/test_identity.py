"""How a model shows itself."""

import copy

import pytest
import torch

import spectok
from spectok._weights import model_identity


def test_a_model_prints_what_matters(tiny_folder):
    model = spectok.load_model(tiny_folder)
    text = repr(model)
    name, sha256 = model_identity(model)
    assert text.startswith(f"SpectralTokenizer {name}\n")
    assert sha256[:12] in text
    number = sum(p.numel() for p in model.parameters())
    for part in (
        f"{number:,}",
        "tiny: 1 + 1 blocks of width 32",
        "16 numbers",
        "32 pixels",
        "cpu",
    ):
        assert part in text
    assert len(text.splitlines()) < 10
    # Torch's own list of layers is a step away.
    assert "Attention(" in repr(model.encoder)
    assert "SpectralTokenizer tiny-test" in repr(torch.nn.Sequential(model))


def test_the_default_says_what_it_was_trained_on():
    model = spectok.load_model()
    assert "trained on" in repr(model)
    for survey in ("SDSS", "DESI", "GALAH", "APOGEE"):
        assert survey in model.card["trained_on"]


def test_a_copy_is_the_same_model_and_a_changed_one_is_not(tiny_folder):
    model = spectok.load_model(tiny_folder)
    assert repr(copy.deepcopy(model)) == repr(model)
    changed = copy.deepcopy(model)
    with torch.no_grad():
        changed.to_token.bias += 1
    assert "tiny-test-changed" in repr(changed)
    assert repr(changed) != repr(model)


def test_buffers_of_the_reader_are_weights(tmp_path):
    config = spectok.ModelConfig.of_size("tiny", embedding_size=8)
    folder = spectok.save_model(spectok.SpectralTokenizer(config), tmp_path / "mine")
    model = spectok.load_model(folder)
    before = model_identity(model)
    model.reader.mean.add_(1.0)
    assert model_identity(model)[1] != before[1]


def test_models_without_a_file_or_numbers_have_a_display():
    config = spectok.ModelConfig.of_size("tiny", n_periods=4)
    assert config.size == ""
    text = repr(spectok.SpectralTokenizer(config))
    assert "unsaved" in text and "training mode" in text and "trained on" not in text
    with torch.device("meta"):
        assert "no numbers yet" in repr(spectok.SpectralTokenizer(config))


def test_a_new_model_says_that_it_has_no_file_yet():
    model = spectok.SpectralTokenizer(spectok.ModelConfig.of_size("tiny"))
    assert model.origin is None and "neither loaded nor saved" in repr(model)
    name, sha256 = model_identity(model)  # as encode asks for it
    assert name == "unsaved" and sha256[:12] in repr(model)


def test_html_is_escaped(tiny_folder):
    model = spectok.load_model(tiny_folder)
    model.card = {"trained_on": "<script>"}
    shown = model._repr_html_()
    assert "&lt;script&gt;" in shown and "<script>" not in shown
    assert shown.count("<tr>") == len(repr(model).splitlines()) - 1


@pytest.mark.parametrize("size", ["tiny", "small", "base"])
def test_sizes_know_their_names(size):
    assert spectok.ModelConfig.of_size(size).size == size
