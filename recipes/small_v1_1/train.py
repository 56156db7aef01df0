"""Train the readers of small-v1.1 and small-v1.2 on the tokens of small-v1, without labels.

    python recipes/small_v1_1/train.py --views DIR --folder runs/reader [--templates FILE]

DIR is what views.py wrote. Goes on where the folder holds a checkpoint; writes ``model`` there.
With the templates of recipes/small_v1/pack.py, every line of the log has some of the figures of
``benchmarks/representation.py``, on mocks that neither the run nor that benchmark sees. Without
bfloat16 in the processor add --precision 32-true.

--model and --shares train a reader for other weights, on other packs of DIR. Where those have
views at rest (recipes/small_v2/stars.py), the reader knows their places. With --step the tokens of
ordinary spectrographs are cut into patches of that length, which all share, before they are read.
--start goes on from the reader of other weights with the same tokens; places begin anew.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path

import torch

import spectok
from spectok.simulate import load_templates
from spectok.training import cut_views, fit_reader, open_views, shared_places

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
sys.path.insert(0, str(Path(__file__).parents[1] / "heads"))
from carry import same_tokenizer  # noqa: E402
from representation import Watch  # noqa: E402

SIZE = 128
SHARES = "optical=0.74,real=0.14,stars=0.12"  # of the steps


def with_reader(model, packs, step=0.0, start=None):
    """The same tokenizer with a new reader, which knows the places of the packs; and these.

    What it has in common with the reader of ``start`` begins as that one's.
    """
    torch.manual_seed(1)
    config = dataclasses.replace(model.config, embedding_size=SIZE, reader_step=step)
    if step:
        packs = {name: (share, cut_views(pack, config)) for name, (share, pack) in packs.items()}
    places, _ = shared_places(pack for _, pack in packs.values())
    config = dataclasses.replace(config, reader_places=len(places))
    new = spectok.SpectralTokenizer(config)
    known = {k: v for k, v in model.state_dict().items() if not k.startswith("reader.")}
    if start is not None:
        reader = start.reader.state_dict()
        known |= {f"reader.{k}": v for k, v in reader.items() if not k.startswith("reading.")}
    lost, unknown = new.load_state_dict(known, strict=False)
    assert not unknown and all(key.startswith("reader.") for key in lost), (lost, unknown)
    return new, packs


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--views", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--templates", type=Path)
    parser.add_argument("--watch", default="optical,stars", help="figures in the log")
    parser.add_argument("--model", default="small-v1")
    parser.add_argument("--start", help="weights from whose reader the new one goes on")
    parser.add_argument("--shares", default=SHARES, help=f"of packs in the steps, as {SHARES}")
    parser.add_argument("--step", type=float, default=0.0, help="of shared patches, in dex")
    parser.add_argument("--steps", type=int, default=2200)
    parser.add_argument("--every", type=int, default=100, help="steps of a line of the log")
    parser.add_argument("--precision", default="bf16-mixed")
    parser.add_argument("--seed", type=int, default=1, help="of the batches")
    options = parser.parse_args()
    packs = {}
    for name, share in (one.split("=") for one in options.shares.split(",")):
        packs[name] = float(share), open_views(options.views / f"{name}.safetensors")
    model, start = spectok.load_model(options.model), None
    if options.start:
        start = spectok.load_model(options.start)
        if start.reader is None or not same_tokenizer(model, start):
            parser.error(f"{options.start} has no reader of the tokens of {options.model}")
    model, packs = with_reader(model, packs, options.step, start)
    watch = None
    if options.templates:
        watch = Watch(model, load_templates(options.templates), options.watch.split(","))
    model = fit_reader(
        model,
        packs,
        options.folder,
        steps=options.steps,
        precision=options.precision,
        accelerator="cpu",
        checkpoint_every=options.every,
        validate=watch,
        seed=options.seed,
    )
    spectok.save_model(model, options.folder / "model", half=True)


if __name__ == "__main__":
    main()
