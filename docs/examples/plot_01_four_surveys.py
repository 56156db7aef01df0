"""
Four surveys, there and back
============================

Spectra of DESI, SDSS, GALAH and APOGEE are encoded while a tenth of their pixels is hidden from
the encoder, decoded on their own pixels, and compared with what was hidden. The DESI spectrum is
*real*; it comes with specutils. The other three are *mocks* of ``spectok.simulate``, made of
formulas (black bodies, power laws, lines) at a signal to noise that is usual for the survey.
"""

import copy
from importlib import resources

import numpy as np

import spectok
from spectok import plotting, simulate, surveys

# %%
# Hide, encode, decode, score
# ---------------------------
# The encoder never sees masked pixels, so to hide pixels is to mask them: here a block of 12 in
# every 120. The patches around them are still encoded, since more than half of each is good.


def reconstruct(spectrum):
    """The spectrum decoded on its own pixels, and which of them were hidden."""
    hidden = ~spectrum.mask & (np.arange(spectrum.mask.size) % 120 < 12)
    withheld = copy.copy(spectrum)
    withheld.mask = spectrum.mask | hidden
    tokens = spectok.encode(withheld)
    return spectok.decode(tokens, spectrum.spectral_axis), hidden


# %%
# The score has two parts, both on hidden pixels alone. The median squared residual, in units of
# what the noise itself gives (0.455, the median of chi-square with one degree of freedom): 1 is
# the noise, more is worse. And the share of pixels within 1 sigma, where sigma is the error of
# the data and that of the model in quadrature: 68 % if both are right.


def score(spectrum, again, hidden):
    """Two numbers, as text."""
    hidden = hidden & ~again.mask
    variance = 1 / spectrum.uncertainty.array[hidden]  # the readers give inverse variances
    square = (spectrum.flux - again.flux).value[hidden] ** 2
    median = np.median(square / variance) / 0.455
    within = np.mean(square < variance + again.uncertainty.array[hidden] ** 2)
    return f"hidden pixels: median r² / 0.455 = {median:.2f}, {within:.0%} within 1σ"


# %%
# DESI, real
# ----------
# The file holds five targets of DESI's early data release, three of which have dead fibres. We
# take a faint galaxy that was not among the training spectra of the model. Its signal to noise
# is 1 per pixel, which is common for DESI.

folder = resources.files("specutils") / "io/default_loaders/tests/desi_test_data"
(targets,) = surveys.desi.read(folder / "coadd-sv3-dark-26065.fits", coadd=True)
desi = targets[4]
desi.meta = {**targets.meta, "object_id": targets.meta["object_id"][4]}

again, hidden = reconstruct(desi)
title = f"real DESI galaxy {desi.meta['object_id']}\n{score(desi, again, hidden)}"
top, bottom = plotting.plot_reconstruction(desi, again, hidden=hidden, title=title)
top.set_ylim(-1, 3)

# %%
# No single pixel of the continuum says much. One line stands out, and it is kept. With the rise
# of the continuum beyond 7500 Angstrom it is probably the doublet of [O II] at a redshift of
# 0.98; the file does not say.

top, bottom = plotting.plot_reconstruction(desi, again, hidden=hidden, title=title)
top.set(xlim=(7300, 7500), ylim=(-1, 3))

# %%
# SDSS, mock
# ----------
# The forest of Lyman alpha is known to the model only where it saw it: hidden blocks below 4400
# Angstrom lie further off.

sdss = simulate.observe("sdss", kind="quasar", snr=15)[0]
again, hidden = reconstruct(sdss)
title = f"mock SDSS quasar, z = {sdss.meta['label']['redshift']:.2f}, S/N 15\n"
title += score(sdss, again, hidden)
top, bottom = plotting.plot_reconstruction(sdss, again, hidden=hidden, title=title)

# %%
# GALAH, mock
# -----------
# Four cameras of 4096 pixels, in counts; no patch reaches across the gaps between them. All are
# encoded together and scored together. We look at the third camera,

galah = simulate.observe("galah", snr=40)[0]
again, hidden = reconstruct(galah)
title = f"mock GALAH star, S/N 40\n{score(galah, again, hidden)}"
third = slice(8192, 12288)
top, bottom = plotting.plot_reconstruction(
    galah[third], again[third], hidden=hidden[third], title=title
)

# %%
# and closer, at H-alpha:

top, bottom = plotting.plot_reconstruction(galah, again, hidden=hidden, title=title)
top.set_xlim(6545, 6585)

# %%
# APOGEE, mock
# ------------

apogee = simulate.observe("apogee", snr=100)[0]
again, hidden = reconstruct(apogee)
title = f"mock APOGEE star, S/N 100\n{score(apogee, again, hidden)}"
top, bottom = plotting.plot_reconstruction(apogee, again, hidden=hidden, title=title)

# %%
# Closer:

top, bottom = plotting.plot_reconstruction(apogee, again, hidden=hidden, title=title)
top.set_xlim(15700, 15800)

# %%
# What to take home
# -----------------
# At low signal to noise, hidden pixels come out about as well as the noise lets one tell. At
# high signal to noise and resolution they do not: a line that is hidden whole is not guessed,
# and the score says so. What the encoder sees, lines included, comes back. The model's error is
# wider inside the blocks than beside them.
#
# One object is an example and no measurement: scores over many real objects are on the card of
# the model, :doc:`/models`.
