"""What a run leaves to look at: a table, TensorBoard, pictures.

Fabric's ``CSVLogger`` is not used, because it begins a new file whenever a run is resumed, and
deletes the old one where it is told to go on in its folder.
"""

from __future__ import annotations

import csv
import os
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
        Numbers, among them ``step``; `matplotlib.figure.Figure` by name. Each number goes into
        the column of its name: one that was not there before becomes a new column, empty in the
        lines above.
    """
    numbers = {key: value for key, value in row.items() if isinstance(value, (int, float))}
    figures = {key: value for key, value in row.items() if key not in numbers}
    _add_line(folder / "log.csv", numbers)
    step = int(numbers["step"])
    for name, figure in figures.items():
        (folder / "pictures").mkdir(exist_ok=True)
        figure.savefig(folder / "pictures" / f"{name}-{step:07d}.png", dpi=100)
    try:
        from lightning.fabric.loggers import TensorBoardLogger

        board = TensorBoardLogger(folder, name="tensorboard", version="")
    except ModuleNotFoundError:
        return
    board.log_metrics({key: value for key, value in numbers.items() if key != "step"}, step)
    for name, figure in figures.items():
        board.experiment.add_figure(name, figure, step, close=False)
    board.experiment.close()


def _add_line(path: Path, numbers: dict[str, float]) -> None:
    """Write a line of a table, in one move where its head must change."""
    lines: list[dict[str, Any]] = []
    columns = list(numbers)
    whole = True
    if path.exists():
        with path.open(newline="") as file:
            reader = csv.DictReader(file)
            lines, columns = list(reader), list(reader.fieldnames or [])
        whole = path.read_bytes().endswith(b"\n")  # a lost machine may leave half a line
    new = [key for key in numbers if key not in columns]
    if lines and whole and not new:
        with path.open("a", newline="") as file:
            csv.DictWriter(file, columns, restval="").writerow(numbers)
        return
    partial = path.with_suffix(".partial")
    with partial.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns + new, restval="", extrasaction="ignore")
        writer.writeheader()
        writer.writerows([*lines, numbers])
    os.replace(partial, path)
