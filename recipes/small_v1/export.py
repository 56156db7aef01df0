"""Write the averaged weights of a run's checkpoint as a model folder.

python recipes/small_v1/export.py runs/small-v1/checkpoint.pt small-v1 --card card.json
"""

from __future__ import annotations

import argparse
import json

import torch

from spectok import ModelConfig, SpectralTokenizer, save_model


def main() -> None:
    """Export a checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint")
    parser.add_argument("folder")
    parser.add_argument("--size", default="small")
    parser.add_argument("--card", default=None, help="JSON file with what to say of the weights")
    args = parser.parse_args()
    state = torch.load(args.checkpoint, map_location="cpu", weights_only=False)
    model = SpectralTokenizer(ModelConfig.of_size(args.size))
    average = {k.removeprefix("module."): v for k, v in state["average"].items()}
    average.pop("n_averaged")
    model.load_state_dict(average)
    card = None
    if args.card:
        with open(args.card, encoding="utf-8") as file:
            card = json.load(file)
    print(f"step {state['step']}: wrote {save_model(model, args.folder, half=True, card=card)}")


if __name__ == "__main__":
    main()
