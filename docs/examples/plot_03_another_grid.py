"""
Decoding onto the grid of another instrument
============================================

Tokens made of one spectrum can be decoded on any axis. Here a *mock* galaxy is observed with
SDSS and also with instruments of higher and of lower resolution, so the truth is known, and one
sees what decoding restores and what it cannot.
"""

import matplotlib.pyplot as plt
import numpy as np
from specutils.manipulation import FluxConservingResampler, gaussian_smooth

import spectok
from spectok import simulate

# %%
# Higher resolution: from SDSS to DESI
# ------------------------------------
# `spectok.simulate.observe_pairs` observes the same object twice. Each observation knows its own
# truth: the flux without noise, at the resolution of that instrument.

pair = simulate.observe_pairs("sdss", "desi", seed=2, kind="galaxy", snr=20)
sdss, desi = (spectra[0] for spectra in pair)
tokens = spectok.encode(sdss)
on_desi = spectok.decode(tokens, desi.spectral_axis)

# %%
# DESI's grid reaches further than SDSS. Pixels more than one patch away from any token are
# masked:

for name, axis in {
    "SDSS": sdss.spectral_axis,
    "DESI": desi.spectral_axis,
    "decoded": on_desi.spectral_axis[~on_desi.mask],
}.items():
    print(f"{name:>8}: {axis[0]:.0f} to {axis[-1]:.0f}, {len(axis)} pixels")

# %%
# The noise is mostly gone. But at H-alpha and [N II], the lines that DESI would see narrower are
# as wide as SDSS made them, or wider, and too low: what the first instrument blurred is not in
# the tokens.


def compare(ax, decoded, truth, instrument, window):
    """The input, what was decoded of it, and what the other instrument would see without noise."""
    wave, flux, error = decoded.spectral_axis.value, decoded.flux.value, decoded.uncertainty.array
    ax.step(
        sdss.spectral_axis.value, sdss.flux.value, where="mid", color="0.6", label="SDSS, input"
    )
    ax.plot(wave, truth, color="#000000", ls="--", lw=1, label=f"truth for {instrument}")
    ax.plot(wave, flux, color="#0072b2", label="decoded")
    ax.fill_between(wave, flux - error, flux + error, color="#0072b2", alpha=0.3, lw=0)
    ax.set(xlim=window, xlabel="vacuum wavelength [Å]")


redshift = sdss.meta["label"]["redshift"]
h_alpha = 6564.6 * (1 + redshift)
line, continuum = (h_alpha - 60, h_alpha + 60), (5450, 5750)
figure, axes = plt.subplots(1, 2, figsize=(10, 4.5), layout="constrained")
for ax, window in zip(axes, (continuum, line), strict=True):
    compare(ax, on_desi, desi.meta["truth"], "DESI", window)
axes[0].set(ylim=(7, 14), ylabel=f"flux [{sdss.flux.unit:unicode}]", title="continuum")
axes[1].set(ylim=(0, 130), title="H-alpha and [N II]")
axes[1].legend(loc="upper right")
figure.suptitle(f"mock galaxy at z = {redshift:.2f}: SDSS decoded onto DESI's grid")

# %%
# In numbers: the error of the decoded flux against the truth, in units of the noise of the
# input, and that of interpolating the input; the height and the flux of H-alpha over those of
# the truth.

wave, truth = desi.spectral_axis.value, desi.meta["truth"]
weight = np.interp(wave, sdss.spectral_axis.value, sdss.uncertainty.array)  # inverse variance
linear = np.interp(wave, sdss.spectral_axis.value, sdss.flux.value)
near = np.abs(wave - h_alpha) < 12
for name, flux in {"decoded": on_desi.flux.value, "interpolated": linear}.items():
    error = np.median(np.abs(flux - truth)[~on_desi.mask] * weight[~on_desi.mask] ** 0.5) / 0.6745
    height, total = flux[near].max() / truth[near].max(), flux[near].sum() / truth[near].sum()
    print(f"{name:>12}: error {error:.2f}; H-alpha: height {height:.2f}, flux {total:.2f}")

# %%
# Lower resolution: decoding does not blur
# ----------------------------------------
# The other way round there is a trap. An instrument with a third of SDSS's pixels and a
# resolving power of 600 sees broad lines. Decoding evaluates the spectrum at the wavelengths of
# the new pixels. It knows nothing of the new resolution, and lines keep the width that they had.

coarse = simulate.instrument("sdss").modified(sampling=3, resolution=600)
pair = simulate.observe_pairs("sdss", coarse, seed=2, kind="galaxy", snr=20)
sdss, other = (spectra[0] for spectra in pair)  # the same observation with SDSS as before
tokens = spectok.encode(sdss)
on_coarse = spectok.decode(tokens, other.spectral_axis)

# %%
# To compare spectra at one resolution, decode on fine pixels and do the rest with specutils:
# blur, then resample. Line widths are known to the instruments of the simulator; of a real one,
# to its manual.

pixel = 1e-4 * np.log(10) * 299792.458  # km/s, of SDSS
kernel = np.sqrt(np.mean(coarse.lsf) ** 2 - np.mean(simulate.instrument("sdss").lsf) ** 2) / pixel
fine = spectok.decode(tokens, sdss.spectral_axis)
blurred = FluxConservingResampler()(gaussian_smooth(fine, kernel), other.spectral_axis)

figure, ax = plt.subplots(figsize=(10, 4.5), layout="constrained")
compare(ax, on_coarse, other.meta["truth"], "R = 600", line)
wave, flux = blurred.spectral_axis.value, blurred.flux.value
ax.plot(wave, flux, "o-", color="#d55e00", label="decoded, then blurred")
ax.set(ylim=(0, 130), ylabel=f"flux [{sdss.flux.unit:unicode}]")
ax.set_title(f"mock galaxy at z = {redshift:.2f}: SDSS decoded onto a grid of lower resolution")
ax.legend(loc="upper right")

# %%
# How well decoding onto other grids does on many mocks is measured in :doc:`/benchmarks`.
