"""
A catalogue of a million spectra, on a small scale
==================================================

A HATS catalogue of mock spectra is written, embedded partition by partition, joined with what it was
made of, and searched for the nearest neighbours of one object. With a real catalogue nothing
changes but its path.
"""

# %%
# Mock SDSS spectra with positions, in a nested column, as a HATS catalogue.

import tempfile
import warnings
from pathlib import Path

import lsdb
import nested_pandas
import numpy as np
import pandas as pd
import pyarrow as pa
from sklearn.decomposition import PCA

from spectok import bulk, plotting, probes, simulate

warnings.filterwarnings("ignore")  # what LSDB and Dask have to say of themselves

folder = Path(tempfile.mkdtemp())
spectra = simulate.observe("sdss", 60, seed=7, snr=15)
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
rng = np.random.default_rng(0)
frame = nested_pandas.NestedFrame(
    {
        "object_id": [f"mock-{k:03d}" for k in range(60)],
        "ra": rng.uniform(149.0, 151.0, 60),
        "dec": rng.uniform(1.0, 3.0, 60),
        "class": [one.meta["label"]["class"] for one in spectra],
        "spectrum": pd.Series(
            pd.arrays.ArrowExtensionArray(rows), dtype=nested_pandas.NestedDtype(rows.type)
        ),
    }
)
lsdb.from_dataframe(
    frame, partition_rows=20, margin_threshold=None, lowest_order=3, highest_order=7
).write_catalog(folder / "mocks", catalog_name="mocks", as_collection=False, progress_bar=False)
catalogue = lsdb.open_catalog(folder / "mocks")
print(catalogue.npartitions, "partitions")

# %%
# Embedded into a catalogue of its own. Called again, it returns at once; killed, it goes on where
# it was. (On workers of Dask: ``with Client(n_workers=2, threads_per_worker=1):`` around it.)

report = bulk.encode(catalogue, folder / "vectors", keep=["object_id", "ra", "dec", "class"],
                     progress=False)  # fmt: skip
print(report)

# %%
# What was written is a catalogue: it is searched by position, and joined by name.

vectors = lsdb.open_catalog(folder / "vectors")
near = vectors.cone_search(ra=150.0, dec=2.0, radius_arcsec=1800.0).compute()
near[["object_id", "ra", "dec", "status"]]

# %%
# And it holds vectors: what looks like the first object?

every = vectors.compute()
embedding = np.array(every["embedding"].tolist(), np.float32)
found = probes.neighbours(embedding[:1], embedding, n=4)
every.iloc[found["neighbour_index"]][["object_id", "class"]].assign(distance=found["distance"])

# %%
# The classes in a plane of the vectors.

axes = plotting.plot_embedding(
    PCA(2).fit_transform(embedding),
    every["class"].to_numpy(dtype=str),
    label="class",
    method="PCA",
)
