"""Which weights a network has, and how it shows itself."""

from __future__ import annotations

import hashlib
import html
from typing import Any, NamedTuple

import torch
from safetensors.torch import save as tensor_bytes
from torch import nn

from spectok.model._config import ModelConfig

__all__ = [
    "Identity",
    "as_html",
    "as_text",
    "is_changed",
    "model_identity",
    "serialise",
    "state_of",
]

_CHANGED = "-changed"  # at the end of the name


class Identity(NamedTuple):
    """What is known of a model's weights, and the state in which it is true."""

    name: str
    sha256: str
    stored: torch.dtype
    state: tuple[Any, ...]


def state_of(model: nn.Module) -> tuple[Any, ...]:
    """Changes when a parameter is written to, replaced, moved or cast."""
    # Writing through ``.data`` leaves no trace but the values: a thousandth of them is looked at.
    some = [p.detach().flatten()[::1009].sum() for p in model.parameters()]
    checksum = float(torch.stack(some).sum())
    return checksum, *((p._version, p.data_ptr(), p.dtype) for p in model.parameters())


def model_identity(model: Any) -> tuple[str, str]:
    """Name and sha256 of a model's weights.

    The checksum is that of the file that the weights came from, as long as they are as they
    were loaded; of weights changed or made in memory, that of the file that `save_model` would
    write.
    """
    known = getattr(model, "_spectok_identity", Identity("unsaved", "", torch.float32, ()))
    now = state_of(model)
    if known.state != now:
        # Something touched the parameters: a training step, or a mere copy or move.
        content = hashlib.sha256(serialise(model, known.stored)).hexdigest()
        if content == known.sha256:
            known = Identity(known.name, content, known.stored, now)
        else:
            sha256 = hashlib.sha256(serialise(model, torch.float32)).hexdigest()
            name = f"{known.name}{_CHANGED}" if known.sha256 else known.name
            known = Identity(name, sha256, torch.float32, now)
        model._spectok_identity = known
    return known.name, known.sha256


def is_changed(model: Any) -> bool:
    """Whether the weights are no longer those that were loaded."""
    return model_identity(model)[0].endswith(_CHANGED)


def serialise(model: nn.Module, dtype: torch.dtype) -> bytes:
    """The content of a safetensors file with the weights."""
    state = model.state_dict()
    return tensor_bytes({k: v.detach().to("cpu", dtype).contiguous() for k, v in state.items()})


def as_text(model: Any) -> str:
    """The few lines that a model prints."""
    title, rows = _about(model)
    width = max(map(len, rows))
    return "\n".join([title, *(f"  {key:{width}}  {value}" for key, value in rows.items())])


def as_html(model: Any) -> str:
    """The same as a table for notebooks."""
    title, rows = _about(model)
    body = "".join(
        f'<tr><th style="text-align: left">{html.escape(key)}</th>'
        f'<td style="text-align: left">{html.escape(value)}</td></tr>'
        for key, value in rows.items()
    )
    return f"<div><i>{html.escape(title)}</i><table>{body}</table></div>"


def _about(model: Any) -> tuple[str, dict[str, str]]:
    config: ModelConfig = model.config
    first = next(model.parameters())
    number = sum(p.numel() for p in model.parameters())
    blocks = f"{config.encoder_blocks} + {config.decoder_blocks} blocks of width {config.width}"
    size = config.size
    mode = "training" if model.training else "evaluation"
    # Without numbers (torch's "meta" device) there is no checksum.
    name, sha256 = ("unsaved", "") if first.is_meta else model_identity(model)
    rows = {
        "size": f"{size}: {blocks}" if size else blocks,
        "parameters": f"{number:,}",
        "token": f"{config.token_size} numbers for each patch of {config.patch_size} pixels",
        "sha256": f"{sha256[:12]}..." if sha256 else "none, it has no numbers yet",
    }
    if model.card.get("trained_on") and not is_changed(model):
        rows["trained on"] = str(model.card["trained_on"])
    dtype = str(first.dtype).removeprefix("torch.")
    rows["computes"] = f"on {first.device}, {dtype}, {mode} mode"
    return f"{type(model).__name__} {name}".rstrip(), rows
