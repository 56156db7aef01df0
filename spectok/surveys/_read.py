"""Reading a file of any survey: the survey is found from what the file holds."""

from __future__ import annotations

import os
from pathlib import Path

from specutils import Spectrum, SpectrumList

from . import apogee, desi, galah, sdss
from ._files import open_fits

__all__ = ["read"]

READERS = {"SDSS": sdss, "DESI": desi, "GALAH": galah, "APOGEE": apogee}


def read(path: str | os.PathLike) -> SpectrumList:
    """Read a spectrum file of any survey, found from what the file holds.

    Parameters
    ----------
    path : path-like
        An SDSS, DESI, GALAH or APOGEE file, or any file specutils can read.

    Returns
    -------
    specutils.SpectrumList
        What the survey's own ``read`` returns. A file of none of the four
        surveys goes to ``SpectrumList.read`` and then ``Spectrum.read`` of
        specutils, unchanged: masks, errors and medium are then specutils'.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    OSError
        If nothing could read it; the message says what was tried.

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
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; check the path")
    tried = []
    try:
        with open_fits(path) as hdus:
            found = [name for name, module in READERS.items() if module.recognise(hdus)]
    except OSError as error:
        tried.append(str(error))
        found = []
    else:
        tried.append(f"no survey of {', '.join(READERS)} recognises it")
    if found:
        return READERS[found[0]].read(path)
    for name, generic in (("SpectrumList.read", SpectrumList), ("Spectrum.read", Spectrum)):
        try:
            result = generic.read(path)
        except Exception as error:  # specutils' loaders raise anything at all
            first = str(error).strip().splitlines()
            tried.append(f"{name}: {type(error).__name__}: {first[0] if first else ''}")
            continue
        if isinstance(result, Spectrum):
            return SpectrumList([result])
        if len(result):
            return result
        tried.append(f"{name}: it found no spectrum")
    raise OSError(
        f"{path}: nothing could read it. Tried: " + "; ".join(tried) + ". "
        "Pass the arrays to spectok.encode_arrays, or build a specutils.Spectrum yourself."
    )
