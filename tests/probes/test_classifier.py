"""The classifier, and what it shares with the regressor: scikit-learn's ways and refusals."""

import pickle
import warnings

import numpy as np
import pytest
import torch
from astropy.table import MaskedColumn
from astropy.utils.exceptions import AstropyUserWarning
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    StratifiedKFold,
    cross_val_predict,
    cross_val_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import estimator_checks

import spectok
from spectok.probes import ProbeClassifier, ProbeRegressor

OTHER = {"MODEL": "another", "SHA256": "b" * 64}
QUICK = {"method": "attention", "max_epochs": 1, "held_out": 0.0}


@pytest.fixture(scope="module")
def probe(planted, small):
    return ProbeClassifier(**small).fit(planted.items[planted.train], planted.kind[planted.train])


@pytest.fixture(scope="module")
def few(planted):
    """Forty spectra, enough for what is no matter of skill."""
    return planted.items[:40], planted.kind[:40]


# ------------------------------------------------------------------ skill


def test_a_planted_line_is_found(probe, planted):
    items, kind = planted.items[planted.test], planted.kind[planted.test]
    assert probe.score(items, kind) > 0.93  # the best rule reaches 0.977
    assert probe.classes_.tolist() == ["line", "no line"]
    probability = probe.predict_proba(items)
    assert probability.shape == (200, 2) and np.allclose(probability.sum(1), 1)
    assert (probe.predict(items) == probe.classes_[probability.argmax(1)]).all()
    # Probabilities mean what they say: Brier score of the best rule is 0.02, of chance 0.25.
    assert np.mean((probability[:, 0] - (kind == "line")) ** 2) < 0.07
    assert probe.n_held_out_ == 80
    assert len(probe.history_["held_out"]) == len(probe.history_["loss"]) <= 8


@pytest.mark.slow
@pytest.mark.parametrize("shape", [{"reading": 0}, {"blocks": 0}])
def test_a_line_that_may_stand_anywhere(shape, make_items, small):
    """A pair of high tokens next to each other, at any place."""
    items = make_items([8] * 300, seed=5)
    rng = np.random.default_rng(6)
    pair = rng.random(300) < 0.5
    for item, has in zip(items, pair, strict=True):
        item["token"][rng.integers(8), 2] += 3.0 * has
    probe = ProbeClassifier(**{**small, "max_epochs": 15, **shape}).fit(items[:240], pair[:240])
    assert probe.score(items[240:], pair[240:]) > 0.75
    assert probe.classes_.dtype == bool


@pytest.mark.slow
def test_real_mocks_end_to_end(small):
    spectra = spectok.simulate.observe("sdss", 100, seed=3, snr=20)
    tokens = spectok.encode(spectra, progress=False)
    kind = np.array([s.meta["label"]["class"] for s in spectra])
    items = spectok.group(tokens)
    options = {**small, "batch_size": 8, "max_epochs": 10, "reading": 0}
    probe = ProbeClassifier(**options).fit(items[:70], kind[:70])
    chance = (kind[70:] == max(set(kind), key=list(kind).count)).mean()
    assert probe.score(items[70:], kind[70:]) > chance + 0.15
    assert probe.tokenizer_["SHA256"] == tokens.meta["SHA256"]
    # The table is as good as its items.
    rows = tokens[tokens["spectrum_index"] < 5]
    assert np.array_equal(probe.predict_proba(rows), probe.predict_proba(items[:5]))


# ------------------------------------------------------------------ scikit-learn's ways


@pytest.mark.parametrize("kind", [ProbeClassifier, ProbeRegressor])
def test_parameters_are_as_scikit_learn_wants_them(kind):
    name = kind.__name__
    estimator_checks.check_parameters_default_constructible(name, kind())
    estimator_checks.check_no_attributes_set_in_init(name, kind())
    estimator_checks.check_get_params_invariance(name, kind())
    estimator_checks.check_set_params(name, kind())
    # scikit-learn 1.5, the oldest supported one, does not look at these.
    for check in ("check_estimator_repr", "check_estimator_cloneable", "check_valid_tag_types"):
        if hasattr(estimator_checks, check):
            getattr(estimator_checks, check)(name, kind())


def test_both_have_the_same_parameters():
    classifier, regressor = (kind().get_params() for kind in (ProbeClassifier, ProbeRegressor))
    assert regressor.pop("n_components") == 1
    assert classifier.pop("class_weight") == "balanced"
    # Only whether tokens are read on the grid is a matter of the task.
    assert classifier | {"reading": 0} == regressor | {"reading": 0}


def test_clone_and_parameters(probe, few):
    other = clone(probe)
    assert other.get_params() == probe.get_params() and not hasattr(other, "network_")
    assert other.set_params(width=8, dropout=0.1) is other and other.width == 8
    with pytest.raises(ValueError, match="Invalid parameter 'depth'"):
        other.set_params(depth=3)
    assert other.set_params(**QUICK).fit(*few).network_.config.width == 8
    assert "width=8" in repr(other)
    with pytest.raises(TypeError):
        ProbeClassifier(64)


def test_fitting_changes_no_parameter(few, small):
    probe = ProbeClassifier(**{**small, **QUICK})
    before = dict(probe.get_params())
    assert probe.fit(*few) is probe
    assert probe.get_params() == before


@pytest.mark.slow
def test_cross_validation(few, small):
    probe = ProbeClassifier(**{**small, **QUICK})
    scores = cross_val_score(probe, *few, cv=3, error_score="raise")
    assert scores.shape == (3,) and (scores >= 0).all() and np.isfinite(scores).all()
    found = cross_val_predict(probe, *few, cv=StratifiedKFold(2), method="predict_proba")
    assert found.shape == (40, 2) and np.allclose(found.sum(1), 1)
    groups = np.arange(40) // 2
    assert len(cross_val_score(probe, *few, groups=groups, cv=GroupKFold(2))) == 2
    # Weights and groups of a fit are cut with the spectra.
    given = {"sample_weight": np.ones(40), "groups": groups}
    assert np.isfinite(cross_val_score(probe, *few, cv=2, params=given)).all()


@pytest.mark.slow
def test_search_over_parameters(planted, small):
    search = GridSearchCV(
        ProbeClassifier(**{**small, "held_out": 0.0}), {"max_epochs": [1, 6]},
        cv=2, error_score="raise",
    )  # fmt: skip
    search.fit(planted.items[:160], planted.kind[:160])
    assert search.best_params_ == {"max_epochs": 6}
    assert search.score(planted.items[800:], planted.kind[800:]) > 0.8


def test_pipeline(few, small):
    cut = FunctionTransformer(lambda items: [item[:6] for item in items])
    pipe = make_pipeline(cut, ProbeClassifier(**{**small, **QUICK})).fit(*few)
    assert pipe.predict(few[0]).shape == (40,)
    assert len(pipe[-1].network_.grid) == 6


def test_pickling(probe, planted):
    again = pickle.loads(pickle.dumps(probe))
    items = planted.items[planted.test]
    assert np.array_equal(again.predict_proba(items), probe.predict_proba(items))
    assert again.tokenizer_ == probe.tokenizer_


def test_not_fitted(few):
    for method in ("predict", "predict_proba"):
        with pytest.raises(NotFittedError):
            getattr(ProbeClassifier(), method)(few[0])


# ------------------------------------------------------------------ randomness


@pytest.mark.slow
def test_the_same_seed_is_the_same_probe(few, small):
    options = {**small, "max_epochs": 2, "held_out": 0.3}
    torch.manual_seed(11)
    states = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    a = ProbeClassifier(**options).fit(*few)
    assert torch.equal(torch.random.get_rng_state(), states[0])
    assert np.array_equal(np.random.get_state()[1], states[1])  # noqa: NPY002
    torch.manual_seed(99)
    b = ProbeClassifier(**options).fit(*few)
    c = ProbeClassifier(**options, random_state=1).fit(*few)
    d = ProbeClassifier(**options, random_state=np.int64(0)).fit(*few)
    first = a.predict_proba(few[0])
    assert np.array_equal(b.predict_proba(few[0]), first) and b.history_ == a.history_
    assert np.array_equal(d.predict_proba(few[0]), first)
    assert not np.allclose(c.predict_proba(few[0]), first)
    # A second fit of the same object starts anew.
    assert np.array_equal(a.fit(*few).predict_proba(few[0]), first)


@pytest.mark.slow
def test_other_kinds_of_random_state(few, small):
    def fit(state):
        probe = ProbeClassifier(**{**small, **QUICK}, random_state=state).fit(*few)
        return probe.predict_proba(few[0])

    assert np.array_equal(fit(np.random.RandomState(3)), fit(np.random.RandomState(3)))
    assert not np.array_equal(fit(None), fit(None))


# ------------------------------------------------------------------ weights, groups, empty items


@pytest.mark.slow
@pytest.mark.parametrize("held_out", [0.0, 0.3])
def test_a_weight_of_zero_is_leaving_out(held_out, few, small):
    items, kind = few
    weight = np.where(np.arange(40) % 4 == 0, 0.0, 2.0)
    wrong = np.where(weight > 0, kind, "something else")
    options = {**small, "max_epochs": 2, "held_out": held_out}
    a = ProbeClassifier(**options).fit(items, wrong, sample_weight=weight)
    b = ProbeClassifier(**options).fit(items[weight > 0], kind[weight > 0])
    assert a.classes_.tolist() == ["line", "no line"]
    assert np.array_equal(a.predict_proba(items), b.predict_proba(items))


@pytest.mark.slow
def test_weights_move_the_probabilities(few, small):
    """The same spectra with both labels: the odds are those of the weights."""
    items, kind = np.concatenate([few[0], few[0]]), np.repeat(["a", "b"], 40)
    options = {**small, "batch_size": 8, "held_out": 0.0, "class_weight": None}
    probe = ProbeClassifier(**options)
    probe.fit(items, kind, sample_weight=np.where(kind == "a", 9, 1).tolist())
    assert np.abs(probe.predict_proba(few[0])[:, 0] - 0.9).max() < 0.06


@pytest.mark.parametrize(("weight", "words"), [
    (np.ones(39), r"sample_weight of shape \(39,\) for 40 spectra: give one each"),
    (np.r_[np.ones(39), -1], "the sample_weight of spectrum 39 is -1"),
    (np.r_[np.nan, np.ones(39)], "the sample_weight of spectrum 0 is nan"),
    (np.zeros(40), "sample_weight is zero for every spectrum"),
])  # fmt: skip
def test_weights_that_are_refused(weight, words, few):
    with pytest.raises(ValueError, match=words):
        ProbeClassifier(**QUICK).fit(*few, sample_weight=weight)


def test_groups_are_held_out_together(few, small, monkeypatch):
    import spectok.probes._estimator as module

    seen = []

    def spied(network, items, target, loss, options, held_out, weight):
        seen.append(held_out)
        return {"loss": [], "held_out": []}

    monkeypatch.setattr(module, "fit_network", spied)
    groups = np.array([f"star {k // 4}" for k in range(40)])
    for seed in range(5):
        probe = ProbeClassifier(**{**small, "held_out": 0.3}, random_state=seed)
        probe.fit(*few, groups=groups)
        held = seen[-1]
        assert len(held) == probe.n_held_out_ == 12
        assert not set(groups[held]) & set(np.delete(groups, held))
    assert len({tuple(held) for held in seen}) > 1
    ProbeClassifier(**{**small, "held_out": 0.3}).fit(*few)
    assert set(groups[seen[-1]]) & set(np.delete(groups, seen[-1]))
    # Fewer than ten would judge nothing.
    assert ProbeClassifier(**small).fit(*few).n_held_out_ == 0


@pytest.mark.parametrize(("groups", "words"), [
    (np.arange(7), "7 groups for 40 spectra: give one for each"),
    (np.zeros(40), "all spectra are of one group"),
])  # fmt: skip
def test_groups_that_are_refused(groups, words, few):
    with pytest.raises(ValueError, match=words):
        ProbeClassifier(method="attention", max_epochs=1, held_out=0.3).fit(*few, groups=groups)


def test_empty_items(few, make_items, small):
    items, kind = few[0].copy(), few[1].copy()
    items[[3, 17]] = [make_items([0])[0]] * 2
    kind[3] = "lost"
    probe = ProbeClassifier(**{**small, **QUICK})
    with pytest.warns(AstropyUserWarning, match="2 of 40 .* left out of the fit: 3, 17") as caught:
        probe.fit(items, kind)
    assert len(caught) == 1 and caught[0].filename == __file__
    assert "lost" not in probe.classes_
    with pytest.warns(AstropyUserWarning, match="2 of 40 .* are NaN: 3, 17") as caught:
        found = probe.predict_proba(items)
    assert len(caught) == 1 and caught[0].filename == __file__
    assert np.flatnonzero(np.isnan(found).all(1)).tolist() == [3, 17]
    full = np.delete(np.arange(40), [3, 17])
    assert np.allclose(found[full], probe.predict_proba(items[full]), atol=1e-6)
    with pytest.raises(ValueError, match="2 of 40 .*the first is 3.: leave out .* predict_proba"):
        probe.predict(items)
    with pytest.raises(ValueError, match="not one spectrum has a valid token"), \
         pytest.warns(AstropyUserWarning):  # fmt: skip
        clone(probe).fit(items[[3, 17]], kind[[3, 17]])


# ------------------------------------------------------------------ refusals


def test_tokens_of_another_model(probe, make_items, few):
    other = make_items([8] * 3, made_by=OTHER)
    for method in ("predict", "predict_proba"):
        with pytest.raises(ValueError, match="'another'.*'by-hand'.*encode all spectra with one"):
            getattr(probe, method)(other)
    with pytest.raises(ValueError, match="these tokens have 5 numbers, .* trained on 4"):
        probe.predict(make_items([8, 8], channels=5))
    with pytest.raises(ValueError, match="spectrum 40: its tokens were made by 'another'"):
        ProbeClassifier(**QUICK).fit(np.concatenate([few[0], other]), ["a", "b"] * 20 + ["c"] * 3)
    # Cut, joined and pickled items still remember.
    cut = pickle.loads(pickle.dumps([item[1:4] for item in np.concatenate([other, other])]))
    with pytest.raises(ValueError, match="'another'"):
        probe.predict(cut)


@pytest.mark.parametrize(("kind", "error", "words"), [
    (["a", "b"], ValueError, "2 labels for 40 spectra: give one for each"),
    (["a"] * 40, ValueError, "all spectra are of class 'a': give two at least"),
    (np.arange(40) / 3, TypeError, "classes are strings or whole numbers; .* ProbeRegressor"),
    (np.eye(40), ValueError, r"classes have the shape \(N,\), not \(40, 40\)"),
    (["a", None] * 20, ValueError, "20 of 40 spectra have no class .the first is 1.: leave them"),
    (["a", np.nan] * 20, ValueError, "20 of 40 spectra have no class"),
    (["a", "b"] * 19 + ["a", float("nan")], ValueError, "1 of 40 .*the first is 39"),
    (np.array(["a", np.nan] * 20, object), ValueError, "20 of 40"),
    ([1.0, 0.0] * 19 + [1.0, np.nan], ValueError, "1 of 40 .*the first is 39"),
    (np.ma.array([1, 2] * 20, mask=[0, 1] * 20), ValueError, "20 of 40 .*the first is 1"),
    (MaskedColumn(["a", "b"] * 20, mask=[0, 0, 1, 0] * 10), ValueError, "10 of 40 .*first is 2"),
])  # fmt: skip
def test_labels_that_are_refused(kind, error, words, few):
    with pytest.raises(error, match=words):
        ProbeClassifier(**QUICK).fit(few[0], kind)


@pytest.mark.parametrize(("parameters", "words"), [
    ({"width": 20, "heads": 4}, "width must be a multiple of twice the heads, 8, not 20"),
    ({"batch_size": 0}, "batch_size must be a whole number from 1, not 0"),
    ({"max_epochs": 2.5}, "max_epochs must be a whole number from 1, not 2.5"),
    ({"patience": 0}, "patience must be"), ({"queries": 0}, "queries must be"),
    ({"heads": 0}, "heads must be"), ({"blocks": -1}, "blocks must be a whole number from 0"),
    ({"reading": -1}, "reading must be"), ({"held_out": 1.0}, r"held_out must be .* not 1.0"),
    ({"dropout": 1.5}, r"dropout must be a share of \[0, 1\), not 1.5"),
])  # fmt: skip
def test_parameters_that_are_refused(parameters, words, few):
    with pytest.raises(ValueError, match=words):
        ProbeClassifier(**parameters).fit(*few)


@pytest.mark.slow
@pytest.mark.parametrize("classes", [[3, 7], [False, True], [0.0, 1.0], [b"a", b"b"]])
def test_kinds_of_classes(classes, few, small):
    y = np.array(classes * 20)
    probe = ProbeClassifier(**{**small, **QUICK}).fit(few[0], y)
    assert probe.classes_.dtype == y.dtype and probe.predict(few[0]).dtype == y.dtype
    column = MaskedColumn(y, mask=np.zeros(40, bool))
    assert np.array_equal(clone(probe).fit(few[0], column).classes_, probe.classes_)


def test_silent_without_progress(few, small, capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ProbeClassifier(**{**small, **QUICK}, progress=False).fit(*few).predict(few[0])
    assert capsys.readouterr() == ("", "")
