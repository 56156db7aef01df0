"""IRAF's multispec images: every row an aperture with a dispersion function of its own.

Valdes (1993), "The IRAF/NOAO spectral world coordinate systems": linear, logarithmic, Chebyshev
and Legendre functions of the pixel. specutils' loader joins all rows into one spectrum, sorted by
wavelength, in which overlapping orders alternate pixel by pixel.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.polynomial import chebyshev, legendre

__all__ = ["aperture_axes", "are_orders", "is_multispec"]

_EVALUATE = {1: chebyshev.chebval, 2: legendre.legval}


def is_multispec(header: Any) -> bool:
    """Tell whether a header describes the dispersion of each row in WAT2 cards."""
    return "WAT2_001" in header and "multispec" in _text(header, 2)


def aperture_axes(header: Any, n_rows: int, n_pixels: int, where: str) -> list[np.ndarray]:
    """Wavelengths of the rows of a multispec image, in the unit of its WAT1 cards.

    Raises
    ------
    ValueError
        If a row has no dispersion function, or one of a kind that is not known here.
    """
    text = _text(header, 2)
    axes = []
    for row in range(1, n_rows + 1):
        match = re.search(rf'spec{row}\s*=\s*"([^"]*)"', text)
        numbers = [float(word) for word in match[1].split()] if match else []
        if len(numbers) < 7 or numbers[2] < 0:
            raise ValueError(f"{where}: row {row} of this multispec image has no wavelengths")
        kind, start, step, _, redshift = (numbers[i] for i in (2, 3, 4, 5, 6))
        pixel = np.arange(1.0, n_pixels + 1)
        values = start + step * (pixel - 1)
        if kind == 1:
            values = 10.0**values
        elif kind == 2:
            values = _functions(numbers[9:], pixel, where, row)
        axes.append(values / (1 + redshift))
    return axes


def _functions(numbers: list[float], pixel: np.ndarray, where: str, row: int) -> np.ndarray:
    """The weighted sum of the dispersion functions of a row."""
    total = np.zeros(pixel.size)
    while numbers:
        weight, shift, kind = numbers[0], numbers[1], int(numbers[2])
        if kind not in _EVALUATE:
            raise ValueError(
                f"{where}: row {row} has a dispersion function of type {kind} (a spline or a "
                "table), which is not known here; resample it with IRAF's dispcor"
            )
        order, low, high = int(numbers[3]), numbers[4], numbers[5]
        coefficients = numbers[6 : 6 + order]
        x = (2 * pixel - (high + low)) / (high - low)
        total += weight * (shift + _EVALUATE[kind](x, coefficients))
        numbers = numbers[6 + order :]
    return total


def are_orders(axes: list[np.ndarray]) -> bool:
    """Whether apertures cover different wavelengths: orders of one object, not fibres of many."""
    middles = np.array([np.median(axis) for axis in axes])
    widths = np.array([np.ptp(axis) for axis in axes])
    return len(axes) > 1 and bool(np.median(np.abs(np.diff(middles))) > 0.3 * np.median(widths))


def _text(header: Any, number: int) -> str:
    """Text of the WAT cards of an axis: each holds 68 characters, blanks at its end are lost."""
    keys = sorted(key for key in header if re.match(rf"^WAT{number}_\d+$", str(key)))
    return "".join(str(header[key]).ljust(68) for key in keys[:-1]) + (
        str(header[keys[-1]]) if keys else ""
    )
