"""Keep the newest weights of the long run where another machine finds them.

    python recipes/small_v2/state.py runs/small-v2 recipes/small_v2/state

Copies the averaged weights (half precision, as the run writes them at every checkpoint) and says
how far they are: step, tokens, hours, the last line of the log. What was there before is replaced.
Another machine goes on from there with a new optimizer and a warm-up:

    cp -r recipes/small_v2/state recipes/small_v2/start
    spectok pretrain recipes/small_v2/recipe.toml --folder runs/small-v2

with another ``seed`` in ``[data]`` of the recipe, so that the batches are new ones, and ``seed =
2147483650`` in ``[validation]``, so that the errors are on the mocks of the first run (seed 2).
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
from pathlib import Path


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--before", type=float, default=0.0, help="million tokens of earlier runs")
    parser.add_argument(
        "--step-tokens", type=int, default=4096, help="tokens, accumulate and ranks multiplied"
    )
    options = parser.parse_args()
    with open(options.run / "log.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    last = rows[-1]
    hours, before = 0.0, 0.0
    for row in rows:
        # Seconds begin anew with every resumption.
        seconds = float(row["seconds"]) - before
        before = float(row["seconds"])
        hours += (seconds if seconds >= 0 else before) / 3600
    tokens = int(last["step"]) * options.step_tokens / 1e6
    state = {
        "step": int(last["step"]),
        "million tokens": round(options.before + tokens, 1),
        "hours of this run": round(hours, 2),
        "log": {k: v for k, v in last.items() if v},
    }
    partial = options.folder.with_name(options.folder.name + ".part")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(options.run / "model", partial)
    (partial / "state.json").write_text(json.dumps(state, indent=1) + "\n", encoding="utf-8")
    shutil.rmtree(options.folder, ignore_errors=True)
    partial.rename(options.folder)
    print(json.dumps(state, indent=1))


if __name__ == "__main__":
    main()
