"""The reader: a spectrum's tokens to one embedding (layer 1: torch only).

Letters of shapes: N spectra of T tokens of C numbers; G groups of neighbouring tokens; M latent
vectors; D their width; E numbers of the embedding.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from spectok.model._config import ModelConfig
from spectok.model._cosines import contrast_of
from spectok.model._limits import LARGEST_FEATURE, LARGEST_TOKEN, LEAST_HALF
from spectok.model._transformer import attention_mask

__all__ = ["Reader"]

# Periods of ln(wavelength): from a line (0.002: 600 km/s) to all that is ever observed.
_PERIODS, _SHORTEST, _LONGEST = 24, 2e-3, 8.0
_TOKEN_WIDTH = 64  # numbers of a token before neighbours are joined
_SQUEEZED = 32  # numbers that each latent hands to the head
_LOG_LENGTH = 6.0  # ln(wavelength / half a patch) of a typical patch


class Reader(nn.Module):
    """Small network that turns the tokens of a spectrum into its embedding.

    Every token is combined with the logarithm of its wavelength and of its length, and
    neighbours are joined into groups. Learned latent vectors look at all groups, then at each
    other, several times over (Jaegle et al. 2021); a head makes the embedding of what they have
    found. The cost grows with the number of tokens, not with its square.

    Parameters
    ----------
    config : `ModelConfig`
        Its ``token_size``, ``embedding_size`` and ``reader_...``.

    References
    ----------
    Jaegle et al. (2021), arXiv:2103.03206 (latents that look at a long sequence).
    """

    mean: Tensor
    scatter: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width, number = config.reader_width, 2 * config.token_size - 1
        self.group = config.reader_group
        # Of the features over many spectra: training sets them before it begins.
        self.register_buffer("mean", torch.zeros(number))
        self.register_buffer("scatter", torch.ones(number))
        self.from_token = nn.Linear(number, _TOKEN_WIDTH)
        self.from_place = nn.Linear(2 * _PERIODS + 1, 2 * _TOKEN_WIDTH)
        self.join = nn.Linear(self.group * _TOKEN_WIDTH, width)
        self.norm = nn.LayerNorm(width)
        self.latents = nn.Parameter(torch.empty(config.reader_latents, width))
        self.rounds = nn.ModuleList(
            Round(width, config.reader_heads) for _ in range(config.reader_rounds)
        )
        found = config.reader_latents * _SQUEEZED
        self.squeeze = nn.Linear(width, _SQUEEZED)
        self.head = nn.Sequential(
            nn.LayerNorm(found),
            nn.Linear(found, 2 * width),
            nn.GELU(),
            nn.Linear(2 * width, config.embedding_size),
        )
        nn.init.normal_(self.latents, std=0.5)

    def features(self, value: Tensor, valid: Tensor) -> Tensor:
        """What the reader sees of tokens (N, T, C): (N, T, 2 C - 1), standardised.

        The numbers of the token themselves and its cosines in units of the noise; zeros where a
        token is not valid.
        """
        value = value.clamp(-LARGEST_TOKEN, LARGEST_TOKEN)
        seen = (torch.cat([value, contrast_of(value)], -1) - self.mean) / self.scatter
        seen = seen.clamp(-LARGEST_FEATURE, LARGEST_FEATURE)
        return torch.where(valid.unsqueeze(-1), seen, 0.0)

    def forward(self, features: Tensor, wavelength: Tensor, half: Tensor, valid: Tensor) -> Tensor:
        """Embeddings of spectra.

        Parameters
        ----------
        features : `torch.Tensor`, shape (N, T, 2 C - 1)
            See `features`.
        wavelength, half : `torch.Tensor`, float64, shape (N or 1, T)
            Centre of each token's patch, ascending, and half its length.
        valid : `torch.Tensor` of bool, shape (N, T)
            Tokens that count.

        Returns
        -------
        embedding : `torch.Tensor`, shape (N, E)
        """
        missing = -valid.shape[1] % self.group
        if missing:
            # Invalid tokens at the end, which are not looked at, make the last group whole.
            features = nn.functional.pad(features, (0, 0, 0, missing))
            valid = nn.functional.pad(valid, (0, missing))
            last = torch.ones(1, missing, dtype=torch.float64, device=wavelength.device)
            wavelength = torch.cat([wavelength, wavelength[:, -1:] * last], 1)
            half = torch.cat([half, half[:, -1:] * last], 1)
        place = self._place(wavelength, half).to(features.device)
        gain, offset = self.from_place(place).chunk(2, -1)
        x = self.from_token(features) * (1.0 + gain) + offset
        x = x * valid.unsqueeze(-1)
        # (N, T, 64) -> (N, G, group * 64) -> (N, G, D)
        x = x.unflatten(1, (-1, self.group)).flatten(-2)
        x = self.norm(self.join(nn.functional.gelu(x)))
        mask = attention_mask(valid.unflatten(1, (-1, self.group)).any(-1))
        latents = self.latents.expand(len(x), -1, -1)
        for one in self.rounds:
            latents = one(latents, x, mask)
        return self.head(self.squeeze(latents).flatten(1))

    @staticmethod
    def _place(wavelength: Tensor, half: Tensor) -> Tensor:
        """Sines and cosines of ln(wavelength), and the length: (N or 1, T, 2 K + 1)."""
        shortest, longest = math.log(_SHORTEST), math.log(_LONGEST)
        period = torch.linspace(
            shortest, longest, _PERIODS, dtype=torch.float64, device=wavelength.device
        ).exp()
        # In float64: in float32 the phase of the shortest would be off by a thousandth.
        phase = wavelength.log().unsqueeze(-1) / period
        angle = ((2.0 * math.pi) * (phase - phase.floor())).float()
        length = (half.clamp(min=LEAST_HALF) / wavelength).log().float() + _LOG_LENGTH
        return torch.cat([angle.sin(), angle.cos(), length.unsqueeze(-1)], dim=-1)


class Round(nn.Module):
    """Latents look at the groups, then at each other, and think: all pre-norm and residual.

    Parameters
    ----------
    width, heads : int
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_look = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out_look = nn.Linear(width, width)
        self.norm_mix = nn.LayerNorm(width)
        self.mix = nn.Linear(width, 3 * width)
        self.out_mix = nn.Linear(width, width)
        self.norm_feed = nn.LayerNorm(width)
        self.feed = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        for last in (self.out_look, self.out_mix, self.feed[-1]):
            last.weight.data.mul_(0.5)  # many residuals on top of each other stay of one size

    def forward(self, latents: Tensor, x: Tensor, mask: Tensor | None) -> Tensor:
        """Latents (N, M, D) that looked at groups (N, G, D) once more: (N, M, D)."""
        key, value = self.key_value(x).chunk(2, -1)
        seen = self._attend(self.query(self.norm_look(latents)), key, value, mask)
        latents = latents + self.out_look(seen)
        seen = self._attend(*self.mix(self.norm_mix(latents)).chunk(3, -1), None)
        latents = latents + self.out_mix(seen)
        return latents + self.feed(self.norm_feed(latents))

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (query, key, value)
        )
        # Plain products: in bfloat16 on a CPU the fused kernel's backward takes twice as long.
        score = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
        if mask is not None:
            score = score.masked_fill(~mask, -torch.inf)
        return (score.softmax(-1).to(value.dtype) @ value).transpose(1, 2).flatten(-2)
