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

"model" is what `spectok.probes.transient_features` makes of the tokens, read by boosted trees;
each curve with a label is learned from together with four degraded copies (`degrade_curve`),
unless "no copies" is said. Beside it stand the floor, boosting on linearly interpolated bands,
with the same copies and without; principal components of these bands; and, for three of the ten
draws, the same network with random weights and an attention probe on the tokens.

Hidden points, a tenth of each curve's, are predicted by the model, by the same network with
random weights, by a Gaussian process (Matern 3/2 over time and wavelength, its lengths fitted to
each object) and by straight lines within each band.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _lightcurve_features import degraded, interpolated, learned
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
from spectok.probes import ProbeClassifier
from spectok.training._lightcurves import batch_of_curves

sys.path.insert(0, str(Path(__file__).parents[1] / "recipes" / "lightcurve_v1"))
from data import BANDS, halves, read_curves  # noqa: E402

FEW = 1103
SPLITS = 10
FEWER = 3  # of the untrained network and the attention probe
COPIES = 4


def boosted(seed, number):
    """The same for the floor and for all else: more trees where there is more to learn from."""
    many = number > 20_000
    return HistGradientBoostingClassifier(
        learning_rate=0.05, max_iter=900 if many else 400, max_leaf_nodes=24 if many else 12,
        l2_regularization=5.0, min_samples_leaf=10, max_features=0.15, early_stopping=False,
        random_state=seed,
    )  # fmt: skip


def linear(seed, number):
    """Logistic regression on standardised numbers."""
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))


def resampled(y, score, rng, number=500):
    found = []
    for _ in range(number):
        some = rng.integers(len(y), size=len(y))
        found.append(roc_auc_score(y[some], score[some]))
    return np.percentile(found, [2.5, 97.5])


def protocols(y, spec, first, second, splits, seed=0):
    """Which curves are learned from and which are scored: {title: [(train, test), ...]}."""
    rng = np.random.default_rng(seed)
    spectroscopic = np.flatnonzero(spec)
    return {
        f"random {FEW}": [(rng.choice(first, FEW, replace=False), second) for _ in range(splits)],
        "half": [(first, second)],
        "spectroscopic": [(spectroscopic, np.setdiff1d(second, spectroscopic))],
    }


@dataclass(frozen=True)
class Read:
    """Features of curves: as they are, in copies, and who reads them."""

    whole: np.ndarray  # (N, F), N as all curves
    copies: tuple[np.ndarray, ...] = ()
    maker: Callable[[int, int], Any] = boosted
    splits: int = SPLITS

    def learned_from(self, rows, y):
        x = np.concatenate([self.whole[rows], *(copy[rows] for copy in self.copies)])
        return x, np.tile(y[rows], 1 + len(self.copies))


def classify(features, y, plans):
    """AUC of every kind of features by every protocol: {protocol: {name: figure}}."""
    found = {title: {} for title in plans}
    for name, one in features.items():
        for title, plan in plans.items():
            if one.splits < SPLITS and len(plan) == 1:
                continue  # what is only looked at with few labels
            plan = plan[: one.splits]
            scores = []
            for k, (train, test) in enumerate(plan):
                x, target = one.learned_from(train, y)
                reader = one.maker(k, len(x)).fit(x, target)
                scores.append(reader.decision_function(one.whole[test]))
            note(found, title, name, y, plan, scores)
    return found


def note(found, title, name, y, plan, scores):
    """Add the figure of one row of the table."""
    test = plan[0][1]
    areas = [roc_auc_score(y[test], score) for score in scores]
    if len(areas) > 1:
        low, high = np.percentile(areas, [2.5, 97.5])
    else:
        low, high = resampled(y[test], scores[0], np.random.default_rng(1))
    found[title][name] = one = {
        "value": float(np.mean(areas)), "low": float(low), "high": float(high),
        "splits": len(areas), "n_train": len(plan[0][0]), "n_test": len(test),
    }  # fmt: skip
    print(f"{title:14s} {name:32s} {one['value']:.4f} ({low:.4f} to {high:.4f})", flush=True)


def attention(model, curves, y, plan, found, title):
    """The row of an attention probe on tokens."""
    used = np.unique(np.concatenate([rows for pair in plan for rows in pair]))
    some = [curves[k] for k in used]
    tokens = spectok.encode_arrays(
        [one.time for one in some], [one.flux for one in some], [one.sigma**-2.0 for one in some],
        band=[one.band for one in some], model=model, progress=False,
    )  # fmt: skip
    items = np.empty(len(y), object)
    items[used] = spectok.group(tokens)
    scores = []
    for train, test in plan:
        probe = ProbeClassifier(method="attention").fit(list(items[train]), y[train])
        scores.append(probe.predict_proba(list(items[test]))[:, 1])
    note(found, title, "attention probe on tokens, no copies", y, plan, scores)


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
    target, layouts = batch_of_curves(asked, patch, since=seen)
    with torch.inference_mode():
        tokens, flux, _ = model(batch, None, target)
    flux = flux.numpy() * tokens.scale.numpy()[:, None]
    return [
        layout.scatter(row[: layout.index.size]) for layout, row in zip(layouts, flux, strict=True)
    ]


def untrained(config):
    """The same network with random weights."""
    torch.manual_seed(0)
    return spectok.SpectralTokenizer(config).eval()


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
        "untrained": network(untrained(model.config), seen, asked),
        "gaussian process": [gaussian_process(s, a) for s, a in zip(seen, asked, strict=True)],
        "linear": [straight(s, a) for s, a in zip(seen, asked, strict=True)],
    }
    bright = np.concatenate([a.flux / a.sigma for a in asked]) > 5
    found, pulls = {}, {}
    for name, guess in guesses.items():
        pulls[name] = np.concatenate(
            [(g - a.flux) / a.sigma for g, a in zip(guess, asked, strict=True)]
        )
    # The same resampled curves for every method, so that they are compared in pairs.
    owner = np.repeat(np.arange(number), [a.time.size for a in asked])
    points = np.split(np.arange(owner.size), np.flatnonzero(np.diff(owner)) + 1)
    draws = [
        np.concatenate([points[k] for k in rng.integers(number, size=number)]) for _ in range(300)
    ]
    again = {
        name: np.array([np.median(pull[some] ** 2) / 0.4549 for some in draws])
        for name, pull in pulls.items()
    }
    for name, pull in pulls.items():
        low, high = np.percentile(again[name], [2.5, 97.5])
        least, most = np.percentile(again["model"] / again[name], [2.5, 97.5])
        value = float(np.median(pull**2) / 0.4549)
        found[name] = one = {
            "value": value, "low": float(low), "high": float(high),
            "model_over": float(np.median(pulls["model"] ** 2) / 0.4549 / value),
            "model_over_low": float(least), "model_over_high": float(most),
            "clipped": float(np.minimum(pull**2, 100).mean()),
            "median_bright": float(np.median(pull[bright] ** 2) / 0.4549),
            "n_points": int(pull.size), "n_bright": int(bright.sum()), "n_curves": number,
        }  # fmt: skip
        print(
            f"hidden points  {name:24s} {value:.3f} ({low:.3f} to {high:.3f}), model over it "
            f"{one['model_over']:.3f} ({least:.3f} to {most:.3f}), "
            f"clipped {one['clipped']:.2f}, bright {one['median_bright']:.2f}",
            flush=True,
        )
    return found


def said(cell):
    """A figure with its interval."""
    if cell is None:
        return ""
    return f"{cell['value']:.4f} ({cell['low']:.4f} to {cell['high']:.4f})"


def table_of(figures, title):
    """The figures as a page that the documentation includes."""
    protocols = figures["classification"]
    rows = [["what is read", *protocols]]
    for name in protocols[f"random {FEW}"]:
        rows.append([name, *(said(one.get(name)) for one in protocols.values())])
    counts = (next(iter(one.values()))["n_test"] for one in protocols.values())
    rows.append(["n, test", *(f"{number:,}" for number in counts)])
    hidden = figures["hidden"]
    first = next(iter(hidden.values()))
    again = [
        ["by", "median of r^2 over 0.4549", "model's over it", "mean of min(r^2, 100)",
         "median, above 5 sigma"]
    ]  # fmt: skip
    again += [
        [
            name, f"{one['value']:.2f} ({one['low']:.2f} to {one['high']:.2f})",
            "" if name == "model" else f"{one['model_over']:.3f} "
            f"({one['model_over_low']:.3f} to {one['model_over_high']:.3f})",
            f"{one['clipped']:.2f}", f"{one['median_bright']:.2f}",
        ]
        for name, one in hidden.items()
    ]  # fmt: skip
    return "\n".join(
        [
            f"Area under the curve of ``{title}``. Intervals of 95 %: over ten draws of the",
            f"labelled curves for the random 1,103 ({FEWER} of the untrained network and of the",
            "attention probe), over resampled test curves otherwise.",
            "",
            list_table(rows),
            f"A tenth of the points of {first['n_curves']} test curves was hidden "
            f"({first['n_points']:,} points,",
            f"{first['n_bright']:,} of them above five sigma); r are the residuals in units of "
            "the errors. Intervals are over resampled curves, the same ones for all methods.",
            "",
            list_table(again),
        ]
    )


def at_rows(part, used, number):
    """Features of some curves at the rows of all; zeros elsewhere, which are not looked at."""
    whole = np.zeros((number, part.shape[1]), np.float32)
    whole[used] = part
    return whole


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--snpcc", type=Path, required=True)
    parser.add_argument("--model", default="lightcurve-v1")
    parser.add_argument("--splits", type=int, default=SPLITS)
    parser.add_argument("--test", type=int, default=20_000, help="curves that are scored")
    parser.add_argument("--objects", type=int, default=1500, help="of the reconstruction")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rst", type=Path, help="the tables of the documentation")
    parser.add_argument("--floor", action="store_true", help="the floor alone")
    options = parser.parse_args()
    torch.set_num_threads(1)
    curves = read_curves(options.snpcc)
    with np.load(options.snpcc) as file:
        y, spec = file["y"], file["spec"]
    first, second = halves(len(curves))
    second = np.sort(np.random.default_rng(5).permutation(second)[: options.test])
    plans = protocols(y, spec, first, second, options.splits)
    taught = np.unique(np.concatenate([first, np.flatnonzero(spec)]))
    copies = [
        dict(zip(taught, degraded([curves[k] for k in taught], seed), strict=True))
        for seed in range(COPIES)
    ]

    def read(make, rows):
        """Features by ``make`` of the curves in rows, and of the copies of those with labels."""
        own = np.intersect1d(rows, taught)
        whole = at_rows(make([curves[k] for k in rows]), rows, len(curves))
        again = (make([copy[k] for k in own]) for copy in copies)
        return whole, tuple(at_rows(one, own, len(curves)) for one in again)

    used = np.union1d(taught, second)
    floor, floors = read(lambda some: interpolated(some, BANDS), used)
    features = {"floor, no copies": Read(floor), "floor": Read(floor, floors)}
    if not options.floor:
        components = PCA(40, random_state=0).fit(np.nan_to_num(floor[first]))
        parts = [components.transform(np.nan_to_num(one)) for one in (floor, *floors)]
        features["principal components"] = Read(parts[0], tuple(parts[1:]))
        model = spectok.load_model(options.model)
        own, again = read(lambda some: learned(model, some, BANDS), used)
        size = model.config.embedding_size
        features["embedding alone, linear, no copies"] = Read(own[:, :size], maker=linear)
        features["model, no copies"] = Read(own)
        features["model"] = Read(own, again)
        both = [
            np.concatenate(pair, 1) for pair in zip((own, *again), (floor, *floors), strict=True)
        ]
        features["model and floor"] = Read(both[0], tuple(both[1:]))
        random = untrained(model.config)
        few = np.unique(np.concatenate([second, *(t for t, _ in plans[f"random {FEW}"][:FEWER])]))
        own, again = read(lambda some: learned(random, some, BANDS), few)
        features["untrained"] = Read(own, again, splits=FEWER)
    figures = {"classification": classify(features, y, plans)}
    if not options.floor:
        title = f"random {FEW}"
        attention(model, curves, y, plans[title][:FEWER], figures["classification"], title)
        tested = [curves[k] for k in second]
        figures["hidden"] = reconstruct(model, tested, options.objects)
    if options.rst and not options.floor:
        options.rst.write_text(table_of(figures, Path(options.model).name))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
