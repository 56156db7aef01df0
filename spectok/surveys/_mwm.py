"""SDSS-V's Milky Way Mapper: ``mwmStar`` and ``mwmVisit`` files, written by its Astra.

A file has one table per instrument (BOSS, APOGEE) and observatory, many of them
empty; a row is the stack of a star (``mwmStar``) or one visit (``mwmVisit``).
specutils has a loader for both. It is right about wavelengths and fluxes, which
the tests compare, but takes any pixel flag for a bad pixel, gives the inverse
variance no unit, and refuses files of which the checksum was removed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from specutils import Spectrum, SpectrumList

from ._files import FLUX_UNIT, build, known, native, row_values, scalar
from ._values import broken
from .apogee import BAD_BITS as APOGEE_BITS

__all__ = ["read", "recognise"]

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


def _has_spectra(hdu) -> bool:
    """Tell whether an HDU is a table of spectra, with or without rows."""
    names = {name.lower() for name in getattr(getattr(hdu, "columns", None), "names", ())}
    return {"flux", "ivar", "pixel_flags"} <= names


def recognise(hdus) -> bool:
    """Tell whether open HDUs are an ``mwmStar`` or ``mwmVisit`` file."""
    return "SDSS_ID" in hdus[0].header and any(_has_spectra(hdu) for hdu in hdus[1:])


def read(path: Path, hdus) -> SpectrumList:
    """Read what has rows, in the file's order: BOSS before APOGEE, north before south.

    Raises
    ------
    ValueError
        If every table is empty.
    """
    spectra = [
        _read_table(hdus[0].header, hdu) for hdu in hdus[1:] if _has_spectra(hdu) and len(hdu.data)
    ]
    if not spectra:
        raise ValueError(
            f"{path}: every table of this mwm file is empty: the star has no spectrum that its "
            "pipeline accepted; read the mwmVisit file beside it, or the spec and apStar files"
        )
    return SpectrumList(spectra)


def _read_table(primary, hdu) -> Spectrum:
    """Make one spectrum, with a row per visit, of one table."""
    table, header = hdu.data, hdu.header
    names = {name.lower(): name for name in hdu.columns.names}
    if "wavelength" in names:
        wavelength = native(table[names["wavelength"]][0])
    else:
        pixel = np.arange(header["NPIXELS"]) + 1.0 - header.get("CRPIX", 1)
        wavelength = 10.0 ** (header["CRVAL"] + header["CDELT"] * pixel)
    flux = native(table[names["flux"]]).reshape(len(table), -1)
    ivar = native(table[names["ivar"]]).reshape(flux.shape)
    instrument = scalar(header.get("INSTRMNT", "")) or hdu.name.split("/")[0]
    bad = np.zeros(flux.shape, bool)
    if instrument == "APOGEE":
        # The bits of apStar files. BOSS's come from the OR mask, which says nothing
        # about the coadded pixel (see sdss.BAD_BITS), and single precision cannot
        # even hold them: there the inverse variance decides.
        flags = np.nan_to_num(native(table[names["pixel_flags"]]))
        bad = broken(flags.reshape(flux.shape), APOGEE_BITS)
    several = len(table) > 1
    rows = [_describe(primary, row, "wavelength" in names) for row in table]
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


def _describe(primary, row, star: bool) -> dict:
    """Identifier, position, frame and labels of one row."""
    values = row_values(row, {"id": "sdss_id", "telescope": "telescope", "stacked": "in_stack"})
    identifier = values.get("id", primary["SDSS_ID"])
    # A visit that was left out of the stack was not shifted to the star's rest frame.
    rest = star or bool(values.get("stacked", True))
    place = {"ra": primary.get("RA"), "dec": primary.get("DEC")}
    return {
        "object_id": str(identifier),
        "telescope": str(values.get("telescope", "")),
        "frame": "rest" if rest else "as observed",
        **known(place),
        "label": known(row_values(row, _LABELS)),
    }
