"""How long the search among embeddings takes: `spectok.probes.neighbours` on random vectors.

    python benchmarks/probes_search.py [--rows 10000,100000,1000000] [--queries 1,10,1000]

Vectors of 128 numbers in single precision, normally distributed; the time is that of the whole
call, the smallest of ``--repeat``. By brute force it does not depend on how the vectors lie.
"""

from __future__ import annotations

import argparse
import os
import time

import numpy as np
from astropy.table import QTable

from spectok import probes

SIZE = 128


def table(n, rng):
    """Embeddings of n spectra."""
    vector = rng.standard_normal((n, SIZE), np.float32)
    made = QTable({"spectrum_index": np.arange(n), "embedding": vector})
    made.meta.update(MODEL="random", SHA256="0" * 64)
    return made


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    numbers = lambda text: [int(n) for n in text.split(",")]  # noqa: E731
    parser.add_argument("--rows", type=numbers, default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--queries", type=numbers, default=[1, 10, 1000])
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    print(f"{os.cpu_count()} cores, OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'unset')}")
    for n in options.rows:
        known = table(n, rng)
        for n_asked in options.queries:
            asked, took = table(n_asked, rng), []
            for _ in range(options.repeat):
                start, busy = time.perf_counter(), time.process_time()
                probes.neighbours(asked, known, n=5)
                took.append((time.perf_counter() - start, time.process_time() - busy))
            wall, cpu = min(took)
            print(f"{n_asked:6,} among {n:9,}: {wall:7.2f} s, {cpu:7.2f} s of a core", flush=True)


if __name__ == "__main__":
    main()
