"""What one vector per spectrum knows, and what it should not: the battery of representations.

    python benchmarks/representation.py --templates templates.safetensors [--data DIR] \
        [--model NAME] [--light] [--parts optical,stars,real] [--json FILE] [--rst FILE]

``templates.safetensors`` is what recipes/small_v1/pack.py writes; DIR (or SPECTOK_DATA) the folder
of real spectra, beside which ``data2`` lies. Every vector is frozen and read by a linear model or
by its nearest neighbours. Beside the embedding stand the same reader with random weights over the
same tokens, the mean of the tokens (`spectok.pool`) and principal components of the flux.

Stars of GALAH and APOGEE are read twice: as they were observed, and at rest, GALAH's with the true
velocities (see recipes/small_v2/stars.py).

Mocks to learn from and mocks to test on are made of different templates (of stars of GALAH and
APOGEE, of other labels: the emulator is one); real spectra are divided
by the one split of the package, and vectors are judged on test (and, for exposures, validation)
objects. Intervals: 95 % of bootstraps over the test objects.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import balanced_accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import spectok
from spectok import simulate
from spectok._batch import PatchLayout, SpectrumBatch
from spectok.model._reader import Reader
from spectok.model._shared import on_shared_patches

sys.path += [str(Path(__file__).parents[1] / "recipes" / one) for one in ("measured", "small_v2")]
from stars import Survey  # noqa: E402

OPTICAL, STARS = ("sdss", "desi"), ("galah", "apogee")
BINS = np.geomspace(3850.0, 9150.0, 513)  # of the flux, for principal components
COMPONENTS = 64
RANGE = (3600.0, 9900.0)  # Angstrom, of shared tokens
GALLERY = 1000  # objects among which one is to be found
STELLAR = ("teff", "logg", "feh")
PARTS = ("optical", "stars", "real")
ROUNDS = 1000


@dataclass
class Views:
    """Vectors (n, E) by representation and survey, and labels, of one set of objects."""

    vectors: dict[str, dict[str, np.ndarray]]
    labels: dict[str, np.ndarray]
    snr: dict[str, np.ndarray]


def untrained(model):
    """The same tokenizer with a new reader that knows what is usual, and the same places."""
    other = copy.deepcopy(model)
    torch.manual_seed(0)
    other.reader = Reader(model.config)
    other.reader.load_state_dict(dict(model.reader.named_buffers()), strict=False)
    return other.eval().requires_grad_(False)


def binned(wavelength, flux, sigma, valid):
    """Flux over its median in bins of wavelength, weighted by errors; 1 where nothing is seen."""
    where = np.digitize(wavelength, BINS) - 1
    inside = (where >= 0) & (where < len(BINS) - 1)
    weight = np.where(valid, sigma.astype(float) ** -2.0, 0.0)[:, inside]
    value = np.where(valid, flux, 0.0)[:, inside] * weight
    total, summed = np.zeros((2, len(flux), len(BINS) - 1))
    for row in range(len(flux)):
        total[row] = np.bincount(where[inside], weight[row], len(BINS) - 1)
        summed[row] = np.bincount(where[inside], value[row], len(BINS) - 1)
    mean = np.divide(summed, total, out=np.full_like(summed, np.nan), where=total > 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # spectra without a pixel in the range
        level = np.nanmedian(mean, axis=1, keepdims=True)
        noise = 1.4826 * np.nanmedian(np.abs(np.diff(mean, axis=1)), axis=1, keepdims=True)
    return np.nan_to_num(np.clip(mean / np.maximum(level, noise), -5, 10), nan=1.0)


class Vectors:
    """What makes vectors of arrays: the model, its untrained twin, pooling; and binned flux."""

    def __init__(self, model):
        self.model = model
        self.twin = untrained(model) if model.reader is not None else None

    def of_batch(self, batch):
        """Vectors of padded spectra."""
        with torch.inference_mode():
            return self.of_tokens(self.model.encode(batch))

    def of_tokens(self, tokens):
        """Vectors of spectra whose tokens are there."""
        with torch.inference_mode():
            keep = tokens.valid.unsqueeze(-1)
            mean = (tokens.value * keep).sum(1) / keep.sum(1).clamp(min=1)
            found = {"mean of the tokens": mean}
            if self.twin is not None:
                found["embedding"] = self.model.embed(tokens)
                found["reader with random weights"] = self.twin.embed(tokens)
        return {name: value.numpy().astype(float) for name, value in found.items()}

    def of_observation(self, observed, size=64):
        """Vectors of mocks on one grid."""
        layout = PatchLayout.of(observed.instrument.wavelength, self.model.config.patch_size)
        arrays = [getattr(observed, name).numpy() for name in ("flux", "sigma", "valid")]
        found = []
        for start in range(0, len(observed.flux), size):
            parts = [array[start : start + size] for array in arrays]
            batch = SpectrumBatch.from_layouts([layout] * len(parts[0]), *parts)
            with torch.inference_mode():
                tokens = self.model.encode(batch)
                found.append(self.of_tokens(tokens))
                if self.model.config.reader_step:
                    found[-1]["shared tokens"] = self._side_by_side(tokens)
        out = {name: np.concatenate([one[name] for one in found]) for name in found[0]}
        out["flux"] = binned(observed.instrument.wavelength, *arrays)
        return out

    def _side_by_side(self, tokens):
        """Numbers of tokens on the patches that the reader shares, from end to end of RANGE."""
        config = self.model.config
        first, last = (int(np.log10(edge) / config.reader_step) for edge in RANGE)
        out = np.zeros((len(tokens.value), last - first, config.token_size), np.float32)
        for rows, cut in on_shared_patches(tokens, config):
            which = (cut.wavelength[0].log10() / config.reader_step).floor().long().numpy() - first
            inside = (which >= 0) & (which < last - first)
            value = torch.where(cut.valid.unsqueeze(-1), cut.value, 0.0).numpy()
            out[rows.numpy()[:, None], which[inside]] = value[:, inside]
        return out.reshape(len(out), -1)

    def at_rest(self, observed, name):
        """Vectors of mocks of GALAH and APOGEE at rest, and all their tokens side by side."""
        found = []
        for rest in Survey.of(name, self.model).at_rest(observed):
            found.append(self.of_tokens(rest))
            found[-1]["tokens"] = rest.value.flatten(1).numpy()
        return {name: np.concatenate([one[name] for one in found]) for name in found[0]}

    def of_real(self, spectra, size=32):
        """Vectors of real spectra, each on its own grid."""
        found = []
        for start in range(0, len(spectra), size):
            some = spectra[start : start + size]
            level = [np.median(np.abs(s.flux[s.valid])) or 1.0 for s in some]
            batch = SpectrumBatch.from_layouts(
                [PatchLayout.of(s.wavelength, self.model.config.patch_size) for s in some],
                [s.flux / k for s, k in zip(some, level, strict=True)],
                [s.sigma / k for s, k in zip(some, level, strict=True)],
                [s.valid for s in some],
            )
            found.append(self.of_batch(batch))
        out = {name: np.concatenate([one[name] for one in found]) for name in found[0]}
        out["flux"] = np.concatenate(
            [binned(s.wavelength, s.flux[None], s.sigma[None], s.valid[None]) for s in spectra]
        )
        return out


def mocks(make, templates, part, surveys, n, seed, snr=None, *, at_rest=False):
    """The same n objects through two instruments, each with a depth of its own."""
    vectors, labels, depth = {}, {}, {}
    for survey in surveys:
        # Two simulators of one seed draw the same objects.
        order = [survey, *(s for s in surveys if s != survey)] if surveys == OPTICAL else surveys
        simulator = simulate.Simulator(
            *(order[:1] if surveys == OPTICAL else surveys), templates=templates.part(part)
        )
        own = (snr or {}).get(survey)
        observed = simulator.observe(n, seed=seed, snr=own)
        observed = observed[0 if surveys == OPTICAL else surveys.index(survey)]
        found = make.at_rest(observed, survey) if at_rest else make.of_observation(observed)
        for name, value in found.items():
            vectors.setdefault(name, {})[survey] = value
        depth[survey] = observed.labels["snr"].numpy()
        labels = labels or {k: v.numpy() for k, v in observed.labels.items()}
    return Views(vectors, labels, depth)


def add_components_of_tokens(learn, *others):
    """Principal components of each survey's tokens: surveys share no patch."""
    of = {s: PCA(COMPONENTS, random_state=0).fit(x) for s, x in learn.vectors["tokens"].items()}
    for views in (learn, *others):
        tokens = views.vectors.pop("tokens")
        views.vectors["PCA of the tokens"] = {s: of[s].transform(x) for s, x in tokens.items()}


def add_components(learn, *others):
    """Principal components of what surveys share, learned on what probes learn from.

    Of the flux, and of tokens where the reader cuts those of all surveys alike.
    """
    for name in [one for one in ("flux", "shared tokens") if one in learn.vectors]:
        together = np.concatenate(list(learn.vectors[name].values()))
        pca = PCA(min(COMPONENTS, len(together) // 2), random_state=0).fit(together)
        for views in (learn, *others):
            own = views.vectors.pop(name)
            views.vectors[f"PCA of the {name}"] = {s: pca.transform(v) for s, v in own.items()}


def interval(score, *arrays, seed=0):
    """Score with its 95 % bootstrap interval over rows."""
    rng, n = np.random.default_rng(seed), len(arrays[0])
    draws = []
    for _ in range(ROUNDS):
        rows = rng.integers(0, n, n)
        draws.append(score(*(a[rows] for a in arrays)))
    low, high = np.nanpercentile(draws, [2.5, 97.5])
    return {"value": float(score(*arrays)), "low": float(low), "high": float(high), "n": int(n)}


def linear(x, y):
    """A regression on standardised vectors, its penalty by leave-one-out."""
    return make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 5, 17))).fit(x, y)


def classes(x, y, **options):
    """A logistic regression on standardised vectors."""
    return make_pipeline(
        StandardScaler(), LogisticRegression(max_iter=2000, C=0.3, **options)
    ).fit(x, y)


def r2(true, said):
    return 1.0 - np.mean((true - said) ** 2) / np.var(true)


def nearest(asked, gallery):
    """Place of each row's own in the gallery, 0 where it is the nearest; standardised."""
    both = np.concatenate([asked, gallery])
    scale = both.std(0) + 1e-9
    a, b = asked / scale, gallery / scale
    distance = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
    return distance


def optical(learn, test, name):
    """All that SDSS and DESI mocks tell of a representation."""
    x, y = learn.vectors[name], test.vectors[name]
    found = {}
    kind, asked = learn.labels["kind"], test.labels["kind"]
    right = lambda t, s: np.mean(t == s)  # noqa: E731
    own = {s: classes(x[s], kind) for s in OPTICAL}
    for s in OPTICAL:
        said = own[s].predict(y[s])
        found[f"class, {s}"] = interval(right, asked, said)
        bright = test.snr[s] > 15
        found[f"class above S/N 15, {s}"] = interval(right, asked[bright], said[bright])
    found["class, learned on sdss, read on desi"] = interval(
        right, asked, own["sdss"].predict(y["desi"])
    )
    far, asked_far = kind == 0, asked == 0
    z, true = np.log1p(learn.labels["redshift"]), np.log1p(test.labels["redshift"])
    own = {s: linear(x[s][far], z[far]) for s in OPTICAL}
    for s in OPTICAL:
        found[f"redshift R2, {s}"] = interval(r2, true[asked_far], own[s].predict(y[s][asked_far]))
    found["redshift R2, learned on sdss, read on desi"] = interval(
        r2, true[asked_far], own["sdss"].predict(y["desi"][asked_far])
    )
    known, asked_known = (np.isfinite(v.labels["age"]) for v in (learn, test))
    age = linear(x["sdss"][known], np.log10(learn.labels["age"][known]))
    found["age R2, sdss"] = interval(
        r2, np.log10(test.labels["age"][asked_known]), age.predict(y["sdss"][asked_known])
    )
    n = min(GALLERY, len(asked))
    first = nearest(y["sdss"][:n], y["desi"][:n]).argmin(1) == np.arange(n)
    found[f"own object first of {n}, sdss to desi"] = interval(np.mean, first.astype(float))
    bright = np.minimum(test.snr["sdss"], test.snr["desi"])[:n] > 10
    found[f"own object first of {n}, both above S/N 10"] = interval(
        np.mean, first[bright].astype(float)
    )
    depth, asked_depth = (np.log(v.snr["sdss"]) for v in (learn, test))
    found["leak: S/N R2, sdss"] = interval(
        r2, asked_depth, linear(x["sdss"], depth).predict(y["sdss"])
    )
    survey = classes(
        np.concatenate([x[s] for s in OPTICAL]), np.repeat([0, 1], [len(kind), len(kind)])
    )
    said = np.concatenate([survey.predict(y[s]) == k for k, s in enumerate(OPTICAL)])
    found["leak: survey of the same objects (chance 0.5)"] = interval(np.mean, said.astype(float))
    return found


def across(learn, test, name):
    """The same stars through GALAH and APOGEE: labels of one survey's probe on the other."""
    x, y = learn.vectors[name], test.vectors[name]
    found = {}
    for label in STELLAR:
        known, true = learn.labels[label], test.labels[label]
        own = {s: linear(x[s], known) for s in STARS}
        for s in STARS:
            found[f"{label} R2, {s}"] = interval(r2, true, own[s].predict(y[s]))
        found[f"{label} R2, learned on galah, read on apogee"] = interval(
            r2, true, own["galah"].predict(y["apogee"])
        )
    n = min(GALLERY, len(true))
    first = nearest(y["galah"][:n], y["apogee"][:n]).argmin(1) == np.arange(n)
    found[f"own star first of {n}, galah to apogee"] = interval(np.mean, first.astype(float))
    return found


def real_spectra(make, data):
    """Classes of real SDSS spectra, and single exposures that look for their coadds."""
    import more

    coadds = [s for s in more.first_set(data) + more.coadds(data.parent / "data2")]
    coadds = [s for s in coadds if s.kind in ("GALAXY", "QSO", "STAR") and s.valid.any()]
    exposures = [
        s for s in more.exposures(data.parent / "data2") if s.split != "train" and s.valid.any()
    ]
    vectors, asked = make.of_real(coadds), make.of_real(exposures)
    split = np.array([s.split for s in coadds])
    kind, place = np.array([s.kind for s in coadds]), np.array([s.place for s in coadds])
    train, test = split != "test", split == "test"
    pca = PCA(16, random_state=0).fit(vectors["flux"][train])
    for one in (vectors, asked):
        one["PCA of the flux"] = pca.transform(one.pop("flux"))
    # Every object once, and the objects of the exposures among them.
    looked_for = [s.place for s in exposures]
    unseen = test | (split == "validation") | np.isin(place, looked_for)
    _, once = np.unique(np.where(unseen, place, ""), return_index=True)
    once = np.array([k for k in once if unseen[k]])
    own = np.array([np.flatnonzero(place[once] == p)[0] for p in looked_for])
    found = {}
    for name, x in vectors.items():
        said = classes(x[train], kind[train], class_weight="balanced").predict(x[test])
        with warnings.catch_warnings():
            # A bootstrap may miss a class.
            warnings.simplefilter("ignore", UserWarning)
            score = interval(balanced_accuracy_score, kind[test], said)
        first = nearest(asked[name], x[once]).argmin(1) == own
        found[name] = {
            f"class, balanced accuracy ({train.sum()} to learn from)": score,
            f"an exposure finds its object among {len(once)} coadds": interval(
                np.mean, first.astype(float)
            ),
        }
    return found


def battery(model, templates, *, data=None, light=False, parts=PARTS):
    """All figures by representation; mocks and real ones apart."""
    n, m = (800, 500) if light else (3000, 1500)
    make = Vectors(model)
    snr = {"desi": (2.0, 60.0)}
    found = {}
    if "optical" in parts:
        learn = mocks(make, templates, "train", OPTICAL, n, 501, snr)
        test = mocks(make, templates, "test", OPTICAL, m, 502, snr)
        add_components(learn, test)
        found["mocks, optical"] = {name: optical(learn, test, name) for name in learn.vectors}
    if light:
        return found
    for at_rest in (False, True) if "stars" in parts else ():
        stars, unseen = (
            mocks(make, templates, *of, {"galah": (10.0, 200.0)}, at_rest=at_rest)
            for of in (("train", STARS, 800, 503), ("test", STARS, 500, 504))
        )
        if at_rest:
            add_components_of_tokens(stars, unseen)
        else:
            for views in (stars, unseen):
                for name in ("flux", "shared tokens"):  # no pixel in common
                    views.vectors.pop(name, None)
        title = f"mocks, the same stars, {'at rest' if at_rest else 'as observed'}"
        found[title] = {name: across(stars, unseen, name) for name in stars.vectors}
    if data is not None and "real" in parts:
        found["real SDSS"] = real_spectra(make, data)
    return found


class Watch:
    """Some of the battery's figures of a reader that is being trained, in seconds.

    Tokens do not change while a reader learns, so they are made once: of mocks of the templates
    for validation, through SDSS and DESI, and of the same stars through GALAH and APOGEE. Who
    chooses by these figures leaves the objects of the battery unseen.

    Parameters
    ----------
    model : `~spectok.SpectralTokenizer`
        Its tokenizer makes the tokens.
    templates : `~spectok.simulate.Templates`
    parts : sequence of str
        ``"optical"``, ``"stars"`` or both.
    n, m : int
        Objects to learn probes from, and to try them on.
    """

    def __init__(self, model, templates, parts=("optical", "stars"), n=800, m=600):
        sets = {
            "optical": (OPTICAL, {"desi": (2.0, 60.0)}),
            "stars": (STARS, {"galah": (10.0, 200.0)}),
            "stars at rest": (STARS, {"galah": (10.0, 200.0)}),
        }
        if not parts or not set(parts) <= {"optical", "stars"}:
            raise ValueError(f"parts must be some of 'optical' and 'stars', not {parts!r}")
        self.sets = {name: one for name, one in sets.items() if name.split()[0] in parts}
        self.kept = {}
        for name, (surveys, snr) in self.sets.items():
            for seed, (part, number) in enumerate((("train", n), ("validation", m))):
                make = _Keeper(model)
                views = mocks(
                    make, templates, part, surveys, number, 701 + seed, snr,
                    at_rest=name == "stars at rest",
                )  # fmt: skip
                self.kept[name, part] = views, make.tokens

    def __call__(self, model):
        """Figures by name, for the log: R2 of labels as LABEL_LEARNED-ON_READ-ON."""
        for (name, _), (views, tokens) in self.kept.items():
            surveys = self.sets[name][0]
            with torch.inference_mode():
                rows = np.concatenate([model.embed(batch).numpy() for batch in tokens])
            halves = np.split(rows.astype(float), len(surveys))
            views.vectors = {"embedding": dict(zip(surveys, halves, strict=True))}
        found = {}
        for name, ((one, other), _) in self.sets.items():
            views = self.kept[name, "validation"][0]
            vectors, depth = views.vectors["embedding"], np.minimum(*views.snr.values())
            own = nearest(vectors[one], vectors[other]).argmin(1) == np.arange(len(depth))
            found[f"own_first_{name}"] = float(np.mean(own))
            found[f"own_first_{name}_bright"] = float(np.mean(own[depth > 10]))
        if "optical" in self.sets:
            found |= self._optical()
        if "stars at rest" in self.sets:
            found |= self._stars()
        return {key: round(value, 4) for key, value in found.items()}

    def _optical(self):
        """Classes and redshifts, and how well the survey can be told."""
        (learn, _), (seen, _) = (self.kept["optical", part] for part in ("train", "validation"))
        x, y = learn.vectors["embedding"], seen.vectors["embedding"]
        kind, asked = learn.labels["kind"], seen.labels["kind"]
        found = {}
        for one, other in (("sdss", "sdss"), ("desi", "desi"), OPTICAL):
            said = classes(x[one], kind).predict(y[other])
            found[f"class_{one}_{other}"] = float(np.mean(said == asked))
        far, asked_far = kind == 0, asked == 0
        z, true = np.log1p(learn.labels["redshift"]), np.log1p(seen.labels["redshift"])
        said = linear(x["sdss"][far], z[far]).predict(y["sdss"][asked_far])
        found["redshift_r2"] = float(r2(true[asked_far], said))
        known, asked = (np.repeat([0, 1], len(v.labels["kind"])) for v in (learn, seen))
        both = [np.concatenate([v[s] for s in OPTICAL]) for v in (x, y)]
        said = classes(both[0], known).predict(both[1])
        return found | {"survey": float(np.mean(said == asked))}

    def _stars(self):
        """Labels of stars, within and across surveys."""
        learn, seen = (self.kept["stars at rest", part][0] for part in ("train", "validation"))
        x, y = learn.vectors["embedding"], seen.vectors["embedding"]
        found = {}
        for label in STELLAR:
            known, true = learn.labels[label], seen.labels[label]
            for one, other in (("apogee", "apogee"), ("galah", "galah"), STARS):
                said = linear(x[one], known).predict(y[other])
                found[f"{label}_{one}_{other}"] = float(r2(true, said))
        return found


class _Keeper(Vectors):
    """Keeps the tokens of every batch instead of what is made of them."""

    def __init__(self, model):
        super().__init__(model)
        self.tokens = []

    def of_tokens(self, tokens):
        self.tokens.append(tokens)
        return {"embedding": np.zeros((len(tokens.value), 1))}


def as_table(found):
    """Lines of a list-table for the documentation, or to read."""
    lines = []
    for title, by_name in found.items():
        names = list(by_name)
        lines += [f".. list-table:: {title}", "   :header-rows: 1", "", f"   * - {'figure'}"]
        lines += [f"     - {name}" for name in names]
        for figure in by_name[names[0]]:
            lines.append(f"   * - {figure} (n = {by_name[names[0]][figure]['n']})")
            for name in names:
                one = by_name[name][figure]
                lines.append(f"     - {one['value']:.3f} ({one['low']:.3f}-{one['high']:.3f})")
        lines.append("")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model")
    parser.add_argument("--templates", required=True)
    parser.add_argument("--data", type=Path, default=os.environ.get("SPECTOK_DATA"))
    parser.add_argument("--light", action="store_true")
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rst", type=Path)
    options = parser.parse_args()
    begun = time.monotonic()
    model = spectok.load_model(options.model)
    templates = simulate.load_templates(options.templates)
    data = None if options.data is None else Path(options.data)
    parts = options.parts.split(",")
    found = battery(model, templates, data=data, light=options.light, parts=parts)
    name, sha256 = model.origin.name, model.origin.sha256
    text = as_table(found)
    print(text)
    print(f"{name} {sha256[:12]}, {time.monotonic() - begun:.0f} s")
    if options.json:
        options.json.write_text(json.dumps({"model": name, "sha256": sha256, "figures": found}))
    if options.rst:
        command = f"python benchmarks/representation.py --model {name} --templates FILE --rst FILE"
        options.rst.write_text(f".. {command} (spectok {spectok.__version__})\n\n{text}")


if __name__ == "__main__":
    main()
