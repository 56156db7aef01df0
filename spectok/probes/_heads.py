"""Heads of probes: classes, or a probability density of every label."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

__all__ = ["Mixture"]

_LOG_WIDTH = (-7.0, 4.0)


class Mixture:
    """Density of standardised labels: normal components about fixed places.

    With one component, a normal distribution whose mean and width are what the network says.
    With more, component k starts at the (k + 1/2) / K quantile of the training labels, as wide
    as the distance to its neighbours, and the network moves, widens and weighs it: what two
    readings of a line need (a mixture density network, Bishop 1994, with anchors).

    Parameters
    ----------
    centre, width : `numpy.ndarray`, shape (L, K)
        Where the components of L labels start, and how wide.
    """

    def __init__(self, centre: np.ndarray, width: np.ndarray) -> None:
        self.centre = torch.as_tensor(centre, dtype=torch.float32)
        self.width = torch.as_tensor(width, dtype=torch.float32)

    @classmethod
    def of(cls, label: np.ndarray, n_components: int) -> Mixture:
        """Anchor components at the quantiles of standardised labels (N, L), NaN where unknown."""
        if n_components == 1:
            shape = (label.shape[1], 1)
            return cls(np.zeros(shape), np.ones(shape))
        share = (np.arange(n_components) + 0.5) / n_components
        centre = np.nanquantile(label, share, axis=0).T
        width = np.maximum(np.gradient(centre, axis=1), 1e-3)
        return cls(centre, width)

    @property
    def n_outputs(self) -> int:
        """Numbers that the network must give."""
        return 3 * self.centre.numel()

    def parts(self, output: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Outputs (N, 3 L K) to log weights, means and standard deviations, (N, L, K) each."""
        shape = (len(output), 3, *self.centre.shape)
        weight, move, log_width = output.view(shape).unbind(1)
        centre, width = self.centre.to(output.device), self.width.to(output.device)
        std = width * log_width.clamp(*_LOG_WIDTH).exp()
        return weight.log_softmax(-1), centre + width * move, std

    def loss(self, output: Tensor, label: Tensor) -> Tensor:
        """Negative log density, mean over the known labels of each spectrum: (N,)."""
        log_weight, mean, std = self.parts(output)
        known = label.isfinite()
        residual = (label.nan_to_num().unsqueeze(-1) - mean) / std
        log_density = log_weight - 0.5 * residual**2 - std.log() - 0.5 * math.log(2 * math.pi)
        each = -torch.logsumexp(log_density, -1) * known
        return each.sum(-1) / known.sum(-1).clamp(min=1)

    def density(self, output: Tensor, place: Tensor, which: int) -> Tensor:
        """Density of one standardised label at places (M,): (N, M)."""
        log_weight, mean, std = (part[:, which].unsqueeze(1) for part in self.parts(output))
        apart = (place.unsqueeze(-1) - mean) / std
        log_density = log_weight - 0.5 * apart**2 - std.log() - 0.5 * math.log(2 * math.pi)
        return log_density.logsumexp(-1).exp()

    def predict(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """Most probable label, and the density's rms about it: (N, L) each."""
        log_weight, mean, std = self.parts(output)
        # Of the components' means, the one where all components together are densest.
        apart = (mean.unsqueeze(-1) - mean.unsqueeze(-2)) / std.unsqueeze(-2)
        density = (log_weight - std.log()).unsqueeze(-2) - 0.5 * apart**2
        best = torch.logsumexp(density, -1).argmax(-1, keepdim=True)
        value = mean.gather(-1, best)
        spread = (log_weight.exp() * (std**2 + (mean - value) ** 2)).sum(-1).sqrt()
        return value.squeeze(-1), spread
