"""What all survey readers share: opening a file, and building a spectrum."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.nddata import InverseVariance
from astropy.utils.exceptions import AstropyWarning
from specutils import Spectrum

from ._values import says_something

FLUX_UNIT = u.Unit("1e-17 erg / (s cm2 Angstrom)")


@contextmanager
def open_fits(path: str | os.PathLike) -> Iterator[fits.HDUList]:
    """Open a FITS file, all of it in memory, with every failure named in one sentence.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    OSError
        If the file is not FITS, or is cut short or damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; check the path")
    try:
        # Opened here, because astropy leaves files open that it cannot read.
        with warnings.catch_warnings(), open(path, "rb") as file:
            # Survey headers are full of harmless departures from the standard;
            # a file cut short is not harmless, and astropy only warns of it.
            warnings.simplefilter("ignore", AstropyWarning)
            warnings.filterwarnings("error", ".*truncated")
            hdus = fits.open(file, memmap=False)
            for hdu in hdus:
                _ = hdu.data  # reading it here shows damage here
    except Exception as error:  # damaged files raise anything at all
        raise OSError(
            f"{path}: not a readable FITS file ({type(error).__name__}: {error}); "
            "it may be cut short or damaged: fetch it again"
        ) from error
    try:
        yield hdus
    finally:
        hdus.close()


def native(array, dtype: type = float) -> np.ndarray:
    """Copy an array to the machine's byte order (FITS is big-endian)."""
    return np.array(array, dtype=np.dtype(dtype).newbyteorder("="))


def build(
    wavelength: np.ndarray,
    flux: np.ndarray,
    ivar: np.ndarray,
    bad: np.ndarray,
    *,
    unit: u.UnitBase,
    meta: dict,
) -> Spectrum:
    """Make a spectrum whose bad pixels are masked, finite and of zero weight.

    Parameters
    ----------
    wavelength : (L,) array
        Angstrom, ascending.
    flux, ivar : (L,) or (N, L) arrays
        In ``unit`` and its inverse square.
    bad : array of bool
        True where the pixel is broken, of the flux's shape. Pixels with a flux
        that is not finite, or with no positive and finite weight, are added.
    unit : unit of the flux
    meta : dict

    Raises
    ------
    ValueError
        If a wavelength is not finite, or their number is not the flux's.
    """
    flux, ivar, wavelength = native(flux), native(ivar), native(wavelength)
    if not np.isfinite(wavelength).all() or wavelength.shape != flux.shape[-1:]:
        raise ValueError(
            f"the {meta.get('survey', '')} spectrum {meta.get('object_id', '')}: wavelengths of "
            f"shape {wavelength.shape} for a flux of shape {flux.shape}, "
            f"{np.isfinite(wavelength).sum()} of them finite; the file is damaged: fetch it again"
        )
    bad = bad | ~np.isfinite(flux) | ~np.isfinite(ivar) | (ivar <= 0)
    ivar = np.where(bad, 0.0, ivar)
    flux = np.where(np.isfinite(flux), flux, 0.0)
    return Spectrum(
        flux=flux * unit,
        spectral_axis=wavelength * u.AA,
        uncertainty=InverseVariance(ivar, unit=unit**-2),
        mask=bad,
        meta=meta,
    )


def wrong_survey(path: Path, hdus, wanted: str, own: str) -> ValueError:
    """Make the error for a file that is not of the reader's survey.

    Parameters
    ----------
    path : path
    hdus : astropy.io.fits.HDUList
    wanted : str
        What the reader reads: "an SDSS spec file (no table ...)".
    own : str
        The reader's survey, which is not asked.

    Returns
    -------
    ValueError
        To be raised. It names the survey that the file looks like, if any.
    """
    # Here, because each of the readers imports this module.
    from ._read import READERS

    others = [name for name, it in READERS.items() if name != own and it.recognise(hdus)]
    if others:
        remedy = (
            f"it looks like a file of {others[0]}: use spectok.surveys.{others[0].lower()}.read"
        )
    else:
        remedy = "use spectok.surveys.read to have the survey found"
    return ValueError(f"{path}: not {wanted}; {remedy}")


def known(values: dict) -> dict:
    """Keep the texts and numbers that say something."""
    return {
        key: value
        for key, value in values.items()
        if isinstance(value, (str, int, float)) and says_something(value)
    }


def scalar(value):
    """Turn a FITS header or table entry into a plain Python value."""
    if isinstance(value, np.ndarray):
        value = value.ravel()[0] if value.size == 1 else value.tolist()
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace")
    return value.strip() if isinstance(value, str) else value


def row_values(row, names: dict[str, str]) -> dict:
    """Pick columns of one FITS table row, whatever the case of their names.

    Parameters
    ----------
    row : astropy.io.fits.fitsrec.FITS_record or numpy.record
    names : dict
        {name wanted: column name}; columns that are absent are left out.
    """
    have = (
        {n.lower(): n for n in row.array.names}
        if hasattr(row, "array")
        else {n.lower(): n for n in row.dtype.names}
    )
    return {
        key: scalar(row[have[column.lower()]])
        for key, column in names.items()
        if column.lower() in have
    }
