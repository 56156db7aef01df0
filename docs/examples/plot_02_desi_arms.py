"""
Three arms of DESI as one sequence
==================================

DESI takes a spectrum in three arms that overlap. spectok encodes them as they are, without
resampling or joining: each object becomes one sequence of tokens with one scale. The spectrum is
*real*, from DESI's early data release; the file comes with specutils.
"""

import copy
import warnings
from importlib import resources

import matplotlib.pyplot as plt
import numpy as np
from astropy import units as u

import spectok
from spectok import plotting, surveys

# %%
# Read
# ----
# One member per arm, each with all targets of the file:

folder = resources.files("specutils") / "io/default_loaders/tests/desi_test_data"
arms = surveys.read(folder / "coadd-sv3-dark-26065.fits")
for arm in arms:
    low, high = arm.spectral_axis[[0, -1]]
    print(f"arm {arm.meta['arm']}: {arm.shape[0]} targets, {low:.0f} to {high:.0f}")

# %%
# Encode
# ------
# ``arms=True`` says that the members of the list belong together. Three of the targets have dead
# fibres. `spectok.encode` warns of them, which is silenced here, and each keeps one row with
# ``valid=False``.

warnings.filterwarnings("ignore", message=".*not one good patch")
tokens = spectok.encode(arms, arms=True)
for name in arms[0].meta["object_id"]:
    rows = tokens[tokens["object_id"] == name]
    print(f"{name:>18}: {len(rows):3} tokens, {rows['valid'].sum():3} valid")

# %%
# The table
# ---------
# We go on with the last of them, which was not among the training spectra of the model. Its
# tokens are counted through the three arms, and all have one scale. The blue arm ends at 5800
# Angstrom, with a patch that is one pixel short; the red arm begins anew at 5760:

target = 4
tokens = tokens[tokens["spectrum_index"] == target]
tokens["token_index", "wavelength_min", "wavelength_max", "n_pixels", "valid", "scale"][83:89]

# %%
# Where arms overlap
# ------------------
# Each arm is cut into patches of 32 pixels on its own. In an overlap two sets of patches, drawn
# as bars, look at the same wavelengths, each with the noise of its own arm.

colours = {"b": "#0072b2", "r": "#d55e00", "z": "#cc79a7"}  # Okabe and Ito (2008)
owner = np.repeat(list(colours), [-(-arm.shape[-1] // 32) for arm in arms])  # arm of each token

figure, axes = plt.subplots(1, 2, figsize=(10, 4.5), sharey=True, layout="constrained")
for number, (arm, (name, colour)) in enumerate(zip(arms, colours.items(), strict=True)):
    flux = np.where(arm.mask[target], np.nan, arm.flux[target].value)
    bars = [tokens[owner == name][f"wavelength_{end}"].value for end in ("min", "max")]
    for ax in axes:
        ax.step(arm.spectral_axis.value, flux, where="mid", color=colour, lw=0.8)
        ax.hlines(np.full(len(bars[0]), -2.0 - 0.25 * number), *bars, color=colour, lw=5)
        ax.plot([], [], color=colour, label=f"arm {name}")
for ax, middle in zip(axes, (5780, 7570), strict=True):
    ax.set(xlim=(middle - 90, middle + 90), ylim=(-2.8, 2.2), xlabel="vacuum wavelength [Å]")
axes[0].set_ylabel(f"flux [{arm.flux.unit:unicode}]")
axes[1].legend(loc="upper right", ncols=3)
title = figure.suptitle("real DESI spectrum: overlaps of its arms, and their tokens (bars)")

# %%
# Decode across arms
# ------------------
# Now the third arm loses its part of the overlap, 7520 to 7620 Angstrom, by a mask. Decoded on
# its pixels, this part comes from the tokens of the second arm; the score is that of
# :doc:`plot_01_four_surveys`.

hidden = arms[2].spectral_axis <= 7620 * u.AA
cut = copy.copy(arms[2])
cut.mask = arms[2].mask | hidden
tokens = spectok.encode([arms[0], arms[1], cut], arms=True)
tokens = tokens[tokens["spectrum_index"] == target]
spectra = [arm[target] for arm in arms]
again = [spectok.decode(tokens, arm.spectral_axis) for arm in arms]

known = hidden & ~spectra[2].mask & ~again[2].mask
square = (spectra[2].flux - again[2].flux).value[known] ** 2 * spectra[2].uncertainty.array[known]
title = f"real DESI spectrum {tokens['object_id'][0]}, three arms, one sequence\n"
title += f"{known.sum()} hidden pixels: median r² / 0.455 = {np.median(square) / 0.455:.2f}"
shades = [np.zeros(len(one.flux), bool) for one in spectra[:2]] + [hidden]
top, bottom = plotting.plot_reconstruction(spectra, again, hidden=shades, title=title)
top.set_ylim(-1, 3)

# %%
# Closer. The shaded pixels were hidden in the third arm only. What is decoded there follows the
# noise of the second arm, whose errors grow towards its end:

top, bottom = plotting.plot_reconstruction(spectra, again, hidden=shades, title=title)
top.set(xlim=(7350, 7750), ylim=(-1, 3))

# %%
# One axis for all
# ----------------
# Any axis can be asked for, such as one that runs through all arms. Where you would rather join
# the arms first, ``coadd=True`` does so on the grid that they share, weighted by inverse
# variance; the overlaps are then encoded once.

path = folder / "coadd-sv3-dark-26065.fits"
(joined,) = surveys.desi.read(path, coadd=True)
coadd = spectok.encode(joined)
print(f"three arms:  {len(tokens)} tokens")
print(f"joined arms: {(coadd['spectrum_index'] == target).sum()} tokens")

whole = spectok.decode(tokens, joined.spectral_axis)
print(f"decoded on one axis: {whole.shape[0]} pixels, {(~whole.mask).sum()} of them within reach")
