"""Foreign tables, FITS or text, to spectra: columns by their names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy import units as u
from astropy.nddata import InverseVariance, StdDevUncertainty, VarianceUncertainty
from specutils import Spectrum

from spectok._convert import as_name, header_medium, order_of_pixels, parse_unit, text_medium

from ._axis import to_axis, warn
from ._quality import bad_pixels
from ._roles import Roles, find_roles, split_name

__all__ = ["flux_unit", "make_spectrum", "read_columns", "refuse_own"]

_KINDS = {"std": StdDevUncertainty, "var": VarianceUncertainty, "ivar": InverseVariance}
_POWER = {"std": 1, "var": 2, "ivar": -2}
# How many of the values each row really has: STIS, IUE.
_LENGTHS = ("NELEM", "NPOINTS")
# Not known as an error by its name, and hardly anything else.
_MAY_BE_ERROR = re.compile(r"err|unc|sigma|std|ivar|varian|noise|^snr?$|^s[_/]?n$", re.I)
_ORDERS = ("SPORDER", "ORDER", "ECH_ORDER", "SEGMENT")


@dataclass
class _Known(Roles):
    """Columns of which the wavelength and the flux are there."""

    wave: str = ""
    flux: str = ""


def refuse_own(names: Iterable[str], where: str) -> None:
    """Refuse the tables that spectok itself writes, which hold no spectrum.

    Raises
    ------
    ValueError
        For a table of tokens or of embeddings.
    """
    names = set(names)
    if {"token_index", "spectrum_index"} <= names:
        raise ValueError(
            f"{where}: this is a token table, no spectrum: read it with astropy.table.QTable.read "
            "and pass it to spectok.decode or spectok.embed"
        )
    if {"embedding", "spectrum_index"} <= names:
        raise ValueError(
            f"{where}: this is a table of embeddings, no spectrum: read it with "
            "astropy.table.QTable.read"
        )


def read_columns(
    table: Mapping[str, np.ndarray], units: Mapping[str, Any], header: Any, where: str
) -> list[Spectrum]:
    """Make spectra of the columns of a table.

    A row may be a pixel (columns of numbers) or a spectrum (columns of arrays): ESO's products
    of one row, the orders of an echelle, sets on one grid.

    Parameters
    ----------
    table : mapping of arrays
        Columns by name, of shape (rows,) or (rows, pixels), or arrays of arrays.
    units : mapping
        Texts of units by name.
    header : mapping
    where : str
        The file, for messages.

    Raises
    ------
    ValueError
        If there is no column of wavelengths or fluxes, named so that it is known.
    """
    table, units = _bare_names(table, units)
    names = list(table)
    roles = _roles(names, units, header, where)
    medium = _column_medium(roles.wave, header)
    n_rows = len(table[roles.flux])
    cells = _ndim(table[roles.flux]) > 1
    _warn_of_unused(roles, names, units, where)
    if not cells:
        columns = {k: np.asarray(table[name])[None] for k, name in _used(roles).items()}
        for k in columns.keys() - {"mask"}:
            columns[k] = _numbers(columns[k], f"{where}: column {_used(roles)[k]}")
        return _rows(columns, [where], roles, units, header, medium, where, [None], None)
    lengths = next((np.asarray(table[n]) for n in names if n.upper() in _LENGTHS), None)
    orders = next((np.asarray(table[n]) for n in names if n.upper() in _ORDERS), None)
    if orders is not None and (np.ndim(orders) != 1 or len(set(orders.tolist())) < n_rows):
        orders = None
    columns = {k: table[name] for k, name in _used(roles).items()}
    ids = None
    if roles.name is not None and _ndim(table[roles.name]) == 1:
        ids = [as_name(value) for value in table[roles.name]]
    if _ndim(columns["wave"]) == 1:
        columns["wave"] = _from_start(table, columns["wave"], len(columns["flux"][0]), where)
    arms: list[str | None] = [None] * n_rows
    if orders is not None:
        arms = [f"order {as_name(it)}" for it in orders]
    wheres = [where if n_rows == 1 else f"{where}, row {i}" for i in range(n_rows)]
    return _rows(columns, wheres, roles, units, header, medium, where, arms, lengths, ids)


class _Renamed(dict):
    """Columns by new names, decoded when asked for."""

    def __init__(self, table: Mapping[str, Any], own: dict[str, str]) -> None:
        super().__init__(own)
        self._table = table

    def __getitem__(self, name: str) -> Any:
        return self._table[super().__getitem__(name)]


def _bare_names(
    table: Mapping[str, Any], units: Mapping[str, Any]
) -> tuple[Mapping[str, Any], dict[str, Any]]:
    """Columns and units by names from which the units that stood in them are taken out."""
    own: dict[str, str] = {}
    told: dict[str, Any] = {}
    for name in table:
        bare, unit = split_name(name)
        if bare != name and (bare in table or bare in own):
            bare, unit = name, None
        own[bare] = name
        told[bare] = units.get(name) or unit
    return _Renamed(table, own), told


# What stands in a text where there is no number; IRAF and SDSS have words of their own.
_NO_NUMBER = ("", "--", "-", "INDEF", "NULL", "NONE", "NA", "N/A", "NAN", "MASKED", "...")


def _numbers(values: np.ndarray, what: str) -> np.ndarray:
    """Numbers of a column of texts, Fortran's exponents and words for nothing included."""
    if values.dtype.kind == "c":
        raise ValueError(f"{what} holds complex numbers; take their real part or their modulus")
    if values.dtype.kind not in "USO":
        return values
    texts = np.char.upper(np.char.strip(values.astype(str)))
    texts = np.where(np.isin(texts, _NO_NUMBER), "NAN", np.char.replace(texts, "D", "E"))
    try:
        return texts.astype(np.float64)
    except ValueError as error:
        text = str(error).rpartition("float:")[2].removeprefix(" np.str_(").rstrip(")").strip()
        raise ValueError(f"{what} holds {text}, which is no number") from error


def _rows(
    columns: Mapping[str, Any], wheres: list[str], roles: _Known, units: Mapping[str, Any],
    header: Any, medium: str | None, where: str, arms: list[str | None], lengths: Any,
    ids: list[str] | None = None,
) -> list[Spectrum]:  # fmt: skip
    """Spectra of rows of arrays; those that share a grid become one."""
    unit = flux_unit(units.get(roles.flux), where)
    error_unit = None
    if roles.error is not None and units.get(roles.error) is not None:
        error_unit = flux_unit(units[roles.error], where)
    axis, told = to_axis(
        np.concatenate([np.ravel(row) for row in columns["wave"]]).astype(float),
        units.get(roles.wave), where, log=roles.log, what=f"column {roles.wave}",
    )  # fmt: skip
    ends = np.cumsum([len(row) for row in columns["wave"]])
    axes = np.split(axis.value, ends[:-1])
    same = (
        len(axes) > 1
        and arms[0] is None
        and lengths is None
        and all(
            len(a) == len(axes[0]) and np.array_equal(a, axes[0], equal_nan=True) for a in axes
        )
    )
    if same:
        columns = {key: [np.stack(list(values))] for key, values in columns.items()}
        axes = axes[:1]
    spectra = []
    for i, grid in enumerate(axes):
        stop = None if lengths is None else int(lengths[i])
        part = {key: np.asarray(columns[key][i])[..., :stop] for key in columns}
        bad = None
        if "mask" in part:
            bad = bad_pixels(
                part["mask"], str(roles.mask), header, wheres[i], inverse=roles.inverse
            )
        meta: dict[str, Any] = {} if arms[i] is None else {"arm": arms[i]}
        if ids is not None:
            meta["object_id"] = ids if same else ids[i]
        spectra.append(
            make_spectrum(
                grid[:stop] * axis.unit,
                part["flux"],
                part.get("error"),
                roles.kind,
                bad,
                unit=unit,
                error_unit=error_unit,
                medium=told or medium,
                meta=meta,
                where=wheres[i],
            )  # fmt: skip
        )
    return spectra


def make_spectrum(
    axis: u.Quantity, flux: np.ndarray, error: np.ndarray | None, kind: str,
    bad: np.ndarray | None, *, unit: u.UnitBase, error_unit: u.UnitBase | None,
    medium: str | None, meta: dict, where: str,
) -> Spectrum:  # fmt: skip
    """Make a spectrum, pixels last; pixels without a wavelength are left out, and it is said.

    Raises
    ------
    ValueError
        If shapes do not fit, or no pixel has a wavelength.
    """
    if axis.ndim != 1 or flux.shape[-1:] != axis.shape:
        raise ValueError(
            f"{where}: {axis.size} wavelengths for a flux of shape {flux.shape}; it is no spectrum"
        )
    usable = np.isfinite(axis.value) & (axis.value > 0)
    if not usable.any():
        raise ValueError(f"{where}: no wavelength is finite and positive; it is no spectrum")
    # Where gratings join, CALSPEC repeats a wavelength; elsewhere the padding repeats the last.
    steps = np.diff(axis.value)
    repeated = np.concatenate([[False], steps == 0])
    if repeated.any() and repeated.sum() <= max(0.02 * axis.size, 2):
        usable &= ~repeated
    if not usable.all():
        warn(
            f"{where}: {np.count_nonzero(~usable)} of {usable.size} pixels are left out: their "
            "wavelengths are not finite and positive, or repeat the pixel before"
        )
    flux = _native(flux)[..., usable]
    uncertainty = None
    if error is not None:
        error = _native(error)[..., usable]
        if error_unit == u.percent and kind == "std" and error.shape == flux.shape:
            error, error_unit = np.abs(flux) * error / 100.0, None
        if error_unit is not None:
            error_unit = _error_unit(error_unit, unit, kind, where)
        if error.shape == flux.shape:
            uncertainty = _KINDS[kind](error, unit=error_unit)
        else:
            warn(f"{where}: the error has the shape {error.shape}, the flux {flux.shape}: ignored")
    mask = ~np.isfinite(flux)
    if bad is not None:
        mask |= np.broadcast_to(np.asarray(bad)[..., usable], flux.shape)
    if medium is not None:
        meta = {**meta, "medium": medium}
    axis = axis[usable]
    if falls := np.count_nonzero(np.diff(axis.value) < 0):
        order, n_orders = order_of_pixels(axis.value)
        if n_orders > 1:
            raise ValueError(
                f"{where}: the wavelengths turn back {n_orders - 1} times, as where overlapping "
                "orders or arms stand one after the other; pass each of them as a spectrum of its "
                "own in a list with arms=True"
            )
        if falls < axis.size - 1:  # one that falls from end to end stays as it is
            axis, flux, mask = axis[order], flux[..., order], mask[..., order]
            if uncertainty is not None:
                uncertainty = _KINDS[kind](uncertainty.array[..., order], unit=error_unit)
    return Spectrum(
        flux=flux * unit, spectral_axis=axis, uncertainty=uncertainty, mask=mask, meta=meta
    )


def flux_unit(text: Any, where: str) -> u.UnitBase:
    """The unit of a flux; one that nobody knows is said aloud and left out."""
    try:
        unit = parse_unit(text, f"{where}: flux")
    except ValueError:
        warn(f"{where}: the flux unit {str(text)!r} is not known; the flux is read without a unit")
        unit = None
    return u.dimensionless_unscaled if unit is None else unit


def _error_unit(unit: u.UnitBase, flux: u.UnitBase, kind: str, where: str) -> u.UnitBase | None:
    """The error's unit where it fits the flux; the flux's own (None) where it is a slip."""
    wanted = flux ** _POWER[kind]
    if unit == u.dimensionless_unscaled or unit.is_equivalent(wanted):
        return None if unit == u.dimensionless_unscaled else unit
    if not unit.is_equivalent(flux):
        told = f"in {flux}" if str(flux) else "without a unit"
        warn(
            f"{where}: the error's unit {unit} does not fit the flux {told}: the numbers are "
            f"taken as {wanted if str(wanted) else 'of the same kind as the flux'}"
        )
    return None


def _native(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values)
    kind = values.dtype.kind
    if kind == "f" and values.dtype.itemsize in (4, 8):
        return values.astype(values.dtype.newbyteorder("="), copy=False)
    return values.astype(np.float64)


def _roles(names: list[str], units: Mapping[str, Any], header: Any, where: str) -> _Known:
    roles = find_roles(names)
    if roles.wave is None or roles.flux is None:
        missing = "wavelengths" if roles.wave is None else "fluxes"
        raise ValueError(
            f"{where}: no column of {missing} by name; it has {', '.join(names[:12])}"
            f"{', ...' if names[12:] else ''}. Rename the columns (wavelength, flux, error or "
            "ivar, mask), or pass them to spectok.encode_arrays"
        )
    # JWST: surface brightness of what is extended, flux of what is not.
    if str(header.get("SRCTYPE", "")).upper() == "EXTENDED":
        bright = find_roles([n for n in names if n.upper() not in ("FLUX", "FLUX_ERROR")])
        if bright.flux is not None and bright.flux.upper() == "SURF_BRIGHT":
            roles = bright
    return _Known(**vars(roles))


def _used(roles: Roles) -> dict[str, str]:
    used = {"wave": roles.wave, "flux": roles.flux, "error": roles.error, "mask": roles.mask}
    return {key: name for key, name in used.items() if name is not None}


def _warn_of_unused(roles: _Known, names: list[str], units: Mapping[str, Any], where: str) -> None:
    """Without an error by name, columns in the flux's unit are not taken for one in silence."""
    if roles.error is not None:
        return
    known = set(_used(roles).values()) | {roles.name}
    unit = str(units.get(roles.flux) or "")
    others = [
        n for n in names
        if n not in known and (str(units.get(n) or "") == unit and unit or _MAY_BE_ERROR.search(n))
    ]  # fmt: skip
    if others:
        warn(
            f"{where}: no column is named as an error; {', '.join(others)} "
            f"{'is' if len(others) == 1 else 'are'} not taken for one"
        )


def _column_medium(name: str, header: Any) -> str | None:
    lower = name.lower()
    if "awav" in lower or "air" in lower:
        return "air"
    if "vac" in lower:
        return "vacuum"
    return text_medium(name) or header_medium(header)


def _ndim(values: Any) -> int:
    """1 for numbers, 2 for arrays in cells."""
    values = np.asarray(values) if not isinstance(values, np.ndarray) else values
    if values.dtype == object and values.ndim == 1 and len(values):
        return 1 + np.ndim(values[0])
    return values.ndim


def _from_start(table: Mapping[str, Any], start: Any, n_pixels: int, where: str) -> np.ndarray:
    """IUE's low dispersion: first wavelength and step in two columns of numbers."""
    step = next((table[n] for n in table if n.upper() in ("DELTAW", "DWAVE", "WSTEP")), None)
    if step is None:
        raise ValueError(f"{where}: one wavelength for each row of {n_pixels} fluxes; no spectrum")
    return np.asarray(start)[:, None] + np.asarray(step)[:, None] * np.arange(n_pixels)
