"""Spectra as padded tensors: segments, patches, length buckets (no units here).

A *layout* says which pixel of a spectrum stands in which place of which patch. A patch never
straddles a gap between arms or a jump in sampling: every segment of the wavelength grid is
patched and padded on its own, so a layout has more places than the spectrum has pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spectok._buckets import buckets

__all__ = [
    "PatchLayout",
    "Prepared",
    "SpectrumBatch",
    "TokenBatch",
    "batches",
    "binary_scale",
    "buckets",
    "find_segments",
    "padded",
    "prepare",
]

# Adjacent steps may differ by a factor of 2. One missing pixel doubles a step, on a logarithmic
# grid by a hair more than 2: the tolerance keeps such a spectrum in one piece.
_STEP_RATIO = 2.02
# Largest number, and one over the smallest error, that goes into a float32 batch.
_MOST = 1e30


def find_segments(wavelength: np.ndarray) -> np.ndarray:
    """Index of the first pixel of each segment of a wavelength grid.

    A segment ends where the wavelength falls (the next arm overlaps the last one) and where
    adjacent steps differ by more than a factor of 2: of the two, the longer step is the break.

    Parameters
    ----------
    wavelength : `numpy.ndarray`, shape (L,)
        Wavelengths in Angstrom, ascending within each arm.

    Returns
    -------
    start : `numpy.ndarray` of int, shape (S,)
        Ascending, the first is 0.
    """
    step = np.diff(wavelength)
    broken = step <= 0
    if step.size > 1:
        left, right = step[:-1], step[1:]
        comparable = (left > 0) & (right > 0)
        broken[1:] |= comparable & (right > _STEP_RATIO * left)
        broken[:-1] |= comparable & (left > _STEP_RATIO * right)
    return np.concatenate([[0], np.flatnonzero(broken) + 1])


@dataclass(frozen=True)
class PatchLayout:
    """The places of one wavelength grid in patches.

    Attributes
    ----------
    index : int array, shape (T * P,)
        Pixel that stands in each place; padding repeats the last pixel of its segment.
    present : bool array, shape (T * P,)
        False for padding.
    wavelength : float64 array, shape (T * P,)
        Vacuum Angstrom; padding continues the segment's last step. Of light curves
        (`spectok._curves`) days since the first point.
    patch_size : int
        P.
    band : float64 array, shape (T,), optional
        Of light curves: effective wavelength of each patch's filter, Angstrom.
    origin : float
        Of light curves: time of the first point, in days.
    """

    index: np.ndarray
    present: np.ndarray
    wavelength: np.ndarray
    patch_size: int
    band: np.ndarray | None = None
    origin: float = 0.0

    @classmethod
    def of(cls, wavelength: np.ndarray, patch_size: int) -> PatchLayout:
        """Lay out a grid of shape (L,) in patches of ``patch_size`` pixels."""
        wavelength = np.asarray(wavelength, dtype=np.float64)
        start = find_segments(wavelength)
        stop = np.append(start[1:], wavelength.size)
        index, present, places = [], [], []
        for first, last in zip(start, stop - 1, strict=True):
            n_pixels = last - first + 1
            n_padding = -n_pixels % patch_size
            # A lone pixel has no step of its own; any positive one will do for its padding.
            step = wavelength[last] - wavelength[last - 1] if n_pixels > 1 else 1.0
            index += [np.arange(first, last + 1), np.full(n_padding, last)]
            present += [np.ones(n_pixels, bool), np.zeros(n_padding, bool)]
            places += [
                wavelength[first : last + 1],
                wavelength[last] + step * np.arange(1, n_padding + 1),
            ]
        return cls(
            np.concatenate(index), np.concatenate(present), np.concatenate(places), patch_size
        )

    @property
    def n_patches(self) -> int:
        """Number of patches T."""
        return self.index.size // self.patch_size

    def patch_range(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Lowest and highest wavelength and number of real pixels of each patch, shape (T,)."""
        shape = (self.n_patches, self.patch_size)
        n_pixels = self.present.reshape(shape).sum(1)
        places = self.wavelength.reshape(shape)
        return places[:, 0], places[np.arange(len(places)), n_pixels - 1], n_pixels

    @property
    def end(self) -> np.ndarray:
        """Where the last real pixel of each patch ends, shape (T,)."""
        low, high, n_pixels = self.patch_range()
        return high + 0.5 * (high - low) / np.maximum(n_pixels - 1, 1)

    def gather(self, values: np.ndarray) -> np.ndarray:
        """Pixels (..., L) to places (..., T * P)."""
        return values[..., self.index]

    def scatter(self, places: np.ndarray) -> np.ndarray:
        """Places (..., T * P) back to pixels (..., L)."""
        return places[..., self.present]


def binary_scale(flux: np.ndarray, sigma: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Power of two near the typical value of each spectrum.

    Divided by it, a spectrum in any unit (1e-17 erg/s/cm2/A, 1e-26 W/m2/Hz) fits float32, and
    not one bit of it is lost.

    Parameters
    ----------
    flux, sigma : `numpy.ndarray`, shape (N, L)
        Float64.
    valid : `numpy.ndarray` of bool, shape (N, L)

    Returns
    -------
    binary_scale : `numpy.ndarray`, shape (N,)
        1 for a spectrum without a good pixel.
    """
    typical = np.ones(len(flux))
    for row, good in enumerate(valid):
        some = np.flatnonzero(good)
        if some.size:
            some = some[:: max(some.size // 512, 1)]  # enough for a power of two
            # The median: one error of 1e30 ("infinite") must not push all else below float32.
            typical[row] = np.median(np.maximum(np.abs(flux[row, some]), sigma[row, some]))
    return np.exp2(np.floor(np.log2(typical)))


@dataclass(frozen=True)
class Prepared:
    """One spectrum, ready for the network.

    Attributes
    ----------
    layout : `PatchLayout`
        Of its grid; spectra of one grid share it.
    flux, sigma : `numpy.ndarray`, shape (L,)
        As they came, or views of it: what stands under bad pixels is never looked at.
    valid : `numpy.ndarray` of bool, shape (L,)
        True for good pixels.
    unit : float
        Power of two by which flux and sigma are divided on their way into a batch, and by which
        the scale that the network finds is multiplied; see `binary_scale`.
    """

    layout: PatchLayout
    flux: np.ndarray
    sigma: np.ndarray
    valid: np.ndarray
    unit: float = 1.0

    def places(self, values: np.ndarray, good: np.ndarray, fill: float) -> np.ndarray:
        """Pixels (L,) over the unit, at the places (T * P,) that are good."""
        with np.errstate(all="ignore"):  # junk under bad pixels is nobody's business
            return np.where(good, self.layout.gather(values) / self.unit, fill)


def prepare(
    wavelength: np.ndarray,
    flux: np.ndarray,
    sigma: np.ndarray,
    valid: np.ndarray,
    patch_size: int,
) -> list[Prepared]:
    """Prepare N spectra (N, L) of one grid (L,)."""
    layout = PatchLayout.of(wavelength, patch_size)
    unit = binary_scale(flux, sigma, valid)
    return [Prepared(layout, *row) for row in zip(flux, sigma, valid, unit, strict=True)]


def padded(
    rows: Sequence[np.ndarray], dtype: Any = np.float64, *, fill: float | None = 0
) -> np.ndarray:
    """Rows (L_i, ...) as one array (N, L, ...), as long as the longest.

    Parameters
    ----------
    rows : sequence of `numpy.ndarray`
    dtype : `numpy.dtype`
    fill : float, optional
        What stands beyond a row's end; None: its last value again.
    """
    longest = max(map(len, rows))
    out = np.full((len(rows), longest, *rows[0].shape[1:]), fill or 0, dtype)
    for to, row in zip(out, rows, strict=True):
        to[: len(row)] = row
        if fill is None:
            to[len(row) :] = row[-1]
    return out


def batches(
    spectra: Sequence[Prepared], *, batch_size: int | None = None, max_tokens: int = 1024
) -> Iterator[tuple[np.ndarray, SpectrumBatch]]:
    """Spectra in batches of similar length.

    Parameters
    ----------
    spectra : sequence of `Prepared`
    batch_size, max_tokens : int
        As for `buckets`.

    Yields
    ------
    rows : `numpy.ndarray` of int
        Which spectra: positions in the sequence.
    batch : `SpectrumBatch`
        In memory until the next one is asked for.
    """
    lengths = [one.layout.n_patches for one in spectra]
    for rows in buckets(lengths, batch_size=batch_size, max_tokens=max_tokens):
        yield rows, SpectrumBatch.of([spectra[k] for k in rows])


@dataclass(frozen=True)
class SpectrumBatch:
    """Spectra laid out in patches and padded to one number of patches.

    Attributes
    ----------
    flux, sigma : `torch.Tensor`, float32, shape (N, T * P)
        Any unit; what stands under ``valid == False`` is never looked at.
    wavelength : `torch.Tensor`, float64, shape (N, T * P)
        Vacuum Angstrom, finite everywhere. It stays on the CPU for devices without float64.
    valid : `torch.Tensor`, bool, shape (N, T * P)
        True for good pixels.
    band : `torch.Tensor`, float64, shape (N, T), optional
        Of light curves: effective wavelength of each patch's filter, Angstrom; where a
        wavelength is said here, there stands a time in days.
    end : `torch.Tensor`, float64, shape (N, T), optional
        Where the last real pixel of each patch ends, Angstrom; None: where the patch does.
    """

    flux: Tensor
    sigma: Tensor
    wavelength: Tensor
    valid: Tensor
    band: Tensor | None = None
    end: Tensor | None = None

    @classmethod
    def of(cls, spectra: Sequence[Prepared]) -> SpectrumBatch:
        """Pad N spectra to the longest of them."""
        flux, sigma, valid = [], [], []
        for one in spectra:
            good = one.layout.gather(one.valid) & one.layout.present
            # Good pixels beyond float32 (a cosmic ray of 1e60, an error of 1e-60) stop short.
            flux.append(one.places(one.flux, good, 0.0).clip(-_MOST, _MOST))
            sigma.append(one.places(one.sigma, good, 1.0).clip(1 / _MOST, _MOST))
            valid.append(good)
        return cls(
            torch.from_numpy(padded(flux, np.float32)),
            torch.from_numpy(padded(sigma, np.float32, fill=1.0)),
            torch.from_numpy(padded([one.layout.wavelength for one in spectra], fill=None)),
            torch.from_numpy(padded(valid, bool)),
            _padded_bands([one.layout.band for one in spectra]),
            _padded_ends([one.layout for one in spectra]),
        )

    @classmethod
    def from_layouts(
        cls,
        layouts: Sequence[PatchLayout],
        flux: Sequence[np.ndarray],
        sigma: Sequence[np.ndarray],
        valid: Sequence[np.ndarray],
    ) -> SpectrumBatch:
        """The same from the parts of N spectra, each (L_i,) with its layout."""
        return cls.of(
            [Prepared(*parts) for parts in zip(layouts, flux, sigma, valid, strict=True)]
        )

    def __getitem__(self, rows: slice | Tensor) -> SpectrumBatch:
        """Some of the spectra."""
        return replace(self, **{k: v[rows] for k, v in vars(self).items() if v is not None})

    def to(self, device: torch.device | str) -> SpectrumBatch:
        """The same batch on a device."""
        return SpectrumBatch(
            self.flux.to(device),
            self.sigma.to(device),
            _float64_to(self.wavelength, device),
            self.valid.to(device),
            None if self.band is None else _float64_to(self.band, device),
            None if self.end is None else _float64_to(self.end, device),
        )


@dataclass(frozen=True)
class TokenBatch:
    """Tokens of N spectra, padded to one number of tokens.

    Attributes
    ----------
    value : `torch.Tensor`, float32, shape (N, T, C)
        Zero where ``valid`` is False.
    wavelength : `torch.Tensor`, float64, shape (N, T)
        Centre of each patch, vacuum Angstrom.
    half : `torch.Tensor`, float64, shape (N, T)
        Distance from there to the patch's first and last place, Angstrom.
    valid : `torch.Tensor`, bool, shape (N, T)
    scale : `torch.Tensor`, float32, shape (N,)
        What the spectrum was divided by.
    from_noise : `torch.Tensor` of bool, shape (N,), optional
        Whether that was its median error, and not its median flux.
    band, end : `torch.Tensor`, float64, shape (N, T), optional
        Filters of light curves, and where patches end, as in `SpectrumBatch`.
    """

    value: Tensor
    wavelength: Tensor
    half: Tensor
    valid: Tensor
    scale: Tensor
    from_noise: Tensor | None = None
    band: Tensor | None = None
    end: Tensor | None = None

    def __getitem__(self, rows: slice | Tensor) -> TokenBatch:
        """Some of the spectra."""
        return replace(self, **{k: v[rows] for k, v in vars(self).items() if v is not None})

    def to(self, device: torch.device | str) -> TokenBatch:
        """The same tokens on a device."""
        return TokenBatch(
            self.value.to(device),
            _float64_to(self.wavelength, device),
            _float64_to(self.half, device),
            self.valid.to(device),
            self.scale.to(device),
            None if self.from_noise is None else self.from_noise.to(device),
            None if self.band is None else _float64_to(self.band, device),
            None if self.end is None else _float64_to(self.end, device),
        )


def _float64_to(tensor: Tensor, device: torch.device | str) -> Tensor:
    """Move a float64 tensor, unless the device (Apple's MPS) has no float64."""
    return tensor if torch.device(device).type == "mps" else tensor.to(device)


def _padded_bands(bands: Sequence[np.ndarray | None]) -> Tensor | None:
    """Bands of light curves (T_i,) as one tensor (N, T); None for spectra."""
    known = [band for band in bands if band is not None]
    return torch.from_numpy(padded(known, fill=None)) if known else None


def _padded_ends(layouts: Sequence[PatchLayout]) -> Tensor | None:
    """Ends of the patches of spectra (T_i,) as one tensor (N, T); None for light curves."""
    if layouts[0].band is not None:
        return None
    return torch.from_numpy(padded([one.end for one in layouts], fill=None))
