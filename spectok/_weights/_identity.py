"""Which weights a network has: a name and a checksum that follow every change."""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

import torch
from safetensors.torch import save as tensor_bytes
from torch import nn

__all__ = [
    "Identity",
    "is_changed",
    "model_identity",
    "serialise",
    "state_of",
]

_CHANGED = "-changed"  # at the end of the name


class Identity(NamedTuple):
    """What is known of a model's weights, and the state in which it is true: ``model.origin``."""

    name: str
    sha256: str
    stored: torch.dtype
    state: tuple[Any, ...]

    def about(self, model: Any) -> tuple[str, dict[str, str]]:
        """Name and lines for the display of a model, whose weights may have changed since."""
        name, sha256 = model_identity(model)
        lines = {"sha256": f"{sha256[:12]}..."}
        if model.card.get("trained_on") and not is_changed(model):
            lines["trained on"] = str(model.card["trained_on"])
        return name, lines


def state_of(model: nn.Module) -> tuple[Any, ...]:
    """Changes when a parameter or a buffer is written to, replaced, moved or cast."""
    # Buffers are in the file, too: what the reader subtracts from tokens and divides them by.
    tensors = [*model.parameters(), *model.buffers()]
    # Writing through ``.data`` leaves no trace but the values: a thousandth of them is looked at.
    # Whole numbers apart: they may be so large that a sum would forget all others.
    some = [p.detach().flatten()[::1009] for p in tensors]
    checksum = sum(float(p.sum()) for p in some if p.is_floating_point())
    whole = sum(int(p.sum()) for p in some if not p.is_floating_point())
    # A tensor that was made in inference mode counts no versions.
    return (
        checksum,
        whole,
        *((-1 if p.is_inference() else p._version, p.data_ptr(), p.dtype) for p in tensors),
    )


def model_identity(model: Any) -> tuple[str, str]:
    """Name and sha256 of a model's weights.

    The checksum is that of the file that the weights came from, as long as they are as they
    were loaded; of weights changed or made in memory, that of the file that `save_model` would
    write.
    """
    known = model.origin or Identity("unsaved", "", torch.float32, ())
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
        model.origin = known
    return known.name, known.sha256


def is_changed(model: Any) -> bool:
    """Whether the weights are no longer those that were loaded."""
    return model_identity(model)[0].endswith(_CHANGED)


def serialise(model: nn.Module, dtype: torch.dtype) -> bytes:
    """The content of a safetensors file with the weights; whole numbers stay what they are."""

    def stored(tensor: torch.Tensor) -> torch.Tensor:
        kept = dtype if tensor.is_floating_point() else tensor.dtype
        return tensor.detach().to("cpu", kept).contiguous()

    return tensor_bytes({name: stored(tensor) for name, tensor in model.state_dict().items()})
