"""Pretrain ``small-v0`` on one machine without a GPU.

    python recipes/small_v0/pack.py --data DIR --train train.safetensors --test test.safetensors
    python recipes/small_v0/train.py train.safetensors runs/small-v0

Two cores (AMD Zen 4, which has bfloat16) take 0.37 s a step of 2,048 tokens, half an hour in all;
without bfloat16 in the processor add ``--precision 32-true``. The run writes a complete checkpoint
every 250 steps and goes on from it when it is started again. ``export.py`` turns a checkpoint
into a model, ``benchmarks/reconstruction.py`` scores it, and ``card.py`` writes its card.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from safetensors.numpy import load_file

from spectok.model import ModelConfig, SpectralTokenizer
from spectok.simulate._template_mocks import SURVEYS, TemplateMocks
from spectok.training import Batches, Example, RealSpectra, fit


class Mocks:
    """Mock observations as examples: noise in, truth out."""

    def __init__(self, arrays) -> None:
        self.mocks = TemplateMocks(arrays)

    def example(self, rng: np.random.Generator, survey: str) -> Example:
        """One mock, decoded on its own grid or, at times, on another one."""
        seen, other = self.mocks.observe(rng, survey)
        asked = other or seen
        return Example(
            seen.wavelength,
            seen.flux,
            seen.sigma,
            seen.valid,
            asked.wavelength,
            asked.truth,
            asked.sigma,
            asked.valid,
            noiseless=True,
        )


def main() -> None:
    """Run the recipe."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pack")
    parser.add_argument("folder")
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--precision", default="bf16-mixed")
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    args = parser.parse_args()
    arrays = load_file(args.pack)
    torch.manual_seed(0)
    model = SpectralTokenizer(ModelConfig.of_size("small"))
    batches = Batches(
        {"real": RealSpectra(arrays, SURVEYS), "mock": Mocks(arrays)},
        # The fewer real spectra a survey has, the smaller their share.
        {
            "sdss": {"real": 0.20, "mock": 0.18},
            "desi": {"real": 0.07, "mock": 0.18},
            "galah": {"real": 0.04, "mock": 0.14},
            "apogee": {"real": 0.02, "mock": 0.17},
        },
        patch_size=model.config.patch_size,
        n_tokens=1024,
        seed=1,
    )
    fit(
        model,
        batches,
        args.folder,
        steps=args.steps,
        accumulate=2,
        learning_rate=args.learning_rate,
        precision=args.precision,
        accelerator="cpu",
    )


if __name__ == "__main__":
    main()
