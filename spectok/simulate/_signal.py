"""How bright objects are, in units of the noise."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from spectok.simulate._scene import CLASSES

__all__ = ["draw_snr"]


def draw_snr(
    snr: float | Sequence[float] | None,
    usual: dict[str, tuple[float, float]],
    kind: Tensor,
    generator: torch.Generator,
) -> Tensor:
    """Draw signal to noise ratios per pixel.

    Parameters
    ----------
    snr : float or (float, float), optional
        What was asked for, or the range in which its logarithm is uniform.
    usual : dict
        Mean and standard deviation of log10, for ``all`` and for those of `CLASSES` that differ:
        what is drawn where nothing was asked for.
    kind : `torch.Tensor`, shape (n,)
        Index of each object's class.
    generator : `torch.Generator`

    Returns
    -------
    snr : `torch.Tensor`, shape (n,)

    Raises
    ------
    ValueError
        If what was asked for is not positive and finite, nor a pair of such.
    """
    n, device = len(kind), generator.device
    if snr is None:
        table = torch.tensor([usual.get(name, usual["all"]) for name in CLASSES], device=device)
        mean, spread = table[kind.long()].unbind(1)
        value = mean + spread * torch.randn(n, generator=generator, device=device)
        return 10 ** value.clamp(-1.0, 3.0)
    try:
        values = [float(value) for value in (snr if hasattr(snr, "__len__") else (snr, snr))]
    except (TypeError, ValueError):
        values = []
    if len(values) != 2 or not all(0 < value < float("inf") for value in values):
        raise ValueError(f"snr must be a positive number or a pair of them, not {snr!r}")
    low, high = values
    return low * (high / low) ** torch.rand(n, generator=generator, device=device)
