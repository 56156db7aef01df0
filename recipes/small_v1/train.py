r"""Pretrain a model of the size of ``small-v1`` on one machine without a GPU.

    python recipes/small_v1/pack.py --data DIR --train train.safetensors \
        --templates templates.safetensors
    python recipes/small_v1/train.py train.safetensors templates.safetensors runs/small-v1

Two cores (AMD Zen 4, which has bfloat16) take 0.6 s a step of 2,048 tokens, a tenth of it for the
spectra, 50 minutes in all; without bfloat16 in the processor add ``--precision 32-true``. The run
writes a complete checkpoint every 250 steps and goes on from it when it is started again.
``export.py`` turns a checkpoint into a model, ``benchmarks/reconstruction.py`` scores it, and
``card.py`` writes its card.
"""

from __future__ import annotations

import argparse

import torch
from mocks import simulators
from safetensors.numpy import load_file

from spectok.model import ModelConfig, SpectralTokenizer
from spectok.simulate import load_templates
from spectok.training import Batches, MockSpectra, RealSpectra, fit

SURVEYS = ("sdss", "desi", "galah", "apogee")  # in the order of the pack's numbers
# The fewer real spectra a survey has, the smaller their share.
MIXTURE = {
    "sdss": {"real": 0.20, "mock": 0.18},
    "desi": {"real": 0.07, "mock": 0.18},
    "galah": {"real": 0.04, "mock": 0.14},
    "apogee": {"real": 0.02, "mock": 0.17},
}


def main() -> None:
    """Run the recipe."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pack")
    parser.add_argument("templates")
    parser.add_argument("folder")
    parser.add_argument("--size", default="small", help="another size, such as tiny for a trial")
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--precision", default="bf16-mixed")
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    args = parser.parse_args()
    torch.manual_seed(0)
    model = SpectralTokenizer(ModelConfig.of_size(args.size))
    batches = Batches(
        {
            "real": RealSpectra(load_file(args.pack), SURVEYS),
            "mock": MockSpectra(simulators(load_templates(args.templates))),
        },
        MIXTURE,
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
