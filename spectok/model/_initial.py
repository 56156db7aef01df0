"""Weights of a new network: what its patches say without it, and nothing else (torch only)."""

from __future__ import annotations

import math
from typing import Any, cast

from torch import nn

from spectok.model._transformer import Attention, Block

__all__ = ["initialise"]


def initialise(model: Any) -> None:
    """Set the weights of a new `~spectok.SpectralTokenizer`, but for its reader's."""
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=module.in_features**-0.5)
            nn.init.zeros_(module.bias)
    log_range = math.log(model.config.max_period / model.config.min_period)
    for module in model.modules():
        if isinstance(module, Attention):
            module.start_near(log_range)
    for blocks in (model.encoder, model.decoder):
        for block in cast("list[Block]", blocks):
            # Keeps the residual stream of a deep stack at the size of a shallow one.
            for last in (block.attend_self.out, cast("nn.Linear", block.feed[-1])):
                last.weight.data.mul_((2 * len(blocks)) ** -0.5)
            if block.attend_cross is not None:
                nn.init.zeros_(block.attend_cross.out.weight)
    # A new model is a sum of cosines in every patch, of light curves the process through them; it
    # learns what to make of it.
    for last in (
        model.to_token,
        model.to_pixels,
        model.embed_wavelength.project,
        model.embed_output.project,
    ):
        nn.init.zeros_(last.weight)
    if model.config.context_size:
        # Context is the network's own from the first step.
        context = model.to_token.weight[model.config.n_cosines : -1]
        nn.init.trunc_normal_(context, std=model.config.width**-0.5)
    if model.config.of_times:
        # One process for all objects, whose own error is the model's.
        nn.init.zeros_(model.process.own.weight)
    else:
        model.to_pixels.bias.data[model.config.patch_size :] = math.log(0.5)
