"""Pretrain the tokenizer of lightcurve-v1: mock curves, and real ones without their labels.

    python recipes/lightcurve_v1/train.py --snpcc snpcc.npz --folder runs/lightcurve

Of the file only the half that ``data.halves`` gives to training is read into the network, and no
label. Goes on where the folder holds a checkpoint; writes ``model`` there. ``reader.py`` follows.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from data import halves, read_curves

import spectok
from spectok.training import LightCurveBatches, fit

CONFIG = spectok.ModelConfig(
    coordinate_unit="d", patch_size=4, token_size=16, context_size=11,
    width=128, heads=4, encoder_blocks=3, decoder_blocks=2,
    n_periods=16, min_period=0.25, max_period=4096.0,
    embedding_size=64, reader_width=128, reader_heads=4, reader_blocks=2, reader_queries=4,
    reader_group=1,
)  # fmt: skip


class Check:
    """Errors of withheld points, in units of their noise, on batches of another seed."""

    def __init__(self, batches, numbers):
        self.batches = [batches[number] for number in numbers]

    def __call__(self, model):
        found = {"real": [], "mock": []}
        training = model.training
        model.eval()
        for batch in self.batches:
            with torch.inference_mode():
                tokens, flux, _ = model(batch.seen, None, batch.target)
            pull = (flux * tokens.scale[:, None] - batch.target.flux) / batch.target.sigma
            kind = "mock" if bool(batch.noiseless.any()) else "real"
            found[kind].append(pull[batch.target.valid & (batch.weight == 1)])
        model.train(training)
        out = {}
        for kind, parts in found.items():
            if parts:
                square = torch.cat(parts).square()
                out[f"median_{kind}"] = round(float(square.median()), 4)
                out[f"clipped_{kind}"] = round(float(square.clamp(max=100).mean()), 4)
        return out


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--snpcc", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--curves", type=int, default=64)
    parser.add_argument("--precision", default="bf16-mixed")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    curves = read_curves(options.snpcc)
    mine = np.random.default_rng(2).permutation(halves(len(curves))[0])
    checked = [curves[k] for k in mine[:300]]
    learned = [curves[k] for k in mine[300:]]
    common = {"patch_size": CONFIG.patch_size, "real_share": 0.6}
    batches = LightCurveBatches(real=learned, n_curves=options.curves, seed=11, **common)
    check = Check(LightCurveBatches(real=checked, n_curves=32, seed=99, **common), range(5))
    model = fit(
        spectok.SpectralTokenizer(CONFIG),
        batches,
        options.folder,
        steps=options.steps,
        accumulate=1,
        learning_rate=4e-3,
        warmup=100,
        ema_decay=0.98,
        degrees_of_freedom=4.0,  # the height of a maximum that was missed is anybody's guess
        precision=options.precision,
        accelerator="cpu",
        checkpoint_every=50,
        validate=check,
    )
    spectok.save_model(model, options.folder / "model")


if __name__ == "__main__":
    main()
