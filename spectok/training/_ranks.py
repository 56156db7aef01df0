"""Several ranks: how a run starts on them, and what the first one writes for all."""

from __future__ import annotations

import os
import pickle
import warnings
from pathlib import Path
from typing import Any, cast

import torch

try:
    from lightning.fabric import Fabric
except ImportError as error:
    raise ImportError(
        'pretraining needs lightning: pip install ".[training]" in a checkout'
    ) from error

from spectok._processor import BFLOAT16_UNITS, multiplies_bfloat16
from spectok.training._log import write_log

__all__ = ["record", "resume", "start"]


def start(
    accelerator: str,
    devices: int | str | list[int],
    num_nodes: int,
    strategy: str,
    precision: str,
) -> Fabric:
    """Fabric, started; under ``torchrun`` on the ranks that it has made."""
    if "LT_CLI_USED" in os.environ:
        # Fabric reads what `fabric run` was told, and refuses other numbers than "auto" and 1.
        devices, num_nodes = "auto", 1
    elif "TORCHELASTIC_RUN_ID" in os.environ:
        devices = int(os.environ["LOCAL_WORLD_SIZE"])
        num_nodes = int(os.environ["WORLD_SIZE"]) // devices
    fabric = Fabric(
        accelerator=accelerator,
        devices=devices,
        num_nodes=num_nodes,
        strategy=strategy,
        precision=cast("Any", precision),  # Fabric refuses what it does not know
    )
    if "LT_CLI_USED" not in os.environ:
        fabric.launch()
    rounded = str(precision).startswith("bf16")
    if rounded and fabric.is_global_zero and not multiplies_bfloat16(fabric.device):
        warnings.warn(
            f"precision={precision!r}: the device {fabric.device} has no units that multiply "
            f"matrices in bfloat16 ({BFLOAT16_UNITS}) and emulates them, which is slow: take "
            "'32-true' here",
            stacklevel=3,
        )
    return fabric


def resume(fabric: Fabric, path: Path, state: dict[str, Any], made_with: dict[str, Any]) -> None:
    """Go on from a checkpoint.

    Parameters
    ----------
    fabric : `lightning.fabric.Fabric`
    path : path
        What `record` wrote.
    state : dict
        Model, average, optimizers and step, which take what the checkpoint holds.
    made_with : dict
        Name of the optimizer and configuration of the model, and of a reader's training its
        packs: those of the checkpoint must agree.

    Raises
    ------
    ValueError
        Where the file is no checkpoint, is damaged, or is one of another model or optimizer.
    """
    mend = (
        "; go on with the model and the optimizer of that run, or give a folder of its own to a "
        "new one"
    )
    try:
        rest = fabric.load(path, state)
    # What torch and Fabric raise for a file cut short, for other keys, shapes and groups.
    except (
        RuntimeError, ValueError, KeyError, EOFError, OSError, pickle.UnpicklingError,
    ) as error:  # fmt: skip
        if isinstance(error, PermissionError | FileNotFoundError):
            raise
        said = " ".join(str(error).split())
        raise ValueError(
            f"the checkpoint {path} does not fit this run, or is damaged ({said[:200]}){mend}"
        ) from error
    # Without it (written by 0.1) all that is known is that the shapes agree.
    before = rest.get("made_with", made_with)
    own = {"optimizer": made_with["optimizer"], **made_with["model"]}
    other = {"optimizer": before["optimizer"], **before["model"]}
    differ = [key for key in own if key in other and own[key] != other[key]]
    if differ:
        what = ", ".join(f"{key} {other[key]} instead of {own[key]}" for key in differ)
        raise ValueError(f"the checkpoint {path} was made with {what}{mend}")


def record(fabric: Fabric, path: Path, state: dict[str, Any], row: dict[str, Any]) -> None:
    """Write a checkpoint, and a line of the log beside it, on the first rank.

    Raises
    ------
    OSError
        On all ranks, where either cannot be written.
    """
    failure = None
    if fabric.is_global_zero:
        try:
            _save(path, state)
            write_log(path.parent, row)
        # A disk that is full is an OSError, or a RuntimeError where torch closes its file.
        except (OSError, RuntimeError) as error:
            failure = error
    reason = fabric.broadcast(repr(failure) if failure else None)
    if reason:
        raise OSError(
            f"step {state['step']} could not be written to {path.parent} ({reason}): make room "
            "there and start again; "
            + (f"the last checkpoint is {path}" if path.exists() else "no checkpoint yet")
        ) from failure


def _save(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint beside the old one and put it in its place in one move."""
    partial = path.with_suffix(".partial")
    # What fabric.load reads. fabric.save would wait for the other ranks even after an error,
    # and goes by way of a file in the system's folder for temporary ones.
    content = {
        name: part.state_dict() if hasattr(part, "state_dict") else part
        for name, part in state.items()
    }
    try:
        with partial.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except (OSError, RuntimeError):
        partial.unlink(missing_ok=True)
        raise
