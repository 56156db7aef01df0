"""
Look-alikes in another survey
=============================

`spectok.probes.neighbours` finds, for every spectrum of one survey, those of another that look
most like it. Here the same *mock* objects, made of formulas, are observed by SDSS and by DESI,
so it is known which spectrum should come first.
"""

import matplotlib.pyplot as plt
import numpy as np

import spectok
from spectok import probes, simulate

# %%
# One set of objects, two spectrographs
# -------------------------------------
# Member i of both lists is the same object, with noise, pixels and resolution of each
# instrument. The S/N is that in SDSS; DESI sees objects of the same brightness.

n = 200
sdss, desi = simulate.observe_pairs("sdss", "desi", n, seed=1, snr=(3, 30))
queries, reference = spectok.encode(sdss), spectok.encode(desi)

# %%
# Neighbours
# ----------
# With ``method="flux"``, both tables are decoded onto one coarse grid and compared there, with the
# decoder's errors as weights. Two token tables are all that is needed. (Without it, embeddings are
# compared where the model makes them.)

found = probes.neighbours(queries, reference, n=5, method="flux")
found[:5]

# %%
# How often does the object itself come first, and how often is it among the first five? With
# ``continuum=False`` only lines and breaks are compared.

same = np.asarray(found["neighbour_index"] == found["spectrum_index"]).reshape(n, 5)
print(f"first: {same[:, 0].mean():.0%}, among the first five: {same.any(1).mean():.0%} of {n}")
lines = probes.neighbours(queries, reference, n=1, continuum=False)
own = np.mean(lines["neighbour_index"] == lines["spectrum_index"])
print(f"by lines and breaks alone, first: {own:.0%}")

# %%
# A query and its neighbours
# --------------------------
# The first galaxy whose own DESI spectrum comes first. Its other neighbours are other objects
# that look alike *as observed*: redshift is not taken out.


def describe(spectrum):
    """What a mock is, and its S/N."""
    label = spectrum.meta["label"]
    known = f"z = {label['redshift']:.3f}"
    if label["class"] == "STAR":
        known = f"{label['teff']:.0f} K"
    return f"{label['class']}, {known}, S/N {label['snr']:.0f}"


def draw(axis, spectrum, colour, text):
    """A spectrum in units of its median, as medians of ten pixels."""
    flux = np.ma.array(spectrum.flux.value, mask=spectrum.mask)
    tens = slice(flux.size // 10 * 10)
    x, y = (part[tens].reshape(-1, 10) for part in (spectrum.spectral_axis.value, flux))
    axis.plot(x.mean(1), np.ma.median(y, axis=1) / np.ma.median(flux), color=colour, lw=0.9)
    axis.set_title(text, loc="left", fontsize="medium")


def show(query):
    """A query above its first three neighbours."""
    rows = found[(found["spectrum_index"] == query) & (found["rank"] <= 3)]
    figure, axes = plt.subplots(
        4, 1, figsize=(8, 8), sharex=True, sharey=True, layout="constrained"
    )
    draw(axes[0], sdss[query], "#0072b2", f"query, mock SDSS: {describe(sdss[query])}")
    for axis, row in zip(axes[1:], rows, strict=True):
        at = row["neighbour_index"]
        own, colour = ("same", "#009e73") if at == query else ("another", "#d55e00")
        text = f"{row['rank']}, mock DESI, {own} object: {describe(desi[at])}"
        draw(axis, desi[at], colour, f"{text}; distance {row['distance']:.4f}")
    axes[-1].set(xlabel="vacuum wavelength [Å]", ylim=(-0.2, 2.2))
    figure.supylabel("flux / its median (medians of ten pixels)")
    plt.show()


kind = np.array([one.meta["label"]["class"] for one in sdss])
show(np.flatnonzero((kind == "GALAXY") & same[:, 0])[0])

# %%
# Where it fails
# --------------
# The first object that is not among its own five neighbours. Spectra of few features look alike,
# and dust makes a warm star as red as a cool one.

show(np.flatnonzero(~same.any(1))[0])

# %%
# Do neighbours resemble each other?
# ----------------------------------
# First neighbours without the object itself, against pairs drawn by chance:

index = np.asarray(found["neighbour_index"]).reshape(n, 5)
other = np.array([row[row != i][0] for i, row in enumerate(index)])
chance = np.random.default_rng(0).permutation(n)
redshift = np.array([one.meta["label"]["redshift"] for one in sdss])
for name, partner in (("nearest other", other), ("by chance", chance)):
    apart = np.abs(redshift[partner] - redshift) / (1 + redshift)
    galaxies = (kind == "GALAXY") & (kind[partner] == "GALAXY")
    print(
        f"{name}: same class {np.mean(kind[partner] == kind):.0%}; among galaxies "
        f"|dz| / (1 + z) = {np.median(apart[galaxies]):.3f} in the median"
    )
