"""Probes in files: the same to the bit, and nothing else passes for one."""

import json

import astropy.units as u
import numpy as np
import pytest
import torch
from astropy.table import QTable
from safetensors import safe_open
from safetensors.torch import save_file
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge

from spectok.probes import ProbeClassifier, ProbeRegressor, load_probe, save_probe

QUICK = {"max_epochs": 1, "held_out": 0.3}


@pytest.fixture(scope="module")
def few(planted):
    return planted.items[:40]


@pytest.fixture(scope="module")
def options(small):
    return {**small, **QUICK}


@pytest.fixture(scope="module")
def probe(few, planted, options):
    return ProbeClassifier(**options).fit(few, planted.kind[:40])


@pytest.fixture
def path(tmp_path):
    return tmp_path / "probe.safetensors"


@pytest.mark.parametrize("classes", [
    ["line", "no line"], [3, 7], [False, True], [0.0, 1.0], [b"a", b"bc"],
    np.array(["x", "yz"], object), np.array([1, 2], np.int16),
])  # fmt: skip
def test_classifier(classes, few, options, path):
    y = np.array(list(classes) * 20, getattr(classes, "dtype", None))
    probe = ProbeClassifier(**options).fit(few, y)
    assert save_probe(probe, str(path)) == path
    again = load_probe(path)
    assert type(again) is ProbeClassifier and again.get_params() == probe.get_params()
    assert again.classes_.dtype == probe.classes_.dtype
    assert again.classes_.tolist() == probe.classes_.tolist()
    assert np.array_equal(again.predict_proba(few), probe.predict_proba(few))
    assert np.array_equal(again.predict(few), probe.predict(few))
    for name in ("tokenizer_", "history_", "n_held_out_"):
        assert getattr(again, name) == getattr(probe, name)


LABELS = {
    "plain": lambda y: y,
    "Quantity": lambda y: y * u.km / u.s,
    "dex": lambda y: y / 1000 * u.dex(u.cm / u.s**2),
    "two": lambda y: np.stack([y, -y], 1) * u.K,
    "table": lambda y: QTable({"teff": y * u.K, "[Fe/H]": y / 5000}),
}


@pytest.mark.parametrize("n_components", [1, pytest.param(5, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", LABELS)
def test_regressor(name, n_components, few, planted, options, path):
    label = LABELS[name](planted.number[:40])
    probe = ProbeRegressor(**options, n_components=n_components).fit(few, label)
    again = load_probe(save_probe(probe, path))
    assert again.labels_ == probe.labels_ and again.n_components == n_components
    for a, b in zip(
        probe.predict(few, return_std=True), again.predict(few, return_std=True), strict=True
    ):
        assert type(a) is type(b) and getattr(a, "unit", None) == getattr(b, "unit", None)
        columns = a.colnames if name == "table" else [()]
        for column in columns:
            assert np.array_equal(a[column], b[column])
            assert getattr(a[column], "unit", None) == getattr(b[column], "unit", None)
    assert again.score(few, label) == probe.score(few, label)


def test_a_loaded_probe_goes_on(probe, few, planted, make_items, path):
    again = load_probe(save_probe(probe, path))
    with pytest.raises(ValueError, match="'another'.*'by-hand'"):
        again.predict(make_items([8], made_by={"MODEL": "another", "SHA256": "c" * 64}))
    fresh = clone(again)
    assert not hasattr(fresh, "classes_")
    assert np.array_equal(
        fresh.fit(few, planted.kind[:40]).predict_proba(few), probe.predict_proba(few)
    )
    second = save_probe(again, path.with_name("second.safetensors"))
    assert np.array_equal(load_probe(second).predict_proba(few), probe.predict_proba(few))


def test_parameters_of_a_search_can_be_written(few, planted, small, path):
    """numpy's numbers, which scikit-learn's searches hand over."""
    probe = ProbeClassifier(**{
        **small, "max_epochs": np.int64(1), "learning_rate": np.float32(0.5), "width": np.int32(8),
        "device": torch.device("cpu"),
    }).fit(few, planted.kind[:40])  # fmt: skip
    again = load_probe(save_probe(probe, path))
    assert (again.max_epochs, again.learning_rate, again.width) == (1, 0.5, 8)


def test_it_loads_where_there_is_no_gpu(probe, path):
    probe = clone(probe).set_params(device="cuda:3").__dict__ | {
        k: v for k, v in probe.__dict__.items() if k.endswith("_")
    }
    other = ProbeClassifier()
    other.__dict__.update(probe)
    assert load_probe(save_probe(other, path)).device == "cpu"


def test_the_file_says_what_it_is(probe, path):
    save_probe(probe, path)
    with safe_open(path, "pt") as file:
        about = json.loads(file.metadata()["spectok-probe"])
    assert about["kind"] == "classifier" and about["tokenizer"]["SHA256"] == "a" * 64
    assert about["config"]["n_outputs"] == 2 and about["parameters"]["width"] == 16


# ------------------------------------------------------------------ refusals


def test_what_cannot_be_saved(probe, few, planted, options, path):
    with pytest.raises(TypeError, match="Ridge is no probe of spectok; scikit-learn's models"):
        save_probe(Ridge(), path)
    with pytest.raises(NotFittedError):
        save_probe(ProbeClassifier(), path)
    odd = ProbeClassifier(**options, random_state=np.random.RandomState(0))
    with pytest.raises(TypeError, match="RandomState.* cannot be saved"):
        save_probe(odd.fit(few, planted.kind[:40]), path)
    assert not path.exists()
    save_probe(probe, path)
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match="probe.safetensors is there already: give another"):
        save_probe(probe, path)
    assert path.read_bytes() == before


def rewritten(path, change):
    """The file with another description."""
    with safe_open(path, "pt") as file:
        about = json.loads(file.metadata()["spectok-probe"])
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    change(about, state)
    save_file(state, path, metadata={"spectok-probe": json.dumps(about)})


DAMAGE = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "no safetensors": lambda path: path.write_bytes(b"SIMPLE  = T" * 99),
    "empty": lambda path: path.write_bytes(b""),
    "foreign": lambda path: save_file({"x": torch.zeros(3)}, path),
    "foreign metadata": lambda path: save_file({"x": torch.zeros(3)}, path, metadata={"a": "b"}),
    "no JSON": lambda path: save_file({}, path, metadata={"spectok-probe": "{"}),
    "no config": lambda path: rewritten(path, lambda about, state: about.pop("config")),
    "no classes": lambda path: rewritten(path, lambda about, state: about.pop("classes")),
    "no history": lambda path: rewritten(path, lambda about, state: about.pop("history")),
    "other kind": lambda path: rewritten(path, lambda about, state: about.update(kind="tree")),
    "newer": lambda path: rewritten(path, lambda a, s: a["parameters"].update(depth=3)),
    "lacks weights": lambda path: rewritten(path, lambda about, state: state.pop("query")),
    "other sizes": lambda path: rewritten(path, lambda a, s: a["config"].update(width=32)),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_no_probe(damage, probe, path):
    save_probe(probe, path)
    DAMAGE[damage](path)
    with pytest.raises(ValueError, match="probe.safetensors is no probe that save_probe of this"):
        load_probe(path)


def test_a_foreign_file_is_told_apart(path):
    save_file({"x": torch.zeros(3)}, path)
    with pytest.raises(ValueError, match="there is no 'spectok-probe' in its metadata"):
        load_probe(path)


def test_no_file(tmp_path):
    for path in (tmp_path, tmp_path / "nothing.safetensors"):
        with pytest.raises(FileNotFoundError, match=f"{path.name}: no such file"):
            load_probe(path)
