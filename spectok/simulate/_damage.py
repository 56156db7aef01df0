"""Cosmic rays, bad pixels and dead arms."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from spectok.simulate._instrument import Instrument

__all__ = ["bad_pixels", "cosmic_rays"]

_HITS, _LONGEST = 6, 16


def cosmic_rays(flux: Tensor, sigma: Tensor, rate: float, generator: torch.Generator) -> Tensor:
    """Add the light of cosmic rays to a flux, and tell where the pipeline noticed it.

    Parameters
    ----------
    flux : `torch.Tensor`, shape (n, L)
        Changed in place.
    sigma : `torch.Tensor`, shape (n, L)
    rate : float
        Rays per spectrum, at most 6.
    generator : `torch.Generator`

    Returns
    -------
    noticed : `torch.Tensor` of bool, shape (n, L)
        Three rays in four are masked; they stay in the flux, as junk under a mask does.
    """
    n, length = sigma.shape
    draw = torch.rand((5, n, _HITS), generator=generator, device=sigma.device)
    real = draw[0] < rate / _HITS
    place = (draw[1] * (length - 2)).long()
    strength = 10 ** (0.6 + 1.6 * draw[2]) * real
    # One pixel and a share of its right neighbour.
    columns = torch.cat([place, place + 1], 1)
    height = torch.cat([strength, 0.6 * draw[3] * strength], 1) * sigma.gather(1, columns)
    flux.scatter_add_(1, columns, height)
    seen = (real & (draw[4] < 0.75)).repeat(1, 2)
    return _mark(columns, seen, length)


def bad_pixels(instrument: Instrument, n: int, generator: torch.Generator) -> Tensor:
    """Runs of dead pixels, and now and then a dead arm; True = bad, shape (n, L)."""
    device, length = generator.device, len(instrument.wavelength)
    # Most runs are short: the lengths drawn below are 6.5 pixels in the mean.
    mean = 1.5 + (_LONGEST - 1) / 3
    expected = instrument.traits["bad"] * length / mean
    spots = max(math.ceil(2 * expected), 8)
    draw = torch.rand((3, n, spots), generator=generator, device=device)
    extent = 1 + (draw[0] ** 2 * (_LONGEST - 1))
    chance = expected / spots
    offset = torch.arange(_LONGEST, device=device)
    hit = (draw[1] < chance)[..., None] & (offset < extent[..., None])
    columns = (draw[2] * (length - _LONGEST)).long()[..., None] + offset
    bad = _mark(columns.flatten(1), hit.flatten(1), length)
    if len(instrument.arms) > 1:
        dead = torch.rand((n, len(instrument.arms)), generator=generator, device=device)
        dead = dead < instrument.traits["dead"]
        # An object always keeps its first arm.
        for number, (first, last) in enumerate(instrument.arms[1:], 1):
            bad[:, first:last] |= dead[:, number, None]
    return bad


def _mark(columns: Tensor, hit: Tensor, length: int) -> Tensor:
    """True at the columns that are hit, (n, length)."""
    # What is not hit is sent to a column of its own, which is then dropped.
    columns = torch.where(hit, columns, length)
    marked = torch.zeros((len(columns), length + 1), dtype=torch.bool, device=columns.device)
    return marked.scatter_(1, columns, True)[:, :length]
