"""The network of the redshift probe: a score for every redshift, by correlation with patterns."""

from __future__ import annotations

import dataclasses

import torch
from scipy.fft import next_fast_len
from torch import Tensor, nn
from torch.nn.functional import gelu, interpolate

from spectok.probes._redshift_grid import N_CHANNELS

__all__ = ["RedshiftConfig", "RedshiftNetwork"]

_KERNEL = 7  # pixels of the small filters
_SCALES = (1, 8, 64)  # pixels: a pattern is the sum of a fine part and of two smooth ones
_GAIN = 0.1  # brings what is correlated to sizes that Adam's first steps suit


@dataclasses.dataclass(frozen=True, kw_only=True)
class RedshiftConfig:
    """Grids and sizes of a redshift probe.

    Attributes
    ----------
    token_size : int
        Numbers of a token.
    step : float
        Of the grid of wavelengths, in dex.
    first, size : int
        Pixels of the observed grid: ``10**(first * step)`` Angstrom is the first, S their number.
    shift, shifts : int
        Redshifts are ``10**(k * step) - 1`` for k of ``shift`` to ``shift + shifts - 1``.
    finer : int
        Scores are computed at this many places for each step.
    width, blocks : int
        Numbers of a pixel, C, and blocks of small filters that make them.
    channels, kinds : int
        Numbers M that are correlated with K patterns each.
    """

    token_size: int
    step: float
    first: int
    size: int
    shift: int
    shifts: int
    finer: int = 2
    width: int = 16
    blocks: int = 2
    channels: int = 8
    kinds: int = 4

    @property
    def n_outputs(self) -> int:
        """Redshifts that get a score, Z."""
        return (self.shifts - 1) * self.finer + 1


class RedshiftNetwork(nn.Module):
    """Spectra on a logarithmic grid to a score for every redshift.

    On a grid of log wavelength a redshift is a shift, and nothing here knows where on the grid
    it is: small filters (convolutions) turn the pixels into C and then M numbers, these are
    correlated, by FFT, with long patterns at rest, and K such correlations, the same for all
    shifts, are added up as the probabilities of K kinds of spectra are. Where a line stands at
    one redshift is learnt for all of them.

    Parameters
    ----------
    config : RedshiftConfig
    """

    def __init__(self, config: RedshiftConfig) -> None:
        super().__init__()
        self.config = config
        c, m, k = config.width, config.channels, config.kinds
        self.first = nn.Conv1d(N_CHANNELS, c, 9, padding=4)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.GELU(),
                nn.Conv1d(c, c, _KERNEL, padding=_KERNEL // 2 * 2**n, dilation=2**n),
                nn.GELU(),
                nn.Conv1d(c, c, 1),
            )
            for n in range(config.blocks)
        )
        for block in self.blocks:  # a new block changes nothing
            nn.init.zeros_(block[-1].weight)
            nn.init.zeros_(block[-1].bias)
        self.last = nn.Conv1d(c, m, 1)
        # Correlations do not wrap around: a pattern is as long as pixels and shifts together.
        self.length = next_fast_len(config.size + config.shifts, real=True)
        self.parts = nn.ParameterList(
            nn.Parameter(1e-3 * torch.randn(k, m, -(-self.length // scale))) for scale in _SCALES
        )
        self.level = nn.Parameter(torch.zeros(k))
        # Set from held-out spectra: what scores are divided by, so that probabilities are right,
        # and what standard deviations of peaks are multiplied by.
        self.register_buffer("temperature", torch.ones(()))
        self.register_buffer("factor", torch.ones(()))

    def patterns(self) -> Tensor:
        """Patterns at rest, (K, M, L)."""
        found = 0.0
        for scale, part in zip(_SCALES, self.parts, strict=True):
            whole = part if scale == 1 else interpolate(part, scale_factor=scale, mode="linear")
            found = found + whole[..., : self.length]
        return found

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels (N, 6, S), the last number whether they are covered, to scores (N, Z)."""
        x = self.first(pixels)
        for block in self.blocks:
            x = x + block(x)
        # Half precision, where asked for, ends here: FFTs have none on CPUs.
        x = _GAIN * self.last(gelu(x)).float() * pixels[:, -1:].float()
        seen = torch.fft.rfft(x, self.length)  # (N, M, F)
        known = torch.fft.rfft(self.patterns(), self.length).conj()  # (K, M, F)
        # One kind after the other: faster than torch's products of complex matrices.
        both = torch.stack([(seen * one).sum(1) for one in known], 1)  # (N, K, F)
        finer, shifts = self.config.finer, self.config.shifts
        # More places than frequencies: a band-limited interpolation between the shifts.
        length = self.length * finer
        found = finer * torch.fft.irfft(both, length)
        place = torch.arange(self.config.n_outputs, device=x.device) - (shifts - 1) * finer
        score = found[..., place % length] + self.level[:, None]
        return score.logsumexp(1) / self.temperature
