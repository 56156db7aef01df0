"""Tokens of many spectrographs on the same patches, for the reader (layer 1: torch only)."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from spectok._batch import TokenBatch
from spectok.model._config import ModelConfig
from spectok.model._limits import LEAST_HALF
from spectok.model._recut import recut

__all__ = ["ascending", "joined_pixels", "on_shared_patches"]

# How much longer or shorter than the step a spectrum's own patches may be. What is sharper by
# more, as spectra of GALAH are, would lose its lines; what is blunter has none to share.
_WITHIN = 10.0


def on_shared_patches(
    tokens: TokenBatch, config: ModelConfig
) -> Iterator[tuple[Tensor, TokenBatch]]:
    """The spectra of a batch as the reader sees them, some at a time.

    Spectra whose patches are of about the length ``config.reader_step`` are cut anew, into patches
    that begin at multiples of it; so the same wavelengths lie in the same patch, whatever
    spectrograph observed them. Others keep their own. What becomes of a spectrum does not
    depend on the others of its batch.

    Parameters
    ----------
    tokens : `~spectok._batch.TokenBatch`
        N spectra of T tokens, in any order.
    config : `ModelConfig`

    Yields
    ------
    rows : `torch.Tensor` of int
        Which spectra of the batch.
    tokens : `~spectok._batch.TokenBatch`
        Their tokens, in ascending wavelength.
    """
    joined = joined_pixels(tokens, config)
    for number in joined.unique().tolist():
        rows = (joined == number).nonzero()[:, 0]
        some = tokens if len(rows) == len(joined) else tokens[rows]
        yield rows, (_cut(some, config, number) if number else ascending(some))


def joined_pixels(tokens: TokenBatch, config: ModelConfig) -> Tensor:
    """Pixels of a spectrum that become one where it is cut anew, (N,); 0 where it is not."""
    if not config.reader_step:
        return torch.zeros(len(tokens.value), dtype=torch.long)
    half = tokens.half * (config.patch_size / (config.patch_size - 1))
    low = (tokens.wavelength - half).clamp(min=LEAST_HALF)
    length = ((tokens.wavelength + half) / low).log() / math.log(10.0)
    valid = tokens.valid.to(length.device)
    length = torch.where(valid, length, torch.nan).nanmedian(1).values.cpu()
    ratio = config.reader_step / length  # NaN of a spectrum without a valid token
    near = (ratio >= 1.0 / _WITHIN) & (ratio <= _WITHIN)
    return torch.where(near, ratio.nan_to_num(0.0).round().clamp(min=1.0), 0.0).long()


def ascending(tokens: TokenBatch) -> TokenBatch:
    """The same tokens in ascending wavelength: arms that overlap come one after the other."""
    wavelength, order = tokens.wavelength.sort(dim=1, stable=True)
    beside = order.to(tokens.value.device)
    return TokenBatch(
        tokens.value.gather(1, beside.unsqueeze(-1).expand_as(tokens.value)),
        wavelength,
        tokens.half.gather(1, order),
        tokens.valid.gather(1, beside),
        tokens.scale,
        tokens.from_noise,
        None if tokens.band is None else tokens.band.gather(1, order),
        None if tokens.end is None else tokens.end.gather(1, order),
    )


def _cut(tokens: TokenBatch, config: ModelConfig, joined: int) -> TokenBatch:
    """Tokens of patches that begin at multiples of the step."""
    step, patch = config.reader_step, config.patch_size
    reach = tokens.half * (patch / (patch - 1))
    valid = tokens.valid.to(reach.device)
    low = torch.where(valid, tokens.wavelength - reach, torch.inf).min().log10() / step
    high = torch.where(valid, tokens.wavelength + reach, 0.0).max().log10() / step
    # Groups of patches are the same ones, too.
    first = config.reader_group * math.floor(float(low) / config.reader_group)
    edge = step * torch.arange(first, math.ceil(float(high)) + 1, dtype=torch.float64)
    edge = (10.0**edge).to(reach.device).expand(len(valid), -1)
    begin, last = edge[:, :-1], edge[:, 1:]
    value, which = recut(
        tokens,
        begin,
        last,
        patch_size=patch,
        context_size=config.context_size,
        finer=joined,
    )
    # As everywhere, a patch with half of its pixels bad is none.
    good = (2 * (which >= 0).sum(-1) >= patch).to(value.device)
    return TokenBatch(
        torch.where(good.unsqueeze(-1), value, 0.0),
        0.5 * (begin + last),
        0.5 * (last - begin) * ((patch - 1) / patch),
        good,
        tokens.scale,
        tokens.from_noise,
    )
