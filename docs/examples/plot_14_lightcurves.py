"""
Light curves: encode, decode, classify
======================================

The same verbs take light curves. *Mock* supernovae and variables, seen as the Dark Energy Survey
would see them, are encoded; the curves are decoded in every band, and a probe tells the types
from their embeddings.
"""

import matplotlib.pyplot as plt
import numpy as np
from astropy import units as u
from astropy.time import Time
from astropy.timeseries import TimeSeries
from sklearn.ensemble import HistGradientBoostingClassifier

import spectok
from spectok import plotting, probes
from spectok.simulate import lightcurves

# %%
# One supernova
# -------------
# A `~astropy.timeseries.TimeSeries` with a flux, its error and a band for each point is a light
# curve. Bands are names, or effective wavelengths in Angstrom.

mock = lightcurves.observe("des", kinds=["Ia"], seed=12)
curve = TimeSeries(
    time=Time(56500 + mock.time[0], format="mjd", scale="utc"),
    data={"flux": mock.flux[0], "flux_err": mock.sigma[0], "band": mock.band[0]},
    meta={"object_id": "a mock supernova"},
)
tokens = spectok.encode(curve)
print(tokens["time", "band", "n_valid", "token"][:4])
print(tokens.meta["MODEL"], tokens.meta["TIMESCAL"])

# %%
# Four points of one band make a token. The curves below are decoded from the tokens alone, with
# the model's own error:

axes = plotting.plot_light_curve(curve)

# %%
# Hidden points
# -------------
# A tenth of the points is left out; then they are asked for, at their own times and bands.

hidden = np.random.default_rng(1).random(len(curve)) < 0.1
seen = spectok.encode(curve[~hidden])
again = spectok.decode(seen, curve.time[hidden], band=curve["band"][hidden])
pull = (again["flux"] - curve["flux"][hidden]) / curve["flux_err"][hidden]
print(f"{hidden.sum()} hidden points, rms over their errors {np.sqrt(np.mean(pull**2)):.2f}")

# %%
# A filter that was not observed: between r and i.

times = curve.time.min() + np.linspace(0, np.ptp(curve.time.mjd), 6) * u.d
print(spectok.decode(tokens, times, band=7100 * u.AA)["flux", "flux_err"])

# %%
# Many objects: embeddings and a probe
# ------------------------------------
# Lists of arrays are the fast way for many. Labels are needed for the probe only.

many = lightcurves.observe("des", 500, kinds=["Ia", "IIP", "red noise", "periodic"], seed=3)
vectors = spectok.embed_arrays(
    many.time, many.flux, [s**-2 for s in many.sigma], band=many.band, progress=False
)
train = np.arange(500) < 350
probe = probes.ProbeClassifier(method="linear").fit(vectors[train], many.kind[train])
right = probe.predict(vectors[~train]) == many.kind[~train]
print(f"{right.mean():.2f} of {right.size} right; by chance 0.25")

# %%
# What tells transients apart best are bands around the maximum.
# `~spectok.probes.transient_features` decodes them from the tokens; any classifier reads them.

tokens = spectok.encode_arrays(
    many.time, many.flux, [s**-2 for s in many.sigma], band=many.band, progress=False
)
features = probes.transient_features(tokens, progress=False)["features"]
trees = HistGradientBoostingClassifier(max_features=0.15, random_state=1)
trees.fit(features[train], many.kind[train])
right = trees.predict(features[~train]) == many.kind[~train]
print(f"{right.mean():.2f} of {right.size} right")

# %%
# The embeddings on two principal components:

centred = vectors["embedding"] - vectors["embedding"].mean(0)
_, _, axes_of = np.linalg.svd(centred, full_matrices=False)
figure, axes = plt.subplots(layout="constrained")
plotting.plot_embedding(centred @ axes_of[:2].T, many.kind, axes=axes)
plt.show()
