"""The run that test_checkpoints.py kills: ``killed_worker.py folder``."""

import sys
from pathlib import Path

import numpy as np
import torch

from spectok.model import ModelConfig, SpectralTokenizer
from spectok.training import Batches, Example, fit

OPTIONS = {"warmup": 0, "clip": 1e9, "accelerator": "cpu", "progress": False}
KILLED = OPTIONS | {"accumulate": 2, "steps": 24, "checkpoint_every": 3}


class Uneven:
    """Waves of which a tenth to nearly all pixels are good; every third one is noiseless."""

    def examples(self, rng, survey, n):
        return [self.example(rng) for _ in range(n)]

    def example(self, rng):
        wavelength = 4000.0 + np.arange(256.0)
        sigma = np.full(256, rng.uniform(0.05, 0.5))
        flux = 1 + 0.5 * np.sin(wavelength / 20 + rng.uniform(0, 6)) + sigma * rng.normal(size=256)
        valid = rng.random(256) < rng.choice([0.15, 0.5, 0.95])
        valid[::6] = True
        return Example(
            wavelength, flux, sigma, valid, wavelength, flux, sigma, valid,
            noiseless=bool(rng.random() < 1 / 3),
        )  # fmt: skip


class Noting(Batches):
    """Writes down which batches were asked for."""

    asked: Path

    def __getitem__(self, number):
        with self.asked.open("a") as file:
            file.write(f"{number}\n")
        return super().__getitem__(number)


def batches_of(kind=Batches):
    return kind({"w": Uneven()}, {"sdss": {"w": 1.0}}, patch_size=32, n_tokens=100, seed=3)


def new_model(seed=5):
    torch.manual_seed(seed)
    return SpectralTokenizer(ModelConfig.of_size("tiny"))


def full_disk(content, file):
    file.write(b"half of a checkpoint")
    raise OSError(28, "No space left on device")


def killed(folder):
    """A run that somebody ends."""
    batches = batches_of(Noting)
    batches.asked = folder / "asked"
    fit(new_model(), batches, folder, **KILLED)


if __name__ == "__main__":
    killed(Path(sys.argv[1]))
