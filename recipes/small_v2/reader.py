"""Train the reader of small-v2: views of the same objects find each other, without labels.

    python recipes/small_v1_1/views.py --model MODEL --only optical --data DIR \
        --templates templates.safetensors --out VIEWS        # and --only real
    python recipes/small_v2/stars.py --model MODEL --templates templates.safetensors \
        --out VIEWS/stars.safetensors
    python recipes/small_v2/reader.py --model MODEL --views VIEWS --folder runs/reader \
        [--templates templates.safetensors] [--packs optical,real,stars]

MODEL is a tokenizer, which stays as it is. Goes on where the folder holds a checkpoint; writes
``model`` there. With the templates of recipes/small_v1/pack.py, every line of the log has some of
the figures of ``benchmarks/representation.py``, on mocks that the run does not see.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path

import torch

import spectok
from spectok.simulate import load_templates
from spectok.training import fit_reader, open_views, shared_places

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from representation import Watch  # noqa: E402

SIZE = 128
# Shares of the steps.
PACKS = {"optical": 0.6, "real": 0.12, "stars": 0.28}


def with_reader(model, packs):
    """The same tokenizer with a new reader, which knows the places of the packs."""
    torch.manual_seed(1)
    config = dataclasses.replace(
        model.config, embedding_size=SIZE, reader_places=len(shared_places(packs)[0])
    )
    new = spectok.SpectralTokenizer(config)
    known = {k: v for k, v in model.state_dict().items() if not k.startswith("reader.")}
    lost = new.load_state_dict(known, strict=False).missing_keys
    assert all(key.startswith("reader.") for key in lost), lost
    return new


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", required=True)
    parser.add_argument("--views", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--templates", type=Path)
    parser.add_argument("--packs", default=",".join(PACKS))
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--precision", default="bf16-mixed")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    packs = {
        name: (PACKS[name], open_views(options.views / f"{name}.safetensors"))
        for name in options.packs.split(",")
    }
    model = spectok.load_model(options.model)
    model = with_reader(model, [pack for _, pack in packs.values()])
    watch = Watch(model, load_templates(options.templates)) if options.templates else None
    model = fit_reader(
        model,
        packs,
        options.folder,
        steps=options.steps,
        precision=options.precision,
        accelerator="cpu",
        checkpoint_every=50,
        validate=watch,
        seed=options.seed,
    )
    spectok.save_model(model, options.folder / "model", half=True)


if __name__ == "__main__":
    main()
