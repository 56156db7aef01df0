"""Training of the redshift probe, and reading of its scores."""

from __future__ import annotations

import math
from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from spectok._progress import progress_bar
from spectok.probes._fit import FitOptions, seeded
from spectok.probes._redshift_network import RedshiftNetwork

__all__ = [
    "LIGHT",
    "WINDOW",
    "Peaks",
    "calibrate",
    "cross_entropy",
    "errors_of",
    "find_peaks",
    "fit_redshifts",
    "scores",
]

LIGHT = 299792.458  # km/s
WINDOW = 1000.0  # km/s: what is closer is one peak, and a redshift within it is no outlier
_KERNEL = 0.7  # places: standard deviation of what a label is blurred with
_REACH = 4  # places of the kernel on both sides
_WARM_UP = 30  # steps
_SHORTEST = 25  # steps of an epoch, so that few labels are not over in a wink
_MEMORY = 0.98  # of the average over the steps that is kept
_FEWEST = 30  # held-out spectra by which errors are judged
_GAUSS = 0.6827
_FACTORS, _LEAST = (0.1, 10.0), (0.02, 2.0)  # tried for errors; places, of the least
_SMALLEST = 0.05  # places: of a standard deviation


class Peaks(NamedTuple):
    """The peaks of densities of N spectra; places are those of scores, and fractions of them.

    ``place``, ``spread`` (standard deviation within 1,000 km/s), ``share`` (probability there);
    ``second`` and ``second_share`` of the next peak; all float64, shape (N,).
    """

    place: Tensor
    spread: Tensor
    share: Tensor
    second: Tensor
    second_share: Tensor


def cross_entropy(score: Tensor, place: Tensor) -> Tensor:
    """Minus the log probability at the labels' places, blurred by a narrow kernel: (N,)."""
    centre = place.round().long()[:, None]
    near = (centre + torch.arange(-_REACH, _REACH + 1, device=score.device)).clamp(
        0, score.shape[1] - 1
    )
    weight = torch.exp(-0.5 * ((near - place[:, None]) / _KERNEL) ** 2).to(score.dtype)
    weight = weight / weight.sum(1, keepdim=True)
    return score.logsumexp(1) - (score.gather(1, near) * weight).sum(1)


def fit_redshifts(
    network: RedshiftNetwork,
    pixels: Tensor,
    place: Tensor,
    weight: Tensor,
    held_out: np.ndarray,
    options: FitOptions,
) -> dict[str, list[float]]:
    """Train a network in place, keep what was best on the held-out rows; returns the history.

    Parameters
    ----------
    network : RedshiftNetwork
    pixels : `torch.Tensor` of float16, shape (N, 7, S)
    place : `torch.Tensor` of float64, shape (N,)
        Where the redshifts lie among the scores.
    weight : `torch.Tensor`, shape (N,)
        Of each spectrum in the loss.
    held_out : `numpy.ndarray` of int
        Rows that are not trained on.
    options : FitOptions

    Returns
    -------
    history : dict of list of float
        ``loss`` and ``held_out``, one number per epoch.
    """
    device = options.device
    rng = np.random.default_rng(options.seed)
    rows = np.setdiff1d(np.arange(len(pixels)), held_out)
    size = min(options.batch_size, len(rows))
    per_epoch = max(_SHORTEST, len(rows) // size)
    n_steps = options.max_epochs * per_epoch
    network.to(device).train()
    averaged = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(_MEMORY))
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=options.learning_rate, betas=(0.9, 0.98),
        weight_decay=options.weight_decay,
    )  # fmt: skip
    history: dict[str, list[float]] = {"loss": [], "held_out": []}
    best, best_state, since, step = math.inf, None, 0, 0
    bar = progress_bar("fitting", total=n_steps, unit="step", progress=options.progress)
    with bar, seeded(options.seed, device):
        for epoch in range(options.max_epochs):
            total = []
            times = -(-per_epoch * size // len(rows))
            order = np.concatenate([rng.permutation(rows) for _ in range(times)])
            for start in range(0, per_epoch * size, size):
                some = torch.from_numpy(order[start : start + size])
                falling = 0.5 * (1 + math.cos(math.pi * step / n_steps))
                step += 1
                for group in optimizer.param_groups:
                    group["lr"] = options.learning_rate * falling * min(1.0, step / _WARM_UP)
                score = network(pixels[some].to(device).float())
                each = cross_entropy(score, place[some].to(score.device))
                loss = (each * weight[some].to(score.device)).mean()
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
                optimizer.step()
                averaged.update_parameters(network)
                total.append(float(loss.detach()))
                bar.update()
                bar.set_postfix(loss=f"{total[-1]:.3f}")
            history["loss"].append(float(np.mean(total)))
            if not math.isfinite(history["loss"][-1]):
                raise RuntimeError(
                    f"the loss is {history['loss'][-1]} in epoch {epoch + 1}: give a lower "
                    f"learning_rate than {options.learning_rate:g}"
                )
            if not len(held_out):
                continue
            found = scores(
                cast("RedshiftNetwork", averaged.module), pixels[held_out], options.batch_size
            )
            each = cross_entropy(found, place[held_out]) * weight[held_out]
            history["held_out"].append(float(each.mean()))
            since += 1
            if history["held_out"][-1] < best:
                best, since = history["held_out"][-1], 0
                best_state = {k: v.clone() for k, v in averaged.module.state_dict().items()}
            if since >= options.patience:
                break
    network.load_state_dict(best_state or averaged.module.state_dict())
    network.to("cpu").eval()
    return history


def scores(network: RedshiftNetwork, pixels: Tensor, batch_size: int) -> Tensor:
    """Scores of every redshift, (N, Z) on the CPU."""
    training, device = network.training, network.temperature.device
    network.eval()
    found = torch.empty((len(pixels), network.config.n_outputs))
    with torch.inference_mode():
        for start in range(0, len(pixels), batch_size):
            some = slice(start, start + batch_size)
            found[some] = network(pixels[some].to(device).float()).cpu()
    network.train(training)
    return found.clone()


def find_peaks(score: Tensor, step: float) -> Peaks:
    """The most probable redshift, within 1,000 km/s, of each of N spectra, and the next.

    Parameters
    ----------
    score : `torch.Tensor`, shape (N, Z)
    step : float
        Between scores, in dex.

    Returns
    -------
    peaks : Peaks
    """
    density = score.double().softmax(1)
    reach = max(round(WINDOW / LIGHT / math.log(10.0) / step), 1)
    # The window that holds most, and in it the highest place.
    middle = _window(density, reach).argmax(1)
    place = _highest(density, middle, reach)
    refined = place + _vertex(density, place)
    near = (torch.arange(density.shape[1]) - refined[:, None]).abs() <= reach
    inside = density * near
    share = inside.sum(1)
    away = torch.arange(density.shape[1]) - refined[:, None]
    spread = ((inside * away**2).sum(1) / share).sqrt()
    rest = density * ~((torch.arange(density.shape[1]) - refined[:, None]).abs() <= 2 * reach)
    second = _highest(rest, _window(rest, reach).argmax(1), reach)
    other = (torch.arange(density.shape[1]) - second[:, None]).abs() <= reach
    return Peaks(
        refined, spread.clamp(min=_SMALLEST), share, second + _vertex(density, second),
        (rest * other).sum(1),
    )  # fmt: skip


def errors_of(spread: Tensor, factor: Tensor, least: Tensor) -> Tensor:
    """Standard deviations of peaks, in places, from the spreads of densities.

    A density is wider than the error by the kernel that labels are blurred with. What is left,
    times ``factor``, and the ``least`` error add in squares.
    """
    own = (spread.square() - _KERNEL**2).clamp(min=0.0)
    return (factor**2 * own + least**2).sqrt()


def calibrate(
    score: Tensor, place: Tensor, step: float, weight: Tensor | None = None
) -> tuple[float, float, float]:
    """Calibration on held-out spectra: a divisor of scores, and the numbers of `errors_of`.

    The divisor makes their labels most probable. Factor and least error make what is stated the
    quantile, given the spread, below which 68 % of the errors lie (those of less than 1,000
    km/s): of all pairs that are tried the one of the lowest pinball loss (Koenker & Bassett
    1978). For fewer than 30 spectra scores stay as they are, and errors are the spreads.
    """
    if len(score) < _FEWEST:
        return 1.0, 1.0, _KERNEL
    weight = torch.ones(len(score)) if weight is None else weight
    tried = torch.logspace(-0.5, 1.0, 46)
    losses = torch.stack([(weight * cross_entropy(score / t, place)).mean() for t in tried])
    temperature = float(tried[losses.argmin()])
    peaks = find_peaks(score / temperature, step)
    away = (peaks.place - place).abs()
    right = away * step * math.log(10.0) * LIGHT < WINDOW
    if right.sum() < _FEWEST:
        return temperature, 1.0, _KERNEL
    away, spread, weight = away[right], peaks.spread[right], weight[right]
    factors, least = (torch.from_numpy(np.geomspace(*ends, 50)) for ends in (_FACTORS, _LEAST))
    found = []
    for factor in factors:
        missed = away - errors_of(spread, factor, least[:, None])  # (50, N)
        pinball = torch.where(missed > 0, _GAUSS * missed, (_GAUSS - 1.0) * missed)
        found.append((weight * pinball).mean(1))
    row, column = divmod(int(torch.stack(found).argmin()), len(least))
    return temperature, float(factors[row]), float(least[column])


def _window(density: Tensor, reach: int) -> Tensor:
    """Sums over up to ``reach`` places on both sides, (N, Z)."""
    total = pad(density.cumsum(1), (1, 0))
    at = torch.arange(density.shape[1])
    return total[:, (at + reach + 1).clamp(max=len(at))] - total[:, (at - reach).clamp(min=0)]


def _highest(density: Tensor, middle: Tensor, reach: int) -> Tensor:
    """Place of the highest density near a place, (N,)."""
    near = (torch.arange(density.shape[1]) - middle[:, None]).abs() <= reach
    return torch.where(near, density, -1.0).argmax(1)


def _vertex(density: Tensor, place: Tensor) -> Tensor:
    """Offset of the vertex of the parabola through three logarithms of densities, (N,)."""
    at = place.clamp(1, density.shape[1] - 2)[:, None] + torch.arange(-1, 2)
    left, top, right = density.gather(1, at).clamp(min=1e-300).log().unbind(1)
    bend = left - 2.0 * top + right
    offset = 0.5 * (left - right) / torch.where(bend < -1e-9, bend, -torch.inf)
    return torch.where(at[:, 1] == place, offset.clamp(-0.5, 0.5), 0.0)
