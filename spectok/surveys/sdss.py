"""SDSS, BOSS, eBOSS and SDSS-V: ``spec`` files, and the stars of the Milky Way Mapper."""

from __future__ import annotations

import os
from pathlib import Path

from astropy.io.fits import HDUList
from specutils import SpectrumList

from . import _mwm
from ._fetch import fetch
from ._files import FLUX_UNIT, build, known, native, open_fits, row_values, scalar, wrong_survey
from ._values import broken

__all__ = ["BAD_BITS", "fetch", "read", "recognise"]

# Bits of SPPIXMASK (https://www.sdss4.org/dr17/algorithms/bitmasks/#SPPIXMASK)
# which say that a pixel holds no measurement. They are looked for in the AND
# mask: set in every exposure. Not among them, because the pixel was measured
# and its inverse variance already tells how well: NOSKY and BRIGHTSKY (bits 22
# and 23: bright night-sky lines), LOWFLAT, NEARBADPIXEL, PARTIALREJECT,
# SCATTEREDLIGHT, CROSSTALK and BADSKYCHI; and BADTRACE, BADFLAT and the other
# remarks on a whole fibre (bits 1, 2 and 4 to 12), which cover entire spectra
# of S/N 20: in six spectra that have them, flagged pixels with a positive
# inverse variance agree with the survey's model as well as their neighbours.
# The OR mask is never asked: a bit there says that one exposure of several was
# bad, and the coadded pixel is as good as its inverse variance says.
BAD_BITS = {
    "NOPLUG": 0,
    "BADARC": 3,
    "FULLREJECT": 18,
    "NODATA": 24,
    "COMBINEREJ": 25,
    "BADFLUXFACTOR": 26,
}

_LABELS = {
    "class": "class",
    "subclass": "subclass",
    "z": "z",
    "z_err": "z_err",
    "zwarning": "zwarning",
    "class_noqso": "class_noqso",
    "z_noqso": "z_noqso",
    "vdisp": "vdisp",
    "vdisp_err": "vdisp_err",
    "sn_median": "sn_median_all",
}
# The best-fitting stars of two libraries; a temperature of zero says that there is none.
_STARS = {
    "elodie": {
        "elodie_teff": "elodie_teff",
        "elodie_logg": "elodie_logg",
        "elodie_feh": "elodie_feh",
        "elodie_sptype": "elodie_sptype",
    },
    "xcsao": {
        "xcsao_teff": "xcsao_teff",
        "xcsao_logg": "xcsao_logg",
        "xcsao_feh": "xcsao_feh",
        "xcsao_rv": "xcsao_rv",
    },
}


def _is_spec(hdus) -> bool:
    """Tell whether open HDUs are a ``spec`` file."""
    if len(hdus) < 2 or not hasattr(hdus[1], "columns"):
        return False
    names = {name.lower() for name in hdus[1].columns.names}
    return {"flux", "loglam", "ivar", "and_mask"} <= names


def recognise(hdus: HDUList) -> bool:
    """Tell whether open HDUs are an SDSS ``spec``, ``mwmStar`` or ``mwmVisit`` file.

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
    >>> from spectok.surveys import sdss
    >>> sdss.recognise(fits.HDUList([fits.PrimaryHDU()]))
    False
    """
    return _is_spec(hdus) or _mwm.recognise(hdus)


def read(path: str | os.PathLike) -> SpectrumList:
    """Read a ``spec``, ``mwmStar`` or ``mwmVisit`` file of SDSS, BOSS, eBOSS or SDSS-V.

    In a ``spec`` file (full or lite) a pixel is bad where its inverse variance is
    not positive or where the AND mask has one of `BAD_BITS`; bright sky alone
    makes no pixel bad, nor does the OR mask. Of a full file the coadded spectrum
    is read, not the single exposures.

    Parameters
    ----------
    path : path-like
        A ``spec-PLATE-MJD-FIBER.fits`` or ``spec-FIELD-MJD-CATALOGID.fits`` file,
        or an ``mwmStar`` or ``mwmVisit`` file of SDSS-V.

    Returns
    -------
    specutils.SpectrumList
        ``spec``: one `~specutils.Spectrum` of shape (L,): flux in 1e-17
        erg/s/cm2/A on the native log-wavelength grid in vacuum Angstrom. Its
        ``meta`` has "survey", "medium", "frame", "object_id" (plate-mjd-fibre, or
        field-mjd-catalogid), "ra", "dec" [deg], "label" (class, subclass, z, ...),
        and "model", the survey's best-fitting template as an array in the flux's
        unit (absent if the file has none).

        ``mwmStar`` and ``mwmVisit``: one `~specutils.Spectrum` per instrument and
        observatory that has data, of shape (L,) or, with several visits, (N, L).
        "object_id" is the SDSS_ID, "instrument" BOSS or APOGEE. With several
        visits "object_id", "ra", "dec", "frame" and the labels are lists.

    Raises
    ------
    FileNotFoundError, OSError
        If the file is missing or damaged.
    ValueError
        If it is none of these files, or holds no spectrum.

    Examples
    --------
    >>> from spectok.surveys import sdss
    >>> (spectrum,) = sdss.read("spec-0266-51602-0031.fits")  # doctest: +SKIP
    """
    path = Path(path)
    with open_fits(path) as hdus:
        if _mwm.recognise(hdus):
            return _mwm.read(path, hdus)
        if not _is_spec(hdus):
            wanted = (
                "an SDSS spec file (no table with flux, loglam, ivar and and_mask in HDU 1), "
                "nor an mwmStar or mwmVisit file"
            )
            raise wrong_survey(path, hdus, wanted, "SDSS")
        table = hdus[1].data
        column = {name.lower(): name for name in hdus[1].columns.names}
        meta = {"survey": "SDSS", "medium": "vacuum", **_describe(path, hdus)}
        if "model" in column:
            meta["model"] = native(table[column["model"]])
        bad = broken(table[column["and_mask"]], BAD_BITS)
        spectrum = build(
            10.0 ** native(table[column["loglam"]]),
            table[column["flux"]],
            table[column["ivar"]],
            bad,
            unit=FLUX_UNIT,
            meta=meta,
        )
    return SpectrumList([spectrum])


def _describe(path: Path, hdus) -> dict:
    """Identifier, position, frame and labels, from the tables and the header."""
    header = hdus[0].header
    label, place, ids = {}, {}, {}
    columns = {"ra": "plug_ra", "dec": "plug_dec"}
    names = {"p": "plate", "m": "mjd", "f": "fiberid", "field": "field", "c": "catalogid"}
    if len(hdus) > 2 and hasattr(hdus[2], "columns") and len(hdus[2].data):
        row = hdus[2].data[0]
        label = known(row_values(row, _LABELS))
        # Filled with zeros where it was not fitted: in the releases before BOSS, and in stars.
        if "class_noqso" not in label:
            label.pop("z_noqso", None)
        if not label.get("vdisp_err", 0) > 0:
            for name in ("vdisp", "vdisp_err"):
                label.pop(name, None)
        for library, wanted in _STARS.items():
            found = known(row_values(row, wanted))
            if found.get(f"{library}_teff", 0) > 0:
                label.update(found)
        place = known(row_values(row, columns))
        ids = row_values(row, names)
    # The primary header's RA and DEC are the plate's centre, not the object's.
    for key, card in (("ra", "PLUG_RA"), ("dec", "PLUG_DEC")):
        if key not in place and isinstance(header.get(card), float):
            place[key] = header[card]
    for key, card in (("p", "PLATEID"), ("m", "MJD"), ("f", "FIBERID")):
        if key not in ids and card in header:
            ids[key] = scalar(header[card])
    ids = {key: value for key, value in ids.items() if isinstance(value, int)}
    if {"p", "m", "f"} <= set(ids):
        name = f"{ids['p']:04d}-{ids['m']}-{ids['f']:04d}"
    elif {"field", "m", "c"} <= set(ids):
        name = f"{ids['field']:06d}-{ids['m']}-{ids['c']}"
    else:
        name = path.stem.removeprefix("spec-")
    # SDSS-V (reduction v6) moved from the Sun to the barycentre: 0.02 km/s at most.
    sdss_v = str(header.get("VERS2D", "")).startswith("v6")
    frame = "barycentric" if sdss_v else "heliocentric"
    return {"frame": frame, "object_id": name, "label": label, **place}
