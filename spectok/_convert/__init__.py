"""Units come off here, and nowhere else: spectra to plain numbers on vacuum Angstrom."""

from spectok._convert._arms import are_arms, count_of
from spectok._convert._arrays import convert_arrays, stream_arrays
from spectok._convert._display import numbers_of
from spectok._convert._filters import filter_wavelengths
from spectok._convert._flux import FluxUnit
from spectok._convert._lightcurves import (
    curve_count,
    curve_name,
    is_curve,
    stream_curve_arrays,
    stream_curves,
)
from spectok._convert._masks import own_mask
from spectok._convert._medium import header_medium, text_medium, wcs_medium
from spectok._convert._names import as_name, as_names, identifiers, mapping_of, names_of
from spectok._convert._order import order_of_pixels
from spectok._convert._photometry import CurveUnit
from spectok._convert._rows import Rows
from spectok._convert._spectra import convert_spectra, stream_spectra
from spectok._convert._times import Clockwork, to_days
from spectok._convert._units import AxisUnit, parse_axis_unit, parse_unit
from spectok._convert._velocities import to_redshifts
from spectok._convert._wavelength import AIR_STARTS, Grid, check_medium, to_grid

__all__ = [
    "AIR_STARTS",
    "AxisUnit",
    "Clockwork",
    "CurveUnit",
    "FluxUnit",
    "Grid",
    "Rows",
    "are_arms",
    "as_name",
    "as_names",
    "check_medium",
    "convert_arrays",
    "convert_spectra",
    "count_of",
    "curve_count",
    "curve_name",
    "filter_wavelengths",
    "header_medium",
    "identifiers",
    "is_curve",
    "mapping_of",
    "names_of",
    "numbers_of",
    "order_of_pixels",
    "own_mask",
    "parse_axis_unit",
    "parse_unit",
    "stream_arrays",
    "stream_curve_arrays",
    "stream_curves",
    "stream_spectra",
    "text_medium",
    "to_days",
    "to_grid",
    "to_redshifts",
    "wcs_medium",
]
