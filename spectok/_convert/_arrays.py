"""Plain arrays, Quantities and ragged lists to rows of numbers: the fast door."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from astropy import units as u
from astropy.utils.exceptions import AstropyUserWarning

from spectok._convert._columns import as_rows
from spectok._convert._flux import FluxUnit
from spectok._convert._masks import own_mask
from spectok._convert._rows import Rows, make_rows, plain_numbers
from spectok._convert._units import check_flux_unit
from spectok._convert._wavelength import check_medium

__all__ = ["convert_arrays"]


def convert_arrays(
    wavelength: Any,
    flux: Any,
    ivar: Any = None,
    mask: Any = None,
    *,
    medium: str | None = None,
) -> tuple[list[Rows], FluxUnit]:
    """Plain arrays, Quantities or lists of ragged rows to rows of numbers.

    Parameters
    ----------
    wavelength : array or Quantity, shape (L,) or (N, L), or list of N arrays
        In Angstrom where it has no unit.
    flux : array or Quantity, shape (L,) or (N, L), or list of N arrays
    ivar, mask : like ``flux``, optional
        Inverse variance in the flux's unit to the power of -2; mask True = bad.
    medium : str, optional

    Returns
    -------
    rows : list of `Rows`
        One for all spectra where they share one grid, else one per spectrum.
    flux_unit : `FluxUnit`

    Raises
    ------
    ValueError
        As `make_rows`, and where shapes do not fit each other.
    """
    medium = check_medium(medium, "medium")
    wavelength, flux, ivar, mask = map(as_rows, (wavelength, flux, ivar, mask))
    flux_rows, unit = _ragged(flux, "flux")
    unit = u.dimensionless_unscaled if unit is None else check_flux_unit(unit, "flux")
    flux_unit = FluxUnit(unit, "flux")
    if any(np.any(rows) for rows in _own_mask(wavelength) or ()):
        raise ValueError("wavelength has masked values: drop these pixels from all arrays")
    grids, axis_unit = _ragged(wavelength, "wavelength")
    if axis_unit is None:
        axis_unit = u.AA
        _warn_of_unit(grids)
    ivar_rows, ivar_unit = (None, None) if ivar is None else _ragged(ivar, "ivar")
    sigma_unit = unit if ivar_unit is None else ivar_unit ** (-1 / 2)
    if (
        ivar_unit is not None
        and not (ivar_unit * unit**2).is_equivalent("")
        and (unit == u.dimensionless_unscaled)
    ):
        raise ValueError(
            f"ivar is in {ivar_unit}, but flux has no unit: give flux its unit too, or neither"
        )
    mask_rows = None if mask is None else _ragged(mask, "mask")[0]
    for own in (_own_mask(flux), _own_mask(ivar)):
        if own is not None:
            mask_rows = (
                own
                if mask_rows is None
                else [(np.asarray(a) != 0) | b for a, b in zip(mask_rows, own, strict=True)]
            )
    shared = len(grids) == 1
    for name, rows in (("ivar", ivar_rows), ("mask", mask_rows)):
        if rows is not None and [len(r) for r in rows] != [len(r) for r in flux_rows]:
            raise ValueError(
                f"{name} has {_shape(rows)}, flux {_shape(flux_rows)}: give one value per pixel"
            )
    if not shared and len(grids) != len(flux_rows):
        raise ValueError(
            f"{len(grids)} wavelength grids for {len(flux_rows)} spectra: give one for all or "
            "one for each"
        )

    def pack(chosen: slice, grid: u.Quantity, where: str) -> Rows:
        lengths = {len(row) for row in flux_rows[chosen]}
        if lengths != {len(grid)}:
            raise ValueError(
                f"{where}: {len(grid)} wavelengths for fluxes of {_shape(flux_rows[chosen])}: "
                "arrays are (spectra, pixels), so a table of columns is passed as flux.T"
            )
        sigma = None
        if ivar_rows is not None:
            with np.errstate(divide="ignore", invalid="ignore"):
                sigma = np.asarray(ivar_rows[chosen], dtype=np.float64) ** -0.5
        return make_rows(
            grid,
            np.asarray(flux_rows[chosen]),
            sigma,
            None if mask_rows is None else np.asarray(mask_rows[chosen]),
            flux_unit=flux_unit,
            unit=unit,
            sigma_unit=sigma_unit,
            medium=medium,
            object_id=None,
            where=where,
        )

    if not len(flux_rows):
        raise ValueError("there is no spectrum to encode: the input is empty")
    if shared:
        # A SpectralAxis stays one, with the bin edges that it may have been made from.
        axis = wavelength if hasattr(wavelength, "bin_edges") else u.Quantity(grids[0], axis_unit)
        return [pack(slice(None), axis, "the spectra")], flux_unit
    damaged = _damaged_rows(grids, flux_rows)
    if len(damaged) == len(grids):
        damaged = {}  # the first one is refused with its reason
    if damaged:
        _warn_of_damaged(damaged, len(grids))
        columns = (grids, flux_rows, ivar_rows, mask_rows)
        grids, flux_rows, ivar_rows, mask_rows = (_drop(rows, damaged) for rows in columns)
    filler = next((grid for grid in grids if len(grid)), np.ones(1))[:1]
    return [
        _no_pixel(u.Quantity(filler, axis_unit), medium, i)
        if i in damaged and not len(grid)
        else pack(slice(i, i + 1), u.Quantity(grid, axis_unit), f"spectrum {i}")
        for i, grid in enumerate(grids)
    ], flux_unit


def _damaged_rows(
    grids: Sequence[np.ndarray], flux_rows: Sequence[np.ndarray]
) -> dict[int, np.ndarray]:
    """Which rows have pixels without a wavelength, or no pixel at all: {row: usable pixels}."""
    damaged = {}
    for i, (grid, flux) in enumerate(zip(grids, flux_rows, strict=True)):
        usable = np.isfinite(grid) & (grid > 0)
        if len(grid) == len(flux) and (not usable.size or not usable.all()):
            damaged[i] = usable
    return damaged


def _warn_of_damaged(damaged: dict[int, np.ndarray], total: int) -> None:
    lost = [i for i, usable in damaged.items() if not usable.any()]
    part = [i for i in damaged if i not in lost]
    for rows, what in (
        (lost, "have no pixel with a wavelength: they keep one row with valid=False"),
        (part, "have wavelengths that are not finite and positive: these pixels are left out"),
    ):
        if rows:
            named = ", ".join(map(str, rows[:20])) + (", ..." if rows[20:] else "")
            warnings.warn(
                f"{len(rows)} of {total} spectra ({named}) {what}",
                AstropyUserWarning,
                stacklevel=4,
            )


def _drop(rows: Sequence[np.ndarray] | None, damaged: dict[int, np.ndarray]) -> Any:
    if rows is None:
        return None
    return [np.asarray(row)[damaged[i]] if i in damaged else row for i, row in enumerate(rows)]


def _no_pixel(axis: u.Quantity, medium: str, number: int) -> Rows:
    """A spectrum without a pixel: one bad pixel stands for it."""
    none = u.dimensionless_unscaled
    return make_rows(
        axis, np.zeros((1, 1)), np.zeros((1, 1)), np.ones((1, 1), bool),
        flux_unit=FluxUnit(none, ""), unit=none, sigma_unit=none, medium=medium,
        object_id=None, where=f"spectrum {number}",
    )  # fmt: skip


def _warn_of_unit(grids: Sequence[np.ndarray]) -> None:
    """Numbers without a unit that are hardly Angstrom."""
    first = np.concatenate([np.ravel(grid)[:1] for grid in grids] or [np.zeros(0)])
    first = first[np.isfinite(first)]
    typical = float(np.median(first)) if first.size else 5000.0
    if not 500.0 < typical < 60_000.0:
        remedy = "if they are in nm or micron, give them their unit"
        for low, high, word, power in ((2.6, 5.0, "log10", "10**"), (6.2, 11.6, "ln", "np.exp")):
            if low < typical < high:  # 500 Angstrom to 10 micron
                remedy = (
                    f"if they are logarithms ({word} of Angstrom, as SDSS's loglam), pass "
                    f"{power}(wavelength); {remedy}"
                )
        warnings.warn(
            f"wavelengths without a unit are taken as Angstrom, and these begin near "
            f"{typical:.4g}; {remedy}",
            AstropyUserWarning,
            stacklevel=4,
        )


def _own_mask(values: Any) -> list[np.ndarray] | None:
    """The mask of a masked array, Quantity or column; None where there is none."""
    if isinstance(values, (list, tuple)):
        rows = [row for row in values if np.ndim(row) == 1]
        masks = [own_mask(row) for row in rows]
        if all(mask is None for mask in masks):
            return None
        return [
            np.zeros(len(row), bool) if mask is None else mask
            for mask, row in zip(masks, rows, strict=True)
        ]
    mask = own_mask(values)
    return None if mask is None else list(np.atleast_2d(mask))


def _ragged(values: Any, name: str) -> tuple[Sequence[np.ndarray], u.UnitBase | None]:
    """Rows of an array, a Quantity or a list of either, and their unit."""
    unit = getattr(values, "unit", None)
    if isinstance(values, (list, tuple)) and len(values) and np.ndim(values[0]) == 1:
        units = [getattr(row, "unit", None) for row in values]
        if any(other != units[0] for other in units[1:]):
            raise ValueError(
                f"{name}: the rows have the units {', '.join(sorted({str(x) for x in units}))}; "
                "convert them to one"
            )
        rows = [plain_numbers(row) for row in values]
        for number, row in enumerate(rows):
            if row.ndim != 1 or row.dtype.kind not in "biuf":
                raise ValueError(
                    f"{name}: expected numbers of shape (pixels,) in row {number}, got "
                    f"{row.dtype} of shape {row.shape}"
                )
        return rows, units[0]
    array = plain_numbers(values)
    if array.ndim not in (1, 2) or array.dtype.kind not in "biuf":
        raise ValueError(
            f"{name}: expected numbers of shape (pixels,) or (spectra, pixels) or a list of "
            f"rows, got {array.dtype} of shape {array.shape}"
        )
    return np.atleast_2d(array), unit


def _shape(rows: Sequence[np.ndarray]) -> str:
    lengths = [len(row) for row in rows]
    if len(set(lengths)) == 1:
        return f"{len(lengths)} x {lengths[0]} pixels"
    return f"{len(lengths)} spectra of {min(lengths)} to {max(lengths)} pixels"
