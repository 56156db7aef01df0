"""Optimizers and their learning rate."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from spectok._processor import multiplies_bfloat16

__all__ = ["learning_rate_at", "optimizers_of", "set_rate", "take_step"]

_HEADS = ("to_token", "to_pixels")
# Beside Muon, AdamW moves the heads, norms and biases at this part of the rate.
_BESIDE = 0.25


def learning_rate_at(
    step: int, *, peak: float, warmup: int, steps: int, schedule: str = "cosine"
) -> float:
    """Linear warm-up to ``peak``, then a cosine to a hundredth of it at ``steps``, or constant.

    Raises
    ------
    ValueError
        For another schedule than ``"cosine"`` and ``"constant"``.
    """
    if schedule not in ("cosine", "constant"):
        raise ValueError(f"schedule must be 'cosine' or 'constant', not {schedule!r}")
    if step < warmup:
        return peak * (step + 1) / warmup
    if schedule == "constant":
        return peak
    progress = min((step - warmup) / max(steps - warmup, 1), 1.0)
    return peak * (0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * progress)))


def optimizers_of(
    model: nn.Module, name: str, *, rate: float, decay: float, fused: bool
) -> list[torch.optim.Optimizer]:
    """AdamW for all weights, or Muon for all matrices but the heads' and AdamW for the rest.

    Muon (Jordan et al. 2024) makes the steps of a matrix orthogonal; scaled to the size of
    AdamW's steps (Liu et al. 2025, arXiv:2502.16982), both take one learning rate. Norms and
    biases do not decay.

    Raises
    ------
    ValueError
        For another name than ``"adamw"`` and ``"muon"``, and for a PyTorch without Muon.
    """
    if name not in ("adamw", "muon"):
        raise ValueError(f"optimizer must be 'adamw' or 'muon', not {name!r}")
    if name == "muon" and not hasattr(torch.optim, "Muon"):
        raise ValueError(
            f"optimizer='muon' needs PyTorch 2.9, this is {torch.__version__}: take 'adamw', at "
            "half the learning rate"
        )
    inner = {
        id(p)
        for key, p in model.named_parameters()
        if name == "muon" and p.ndim == 2 and not key.startswith(_HEADS)
    }
    rest = [p for p in model.parameters() if id(p) not in inner]
    groups = [
        {"params": [p for p in rest if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in rest if p.ndim <= 1], "weight_decay": 0.0},
    ]
    found: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.95), fused=fused or None)
    ]
    if inner:
        matrices = [p for p in model.parameters() if id(p) in inner]
        found.append(
            torch.optim.Muon(matrices, lr=rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw")
        )
    return found


def set_rate(optimizers: list[torch.optim.Optimizer], rate: float) -> None:
    """Set the learning rate of what `optimizers_of` made."""
    for number, optimizer in enumerate(optimizers):
        beside = number == 0 and len(optimizers) > 1
        for group in optimizer.param_groups:
            group["lr"] = rate * _BESIDE if beside else rate


def take_step(optimizers: Iterable[Any], device: torch.device) -> None:
    """One step of what `optimizers_of` made, and gradients cleared.

    PyTorch's Muon rounds a step to bfloat16 before it makes it orthogonal. What must emulate
    bfloat16 is slow then, so it stays in float32 there: for the reader of small-v1.2, on one
    thread of a processor with AVX2 alone, 0.08 s for 1.4 s.
    """
    exact = contextlib.nullcontext() if multiplies_bfloat16(device) else _Float32()
    for one in optimizers:
        with exact:
            one.step()
        one.zero_grad()


class _Float32(TorchFunctionMode):
    """Copies in float32 what would have been rounded to bfloat16."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func is torch.Tensor.bfloat16:
            return args[0].to(torch.float32, copy=True)  # for it is changed in place
        return func(*args, **(kwargs or {}))
