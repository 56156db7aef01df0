"""Units come off here, and nowhere else: spectra to plain numbers on vacuum Angstrom."""

from spectok._convert._arrays import convert_arrays, stream_arrays
from spectok._convert._display import numbers_of
from spectok._convert._flux import FluxUnit
from spectok._convert._keep import identifiers
from spectok._convert._rows import Rows
from spectok._convert._spectra import are_arms, convert_spectra, count_of, stream_spectra
from spectok._convert._wavelength import Grid, check_medium, to_grid

__all__ = [
    "FluxUnit",
    "Grid",
    "Rows",
    "are_arms",
    "check_medium",
    "convert_arrays",
    "convert_spectra",
    "count_of",
    "identifiers",
    "numbers_of",
    "stream_arrays",
    "stream_spectra",
    "to_grid",
]
