"""Views on the patches that the reader of a model will see (no astropy here)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from spectok._batch import TokenBatch
from spectok.model import ModelConfig
from spectok.model._limits import LEAST_HALF
from spectok.model._shared import (
    joined_pixels,
    on_shared_patches,
    patch_edges,
    patch_place,
    patch_span,
)
from spectok.training._views import ViewPack

__all__ = ["cut_views", "uncut_views"]

_CHUNK = 256  # objects that are cut at once
_SEEN = 0.01  # share of a view's objects that show its first patch, and its last
_NEAR = 1e-3  # of a step: what rounding leaves


def cut_views(pack: ViewPack, config: ModelConfig) -> ViewPack:
    """The same pack with its views on the patches that the reader of a model will see.

    A model with a ``reader_step`` cuts tokens into patches that spectrographs share before it
    reads them. Here that is done once, and not at every step of a training.

    Parameters
    ----------
    pack : ViewPack
        Views as observed. Those that are much sharper than the step, as of GALAH, stay as they
        are.
    config : `~spectok.model.ModelConfig`
        Its ``reader_step``, ``reader_group`` and sizes of tokens count.

    Returns
    -------
    pack : ViewPack
        The views that were cut are among its ``shared``.

    Raises
    ------
    ValueError
        For a model without ``reader_step``, for a view of which some objects would be cut and
        others not, and for a shared one that was cut for another step.

    Notes
    -----
    Where a pack does not say where its patches ``end``, padded ones count as whole.

    Examples
    --------
    >>> import torch
    >>> from spectok import ModelConfig
    >>> from spectok.training import ViewPack, cut_views
    >>> place = 4000.0 + 30.0 * torch.arange(40, dtype=torch.float64)[None]
    >>> view = {"value": torch.zeros(5, 40, 16), "wavelength": place, "half": 0 * place + 14.5,
    ...         "valid": torch.ones(5, 40, dtype=torch.bool)}
    >>> config = ModelConfig.of_size("tiny", embedding_size=8, reader_step=3.2e-3)
    >>> cut_views(ViewPack({"a": view, "b": view}), config).shared
    ('a', 'b')
    """
    if not config.reader_step:
        raise ValueError("this model reads tokens on their own patches: its reader_step is 0")
    views, shared = dict(pack.views), list(pack.shared)
    for name in uncut_views(pack, config):
        views[name] = _cut_view(name, pack.views[name], config)
        shared.append(name)
    return ViewPack(views, pack.truth, tuple(shared))


def uncut_views(pack: ViewPack, config: ModelConfig) -> list[str]:
    """Names of the views that the reader of a model would see on other patches.

    Raises
    ------
    ValueError
        For a shared view of ordinary spectra on other patches than the model's.
    """
    if not config.reader_step:
        return []
    found = []
    for name, view in pack.views.items():
        if not any(bool(joined_pixels(some, config).any()) for some in _chunks(view)):
            continue
        if name not in pack.shared:
            found.append(name)
        elif not _on_the_step(view, config):
            raise ValueError(
                f"the shared view {name!r} is on other patches than those of reader_step="
                f"{config.reader_step:g} dex, into which the model would cut it: make the pack "
                "anew, with cut_views(pack, model.config) of views as observed"
            )
    return found


def _on_the_step(view: Mapping[str, Tensor], config: ModelConfig) -> bool:
    """Whether a shared view's patches begin at multiples of the step, and are as long."""
    half = view["half"][0] * (config.patch_size / (config.patch_size - 1))
    low, high = (
        (view["wavelength"][0] + side * half).clamp(min=LEAST_HALF).log10() / config.reader_step
        for side in (-1, 1)
    )
    return bool(
        ((low - low.round()).abs() < _NEAR).all() and ((high - low - 1).abs() < _NEAR).all()
    )


def _chunks(view: Mapping[str, Tensor]) -> Iterator[TokenBatch]:
    """The objects of a view, some at a time."""
    for start in range(0, len(view["value"]), _CHUNK):
        rows = slice(start, start + _CHUNK)
        value = view["value"][rows]
        places = {
            key: (view[key] if len(view[key]) == 1 else view[key][rows]).expand(len(value), -1)
            for key in ("wavelength", "half", "end")
            if key in view
        }
        valid = view["valid"][rows]
        yield TokenBatch(value=value, valid=valid, scale=torch.ones(len(value)), **places)


def _cut_view(name: str, view: Mapping[str, Tensor], config: ModelConfig) -> dict[str, Tensor]:
    """A view on patches at multiples of the step, from the first to the last that many show."""
    spans, number = [], 0
    for some in _chunks(view):
        has = some.valid.any(1)
        stay = (joined_pixels(some, config) == 0) & has
        if bool(stay.any()):
            raise ValueError(
                f"object {number + int(stay.nonzero()[0])} of the view {name!r} has patches of "
                f"quite another length than reader_step={config.reader_step:g} dex, and others "
                "have not: make two views of them"
            )
        spans += [torch.stack(patch_span(some, config))[:, has]]
        number += len(has)
    span = torch.cat(spans, 1)
    first, stop = int(span[0].min()), int(span[1].max())
    value = view["value"].new_zeros(number, stop - first, view["value"].shape[-1])
    valid = torch.zeros(number, stop - first, dtype=torch.bool)
    for start, some in zip(range(0, number, _CHUNK), _chunks(view), strict=True):
        some = replace(some, value=some.value.float())
        for rows, cut in on_shared_patches(some, config):
            if not some.valid[rows].any():
                continue
            low = int((cut.wavelength[0, 0].log10() / config.reader_step).floor()) - first
            columns = slice(low, low + cut.valid.shape[1])
            value[start + rows, columns] = cut.value.to(value.dtype)
            valid[start + rows, columns] = cut.valid
    begin, end = patch_edges(first, stop, config.reader_step)
    place, half = patch_place(begin[None], end[None], config.patch_size)
    share = valid.float().mean(0)
    often = (share >= min(_SEEN, float(share.max()))).nonzero()
    keep = slice(int(often[0]), int(often[-1]) + 1)
    return {
        "value": value[:, keep],
        "wavelength": place[:, keep],
        "half": half[:, keep],
        "valid": valid[:, keep],
    }
