"""
An instrument that the model never saw
======================================

The embedded model was trained on SDSS, DESI, GALAH and APOGEE: on 3,600 to 10,400 and 15,100 to
17,000 Angstrom. Here are two *mock* spectra in the manner of other instruments, made in this
script: one of JWST's NIRSpec, in micron and Jansky, mostly at wavelengths that the model has
never seen, and one of MUSE, in air and in MUSE's own unit of flux. Nothing has to be
configured; how well it works has to be looked at.
"""

import copy

import numpy as np
from astropy import units as u
from astropy.nddata import StdDevUncertainty, VarianceUncertainty
from scipy.ndimage import median_filter
from specutils import Spectrum

import spectok
from spectok import plotting, probes, simulate

rng = np.random.default_rng(1)


def lines(wavelength, centres, heights, width):
    """A sum of Gaussians."""
    offset = (wavelength[:, None] - np.array(centres)) / width
    return np.exp(-0.5 * offset**2) @ np.array(heights)


# %%
# A galaxy at z = 2, as NIRSpec's grating G235M would see it
# ----------------------------------------------------------
# 1.66 to 3.17 micron at a resolving power of 1000, 11 times the noise in the continuum. Some
# pixels are masked.

wavelength = np.arange(1.66, 3.17, 0.00107)  # micron
rest = np.array([0.5877, 0.6302, 0.6550, 0.6565, 0.6585, 0.6718, 0.6733, 0.9071, 0.9533])
truth = 2.0 + 0.3 * (wavelength - 2.4)
truth += lines(wavelength, 3 * rest, [0.6, 0.5, 1.2, 12, 3.6, 1.6, 1.3, 1.5, 4], 0.0012)
sigma = 0.18 * (1 + 0.5 * (wavelength - 2.4) ** 2)
jwst = Spectrum(
    flux=(truth + sigma * rng.normal(size=wavelength.size)) * u.uJy,
    spectral_axis=wavelength * u.micron,
    uncertainty=StdDevUncertainty(sigma * u.uJy),
    mask=rng.random(wavelength.size) < 0.02,
    meta={"object_id": "mock NIRSpec", "truth": truth},
)

# %%
# A galaxy at z = 0.3, as MUSE would see it
# -----------------------------------------
# 4750 to 9350 Angstrom in air, a variance, and the laser's gap at sodium. ``meta["medium"]``
# says that it is air.

wavelength = np.arange(4750.0, 9350.0, 1.25)
rest = np.array([3727.0, 4101.7, 4340.5, 4861.3, 4958.9, 5006.8, 6548.1, 6562.8, 6583.4, 6724.0])
truth = 300 * (wavelength / 7000) ** 0.5 * (1 - 0.4 / (1 + np.exp((wavelength - 5200) / 30)))
truth += lines(wavelength, 1.3 * rest, [250, 40, 70, 150, 130, 400, 80, 500, 240, 90], 2.5)
sigma = 30 * (1 + (wavelength / 9000) ** 8)
muse = Spectrum(
    flux=(truth + sigma * rng.normal(size=wavelength.size)) * u.Unit("1e-20 erg / (s cm2 AA)"),
    spectral_axis=wavelength * u.AA,
    uncertainty=VarianceUncertainty(sigma**2),
    mask=(wavelength > 5805) & (wavelength < 5965),
    meta={"object_id": "mock MUSE", "medium": "air", "truth": truth},
)

# %%
# Encode with hidden pixels, decode in their own units
# ----------------------------------------------------
# As in :doc:`plot_01_four_surveys`, blocks of 12 pixels are hidden by a mask.


def reconstruct(spectrum):
    """The spectrum decoded on its own pixels, and which of them were hidden."""
    hidden = ~spectrum.mask & (np.arange(spectrum.mask.size) % 120 < 12)
    withheld = copy.copy(spectrum)
    withheld.mask = spectrum.mask | hidden
    tokens = spectok.encode(withheld)
    medium = spectrum.meta.get("medium")  # of the axis, which for MUSE is air
    return spectok.decode(tokens, spectrum.spectral_axis, medium=medium), hidden


# %%
# The truth is known here, so this is the error against it, in units of the noise: its median,
# and its root mean square with each pixel at most 10. The yardstick is a running median of 31
# pixels, which asks for no model.


def errors(spectrum, again, hidden):
    """Print them."""
    wave, flux = spectrum.spectral_axis.value, spectrum.flux.value
    sigma = spectrum.uncertainty.represent_as(StdDevUncertainty).array
    seen = ~spectrum.mask & ~hidden
    median = median_filter(np.interp(wave, wave[seen], flux[seen]), 31)
    for name, guess in {"spectok": again.flux.value, "running median": median}.items():
        error = np.abs(guess - spectrum.meta["truth"]) / sigma
        for pixels, where in {"visible": seen, "hidden": hidden}.items():
            middle = np.median(error[where]) / 0.6745
            rms = np.sqrt(np.mean(np.minimum(error[where], 10) ** 2))
            print(f"{name:>15}, {pixels:7} pixels: median {middle:.2f}, rms {rms:.2f}")


# %%
# NIRSpec

again, hidden = reconstruct(jwst)
title = "mock NIRSpec galaxy at z = 2, an instrument that the model never saw"
top, bottom = plotting.plot_reconstruction(jwst, again, hidden=hidden, title=title)
errors(jwst, again, hidden)

# %%
# Closer, at H-alpha, [N II] and [S II]:

top, bottom = plotting.plot_reconstruction(jwst, again, hidden=hidden, title=title)
top.set(xlim=(1.93, 2.05), ylim=(0, 16))

# %%
# MUSE

again, hidden = reconstruct(muse)
title = "mock MUSE galaxy at z = 0.3, an instrument that the model never saw"
top, bottom = plotting.plot_reconstruction(muse, again, hidden=hidden, title=title)
errors(muse, again, hidden)

# %%
# Does the model know that it is abroad?
# --------------------------------------
# `spectok.probes.novelty` compares spectra with ordinary ones of the four surveys. Of those, one
# in a hundred has a score above 2.

sdss = simulate.observe("sdss", kind="galaxy", snr=10)[0]
names = ["mock NIRSpec", "mock MUSE", "mock SDSS"]
table = probes.novelty([jwst, muse, sdss], object_id=names)
table.round(3)
print(table["object_id", "snr", "p_misfit", "p_peak", "p_distance", "score"])

# %%
# What to take home
# -----------------
# Units, media and masks need no care beyond saying what they are. Continua come out as well as
# by a running median or better, though no block that was hidden here holds a line. Narrow and
# bright lines on NIRSpec's wide pixels are kept, but too low, and with waves beside them that
# are no features of the spectrum: look at the residuals before you believe one. Novelty names
# NIRSpec's wavelengths as unlike anything in its reference; MUSE, whose range and sampling
# resemble those of the surveys, it does not tell apart.
#
# These are two mocks and no measurement. Before you use tokens of an instrument that no model
# was trained on, do the same with your own spectra, or train on them: :doc:`/pretraining`.
