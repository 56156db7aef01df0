"""A patch on its own as a sum of cosines: where tokens start from (layer 1: torch only)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from spectok.model._interpolate import bracket, pick

__all__ = ["cosines", "fit_cosines", "position_in_patch", "sum_of_cosines"]

# Prior of the coefficients: variance falls as k^-2, as for a smooth continuum with lines as wide
# as an instrument makes them. Slopes of 1 and 3 give the same errors within a tenth.
_SLOPE = 2.0
# In units of a pixel's noise. More would say nothing: 1e3 shrinks a seen pixel by 3e-5. It
# bounds the condition of the matrix, to 1e6.
_LARGEST_VARIANCE = 1e3
_LEAST_POWER = 0.02
_LARGEST_WEIGHT = 30.0
_LARGEST = 1e15  # of a pixel in units of its noise: the square fits float32


def position_in_patch(wavelength: Tensor, centre: Tensor, half: Tensor, patch_size: int) -> Tensor:
    """Place of wavelengths in a patch: 0 and 1 are the outer edges of its pixels.

    ``centre`` and ``half`` are the middle of the patch and the distance to its first and last
    pixel; all float64 and of shapes that broadcast. Beyond the edges it goes on.
    """
    size = half * (2.0 * patch_size / (patch_size - 1))
    return (wavelength - centre) / size.clamp(min=1e-9) + 0.5


def cosines(position: Tensor, number: int) -> Tensor:
    """cos(k pi x) for k = 0 to ``number`` - 1: positions (...) to (..., number)."""
    first = torch.cos(math.pi * position)
    found = [torch.ones_like(first), first]
    for _ in range(number - 2):
        found.append(2.0 * first * found[-1] - found[-2])
    return torch.stack(found[:number], dim=-1)


def fit_cosines(
    flux: Tensor, sigma: Tensor, visible: Tensor, basis: Tensor
) -> tuple[Tensor, Tensor]:
    """Most probable coefficients of cosines, given the visible pixels of each patch alone.

    Their prior is a Gaussian whose variance falls as k^-2 and whose power is the patch's own:
    the variance of its pixels beyond the noise. So a faint patch becomes a smooth curve, a
    bright one keeps its lines, and a gap is bridged as smoothly as the rest is.

    Parameters
    ----------
    flux, sigma : `torch.Tensor`, shape (N, T, P)
        Flux and its error, in any unit that both share.
    visible : `torch.Tensor` of bool, shape (N, T, P)
        Pixels that are good and not hidden.
    basis : `torch.Tensor`, shape (N or 1, T, P, C)
        `cosines` of the pixels' positions in their patches.

    Returns
    -------
    coefficients : `torch.Tensor`, shape (N, T, C)
        In the unit of the flux; zeros for a patch with nothing visible.
    log_noise : `torch.Tensor`, shape (N, T, 1)
        Mean logarithm of the errors of the visible pixels.
    """
    kind = flux.dtype
    # Around hidden pixels, float32 would err by the noise itself at S/N 3000.
    if flux.device.type != "mps":  # which has no float64
        flux, sigma, basis = flux.double(), sigma.double(), basis.double()
    count = visible.sum(-1, keepdim=True).clamp(min=1)
    log_sigma = torch.where(visible, sigma, 1.0).log()
    # Relative to the patch's own error, the weights can neither overflow nor all vanish.
    log_mean = torch.where(visible, log_sigma, 0.0).sum(-1, keepdim=True) / count
    noise = log_mean.exp()
    weight = (2.0 * (log_mean - log_sigma)).clamp(-20.0, math.log(_LARGEST_WEIGHT)).exp()
    weight = torch.where(visible, weight, 0.0)
    flux = torch.where(visible, flux, 0.0)
    mean = (weight * flux).sum(-1, keepdim=True) / weight.sum(-1, keepdim=True).clamp(min=1e-12)
    signal = torch.where(visible, ((flux - mean) / noise).clamp(-_LARGEST, _LARGEST), 0.0)
    power = (weight * signal.square()).sum(-1, keepdim=True) / count - 1.0
    order = torch.arange(1, basis.shape[-1], device=flux.device, dtype=flux.dtype)
    shape = order**-_SLOPE
    variance = power.clamp(min=_LEAST_POWER) * (2.0 * shape / shape.sum())
    # The constant is free: the mean is known as well as the pixels allow.
    inverse = torch.cat(
        [
            torch.full_like(power, 1.0 / _LARGEST_VARIANCE),
            variance.clamp(max=_LARGEST_VARIANCE).reciprocal(),
        ],
        dim=-1,
    )
    weighted = (basis * weight.unsqueeze(-1)).transpose(-1, -2)
    normal = weighted @ basis.expand(*weight.shape, -1) + torch.diag_embed(inverse)
    factor = torch.linalg.cholesky_ex(normal)[0]
    solved = torch.cholesky_solve(weighted @ signal.unsqueeze(-1), factor).squeeze(-1) * noise
    coefficients = torch.cat([mean + solved[..., :1], solved[..., 1:]], dim=-1)
    return coefficients.to(kind), log_mean.to(kind)


def sum_of_cosines(
    coefficients: Tensor,
    centre: Tensor,
    half: Tensor,
    valid: Tensor,
    target: Tensor,
    patch_size: int,
) -> Tensor:
    """What the coefficients of the patches say at any wavelengths.

    Inside a patch its own curve, where two arms overlap the mean of both, and between patches
    the straight line from edge to edge; beyond the outermost the value of its edge.

    Parameters
    ----------
    coefficients : `torch.Tensor`, shape (N, T, C)
    centre, half : `torch.Tensor`, float64, shape (N, T)
        See `position_in_patch`.
    valid : `torch.Tensor` of bool, shape (N, T)
        Patches that count.
    target : `torch.Tensor`, float64, shape (N, S)
    patch_size : int

    Returns
    -------
    flux : `torch.Tensor`, shape (N, S)
    """
    values, distances = [], []
    for which in bracket(centre, valid, target):
        width = half.gather(1, which)
        place = position_in_patch(target, centre.gather(1, which), width, patch_size)
        inside = place.clamp(0.0, 1.0)
        basis = cosines(inside.to(coefficients.device, torch.float32), coefficients.shape[-1])
        values.append((pick(coefficients, which) * basis).sum(-1))
        distances.append((place - inside).abs() * width)
    weight = (distances[0] / (distances[0] + distances[1])).nan_to_num(0.5)
    return torch.lerp(values[0], values[1], weight.to(values[0].device, torch.float32))
