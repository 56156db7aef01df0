"""SDSS-V's Milky Way Mapper: ``mwmStar`` and ``mwmVisit`` files, written by its Astra.

A file has one table per instrument (BOSS, APOGEE) and observatory, many of them
empty; a row is the stack of a star (``mwmStar``) or one visit (``mwmVisit``).
specutils has a loader for both. It is right about wavelengths and fluxes, which
the tests compare, but takes any pixel flag for a bad pixel, gives the inverse
variance no unit, and refuses files of which the checksum was removed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from specutils import Spectrum, SpectrumList

from ._fits import FLUX_UNIT, build, known, native, row_values, scalar
from ._kinds import is_mwm_table
from ._missing import broken
from ._table import FitsTable

__all__ = ["read"]

_LABELS = {
    name: name
    for name in (
        "v_rad",
        "e_v_rad",
        "snr",
        "xcsao_v_rad",
        "xcsao_teff",
        "xcsao_logg",
        "xcsao_fe_h",
        "doppler_teff",
        "doppler_logg",
        "doppler_fe_h",
    )
}


def read(path: Path, hdus, apogee_bits: Mapping[str, int]) -> SpectrumList:
    """Read what has rows, in the file's order: BOSS before APOGEE, north before south.

    Raises
    ------
    ValueError
        If every table is empty.
    """
    spectra = [
        _read_table(hdus[0].header, hdu, apogee_bits)
        for hdu in hdus[1:]
        if is_mwm_table(hdu) and FitsTable(hdu).n_rows
    ]
    if not spectra:
        raise ValueError(
            f"{path}: every table of this mwm file is empty: the star has no spectrum that its "
            "pipeline accepted; read the mwmVisit file beside it, or the spec and apStar files"
        )
    return SpectrumList(spectra)


def _read_table(primary, hdu, apogee_bits: Mapping[str, int]) -> Spectrum:
    """Make one spectrum, with a row per visit, of one table."""
    table, header = FitsTable(hdu), hdu.header
    if "wavelength" in table:
        wavelength = native(table["wavelength"][0])
    else:
        pixel = np.arange(header["NPIXELS"]) + 1.0 - header.get("CRPIX", 1)
        wavelength = 10.0 ** (header["CRVAL"] + header["CDELT"] * pixel)
    flux = native(table["flux"]).reshape(table.n_rows, -1)
    ivar = native(table["ivar"]).reshape(flux.shape)
    instrument = scalar(header.get("INSTRMNT", "")) or hdu.name.split("/")[0]
    bad = np.zeros(flux.shape, bool)
    if instrument == "APOGEE":
        # The bits of apStar files. BOSS's come from the OR mask, which says nothing
        # about the coadded pixel (see sdss.BAD_BITS), and single precision cannot
        # even hold them: there the inverse variance decides.
        flags = np.nan_to_num(native(table["pixel_flags"]))
        bad = broken(flags.reshape(flux.shape), apogee_bits)
    several = table.n_rows > 1
    rows = [_describe(primary, table, row) for row in range(table.n_rows)]
    if several:
        common = {key: [row[key] for row in rows] for key in rows[0] if key != "label"}
        keys = {key: None for row in rows for key in row["label"]}
        label = {key: [row["label"].get(key) for row in rows] for key in keys}
        meta = {**common, "label": label}
    else:
        meta = rows[0]
        flux, ivar, bad = flux[0], ivar[0], bad[0]
    meta = {"survey": "SDSS", "medium": "vacuum", "instrument": instrument, **meta}
    return build(wavelength, flux, ivar, bad, unit=FLUX_UNIT, meta=meta)


def _describe(primary, table: FitsTable, row: int) -> dict:
    """Identifier, position, frame and labels of one row."""
    values = row_values(
        table, {"id": "sdss_id", "telescope": "telescope", "stacked": "in_stack"}, row
    )
    identifier = values.get("id", primary["SDSS_ID"])
    # A visit that was left out of the stack was not shifted to the star's rest frame.
    rest = "wavelength" in table or bool(values.get("stacked", True))
    place = {"ra": primary.get("RA"), "dec": primary.get("DEC")}
    return {
        "object_id": str(identifier),
        "telescope": str(values.get("telescope", "")),
        "frame": "rest" if rest else "as observed",
        **known(place),
        "label": known(row_values(table, _LABELS, row)),
    }
