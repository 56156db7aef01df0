"""The network: spectra to tokens, tokens to spectra on any grid (layer 1: torch only)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from spectok._batch import SpectrumBatch, TokenBatch
from spectok.model._config import ModelConfig
from spectok.model._embedding import (
    WavelengthEmbedding,
    patch_centre,
    patchify,
    unpatchify,
)
from spectok.model._interpolate import interpolate_tokens
from spectok.model._normalise import asinh, fill, median_scale
from spectok.model._transformer import Block, attention_mask

__all__ = ["SpectralTokenizer"]

_CHANNELS = 4  # per pixel: flux, contrast, error, validity
_LOG_MODEL_SIGMA = (-9.0, 6.0)
_LARGEST = 60.0  # of asinh(flux)
_EXTREME = 1e18  # its square fits float32


class SpectralTokenizer(nn.Module):
    """Transformer that turns spectra into wavelength-aware tokens and back.

    After Shen et al. (2025, arXiv:2510.17959), section 2, with a decoder that may look at all
    tokens and states its own error.

    Parameters
    ----------
    config : `ModelConfig`
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        width, patch = config.width, config.patch_size

        def embedding() -> WavelengthEmbedding:
            return WavelengthEmbedding(
                config.n_periods, config.min_period, config.max_period, patch, width
            )

        self.embed_patch = nn.Linear(_CHANNELS * patch, width)
        self.embed_wavelength = embedding()
        self.encoder = nn.ModuleList(
            Block(width, config.heads) for _ in range(config.encoder_blocks)
        )
        self.norm_token = nn.LayerNorm(width)
        self.to_token = nn.Linear(width, config.token_size)

        self.from_token = nn.Linear(config.token_size, width)
        self.embed_output = embedding()
        self.embed_centre = nn.Linear(2 * config.n_periods, width)
        self.norm_context = nn.LayerNorm(width)
        self.decoder = nn.ModuleList(
            Block(width, config.heads, cross=True) for _ in range(config.decoder_blocks)
        )
        self.norm_output = nn.LayerNorm(width)
        self.to_pixels = nn.Linear(width, 2 * patch)
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=module.in_features**-0.5)
                nn.init.zeros_(module.bias)
        for blocks in (self.encoder, self.decoder):
            for block in blocks:
                # Keeps the residual stream of a deep stack at the size of a shallow one.
                for last in (block.attend_self.out, block.feed[-1]):
                    last.weight.data.mul_((2 * len(blocks)) ** -0.5)
                if block.attend_cross is not None:
                    nn.init.zeros_(block.attend_cross.out.weight)
        # A new model is a running mean: tokens hold levels, the decoder interpolates them.
        nn.init.zeros_(self.to_token.weight[:1])
        nn.init.zeros_(self.to_pixels.weight)
        self.to_pixels.bias.data[self.config.patch_size :] = math.log(0.1)

    def features(self, flux: Tensor, sigma: Tensor, visible: Tensor) -> tuple[Tensor, Tensor]:
        """What the network sees of a patch: (N, T, P) each to (N, T, 4 P), and its level.

        Per pixel: asinh of the flux; asinh of its distance from the patch's mean in units of
        the patch's error (so that a line in a bright spectrum is as clear as one in a faint
        one); log of the error; validity. A pixel that is not visible shows the flux
        interpolated between its visible neighbours in the patch, and the patch's error. The
        level (N, T) is the asinh of the mean flux, weighted by inverse variance.
        """
        count = visible.sum(-1, keepdim=True).clamp(min=1)
        log_sigma = torch.where(visible, sigma, 1.0).log()
        log_mean = torch.where(visible, log_sigma, 0.0).sum(-1, keepdim=True) / count
        log_sigma = torch.where(visible, log_sigma, log_mean)
        # Relative to the patch's own error, the weights can neither overflow nor all vanish.
        weight = torch.where(visible, (2.0 * (log_mean - log_sigma)).clamp(-20, 20).exp(), 0.0)
        flux = fill(torch.where(visible, flux, 0.0), visible)
        mean = (weight * flux).sum(-1, keepdim=True) / weight.sum(-1, keepdim=True).clamp(1e-12)
        contrast = asinh((flux - mean) * torch.exp(-log_mean))
        channels = (asinh(flux), 0.5 * contrast, 0.5 * (log_sigma + 2.0), visible.to(flux.dtype))
        return torch.cat(channels, dim=-1), asinh(mean.squeeze(-1))

    def encode(self, batch: SpectrumBatch, hidden: Tensor | None = None) -> TokenBatch:
        """Spectra to tokens.

        Parameters
        ----------
        batch : `~spectok._batch.SpectrumBatch`
            N spectra of T patches.
        hidden : `torch.Tensor` of bool, shape (N, T * P), optional
            Good pixels to withhold: their flux, their error and their share in the scale are
            unseen, but they do not count towards the rule that a patch with half of its
            pixels bad is no token.

        Returns
        -------
        tokens : `~spectok._batch.TokenBatch`
            (N, T, C).
        """
        patch = self.config.patch_size
        visible = batch.valid if hidden is None else batch.valid & ~hidden
        scale, from_noise = median_scale(batch.flux, batch.sigma, visible)
        # Numbers so far apart (S/N beyond 1e18) would overflow on the way; a token is never NaN.
        flux = (batch.flux / scale[:, None]).clamp(-_EXTREME, _EXTREME)
        sigma = (batch.sigma / scale[:, None]).clamp(1 / _EXTREME, _EXTREME)
        seen = patchify(visible, patch)
        valid = (patchify(batch.valid, patch).sum(-1) > patch // 2) & seen.any(-1)
        x, level = self.features(patchify(flux, patch), patchify(sigma, patch), seen)
        with _float32(x):
            x = self.embed_patch(x)
        x = x + self.embed_wavelength(batch.wavelength)
        mask = attention_mask(valid)
        for block in self.encoder:
            x = block(x, mask)
        with _float32(x):
            value = self.to_token(self.norm_token(x.float()))
        # The first channel starts as the patch's level, and the network learns the rest.
        value = torch.cat([value[..., :1] + level.unsqueeze(-1), value[..., 1:]], dim=-1)
        # Not a product: a patch without a visible pixel must not hand on what it computed.
        value = torch.where(valid.unsqueeze(-1), value, 0.0)
        centre = patch_centre(batch.wavelength, patch)
        return TokenBatch(value, centre, valid, scale, from_noise)

    def decode(
        self, tokens: TokenBatch, wavelength: Tensor, wanted: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Tokens to spectra on a grid, in units of each spectrum's scale.

        Parameters
        ----------
        tokens : `~spectok._batch.TokenBatch`
        wavelength : `torch.Tensor`, float64, shape (N, S * P)
            Laid out in patches, vacuum Angstrom.
        wanted : `torch.Tensor` of bool, shape (N, S * P), optional
            Pixels asked for; patches without one (padding) are left out of the attention.

        Returns
        -------
        flux, sigma : `torch.Tensor`, shape (N, S * P)
            The spectrum and the standard deviation of the model, times 1 / scale.
        """
        patch = self.config.patch_size
        centre = patch_centre(wavelength, patch)
        value = interpolate_tokens(tokens.value, tokens.wavelength, tokens.valid, centre)
        with _float32(value):
            x = self.from_token(value)
        x = x + self.embed_output(wavelength)
        mask = None if wanted is None else attention_mask(patchify(wanted, patch).any(-1))
        context, context_mask = self._context(tokens), attention_mask(tokens.valid)
        for block in self.decoder:
            x = block(x, mask, context, context_mask)
        with _float32(x):
            flux, log_sigma = self.to_pixels(self.norm_output(x.float())).chunk(2, -1)
        level = interpolate_tokens(
            tokens.value[..., :1], tokens.wavelength, tokens.valid, wavelength
        ).squeeze(-1)
        flux = (unpatchify(flux) + level).clamp(-_LARGEST, _LARGEST).sinh()
        return flux, unpatchify(log_sigma.clamp(*_LOG_MODEL_SIGMA).exp())

    def _context(self, tokens: TokenBatch) -> Tensor:
        """What the cross-attention looks at: tokens with their own wavelengths, (N, T, D)."""
        angle = 2.0 * math.pi * self.embed_output.cycles(tokens.wavelength)
        angle = angle.to(tokens.value.device)
        position = self.embed_centre(torch.cat([angle.sin(), angle.cos()], -1))
        return self.norm_context(self.from_token(tokens.value) + position)

    def forward(
        self,
        batch: SpectrumBatch,
        hidden: Tensor | None = None,
        target: SpectrumBatch | None = None,
    ) -> tuple[TokenBatch, Tensor, Tensor]:
        """Encode, and decode onto the grid of ``target`` (by default the spectra's own).

        Returns the tokens, and flux and model error in units of the spectra's scale.
        """
        tokens = self.encode(batch, hidden)
        target = batch if target is None else target
        return tokens, *self.decode(tokens, target.wavelength, target.valid)


def _float32(like: Tensor) -> torch.autocast:
    """No half precision where pixels enter and leave: its 0.4 % exceed the noise at S/N 250."""
    return torch.autocast(like.device.type, enabled=False)
