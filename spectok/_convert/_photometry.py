"""Fluxes and magnitudes of light curves as numbers per frequency."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy import units as u

from spectok._convert._flux import estimate_sigma
from spectok._convert._masks import own_mask
from spectok._convert._rows import plain_numbers

__all__ = ["ZERO_POINT", "CurveUnit", "noise_of", "photometry"]

ZERO_POINT = 25.0
"""Magnitude of unit flux, where magnitudes without a system come without a zero point."""
_PER_WAVELENGTH = u.erg / u.s / u.cm**2 / u.AA
_MAGNITUDE = np.log(10.0) / 2.5


class CurveUnit:
    """The unit in which a table of light curves keeps its scale.

    Attributes
    ----------
    unit, internal : `~astropy.units.UnitBase`
        The same: light curves are not converted back.
    zero_point : float or None
        Magnitude of unit flux, where magnitudes without a system came in.
    """

    def __init__(self, unit: u.UnitBase, zero_point: float | None = None) -> None:
        self.unit = self.internal = unit
        self.zero_point = zero_point


def photometry(
    flux: Any,
    error: Any,
    band: np.ndarray,
    wanted: CurveUnit | None,
    zero_point: float | None,
    where: str,
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray, CurveUnit]:
    """Fluxes, errors and masks of one light curve in one unit.

    Magnitudes become fluxes: of the AB system in Jy, others over the zero point. Flux densities
    per wavelength become Jy at the filter's effective wavelength, so that colours mean the same
    for all. All else (Jy, counts, electrons per second, relative fluxes) passes as it is.

    Parameters
    ----------
    flux, error : array or `~astropy.units.Quantity`, shape (L,)
        ``error`` may be None.
    band : `numpy.ndarray`, shape (L,)
        Effective wavelengths [Angstrom].
    wanted : `CurveUnit` or None
        Of the call; None for its first light curve.
    zero_point : float or None
    where : str

    Returns
    -------
    flux : `numpy.ndarray`, shape (L,)
    sigma : `numpy.ndarray`, shape (L,), or None
    bad : `numpy.ndarray` of bool, shape (L,)
    unit : `CurveUnit`

    Raises
    ------
    ValueError
        For units that do not convert to that of the call, shapes that do not fit, and systems of
        magnitudes other than AB.
    """
    unit = _unit_of(flux)
    values = np.asarray(plain_numbers(flux))
    bad = np.zeros(values.shape, bool)
    for part in (flux, error):
        mask = None if part is None else own_mask(part)
        bad = bad if mask is None or mask.shape != bad.shape else bad | mask
    values = _float(values, "flux", where)
    sigma = None if error is None else _float(plain_numbers(error), "error", where)
    if sigma is not None and sigma.shape != values.shape:
        raise ValueError(
            f"{where}: {sigma.size} errors for {values.size} fluxes: give one for each point"
        )
    error_unit = None if error is None else _unit_of(error)
    if _is_magnitude(unit):
        values, sigma, own = _from_magnitudes(values, sigma, unit, error_unit, zero_point, where)
    else:
        if zero_point is not None:
            raise ValueError(
                f"{where}: zero_point is of magnitudes, and the flux is in "
                f"{unit or 'no unit'}: leave it out, or give magnitudes their unit (u.mag)"
            )
        own = CurveUnit(unit)
        if sigma is not None and error_unit not in (None, u.dimensionless_unscaled, unit):
            sigma = sigma * _factor(error_unit, unit, band, f"{where}, error")
        if unit.is_equivalent(_PER_WAVELENGTH):
            own = CurveUnit(u.Jy)
            factor = _factor(unit, u.Jy, band, where)
            values, sigma = values * factor, None if sigma is None else sigma * factor
    if wanted is not None and own.unit != wanted.unit:
        factor = _factor(own.unit, wanted.unit, band, where)
        values, sigma = values * factor, None if sigma is None else sigma * factor
    if wanted is not None and own.zero_point != wanted.zero_point:
        raise ValueError(f"{where}: magnitudes and fluxes do not mix in one call: encode apart")
    return values, sigma, bad, wanted or own


def noise_of(flux: np.ndarray, band: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Errors of points that came without, from the curvature of each band (DER_SNR)."""
    sigma = np.zeros(flux.shape)
    for one in np.unique(band):
        some = band == one
        sigma[some] = estimate_sigma(flux[None, some], valid[None, some])[0]
    return sigma


def _unit_of(values: Any) -> Any:
    unit = getattr(values, "unit", None)
    return u.dimensionless_unscaled if unit is None else u.Unit(unit)


def _is_magnitude(unit: Any) -> bool:
    function = isinstance(unit, u.function.FunctionUnitBase)
    return function or (unit != u.dimensionless_unscaled and unit == u.mag)


def _from_magnitudes(
    values: np.ndarray,
    sigma: np.ndarray | None,
    unit: Any,
    error_unit: Any,
    zero_point: float | None,
    where: str,
) -> tuple[np.ndarray, np.ndarray | None, CurveUnit]:
    if error_unit not in (None, u.dimensionless_unscaled, u.mag) and not _is_magnitude(error_unit):
        raise ValueError(
            f"{where}: the flux is in {unit}, its error in {error_unit}: give both so"
        )
    physical = getattr(unit, "physical_unit", u.dimensionless_unscaled)
    if physical == u.dimensionless_unscaled:
        zero = ZERO_POINT if zero_point is None else float(zero_point)
        flux, own = 10.0 ** (-0.4 * (values - zero)), CurveUnit(u.dimensionless_unscaled, zero)
    elif physical.is_equivalent(u.Jy):
        if zero_point is not None:
            raise ValueError(f"{where}: magnitudes in {unit} have their zero point: leave it out")
        flux, own = 10.0 ** (-0.4 * values) * physical.to(u.Jy), CurveUnit(u.Jy)
    else:
        raise ValueError(
            f"{where}: magnitudes in {unit} cannot be compared between filters; give AB "
            "magnitudes (u.ABmag), or plain ones (u.mag) with zero_point="
        )
    return flux, None if sigma is None else _MAGNITUDE * flux * sigma, own


def _factor(unit: Any, target: Any, band: np.ndarray, where: str) -> Any:
    try:
        if unit.is_equivalent(target):
            return unit.to(target)
        return unit.to(target, np.ones(band.size), u.spectral_density(band * u.AA))
    except u.UnitConversionError as error:
        raise ValueError(
            f"{where}: {unit} does not convert to {target or 'no unit'}; one call handles one "
            "kind of flux, so encode these light curves apart or convert them first"
        ) from error


def _float(values: Any, name: str, where: str) -> np.ndarray:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{where}: {name} must be numbers, not {np.asarray(values).dtype}"
        ) from error
