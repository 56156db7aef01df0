"""Bulk encoding: what it costs over `embed_arrays`, two workers, memory, reading included.

    python benchmarks/bulk.py [--parts overhead,workers,memory,size] [--files FOLDER] [--rst FILE]

Mock SDSS spectra in Parquet, as structs of lists. ``overhead``: `spectok.bulk.encode` of files of
22, 150 and 1,000 rows, reading and writing included, over `spectok.embed_arrays` of the same
arrays in memory, in pairs one after the other, median of the ratios. ``workers``: two workers of
Dask with one thread each over one process with one thread; and beside each the machine's ceiling,
two independent processes of `spectok.embed_arrays` over one, which two hyperthreads of one core
keep far below 2. ``--files``: `spectok encode` of spectrum files. ``memory``: the largest resident
memory of a process that encodes 10,000 and 100,000 short spectra (200 pixels). ``size``: bytes on
the disk of a spectrum's embedding and of its tokens. Everything with one thread; say what ran
beside it.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from _rst import list_table

import spectok
from spectok import bulk, simulate

ROWS = (22, 150, 1000)


def mocks(n, seed=1, survey="sdss"):
    """Wavelengths and fluxes of n mock spectra."""
    (seen,) = simulate.Simulator(survey).observe(n, seed=seed)
    flux, sigma, valid = (getattr(seen, k).numpy() for k in ("flux", "sigma", "valid"))
    ivar = np.where(valid, sigma.astype(float) ** -2.0, 0.0)
    return seen.instrument.wavelength, flux.astype(np.float64), ivar


def write(path, wavelength, flux, ivar):
    """One Parquet file, a struct of lists."""
    rows = [{"lambda": wavelength, "flux": f, "ivar": i} for f, i in zip(flux, ivar, strict=True)]
    names = pa.array([f"{path.stem}-{k}" for k in range(len(rows))])
    pq.write_table(pa.table({"object_id": names, "spectrum": pa.array(rows)}), path)


def overhead(repeats):
    """Ratio of the times, for each number of rows in a file."""
    found = {}
    for rows in ROWS:
        wavelength, flux, ivar = mocks(rows)
        ratios = []
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "in.parquet"
            write(path, wavelength, flux, ivar)
            grids = [wavelength] * rows
            for k in range(repeats + 1):
                begun = time.perf_counter()
                spectok.embed_arrays(grids, list(flux), list(ivar), progress=False)
                middle = time.perf_counter()
                bulk.encode(path, Path(folder) / f"out{k}", progress=False)
                ratios.append((time.perf_counter() - middle) / (middle - begun))
        found[rows] = sorted(ratios[1:])  # the first pays for the start
    return found


EMBED = """
import sys, time
import numpy as np
import spectok
arrays = np.load(sys.argv[1])
given = [arrays["wavelength"]] * len(arrays["flux"]), list(arrays["flux"]), list(arrays["ivar"])
spectok.embed_arrays(*(part[:64] for part in given), progress=False)
print("ready", flush=True)
for _ in sys.stdin:
    begun = time.perf_counter()
    spectok.embed_arrays(*given, progress=False)
    print(time.perf_counter() - begun, flush=True)
"""


def together(processes):
    """Seconds until all of these processes have embedded their arrays once."""
    begun = time.perf_counter()
    for one in processes:
        one.stdin.write("go\n")
        one.stdin.flush()
    for one in processes:
        one.stdout.readline()
    return time.perf_counter() - begun


def workers(repeats, rows=480):
    """Factors of two over one: workers of Dask, and what the machine itself has to give."""
    import dask.dataframe as dd
    from distributed import Client, LocalCluster

    wavelength, flux, ivar = mocks(rows // 8)
    found = {"workers": [], "ceiling": []}
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "in"
        source.mkdir()
        for k in range(8):
            write(source / f"{k}.parquet", wavelength, flux, ivar)
        bulk.encode(source / "0.parquet", Path(folder) / "warm", progress=False)
        arrays = Path(folder) / "arrays.npz"
        four = [np.concatenate([part] * 4) for part in (flux, ivar)]
        np.savez(arrays, wavelength=wavelength, flux=four[0], ivar=four[1])
        frame = dd.read_parquet(source, split_row_groups=False, dtype_backend="pyarrow")
        options = {"text": True, "stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        pair = [
            subprocess.Popen([sys.executable, "-c", EMBED, str(arrays)], **options)
            for _ in range(2)
        ]
        for one in pair:
            one.stdout.readline()
        with (
            LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
            Client(cluster),
        ):
            bulk.encode(frame.partitions[:4], Path(folder) / "warm2", progress=False)
            for k in range(repeats):
                begun = time.perf_counter()
                bulk.encode(source, Path(folder) / f"one{k}", progress=False)
                middle = time.perf_counter()
                bulk.encode(frame, Path(folder) / f"two{k}", progress=False)
                ended = time.perf_counter()
                found["workers"].append((middle - begun) / (ended - middle))
                found["ceiling"].append(2 * together(pair[:1]) / together(pair))
        for one in pair:
            one.communicate()
    found["share"] = [a / b for a, b in zip(found["workers"], found["ceiling"], strict=True)]
    return found


def files(folder, repeats):
    """Files per second of the command's way through a folder: together, and one by one."""
    from spectok._many_files import encode_files, find_files

    model, paths = spectok.load_model(), find_files([folder])
    encode_files(paths[:2], model=model, progress=False)
    found = {"together": [], "one by one": []}
    for _ in range(repeats):
        begun = time.perf_counter()
        encode_files(paths, model=model, progress=False).joined()
        middle = time.perf_counter()
        tables = [encode_files([path], model=model).joined() for path in paths]
        spectok.concatenate(tables)
        found["together"].append(len(paths) / (middle - begun))
        found["one by one"].append(len(paths) / (time.perf_counter() - middle))
    return len(paths), found


def size(n=200):
    """Bytes of the output for each spectrum, by survey and what is written."""
    found = {}
    for survey in ("sdss", "desi"):
        wavelength, flux, ivar = mocks(n, survey=survey)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "in.parquet"
            write(path, wavelength, flux, ivar)
            for what in ("embedding", "tokens"):
                out = Path(folder) / what
                bulk.encode(path, out, write=what, progress=False)
                found[survey, what] = sum(p.stat().st_size for p in out.glob("part-*")) / n
    return found


MEMORY = """
import sys
import spectok.bulk, resource
spectok.bulk.encode(sys.argv[1], sys.argv[2], progress=False)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def memory(numbers=(10_000, 100_000)):
    """Largest resident memory [MB] of processes that encode so many short spectra."""
    found = {}
    rng = np.random.default_rng(0)
    grid = 4000.0 + 1.5 * np.arange(200)
    for number in numbers:
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "in"
            source.mkdir()
            for k in range(number // 5000):
                flux = rng.normal(3.0, 0.1, (5000, 200))
                write(source / f"{k:03d}.parquet", grid, flux, np.full((5000, 200), 100.0))
            done = subprocess.run(
                [sys.executable, "-c", MEMORY, str(source), f"{folder}/out"],
                capture_output=True, text=True, check=True,
            )  # fmt: skip
            found[number] = int(done.stdout.split()[-1]) / 1e3
    return found


def spread(values):
    """Median, lowest and highest."""
    return f"{np.median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", default="overhead,workers,memory,size")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--files", type=Path, help="folder of spectrum files: measure these, too")
    parser.add_argument("--rst", type=Path)
    options = parser.parse_args()
    parts = options.parts.split(",")
    rows = [["what", "figure"]]
    if "overhead" in parts:
        for number, ratios in overhead(options.repeats).items():
            rows.append([f"files of {number:,} SDSS spectra, time over `spectok.embed_arrays`",
                         spread(ratios)])  # fmt: skip
    if "workers" in parts:
        found = workers(options.repeats)
        rows += [
            ["two workers of one thread, speed over one process", spread(found["workers"])],
            ["the machine's own ceiling: two independent processes of `spectok.embed_arrays`, "
             "speed over one", spread(found["ceiling"])],
            ["of that ceiling the two workers reach", spread(found["share"])],
        ]  # fmt: skip
    if options.files:
        number, found = files(options.files, options.repeats)
        for how, speeds in found.items():
            rows.append([f"`spectok encode`, {number} files {how}, files a second",
                         spread(speeds)])  # fmt: skip
    if "memory" in parts:
        for number, largest in memory().items():
            rows.append(
                [f"largest memory, {number:,} spectra of 200 pixels", f"{largest:,.0f} MB"]
            )
    if "size" in parts:
        for (survey, what), number in size().items():
            rows.append([f"bytes of the {what} of a spectrum of {survey}", f"{number:,.0f}"])
    print("\n".join(": ".join(row) for row in rows[1:]))
    print(f"this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:,.0f} MB")
    if options.rst:
        options.rst.write_text(list_table(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
