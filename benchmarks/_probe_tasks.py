"""The tasks on mocks: classes, labels of stars, redshifts, the latent space, and the limit."""

from __future__ import annotations

import numpy as np
from _probe_data import CLASSES, SEED, mocks, observations
from _probe_fit import (
    STELLAR,
    class_records,
    classifiers,
    fitted,
    label_records,
    record,
    redshift_records,
    regressors,
    said,
)
from _redshift_scan import read_templates, scan

from spectok import probes
from spectok.probes import metrics
from spectok.simulate import Simulator, label_bounds

SNR = ((0.0, 5.0), (5.0, 15.0), (15.0, np.inf))
SHORTER = 600  # objects that the slow template fit looks at
# What a redshift is best learnt with (chosen on validation mocks).
REDSHIFT = {
    "reading": 0, "width": 96, "dropout": 0.1, "learning_rate": 1e-3, "n_components": 64,
    "max_epochs": 18,
}  # fmt: skip


def usable(spectra, *labels):
    """Objects with a token, and with these labels."""
    keep = np.array([len(item) > 0 for item in spectra.items])
    for name in labels:
        keep &= np.isfinite(spectra.labels[name])
    return spectra[keep]


def classes(setting):
    """Galaxy, quasar or star."""
    found = []
    for survey, n in (("desi-arms", 5000), ("sdss", 10000)):
        train = usable(mocks(setting, survey, setting.n(n), "train"))
        test = usable(mocks(setting, survey, setting.n(2000), "test"))
        true = CLASSES[test.labels["kind"].astype(int)]
        for name, (model, tokens) in classifiers(max_epochs=12).items():
            fitted(model, tokens, train, CLASSES[train.labels["kind"].astype(int)])
            predicted = said(model, tokens, test)
            about = dict(data="mock", on=survey, method=name, n_train=len(train))
            found += class_records(true, predicted, **about)
            for low, high in SNR:
                cell = (test.labels["snr"] > low) & (test.labels["snr"] <= high)
                found += class_records(
                    true[cell], predicted[cell], **about, snr=[low, min(high, 1e3)]
                )
            if name == "probe":
                setting.save(f"classes {survey}", model)
    return found


def stars(setting):
    """Temperature, gravity and metallicity of mock stars, and how far they are from the limit."""
    found = []
    for survey, n, n_test in (
        ("apogee", 10000, 2000),
        ("galah", 4000, 1000),
        ("sdss", 6000, 2000),
    ):
        train = usable(mocks(setting, survey, setting.n(n), "train", kind="star"), "feh")
        every = mocks(setting, survey, setting.n(n_test), "test", kind="star")
        test = usable(every, "feh")
        truth = stellar(test)
        bounds = None if survey == "sdss" else _bounds(setting, survey, every)
        for name, (model, tokens) in regressors(max_epochs=15).items():
            fitted(model, tokens, train, stellar(train))
            about = dict(data="mock", on=survey, method=name, n_train=len(train))
            predicted, std = said(model, tokens, test), None
            if name == "probe":
                predicted, std = model.predict(test.items, return_std=True)
                setting.save(f"stars {survey}", model)
            groups = {"all": np.ones(len(test), bool)}
            groups |= {name: test.families == name for name in np.unique(test.families)}
            if survey == "apogee":
                groups["1 < logg < 3.5"] = (truth[:, 1] > 1) & (truth[:, 1] < 3.5)
            for family, rows in groups.items():
                of = {**about, "family": str(family)}
                found += label_records(truth[rows], predicted[rows], STELLAR, **of)
                if std is not None:
                    found += _calibration(truth[rows], predicted[rows], std[rows], of)
                if bounds:
                    found += _over_bounds(truth, predicted, bounds, rows, of)
    return found


def stellar(spectra):
    """Labels of stars, (n, 3)."""
    return np.stack([spectra.labels[name] for name in STELLAR], 1)


def _calibration(true, predicted, std, about):
    """Shares of labels within one and two stated errors."""
    found = []
    for k, label in enumerate(STELLAR):
        known = np.isfinite(true[:, k])
        triple = true[known, k], predicted[known, k], std[known, k]
        for key in ("within_1", "within_2"):
            share = lambda *a, key=key: metrics.calibration(*a)[key]  # noqa: E731
            found.append(record(key, share, *triple, of=label, **about))
    return found


def _bounds(setting, survey, every):
    """Bounds of the usable test stars, by label: (bound, plain)."""
    simulator = Simulator(
        setting.instrument(survey), templates=setting.templates.part("test"), kind="star"
    )
    # The chunks in which the mocks were drawn.
    parts = [
        label_bounds(simulator, min(500, len(every) - start), seed=SEED["test"] + start)
        for start in range(0, len(every), 500)
    ]
    keep = np.array([len(item) > 0 for item in every.items]) & np.isfinite(every.labels["feh"])
    same = np.concatenate([p.observation.labels["teff"].numpy() for p in parts])
    if not np.array_equal(same, every.labels["teff"], equal_nan=True):
        raise RuntimeError("these bounds are of other stars: remove the cache")
    return {
        label: [
            np.concatenate([getattr(part, what)[label] for part in parts])[keep]
            for what in ("bound", "plain")
        ]
        for label in STELLAR
    }


def _over_bounds(true, predicted, bounds, rows, about):
    """Residuals in units of every star's own bound."""
    found = []
    for k, label in enumerate(STELLAR):
        bound, plain = bounds[label]
        here = rows & np.isfinite(bound) & np.isfinite(true[:, k])
        apart = (predicted[here, k] - true[here, k]) / bound[here]
        of = {**about, "of": label}
        if here.any():
            of["bayes"] = round(float(np.mean(bound[here] != plain[here])), 4)
            of["median bound"] = float(f"{np.median(bound[here]):.4g}")
        zero = np.zeros(len(apart))
        found += [
            record("scaled MAD over bound", metrics.scaled_mad, zero, apart, **of),
            record("bias over bound", metrics.bias, zero, apart, **of),
        ]
    return found


def redshifts(setting):
    """Redshifts of galaxies and quasars, beside a plain template fit."""
    found = []
    templates = None
    if setting.data:
        templates = read_templates(setting.data / "templates" / "redrock", forest=False)
    for survey, n in (("sdss", 10000), ("desi", 5000)):
        train = usable(mocks(setting, survey, setting.n(n), "train"))
        train = train[train.labels["kind"] < 2]
        every = mocks(setting, survey, setting.n(2000), "test")
        test = usable(every)
        rows = test.labels["kind"] < 2
        test = test[rows]
        probe = probes.ProbeRegressor(**REDSHIFT).fit(
            train.items, np.log1p(train.labels["redshift"].astype(float))
        )
        value = probe.predict(test.items)
        answers = {"probe": np.expm1(value)}
        if templates:
            answers["template fit"] = _fitted_redshifts(setting, survey, every, templates)
        z = test.labels["redshift"].astype(float)
        for name, answer in answers.items():
            about = dict(data="mock", on=survey, method=name)
            if name == "probe":
                about["n_train"] = len(train)
            known = np.isfinite(answer)
            for kind, limit in ((0, 1000.0), (1, 3000.0)):
                for low, high in ((0.0, np.inf), *SNR):
                    snr = test.labels["snr"]
                    cell = known & (test.labels["kind"] == kind) & (snr > low) & (snr <= high)
                    both = cell & np.isfinite(answers.get("template fit", answer))
                    found += redshift_records(
                        z[both], answer[both], limit, of=str(CLASSES[kind]), **about,
                        snr=[low, min(high, 1e3)],
                    )  # fmt: skip
    return found


def _fitted_redshifts(setting, survey, every, templates):
    """Redshifts of the template fit for the first galaxies and quasars; NaN for the others."""
    n = len(every)
    simulator = Simulator(setting.instrument(survey), templates=setting.templates.part("test"))
    usable_rows = np.array([len(item) > 0 for item in every.items]) & (every.labels["kind"] < 2)
    answer, row, done = np.full(n, np.nan), 0, 0
    for (one,) in observations(simulator, n, SEED["test"], None):
        for k in range(len(one.flux)):
            if usable_rows[row] and done < setting.n(SHORTER):
                ivar = np.where(one.valid[k], one.sigma[k].double() ** -2.0, 0.0)
                fit = scan(
                    one.instrument.wavelength, one.flux[k].double().numpy(), ivar, templates
                )
                answer[row], done = fit.redshift, done + 1
            row += 1
    return answer[usable_rows]
