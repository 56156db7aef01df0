"""Plain arrays, Quantities and ragged lists to rows of numbers: the fast door."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from astropy import units as u
from astropy.utils.exceptions import AstropyUserWarning

from spectok._convert._columns import as_rows
from spectok._convert._flux import FluxUnit
from spectok._convert._masks import own_mask
from spectok._convert._refusals import Refusals
from spectok._convert._rows import Rows, chunk, make_rows, pieces, plain_numbers
from spectok._convert._units import check_flux_unit
from spectok._convert._wavelength import check_medium

__all__ = ["convert_arrays", "stream_arrays"]


def convert_arrays(
    wavelength: Any,
    flux: Any,
    ivar: Any = None,
    mask: Any = None,
    *,
    medium: str | None = None,
) -> tuple[list[Rows], FluxUnit | None]:
    """Plain arrays, Quantities or lists of ragged rows to rows of numbers, all at once.

    Parameters
    ----------
    wavelength, flux, ivar, mask, medium : as for `stream_arrays`
        What they are there.

    Returns
    -------
    rows : list of `Rows`
    flux_unit : `FluxUnit`

    Raises
    ------
    ValueError
        As `stream_arrays`; not one spectrum is refused without an error.
    """
    rows = list(stream_arrays(wavelength, flux, ivar, mask, medium=medium, errors="strict"))
    return rows, rows[0].flux_unit


def stream_arrays(
    wavelength: Any,
    flux: Any,
    ivar: Any = None,
    mask: Any = None,
    *,
    medium: str | None = None,
    errors: str = "raise",
) -> Iterator[Rows]:
    """Plain arrays, Quantities or lists of ragged rows to rows of numbers, as they are asked for.

    Parameters
    ----------
    wavelength : array or Quantity, shape (L,) or (N, L), or list of N arrays
        In Angstrom where it has no unit.
    flux : array or Quantity, shape (L,) or (N, L), or list of N arrays
    ivar, mask : like ``flux``, optional
        Inverse variance in the flux's unit to the power of -2; mask True = bad.
    medium : str, optional
    errors : str
        As for `stream_spectra`.

    Yields
    ------
    rows : `Rows`
        Several spectra at a time where they share one grid, else one.

    Raises
    ------
    ValueError
        As `make_rows`, and where shapes do not fit each other.
    """
    medium = check_medium(medium, "medium")
    refusals = Refusals(errors)
    tolerant = errors == "row"
    faults: dict[int, str] | None = {} if tolerant else None
    wavelength, flux, ivar, mask = map(as_rows, (wavelength, flux, ivar, mask))
    wavelength = getattr(wavelength, "physical", wavelength)  # logarithmic quantities: dex(AA)
    _check_kinds(flux, ivar)
    flux_rows, unit = _ragged(flux, "flux", faults)
    unit = u.dimensionless_unscaled if unit is None else check_flux_unit(unit, "flux")
    flux_unit = FluxUnit(unit, "flux")
    if any(np.any(rows) for rows in _own_mask(wavelength) or ()):
        raise ValueError("wavelength has masked values: drop these pixels from all arrays")
    grids, axis_unit = _ragged(wavelength, "wavelength", faults)
    shape: tuple[int, ...] = getattr(wavelength, "shape", ())
    if len(shape) == 2 and shape[0] > shape[1] == 1:
        raise ValueError(
            f"wavelength has the shape {shape}, {len(grids)} grids of one pixel: "
            "arrays are (spectra, pixels), so pass columns as wavelength.ravel(), flux.T"
        )
    if axis_unit is None:
        axis_unit = u.AA
        _warn_of_unit(grids)
    ivar_rows, ivar_unit = (None, None) if ivar is None else _ragged(ivar, "ivar", faults)
    sigma_unit = unit if ivar_unit is None else ivar_unit ** (-1 / 2)
    if (
        ivar_unit is not None
        and not (ivar_unit * unit**2).is_equivalent("")
        and (unit == u.dimensionless_unscaled)
    ):
        raise ValueError(
            f"ivar is in {ivar_unit}, but flux has no unit: give flux its unit too, or neither"
        )
    if ivar_unit is not None and ivar_unit.is_equivalent(unit) and unit.bases:
        raise ValueError(
            f"ivar is in {ivar_unit}, as errors are; an inverse variance is in 1 / ({unit})**2: "
            "pass errors as ivar=1 / error**2"
        )
    mask_rows = None if mask is None else _ragged(mask, "mask", faults)[0]
    own_masks = [own for own in (_own_mask(flux), _own_mask(ivar)) if own is not None]
    for name, rows in (("ivar", ivar_rows), ("mask", mask_rows)):
        if rows is None:
            continue
        fit = [len(r) == len(f) for r, f in zip(rows, flux_rows, strict=False)]
        if len(rows) != len(flux_rows) or not (tolerant or all(fit)):
            raise ValueError(
                f"{name} has {_shape(rows)}, flux {_shape(flux_rows)}: give one value per pixel"
            )
    if not len(flux_rows):
        raise ValueError("there is no spectrum to encode: the input is empty")
    shared = len(grids) == 1
    if not shared and len(grids) != len(flux_rows):
        raise ValueError(
            f"{len(grids)} wavelength grids for {len(flux_rows)} spectra: give one for all or "
            "one for each"
        )

    holed = {} if shared else _holed(grids, flux_rows, ivar_rows, mask_rows)
    if errors == "strict" or not tolerant and len(holed) == len(grids):
        holed = {}  # the first one is refused with its reason
    if holed:
        _warn_of_holes(holed, len(grids))

    def pack(chosen: slice, grid: u.Quantity, where: str) -> Rows:
        if faults and chosen.start in faults:
            raise ValueError(faults[chosen.start])
        keep = holed.get(chosen.start)
        cut = slice(None) if keep is None else keep
        if keep is not None:  # a slice would lose the bin edges of an axis
            grid = grid[keep]
        lengths = {len(row[cut]) for row in flux_rows[chosen]}
        if lengths != {len(grid)}:
            raise ValueError(
                f"{where}: {len(grid)} wavelengths for fluxes of {_shape(flux_rows[chosen])}: "
                "arrays are (spectra, pixels), so a table of columns is passed as flux.T"
            )
        for name, rows in (("ivar", ivar_rows), ("mask", mask_rows)):
            if rows is not None and any(len(row[cut]) != len(grid) for row in rows[chosen]):
                raise ValueError(
                    f"{where}: {name} has {_shape(rows[chosen])}, flux "
                    f"{_shape(flux_rows[chosen])}: give one value per pixel"
                )
        sigma = None
        if ivar_rows is not None:
            with np.errstate(divide="ignore", invalid="ignore"):
                sigma = np.asarray(ivar_rows[chosen], dtype=np.float64)[:, cut] ** -0.5
        bad = None if mask_rows is None else np.asarray(mask_rows[chosen])[:, cut] != 0
        for own in own_masks:
            part = np.asarray(own[chosen])[:, cut]
            bad = part if bad is None else bad | part
        return make_rows(
            grid,
            np.asarray(flux_rows[chosen])[:, cut],
            sigma,
            bad,
            flux_unit=flux_unit,
            unit=unit,
            sigma_unit=sigma_unit,
            medium=medium,
            object_id=None,
            where=where,
        )

    def packed(chosen: slice, grid: Any, where: str) -> Rows:
        try:
            rows = pack(chosen, grid, where)
        except Exception as error:
            refusals.note(error)
            return Rows.refused(len(flux_rows[chosen]), error, where)
        refusals.usable = True
        return rows

    def parts() -> Iterator[Rows]:
        if shared:
            # A SpectralAxis stays one, with the bin edges that it may have been made from.
            whole = hasattr(wavelength, "bin_edges")
            axis = wavelength if whole else u.Quantity(grids[0], axis_unit)
            size = chunk(len(axis))
            if faults or len({len(row) for row in flux_rows}) > 1:
                size = 1 if tolerant else len(flux_rows)
            for some in pieces(len(flux_rows), size):
                yield packed(some, axis, "the spectra" if size > 1 else f"spectrum {some.start}")
        else:
            for i, grid in enumerate(grids):
                yield packed(slice(i, i + 1), u.Quantity(grid, axis_unit), f"spectrum {i}")
        refusals.check()

    return parts()


def _check_kinds(flux: Any, ivar: Any) -> None:
    """Truths in place of numbers are a slip: a mask where the inverse variance belongs."""
    for name, values in (("flux", flux), ("ivar", ivar)):
        rows = values if isinstance(values, (list, tuple)) else [values]
        if any(getattr(row, "dtype", None) == np.bool_ for row in rows[:1]):
            raise ValueError(
                f"{name} is True or False for each pixel, as a mask is; the order is wavelength, "
                "flux, ivar, mask in this order, so pass a mask as mask="
            )


def _holed(
    grids: Sequence[np.ndarray], *columns: Sequence[np.ndarray] | None
) -> dict[int, np.ndarray]:
    """Spectra some of whose pixels have no wavelength, as padding has none: {row: the others}."""
    out = {}
    for i, grid in enumerate(grids):
        usable = np.isfinite(grid) & (grid > 0)
        fits = all(rows is None or len(rows[i]) == len(grid) for rows in columns)
        if fits and usable.any() and not usable.all():
            out[i] = usable
    return out


def _warn_of_holes(holed: dict[int, np.ndarray], total: int) -> None:
    named = ", ".join(map(str, list(holed)[:20])) + (", ..." if len(holed) > 20 else "")
    warnings.warn(
        f"{len(holed)} of {total} spectra ({named}) have wavelengths that are not finite and "
        "positive: these pixels are left out",
        AstropyUserWarning,
        stacklevel=4,
    )


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
        rows = [row if np.ndim(row) == 1 else np.zeros(0) for row in values]
        masks = [own_mask(row) for row in rows]
        if all(mask is None for mask in masks):
            return None
        return [
            np.zeros(len(row), bool) if mask is None else mask
            for mask, row in zip(masks, rows, strict=True)
        ]
    mask = own_mask(values)
    return None if mask is None else list(np.atleast_2d(mask))


def _ragged(
    values: Any, name: str, faults: dict[int, str] | None
) -> tuple[Any, u.UnitBase | None]:
    """Rows of an array, a Quantity or a list of either, and their unit.

    With ``faults``, a row that is no row of numbers, or in another unit than the others, becomes
    an empty one, and what is wrong with it goes there.
    """
    unit = getattr(values, "unit", None)
    if isinstance(values, (list, tuple)) and any(np.ndim(row) == 1 for row in values):
        units = [getattr(row, "unit", None) for row in values if np.ndim(row) == 1]
        if any(other != units[0] for other in units[1:]) and faults is None:
            raise ValueError(
                f"{name}: the rows have the units {', '.join(sorted({str(x) for x in units}))}; "
                "convert them to one"
            )
        rows = []
        for number, given in enumerate(values):
            row = plain_numbers(given)
            fault = None
            if row.ndim != 1 or (row.dtype.kind not in "biuf" and row.size):
                fault = (
                    f"{name}: expected numbers of shape (pixels,) in row {number}, got "
                    f"{row.dtype} of shape {row.shape}"
                )
            elif getattr(given, "unit", None) != units[0] and row.size:
                fault = f"{name} is in {getattr(given, 'unit', None)}, others in {units[0]}"
            if fault is not None:
                if faults is None:
                    raise ValueError(fault)
                faults.setdefault(number, fault)
            rows.append(np.zeros(0) if fault is not None or not row.size else row)
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
