"""Write the weights of small-v1.1 or small-v1.2 from a run of train.py.

    python recipes/small_v1_1/export.py --model runs/reader/model --steps 900 \
        --json representation.json --output small-v1.2

The last part of ``--output`` is the name of the weights. ``--json`` is what
``benchmarks/representation.py --json`` wrote of these weights: its figures of the embedding go
into the card.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import spectok

READER_SAW = {
    "small-v1.1": "mocks of SDSS, BOSS, DESI, GALAH, APOGEE and instruments with windows and "
    "samplings of their own; 549 real SDSS training objects",
    "small-v1.2": "that of small-v1.1, and after it mocks of SDSS, BOSS, DESI, GALAH, APOGEE and "
    "instruments with windows and samplings of their own",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--steps", type=int, required=True, help="that the reader was trained")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    if options.output.name not in READER_SAW:
        parser.error(f"--output must end in one of {', '.join(READER_SAW)}")
    # Whatever is scored on pixels is that of the tokenizer, which is the same.
    scores = spectok.load_model("small-v1").card["scores"]
    card = {
        "trained_on": f"tokenizer: that of small-v1; reader: {READER_SAW[options.output.name]}",
        "labels": "none",
        "recipe": "recipes/small_v1_1",
        "reader_steps": options.steps,
        "scores": scores,
    }
    if options.json:
        figures = json.loads(options.json.read_text())["figures"]
        card["embedding_scores"] = {
            f"{title}: {name}": {
                **{key: round(one[key], 3) for key in ("value", "low", "high")}, "n": one["n"]
            }
            for title, by_name in figures.items()
            for name, one in by_name["embedding"].items()
        }  # fmt: skip
    model = spectok.load_model(options.model)
    print(spectok.save_model(model, options.output, half=True, card=card))


if __name__ == "__main__":
    main()
