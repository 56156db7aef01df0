"""Put the weights of a run into the package, with their card.

python recipes/small_v1/export.py runs/small-v1/model spectok/weights/small-v1 --card card.json
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from spectok import load_model, save_model


def main() -> None:
    """Write the model's folder anew."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="folder that `spectok pretrain` wrote")
    parser.add_argument("folder")
    parser.add_argument("--card", help="JSON file with what to say of the weights")
    args = parser.parse_args()
    card = json.loads(Path(args.card).read_text(encoding="utf-8")) if args.card else None
    print(f"wrote {save_model(load_model(args.model), args.folder, half=True, card=card)}")


if __name__ == "__main__":
    main()
