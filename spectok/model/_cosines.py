"""The closed-form code: what a token starts from, and what its numbers mean (layer 1: torch only).

A spectrum is divided by its scale (`median_scale`). A patch of it on its own is described by the
most probable coefficients of C - 1 cosines and the log of its noise (`fit_cosines`); a token
holds them as ``asinh(8 c)`` and ``ln(noise)`` (`make_token`), and from tokens come the cosines
again (`coefficients_of`), the same in units of the noise (`contrast_of`), and the flux at any
wavelength (`sum_of_cosines`). The network changes the code of a patch and never replaces it.

Shapes: N spectra of T patches of P pixels; C numbers a token; S wavelengths asked for.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from spectok.model._interpolate import bracket, pick
from spectok.model._limits import (
    EXTREME,
    LARGEST_SIGNAL,
    LARGEST_VARIANCE,
    LARGEST_WEIGHT,
    LEAST_LOG_WEIGHT,
    LEAST_POWER,
    LEAST_SIZE,
    LEAST_WEIGHT,
)

__all__ = [
    "asinh",
    "coefficients_of",
    "contrast_of",
    "cosines",
    "cosines_and_noise",
    "fit_cosines",
    "make_token",
    "median_scale",
    "position_in_patch",
    "sum_of_cosines",
]

# Prior of the coefficients: variance falls as k^-2, as for a smooth continuum with lines as wide
# as an instrument makes them. Slopes of 1 and 3 give the same errors within a tenth.
_SLOPE = 2.0
# Tokens hold asinh(gain * coefficient): contrasts of a spectrum are a tenth of its level.
_GAIN = 8.0


def median_scale(flux: Tensor, sigma: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """What a spectrum is divided by: the larger of its median flux and median error.

    The paper's median flux for every spectrum that rises above its noise, and otherwise
    continuous, never negative and never zero (1 for a spectrum without a good pixel).

    Parameters
    ----------
    flux, sigma : `torch.Tensor`, shape (N, L)
    valid : `torch.Tensor` of bool, shape (N, L)

    Returns
    -------
    scale : `torch.Tensor`, shape (N,)
    from_noise : `torch.Tensor` of bool, shape (N,)
        Where the error won.
    """
    nan = torch.nan
    flux_median = torch.where(valid, flux, nan).nanmedian(1).values
    sigma_median = torch.where(valid, sigma, nan).nanmedian(1).values
    scale = torch.maximum(flux_median, sigma_median).nan_to_num(1.0)
    return scale, sigma_median > flux_median


def position_in_patch(wavelength: Tensor, centre: Tensor, half: Tensor, patch_size: int) -> Tensor:
    """Place of wavelengths in a patch: 0 and 1 are the outer edges of its pixels.

    ``centre`` and ``half`` are the middle of the patch and the distance to its first and last
    pixel; all float64 and of shapes that broadcast. Beyond the edges it goes on.
    """
    size = half * (2.0 * patch_size / (patch_size - 1))
    return (wavelength - centre) / size.clamp(min=LEAST_SIZE) + 0.5


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
    weight = (2.0 * (log_mean - log_sigma)).clamp(LEAST_LOG_WEIGHT, math.log(LARGEST_WEIGHT)).exp()
    weight = torch.where(visible, weight, 0.0)
    flux = torch.where(visible, flux, 0.0)
    mean = (weight * flux).sum(-1, keepdim=True) / weight.sum(-1, keepdim=True).clamp(
        min=LEAST_WEIGHT
    )
    signal = torch.where(
        visible, ((flux - mean) / noise).clamp(-LARGEST_SIGNAL, LARGEST_SIGNAL), 0.0
    )
    power = (weight * signal.square()).sum(-1, keepdim=True) / count - 1.0
    order = torch.arange(1, basis.shape[-1], device=flux.device, dtype=flux.dtype)
    shape = order**-_SLOPE
    variance = power.clamp(min=LEAST_POWER) * (2.0 * shape / shape.sum())
    # The constant is free: the mean is known as well as the pixels allow.
    inverse = torch.cat(
        [
            torch.full_like(power, 1.0 / LARGEST_VARIANCE),
            variance.clamp(max=LARGEST_VARIANCE).reciprocal(),
        ],
        dim=-1,
    )
    weighted = (basis * weight.unsqueeze(-1)).transpose(-1, -2)
    normal = weighted @ basis.expand(*weight.shape, -1) + torch.diag_embed(inverse)
    factor = torch.linalg.cholesky_ex(normal)[0]
    solved = torch.cholesky_solve(weighted @ signal.unsqueeze(-1), factor).squeeze(-1) * noise
    coefficients = torch.cat([mean + solved[..., :1], solved[..., 1:]], dim=-1)
    return coefficients.to(kind), log_mean.to(kind)


def make_token(coefficients: Tensor, log_noise: Tensor, context: Tensor | None = None) -> Tensor:
    """Cosines of a patch, its context and the log of its noise (..., 1), to tokens (..., C)."""
    parts = [asinh(_GAIN * coefficients), *([] if context is None else [context]), log_noise]
    return torch.cat(parts, dim=-1)


def cosines_and_noise(value: Tensor, context_size: int) -> Tensor:
    """Tokens (..., C) without their context: (..., C - X)."""
    if not context_size:
        return value
    return torch.cat([value[..., : -1 - context_size], value[..., -1:]], dim=-1)


def coefficients_of(value: Tensor) -> Tensor:
    """The cosines of tokens (..., C), in units of the spectrum's scale: (..., C - 1)."""
    return value[..., :-1].sinh() / _GAIN


def contrast_of(value: Tensor) -> Tensor:
    """The cosines of tokens (..., C) in units of the noise, half their asinh: (..., C - 1)."""
    return 0.5 * asinh(coefficients_of(value) * torch.exp(-value[..., -1:]))


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
        width = half.gather(1, which).clamp(min=LEAST_SIZE)
        place = position_in_patch(target, centre.gather(1, which), width, patch_size)
        inside = place.clamp(0.0, 1.0)
        basis = cosines(inside.to(coefficients.device, torch.float32), coefficients.shape[-1])
        values.append((pick(coefficients, which) * basis).sum(-1))
        distances.append((place - inside).abs() * width)
    weight = (distances[0] / (distances[0] + distances[1])).nan_to_num(0.5)
    return torch.lerp(values[0], values[1], weight.to(values[0].device, torch.float32))


def asinh(x: Tensor) -> Tensor:
    """Inverse hyperbolic sine, from functions that PyTorch computes several at a time.

    ``torch.asinh`` goes one by one on CPUs and took a seventh of the small encoder's time.
    Beyond `EXTREME`, whose square still fits float32, it stays constant.
    """
    size = x.abs().clamp(max=EXTREME)
    return torch.log1p(size + size * size / (1.0 + (1.0 + size * size).sqrt())).copysign(x)
