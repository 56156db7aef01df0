"""What a number of labels buys: pretrained tokens and embeddings, and what needs no pretraining.

    python benchmarks/probes_labels.py --templates templates.safetensors [--model FOLDER] \
        [--data DIR] [--more DIR] [--tasks sdss,apogee] [--quick] --out labels.json

At 10, 30, 100, 300, 1,000 and 3,000 labels: classes of mocks of SDSS and DESI and of real SDSS
spectra (``--data``, and the second set, ``--more``), redshifts of mock galaxies and
quasars, and labels of mock stars of APOGEE and GALAH. The tokenizer is frozen and was trained
without labels. Beside it stand the same network with random weights, frozen; linear readings of
the flux in bins and of its principal components; and the same network trained from scratch on the
labels alone (``--scratch``, at so many labels). Mocks that are learnt from and those that judge
have other seeds and other templates; real objects are divided by the package's one split.

Every number is the mean over some draws of the labels, with its 95 % interval: bootstraps over
test objects and, where there are several, draws. The rows at the end say where pretraining does
not win: the best row without it is better than the best with it ("even" where the intervals
overlap). A task takes up to ten minutes of two cores; ``--quick`` stops at 300 labels, with fewer
draws and test objects, and takes one or two.
"""

from __future__ import annotations

import argparse
import datetime
import json
import re
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from _probe_data import CLASSES, SEED, bin_flux
from _probe_fit import STELLAR
from _probe_scratch import Scratch
from _rst import list_table
from sklearn.decomposition import PCA
from sklearn.metrics import balanced_accuracy_score
from sklearn.pipeline import make_pipeline

import spectok
from spectok import probes, simulate
from spectok._weights import model_identity
from spectok.model import SpectralTokenizer
from spectok.probes import metrics

sys.path.insert(0, str(Path(__file__).parents[1] / "recipes" / "measured"))

COUNTS = (10, 30, 100, 300, 1000, 3000)
DRAWS = {10: 8, 30: 8, 100: 6, 300: 4, 1000: 2, 3000: 1}
SLOW_DRAWS = {30: 2, 100: 2, 300: 2, 1000: 1, 3000: 1}  # of what trains a network
QUICK_LABELS, QUICK_TEST = 300, 400
N_TEST = 1000
COMPONENTS = 64
BOOTSTRAPS = 300


class Objects:
    """Spectra in every form that a method reads, and their labels (N,) or (N, L)."""

    def __init__(self, flux, sigma, valid, wavelength, y, models, observed=None):
        self.y, self.observed = y, observed
        self.flux = bin_flux(flux, sigma, valid)
        ivar = np.where(valid, sigma, np.inf) ** -2.0
        self.items, self.vector = {}, {}
        for name, model in models.items():
            tokens = spectok.encode_arrays(
                wavelength, flux, ivar, ~valid, model=model, progress=False
            )
            self.items[name] = spectok.group(tokens)
            if model.reader is not None:
                made = spectok.embed(tokens, model=model, progress=False)
                self.vector[name] = np.asarray(made["embedding"])

    def keep(self, rows):
        """Some of them, in place."""
        for name in ("y", "flux"):
            setattr(self, name, getattr(self, name)[rows])
        self.items = {k: v[rows] for k, v in self.items.items()}
        self.vector = {k: v[rows] for k, v in self.vector.items()}
        if self.observed is not None:
            self.observed = self.observed[torch.from_numpy(np.flatnonzero(rows))]
        return self

    def both(self, name):
        """Tokens with embeddings beside them."""
        vector, items = self.vector[name], self.items[name]
        out = np.empty(len(items), [("tokens", object), ("vector", np.float32, vector.shape[1:])])
        out["tokens"], out["vector"] = items, vector
        return out


def mocks(options, models, survey, n, part, kind, label):
    """Mock objects of a survey that have a token and a label."""
    parts = simulate.load_templates(options.templates).part(part)
    simulator = simulate.Simulator(survey, templates=parts, kind=kind)
    # Some have no token or no label; of redshifts, stars are left out.
    more = 2.0 if label is log_redshift else 1.25
    (one,) = simulator.observe(int(more * n), seed=SEED[part] + 700_000)
    arrays = [getattr(one, name).numpy() for name in ("flux", "sigma", "valid")]
    labels = {k: v.numpy() for k, v in one.labels.items()}
    y = label(labels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some mocks have too little of a template
        found = Objects(
            arrays[0], arrays[1], arrays[2].astype(bool), one.instrument.wavelength, y, models, one
        )
    known = np.isfinite(y).all(-1) if y.ndim > 1 else np.array([v == v and v != "" for v in y])
    good = known & np.array([len(item) > 0 for item in found.items["pretrained"]])
    if kind is None and y.dtype.kind == "f":  # redshifts: no stars
        good &= labels["kind"] < 2
    good[np.flatnonzero(good)[n:]] = False
    return found.keep(good)


def real_sdss(options, models):
    """Real SDSS spectra with a class, and the set that each is in; one for every object."""
    import more

    spectra = more.first_set(options.data) + (more.coadds(options.more) if options.more else [])
    kept = {one.place: one for one in reversed(spectra) if one.kind in CLASSES}.values()
    arrays = [
        np.array([_onto(one.wavelength, getattr(one, name)) for one in kept])
        for name in ("flux", "sigma", "valid")
    ]
    flux, sigma, valid = arrays
    everything = Objects(
        flux, np.where(sigma > 0, sigma, 1.0), valid > 0, GRID,
        np.array([one.kind for one in kept]), models,
    )  # fmt: skip
    return everything, np.array([one.split for one in kept])


GRID = 10 ** (3.58 + 1e-4 * np.arange(3820))  # what both spectrographs of SDSS see


def _onto(wavelength, values):
    """Pixels of a log-lambda grid on `GRID`, which differs by a shift; 0 where there are none."""
    place = np.rint((np.log10(GRID) - np.log10(wavelength[0])) * 1e4).astype(int)
    inside = (place >= 0) & (place < len(values))
    return np.where(inside, values[np.clip(place, 0, len(values) - 1)], 0.0).astype(float)


def kinds(labels):
    """Classes of mocks."""
    return CLASSES[labels["kind"].astype(int)]


def stellar(labels):
    """Temperature, gravity and metallicity."""
    return np.stack([labels[name] for name in STELLAR], 1).astype(float)


def log_redshift(labels):
    """ln(1 + z)."""
    return np.log1p(labels["redshift"].astype(float))


TASKS = {
    "sdss": ("sdss", None, kinds, ("class",)),
    "desi": ("desi", None, kinds, ("class",)),
    "real": ("real", None, None, ("class",)),
    "redshift": ("sdss", None, log_redshift, ("ln(1+z)",)),
    "apogee": ("apogee", "star", stellar, STELLAR),
    "galah": ("galah", "star", stellar, STELLAR),
}


def methods(classes):
    """Name to (probe, what it reads, whether pretrained, whether it trains a network)."""
    make = probes.ProbeClassifier if classes else probes.ProbeRegressor
    flux = lambda o: o.flux  # noqa: E731
    tokens = lambda name: lambda o: o.items[name]  # noqa: E731
    vector = lambda name: lambda o: o.vector[name]  # noqa: E731
    both = lambda o: o.both("pretrained")  # noqa: E731
    linear = lambda: make(method="linear")  # noqa: E731
    net = lambda: make(method="attention", progress=False)  # noqa: E731
    auto = lambda: make(progress=False)  # noqa: E731
    pca = lambda: _Components(linear())  # noqa: E731
    return {
        "embedding, linear": (linear, vector("pretrained"), True, False),
        "tokens, linear": (linear, tokens("pretrained"), True, False),
        "both, linear": (linear, both, True, False),
        "tokens, attention": (net, tokens("pretrained"), True, True),
        "both, attention": (net, both, True, True),
        "both, auto": (auto, both, True, True),
        "untrained embedding, linear": (linear, vector("untrained"), False, False),
        "untrained tokens, linear": (linear, tokens("untrained"), False, False),
        "untrained tokens, attention": (net, tokens("untrained"), False, True),
        "flux, linear": (linear, flux, False, False),
        "PCA of flux, linear": (pca, flux, False, False),
    }


class _Components:
    """A probe on principal components, as many as the labels allow."""

    def __init__(self, probe):
        self.probe = probe

    def fit(self, x, y):
        number = min(COMPONENTS, len(x) - 1)
        self.pca = make_pipeline(PCA(number, random_state=0, svd_solver="full")).fit(x)
        self.probe.fit(self.pca.transform(x), y)
        return self

    def predict(self, x):
        return self.probe.predict(self.pca.transform(x))


def score(true, said):
    """Balanced accuracy, or the scaled MAD of one label."""
    if true.dtype.kind in "US":
        return balanced_accuracy_score(true, said)
    return metrics.scaled_mad(true, said)


def summed(true, draws, name, rng):
    """Mean over draws of a score and its interval."""
    scores, n = [], len(true)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a bootstrap without one of the classes
        for _ in range(BOOTSTRAPS):
            rows = rng.integers(n, size=n)
            some = [draws[k] for k in rng.integers(len(draws), size=len(draws))]
            scores.append(np.mean([score(true[rows], said[rows]) for said in some]))
    low, high = np.percentile(scores, [2.5, 97.5])
    value = float(np.mean([score(true, said) for said in draws]))
    return {"of": name, "value": value, "low": float(low), "high": float(high)}


def drawn(y, count, seed):
    """Rows of so many labels; of every class two at least, where there are classes."""
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(y))
    if y.dtype.kind in "US":
        first = np.concatenate([rows[y[rows] == kind][:2] for kind in np.unique(y)])
        rows = np.concatenate([first, rows[~np.isin(rows, first)]])
    return rows[:count]


def run(task, options, models):
    """One task: records of every method at every number of labels."""
    survey, kind, label, names = TASKS[task]
    counts = [n for n in COUNTS if not options.quick or n <= QUICK_LABELS]
    n_test = QUICK_TEST if options.quick else N_TEST
    if task == "real":
        everything, split = real_sdss(options, models)
        train, test = (np.flatnonzero(split == s) for s in ("train", "test"))
        counts = [n for n in counts if n < 0.8 * len(train)] + (
            [] if options.quick else [len(train)]
        )
    else:
        made = [
            mocks(options, models, survey, n, part, kind, label)
            for n, part in ((max(counts), "train"), (n_test, "test"))
        ]
    pick = lambda how: (  # noqa: E731
        (how(everything)[train], how(everything)[test])
        if task == "real"
        else (how(made[0]), how(made[1]))
    )
    y, true = pick(lambda o: o.y)
    found, rng = [], np.random.default_rng(0)
    classes = y.dtype.kind in "US"
    for name, (make, read, pretrained, slow) in methods(classes).items():
        if not re.search(options.methods, name):
            continue
        try:
            learnt, asked = pick(read)
        except KeyError:
            continue  # a model without a reader
        for count in counts:
            draws = (SLOW_DRAWS if slow else DRAWS).get(count, 1)
            draws = 1 if options.quick and slow else draws
            if slow and count not in SLOW_DRAWS and count < 300:
                continue
            start = time.perf_counter()
            said = [
                make().fit(learnt[rows], y[rows]).predict(asked)
                for rows in (
                    drawn(y, count, seed) for seed in range(1 if options.quick and slow else draws)
                )
            ]
            about = {
                "on": task, "method": name, "n_train": count, "draws": len(said),
                "n": len(true), "pretrained": pretrained,
                "seconds": round((time.perf_counter() - start) / len(said), 2),
            }  # fmt: skip
            found += _records(true, said, names, rng, about)
            show(found[-len(names) :])
    if options.scratch and task != "real":
        count = min(options.scratch, max(counts))
        scratch = Scratch(models["pretrained"].config, not classes)
        rows = drawn(y, count, 0)
        scratch.fit(
            made[0].observed[torch.from_numpy(rows)], y[rows] if classes else _wide(y[rows])
        )
        said = [scratch.predict(made[1].observed)]
        about = {"on": task, "method": "all from scratch", "n_train": count, "draws": 1,
                 "n": len(true), "pretrained": False}  # fmt: skip
        found += _records(true, said, names, rng, about)
        show(found[-len(names) :])
    return found


def _wide(y):
    return y if y.ndim > 1 else y[:, None]


def _records(true, said, names, rng, about):
    if true.dtype.kind in "US":
        return [{**about, **summed(true, said, names[0], rng)}]
    said = [_wide(np.asarray(one, float)) for one in said]
    return [
        {**about, **summed(_wide(true)[:, k], [one[:, k] for one in said], name, rng)}
        for k, name in enumerate(names)
    ]


def show(records):
    """One line for each."""
    for r in records:
        print(
            f"{r['on']:9s} {r['n_train']:5d} {r['method']:28s} {r['of']:8s} {r['value']:9.4g} "
            f"({r['low']:.4g} to {r['high']:.4g})  {r['draws']} draws, "
            f"{r.get('seconds', 0):.1f} s",
            flush=True,
        )


def lost(found):
    """Where the best row without pretraining is better than the best with it."""
    out = []
    for key in sorted({(r["on"], r["of"], r["n_train"]) for r in found}):
        some = [r for r in found if (r["on"], r["of"], r["n_train"]) == key]
        sign = 1 if key[1] == "class" else -1
        sides = [[r for r in some if r["pretrained"] == side] for side in (True, False)]
        if not all(sides):
            continue
        ours, theirs = (max(side, key=lambda r: sign * r["value"]) for side in sides)
        if sign * (theirs["value"] - ours["value"]) <= 0:
            continue
        even = theirs["low"] <= ours["high"] and ours["low"] <= theirs["high"]
        out.append(
            f"{key[0]}, {key[1]}, {key[2]} labels: {theirs['method']} {theirs['value']:.4g} "
            f"({theirs['low']:.4g} to {theirs['high']:.4g}), {ours['method']} "
            f"{ours['value']:.4g} ({ours['low']:.4g} to {ours['high']:.4g})"
            + (", even" if even else "")
        )
    return out


TITLES = {
    "sdss": "Mock SDSS spectra, galaxies, quasars and stars",
    "desi": "Mock DESI spectra, galaxies, quasars and stars",
    "real": "Real SDSS spectra, galaxies, quasars and stars",
    "redshift": "Mock SDSS galaxies",
    "apogee": "Mock APOGEE stars",
    "galah": "Mock GALAH stars",
}


def tables(results):
    """Tables of all tasks, in reStructuredText, and where pretraining does not win."""
    out = []
    for task, about in results.items():
        found = about["results"]
        counts = sorted({r["n_train"] for r in found})
        for of in dict.fromkeys(r["of"] for r in found):
            rows = [("method", *(f"{n:,} labels" for n in counts))]
            for method in dict.fromkeys(r["method"] for r in found):
                at = {
                    r["n_train"]: f"{r['value']:.3g} ({r['low']:.3g} to {r['high']:.3g})"
                    for r in found
                    if (r["of"], r["method"]) == (of, method)
                }
                rows.append((method, *(at.get(n, "") for n in counts)))
            what = "balanced accuracy" if of == "class" else f"scaled MAD of {of}"
            title = f"{TITLES[task]}: {what} on {found[0]['n']:,} test spectra"
            out.append(f"**{title}**\n\n{list_table(rows)}")
        worse = lost(found)
        if worse:
            out.append("Where pretraining does not win:\n")
            out.append("\n".join(f"- {line}" for line in worse) + "\n")
    return "\n".join(out)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--templates", help="needed, but for the task real and for --rst")
    parser.add_argument("--model", default=None)
    parser.add_argument("--data", type=Path, help="real spectra, for the task real")
    parser.add_argument("--more", type=Path, help="the second set of real spectra")
    parser.add_argument("--tasks", default="sdss,desi,real,redshift,apogee,galah")
    parser.add_argument("--methods", default="", help="a regular expression; default: all")
    parser.add_argument("--rst", type=Path, help="write tables from --out, and do nothing else")
    parser.add_argument("--scratch", type=int, default=0, help="labels of the row from scratch")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("labels.json"))
    options = parser.parse_args()
    if options.rst:
        options.rst.write_text(tables(json.loads(options.out.read_text())))
        return
    unknown = [name for name in options.tasks.split(",") if name not in TASKS]
    if unknown:
        parser.error(f"no task {', '.join(unknown)}; there are {', '.join(TASKS)}")
    if options.templates is None and options.tasks != "real":
        parser.error("give --templates, from recipes/small_v1/pack.py")
    model = spectok.load_model(options.model)
    torch.manual_seed(0)
    models = {"pretrained": model, "untrained": SpectralTokenizer(model.config).eval()}
    results = json.loads(options.out.read_text()) if options.out.exists() else {}
    for task in options.tasks.split(","):
        if task == "real" and options.data is None:
            print("real: left out, for it needs --data")
            continue
        start = time.perf_counter()
        found = run(task, options, models)
        name, sha256 = model_identity(model)
        results[task] = {
            "model": name, "sha256": sha256, "quick": options.quick,
            "spectok": spectok.__version__, "date": datetime.date.today().isoformat(),
            "command": " ".join(["python benchmarks/probes_labels.py", *sys.argv[1:]]),
            "seconds": round(time.perf_counter() - start), "results": found,
        }  # fmt: skip
        options.out.write_text(json.dumps(results, indent=1) + "\n")
        print(f"== {task}: {results[task]['seconds']} s; where pretraining does not win:")
        print("\n".join(lost(found)) or "nowhere", flush=True)


if __name__ == "__main__":
    main()
