"""What is hidden from the encoder and asked of the decoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["HIDDEN_SHARE", "check_hidden", "hide", "hide_more"]

HIDDEN_SHARE = (0.02, 0.30)
_BLOCK, _BLOCKS = 12, (2, 40)  # pixels: in six spectra of ten, and in the others
_SINGLE = (0.0, 0.02, 0.08)  # share of single pixels
_GAP, _GAPS = (32, 256), 0.15  # pixels of a long gap, and share of the spectra that have one

# What more can be hidden, with what each kind needs to know: how many, or how much.
_KINDS = {
    "patches": {"chance": 1.0, "share": (0.3, 0.75), "visible": (0, 0)},
    "stretches": {"chance": 1.0, "share": (0.2, 0.5)},
    "lines": {"chance": 1.0, "number": (1, 12), "pixels": (8, 48)},
}


def hide(
    rng: np.random.Generator,
    shape: tuple[int, int],
    share: tuple[float, float] = HIDDEN_SHARE,
) -> Tensor:
    """Draw the pixels to withhold: blocks, single ones, and at times a long gap.

    Parameters
    ----------
    rng : `numpy.random.Generator`
    shape : (int, int)
        Spectra, and pixels of each.
    share : (float, float)
        Range from which each spectrum draws the share that its blocks cover; where blocks
        overlap it is less. (0, 0) hides nothing.

    Returns
    -------
    hidden : `torch.Tensor` of bool
        On the CPU.
    """
    n_spectra, n_pixels = shape
    if share[1] <= 0.0:
        return torch.zeros(shape, dtype=torch.bool)
    size = np.where(rng.random(n_spectra) < 0.6, _BLOCK, rng.integers(*_BLOCKS, n_spectra))
    chance = rng.uniform(*share, n_spectra) / size
    gap = rng.integers(*_GAP, n_spectra)
    gap_at = rng.integers(0, n_pixels, n_spectra)
    gap_at = np.where(rng.random(n_spectra) < _GAPS, gap_at, n_pixels)
    single = rng.choice(_SINGLE, n_spectra)
    draw = torch.Generator()
    draw.manual_seed(int(rng.integers(2**31)))
    starts = torch.rand((2, *shape), generator=draw)
    begun = (starts[0] < torch.from_numpy(chance)[:, None].float()).cumsum(1)
    # A pixel is in a block if one began at it or at one of the ``size`` - 1 before it.
    place = torch.arange(n_pixels)
    before = place[None, :] - torch.from_numpy(size)[:, None]
    ended = torch.where(before >= 0, begun.gather(1, before.clamp(min=0)), 0)
    after_gap = place[None, :] - torch.from_numpy(gap_at)[:, None]
    in_gap = (after_gap >= 0) & (after_gap < torch.from_numpy(gap)[:, None])
    alone = starts[1] < torch.from_numpy(single)[:, None].float()
    return (begun > ended) | in_gap | alone


def check_hidden(hidden: Mapping[str, Mapping[str, Any]] | None) -> dict[str, dict[str, Any]]:
    """What is to be hidden beyond `hide`, made complete.

    Raises
    ------
    ValueError
        For an unknown kind or key, a chance or share outside 0 to 1, and a range that is none.
    """
    found = {}
    for kind, given in (hidden or {}).items():
        if kind not in _KINDS:
            raise ValueError(f"hidden may have {', '.join(_KINDS)}, not {kind}")
        unknown = [key for key in given if key not in _KINDS[kind]]
        if unknown:
            raise ValueError(
                f"hidden: {kind} may have {', '.join(_KINDS[kind])}, not {', '.join(unknown)}"
            )
        found[kind] = {**_KINDS[kind], **given}
        for key, value in found[kind].items():
            low, high = (value, value) if key == "chance" else tuple(value)
            most = 1.0 if key in ("chance", "share") else np.inf
            if not 0 <= low <= high <= most:
                raise ValueError(
                    f"hidden: {key} of {kind} must be "
                    + ("from 0 to 1" if key == "chance" else "a range (lowest, highest)")
                    + f", not {value}"
                )
    return found


def hide_more(
    rng: np.random.Generator,
    shape: tuple[int, int],
    patch_size: int,
    hidden: Mapping[str, Mapping[str, Any]],
) -> Tensor:
    """Draw larger pieces to withhold: what can only be known from the rest of the spectrum.

    Parameters
    ----------
    rng : `numpy.random.Generator`
    shape : (int, int)
        Spectra, and pixels of each: a multiple of the patch size.
    patch_size : int
    hidden : mapping
        From `check_hidden`. Each kind is drawn for every spectrum by itself, with its
        ``chance``: ``patches`` hides a ``share`` of all patches, but for ``visible`` pixels in
        each (with none, a hidden patch has no token); ``stretches`` one stretch that covers a
        ``share`` of the spectrum, like an arm; ``lines`` a ``number`` of windows, each so many
        ``pixels`` wide.

    Returns
    -------
    hidden : `torch.Tensor` of bool
        On the CPU.
    """
    n, n_pixels = shape
    out, place = np.zeros(shape, bool), np.arange(n_pixels)
    if "patches" in hidden:
        own, n_patches = hidden["patches"], n_pixels // patch_size
        # So many of the patches, and not all of them.
        number = np.rint(rng.uniform(own["share"][0], own["share"][1], n) * n_patches).clip(
            0, n_patches - 1
        )
        rank = rng.random((n, n_patches)).argsort(1).argsort(1)
        order = rng.random((n, n_patches, patch_size)).argsort(2).argsort(2)
        visible = rng.integers(own["visible"][0], own["visible"][1] + 1, n)
        covered = (rank < number[:, None])[:, :, None] & (order >= visible[:, None, None])
        out |= covered.reshape(shape) & _drawn(rng, own, n)
    if "stretches" in hidden:
        own = hidden["stretches"]
        low, high = own["share"]
        length = np.rint(rng.uniform(low, high, n) * n_pixels)
        after = place - np.floor(rng.random(n) * (n_pixels - length + 1))[:, None]
        out |= (after >= 0) & (after < length[:, None]) & _drawn(rng, own, n)
    if "lines" in hidden:
        own = hidden["lines"]
        number = rng.integers(own["number"][0], own["number"][1] + 1, n)
        drawn = _drawn(rng, own, n)
        for window in range(own["number"][1]):
            width = rng.integers(own["pixels"][0], own["pixels"][1] + 1, n)
            after = place - rng.integers(0, n_pixels, n)[:, None] + width[:, None] // 2
            inside = (after >= 0) & (after < width[:, None])
            out |= inside & (number > window)[:, None] & drawn
    return torch.from_numpy(out)


def _drawn(rng: np.random.Generator, own: Mapping[str, Any], n: int) -> np.ndarray:
    """Which of the spectra, (n, 1)."""
    return rng.random((n, 1)) < own["chance"]
