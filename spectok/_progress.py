"""Progress bars, on terminals and in notebooks (layer 0)."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable
from typing import Any

from tqdm import TqdmWarning

with warnings.catch_warnings():
    # In a notebook without ipywidgets bars are drawn as text, which needs no warning.
    warnings.simplefilter("ignore", category=TqdmWarning)
    from tqdm.auto import tqdm

__all__ = ["progress_bar"]

_PATIENCE = 2.0  # seconds


def progress_bar(
    what: str,
    *,
    unit: str,
    progress: bool | None,
    total: int | None = None,
    over: Iterable[Any] | None = None,
    initial: int = 0,
    patient: bool = True,
) -> tqdm:
    """A bar that is shown where somebody may look at it.

    Parameters
    ----------
    what : str
        What is being done, such as "encoding".
    unit : str
        What is counted, such as "spectrum".
    progress : bool, optional
        Show it or not; None: on a terminal and in a notebook.
    total, initial : int
        Of the count: its end and its start.
    over : iterable, optional
        What the bar iterates over.
    patient : bool
        Unless ``progress`` is True, say nothing for the first two seconds.
    """
    if progress is None:
        # tqdm asks whether the output is a terminal, and a notebook's says that it is none.
        disable = False if "ipykernel.zmqshell" in sys.modules else None
    else:
        disable = not progress
    if total == 0:
        disable = True  # nothing to do is nothing to show
    return tqdm(
        over,
        total=total,
        initial=initial,
        desc=what,
        unit=unit,
        disable=disable,
        delay=_PATIENCE if patient and progress is None else 0.0,
    )
