"""Tokens at wavelengths between patches (layer 1: torch only)."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["bracket", "interpolate_tokens", "pick"]


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
    low, high = bracket(wavelength, valid, target)
    below, above = wavelength.gather(1, low), wavelength.gather(1, high)
    weight = ((target - below) / (above - below)).nan_to_num(1.0).clamp(0.0, 1.0)
    weight = weight.to(value.device, value.dtype).unsqueeze(-1)
    return torch.lerp(pick(value, low), pick(value, high), weight)


def bracket(wavelength: Tensor, valid: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The valid tokens next to wavelengths on either side.

    Parameters
    ----------
    wavelength : `torch.Tensor`, float64, shape (N, T)
        In any order.
    valid : `torch.Tensor` of bool, shape (N, T)
    target : `torch.Tensor`, float64, shape (N, S)

    Returns
    -------
    low, high : `torch.Tensor` of int, shape (N, S)
        Their positions among the T tokens, where the wavelengths live (the CPU beside an MPS
        device). Beyond the outermost token both are that one; a lone token is both.
    """
    valid = valid.to(wavelength.device)
    keys, order = torch.where(valid, wavelength, torch.inf).sort(dim=1, stable=True)
    last = (valid.sum(1, keepdim=True) - 1).clamp(min=0)
    after = torch.searchsorted(keys, target.contiguous())
    low, high = (after - 1).clamp(min=0), after.minimum(last)
    return order.gather(1, low), order.gather(1, high)


def pick(value: Tensor, position: Tensor) -> Tensor:
    """Tokens (N, T, C) at positions (N, S) as (N, S, C)."""
    index = position.to(value.device).unsqueeze(-1)
    return value.gather(1, index.expand(-1, -1, value.shape[-1]))
