"""Flux units and uncertainties to plain numbers per wavelength, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy import units as u
from astropy.nddata import InverseVariance, StdDevUncertainty, VarianceUncertainty

from spectok._convert._masks import hidden_mask
from spectok._convert._units import check_flux_unit

__all__ = ["FluxUnit", "estimate_sigma", "sigma_from_uncertainty"]

_CGS = u.erg / u.s / u.cm**2 / u.AA
_LUMINOSITY = u.erg / u.s / u.AA
_MAGGY = u.Unit("mgy")
# Beams and pixels (MaNGA's spaxels are named pixels) are carried through like solid angles.
_CARRIED = (u.beam, u.pix)


class FluxUnit:
    """How fluxes of one unit become numbers per wavelength.

    Densities per frequency or in photons become f_lambda, surface brightness becomes f_lambda
    per the same solid angle; everything else (f_lambda itself, counts, relative flux) passes as
    it is.

    Parameters
    ----------
    unit : `~astropy.units.UnitBase`
        The caller's unit.
    where : str
        Name of the spectrum for error messages.

    Attributes
    ----------
    unit : `~astropy.units.UnitBase`
        The caller's unit.
    internal : `~astropy.units.UnitBase`
        The unit of the numbers.
    """

    def __init__(self, unit: u.UnitBase, where: str) -> None:
        unit = check_flux_unit(unit, where)
        refused = _refusal(unit)
        if refused:
            raise ValueError(f"{where}: flux in {unit} is {refused}")
        self.unit = unit
        self._density, self._solid = _split_solid_angle(unit)
        self.internal = unit
        for target in (_CGS, _LUMINOSITY):
            if self._density.is_equivalent(target):
                break
            if self._density.is_equivalent(target, u.spectral_density(1 * u.AA)):
                self.internal = target * self._solid
                break

    def factor(self, unit: u.UnitBase, wavelength: np.ndarray, where: str) -> np.ndarray | float:
        """Factor from ``unit`` to ``internal``: a number, or an array (L,) over wavelengths.

        Raises
        ------
        ValueError
            Where ``unit`` does not convert to the flux unit.
        """
        if unit == self.internal:
            return 1.0
        if unit.is_equivalent(self.internal):
            return unit.to(self.internal)
        density, solid = _split_solid_angle(unit)
        try:
            solid_factor = solid.to(self._solid)
            target = self.internal / self._solid
            return solid_factor * np.asarray(
                density.to(target, np.ones(wavelength.size), u.spectral_density(wavelength * u.AA))
            )
        except u.UnitConversionError as error:
            raise ValueError(
                f"{where}: {unit} does not convert to the flux unit {self.unit}; one call "
                "handles one kind of flux, so encode these spectra apart or convert them first"
            ) from error


def _refusal(unit: u.UnitBase) -> str | None:
    if isinstance(unit, u.UnrecognizedUnit):
        return "a unit that astropy does not know; give the flux one that it does (u.Unit(...))"
    function = isinstance(unit, u.function.FunctionUnitBase)
    # Also those per solid angle (mag/arcsec2), and temperatures times a velocity (K km/s).
    bases = [] if function else [b for b, p in zip(unit.bases, unit.powers, strict=True) if p > 0]
    if function or any(base.is_equivalent(u.mag) for base in bases):
        return "logarithmic; convert it to a flux density first (magnitudes have no zero flux)"
    if any(base.is_equivalent(_MAGGY) for base in bases):
        return (
            "a flux in a photometric band, per no wavelength of its own; convert it to a flux "
            "density first (see astropy.units.zero_point_flux; 1 nmgy on the AB system is "
            "3.631e-6 Jy)"
        )
    if any(base.is_equivalent(u.K) for base in bases):
        return (
            "a temperature; convert it to a flux density or a surface brightness first (see "
            "astropy.units.brightness_temperature)"
        )
    return None


def _split_solid_angle(unit: u.UnitBase) -> tuple[u.UnitBase, u.UnitBase]:
    """A unit as (flux density) and (the solid angles, beams or pixels that multiply it)."""
    solid = u.dimensionless_unscaled
    for base, power in zip(unit.bases, unit.powers, strict=True):
        carried = any(base.is_equivalent(unit_) for unit_ in _CARRIED)
        if carried or base.physical_type in ("solid angle", "angle"):
            solid = solid * base**power
    return unit / solid, solid


def sigma_from_uncertainty(
    uncertainty: Any, flux_unit: FluxUnit, shape: tuple[int, ...], where: str
) -> tuple[np.ndarray, u.UnitBase]:
    """Standard deviation of an astropy uncertainty of any kind, with its unit.

    Parameters
    ----------
    uncertainty : `~astropy.nddata.NDUncertainty`
        Standard deviation, variance or inverse variance; without a unit of its own it is in
        the flux's.
    flux_unit : `FluxUnit`
    shape : tuple of int
        Shape of the flux.
    where : str
        Name of the spectrum for error messages.

    Returns
    -------
    sigma : `numpy.ndarray`
        Float64; not finite or not positive where the pixel is bad.
    unit : `~astropy.units.UnitBase`

    Raises
    ------
    ValueError
        For another kind of uncertainty, or one of another shape.
    """
    kinds = {StdDevUncertainty: 1, VarianceUncertainty: 2, InverseVariance: -2}
    power = next((p for kind, p in kinds.items() if isinstance(uncertainty, kind)), None)
    if power is None:
        raise ValueError(
            f"{where}: an uncertainty of type {type(uncertainty).__name__} does not say what "
            "it is; use astropy.nddata's StdDevUncertainty, VarianceUncertainty or InverseVariance"
        )
    masked = hidden_mask(uncertainty.array)
    values = np.asarray(
        getattr(uncertainty.array, "unmasked", uncertainty.array), dtype=np.float64
    )
    if masked is not None:
        values = np.where(masked, np.nan, values)
    if values.shape != shape:
        raise ValueError(
            f"{where}: the uncertainty has shape {values.shape}, the flux {shape}; give one "
            "error per pixel"
        )
    unit = flux_unit.unit
    if uncertainty.unit is not None:
        unit = check_flux_unit(uncertainty.unit, f"{where}, uncertainty") ** (1 / power)
    with np.errstate(divide="ignore", invalid="ignore"):
        return values if power == 1 else values ** (1 / power), unit


def estimate_sigma(flux: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Noise of spectra from themselves: DER_SNR.

    ``1.482602 / sqrt(6) * median(|2 f_i - f_(i-2) - f_(i+2)|)`` over the good pixels.

    Parameters
    ----------
    flux : `numpy.ndarray`, shape (N, L)
    valid : `numpy.ndarray` of bool, shape (N, L)

    Returns
    -------
    sigma : `numpy.ndarray`, shape (N, L)
        One value per spectrum, at least 1e-4 of its median absolute flux; zero (that is: bad)
        for a spectrum that is zero everywhere.

    References
    ----------
    Stoehr et al. (2008), ASP Conf. Ser. 394, 505.
    """
    sigma = np.zeros(flux.shape)
    for row, (values, good) in enumerate(zip(flux, valid, strict=True)):
        values = values[good]
        if values.size:
            floor = 1e-4 * np.median(np.abs(values)) or 1e-4 * np.abs(values).max()
            curvature = np.abs(2 * values[2:-2] - values[:-4] - values[4:])
            noise = 1.482602 / np.sqrt(6.0) * np.median(curvature) if curvature.size else floor
            sigma[row] = max(noise, floor)
    return sigma
