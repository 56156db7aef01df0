"""Redshifts and radial velocities as plain redshifts."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy import units as u
from numpy.typing import NDArray

__all__ = ["to_redshifts"]

_LARGEST = 20.0  # before the first galaxies that are known


def to_redshifts(given: Any, where: str = "redshifts") -> NDArray[np.float64]:
    """Redshifts without a unit, NaN where masked; of the shape that came in.

    Velocities are those of light that is shifted relativistically,
    1 + z = sqrt((1 + v / c) / (1 - v / c)), as specutils and astropy have it; up to 100 km/s
    that is within 0.02 km/s of v = cz.

    Parameters
    ----------
    given : array-like, `~astropy.units.Quantity` or column
        Redshifts, or velocities with their unit.
    where : str
        What they are, for messages.

    Raises
    ------
    TypeError
        For what are no numbers.
    ValueError
        For a unit that is neither none nor a velocity's, for velocities of light and above, and
        for redshifts that nothing has and that velocities without their unit would be.
    """
    if isinstance(given, (list, tuple)) and any(isinstance(one, u.Quantity) for one in given):
        given = u.Quantity(given)
    unit = getattr(given, "unit", None) or u.dimensionless_unscaled
    try:
        plain = np.ma.filled(np.ma.asarray(getattr(given, "value", given), np.float64), np.nan)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"{where} must be numbers (redshifts) or a Quantity (velocities), not "
            f"{type(given).__name__}"
        ) from error
    try:
        with np.errstate(invalid="ignore", divide="ignore"):
            z = (plain * u.Unit(unit)).to_value(u.one, equivalencies=u.doppler_redshift())
    except u.UnitConversionError as error:
        raise ValueError(
            f"{where} cannot be in {unit}: give plain redshifts, or velocities such as "
            "30 * u.km / u.s"
        ) from error
    if (np.isfinite(plain) & ~np.isfinite(z)).any():
        raise ValueError(f"{where} in {unit} reach the speed of light: is this their unit?")
    finite = z[np.isfinite(z)]  # the others are for the caller to judge
    if (finite > _LARGEST).any():
        raise ValueError(
            f"{where} of up to {finite.max():.4g} are none that anything has: velocities need "
            "their unit, such as * u.km / u.s"
        )
    return np.asarray(z)
