"""Distances between the spectra that two token tables decode to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units as u
from astropy.table import Table
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from spectok._codec import decode
from spectok._convert import FluxUnit
from spectok._tokens import TokenSequence, meta_of, sequences

if TYPE_CHECKING:
    import torch

    from spectok.model import SpectralTokenizer

__all__ = ["nearest_decoded"]

_PIXELS = 10  # pixels of the coarser spectra per point of the common grid
_FEWEST = 16  # common points, below which two spectra are not compared
_FLOOR = 0.03  # of the flux: no point counts more than as if it were known so well
_WINDOW = 61  # points over which the continuum is averaged
_BLOCK = 1024


def nearest_decoded(
    tokens: Table,
    reference: Table | None,
    n: int,
    *,
    continuum: bool,
    model: SpectralTokenizer | str | None,
    device: str | torch.device | None,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Rows of the n nearest reference spectra and their distances, (N, n) each.

    The row is -1 and the distance NaN where there are fewer that share wavelengths. Without a
    reference, no spectrum is its own neighbour.
    """
    own = reference is None
    asked = sequences(tokens)
    known = asked if own else sequences(reference)
    meta = meta_of(tokens)
    other = meta if own else meta_of(reference)
    _share_wavelengths(asked, known)
    grid = _grid(asked + ([] if own else known))
    left = _vectors(tokens, meta, grid, continuum, model, device)
    right = left if own else _vectors(reference, other, grid, continuum, model, device)
    index = np.full((len(asked), n), -1)
    distance = np.full((len(asked), n), np.nan)
    for start in range(0, len(asked), _BLOCK):
        rows = slice(start, start + _BLOCK)
        block = _distances(left[rows], right)
        if own:
            place = np.arange(len(block))
            block[place, place + start] = np.inf
        count = min(n, len(known))
        nearest = np.argpartition(block, count - 1, axis=1)[:, :count]
        found = np.take_along_axis(block, nearest, axis=1)
        # Ties in the order of the reference, so that results do not depend on the blocks.
        order = np.lexsort((nearest, found), axis=1)
        found = np.take_along_axis(found, order, axis=1)
        seen = np.isfinite(found)
        index[rows, :count] = np.where(seen, np.take_along_axis(nearest, order, axis=1), -1)
        distance[rows, :count] = np.where(seen, found, np.nan)
    return index, distance


@dataclass(frozen=True)
class _Vectors:
    """Spectra on the common grid; flux and weight are 0 where a spectrum has none."""

    flux: NDArray[np.float64]
    weight: NDArray[np.float64]

    def __getitem__(self, rows: slice) -> _Vectors:
        return _Vectors(self.flux[rows], self.weight[rows])


def _range(spectra: list[TokenSequence]) -> tuple[float, float]:
    low = [s.wavelength_min[s.valid].min() for s in spectra if s.valid.any()]
    high = [s.wavelength_max[s.valid].max() for s in spectra if s.valid.any()]
    return min(low, default=np.nan), max(high, default=np.nan)


def _share_wavelengths(asked: list[TokenSequence], known: list[TokenSequence]) -> None:
    for spectra, what in ((asked, "tokens"), (known, "reference")):
        if not any(s.valid.any() for s in spectra):
            raise ValueError(
                f"no spectrum of {what} has a valid token: there is nothing to compare"
            )
    (a, b), (c, d) = _range(asked), _range(known)
    if max(a, c) >= min(b, d):
        raise ValueError(
            f"the tokens cover {a:.0f} to {b:.0f} Angstrom, the reference {c:.0f} to {d:.0f}: "
            "they share no wavelengths, so nothing can be compared"
        )


def _grid(spectra: list[TokenSequence]) -> NDArray[np.float64]:
    """Vacuum Angstrom, evenly in the logarithm, as coarse as the coarsest spectrum asks for."""
    steps = []
    for s in spectra:
        some = s.valid & (s.n_pixels > 1)
        width = np.log(s.wavelength_max[some] / s.wavelength_min[some]) / (s.n_pixels[some] - 1)
        steps.append(np.median(width) if some.any() else 0.0)
    low, high = _range(spectra)
    number = int(np.log(high / low) / (_PIXELS * max(steps))) + 1
    return np.geomspace(low, high, max(number, 2))


def _vectors(
    tokens: Table,
    meta: dict,
    grid: NDArray[np.float64],
    continuum: bool,
    model: SpectralTokenizer | str | None,
    device: str | torch.device | None,
) -> _Vectors:
    """Decoded spectra in units of their median, as flux per wavelength, with weights."""
    spectrum: Any = decode(tokens, grid * u.AA, model=model, medium="vacuum", device=device)
    unit = FluxUnit(u.Unit(meta["FLUXUNIT"]), "the token table")
    factor = unit.factor(unit.unit, grid, "the token table")
    flux = np.atleast_2d(spectrum.flux.value * factor)
    sigma = np.atleast_2d(spectrum.uncertainty.array * factor)
    here = ~np.atleast_2d(spectrum.mask) & np.isfinite(flux) & (sigma > 0)
    some = here.any(1)
    scale = np.ones((len(flux), 1))
    scale[some, 0] = np.nanmedian(np.where(here[some], np.abs(flux[some]), np.nan), axis=1)
    scale[scale == 0] = 1.0
    flux = np.where(here, flux / scale, 0.0)
    weight = np.where(here, 1.0 / np.hypot(np.where(here, sigma, 1.0) / scale, _FLOOR), 0.0)
    if not continuum:
        total, count = (
            uniform_filter1d(x, min(_WINDOW, x.shape[1]), axis=1, mode="constant")
            for x in (flux, here.astype(float))
        )
        flux = np.where(here, flux - total / np.where(here, count, 1.0), 0.0)
    return _Vectors(flux, weight)


def _distances(a: _Vectors, b: _Vectors) -> NDArray[np.float64]:
    """One minus the weighted cosine over common points; inf where these are too few."""
    # A point's weight is the product of both spectra's, so that sums are matrix products.
    product = (a.weight * a.flux) @ (b.weight * b.flux).T
    size = ((a.weight * a.flux**2) @ b.weight.T) * (a.weight @ (b.weight * b.flux**2).T)
    common = (a.weight > 0).astype(float) @ (b.weight > 0).astype(float).T
    known = (common >= _FEWEST) & (size > 0)
    cosine = product / np.sqrt(np.where(known, size, 1.0))
    return np.where(known, np.maximum(1.0 - cosine, 0.0), np.inf)
