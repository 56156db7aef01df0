"""A head and a catalogue for weights: classes at once, and the training spectra by name.

    python recipes/heads/train.py --templates templates.safetensors --train train.safetensors \
        --test test.safetensors [test.safetensors ...] --model small-v1.2 --out DIR [--cache FILE]

``templates.safetensors`` is from recipes/small_v1/pack.py, the real spectra from
recipes/small_v2/spectra.py (and small_v1/pack.py). The head of classes is a logistic regression on
embeddings. It learns from mocks of the training templates through SDSS, BOSS and DESI, and from
real training spectra; it is judged by mocks of other templates and by real test objects, and the
scores go to ``scores.json``. ``catalogue.safetensors`` has the embeddings of the real training
spectra with their names, classes and redshifts: what `spectok.probes.neighbours` looks in.
Five minutes on one core.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from astropy.table import QTable, vstack
from safetensors import safe_open
from safetensors.numpy import save_file
from tqdm import tqdm

import spectok
from spectok import probes, simulate
from spectok._weights import model_identity
from spectok.probes import metrics
from spectok.training import RealSpectra, open_pack

CLASSES = np.array(["GALAXY", "QSO", "STAR"])
OPTICAL = ("sdss", "boss", "desi")
REPEATED = 3.0  # what a real training spectrum counts beside a mock
SEED = {"train": 41_000, "test": 42_000}


def embedded(model, wavelength, flux, sigma, valid):
    """Embeddings of arrays (N, L) on one grid."""
    ivar = np.where(valid, np.where(valid, sigma, 1.0) ** -2.0, 0.0)
    # Arms stand one after the other, and stay apart.
    arrays = (wavelength, flux, ivar, ~valid)
    return spectok.embed_arrays(*arrays, model=model, progress=False)


def mocks(model, templates, part, number):
    """Embeddings and labels of mocks: half at the survey's S/N, half at any."""
    found = []
    for survey in OPTICAL:
        simulator = simulate.Simulator(survey, templates=templates.part(part))
        for half, snr in enumerate((None, (2.0, 100.0))):
            for first in tqdm(range(0, number // 2, 250), desc=f"{survey} {part}"):
                seed = SEED[part] + 10_000 * half + first
                n = min(250, number // 2 - first)
                (seen,) = simulator.observe(n, seed=seed, snr=snr)
                arrays = (getattr(seen, k).numpy() for k in ("flux", "sigma", "valid"))
                table = embedded(model, seen.instrument.wavelength, *arrays)
                kind = seen.labels["kind"].numpy().astype(int)
                table["class"] = CLASSES[kind]
                table["survey"] = np.full(n, survey)
                table["snr"] = seen.labels["snr"].numpy()
                found.append(table)
    return vstack(found, metadata_conflicts="silent")


def real_training(model, path):
    """Embeddings of the real training spectra, one row for each coadd."""
    source = RealSpectra(open_pack(path))
    with safe_open(path, "numpy") as file:
        records = json.loads(file.metadata()["train"])
    rows, spectra = [], []
    for row, record in enumerate(records):
        if "exposure" in record["id"] or record["class"] not in CLASSES:
            continue
        rows.append(record)
        spectra.append(source.spectrum(row))
    return _with_records(model, spectra, rows)


def real_test(model, paths):
    """Embeddings of the real test objects, of several packs."""
    rows, spectra = [], []
    for path in paths:
        with safe_open(path, "numpy") as file:
            arrays = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
            records = json.loads(file.metadata()["real"])
        for row, record in enumerate(records):
            if record["split"] != "test" or record["class"] not in CLASSES:
                continue
            start, stop = arrays["real.offset"][row : row + 2]
            names = ("wavelength", "flux", "sigma", "valid")
            spectra.append([arrays[f"real.{k}"][start:stop] for k in names])
            rows.append(record)
    return _with_records(model, spectra, rows)


def _with_records(model, spectra, records):
    wavelength, flux, ivar, mask = [], [], [], []
    for grid, one, sigma, valid in spectra:
        valid = np.asarray(valid) > 0
        wavelength.append(grid)
        flux.append(np.asarray(one, float))
        ivar.append(np.where(valid, np.where(valid, sigma, 1.0) ** -2.0, 0.0))
        mask.append(~valid)
    table = spectok.embed_arrays(wavelength, flux, ivar, mask, model=model, progress=False)
    table["object_id"] = [record["id"] for record in records]
    for key in ("survey", "class", "subclass"):
        table[key] = [record[key] for record in records]
    for key in ("z", "snr", "ra", "dec"):
        values = [record.get(key) for record in records]
        table[key] = [np.nan if value is None else float(value) for value in values]
    return table


def share(right, groups=None):
    """Share of True with its 95 % bootstrap interval, over objects."""
    value, low, high = metrics.interval(np.mean, np.asarray(right, float), groups=groups)
    return {"value": value, "low": low, "high": high, "n": len(right)}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--templates", required=True)
    parser.add_argument("--train", required=True)
    parser.add_argument("--test", nargs="+", required=True)
    parser.add_argument("--model")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cache", type=Path, help="embeddings of mocks, to try again")
    parser.add_argument("--number", type=int, default=2000, help="mocks of each survey")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    model = spectok.load_model(options.model)
    templates = simulate.load_templates(options.templates)
    sets = {}
    for part, number in (("train", options.number), ("test", options.number // 4)):
        kept = options.cache and options.cache.with_name(f"{options.cache.name}-{part}.fits")
        if kept and kept.exists():
            sets[part] = QTable.read(kept)
            sets[part].convert_bytestring_to_unicode()
        else:
            sets[part] = mocks(model, templates, part, number)
            if kept:
                sets[part].write(kept)
    learn, test = sets["train"], sets["test"]
    real, unseen = real_training(model, options.train), real_test(model, options.test)
    scores = {"model": dict(zip(("name", "sha256"), model_identity(model), strict=True))}

    optical = np.isin(real["survey"], ("SDSS", "DESI"))
    rows = ["embedding", "n_valid", "class"]
    both = vstack([learn[rows], real[optical][rows]], metadata_conflicts="silent")
    both.meta.clear()
    both.meta.update(real.meta)
    weight = np.r_[np.ones(len(learn)), np.full(optical.sum(), REPEATED)]
    head = probes.ProbeClassifier(method="linear", progress=False)
    head.fit(both, np.asarray(both["class"]), sample_weight=weight)
    for survey in OPTICAL:
        some = test[test["survey"] == survey]
        said = head.predict(some)
        scores[f"class, mocks of {survey}"] = share(said == np.asarray(some["class"]))
        bright = np.asarray(some["snr"]) > 15
        scores[f"class, mocks of {survey} above S/N 15"] = share(
            (said == np.asarray(some["class"]))[bright]
        )
    place = [f"{one['ra']:.3f} {one['dec']:.3f}" for one in unseen]
    optical = np.isin(unseen["survey"], ("SDSS", "DESI"))
    said, true = head.predict(unseen[optical]), np.asarray(unseen["class"])[optical]
    right = said == true
    where = np.array(place)[optical]
    scores["class, real test spectra"] = share(right, where)
    for kind in CLASSES:
        scores[f"class, real test spectra, {kind}"] = share(
            right[true == kind], where[true == kind]
        )
    probability = head.predict_proba(unseen[optical])
    scores["class, real test spectra: mean probability of the class said"] = float(
        probability.max(1).mean()
    )
    probes.save_probe(head, options.out / "class.safetensors")

    name, sha256 = model_identity(model)
    text = {key: [str(value) for value in real[key]] for key in ("object_id", "survey", "class",
                                                               "subclass")}  # fmt: skip
    save_file(
        {
            "embedding": np.asarray(real["embedding"], np.float16),
            **{key: np.asarray(real[key], np.float32) for key in ("z", "snr")},
            **{key: np.asarray(real[key], np.float64) for key in ("ra", "dec")},
        },
        options.out / "catalogue.safetensors",
        metadata={"model": name, "sha256": sha256, "columns": json.dumps(text)},
    )
    # What the catalogue tells by itself: the nearest spectrum's class and redshift.
    found = probes.neighbours(unseen[["object_id", "embedding", "n_valid"]], real, n=1)
    nearest = real[found["neighbour_index"]]
    scores["nearest of the catalogue, class"] = share(
        np.asarray(nearest["class"]) == np.asarray(unseen["class"]), place
    )
    known = np.isfinite(unseen["z"]) & np.isfinite(nearest["z"])
    away = np.abs(nearest["z"] - unseen["z"]) / (1 + unseen["z"])
    scores["nearest of the catalogue, redshift within 0.05 (1 + z)"] = share(
        np.asarray(away < 0.05)[known], np.array(place)[known]
    )
    (options.out / "scores.json").write_text(json.dumps(scores, indent=1))
    print(json.dumps(scores, indent=1))


if __name__ == "__main__":
    main()
