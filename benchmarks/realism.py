"""How well can mock spectra be told from real ones?

    python benchmarks/realism.py --data DIR --more DIR2 [--templates FILE] [--out realism.json]
        [--plots DIR]

DIR (or the environment variable SPECTOK_DATA) holds the spectra and templates listed in its
MANIFEST.md, DIR2 the second set of SDSS spectra. Takes two minutes on one core. Each real
spectrum and five mocks of the same class, the nearest in S/N and redshift of many, are described
by numbers:

- ``first``: those of the first version of this benchmark (mask, error, differences of neighbouring
  pixels, outliers);
- ``all``: those and some thirty more, chosen to find what the first did not: errors that follow
  the flux, sky lines one by one, ends and joins, runs of bad pixels, differences by wavelength.

Numbers that say what was observed (shape of the flux, S/N) are in neither. Printed and written:

- median and 16-84 % range of each number for real and mock spectra, and its own AUC (area under
  the receiver operating characteristic): 0.5 says that the number tells nothing, 1 all;
- for SDSS's two spectrographs the AUC of a classifier (gradient boosting): by cross-validation
  over the training objects, on which the simulator's noise was measured, and learnt on those and
  judged on validation and test objects; no object (place on the sky) is on both sides. Intervals
  are bootstraps over the spectra.

Mocks whose template ends inside the range are left out and counted.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import warnings
from pathlib import Path

import astropy.units as u
import numpy as np
from scipy.ndimage import median_filter, uniform_filter1d
from scipy.stats import rankdata, spearmanr

from spectok import simulate, surveys

sys.path.insert(0, str(Path(__file__).parents[1] / "recipes" / "measured"))
import coadds  # noqa: E402
import real  # noqa: E402

NAMES = {"SDSS": "sdss", "BOSS": "boss", "DESI": "desi-arms", "GALAH": "galah",
         "APOGEE": "apogee-visit"}  # fmt: skip
# Share of the pixels that a mock must have: GALAH masks where the air is opaque, and the
# detectors of APOGEE reach further than its templates.
REACH = {"SDSS": 0.985, "BOSS": 0.993, "DESI": 0.97, "GALAH": 0.9, "APOGEE": 0.85}
KINDS = {"GALAXY": "galaxy", "QSO": "quasar", "STAR": "star"}
# Numbers that say what was observed rather than how.
OBJECT = ("snr", "flux 5 %", "flux 25 %", "flux 75 %", "flux 95 %", "slope")
# Sky lines and bands, and stretches for differences by wavelength [Angstrom].
SKY = {"5577": (5572, 5585), "5890": (5888, 5900), "6300": (6298, 6306), "OH 8400": (8300, 8500),
       "OH 9000": (8760, 9100)}  # fmt: skip
PARTS = ((3000, 4400), (4400, 5800), (6200, 7600), (7600, 11000))
PER = 5  # mocks for each real spectrum


def describe(wavelength, flux, sigma, valid):
    """Numbers of one spectrum; pixels that no good one surrounds are left out."""
    scale = np.median(flux[valid])
    scale = scale if scale > 0 else np.median(sigma[valid])
    level = np.median(flux[valid] / sigma[valid])
    out = {"snr": np.log10(max(level, 0.03)), "masked": 1 - valid.mean()}
    for k in (5, 25, 75, 95):
        out[f"flux {k} %"] = np.percentile(flux[valid] / scale, k)
    third = np.array_split(np.flatnonzero(valid), 3)
    out["slope"] = (np.median(flux[third[2]]) - np.median(flux[third[0]])) / scale
    pull = np.where(valid, flux / np.where(valid, sigma, 1), 0)
    for lag in (1, 2, 4, 16):
        ok = valid[lag:-lag] & valid[: -2 * lag] & valid[2 * lag :]
        bend = (2 * pull[lag:-lag] - pull[: -2 * lag] - pull[2 * lag :])[ok] / np.sqrt(6)
        out[f"bend {lag}"] = 1.4826 * np.median(np.abs(bend))
        if lag == 2:
            bend = bend / max(out["bend 2"], 1e-9)
            out["outliers +"] = np.log10((bend > 5).mean() + 1e-4)
            out["outliers -"] = np.log10((bend < -5).mean() + 1e-4)
    error = np.log10(np.where(valid, sigma, np.nan) / np.median(sigma[valid]))
    step = np.diff(error)
    out["error roughness"] = 1.4826 * np.nanmedian(np.abs(np.diff(step))) / np.sqrt(6)
    out["error peaks"] = np.log10(np.nanpercentile(np.abs(step), 99))
    for k, part in enumerate(np.array_split(error, 6)):
        out[f"error {k + 1}/6"] = np.nanmedian(part) if np.isfinite(part).any() else 0.0
    return out


def describe_more(wavelength, flux, sigma, valid):
    """Further numbers of one spectrum of SDSS."""
    out, bad, pixel = {}, ~valid, np.arange(len(flux))
    edge = np.flatnonzero(np.diff([0, *bad.astype(int), 0]))
    length = edge[1::2] - edge[::2]
    out["bad runs"], out["longest bad run"] = len(length), max(length, default=0)
    log = np.interp(pixel, pixel[valid], np.log10(sigma[valid]))
    excess = log - median_filter(log, 101, mode="nearest")
    error = np.where(valid, log - np.median(log[valid]), np.nan)
    line = excess > 0.05
    out["line pixels"], out["bright line pixels"] = line.mean(), (excess > 0.2).mean()
    out["dips of errors"] = np.log10((excess < -0.03).mean() + 1e-3)
    for name, (low, high) in SKY.items():
        here = (wavelength > low) & (wavelength < high)
        out[f"errors at {name}"] = np.percentile(excess[here], 90)
    out["bad at 5577"] = bad[(wavelength > 5572) & (wavelength < 5585)].mean()
    quiet = np.clip(np.where(valid & ~line, log - uniform_filter1d(log, 25), np.nan), -0.05, 0.05)
    power = np.nanvar(quiet) + 1e-12
    out["error scatter"] = 0.5 * np.log10(power)
    for lag in (1, 2, 4):
        out[f"errors shared {lag}"] = np.nanmean(quiet[lag:] * quiet[:-lag]) / power
    for name, half in (("blue", wavelength < 6000), ("red", wavelength >= 6000)):
        second = np.abs(np.diff(error[half], n=2))
        out[f"error roughness {name}"] = np.nanmedian(second)
    level = lambda a, b: np.nanmedian(error[(wavelength > a) & (wavelength < b)])  # noqa: E731
    out["errors at the join"] = level(5950, 6150) - 0.5 * (level(5650, 5850) + level(6350, 6500))
    out["errors at the blue end"] = np.nanmedian(error[:60]) - np.nanmedian(error[120:240])
    out["errors at the red end"] = np.nanmedian(error[-60:]) - np.nanmedian(error[-240:-120])
    bend = lambda x: x - median_filter(x, 51, mode="nearest")  # noqa: E731
    ok = valid & ~line & (np.abs(bend(flux)) < 5 * sigma)
    out["errors follow flux"] = spearmanr(bend(flux)[ok], bend(10 ** (2 * log))[ok])[0]
    pull = np.where(valid, flux / np.where(valid, sigma, 1), 0)
    for lag in (1, 3):
        ok = valid[lag:-lag] & valid[: -2 * lag] & valid[2 * lag :]
        size = np.abs(2 * pull[lag:-lag] - pull[: -2 * lag] - pull[2 * lag :])
        whole, at, own = np.median(size[ok]), wavelength[lag:-lag], line[lag:-lag] & ok
        for number, (low, high) in enumerate(PARTS, 1):
            here = size[ok & (at > low) & (at < high)]
            out[f"bend {lag}, {number}/4"] = np.median(here) / whole if len(here) else 1.0
        out[f"bend {lag} on lines"] = np.median(size[own]) / whole if own.sum() > 20 else 1.0
    out["bend 3"] = 1.4826 * whole / np.sqrt(6)
    out["bend 3 beyond 3"] = np.log10((size[ok] > 4.45 * whole).mean() + 1e-4)
    out["the same on lines"] = np.log10((size[own] > 4.45 * whole).sum() / (own.sum() + 1) + 1e-3)
    out["zero fluxes"] = ((flux == 0) & valid).mean()
    out["equal errors"] = (np.diff(log)[valid[1:] & valid[:-1]] == 0).mean()
    return out


def numbers(survey, wavelength, flux, sigma, valid):
    """All numbers of one spectrum, those that only SDSS's have where it is one."""
    flux, sigma = (v.astype(float) for v in (flux, sigma))
    found = describe(wavelength, flux, sigma, valid)
    if survey not in coadds.WINDOWS:
        return found
    return found | describe_more(wavelength, np.where(valid, flux, 0), sigma, valid)


def window(survey, wavelength, *arrays):
    """What all spectra of a survey cover."""
    low, high = coadds.WINDOWS.get(survey.lower(), (0.0, np.inf))
    use = (wavelength > low) & (wavelength < high)
    return [a[..., use] for a in (wavelength, *arrays)]


def mocks(survey, templates, likes, seed):
    """Numbers of mocks like real spectra: (class, S/N, redshift) each; and how many fell short."""
    rows, short = [], 0
    for name, kind in KINDS.items():
        wanted = np.array([(s, max(z, 0)) for c, s, z in likes if c == name])
        if not len(wanted):
            continue
        simulator = simulate.Simulator(NAMES[survey], templates=templates, kind=kind)
        snr = (0.9 * wanted[:, 0].min(), 1.1 * wanted[:, 0].max())
        (seen,) = simulator.observe(max(4 * PER * len(wanted), 256), seed=seed, snr=snr)
        arrays = (seen.flux.numpy(), seen.sigma.numpy(), seen.valid.numpy())
        wavelength, flux, sigma, valid = window(survey, seen.instrument.wavelength, *arrays)
        # A template that ends inside the range is no flaw of the instrument.
        free = valid.mean(1) >= REACH[survey]
        short += (~free).sum()
        shown = np.log10([
            np.median(np.abs(f / s)[v]) if v.any() else 1e-9
            for f, s, v in zip(flux, sigma, valid, strict=True)
        ])  # fmt: skip
        shift = np.log10(1 + np.maximum(seen.labels["redshift"].numpy(), 0))
        for s, z in np.random.default_rng(seed).permutation(wanted):
            far = np.abs(shown - np.log10(s)) + np.abs(shift - np.log10(1 + z))
            for j in np.argsort(np.where(free, far, np.inf))[: min(PER, free.sum())]:
                free[j] = False
                rows.append(numbers(survey.lower(), wavelength, flux[j], sigma[j], valid[j]))
    return rows, int(short)


def auc(score, label):
    """Area under the receiver operating characteristic."""
    rank, n = rankdata(score), label.sum()
    return float((rank[label].sum() - n * (n + 1) / 2) / (n * (~label).sum()))


def classify(x, label, group, seed):
    """Out-of-fold scores of a classifier, and the AUC lost when one number is shuffled."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import GroupKFold

    score, lost, rng = np.zeros(len(x)), [], np.random.default_rng(seed)
    for fit, hold in GroupKFold(5, shuffle=True, random_state=seed).split(x, label, group):
        model = HistGradientBoostingClassifier(max_iter=80, learning_rate=0.08, random_state=seed)
        score[hold] = model.fit(x[fit], label[fit]).predict_proba(x[hold])[:, 1]
        for k in range(x.shape[1]):
            shuffled = x[hold].copy()
            shuffled[:, k] = rng.permutation(shuffled[:, k])
            again = auc(model.predict_proba(shuffled)[:, 1], label[hold])
            lost.append(auc(score[hold], label[hold]) - again)
    return score, np.mean(np.reshape(lost, (5, -1)), 0)


def interval(score, label, seed, n=500):
    """95 % of the AUC when the real objects, and the mocks, are drawn again."""
    rng = np.random.default_rng(seed)
    one, other = np.flatnonzero(label), np.flatnonzero(~label)
    values = []
    for _ in range(n):
        pick = np.concatenate([rng.choice(one, len(one)), rng.choice(other, len(other))])
        values.append(auc(score[pick], label[pick]))
    return [float(v) for v in np.percentile(values, (2.5, 97.5))]


def held_out(x, label, train, seed):
    """Scores by a classifier learnt on the training objects and half of the mocks."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(max_iter=80, learning_rate=0.08, random_state=seed)
    return model.fit(x[train], label[train]).predict_proba(x[~train])[:, 1]


def compare(survey, entries, templates, seed):
    """All figures of one survey; entries are (place, set, class, S/N, redshift, four arrays)."""
    rows = [numbers(survey.lower(), *window(survey, *e[5:])) for e in entries]
    made, short = mocks(survey, templates, [e[2:5] for e in entries], seed)
    names = list(rows[0])
    x = np.nan_to_num(np.array([[r[n] for n in names] for r in rows + made], float))
    label = np.arange(len(x)) < len(rows)
    n_train = sum(e[1] == "train" for e in entries)
    out = {"n_real": len(rows), "n_train": n_train, "n_mock": len(made), "n_short": short}
    out["numbers"] = {}
    for k, name in enumerate(names):
        q = lambda v: [float(f) for f in np.percentile(v, (16, 50, 84))]  # noqa: E731
        out["numbers"][name] = {
            "real": q(x[label, k]),
            "mock": q(x[~label, k]),
            "auc": auc(x[:, k], label) if label.sum() > 1 else None,
        }
    if survey.lower() not in coadds.WINDOWS:
        return out
    group = [e[0] for e in entries] + [f"mock {i}" for i in range(len(made))]
    group = np.unique(group, return_inverse=True)[1]
    draw = np.random.default_rng(seed).random(len(made)) < n_train / len(rows)
    train = np.concatenate([[e[1] == "train" for e in entries], draw])
    kept = [n for n in names if n not in OBJECT]
    before = [n for n in kept if n in describe(*window(survey, *entries[0][5:]))]
    for key, keep in (("first", before), ("all", kept)):
        y, own = label[train], x[:, [names.index(n) for n in keep]]
        score, lost = classify(own[train], y, group[train], seed)
        out[key] = {"auc": auc(score, y), "interval": interval(score, y, seed)}
        tell = sorted(zip(lost, keep, strict=True), reverse=True)[:8]
        out[key]["lost without"] = {name: float(value) for value, name in tell}
        if not train.all():
            score = held_out(own, label, train, seed)
            found = auc(score, label[~train]), interval(score, label[~train], seed)
            out[key] |= {"held out": found[0], "held out interval": found[1]}
    return out


def spectra_of(survey, data, everything):
    """Real spectra as `compare` takes them, and as `picture` does."""
    if survey.lower() in coadds.WINDOWS:
        some = [c for c in everything if c.spectrograph == survey.lower()]
        return [
            (c.place, c.split, c.kind, c.snr, c.redshift, c.wavelength, c.flux, c.sigma, c.valid)
            for c in some
        ]
    reader = dict(zip(real.SURVEYS, real.READERS, strict=True))[survey]
    entries = [e for e in reader(data) if e is not None and "note" not in e["record"]]
    # Empty sky is no object.
    entries = [e for e in entries if e["class"] != "SKY" and e["valid"].mean() > 0.1]
    return [
        (e["record"]["id"], e["split"], e["class"] or "STAR", e["record"]["snr"], e["z"] or 0.0,
         *(e[k] for k in ("wavelength", "flux", "sigma", "valid")))
        for e in entries
    ]  # fmt: skip


def picture(survey, entries, templates, folder, seed):
    """Real spectra beside mocks of the same class and about the same signal to noise."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rng = np.random.default_rng(seed)
    usable = [e for e in entries if e[8].mean() > 0.5]
    chosen = [usable[i] for i in rng.choice(len(usable), min(4, len(usable)), replace=False)]
    figure, axes = plt.subplots(
        len(chosen), 2, figsize=(11, 2.0 * len(chosen)), squeeze=False, sharex=True,
        layout="constrained",
    )  # fmt: skip
    for row, entry in zip(axes, chosen, strict=True):
        kind, snr = KINDS.get(entry[2], "star"), max(entry[3], 0.5)
        simulator = simulate.Simulator(NAMES[survey], templates=templates, kind=kind)
        (seen,) = simulator.observe(24, seed=seed + int(1e3 * snr), snr=snr)
        # A mock whose template covers most of the range.
        best = int(seen.valid.float().mean(1).argmax())
        mock = (
            seen.instrument.wavelength,
            seen.flux[best].numpy(),
            seen.sigma[best].numpy(),
            seen.valid[best].numpy(),
        )
        true = entry[5:]
        for axis, (w, f, s, v), title in zip(row, (true, mock), ("real", "mock"), strict=True):
            scale = np.median(np.abs(f[v]))
            cuts = np.flatnonzero(np.abs(np.diff(w)) > 20) + 1
            for part in np.split(np.arange(len(w)), cuts):
                shown = np.where(v[part], f[part] / scale, np.nan)
                axis.plot(w[part], shown, color="0.2", lw=0.35)
                axis.plot(w[part], np.where(v[part], s[part] / scale, np.nan), "C1", lw=0.5)
            low, high = np.percentile(f[v] / scale, (0.5, 99.5))
            axis.set_ylim(min(low, 0) - 0.2 * (high - low), high + 0.3 * (high - low))
            axis.set_title(f"{title}: {survey} {kind}, S/N {snr:.1f}", fontsize=8)
            axis.tick_params(labelsize=7)
    axes[0, 0].set_ylabel("flux / median", fontsize=8)
    for axis in axes[-1]:
        axis.set_xlabel("wavelength [vacuum Å]; orange: error", fontsize=8)
    figure.savefig(folder / f"realism-{survey.lower()}.png", dpi=110)
    plt.close(figure)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=os.environ.get("SPECTOK_DATA"))
    parser.add_argument("--more", type=Path, help="folder of the second set")
    parser.add_argument("--templates", type=Path, help="default: built from DATA")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--plots", type=Path)
    parser.add_argument("--survey", choices=list(NAMES), nargs="*", default=list(NAMES))
    options = parser.parse_args()
    if options.data is None or not Path(options.data).is_dir():
        parser.error("no data folder: give --data DIR or set SPECTOK_DATA")
    data = Path(options.data)
    warnings.simplefilter("ignore", category=u.UnitsWarning)
    if options.templates:
        templates = simulate.load_templates(options.templates)
    else:
        files = sorted((data / "sdss/real").glob("*.fits*"))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*give no template")  # test objects, as meant
            templates = simulate.build_templates(
                folder=data, spectra=[surveys.sdss.read(f)[0] for f in files]
            )
    found = {}
    everything = coadds.read(data, options.more)
    for survey in options.survey:
        entries = spectra_of(survey, data, everything)
        found[survey] = compare(survey, entries, templates, options.seed)
        report(survey, found[survey])
        if options.plots:
            options.plots.mkdir(parents=True, exist_ok=True)
            picture(survey, entries, templates, options.plots, options.seed)
    if options.out:
        options.out.write_text(json.dumps(found, indent=1))


def report(survey, found):
    """Print one survey's figures."""
    print(f"\n{survey}: {found['n_real']} real ({found['n_train']} of the training set), "
          f"{found['n_mock']} mock")  # fmt: skip
    print(f"  {found['n_short']} mocks left out: their template ends inside the range")
    for key in ("first", "all"):
        for kind in ("auc", "held out"):
            if kind in found.get(key, ()):
                low, high = found[key]["interval" if kind == "auc" else "held out interval"]
                where = "training objects" if kind == "auc" else kind
                print(f"  classifier, {key} numbers, {where}"
                      f": AUC {found[key][kind]:.3f} ({low:.3f}-{high:.3f})")  # fmt: skip
        if key in found:
            lost = found[key]["lost without"].items()
            print("    lost when shuffled:", ", ".join(f"{k} {v:.3f}" for k, v in lost))
    print(f"  {'number':22s} {'real 16/50/84 %':>26s} {'mock':>26s}   AUC")
    for name, row in found["numbers"].items():
        show = lambda v: " ".join(f"{f:8.3g}" for f in v)  # noqa: E731
        alone = "" if row["auc"] is None else f"{row['auc']:.2f}"
        print(f"  {name:22s} {show(row['real']):>26s} {show(row['mock']):>26s}   {alone}")


if __name__ == "__main__":
    main()
