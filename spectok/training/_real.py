"""Real spectra from a pack, augmented (no astropy here)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path

import numpy as np
import torch
from numpy.polynomial import chebyshev

from spectok._batch import PatchLayout, SpectrumBatch, find_segments
from spectok.training._window import Drawn, choose_window

__all__ = ["RealSpectra", "open_pack", "pack_spectra"]

_ARRAYS = ("flux", "sigma", "offset", "survey", "piece", "grid")
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
        [offset[i]:offset[i + 1]] are spectrum i. ``spectra.survey``. ``spectra.piece`` and
        ``spectra.grid``: the first pixel of every stretch of wavelengths, and the Chebyshev
        coefficients of the wavelength's logarithm over it, true to 0.003 of a pixel.

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
    flux_, sigma_, offset, survey_, piece, grid = [], [], [0], [], [], []
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
                piece.append(offset[-1] + first + begin)
                grid.append(coefficients)
        offset.append(offset[-1] + len(wavelength))
        survey_.append(survey)
    return {
        "spectra.flux": np.concatenate(flux_),
        "spectra.sigma": np.concatenate(sigma_),
        "spectra.offset": np.array(offset, np.int64),
        "spectra.survey": np.array(survey_, np.uint8),
        "spectra.piece": np.array(piece, np.int64),
        "spectra.grid": np.array(grid, np.float64),
    }


def _fit(logarithm: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """First pixel and coefficients of the pieces that a stretch of wavelengths needs."""
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

    Raises
    ------
    ValueError
        For a file that is no pack, or not a whole one.
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
    missing = [name for name in _ARRAYS if f"spectra.{name}" not in header]
    if missing:
        raise ValueError(
            f"{path} is no pack of spectra, it lacks {', '.join(missing)}: make one with "
            "`spectok pack`"
        )
    end = 8 + size + max(header[f"spectra.{name}"]["data_offsets"][1] for name in _ARRAYS)
    if whole < end:
        raise ValueError(f"{path} has {whole} bytes of {end}: copy it again, all of it")
    return {
        f"spectra.{name}": np.memmap(
            path,
            dtype=_NUMPY[header[f"spectra.{name}"]["dtype"]],
            mode="r",
            offset=8 + size + header[f"spectra.{name}"]["data_offsets"][0],
            shape=tuple(header[f"spectra.{name}"]["shape"]),
        )
        for name in _ARRAYS
    }


class RealSpectra:
    """Real spectra with augmentation.

    Moved in wavelength, multiplied by smooth calibration waves, with noise added on top of
    their own: what an object would look like in another observation.

    Parameters
    ----------
    arrays : mapping of str to array
        What `pack_spectra` returned, or `open_pack`: a pack may be larger than the memory.
    surveys : sequence of str
        Names of the numbers that stand for the surveys.
    device : str or `torch.device`
        Where spectra are augmented.
    """

    def __init__(
        self,
        arrays: Mapping[str, np.ndarray],
        surveys: Sequence[str] = ("sdss", "desi", "galah", "apogee"),
        *,
        device: str | torch.device = "cpu",
    ) -> None:
        self.arrays, self.device = arrays, torch.device(device)
        code = np.asarray(arrays["spectra.survey"])
        self.rows = {name: np.flatnonzero(code == k) for k, name in enumerate(surveys)}
        # Where the pieces of each spectrum begin among all pieces.
        self.pieces = np.searchsorted(arrays["spectra.piece"], arrays["spectra.offset"])

    def spectrum(self, row: int) -> tuple[np.ndarray, ...]:
        """Wavelength, flux, sigma and valid of one spectrum as they were observed."""
        start, stop = (int(n) for n in self.arrays["spectra.offset"][row : row + 2])
        first, last = self.pieces[row : row + 2]
        ends = np.append(self.arrays["spectra.piece"][first:last], stop)
        wavelength = [
            np.exp(chebyshev.chebval(np.linspace(-1, 1, n), coefficients))
            for n, coefficients in zip(
                np.diff(ends), self.arrays["spectra.grid"][first:last], strict=True
            )
        ]
        flux, sigma = (
            np.array(self.arrays[f"spectra.{name}"][start:stop], float)
            for name in ("flux", "sigma")
        )
        return np.concatenate(wavelength), flux, sigma, sigma > 0

    def draw(
        self, rng: np.random.Generator, survey: str, n: int, n_patches: int, patch_size: int
    ) -> Drawn:
        """N random spectra of a survey, each cut to a window of its own, augmented.

        Parameters
        ----------
        rng : `numpy.random.Generator`
            Its state alone decides what comes.
        survey : str
        n : int
        n_patches, patch_size : int
            Patches of a window at the most, but for those that a gap in the grid cuts.

        Returns
        -------
        drawn : Drawn
            On the device of this source.
        """
        rows = self.rows.get(survey, np.empty(0, int))
        if not len(rows):
            raise ValueError(
                f"there is no spectrum of {survey!r} in the pack: leave its real spectra out of "
                "the mixture"
            )
        layouts, parts = [], []
        for row in rng.choice(rows, n).tolist():
            wavelength, *rest = self.spectrum(row)
            window, _ = choose_window(rng, wavelength, rest[-1], n_patches * patch_size)
            layouts.append(PatchLayout.of(wavelength[window], patch_size))
            parts.append([a[window] for a in rest])
        batch = SpectrumBatch.from_layouts(layouts, *zip(*parts, strict=True))
        seen = self._augment(rng, survey, batch.to(self.device))
        return Drawn(seen, seen, noiseless=False)

    def _augment(
        self, rng: np.random.Generator, survey: str, batch: SpectrumBatch
    ) -> SpectrumBatch:
        n = len(batch.flux)
        noise = torch.Generator(self.device)
        noise.manual_seed(int(rng.integers(2**62)))
        # Every grid keeps its shape: a shift in velocity is a factor on the wavelength.
        wide = 2e-2 if survey in ("sdss", "desi") else 3e-4
        factor = 1 + rng.normal(0.0, wide, n) * (rng.random(n) < 0.7)
        waves, slope = rng.normal(0.0, 0.15, (n, 4)), rng.normal(0.0, 0.4, n)
        extra = 10 ** rng.uniform(-1.0, 0.6, n) * (rng.random(n) < 0.5)
        factor, waves, slope, extra = (
            torch.from_numpy(a).to(self.device).unsqueeze(-1)
            for a in (factor, waves, slope, extra)
        )
        low, high = batch.wavelength.amin(1, True), batch.wavelength.amax(1, True)
        place = ((batch.wavelength - low) / (high - low).clamp(min=1e-9)).float()
        number = torch.arange(1, 5, device=self.device)
        wave = (torch.sin(torch.pi * place.unsqueeze(-1) * number) @ waves.float()).squeeze(-1)
        gain = torch.exp(wave + slope.float() * (place - 0.5))
        deviate = torch.randn(batch.flux.shape, generator=noise, device=self.device)
        extra = extra.float()
        flux = (batch.flux + extra * batch.sigma * deviate) * gain
        sigma = batch.sigma * torch.hypot(torch.ones_like(extra), extra) * gain
        return SpectrumBatch(
            torch.where(batch.valid, flux, 0.0),
            torch.where(batch.valid, sigma, 1.0),
            batch.wavelength * factor,
            batch.valid,
        )
