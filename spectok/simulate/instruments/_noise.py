"""Noise: signal-to-noise ratios, noise shared by neighbours, and the sky."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from spectok.simulate._sample import CLASSES
from spectok.simulate.instruments._instrument import Instrument

__all__ = ["correlated_noise", "draw_snr", "noise_taps", "sky_residuals", "without_object"]

# Nights that were measured stand for those like them: by this share of their scatter.
_ALIKE = 0.3
_EARTH = 0.43  # pixels of SDSS's grid: 30 km/s


def draw_snr(
    snr: float | Sequence[float] | None,
    usual: dict[str, tuple[float, float]],
    kind: Tensor,
    generator: torch.Generator,
) -> Tensor:
    """Draw signal to noise ratios per pixel.

    Parameters
    ----------
    snr : float or (float, float), optional
        What was asked for, or the range in which its logarithm is uniform.
    usual : dict
        Mean and standard deviation of log10, for ``all`` and for those of `CLASSES` that differ:
        what is drawn where nothing was asked for.
    kind : `torch.Tensor`, shape (n,)
        Index of each object's class.
    generator : `torch.Generator`

    Returns
    -------
    snr : `torch.Tensor`, shape (n,)

    Raises
    ------
    ValueError
        If what was asked for is not positive and finite, nor a pair of such.
    """
    n, device = len(kind), generator.device
    if snr is None:
        table = torch.tensor([usual.get(name, usual["all"]) for name in CLASSES], device=device)
        mean, spread = table[kind.long()].unbind(1)
        value = mean + spread * torch.randn(n, generator=generator, device=device)
        return 10 ** value.clamp(-1.0, 3.0)
    try:
        pair: Any = snr if hasattr(snr, "__len__") else (snr, snr)
        values = [float(value) for value in pair]
    except (TypeError, ValueError):
        values = []
    if len(values) != 2 or not all(0 < value < float("inf") for value in values):
        raise ValueError(f"snr must be a positive number or a pair of them, not {snr!r}")
    low, high = values
    return low * (high / low) ** torch.rand(n, generator=generator, device=device)


def noise_taps(instrument: Instrument) -> list[float]:
    """Weights of the moving average that makes neighbours share noise; their squares sum to 1."""
    # What shares less than this with its neighbours is white for all purposes.
    taps = torch.tensor([t for t in instrument.traits["taps"] if abs(t) > 0.03])
    return (taps / taps.square().sum().sqrt()).tolist()


def correlated_noise(instrument: Instrument, n: int, generator: torch.Generator) -> Tensor:
    """Noise of unit variance, shared by neighbours as resampling shares it; (n, L)."""
    length, device = len(instrument.wavelength), generator.device
    taps: Sequence[Any] = noise_taps(instrument)
    if "shared" in instrument.detail:  # pixels of the detector and of the grid differ in width
        taps = list(instrument.tensor("shared", device))
    white = torch.randn((n, length + len(taps) - 1), generator=generator, device=device)
    out = taps[0] * white[:, :length]
    for k, tap in enumerate(taps[1:], 1):
        if isinstance(tap, Tensor):
            out.addcmul_(white[:, k : k + length], tap)
        else:
            out.add_(white[:, k : k + length], alpha=tap)
    return out


def without_object(
    instrument: Instrument, n: int, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw the nights of n spectra: no two skies are alike, nor fibres.

    Returns
    -------
    empty : `torch.Tensor`, shape (n, L)
        Variance without an object.
    source : `torch.Tensor`, shape (L,) or (n, L)
        Variance per unit of its flux.
    bright : `torch.Tensor`, shape (n, 1)
        How bright sky lines were, 1 as usual.
    """
    device = generator.device
    floor, line, source = (instrument.tensor(name, device) for name in ("floor", "line", "source"))
    if "nights" not in instrument.detail:
        dark = torch.randn((n, 2), generator=generator, device=device)
        dark = 10 ** (instrument.traits["scatter"] * dark)
        empty = torch.addcmul(dark[:, :1] * floor, dark[:, 1:], line)
        empty *= _roughness(instrument, n, generator, smooth=0.08)
        return empty, source, dark[:, 1:]
    nights = instrument.tensor("nights", device)
    chosen = nights[torch.randint(len(nights), (n,), generator=generator, device=device)]
    other = torch.randn(chosen.shape, generator=generator, device=device)
    chosen = chosen + _ALIKE * nights.std(0) * other
    # All that scales with throughput scales the object's photons too.
    curves = instrument.tensor("curves", device)
    factor = 10 ** chosen[:, : -len(curves)]
    curve = (math.log(10) * chosen[:, -len(curves) :] @ curves).exp_()
    # The air moves against the heliocentric wavelengths.
    speed = _EARTH * (2 * torch.rand((n, 1), generator=generator, device=device) - 1)
    empty = torch.addcmul(line, speed, torch.gradient(line)[0]).clamp_(min=0)
    edges = [0, *(np.flatnonzero(np.diff(instrument.detail["group"])) + 1).tolist(), len(line)]
    for first, last in pairwise(edges):
        column = 2 + int(instrument.detail["group"][first])
        empty[:, first:last] *= factor[:, column : column + 1]
    empty.addcmul_(factor[:, :1], floor).mul_(curve)
    empty *= _roughness(instrument, n, generator)
    return empty, curve.mul_(source).mul_(factor[:, 1:2]), factor[:, -1:]


def _roughness(
    instrument: Instrument, n: int, generator: torch.Generator, *, smooth: float = 0.0
) -> Tensor:
    """Factors on variances that scatter from pixel to pixel, and smoothly; (n, L)."""
    device, length = generator.device, len(instrument.wavelength)
    # One fixed pattern, begun anywhere: new noise for every spectrum would teach no more.
    pattern = instrument.roughness(device).as_strided((length, length), (1, 1))
    start = torch.randint(length, (n,), generator=generator, device=device)
    curve: Any = 1.0
    if smooth:
        nodes = smooth * torch.randn((n, 1, 10), generator=generator, device=device)
        curve = interpolate(nodes.exp(), size=length, mode="linear", align_corners=True)[:, 0]
    # Some fibres' skies are known better than others'.
    strength = 0.5 + 1.5 * torch.rand((n, 1), generator=generator, device=device)
    return pattern[start].mul_(strength).add_(1).clamp_(min=0.2).mul_(curve)


def sky_residuals(instrument: Instrument, bright: Tensor, generator: torch.Generator) -> Tensor:
    """Residuals of sky lines after their subtraction: too strong, too weak, or shifted; (n, L)."""
    device, n = generator.device, len(bright)
    # Photons make variance at the rate of the source term, so this is the sky's flux.
    sky = instrument.tensor("line", device) / instrument.tensor("source", device)
    # An extra tenth of the lines' width in shift is a tenth of their derivative.
    slope = torch.cat([torch.gradient(sky[a:b])[0] for a, b in instrument.arms])
    draw = torch.randn((3, n, 1), generator=generator, device=device)
    # Now and then a night goes badly.
    amount = instrument.traits["sky"] * bright * 10 ** (0.35 * draw[2]) * draw[:2]
    return torch.addcmul(amount[0] * sky, amount[1], slope)
