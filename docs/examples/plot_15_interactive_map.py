"""
A map to hover over and click
=============================

What do the weights know, and where would a spectrum of your own lie? All embeddings that come with
the package, of *real* public training spectra (`spectok.probes.catalogue`), and embeddings of
*mocks* of SDSS made of formulas on one map. Hovering shows name, class, redshift and survey; a
click shows the nearest neighbours, the survey's own page, and the spectrum itself where it is a
mock. Needs ``pip install ".[maps,probes]"``; the page needs no network.
"""

import numpy as np
import umap
from astropy import units as u
from astropy.table import QTable, vstack

import spectok
from spectok import plotting, probes, simulate

# %%
# Real spectra, by name
# ---------------------
# The catalogue has names and vectors, not spectra. SDSS shows them on pages of its own, whose
# address follows from plate, date and fibre.

VIEWER = "https://dr18.sdss.org/optical/spectrum/view?plateid={}&mjd={}&fiberid={}"


def page_of(row):
    """The survey's page of a spectrum of SDSS, by its name plate-mjd-fibre."""
    parts = str(row["object_id"]).split("-")
    known = row["survey"] == "SDSS" and len(parts) == 3 and all(one.isdigit() for one in parts)
    return VIEWER.format(*map(int, parts)) if known else ""


shown = ["object_id", "origin", "survey", "class", "redshift", "snr", "embedding"]
real = probes.catalogue()
real["origin"] = "real"
real["page"] = [page_of(row) for row in real]

# %%
# Mocks
# -----
# Their labels are the truth.

spectra = simulate.observe("sdss", 250, seed=1, snr=(3, 40))
labels = [one.meta["label"] for one in spectra]
mock = QTable(
    {
        "object_id": [f"mock {number}" for number in range(len(spectra))],
        "origin": ["mock"] * len(spectra),
        "survey": ["SDSS"] * len(spectra),
        "class": [one["class"] for one in labels],
        "redshift": [one["redshift"] for one in labels],
        "snr": [one["snr"] for one in labels],
        "page": [""] * len(spectra),
        "embedding": spectok.embed(spectra)["embedding"],
    }
)

# %%
# The map
# -------
# UMAP with a fixed seed, so that the map can be made again. Axes and the distances of islands mean
# nothing: neighbours do, and those by embedding itself are ringed when a spectrum is clicked.
# ``save`` writes a map to one file, to be sent to others.

table = vstack([real[[*shown, "page"]], mock], metadata_conflicts="silent")
places = umap.UMAP(
    n_neighbors=15, min_dist=0.3, metric="cosine", random_state=0, n_jobs=1
).fit_transform(table["embedding"])

plotting.interactive_map(
    places,
    table,
    colour=("class", "redshift", "snr"),
    marker="origin",
    link="page",
    spectra=[None] * len(real) + list(spectra),
    title=f"{len(real)} real and {len(mock)} mock spectra",
)

# %%
# What to see
# -----------
# How often is the nearest spectrum of the *other* origin of the same class, and how far is it in
# redshift? Classes by chance are the shares of the other origin.

vectors = np.asarray(table["embedding"])
vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
is_real = np.asarray(table["origin"] == "real")
kind, redshift = np.asarray(table["class"]), np.asarray(u.Quantity(table["redshift"]).value)
for name, own in (("real", is_real), ("mock", ~is_real)):
    nearest = np.flatnonzero(~own)[(vectors[own] @ vectors[~own].T).argmax(1)]
    same = kind[nearest] == kind[own]
    chance = np.mean(kind[own][:, None] == kind[~own])
    apart = np.abs(redshift[nearest] - redshift[own]) / (1 + redshift[own])
    known = same & (kind[own] != "STAR") & np.isfinite(apart)
    print(
        f"{name}: {same.mean():.0%} of {own.sum()} are of the class of the nearest of the other "
        f"origin (by chance {chance:.0%}); |dz| / (1 + z) of galaxies and quasars then "
        f"{np.median(apart[known]):.2f} in the median of {known.sum()}"
    )
