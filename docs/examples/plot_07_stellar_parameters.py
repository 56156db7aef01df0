"""
Temperatures and metallicities of stars
=======================================

A probe learns two labels from the tokens of *mock* SDSS spectra, with units, and states how sure
it is of each. The stars are made of formulas: black bodies, lines of hydrogen that grow with
Teff, lines of metals that grow with [Fe/H]. They have no surface gravity; with templates of
model atmospheres (:doc:`/simulations`), or with real labels, ``log g`` is one more column of the
table below. So this page says how to do it; :doc:`/probes_measured` says how well it works for
APOGEE, GALAH and SDSS.
"""

import astropy.units as u
import matplotlib.pyplot as plt
import numpy as np
from astropy.table import QTable

import spectok
from spectok import plotting, probes, simulate
from spectok.probes import metrics

# %%
# Labels are a table
# ------------------
# One column per label, each in a unit of its own. A spectrum teaches those labels that it has:
# NaN and masked entries are unknown.

spectra = simulate.observe("sdss", 600, kind="star", seed=1, snr=(20, 60))
known = [one.meta["label"] for one in spectra]
labels = QTable(
    {"teff": [one["teff"] for one in known] * u.K, "feh": [one["feh"] for one in known] * u.dex}
)
labels[:3]

# %%
# Other stars for the test
# ------------------------
# The formulas give only some tens of different stars, observed again and again with other noise.
# A probe that has seen all of them in training could learn them by heart. So a quarter of the
# *stars* is set aside, not a quarter of the spectra; and ``groups`` tells the fit which spectra
# are of one star, so that those on which it watches its own progress are of other stars, too.

star = np.array([int(one["template"].split(":")[1]) for one in known])
test = star % 4 == 0
print(f"{len(set(star[~test]))} stars to learn from, {len(set(star[test]))} others for the test")

items = spectok.group(spectok.encode(spectra))
probe = probes.ProbeRegressor(max_epochs=12)
probe.fit(items[~test], labels[~test], groups=star[~test])
value, std = probe.predict(items[test], return_std=True)  # tables like ``labels``
true = labels[test]

# %%
# Predicted against true
# ----------------------
# Each column of points is one star; the bars are the stated 1σ.

title = "Mock SDSS spectra of stars that were not learnt from"
top, bottom = plotting.plot_labels(
    true["teff"], value["teff"], error=std["teff"], label="Teff", title=title
)
plt.show()

# %%
# The same for the metallicity:

top, bottom = plotting.plot_labels(
    true["feh"], value["feh"], error=std["feh"], label="[Fe/H]", title=title
)
plt.show()

# %%
# In numbers
# ----------
# The robust scatter of the residuals (scaled median absolute deviation) and their median, with
# an interval. Several spectra show the same star and err alike, so whole stars are drawn for the
# bootstraps. Beside the probe stands ridge regression on tokens laid side by side: with so few
# stars a straight line through them is hard to beat, and worth a try before anything else.

plain = np.column_stack([labels["teff"].value, labels["feh"].value])  # scikit-learn knows no units
linear = probes.linear_probe("regression").fit(items[~test], plain[~test]).predict(items[test])
answers = {"probe": value, "linear": QTable(linear, names=["teff", "feh"], units=[u.K, u.dex])}
for key in labels.colnames:
    for method, answer in answers.items():
        for measure in (metrics.scaled_mad, metrics.bias):
            found = metrics.interval(measure, true[key], answer[key], groups=star[test])
            middle, low, high = (f"{one.value:.3g}" for one in found)
            text = f"{middle} ({low} to {high}) {found[0].unit}"
            print(f"{key:4s} {method:6s} {measure.__name__:10s} {text}")

# %%
# Are the stated errors right?
# ----------------------------
# Residuals in units of the stated error should follow the normal distribution. Here they are
# wider: the probe knows some tens of stars only, and states too small an error for others. With
# thousands of stars the shares are near what they should be (:doc:`/probes_measured`).

figure, axes = plt.subplots(1, 2, figsize=(8, 3.6), sharey=True, layout="constrained")
grid = np.linspace(-5, 5, 200)
names = {"teff": "Teff", "feh": "[Fe/H]"}
for axis, (key, name) in zip(axes, names.items(), strict=True):
    found = metrics.calibration(true[key], value[key], std[key])
    pull = ((value[key] - true[key]) / std[key]).value
    axis.hist(pull.clip(-5, 5), 30, range=(-5, 5), density=True, color="#56b4e9", label="mocks")
    axis.plot(grid, np.exp(-0.5 * grid**2) / np.sqrt(2 * np.pi), color="k", label="normal")
    axis.set(xlabel="residual / stated error", title=name)
    text = f"{found['within_1']:.0%} within 1σ\n{found['within_2']:.0%} within 2σ"
    axis.text(0.03, 0.95, text, transform=axis.transAxes, va="top")
axes[0].set_ylabel("density")
axes[1].legend()
figure.suptitle("Mock SDSS spectra: are the stated errors right? (normal: 68 % and 95 %)")
plt.show()

# %%
# How far from the limit?
# -----------------------
# The information in a spectrum sets a bound on how well a label can be known (Cramér and Rao).
# `~spectok.simulate.label_bounds` computes it for every mock star, but only where templates
# follow smoothly from labels, as those of model atmospheres do; the formulas of this page do
# not:
#
# .. code-block:: python
#
#     templates = simulate.build_templates()  # downloads
#     simulator = simulate.Simulator("apogee", templates=templates.part("test"))
#     bounds = simulate.label_bounds(simulator, 1000, snr=(70, 130))
#     bounds.bound["teff"]
#
# :doc:`/probes_measured` shows how many times the bound the probe reaches, and what simpler
# methods do.
