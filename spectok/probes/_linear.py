"""Linear probe, for few labels."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from torch import Tensor

from spectok.probes._network import OnGrid, ProbeBatch
from spectok.probes._sequences import Inputs, batches_of, make_batch
from spectok.probes._sklearn import LogisticRegression, RidgeCV, StandardScaler
from spectok.probes._token_grid import on_grid

__all__ = [
    "ALPHAS",
    "STRENGTH",
    "LinearConfig",
    "LinearNetwork",
    "fit_classes",
    "fit_labels",
    "scales",
]

# For numbers whose squares add up to one, however many they are: the C of logistic regression, and
# what the strength of ridge regression is chosen from.
STRENGTH = 16.0
ALPHAS = np.logspace(-3, 3, 13)
_LEAST = 1e-3  # standard deviation of a label's errors, in that of the label


@dataclasses.dataclass(frozen=True, kw_only=True)
class LinearConfig:
    """Sizes of a linear reading.

    Attributes
    ----------
    token_size : int
        Numbers of a token, C; 0 where only vectors are read.
    grid_size : int
        Places of the grid on which tokens are read, K.
    vector_size : int
        Numbers of the vector, E; 0 where only tokens are read.
    n_values : int
        Numbers that are linear in what is read: one per class or label.
    spread : bool
        Whether they are means of normal distributions, whose widths are given with them.
    """

    token_size: int
    grid_size: int
    vector_size: int
    n_values: int
    spread: bool

    @property
    def n_outputs(self) -> int:
        """Numbers that come out."""
        return self.n_values * (3 if self.spread else 1)


class LinearNetwork(OnGrid):
    """Tokens on a grid and a vector, side by side, to numbers that are linear in them.

    What scikit-learn has fitted, in the same shape as `ProbeNetwork`: batches in, outputs for
    classes or for a `Mixture` out.

    Parameters
    ----------
    config : LinearConfig
    """

    missing: Tensor
    mean: Tensor
    std: Tensor
    weight: Tensor
    bias: Tensor
    log_width: Tensor

    def __init__(self, config: LinearConfig) -> None:
        super().__init__()
        self.config = config
        size = config.grid_size * config.token_size + config.vector_size
        self.register_buffer("grid", torch.zeros(config.grid_size, dtype=torch.float64))
        self.register_buffer("missing", torch.zeros(config.grid_size, config.token_size))
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("std", torch.ones(size))  # times the root of how many there are
        self.register_buffer("weight", torch.zeros(config.n_values, size))
        self.register_buffer("bias", torch.zeros(config.n_values))
        self.register_buffer("log_width", torch.zeros(config.n_values))

    def read(self, batch: ProbeBatch) -> Tensor:
        """Inputs of the linear layer, (N, K C + E); places without a token hold the mean."""
        parts = []
        if self.config.token_size:
            value, known = self._placed(batch)
            parts.append(torch.where(known.unsqueeze(-1), value, self.missing).flatten(1))
        if self.config.vector_size:
            parts.append(batch.vectors)
        return torch.cat(parts, 1)

    @torch.no_grad()
    def prepare(self, grid: Tensor, inputs: Inputs) -> np.ndarray:
        """Set the grid, what fills gaps and the scale of every number; returns them, (N, S)."""
        rows = list(batches_of(inputs.lengths, 256))
        if self.config.token_size:
            self.grid.copy_(grid)
            total, count = torch.zeros_like(self.missing), torch.zeros(len(grid), 1)
            for members in rows:
                value, known = self._placed(make_batch(inputs[members]))
                total += torch.where(known.unsqueeze(-1), value, 0.0).sum(0)
                count += known.sum(0).unsqueeze(-1)
            self.missing.copy_(total / count.clamp(min=1))
        found = np.empty((len(inputs), self.mean.numel()), np.float32)
        for members in rows:
            found[members] = self.read(make_batch(inputs[members])).numpy()
        mean, std = scales(found, self.config.vector_size)
        self.mean.copy_(torch.from_numpy(mean))
        self.std.copy_(torch.from_numpy(std))
        return (found - mean) / std

    def forward(self, batch: ProbeBatch) -> Tensor:
        """Spectra to (N, n_outputs)."""
        value = ((self.read(batch) - self.mean) / self.std) @ self.weight.T + self.bias
        if not self.config.spread:
            return value
        # In the order of `Mixture`: log weights, means, log widths.
        return torch.cat([torch.zeros_like(value), value, self.log_width.expand_as(value)], 1)

    def _placed(self, batch: ProbeBatch) -> tuple[Tensor, Tensor]:
        grid = self.grid.to(batch.wavelength.device)
        return on_grid(batch.token, batch.wavelength, batch.valid, grid)


def scales(x: np.ndarray, vector_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Means to subtract from numbers (N, S) and scales to divide them by, (S,) each.

    So that they are standardised, and the squares of those that come of tokens add up to one on
    average, as do those of the vector, the last ones: few numbers that were learnt to say what a
    spectrum is are not drowned by the many of its tokens.
    """
    scaler = StandardScaler().fit(x)
    sizes = np.r_[
        np.full(x.shape[1] - vector_size, x.shape[1] - vector_size),
        np.full(vector_size, vector_size),
    ]
    return scaler.mean_, scaler.scale_ * np.sqrt(sizes)


def fit_classes(network: LinearNetwork, x: np.ndarray, index: Tensor, weight: np.ndarray) -> None:
    """Fit logistic regression to classes (N,), and put it into the network."""
    # Gradients of numbers that are so small are small long before the end.
    model = LogisticRegression(C=STRENGTH, tol=1e-6, max_iter=5000)
    model.fit(x, index.numpy(), sample_weight=weight)
    weights, bias = model.coef_, model.intercept_
    if len(weights) == 1:  # of two classes, scikit-learn gives the second
        weights, bias = np.r_[np.zeros_like(weights), weights], np.r_[0.0, bias]
    network.weight.copy_(torch.from_numpy(weights))
    network.bias.copy_(torch.from_numpy(bias))


def fit_labels(network: LinearNetwork, x: np.ndarray, label: Tensor, weight: np.ndarray) -> None:
    """Fit ridge regression to every standardised label (N, L), NaN where unknown.

    Its strength is that with the smallest leave-one-out errors, and their rms is the width.
    """
    for k, column in enumerate(label.double().numpy().T):
        known = np.isfinite(column)
        model = RidgeCV(ALPHAS, store_cv_results=True)
        model.fit(x[known], column[known], sample_weight=weight[known])
        # scikit-learn keeps squared errors times weights.
        squares = model.cv_results_[:, np.argmin(np.abs(ALPHAS - model.alpha_))]
        width = max(float(np.sqrt(squares.sum() / weight[known].sum())), _LEAST)
        network.weight[k] = torch.from_numpy(model.coef_)
        network.bias[k] = float(model.intercept_)
        network.log_width[k] = float(np.log(width))
