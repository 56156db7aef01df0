"""Files of light curves for the command: read, and what is decoded from their tokens written."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spectok._table_files import first_table, read_table

if TYPE_CHECKING:
    from astropy.table import QTable

__all__ = ["decode_long", "read_curves"]

_TABLES = (".ecsv", ".parquet", ".hdf5", ".h5")
_MISSIONS = {"KEPLER": "kepler.fits", "TESS": "tess.fits"}


def read_curves(path: Path, first: tuple[str, list[str]] | None = None) -> Any:
    """The light curves of a file, or None where it holds something else.

    ``first`` is what `first_table` says of the file, where that is known.

    Known are tables (FITS, ECSV, Parquet, HDF5, CSV) with times and fluxes, and the light curve
    files of Kepler and TESS, of which points with a quality flag are left out.
    """
    from spectok._convert import is_curve

    suffix = path.suffix.lower()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if suffix == ".csv":
                from astropy.table import QTable

                table = QTable.read(path, format="ascii.csv")
            elif suffix in _TABLES:
                table = read_table(path)
            elif suffix == ".fits":
                table = _of_fits(path, *(first or first_table(path)))
            else:
                return None
    # What a file is that holds no table of light curves, or one of a mission that astropy cannot
    # read, its reader of spectra says, with the reason.
    except (OSError, ValueError, KeyError, NotImplementedError):
        return None
    return table if table is not None and is_curve(table) else None


def _of_fits(path: Path, mission: str, names: list[str]) -> Any:
    """A table of FITS that has times and fluxes, or None; by its headers."""
    from astropy.timeseries import TimeSeries

    mission, first = mission.upper(), {name.lower() for name in names}
    if mission in _MISSIONS and "pdcsap_flux" in first:
        table = TimeSeries.read(path, format=_MISSIONS[mission])
        table.meta.setdefault("MISSION", "TESS" if mission == "TESS" else "Kepler")
        for name in ("quality", "sap_quality"):
            if name in table.colnames:  # the mission's own flags: zero is good
                table = table[np.asarray(table[name]) == 0]
        return table
    if "flux" in first and first & {"time", "mjd", "jd", "bjd", "hjd"}:
        return read_table(path)
    return None


def decode_long(tokens: QTable, days: np.ndarray, band: Any, model: Any, device: Any) -> QTable:
    """Light curves decoded at the same days, one row for each object and time that is covered."""
    from astropy import units as u
    from astropy.table import QTable

    from spectok._codec import decode

    found = decode(tokens, days * u.d, band=band, model=model, device=device)
    found = found if isinstance(found, list) else [found]
    parts: dict[str, list[Any]] = {name: [] for name in ("time", "band", "flux", "flux_err")}
    names: list[str] = []
    for one in found:
        some = ~np.asarray(one["mask"])
        names += [one.meta["object_id"]] * int(some.sum())
        for name, column in parts.items():
            column.append((days * u.d if name == "time" else one[name])[some])
    return QTable(
        {"object_id": names, **{k: np.concatenate(column) for k, column in parts.items()}}
    )
