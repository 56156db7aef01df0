"""Tokens of many spectrographs on the same patches, for the reader (layer 1: torch only)."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from spectok._batch import TokenBatch
from spectok.model._config import ModelConfig
from spectok.model._limits import LOWEST_EDGE
from spectok.model._recut import recut

__all__ = [
    "ascending",
    "joined_pixels",
    "on_shared_patches",
    "patch_edges",
    "patch_place",
    "patch_span",
]

# How much longer or shorter than the step a spectrum's own patches may be. What is sharper by
# more, as spectra of GALAH are, would lose its lines; what is blunter has none to share.
_WITHIN = 10.0
_AT_ONCE = 8192  # patches, times the places of their pixels: what keeps memory bounded


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
    if not config.reader_step:
        yield torch.arange(len(tokens.value)), ascending(tokens)
        return
    joined, (first, stop) = joined_pixels(tokens, config), patch_span(tokens, config)
    for number in joined.unique().tolist():
        alike = (joined == number).nonzero()[:, 0]
        if not number:
            yield alike, ascending(tokens[alike])
            continue
        longest = int((stop - first)[alike].max())
        for rows in alike.split(max(_AT_ONCE // (longest * number), 1)):
            span = int(first[rows].min()), int(stop[rows].max())
            yield rows, _cut(tokens[rows], config, number, *span)


def joined_pixels(tokens: TokenBatch, config: ModelConfig) -> Tensor:
    """Pixels of a spectrum that become one where it is cut anew, (N,); 0 where it is not.

    By the median length of its patches, good or not: the same whatever is masked.
    """
    if not config.reader_step:
        return torch.zeros(len(tokens.value), dtype=torch.long)
    low, high = _reach(tokens, config)
    length = (high / low).log() / math.log(10.0)
    # What pads a batch has no length, or repeats the last token of its spectrum.
    real = (tokens.half > 0) & (
        tokens.wavelength.diff(dim=1, prepend=tokens.wavelength[:, :1] - 1) != 0
    )
    length = torch.where(real, length, torch.nan).nanmedian(1).values.cpu()
    ratio = (config.reader_step / length).nan_to_num(0.0)
    near = (ratio >= 1.0 / _WITHIN) & (ratio <= _WITHIN) & tokens.valid.any(1).cpu()
    return torch.where(near, ratio.round().clamp(min=1.0), 0.0).long()


def patch_span(tokens: TokenBatch, config: ModelConfig) -> tuple[Tensor, Tensor]:
    """First patch, and the one after the last, that valid tokens touch: int, (N,) each.

    Counted in steps from 1 Angstrom, and in whole groups: these are the same in all spectra, too.
    Of a spectrum without a valid token both are 0.
    """
    valid = tokens.valid.to(tokens.wavelength.device)
    low, high = _reach(tokens, config)
    low = torch.where(valid, low, torch.inf).amin(1).log10().cpu()
    high = torch.where(valid, high, 0.0).amax(1).log10().cpu()
    group = config.reader_group
    # A patch that only touches the next one does not reach into it.
    first = group * (low / config.reader_step + 1e-6).div(group).floor()
    stop = group * (high / config.reader_step - 1e-6).div(group).ceil()
    some = valid.any(1).cpu()
    return torch.where(some, first, 0.0).long(), torch.where(some, stop, 0.0).long()


def _reach(tokens: TokenBatch, config: ModelConfig) -> tuple[Tensor, Tensor]:
    """Where patches begin and end, to the outer edges of their pixels, padding included."""
    half = tokens.half * (config.patch_size / (config.patch_size - 1))
    low = torch.maximum(tokens.wavelength - half, LOWEST_EDGE * tokens.wavelength)
    return low, tokens.wavelength + half


def patch_edges(first: int, stop: int, step: float) -> tuple[Tensor, Tensor]:
    """Outer edges of patches that begin at multiples of a step (dex), float64, each (S,)."""
    edge = 10.0 ** (step * torch.arange(first, stop + 1, dtype=torch.float64))
    return edge[:-1], edge[1:]


def patch_place(begin: Tensor, end: Tensor, patch_size: int) -> tuple[Tensor, Tensor]:
    """Centres of patches by their outer edges, and half lengths to the middle of a last pixel."""
    return 0.5 * (begin + end), 0.5 * (end - begin) * ((patch_size - 1) / patch_size)


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


def _cut(
    tokens: TokenBatch, config: ModelConfig, joined: int, first: int, stop: int
) -> TokenBatch:
    """Tokens of the patches from one to another."""
    patch, device = config.patch_size, tokens.wavelength.device
    begin, end = (
        edge.to(device).expand(len(tokens.value), -1)
        for edge in patch_edges(first, stop, config.reader_step)
    )
    value, which = recut(
        tokens, begin, end, patch_size=patch, context_size=config.context_size, joined=joined
    )
    # Half of a patch; and where none has as much, the fullest: no spectrum loses all.
    covered = (which >= 0).sum(-1)  # (N, S)
    least = (2 * covered.amax(1, keepdim=True)).clamp(min=1, max=patch)
    good = (2 * covered >= least).to(value.device)
    return TokenBatch(
        torch.where(good.unsqueeze(-1), value, 0.0),
        *patch_place(begin, end, patch),
        good,
        tokens.scale,
        tokens.from_noise,
    )
