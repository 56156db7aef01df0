"""The table of the ablations, from the folders of the runs.

python recipes/ablations/table.py runs/ablations > docs/ablations_table.rst

Errors in units of the noise, geometric means over the four surveys; mean of the seeds, and half of
the difference between them.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from variants import VARIANTS

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from _rst import list_table  # noqa: E402

BINS = ("0-10", "30-inf")
HEADER = (
    "variant", "seen, S/N < 10", "seen, > 30", "hidden, < 10", "hidden, > 30", "BOSS to DESI",
    "real SDSS", "runs",
)  # fmt: skip


def columns(scores: dict[str, float]) -> list[float]:
    """The numbers of one run."""

    def mean(part: str) -> float:
        values = [v for key, v in scores.items() if part in key]
        return float(np.exp(np.mean(np.log(values))))

    return [
        *(mean(f"visible | {b}") for b in BINS),
        *(mean(f"| hidden | {b}") for b in BINS),
        mean("boss to desi | truth"),
        scores["real sdss | hidden | clipped"],
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    runs: dict[str, list[list[float]]] = {}
    for path in sorted(args.folder.glob("*/scores.json")):
        found = json.loads(path.read_text())
        runs.setdefault(found["variant"], []).append(columns(found["scores"]))
    rows = [HEADER]
    for name in [name for name in VARIANTS if name in runs]:
        numbers = np.array(runs[name])
        middle, half = numbers.mean(0), np.ptp(numbers, axis=0) / 2
        cells = [
            f"{m:.3f} ± {h:.3f}" if len(numbers) > 1 else f"{m:.3f}"
            for m, h in zip(middle, half, strict=True)
        ]
        rows.append((VARIANTS[name].about, *cells, str(len(numbers))))
    print(list_table(rows), end="")


if __name__ == "__main__":
    main()
