"""Pre-norm transformer blocks (layer 1: torch only)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Attention", "Block", "Rotation", "attention_mask", "rotation"]

# cos and sin of the wavelength's phases, (N or 1, 1, T, D / heads / 2) each
Rotation = tuple[Tensor, Tensor]
# At first a head looks at distance d with weight d^-e, e from 0 in the first head to this.
_STEEPEST = 2.0


def rotation(cycles: Tensor) -> Rotation:
    """What turns queries and keys: phases in cycles (N, T, K) to cos and sin (N, 1, T, K)."""
    angle = (2.0 * math.pi) * cycles.unsqueeze(1)
    return angle.cos(), angle.sin()


def _turn(x: Tensor, by: Rotation) -> Tensor:
    """Rotate pairs of channels (i, i + half) of (N, H, T, d)."""
    cos, sin = (part.to(x.dtype) for part in by)
    first, second = x.chunk(2, -1)
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)


def _turn_into(x: Tensor, by: Rotation, back: bool = False) -> Tensor:
    """The same in four operations, without gradients: each result is written where it belongs.

    ``back`` turns the other way, which is the gradient of a turn.
    """
    cos, sin = (part.to(x.dtype) for part in by)
    sign = -1.0 if back else 1.0
    first, second = x.chunk(2, -1)
    turned = torch.empty_like(x, memory_format=torch.contiguous_format)
    left, right = turned.chunk(2, -1)
    torch.mul(first, cos, out=left)
    left.addcmul_(second, sin, value=-sign)
    torch.mul(second, cos, out=right)
    right.addcmul_(first, sin, value=sign)
    return turned


def attention_mask(valid: Tensor) -> Tensor | None:
    """Mask over the keys for ``scaled_dot_product_attention``: (N, 1, 1, T), or None.

    A row without one valid token attends to all of them, because a softmax over nothing is
    NaN; what comes out of such a row is thrown away by the caller. While a GPU trains, the host
    must not wait for the answer whether a mask is needed.
    """
    waits = valid.device.type != "cpu" and torch.is_grad_enabled()
    if not (waits or torch.compiler.is_compiling()) and bool(valid.all()):
        return None
    return (valid | ~valid.any(1, keepdim=True))[:, None, None, :]


class _PlainAttention(torch.autograd.Function):
    """Turn queries and keys, and attend, in plain products with a gradient of its own.

    For training on CPUs in bfloat16, where the fused kernel's backward takes twice the time of
    plain products, and autograd's way through the turns and the scores copies each of them
    several times: a training step of ``small`` takes nine tenths of the time.
    """

    @staticmethod
    def forward(ctx, q, k, v, mask, cos, sin, context_cos, context_sin):
        """Attend: q (N, H, S, d), k and v (N, H, T, d), mask (N, 1, 1, T) or None."""
        size = q.shape[:2]
        at, context_at = (cos, sin), (context_cos, context_sin)
        q = _turn_into(q, at).mul_(q.shape[-1] ** -0.5).flatten(0, 1)
        k, v = _turn_into(k, context_at).flatten(0, 1), v.reshape(-1, *v.shape[2:])
        score = q @ k.transpose(1, 2)  # (N * H, S, T)
        if mask is not None:
            score.unflatten(0, size).masked_fill_(~mask, -torch.inf)
        share = score.softmax(-1)
        ctx.save_for_backward(q, k, v, share, *at, *context_at)
        ctx.size = size
        return (share @ v).unflatten(0, size)

    @staticmethod
    def backward(ctx, grad):
        """Gradients of q, k and v; the rest is not learned."""
        q, k, v, share, cos, sin, context_cos, context_sin = ctx.saved_tensors
        grad = grad.reshape(-1, *grad.shape[2:])
        to_v = share.transpose(1, 2) @ grad
        to_score = torch.ops.aten._softmax_backward_data(
            grad @ v.transpose(1, 2), share, -1, share.dtype
        )
        to_q, to_k = to_score @ k, to_score.transpose(1, 2) @ q
        to_q, to_k, to_v = (part.unflatten(0, ctx.size) for part in (to_q, to_k, to_v))
        to_q = _turn_into(to_q, (cos, sin), back=True).mul_(q.shape[-1] ** -0.5)
        to_k = _turn_into(to_k, (context_cos, context_sin), back=True)
        return to_q, to_k, to_v, None, None, None, None, None


def _attend(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, at: Rotation, context_at: Rotation
) -> Tensor:
    """Turned queries (N, H, S, d) over turned keys and values (N, H, T, d)."""
    grad, half = torch.is_grad_enabled(), q.dtype == torch.bfloat16
    if grad and half and q.device.type == "cpu" and not torch.compiler.is_compiling():
        return _PlainAttention.apply(q, k, v, mask, *at, *context_at)
    turn = _turn_into if half and not grad else _turn
    q, k = turn(q, at), turn(k, context_at)
    return functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)


class Attention(nn.Module):
    """Multi-head attention of queries (N, S, D) over themselves or over a context (N, T, D).

    Queries and keys are turned by the phases of their wavelengths at K = D / heads / 2 periods,
    so a product knows how far apart they are (rotary embedding, Su et al. 2021, with
    wavelengths for positions). The biases start such that the product falls with the logarithm
    of the distance: with log-spaced periods, sum_k cos(2 pi d / P_k) does. So a new network
    looks at neighbours, at whatever scale its patches have, and learns from there.

    Parameters
    ----------
    width, heads : int
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def start_near(self, log_range: float) -> None:
        """Set the biases so that each head looks at its neighbourhood.

        ``log_range`` is ln(P_max / P_min) of the periods.
        """
        width = self.query.out_features
        size = width // self.heads
        steepness = torch.linspace(0.0, _STEEPEST, self.heads)
        # Every factor e in distance puts this many cosines out of phase.
        lost = size / 2 / log_range
        bias = (steepness * size**0.5 / lost).sqrt()
        bias = torch.cat(
            [bias[:, None].expand(-1, size // 2), torch.zeros(self.heads, size // 2)], 1
        )
        with torch.no_grad():
            self.query.bias.copy_(bias.flatten())
            self.key_value.bias[:width].copy_(bias.flatten())

    def forward(
        self, x: Tensor, context: Tensor, mask: Tensor | None, at: Rotation, context_at: Rotation
    ) -> Tensor:
        """Attend; ``mask`` (N, 1, 1, T) is True for the keys that count."""
        kind = self.query.weight.dtype  # bfloat16 in a copy that computes so
        # q (N, S, D), k and v (N, T, D)
        if x is context:
            x = x.to(kind)
            # One product instead of two is faster, and the same to rounding.
            weight = torch.cat([self.query.weight, self.key_value.weight])
            bias = torch.cat([self.query.bias, self.key_value.bias])
            qkv = functional.linear(x, weight, bias)
            q, k, v = qkv.chunk(3, -1)
        else:
            q = self.query(x.to(kind))
            k, v = self.key_value(context.to(kind)).chunk(2, -1)
        # Heads H apart: (N, H, S or T, D / H)
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (q, k, v))
        attended = _attend(q, k, v, mask, at, context_at)  # (N, H, S, D / H)
        return self.out(attended.transpose(1, 2).flatten(-2))


class Block(nn.Module):
    """Self-attention, cross-attention where ``cross`` is set, and feed-forward, all residual.

    The cross-attention's last map starts at zero, so a new block is one without it.
    """

    def __init__(self, width: int, heads: int, *, cross: bool = False) -> None:
        super().__init__()
        self.norm_self = nn.LayerNorm(width)
        self.attend_self = Attention(width, heads)
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
        at: Rotation,
        context: Tensor | None = None,
        context_mask: Tensor | None = None,
        context_at: Rotation | None = None,
    ) -> Tensor:
        """Patches (N, S, D) to patches (N, S, D)."""
        normed = self.norm_self(x)
        x = x + self.attend_self(normed, normed, mask, at, at)
        if self.attend_cross is not None and self.norm_cross is not None and context is not None:
            x = x + self.attend_cross(self.norm_cross(x), context, context_mask, at, context_at)
        return x + self.feed(self.norm_feed(x).to(self.feed[0].weight.dtype))
