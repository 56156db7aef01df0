"""What the classifier and the regressor share: settings, checks, the fit."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from astropy.utils.exceptions import AstropyUserWarning
from torch.nn.functional import one_hot

from spectok.probes._fit import FitOptions, fit_network, outputs, seeded
from spectok.probes._grid import choose_grid
from spectok.probes._items import as_items, make_batch, same_tokenizer, tokenizer_of
from spectok.probes._network import ProbeConfig, ProbeNetwork
from spectok.probes._sklearn import (
    BaseEstimator,
    GroupShuffleSplit,
    ShuffleSplit,
    check_is_fitted,
    check_random_state,
)

__all__ = ["Probe", "say_empty"]

_FEWEST_HELD_OUT = 10
_ELSEWHERE = 0.5  # share of tokens outside the wavelengths of the training spectra
_LARGEST_GRID = 512
_PREPARED = 2000  # spectra whose tokens say what is usual


class Probe(BaseEstimator):
    """Settings and fit of a probe.

    Parameters
    ----------
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

    def __init__(
        self,
        *,
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
        items: np.ndarray,
        target: torch.Tensor,
        loss: Any,
        n_outputs: int,
        groups: np.ndarray | None,
        weight: np.ndarray,
    ) -> None:
        """Train a new network on items that all have tokens and a weight."""
        seed = self.random_state
        if seed is None or isinstance(seed, np.random.RandomState):
            seed = check_random_state(seed).randint(np.iinfo(np.int32).max)
        seed = int(seed)
        known = target.isfinite() if target.is_floating_point() else one_hot(target).bool()
        held_out = _less_the_only(
            self._hold_out(len(items), groups, seed), known.reshape(len(items), -1).numpy(), groups
        )
        rows = np.setdiff1d(np.arange(len(items)), held_out)
        grid = choose_grid(items[rows], _LARGEST_GRID)
        config = ProbeConfig(
            token_size=items[0]["token"].shape[-1], n_outputs=n_outputs, grid_size=len(grid),
            reading=self.reading, width=self.width, heads=self.heads, blocks=self.blocks,
            queries=self.queries, dropout=self.dropout,
        )  # fmt: skip
        with seeded(seed):
            network = ProbeNetwork(config)
        some = rows[:: max(1, len(rows) // _PREPARED)]
        network.prepare(
            torch.from_numpy(grid),
            [make_batch(items[some[k : k + 64]]) for k in range(0, len(some), 64)],
        )
        options = FitOptions(
            self.learning_rate, self.weight_decay, self.batch_size, self.max_epochs,
            self.patience, seed, self.device, self.progress,
        )  # fmt: skip
        self.history_ = fit_network(
            network, items, target, loss, options, held_out,
            torch.as_tensor(weight / weight.mean(), dtype=torch.float32),
        )  # fmt: skip
        self.network_ = network
        self.tokenizer_ = tokenizer_of(items)
        self.n_held_out_ = len(held_out)

    def _hold_out(self, n: int, groups: np.ndarray | None, seed: int) -> np.ndarray:
        """Rows on which the fit is watched, whole groups of them; none where they are few."""
        if self.held_out * n < _FEWEST_HELD_OUT:
            return np.zeros(0, int)
        if groups is not None and len(np.unique(groups)) < 2:
            raise ValueError(
                "all spectra are of one group, so none can be held out: give groups that differ, "
                "or held_out=0"
            )
        splitter = ShuffleSplit if groups is None else GroupShuffleSplit
        split = splitter(1, test_size=self.held_out, random_state=seed)
        return np.sort(next(split.split(np.zeros(n), groups=groups))[1])

    def _training_rows(
        self, items: np.ndarray, n_labels: int, groups: Any, weight: Any
    ) -> tuple[np.ndarray, np.ndarray]:
        """Which items have a token and a weight, and the weights; both (N,)."""
        self._check_settings()
        if n_labels != len(items):
            raise ValueError(f"{n_labels} labels for {len(items)} spectra: give one for each")
        if groups is not None and len(groups) != len(items):
            raise ValueError(f"{len(groups)} groups for {len(items)} spectra: give one for each")
        filled = np.array([len(item) > 0 for item in items])
        say_empty(~filled, "left out of the fit", stacklevel=4)
        if not filled.any():
            raise ValueError("not one spectrum has a valid token: there is nothing to learn from")
        weight = _weights(weight, len(items))
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
        for name in ("dropout", "held_out"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ValueError(f"{name} must be a share of [0, 1), not {getattr(self, name)}")

    def _outputs(self, tokens: Any) -> tuple[torch.Tensor, np.ndarray]:
        """What the network says (N, O), and which spectra have no token."""
        check_is_fitted(self)
        items = as_items(tokens)
        same_tokenizer(self.tokenizer_, tokenizer_of(items), "the tokens given")
        size = self.network_.config.token_size
        if items[0]["token"].shape[-1] != size:
            raise ValueError(
                f"these tokens have {items[0]['token'].shape[-1]} numbers, those that the probe "
                f"was trained on {size}: encode with the same model"
            )
        _say_elsewhere(items, self.network_.grid.cpu().numpy())
        network = self.network_.to(self.device)
        found = outputs(network, items, 4 * self.batch_size)
        network.to("cpu")
        return found, np.array([len(item) == 0 for item in items])


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


def _less_the_only(
    held_out: np.ndarray, known: np.ndarray, groups: np.ndarray | None
) -> np.ndarray:
    """Held-out rows without those that alone have a class or label, nor the rest of their group.

    ``known`` (N, K) says which row has which.
    """
    training = np.setdiff1d(np.arange(len(known)), held_out)
    missing = ~known[training].any(0)
    only = known[held_out][:, missing].any(1)
    if groups is not None:
        only = np.isin(groups[held_out], groups[held_out][only])
    return held_out[~only]


def _say_elsewhere(items: np.ndarray, grid: np.ndarray) -> None:
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
