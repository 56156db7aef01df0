"""Bands of light curves: what a filter is, and staying within one (layer 1: torch only)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from spectok.model._embedding import phases

__all__ = ["N_BAND", "BandEmbedding", "band_phases", "check_bands", "keep_bands_apart"]

# Periods of a filter's effective wavelength [Angstrom]: long ones, so that filters of two surveys
# that look at the same colour are the same, and one that was never seen lies between its
# neighbours.
_PERIODS, _NUMBER = (4096.0, 131072.0), 8
N_BAND = 2 * _NUMBER
# Days between two bands that are one Angstrom apart, where bands are laid end to end: far longer
# than a light curve, so that a band's outermost token is what its own edge says.
_APART = 1e4


def band_phases(band: Tensor) -> Tensor:
    """Sines and cosines of effective wavelengths (...): (..., N_BAND)."""
    angle = (2.0 * math.pi) * phases(band, _PERIODS, _NUMBER)
    return torch.cat([angle.sin(), angle.cos()], dim=-1)


class BandEmbedding(nn.Module):
    """A patch's filter as a vector that is added to it.

    Parameters
    ----------
    width : int
        Width of the model, D.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.project = nn.Linear(N_BAND, width)

    def forward(self, band: Tensor) -> Tensor:
        """Effective wavelengths (N, T), float64 Angstrom, to (N, T, D)."""
        weight = self.project.weight
        return self.project(band_phases(band).to(weight.device, weight.dtype))


def check_bands(of_times: bool, own: Tensor | None, wanted: Tensor | None) -> None:
    """Refuse light curves without bands, of tokens or of what is asked for, and spectra with."""
    for what, band in (("the tokens have", own), ("what is asked for has", wanted)):
        if (band is not None) != of_times:
            kind, number = ("light curves", "no bands") if of_times else ("spectra", "bands")
            raise ValueError(f"this model is of {kind}, but {what} {number}")


def keep_bands_apart(band: Tensor, valid: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """What to add to times so that tokens are interpolated within their own band.

    Parameters
    ----------
    band : `torch.Tensor`, float64, shape (N, T)
        Effective wavelengths of the tokens' filters.
    valid : `torch.Tensor` of bool, shape (N, T)
    wanted : `torch.Tensor`, float64, shape (N, S)
        Those that are asked for. One that an object was not observed in is taken to the nearest
        that it was, by the ratio of wavelengths; the network knows which was asked for.

    Returns
    -------
    own, asked : `torch.Tensor`, float64, shapes (N, T) and (N, S)
        Days.
    """
    far = (wanted.log().unsqueeze(-1) - band.log().unsqueeze(1)).abs()  # (N, S, T)
    far = far.masked_fill(~valid.to(far.device).unsqueeze(1), torch.inf)
    nearest = band.gather(1, far.argmin(-1))
    return _APART * band, _APART * nearest
