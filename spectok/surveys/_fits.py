"""FITS tools that all survey readers share: opening a file, and building a spectrum."""

from __future__ import annotations

import os
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.nddata import InverseVariance
from astropy.utils.exceptions import AstropyWarning
from specutils import Spectrum

from ._missing import says_something
from ._table import FitsTable

FLUX_UNIT = u.Unit("1e-17 erg / (s cm2 Angstrom)")


Source: TypeAlias = str | os.PathLike | fits.HDUList
# What files end in that hold spectra, with or without compression.
_ENDINGS = (
    ".gz", ".bz2", ".xz", ".zst", ".z", ".fz", ".fits", ".fit", ".fts", ".csv", ".txt", ".dat",
    ".ascii", ".asc", ".ecsv", ".tsv", ".tbl", ".parquet", ".pq", ".hdf5", ".h5", ".vot", ".xml",
)  # fmt: skip


def stem_of(source: Source) -> str:
    """A file's name without its folder and its endings; dots inside the name stay.

    Examples
    --------
    >>> from spectok.surveys._fits import stem_of
    >>> stem_of("night/ADP.2014-05-15T16-08-02.250.fits.gz")
    'ADP.2014-05-15T16-08-02.250'
    """
    name = Path(path_of(source)).name
    while name.lower().endswith(_ENDINGS) and Path(name).stem != name:
        name = Path(name).stem
    return name


def path_of(source: Source) -> Path:
    """The path of a file or of an open one; ``HDUList`` for one in memory."""
    if isinstance(source, fits.HDUList):
        return Path(source.filename() or "HDUList")
    return Path(source)


@contextmanager
def open_fits(source: Source) -> Iterator[fits.HDUList]:
    """Open a FITS file once, with every failure named in one sentence.

    Headers are read, so that a file cut short is refused; data only when somebody asks.
    An ``HDUList`` is taken as it is, and stays open.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    OSError
        If the file is not FITS, or is cut short or damaged.
    """
    if isinstance(source, fits.HDUList):
        yield source
        return
    path = Path(source)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; check the path")
    with warnings.catch_warnings():
        # Survey headers are full of harmless departures from the standard;
        # a file cut short is not harmless, and astropy only warns of it.
        warnings.filterwarnings("ignore", category=AstropyWarning, module=r"astropy\.")
        warnings.filterwarnings("error", ".*truncated")
        # Opened here, because astropy leaves files open that it cannot read.
        with open(path, "rb") as file:
            try:
                hdus = fits.open(file, memmap=False)
                len(hdus)  # reading all headers here shows damage here
            except Exception as error:  # damaged files raise anything at all
                raise _damaged(path, error) from error
            try:
                yield hdus
            except (EOFError, zlib.error, TypeError, OSError) as error:
                # Damage that shows when the data are read; refusals of readers name the file.
                if str(path) in str(error):
                    raise
                raise _damaged(path, error) from error
            finally:
                hdus.close()


def _damaged(path: Path, error: Exception) -> OSError:
    return OSError(
        f"{path}: not a readable FITS file ({type(error).__name__}: {error}); "
        "it may be cut short or damaged: fetch it again"
    )


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


def row_values(table: FitsTable, names: dict[str, str], row: int = 0) -> dict:
    """Pick columns of one row of a table, whatever the case of their names.

    Parameters
    ----------
    table : FitsTable
    names : dict
        {name wanted: column name}; columns that are absent are left out.
    row : int
    """
    return {key: scalar(table[name][row]) for key, name in names.items() if name in table}
