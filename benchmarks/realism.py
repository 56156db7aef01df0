"""How well can mock spectra be told from real ones?

    python benchmarks/realism.py --data DIR [--templates FILE] [--out realism.json] [--plots DIR]

DIR (or the environment variable SPECTOK_DATA) holds the spectra and templates listed in its
MANIFEST.md. Takes two minutes on two cores. For every survey, each real spectrum and as many
times five mocks of the same class are described by some twenty numbers (S/N, mask, shape of the
flux and of the error, differences of neighbouring pixels, outliers). Printed and written:

- median and 16-84 % range of each number for real and mock spectra, and its own AUC (area under
  the receiver operating characteristic): 0.5 says that the number tells nothing, 1 all;
- where there are at least thirty real spectra, the AUC of a classifier (gradient boosting) that
  is given all numbers, by cross-validation in which no object (place on the sky) is on both
  sides, with a bootstrap interval over the real objects.

The classifier named ``instrument`` is not given the numbers that describe the objects (shape of
the flux, S/N): they tell which objects were observed, not how. Mocks whose template ends inside
the range are left out and counted (SDSS and DESI: less than 97 % of the pixels valid). All real
objects count, those of the training set included, on which the simulator's noise was measured.
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

from spectok import simulate, surveys

sys.path.insert(0, str(Path(__file__).parents[1] / "recipes" / "measured"))
import real  # noqa: E402

NAMES = {"SDSS": "boss", "DESI": "desi-arms", "GALAH": "galah", "APOGEE": "apogee-visit"}
# Share of the pixels that a mock must have: GALAH masks where the air is opaque, and the
# detectors of APOGEE reach further than its templates.
REACH = {"SDSS": 0.97, "DESI": 0.97, "GALAH": 0.9, "APOGEE": 0.85}
KINDS = {"GALAXY": "galaxy", "QSO": "quasar", "STAR": "star"}
# Numbers that say what was observed rather than how.
OBJECT = ("snr", "flux 5 %", "flux 25 %", "flux 75 %", "flux 95 %", "slope")


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


def measured(entry):
    """Describe a real spectrum."""
    valid = entry["valid"]
    parts = (entry[k].astype(float) for k in ("wavelength", "flux", "sigma"))
    return describe(*parts, valid)


def mocks(survey, templates, counts, seed):
    """Mock spectra, so many of each class."""
    rows, short = [], 0
    for kind, n in counts.items():
        simulator = simulate.Simulator(NAMES[survey], templates=templates, kind=kind)
        (seen,) = simulator.observe(n, seed=seed)
        for i in range(n):
            valid = seen.valid[i].numpy()
            # A template that ends inside the range is no flaw of the instrument.
            if valid.mean() < REACH[survey]:
                short += 1
                continue
            fields = (seen.flux[i].double().numpy(), seen.sigma[i].double().numpy())
            rows.append(describe(seen.instrument.wavelength, *fields, valid))
    return rows, short


def auc(score, label):
    """Area under the receiver operating characteristic."""
    from scipy.stats import rankdata

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


def compare(survey, entries, templates, seed):
    """All figures of one survey."""
    rows = [measured(e) for e in entries]
    counts = {}
    for e in entries:
        kind = KINDS.get(e["class"], "star" if survey in ("GALAH", "APOGEE") else None)
        if kind:
            counts[kind] = counts.get(kind, 0) + 1
    counts = {k: max(5 * n, 40) for k, n in counts.items()}
    made, short = mocks(survey, templates, counts, seed)
    names = list(rows[0])
    x = np.array([[r[n] for n in names] for r in rows + made])
    label = np.arange(len(x)) < len(rows)
    place = [f"{e['record'].get('ra') or e['record']['id']}"[:6] for e in entries]
    group = np.unique(place + [f"m{i}" for i in range(len(made))], return_inverse=True)[1]
    out = {"n_real": len(rows), "n_mock": len(made), "n_short": short, "numbers": {}}
    for k, name in enumerate(names):
        q = lambda v: [float(f) for f in np.percentile(v, (16, 50, 84))]  # noqa: E731
        out["numbers"][name] = {
            "real": q(x[label, k]),
            "mock": q(x[~label, k]),
            "auc": auc(x[:, k], label) if label.sum() > 1 else None,
        }
    if len(rows) >= 30:
        for key, keep in (("all", names), ("instrument", [n for n in names if n not in OBJECT])):
            columns = [names.index(n) for n in keep]
            score, lost = classify(x[:, columns], label, group, seed)
            out[key] = {"auc": auc(score, label), "interval": interval(score, label, seed)}
            tell = sorted(zip(lost, keep, strict=True), reverse=True)[:6]
            out[key]["lost without"] = {name: float(value) for value, name in tell}
    return out


def picture(survey, entries, templates, folder, seed):
    """Real spectra beside mocks of the same class and about the same signal to noise."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rng = np.random.default_rng(seed)
    usable = [e for e in entries if e["valid"].mean() > 0.5 and "note" not in e["record"]]
    chosen = [usable[i] for i in rng.choice(len(usable), min(4, len(usable)), replace=False)]
    figure, axes = plt.subplots(
        len(chosen), 2, figsize=(11, 2.0 * len(chosen)), squeeze=False, sharex=True,
        layout="constrained",
    )  # fmt: skip
    for row, entry in zip(axes, chosen, strict=True):
        kind = KINDS.get(entry["class"], "star")
        snr = max(entry["record"]["snr"], 0.5)
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
        true = tuple(entry[k] for k in ("wavelength", "flux", "sigma", "valid"))
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
    for survey, reader in zip(NAMES, real.READERS, strict=True):
        if survey not in options.survey:
            continue
        entries = [e for e in reader(data) if e is not None and "note" not in e["record"]]
        # Empty sky is no object.
        entries = [e for e in entries if e["class"] != "SKY" and e["valid"].mean() > 0.1]
        found[survey] = compare(survey, entries, templates, options.seed)
        report(survey, found[survey])
        if options.plots:
            options.plots.mkdir(parents=True, exist_ok=True)
            picture(survey, entries, templates, options.plots, options.seed)
    if options.out:
        options.out.write_text(json.dumps(found, indent=1))


def report(survey, found):
    """Print one survey's figures."""
    print(f"\n{survey}: {found['n_real']} real, {found['n_mock']} mock")
    print(f"  {found['n_short']} mocks left out: their template ends inside the range")
    for key in ("all", "instrument"):
        if key in found:
            low, high = found[key]["interval"]
            print(
                f"  classifier, {key} numbers: AUC {found[key]['auc']:.3f} ({low:.3f}-{high:.3f})"
            )
            print(
                "    lost when shuffled:",
                ", ".join(f"{k} {v:.3f}" for k, v in found[key]["lost without"].items()),
            )
    print(f"  {'number':16s} {'real 16/50/84 %':>26s} {'mock':>26s}   AUC")
    for name, row in found["numbers"].items():
        show = lambda v: " ".join(f"{f:8.3g}" for f in v)  # noqa: E731
        alone = "" if row["auc"] is None else f"{row['auc']:.2f}"
        print(f"  {name:16s} {show(row['real']):>26s} {show(row['mock']):>26s}   {alone}")


if __name__ == "__main__":
    main()
