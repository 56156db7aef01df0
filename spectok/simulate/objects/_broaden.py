"""Broadening of lines by velocity dispersion and rotation, in the Fourier domain."""

from __future__ import annotations

import numpy as np
import torch
from scipy.fft import next_fast_len
from scipy.special import j1
from torch import Tensor

from spectok.simulate._fine_grid import FineGrid

__all__ = ["broaden"]

_LIMB = 0.6  # coefficient of linear limb darkening
_LONGEST = 60.0


def broaden(
    flux: Tensor, fine: FineGrid, *, sigma: Tensor | None = None, rotation: Tensor | None = None
) -> Tensor:
    """Convolve spectra with Gaussians of velocity and with rotation profiles.

    Parameters
    ----------
    flux : `torch.Tensor`, shape (n, F)
    fine : `~spectok.simulate._fine_grid.FineGrid`
    sigma : `torch.Tensor`, shape (n,), optional
        Standard deviation of the Gaussian [km/s].
    rotation : `torch.Tensor`, shape (n,), optional
        Projected speed of the equator, v sin i [km/s].

    Returns
    -------
    flux : `torch.Tensor`, shape (n, F)

    Notes
    -----
    The transform of a rotation profile with linear limb darkening is that of Carroll (1933);
    ends of a segment see its own edge values, not its other end.
    """
    out = torch.empty_like(flux)
    for begin, end in fine.bounds():
        part = flux[:, begin:end]
        # As far as the fastest rotation reaches.
        room = max(64, int(np.ceil(600.0 / fine.velocity)))
        size = next_fast_len(end - begin + 2 * room, real=True)
        extra = size - (end - begin)
        padded = torch.cat(
            [
                part[:, :1].expand(-1, room),
                part,
                part[:, -1:].expand(-1, extra - room),
            ],
            1,
        )
        # Radians per km/s.
        frequency = 2 * np.pi * torch.fft.rfftfreq(size, fine.velocity, device=flux.device)
        kernel = torch.ones((1, len(frequency)), device=flux.device)
        if sigma is not None:
            kernel = kernel * torch.exp(-0.5 * (sigma[:, None] * frequency) ** 2)
        if rotation is not None:
            kernel = kernel * _rotation(rotation[:, None] * frequency)
        seen = torch.fft.irfft(torch.fft.rfft(padded) * kernel, n=size)
        out[:, begin:end] = seen[:, room : room + end - begin]
    return out


def _rotation(x: Tensor) -> Tensor:
    """Transform of the rotation profile at x = v sin i times frequency, from a table."""
    table = torch.as_tensor(_TABLE, dtype=torch.float32, device=x.device)
    place = (x / _LONGEST * (len(table) - 1)).clamp(max=len(table) - 1.001)
    low = place.long()
    return torch.lerp(table[low], table[low + 1], place - low)


def _tabulate() -> np.ndarray:
    x = np.linspace(0.0, _LONGEST, 2048)
    x[0] = 1e-3
    disc = 2 * j1(x) / x
    limb = 3 * (np.sin(x) - x * np.cos(x)) / x**3
    # Weights such that the profile has unit area.
    return ((1 - _LIMB) * disc + _LIMB * 2 / 3 * limb) / (1 - _LIMB / 3)


_TABLE = _tabulate()
