"""Plots of spectra, light curves, tokens and labels, on axes that carry units (layer 4)."""

from spectok.plotting._embedding import plot_embedding
from spectok.plotting._labels import plot_labels
from spectok.plotting._lightcurves import plot_light_curve
from spectok.plotting._map import InteractiveMap, interactive_map
from spectok.plotting._spectra import plot_reconstruction
from spectok.plotting._tokens import plot_tokens

__all__ = [
    "InteractiveMap",
    "interactive_map",
    "plot_embedding",
    "plot_labels",
    "plot_light_curve",
    "plot_reconstruction",
    "plot_tokens",
]
