"""Which pixels are hidden to score a reconstruction (layer 0: numpy only)."""

from __future__ import annotations

import numpy as np

__all__ = ["BLOCK", "hidden_blocks"]

BLOCK, _SHARE = 12, 0.10


def hidden_blocks(valid: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Blocks of 12 good pixels, together a tenth of the good ones; shape (L,), bool.

    Single hidden pixels would be too easy: neighbouring survey pixels share noise.
    """
    hidden = np.zeros(valid.size, bool)
    wanted = int(_SHARE * valid.sum())
    for start in rng.permutation(max(valid.size - BLOCK, 0)):
        if hidden.sum() + BLOCK > wanted:
            break
        block = slice(start, start + BLOCK)
        # A pixel between two blocks keeps them apart.
        around = slice(max(start - 1, 0), start + BLOCK + 1)
        if valid[block].all() and not hidden[around].any():
            hidden[block] = True
    return hidden
