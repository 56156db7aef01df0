"""Tokens on other patches, in closed form (layer 1: torch only)."""

from __future__ import annotations

import torch
from torch import Tensor

from spectok._batch import TokenBatch
from spectok.model._cosines import (
    coefficients_of,
    cosines,
    cosines_and_noise,
    make_token,
    sum_of_cosines,
)
from spectok.model._interpolate import bracket, interpolate_tokens, pick
from spectok.model._limits import LARGEST_TOKEN, LEAST_SIZE

__all__ = ["recut"]

_SLACK = 0.05  # of a pixel


def recut(
    tokens: TokenBatch,
    first: Tensor,
    last: Tensor,
    *,
    patch_size: int,
    context_size: int = 0,
    joined: int = 1,
) -> tuple[Tensor, Tensor]:
    """What tokens say of their spectra, as tokens of other patches.

    The curve that the cosines of the old patches draw is averaged over the P pixels of each new
    patch, and described there by as many cosines. The noise of a pixel changes with its width,
    as if pixels were joined or divided; numbers of the context are interpolated.

    Parameters
    ----------
    tokens : `~spectok._batch.TokenBatch`
        N spectra of T tokens of C numbers, not of light curves. Nothing lies beyond the ``end``
        of a patch; without ends every patch is whole.
    first, last : `torch.Tensor`, float64, shape (N, S)
        Outer edges of the new patches, Angstrom.
    patch_size : int
        Pixels of a patch, P.
    context_size : int
        Numbers of context in a token, before its last.
    joined : int
        Old pixels that become a new one: places at which the curve is evaluated there.

    Returns
    -------
    value : `torch.Tensor`, shape (N, S, C)
    which : `torch.Tensor` of int, shape (N, S, P)
        The token that each new pixel lies in; -1 where it lies in none that is valid.
    """
    value = tokens.value.clamp(-LARGEST_TOKEN, LARGEST_TOKEN)
    begin, length = first.unsqueeze(-1), (last - first).unsqueeze(-1)

    def places(number: int) -> Tensor:
        """So many in each patch: (N, S * number)."""
        at = (torch.arange(number, dtype=torch.float64, device=first.device) + 0.5) / number
        return (begin + length * at).flatten(1)

    place = (torch.arange(patch_size, dtype=torch.float64) + 0.5) / patch_size
    target = places(patch_size)  # (N, S * P)
    code = cosines_and_noise(value, context_size)
    flux = sum_of_cosines(
        coefficients_of(code), tokens.wavelength, tokens.half, tokens.valid,
        places(joined * patch_size), patch_size,
    ).unflatten(1, (-1, joined)).mean(-1)  # fmt: skip
    basis = cosines(place.float(), code.shape[-1] - 1)  # (P, C - 1), orthogonal
    norm = basis.square().sum(0)
    coefficients = flux.unflatten(1, (-1, patch_size)) @ (basis / norm).to(flux.device)

    near = _nearest(tokens, target)  # (N, S * P)
    width = tokens.half.gather(1, near) * (2.0 * patch_size / (patch_size - 1))
    low = tokens.wavelength.gather(1, near) - 0.5 * width
    high = low + width if tokens.end is None else tokens.end.gather(1, near)
    # Neighbours touch, but for rounding and for what a linear patch is off on a curved grid.
    slack = _SLACK / patch_size * width
    inside = (target >= low - slack) & (target <= high + slack)
    which = torch.where(inside, near, -1).unflatten(1, (-1, patch_size))
    pixels = 0.5 * (width / (last - first).repeat_interleave(patch_size, 1)).log()
    noise = pick(code[..., -1:], near)[..., 0] + pixels.to(value.device, value.dtype)
    noise = noise.unflatten(1, (-1, patch_size)).mean(-1, keepdim=True)

    context = None
    if context_size:
        own = value[..., -1 - context_size : -1]
        middle = 0.5 * (first + last)
        context = interpolate_tokens(own, tokens.wavelength, tokens.valid, middle)
    return make_token(coefficients, noise, context), which


def _nearest(tokens: TokenBatch, target: Tensor) -> Tensor:
    """The valid token whose patch is nearest to each wavelength (N, Q), in its own lengths."""
    low, high = bracket(tokens.wavelength, tokens.valid, target)
    away = [
        (target - tokens.wavelength.gather(1, which)).abs()
        / tokens.half.gather(1, which).clamp(min=LEAST_SIZE)
        for which in (low, high)
    ]
    return torch.where(away[0] <= away[1], low, high)
