"""Systematic errors of an instrument: calibration, the air, cosmic rays and bad pixels."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from spectok.simulate.instruments._instrument import Instrument

__all__ = ["air_left", "bad_pixels", "calibration", "calibration_modes", "cosmic_rays"]

_NODES = 24  # points per arm that carry the calibration
_HITS, _LONGEST = 6, 16  # most cosmic rays per spectrum, most pixels in a run of bad ones


def _shapes(device: torch.device) -> tuple[Tensor, Tensor]:
    """Places in an arm from -1 to 1, and six waves at them."""
    x = torch.linspace(-1, 1, _NODES, device=device)
    return x, torch.stack([torch.sin(torch.pi * k * (x + 1) / 2) for k in range(1, 7)])


def calibration(instrument: Instrument, n: int, generator: torch.Generator) -> Tensor:
    """Logarithm of calibration errors and, where it is left in, of the blaze; (n, L)."""
    device, traits = generator.device, instrument.traits
    out = torch.empty((n, len(instrument.wavelength)), device=device)
    x, waves = _shapes(device)
    blaze = traits["blaze"] * (len(instrument.arms) if len(traits["blaze"]) == 1 else 1)
    for (first, last), usual in zip(instrument.arms, blaze, strict=True):
        draw = torch.randn((n, 9), generator=generator, device=device)
        level, slope, curve = (
            mean + amplitude * draw[:, k, None]
            for k, (mean, amplitude) in enumerate(zip(usual, traits["arm"], strict=True))
        )
        factor = level + slope * x + curve * x**2
        factor = factor + traits["wave"] * draw[:, 3:] @ waves
        out[:, first:last] = interpolate(
            factor[:, None], size=last - first, mode="linear", align_corners=True
        )[:, 0]
    return out


def calibration_modes(instrument: Instrument) -> Tensor:
    """Patterns whose sum with standard normal weights is what `calibration` draws, less its mean.

    Parameters
    ----------
    instrument : `~spectok.simulate.instruments._instrument.Instrument`

    Returns
    -------
    modes : `torch.Tensor` of float64, shape (9 * number of arms, L)
        Of each arm the level, slope and curve, and six waves; zero in the other arms.
    """
    x, waves = _shapes(torch.device("cpu"))
    arm = torch.tensor(instrument.traits["arm"])[:, None] * torch.stack([x**0, x, x**2])
    shapes = torch.cat([arm, instrument.traits["wave"] * waves]).double()
    modes = []
    for first, last in instrument.arms:
        mode = shapes.new_zeros((len(shapes), len(instrument.wavelength)))
        mode[:, first:last] = interpolate(
            shapes[:, None], size=last - first, mode="linear", align_corners=True
        )[:, 0]
        modes.append(mode)
    return torch.cat(modes)


def air_left(
    instrument: Instrument, n: int, generator: torch.Generator
) -> tuple[Tensor, Tensor | None]:
    """Optical depth that the correction for the air left, and that which it divided out."""
    left = instrument.traits["telluric"] * torch.randn(
        (n, 1), generator=generator, device=generator.device
    )
    depth = instrument.tensor("telluric", generator.device)
    shift = instrument.traits["shift"]
    if not shift:
        return left * depth, None
    # The Earth moves against the barycentre in which the wavelengths are given.
    pixels = shift * (2 * torch.rand((n, 1), generator=generator, device=generator.device) - 1)
    columns = torch.arange(len(depth), device=depth.device) + pixels.round().long()
    depth = depth[columns.clamp(0, len(depth) - 1)]
    return left * depth, depth


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
    if "lengths" in instrument.traits:
        bad = _runs_as_measured(instrument, n, generator)
    else:
        # Most runs are short: the lengths drawn below are 6.5 pixels in the mean.
        mean = 1.5 + (_LONGEST - 1) / 3
        expected = instrument.traits["bad"] * length / mean
        spots = max(math.ceil(2 * expected), 8)
        draw = torch.rand((3, n, spots), generator=generator, device=device)
        extent = 1 + (draw[0] ** 2 * (_LONGEST - 1))
        bad = _runs(draw[1] < expected / spots, draw[2], extent, length, _LONGEST)
    if len(instrument.arms) > 1:
        dead = torch.rand((n, len(instrument.arms)), generator=generator, device=device)
        dead = dead < instrument.traits["dead"]
        # An object always keeps its first arm.
        for number, (first, last) in enumerate(instrument.arms[1:], 1):
            bad[:, first:last] |= dead[:, number, None]
    return bad


def _runs(hit: Tensor, place: Tensor, extent: Tensor, length: int, longest: int) -> Tensor:
    """True in runs of pixels that begin anywhere, (n, length)."""
    offset = torch.arange(longest, device=hit.device)
    hit = hit[..., None] & (offset < extent[..., None])
    columns = (place * (length - longest)).long()[..., None] + offset
    return _mark(columns.flatten(1), hit.flatten(1), length)


def _runs_as_measured(instrument: Instrument, n: int, generator: torch.Generator) -> Tensor:
    """Runs as long as those of real spectra, and pixels on bright sky lines; (n, L)."""
    device, length, traits = generator.device, len(instrument.wavelength), instrument.traits
    lengths = torch.tensor(traits["lengths"], device=device).clamp(max=min(128, length // 4))
    spots = max(math.ceil(3 * traits["runs"]), 2)
    draw = torch.rand((3, n, spots), generator=generator, device=device)
    extent = lengths[(draw[0] * len(lengths)).long()]
    bad = _runs(draw[1] < traits["runs"] / spots, draw[2], extent, length, int(lengths.max()))
    lost = instrument.detail.get("lost")
    lines = np.flatnonzero(lost) if lost is not None else np.empty(0, int)
    if len(lines):
        # Neighbours on one line go together, and some reductions mask more than others.
        group = np.cumsum(np.diff(lines, prepend=lines[0]) > 1)
        chance = torch.rand((n, int(group[-1]) + 1), generator=generator, device=device)
        strict = 2 * torch.rand((n, 1), generator=generator, device=device)
        columns = torch.as_tensor(lines, device=device)
        share = instrument.tensor("lost", device)[columns]
        bad[:, columns] |= chance[:, torch.as_tensor(group, device=device)] < strict * share
    return bad


def _mark(columns: Tensor, hit: Tensor, length: int) -> Tensor:
    """True at the columns that are hit, (n, length)."""
    # What is not hit is sent to a column of its own, which is then dropped.
    columns = torch.where(hit, columns, length)
    marked = torch.zeros((len(columns), length + 1), dtype=torch.bool, device=columns.device)
    return marked.scatter_(1, columns, True)[:, :length]
