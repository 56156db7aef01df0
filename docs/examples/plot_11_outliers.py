"""
Odd spectra
===========

`spectok.probes.novelty` says how unlike ordinary spectra a spectrum is. Here *mock* SDSS
spectra, made of formulas, are spoiled in several ways. Some faults are found and some are not: a
low score does not say that a spectrum is ordinary.
"""

import astropy.units as u
import matplotlib.pyplot as plt
import numpy as np
from astropy.nddata import InverseVariance
from specutils import Spectrum

from spectok import probes, simulate

# %%
# What is ordinary
# ----------------
# The reference that comes with the model holds mocks of real templates and some real spectra.
# One of your own instrument and selection is better, if you have a few hundred spectra: then
# nothing is odd but what is. Those being judged should not be among them.

snr = (5, 30)
reference = probes.novelty_reference(simulate.observe("sdss", 200, seed=1, snr=snr))

# %%
# What is judged
# --------------
# Ordinary mocks that are not in the reference, the same mocks with three faults, and mocks of
# two instruments that the reference does not know: one that is coarse, and one whose pixels are
# about as wide as those of SDSS.

ordinary = simulate.observe("sdss", 40, seed=2, snr=snr)


def spoiled(spectrum, shift=0.0, order=slice(None), errors=1.0):
    """A spectrum with its wavelengths, the order of its pixels or its errors changed."""
    return Spectrum(
        flux=spectrum.flux[order],
        spectral_axis=u.Quantity(spectrum.spectral_axis) + shift * u.AA,
        uncertainty=InverseVariance(spectrum.uncertainty.array[order] / errors**2),
        mask=spectrum.mask[order],
    )


sdss, desi = (simulate.instrument(name) for name in ("sdss", "desi"))
grism = sdss.modified(sampling=10.0, resolution=200.0)
muse = desi.modified(window=(4750.0, 9350.0), sampling=1.5625)
judged = {
    "ordinary": ordinary,
    "errors half as large": [spoiled(one, errors=0.5) for one in ordinary],
    "grism-like, R = 200": simulate.observe(grism, 40, seed=2, snr=snr),
    "MUSE-like instrument": simulate.observe(muse, 40, seed=2, snr=snr),
    "pixels in reverse order": [spoiled(one, order=slice(None, None, -1)) for one in ordinary],
    "wavelengths 20 Å too long": [spoiled(one, shift=20.0) for one in ordinary],
}
odd = {name: probes.novelty(spectra, reference=reference) for name, spectra in judged.items()}
odd["ordinary"][:3]

# %%
# Scores
# ------
# Three numbers are compared with the reference: how badly hidden pixels are predicted (misfit),
# the strangest single feature (peak), and how far the tokens are from those of the reference
# (distance). Each gets a p-value, and the score is -log10 of three times the smallest. Of
# ordinary spectra one in a hundred should be above 2, at the most.

figure, axis = plt.subplots(figsize=(8, 4), layout="constrained")
rng = np.random.default_rng(0)
for row, (name, table) in enumerate(odd.items()):
    score = np.asarray(table["score"])
    colour = "#0072b2" if name == "ordinary" else "#d55e00"
    axis.plot(
        score, row + rng.uniform(-0.25, 0.25, len(score)), "o", ms=4, color=colour, alpha=0.6
    )
    axis.plot(np.median(score), row, "|", ms=26, mew=2, color="k")
axis.axvline(2, color="k", ls=":", lw=1)
axis.set_yticks(range(len(odd)), odd)
axis.invert_yaxis()
axis.set(xlabel="score (-log10 of p); dotted: one in a hundred; black: median")
axis.set_title("How odd? 40 mock spectra in each row")
plt.show()

# %%
# Which of the three numbers finds what? The share of spectra of each kind whose p-value is below
# 0.01. What stays where the ordinary spectra are is not found: the tokenizer continues reversed
# pixels as well as others, and does not know which wavelengths a line should have. Faults like
# these need a fit to templates.

for name, table in odd.items():
    shares = (
        f"{key} {np.mean(table[f'p_{key}'] < 0.01):4.0%}" for key in ("misfit", "peak", "distance")
    )
    print(f"{name:26s}", *shares, f"  score above 2: {np.mean(table['score'] > 2):4.0%}")

# %%
# Are the p-values right?
# -----------------------
# Of ordinary spectra a share p should have a p-value below p. Forty spectra show only large
# faults.

figure, axis = plt.subplots(figsize=(6, 4.5), layout="constrained")
steps = np.arange(1, len(ordinary) + 1) / len(ordinary)
for key, colour, style in zip(
    ("misfit", "peak", "distance"),
    ("#0072b2", "#d55e00", "#009e73"),
    ("-", "--", "-."),
    strict=True,
):
    p = np.sort(odd["ordinary"][f"p_{key}"])
    axis.step(p, steps, where="post", color=colour, ls=style, label=key)
axis.plot([0, 1], [0, 1], color="0.5", lw=0.8, label="as it should be")
axis.set(xlabel="p-value", ylabel="share of spectra below it")
axis.set_title(f"{len(ordinary)} ordinary mock SDSS spectra")
axis.legend()
plt.show()
