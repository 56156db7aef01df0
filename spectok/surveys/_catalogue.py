"""Search of the SDSS catalogue for the spectra that were asked for."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
from astropy.coordinates import Angle, SkyCoord
from astropy.table import Row, Table

from ._failures import Failure, Unusable, explain

__all__ = ["Archive", "Wanted", "look_up", "search", "wanted"]

# SkyServer takes 60 requests a minute, so many rows go into each; but a query
# by numbers is part of an address, which may have some 2,000 characters.
ROWS_PER_QUERY, PLACES_PER_QUERY = 20, 100

_PLATE = {"plate": ("plate", "plateid"), "mjd": ("mjd",), "fiberID": ("fiberid", "fiber")}
_FIELD = {"fieldID": ("fieldid", "field"), "mjd": ("mjd",), "catalogID": ("catalogid",)}
_COLUMNS, _PLACE = ("plate", "mjd", "fiberid", "run2d"), ("ra", "dec")
_ROUNDING = Angle("0.01 arcsec")


class Wanted(NamedTuple):
    """One spectrum: its row in the request, and astroquery's columns for it."""

    row: int
    keys: dict[str, int]
    run2d: str | None = None

    @property
    def name(self) -> str:
        """As in the file's name: plate-mjd-fibre, or field-mjd-catalogue number."""
        widths = {"plate": 4, "fiberID": 4, "fieldID": 4, "catalogID": 11}
        return "-".join(f"{value:0{widths.get(key, 0)}d}" for key, value in self.keys.items())


class Archive(NamedTuple):
    """Where to ask: a client of astroquery, and what goes with every request."""

    client: Any
    release: int
    timeout: float
    cache: bool

    @property
    def options(self) -> dict[str, Any]:
        """Keywords that all methods of the client take."""
        return {"data_release": self.release, "timeout": self.timeout, "cache": self.cache}


def wanted(target: Any, mjd: Any, fiber: Any) -> list[Wanted]:
    """Rows of a table, or of plate numbers with mjd and fibre, checked.

    Raises
    ------
    TypeError, ValueError
        For what is neither, and for numbers that are none; the message names the row.
    """
    run2d: list[str | None] | None = None
    if isinstance(target, Row):
        target = Table(target)
    if isinstance(target, Table):
        if mjd is not None or fiber is not None:
            raise TypeError("a table has its own mjd and fiberID: pass the table alone")
        columns, run2d = _columns(target)
    elif isinstance(target, str | SkyCoord) or mjd is None or fiber is None:
        raise TypeError(
            f"cannot fetch {type(target).__name__} {target!r:.60} with mjd={mjd!r:.20} and "
            f"fiber={fiber!r:.20}: pass a SkyCoord alone, a Table alone (plate, mjd, fiberID), "
            "or a plate number with mjd and fiber"
        )
    else:
        try:
            parts = np.broadcast_arrays(target, mjd, fiber)
        except ValueError as error:
            raise ValueError(
                f"plate, mjd and fiber have lengths that do not fit: {error}"
            ) from error
        columns = {key: part.ravel() for key, part in zip(_PLATE, parts, strict=True)}
    numbers = {key: _integers(key, values) for key, values in columns.items()}
    n_rows = len(numbers["mjd"])
    if not n_rows:
        raise ValueError("the request has no rows: there is nothing to fetch")
    keys = [{key: values[i] for key, values in numbers.items()} for i in range(n_rows)]
    return [Wanted(i, keys[i], run2d[i] if run2d else None) for i in range(n_rows)]


def _columns(table: Table) -> tuple[dict[str, Any], list[str | None] | None]:
    own = {name.lower(): name for name in table.colnames}
    for names in (_PLATE, _FIELD):
        found = {k: next((own[n] for n in nick if n in own), None) for k, nick in names.items()}
        if None not in found.values():
            break
    else:
        raise ValueError(
            "the table needs the columns plate, mjd and fiberID (or fieldID, mjd, catalogID and "
            f"run2d of SDSS-V), in any case; it has {', '.join(table.colnames) or 'none'}. For "
            "places on the sky pass a SkyCoord"
        )
    run2d = [_text(value) for value in table[own["run2d"]]] if "run2d" in own else None
    if "catalogID" in found and (run2d is None or None in run2d):
        raise ValueError(
            "rows with fieldID and catalogID need a run2d each (v6_0_4, ...), which no "
            "catalogue query finds: add that column"
        )
    return {key: table[name] for key, name in found.items()}, run2d


def _text(value: Any) -> str | None:
    """A run2d as text, whatever a table made of it; None where there is none."""
    if np.ma.is_masked(value):
        return None
    value = value.decode() if isinstance(value, bytes) else value
    return str(value).strip() or None


def _integers(name: str, values: Any) -> list[int]:
    values = np.ma.atleast_1d(values)
    for i, value in enumerate(values):
        with suppress(TypeError, ValueError, OverflowError):
            if not np.ma.is_masked(value) and int(value) == float(value) and int(value) > 0:
                continue
        raise ValueError(f"row {i}: {name} must be a positive whole number, it is {value!r}")
    return [int(value) for value in values]


def look_up(
    rows: Sequence[Wanted], archive: Archive, tick: Callable[[int], Any]
) -> tuple[list[Wanted], list[Failure]]:
    """Find the reduction (run2d) of rows that do not name it: it is part of the path."""
    found, failures = [row for row in rows if row.run2d], []
    for some in _parts([row for row in rows if not row.run2d], ROWS_PER_QUERY):
        plates: dict[tuple[int, int], set[int]] = {}
        for row in some:
            plates.setdefault((row.keys["plate"], row.keys["mjd"]), set()).add(row.keys["fiberID"])
        where = " OR ".join(
            f"(plate={plate} AND mjd={mjd} AND fiberID IN ({','.join(map(str, sorted(fibers)))}))"
            for (plate, mjd), fibers in plates.items()
        )
        sql = f"SELECT plate, mjd, fiberID, run2d FROM SpecObjAll WHERE {where}"
        answer = _ask(archive, _COLUMNS, archive.client.query_sql, sql)
        for row in some:
            same = (
                []
                if isinstance(answer, Failure)
                else [entry for entry in answer if entry.keys == row.keys]
            )
            found += [row._replace(run2d=entry.run2d) for entry in same]
            if not same:
                failures.append(_missing(answer, row.row, row.name, archive, "plate, mjd, fiber"))
        tick(len(some))
    return found, failures


def search(
    places: SkyCoord, radius: Angle, archive: Archive, tick: Callable[[int], Any]
) -> tuple[list[Wanted], list[Failure]]:
    """Find all spectra within a radius of each place, the nearest first."""
    places = places.icrs.ravel()
    bad = np.flatnonzero(~(np.isfinite(places.ra) & np.isfinite(places.dec)))
    if bad.size:
        raise ValueError(f"row {bad[0]}: the place is not finite; leave such rows out")
    found: list[Wanted] = []
    failures: list[Failure] = []
    for numbers in _parts(range(len(places)), PLACES_PER_QUERY):
        some = places[list(numbers)]
        query, columns = archive.client.query_region, _COLUMNS + _PLACE
        answer = _ask(archive, columns, query, some, radius=radius, spectro=True)
        entries = [] if isinstance(answer, Failure) else answer
        there = SkyCoord([e.ra for e in entries], [e.dec for e in entries], unit="deg")
        for row, place in zip(numbers, some, strict=True):
            # The answer does not say which place an entry belongs to.
            distance = place.separation(there)
            near = [i for i in np.argsort(distance) if distance[i] <= radius + _ROUNDING]
            same = list(dict.fromkeys((*entries[i].keys.values(), entries[i].run2d) for i in near))
            for *values, run2d in same:
                found.append(Wanted(row, dict(zip(_PLATE, values, strict=True)), run2d))
            if not same:
                name = f"ra {place.ra.deg:.5f}, dec {place.dec.deg:+.5f}"
                what = f"place and its radius ({radius.arcsec:g} arcsec)"
                failures.append(_missing(answer, row, name, archive, what))
        tick(len(numbers))
    return found, failures


def _parts(items: Sequence, size: int) -> Iterator[Sequence]:
    return (items[i : i + size] for i in range(0, len(items), size))


class _Entry(NamedTuple):
    keys: dict[str, int]
    run2d: str | None
    ra: float
    dec: float


def _missing(
    answer: list[_Entry] | Failure, row: int, name: str, archive: Archive, what: str
) -> Failure:
    if isinstance(answer, Failure):
        return answer._replace(row=row, name=name)
    return Failure(
        f"the catalogue of DR{archive.release} has no spectrum there",
        f"check {what}, or try another data_release",
        row,
        name,
        absent=True,
    )


def _ask(
    archive: Archive, columns: Sequence[str], query: Callable, *args: Any, **keywords: Any
) -> list[_Entry] | Failure:
    """Entries of the catalogue that fit a query, or the failure to get them."""
    import requests

    client = archive.client
    before = getattr(client, "_last_query", None)
    try:
        with warnings.catch_warnings():
            # It fetches the names of all columns too, which serve nothing here.
            warnings.filterwarnings("ignore", "Field info are not available")
            table = query(*args, **keywords, **archive.options)
        return [] if table is None else _entries(table, columns)
    except Exception as error:  # pages of a server in trouble are parsed as CSV
        told = error if isinstance(error, requests.RequestException) else None
        last: Any = getattr(client, "_last_query", None)
        if archive.cache and last is not before and (told is None or told.response is not None):
            # astroquery keeps any answer that it got for a week, an error page as well.
            with suppress(FileNotFoundError):
                last.remove_cache_file(client.cache_location)
        return explain(told or Unusable(_what_came(error)), archive.timeout)


def _what_came(error: Exception) -> str:
    # A page of one line is taken for the name of a file.
    return str(getattr(error, "filename", error))


def _entries(table: Table, columns: Sequence[str]) -> list[_Entry]:
    names = {name.lower(): name for name in table.colnames}
    if any("no objects have been found" in name for name in names):
        return []
    if not set(columns) <= set(names):
        raise Unusable(f"columns {', '.join(table.colnames)!r:.80}")
    entries = []
    for line in table:
        plate, mjd, fiber = (int(line[names[name]]) for name in _COLUMNS[:3])
        ra, dec = (float(line[names[n]]) if n in columns else np.nan for n in _PLACE)
        keys = {"plate": plate, "mjd": mjd, "fiberID": fiber}
        entries.append(_Entry(keys, _text(line[names["run2d"]]), ra, dec))
    return entries
