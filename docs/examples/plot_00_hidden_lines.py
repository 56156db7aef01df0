"""
Lines of bright spectra, seen and hidden
========================================

What does the model make of pixels that it did not see? Bright spectra are encoded with blocks of
pixels hidden, and decoded on all of them. They are *mocks* of ``spectok.simulate``, so that the
noise-free truth is known and can be drawn beside what came out.
"""

import copy

import numpy as np
from astropy import units as u

import spectok
from spectok import plotting, simulate

# %%
# To hide pixels is to mask them: the encoder never looks at what is masked.


def there_and_back(spectrum, hidden):
    """The spectrum as it is decoded where these pixels were hidden from the encoder."""
    withheld = copy.copy(spectrum)
    withheld.mask = spectrum.mask | hidden
    return spectok.decode(spectok.encode(withheld), spectrum.spectral_axis)


def draw(spectrum, hidden, title, low, high):
    """Data, what was decoded and the truth between two wavelengths; residuals below."""
    again = there_and_back(spectrum, hidden)
    top, bottom = plotting.plot_reconstruction(spectrum, again, hidden=hidden, title=title)
    truth = spectrum.meta["truth"]
    top.plot(spectrum.spectral_axis, truth, color="k", lw=0.8, label="truth")
    near = (spectrum.spectral_axis > low) & (spectrum.spectral_axis < high)
    least, most = truth[near].min(), truth[near].max()
    reach = most - least
    top.set(xlim=(low, high), ylim=(least - 0.25 * reach, most + 0.55 * reach))
    top.legend(loc="upper right", ncols=3, fontsize="small")


# %%
# A broad line
# ------------
# The line of Mg II in a quasar, with a block of 12 pixels hidden in every 40, one of them at the
# peak. What is hidden between seen pixels of the line comes back within two or three times the
# noise of a pixel. Steps at the borders of patches remain: each patch has numbers of its own.

quasar = simulate.observe("sdss", kind="quasar", snr=30, seed=2)[0]
peak = (1 + quasar.meta["label"]["redshift"]) * 2799.1 * u.AA
first = int(np.argmin(np.abs(quasar.spectral_axis - peak))) - 6
hidden = ~quasar.mask & ((np.arange(quasar.mask.size) - first) % 40 < 12)
title = "mock SDSS quasar, S/N 30 per pixel: Mg II"
draw(quasar, hidden, title, peak - 110 * u.AA, peak + 110 * u.AA)

# %%
# Narrow lines
# ------------
# H-beta and the pair of [O III] in a galaxy with emission lines. Lines that are seen come back.

galaxy = simulate.observe("desi", kind="galaxy", snr=30, seed=5)[0]
weak, strong = ((1 + galaxy.meta["label"]["redshift"]) * x * u.AA for x in (4960.3, 5008.2))
number = np.arange(galaxy.mask.size)
line = ~galaxy.mask & (np.abs(galaxy.spectral_axis - strong) < 20 * u.AA)
blocks = ~galaxy.mask & ~line & (number % 120 < 12)
window = (weak - 60 * u.AA, weak + 110 * u.AA)
draw(galaxy, blocks, "mock DESI galaxy, S/N 30 per pixel: [O III]", *window)

# %%
# A narrow line that is hidden whole does not: the model draws the continuum through it, and its
# error bar does not tell. The other line of the pair, a third as strong, would say how strong it
# is; these weights do not know that. Masked emission lines are lost (:doc:`/limits`).

draw(galaxy, blocks | line, "the same, with the stronger line hidden", *window)
