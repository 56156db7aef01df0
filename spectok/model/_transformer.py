"""Pre-norm transformer blocks (layer 1: torch only)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Attention", "Block", "attention_mask"]


def attention_mask(valid: Tensor) -> Tensor | None:
    """Mask over the keys for ``scaled_dot_product_attention``: (N, 1, 1, T), or None.

    A row without one valid token attends to all of them, because a softmax over nothing is
    NaN; what comes out of such a row is thrown away by the caller.
    """
    if bool(valid.all()):
        return None
    return (valid | ~valid.any(1, keepdim=True))[:, None, None, :]


def _attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    if q.dtype == torch.bfloat16 and q.device.type == "cpu" and torch.is_grad_enabled():
        # The fused kernel's backward in bfloat16 takes twice the time of plain products.
        score = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
        if mask is not None:
            score = score.masked_fill(~mask, -torch.inf)
        return score.softmax(-1).to(v.dtype) @ v
    return functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)


class Attention(nn.Module):
    """Multi-head attention of queries (N, S, D) over themselves or over a context (N, T, D)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, context: Tensor, mask: Tensor | None) -> Tensor:
        """Attend; ``mask`` (N, 1, 1, T) is True for the keys that count."""
        if x is context:
            # One product instead of two is faster, and the same to rounding.
            weight = torch.cat([self.query.weight, self.key_value.weight])
            bias = torch.cat([self.query.bias, self.key_value.bias])
            q, k, v = functional.linear(x, weight, bias).chunk(3, -1)
        else:
            q = self.query(x)
            k, v = self.key_value(context).chunk(2, -1)
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (q, k, v))
        attended = _attend(q, k, v, mask)
        return self.out(attended.transpose(1, 2).flatten(-2))


class Block(nn.Module):
    """Self-attention, cross-attention where ``cross`` is set, and feed-forward, all residual.

    The cross-attention's last map starts at zero, so a new block is one without it.
    """

    def __init__(self, width: int, heads: int, *, cross: bool = False) -> None:
        super().__init__()
        self.norm_self, self.attend_self = nn.LayerNorm(width), Attention(width, heads)
        self.norm_cross = nn.LayerNorm(width) if cross else None
        self.attend_cross = Attention(width, heads) if cross else None
        self.norm_feed = nn.LayerNorm(width)
        self.feed = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None,
        context: Tensor | None = None,
        context_mask: Tensor | None = None,
    ) -> Tensor:
        """Patches (N, S, D) to patches (N, S, D)."""
        normed = self.norm_self(x)
        x = x + self.attend_self(normed, normed, mask)
        if self.attend_cross is not None and context is not None:
            x = x + self.attend_cross(self.norm_cross(x), context, context_mask)
        return x + self.feed(self.norm_feed(x))
