"""SDSS, BOSS and eBOSS: ``spec`` files, one object each."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from specutils import SpectrumList

from ._files import FLUX_UNIT, build, native, open_fits, row_values, scalar

__all__ = ["BAD_BITS", "read", "recognise"]

# Bits of SPPIXMASK (https://www.sdss4.org/dr17/algorithms/bitmasks/#SPPIXMASK)
# which say that a pixel holds no measurement. They are looked for in the AND
# mask: set in every exposure. Not among them, because the pixel was measured
# and its inverse variance already tells how well: NOSKY and BRIGHTSKY (bits 22
# and 23: bright night-sky lines), LOWFLAT, NEARBADPIXEL, PARTIALREJECT,
# SCATTEREDLIGHT, CROSSTALK and BADSKYCHI; and BADTRACE, BADFLAT and the other
# remarks on a whole fibre (bits 1, 2 and 4 to 12), which cover entire spectra
# of S/N 20: in six spectra that have them, flagged pixels with a positive
# inverse variance agree with the survey's model as well as their neighbours.
BAD_BITS = {
    "NOPLUG": 0,
    "BADARC": 3,
    "FULLREJECT": 18,
    "NODATA": 24,
    "COMBINEREJ": 25,
    "BADFLUXFACTOR": 26,
}
_BAD = np.int64(sum(1 << bit for bit in BAD_BITS.values()))

_LABELS = {
    "class": "class",
    "subclass": "subclass",
    "z": "z",
    "z_err": "z_err",
    "zwarning": "zwarning",
    "sn_median": "sn_median_all",
    "elodie_teff": "elodie_teff",
    "elodie_logg": "elodie_logg",
    "elodie_feh": "elodie_feh",
}


def recognise(hdus) -> bool:
    """Tell whether open HDUs are an SDSS ``spec`` file."""
    if len(hdus) < 2 or not hasattr(hdus[1], "columns"):
        return False
    names = {name.lower() for name in hdus[1].columns.names}
    return {"flux", "loglam", "ivar", "and_mask"} <= names


def read(path: str | os.PathLike) -> SpectrumList:
    """Read one SDSS, BOSS or eBOSS ``spec`` file, full or lite.

    A pixel is bad where its inverse variance is not positive or where the AND
    mask has one of `BAD_BITS`; bright sky alone makes no pixel bad.

    Parameters
    ----------
    path : path-like
        A ``spec-PLATE-MJD-FIBER.fits`` file.

    Returns
    -------
    specutils.SpectrumList
        One `~specutils.Spectrum` of shape (L,): flux in 1e-17 erg/s/cm2/A
        on the native log-wavelength grid in vacuum Angstrom. Its ``meta`` has
        "survey", "medium", "object_id" (plate-mjd-fibre), "ra", "dec" [deg],
        "label" (class, subclass, z, ...), and "model", the survey's best-fitting
        template as an array in the flux's unit (absent if the file has none).

    Raises
    ------
    FileNotFoundError, OSError
        If the file is missing or damaged.
    ValueError
        If it is no SDSS ``spec`` file.

    Examples
    --------
    >>> from spectok.surveys import sdss
    >>> (spectrum,) = sdss.read("spec-0266-51602-0031.fits")  # doctest: +SKIP
    """
    path = Path(path)
    with open_fits(path) as hdus:
        if not recognise(hdus):
            raise ValueError(
                f"{path}: not an SDSS spec file (no table with flux, loglam, ivar and "
                "and_mask in HDU 1); use spectok.surveys.read to have the survey found"
            )
        table = hdus[1].data
        column = {name.lower(): name for name in hdus[1].columns.names}
        header = hdus[0].header
        info: dict = {}
        if len(hdus) > 2 and hasattr(hdus[2], "columns") and len(hdus[2].data):
            row = hdus[2].data[0]
            info = row_values(row, _LABELS)
            place = row_values(row, {"ra": "plug_ra", "dec": "plug_dec"})
            ids = row_values(row, {"p": "plate", "m": "mjd", "f": "fiberid"})
        else:
            place, ids = {}, {}
        # The primary header's RA and DEC are the plate's centre, not the object's.
        for key, card in (("ra", "PLUG_RA"), ("dec", "PLUG_DEC")):
            if key not in place and card in header:
                place[key] = float(header[card])
        for key, card in (("p", "PLATEID"), ("m", "MJD"), ("f", "FIBERID")):
            if key not in ids and card in header:
                ids[key] = scalar(header[card])
        if len(ids) == 3:
            name = f"{int(ids['p']):04d}-{int(ids['m'])}-{int(ids['f']):04d}"
        else:
            name = path.stem.removeprefix("spec-")
        meta = {"survey": "SDSS", "medium": "vacuum", "object_id": name, "label": info, **place}
        if "model" in column:
            meta["model"] = native(table[column["model"]])
        bad = (native(table[column["and_mask"]], np.int64) & _BAD) != 0
        spectrum = build(
            10.0 ** native(table[column["loglam"]]),
            table[column["flux"]],
            table[column["ivar"]],
            bad,
            unit=FLUX_UNIT,
            meta=meta,
        )
    return SpectrumList([spectrum])
