"""Reader of files of any survey, which is found from what the file holds."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from astropy.io.fits import HDUList
from specutils import SpectrumList

from . import apogee, desi, galah
from ._fits import Source, open_fits, path_of
from ._foreign import gate, needs_a_loader, read_foreign, read_with_specutils
from ._kinds import galah_kind, survey_of
from ._sdss import read_sdss
from ._text import read_text

__all__ = ["distinct_files", "one_of_a_star", "read"]

READERS: dict[str, Callable[..., SpectrumList]] = {
    "SDSS": read_sdss,
    "DESI": desi.read,
    "GALAH": galah.read,
    "APOGEE": apogee.read,
}


def read(
    path: Source | Iterable[Source], *, format: str | None = None, medium: str | None = None
) -> SpectrumList:
    """Read spectra of any survey and of most other files, found from what they hold.

    Parameters
    ----------
    path : path-like, `~astropy.io.fits.HDUList`, or list of them
        SDSS, DESI, GALAH or APOGEE files, or files of other instruments: tables (FITS, text,
        Parquet) whose columns are named as usual, images and cubes whose headers say the
        wavelengths, and what specutils has a loader for. A path may be a pattern (``*.fits``).
        Of the four camera files of a GALAH star any one stands for all.
    format : str, optional
        Name of a loader of specutils that is to read the file.
    medium : ``"air"`` or ``"vacuum"``, optional
        Of the wavelengths, where the file does not say it, or says it wrong.

    Returns
    -------
    specutils.SpectrumList
        What the survey's own ``read`` returns, file after file. Spectra of other files have
        ``meta["medium"]`` (air or vacuum) and ``meta["object_id"]`` (the file's name, where it
        has no other).

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    OSError
        If the file is damaged, or what it holds is no spectrum; the message says why.
    ValueError
        If ``format`` is no loader of specutils, or ``medium`` neither of the two.

    Warns
    -----
    astropy.utils.exceptions.AstropyUserWarning
        If something had to be assumed: the medium, a unit, a logarithm, the role of a column.

    Examples
    --------
    A DESI file is installed with specutils:

    >>> from importlib import resources
    >>> from spectok import surveys
    >>> folder = resources.files("specutils") / "io/default_loaders/tests/desi_test_data"
    >>> arms = surveys.read(folder / "coadd-sv3-dark-26065.fits")
    >>> [arm.meta["arm"] for arm in arms]
    ['b', 'r', 'z']
    >>> (spectrum,) = surveys.read("spec-0266-51602-0031.fits")  # doctest: +SKIP
    """
    if medium not in (None, "air", "vacuum"):
        raise ValueError(f'medium must be "air" or "vacuum", not {medium!r}')
    files = distinct_files(path)
    found = SpectrumList()
    for file in files:
        found += _read_one(file, format, medium)
    return found


def distinct_files(path: Source | Iterable[Source]) -> list[Any]:
    """Files named one by one, by patterns or given open; of a GALAH star's cameras the first.

    Raises
    ------
    FileNotFoundError
        If a file does not exist, or a pattern matches none.
    """
    given: list[Any] = [path]
    if not isinstance(path, (str, bytes, os.PathLike, HDUList)):
        given = list(path) if type(path) in (list, tuple, set) or _is_iterator(path) else [path]
    files = one_of_a_star(file for one in given for file in _matching(one))
    if not files:
        raise FileNotFoundError("no file is given: there is nothing to read")
    return files


def one_of_a_star(files: Iterable[Any]) -> list[Any]:
    """Files without the second, third and fourth camera of GALAH stars: the first brings them."""
    kept: list[Any] = []
    stars: set[Path | None] = set()
    for file in files:
        star = None if isinstance(file, HDUList) else galah.star_of(Path(file))
        if star is None or star not in stars or not _is_camera(file):
            kept.append(file)
        stars.add(star)
    return kept


def _is_camera(file: Source) -> bool:
    try:
        with open_fits(file) as hdus:
            return galah_kind(hdus) == "com"
    except OSError:
        return False  # its reader says why


def _matching(one: Any) -> list[Any]:
    if isinstance(one, HDUList):
        return [one]
    if not isinstance(one, (str, bytes, os.PathLike)):
        raise TypeError(
            f"expected the path of a file, a pattern, an open HDUList or a list of them, not "
            f"{type(one).__name__}{_hint(one)}"
        )
    one = os.fsdecode(one)
    if one.startswith(("http://", "https://", "ftp://")):
        raise FileNotFoundError(
            f"{one}: an address, no file; fetch it first, for instance by "
            "astropy.utils.data.download_file"
        )
    path = Path(one)
    if path.is_file():
        return [path]
    if path.is_dir():
        raise FileNotFoundError(
            f"{path}: this is a folder; name its files, as in {path / '*.fits'}"
        )
    found = sorted(glob.glob(str(path))) if glob.has_magic(str(path)) else []
    if not found:
        raise FileNotFoundError(f"{path}: no such file; check the path")
    return [Path(name) for name in found]


def _is_iterator(value: Any) -> bool:
    """Several files: an array or column of their names, a generator; no table and no file."""
    return hasattr(value, "__iter__") and not (hasattr(value, "read") or hasattr(value, "columns"))


def _hint(value: Any) -> str:
    """What to do with what is no file."""
    if hasattr(value, "header"):
        return ": give the HDUList that it is of, or astropy.io.fits.HDUList([PrimaryHDU(), it])"
    if hasattr(value, "columns"):
        return ": pass its columns to spectok.encode_arrays"
    if hasattr(value, "read"):
        return ": open it with astropy.io.fits.open"
    return ""


def _read_one(source: Any, format: str | None, medium: str | None) -> SpectrumList:
    path = path_of(source)
    if format is not None:
        return gate(read_with_specutils(source, format) or [], source, str(path), medium)
    if not (isinstance(source, HDUList) or _is_fits(path)):
        if path.stat().st_size == 0:
            raise OSError(f"{path}: the file is empty: fetch it again")
        return _refusing(lambda: gate(read_text(path), source, str(path), medium), path)
    with open_fits(source) as hdus:
        survey = survey_of(hdus)
        if survey is not None:
            spectra = READERS[survey](hdus)
            for spectrum in spectra if medium is not None else ():
                spectrum.meta["medium"] = medium
            return spectra
        header = hdus[0].header

        def foreign() -> SpectrumList:
            special = None
            if not isinstance(source, HDUList) and needs_a_loader(hdus):
                special = read_with_specutils(path)
            spectra = special or read_foreign(hdus, str(path))
            return gate(spectra, source, str(path), medium, header)

        return _refusing(foreign, path)


def _refusing(call: Any, path: Path) -> SpectrumList:
    """Refusals as one sentence, an OSError that names the file."""
    try:
        return call()
    except ValueError as error:
        text = str(error)
        text = text if str(path) in text else f"{path}: {text}"
        raise OSError(text) from error


def _is_fits(path: Path) -> bool:
    """Whether a file begins as FITS does, or is compressed and not named as a text."""
    with open(path, "rb") as file:
        start = file.read(6)
    if start.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ")):
        texts = {".csv", ".txt", ".dat", ".ecsv", ".tsv", ".tbl", ".ascii"}
        return not texts & {suffix.lower() for suffix in path.suffixes[-2:]}
    return start.startswith(b"SIMPLE")
