"""Network of a probe: learned queries that attend over frozen tokens, and a small head."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from spectok.model._embedding import phases
from spectok.model._reader import token_features
from spectok.model._transformer import Block, attention_mask, rotation
from spectok.probes._token_grid import on_grid

__all__ = ["OnGrid", "ProbeBatch", "ProbeConfig", "ProbeNetwork"]

# Periods of the wavelength in Angstrom, from that of two patches at high resolution to the
# whole range; and of its natural logarithm, in which a redshift is a shift.
_PERIODS = (4.0, 65536.0)
_LOG_PERIODS = (2e-3, 8.0)
_FURTHEST = 10.0  # of a vector's number, in its standard deviations


class ProbeBatch(NamedTuple):
    """Tokens of several spectra, padded to the longest.

    Attributes
    ----------
    token : `torch.Tensor`, shape (N, T, C)
    wavelength : `torch.Tensor` of float64, shape (N, T)
        Vacuum Angstrom; any positive number where not valid.
    valid : `torch.Tensor` of bool, shape (N, T)
    vector : `torch.Tensor`, shape (N, E), optional
        An embedding of every spectrum, or other numbers beside its tokens.
    """

    token: Tensor
    wavelength: Tensor
    valid: Tensor
    vector: Tensor | None = None

    @property
    def vectors(self) -> Tensor:
        """The vectors, where the network reads them.

        Raises
        ------
        ValueError
            Where there are none.
        """
        if self.vector is None:
            raise ValueError("this network reads vectors beside the tokens, and there are none")
        return self.vector

    def to(self, device: str | torch.device) -> ProbeBatch:
        """The same batch on a device; wavelengths stay behind where it has no float64."""
        single = torch.device(device).type == "mps"
        place = self.wavelength if single else self.wavelength.to(device)
        vector = None if self.vector is None else self.vector.to(device)
        return ProbeBatch(self.token.to(device), place, self.valid.to(device), vector)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProbeConfig:
    """Sizes of a probe.

    Attributes
    ----------
    token_size : int
        Numbers of a token, C.
    n_outputs : int
        Numbers that come out.
    grid_size : int
        Places of the grid on which tokens are read, K.
    vector_size : int
        Numbers of the vector beside the tokens, E; 0 where there is none.
    reading : int
        Numbers that are read there; 0 leaves the grid out.
    width, heads, blocks, queries : int
        Width D, attention heads, transformer blocks over the tokens, and learned queries.
    n_periods : int
        Periods of the wavelength, and as many of its logarithm.
    dropout : float
        Share of the tokens' and the pooled numbers that a training step does not see.
    """

    token_size: int
    n_outputs: int
    grid_size: int
    vector_size: int = 0
    reading: int = 64
    width: int = 64
    heads: int = 4
    blocks: int = 1
    queries: int = 4
    n_periods: int = 24
    dropout: float = 0.3


class OnGrid(nn.Module):
    """A module with a grid of wavelengths, which stays in float64 on the CPU.

    Not every device has float64 (Apple's has not).
    """

    grid: Tensor

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> OnGrid:
        grid = self._buffers.pop("grid")
        super()._apply(fn, recurse)
        self.register_buffer("grid", grid)
        return self


class ProbeNetwork(OnGrid):
    """Tokens with their wavelengths to a few numbers per spectrum.

    One architecture for every task, in two halves. Learned queries attend over the tokens,
    which are modulated by their wavelengths and have seen each other in transformer blocks
    that are turned by the logarithm of wavelength (so that a pair of lines looks the same at
    every redshift): what may stand anywhere. And tokens are read side by side on a grid of
    wavelengths, each place with weights of its own: what always stands at the same place, as
    the lines of stars do. A head of two layers makes the numbers of both.

    Parameters
    ----------
    config : ProbeConfig

    References
    ----------
    Shen et al. (2025), arXiv:2510.17959, section 3 (the adaptation module, whose architecture
    the paper does not give).
    """

    token_mean: Tensor
    token_std: Tensor
    grid_mean: Tensor
    grid_std: Tensor
    vector_mean: Tensor
    vector_std: Tensor

    def __init__(self, config: ProbeConfig) -> None:
        super().__init__()
        self.config = config
        # A token's cosines enter twice: in units of the flux, and of the noise.
        width, channels = config.width, 2 * config.token_size - 1
        self.register_buffer("token_mean", torch.zeros(channels))
        self.register_buffer("token_std", torch.ones(channels))
        self.register_buffer("grid", torch.zeros(config.grid_size, dtype=torch.float64))
        self.register_buffer("grid_mean", torch.zeros(config.grid_size, channels))
        self.register_buffer("grid_std", torch.ones(config.grid_size, channels))
        self.read = None
        if config.reading:
            self.read = nn.Sequential(
                nn.Dropout(config.dropout), nn.Linear(config.grid_size * channels, config.reading)
            )
        self.from_token = nn.Linear(channels, width)
        self.from_wavelength = nn.Linear(4 * config.n_periods, 2 * width)
        self.mix = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 2 * width),
            nn.GELU(),
            nn.Linear(2 * width, width),
        )
        blocks = [Block(width, config.heads) for _ in range(config.blocks)]
        self.blocks = nn.ModuleList(blocks)
        for block in blocks:
            block.attend_self.start_near(math.log(_LOG_PERIODS[1] / _LOG_PERIODS[0]))
        self.norm = nn.LayerNorm(width)
        self.query = nn.Parameter(torch.randn(config.queries, width) * width**-0.5)
        self.key_value = nn.Linear(width, 2 * width)
        if config.vector_size:
            self.register_buffer("vector_mean", torch.zeros(config.vector_size))
            self.register_buffer("vector_std", torch.ones(config.vector_size))
        pooled = config.queries * width + config.reading + config.vector_size
        first, last = nn.Linear(pooled, 2 * width), nn.Linear(2 * width, config.n_outputs)
        self.head = nn.Sequential(
            nn.LayerNorm(pooled), nn.Dropout(0.5 * config.dropout), first, nn.GELU(), last
        )
        # At first every spectrum gets what the bias of the head says.
        nn.init.zeros_(last.weight)

    @torch.no_grad()
    def prepare(self, grid: Tensor, batches: list[ProbeBatch]) -> None:
        """Set the grid, and what tokens are standardised with, from training spectra."""
        self.grid.copy_(grid)
        if self.config.vector_size:
            vector = torch.cat([batch.vectors for batch in batches])
            self.vector_mean.copy_(vector.mean(0))
            self.vector_std.copy_(_scale(vector.std(0, correction=0)))
        every, placed, seen = [], [], []
        for batch in batches:
            token = token_features(batch.token)
            every.append(token[batch.valid])
            value, known = self._placed(token, batch)
            placed.append(torch.where(known.unsqueeze(-1), value, 0.0))
            seen.append(known)
        flat, value, known = torch.cat(every), torch.cat(placed), torch.cat(seen).unsqueeze(-1)
        self.token_mean.copy_(flat.mean(0))
        self.token_std.copy_(_scale(flat.std(0, correction=0)))
        count = known.sum(0).clamp(min=1)
        mean = value.sum(0) / count
        self.grid_mean.copy_(mean)
        square = torch.where(known, (value - mean) ** 2, 0.0).sum(0) / count
        self.grid_std.copy_(_scale(square.sqrt()))

    def forward(self, batch: ProbeBatch) -> Tensor:
        """Tokens of N spectra to (N, n_outputs)."""
        token = token_features(batch.token)
        found = self._attend(token, batch)
        if self.read is not None:
            value, known = self._placed(token, batch)
            value = (value - self.grid_mean) / self.grid_std
            value = torch.where(known.unsqueeze(-1), value, 0.0)
            found = torch.cat([found, self.read(value.flatten(1))], -1)
        if self.config.vector_size:
            vector = (batch.vectors - self.vector_mean) / self.vector_std
            found = torch.cat([found, vector.clamp(-_FURTHEST, _FURTHEST)], -1)
        return self.head(found)

    def _placed(self, token: Tensor, batch: ProbeBatch) -> tuple[Tensor, Tensor]:
        """Numbers of tokens at the places of the grid, and which are known."""
        grid = self.grid.to(batch.wavelength.device)
        return on_grid(token, batch.wavelength, batch.valid, grid)

    def _attend(self, token: Tensor, batch: ProbeBatch) -> Tensor:
        """Results of the queries, (N, queries * width)."""
        wavelength, mask = batch.wavelength, attention_mask(batch.valid)
        if bool((wavelength == wavelength[:1]).all()):
            wavelength = wavelength[:1]  # of one grid, phases are computed once
        log_wavelength = wavelength.log()
        number, device = self.config.n_periods, token.device
        angle = (2 * math.pi) * torch.cat(
            [
                phases(wavelength, _PERIODS, number),
                phases(log_wavelength, _LOG_PERIODS, number),
            ],
            -1,
        ).to(device)
        scale, shift = self.from_wavelength(torch.cat([angle.sin(), angle.cos()], -1)).chunk(2, -1)
        x = self.from_token((token - self.token_mean) / self.token_std) * (1 + scale) + shift
        x = x + self.mix(x)
        half = self.config.width // self.config.heads // 2
        at = rotation(phases(log_wavelength, _LOG_PERIODS, half).to(device))
        for block in self.blocks:
            x = block(x, mask, at)
        heads = self.config.heads
        key, value = (
            part.unflatten(-1, (heads, -1)).transpose(1, 2)
            for part in self.key_value(self.norm(x)).chunk(2, -1)
        )
        query = self.query.unflatten(-1, (heads, -1)).transpose(0, 1).expand(len(x), -1, -1, -1)
        pooled = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return pooled.transpose(1, 2).flatten(1)


def _scale(std: Tensor) -> Tensor:
    """Standard deviations to divide by: what never varies says nothing."""
    return torch.where(std > 1e-6, std, 1.0)
