"""What it gains to take redshifts out of tokens before a probe reads them.

    python benchmarks/rest_frame.py --templates templates.safetensors --data DIR \
        --out docs/rest_frame.json
    python benchmarks/rest_frame.py --out docs/rest_frame.json --rst docs/rest_frame_table.rst

Two tasks, on mocks as in ``benchmarks/probes.py`` (other templates or other stars, other seeds to
learn from than to be judged by):

galah
    Labels of GALAH's stars, whose spectra come as they were observed: from the tokens as they
    are, from tokens at rest with the true velocity, and with the velocity that a
    `spectok.probes.RedshiftProbe` measures, fitted on the same spectra as the probe; and from the
    flux, without a tokenizer. Beside the scaled MAD the same over each star's Cramér-Rao bound.
    With ``--data DIR`` the same probes are asked of the real stars that no training saw: few.
across
    Classes, learned from SDSS and read from the same objects seen by DESI: from tokens as they
    are, and cut anew into patches that both surveys share (nothing is moved).

The templates are what ``recipes/small_v1/pack.py`` writes. Forty minutes of one core beside
another job; ``--share 0.05`` tries it out. Every figure has its 95 % interval, 1000 bootstraps
over objects.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import json
import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from _probe_cells import cell, pick, table
from _probe_data import CLASSES, Spectra, mocks, real_spectra
from _probe_fit import (
    LIGHT,
    STELLAR,
    class_records,
    classifiers,
    fitted,
    label_records,
    record,
    regressors,
    said,
)
from _probe_real import KEYS, UNSEEN, _objects
from _probe_tasks import _bounds, _over_bounds, stellar, usable
from _probe_transfer import _seen
from probes import Setting
from sklearn.metrics import r2_score

import spectok
from spectok import probes, simulate
from spectok._tokens import to_table
from spectok._weights import model_identity

# Of the probe of velocities: pixels of 7 km/s, and up to 900 km/s either way; a thousand stars are
# plenty.
VELOCITY = {"step": 1e-5, "redshift_range": (-0.003, 0.003), "max_epochs": 4}
STARS_FOR_VELOCITY = 1000
MEASURED = "at rest, velocity measured"
SHARED = 3.2e-3  # dex: the length of a patch of SDSS
OF_GALAH = 1e-4 * 2**0.25  # dex: what GALAH's own grid gets by default
NAMES = {"teff": "temperature [K]", "logg": "gravity [dex]", "feh": "[Fe/H] [dex]"}


def at_rest(setting, spectra, redshift, step):
    """The same spectra with their tokens at rest."""
    items, model = spectra.items, setting.model
    number = [len(item) for item in items]
    every = np.concatenate(list(items))
    patch = model.config.patch_size
    half = every["half"] * ((patch - 1) / patch)
    name, sha256 = model_identity(model)
    columns = {
        "spectrum_index": np.repeat(np.arange(len(items)), number),
        "object_id": np.repeat(np.arange(len(items)), number),
        "token_index": np.concatenate([np.arange(n) for n in number]),
        "wavelength": every["wavelength"],
        "wavelength_min": every["wavelength"] - half,
        "wavelength_max": every["wavelength"] + half,
        "n_pixels": np.full(len(every), patch),
        "n_valid": np.full(len(every), patch),
        "valid": np.ones(len(every), bool),
        "scale": np.ones(len(every)),
        "flags": np.zeros(len(every), int),
        "token": every["token"],
    }
    meta = {"MODEL": name, "SHA256": sha256, "PATCH": patch, "FLUXUNIT": "", "SPECTOK": "0"}
    if model.config.context_size:
        meta["CONTEXT"] = model.config.context_size
    tokens = spectok.to_rest_frame(to_table(columns, meta), redshift, step=step)
    return replace(spectra, items=spectok.group(tokens))


def galah(setting):
    """Labels of GALAH's stars."""
    train = usable(mocks(setting, "galah", setting.n(4000), "train", kind="star"), "feh")
    every = mocks(setting, "galah", setting.n(1000), "test", kind="star")
    test = usable(every, "feh")
    bounds, truth = _bounds(setting, "galah", every), stellar(test)
    true = [one.labels["redshift"] for one in (train, test)]
    few = slice(STARS_FOR_VELOCITY)
    velocity = probes.RedshiftProbe(**VELOCITY).fit(train.items[few], true[0][few])
    measured = velocity.predict(test.items)
    apart = LIGHT * np.abs(measured - true[1])
    found = [
        record("median error, km/s", np.median, apart, method="velocities"),
        record("beyond 10 km/s", np.mean, (apart > 10).astype(float), method="velocities"),
    ]  # fmt: skip
    # What is learned at rest is learned with the true velocities, as a survey would.
    seen = {
        "as observed": (train, {"as observed": test}),
        "at rest": (
            at_rest(setting, train, true[0], OF_GALAH),
            {
                "at rest": at_rest(setting, test, true[1], OF_GALAH),
                MEASURED: at_rest(setting, test, measured, OF_GALAH),
            },
        ),
    }
    real = _real(setting)
    if real:
        stars, records = real
        said_of_real = velocity.predict(stars.items)
        real = {"as observed": stars, "at rest": at_rest(setting, stars, said_of_real, OF_GALAH)}
        found += [
            dict(metric="label", data="real", method="velocities", of="velocity", n=1,
                 object=one["id"], value=round(float(LIGHT * z), 1), label=one["velocity"])
            for one, z in zip(records, said_of_real, strict=True)
        ]  # fmt: skip
    for frame, (learn, ask) in seen.items():
        for name, (model, tokens) in regressors(max_epochs=15).items():
            if name == "kNN on mean tokens" or (frame != "as observed" and not tokens):
                continue
            fitted(model, tokens, learn, stellar(learn))
            for which, spectra in ask.items():
                predicted = said(model, tokens, spectra)
                of = dict(data="mock", on="galah", method=f"{name}, {which}", n_train=len(learn))
                found += label_records(truth, predicted, STELLAR, **of)
                found += [
                    record("R2", r2_score, truth[:, k], predicted[:, k], of=label, **of)
                    for k, label in enumerate(STELLAR)
                ]
                found += _over_bounds(truth, predicted, bounds, np.ones(len(test), bool), of)
            if real and tokens:
                of = dict(
                    metric="label", data="real", n=1,
                    method=f"{name}, {MEASURED if frame == 'at rest' else frame}",
                )  # fmt: skip
                for one, value in zip(records, said(model, tokens, real[frame]), strict=True):
                    found += [
                        dict(of, of=label, object=one["id"], label=one[key],
                             value=float(f"{v:.4g}"))
                        for label, key, v in zip(STELLAR, KEYS, value, strict=True)
                    ]  # fmt: skip
    return found


def _real(setting):
    """Real stars of GALAH with labels, that no training saw, and their records; or None."""
    if setting.data is None:
        return None
    some = [
        (about, item) for about, _, item in real_spectra(setting)["GALAH"]
        if about["split"] in UNSEEN and about.get("teff") is not None and len(item)
    ]  # fmt: skip
    items = _objects([item for _, item in some])
    nothing = np.zeros(len(some))
    with open(setting.data / "galah" / "labels.csv") as file:
        rows = [(row["sobject_id"], float(row["rv_com"])) for row in csv.DictReader(file)]
    measured = {name: velocity for name, velocity in rows if np.isfinite(velocity)}
    records = [{**about, "velocity": measured.get(str(about["id"]))} for about, _ in some]
    return Spectra(items, nothing[:, None], {}, nothing), records


def across(setting):
    """Classes from survey to survey."""
    names = ("sdss", "desi")
    train, test = (
        dict(zip(names, _seen(mocks(setting, "sdss", n, part, other="desi"), None), strict=True))
        for n, part in ((setting.n(2000), "train"), (setting.n(1000), "test"))
    )
    true = CLASSES[train["sdss"].labels["kind"].astype(int)]
    wanted = CLASSES[test["sdss"].labels["kind"].astype(int)]
    found = []
    for which in ("patches of each survey", "shared patches"):
        learn, ask = train, test
        if which == "shared patches":
            learn, ask = (
                {name: at_rest(setting, one, 0.0, SHARED) for name, one in both.items()}
                for both in (train, test)
            )
        for name, (model, tokens) in classifiers(max_epochs=12).items():
            if name not in ("probe", "linear on tokens"):
                continue
            for a in names:
                fitted(model, tokens, learn[a], true)
                for b in names:
                    of = dict(data="mock", method=f"{name}, {which}", learned=a, read=b)
                    found += class_records(wanted, said(model, tokens, ask[b]), **of)
    return found


def _single(found):
    """Real stars, one by one."""
    rows = [("star", "from", "velocity [km/s]", *NAMES.values())]
    for name in dict.fromkeys(r["object"] for r in found):
        own = pick(found, object=name)
        (velocity,) = pick(own, of="velocity")
        known = velocity["label"]
        known = "" if known is None else f"{known:.1f}"
        methods = dict.fromkeys(r["method"] for r in own if r["of"] in STELLAR)
        labels = [pick(own, of=k)[0]["label"] for k in STELLAR]
        rows.append((name, "the survey", known, *(f"{label:.4g}" for label in labels)))
        for method in methods:
            speed = f"{velocity['value']:.1f}" if MEASURED in method else ""
            values = [f"{pick(own, method=method, of=k)[0]['value']:.4g}" for k in STELLAR]
            rows.append(("", method, speed, *values))
    return table("Real stars of GALAH that no training saw, by probes of mocks", rows)


TASKS = {"galah": galah, "across": across}


def tables(results):
    """Both tasks, as RST."""
    about = results["about"]
    parts = [
        f"Made by ``benchmarks/rest_frame.py`` on {about['date']} with {about['model']} (sha256 "
        f"{about['sha256'][:12]}). In brackets: 95 % of 1000 bootstraps over objects.\n"
    ]
    if "galah" in results:
        found = [r for r in results["galah"] if r["method"] != "velocities"]
        for metric in ("scaled MAD", "R2", "scaled MAD over bound"):
            some = pick(found, metric=metric)
            rows = [("from", *(NAMES[k] for k in STELLAR))]
            for method in dict.fromkeys(r["method"] for r in some):
                rows.append((method, *(cell(pick(some, method=method), of=k) for k in STELLAR)))
            n = max(r["n"] for r in some)
            title = {
                "R2": "explained variance",
                "scaled MAD over bound": "scaled MAD over the Cramér-Rao bound of each star",
            }.get(metric, metric)
            parts.append(table(f"Mock stars of GALAH, {title} ({n:,} stars)", rows))
        parts.append(_single(pick(results["galah"], data="real")))
    if "across" in results:
        some = pick(results["across"], of="mean")
        rows = [("from", "SDSS on SDSS", "SDSS on DESI", "DESI on SDSS", "DESI on DESI")]
        pairs = [(a, b) for a in ("sdss", "desi") for b in ("sdss", "desi")]
        for method in dict.fromkeys(r["method"] for r in some):
            rows.append(
                (method, *(cell(pick(some, method=method, learned=a, read=b), of="mean")
                           for a, b in pairs))
            )  # fmt: skip
        title = "Classes, mean accuracy: learned on one survey, read on another"
        parts.append(table(f"{title}, mocks ({some[0]['n']:,} objects)", rows))
    return "\n".join(parts)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--templates")
    parser.add_argument("--data", type=Path, default=os.environ.get("SPECTOK_DATA"))
    parser.add_argument("--model", default=None)
    parser.add_argument("--out", type=Path, default=Path("rest_frame.json"))
    parser.add_argument("--cache", type=Path, default=Path("probes-cache"))
    parser.add_argument("--tasks", default=",".join(TASKS), help="of " + ", ".join(TASKS))
    parser.add_argument("--share", type=float, default=1.0, help="of the objects")
    parser.add_argument("--rst", type=Path, help="write tables from --out, and do nothing else")
    options = parser.parse_args()
    results = json.loads(options.out.read_text()) if options.out.exists() else {}
    if options.rst:
        options.rst.write_text(tables(results))
        return
    if options.templates is None:
        parser.error("give --templates, from recipes/small_v1/pack.py")
    setting = Setting(
        spectok.load_model(options.model), simulate.load_templates(options.templates),
        options.data, None, options.cache, None, options.share,
    )  # fmt: skip
    name, sha256 = model_identity(setting.model)
    for task in options.tasks.split(","):
        start = time.perf_counter()
        results[task] = TASKS[task](setting)
        results["about"] = {
            "model": name, "sha256": sha256, "spectok": spectok.__version__,
            "date": datetime.date.today().isoformat(), "share": options.share,
        }  # fmt: skip
        print(f"{task}: {time.perf_counter() - start:.0f} s", flush=True)
        options.out.write_text(json.dumps(results, indent=1, allow_nan=False) + "\n")


if __name__ == "__main__":
    main()
