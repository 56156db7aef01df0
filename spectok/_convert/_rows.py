"""Spectra of any kind to rows of plain numbers on vacuum Angstrom."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from astropy import units as u

from spectok._convert._flux import FluxUnit, estimate_sigma
from spectok._convert._times import Clockwork
from spectok._convert._wavelength import to_grid
from spectok._flags import TokenFlag

__all__ = ["Rows", "chunk", "first_known", "join_arms", "make_rows", "pieces", "plain_numbers"]

_CHUNK = 1 << 21  # pixels that are converted at once: some ten megabytes


@dataclass(frozen=True)
class Rows:
    """Spectra on one grid, arrays of shape (N, L).

    Attributes
    ----------
    wavelength : float64 array, shape (L,)
        Vacuum Angstrom, ascending within each arm.
    flux, sigma : float64 arrays
        In the internal unit; anything under bad pixels.
    valid : bool array
        True for good pixels.
    flags : int array, shape (N,)
    object_id : list of str or int, or None
        Names, where the input has any.
    where : str
        Name of the input for messages, such as ``spectrum 3``.
    flux_unit : `FluxUnit`
        Of the call; None where the spectra could not be used.
    kept : dict
        Columns of metadata to keep: lists of N values.
    shape : tuple of int, optional
        Of the array that all spectra of the call came in, -1 in place of its spectral axis.
    reason : str, optional
        Why the spectra cannot be used: their arrays are empty, of shape (N, 0).
    band : float64 array, shape (L,), optional
        Of light curves, whose ``wavelength`` holds times in days: the effective wavelengths of
        the points' filters [Angstrom].
    clockwork : `~spectok._convert._times.Clockwork`, optional
        Of light curves: what their days are.
    """

    wavelength: np.ndarray
    flux: np.ndarray
    sigma: np.ndarray
    valid: np.ndarray
    flags: np.ndarray
    object_id: list[Any] | None
    where: str
    flux_unit: FluxUnit | None = None
    kept: dict[str, list[Any]] = field(default_factory=dict)
    shape: tuple[int, ...] | None = None
    reason: str | None = None
    band: np.ndarray | None = None
    clockwork: Clockwork | None = None

    @classmethod
    def refused(
        cls, number: int, error: Exception, where: str, object_id: list[Any] | None = None
    ) -> Rows:
        """Rows that stand for spectra that cannot be used."""
        text = " ".join(str(error).split()) or type(error).__name__
        none = np.empty((number, 0))
        flags = np.full(number, int(TokenFlag.REFUSED))
        if object_id is not None and len(object_id) != number:
            object_id = None
        return cls(
            np.empty(0), none, none, none.astype(bool), flags, object_id, where,
            reason=text.removeprefix(f"{where}: "),
        )  # fmt: skip


def plain_numbers(values: Any) -> np.ndarray:
    """Numbers without unit and mask (the caller takes the mask)."""
    values = getattr(values, "unmasked", values)
    return np.asarray(getattr(values, "value", values))


def chunk(n_pixels: int) -> int:
    """How many spectra of so many pixels are converted at once."""
    return max(_CHUNK // max(n_pixels, 1), 1)


def pieces(number: int, size: int) -> Iterator[slice]:
    """Slices of so many rows that cover a number of them."""
    for first in range(0, number, max(size, 1)):
        yield slice(first, first + size)


def make_rows(
    axis: u.Quantity,
    flux: np.ndarray,
    sigma: np.ndarray | None,
    mask: np.ndarray | None,
    *,
    flux_unit: FluxUnit,
    unit: u.UnitBase,
    sigma_unit: u.UnitBase,
    medium: str,
    object_id: list[Any] | None,
    where: str,
) -> Rows:
    """Rows of spectra that share one spectral axis.

    Parameters
    ----------
    axis : `~astropy.units.Quantity`, shape (L,)
    flux : `numpy.ndarray`, shape (N, L)
        In ``unit``.
    sigma : `numpy.ndarray`, shape (N, L), or None
        In ``sigma_unit``; None: estimated from the flux.
    mask : `numpy.ndarray`, shape (N, L), or None
        True (not zero): bad, as in astropy.
    flux_unit : `FluxUnit`
        What the call converts to.
    unit, sigma_unit : `~astropy.units.UnitBase`
    medium : str
    object_id : list or None
    where : str
    """
    grid = to_grid(axis, medium=medium, where=where)
    flags = TokenFlag.FROM_AIR if medium == "air" else TokenFlag(0)
    if grid.order is not None:
        flags |= TokenFlag.REVERSED if grid.n_orders == 1 else TokenFlag.ORDERS
    # Big-endian FITS columns end here: what leaves is native float64.
    flux = grid.sort(np.asarray(flux, dtype=np.float64))
    factor = flux_unit.factor(unit, grid.wavelength, where)
    if np.ndim(factor):  # each spectrum for itself: one call may mix Jy and f_lambda
        flags |= TokenFlag.UNIT_CONVERTED
    flux = flux if np.isscalar(factor) and factor == 1.0 else flux * factor
    valid = np.isfinite(flux)
    if mask is not None:
        valid &= grid.sort(np.asarray(mask)) == 0
    if sigma is None:
        flags |= TokenFlag.NOISE_ESTIMATED
        sigma = estimate_sigma(flux, valid)
    else:
        sigma = grid.sort(np.asarray(sigma, dtype=np.float64))
        sigma = sigma * flux_unit.factor(sigma_unit, grid.wavelength, where)
    valid &= np.isfinite(sigma) & (sigma > 0)
    return Rows(
        grid.wavelength, flux, sigma, valid, np.full(len(flux), int(flags)), object_id, where,
        flux_unit,
    )  # fmt: skip


def join_arms(arms: list[Rows], where: str) -> Rows:
    """Arms of the same objects, one after the other, as one spectrum per object.

    Raises
    ------
    ValueError
        Where the arms hold different numbers of objects, or name them differently.
    """
    counts = {len(arm.flux) for arm in arms}
    if len(counts) != 1:
        raise ValueError(
            f"{where}: arms=True joins arms of the same objects, but these hold "
            f"{', '.join(str(len(arm.flux)) for arm in arms)} spectra"
        )
    named = [arm.object_id for arm in arms if arm.object_id is not None]
    if any(names != named[0] for names in named):
        raise ValueError(f"{where}: the arms' object ids differ: these are not the same objects")
    arms = sorted(arms, key=lambda arm: arm.wavelength[0])
    return Rows(
        np.concatenate([arm.wavelength for arm in arms]),
        np.concatenate([arm.flux for arm in arms], axis=1),
        np.concatenate([arm.sigma for arm in arms], axis=1),
        np.concatenate([arm.valid for arm in arms], axis=1),
        np.bitwise_or.reduce([arm.flags for arm in arms]),
        named[0] if named else None,
        where,
        arms[0].flux_unit,
        first_known([arm.kept for arm in arms]),
    )


def first_known(kept: list[dict[str, list[Any]]]) -> dict[str, list[Any]]:
    """Columns of several arms: of each the first that says anything."""
    out: dict[str, list[Any]] = {}
    for columns in kept:
        for key, column in columns.items():
            if key not in out or all(value is None for value in out[key]):
                out[key] = column
    return out
