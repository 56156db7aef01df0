"""
Galaxy, quasar or star?
=======================

A probe learns classes from the tokens of *mock* SDSS spectra and is judged on other mocks. The
objects are made of formulas (black bodies, power laws, lines), so the figures on this page say
how the probe is used and not how well it does; :doc:`/probes_measured` has its figures on
templates of real objects and on real spectra. Probes need ``pip install ".[probes]"``.
"""

import matplotlib.pyplot as plt
import numpy as np

import spectok
from spectok import probes, simulate
from spectok.probes import metrics

# %%
# Tokens and classes
# ------------------
# The training and the test set are drawn with different seeds: other redshifts, dust, brightness
# and noise, but of the same few tens of formulas, which makes it easier than real life.
# `spectok.group` makes one item of each spectrum's tokens, which is what scikit-learn can cut
# and shuffle.


def draw(n, seed):
    """Tokens of n mock spectra and their classes."""
    spectra = simulate.observe("sdss", n, seed=seed)
    tokens = spectok.encode(spectra)
    return spectok.group(tokens), np.array([one.meta["label"] for one in spectra])


items, labels = draw(1000, seed=1)
kind = np.array([label["class"] for label in labels])
test_items, test_labels = draw(500, seed=2)
test_kind = np.array([label["class"] for label in test_labels])
for name, number in zip(*np.unique(kind, return_counts=True), strict=True):
    print(f"{name:6s} {number} to learn from, {np.sum(test_kind == name)} for the test")

# %%
# Fit and predict
# ---------------
# `~spectok.probes.ProbeClassifier` lets learned queries attend over all tokens of a spectrum.
# Beside it, `~spectok.probes.linear_probe` is logistic regression on tokens laid side by side: a
# yardstick that any probe should beat.

probe = probes.ProbeClassifier(max_epochs=10).fit(items, kind)
linear = probes.linear_probe("classification").fit(items, kind)
predicted = {"probe": probe.predict(test_items), "linear": linear.predict(test_items)}

# %%
# How often is each class recognised? `~spectok.probes.metrics.interval` gives any metric with
# the interval that holds 95 % of its bootstraps over objects.


def accuracy(true, said):
    """Share of objects whose class is found."""
    return np.mean(true == said)


for method, said in predicted.items():
    for name in probe.classes_:
        here = test_kind == name
        value, low, high = metrics.interval(accuracy, test_kind[here], said[here])
        print(f"{method:6s} {name:6s} {value:.3f} ({low:.3f} to {high:.3f}) of {here.sum()}")

# %%
# Which classes are taken for which?
# ----------------------------------

figure, axes = plt.subplots(1, 2, figsize=(8, 4), sharey=True, layout="constrained")
for axis, (method, said) in zip(axes, predicted.items(), strict=True):
    table = metrics.confusion(test_kind, said)
    names = list(table["true"])
    counts = np.array([table[name] for name in names]).T
    share = counts / counts.sum(1, keepdims=True)
    image = axis.imshow(share, vmin=0, vmax=1, cmap="cividis")
    for (row, column), count in np.ndenumerate(counts):
        ink = "k" if share[row, column] > 0.5 else "w"
        axis.text(column, row, count, ha="center", va="center", color=ink, fontsize=13)
    axis.set_xticks(range(len(names)), names)
    axis.set_yticks(range(len(names)), names)
    axis.set(xlabel="predicted class", title=method)
axes[0].set_ylabel("true class")
figure.colorbar(image, ax=axes, label="share of the true class", shrink=0.8)
figure.suptitle(f"{len(test_kind)} mock SDSS spectra (numbers: spectra)")
plt.show()

# %%
# What is hard?
# -------------
# The same test spectra by their signal to noise:

snr = np.array([label["snr"] for label in test_labels])
edges = [0, 4, 7, 10, 15, 25, np.inf]
figure, axis = plt.subplots(figsize=(8, 3.8), layout="constrained")
for shift, (method, said), colour, marker in zip(
    (-0.08, 0.08), predicted.items(), ("#0072b2", "#d55e00"), "os", strict=True
):
    for k, (low, high) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
        cell = (snr > low) & (snr <= high)
        if not cell.any():
            continue
        value, *ends = metrics.interval(accuracy, test_kind[cell], said[cell])
        axis.plot([k + shift] * 2, ends, color=colour)
        axis.plot(k + shift, value, marker, color=colour, label=method if k == 0 else None)
axis.axhline(1 / 3, color="0.5", ls=":", label="guessing at random")
names = [f"{a}-{b}" for a, b in zip(edges[:-2], edges[1:-1], strict=True)] + [f"> {edges[-2]}"]
axis.set_xticks(range(len(names)), names)
axis.set(
    xlabel="median signal to noise per pixel", ylabel="accuracy (95 % interval)", ylim=(0, 1.03)
)
axis.set_title("Mock SDSS spectra: galaxy, quasar or star?")
axis.legend(loc="lower right")
plt.show()

# %%
# Probabilities
# -------------
# The mock about which the probe doubts most:

probability = probe.predict_proba(test_items)
doubtful = np.argmin(probability.max(1))
for name, share in zip(probe.classes_, probability[doubtful], strict=True):
    print(f"{name:6s} {share:.2f}")
print(f"It is of class {test_kind[doubtful]}, with a signal to noise of {snr[doubtful]:.1f}.")
