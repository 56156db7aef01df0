"""The space of tokens: what mean tokens know, and neighbours across surveys."""

from __future__ import annotations

import numpy as np
from _probe_data import SEED, mocks
from _probe_fit import record
from _probe_tasks import usable
from sklearn.neighbors import NearestNeighbors

import spectok
from spectok import plotting, probes
from spectok.simulate import Simulator


def latent(setting):
    """What the mean token of galaxies knows of redshift and age, and a picture of the space."""
    train = usable(mocks(setting, "sdss", setting.n(3000), "train", kind="galaxy"))
    spectra = usable(mocks(setting, "sdss", setting.n(2000), "test", kind="galaxy"))
    values = targets(spectra)
    found = []
    for name, value in values.items():
        known = np.isfinite(value)
        learnt = targets(train)[name]
        rows = np.isfinite(learnt)
        probe = probes.knn_probe("regression").fit(train.items[rows], learnt[rows])
        guess = probe.predict(spectra.items[known])
        explained = lambda t, p: 1 - np.mean((t - p) ** 2) / np.var(t)  # noqa: E731
        found.append(
            record(
                "R2", explained, value[known], guess, data="mock", on="sdss", of=name,
                method="kNN on mean tokens", n_train=int(rows.sum()),
            )
        )  # fmt: skip
    if setting.plots:
        # The last number of a token is its noise, which would sort the map by S/N alone.
        vectors = np.stack([item["token"][:, :-1].mean(0) for item in spectra.items])
        values["log S/N"] = np.log10(spectra.labels["snr"].astype(float))
        draw_latent(vectors, values, setting.plots / "probes-latent-mock.png")
    return found


def targets(spectra):
    """What galaxies are asked for."""
    return {
        "redshift": spectra.labels["redshift"].astype(float),
        "log age": np.log10(spectra.labels["age"].astype(float)),
    }


def draw_latent(vectors, values, path):
    """UMAP of mean tokens, coloured by each value."""
    import matplotlib

    matplotlib.use("agg")
    import umap
    from matplotlib import pyplot as plt

    place = umap.UMAP(n_neighbors=30, min_dist=0.1, random_state=0, n_jobs=1).fit_transform(
        vectors
    )
    figure, axes = plt.subplots(1, len(values), figsize=(10.5, 3.4), layout="constrained")
    titles = {
        "redshift": "redshift",
        "log age": "log10 age of the stellar population [Gyr]",
        "log S/N": "log10 S/N per pixel",
    }
    for one, (name, value) in zip(axes, values.items(), strict=True):
        plotting.plot_embedding(place, value, label=titles[name], method="UMAP", axes=one)
    figure.suptitle(f"Mean tokens, without their noise, of {len(vectors):,} mock SDSS galaxies")
    figure.savefig(path, dpi=130)
    plt.close(figure)


def across(setting):
    """Whether an object is its own nearest neighbour when another survey observes it."""
    found = []
    n = setting.n(1000)
    for first, second in (("sdss", "desi"), ("boss", "desi"), ("sdss", "boss")):
        simulator = Simulator(
            *(setting.instrument(name, calibrated=True) for name in (first, second)),
            templates=setting.templates.part("test"),
        )
        pair = simulator.observe(n, seed=SEED["test"] + 700_000, snr=(3.0, 30.0))
        tables, vectors = [], []
        for one in pair:
            sigma = one.sigma.double().numpy()
            ivar, mask = np.where(one.valid, sigma**-2, 0.0), ~one.valid.numpy()
            tables.append(
                spectok.encode_arrays(
                    one.instrument.wavelength, one.flux.numpy(), ivar, mask,
                    model=setting.model, progress=False,
                )
            )  # fmt: skip
            vectors.append(np.asarray(spectok.pool(tables[-1])["vector"]))
        ranks = {"neighbours, decoded on a common grid": _ranks(tables, n, "flux", setting.model)}
        if setting.model.reader is not None:
            ranks["neighbours, embeddings"] = _ranks(tables, n, "embedding", setting.model)
        distance, index = NearestNeighbors(n_neighbors=n).fit(vectors[1]).kneighbors(vectors[0])
        ranks["mean tokens"] = np.argmax(index == np.arange(n)[:, None], axis=1)
        for method, rank in ranks.items():
            about = dict(data="mock", on=f"{first} in {second}", method=method)
            found += [
                record(f"among the first {k}", np.mean, (rank < k).astype(float), **about)
                for k in (1, 10)
            ]
    return found


def _ranks(tables, n, method, model):
    """At which place the object itself comes."""
    table = probes.neighbours(*tables, n=n, method=method, model=model)
    rank = np.full(n, n)
    same = np.asarray(table["neighbour_index"]) == np.asarray(table["spectrum_index"])
    rank[np.asarray(table["spectrum_index"])[same]] = np.asarray(table["rank"])[same]
    return rank - (1 if np.asarray(table["rank"]).min() == 1 else 0)
