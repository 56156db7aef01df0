"""Train the reader of lightcurve-v1: views of one object find each other, no label is seen.

    python recipes/lightcurve_v1/reader.py --snpcc snpcc.npz --model runs/lightcurve/model \
        --folder runs/lightcurve/reader

A view is a random part of an object's points, half of the time with more noise. Real objects are
those of the training half, as in ``train.py``; the others are mocks. Goes on where the folder
holds a checkpoint; writes ``model`` there.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from data import halves, read_curves
from safetensors.torch import save_file

import spectok
from spectok.simulate import lightcurves
from spectok.training import Curve, degrade_curve, fit_reader, open_views
from spectok.training._lightcurves import batch_of_curves

SHARE = (0.45, 0.95)  # of an object's points in a view
BATCH = 128
MOCKS = {"des": 1500, "lsst": 500, "ztf": 200}


def tokens_of(model, curves):
    """Tokens of curves in ascending time, padded to the longest."""
    found = [[] for _ in range(5)]
    order = np.argsort([one.time.size for one in curves], kind="stable")
    for some in np.array_split(order, max(len(curves) // BATCH, 1)):
        batch, _ = batch_of_curves([curves[k] for k in some], model.config.patch_size)
        with torch.inference_mode():
            tokens = model.encode(batch)
        parts = (tokens.value, tokens.wavelength, tokens.half, tokens.valid, tokens.band)
        for row in zip(*parts, strict=True):
            real = row[3]
            at = row[1][real].argsort(stable=True)
            for kind, array in zip(found, row, strict=True):
                kind.append(array[real][at])
    back = np.argsort(order, kind="stable")
    longest = max(map(len, found[0]))

    def padded(rows, repeat):
        out = rows[0].new_zeros((len(rows), longest, *rows[0].shape[1:]))
        for to, k in zip(out, back, strict=True):
            to[: len(rows[k])] = rows[k]
            if repeat and len(rows[k]):
                to[len(rows[k]) :] = rows[k][-1]
        return out

    names = ("value", "wavelength", "half", "valid", "band")
    out = {
        n: padded(rows, n not in ("value", "valid")) for n, rows in zip(names, found, strict=True)
    }
    return out | {"value": out["value"].half()}


def views_of(model, curves, number, seed):
    """So many views of every curve."""
    arrays = {}
    for view in range(number):
        rng = np.random.default_rng((seed, view))
        seen = [degrade_curve(one, rng, share=SHARE) for one in curves]
        own = tokens_of(model, seen)
        arrays |= {f"view{view}.{key}": array.contiguous() for key, array in own.items()}
    return arrays


def mocks(survey, number, seed):
    """Mock objects of a survey, at most 160 points of each."""
    found = lightcurves.observe(survey, number, seed=seed)
    parts = (found.time, found.band, found.flux, found.sigma)
    curves = []
    for one in zip(*parts, strict=True):
        curve = Curve(*one)
        if curve.time.size > 160:
            last = np.sort(curve.time)[159]
            curve = curve.at(curve.time <= last)
        curves.append(curve)
    return curves


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--snpcc", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--views", type=int, default=3)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--batch", type=int, default=256)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(3)
    options.folder.mkdir(parents=True, exist_ok=True)
    model = spectok.load_model(options.model)
    packs = {}
    for name, share in (("real", 0.75), ("mock", 0.25)):
        kept = options.folder / f"{name}.safetensors"
        if not kept.exists():
            if name == "real":
                curves = read_curves(options.snpcc)
                curves = [curves[k] for k in halves(len(curves))[0]]
            else:
                curves = [c for s, n in MOCKS.items() for c in mocks(s, n, 5_000_000)]
            save_file(views_of(model, curves, options.views, 11), kept)
        packs[name] = (share, open_views(kept))
    model = fit_reader(
        model, packs, options.folder, steps=options.steps, batch=options.batch, drawing=0.0,
        warmup=30, ema_decay=0.98, accelerator="cpu", checkpoint_every=50,
    )  # fmt: skip
    spectok.save_model(model, options.folder / "model")


if __name__ == "__main__":
    main()
