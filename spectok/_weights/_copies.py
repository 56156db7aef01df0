"""Working copies of a network: the caller's own stays where it is and as it is."""

from __future__ import annotations

import copy
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn

from spectok._weights._identity import state_of
from spectok.model import SpectralTokenizer

__all__ = ["bfloat16_copy", "working_copy"]

# For each network, by what was asked for: the state that it was copied in, and the copy.
_Kept = dict[tuple[Any, ...], tuple[tuple[Any, ...], SpectralTokenizer]]
_copies: WeakKeyDictionary[SpectralTokenizer, _Kept] = WeakKeyDictionary()


def working_copy(
    model: SpectralTokenizer, device: str | torch.device | None = None
) -> SpectralTokenizer:
    """The network in float32 on a device: itself where it is so already, else a copy.

    Copies are kept as long as the network is, and are made anew when its weights change.

    Parameters
    ----------
    model : `~spectok.SpectralTokenizer`
        Never moved, cast or changed. One in half or double precision is computed in float32.
    device : str or `torch.device`, optional
        By default where the model is.

    Raises
    ------
    ValueError
        For a device that cannot be used, and for a model without numbers (torch's "meta").
    """
    first = next(model.parameters())
    if first.is_meta:
        raise ValueError(
            "this model has no numbers (it is on torch's device 'meta'): load weights, as "
            "spectok.load_model does"
        )
    wanted = first.device if device is None else _usable(device)
    if _same(first.device, wanted) and all(p.dtype == torch.float32 for p in model.parameters()):
        return model
    return _kept(model, ("float32", str(wanted)), lambda own: own.float().to(wanted))


def bfloat16_copy(model: SpectralTokenizer) -> SpectralTokenizer:
    """A copy whose encoder blocks multiply matrices in bfloat16, with weights cast once."""

    def cast(own: SpectralTokenizer) -> SpectralTokenizer:
        for module in own.encoder.modules():
            if isinstance(module, nn.Linear):
                module.to(torch.bfloat16)
        return own

    return _kept(model, ("bf16", str(next(model.parameters()).device)), cast)


def _kept(model: SpectralTokenizer, key: tuple[Any, ...], make: Any) -> SpectralTokenizer:
    kept, state = _copies.setdefault(model, {}), state_of(model)
    if key not in kept or kept[key][0] != state:
        with torch.inference_mode(False):
            kept[key] = (state, make(copy.deepcopy(model)).requires_grad_(False))
    return kept[key][1]


def _same(a: torch.device, b: torch.device) -> bool:
    """Whether two names are one device: "cuda" is the current one of them."""
    return a.type == b.type and (b.index is None or a.index == b.index)


def _usable(device: str | torch.device) -> torch.device:
    """A device on which something can be computed."""
    try:
        wanted = torch.device(device)
        if wanted.type == "meta":
            raise RuntimeError("it holds no numbers")
        torch.empty(0, device=wanted)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        # Torch's ways to say: no such device, not compiled for it, not all there.
        usable = [name for name in ("cuda", "mps") if getattr(torch, name).is_available()]
        raise ValueError(
            f"device {str(device)!r} cannot be used; at hand: {', '.join(['cpu', *usable])} "
            f"({str(error).splitlines()[0][:100]})"
        ) from error
    return wanted
