"""The regressor: skill, units, widths, unknown labels, scores."""

import pickle

import astropy.units as u
import numpy as np
import pytest
from astropy.table import MaskedColumn, QTable
from astropy.utils.exceptions import AstropyUserWarning
from scipy import stats
from scipy.integrate import trapezoid
from sklearn.base import clone
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score

import spectok
from spectok.probes import ProbeRegressor
from spectok.probes._held_out import hold_out

QUICK = {"method": "attention", "max_epochs": 1, "held_out": 0.0}


@pytest.fixture(scope="module")
def probe(planted, small):
    """Fitted to the noisy label, in K."""
    train = planted.train
    return ProbeRegressor(**small).fit(planted.items[train], planted.noisy[train] * u.K)


@pytest.fixture(scope="module")
def few(planted):
    return planted.items[:40], planted.number[:40]


# ------------------------------------------------------------------ skill


def test_a_planted_number_is_found(probe, planted):
    items, true = planted.items[planted.test], planted.number[planted.test]
    value, std = probe.predict(items, return_std=True)
    assert value.unit == std.unit == u.K and value.shape == std.shape == (200,)
    error = value.value - true
    assert np.std(error) < 0.3 * np.std(true) and abs(error.mean()) < 0.15 * np.std(true)
    assert np.array_equal(probe.predict(items), value)


def test_planted_noise_is_what_it_says(probe, planted):
    items, true = planted.items[planted.test], planted.noisy[planted.test]
    value, std = probe.predict(items, return_std=True)
    pull = (true - value.value) / std.value
    assert np.median(std.value) == pytest.approx(100.0, rel=0.2)
    assert 0.8 < pull.std() < 1.2
    assert 0.6 < (np.abs(pull) < 1).mean() < 0.76  # 0.68 of a normal distribution


@pytest.mark.slow
def test_a_width_that_depends_on_the_spectrum(planted, small):
    rng = np.random.default_rng(4)
    quiet = np.array([item["token"][1, 2] < 0 for item in planted.items])
    label = rng.normal(0.0, np.where(quiet, 1.0, 10.0))
    probe = ProbeRegressor(**small).fit(planted.items[:800], label[:800])
    _, std = probe.predict(planted.items[800:], return_std=True)
    assert np.median(std[~quiet[800:]]) > 2.5 * np.median(std[quiet[800:]])


@pytest.mark.slow
def test_two_readings(planted, small):
    """A label whose sign no token knows: a mixture puts its peak on one of the two."""
    sign = np.random.default_rng(5).choice([-1, 1], 1000)
    label = 10.0 * sign
    label = label + 0.1 * np.random.default_rng(6).normal(size=1000)
    one, many = (
        ProbeRegressor(**{**small, "max_epochs": 4}, n_components=n).fit(
            planted.items[:800], label[:800]
        )
        for n in (1, 8)
    )
    test = planted.items[800:]
    (a, a_std), (b, b_std) = (p.predict(test, return_std=True) for p in (one, many))
    assert np.median(np.abs(a)) < 5 and np.median(a_std) == pytest.approx(10.0, rel=0.2)
    assert np.abs(np.abs(b) - 10).max() < 1.0
    # The rms about a peak: half of the density is 20 away.
    assert np.median(b_std) == pytest.approx(20 / np.sqrt(2), rel=0.2)
    assert many.history_["held_out"][-1] < one.history_["held_out"][-1] - 0.5


@pytest.mark.slow
def test_a_line_of_real_tokens():
    """From pixels to labels: how deep the line at 5000 A is, in spectra of other continua."""
    rng = np.random.default_rng(9)
    wavelength = np.linspace(4500.0, 5500.0, 320)
    depth, slope = rng.uniform(0.0, 0.8, 300), rng.normal(0.0, 0.5, 300)
    line = np.exp(-0.5 * ((wavelength - 5000.0) / 8.0) ** 2)
    flux = (1 + slope[:, None] * (wavelength / 5000.0 - 1)) * (1 - depth[:, None] * line)
    flux = 30.0 * flux + rng.normal(size=flux.shape)
    tokens = spectok.encode_arrays(wavelength, flux, np.ones(flux.shape), progress=False)
    items, label = spectok.group(tokens), depth * u.AA
    probe = ProbeRegressor(
        method="attention", reading=16, width=16, heads=2, batch_size=16, max_epochs=10,
        learning_rate=1e-2, dropout=0.1, held_out=0.0,
    ).fit(items[:240], label[:240])  # fmt: skip
    assert probe.score(items[240:], label[240:]) > 0.7
    rows = tokens[tokens["spectrum_index"] < 5]
    assert np.array_equal(probe.predict(rows), probe.predict(items[:5]))


# ------------------------------------------------------------------ labels


@pytest.mark.slow
def test_a_table_of_labels(planted, small):
    """Mixed units, one column with unknown entries."""
    logg = np.array([item["token"][2, 2] for item in planted.items], float)
    known = np.arange(1000) % 3 > 0
    table = QTable({"teff": planted.number * u.K, "logg": np.where(known, logg, np.nan)})
    probe = ProbeRegressor(**small)
    probe.fit(planted.items[:800], table[:800])
    value, std = probe.predict(planted.items[800:], return_std=True)
    for found in (value, std):
        assert (
            isinstance(found, QTable) and found.colnames == ["teff", "logg"] and len(found) == 200
        )
        assert found["teff"].unit == u.K and not hasattr(found["logg"], "to_value")
    assert r2_score(planted.number[800:], value["teff"].value) > 0.6
    assert r2_score(logg[800:], value["logg"]) > 0.6
    kilo = QTable({"teff": (planted.number[800:] * u.K).to(u.kK), "logg": table["logg"][800:]})
    seen = known[800:]
    expected = np.mean([
        r2_score(planted.number[800:], value["teff"].value),
        r2_score(logg[800:][seen], value["logg"][seen]),
    ])  # fmt: skip
    assert probe.score(planted.items[800:], kilo) == pytest.approx(expected)


def test_shapes_come_back(few, small):
    items, number = few
    for label in (number, number[:, None], np.stack([number, -number], 1)):
        probe = ProbeRegressor(**{**small, **QUICK}).fit(items, label)
        value, std = probe.predict(items, return_std=True)
        assert type(value) is np.ndarray and value.dtype == np.float64
        assert value.shape == std.shape == label.shape and (std > 0).all()


def test_units_do_not_change_the_fit(few, small):
    items, number = few
    a, b = (
        ProbeRegressor(**{**small, **QUICK}).fit(items, label).predict(items)
        for label in (number * u.K, (number * u.K).to(u.MK))
    )
    assert b.unit == u.MK and np.allclose(a.to_value(u.K), b.to_value(u.K), rtol=1e-6)


def test_logarithmic_units(few, small):
    label = few[1] / 1000 * u.dex(u.cm / u.s**2)
    probe = ProbeRegressor(**{**small, **QUICK}).fit(few[0], label)
    value, std = probe.predict(few[0], return_std=True)
    assert value.unit == label.unit and std.unit == u.dex
    metres = label.to(u.dex(u.m / u.s**2))
    assert probe.score(few[0], metres) == pytest.approx(probe.score(few[0], label))


@pytest.mark.slow
def test_unknown_labels_are_left_out(few, small):
    items, number = few
    masked = MaskedColumn(number, mask=np.arange(40) % 4 == 0, unit="K")
    probe = ProbeRegressor(**{**small, **QUICK})
    a = clone(probe).fit(items, masked).predict(items)
    known = ~masked.mask
    b = probe.fit(items[known], number[known] * u.K).predict(items)
    assert np.array_equal(a, b)
    assert probe.label_mean_ == pytest.approx(number[known].mean())
    assert probe.label_std_ == pytest.approx(number[known].std())


@pytest.mark.parametrize(("label", "error", "words"), [
    (np.full(40, 0.1), ValueError, "label 0 is 0.1 for every spectrum .* nothing to learn"),
    (np.full(40, 5777.1) * u.K, ValueError, "label 0 is 5777.1 for every spectrum"),
    (QTable({"a": np.arange(40.0), "b": np.ones(40)}), ValueError, "label 'b' is 1 for every"),
    (np.r_[1.0, np.full(39, np.nan)], ValueError, "label 0 is 1 for every"),
    (np.arange(39.0), ValueError, "39 labels for 40 spectra: give one for each"),
    (["a"] * 40, TypeError, "must be numbers for a regression"),
    (np.r_[np.arange(39.0), np.inf], ValueError, "the label of spectrum 39 is infinite"),
    (np.full(40, np.nan), ValueError, "label 0 is never known"),
])  # fmt: skip
def test_labels_that_are_refused(label, error, words, few):
    with pytest.raises(error, match=words):
        ProbeRegressor(**QUICK).fit(few[0], label)


def test_a_label_that_only_empty_spectra_have(few, make_items):
    items = few[0].copy()
    items[:2] = [make_items([0])[0]] * 2
    label = np.stack([few[1], np.r_[1.0, 2.0, np.full(38, np.nan)]], 1)
    with pytest.raises(ValueError, match="label 1 is known for no spectrum that has a valid"), \
         pytest.warns(AstropyUserWarning, match="left out of the fit: 0, 1"):  # fmt: skip
        ProbeRegressor(**QUICK).fit(items, label)


def test_components_must_be_positive(few):
    with pytest.raises(ValueError, match="n_components must be at least 1, not 0"):
        ProbeRegressor(n_components=0).fit(*few)


# ------------------------------------------------------------------ score


def test_score_is_that_of_scikit_learn(probe, planted):
    items, true = planted.items[planted.test], planted.noisy[planted.test]
    value = probe.predict(items).value
    assert probe.score(items, true * u.K) == pytest.approx(r2_score(true, value))
    assert probe.score(items, true / 1000 * u.kK) == pytest.approx(r2_score(true, value))
    weight = np.arange(200.0)
    found = probe.score(items, true * u.K, sample_weight=weight)
    assert found == pytest.approx(r2_score(true, value, sample_weight=weight))
    some = np.where(np.arange(200) < 50, true, np.nan)
    assert probe.score(items, some * u.K) == pytest.approx(r2_score(true[:50], value[:50]))


@pytest.mark.parametrize(("label", "words"), [
    (np.ones(200), "label 0 is in no unit, the probe was trained on K"),
    (np.ones(200) * u.m, "label 0 is in m, the probe was trained on K"),
    (np.ones((200, 2)) * u.K, "trained on 1 labels .* these are 2"),
    (np.ones(199) * u.K, "199 labels for 200 spectra: give one for each"),
])  # fmt: skip
def test_score_refuses(label, words, probe, planted):
    with pytest.raises(ValueError, match=words):
        probe.score(planted.items[planted.test], label)


# ------------------------------------------------------------------ scikit-learn's ways


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["plain", "Quantity", "two"])
def test_cross_validation(kind, few, small):
    items, number = few
    label = {
        "plain": number, "Quantity": number * u.K,
        "two": np.stack([number, -number], 1) * u.K,
    }[kind]  # fmt: skip
    scores = cross_val_score(
        ProbeRegressor(**{**small, **QUICK}), items, label, cv=KFold(2), error_score="raise"
    )
    assert scores.shape == (2,) and np.isfinite(scores).all()


@pytest.mark.slow
def test_search_over_parameters(planted, small):
    search = GridSearchCV(
        ProbeRegressor(**{**small, "held_out": 0.0}), {"max_epochs": [1, 8]},
        cv=2, error_score="raise",
    )  # fmt: skip
    search.fit(planted.items[:160], planted.number[:160] * u.K)
    assert search.best_params_ == {"max_epochs": 8}
    assert search.predict(planted.items[:2]).unit == u.K


def test_pickling(probe, planted):
    again = pickle.loads(pickle.dumps(probe))
    a, b = (p.predict(planted.items[:5], return_std=True) for p in (probe, again))
    assert all(np.array_equal(x, y) and x.unit == y.unit for x, y in zip(a, b, strict=True))


@pytest.mark.slow
def test_a_weight_of_zero_is_leaving_out(few, small):
    items, number = few
    weight = np.where(np.arange(40) % 4 == 0, 0.0, 3.0)
    wrong = np.where(weight > 0, number, 1e6)
    options = {**small, "max_epochs": 2, "held_out": 0.4, "n_components": 3}
    a = ProbeRegressor(**options).fit(items, wrong, sample_weight=weight)
    b = ProbeRegressor(**options).fit(items[weight > 0], number[weight > 0])
    assert np.array_equal(a.predict(items), b.predict(items))


@pytest.mark.slow
def test_weights_count(few, small):
    """The same spectra with two labels: mean and width of the weighted ones."""
    items = np.concatenate([few[0], few[0]])
    label = np.repeat([0.0, 1.0], 40)
    weight = np.where(label > 0, 3.0, 1.0)
    probe = ProbeRegressor(**{**small, "batch_size": 8, "held_out": 0.0})
    value, std = probe.fit(items, label, sample_weight=weight).predict(few[0], return_std=True)
    assert np.abs(value - 0.75).max() < 0.08
    assert np.median(std) == pytest.approx(np.sqrt(0.75 * 0.25), rel=0.15)


def test_empty_items(few, make_items, small):
    items, number = few[0].copy(), few[1] * u.K
    items[5] = make_items([0])[0]
    probe = ProbeRegressor(**{**small, **QUICK})
    with pytest.warns(AstropyUserWarning, match="1 of 40 .* left out of the fit: 5") as caught:
        probe.fit(items, number)
    assert len(caught) == 1
    with pytest.warns(AstropyUserWarning, match="1 of 40 .* are NaN: 5") as caught:
        value, std = probe.predict(items, return_std=True)
    assert len(caught) == 1 and caught[0].filename == __file__
    for found in (value, std):
        assert found.unit == u.K and np.flatnonzero(np.isnan(found)).tolist() == [5]
    with pytest.warns(AstropyUserWarning, match="are NaN"):
        score = probe.score(items, number)
    rest = np.delete(np.arange(40), 5)
    assert score == pytest.approx(probe.score(items[rest], number[rest]), abs=1e-5)


def test_history_is_minus_the_log_density(probe, planted):
    """Of standardised labels, on the held-out rows, for the state that was kept."""
    held = hold_out(800, probe.held_out, None, None, 0)
    true = planted.noisy[:800][held]
    value, std = probe.predict(planted.items[:800][held], return_std=True)
    density = stats.norm(value.value, std.value).logpdf(true) + np.log(probe.label_std_[0])
    assert min(probe.history_["held_out"]) == pytest.approx(-density.mean(), rel=1e-3)


# ------------------------------------------------------------------ density


def test_the_density_is_that_of_the_stated_width(probe, planted):
    items = planted.items[planted.test][:5]
    value, std = probe.predict(items, return_std=True)
    kelvin = np.linspace(-3000, 3000, 6001)
    density = probe.predict_density(items, kelvin / 1000 * u.kK)
    assert density.unit == 1 / u.K and density.shape == (5, 6001)
    expected = stats.norm.pdf(kelvin, value.value[:, None], std.value[:, None])
    assert np.allclose(density.value, expected, rtol=1e-3, atol=1e-9)


def test_the_density_of_a_mixture_of_one_label_of_two(planted):
    table = QTable({"a": planted.number[:60], "b": planted.number[:60] * 10 * u.km / u.s})
    fitted = ProbeRegressor(n_components=4, **QUICK).fit(planted.items[:60], table)
    values = np.linspace(0.0, 1e5, 20001) * 1000 * u.m / u.s
    density = fitted.predict_density(planted.items[:3], values, label="b")
    assert density.unit == u.s / u.km
    total = trapezoid(density.value, values.to_value(u.km / u.s), axis=1)
    assert np.allclose(total, 1.0, atol=0.01)
    same = fitted.predict_density(planted.items[:3], values, label=1)
    assert np.array_equal(same, density)
    with pytest.raises(ValueError, match=r"knows no label 'c'; its labels are \['a', 'b'\]"):
        fitted.predict_density(planted.items[:3], values, label="c")
    with pytest.raises(ValueError, match="no unit"):
        fitted.predict_density(planted.items[:3], values, label="a")
    assert np.array_equal(
        fitted.predict_density(planted.items[:3], values, label=np.int64(1)), same
    )
    with pytest.raises(ValueError, match="label 'b' is in K"):
        fitted.predict_density(planted.items[:3], [1.0] * u.K, label="b")
    for wrong in ([[0.0, 1.0]], [], 1.0, [0.0, np.nan], [np.inf]):
        with pytest.raises(ValueError, match="finite numbers, of shape"):
            fitted.predict_density(planted.items[:3], wrong, label="a")


def test_the_density_of_an_empty_spectrum_is_unknown(probe, planted):
    items = planted.items[:2].copy()
    items[0] = items[0][:0]
    with pytest.warns(AstropyUserWarning, match="valid token"):
        density = probe.predict_density(items, [0.0, 1.0] * u.K)
    assert np.isnan(density[0]).all() and np.isfinite(density[1]).all()
