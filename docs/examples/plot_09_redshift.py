"""
Redshifts and how sure they are
===============================

A spectrum may leave several readings of its redshift: this line or that one. A probe with
``n_components`` gives a density that is a mixture of normal distributions instead of one. The
spectra are *mocks* of SDSS galaxies, made of formulas (black bodies with a break and lines).

For redshifts, fit templates if you can: on mocks of templates of real objects a plain template
fit is better than the probe by far (:doc:`/probes_measured` has both). What the probe gives is a
guess with a stated error, from tokens alone.
"""

import matplotlib.pyplot as plt
import numpy as np
from astropy import units as u

import spectok
from spectok import plotting, probes, simulate
from spectok.probes import metrics

# %%
# Tokens and redshifts
# --------------------
# What is learnt is log(1 + z), in which a shift of the spectrum is the same everywhere.


def draw(n, seed):
    """Tokens of mock galaxies and their redshifts."""
    spectra = simulate.observe("sdss", n, kind="galaxy", seed=seed, snr=(3, 30))
    redshift = [one.meta["label"]["redshift"] for one in spectra]
    return spectok.group(spectok.encode(spectra)), np.array(redshift)


items, redshift = draw(1000, seed=1)
test_items, true = draw(400, seed=2)

# %%
# Fit
# ---
# ``reading=0`` leaves out the part of the probe that reads tokens at fixed wavelengths: here
# nothing has a fixed place.

probe = probes.ProbeRegressor(n_components=16, reading=0, dropout=0.1, max_epochs=12)
probe.fit(items, np.log1p(redshift))
value, std = probe.predict(test_items, return_std=True)
predicted = np.expm1(value)  # where the density is largest

# %%
# Predicted against true
# ----------------------

top, bottom = plotting.plot_labels(
    true, predicted, error=std * (1 + predicted), label="redshift",
    title=f"{len(true)} mock SDSS galaxies, S/N 3 to 30; bars: stated 1σ",
)  # fmt: skip
plt.show()

# %%
# Near both ends of the range predictions pile up: what is given is the mean of one of the
# mixture's components, and a thousand spectra are few to learn sixteen of them from.
#
# In numbers
# ----------
# NMAD is the robust scatter of (predicted - true) / (1 + true). DESI calls a galaxy's redshift a
# catastrophic failure where it is wrong by more than 1,000 km/s, a third of a per cent; measured
# by that, most of what the probe says fails:

nmad, low, high = metrics.interval(metrics.redshift_nmad, true, predicted)
print(f"NMAD {nmad:.4f} ({low:.4f} to {high:.4f})")
for velocity in (1000, 3000, 10000) * u.km / u.s:
    share = metrics.redshift_outliers(true, predicted, velocity=velocity)
    print(f"wrong by more than {velocity:.0f}: {share:.0%}")

# %%
# What the stated error is worth
# ------------------------------
# The stated error is that of log(1 + z): the root mean square of the density about its peak, so
# a second reading makes it large. Spectra for which it is small err less:

error = np.abs(value - np.log1p(true))
figure, axis = plt.subplots(figsize=(7, 4.6), layout="constrained")
axis.plot(std, error, "o", ms=4, color="#0072b2", alpha=0.6, label="mock galaxies")
ends = np.array([std.min(), std.max()])
axis.plot(ends, ends, color="k", lw=0.8, label="error = 1 stated σ")
axis.plot(ends, 2 * ends, color="k", lw=0.8, ls="--", label="2 stated σ")
axis.set(xscale="log", yscale="log", ylim=(1e-5, 1))
axis.set(xlabel="stated σ of log(1 + z)", ylabel="|predicted - true log(1 + z)|")
ticks = [0.005, 0.01, 0.02, 0.05, 0.1]
axis.set_xticks(ticks, ticks)
axis.set_xticks([], minor=True)
axis.set_title(f"{len(true)} mock SDSS galaxies")
axis.legend(loc="lower right")
plt.show()

surest = std <= np.median(std)
for text, here in (("surer half", surest), ("other half", ~surest)):
    print(f"{text}: NMAD {metrics.redshift_nmad(true[here], predicted[here]):.4f}")
found = metrics.calibration(np.log1p(true), value, std)
print(f"within 1 and 2 stated σ: {found['within_1']:.0%} and {found['within_2']:.0%}")

# %%
# Several readings
# ----------------
# ``predict_density`` gives the density itself. Here are the galaxies with the smallest and the
# largest stated error, and one in between.

x = np.log1p(np.linspace(0, 0.65, 1000))
figure, axis = plt.subplots(figsize=(8, 4), layout="constrained")
order = np.argsort(std)
chosen = {"surest": order[0], "median": order[len(order) // 2], "least sure": order[-1]}
for (name, row), colour in zip(chosen.items(), ("#009e73", "#0072b2", "#d55e00"), strict=True):
    density = probe.predict_density(test_items[[row]], x)[0]
    axis.plot(np.expm1(x), density, color=colour, label=name)
    axis.axvline(true[row], color=colour, ls=":")
axis.set(xlabel="redshift", ylabel="density of log(1 + z)", yscale="log", ylim=(0.01, 300))
axis.set_title("Three mock SDSS galaxies; dotted: the true redshifts")
axis.legend()
plt.show()
