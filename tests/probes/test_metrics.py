"""Metrics against formulas written out by hand, and against other packages."""

import numpy as np
import pytest
from astropy import units as u
from astropy.table import Column, MaskedColumn
from hypothesis import given
from hypothesis import strategies as st

from spectok.probes import metrics

KMS = u.km / u.s


def median(values):
    """By sorting."""
    values = sorted(values)
    n = len(values)
    return (values[(n - 1) // 2] + values[n // 2]) / 2


@pytest.mark.slow
@given(
    st.lists(
        st.tuples(st.sampled_from(["galaxy", "quasar", "star"]),
                  st.sampled_from(["galaxy", "quasar", "star"])),
        min_size=1, max_size=40,
    )
)  # fmt: skip
def test_classes_agree_with_scikit_learn(pairs):
    sklearn = pytest.importorskip("sklearn.metrics")
    true, predicted = zip(*pairs, strict=True)
    table = metrics.confusion(true, predicted)
    names = list(table["true"])
    counts = np.array([list(row)[1:] for row in table])
    every = ["galaxy", "quasar", "star"]
    expected = sklearn.confusion_matrix(true, predicted, labels=every)
    place = [every.index(name) for name in names]
    assert (counts == expected[np.ix_(place, place)]).all() and counts.sum() == expected.sum()
    accuracy = metrics.class_accuracy(true, predicted)
    found = dict(zip(accuracy["class"], accuracy["accuracy"], strict=True))
    present = sorted(set(true))
    recall = sklearn.recall_score(true, predicted, labels=present, average=None)
    assert [found[name] for name in present] == pytest.approx(list(recall))
    assert accuracy["class"][-1] == "mean"
    assert accuracy["accuracy"][-1] == pytest.approx(np.mean(recall))
    assert accuracy["n"][-1] == len(true) == sum(accuracy["n"][:-1])


def test_mean_gives_every_class_the_same_weight():
    table = metrics.class_accuracy([0] * 9 + [1], [0] * 10)
    assert table["accuracy"].tolist() == [1.0, 0.0, 0.5]
    assert list(table["class"]) == ["0", "1", "mean"]


def test_classes_as_columns_and_bytes():
    true = Column([b"star", b"galaxy"])
    assert metrics.class_accuracy(true, ["star", "star"])["accuracy"][-1] == 0.5


def test_scatter_and_bias_by_hand():
    rng = np.random.default_rng(3)
    true, predicted = rng.normal(size=(2, 101))
    r = predicted - true
    assert metrics.bias(true, predicted) == pytest.approx(median(r))
    expected = 1.482602 * median(np.abs(r - median(r)))
    assert metrics.scaled_mad(true, predicted) == pytest.approx(expected, rel=1e-6)


def test_scatter_of_a_gaussian_is_its_width():
    r = np.random.default_rng(0).normal(5.0, 3.0, 100_000)
    assert metrics.scaled_mad(np.zeros(r.size), r) == pytest.approx(3.0, rel=0.02)


def test_units_are_kept_and_converted():
    true, predicted = [5000.0, 5000.0, 5000.0] * u.K, [5.01, 5.02, 5.06] * u.kK
    assert metrics.bias(true, predicted).to_value(u.K) == pytest.approx(20.0)
    assert metrics.scaled_mad(true, predicted).unit == u.K
    column = Column([5000.0, 5000.0, 5000.0], unit="K")
    assert metrics.bias(column, predicted).to_value(u.K) == pytest.approx(20.0)


def test_redshift_by_hand():
    true = np.array([0.0, 1.0, 3.0, 0.5])
    predicted = np.array([0.001, 1.01, 3.0, 0.49])
    d = [0.001, 0.005, 0.0, -0.01 / 1.5]
    expected = 1.482602 * median([abs(x - median(d)) for x in d])
    assert metrics.redshift_nmad(true, predicted) == pytest.approx(expected, rel=1e-6)
    # 299.8, 1499, 0 and 1999 km/s.
    assert metrics.redshift_outliers(true, predicted) == 0.5
    assert metrics.redshift_outliers(true, predicted, velocity=1600 * KMS) == 0.25
    assert metrics.redshift_outliers(true, predicted, velocity=2e6 * u.m / u.s) == 0.0
    assert metrics.redshift_outliers(true, predicted, velocity=299 * KMS) == 0.75


@pytest.mark.parametrize(("factor", "one", "two"), [(1.0, 0.683, 0.954), (2.0, 0.383, 0.683)])
def test_calibration(factor, one, two):
    rng = np.random.default_rng(1)
    std = rng.uniform(10.0, 20.0, 50_000) * u.K
    true = rng.uniform(4000.0, 6000.0, std.size) * u.K
    predicted = true + factor * std * rng.normal(size=std.size)
    found = metrics.calibration(true, predicted, std.to(u.kK))
    assert found["within_1"] == pytest.approx(one, abs=0.01)
    assert found["within_2"] == pytest.approx(two, abs=0.01)
    assert found["scatter"] == pytest.approx(factor, rel=0.02)
    assert found["offset"] == pytest.approx(0.0, abs=0.03)
    assert (found["gauss_1"], found["gauss_2"]) == pytest.approx((0.6827, 0.9545), abs=1e-4)
    assert found["n"] == 50_000


@pytest.mark.slow
def test_interval_of_a_mean():
    values = np.random.default_rng(2).normal(0.0, 1.0, 400)
    value, low, high = metrics.interval(np.mean, values, n_resamples=2000)
    assert value == pytest.approx(values.mean())
    # 2 x 1.96 standard errors.
    assert high - low == pytest.approx(3.92 * values.std() / 20.0, rel=0.08)
    assert metrics.interval(np.mean, values, n_resamples=2000) == (value, low, high)
    assert metrics.interval(np.mean, values, seed=1)[1] != low
    _, inner, outer = metrics.interval(np.mean, values, level=0.68)
    assert low < inner < value < outer < high


def test_interval_keeps_units_and_pairs():
    true = np.linspace(4000.0, 6000.0, 50) * u.K
    value, low, high = metrics.interval(metrics.bias, true, true + 10 * u.K, n_resamples=20)
    # Rows drawn apart would scatter by hundreds.
    assert [x.to_value(u.K) for x in (value, low, high)] == pytest.approx([10.0] * 3)


@pytest.mark.slow
def test_interval_draws_groups_together():
    values = np.random.default_rng(4).normal(size=200)
    repeated, groups = np.repeat(values, 9), np.repeat(np.arange(200), 9)
    shuffle = np.random.default_rng(5).permutation(repeated.size)
    _, low, high = metrics.interval(np.mean, repeated[shuffle], groups=groups[shuffle])
    _, a, b = metrics.interval(np.mean, values)
    assert high - low == pytest.approx(b - a, rel=0.15)
    _, c, d = metrics.interval(np.mean, repeated)
    assert high - low == pytest.approx(3.0 * (d - c), rel=0.15)


def test_interval_of_class_names():
    true, predicted = ["a", "b"] * 30, ["a", "a"] * 30

    def accuracy(true, predicted):
        return float((true == predicted).mean())

    value, low, high = metrics.interval(accuracy, true, predicted, n_resamples=200)
    assert low < value == 0.5 < high


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: metrics.bias([1.0, 2.0], [1.0]), ValueError, "true: 2, predicted: 1"),
        (lambda: metrics.bias([], []), ValueError, "no object"),
        (lambda: metrics.bias([[1.0]], [[1.0]]), ValueError, "one-dimensional"),
        (lambda: metrics.bias([1.0, np.nan], [1.0, 2.0]), ValueError, "1 of 2 true are not fin"),
        (lambda: metrics.scaled_mad([1.0], [np.inf]), ValueError, "1 of 1 predicted"),
        (lambda: metrics.bias([1.0] * u.K, [1.0]), ValueError, "true: K, predicted: none"),
        (lambda: metrics.bias([1.0] * u.K, [1.0] * u.m), ValueError, "not convert"),
        (lambda: metrics.bias(MaskedColumn([1.0, 2.0], mask=[False, True]), [1.0, 2.0]),
         ValueError, "1 of 2 true are masked"),
        (lambda: metrics.calibration([1.0], [1.0], [0.0]), ValueError, "1 of 1 std"),
        (lambda: metrics.redshift_nmad([-1.0], [0.0]), ValueError, "-1 or below"),
        (lambda: metrics.redshift_nmad([1.0] * KMS, [0.0] * KMS), ValueError, "not a velocity"),
        (lambda: metrics.redshift_outliers([1.0], [1.0], velocity=1000.0), TypeError, "unit"),
        (lambda: metrics.redshift_outliers([1.0], [1.0], velocity=1 * u.m), ValueError, "a vel"),
        (lambda: metrics.redshift_outliers([1.0], [1.0], velocity=0 * KMS), ValueError, "above 0"),
        (lambda: metrics.class_accuracy(["a", ""], ["a", "b"]), ValueError, "1 of 2 true are"),
        (lambda: metrics.class_accuracy([1.0, np.nan], [1.0, 2.0]), ValueError, "missing"),
        (lambda: metrics.confusion(["a"], [1]), ValueError, "same way"),
        (lambda: metrics.interval(np.mean, [1.0]), ValueError, "two objects"),
        (lambda: metrics.interval(np.mean), ValueError, "no array"),
        (lambda: metrics.interval(np.mean, [1.0, 2.0], groups=[1, 1]), ValueError, "two objects"),
        (lambda: metrics.interval(np.mean, [1.0, 2.0], groups=[1]), ValueError, "groups: 1"),
        (lambda: metrics.interval(np.mean, [1.0, 2.0], level=95), ValueError, "level"),
        (lambda: metrics.interval(np.mean, [1.0, 2.0], n_resamples=0), ValueError, "n_resamples"),
    ],
)  # fmt: skip
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_series_of_pandas():
    pandas = pytest.importorskip("pandas")
    true, said = pandas.Series([0.0, 0.0, 0.0]), pandas.Series([1.0, 2.0, 4.0])
    assert metrics.scaled_mad(true, said) == pytest.approx(1.4826022)
    table = metrics.class_accuracy(pandas.Series(["a", "b"]), pandas.Series(["a", "a"]))
    assert table["accuracy"].tolist() == [1.0, 0.0, 0.5]
