"""The network: spectra to tokens, tokens to spectra on any grid (layer 1: torch only).

Read `SpectralTokenizer.encode` and `SpectralTokenizer.decode` first: the whole way of a spectrum
is in these two. Letters of shapes: N spectra; T patches of P pixels that were observed; S patches
that are asked for; C numbers of a token, X of them context and M of them cosines; D the width of
the transformer; K phases. Every limit
on a number stands in ``_limits.py``, the code of a single patch in ``_cosines.py``.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from spectok._batch import SpectrumBatch, TokenBatch
from spectok.model._bands import BandEmbedding, check_bands, keep_bands_apart
from spectok.model._config import ModelConfig
from spectok.model._cosines import (
    asinh,
    coefficients_of,
    contrast_of,
    cosines,
    cosines_and_noise,
    fit_cosines,
    make_token,
    median_scale,
    position_in_patch,
    sum_of_cosines,
)
from spectok.model._display import Origin, as_html, as_text
from spectok.model._embedding import WavelengthEmbedding, patch_place, patchify, unpatchify
from spectok.model._initial import initialise
from spectok.model._interpolate import interpolate_tokens
from spectok.model._limits import (
    EXTREME,
    LARGEST_CHANGE,
    LARGEST_CONTEXT,
    LARGEST_TOKEN,
    LOG_MODEL_SIGMA,
)
from spectok.model._process import N_SEEN, Process, what_is_seen
from spectok.model._reader import Reader
from spectok.model._shared import on_shared_patches
from spectok.model._transformer import Block, Rotation, attention_mask, rotation

__all__ = ["SpectralTokenizer"]

# Per pixel: flux, flux over error, one over error, validity; of light curves its place as well.
_CHANNELS = 4


class SpectralTokenizer(nn.Module):
    """Transformer that turns spectra into wavelength-aware tokens and back.

    A token starts as the cosines of its patch, which the network changes in units of the noise;
    the decoder may look at all tokens, and states its own error. Users call `spectok.encode` and
    `spectok.decode`; this is the network itself, on tensors, for training and for experiments.

    Parameters
    ----------
    config : `ModelConfig`
        Its sizes. The weights start at random: `spectok.load_model` gives trained ones.

    Attributes
    ----------
    card : dict
        What its maker says of the weights (data, steps, scores); empty for a new model.
    origin : object or None
        Name and checksum of the weights, set by `spectok.load_model`; None for a new model.

    See Also
    --------
    spectok.load_model : A tokenizer with trained weights.
    spectok.training.fit : What trains one.

    References
    ----------
    Shen et al. (2025), arXiv:2510.17959, section 2.

    Examples
    --------
    >>> from spectok import ModelConfig, SpectralTokenizer
    >>> model = SpectralTokenizer(ModelConfig.of_size("tiny"))
    >>> print(model)  # print(model.encoder) shows the layers
    SpectralTokenizer unsaved...
    """

    # On the class: a network pickled by an older version has none of its own.
    origin: Origin | None = None

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.card: dict[str, Any] = {}
        width, patch = config.width, config.patch_size
        periods = (config.n_periods, config.min_period, config.max_period)
        channels = _CHANNELS + config.of_times
        self.embed_patch = nn.Linear(channels * patch, width)
        self.embed_wavelength = WavelengthEmbedding(*periods, width)
        self.encoder = nn.ModuleList(
            Block(width, config.heads) for _ in range(config.encoder_blocks)
        )
        self.norm_token = nn.LayerNorm(width)
        self.to_token = nn.Linear(width, config.token_size)

        # The numbers of a token, and its cosines in units of the noise.
        self.from_token = nn.Linear(config.token_size + config.n_cosines, width)
        self.embed_output = WavelengthEmbedding(*periods, width)
        self.norm_context = nn.LayerNorm(width)
        self.decoder = nn.ModuleList(
            Block(width, config.heads, cross=True) for _ in range(config.decoder_blocks)
        )
        self.norm_output = nn.LayerNorm(width)
        self.to_pixels = nn.Linear(width, 2 * patch)
        if config.of_times:
            self.embed_band, self.embed_output_band = BandEmbedding(width), BandEmbedding(width)
            self.process = Process(width, patch)
            self.from_process = nn.Linear(N_SEEN * patch, width)
        initialise(self)
        self.reader = Reader(config) if config.embedding_size else None

    # A few lines in place of torch's hundred.
    __repr__, _repr_html_ = as_text, as_html

    def features(self, flux: Tensor, sigma: Tensor, visible: Tensor, smooth: Tensor) -> Tensor:
        """What the network sees of a patch.

        Per pixel: asinh of the flux, of the flux over its error, and of one over the error, so
        that faint and bright spectra are told apart over all decades; and validity. A pixel
        that is not visible shows ``smooth`` and no certainty.

        Parameters
        ----------
        flux, sigma : `torch.Tensor`, shape (N, T, P)
            Flux and its error, over the scale of the spectrum.
        visible : `torch.Tensor` of bool, shape (N, T, P)
            Pixels that are good and not hidden.
        smooth : `torch.Tensor`, shape (N, T, P)
            The flux that the cosines of the patch have there.

        Returns
        -------
        features : `torch.Tensor`, shape (N, T, 4 P)
            The four numbers of every pixel, kind by kind.
        """
        certainty = torch.where(visible, sigma.reciprocal(), 0.0)
        flux = torch.where(visible, flux, smooth)
        return torch.cat(
            [
                asinh(flux),
                0.5 * asinh(flux * certainty),
                0.5 * asinh(certainty),
                visible.to(flux.dtype),
            ],
            dim=-1,
        )

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
            Of shape (N, T, C), with the wavelengths, the validity and the scale.

        References
        ----------
        Shen et al. (2025), arXiv:2510.17959, section 2 (input processing and encoding).
        """
        patch = self.config.patch_size
        visible = batch.valid if hidden is None else batch.valid & ~hidden  # (N, T * P)
        scale, from_noise = median_scale(batch.flux, batch.sigma, visible)  # (N,) each
        # Numbers so far apart (S/N beyond 1e18) would overflow on the way; a token is never NaN.
        flux = (batch.flux / scale[:, None]).clamp(-EXTREME, EXTREME)
        sigma = (batch.sigma / scale[:, None]).clamp(1 / EXTREME, EXTREME)
        seen = patchify(visible, patch)  # (N, T, P)
        # A patch of spectra is mostly good or no token; of light curves each point is one.
        least = 0 if self.config.of_times else patch // 2
        valid = (patchify(batch.valid, patch).sum(-1) > least) & seen.any(-1)  # (N, T)
        flux, sigma = patchify(flux, patch), patchify(sigma, patch)  # (N, T, P)
        centre, half = patch_place(batch.wavelength, patch)  # (N, T), float64

        # 1. Each patch on its own, and what the network sees of it.
        with _float32(flux):
            basis = self._basis(batch.wavelength, centre, half).to(flux.device)
            # (N, T, M) and (N, T, 1)
            fitted, log_noise = self.local_code(flux, sigma, seen, basis)
            smooth = (basis @ fitted.unsqueeze(-1)).squeeze(-1)  # (N, T, P)
            x = self.features(flux, sigma, seen, smooth)
            if self.config.of_times:
                # Where in the patch each point stands: cos(pi x), from 1 to -1.
                x = torch.cat([x, basis[..., 1].expand_as(flux)], -1)
            x = self.embed_patch(x)  # (N, T, D)
        x = x + self.embed_wavelength(centre, half)
        if self.config.of_times:
            x = x + self.embed_band(batch.band)

        # 2. The patches look at each other.
        mask, at = attention_mask(valid), self._rotation(centre, x)
        for block in self.encoder:
            x = block(x, mask, at)  # (N, T, D)

        # 3. What they learned changes the code of each.
        with _float32(x):
            x = self.norm_token(x.float())
            # In units of the noise, so that a bright spectrum is touched as gently as it needs.
            change = self.to_token(x).clamp(-LARGEST_CHANGE, LARGEST_CHANGE)  # (N, T, C)
            own, context, noise = change.split(
                (self.config.n_cosines, self.config.context_size, 1), dim=-1
            )
            fitted = fitted + log_noise.exp() * own.sinh()
            context = context.clamp(-LARGEST_CONTEXT, LARGEST_CONTEXT)  # (N, T, X)
            value = make_token(fitted, log_noise + noise, context)  # (N, T, C)
        # Not a product: a patch without a visible pixel must not hand on what it computed.
        value = torch.where(valid.unsqueeze(-1), value, 0.0)
        return TokenBatch(value, centre, half, valid, scale, from_noise, batch.band, batch.end)

    # What a token starts from; ablations replace it.
    local_code = staticmethod(fit_cosines)

    def _basis(
        self, wavelength: Tensor, centre: Tensor, half: Tensor, number: int | None = None
    ) -> Tensor:
        """Cosines at the pixels of every patch: (N, T, P, M), or (1, T, P, M) for one grid."""
        # Where the answer is at hand: a GPU computes them all in less time than it takes to ask.
        asks = wavelength.device.type == "cpu" and not torch.compiler.is_compiling()
        if asks and len(wavelength) > 1 and bool((wavelength == wavelength[:1]).all()):
            wavelength, centre, half = wavelength[:1], centre[:1], half[:1]
        patch = self.config.patch_size
        place = position_in_patch(
            patchify(wavelength, patch), centre.unsqueeze(-1), half.unsqueeze(-1), patch
        )
        return cosines(place.float(), number or self.config.n_cosines)

    def decode(
        self,
        tokens: TokenBatch,
        wavelength: Tensor,
        wanted: Tensor | None = None,
        band: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Tokens to spectra on a grid, in units of each spectrum's scale.

        Parameters
        ----------
        tokens : `~spectok._batch.TokenBatch`
            What `encode` returned: N spectra of T tokens.
        wavelength : `torch.Tensor`, float64, shape (N, S * P)
            Laid out in patches, vacuum Angstrom; of light curves, days since the first point of
            what the tokens are of.
        wanted : `torch.Tensor` of bool, shape (N, S * P), optional
            Pixels asked for; patches without one (padding) are left out of the attention.
        band : `torch.Tensor`, float64, shape (N, S), optional
            Of light curves: the filters of the patches that are asked for.

        Returns
        -------
        flux, sigma : `torch.Tensor`, shape (N, S * P)
            The spectrum and the standard deviation of the model, times 1 / scale.

        Raises
        ------
        ValueError
            For a model of light curves without bands, and for bands of a spectrum.

        References
        ----------
        Shen et al. (2025), arXiv:2510.17959, section 2 (decoding and reconstruction).
        """
        check_bands(self.config.of_times, tokens.band, band)
        patch = self.config.patch_size
        centre, half = patch_place(wavelength, patch)  # (N, S), float64

        # 1. The tokens, as they are and in units of their noise; then where they are asked for.
        with _float32(tokens.value):
            # Tokens beyond e^60 are no spectrum, but what is decoded of them is finite.
            value = tokens.value.clamp(-LARGEST_TOKEN, LARGEST_TOKEN)  # (N, T, C)
            local = cosines_and_noise(value, self.config.context_size)  # (N, T, M + 1)
            coefficients, log_noise = coefficients_of(local), local[..., -1:]
            token = self.from_token(torch.cat([value, contrast_of(local)], dim=-1))  # (N, T, D)
        # Tokens lie along one line; of light curves each band has a stretch of its own.
        line, asked = tokens.wavelength, centre
        if band is not None:
            own, other = keep_bands_apart(cast("Tensor", tokens.band), tokens.valid, band)
            line, asked = line + own, asked + other
        x = interpolate_tokens(token, line, tokens.valid, asked)  # (N, S, D)
        x = x + self.embed_output(centre, half)
        # What the tokens' own curves say there, and the unit of its change: (N, S * P) each.
        with _float32(tokens.value):
            if band is None:
                place = (line, tokens.half, tokens.valid, wavelength, patch)
                smooth = sum_of_cosines(coefficients, *place)
                unit = interpolate_tokens(log_noise, line, tokens.valid, wavelength)
                unit = unit.squeeze(-1).exp()
            else:
                smooth, unit = self.process(
                    tokens, coefficients, log_noise, token, wavelength, band
                )
                seen = what_is_seen(patchify(smooth, patch), patchify(unit, patch))
                x = x + self.from_process(seen) + self.embed_output_band(band)

        # 2. The patches asked for look at each other and at all tokens.
        mask = None if wanted is None else attention_mask(patchify(wanted, patch).any(-1))
        at, context_at = (self._rotation(place, x) for place in (centre, tokens.wavelength))
        context, context_mask = self.norm_context(token), attention_mask(tokens.valid)
        for block in self.decoder:
            x = block(x, mask, at, context, context_mask, context_at)  # (N, S, D)

        # 3. The tokens' own curve, changed in units of its noise.
        with _float32(x):
            # (N, S, P) each
            flux, log_sigma = self.to_pixels(self.norm_output(x.float())).chunk(2, -1)
            if self.config.of_times:  # cosines over the patch, taken at each point's own time
                basis = self._basis(wavelength, centre, half, patch).to(flux.device)
                flux, log_sigma = ((basis @ k.unsqueeze(-1))[..., 0] for k in (flux, log_sigma))
            change = unpatchify(flux).clamp(-LARGEST_CHANGE, LARGEST_CHANGE).sinh()
            flux = smooth + unit * change  # (N, S * P)
        return flux, unit * unpatchify(log_sigma.clamp(*LOG_MODEL_SIGMA).exp())

    def embed(self, tokens: TokenBatch) -> Tensor:
        """Tokens to one vector for each spectrum.

        Parameters
        ----------
        tokens : `~spectok._batch.TokenBatch`
            What `encode` returned, or what a token table holds: N spectra of T tokens.

        Returns
        -------
        embedding : `torch.Tensor`, shape (N, E)
            Zeros for a spectrum without a valid token.

        Raises
        ------
        ValueError
            For a model without a reader.
        """
        if self.reader is None:
            raise ValueError(
                "this model has no reader (its embedding_size is 0), so it makes no embeddings; "
                "load one of spectok.list_models() that has"
            )
        found = self.reader.mean.new_zeros(len(tokens.value), self.config.embedding_size)
        for rows, some in on_shared_patches(tokens, self.config):
            with _float32(some.value):
                features = self.reader.features(some.value, some.valid)
                place = (some.wavelength, some.half, some.valid, some.band)
                embedding = self.reader(features, *place)
            known = some.valid.any(1, keepdim=True)
            found[rows.to(found.device)] = torch.where(known, embedding, 0.0)
        return found

    def _rotation(self, centre: Tensor, like: Tensor) -> Rotation:
        """What turns the queries and keys of patches with these centres, (N, T)."""
        number = self.config.width // self.config.heads // 2
        return rotation(self.embed_wavelength.cycles(centre, number).to(like.device))

    def forward(
        self,
        batch: SpectrumBatch,
        hidden: Tensor | None = None,
        target: SpectrumBatch | None = None,
    ) -> tuple[TokenBatch, Tensor, Tensor]:
        """Encode, and decode onto the grid of ``target``.

        Parameters
        ----------
        batch : `~spectok._batch.SpectrumBatch`
            N spectra of T patches.
        hidden : `torch.Tensor` of bool, shape (N, T * P), optional
            Good pixels to withhold, as for `encode`.
        target : `~spectok._batch.SpectrumBatch`, optional
            N spectra of S patches whose grid is asked for; by default ``batch`` itself.

        Returns
        -------
        tokens : `~spectok._batch.TokenBatch`
            As `encode` returns them.
        flux, sigma : `torch.Tensor`, shape (N, S * P)
            As `decode` returns them.
        """
        tokens = self.encode(batch, hidden)
        target = batch if target is None else target
        return tokens, *self.decode(tokens, target.wavelength, target.valid, target.band)


def _float32(like: Tensor) -> torch.autocast:
    """No half precision where pixels enter and leave: its 0.4 % exceed the noise at S/N 250."""
    return torch.autocast(like.device.type, enabled=False)
