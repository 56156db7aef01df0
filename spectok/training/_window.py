"""Windows of spectra, laid out in patches on the device where they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from spectok._batch import PatchLayout, Prepared, SpectrumBatch, binary_scale

__all__ = ["Drawn", "choose_window", "lay_out"]


@dataclass(frozen=True)
class Drawn:
    """Spectra that a `Source` hands out, laid out in patches; made by `Drawn.of`.

    Parameters
    ----------
    seen : `~spectok._batch.SpectrumBatch`
        The observations.
    target : `~spectok._batch.SpectrumBatch`
        The grid and the fluxes asked for; ``seen`` itself where what is seen is asked for.
    noiseless : bool
        Whether the target is free of noise.

    See Also
    --------
    Source : What hands them out.

    Examples
    --------
    >>> import numpy as np
    >>> from spectok.training import Drawn
    >>> wavelength = 4000.0 + np.arange(100)
    >>> flux = np.ones((2, 100))
    >>> drawn = Drawn.of(wavelength, flux, 0.1 * flux, flux > 0, patch_size=32)
    >>> drawn.seen.flux.shape, drawn.noiseless
    (torch.Size([2, 128]), False)
    """

    seen: SpectrumBatch
    target: SpectrumBatch
    noiseless: bool

    @classmethod
    def of(
        cls,
        wavelength: np.ndarray | Sequence[np.ndarray],
        flux: np.ndarray | Sequence[np.ndarray],
        sigma: np.ndarray | Sequence[np.ndarray],
        valid: np.ndarray | Sequence[np.ndarray],
        *,
        patch_size: int,
        truth: np.ndarray | Sequence[np.ndarray] | None = None,
        window: tuple[np.random.Generator, int] | None = None,
    ) -> Drawn:
        """Lay arrays out in patches.

        Parameters
        ----------
        wavelength : array, shape (L,) or (N, L), or N arrays of shape (L_i,)
            Vacuum Angstrom, ascending within each arm, arms one after the other.
        flux, sigma : array, shape (N, L), or N arrays of shape (L_i,)
            Flux and its standard deviation, in any unit.
        valid : array of bool of the shape of ``flux``
            True for good pixels.
        patch_size : int
            Pixels of a patch.
        truth : array of the shape of ``flux``, optional
            The flux without its noise, where it is known: it is what the network is then asked
            for. By default it is asked for ``flux`` itself.
        window : (`numpy.random.Generator`, int), optional
            The generator and ``n_patches`` that a source is given: of each longer spectrum one
            random window of so many patches, which holds good pixels, is cut out.

        Returns
        -------
        drawn : Drawn
            On the CPU. It may hold spectra without a good pixel, which are left out of batches.

        Raises
        ------
        ValueError
            For arrays whose shapes do not belong together.
        """
        asked = flux if truth is None else truth
        shared = isinstance(wavelength, np.ndarray) and wavelength.ndim == 1
        grids = [wavelength] * len(flux) if shared else list(wavelength)
        if not len(grids) == len(flux) == len(sigma) == len(valid) == len(asked):
            raise ValueError(
                f"{len(grids)} wavelength grids, {len(flux)} spectra of flux, {len(sigma)} of "
                f"sigma, {len(valid)} of valid and {len(asked)} of truth: give one row for each"
            )
        seen, target = [], []
        for k, row in enumerate(zip(grids, flux, sigma, valid, asked, strict=True)):
            shapes = {np.shape(part) for part in row}
            if len(shapes) > 1 or np.ndim(row[0]) != 1:
                raise ValueError(
                    f"spectrum {k}: wavelength, flux, sigma, valid and truth have the shapes "
                    f"{', '.join(str(np.shape(part)) for part in row)}; they must have one (L,)"
                )
            grid, own, error, truth_ = (np.asarray(row[i], np.float64) for i in (0, 1, 2, 4))
            with np.errstate(invalid="ignore"):
                good = np.asarray(row[3], bool) & np.isfinite(own) & (error > 0)
            good &= np.isfinite(error) & np.isfinite(truth_)
            if window is not None:
                cut, _ = choose_window(window[0], grid, good, window[1] * patch_size)
                cut = cut if cut.stop else slice(0, min(len(grid), window[1] * patch_size))
                grid, own, error, truth_ = (a[cut] for a in (grid, own, error, truth_))
                good = good[cut]
            layout = PatchLayout.of(grid, patch_size)
            unit = float(binary_scale(own[None], error[None], good[None])[0])
            seen.append(Prepared(layout, own, error, good, unit))
            target.append(Prepared(layout, truth_, error, good, unit))
        batch = SpectrumBatch.of(seen)
        if truth is None:
            return cls(batch, batch, noiseless=False)
        return cls(batch, SpectrumBatch.of(target), noiseless=True)

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
