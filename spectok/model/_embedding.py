"""Wavelength embedding, and pixels to patches and back (layer 1: torch only)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

__all__ = ["WavelengthEmbedding", "patch_centre", "patchify", "unpatchify"]


def patchify(pixels: Tensor, patch_size: int) -> Tensor:
    """Pixels (N, T * P) to patches (N, T, P)."""
    return pixels.unflatten(-1, (-1, patch_size))


def unpatchify(patches: Tensor) -> Tensor:
    """Patches (N, T, P) to pixels (N, T * P)."""
    return patches.flatten(-2)


def patch_centre(wavelength: Tensor, patch_size: int) -> Tensor:
    """Centre of each patch: midway between its first and its last place, shape (N, T)."""
    patches = patchify(wavelength, patch_size)
    return 0.5 * (patches[..., 0] + patches[..., -1])


class WavelengthEmbedding(nn.Module):
    """Sines and cosines of the wavelength at log-spaced periods (paper, equation 1).

    ``e(l) = [sin(2 pi l / P_k), cos(2 pi l / P_k)]`` for every pixel; the embeddings of the
    pixels of a patch are concatenated and brought to the model's width by a linear map.

    Parameters
    ----------
    n_periods : int
        Number of periods K.
    min_period, max_period : float
        In the unit of the coordinate (Angstrom).
    patch_size : int
        Pixels of a patch, P.
    width : int
        Width of the model, D.
    """

    def __init__(
        self, n_periods: int, min_period: float, max_period: float, patch_size: int, width: int
    ) -> None:
        super().__init__()
        self.n_periods, self.patch_size = n_periods, patch_size
        self.log_period = (math.log(min_period), math.log(max_period))
        self.project = nn.Linear(2 * n_periods * patch_size, width)

    def frequency(self, device: torch.device) -> Tensor:
        """Cycles per Angstrom, float64, shape (K,)."""
        low, high = self.log_period
        period = torch.linspace(low, high, self.n_periods, dtype=torch.float64, device=device)
        return torch.exp(-period)

    def cycles(self, wavelength: Tensor) -> Tensor:
        """Phase of single wavelengths in cycles, reduced to [0, 1) in float64: (..., K)."""
        phase = wavelength.double().unsqueeze(-1) * self.frequency(wavelength.device)
        return (phase - phase.floor()).float()

    def pixel_embedding(self, wavelength: Tensor) -> Tensor:
        """Embedding of every pixel of patches: (N, T, P) to (N, T, P, 2 K).

        The phase of the patch's centre is reduced in float64, where float32 would err by up to
        0.02; the few cycles between the centre and a pixel are safe in float32.
        """
        wavelength = wavelength.double()
        centre = 0.5 * (wavelength[..., :1] + wavelength[..., -1:])
        offset = (wavelength - centre).float().unsqueeze(-1)
        phase = self.cycles(centre) + offset * self.frequency(wavelength.device).float()
        angle = (2.0 * math.pi) * phase.to(self.project.weight.device)
        return torch.cat([angle.sin(), angle.cos()], dim=-1)

    def forward(self, wavelength: Tensor) -> Tensor:
        """Wavelengths (N, T * P), float64 Angstrom, to patch embeddings (N, T, D)."""
        patches = patchify(wavelength, self.patch_size)
        # Spectra on one grid (a cube, a survey with a fixed one) share their embedding.
        shared = len(patches) > 1 and bool((patches == patches[:1]).all())
        pixels = self.pixel_embedding(patches[:1] if shared else patches)
        embedded = self.project(pixels.flatten(-2).to(self.project.weight.dtype))
        return embedded.expand(len(patches), -1, -1) if shared else embedded
