"""Train the reader of small-v1.1: the tokenizer of small-v1, and a reader learned without labels.

    python recipes/small_v1_1/train.py --views DIR --folder runs/reader

DIR is what views.py wrote. Goes on where the folder holds a checkpoint; writes ``model`` there.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import torch

import spectok
from spectok.training import fit_reader, open_views

SIZE = 128
# Shares of the steps.
PACKS = {"optical": 0.74, "real": 0.14, "stars": 0.12}


def with_reader(model):
    """The same tokenizer with a new reader."""
    torch.manual_seed(1)
    config = dataclasses.replace(model.config, embedding_size=SIZE)
    new = spectok.SpectralTokenizer(config)
    lost = new.load_state_dict(model.state_dict(), strict=False).missing_keys
    assert all(key.startswith("reader.") for key in lost), lost
    return new


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--views", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=2200)
    parser.add_argument("--precision", default="bf16-mixed")
    options = parser.parse_args()
    packs = {
        name: (share, open_views(options.views / f"{name}.safetensors"))
        for name, share in PACKS.items()
    }
    model = fit_reader(
        with_reader(spectok.load_model("small-v1")),
        packs,
        options.folder,
        steps=options.steps,
        precision=options.precision,
        accelerator="cpu",
        checkpoint_every=50,
    )
    spectok.save_model(model, options.folder / "model", half=True)


if __name__ == "__main__":
    main()
