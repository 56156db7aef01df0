"""What is hidden from the encoder and asked of the decoder."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

__all__ = ["HIDDEN_SHARE", "hide"]

HIDDEN_SHARE = (0.02, 0.30)
_BLOCK, _BLOCKS = 12, (2, 40)  # pixels: in six spectra of ten, and in the others
_SINGLE = (0.0, 0.02, 0.08)  # share of single pixels
_GAP, _GAPS = (32, 256), 0.15  # pixels of a long gap, and share of the spectra that have one


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
