"""Packs: many spectra in a few arrays, in memory or on the disk (no astropy here)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.polynomial import chebyshev

from spectok._batch import find_segments

__all__ = ["first_of_segments", "open_pack", "pack_spectra"]

_ARRAYS = ("flux", "sigma", "offset", "survey", "segment", "grid")
# What packs of 0.1 call the segments.
_SEGMENT, _OLD = "spectra.segment", "spectra.piece"
_NUMPY = {"F16": "<f2", "F64": "<f8", "I64": "<i8", "U8": "u1"}

# Wavelengths are kept as polynomials of this degree, true to this part of a pixel: SDSS's files,
# which hold log10 of the wavelength in single precision, are themselves rounded by 0.0024.
_DEGREE, _TRUE_TO = 9, 0.003


def pack_spectra(
    spectra: Iterable[tuple[int, np.ndarray, np.ndarray, np.ndarray, np.ndarray]],
) -> dict[str, np.ndarray]:
    """Lay spectra out in a few arrays of four bytes per pixel, for `RealSpectra`.

    Parameters
    ----------
    spectra : iterable of (survey, wavelength, flux, sigma, valid)
        A number that stands for the survey, and arrays of shape (L,): vacuum Angstrom, arms one
        after the other; flux and its standard deviation in any unit; True for good pixels.
        Spectra without a good pixel are refused.

    Returns
    -------
    arrays : dict of str to array
        ``spectra.flux`` and ``spectra.sigma``: all spectra one after the other in half
        precision, over each one's median absolute flux (or its median sigma where that is 0);
        sigma is 0 where a pixel is not valid, not finite, or beyond half precision (65,504 times
        the median; a sigma under 3e-8 of it). ``spectra.offset``: pixels
        [offset[i]:offset[i + 1]] are spectrum i. ``spectra.survey``. ``spectra.segment``
        and ``spectra.grid``: the first pixel of every segment of the wavelengths, where one
        polynomial does not follow it of every part, and the Chebyshev coefficients of the
        wavelength's logarithm over it, true to 0.003 of a pixel.

    Raises
    ------
    ValueError
        For a spectrum without a good pixel.

    Examples
    --------
    >>> import numpy as np
    >>> from spectok.training import pack_spectra
    >>> wavelength = 3600.0 + 0.8 * np.arange(7781)
    >>> ones = np.ones(7781)
    >>> arrays = pack_spectra([(0, wavelength, ones, 0.1 * ones, ones > 0)])
    >>> sum(array.nbytes for array in arrays.values()) / 7781 < 5
    True
    """
    flux_, sigma_, offset, survey_, segment, grid = [], [], [0], [], [], []
    for number, (survey, wavelength, flux, sigma, valid) in enumerate(spectra):
        good = valid & np.isfinite(flux) & (sigma > 0) & np.isfinite(sigma)
        if not good.any():
            raise ValueError(f"spectrum {number} has no good pixel: leave it out")
        scale = np.median(np.abs(flux[good])) or np.median(sigma[good])
        with np.errstate(over="ignore", invalid="ignore"):
            flux, sigma = ((a / scale).astype(np.float16) for a in (flux, sigma))
        good &= np.isfinite(flux) & np.isfinite(sigma) & (sigma > 0)
        flux_.append(np.where(good, flux, 0))
        sigma_.append(np.where(good, sigma, 0))
        start = find_segments(wavelength)
        for first, last in zip(start, np.append(start[1:], len(wavelength)), strict=True):
            for begin, coefficients in _fit(np.log(wavelength[first:last])):
                segment.append(offset[-1] + first + begin)
                grid.append(coefficients)
        offset.append(offset[-1] + len(wavelength))
        survey_.append(survey)
    return {
        "spectra.flux": np.concatenate(flux_),
        "spectra.sigma": np.concatenate(sigma_),
        "spectra.offset": np.array(offset, np.int64),
        "spectra.survey": np.array(survey_, np.uint8),
        "spectra.segment": np.array(segment, np.int64),
        "spectra.grid": np.array(grid, np.float64),
    }


def _fit(logarithm: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """First pixel and coefficients of the parts into which a segment of the grid is cut."""
    n = len(logarithm)
    x = np.linspace(-1, 1, n)
    coefficients = np.zeros(_DEGREE + 1)
    degree = min(_DEGREE, n - 1)
    coefficients[: degree + 1] = chebyshev.chebfit(x, logarithm, degree)
    if n <= _DEGREE + 1:
        return [(0, coefficients)]
    error = np.abs(chebyshev.chebval(x, coefficients) - logarithm)
    if (error <= _TRUE_TO * np.gradient(logarithm)).all():
        return [(0, coefficients)]
    # No smooth function (pixels were left out): halves may be, and ten pixels always are.
    half = n // 2
    rest = [(half + first, found) for first, found in _fit(logarithm[half:])]
    return [*_fit(logarithm[:half]), *rest]


def open_pack(path: str | PathLike[str]) -> dict[str, np.ndarray]:
    """The arrays of a pack, left on the disk until they are asked for.

    Parameters
    ----------
    path : path
        A safetensors file with the arrays of `pack_spectra`, such as ``spectok pack`` writes.

    Returns
    -------
    arrays : dict of str to `numpy.memmap`
        What `RealSpectra` takes. Pickled, as for worker processes, it is no more than the path:
        the file is opened again there.

    Raises
    ------
    ValueError
        For a file that is no pack, or not a whole one.

    Examples
    --------
    >>> import numpy as np
    >>> from safetensors.numpy import save_file
    >>> from spectok.training import open_pack, pack_spectra
    >>> ones = np.ones(320)
    >>> arrays = pack_spectra([(0, 4000 + ones.cumsum(), ones, ones, ones > 0)])
    >>> save_file(arrays, "pack.safetensors")
    >>> open_pack("pack.safetensors")["spectra.flux"].shape
    (320,)
    """
    path = Path(path)
    whole = path.stat().st_size
    with path.open("rb") as file:
        # The format: length of the header, the header as JSON, the arrays.
        size = int.from_bytes(file.read(8), "little")
        try:
            header = json.loads(file.read(size) if size < min(whole, 100_000_000) else b"")
        except ValueError:
            header = None
    if not isinstance(header, dict):
        raise ValueError(f"{path} is no safetensors file: make a pack with `spectok pack`")
    if _OLD in header:
        header[_SEGMENT] = header.pop(_OLD)
    missing = [name for name in _ARRAYS if f"spectra.{name}" not in header]
    if missing:
        raise ValueError(
            f"{path} is no pack of spectra, it lacks {', '.join(missing)}: make one with "
            "`spectok pack`"
        )
    end = 8 + size + max(header[f"spectra.{name}"]["data_offsets"][1] for name in _ARRAYS)
    if whole < end:
        raise ValueError(f"{path} has {whole} bytes of {end}: copy it again, all of it")
    arrays: dict[str, np.ndarray] = {
        f"spectra.{name}": np.memmap(
            path,
            dtype=_NUMPY[header[f"spectra.{name}"]["dtype"]],
            mode="r",
            offset=8 + size + header[f"spectra.{name}"]["data_offsets"][0],
            shape=tuple(header[f"spectra.{name}"]["shape"]),
        )
        for name in _ARRAYS
    }
    return _OnDisk(path, arrays)


def first_of_segments(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """First pixel of each segment of a pack's spectra; packs of 0.1 have it by another name."""
    return arrays[_SEGMENT if _SEGMENT in arrays else _OLD]


class _OnDisk(dict[str, np.ndarray]):
    """Arrays of a pack; NumPy would pickle a memory map with all that is in it."""

    def __init__(self, path: Path, arrays: dict[str, np.ndarray]) -> None:
        super().__init__(arrays)
        self.path = path.resolve()

    def __reduce__(self) -> tuple[Callable[[Path], dict[str, np.ndarray]], tuple[Path]]:
        return open_pack, (self.path,)
