"""Training of a probe on frozen tokens, which takes a few minutes."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from spectok._progress import progress_bar
from spectok.probes._network import ProbeConfig, ProbeNetwork
from spectok.probes._sequences import Inputs, as_inputs, batches_of, make_batch

if TYPE_CHECKING:
    from spectok.probes._linear import LinearConfig

__all__ = ["FitOptions", "fit_network", "outputs", "seeded"]

Loss = Callable[[Tensor, Tensor], Tensor]  # outputs (N, O), targets (N, ...) to (N,)

_WARM_UP = 50  # steps
_SETTLED = 200  # steps after which a fit without progress may end
_SHORTEST = 16  # steps of an epoch, so that few labels are not over in a wink
_CHUNK = 8  # batches within which spectra are sorted by length
_MEMORY = 0.99  # of the average over the steps that is kept


@dataclass(frozen=True)
class FitOptions:
    """How a probe is trained."""

    learning_rate: float
    weight_decay: float
    batch_size: int
    max_epochs: int
    patience: int
    seed: int
    device: str
    progress: bool | None


def fit_network(
    network: ProbeNetwork,
    inputs: Inputs,
    target: Tensor,
    loss: Loss,
    options: FitOptions,
    held_out: np.ndarray,
    weight: Tensor,
) -> dict[str, list[float]]:
    """Train a network in place, keep what was best on the held-out rows; returns the history.

    Adam with decoupled weight decay at a rate that falls as half a cosine, averaged over the
    last steps. Without held-out rows it ends after ``max_epochs``.

    Parameters
    ----------
    network : ProbeNetwork
    inputs : Inputs
        Of N spectra.
    target : `torch.Tensor`, shape (N, ...)
    loss : callable
        Outputs and targets of some spectra to one number for each.
    options : FitOptions
    held_out : `numpy.ndarray` of int
        Rows that are not trained on.
    weight : `torch.Tensor`, shape (N,)
        Of each spectrum in the loss.

    Returns
    -------
    history : dict of list of float
        ``loss`` and ``held_out``, one number per epoch.
    """
    inputs = as_inputs(inputs)
    rng = np.random.default_rng(options.seed)
    rows = np.setdiff1d(np.arange(len(inputs)), held_out)
    lengths = inputs.lengths
    network.to(options.device)
    averaged = AveragedModel(network, avg_fn=_follow)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay
    )
    history: dict[str, list[float]] = {"loss": [], "held_out": []}
    best, best_state, since, step = np.inf, copy.deepcopy(averaged.module.state_dict()), 0, 0
    bar = progress_bar(
        "fitting", total=options.max_epochs, unit="epoch", progress=options.progress
    )
    with bar, seeded(options.seed, options.device):  # the dropout
        for epoch in range(options.max_epochs):
            network.train()
            total = []
            rate = (
                options.learning_rate * 0.5 * (1 + math.cos(math.pi * epoch / options.max_epochs))
            )
            for members in _epoch(rows, lengths, options.batch_size, rng):
                step += 1
                for group in optimizer.param_groups:
                    group["lr"] = rate * min(1.0, step / _WARM_UP)
                batch = make_batch(inputs[members]).to(options.device)
                each = loss(network(batch), target[members].to(options.device))
                value = (each * weight[members].to(options.device)).mean()
                optimizer.zero_grad(set_to_none=True)
                value.backward()
                torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
                optimizer.step()
                averaged.update_parameters(network)
                total.append(float(value.detach()))
            history["loss"].append(float(np.mean(total)))
            if not math.isfinite(history["loss"][-1]):
                raise RuntimeError(
                    f"the loss is {history['loss'][-1]} in epoch {epoch + 1}: give a lower "
                    f"learning_rate than {options.learning_rate:g}"
                )
            bar.update()
            if not len(held_out):
                continue
            found = outputs(averaged.module, inputs[held_out], options.batch_size)
            score = float((loss(found, target[held_out]) * weight[held_out]).mean())
            history["held_out"].append(score)
            bar.set_postfix(loss=f"{history['loss'][-1]:.3f}", held_out=f"{score:.3f}")
            since += step > _SETTLED
            if score < best:
                best, since = score, 0
                best_state = copy.deepcopy(averaged.module.state_dict())
            if since >= options.patience:
                break
    network.load_state_dict(best_state if len(held_out) else averaged.module.state_dict())
    network.to("cpu").eval()
    return history


@contextmanager
def seeded(seed: int, device: str | torch.device = "cpu") -> Iterator[None]:
    """Draw from this seed on the CPU and on a device, and leave no trace in torch's own state.

    Not ``torch.manual_seed``, which seeds every GPU of the machine, used or not.
    """
    device = torch.device(device)
    gpu = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=gpu):
        torch.default_generator.manual_seed(seed)
        if gpu:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


def outputs(network: nn.Module, inputs: Inputs, batch_size: int) -> Tensor:
    """Outputs of a network for spectra, (N, O) on the CPU."""
    inputs = as_inputs(inputs)
    network.eval()
    device = next(part for name, part in network.state_dict().items() if name != "grid").device
    config = cast("ProbeConfig | LinearConfig", network.config)
    found = torch.empty((len(inputs), config.n_outputs))
    with torch.inference_mode():
        for members in batches_of(inputs.lengths, batch_size):
            found[members] = network(make_batch(inputs[members]).to(device)).float().cpu()
    return found


def _epoch(
    rows: np.ndarray, lengths: np.ndarray, batch_size: int, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Batches of one epoch: shuffled, of similar length within a few batches."""
    size = min(batch_size, len(rows))
    wanted = max(_SHORTEST, -(-len(rows) // size))
    drawn: Sequence[np.ndarray] = [
        rng.permutation(rows) for _ in range(-(-wanted * size // len(rows)))
    ]
    order = np.concatenate(drawn)[: wanted * size]
    for start in range(0, len(order), _CHUNK * size):
        chunk = order[start : start + _CHUNK * size]
        chunk = chunk[np.argsort(lengths[chunk], kind="stable")]
        batches = [chunk[k : k + size] for k in range(0, len(chunk), size)]
        for k in rng.permutation(len(batches)):
            yield batches[k]


def _follow(kept: Tensor, new: Tensor, n_averaged: Tensor | int) -> Tensor:
    """Move an average of parameters, of so many steps, towards those of the next step."""
    step = int(n_averaged) + 1
    return kept.lerp(new, 1.0 - min(_MEMORY, step / (step + 10)))
