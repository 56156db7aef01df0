"""A patch as a few cosines: where tokens start from (layer 1: torch only).

The discrete cosine transform of a patch, each coefficient shrunk by what of it is noise, is a
good code of a spectrum before anything is learned, and it is a function of wavelength, which can
be evaluated on any grid. The network learns what to add to it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from spectok.model._interpolate import bracket, pick

__all__ = ["cosine_code", "expand_cosines"]

# In variances of the noise: near 2 ln(K), the universal threshold of K coefficients.
_THRESHOLD = 6.0
_FILLINGS = 5


def cosine_code(values: Tensor, visible: Tensor, variance: Tensor, n_cosines: int) -> Tensor:
    """Shrunken cosine coefficients of patches.

    A coefficient d of variance v becomes ``d * x^2 / (1 + x^2)`` with ``x = d^2 / (6 v)``: kept
    where it stands above its noise, dropped where it does not. Pixels that are not visible are
    filled in by what the code itself says of them.

    Parameters
    ----------
    values : `torch.Tensor`, shape (N, T, P)
        Near zero in the mean; anything finite where not visible.
    visible : `torch.Tensor` of bool, shape (N, T, P)
    variance : `torch.Tensor`, shape (N, T, 1)
        Noise variance of a pixel.
    n_cosines : int
        Coefficients K.

    Returns
    -------
    code : `torch.Tensor`, shape (N, T, K)
    """
    size = values.shape[-1]
    place = (torch.arange(size, device=values.device, dtype=values.dtype) + 0.5) / size
    basis = _basis(place, n_cosines)
    threshold = (_THRESHOLD * variance / size).clamp(min=1e-30)

    def shrunken(guess: Tensor) -> Tensor:
        code = guess @ basis / size
        power = (code**2 / threshold).clamp(min=1e-15)
        return code / (1.0 + power**-2)

    code = shrunken(torch.where(visible, values, 0.0))
    if not bool(visible.all()):
        for _ in range(_FILLINGS):
            code = shrunken(torch.where(visible, values, code @ basis.T))
    return code


def _basis(place: Tensor, n_cosines: int) -> Tensor:
    """Cosines at places from 0 to 1 across a patch, (...) to (..., K)."""
    order = torch.arange(n_cosines, device=place.device, dtype=place.dtype)
    scale = torch.where(order > 0, math.sqrt(2.0), 1.0).to(place.dtype)
    return torch.cos(math.pi * place.unsqueeze(-1) * order) * scale


def expand_cosines(
    code: Tensor, wavelength: Tensor, width: Tensor, valid: Tensor, target: Tensor
) -> Tensor:
    """Sum of a code's cosines at any wavelengths: each takes the nearest patch's.

    Parameters
    ----------
    code : `torch.Tensor`, shape (N, T, K)
    wavelength, width : `torch.Tensor`, float64, shape (N, T)
        Centre and width of each patch.
    valid : `torch.Tensor` of bool, shape (N, T)
    target : `torch.Tensor`, float64, shape (N, L)

    Returns
    -------
    values : `torch.Tensor`, shape (N, L)
        On a patch's own places the inverse transform; beyond the last patch its last value.
    """
    low, high = bracket(wavelength, valid, target)

    def place_in(position: Tensor) -> Tensor:
        return (target - wavelength.gather(1, position)) / width.gather(1, position).clamp(1e-12)

    below, above = place_in(low), place_in(high)
    nearer = below.abs() <= above.abs()
    place = torch.where(nearer, below, above).clamp(-0.5, 0.5) + 0.5
    picked = pick(code, torch.where(nearer, low, high))
    return (picked * _basis(place.to(code.device, code.dtype), code.shape[-1])).sum(-1)
