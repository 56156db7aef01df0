"""Write the weights of lightcurve-v1 from a run of train.py and reader.py.

    python recipes/lightcurve_v1/export.py --model runs/lightcurve/reader/model \
        --json lightcurves.json --steps 3000 --reader-steps 600 --output lightcurve-v1

``--json`` is what ``benchmarks/lightcurves.py --json`` wrote of these weights.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import spectok

CARD = {
    "trained_on": "half of the light curves of the Supernova Photometric Classification "
    "Challenge, without labels, and mock light curves of spectok.simulate.lightcurves",
    "labels": "none",
    "recipe": "recipes/lightcurve_v1",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--reader-steps", type=int, required=True)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    card = {**CARD, "steps": options.steps, "reader_steps": options.reader_steps}
    if options.json:
        card["scores"] = json.loads(options.json.read_text())
    model = spectok.load_model(options.model)
    print(spectok.save_model(model, options.output, half=True, card=card))


if __name__ == "__main__":
    main()
