"""What tests/training/test_ranks.py runs in other processes: ``ranks_worker.py task folder``."""

import os
import sys
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

from spectok._batch import PatchLayout
from spectok.model import ModelConfig, SpectralTokenizer
from spectok.training import Batches, fit
from spectok.training._window import Drawn, lay_out

# Neither clipping nor warming up: a gradient of the wrong size must show.
OPTIONS = {"warmup": 0, "clip": 1e9, "accelerator": "cpu", "progress": False}
KILLED = OPTIONS | {"accumulate": 2, "steps": 24, "checkpoint_every": 3}
INF_AT = 5


class Uneven:
    """Waves of which a tenth to nearly all pixels are good; every third draw is noiseless."""

    def draw(self, rng, survey, n, n_patches, patch_size):
        n_pixels = n_patches * patch_size
        wavelength = 4000.0 + np.arange(float(n_pixels))
        sigma = rng.uniform(0.05, 0.5, (n, 1)) + np.zeros(n_pixels)
        flux = 1 + 0.5 * np.sin(wavelength / 20 + rng.uniform(0, 6, (n, 1)))
        flux += sigma * rng.normal(size=flux.shape)
        valid = rng.random(flux.shape) < rng.choice([0.15, 0.5, 0.95], (n, 1))
        valid[:, ::6] = True
        arrays = (flux.astype(np.float32), sigma.astype(np.float32), valid)
        seen = lay_out(PatchLayout.of(wavelength, patch_size), *map(torch.from_numpy, arrays))
        return Drawn(seen, seen, noiseless=bool(rng.random() < 1 / 3))


class Infinite(Batches):
    """One batch, which one rank alone is given, costs infinitely much."""

    def __getitem__(self, number):
        batch = super().__getitem__(number)
        if number == INF_AT:
            # What is seen stays finite.
            flux = torch.where(batch.target.valid, torch.inf, batch.target.flux)
            batch = replace(batch, target=replace(batch.target, flux=flux))
        return batch


class Noting(Batches):
    """Writes down which batches were asked for."""

    asked: Path

    def __getitem__(self, number):
        with self.asked.open("a") as file:
            file.write(f"{number}\n")
        return super().__getitem__(number)


def batches_of(kind=Batches):
    return kind(
        {"w": Uneven()}, {"sdss": {"w": 1.0}},
        patch_size=32, n_tokens=16, seed=3, patches={"sdss": 8}, draw_batches=2,
    )  # fmt: skip


def new_model(seed=5):
    torch.manual_seed(seed)
    return SpectralTokenizer(ModelConfig.of_size("tiny"))


def gradients_of_fit(model, folder, **options):
    """Gradients of each step as the optimizer sees them, the raw and the averaged weights."""
    seen = []

    def note(optimizer, args, kwargs):
        found = [p.grad for group in optimizer.param_groups for p in group["params"]]
        found = torch.cat([g.flatten() for g in found])
        if isinstance(optimizer, torch.optim.Muon):  # comes after AdamW, in the same step
            found = torch.cat([seen.pop(), found])
        seen.append(found)

    hook = register_optimizer_step_pre_hook(note)
    try:
        average = fit(model, batches_of(), folder, **OPTIONS | options)
    finally:
        hook.remove()
    weights = [torch.cat([p.detach().flatten() for p in m.parameters()]) for m in (model, average)]
    return seen, *weights


def ranks(folder):
    """All that two ranks are asked for, in one start of them."""
    rank = int(os.environ["RANK"])
    # Each rank begins with weights of its own: the first one's must count.
    model = new_model(5 + rank)
    out = {"whole": gradients_of_fit(model, folder / "whole", steps=3, accumulate=2)}
    # The paper's loss, which leaves the model's own error without a use; and a resumption.
    paper = {"accumulate": 1, "model_error": False}
    fit(new_model(5 + rank), batches_of(), folder / "paper", steps=1, **OPTIONS | paper)
    out["paper"] = gradients_of_fit(new_model(8 + rank), folder / "paper", steps=2, **paper)
    try:
        fit(new_model(), batches_of(Infinite), folder / "inf", steps=3, accumulate=2,
            checkpoint_every=1, **OPTIONS)  # fmt: skip
    except FloatingPointError as error:
        out["inf"] = str(error)
    broken = mock.patch("torch.save", full_disk if rank == 0 else torch.save)
    try:
        with broken:
            fit(new_model(), batches_of(), folder / "whole", steps=4, accumulate=2, **OPTIONS)
    except OSError as error:
        out["full"] = str(error)
    torch.save(out, folder / f"rank{rank}.pt")


def full_disk(content, file):
    file.write(b"half of a checkpoint")
    raise OSError(28, "No space left on device")


def killed(folder):
    """A run that somebody ends."""
    batches = batches_of(Noting)
    batches.asked = folder / "asked"
    fit(new_model(), batches, folder, **KILLED)


if __name__ == "__main__":
    # A second of each run, in which the device's speed is measured.
    mock.patch("spectok.training._loop.matmul_peak", lambda *of: 1e12).start()
    {"ranks": ranks, "killed": killed}[sys.argv[1]](Path(sys.argv[2]))
