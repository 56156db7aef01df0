"""What a run writes into its folder: a checkpoint, and a line of the log."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

import torch

__all__ = ["record"]


def record(path: Path, state: dict[str, Any], row: dict[str, Any]) -> None:
    """Write a checkpoint, and a line of ``log.csv`` beside it.

    Raises
    ------
    OSError
        Where either cannot be written.
    """
    try:
        _save(path, state)
        _log(path.with_name("log.csv"), row)
    # A disk that is full is an OSError, or a RuntimeError where torch closes its file.
    except (OSError, RuntimeError) as error:
        raise OSError(
            f"step {state['step']} could not be written to {path.parent} ({error!r}): make room "
            "there and start again; "
            + (f"the last checkpoint is {path}" if path.exists() else "no checkpoint yet")
        ) from error


def _save(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint beside the old one and put it in its place in one move."""
    partial = path.with_suffix(".partial")
    # What fabric.load reads; fabric.save makes a second copy in memory first.
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


def _log(path: Path, row: dict[str, Any]) -> None:
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(row))
        if new:
            writer.writeheader()
        writer.writerow(row)
