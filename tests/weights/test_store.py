"""Weights on disk: round trips, checksums, and what is said of damaged ones."""

import copy
import dataclasses
import json
import re
from importlib import resources

import numpy as np
import pytest
import torch

import spectok
from spectok._weights import DEFAULT, describe, model_identity, resolve

FIELDS = json.dumps(dataclasses.asdict(spectok.ModelConfig.of_size("tiny")))[1:-1].encode()


@pytest.fixture
def folder(tiny_folder, tmp_path):
    """A copy of the tiny model that may be damaged."""
    for file in tiny_folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def weights_equal(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))


def test_round_trip(tiny_folder, tiny, tmp_path):
    again = spectok.load_model(spectok.save_model(tiny, tmp_path / "copy-v2"))
    assert weights_equal(tiny, again) and again.config == tiny.config
    assert model_identity(again) == ("copy-v2", model_identity(tiny)[1])
    assert model_identity(tiny)[0] == "tiny-test"
    assert not again.training
    assert all(p.dtype == torch.float32 and not p.requires_grad for p in again.parameters())


def test_path_may_be_a_string(tiny_folder, tiny):
    assert weights_equal(spectok.load_model(str(tiny_folder)), tiny)
    assert weights_equal(spectok.load_model(str(tiny_folder) + "/"), tiny)
    assert model_identity(spectok.load_model(str(tiny_folder) + "/"))[0] == "tiny-test"


def test_configuration_and_card_travel_along(tmp_path):
    config = spectok.ModelConfig.of_size("tiny", token_size=14, min_period=2.0)
    model = spectok.SpectralTokenizer(config)
    path = spectok.save_model(model, tmp_path / "deep" / "down", card={"data": "mocks"})
    assert spectok.load_model(path).config == config
    assert json.loads((path / "config.json").read_text())["card"] == {"data": "mocks"}
    assert sorted(f.name for f in path.iterdir()) == ["config.json", "model.safetensors"]


def test_a_card_is_kept_until_the_weights_change(tmp_path):
    model = spectok.SpectralTokenizer(spectok.ModelConfig.of_size("tiny"))
    path = spectok.save_model(model, tmp_path / "first", card={"trained_on": "mocks"})
    loaded = spectok.load_model(path)
    again = spectok.load_model(spectok.save_model(loaded, tmp_path / "second"))
    assert again.card == {"trained_on": "mocks"} and "mocks" in repr(again)
    changed = copy.deepcopy(again)
    with torch.no_grad():
        changed.to_token.bias += 1
    assert "mocks" not in repr(changed)
    third = spectok.load_model(spectok.save_model(changed, tmp_path / "third"))
    assert third.card == {}


def test_half_precision(tiny, tmp_path, make_arrays):
    full, half = (spectok.save_model(tiny, tmp_path / str(h), half=h) for h in (False, True))
    sizes = [(path / "model.safetensors").stat().st_size for path in (full, half)]
    assert sizes[1] < 0.6 * sizes[0]
    loaded = spectok.load_model(half)
    for a, b in zip(tiny.parameters(), loaded.parameters(), strict=True):
        assert b.dtype == torch.float32 and torch.equal(a.half().float(), b)
    assert model_identity(loaded)[1] != model_identity(tiny)[1]
    wavelength, flux, sigma = make_arrays(64)
    a, b = (
        spectok.encode_arrays(wavelength, flux, sigma**-2, model=m)["token"]
        for m in (tiny, loaded)
    )
    assert np.allclose(a, b, atol=0.02)


def test_saving_over_a_model_is_refused(folder, tiny):
    with pytest.raises(FileExistsError, match="holds a model already; save under a new name"):
        spectok.save_model(tiny, folder)
    (folder / "config.json").unlink()
    with pytest.raises(FileExistsError, match="holds a model already"):
        spectok.save_model(tiny, folder)


def test_truncated_weights(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(ValueError) as raised:
        spectok.load_model(folder)
    message = str(raised.value)
    assert str(file) in message and f"({file.stat().st_size} bytes)" in message
    assert "is truncated or was changed; get it again" in message
    assert len(set(re.findall("[0-9a-f]{64}", message))) == 2


def test_one_changed_byte(folder):
    file = folder / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(ValueError, match="truncated or was changed"):
        spectok.load_model(folder)


def rewrite(folder, **changes):
    file = folder / "config.json"
    described = json.loads(file.read_text())
    for name, value in changes.items():
        if value is None:
            del described[name]
        else:
            described[name] = value
    file.write_text(json.dumps(described))


def test_wrong_checksum(folder):
    rewrite(folder, sha256="0" * 64)
    with pytest.raises(ValueError, match="config.json says 0{64}"):
        spectok.load_model(folder)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "Expecting value"),
        (b"{", "Expecting"),
        (b"\xff\xfe\x00", "decode"),
        (b"[1, 2]", "indices"),
        (b"{}", "lacks 'config'"),
        (b'{"config": {"colour": "red", %s}, "sha256": ""}' % FIELDS, "unknown colour"),
        (
            b'{"config": {%s}, "sha256": ""}' % FIELDS.replace(b'"width": 32', b'"width": 33'),
            "width 33 is not a multiple of heads 2",
        ),
        (b'{"config": {%s}}' % FIELDS, "lacks 'sha256'"),
    ],
)
def test_broken_configuration(content, reason, folder):
    (folder / "config.json").write_bytes(content)
    with pytest.raises(ValueError, match="config.json is not a model's configuration: ") as raised:
        spectok.load_model(folder)
    assert reason in str(raised.value)


def test_weights_of_another_size(folder):
    config = json.loads((folder / "config.json").read_text())["config"]
    rewrite(folder, config=config | {"width": 64})
    with pytest.raises(ValueError, match="the weights in .* do not fit their configuration: "):
        spectok.load_model(folder)


def test_weights_that_are_no_safetensors(folder):
    import hashlib

    junk = b"\x00" * 100
    (folder / "model.safetensors").write_bytes(junk)
    rewrite(folder, sha256=hashlib.sha256(junk).hexdigest())
    with pytest.raises(ValueError, match="do not fit their configuration"):
        spectok.load_model(folder)


def test_weights_older_than_a_field_are_read_as_what_they_were(folder, monkeypatch):
    from spectok.model import _config

    config = json.loads((folder / "config.json").read_text())["config"]
    del config["max_period"]
    rewrite(folder, config=config)
    # As if the longest period could be chosen since yesterday only, and was 5e4 before.
    monkeypatch.setitem(_config._BEFORE, "max_period", 5e4)
    assert spectok.load_model(folder).config.max_period == 5e4
    assert spectok.ModelConfig().max_period != 5e4


@pytest.mark.parametrize("config", [[], "tiny", 3])
def test_a_configuration_that_is_no_table_is_refused(folder, config):
    rewrite(folder, config=config)
    with pytest.raises(ValueError, match="is not a model's configuration: it is no table"):
        spectok.load_model(folder)


def test_a_configuration_is_whole_and_takes_no_defaults(folder):
    """Or weights of old would be read with the sizes of today."""
    config = json.loads((folder / "config.json").read_text())["config"]
    del config["max_period"]
    rewrite(folder, config=config)
    with pytest.raises(ValueError, match="is not a model's configuration: it lacks 'max_period'"):
        spectok.load_model(folder)


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
def test_missing_file(missing, folder):
    (folder / missing).unlink()
    with pytest.raises(FileNotFoundError, match=f"has no {missing}: a model is a folder with"):
        spectok.load_model(folder)


@pytest.mark.parametrize("name", ["small-v99", "/no/such/folder"])
def test_unknown_name(name):
    with pytest.raises(ValueError, match=f"no model '{name}': neither a folder, nor one of "):
        spectok.load_model(name)


def test_a_file_is_no_model(folder):
    with pytest.raises(ValueError, match="neither a folder"):
        spectok.load_model(folder / "model.safetensors")


# ------------------------------------------------------------------ identity


def test_identity_changes_with_the_weights(tiny_folder):
    model = spectok.load_model(tiny_folder)
    name, sha256 = model_identity(model)
    assert model_identity(model) == (name, sha256)
    with torch.no_grad():
        model.to_token.weight[0, 0] += 1.0
    changed = model_identity(model)
    assert changed[0] == "tiny-test-changed" and changed[1] != sha256
    assert model_identity(model) == changed


def test_identity_changes_with_a_training_step(tiny_folder):
    model = spectok.load_model(tiny_folder).requires_grad_(True)
    before = model_identity(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model.to_token.weight.sum().backward()
    optimizer.step()
    assert model_identity(model)[1] != before[1]


def test_identity_in_memory_is_that_of_the_saved_file(tmp_path):
    model = spectok.SpectralTokenizer(spectok.ModelConfig.of_size("tiny"))
    name, sha256 = model_identity(model)
    assert name == "unsaved"
    assert (
        model_identity(spectok.load_model(spectok.save_model(model, tmp_path / "a")))[1] == sha256
    )


def test_copies_keep_the_checksum(tiny):
    assert model_identity(copy.deepcopy(tiny))[1] == model_identity(tiny)[1]


def test_tokens_of_a_changed_model_are_not_those_of_the_file(tiny_folder, make_arrays):
    wavelength, flux, sigma = make_arrays(64)
    model = spectok.load_model(tiny_folder)
    tokens = spectok.encode_arrays(wavelength, flux, sigma**-2, model=model)
    with torch.no_grad():
        model.to_pixels.weight.mul_(2.0)
    from astropy import units as u

    with pytest.raises(ValueError, match="other weights cannot read them"):
        spectok.decode(tokens, wavelength * u.AA, model=model)


# ------------------------------------------------------------------ named models


def test_a_folder_is_read_anew_each_time(tiny_folder):
    assert resolve(tiny_folder) is not resolve(tiny_folder)
    model = spectok.load_model(tiny_folder)
    assert resolve(model) is model


@pytest.fixture
def default():
    return spectok.load_model()


def test_the_embedded_default_is_small_and_has_a_card():
    folder = resources.files("spectok") / "weights" / DEFAULT
    assert len((folder / "model.safetensors").read_bytes()) < 20e6
    card = (folder / "CARD.rst").read_text(encoding="utf-8")
    for heading in ("Training", "Where it loses, and why", "Data", "Hidden-block score"):
        assert f"\n{heading}\n" in card
    assert describe()["scores"]["sdss | all | hidden | spectok"]["objects"] >= 5


def test_default(default, make_arrays):
    assert spectok.list_models()[0] == DEFAULT == model_identity(default)[0]
    assert weights_equal(default, spectok.load_model(DEFAULT))
    assert resolve(None) is resolve(DEFAULT), "named models are loaded once"
    wavelength, flux, sigma = make_arrays(320)
    tokens = spectok.encode_arrays(wavelength, flux, sigma**-2)
    assert tokens.meta["MODEL"] == DEFAULT
    from astropy import units as u

    again = spectok.decode(tokens, wavelength * u.AA)
    # Seen pixels of a smooth spectrum at S/N 20: better than nothing at all.
    assert np.std((again.flux.value - flux) / sigma) < 0.7 * np.std(flux / sigma)


@pytest.mark.parametrize("half", [False, True])
def test_a_copy_or_a_move_keeps_the_identity(tiny, tmp_path, half):
    model = spectok.load_model(spectok.save_model(tiny, tmp_path / "mine-v1", half=half))
    identity = model_identity(model)
    assert model_identity(copy.deepcopy(model)) == identity
    assert model_identity(model.to("cpu")) == identity


def test_a_change_behind_the_parameters_back_is_seen(tiny_folder):
    model = spectok.load_model(tiny_folder)
    name, sha256 = model_identity(model)
    model.to_token.bias = torch.nn.Parameter(model.to_token.bias + 1.0)
    assert model_identity(model)[0] == f"{name}-changed"
    assert model_identity(model)[1] != sha256
