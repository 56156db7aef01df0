"""Probes, baselines and records for the benchmark of the probes."""

from __future__ import annotations

import warnings

import numpy as np
from scipy.stats import binomtest
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from spectok import probes
from spectok.probes import metrics

LIGHT = 299792.458  # km/s
FEWEST, FEWEST_OF_SHARE = 5, 30  # objects; below that no verdict, and counts instead of shares
STELLAR = ("teff", "logg", "feh")


class Standardised:
    """A regression of several labels, some unknown, by a model that wants standard numbers."""

    def __init__(self, make) -> None:
        self.make = make

    def fit(self, x, y):
        """Fit one model for all labels, or one per label, on the spectra that have it."""
        self.mean, self.std = np.nanmean(y, 0), np.nanstd(y, 0)
        standard = (y - self.mean) / self.std
        if np.isfinite(y).all():
            self.models = [self.make().fit(x, standard)]
            return self
        self.models = []
        for column in standard.T:
            known = np.isfinite(column)
            self.models.append(self.make().fit(x[known], column[known]))
        return self

    def predict(self, x):
        """Labels, (n, L)."""
        said = [m.predict(x).reshape(len(x), -1) for m in self.models]
        return np.concatenate(said, 1) * self.std + self.mean


def regressors(seed=0, **settings):
    """Name to (model, whether it takes tokens)."""
    few = lambda: PCA(0.999, random_state=seed, svd_solver="full")  # noqa: E731
    return {
        "probe": (probes.ProbeRegressor(random_state=seed, **settings), True),
        "linear on tokens": (Standardised(lambda: probes.linear_probe("regression")), True),
        "kNN on mean tokens": (Standardised(lambda: probes.knn_probe("regression")), True),
        "ridge on flux": (
            Standardised(lambda: make_pipeline(StandardScaler(), RidgeCV(np.logspace(0, 6, 13)))),
            False,
        ),
        "PCA and MLP on flux": (
            Standardised(
                lambda: make_pipeline(
                    few(), StandardScaler(), MLPRegressor(
                        hidden_layer_sizes=(128, 64), early_stopping=True, random_state=seed
                    )
                )
            ),
            False,
        ),
    }  # fmt: skip


def classifiers(seed=0, **settings):
    """Name to (model, whether it takes tokens)."""
    few = lambda: PCA(0.99, random_state=seed, svd_solver="full")  # noqa: E731
    return {
        "probe": (probes.ProbeClassifier(random_state=seed, **settings), True),
        "linear on tokens": (probes.linear_probe("classification"), True),
        "kNN on mean tokens": (probes.knn_probe("classification"), True),
        "logistic on flux": (
            make_pipeline(
                StandardScaler(),
                LogisticRegression(C=0.01, max_iter=1000, class_weight="balanced"),
            ),
            False,
        ),
        "PCA and MLP on flux": (
            make_pipeline(
                few(), StandardScaler(), MLPClassifier(
                    hidden_layer_sizes=(128, 64), early_stopping=True, random_state=seed
                )
            ),
            False,
        ),
    }  # fmt: skip


def fitted(model, takes_tokens, spectra, y):
    """A model fitted on spectra."""
    with warnings.catch_warnings():
        # A fit that stops at its last step is what it is.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(spectra.items if takes_tokens else spectra.binned, y)


def said(model, takes_tokens, spectra):
    """What a fitted model says of spectra."""
    return model.predict(spectra.items if takes_tokens else spectra.binned)


def record(metric, statistic, *arrays, groups=None, **about):
    """One line of the results: a metric with its 95 % interval, and what it is of.

    Bootstrap over objects; Wilson's interval for a share, which needs no two unlike ones.
    """
    n = len(arrays[0]) if groups is None else len(np.unique(groups))
    about = {"metric": metric, "n": len(arrays[0]), **about}
    share = statistic is np.mean and np.isin(arrays[0], (0, 1)).all()
    if n < (FEWEST_OF_SHARE if share else FEWEST):
        return {**about, **({"count": int(np.sum(arrays[0]))} if share else {})}  # no verdict
    if share and groups is None:
        found = binomtest(int(np.sum(arrays[0])), n).proportion_ci(method="wilson")
        three = float(np.mean(arrays[0])), found.low, found.high
    else:
        three = metrics.interval(statistic, *arrays, groups=groups)
    return {
        **about,
        **{k: _short(v) for k, v in zip(("value", "low", "high"), three, strict=True)},
    }


def class_records(true, predicted, **about):
    """Accuracy of every class, and their mean with each class's objects resampled."""
    same = np.asarray(true) == np.asarray(predicted)
    found = [
        record("accuracy", np.mean, same[true == name].astype(float), of=str(name), **about)
        for name in np.unique(true)
    ]
    mean = lambda t, s: float(np.mean([s[t == k].mean() for k in np.unique(t)]))  # noqa: E731
    return [*found, record("accuracy", mean, true, same.astype(float), of="mean", **about)]


def label_records(true, predicted, names, **about):
    """Scaled MAD and bias of every label."""
    found = []
    for k, name in enumerate(names):
        known = np.isfinite(true[:, k])
        pair = true[known, k], predicted[known, k]
        found += [
            record(metric, statistic, *pair, of=name, **about)
            for metric, statistic in (("scaled MAD", metrics.scaled_mad), ("bias", metrics.bias))
        ]
    return found


def redshift_records(true, predicted, limit, groups=None, **about):
    """Normalised MAD, and the share of outliers beyond a velocity [km/s]."""
    far = LIGHT * np.abs(predicted - true) / (1 + true) > limit
    return [
        record("NMAD", metrics.redshift_nmad, true, predicted, groups=groups, **about),
        record(f"outliers, {limit:g} km/s", np.mean, far.astype(float), groups=groups, **about),
    ]


def _short(value):
    return float(f"{float(value):.4g}")
