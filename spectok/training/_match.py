"""Training of the reader: two views of an object must find each other, labels unseen."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from spectok._progress import progress_bar
from spectok.model import SpectralTokenizer
from spectok.model._reader import Reader
from spectok.training._cut_views import uncut_views
from spectok.training._objective import Opaque
from spectok.training._optimizer import learning_rate_at, optimizers_of, set_rate, take_step
from spectok.training._ranks import record, resume, start
from spectok.training._standardise import MEASURED, standardise
from spectok.training._views import ViewPack

__all__ = ["fit_reader", "match_loss"]

_SHARPEST = 60.0  # of 1 / temperature
_DRAWN = 512  # width of the network that draws a spectrum from its embedding
_SMOOTH = 41  # points of the grid: what is slower is continuum
_LEAST_SIZE = 1e-3  # of what is usual in a pack
_DROPPED = 0.3  # share of the numbers at places that a step does not see
_UNREAD = 0.5  # share of the spectra of which it sees none there: the rest must be found without


def match_loss(first: Tensor, second: Tensor, sharpness: Tensor) -> tuple[Tensor, Tensor]:
    """How badly the embeddings of two views of the same objects find each other.

    Each embedding must pick its object's other view among all others of both views: cosines as
    logits of a cross-entropy. Other objects in the *same* view are among them, so that what a
    view's instrument and noise have in common does not help.

    Parameters
    ----------
    first, second : `torch.Tensor`, shape (N, E)
        Row by row of the same objects.
    sharpness : `torch.Tensor`, scalar
        What cosines are multiplied by.

    Returns
    -------
    loss : `torch.Tensor`, scalar
    right : `torch.Tensor`, scalar
        Share that picks its object.

    References
    ----------
    van den Oord et al. (2018), arXiv:1807.03748; Chen et al. (2020), arXiv:2002.05709.
    """
    n = len(first)
    both = functional.normalize(torch.cat([first, second]), dim=-1)
    logits = both @ both.T * sharpness
    itself = torch.eye(2 * n, dtype=torch.bool, device=both.device)
    logits = logits.masked_fill(itself, -torch.inf)
    other = torch.arange(2 * n, device=both.device).roll(n)
    right = (logits.detach().argmax(1) == other).float().mean()
    return functional.cross_entropy(logits, other), right


class Drawer(nn.Module):
    """Draws the noise-free spectra of a pack's objects from their embeddings alone.

    Parameters
    ----------
    size : int
        Numbers of an embedding.
    truth : `torch.Tensor`, shape (N, B)
        Noise-free spectra of the pack; what is usual among them, the unit of an error.
    """

    whole: Tensor
    narrow: Tensor

    def __init__(self, size: int, truth: Tensor) -> None:
        super().__init__()
        self.network = nn.Sequential(
            nn.Linear(size, _DRAWN),
            nn.GELU(),
            nn.Linear(_DRAWN, _DRAWN),
            nn.GELU(),
            nn.Linear(_DRAWN, truth.shape[1]),
        )
        flux, known = _to_draw(truth[:MEASURED])
        mean = flux.sum(0) / known.sum(0).clamp(min=1)
        # At first the mean of all: else its distance would outweigh everything for many steps.
        last = cast("nn.Linear", self.network[-1])
        nn.init.zeros_(last.weight)
        with torch.no_grad():
            last.bias.copy_(mean)
        usual = _whole_and_narrow(torch.where(known, flux - mean, 0.0), known)
        for name, one in zip(("whole", "narrow"), usual, strict=True):
            scatter = (one.square().sum() / known.sum().clamp(min=1)).sqrt()
            self.register_buffer(name, scatter.clamp(min=_LEAST_SIZE))

    def forward(self, embedding: Tensor, truth: Tensor) -> Tensor:
        """Mean square error of what is drawn, and again of what is narrow in it: a scalar."""
        flux, known = _to_draw(truth)
        error = torch.where(known, self.network(embedding).float() - flux, 0.0)
        whole, narrow = _whole_and_narrow(error, known)
        total = (whole / self.whole).square().sum() + (narrow / self.narrow).square().sum()
        return total / known.sum().clamp(min=1)


def _to_draw(truth: Tensor) -> tuple[Tensor, Tensor]:
    """What is drawn of noise-free spectra (N, B), with zeros where they are not known."""
    truth = truth.float()
    known = truth.isfinite()
    return torch.where(known, truth.nan_to_num(0.0).clamp(-2, 50).asinh(), 0.0), known


def _whole_and_narrow(error: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Deviations (N, B), and what of them is as narrow as lines."""
    slow = functional.avg_pool1d(
        error[:, None], _SMOOTH, 1, _SMOOTH // 2, count_include_pad=False
    )[:, 0]
    return error, torch.where(known, error - slow, 0.0)


class Matching(nn.Module):
    """The reader, and what is only needed to train it: the sharpness, and drawers.

    A drawer sees an embedding alone and draws the noise-free spectrum of its object, where
    that is known: so an embedding keeps more of an object than tells it from others. Packs of
    different kinds of objects have drawers of their own.

    Parameters
    ----------
    model : `~spectok.SpectralTokenizer`
        With a reader.
    packs : mapping of str to ViewPack
        Those that have noise-free spectra are drawn.
    """

    def __init__(self, model: SpectralTokenizer, packs: Mapping[str, ViewPack]) -> None:
        super().__init__()
        self.reader = cast("Reader", model.reader)
        self.log_sharpness = nn.Parameter(torch.tensor(2.3))
        size = model.config.embedding_size
        # By number: a pack's name may have a point in it, which a module's may not.
        self.number = {name: str(k) for k, name in enumerate(packs)}
        self.drawers = nn.ModuleDict(
            {
                self.number[name]: Drawer(size, pack.truth)
                for name, pack in packs.items()
                if pack.truth is not None
            }
        )

    def forward(self, opaque: Opaque, name: str, drawing: float) -> dict[str, Tensor]:
        """Loss of a batch (two views and a truth) of a pack, ``loss``, and its parts."""
        pair, truth = cast("tuple[list[dict[str, Tensor]], Tensor | None]", opaque.batch)
        first, second = (self.reader(**_seen(self.reader, view)).float() for view in pair)
        loss, right = match_loss(first, second, self.log_sharpness.exp().clamp(max=_SHARPEST))
        parts = {"loss": loss, "match": loss.detach(), "right": right}
        if drawing and truth is not None:
            draw = self.drawers[self.number[name]]
            drawn = (draw(first, truth) + draw(second, truth)) / 2
            parts |= {"loss": loss + drawing * drawn, "drawing": drawn.detach()}
        return parts


def _seen(reader: Reader, view: dict[str, Tensor]) -> dict[str, Tensor]:
    features = reader.features(view["value"].float(), view["valid"])
    places = ("wavelength", "half", "valid", "band")
    return {"features": features} | {k: view[k] for k in places if k in view}


def fit_reader(
    model: SpectralTokenizer,
    packs: Mapping[str, tuple[float, ViewPack]],
    folder: str | Path,
    *,
    steps: int,
    batch: int = 256,
    learning_rate: float = 3e-3,
    warmup: int = 50,
    weight_decay: float = 0.03,
    ema_decay: float = 0.99,
    clip: float = 1.0,
    drawing: float = 0.3,
    precision: str = "32-true",
    accelerator: str = "auto",
    seed: int = 1,
    checkpoint_every: int = 100,
    validate: Callable[[SpectralTokenizer], dict[str, Any]] | None = None,
    progress: bool | None = None,
) -> SpectralTokenizer:
    """Train the reader of a tokenizer by matching views, without labels; it resumes by itself.

    The tokenizer stays as it is, so its tokens are made once and read from packs. Step k is a
    function of the seed, of k and of the packs.

    Parameters
    ----------
    model : `~spectok.SpectralTokenizer`
        With a reader (``embedding_size`` above 0).
    packs : mapping of str to (float, ViewPack)
        Packs and the shares of the steps that draw from them.
    folder : path
        Receives ``checkpoint.pt`` (complete), ``log.csv`` (loss, and the share that picks its
        object, of all and of each pack) and TensorBoard's files.
    steps : int
        Optimizer steps in all, those before a resumption included.
    batch : int
        Objects of a step.
    learning_rate, warmup, weight_decay : float, int, float
        Of Muon and AdamW as in `fit`; the rate falls to a hundredth as half a cosine.
    ema_decay : float
        Of the average of the weights, which is what is returned.
    clip : float
        Largest norm of a gradient.
    drawing : float
        What drawing the noise-free spectrum from the embedding alone counts beside matching; 0
        leaves it out.
    precision, accelerator : str
        As for `fit`.
    seed : int
        Of the batches.
    checkpoint_every : int
        Steps between checkpoints and lines of the log.
    validate : callable, optional
        Called with the model, its reader averaged, at every checkpoint; the numbers that it
        returns are logged.
    progress : bool, optional
        Show a bar; by default where standard error is a terminal.

    Returns
    -------
    model : `~spectok.SpectralTokenizer`
        The same model with the averaged reader.

    Raises
    ------
    ValueError
        For a model without a reader, no pack, or shares that are not positive; for a model with
        places, but another number of them than `shared_places` of the packs; for a model with a
        ``reader_step``, and views that `cut_views` has not cut; where the checkpoint in
        ``folder`` is damaged, or of another model or other packs.
    FloatingPointError
        Where the loss is no longer finite; the last checkpoint is kept.

    References
    ----------
    Shen et al. (2025), arXiv:2510.17959, section 4 (contrastive training as an option); van den
    Oord et al. (2018), arXiv:1807.03748.

    Examples
    --------
    >>> import tempfile, torch
    >>> from spectok import ModelConfig, SpectralTokenizer
    >>> from spectok.training import ViewPack, fit_reader
    >>> place = 4000.0 + 30.0 * torch.arange(10, dtype=torch.float64)[None]
    >>> view = {"value": torch.randn(8, 10, 16), "wavelength": place, "half": 0 * place + 15.0,
    ...         "valid": torch.ones(8, 10, dtype=torch.bool)}
    >>> pack = ViewPack({"first": view, "second": view})
    >>> model = SpectralTokenizer(ModelConfig.of_size("tiny", embedding_size=8))
    >>> model = fit_reader(model, {"toy": (1.0, pack)}, tempfile.mkdtemp(), steps=2, batch=8,
    ...                    accelerator="cpu", progress=False)
    """
    if model.reader is None:
        raise ValueError("this model has no reader: set embedding_size in its ModelConfig")
    if not packs or not all(share > 0 for share, _ in packs.values()):
        raise ValueError("packs must hold pairs (share, ViewPack) with positive shares")
    for name, (_, pack) in packs.items():
        uncut = uncut_views(pack, model.config)
        if uncut:
            raise ValueError(
                f"this model cuts tokens into shared patches before it reads them, and the views "
                f"{', '.join(uncut)} of the pack {name!r} are on their own: give "
                "cut_views(pack, model.config)"
            )
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    fabric = start(accelerator, 1, 1, "auto", precision)
    names = list(packs)
    shares = np.array([packs[name][0] for name in names])
    model.requires_grad_(False)
    matching = Matching(model, {name: pack for name, (_, pack) in packs.items()})
    standardise(model.reader, [pack for _, pack in packs.values()])
    matching.train().requires_grad_(True)
    device = fabric.device
    optimizers = optimizers_of(
        matching, "muon", rate=learning_rate, decay=weight_decay, fused=device.type == "cuda"
    )
    matching, *optimizers = fabric.setup(matching, *optimizers)
    average = AveragedModel(model.reader, multi_avg_fn=get_ema_multi_avg_fn(ema_decay))
    state = {"matching": matching, "average": average, "step": 0}
    state |= {f"optimizer{k}": one for k, one in enumerate(optimizers)}
    kept = folder / "checkpoint.pt"
    # Names in order, and grids: a drawer belongs to its pack.
    about = [
        f"{name} ({0 if pack.truth is None else pack.truth.shape[1]} points)"
        for name, (_, pack) in packs.items()
    ]
    made_with = {
        "optimizer": "muon", "model": {"packs": about, **dataclasses.asdict(model.config)}
    }  # fmt: skip
    if kept.exists():
        resume(fabric, kept, state, made_with)
    bar = progress_bar(
        "matching", total=steps, initial=state["step"], unit="step", progress=progress,
        patient=False,
    )  # fmt: skip
    logged: list[dict[str, float]] = []
    started = time.monotonic()
    while state["step"] < steps:
        rate = learning_rate_at(
            state["step"], peak=learning_rate, warmup=warmup, steps=steps, schedule="cosine"
        )
        set_rate(optimizers, rate)
        rng = np.random.default_rng((seed, state["step"]))
        name = names[rng.choice(len(names), p=shares / shares.sum())]
        _, pack = packs[name]
        pair, truth = pack.draw(rng, batch, model.config.reader_group)
        pair = [{key: array.to(device) for key, array in view.items()} for view in pair]
        truth = None if truth is None else truth.to(device)
        with _dropping(model.reader, device, int(rng.integers(2**62))):
            parts = matching(Opaque((pair, truth)), name, drawing)
        fabric.backward(parts["loss"])
        logged.append({key: float(value.detach()) for key, value in parts.items()})
        logged[-1][f"right {name}"] = logged[-1]["right"]
        if not math.isfinite(logged[-1]["loss"]):
            raise FloatingPointError(
                f"the loss became {logged[-1]['loss']} at step {state['step']}: lower the "
                "learning rate, or look at the packs"
            )
        nn.utils.clip_grad_norm_(matching.parameters(), clip)
        take_step(optimizers, device)
        average.update_parameters(model.reader)
        state["step"] += 1
        bar.update()
        if state["step"] % checkpoint_every == 0 or state["step"] == steps:
            row = {"step": state["step"], "seconds": round(time.monotonic() - started, 1)}
            for key in ("loss", "match", "right", "drawing", *(f"right {one}" for one in names)):
                some = [one[key] for one in logged if key in one]
                row[key] = round(float(np.mean(some)), 4) if some else math.nan
            logged = []
            if validate is not None:
                row |= _validated(model, average.module, validate)
            record(fabric, kept, {**state, "made_with": made_with}, row)
            bar.set_postfix(loss=f"{row['loss']:.3f}")
    bar.close()
    model.reader.load_state_dict(average.module.state_dict())
    return model.eval().requires_grad_(False)


@contextlib.contextmanager
def _dropping(reader: Reader, device: torch.device, seed: int) -> Iterator[None]:
    """Around a step: numbers at places are dropped, as the seed says and nobody else's chance."""
    reading = reader.reading
    if reading is None:
        yield
        return
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        reading.dropped, reading.unread = _DROPPED, _UNREAD
        try:
            yield
        finally:
            reading.dropped = reading.unread = 0.0


def _validated(
    model: SpectralTokenizer,
    averaged: nn.Module,
    validate: Callable[[SpectralTokenizer], dict[str, Any]],
) -> dict[str, Any]:
    """What ``validate`` says of the model with its averaged reader."""
    training, model.reader = model.reader, cast("Reader", averaged)
    try:
        return validate(model)
    finally:
        model.reader = training
