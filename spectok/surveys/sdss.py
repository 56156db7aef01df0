"""SDSS, BOSS, eBOSS and SDSS-V: spectra of every generation of their files."""

from __future__ import annotations

from astropy.io.fits import HDUList
from specutils import SpectrumList

from ._archive import fetch
from ._fits import Source
from ._kinds import sdss_kind
from ._sdss import read_sdss
from ._spec import BAD_BITS

__all__ = ["BAD_BITS", "fetch", "read", "recognise"]


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
    return sdss_kind(hdus) is not None


def read(path: Source) -> SpectrumList:
    """Read a ``spec``, ``spSpec``, ``spPlate``, ``mwmStar`` or ``mwmVisit`` file of SDSS.

    In a ``spec`` file (full or lite) a pixel is bad where its inverse variance is
    not positive or where the AND mask has one of `BAD_BITS`; bright sky alone
    makes no pixel bad, nor does the OR mask. Of a full file the coadded spectrum
    is read, not the single exposures. Files of DR1 to DR7 (``spSpec``) and whole plates
    (``spPlate``) have the same bits in an image.

    Parameters
    ----------
    path : path-like or `~astropy.io.fits.HDUList`
        A ``spec-PLATE-MJD-FIBER.fits`` or ``spec-FIELD-MJD-CATALOGID.fits`` file, an
        ``spSpec`` or ``spPlate`` file, or an ``mwmStar`` or ``mwmVisit`` file of SDSS-V.

    Returns
    -------
    specutils.SpectrumList
        ``spec``: one `~specutils.Spectrum` of shape (L,): flux in 1e-17
        erg/s/cm2/A on the native log-wavelength grid in vacuum Angstrom. Its
        ``meta`` has "survey", "medium" (air or vacuum), "frame", "object_id" (plate-mjd-fibre, or
        field-mjd-catalogid), "ra", "dec" [deg], "label" (class, subclass, z, ...),
        and "model", the survey's best-fitting template as an array in the flux's
        unit (absent if the file has none).

        ``spSpec``: the same. ``spPlate``: one of shape (N, L), identifiers and places as
        lists.

        ``mwmStar`` and ``mwmVisit``: one `~specutils.Spectrum` per instrument and
        observatory that has data, of shape (L,) or, with several visits, (N, L).
        "object_id" is the SDSS_ID, "instrument" BOSS or APOGEE. With several
        visits "object_id", "ra", "dec", "frame" and the labels are lists.

    Raises
    ------
    FileNotFoundError
        If the file is missing.
    OSError
        If the file is damaged.
    ValueError
        If it is none of these files, or holds no spectrum.

    Examples
    --------
    >>> from spectok.surveys import sdss
    >>> (spectrum,) = sdss.read("spec-0266-51602-0031.fits")  # doctest: +SKIP
    """
    return read_sdss(path)
