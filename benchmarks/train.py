"""How fast pretraining goes: spectra and tokens per second, MFU, memory, beside the floor.

    python benchmarks/train.py [--size base] [--device cpu] [--templates FILE] [--out train.json]

The mixed batch of the recipes: mock observations of all four surveys and pairs of grids, made on
the device as the network needs them. Measured is what `spectok.training.fit` does, data, forward,
backward, optimizer and averages included, in one process; ``data`` is the share of the time that
drawing the batches takes alone. The floor is the best of three square matrix products in the same
precision, measured in the same run; MFU is the share of it that the network's matrix products make
(`spectok.training._speed.training_flop`). Two minutes on two cores with ``--size small``.
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import tempfile
import time
from pathlib import Path

import torch

from spectok import simulate
from spectok.model import ModelConfig, SpectralTokenizer
from spectok.training import Batches, MockSpectra, fit, training_simulators
from spectok.training._speed import matmul_peak

# The mixture of recipes/small_v1, mocks alone.
MIXTURE = {"sdss": 0.38, "desi": 0.25, "galah": 0.18, "apogee": 0.19}
# The paper's run: 600k steps of 64 spectra in 48 h on four A100.
PAPER = 600_000 * 64 / (48 * 3600)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", default="base")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--precision", help="default: bf16-mixed on CUDA, else 32-true")
    parser.add_argument("--templates", help="default: analytic ones")
    parser.add_argument("--tokens", type=int, help="of a batch; default: 49152 on CUDA, else 1024")
    parser.add_argument("--steps", type=int, default=12, help="steps between two readings")
    parser.add_argument("--optimizer", default="muon")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--out", help="JSON file")
    args = parser.parse_args()
    cuda = args.device.startswith("cuda")
    precision = args.precision or ("bf16-mixed" if cuda else "32-true")
    tokens = args.tokens or (49152 if cuda else 1024)
    templates = simulate.load_templates(args.templates) if args.templates else None
    mocks = MockSpectra(training_simulators(templates, device=args.device))
    batches = Batches(
        {"mock": mocks},
        {survey: {"mock": share} for survey, share in MIXTURE.items()},
        patch_size=32, n_tokens=tokens, seed=5, draw_batches=1 if cuda else 8,
    )  # fmt: skip
    batches[0]  # the first one builds responses  # noqa: B018
    begun = time.monotonic()
    drawn = [batches[number] for number in range(1, 17)]
    if cuda:
        torch.cuda.synchronize()
    data = (time.monotonic() - begun) / 16
    good = torch.cat(
        [
            part.valid.unflatten(1, (-1, 32)).any(-1).flatten()
            for batch in drawn
            for part in (batch.seen, batch.target)
        ]
    )
    empty = 1.0 - float(good.double().mean())
    torch.manual_seed(0)
    model = SpectralTokenizer(ModelConfig.of_size(args.size))
    with tempfile.TemporaryDirectory() as folder:
        fit(
            model, batches, folder, steps=4 * args.steps, accumulate=1, precision=precision,
            accelerator="cuda" if cuda else "cpu", optimizer=args.optimizer,
            compile=args.compile, checkpoint_every=args.steps, progress=False,
        )  # fmt: skip
        with (Path(folder) / "log.csv").open() as file:
            rows = list(csv.DictReader(file))[1:]  # the first one paid for the start
    middle = {
        key: sorted(float(row[key]) for row in rows)[len(rows) // 2]
        for key in ("spectra_per_s", "tokens_per_s", "mfu")
    }
    dtype = torch.bfloat16 if precision.startswith("bf16") else torch.float32
    memory = (
        torch.cuda.max_memory_allocated()
        if cuda
        else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    )
    found = {
        "device": torch.cuda.get_device_name() if cuda else f"{torch.get_num_threads()} threads",
        "size": args.size,
        "precision": precision,
        "optimizer": args.optimizer,
        "compile": args.compile,
        "tokens of a batch": tokens,
        **middle,
        "over the paper's run": round(middle["spectra_per_s"] / PAPER, 3),
        "matmul peak [TFLOP/s]": round(matmul_peak(args.device, dtype) / 1e12, 3),
        "data, share of the time": round(data * middle["tokens_per_s"] / tokens, 3),
        "tokens without a good pixel": round(empty, 4),
        "peak memory [GiB]": round(memory / 2**30, 2),
    }
    for key, value in found.items():
        print(f"{key:30s} {value}")
    if args.out:
        Path(args.out).write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
