"""What a run leaves to look at: a table, TensorBoard, pictures."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

__all__ = ["write_log"]


def write_log(folder: Path, row: dict[str, Any]) -> None:
    """Add a line to ``log.csv``, to TensorBoard's files where it is installed, and pictures.

    Parameters
    ----------
    folder : path
        Pictures go to its ``pictures``, TensorBoard's files to its ``tensorboard``.
    row : dict
        Numbers, among them ``step``; `matplotlib.figure.Figure` by name.
    """
    numbers = {key: value for key, value in row.items() if isinstance(value, (int, float))}
    figures = {key: value for key, value in row.items() if key not in numbers}
    path = folder / "log.csv"
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(numbers))
        if new:
            writer.writeheader()
        writer.writerow(numbers)
    step = int(numbers["step"])
    for name, figure in figures.items():
        (folder / "pictures").mkdir(exist_ok=True)
        figure.savefig(folder / "pictures" / f"{name}-{step:07d}.png", dpi=100)
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return
    with SummaryWriter(str(folder / "tensorboard")) as writer:
        for name, value in numbers.items():
            if name != "step":
                writer.add_scalar(name, value, step)
        for name, figure in figures.items():
            writer.add_figure(name, figure, step, close=False)
