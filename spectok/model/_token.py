"""What the numbers of a token mean (layer 1: torch only)."""

from __future__ import annotations

import torch
from torch import Tensor

from spectok.model._normalise import asinh

__all__ = ["coefficients_of", "contrast_of", "make_token"]

# Tokens hold asinh(gain * coefficient): contrasts of a spectrum are a tenth of its level.
_GAIN = 8.0


def make_token(coefficients: Tensor, log_noise: Tensor) -> Tensor:
    """Cosines of a patch (..., C - 1) and the log of its noise (..., 1), to tokens (..., C)."""
    return torch.cat([asinh(_GAIN * coefficients), log_noise], dim=-1)


def coefficients_of(value: Tensor) -> Tensor:
    """The cosines of tokens (..., C), in units of the spectrum's scale: (..., C - 1)."""
    return value[..., :-1].sinh() / _GAIN


def contrast_of(value: Tensor) -> Tensor:
    """The cosines of tokens (..., C) in units of the noise, half their asinh: (..., C - 1)."""
    return 0.5 * asinh(coefficients_of(value) * torch.exp(-value[..., -1:]))
