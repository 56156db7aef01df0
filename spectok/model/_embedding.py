"""Wavelength embedding, and pixels to patches and back (layer 1: torch only)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from spectok.model._limits import LEAST_HALF

__all__ = ["WavelengthEmbedding", "patch_place", "patchify", "phases", "unpatchify"]


def patchify(pixels: Tensor, patch_size: int) -> Tensor:
    """Pixels (N, T * P) to patches (N, T, P)."""
    return pixels.unflatten(-1, (-1, patch_size))


def unpatchify(patches: Tensor) -> Tensor:
    """Patches (N, T, P) to pixels (N, T * P)."""
    return patches.flatten(-2)


def patch_place(wavelength: Tensor, patch_size: int) -> tuple[Tensor, Tensor]:
    """Centre of each patch, midway between its first and its last place, and half its length.

    Wavelengths (N, T * P), float64, to two of (N, T).
    """
    patches = patchify(wavelength, patch_size)
    first, last = patches[..., 0], patches[..., -1]
    return 0.5 * (first + last), 0.5 * (last - first)


def phases(place: Tensor, periods: tuple[float, float], number: int) -> Tensor:
    """Phases of coordinates at log-spaced periods, in cycles of [0, 1): (...) to (..., number).

    Reduced in float64: in float32 those of wavelengths would be off by up to 1e-4 cycles in the
    near infrared.
    """
    low, high = (math.log(period) for period in periods)
    period = torch.linspace(low, high, number, dtype=torch.float64, device=place.device)
    phase = place.double().unsqueeze(-1) * torch.exp(-period)
    return (phase - phase.floor()).float()


class WavelengthEmbedding(nn.Module):
    """Where a patch lies and how long it is, as a vector that is added to it.

    Sines and cosines of the patch's centre at log-spaced periods (the paper's embedding,
    equation 1, of one wavelength instead of every pixel's: see the ablations in the
    documentation), and the logarithm of its length, through a linear map that starts at zero.

    Parameters
    ----------
    n_periods : int
        Number of periods K.
    min_period, max_period : float
        In the unit of the coordinate (Angstrom).
    width : int
        Width of the model, D.
    """

    def __init__(self, n_periods: int, min_period: float, max_period: float, width: int) -> None:
        super().__init__()
        self.n_periods = n_periods
        self.log_period = (math.log(min_period), math.log(max_period))
        self.project = nn.Linear(2 * n_periods + 1, width)

    def frequency(self, device: torch.device, number: int | None = None) -> Tensor:
        """Cycles per Angstrom, float64, shape (K,), or as many from the same range."""
        low, high = self.log_period
        number = self.n_periods if number is None else number
        period = torch.linspace(low, high, number, dtype=torch.float64, device=device)
        return torch.exp(-period)

    def cycles(self, wavelength: Tensor, number: int | None = None) -> Tensor:
        """Phase of wavelengths in cycles, reduced to [0, 1) in float64: (...) to (..., K).

        In float32 alone they would be off by up to 1e-4 cycles in the near infrared.
        """
        phase = wavelength.double().unsqueeze(-1) * self.frequency(wavelength.device, number)
        return (phase - phase.floor()).float()

    def forward(self, centre: Tensor, half: Tensor) -> Tensor:
        """Centres and half lengths of patches (N, T), float64 Angstrom, to (N, T, D)."""
        angle = (2.0 * math.pi) * self.cycles(centre)
        length = half.clamp(min=LEAST_HALF).log().float().unsqueeze(-1) - 2.0
        weight = self.project.weight
        given = torch.cat([angle.sin(), angle.cos(), length], dim=-1)
        return self.project(given.to(weight.device, weight.dtype))
