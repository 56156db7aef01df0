"""What the ablations change, one thing at a time: networks, losses and what is hidden."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from spectok.model import ModelConfig, SpectralTokenizer
from spectok.model._cosines import asinh, fit_cosines
from spectok.model._embedding import WavelengthEmbedding
from spectok.training._hide import HIDDEN_SHARE

SIZE = {"width": 96, "heads": 3, "encoder_blocks": 2, "decoder_blocks": 2, "n_periods": 16}
_LARGEST = 50.0  # of linear channels


class Logarithmic(WavelengthEmbedding):
    """Periods in 6000 ln(wavelength / 6000), which at 6,000 Angstrom is as long as one."""

    def cycles(self, wavelength: Tensor, number: int | None = None) -> Tensor:
        return super().cycles(6000.0 * (wavelength / 6000.0).log(), number)


class LogWavelength(SpectralTokenizer):
    """Embeds, and turns by, the logarithm of the wavelength."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        for part in (self.embed_wavelength, self.embed_output):
            part.__class__ = Logarithmic


class PixelEmbedding(WavelengthEmbedding):
    """The paper's: sines and cosines of every pixel, through one linear map of the patch."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config.n_periods, config.min_period, config.max_period, config.width)
        self.patch_size = config.patch_size
        self.project = nn.Linear(2 * config.n_periods * config.patch_size, config.width)
        nn.init.trunc_normal_(self.project.weight, std=self.project.in_features**-0.5)
        nn.init.zeros_(self.project.bias)

    def forward(self, centre: Tensor, half: Tensor) -> Tensor:
        place = torch.linspace(-1.0, 1.0, self.patch_size, dtype=torch.float64)
        angle = 2.0 * math.pi * self.cycles(centre.unsqueeze(-1) + half.unsqueeze(-1) * place)
        return self.project(torch.cat([angle.sin(), angle.cos()], dim=-1).flatten(-2))


class EveryPixel(SpectralTokenizer):
    """Embeds every pixel's wavelength, as the paper does."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.embed_wavelength, self.embed_output = PixelEmbedding(config), PixelEmbedding(config)


class NoRotation(SpectralTokenizer):
    """Attention sees wavelengths only through the embedding that is added."""

    def _rotation(self, centre: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        cos, sin = super()._rotation(centre[:, :1], like)
        return torch.ones_like(cos), torch.zeros_like(sin)


class LinearFlux(SpectralTokenizer):
    """Sees the flux as it is, and the error as it is."""

    def features(self, flux: Tensor, sigma: Tensor, visible: Tensor, smooth: Tensor) -> Tensor:
        flux, sigma = torch.where(visible, flux, smooth), torch.where(visible, sigma, 0.0)
        linear = [flux.clamp(-_LARGEST, _LARGEST), sigma.clamp(max=_LARGEST)]
        return torch.cat([*linear, torch.zeros_like(flux), visible.to(flux.dtype)], dim=-1)


class LogError(SpectralTokenizer):
    """Sees asinh of the flux and the logarithm of the error, not their ratio."""

    def features(self, flux: Tensor, sigma: Tensor, visible: Tensor, smooth: Tensor) -> Tensor:
        flux = asinh(torch.where(visible, flux, smooth))
        error = torch.where(visible, sigma, 1.0).log()
        return torch.cat([flux, 0.5 * error, torch.zeros_like(flux), visible.to(flux.dtype)], -1)


class LevelsOnly(SpectralTokenizer):
    """Tokens start from the level of their patch alone; the network must learn the rest."""

    @staticmethod
    def local_code(*arguments: Tensor) -> tuple[Tensor, Tensor]:
        """The level, and zeros."""
        fitted, log_noise = fit_cosines(*arguments)
        return torch.cat([fitted[..., :1], torch.zeros_like(fitted[..., 1:])], -1), log_noise


class AddOnly(SpectralTokenizer):
    """The paper's decoder: tokens and wavelengths added, no cross-attention."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        for block in self.decoder:
            block.attend_cross = None


@dataclass(frozen=True)
class Variant:
    """One change: of the network, of `spectok.training.fit`, or of the batches."""

    about: str
    network: type[SpectralTokenizer] = SpectralTokenizer
    config: dict[str, Any] = field(default_factory=dict)
    fit: dict[str, Any] = field(default_factory=dict)
    hide: tuple[float, float] = HIDDEN_SHARE
    floor: float = 0.0


VARIANTS = {
    "default": Variant("default: C = 16, 16 periods of 8 to 65,536"),
    "C = 8": Variant("tokens of 8 numbers", config={"token_size": 8}),
    "C = 12": Variant("tokens of 12 numbers", config={"token_size": 12}),
    "C = 24": Variant("tokens of 24 numbers", config={"token_size": 24}),
    "ln wavelength": Variant("periods in the logarithm of the wavelength", LogWavelength),
    "every pixel": Variant("every pixel's wavelength embedded (the paper)", EveryPixel),
    "no rotation": Variant("wavelengths do not turn queries and keys (the paper)", NoRotation),
    "periods from 2": Variant("shortest period 2 Angstrom", config={"min_period": 2.0}),
    "periods from 32": Variant("shortest period 32 Angstrom", config={"min_period": 32.0}),
    "periods to 16384": Variant("longest period 16,384 Angstrom", config={"max_period": 16384.0}),
    "8 periods": Variant("8 periods in the embedding", config={"n_periods": 8}),
    "32 periods": Variant("32 periods in the embedding", config={"n_periods": 32}),
    "linear flux": Variant("flux and error as they are", LinearFlux),
    "log error": Variant("asinh of the flux, logarithm of the error", LogError),
    "levels only": Variant("tokens start from levels, not cosines", LevelsOnly),
    "add-only decoder": Variant("no cross-attention (the paper)", AddOnly),
    "hide nothing": Variant("no pixel is hidden (the paper)", hide=(0.0, 0.0)),
    "hide 1-15 %": Variant("1 to 15 % hidden in blocks (default 2-30 %)", hide=(0.01, 0.15)),
    "hide 30-60 %": Variant("30 to 60 % hidden in blocks", hide=(0.30, 0.60)),
    "floor 0.5 %": Variant("0.5 % of the flux added to the errors in the loss", floor=0.005),
    "no model error": Variant("no model error (the paper)", fit={"model_error": False}),
    "AdamW": Variant(
        "AdamW at 2e-3 instead of Muon", fit={"optimizer": "adamw", "learning_rate": 2e-3}
    ),
}
