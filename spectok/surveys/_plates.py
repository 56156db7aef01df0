"""SDSS's image files: ``spSpec`` of DR1 to DR7, one fibre a file, and ``spPlate``, a plate a file.

Both hold the logarithmic grid in the header: ``COEFF0 + COEFF1 * pixel``, pixels from zero.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from specutils import Spectrum

from ._fits import FLUX_UNIT, build, known, native, row_values, scalar
from ._missing import broken
from ._spec import BAD_BITS
from ._table import FitsTable, is_table

__all__ = ["read_sp_plate", "read_sp_spec"]

# SPEC_CLN of spSpec headers (https://classic.sdss.org/dr7/dm/flatFiles/spSpec.php).
_CLASSES = {1: "STAR", 2: "GALAXY", 3: "QSO", 4: "QSO", 6: "STAR", 7: "GALAXY"}


def _grid(header: Any, n_pixels: int) -> np.ndarray:
    """Vacuum wavelengths in Angstrom."""
    return 10.0 ** (header["COEFF0"] + header["COEFF1"] * np.arange(n_pixels))


def read_sp_spec(path: Path, hdus: Any) -> Spectrum:
    """Read a ``spSpec`` file: rows of flux, flux less continuum, error and mask."""
    header, data = hdus[0].header, native(hdus[0].data)
    flux, error = data[0], data[2]
    ivar = np.divide(1.0, error**2, out=np.zeros(error.shape), where=error > 0)
    bad = broken(data[3], BAD_BITS) if len(data) > 3 else np.zeros(flux.shape, bool)
    numbers = [int(header[card]) for card in ("PLATEID", "MJD", "FIBERID")]
    label = known(
        {
            "class": _CLASSES.get(header.get("SPEC_CLN")),
            "z": header.get("Z"),
            "z_err": header.get("Z_ERR"),
            "zwarning": header.get("Z_WARNIN"),
            "sn_median": header.get("SN_R"),
        }
    )
    place = known({"ra": header.get("RAOBJ"), "dec": header.get("DECOBJ")})
    meta = {
        "survey": "SDSS",
        "medium": "vacuum",
        "frame": "heliocentric",
        "object_id": "{:04d}-{}-{:04d}".format(*numbers),
        "label": label,
        **place,
    }
    if len(data) > 4:
        meta["model"] = data[4]
    return build(_grid(header, flux.size), flux, ivar, bad, unit=FLUX_UNIT, meta=meta)


def read_sp_plate(path: Path, hdus: Any) -> Spectrum:
    """Read an ``spPlate`` file: all fibres of a plate, on one grid."""
    header = hdus[0].header
    flux, ivar = native(hdus[0].data), native(hdus[1].data)
    plate, mjd = int(header["PLATEID"]), int(header["MJD"])
    fibers = np.arange(1, len(flux) + 1)
    meta: dict[str, Any] = {"survey": "SDSS", "medium": "vacuum", "frame": "heliocentric"}
    plugmap = next((hdu for hdu in hdus[4:] if is_table(hdu)), None)
    if plugmap is not None and FitsTable(plugmap).n_rows == len(flux):
        table = FitsTable(plugmap)
        if "FIBERID" in table:
            fibers = table["FIBERID"].astype(int)
        if table.has(("RA", "DEC")):
            meta["ra"], meta["dec"] = table["RA"].tolist(), table["DEC"].tolist()
        if "OBJTYPE" in table:
            rows = range(len(flux))
            objtype = [row_values(table, {"it": "OBJTYPE"}, row)["it"] for row in rows]
            meta["label"] = {"objtype": [scalar(value) for value in objtype]}
    meta["object_id"] = [f"{plate:04d}-{mjd}-{fiber:04d}" for fiber in fibers]
    meta.setdefault("label", {})
    return build(
        _grid(header, flux.shape[-1]),
        flux,
        ivar,
        broken(native(hdus[2].data, np.int64), BAD_BITS),
        unit=FLUX_UNIT,
        meta=meta,
    )
