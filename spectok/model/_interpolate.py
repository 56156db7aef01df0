"""Tokens at wavelengths between patches (layer 1: torch only)."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["interpolate_tokens"]


def interpolate_tokens(value: Tensor, wavelength: Tensor, valid: Tensor, target: Tensor) -> Tensor:
    """Tokens at other wavelengths, linear between valid neighbours, constant beyond them.

    Parameters
    ----------
    value : `torch.Tensor`, shape (N, T, C)
    wavelength : `torch.Tensor`, float64, shape (N, T)
    valid : `torch.Tensor` of bool, shape (N, T)
    target : `torch.Tensor`, float64, shape (N, S)

    Returns
    -------
    interpolated : `torch.Tensor`, shape (N, S, C)
        At a valid token's own wavelength exactly that token.
    """
    # The float64 part runs where the wavelengths live (the CPU beside an MPS device).
    keys = torch.where(valid.to(wavelength.device), wavelength, torch.inf)
    keys, order = keys.sort(dim=1, stable=True)
    last = (valid.sum(1, keepdim=True) - 1).clamp(min=0).to(wavelength.device)
    high = torch.searchsorted(keys, target.contiguous()).minimum(last)
    low = (high - 1).clamp(min=0)
    below, above = keys.gather(1, low), keys.gather(1, high)
    weight = ((target - below) / (above - below)).nan_to_num(1.0).clamp(0.0, 1.0)
    weight = weight.to(value.device, value.dtype).unsqueeze(-1)

    def pick(position: Tensor) -> Tensor:
        index = order.gather(1, position).to(value.device)
        return value.gather(1, index.unsqueeze(-1).expand(-1, -1, value.shape[-1]))

    return torch.lerp(pick(low), pick(high), weight)
