"""How long reading takes, beside specutils' own loaders in the same run.

Usage: python benchmarks/read.py FOLDER [--repeat 3]

FOLDER holds SDSS spec files (spec-*.fits). Each repetition reads all files with every reader, one
reader after the other, so that all see the same machine; printed is the median time per file and
its ratio to specutils' loader, with the lowest and highest ratio of the repetitions.
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
from specutils import Spectrum

from spectok import surveys


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--repeat", type=int, default=3)
    args = parser.parse_args()
    files = sorted(args.folder.glob("spec-*.fits"))
    if not files:
        parser.error(f"{args.folder}: no spec-*.fits in it")
    readers = {
        "specutils": lambda file: Spectrum.read(file, format="SDSS-III/IV spec"),
        "spectok.surveys.sdss.read": surveys.sdss.read,
        "spectok.surveys.read": surveys.read,
    }
    seconds = {name: [] for name in readers}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for read in readers.values():  # imports and caches
            read(files[0])
        for _ in range(args.repeat):
            for name, read in readers.items():
                start = time.perf_counter()
                for file in files:
                    read(file)
                seconds[name].append((time.perf_counter() - start) / len(files))
    base = np.array(seconds["specutils"])
    print(f"{len(files)} files, {args.repeat} repetitions")
    for name, values in seconds.items():
        ratio = np.array(values) / base
        print(
            f"{name:28s} {1e3 * np.median(values):7.1f} ms a file, {np.median(ratio):.2f} times "
            f"specutils ({ratio.min():.2f} to {ratio.max():.2f})"
        )


if __name__ == "__main__":
    main()
