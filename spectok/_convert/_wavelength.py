"""Spectral axes to float64 vacuum Angstrom."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy import units as u

from spectok._convert._masks import own_mask
from spectok._convert._order import order_of_pixels

__all__ = ["AIR_STARTS", "Grid", "NoDataError", "check_medium", "in_angstrom", "to_grid"]

_PLAUSIBLE = "give it in a unit of wavelength, frequency, wavenumber or energy"
# By convention wavelengths [Angstrom] below it are vacuum wavelengths, in air tables too.
AIR_STARTS = 2000.0


class NoDataError(ValueError):
    """A spectrum without pixels or without wavelengths, as fillings of missing data are."""


class Grid:
    """A spectral axis made ready.

    Attributes
    ----------
    wavelength : float64 array, shape (L,)
        Vacuum Angstrom, strictly ascending within each order.
    order : int array, shape (L,), or None
        ``values[..., order]`` brings the caller's pixels into that order; None: they are in it.
    n_orders : int
        Overlapping orders that the axis holds; 1 for an axis that ascends from end to end.
    """

    def __init__(self, wavelength: np.ndarray, order: np.ndarray | None, n_orders: int) -> None:
        self.wavelength, self.order, self.n_orders = wavelength, order, n_orders

    def sort(self, values: np.ndarray) -> np.ndarray:
        """Pixels (..., L) in the caller's order to ascending wavelength."""
        return values if self.order is None else values[..., self.order]

    def unsort(self, values: np.ndarray) -> np.ndarray:
        """Pixels (..., L) in ascending wavelength to the caller's order."""
        if self.order is None:
            return values
        out = np.empty_like(values)
        out[..., self.order] = values
        return out


def check_medium(medium: Any, where: str) -> str:
    """``"air"`` or ``"vacuum"``, or a ValueError."""
    if medium is None:
        return "vacuum"
    if isinstance(medium, bytes):
        medium = medium.decode("ascii", "replace")
    if isinstance(medium, str) and medium.strip().lower() in ("air", "vacuum", "vac"):
        return "air" if medium.strip().lower() == "air" else "vacuum"
    if isinstance(medium, (list, tuple, np.ndarray)):  # one for each row, all the same
        given = {check_medium(one, where) for one in medium}
        if len(given) == 1:
            return given.pop()
    raise ValueError(f'{where}: medium must be "air" or "vacuum", not {medium!r}')


def to_grid(axis: u.Quantity, *, medium: str, where: str) -> Grid:
    """Convert a spectral axis.

    Parameters
    ----------
    axis : `~astropy.units.Quantity`, shape (L,)
        Anything that `~astropy.units.spectral` converts; a velocity axis needs its rest value
        and convention. Of an axis made from bin edges the edges are converted, then averaged.
    medium : str
        ``"air"`` or ``"vacuum"``.
    where : str
        Name of the spectrum for error messages.

    Returns
    -------
    grid : `Grid`

    Raises
    ------
    ValueError
        For pixel axes, velocities without rest value, and wavelengths that are not finite,
        not positive or not unique. Overlapping orders may share wavelengths.
    """
    masked = own_mask(axis)
    if masked is not None:
        if masked.any():
            raise ValueError(
                f"{where}: {masked.sum()} of {masked.size} wavelengths are masked (the first is "
                f"pixel {int(masked.argmax())}); drop these pixels from axis, flux and error"
            )
        axis = axis.unmasked
    edges = getattr(axis, "_bin_edges", None)
    if edges is not None and len(edges) == len(axis) + 1:
        edges = in_angstrom(u.Quantity(edges), where)
        wavelength = 0.5 * (edges[1:] + edges[:-1])
    else:
        wavelength = in_angstrom(axis, where)
    if wavelength.size == 0:
        raise NoDataError(f"{where}: its spectral axis is empty: there is no pixel to encode")
    if wavelength.ndim != 1:
        raise ValueError(
            f"{where}: the spectral axis must be one-dimensional and not empty, not of shape "
            f"{wavelength.shape}"
        )
    bad = ~(np.isfinite(wavelength) & (wavelength > 0))
    if bad.any():
        raise NoDataError(
            f"{where}: {bad.sum()} of {bad.size} wavelengths are not finite and positive (the "
            f"first is pixel {int(bad.argmax())}); drop these pixels from axis, flux and error"
        )
    order, n_orders = None, 1
    if wavelength.size > 1 and not (np.diff(wavelength) > 0).all():
        order, n_orders = order_of_pixels(wavelength)
        wavelength = wavelength[order]
        same = np.flatnonzero(np.diff(wavelength) == 0)
        if same.size:
            raise ValueError(
                f"{where}: {same.size} wavelengths occur more than once (the first is "
                f"{wavelength[same[0]]:.4f} Angstrom); merge or drop these pixels, or, where "
                "several arms overlap, pass the arms as a list with arms=True"
                f"{_rounded(axis, same.size / wavelength.size)}"
            )
    if medium == "air":
        wavelength = _air_to_vacuum(wavelength)
    return Grid(wavelength, order, n_orders)


def _rounded(axis: Any, share: float) -> str:
    """What may have made many wavelengths equal."""
    kind = getattr(axis, "dtype", np.dtype(float))
    if share < 0.1 or kind.kind == "f" and kind.itemsize > 4:
        return ""
    return f"; numbers of the type {kind} are too coarse for these steps: compute them in float64"


def in_angstrom(axis: u.Quantity, where: str) -> np.ndarray:
    """A spectral axis of any unit as numbers in Angstrom, in its own medium and order."""
    unit = getattr(axis, "unit", None)
    if unit == u.AA:  # the usual case, and 0.1 ms a spectrum saved
        return np.asarray(axis.value, dtype=np.float64)
    if isinstance(unit, u.UnrecognizedUnit):
        raise ValueError(
            f"{where}: the unit {str(unit)!r} of the spectral axis is not known to astropy; "
            f"{_PLAUSIBLE}"
        )
    if unit is None or unit == u.dimensionless_unscaled or unit.is_equivalent(u.pix):
        raise ValueError(f"{where}: the spectral axis has the unit {str(unit)!r}; {_PLAUSIBLE}")
    try:
        if unit.is_equivalent(u.km / u.s):
            if getattr(axis, "doppler_rest", None) is None or axis.doppler_convention is None:
                raise ValueError(
                    f"{where}: a velocity axis needs velocity_convention and rest_value to "
                    "become wavelengths; set both when the Spectrum is made"
                )
            return np.asarray(axis.to(u.AA).value, dtype=np.float64)
        # A plain Quantity: SpectralCoord's own conversion would ask about observers.
        plain = np.asarray(axis.value, dtype=np.float64)
        return np.asarray(unit.to(u.AA, plain, equivalencies=u.spectral()), dtype=np.float64)
    except u.UnitConversionError as error:
        raise ValueError(
            f"{where}: a spectral axis in {unit} does not convert to Angstrom; {_PLAUSIBLE}"
        ) from error


def _air_to_vacuum(wavelength: np.ndarray) -> np.ndarray:
    from specutils.utils.wcs_utils import air_to_vac

    out = wavelength.copy()
    air = wavelength >= AIR_STARTS
    if air.any():
        # The iterative scheme is the exact inverse of vacuum to air.
        out[air] = air_to_vac(wavelength[air] * u.AA, scheme="iteration").to_value(u.AA)
    return out
