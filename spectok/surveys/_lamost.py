"""LAMOST's spectra: low resolution of both generations, medium resolution with its exposures.

https://www.lamost.org/dr8/v1.0/doc/lr-data-production-description and the page of the medium
resolution beside it. Wavelengths are in vacuum, fluxes relative.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy import units as u
from specutils import Spectrum

from ._fits import build, known, native
from ._missing import broken
from ._quality import LAMOST_BITS
from ._table import FitsTable, is_table

__all__ = ["is_lamost", "read_lamost"]


def is_lamost(hdus: Any) -> bool:
    """Tell whether open HDUs are a spectrum of LAMOST."""
    header = hdus[0].header
    if (
        str(header.get("TELESCOP", "")).upper() != "LAMOST"
        and "LAMOST" not in str(header.get("ORIGIN", "")).upper()
    ):
        if not ("OBSID" in header and "SPID" in header and "PLANID" in header):
            return False
    if len(hdus[0].shape) == 2 and hdus[0].shape[0] >= 5:
        return "COEFF0" in header and "COEFF1" in header
    return any(map(_is_spectrum, hdus[1:]))


def _is_spectrum(hdu: Any) -> bool:
    if not is_table(hdu):
        return False
    table = FitsTable(hdu)
    return table.has(("FLUX", "IVAR")) and ("WAVELENGTH" in table or "LOGLAM" in table)


def read_lamost(hdus: Any, name: str) -> list[Spectrum]:
    """Read the coadded spectrum, or, of medium resolution, the coadded blue and red arms.

    Single exposures (``B-...``, ``R-...``) are read where there is no coadded spectrum.
    """
    header = hdus[0].header
    label = known(
        {
            "class": header.get("CLASS"),
            "subclass": header.get("SUBCLASS"),
            "z": header.get("Z"),
            "z_err": header.get("Z_ERR"),
        }
    )
    meta = {
        "survey": "LAMOST",
        "medium": "vacuum" if header.get("VACUUM", True) in (True, "T", 1) else "air",
        "object_id": str(header.get("OBSID", name)),
        "label": label,
        **known({"ra": header.get("RA"), "dec": header.get("DEC")}),
    }
    if len(hdus[0].shape) == 2:
        # Rows of DR1 to DR7: flux, inverse variance, wavelength, AND mask, OR mask.
        data = native(hdus[0].data)
        wavelength = 10.0 ** (header["COEFF0"] + header["COEFF1"] * np.arange(data.shape[1]))
        return [_build(wavelength, data[0], data[1], data[3], meta)]
    tables = [hdu for hdu in hdus[1:] if _is_spectrum(hdu)]
    coadds = [hdu for hdu in tables if hdu.name.upper().startswith("COADD")] or tables
    out = []
    for hdu in coadds:
        table = FitsTable(hdu)
        column = {key: np.ravel(table[key]) for key in ("FLUX", "IVAR")}
        if "WAVELENGTH" in table:
            wavelength = native(np.ravel(table["WAVELENGTH"]))
        else:
            wavelength = 10.0 ** native(np.ravel(table["LOGLAM"]))
        mask = next((np.ravel(table[n]) for n in ("ANDMASK", "PIXMASK") if n in table), None)
        own = dict(meta)
        if len(coadds) > 1:
            own["arm"] = hdu.name.removeprefix("COADD_")
        out.append(_build(wavelength, column["FLUX"], column["IVAR"], mask, own))
    return out


def _build(wavelength: Any, flux: Any, ivar: Any, mask: Any, meta: dict) -> Spectrum:
    bad = np.zeros(len(flux), bool) if mask is None else broken(native(mask), LAMOST_BITS)
    return build(wavelength, flux, ivar, bad, unit=u.dimensionless_unscaled, meta=meta)
