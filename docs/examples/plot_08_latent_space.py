"""
A map of embeddings
===================

What does the embedding of a spectrum know, and what the plain mean of its tokens?
`spectok.embed` and `spectok.pool` give one vector per spectrum each, and UMAP draws maps on which
similar vectors lie together. The spectra are *mocks* of SDSS, made of formulas (black bodies,
power laws, lines), which the weights have not seen. UMAP comes with
``pip install ".[probes]"``.
"""

import matplotlib.pyplot as plt
import numpy as np
import umap
from sklearn.model_selection import cross_val_predict
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

import spectok
from spectok import plotting, simulate
from spectok.probes import metrics

# %%
# Vectors
# -------

spectra = simulate.observe("sdss", 800, seed=1, snr=(2, 50))
tokens = spectok.encode(spectra)
vectors = {
    "embeddings": spectok.embed(tokens)["embedding"],
    "mean tokens": spectok.pool(tokens)["vector"],
}
labels = [one.meta["label"] for one in spectra]
kind = np.array([one["class"] for one in labels])
redshift = np.array([one["redshift"] for one in labels])
log_snr = np.log10([one["snr"] for one in labels])

# %%
# Two maps
# --------
# The seed is fixed, so that the maps can be made again. Their axes mean nothing: only who lies
# beside whom does, and how far apart islands are says nothing.


def map_of(vectors):
    """Two coordinates per spectrum."""
    return umap.UMAP(n_neighbors=30, random_state=0, n_jobs=1).fit_transform(vectors)


maps = {name: map_of(x) for name, x in vectors.items()}

figure, axes = plt.subplots(2, 2, figsize=(8, 7), layout="constrained")
for (left, right), (title, place) in zip(axes, maps.items(), strict=True):
    plotting.plot_embedding(place, kind, method="UMAP", axes=left, title=f"{title}, class")
    plotting.plot_embedding(
        place, log_snr, label="log10 of the median S/N per pixel", method="UMAP", axes=right,
        title=f"{title}, S/N",
    )  # fmt: skip
figure.suptitle(f"{len(spectra)} mock SDSS spectra")
plt.show()

# %%
# Mean tokens are sorted by signal to noise before anything else: their last number is the
# logarithm of the noise (:doc:`/tokens`). Embeddings are sorted by what the objects are.
#
# Redshifts
# ---------
# The same map, galaxies and quasars apart:

figure, axes = plt.subplots(1, 2, figsize=(8, 4), layout="constrained")
for axis, name in zip(axes, ("GALAXY", "QSO"), strict=True):
    value = np.where(kind == name, redshift, np.nan)
    place = maps["embeddings"]
    plotting.plot_embedding(
        place, value, label="redshift", method="UMAP", axes=axis, title=f"{name} (grey: others)"
    )
    axis.get_legend().remove()
figure.suptitle(f"Embeddings of the same {len(spectra)} mock SDSS spectra")
plt.show()

# %%
# What the vectors know, in numbers
# ---------------------------------
# A map shows patterns whether or not they matter. So ask the vectors themselves: how well do the
# ten nearest among the *other* spectra tell class, signal to noise and redshift? For numbers,
# the explained share of the variance is 1 where they know everything and 0 where they know
# nothing.


def explained(true, said):
    """Share of the variance."""
    return 1 - np.mean((true - said) ** 2) / np.var(true)


asked = {
    "log S/N": (log_snr, kind != ""),
    "redshift of galaxies": (redshift, kind == "GALAXY"),
    "redshift of quasars": (redshift, kind == "QSO"),
}
for title, x in vectors.items():
    said = cross_val_predict(KNeighborsClassifier(10), x, kind, cv=5)
    share = metrics.class_accuracy(kind, said)["accuracy"][-1]
    print(f"{title}: mean accuracy of classes {share:.2f}; explained variance:")
    for name, (value, here) in asked.items():
        said = cross_val_predict(KNeighborsRegressor(10), x[here], value[here], cv=5)
        found = metrics.interval(explained, value[here], said)
        print("    {:21s} {:5.2f} ({:.2f} to {:.2f})".format(name, *found))

# %%
# Numbers on mocks of templates of real galaxies, on real spectra and across surveys stand in
# :doc:`/embeddings`. Probes that read the tokens too know more: see
# :doc:`plot_06_classification` and :doc:`plot_09_redshift`.
