"""Frames, Parquet, HDF5 and HATS of mocks, in the schemas that surveys use."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest


def row_of(seed, n_pixels=640, start=4000.0):
    """One good spectrum as a struct of lists."""
    rng = np.random.default_rng(seed)
    wavelength = start + 1.5 * np.arange(n_pixels)
    flux = 3.0 + np.sin(wavelength / (20 + seed % 7)) + rng.normal(0, 0.1, n_pixels)
    ivar = np.full(n_pixels, 100.0)
    return {"lambda": wavelength, "flux": flux, "ivar": ivar, "mask": rng.random(n_pixels) < 0.01}


def bad_rows():
    """Rows that fail in every way, and what their status says."""
    good = row_of(99)
    cut = {**good, "lambda": good["lambda"][:9]}
    none = {k: v[:0] for k, v in good.items()}
    nan = np.full(640, np.nan)
    return [
        (None, "error: it has no spectrum"),
        (none, "error: it has no spectrum"),
        ({**good, "flux": nan}, "no valid token"),
        ({**good, "lambda": nan}, "error: 640 of 640 wavelengths are not finite"),
        (cut, "error: its lists are not of one length"),
        ({**good, "lambda": good["lambda"] / 1e4}, "error: its wavelengths begin at 0.4"),
        ({**good, "mask": np.ones(640, bool)}, "no valid token"),
        ({**good, "ivar": 0 * good["ivar"]}, "no valid token"),
    ]


@pytest.fixture(scope="session")
def make_row():
    return row_of


@pytest.fixture(scope="session")
def bad():
    return bad_rows()


@pytest.fixture(scope="session")
def frame(bad):
    """Good and bad rows among each other, with positions."""
    rows, expected = [], []
    for number in range(24):
        rows.append(row_of(number, 640 + 32 * (number % 3)))
        expected.append("ok")
        if number % 3 == 0:
            row, status = bad[number // 3 % len(bad)]
            rows.append(row)
            expected.append(status)
    n = len(rows)
    rng = np.random.default_rng(5)
    return pd.DataFrame(
        {
            "object_id": [f"obj{k:03d}" for k in range(n)],
            "ra": rng.uniform(10.0, 12.0, n),
            "dec": rng.uniform(-1.0, 1.0, n),
            "spectrum": rows,
            "expected": expected,
        }
    )


@pytest.fixture(scope="session")
def parquet(frame, tmp_path_factory):
    """Two Parquet files of the frame, struct of lists, several row groups."""
    folder = tmp_path_factory.mktemp("parquet")
    table = pa.Table.from_pandas(frame, preserve_index=False)
    half = len(frame) // 2
    for k, part in enumerate((table.slice(0, half), table.slice(half))):
        pq.write_table(part, folder / f"file{k}.parquet", row_group_size=7)
    return folder
