"""Simple probes, and what happens without scikit-learn."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
from astropy.utils.exceptions import AstropyDeprecationWarning
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score
from sklearn.utils import estimator_checks

import spectok
from spectok.probes import knn_probe, linear_probe
from spectok.probes._simple import PoolTokens


@pytest.fixture(scope="module")
def table(make_arrays, tiny):
    wavelength, flux, sigma = make_arrays(300, 6)
    return spectok.encode_arrays(wavelength, flux, sigma**-2, model=tiny)


def test_the_mean_is_that_of_pool(table):
    found = PoolTokens("mean").fit_transform(table)
    assert found.dtype == np.float32
    assert np.array_equal(found, spectok.pool(table)["vector"])
    assert np.array_equal(PoolTokens("mean").fit(table).transform(spectok.group(table)), found)


def test_on_one_grid_tokens_stand_side_by_side(table):
    pool = PoolTokens().fit(table)
    found = pool.transform(table)
    items = spectok.group(table)
    assert np.array_equal(pool.grid_, items[0]["wavelength"])
    assert np.array_equal(found, np.stack([item["token"].ravel() for item in items]))


def test_places_without_a_token_get_the_mean(make_items):
    items = make_items([8, 8, 8, 8, 4])
    pool = PoolTokens().fit(items)
    found = pool.transform(items).reshape(5, 8, 4)
    mean = np.mean([item["token"] for item in items[:4]], axis=0)
    # The fifth place is one step beyond the short one's last token, which is still known.
    assert np.allclose(found[4, 5:], mean[5:], atol=1e-6)
    assert np.array_equal(found[4, 4], items[4]["token"][3])
    assert np.array_equal(found[4, :4], items[4]["token"])
    beyond = make_items([3], start=9000.0, seed=3)
    assert np.allclose(pool.transform(beyond), pool.mean_.reshape(1, -1))


def test_more_spectra_than_one_batch(make_items):
    items = make_items(list(np.random.default_rng(0).integers(1, 9, 300)))
    pool = PoolTokens().fit(items)
    found = pool.transform(items)
    for row in (0, 255, 256, 299):
        assert np.allclose(found[row], pool.transform(items[row : row + 1])[0], atol=1e-6)


def test_the_largest_grid(make_items):
    assert PoolTokens(largest=5).fit_transform(make_items([20, 20])).shape == (2, 20)


def test_linear_probes_learn(planted):
    items, test = planted.items[planted.train], planted.items[planted.test]
    line = linear_probe("classification").fit(items, planted.kind[planted.train])
    assert line.score(test, planted.kind[planted.test]) > 0.93
    number = linear_probe("regression").fit(items, planted.number[planted.train])
    assert number.score(test, planted.number[planted.test]) > 0.95
    # The mean forgets where a line stood, but not that there was one.
    mean = linear_probe("classification", how="mean").fit(items, planted.kind[planted.train])
    assert 0.6 < mean.score(test, planted.kind[planted.test]) < 0.93


def test_knn_probes_learn(planted):
    items, test = planted.items[planted.train], planted.items[planted.test]
    line = knn_probe("classification").fit(items, planted.kind[planted.train])
    assert line.score(test, planted.kind[planted.test]) > 0.6
    number = knn_probe("regression", n_neighbors=1, how="grid")
    number.fit(items, planted.number[planted.train])
    assert np.allclose(number.predict(items), planted.number[planted.train])
    assert number.named_steps["kneighborsregressor"].n_neighbors == 1


@pytest.mark.slow
@pytest.mark.parametrize("make", [linear_probe, knn_probe])
@pytest.mark.parametrize("how", ["mean", "grid"])
def test_cross_validation(make, how, planted):
    for task, label in (("classification", planted.kind), ("regression", planted.number)):
        probe = make(task, how=how)
        assert probe[0].how == how
        scores = cross_val_score(probe, planted.items[:60], label[:60], cv=3, error_score="raise")
        assert scores.shape == (3,) and np.isfinite(scores).all()
        assert clone(probe).get_params()["pooltokens__how"] == how


def test_scikit_learns_ways(make_items):
    estimator_checks.check_parameters_default_constructible("PoolTokens", PoolTokens())
    estimator_checks.check_no_attributes_set_in_init("PoolTokens", PoolTokens())
    estimator_checks.check_get_params_invariance("PoolTokens", PoolTokens())
    items = make_items([5, 5, 3])
    pool = PoolTokens().fit(items)
    again = pickle.loads(pickle.dumps(pool))
    assert np.array_equal(again.transform(items), pool.transform(items))
    with pytest.raises(NotFittedError):
        PoolTokens().transform(items)


def test_refusals(make_items):
    items = make_items([5, 0, 5])
    other = make_items([5], made_by={"MODEL": "another", "SHA256": "b" * 64})
    with pytest.raises(ValueError, match="how must be one of mean, grid, not 'sum'"):
        PoolTokens("sum").fit(items)
    for make in (linear_probe, knn_probe):
        with pytest.raises(ValueError, match="task must be one of classification, regression, no"):
            make("clustering")
        with pytest.raises(ValueError, match="not 'sum'"):
            make("regression", how="sum").fit(items[:1], [1.0])
    with pytest.raises(ValueError, match="not one spectrum has a valid token"):
        PoolTokens().fit(items[1:2])
    for how in ("mean", "grid"):
        pool = PoolTokens(how).fit(items)
        with pytest.raises(ValueError, match="1 of 3 spectra .*the first is 1.: leave out"):
            pool.transform(items)
        with pytest.raises(ValueError, match="'another'.*'by-hand'.*encode all spectra"):
            pool.transform(other)
        with pytest.raises(ValueError, match="have 5 numbers, .* was trained on 4: encode with"):
            pool.transform(make_items([3], channels=5))
        with pytest.raises(ValueError, match="trained on spectra with tokens, and these have no"):
            pool.transform(np.zeros((3, 4)))
        with pytest.raises(TypeError, match="spectrum 0 is a float64, not an item"):
            pool.transform(np.zeros(3))


# ------------------------------------------------------------------ vectors, distances, weights


@pytest.mark.parametrize("make", [linear_probe, knn_probe])
def test_vectors_are_read(make, planted):
    rng = np.random.default_rng(5)
    kind = np.repeat([0, 1, 2], 40)
    vector = (2.0 * np.eye(3, 5)[kind] + rng.normal(0, 0.6, (120, 5))).astype(np.float32)
    both = np.empty(120, [("tokens", object), ("vector", np.float32, (5,))])
    both["tokens"], both["vector"] = planted.items[:120], vector
    for given in (vector, both):
        scores = cross_val_score(make("classification"), given, kind, cv=3, error_score="raise")
        assert scores.mean() > 0.8
    pool = make("classification").fit(both, kind)[0]
    # Side by side for what is linear; for distances the vectors alone.
    assert pool.transform(both).shape == (120, 8 * 4 + 5 if make is linear_probe else 5)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["mean", "grid"])
def test_noise_does_not_rule_distances(how, planted):
    """The last number of a token, of a large scatter and without meaning."""
    items = [item.copy() for item in planted.items]
    for item, add in zip(items, np.random.default_rng(6).normal(0, 20, 1000), strict=True):
        item["token"][:, -1] += add
    probe = knn_probe("classification", how=how).fit(items[:800], planted.kind[:800])
    plain = knn_probe("classification", how=how).fit(planted.items[:800], planted.kind[:800])
    assert np.array_equal(probe.predict(items[800:]), plain.predict(planted.items[800:]))


def test_rare_classes_count_alike(planted):
    """Nine in ten without a line: a probe that learns the share says so always."""
    rare = np.flatnonzero(planted.kind == "line")[:40]
    rows = np.concatenate([rare, np.flatnonzero(planted.kind == "no line")[:360]])
    probe = linear_probe("classification").fit(planted.items[rows], planted.kind[rows])
    test = planted.kind[800:] == "line"
    assert (probe.predict(planted.items[800:][test]) == "line").mean() > 0.8


def test_the_former_public_name_warns():
    with pytest.warns(
        AstropyDeprecationWarning, match="PoolTokens is no public name .* use spectok.pool"
    ):
        assert spectok.probes.PoolTokens is PoolTokens
    assert "PoolTokens" not in dir(spectok.probes)
    with pytest.raises(AttributeError):
        _ = spectok.probes.Nothing


# ------------------------------------------------------------------ scikit-learn is an extra


def run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.slow
def test_without_scikit_learn():
    names = [
        "ProbeClassifier", "ProbeRegressor", "linear_probe", "knn_probe",
        "load_probe", "save_probe",
    ]  # fmt: skip
    said = run(f"""
import sys
sys.modules["sklearn"] = None
import spectok
from spectok import probes
for name in {names!r}:
    try:
        getattr(probes, name)
    except ImportError as error:
        print(name, error)
    else:
        print(name, "was there")
""")
    sentence = 'probes need scikit-learn: pip install ".[probes]" in a checkout'
    assert said.splitlines() == [f"{name} {sentence}" for name in names]


def test_probes_are_loaded_when_they_are_used():
    said = run("""
import sys, spectok
from spectok import probes
assert "ProbeClassifier" in dir(probes)
print(*[name for name in ("sklearn", "torch", "scipy", "astropy") if name in sys.modules])
""")
    assert not said
