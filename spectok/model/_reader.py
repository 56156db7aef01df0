"""The reader: a spectrum's tokens to one embedding (layer 1: torch only).

Letters of shapes: N spectra of T tokens of C numbers; G groups of neighbouring tokens; D the
reader's width; M cosines of a token; Q learned queries; E numbers of the embedding.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from spectok.model._bands import N_BAND, band_phases
from spectok.model._config import ModelConfig
from spectok.model._cosines import contrast_of, cosines_and_noise
from spectok.model._embedding import phases
from spectok.model._limits import LARGEST_FEATURE, LARGEST_TOKEN, LEAST_HALF
from spectok.model._reading import Reading
from spectok.model._transformer import Block, attention_mask, rotation

__all__ = ["Reader", "token_features"]

# Periods of ln(wavelength): from a line (0.002: 600 km/s) to all that is ever observed.
_PERIODS, _SHORTEST, _LONGEST = 24, 2e-3, 8.0
_TOKEN_WIDTH = 64  # numbers of a token before neighbours are joined
_LOG_LENGTH = 6.0  # ln(wavelength / half a patch) of a typical patch
_LOG_DAYS = 2.0  # ln(half a patch / day) of one of light curves


class Reader(nn.Module):
    """Small network that turns the tokens of a spectrum into its embedding.

    Every token is combined with the logarithm of its wavelength and of its length, and
    neighbours are joined into groups. Transformer blocks, turned by *ln* wavelength so that a
    redshift is a shift, let the groups look at each other; learned queries collect what they
    found, and a head makes the embedding of it. Spectra on patches that they share are also read
    with weights of each place's own (`Reading`). Of light curves the place is the time,
    over the periods of the model, and the filter stands beside it.

    Parameters
    ----------
    config : `ModelConfig`
        Its ``token_size``, ``embedding_size`` and ``reader_...``.

    References
    ----------
    Su et al. (2021), arXiv:2104.09864 (turned queries and keys); van den Oord et al. (2018),
    arXiv:1807.03748 (how it is trained, see `spectok.training.fit_reader`).
    """

    mean: Tensor
    scatter: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width, number = config.reader_width, config.token_size + config.n_cosines
        self.context_size = config.context_size
        self.group, self.turned = config.reader_group, width // config.reader_heads // 2
        self.of_times, self.periods = config.of_times, (_SHORTEST, _LONGEST)
        if self.of_times:
            self.periods = (config.min_period, config.max_period)
        # Of the features over many spectra: training sets them before it begins.
        self.register_buffer("mean", torch.zeros(number))
        self.register_buffer("scatter", torch.ones(number))
        self.from_token = nn.Linear(number, _TOKEN_WIDTH)
        places = 2 * _PERIODS + 1 + (N_BAND if self.of_times else 0)
        self.from_place = nn.Linear(places, 2 * _TOKEN_WIDTH)
        self.join = nn.Linear(self.group * _TOKEN_WIDTH, width)
        blocks = [Block(width, config.reader_heads) for _ in range(config.reader_blocks)]
        self.blocks = nn.ModuleList(blocks)
        for block in blocks:
            block.attend_self.start_near(math.log(self.periods[1] / self.periods[0]))
        self.norm = nn.LayerNorm(width)
        self.queries = nn.Parameter(width**-0.5 * torch.randn(config.reader_queries, width))
        self.key_value = nn.Linear(width, 2 * width)
        found = config.reader_queries * width
        self.head = nn.Sequential(
            nn.LayerNorm(found),
            nn.Linear(found, 2 * width),
            nn.GELU(),
            nn.Linear(2 * width, config.embedding_size),
        )
        self.token_size, self.reading = config.token_size, None
        if config.reader_places:
            self.reading = Reading(
                config.reader_places, config.token_size, config.reader_reading,
                config.embedding_size,
            )  # fmt: skip

    def features(self, value: Tensor, valid: Tensor) -> Tensor:
        """What the reader sees of tokens (N, T, C): (N, T, C + M), standardised.

        The numbers of the token themselves and its cosines in units of the noise; zeros where a
        token is not valid.
        """
        seen = (token_features(value, self.context_size) - self.mean) / self.scatter
        seen = seen.clamp(-LARGEST_FEATURE, LARGEST_FEATURE)
        return torch.where(valid.unsqueeze(-1), seen, 0.0)

    def forward(
        self,
        features: Tensor,
        wavelength: Tensor,
        half: Tensor,
        valid: Tensor,
        band: Tensor | None = None,
    ) -> Tensor:
        """Embeddings of spectra.

        Parameters
        ----------
        features : `torch.Tensor`, shape (N, T, C + M)
            See `features`.
        wavelength, half : `torch.Tensor`, float64, shape (N or 1, T)
            Centre of each token's patch, ascending, and half its length.
        valid : `torch.Tensor` of bool, shape (N, T)
            Tokens that count.
        band : `torch.Tensor`, float64, shape (N, T), optional
            Of light curves: the tokens' filters.

        Returns
        -------
        embedding : `torch.Tensor`, shape (N, E)
        """
        beside = 0.0
        if self.reading is not None:
            own = features[..., : self.token_size]
            beside = self.reading(own, wavelength, half, valid)
        missing = -valid.shape[1] % self.group
        if missing:
            # Invalid tokens at the end, which are not looked at, make the last group whole.
            features = nn.functional.pad(features, (0, 0, 0, missing))
            valid = nn.functional.pad(valid, (0, missing))
            last = wavelength.new_ones(1, missing)
            wavelength = torch.cat([wavelength, wavelength[:, -1:] * last], 1)
            half = torch.cat([half, half[:, -1:] * last], 1)
            band = None if band is None else torch.cat([band, band[:, -1:] * last], 1)
        place = wavelength if self.of_times else wavelength.log()
        angle = (2.0 * math.pi) * phases(place, self.periods, _PERIODS)
        if self.of_times:
            length = half.clamp(min=LEAST_HALF).log().float() - _LOG_DAYS
        else:
            length = (half.clamp(min=LEAST_HALF) / wavelength).log().float() + _LOG_LENGTH
        filters = [] if band is None else [band_phases(band)]
        about = torch.cat([angle.sin(), angle.cos(), length.unsqueeze(-1), *filters], dim=-1)
        gain, offset = self.from_place(about.to(features.device)).chunk(2, -1)
        x = self.from_token(features) * (1.0 + gain) + offset
        x = x * valid.unsqueeze(-1)
        # (N, T, 64) -> (N, G, group * 64) -> (N, G, D)
        x = self.join(nn.functional.gelu(x.unflatten(1, (-1, self.group)).flatten(-2)))
        valid = valid.unflatten(1, (-1, self.group)).any(-1)
        mask = attention_mask(valid)
        place = place.unflatten(1, (-1, self.group)).mean(-1)
        at = rotation(phases(place, self.periods, self.turned).to(x.device))
        for block in self.blocks:
            x = block(x, mask, at)
        key, value = self.key_value(self.norm(x)).chunk(2, -1)
        score = self.queries.to(key.dtype) @ key.transpose(-1, -2) * key.shape[-1] ** -0.5
        if mask is not None:
            score = score.masked_fill(~mask[:, 0], -torch.inf)
        # (N, Q, G) @ (N, G, D) -> (N, Q * D) -> (N, E)
        found = (score.float().softmax(-1).to(value.dtype) @ value).flatten(1)
        return self.head(found) + beside


def token_features(value: Tensor, context_size: int = 0) -> Tensor:
    """Numbers of tokens (..., C), and their cosines in units of the noise: (..., C + M)."""
    value = value.clamp(-LARGEST_TOKEN, LARGEST_TOKEN)
    return torch.cat([value, contrast_of(cosines_and_noise(value, context_size))], -1)
