"""The pretraining loop, in the open; Lightning Fabric carries devices, ranks and precision."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from spectok._progress import progress_bar
from spectok.model import SpectralTokenizer
from spectok.training._data import Batches, TrainingBatch
from spectok.training._objective import Objective, Opaque
from spectok.training._optimizer import learning_rate_at, optimizers_of, set_rate, take_step
from spectok.training._ranks import record, resume, start
from spectok.training._speed import Clock, matmul_peak

__all__ = ["fit"]

# Not float16: its scaled gradients would be clipped as they are. Not bfloat16 alone: pixels enter
# and leave in float32, and small steps would be lost in the weights.
_DTYPES = {"32-true": torch.float32, "bf16-mixed": torch.bfloat16}


def fit(
    model: SpectralTokenizer,
    batches: Batches,
    folder: str | Path,
    *,
    steps: int,
    accumulate: int = 2,
    optimizer: str = "muon",
    learning_rate: float = 4e-3,
    schedule: str = "cosine",
    warmup: int = 200,
    weight_decay: float = 0.01,
    ema_decay: float = 0.999,
    clip: float = 1.0,
    model_error: bool = True,
    degrees_of_freedom: float | None = None,
    accelerator: str = "auto",
    devices: int | str | list[int] = 1,
    num_nodes: int = 1,
    strategy: str = "auto",
    precision: str = "32-true",
    num_workers: int = 0,
    compile: bool = False,
    checkpoint_every: int = 250,
    validate: Callable[[SpectralTokenizer], dict[str, Any]] | None = None,
    progress: bool | None = None,
) -> SpectralTokenizer:
    """Pretrain a tokenizer; resumes by itself where ``folder`` holds a checkpoint.

    One process and several ranks run the same code: start the script with ``torchrun`` or
    ``fabric run``, or say ``devices``. Batch k of a step is number ``(step * accumulate + k) *
    ranks + rank``, and the loss of a step is one mean over all its pixels on all ranks: two
    ranks with ``accumulate=2`` are one with ``accumulate=4``, also after a resumption.

    Parameters
    ----------
    model : `~spectok.SpectralTokenizer`
        New, or trained before.
    batches : `Batches`
        What it learns from.
    folder : path
        Receives ``checkpoint.pt`` (complete: model, average, optimizers, step), ``log.csv``
        (loss, spectra and tokens per second and model FLOP utilisation of the first rank, what
        ``validate`` returns), the same for TensorBoard where it is installed, and pictures; all
        written by the first rank. All ranks must see it.
    steps : int
        Optimizer steps in all, those before a resumption included.
    accumulate : int
        Batches of one step on each rank.
    optimizer : str
        ``"muon"`` or ``"adamw"``, see `~spectok.training._optimizer.optimizers_of`.
    learning_rate : float
        Peak rate.
    schedule : str
        ``"cosine"``, down to a hundredth at ``steps``, or ``"constant"`` (the paper's).
    warmup, weight_decay : int, float
        Steps until the peak rate is reached, and decay of the weight matrices.
    ema_decay : float
        Of the exponential moving average of the weights, which is what is returned.
    clip : float
        Largest norm of a gradient.
    model_error : bool
        False for the paper's loss; see `gaussian_loss`.
    degrees_of_freedom : float, optional
        Of Student's t distribution instead of the Gaussian one, for targets with outliers that
        nothing foretells, as light curves have; see `gaussian_loss`.
    accelerator : str
        Passed to `lightning.fabric.Fabric`.
    devices, num_nodes, strategy : int or str or list of int, int, str
        Ranks of each machine, machines, and how they work together ("ddp" is what is tested),
        passed to `lightning.fabric.Fabric`. Under ``torchrun`` and ``fabric run`` the numbers
        are the launcher's.
    precision : str
        ``"32-true"`` or ``"bf16-mixed"``. What has no units for bfloat16 (a warning says so)
        emulates it and is slower with it.
    num_workers : int
        Processes that prepare batches, for each rank.
    compile : bool
        Compile the blocks with `torch.compile`: for GPUs, after a minute.
    checkpoint_every : int
        Steps between checkpoints and lines of the log.
    validate : callable, optional
        Called on the first rank with the averaged model at every checkpoint, such as
        `Validation`; the numbers that it returns are logged, figures are saved.
    progress : bool, optional
        Show a bar; by default where standard error is a terminal.

    Returns
    -------
    model : `~spectok.SpectralTokenizer`
        The averaged model.

    Raises
    ------
    ValueError
        For an unknown precision, optimizer or schedule; for ``steps``, ``accumulate`` or
        ``checkpoint_every`` below 1, ``warmup`` or ``num_workers`` below 0, and
        ``degrees_of_freedom`` that are not positive or stand beside ``model_error=False``; where
        the checkpoint in ``folder`` is damaged, or of another model or optimizer.
    FloatingPointError
        On all ranks, where the loss is no longer finite; the last checkpoint is kept.
    OSError
        On all ranks, where a checkpoint or the log cannot be written; the last one is kept.

    References
    ----------
    Shen et al. (2025), arXiv:2510.17959, section 2.

    Examples
    --------
    >>> import tempfile
    >>> from spectok import ModelConfig, SpectralTokenizer
    >>> from spectok.simulate import Simulator
    >>> from spectok.training import Batches, MockSpectra, fit
    >>> mocks = MockSpectra({"sdss": [(1.0, Simulator("boss"))]})
    >>> batches = Batches({"mock": mocks}, {"sdss": {"mock": 1.0}}, patch_size=32, n_tokens=300,
    ...                   seed=1)
    >>> model = SpectralTokenizer(ModelConfig.of_size("tiny"))
    >>> model = fit(model, batches, tempfile.mkdtemp(), steps=2, warmup=1, accelerator="cpu",
    ...             progress=False)
    """
    if precision not in _DTYPES:
        raise ValueError(f"precision must be one of {', '.join(_DTYPES)}, not {precision!r}")
    least = {"steps": 1, "accumulate": 1, "checkpoint_every": 1, "warmup": 0, "num_workers": 0}
    counts = (steps, accumulate, checkpoint_every, warmup, num_workers)
    for (name, low), count in zip(least.items(), counts, strict=True):
        if count < low:
            raise ValueError(f"{name} must be at least {low}, not {count}")
    if degrees_of_freedom is not None and not (degrees_of_freedom > 0 and model_error):
        raise ValueError(
            f"degrees_of_freedom must be positive, and need model_error=True; they are "
            f"{degrees_of_freedom}, and model_error is {model_error}"
        )
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    fabric = start(accelerator, devices, num_nodes, strategy, precision)
    model.train().requires_grad_(True)  # a loaded model is frozen
    objective = Objective(model, model_error=model_error, degrees_of_freedom=degrees_of_freedom)
    objective, *optimizers = fabric.setup(
        objective,
        *optimizers_of(
            model,
            optimizer,
            rate=learning_rate,
            decay=weight_decay,
            fused=fabric.device.type == "cuda",
        ),
    )
    # After the setup, which gives every rank the first one's weights.
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(ema_decay))
    if compile:
        # The blocks, which are nearly all of the work: tracing the whole network with lengths that
        # differ takes minutes and more.
        for block in (*model.encoder, *model.decoder):
            block.compile(dynamic=True)
    state = {"objective": objective, "average": average, "step": 0}
    state |= {f"optimizer{k}": one for k, one in enumerate(optimizers)}
    kept = folder / "checkpoint.pt"
    made_with = {"optimizer": optimizer, "model": dataclasses.asdict(model.config)}
    if fabric.broadcast(kept.exists()):
        resume(fabric, kept, state, made_with)
    ranks, of_step = fabric.world_size, accumulate * fabric.world_size
    numbers = range(state["step"] * of_step + fabric.global_rank, steps * of_step, ranks)
    loader = iter(DataLoader(batches, sampler=numbers, batch_size=None, num_workers=num_workers))
    bar = progress_bar(
        "pretraining",
        total=steps,
        initial=state["step"],
        unit="step",
        progress=False if fabric.global_rank else progress,
        patient=False,
    )
    total_loss, logged, started = 0.0, state["step"], time.monotonic()
    peak = matmul_peak(fabric.device, _DTYPES[precision])
    clock = Clock(model.config, fabric.device, peak)

    def fetch() -> list[TrainingBatch]:
        return [next(loader).to(fabric.device) for _ in range(accumulate)]

    group = fetch() if state["step"] < steps else []
    while state["step"] < steps:
        rate = learning_rate_at(
            state["step"], peak=learning_rate, warmup=warmup, steps=steps, schedule=schedule
        )
        set_rate(optimizers, rate)
        # One mean over all pixels of the step on all ranks, not a mean of the batches' means.
        own = torch.stack([(b.weight * b.target.valid).sum() for b in group]).sum()
        every = cast("torch.Tensor", fabric.all_reduce(own, reduce_op="sum")).clamp(min=1.0)
        loss = torch.zeros((), device=fabric.device)
        for k, batch in enumerate(group):
            clock.count(batch)
            with fabric.no_backward_sync(objective, enabled=k + 1 < accumulate):
                total, _ = objective(Opaque(batch))
                # Ranks' gradients are averaged when they are put together, and wanted is the sum.
                fabric.backward(total * ranks / every)
            loss += total.detach() / every
        # Before the loss is read, for which the host waits: a GPU has the next batches to make.
        group = fetch() if state["step"] + 1 < steps else []
        # The same number on all ranks: they go on or stop together.
        mean = float(cast("torch.Tensor", fabric.all_reduce(loss, reduce_op="sum")))
        if not math.isfinite(mean):
            first = state["step"] * of_step
            raise FloatingPointError(
                f"the loss became {mean} at step {state['step']}: lower the learning rate, or "
                f"look at batches {first} to {first + of_step - 1}; "
                + (f"the last checkpoint is {kept}" if kept.exists() else "no checkpoint yet")
            )
        torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
        take_step(optimizers, fabric.device)
        average.update_parameters(model)
        state["step"] += 1
        total_loss += mean
        bar.update()
        if state["step"] % checkpoint_every == 0 or state["step"] == steps:
            row = {
                "step": state["step"],
                "seconds": round(time.monotonic() - started, 1),
                "learning_rate": rate,
                "loss": total_loss / (state["step"] - logged),
                **clock.read(),
            }
            total_loss, logged = 0.0, state["step"]
            if validate is not None and fabric.is_global_zero:
                row |= validate(cast("SpectralTokenizer", average.module))
            record(fabric, kept, {**state, "made_with": made_with}, row)
            clock.read()  # what validation and writing took is no training
            bar.set_postfix(loss=f"{row['loss']:.4f}")
    bar.close()
    return cast("SpectralTokenizer", average.module)
