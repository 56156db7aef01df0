"""Speed and memory of encoding, beside the floor that the machine's arithmetic sets.

    python benchmarks/encode.py [--device cpu] [--sizes small base] [--output FILE] [--rst FILE]

For each survey's grid and for batches of 1 and 64: spectra per second of `encode_arrays` (arrays
in, table out), the share of the floor (the time of the same matrix products at the peak that this
machine reaches in this run, over the time of the call), the share of the call outside the
network, the peak memory, how many times faster precision="bf16" is, and how many times longer
`embed_arrays` takes than `encode_arrays` (both calls take turns, because the machine's other
work drifts; the median of the ratios). Weights are random: their values change no time.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from functools import partial

import numpy as np
import torch
from _rst import list_table

import spectok
from spectok._batch import PatchLayout, buckets
from spectok.model import ModelConfig, SpectralTokenizer

GRIDS = {
    "SDSS-like 3,900 px": 10 ** (3.58 + 1e-4 * np.arange(3900)),
    "DESI-like 7,781 px": 3600.0 + 0.8 * np.arange(7781),
    "APOGEE-like 8,575 px": 10 ** (4.179 + 6e-6 * np.arange(8575)),
    "GALAH-like 4 x 4,096 px": np.concatenate(
        [
            start + step * np.arange(4096)
            for start, step in ((4713, 0.046), (5648, 0.055), (6478, 0.063), (7585, 0.074))
        ]
    ),
}


def synchronise(device: str) -> None:
    """Wait for the device, where it works ahead of the host."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def peak_flops(device: str, size: int = 2048, repeats: int = 8) -> float:
    """Best rate of a float32 matrix product, in floating-point operations per second."""
    a, b = (torch.randn(size, size, device=device) for _ in range(2))
    best = np.inf
    for _ in range(repeats):
        synchronise(device)
        start = time.perf_counter()
        a @ b
        synchronise(device)
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best


def flops_of(config: ModelConfig, n_tokens: int) -> float:
    """Floating-point operations of encoding one spectrum of n_tokens patches."""
    width, patch = config.width, config.patch_size
    linear = 12 * width**2 * config.encoder_blocks  # attention maps 4, feed-forward 8
    linear += (4 * patch + 2 * config.n_periods + 1 + config.token_size) * width
    attention = 2 * n_tokens * width * config.encoder_blocks
    return 2.0 * n_tokens * (linear + attention)


def reset_peak_memory(device: str) -> None:
    """Start a new measurement of the peak (Linux for the CPU)."""
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
    else:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")


def peak_memory(device: str) -> float:
    """Peak since the last reset, in MiB: resident on the CPU, allocated on a GPU."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated() / 2**20
    with open("/proc/self/status") as file:
        line = next(row for row in file if row.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


class Stopwatch(SpectralTokenizer):
    """A tokenizer that adds up the time spent in its encoder."""

    seconds = 0.0

    def encode(self, *args, **kwargs):
        """Encode, timed."""
        start = time.perf_counter()
        tokens = super().encode(*args, **kwargs)
        synchronise(str(tokens.value.device))
        self.seconds += time.perf_counter() - start
        return tokens


def measure(model: Stopwatch, wavelength: np.ndarray, number: int, device: str) -> dict:
    """Time whole calls of ``number`` spectra, each on a grid of its own; best of a few."""
    rng = np.random.default_rng(0)
    grids = wavelength * (1 + 1e-6 * np.arange(number)[:, None])
    flux = rng.normal(10.0, 1.0, grids.shape)
    ivar = np.ones_like(flux)
    model.seconds = 0.0
    best, inside = np.inf, 0.0
    reset_peak_memory(device)
    started, calls = time.perf_counter(), 0
    while calls < 3 or (time.perf_counter() - started < 4.0 and calls < 20):
        model.seconds = 0.0
        start = time.perf_counter()
        spectok.encode_arrays(grids, flux, ivar, model=model, progress=False)
        elapsed = time.perf_counter() - start
        calls += 1
        if elapsed < best:
            best, inside = elapsed, model.seconds
    return {"seconds": best, "outside": 1 - inside / best, "memory_mib": peak_memory(device)}


def paired(model: Stopwatch, wavelength: np.ndarray, number: int, first, second) -> tuple:
    """Time of the first call over that of the second, in turns: median and quartiles."""
    rng = np.random.default_rng(0)
    grids = wavelength * (1 + 1e-6 * np.arange(number)[:, None])
    flux = rng.normal(10.0, 1.0, grids.shape)
    ivar = np.ones_like(flux)

    def seconds(call) -> float:
        start = time.perf_counter()
        call(grids, flux, ivar, model=model, progress=False)
        return time.perf_counter() - start

    seconds(first), seconds(second)
    started, ratios = time.perf_counter(), []
    while len(ratios) < 5 or (time.perf_counter() - started < 8.0 and len(ratios) < 20):
        ratios.append(seconds(first) / seconds(second))
    return tuple(float(q) for q in np.percentile(ratios, [50, 25, 75]))


def padding_on_mixed_lengths() -> float:
    """Share of padding among the tokens of a mixed sample of the four surveys."""
    rng = np.random.default_rng(0)
    lengths = []
    for _ in range(1000):
        grid = list(GRIDS.values())[rng.integers(4)]
        cut = rng.integers(0, 400)
        lengths.append(PatchLayout.of(grid[cut:], 32).n_patches)
    lengths = np.array(lengths)
    padded = sum(lengths[rows].max() * len(rows) for rows in buckets(lengths))
    return 1 - lengths.sum() / padded


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--sizes", nargs="+", default=["small", "base"])
    parser.add_argument("--output", default=None, help="write the figures to this JSON file")
    parser.add_argument("--rst", default=None, help="table for the documentation")
    args = parser.parse_args()
    torch.manual_seed(0)
    # The peak drifts with the machine's load and clock: the best reading of the whole run counts.
    peak, rows = peak_flops(args.device), []
    for size in args.sizes:
        model = Stopwatch(ModelConfig.of_size(size, embedding_size=128))
        model = model.to(args.device).eval()
        for name, grid in GRIDS.items():
            for number in (1, 64):
                peak = max(peak, peak_flops(args.device))
                found = measure(model, grid, number, args.device)
                flops = flops_of(model.config, PatchLayout.of(grid, 32).n_patches) * number
                encode = spectok.encode_arrays
                gain = paired(model, grid, number, encode, partial(encode, precision="bf16"))
                reader = paired(model, grid, number, spectok.embed_arrays, encode)
                rows.append(
                    {"model": size, "grid": name, "batch": number, "flops": flops, **found,
                     "bf16": gain, "embed": reader}
                )  # fmt: skip
    print(f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    print(f"{'model':6} {'grid':24} {'batch':>5} {'spectra/s':>10} {'of floor':>9} "
          f"{'outside':>8} {'MiB':>7} {'bf16 (quartiles)':>20} "
          f"{'embed (quartiles)':>20}")  # fmt: skip
    for row in rows:
        row["spectra_per_second"] = row["batch"] / row["seconds"]
        row["share_of_floor"] = row["flops"] / peak / row["seconds"]
        print(f"{row['model']:6} {row['grid']:24} {row['batch']:5d} "
              f"{row['spectra_per_second']:10.1f} {row['share_of_floor']:9.0%} "
              f"{row['outside']:8.1%} {row['memory_mib']:7.0f} "
              f"{row['bf16'][0]:6.2f} ({row['bf16'][1]:.2f} to {row['bf16'][2]:.2f}) "
              f"{row['embed'][0]:6.2f} ({row['embed'][1]:.2f} to "
              f"{row['embed'][2]:.2f})")  # fmt: skip
    padding = padding_on_mixed_lengths()
    print(
        f"measured matmul peak: {peak / 1e9:.0f} GFLOP/s; padding on mixed lengths: {padding:.1%}"
    )
    if args.rst:
        header = ("model", "grid", "batch", "spectra/s", "of the floor", "outside the network",
                  "peak memory", "bfloat16", "embed")  # fmt: skip
        cells = [
            (row["model"], row["grid"], str(row["batch"]), f"{row['spectra_per_second']:.3g}",
             f"{row['share_of_floor']:.0%}", f"{row['outside']:.1%}",
             f"{row['memory_mib']:.0f} MiB", f"{row['bf16'][0]:.2f} times",
             f"{row['embed'][0]:.2f} times")
            for row in rows
        ]  # fmt: skip
        with open(args.rst, "w", encoding="utf-8") as file:
            file.write(list_table([header, *cells]))
    if args.output:
        with open(args.output, "w", encoding="utf-8") as file:
            json.dump({"peak_flops": peak, "padding": padding, "rows": rows}, file, indent=1)


if __name__ == "__main__":
    main()
