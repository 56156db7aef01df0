"""The linear reading: what scikit-learn fits, chosen where labels are few, and in every shape."""

import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable
from astropy.utils.exceptions import AstropyUserWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import cross_val_score
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_sample_weight

import spectok
from spectok import simulate
from spectok.probes import ProbeClassifier, ProbeRegressor, load_probe, save_probe
from spectok.probes._estimator import FEW
from spectok.probes._linear import ALPHAS, STRENGTH


@pytest.fixture(scope="module")
def vectors():
    """400 vectors of seven numbers, three classes of unequal size and a number, both planted."""
    rng = np.random.default_rng(2)
    x = rng.normal(0.0, 1.0, (400, 7)).astype(np.float32)
    kind = np.array(["a", "b", "c"])[np.searchsorted([-0.5, 1.2], x[:, 0] + x[:, 3])]
    return x, kind, 3.0 + x @ np.arange(7.0) + rng.normal(0.0, 0.5, 400)


def embedding_of(x, n_valid=None):
    """A table as spectok.embed makes them."""
    table = QTable({"spectrum_index": np.arange(len(x)), "embedding": x})
    if n_valid is not None:
        table["n_valid"] = n_valid
    table.meta.update(MODEL="by-hand", SHA256="a" * 64)
    return table


# ------------------------------------------------------------------ which method


def test_the_method_follows_from_what_there_is(planted, small, vectors):
    options = {**small, "method": "auto", "max_epochs": 1}
    for n in (FEW - 1, FEW):
        probe = ProbeClassifier(**options).fit(planted.items[:n], planted.kind[:n])
        assert probe.method_ == ("linear" if n < FEW else "attention")
    # Spectra without a weight teach nothing.
    weight = np.r_[np.zeros(10), np.ones(FEW - 10)]
    probe.fit(planted.items[:FEW], planted.kind[:FEW], sample_weight=weight)
    assert probe.method_ == "linear" and probe.n_held_out_ == 0
    assert probe.history_ == {"loss": [], "held_out": []}
    # Attention has nothing to attend to.
    assert ProbeClassifier(**options).fit(vectors[0], vectors[1]).method_ == "linear"
    assert ProbeRegressor(**options).fit(vectors[0], vectors[2]).method_ == "linear"
    with pytest.raises(ValueError, match="'attention' reads tokens, .* use method='linear', or"):
        ProbeClassifier(method="attention").fit(vectors[0], vectors[1])
    with pytest.raises(ValueError, match="method must be one of auto, attention, linear, not 'x'"):
        ProbeRegressor(method="x").fit(vectors[0], vectors[2])


@pytest.mark.parametrize("kind", [ProbeClassifier, ProbeRegressor])
def test_it_needs_no_seed(kind, vectors):
    y = vectors[1] if kind is ProbeClassifier else vectors[2]
    a, b = (kind(random_state=k).fit(vectors[0], y).predict(vectors[0]) for k in (0, None))
    assert np.array_equal(a, b)


# ------------------------------------------------------------------ what is fitted


@pytest.mark.parametrize("class_weight", ["balanced", None, {"a": 1.0, "b": 5.0, "c": 2.0}])
@pytest.mark.parametrize("classes", [2, 3])
def test_classes_are_those_of_scikit_learn(class_weight, classes, vectors):
    x, kind, _ = vectors
    kind = kind if classes == 3 else np.where(kind == "c", "b", kind)
    if classes == 2 and isinstance(class_weight, dict):
        class_weight = {"a": 1.0, "b": 5.0}
    probe = ProbeClassifier(class_weight=class_weight).fit(x[:300], kind[:300])
    weight = (
        np.ones(300) if class_weight is None else compute_sample_weight(class_weight, kind[:300])
    )
    scaler = StandardScaler().fit(x[:300])
    # Of seven standardised numbers; to the end.
    model = LogisticRegression(C=STRENGTH / 7, max_iter=10000, tol=1e-9)
    model.fit(scaler.transform(x[:300]), kind[:300], sample_weight=weight / weight.mean())
    expected = model.predict_proba(scaler.transform(x[300:]))
    assert np.allclose(probe.predict_proba(x[300:]), expected, atol=2e-3)
    assert probe.classes_.tolist() == model.classes_.tolist()


@pytest.mark.slow
def test_labels_and_their_widths(vectors):
    """Ridge regression, and the rms of what each spectrum's label is off when it is left out."""
    x, _, number = vectors
    x, y = x[:60], number[:60]
    weight = np.random.default_rng(1).uniform(0.5, 2.0, 60)
    probe = ProbeRegressor().fit(x, y * u.K, sample_weight=weight)
    value, std = probe.predict(x, return_std=True)
    weight = weight / weight.mean()
    z, middle, spread = StandardScaler().fit_transform(x) / 7**0.5, y.mean(), y.std()

    def left_out(alpha):
        found = []
        for k in range(60):
            rows = np.arange(60) != k
            model = Ridge(alpha=alpha).fit(z[rows], (y[rows] - middle) / spread, weight[rows])
            found.append(model.predict(z[k : k + 1])[0] - (y[k] - middle) / spread)
        return np.average(np.square(found), weights=weight) ** 0.5

    errors = [left_out(alpha) for alpha in ALPHAS]
    assert np.allclose(std.to_value(u.K), spread * min(errors), rtol=1e-3)
    model = Ridge(alpha=ALPHAS[np.argmin(errors)]).fit(z, (y - middle) / spread, weight)
    assert np.allclose(value.to_value(u.K), middle + spread * model.predict(z), atol=1e-4)


def test_stated_widths_are_true(vectors):
    x, _, number = vectors
    probe = ProbeRegressor().fit(x[:200], number[:200])
    value, std = probe.predict(x[200:], return_std=True)
    assert np.median(std) == pytest.approx(0.5, rel=0.15)  # the planted noise
    assert np.std((number[200:] - value) / std) == pytest.approx(1.0, abs=0.15)
    density = probe.predict_density(x[200:203], np.linspace(-40, 40, 4001))
    assert np.allclose(density.sum(1) * 0.02, 1.0, atol=1e-3)


def test_unknown_labels_of_a_table(planted):
    logg = np.array([item["token"][2, 2] for item in planted.items[:150]], float)
    known = np.arange(150) % 3 > 0
    table = QTable({"teff": planted.number[:150] * u.K, "logg": np.where(known, logg, np.nan)})
    probe = ProbeRegressor(n_components=8).fit(planted.items[:150], table)
    assert probe.method_ == "linear"
    value = probe.predict(planted.items[800:])
    assert np.corrcoef(value["teff"].value, planted.number[800:])[0, 1] > 0.95
    truth = [item["token"][2, 2] for item in planted.items[800:]]
    assert np.corrcoef(value["logg"], truth)[0, 1] > 0.95


# ------------------------------------------------------------------ what is read


def beside(items, vector):
    """Items with vectors, as `spectok.group` joins them."""
    both = np.empty(len(items), [("tokens", object), ("vector", np.float32, vector.shape[1:])])
    both["tokens"], both["vector"] = items, vector
    return both


@pytest.mark.slow
@pytest.mark.parametrize("method", ["linear", "attention"])
def test_tokens_and_vectors_are_read_together(method, planted, small):
    """One class differs in a token, another in the vector: who reads one only is half blind."""
    rng = np.random.default_rng(3)
    vector = rng.normal(0.0, 1.0, (1000, 5)).astype(np.float32)
    kind = np.where(vector[:, 2] > 0.7, "vector", planted.kind)
    both = beside(planted.items, vector)
    options = {**small, "method": method, "max_epochs": 6}

    def score(given):
        probe = ProbeClassifier(**options).fit(given[:800], kind[:800])
        return balanced_accuracy_score(kind[800:], probe.predict(given[800:]))

    assert score(both) > max(score(planted.items), 0.75) + 0.05
    probe = ProbeClassifier(**options).fit(both[:800], kind[:800])
    assert probe.tokenizer_["MODEL"] == "by-hand"
    for other, words in (
        (planted.items, "trained on spectra with vectors, and these have no vectors"),
        (vector, "trained on spectra with tokens, and these have no tokens"),
        (beside(planted.items, vector[:, :4]), "these vectors have 4 numbers, .* trained on 5"),
    ):
        with pytest.raises(ValueError, match=words):
            probe.predict(other)


@pytest.mark.parametrize("shape", ["table", "array", "both", "list of both", "items"])
@pytest.mark.parametrize("kind", [ProbeClassifier, ProbeRegressor])
def test_files_keep_it(kind, shape, planted, vectors, tmp_path):
    x, classes, number = (part[:100] for part in vectors)
    given = {
        "table": embedding_of(x), "array": x, "both": beside(planted.items[:100], x),
        "list of both": list(beside(planted.items[:100], x)), "items": planted.items[:100],
    }[shape]  # fmt: skip
    probe = kind(method="linear").fit(given, classes if kind is ProbeClassifier else number)
    again = load_probe(save_probe(probe, tmp_path / "probe.safetensors"))
    assert again.method_ == "linear" and again.tokenizer_ == probe.tokenizer_
    assert np.array_equal(again.predict(given), probe.predict(given))


def test_weights_of_classes_are_saved(vectors, tmp_path):
    x, kind, _ = vectors
    index = np.searchsorted(["a", "b", "c"], kind)
    probe = ProbeClassifier(class_weight={0: 1.0, 1: 2.0, 2: 3.0}).fit(x, index)
    again = load_probe(save_probe(probe, tmp_path / "probe.safetensors"))
    assert again.get_params() == probe.get_params()


def test_scikit_learn_cuts_arrays_and_pairs(planted, vectors):
    x, kind, _ = (part[:120] for part in vectors)
    for given in (x, beside(planted.items[:120], x)):
        scores = cross_val_score(ProbeClassifier(), given, kind, cv=3, error_score="raise")
        assert scores.mean() > 0.6  # the most frequent of three classes has 0.44


def test_vectors_that_mean_nothing(vectors):
    """Spectra without a valid token have no embedding, whatever stands there."""
    x, kind, _ = (part[:60].copy() for part in vectors)
    x[[3, 7]] = np.nan
    table = embedding_of(x, np.where(np.isfinite(x[:, 0]), 9, 0))
    with pytest.warns(AstropyUserWarning, match="2 of 60 .* left out of the fit: 3, 7"):
        probe = ProbeClassifier().fit(table, kind)
    with pytest.warns(AstropyUserWarning, match="2 of 60 .* are NaN: 3, 7"):
        found = probe.predict_proba(table)
    assert np.flatnonzero(np.isnan(found).any(1)).tolist() == [3, 7]
    with pytest.raises(ValueError, match="vectors of 2 of 60 .*the first is 3.* leave them out"):
        ProbeClassifier().fit(x, kind)
    other = embedding_of(x[:3], [1, 1, 1])
    other.meta["SHA256"] = "b" * 64
    with pytest.raises(ValueError, match="encode all"):
        probe.predict(other)


# ------------------------------------------------------------------ one class only


@pytest.mark.slow
def test_rare_classes_are_predicted():
    """130 labels, of which 72 % are quasars, as people keep them: no probe says QSO always."""
    parts = {"quasar": (94, 60), "galaxy": (20, 60), "star": (16, 60)}
    items, kind, train = [], [], []
    for seed, (name, (few, many)) in enumerate(parts.items()):
        spectra = simulate.observe("sdss", few + many, seed=40 + seed, kind=name, snr=10)
        items += list(spectok.group(spectok.encode(spectra, progress=False)))
        kind += [name] * (few + many)
        train += [True] * few + [False] * many
    kind, train = np.array(kind), np.array(train)
    fit = [item for item, use in zip(items, train, strict=True) if use]
    ask = [item for item, use in zip(items, train, strict=True) if not use]
    probe = ProbeClassifier().fit(fit, kind[train])
    score = balanced_accuracy_score(kind[~train], probe.predict(ask))
    assert score > 0.55  # always QSO: 0.333
    natural = ProbeClassifier(class_weight=None).fit(fit, kind[train]).predict(ask)
    assert score > balanced_accuracy_score(kind[~train], natural)


@pytest.mark.parametrize("method", ["linear", "attention"])
def test_one_class_for_all_is_said(method, planted, small):
    items, kind = planted.items[:60], np.array(["usual"] * 57 + ["rare"] * 3)
    options = {**small, "method": method, "class_weight": None, "max_epochs": 1}
    probe = ProbeClassifier(**options).fit(items, kind)
    with pytest.warns(AstropyUserWarning, match="all 57 spectra .* 'usual', of 2 classes") as said:
        probe.predict(items[:57])
    assert len(said) == 1 and said[0].filename == __file__
    text = str(said[0].message)
    assert "class_weight='balanced'" in text
    assert ("method='linear'" in text) == (method == "attention")
    probe.predict(items[:9])  # so few may well be of one class
