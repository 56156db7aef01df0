"""Light curves of any kind to rows of numbers: days, effective wavelengths, fluxes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from astropy.table import Table
from astropy.time import Time

from spectok._convert._filters import filter_wavelengths
from spectok._convert._masks import own_mask
from spectok._convert._names import identifiers, mapping_of
from spectok._convert._photometry import CurveUnit, noise_of, photometry
from spectok._convert._refusals import Refusals
from spectok._convert._rows import Rows
from spectok._convert._times import Clockwork, to_days
from spectok._convert._wavelength import NoDataError
from spectok._flags import TokenFlag

__all__ = ["curve_count", "curve_name", "is_curve", "stream_curve_arrays", "stream_curves"]

# What columns are called where nobody says so; the first that is there is taken.
_USUAL = {
    "object_id": ("object_id", "objectid", "object", "oid", "id", "SNID"),
    "time": ("time", "mjd", "MJD", "jd", "bjd", "hjd", "t"),
    "flux": ("flux", "pdcsap_flux", "sap_flux", "FLUXCAL", "mag", "magnitude"),
    "error": ("error", "flux_err", "flux_error", "fluxerr", "FLUXCALERR", "sigma", "mag_err",
              "magerr", "mag_error", "uncertainty"),
    "band": ("band", "filter", "passband", "bandpass", "FLT"),
}  # fmt: skip
_MISSIONS = {"TESS": "TESS", "Kepler": "Kepler", "K2": "K2"}


def is_curve(value: Any) -> bool:
    """Whether this is a light curve or a table of them: it has times and fluxes, and no tokens."""
    if hasattr(value, "spectral_axis"):
        return False
    names = _columns(value)
    if names is None or "token" in names:
        return False
    timed = isinstance(getattr(value, "time", None), Time)
    return timed or ("flux" in names and any(name in names for name in _USUAL["time"]))


def curve_name(table: Any) -> Any:
    """What a table calls its one light curve, or ""; None where it has a column of names."""
    if any(name in table.colnames for name in _USUAL["object_id"]):
        return None
    return _name_in(mapping_of(table.meta)) or ""


def _name_in(meta: Mapping[str, Any]) -> Any:
    return next((meta[k] for k in ("object_id", "OBJECT", "LABEL") if meta.get(k)), None)


def curve_count(curves: Any) -> int | None:
    """Number of light curves, where it can be told without reading them."""
    return len(curves) if isinstance(curves, (list, tuple)) else None


def stream_curves(
    curves: Any,
    *,
    columns: Mapping[str, str] | None = None,
    bands: Mapping[str, Any] | None = None,
    zero_point: float | None = None,
    keep: Sequence[str] = (),
    errors: str = "raise",
) -> Iterator[Rows]:
    """Light curves to rows of numbers, one object at a time.

    Parameters
    ----------
    curves : `~astropy.timeseries.TimeSeries`, table, or iterable of them
        With a column of identifiers a table holds many objects; otherwise it is one.
    columns : mapping of str to str, optional
        What the columns ``object_id``, ``time``, ``flux``, ``error`` and ``band`` are called.
    bands : mapping, optional
        More names of filters, see `filter_wavelengths`.
    zero_point : float, optional
        Of magnitudes without a system.
    keep : sequence of str
        Keys of ``meta`` to keep, or columns of which each object has one value.
    errors : str
        As for `~spectok._convert.stream_spectra`.

    Yields
    ------
    rows : `Rows`
        Of one object each.

    Raises
    ------
    TypeError
        For what is no light curve.
    ValueError
        For columns that are not there, and as `filter_wavelengths`, `to_days`, `photometry`.
    """
    unknown = [name for name in columns or {} if name not in _USUAL]
    if unknown:
        raise ValueError(f"columns may name {', '.join(_USUAL)}, not {', '.join(unknown)}")
    reader = _Reader(columns, bands, zero_point, keep, errors)
    members: Iterable[Any] = [curves] if _columns(curves) is not None else curves
    if isinstance(curves, (str, bytes, np.ndarray)) or not isinstance(members, Iterable):
        raise TypeError(
            f"expected a TimeSeries, a table of light curves or an iterable of them, got "
            f"{type(curves).__name__}; plain arrays go to spectok.encode_arrays"
        )
    return reader.all_of(members)


def stream_curve_arrays(
    time: Any,
    flux: Any,
    ivar: Any = None,
    mask: Any = None,
    band: Any = None,
    *,
    bands: Mapping[str, Any] | None = None,
    zero_point: float | None = None,
    errors: str = "raise",
) -> Iterator[Rows]:
    """The same for plain arrays: one light curve (L,), or lists of N of them.

    Parameters
    ----------
    time, flux, ivar, mask, band : array, `~astropy.units.Quantity`, or list of N of them
        One row for each point; ``mask`` True = bad; ``time`` may be a
        `~astropy.time.Time`. One time axis serves all rows of fluxes of shape (N, L), and one
        band all light curves.
    bands, zero_point, errors : as for `stream_curves`
        What they are there.

    Yields
    ------
    rows : `Rows`
        Of one object each.

    Raises
    ------
    ValueError
        As `stream_curves`, and where there is no band or shapes do not fit.
    """
    if band is None:
        raise ValueError(
            "light curves need band=: the filter's name (such as 'r' or 'TESS') or effective "
            "wavelength, one for all points or one for each"
        )
    several = isinstance(flux, (list, tuple)) and any(np.ndim(row) == 1 for row in flux)
    several |= not isinstance(flux, (list, tuple)) and np.ndim(flux) == 2
    number = len(flux) if several else 1

    def row(values: Any, k: int, name: str) -> Any:
        if not several or values is None:
            return values
        listed = isinstance(values, (list, tuple)) and len(values) and np.ndim(values[0]) >= 1
        if not (listed or np.ndim(values) == 2):
            return values  # one for all
        if len(values) != number:
            raise ValueError(f"{name} has {len(values)} rows for {number} light curves")
        return values[k]

    reader = _Reader(None, bands, zero_point, (), errors)
    given = {"time": time, "flux": flux, "ivar": ivar, "mask": mask, "band": band}

    def member(k: int, where: str) -> Rows:
        return reader.make(
            **{name: row(values, k, name) for name, values in given.items()}, where=where
        )

    def members() -> Iterator[Callable[[str], Rows]]:
        for k in range(number):
            yield partial(member, k)

    return reader.guarded(members())


class _Reader:
    """Reads one light curve after the other; the first fixes the flux unit and the clock."""

    def __init__(
        self,
        columns: Mapping[str, str] | None,
        bands: Mapping[str, Any] | None,
        zero_point: float | None,
        keep: Sequence[str],
        errors: str,
    ) -> None:
        self.columns, self.bands, self.zero_point = dict(columns or {}), bands, zero_point
        self.keep, self.refusals = keep, Refusals(errors)
        self.unit: CurveUnit | None = None
        self.clockwork: Clockwork | None = None

    def guarded(self, members: Iterable[Callable[[str], Rows]]) -> Iterator[Rows]:
        """Rows of light curves; those that cannot be used are refused or raise."""
        for number, make in enumerate(members):
            where = f"light curve {number}"
            try:
                rows = make(where)
            except Exception as error:
                self.refusals.note(error)
                yield Rows.refused(1, error, where)
                continue
            self.refusals.usable = True
            yield rows
        self.refusals.check()

    def all_of(self, members: Iterable[Any]) -> Iterator[Rows]:
        """Rows of every object of every table."""
        return self.guarded(one for table in members for one in self._objects(table))

    def _objects(self, table: Any) -> Iterator[Callable[[str], Rows]]:
        """Each object of a table, as something that makes its rows."""
        if _columns(table) is None:
            kind = type(table).__name__
            fault = TypeError(f"expected a light curve (a TimeSeries or a table), got {kind}")

            def refuse(where: str) -> Rows:
                raise fault

            yield refuse
            return
        if not isinstance(table, Table) and hasattr(table, "to_records"):
            table = Table.from_pandas(table)
        key = self._named("object_id", table)
        names = None if key is None else np.ma.getdata(np.asarray(table[key]))
        if names is None or not len(names):
            yield lambda where: self._read(table, None, where)
            return
        _, first, which = np.unique(names, return_index=True, return_inverse=True)
        order = np.argsort(which, kind="stable")
        parts = np.split(order, np.cumsum(np.bincount(which))[:-1])
        for k in np.argsort(first):  # as they come in the table
            rows = np.sort(parts[k])
            yield partial(self._read, table[rows], names[rows[0]])

    def _read(self, table: Any, name: Any, where: str) -> Rows:
        meta = mapping_of(getattr(table, "meta", None))
        found = {key: self._named(key, table) for key in ("time", "flux", "error", "band")}
        time = getattr(table, "time", None) if "time" not in self.columns else None
        if not isinstance(time, Time):
            time = table[self._needed(found["time"], "time", table, where)]
        flux = table[self._needed(found["flux"], "flux", table, where)]
        beside = f"{found['flux']}_err"
        if "error" not in self.columns and beside in table.colnames:
            found["error"] = beside
        error = None if found["error"] is None else table[found["error"]]
        if found["band"] is not None:
            band = table[found["band"]]
        else:
            band = meta.get("band") or meta.get("filter")
            band = band or _MISSIONS.get(str(meta.get("MISSION") or meta.get("TELESCOP")))
            if band is None:
                self._needed(None, "band", table, where)
        if name is None:
            name = _name_in(meta)
        kept = {}
        for key in self.keep:
            value = meta.get(key)
            if value is None and key in table.colnames and len(table):
                value = table[key][0]
            kept[key] = [None if value is np.ma.masked else value]
        return self.make(
            time, flux, None, None, band, where, error=error,
            name=None if name is None else identifiers([name]), kept=kept,
        )  # fmt: skip

    def make(
        self,
        time: Any,
        flux: Any,
        ivar: Any,
        mask: Any,
        band: Any,
        where: str,
        *,
        error: Any = None,
        name: list[Any] | None = None,
        kept: dict[str, list[Any]] | None = None,
    ) -> Rows:
        """Rows of one light curve, sorted by band and, within each, by time."""
        days, clockwork = to_days(time, where)
        if days.ndim != 1 or np.shape(flux) != days.shape:
            raise ValueError(
                f"{where}: times of shape {days.shape} for fluxes of shape {np.shape(flux)}: give "
                "one time for each point"
            )
        for what, values in (("ivar", ivar), ("mask", mask)):
            if values is not None and np.shape(values) != days.shape:
                raise ValueError(
                    f"{where}: {what} of shape {np.shape(values)} for {days.size} points: give "
                    "one for each"
                )
        if not np.isfinite(days).any():
            raise NoDataError(f"{where}: it has no point with a finite time")
        if self.clockwork is not None and clockwork.scale != self.clockwork.scale:
            names = [one.scale or "none" for one in (self.clockwork, clockwork)]
            raise ValueError(
                f"{where}: its time scale is {names[1]}, that of others {names[0]}: bring all to "
                "one, such as time.tdb"
            )
        if ivar is not None:
            ivar = np.asarray(ivar, np.float64) if isinstance(ivar, (list, tuple)) else ivar
            with np.errstate(divide="ignore", invalid="ignore"):
                error = ivar**-0.5
        wavelength = filter_wavelengths(band, days.size, where, self.bands)
        flux, sigma, bad, unit = photometry(
            flux, error, wavelength, self.unit, self.zero_point, where
        )
        if mask is not None:
            bad = bad | (np.asarray(mask) != 0)
        for values in (time, band):
            own = own_mask(values)
            bad = bad if own is None or own.shape != bad.shape else bad | own
        # A point without a time has no place at all.
        order = np.lexsort((days, wavelength))
        order = order[np.isfinite(days[order])]
        days, wavelength, flux, bad = (one[order] for one in (days, wavelength, flux, bad))
        valid = np.isfinite(flux) & ~bad
        flags = TokenFlag(0)
        if sigma is None:
            flags |= TokenFlag.NOISE_ESTIMATED
            sigma = noise_of(flux, wavelength, valid)
        else:
            sigma = sigma[order]
        valid &= np.isfinite(sigma) & (sigma > 0)
        self.unit, self.clockwork = unit, self.clockwork or clockwork
        table_unit: Any = unit  # what a table asks of it a unit of curves has
        return Rows(
            days, flux[None], sigma[None], valid[None], np.array([int(flags)]), name, where,
            table_unit, kept or {}, band=wavelength, clockwork=self.clockwork,
        )  # fmt: skip

    def _named(self, key: str, table: Any) -> str | None:
        """The column that has this, or None."""
        names = table.colnames
        if key in self.columns:
            wanted = self.columns[key]
            if wanted not in names:
                raise ValueError(
                    f"columns: there is no column {wanted!r} for {key}; there are "
                    f"{', '.join(names)}"
                )
            return wanted
        return next((name for name in _USUAL[key] if name in names), None)

    def _needed(self, name: str | None, key: str, table: Any, where: str) -> str:
        if name is None:
            raise ValueError(
                f"{where}: it has no {key} under a usual name; its columns are "
                f"{', '.join(table.colnames)}: say columns={{{key!r}: NAME}}"
                + (", or meta['band']" if key == "band" else "")
            )
        return name


def _columns(value: Any) -> list[str] | None:
    """Names of a table's columns, of astropy or pandas; None where it is none."""
    if isinstance(value, Table):
        return list(value.colnames)
    if hasattr(value, "to_records") and hasattr(value, "columns"):
        return [str(name) for name in value.columns]
    return None
