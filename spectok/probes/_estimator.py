"""Base of the classifier and the regressor: settings, checks, the fit."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from astropy.utils.exceptions import AstropyUserWarning
from torch.nn.functional import one_hot

from spectok.probes._fit import FitOptions, Loss, fit_network, outputs, seeded
from spectok.probes._held_out import hold_out, less_the_only
from spectok.probes._linear import LinearConfig, LinearNetwork
from spectok.probes._network import ProbeConfig, ProbeNetwork
from spectok.probes._sequences import Inputs, as_inputs, make_batch, same_sizes, same_tokenizer
from spectok.probes._sklearn import BaseEstimator, check_is_fitted, check_random_state
from spectok.probes._token_grid import choose_grid

__all__ = ["FEW", "Probe", "say_elsewhere", "say_empty"]

FEW = 200  # spectra below which a linear reading is better: docs/probes_measured, "labels"
Solve = Callable[[LinearNetwork, np.ndarray, torch.Tensor, np.ndarray], None]

_METHODS = ("auto", "attention", "linear")
_ELSEWHERE = 0.5  # share of tokens outside the wavelengths of the training spectra
_LARGEST_GRID = 512
_PREPARED = 2000  # spectra whose tokens say what is usual


class Probe(BaseEstimator):
    """Settings and fit of a probe.

    Parameters
    ----------
    method : {"auto", "attention", "linear"}
        How spectra are read; see `ProbeClassifier`.
    reading : int
        Numbers that are read from the tokens on the grid; 0 leaves the grid out, which is
        better where nothing has a fixed place, as for redshifts.
    width, heads, blocks, queries : int
        Width, attention heads, transformer blocks over the tokens, and learned queries.
    dropout : float
        Share of the numbers that a training step does not see.
    learning_rate, weight_decay : float
        Of Adam with decoupled weight decay; the rate falls to zero as half a cosine.
    batch_size : int
    max_epochs, patience : int
        Passes over the spectra, and how many without progress on those held out end the fit.
    held_out : float
        Share of the spectra on which the fit is watched; none where that would be fewer than 10.
        The only spectra of a class, or with a label, are not among them.
    random_state : int, `numpy.random.RandomState` or None
        Seed of the first weights, the order and the held-out spectra; None draws another one
        for every fit.
    device : str
    progress : bool, optional
        Show a bar; by default after two seconds.
    """

    # A `ProbeNetwork` or a `LinearNetwork`, as ``method_`` says; `RedshiftProbe` has its own.
    network_: Any

    def __init__(
        self,
        *,
        method: str = "auto",
        reading: int = 0,
        width: int = 64,
        heads: int = 4,
        blocks: int = 1,
        queries: int = 4,
        dropout: float = 0.3,
        learning_rate: float = 2e-3,
        weight_decay: float = 0.1,
        batch_size: int = 64,
        max_epochs: int = 20,
        patience: int = 6,
        held_out: float = 0.1,
        random_state: int | np.random.RandomState | None = 0,
        device: str = "cpu",
        progress: bool | None = None,
    ) -> None:
        self.method = method
        self.reading = reading
        self.width = width
        self.heads = heads
        self.blocks = blocks
        self.queries = queries
        self.dropout = dropout
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.patience = patience
        self.held_out = held_out
        self.random_state = random_state
        self.device = device
        self.progress = progress

    def _fit(
        self,
        inputs: Inputs,
        target: torch.Tensor,
        loss: Loss,
        n_outputs: int,
        solve: Solve,
        groups: np.ndarray | None,
        weight: np.ndarray,
    ) -> None:
        """Fit spectra that all have something to read and a weight, by one of the methods."""
        self.method_ = self._choose(inputs)
        weight = weight / weight.mean()
        if self.method_ == "linear":
            self.n_held_out_ = 0
            self.history_: dict[str, list[float]] = {"loss": [], "held_out": []}
            self.network_ = _linear(inputs, target, solve, weight)
        else:
            self._fit_attention(inputs, target, loss, n_outputs, groups, weight)
        self.tokenizer_ = inputs.made_by

    def _choose(self, inputs: Inputs) -> str:
        """The method, where it is left to the probe: by what there is to read, and how much."""
        if self.method == "attention" and inputs.sequences is None:
            raise ValueError(
                "method='attention' reads tokens, and these are vectors without tokens: use "
                "method='linear', or give tokens (spectok.group(tokens, vectors) joins both)"
            )
        if self.method != "auto":
            return self.method
        few = len(inputs) < FEW
        return "linear" if few or inputs.sequences is None else "attention"

    def _fit_attention(
        self,
        inputs: Inputs,
        target: torch.Tensor,
        loss: Loss,
        n_outputs: int,
        groups: np.ndarray | None,
        weight: np.ndarray,
    ) -> None:
        """Train a new network."""
        seed = self.random_state
        if seed is None or isinstance(seed, np.random.RandomState):
            seed = check_random_state(seed).randint(np.iinfo(np.int32).max)
        seed = int(seed)
        strata = None if target.is_floating_point() else target.numpy()
        held_out = hold_out(len(inputs), self.held_out, groups, strata, seed)
        known = target.isfinite() if strata is None else one_hot(target).bool()
        held_out = less_the_only(held_out, known.reshape(len(inputs), -1).numpy(), groups)
        rows = np.setdiff1d(np.arange(len(inputs)), held_out)
        grid = choose_grid(inputs.tokens[rows], _LARGEST_GRID)
        token_size, vector_size = inputs.sizes
        config = ProbeConfig(
            token_size=token_size, vector_size=vector_size, n_outputs=n_outputs,
            grid_size=len(grid), reading=self.reading, width=self.width, heads=self.heads,
            blocks=self.blocks, queries=self.queries, dropout=self.dropout,
        )  # fmt: skip
        with seeded(seed):
            network = ProbeNetwork(config)
        some = rows[:: max(1, len(rows) // _PREPARED)]
        network.prepare(
            torch.from_numpy(grid),
            [make_batch(inputs[some[k : k + 64]]) for k in range(0, len(some), 64)],
        )
        options = FitOptions(
            self.learning_rate, self.weight_decay, self.batch_size, self.max_epochs,
            self.patience, seed, self.device, self.progress,
        )  # fmt: skip
        self.history_ = fit_network(
            network, inputs, target, loss, options, held_out,
            torch.as_tensor(weight, dtype=torch.float32),
        )  # fmt: skip
        self.network_ = network
        self.n_held_out_ = len(held_out)

    def _training_rows(
        self, inputs: Inputs, n_labels: int, groups: Any, weight: Any
    ) -> tuple[np.ndarray, np.ndarray]:
        """Which spectra have something to read and a weight, and the weights; both (N,)."""
        self._check_settings()
        if n_labels != len(inputs):
            raise ValueError(f"{n_labels} labels for {len(inputs)} spectra: give one for each")
        if groups is not None and len(groups) != len(inputs):
            raise ValueError(f"{len(groups)} groups for {len(inputs)} spectra: give one for each")
        filled = inputs.filled
        say_empty(~filled, "left out of the fit", stacklevel=4)
        if not filled.any():
            raise ValueError("not one spectrum has a valid token: there is nothing to learn from")
        weight = _weights(weight, len(inputs))
        # A weight of zero is as good as not being there, for the standard deviations and the
        # held-out set, too.
        rows = filled & (weight > 0)
        if not rows.any():
            raise ValueError("sample_weight is zero for every spectrum that has a valid token")
        return rows, weight

    def _check_settings(self) -> None:
        """Refuse settings that would fail later without a word on which it was."""
        least = {
            "width": 2, "heads": 1, "blocks": 0, "queries": 1, "reading": 0, "batch_size": 1,
            "max_epochs": 1, "patience": 1,
        }  # fmt: skip
        for name, smallest in least.items():
            value = getattr(self, name)
            if not isinstance(value, (int, np.integer)) or value < smallest:
                raise ValueError(f"{name} must be a whole number from {smallest}, not {value!r}")
        if self.width % (2 * self.heads):
            raise ValueError(
                f"width must be a multiple of twice the heads, {2 * self.heads}, not {self.width}"
            )
        if self.method not in _METHODS:
            raise ValueError(f"method must be one of {', '.join(_METHODS)}, not {self.method!r}")
        for name in ("dropout", "held_out"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ValueError(f"{name} must be a share of [0, 1), not {getattr(self, name)}")

    def _outputs(self, tokens: Any) -> tuple[torch.Tensor, np.ndarray]:
        """Outputs of the network (N, O), and which spectra have nothing to read."""
        check_is_fitted(self)
        inputs = as_inputs(tokens)
        same_tokenizer(self.tokenizer_, inputs.made_by, "the tokens given")
        config = self.network_.config
        same_sizes(inputs.sizes, (config.token_size, config.vector_size))
        if inputs.sequences is not None:
            say_elsewhere(inputs.sequences, self.network_.grid.cpu().numpy())
        network = self.network_.to(self.device)
        found = outputs(network, inputs, 4 * self.batch_size)
        network.to("cpu")
        return found, ~inputs.filled


def _linear(
    inputs: Inputs, target: torch.Tensor, solve: Solve, weight: np.ndarray
) -> LinearNetwork:
    """A linear network, fitted by scikit-learn."""
    token_size, vector_size = inputs.sizes
    grid = (
        np.zeros(0) if inputs.sequences is None else choose_grid(inputs.sequences, _LARGEST_GRID)
    )
    spread = target.is_floating_point()
    n_values = target.shape[1] if spread else int(target.max()) + 1
    config = LinearConfig(
        token_size=token_size, grid_size=len(grid), vector_size=vector_size, n_values=n_values,
        spread=spread,
    )  # fmt: skip
    network = LinearNetwork(config)
    x = network.prepare(torch.from_numpy(grid), inputs)
    solve(network, x, target, weight)
    return network.eval()


def say_empty(empty: np.ndarray, what: str, *, stacklevel: int = 3) -> None:
    """Name the spectra without a token, once, to who called the public method."""
    if empty.any():
        rows = np.flatnonzero(empty)
        named = ", ".join(map(str, rows[:20])) + (", ..." if len(rows) > 20 else "")
        warnings.warn(
            f"{len(rows)} of {len(empty)} spectra have no valid token and are {what}: {named}",
            AstropyUserWarning,
            stacklevel=stacklevel,
        )


def say_elsewhere(items: np.ndarray, grid: np.ndarray) -> None:
    """Name the spectra most of whose tokens lie where no training spectrum had one."""
    low, high = grid[0] - 0.01 * grid[0], grid[-1] + 0.01 * grid[-1]
    rows = [
        row
        for row, item in enumerate(items)
        if len(item)
        and np.mean((item["wavelength"] < low) | (item["wavelength"] > high)) > _ELSEWHERE
    ]
    if rows:
        named = ", ".join(map(str, rows[:20])) + (", ..." if len(rows) > 20 else "")
        warnings.warn(
            f"{len(rows)} of {len(items)} spectra lie mostly outside {low:.0f} to {high:.0f} "
            f"Angstrom, where the probe was trained, so what it says of them is a guess: {named}",
            AstropyUserWarning,
            stacklevel=4,
        )


def _weights(given: Any, n: int) -> np.ndarray:
    """Weights of spectra, (N,)."""
    weight = np.ones(n) if given is None else np.array(given, dtype=np.float64)
    if weight.shape != (n,):
        raise ValueError(f"sample_weight of shape {weight.shape} for {n} spectra: give one each")
    bad = ~(np.isfinite(weight) & (weight >= 0))
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise ValueError(
            f"the sample_weight of spectrum {row} is {weight[row]:g}: weights are finite and not "
            "negative"
        )
    return weight
