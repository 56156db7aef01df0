"""Light curves between their tokens: a Gaussian process over time and filter (layer 1: torch)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from spectok._batch import TokenBatch
from spectok.model._cosines import asinh, cosines
from spectok.model._embedding import patchify
from spectok.model._limits import (
    LARGEST_TOKEN,
    LEAST_LEVEL_ERROR,
    LEAST_PROCESS_ERROR,
    LEAST_SIZE,
    LOG_PROCESS,
)

__all__ = ["N_SEEN", "Process", "what_is_seen"]

# Curves of so many tokens are one process. Of longer ones each point that is asked for has its
# own, of the tokens that are nearest: the work grows with the curve's length, not with its cube.
_WHOLE = 128
_NEAREST = 32
# Numbers of the matrices, and points, at once.
_ENTRIES = 1_000_000
_POINTS = 4096

# Where training starts: what fits the supernovae of one survey best when all objects share it.
# A fast part and a slow one (days, logarithm of wavelength, and variance in units of the curve's
# own), and each band's level.
_FAST = (math.log(20.0), -0.5, -0.5)
_SLOW = (math.log(75.0), -0.5, 0.7)
_LEVEL = (0.0, -2.0)
_START = (*_FAST, *_SLOW, *_LEVEL)

N_SEEN = 3  # numbers of a point that is asked for, by `what_is_seen`
_FAINT = 0.01  # of the noise's power: the least that a curve scatters


class Process(nn.Module):
    """What the tokens of a light curve say at other times and in other filters.

    A Gaussian process of time and of the logarithm of wavelength. Its observations are the
    tokens' own curves, each at as many places as a patch has points, with the tokens' noise (a
    token of fewer points counts as much: what remains is the network's to learn). Its
    covariance is the sum of two Matern functions (5/2), one fast and one slow, and of a level
    for each band; their lengths and variances are learned, and change with what the tokens of
    the object say.

    Parameters
    ----------
    width : int
        Width of the model, D.
    patch_size : int
        Points of a patch, P.

    References
    ----------
    Rasmussen & Williams (2006), Gaussian Processes for Machine Learning, algorithm 2.1;
    Boone (2019), arXiv:1907.04690, for a process over time and wavelength of transients.
    """

    def __init__(self, width: int, patch_size: int) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.common = nn.Parameter(torch.tensor(_START))
        self.own = nn.Linear(width, len(_START))

    def forward(
        self,
        tokens: TokenBatch,
        coefficients: Tensor,
        log_noise: Tensor,
        token: Tensor,
        time: Tensor,
        band: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation at times and in filters.

        Parameters
        ----------
        tokens : `~spectok._batch.TokenBatch`
            N curves of T tokens; where they lie and which count.
        coefficients : `torch.Tensor`, shape (N, T, M)
            Cosines of their curves.
        log_noise : `torch.Tensor`, shape (N, T, 1)
        token : `torch.Tensor`, shape (N, T, D)
            The tokens as the decoder reads them.
        time : `torch.Tensor`, float64, shape (N, S * P)
            What is asked for, laid out in patches.
        band : `torch.Tensor`, float64, shape (N, S)
            Its filters.

        Returns
        -------
        mean, sigma : `torch.Tensor`, shape (N, S * P)
            In units of the curve's scale.
        """
        device = coefficients.device
        home = torch.device("cpu") if device.type == "mps" else device  # which has no float64
        valid = tokens.valid.unsqueeze(-1)
        mean_token = torch.where(valid, token, 0.0).sum(1) / valid.sum(1).clamp(min=1)
        shape = (self.common + self.own(mean_token)).clamp(*LOG_PROCESS).to(home).double()
        seen = self._observations(tokens.to(home), coefficients.to(home), log_noise.to(home))
        asked, asked_band = _points(patchify(time, self.patch_size).to(home), band.to(home).log())
        mean, sigma = torch.zeros_like(asked), torch.zeros_like(asked)
        whole = seen.valid.sum(1) <= _WHOLE
        for rows, solve in ((whole, _whole), (~whole, _piecewise)):
            # Each row by its own number of tokens, whatever else is in the batch.
            some = rows.nonzero().squeeze(1)
            if some.numel():
                found = solve(seen, some, shape[some], asked[some], asked_band[some])
                mean, sigma = (
                    part.index_copy(0, some, own)
                    for part, own in zip((mean, sigma), found, strict=True)
                )
        sigma = sigma.clamp(max=math.exp(LARGEST_TOKEN))
        return mean.to(device, torch.float32), sigma.to(device, torch.float32)

    def _observations(
        self, tokens: TokenBatch, coefficients: Tensor, log_noise: Tensor
    ) -> _Observations:
        """The tokens' curves at P places of each patch, in float64."""
        patch = self.patch_size
        place = (torch.arange(patch, device=coefficients.device) + 0.5) / patch
        valid = tokens.valid.unsqueeze(-1)  # (N, T, 1)
        flux = (coefficients @ cosines(place, coefficients.shape[-1]).T).double()  # (N, T, P)
        flux = torch.where(valid, flux, 0.0)
        noise = torch.where(valid, log_noise.double().exp(), 0.0)  # (N, T, 1)
        size = tokens.half * (2.0 * patch / (patch - 1))
        time = tokens.wavelength.unsqueeze(-1) + size.unsqueeze(-1) * (place.double() - 0.5)
        band = torch.where(tokens.valid, cast("Tensor", tokens.band), 1.0).log()  # (N, T)

        # The curve's own units: its scatter about the mean of its bands, and its level.
        bands, which = band.unique(return_inverse=True)
        which = which + len(bands) * torch.arange(len(band), device=band.device).unsqueeze(1)
        sums = flux.new_zeros(2, len(band) * len(bands))
        counted = tokens.valid.double()
        sums = sums.index_add(
            1, which.flatten(), torch.stack([counted * flux.mean(-1), counted]).flatten(1)
        )
        about = flux - (sums[0] / sums[1].clamp(min=1.0))[which].unsqueeze(-1)
        power = torch.stack([about, flux], -1).square().mean(2)  # (N, T, 2)
        number = valid.sum(1).clamp(min=1)  # (N, 1)
        power = torch.where(valid, power, 0.0).sum(1) / number
        least = _FAINT * noise.square().sum(1) / number + LEAST_SIZE**2
        scatter, level = (power + least).sqrt().unbind(-1)
        return _Observations(time, band, flux, noise.expand_as(flux), tokens.valid, scatter, level)


@dataclass(frozen=True)
class _Observations:
    """Of N curves: at P places of T tokens, and their units."""

    time: Tensor  # (N, T, P)
    band: Tensor  # (N, T), logarithms
    flux: Tensor
    noise: Tensor
    valid: Tensor  # (N, T)
    scatter: Tensor  # (N,)
    level: Tensor

    def at(self, rows: Tensor, tokens: Tensor) -> _Observations:
        """Of the curves in rows, (B,), the tokens at these positions, (B, K)."""
        some = (rows.unsqueeze(1), tokens)
        return _Observations(
            self.time[some], self.band[some], self.flux[some], self.noise[some],
            self.valid[some], self.scatter[rows], self.level[rows],
        )  # fmt: skip

    def predict(self, shape: Tensor, time: Tensor, band: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation at B times and filters, (N, B) each."""
        own_time, own_band = _points(self.time, self.band)
        flux, noise = self.flux.flatten(1), self.noise.flatten(1)
        counted = self.valid.repeat_interleave(self.time.shape[-1], 1).double()  # (N, T P)
        fast, slow, level = (
            shape[:, column].exp() * unit.square()
            for column, unit in ((2, self.scatter), (5, self.scatter), (7, self.level))
        )

        def covariance(time: Tensor, band: Tensor) -> Tensor:
            """Between B points and the observations: (N, B, T P)."""
            here, there = torch.stack([time, band], -1), torch.stack([own_time, own_band], -1)
            found = _matern(here, there, shape[:, 0:2]) * fast[:, None, None]
            found = found + _matern(here, there, shape[:, 3:5]) * slow[:, None, None]
            apart = _distance(here[..., 1:], there[..., 1:], shape[:, 6:7])
            return (found + torch.exp(-apart) * level[:, None, None]) * counted.unsqueeze(1)

        prior = (fast + slow + level).unsqueeze(1)  # (N, 1)
        # Not of the level: a star may change by a thousandth of it.
        least = LEAST_PROCESS_ERROR * (fast + slow) + LEAST_LEVEL_ERROR * level
        least = least.unsqueeze(1)
        own = covariance(own_time, own_band) * counted.unsqueeze(-1)
        diagonal = torch.where(counted > 0, noise.square() + least, 1.0)
        factor = torch.linalg.cholesky_ex(own + torch.diag_embed(diagonal))[0]
        solved = torch.cholesky_solve(flux.unsqueeze(-1), factor)
        found = []
        for here in zip(time.split(_POINTS, 1), band.split(_POINTS, 1), strict=True):
            cross = covariance(*here)
            known = torch.linalg.solve_triangular(factor, cross.transpose(1, 2), upper=False)
            variance = (prior - known.square().sum(1)).maximum(least)
            found.append(((cross @ solved).squeeze(-1), variance.sqrt()))
        mean, sigma = (torch.cat(part, 1) for part in zip(*found, strict=True))
        return mean, sigma


def _whole(
    seen: _Observations, rows: Tensor, shape: Tensor, time: Tensor, band: Tensor
) -> tuple[Tensor, Tensor]:
    """Points (B, Q) that are asked of the curves in rows, from all their tokens."""
    first = (~seen.valid[rows]).to(torch.uint8).argsort(dim=1, stable=True)  # valid ones first
    first = first[:, : max(int(seen.valid[rows].sum(1).max()), 1)]
    found = []
    for some in torch.arange(len(rows), device=rows.device).split(_chunk(seen, first.shape[1])):
        own = seen.at(rows[some], first[some])
        found.append(own.predict(shape[some], time[some], band[some]))
    mean, sigma = (torch.cat(part) for part in zip(*found, strict=True))
    return mean, sigma


def _chunk(seen: _Observations, number: int) -> int:
    """How many processes of so many tokens are solved at once."""
    return max(_ENTRIES // (number * seen.time.shape[-1]) ** 2, 1)


def _piecewise(
    seen: _Observations, rows: Tensor, shape: Tensor, time: Tensor, band: Tensor
) -> tuple[Tensor, Tensor]:
    """Points (B, Q) that are asked of the curves in rows, each from the tokens next to it."""
    number = time.shape[1]
    of = torch.arange(len(rows), device=time.device).repeat_interleave(number)
    time, band = time.flatten(), band.flatten()
    length = shape[:, :2].exp()
    first, last = seen.time[..., 0], seen.time[..., -1]  # (N, T)
    found = []
    for some in torch.arange(len(of), device=of.device).split(_chunk(seen, _NEAREST)):
        curve, own = rows[of[some]], of[some]
        at = time[some].unsqueeze(1)  # (C, 1)
        days = (first[curve] - at).clamp(min=0) + (at - last[curve]).clamp(min=0)  # (C, T)
        apart = seen.band[curve] - band[some].unsqueeze(1)
        far = (days / length[own, :1]).square() + (apart / length[own, 1:]).square()
        far = far.masked_fill(~seen.valid[curve], torch.inf)
        nearest = far.topk(_NEAREST, largest=False).indices
        found.append(seen.at(curve, nearest).predict(shape[own], at, band[some].unsqueeze(1)))
    mean, sigma = (torch.cat(part).reshape(len(rows), number) for part in zip(*found, strict=True))
    return mean, sigma


def _points(time: Tensor, band: Tensor) -> tuple[Tensor, Tensor]:
    """Times (N, T, P) and filters (N, T) of patches, point by point: (N, T P) each."""
    return time.flatten(1), band.repeat_interleave(time.shape[-1], 1)


def _distance(first: Tensor, second: Tensor, length: Tensor) -> Tensor:
    """Of points (N, B, 2) and (N, Q, 2) over lengths whose logarithms are given, (N, 2)."""
    unit = torch.exp(-length).unsqueeze(1)
    # Products of matrices would lose the digits of points that are close to each other.
    mode = "donot_use_mm_for_euclid_dist"
    return torch.cdist(first * unit, second * unit, compute_mode=mode)


def _matern(first: Tensor, second: Tensor, length: Tensor) -> Tensor:
    """Matern function (5/2) of the distance."""
    far = math.sqrt(5.0) * _distance(first, second, length)
    return (1.0 + far + far.square() / 3.0) * torch.exp(-far)


def what_is_seen(mean: Tensor, sigma: Tensor) -> Tensor:
    """What the network sees of a process (N, S, P): (N, S, 3 P)."""
    return torch.cat([asinh(mean), 0.5 * asinh(mean / sigma), sigma.log()], -1)
