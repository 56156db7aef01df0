"""APOGEE: ``apVisit``, ``apStar`` and ``aspcapStar`` files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.io.fits import HDUList
from specutils import SpectrumList

from ._fits import (
    FLUX_UNIT,
    Source,
    build,
    known,
    native,
    open_fits,
    path_of,
    row_values,
    scalar,
    stem_of,
)
from ._kinds import apogee_kind, grid_header, wrong_survey
from ._missing import ABSURD, broken
from ._table import FitsTable, is_table

__all__ = ["BAD_BITS", "read", "recognise"]

# Bits of APOGEE_PIXMASK (https://www.sdss4.org/dr17/irspec/apogee-bitmasks/)
# which say that a pixel holds no measurement: the reduction's own "bad" set.
# Persistence, Littrow ghost, sky lines and tellurics (bits 8 to 13) are remarks
# on pixels that were measured, with errors to match.
BAD_BITS = {
    "BADPIX": 0,
    "CRPIX": 1,
    "SATPIX": 2,
    "UNFIXABLE": 3,
    "BADDARK": 4,
    "BADFLAT": 5,
    "BADERR": 6,
    "NOSKY": 7,
    "NOT_ENOUGH_PSF": 14,
}

_HEADER_LABELS = {
    "rv": ("VHELIO",),
    "rv_teff": ("RV_TEFF", "RVTEFF"),
    "rv_logg": ("RV_LOGG", "RVLOGG"),
    "rv_feh": ("RV_FEH", "RVFEH"),
    "snr": ("SNR",),
}
_PARAM_NAMES = ("teff", "logg", "log10vdop", "m_h", "c_m", "n_m", "alpha_m")
_TABLE_LABELS = ("TEFF", "LOGG", "M_H", "ALPHA_M", "VMICRO", "VMACRO", "VSINI", "SNR")
# Abundances of single elements: C_FE, CI_FE, TIII_FE, ...
_ABUNDANCE = re.compile(r"[A-Z][A-Z]?I{0,2}_(FE|H)")


def recognise(hdus: HDUList) -> bool:
    """Tell whether open HDUs are an APOGEE spectrum file.

    Parameters
    ----------
    hdus : `~astropy.io.fits.HDUList`
        An open file.

    Returns
    -------
    recognised : bool
        Whether `read` knows it.

    Examples
    --------
    >>> from astropy.io import fits
    >>> from spectok.surveys import apogee
    >>> apogee.recognise(fits.HDUList([fits.PrimaryHDU()]))
    False
    """
    return apogee_kind(hdus) is not None


def read(path: Source) -> SpectrumList:
    """Read an APOGEE ``apVisit``, ``apStar`` or ``aspcapStar`` file.

    A pixel is bad where the mask has one of `BAD_BITS`, where the error is the
    survey's 1e10 for "no data" (or a thousand times the median error) or not
    positive, or where the flux is exactly zero (detector gaps). ``aspcapStar``
    has no mask of its own.

    Parameters
    ----------
    path : path-like or `~astropy.io.fits.HDUList`
        An ``apVisit-*.fits``, ``apStar-*.fits`` (``asStar``) or ``aspcapStar-*.fits`` file.

    Returns
    -------
    specutils.SpectrumList
        Vacuum Angstrom, ascending. ``apVisit``: three members, the detectors
        "c", "b", "a" from blue to red ("arm" in ``meta``), as observed, in
        1e-17 erg/s/cm2/A. ``apStar``: one member, the pixel-weighted
        combination of all visits (the file's first row), in the star's rest
        frame. ``aspcapStar``: one member, continuum-normalised and so without
        unit, in the rest frame, with the best fit as "model". ``meta`` has
        "survey", "medium" (air or vacuum), "frame" ("observatory" or "rest"), "object_id" (the
        APOGEE_ID), "kind", "ra", "dec" [deg] where known, and "label" (parameters
        and abundances of ASPCAP, or those of the radial velocity's template).

    Raises
    ------
    FileNotFoundError
        If the file is missing.
    OSError
        If the file is damaged.
    ValueError
        If it is none of the three kinds of file.

    Examples
    --------
    >>> from spectok.surveys import apogee
    >>> c, b, a = apogee.read("apVisit-r13-9518-57729-104.fits")  # doctest: +SKIP
    """
    with open_fits(path) as hdus:
        path = path_of(path)
        kind = apogee_kind(hdus)
        if kind is None:
            wanted = (
                "an APOGEE apVisit, apStar or aspcapStar file (no flux, error and mask images on "
                "a wavelength grid near 1.6 micron)"
            )
            raise wrong_survey(path, hdus, wanted)
        meta: dict[str, Any] = {"survey": "APOGEE", "medium": "vacuum", "kind": kind}
        meta["frame"] = "observatory" if kind == "visit" else "rest"
        meta |= _describe(path, hdus, kind)
        flux, error, third = (native(hdus[n].data) for n in (1, 2, 3))
        if kind != "visit":  # the visits below the combined spectrum have noise of their own
            flux, error, third = (np.atleast_2d(x)[0] for x in (flux, error, third))
        bad = (flux == 0) | ~np.isfinite(flux) | ~(error > 0)
        # "No data" is an error of 1e10. In apVisit files resampling and flux calibration scale
        # it (7e6 to 1e7 was seen), so what counts is that it is absurd.
        bad |= error > ABSURD * max(np.median(error[~bad]) if (~bad).any() else 0.0, 1e-6)
        if kind != "aspcap":
            bad |= broken(third, BAD_BITS)
        ivar = np.zeros(flux.shape)
        ivar[~bad] = error[~bad] ** -2.0
        if kind == "visit":
            return _chips(native(hdus[4].data), flux, ivar, bad, meta)
        header = grid_header(hdus)
        pixel = np.arange(flux.size) + 1.0 - header.get("CRPIX1", 1.0)
        wavelength = 10.0 ** (header["CRVAL1"] + header["CDELT1"] * pixel)
        unit = FLUX_UNIT
        if kind == "aspcap":
            unit = u.dimensionless_unscaled
            meta["model"] = third
        return SpectrumList([build(wavelength, flux, ivar, bad, unit=unit, meta=meta)])


def _chips(wavelength, flux, ivar, bad, meta: dict) -> SpectrumList:
    """Make one spectrum of each detector, blue to red, wavelengths ascending."""
    spectra = []
    names = "abc"  # the file's order, from red to blue
    for chip in np.argsort(np.nanmedian(wavelength, axis=1)):
        order = np.argsort(wavelength[chip], kind="stable")
        spectra.append(
            build(
                wavelength[chip][order],
                flux[chip][order],
                ivar[chip][order],
                bad[chip][order],
                unit=FLUX_UNIT,
                meta={**meta, "label": dict(meta["label"]), "arm": names[chip]},
            )
        )
    return SpectrumList(spectra)


def _describe(path: Path, hdus, kind: str) -> dict:
    """Identifier, position and labels, from header and tables."""
    header = hdus[0].header
    name = scalar(header.get("OBJID", "")) or stem_of(path)
    found: dict = {"object_id": str(name)}
    if "RA" in header and "DEC" in header:
        found["ra"], found["dec"] = float(header["RA"]), float(header["DEC"])
    label = {
        key: scalar(header[card])
        for key, cards in _HEADER_LABELS.items()
        for card in cards
        if card in header
    }
    if kind == "star" and "rv" not in label and "VRAD" in header:
        label["rv"] = scalar(header["VRAD"])  # SDSS-V's name for the star's own velocity
    for hdu in hdus[4:]:
        if not is_table(hdu) or not FitsTable(hdu).n_rows:
            continue
        table = FitsTable(hdu)
        place = row_values(table, {"ra": "RA", "dec": "DEC", "object_id": "APOGEE_ID"})
        for key, value in place.items():
            if key not in found or (key == "object_id" and value):
                found[key] = str(value) if key == "object_id" else float(value)
        if kind == "aspcap":
            values = row_values(table, {"param": "PARAM"}).get("param")
            if isinstance(values, list) and len(values) >= len(_PARAM_NAMES):
                label.update(known(dict(zip(_PARAM_NAMES, values, strict=False))))
            wanted = {n for n in table.names if n in _TABLE_LABELS or _ABUNDANCE.fullmatch(n)}
            label.update(known(row_values(table, {n.lower(): n for n in wanted})))
    found["label"] = known(label)
    return found
