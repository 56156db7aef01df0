"""Recognition of a FITS file's survey from its headers and the names of its columns."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._fits import Source, path_of
from ._table import FitsTable, is_table

__all__ = ["KINDS", "grid_header", "survey_of", "wrong_survey"]


def sdss_kind(hdus: Any) -> str | None:
    """Name the kind of SDSS file: "spec", "mwm", "spSpec", "spPlate", or None."""
    if len(hdus) > 1 and is_table(hdus[1]):
        if FitsTable(hdus[1]).has(("flux", "loglam", "ivar", "and_mask")):
            return "spec"
    header = hdus[0].header
    if "SDSS_ID" in header and any(is_mwm_table(hdu) for hdu in hdus[1:]):
        return "mwm"
    if "COEFF0" in header and "COEFF1" in header and "PLATEID" in header:
        shape = hdus[0].shape
        if len(shape) == 2 and "FIBERID" in header and 3 <= shape[0] <= 8:
            return "spSpec"
        if (
            len(shape) == 2
            and len(hdus) >= 6
            and all(hdu.is_image and hdu.shape == shape for hdu in hdus[1:4])
        ):
            return "spPlate"
    return None


def is_mwm_table(hdu: Any) -> bool:
    """Tell whether an HDU is a table of spectra of the Milky Way Mapper, with or without rows."""
    return is_table(hdu) and FitsTable(hdu).has(("flux", "ivar", "pixel_flags"))


def desi_kind(hdus: Any) -> str | None:
    """Name the kind of DESI file: "spectra" (or coadds), or None."""
    names = {hdu.name.upper() for hdu in hdus}
    found = any({f"{a}_FLUX", f"{a}_IVAR", f"{a}_WAVELENGTH"} <= names for a in "BRZ")
    return "spectra" if found else None


def galah_kind(hdus: Any) -> str | None:
    """Name the kind of GALAH file: "com" (one camera's, of either generation), "fit", or None."""
    names = {hdu.name.lower() for hdu in hdus}
    if hdus[0].shape and {"relative_error", "input_sigma"} & names:
        return "com"
    if len(hdus) > 1 and is_table(hdus[1]):
        if FitsTable(hdus[1]).has(("wave", "sob", "uob", "smod")):
            return "fit"
    return None


def apogee_kind(hdus: Any) -> str | None:
    """Name the kind of APOGEE file: "visit", "star", "aspcap", or None."""
    if len(hdus) < 4 or not all(hdu.is_image and hdu.shape for hdu in hdus[1:4]):
        return None
    shapes = [hdu.shape for hdu in hdus[1:4]]
    if len(set(shapes)) != 1:
        return None
    if len(hdus) > 4 and hdus[4].is_image and shapes[0][:1] == (3,):
        if hdus[4].shape == shapes[0] and len(shapes[0]) == 2:
            if 1.4e4 < np.nanmedian(hdus[4].data) < 1.8e4:
                return "visit"
    header = grid_header(hdus)
    if header is None or abs(header["CRVAL1"] - 4.18) > 0.02:
        return None
    return "star" if hdus[3].header["BITPIX"] > 0 else "aspcap"


def grid_header(hdus: Any) -> Any:
    """Find the header that holds APOGEE's logarithmic wavelength grid; None without one."""
    for hdu in (hdus[1], hdus[0]):
        if isinstance(hdu.header.get("CRVAL1"), (int, float)) and "CDELT1" in hdu.header:
            return hdu.header
    return None


KINDS = {"SDSS": sdss_kind, "DESI": desi_kind, "GALAH": galah_kind, "APOGEE": apogee_kind}


def survey_of(hdus: Any) -> str | None:
    """Name the survey that open HDUs are of: SDSS, DESI, GALAH, APOGEE, or None."""
    return next((name for name, kind in KINDS.items() if kind(hdus) is not None), None)


def wrong_survey(source: Source, hdus: Any, wanted: str) -> ValueError:
    """Make the error for a file that is not of the reader's survey.

    Parameters
    ----------
    source : path or HDUList
    hdus : astropy.io.fits.HDUList
    wanted : str
        What the reader reads: "an SDSS spec file (no table ...)".

    Returns
    -------
    ValueError
        To be raised. It names the survey that the file looks like, if any.
    """
    other = survey_of(hdus)
    if other:
        remedy = f"it looks like a file of {other}: use spectok.surveys.{other.lower()}.read"
    else:
        remedy = "use spectok.surveys.read to have the survey found"
    return ValueError(f"{path_of(source)}: not {wanted}; {remedy}")
