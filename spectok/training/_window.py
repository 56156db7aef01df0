"""Windows of spectra, laid out in patches on the device where they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from spectok._batch import PatchLayout, SpectrumBatch

__all__ = ["Drawn", "choose_window", "lay_out"]


@dataclass(frozen=True)
class Drawn:
    """Spectra of a source, laid out in patches.

    Parameters
    ----------
    seen : `~spectok._batch.SpectrumBatch`
        The observations.
    target : `~spectok._batch.SpectrumBatch`
        The grid and the fluxes asked for; ``seen`` itself where what is seen is asked for.
    noiseless : bool
        Whether the target is free of noise.

    Examples
    --------
    >>> import torch
    >>> from spectok._batch import SpectrumBatch
    >>> from spectok.training._window import Drawn
    >>> wavelength = 4000.0 + torch.arange(64).double().expand(2, 64)
    >>> ones = torch.ones(2, 64)
    >>> batch = SpectrumBatch(ones, 0.1 * ones, wavelength, ones > 0)
    >>> len(Drawn(batch, batch, noiseless=False)[:1].seen.flux)
    1
    """

    seen: SpectrumBatch
    target: SpectrumBatch
    noiseless: bool

    def __getitem__(self, rows: slice | Tensor) -> Drawn:
        """Some of the spectra."""
        seen = self.seen[rows]
        target = seen if self.target is self.seen else self.target[rows]
        return Drawn(seen, target, self.noiseless)


def choose_window(
    rng: np.random.Generator,
    wavelength: np.ndarray,
    covered: np.ndarray,
    n_pixels: int,
    other: np.ndarray | None = None,
    asked: np.ndarray | None = None,
) -> tuple[slice, np.ndarray | None]:
    """Cut a grid to at most ``n_pixels`` of the part that is covered.

    Parameters
    ----------
    rng : `numpy.random.Generator`
    wavelength : array, shape (L,)
    covered : array of bool, shape (L,)
        Pixels that say something.
    n_pixels : int
    other, asked : arrays, shape (M,), optional
        Another grid, and its pixels that can be asked for: the window holds one of them.

    Returns
    -------
    window : slice
        Empty where nothing is covered.
    places : array of int or None
        Pixels of the other grid in the window, at most ``n_pixels``; none where the grids
        have nothing in common.
    """
    some = np.flatnonzero(covered)
    if not len(some) or (asked is not None and not asked.any()):
        return slice(0, 0), None
    first, last = int(some[0]), int(some[-1]) + 1
    if last - first > n_pixels:
        low, high = first, last - n_pixels
        if other is not None:
            # Around a pixel that is asked for, so that both grids have something in common.
            place = int(np.abs(wavelength - rng.choice(other[asked])).argmin())
            low, high = min(max(low, place - n_pixels + 1), high), max(min(high, place), low)
        first = int(rng.integers(low, high + 1))
        last = first + n_pixels
    window = slice(first, last)
    if other is None:
        return window, None
    seen = wavelength[window]
    places = np.flatnonzero((other >= seen.min()) & (other <= seen.max()))
    if len(places) > n_pixels:
        begin = int(rng.integers(0, len(places) - n_pixels + 1))
        places = places[begin : begin + n_pixels]
    return window, places


def lay_out(
    layout: PatchLayout,
    flux: Tensor,
    sigma: Tensor,
    valid: Tensor,
    factor: Tensor | None = None,
) -> SpectrumBatch:
    """Spectra of one grid, tensors of shape (N, L) on any device, in patches.

    ``factor``, float64 of shape (N,), multiplies the wavelengths of each.
    """
    index, present, wavelength = (
        torch.from_numpy(a).to(flux.device)
        for a in (layout.index, layout.present, layout.wavelength)
    )
    good = valid[:, index] & present
    grid = wavelength.expand(len(flux), -1)
    return SpectrumBatch(
        torch.where(good, flux[:, index], 0.0),
        torch.where(good, sigma[:, index], 1.0),
        grid if factor is None else grid * factor[:, None],
        good,
    )
