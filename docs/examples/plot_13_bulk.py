"""
A catalogue of a million spectra, on a small scale
==================================================

A HATS catalogue of mock spectra is embedded by the workers of a local cluster, joined with the
spectra by name, searched by position, and asked for the nearest neighbours of one object. With a
real catalogue nothing changes but its path.

Workers are new processes (PyTorch is never forked), and each of them imports the script that
started it: what a script does stands under ``if __name__ == "__main__":``. In a notebook it need
not.
"""

# %%
# Mock SDSS spectra with positions, in a nested column, as a HATS catalogue in several partitions.

import logging
import tempfile
import warnings
from pathlib import Path

import lsdb
import nested_pandas
import numpy as np
import pandas as pd
import pyarrow as pa
from dask.distributed import Client, LocalCluster

from spectok import bulk, probes, simulate

warnings.filterwarnings("ignore")  # what LSDB and Dask have to say of themselves


def write_mocks(place, n=90):
    """A HATS catalogue of n mocks."""
    spectra = simulate.observe("sdss", n, seed=7, snr=15)
    rows = pa.array(
        [
            {
                "lambda": one.spectral_axis.value,
                "flux": one.flux.value,
                "ivar": np.where(one.mask, 0.0, one.uncertainty.array),
            }
            for one in spectra
        ]
    )
    nested = nested_pandas.NestedDtype(rows.type)
    rng = np.random.default_rng(0)
    frame = nested_pandas.NestedFrame(
        {
            "object_id": [f"mock-{k:03d}" for k in range(n)],
            "ra": rng.uniform(149.0, 151.0, n),
            "dec": rng.uniform(1.0, 3.0, n),
            "class": [one.meta["label"]["class"] for one in spectra],
            "spectrum": pd.Series(pd.arrays.ArrowExtensionArray(rows), dtype=nested),
        }
    )
    lsdb.from_dataframe(
        frame, partition_rows=40, margin_threshold=None, lowest_order=3, highest_order=7
    ).write_catalog(place, catalog_name="mocks", as_collection=False, progress_bar=False)


if __name__ == "__main__":
    folder = Path(tempfile.mkdtemp())
    write_mocks(folder / "mocks")
    catalogue = lsdb.open_catalog(folder / "mocks")
    print(catalogue.npartitions, "partitions")

# %%
# Two workers of one thread each embed it into a catalogue of its own, partition by partition;
# every one loads the model once. Called again, this returns at once; killed, it goes on where it
# was. Without a cluster it runs in this process.

if __name__ == "__main__":
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=logging.ERROR
        ) as cluster,
        Client(cluster),
    ):
        report = bulk.encode(catalogue, folder / "vectors", progress=False)
    print(report)

# %%
# What was written is a catalogue as well. It is searched by position, and joined by name with what
# it was made of.

if __name__ == "__main__":
    vectors = lsdb.open_catalog(folder / "vectors")
    near = vectors.cone_search(ra=150.0, dec=2.0, radius_arcsec=1200.0).compute(progress_bar=False)
    print(near[["object_id", "ra", "dec", "n_tokens", "status"]].to_string(index=False))

    joined = catalogue.join(
        vectors, left_on="object_id", right_on="object_id", suffixes=("", "_vectors")
    ).compute(progress_bar=False)
    print(len(joined), "joined")

# %%
# And it holds vectors: what looks like the first galaxy of the cone? Its class was not known to
# the model, nor to the search.

if __name__ == "__main__":
    name = next(k for k in joined.columns if k.startswith("embedding"))
    embedding = np.array(joined[name].tolist(), np.float32)
    inside = joined["object_id"].isin(near["object_id"])
    query = np.flatnonzero(inside & (joined["class"] == "GALAXY"))[0]
    found = probes.neighbours(embedding[[query]], embedding, n=4)
    rows = found["neighbour_index"]
    print(joined.iloc[rows][["object_id", "class"]].assign(distance=found["distance"]))

# %%
# The spectra that the search found, the one that was asked for on top.

if __name__ == "__main__":
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(len(rows), 1, figsize=(8, 6), sharex=True, layout="constrained")
    for ax, row in zip(axes, rows, strict=True):
        one = joined.iloc[row]
        spectrum = one["spectrum"]
        good = spectrum["ivar"] > 0
        ax.plot(spectrum["lambda"][good], spectrum["flux"][good], lw=0.5)
        ax.set_title(f"{one['object_id']}: {one['class']}", loc="left", fontsize="medium")
        ax.set_yticks([])
    figure.supylabel("flux")
    axes[-1].set_xlabel("wavelength [Angstrom]")
    plt.show()
