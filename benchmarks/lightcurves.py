"""Light curves: supernovae of type Ia told from others, and hidden points predicted.

    python benchmarks/lightcurves.py --snpcc snpcc.npz --model lightcurve-v1 --json figures.json

The curves of the Supernova Photometric Classification Challenge (Kessler et al. 2010), without
redshifts. lightcurve-v1 was pretrained, without labels, on the half of them that
``recipes/lightcurve_v1/data.py`` gives to training; what is scored here is of the other half,
which neither pretraining nor a probe has seen:

- ``random 1103``: probes learn from ten draws of 1,103 curves of the training half;
- ``half``: from the whole training half, once; the interval is over resampled test curves;
- ``spectroscopic``: from the 1,103 curves of the challenge's own biased set; those of it that are
  in the test half are left out of the test.

Beside the model stand the floor (gradient boosting on linearly interpolated bands), the same
network with random weights, and principal components of the interpolated bands. Hidden points, a
tenth of each curve's, are predicted by the model, by a Gaussian process (Matern 3/2 over time and
wavelength, its lengths fitted to each object) and by straight lines within each band.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from _lightcurve_features import interpolated, learned
from _rst import list_table
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import spectok
from spectok.training._lightcurves import batch_of_curves

sys.path.insert(0, str(Path(__file__).parents[1] / "recipes" / "lightcurve_v1"))
from data import BANDS, halves, read_curves  # noqa: E402

FEW = 1103
SPLITS = 10


def boosted(seed):
    """The same for the floor and for all else."""
    return HistGradientBoostingClassifier(
        learning_rate=0.06, max_iter=300, max_leaf_nodes=24, l2_regularization=2.0,
        max_features=0.3, early_stopping=True, validation_fraction=0.12, n_iter_no_change=25,
        random_state=seed,
    )  # fmt: skip


def linear():
    """Logistic regression on standardised numbers."""
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))


class Both:
    """Mean of the two, as ranks would be: log odds."""

    def __init__(self, seed):
        self.parts = [boosted(seed), linear()]

    def fit(self, x, y):
        for one in self.parts:
            one.fit(x, y)
        return self

    def decision_function(self, x):
        return sum(one.decision_function(x) for one in self.parts) / 2


def auc(maker, x, y, train, test):
    return roc_auc_score(y[test], maker.fit(x[train], y[train]).decision_function(x[test]))


def resampled(y, score, rng, number=500):
    found = []
    for _ in range(number):
        some = rng.integers(len(y), size=len(y))
        found.append(roc_auc_score(y[some], score[some]))
    return np.percentile(found, [2.5, 97.5])


def classify(features, y, spec, first, second, splits, seed=0):
    """AUC of every kind of features by every protocol: {protocol: {name: figure}}."""
    rng = np.random.default_rng(seed)
    draws = [rng.choice(first, FEW, replace=False) for _ in range(splits)]
    found = {}
    for name, (x, maker) in features.items():
        many = [auc(maker(k), x, y, some, second) for k, some in enumerate(draws)]
        low, high = np.percentile(many, [2.5, 97.5])
        found.setdefault(f"random {FEW}", {})[name] = {
            "auc": float(np.mean(many)), "low": float(low), "high": float(high),
            "splits": splits, "n_test": len(second),
        }  # fmt: skip
        outside = np.setdiff1d(second, np.flatnonzero(spec))
        for title, train, test in (
            ("half", first, second),
            ("spectroscopic", np.flatnonzero(spec), outside),
        ):
            score = maker(0).fit(x[train], y[train]).decision_function(x[test])
            low, high = resampled(y[test], score, np.random.default_rng(1))
            found.setdefault(title, {})[name] = {
                "auc": float(roc_auc_score(y[test], score)), "low": float(low),
                "high": float(high), "n_train": len(train), "n_test": len(test),
            }  # fmt: skip
        for title in found:
            one = found[title][name]
            print(
                f"{title:14s} {name:24s} {one['auc']:.4f} ({one['low']:.4f} to {one['high']:.4f})",
                flush=True,
            )
    return found


def gaussian_process(seen, asked):
    """Flux at other points of one object, all bands together."""
    scale = max(float(np.std(seen.flux)), 1e-9)
    kernel = ConstantKernel(1.0, (1e-2, 1e2)) * Matern(
        [20.0, 3.0], [(1.0, 300.0), (0.5, 50.0)], nu=1.5
    )
    x = np.stack([seen.time, seen.band / 1000.0], 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        process = GaussianProcessRegressor(
            kernel, alpha=(seen.sigma / scale) ** 2, normalize_y=False, random_state=0
        ).fit(x, seen.flux / scale)
        wanted = np.stack([asked.time, asked.band / 1000.0], 1)
        return scale * process.predict(wanted)


def straight(seen, asked):
    """Linear interpolation within each band, constant beyond its ends."""
    out = np.zeros(asked.time.size)
    for band in np.unique(asked.band):
        own, wanted = seen.band == band, asked.band == band
        if own.any():
            out[wanted] = np.interp(asked.time[wanted], seen.time[own], seen.flux[own])
    return out


def network(model, seen, asked):
    """Flux at other points of many objects."""
    patch = model.config.patch_size
    batch, _ = batch_of_curves(seen, patch)
    target, layouts = batch_of_curves(asked, patch)
    with torch.inference_mode():
        tokens, flux, _ = model(batch, None, target)
    flux = flux.numpy() * tokens.scale.numpy()[:, None]
    return [
        layout.scatter(row[: layout.index.size]) for layout, row in zip(layouts, flux, strict=True)
    ]


def reconstruct(model, curves, number, seed=4):
    """Residuals of hidden points in units of their errors, by each method."""
    rng = np.random.default_rng(seed)
    chosen = [curves[k] for k in rng.choice(len(curves), number, replace=False)]
    hidden = [rng.random(one.time.size) < 0.1 for one in chosen]
    hidden = [h if h.any() else np.arange(h.size) == h.size // 2 for h in hidden]
    seen = [one.at(~h) for one, h in zip(chosen, hidden, strict=True)]
    asked = [one.at(h) for one, h in zip(chosen, hidden, strict=True)]
    guesses = {
        "model": network(model, seen, asked),
        "gaussian process": [gaussian_process(s, a) for s, a in zip(seen, asked, strict=True)],
        "linear": [straight(s, a) for s, a in zip(seen, asked, strict=True)],
    }
    bright = np.concatenate([a.flux / a.sigma for a in asked]) > 5
    found, pulls = {}, {}
    for name, guess in guesses.items():
        pulls[name] = np.concatenate(
            [(g - a.flux) / a.sigma for g, a in zip(guess, asked, strict=True)]
        )
    owner = np.repeat(np.arange(number), [a.time.size for a in asked])
    for name, pull in pulls.items():
        again = []
        for _ in range(200):
            some = rng.integers(number, size=number)
            again.append(np.median(np.concatenate([pull[owner == k] for k in some]) ** 2) / 0.4549)
        low, high = np.percentile(again, [2.5, 97.5])
        found[name] = {
            "median": float(np.median(pull**2) / 0.4549), "low": float(low), "high": float(high),
            "clipped": float(np.minimum(pull**2, 100).mean()),
            "median_bright": float(np.median(pull[bright] ** 2) / 0.4549),
            "n_points": int(pull.size), "n_bright": int(bright.sum()), "n_curves": number,
        }  # fmt: skip
        print(
            f"hidden points  {name:24s} {found[name]['median']:.3f} ({low:.3f} to {high:.3f}), "
            f"clipped {found[name]['clipped']:.2f}, bright {found[name]['median_bright']:.2f}",
            flush=True,
        )
    return found


def table_of(figures, title):
    """The figures as a page that the documentation includes."""
    protocols = figures["classification"]
    rows = [["what is read", *protocols]]
    for name in next(iter(protocols.values())):
        cells = (one[name] for one in protocols.values())
        rows.append(
            [name, *(f"{c['auc']:.4f} ({c['low']:.4f} to {c['high']:.4f})" for c in cells)]
        )
    counts = (next(iter(one.values()))["n_test"] for one in protocols.values())
    rows.append(["n, test", *(f"{number:,}" for number in counts)])
    hidden = figures["hidden"]
    first = next(iter(hidden.values()))
    again = [["by", "median of r^2 over 0.4549", "mean of min(r^2, 100)", "median, above 5 sigma"]]
    again += [
        [
            name, f"{one['median']:.2f} ({one['low']:.2f} to {one['high']:.2f})",
            f"{one['clipped']:.2f}", f"{one['median_bright']:.2f}",
        ]
        for name, one in hidden.items()
    ]  # fmt: skip
    return "\n".join(
        [
            f"Area under the curve of ``{title}``. Intervals of 95 %: over ten draws of the",
            "labelled curves for the random 1,103, over resampled test curves otherwise.",
            "",
            list_table(rows),
            f"A tenth of the points of {first['n_curves']} test curves was hidden "
            f"({first['n_points']:,} points,",
            f"{first['n_bright']:,} of them above five sigma); r are the residuals in units of "
            "the errors.",
            "",
            list_table(again),
        ]
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--snpcc", type=Path, required=True)
    parser.add_argument("--model", default="lightcurve-v1")
    parser.add_argument("--splits", type=int, default=SPLITS)
    parser.add_argument("--objects", type=int, default=200, help="of the reconstruction")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rst", type=Path, help="the tables of the documentation")
    parser.add_argument("--floor", action="store_true", help="the floor alone")
    options = parser.parse_args()
    torch.set_num_threads(1)
    curves = read_curves(options.snpcc)
    with np.load(options.snpcc) as file:
        y, spec = file["y"], file["spec"]
    first, second = halves(len(curves))
    floor = interpolated(curves, BANDS)
    filled = np.nan_to_num(floor)
    features = {"floor": (floor, boosted)}
    if not options.floor:
        model = spectok.load_model(options.model)
        torch.manual_seed(0)
        random = spectok.SpectralTokenizer(model.config).eval()
        for title, one in (("", model), (" (untrained)", random)):
            embedding, pooled, decoded = learned(one, curves, BANDS)
            whole = np.concatenate([embedding, pooled, decoded], 1)
            if not title:
                features["embedding, linear"] = (embedding, lambda seed: linear())
            features["all, boosted" + title] = (whole, boosted)
            if not title:
                features["all, both"] = (whole, Both)
                features["all and floor, boosted"] = (np.concatenate([whole, floor], 1), boosted)
        components = PCA(40, random_state=0).fit(filled[first]).transform(filled)
        features["principal components"] = (components, Both)
    figures = {"classification": classify(features, y, spec, first, second, options.splits)}
    if not options.floor:
        tested = [curves[k] for k in second]
        figures["hidden"] = reconstruct(model, tested, options.objects)
    if options.rst and not options.floor:
        options.rst.write_text(table_of(figures, Path(options.model).name))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
