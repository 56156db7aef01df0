"""
Redshifts and how sure they are
===============================

On a grid of log wavelength a redshift is a shift. `~spectok.probes.RedshiftProbe` uses that: it
learns what spectra look like at rest, scores every redshift, and gives a probability density,
its two best peaks, an error and a confidence. One that has learned already comes with the
weights; another one learns here, from spectra of one's own.

The spectra are *mocks* of SDSS, made of formulas (black bodies and power laws with breaks and
lines), which the head that comes with the weights has never seen. How well both do on mocks of
templates and on real spectra, beside a template fit, is in :doc:`/probes_measured`.
"""

import matplotlib.pyplot as plt
import numpy as np

import spectok
from spectok import plotting, probes, simulate
from spectok.probes import metrics

# %%
# Without any training
# --------------------
# A galaxy, a quasar and a star. ``confidence`` is the probability that the redshift is right
# within 1,000 km/s, ``std`` the error of a right one.

kinds = ("galaxy", "quasar", "star")
spectra = [simulate.observe("sdss", 1, kind=kind, seed=8, snr=20)[0] for kind in kinds]
tokens = spectok.encode(spectra)
head = probes.load_head("redshift")
peaks = head.predict_peaks(tokens)
peaks["true"] = np.round([one.meta["label"]["redshift"] for one in spectra], 5)
peaks["redshift", "std", "confidence", "true"].pprint()

# %%
# The density itself, on a logarithmic axis so that what is improbable shows as well:

z, density = head.predict_density(tokens)
figure, axes = plt.subplots(3, 2, figsize=(9, 7), layout="constrained", width_ratios=(3, 2))
for row, (left, right) in enumerate(axes):
    wavelength, flux = spectra[row].spectral_axis.value, spectra[row].flux.value
    left.plot(wavelength, flux, color="#0072b2", lw=0.5)
    left.set(ylabel="flux", title=f"mock {kinds[row]}, S/N 20", xlim=wavelength[[0, -1]])
    left.set_ylim(*np.percentile(flux, [0.1, 99.9]) * (0.9, 1.2))
    right.semilogy(z, density[row], color="#0072b2", lw=0.8)
    right.axvline(peaks["true"][row], color="#d55e00", ls=":", label="true redshift")
    right.set(ylim=(1e-6, 1e4), xlim=(-0.1, 5), ylabel="density")
axes[0, 1].legend(loc="upper right")
axes[2, 0].set(xlabel="wavelength (Å)")
axes[2, 1].set(xlabel="redshift")
plt.show()

# %%
# From spectra of one's own
# -------------------------
# Six hundred galaxies, faint ones among them, are few; ten thousand are better.


def draw(n, seed):
    """Tokens of mock galaxies and their redshifts."""
    spectra = simulate.observe("sdss", n, kind="galaxy", seed=seed, snr=(2, 20))
    redshift = [one.meta["label"]["redshift"] for one in spectra]
    return spectok.encode(spectra), np.array(redshift)


own_tokens, redshift = draw(600, seed=1)
test_tokens, true = draw(300, seed=2)
probe = probes.RedshiftProbe().fit(own_tokens, redshift)
peaks = probe.predict_peaks(test_tokens)

top, bottom = plotting.plot_labels(
    true, peaks["redshift"], error=peaks["std"], label="redshift",
    title=f"{len(true)} mock SDSS galaxies, S/N 2 to 20",
)  # fmt: skip
plt.show()

# %%
# What the confidence is worth
# ----------------------------
# DESI calls a galaxy's redshift a catastrophic failure where it is wrong by more than 1,000
# km/s, a third of a per cent. Nearly all failures are among those of which the probe says itself
# that it is not sure:

wrong = 299792.458 * np.abs(peaks["redshift"] - true) > 1000.0 * (1.0 + true)
sure = np.asarray(peaks["confidence"]) > 0.9
for text, here in (("all", sure | ~sure), ("confidence above 0.9", sure), ("others", ~sure)):
    share, low, high = metrics.interval(np.mean, wrong[here].astype(float))
    print(f"{text}: {here.sum()}, wrong {share:.1%} ({low:.1%} to {high:.1%})")
nmad, low, high = metrics.interval(metrics.redshift_nmad, true[~wrong], peaks["redshift"][~wrong])
within = np.mean(np.abs(peaks["redshift"] - true)[~wrong] < peaks["std"][~wrong])
print(f"scatter of the right ones {nmad:.5f} ({low:.5f} to {high:.5f}), {within:.0%} within 1 std")

# %%
# Several readings
# ----------------
# A faint spectrum may leave several redshifts. ``second_redshift`` is the best one elsewhere.

row = int(np.argmin(np.abs(peaks["confidence"] - 0.6)))
peaks[["redshift", "confidence", "second_redshift", "second_confidence"]][row : row + 1].pprint()
z, density = probe.predict_density(test_tokens)
figure, axis = plt.subplots(figsize=(8, 3.6), layout="constrained")
axis.semilogy(z, density[row], color="#0072b2", lw=0.8)
axis.axvline(true[row], color="#d55e00", ls=":", label="true redshift")
axis.set(xlabel="redshift", ylabel="density", ylim=(1e-4, 1e4))
axis.set_title("a mock SDSS galaxy whose redshift is not sure")
axis.legend()
plt.show()
