"""Network of the redshift probe: a score for every redshift, by correlation with patterns."""

from __future__ import annotations

import dataclasses
from functools import reduce

import torch
from scipy.fft import next_fast_len
from torch import Tensor, nn
from torch.nn.functional import gelu, interpolate

__all__ = ["RedshiftConfig", "RedshiftNetwork"]

_SEEN = 9  # numbers of a pixel that are correlated, M

_SCALES = (1, 8, 64)  # pixels: a pattern is the sum of a fine part and of two smooth ones
_GAIN = 0.1  # brings what is correlated to sizes that Adam's first steps suit
_MOST = 9.0  # of a squared contrast


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
    kinds : int
        Sets of patterns at rest, K.
    width : int
        Of the network that makes one score of K correlations.
    """

    token_size: int
    step: float
    first: int
    size: int
    shift: int
    shifts: int
    finer: int = 2
    kinds: int = 6
    width: int = 16

    @property
    def n_outputs(self) -> int:
        """Redshifts that get a score, Z."""
        return (self.shifts - 1) * self.finer + 1


class RedshiftNetwork(nn.Module):
    """Spectra on a logarithmic grid to a score for every redshift.

    On a grid of log wavelength a redshift is a shift, and nothing here knows where on the grid
    it is. Every pixel gives M numbers (lines up and down, breaks, the continuum, whether it is
    covered), which are correlated, by FFT, with K sets of learned patterns at rest. A small
    network, the same for all shifts, makes one score of the K correlations: products of them,
    where a plain sum would not do. What is learnt at one redshift is learnt for all of them.

    Parameters
    ----------
    config : RedshiftConfig
    """

    temperature: Tensor
    factor: Tensor
    least: Tensor

    def __init__(self, config: RedshiftConfig) -> None:
        super().__init__()
        self.config = config
        # Correlations do not wrap around: a pattern is as long as pixels and shifts together.
        self.length = next_fast_len(config.size + config.shifts, real=True)
        self.parts = nn.ParameterList(
            nn.Parameter(1e-3 * torch.randn(config.kinds, _SEEN, -(-self.length // scale)))
            for scale in _SCALES
        )
        self.mix = nn.Conv1d(config.kinds, config.width, 1)
        self.last = nn.Conv1d(config.width, 1, 1)
        nn.init.normal_(self.mix.weight, std=0.5)
        # Set from held-out spectra: what scores are divided by, so that probabilities are right,
        # and what makes errors of the spreads of peaks.
        self.register_buffer("temperature", torch.ones(()))
        self.register_buffer("factor", torch.ones(()))
        self.register_buffer("least", torch.zeros(()))

    def patterns(self) -> Tensor:
        """Patterns at rest, (K, M, L)."""
        wholes = [
            part if scale == 1 else interpolate(part, scale_factor=scale, mode="linear")
            for scale, part in zip(_SCALES, self.parts, strict=True)
        ]
        return reduce(torch.add, (whole[..., : self.length] for whole in wholes))

    def seen(self, pixels: Tensor) -> Tensor:
        """The numbers of each pixel that are correlated, (N, M, S); zero where not covered."""
        line, broad, *others, covered = pixels.unbind(1)
        found = [
            line.clamp(min=0.0), line.clamp(max=0.0), 0.2 * line * line.abs(),
            0.5 * (broad * broad.abs()).clamp(-_MOST, _MOST), *others, covered,
        ]  # fmt: skip
        return _GAIN * torch.stack(found, 1) * covered[:, None]

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels (N, C, S), the last number whether they are covered, to scores (N, Z)."""
        seen = torch.fft.rfft(self.seen(pixels), self.length)  # (N, M, F)
        known = torch.fft.rfft(self.patterns(), self.length).conj()  # (K, M, F)
        # One kind after the other: faster than torch's products of complex matrices.
        both = torch.stack([(seen * one).sum(1) for one in known], 1)  # (N, K, F)
        finer = self.config.finer
        # More places than frequencies: a band-limited interpolation between the shifts.
        found = finer * torch.fft.irfft(both, self.length * finer)
        # Lags from 1 - shifts, which FFTs keep at the end, to 0.
        found = torch.cat([found[..., 1 - self.config.n_outputs :], found[..., :1]], -1)
        score = self.last(gelu(self.mix(found)))[:, 0] + found[:, 0]  # of (N, K, Z)
        return score / self.temperature
