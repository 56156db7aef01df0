"""Tasks of Dask that each write a file, told of as they end, on whatever scheduler there is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from spectok._file_batches import in_halves

__all__ = ["OutputError", "compute"]

Done = Callable[[Path, Exception | None], None]


class OutputError(OSError):
    """The output cannot be written, so that going on makes no sense."""


def compute(tasks: Mapping[Path, Any], done: Done) -> None:
    """Compute tasks, all of them however many fail.

    Parameters
    ----------
    tasks : mapping of path to `dask.delayed.Delayed`
        By the files that they write.
    done : callable
        Told of each file as its task ends, and of the error where there was one. What it raises
        stops the others.
    """
    import dask

    if not tasks:
        return
    # A method of the client, where the scheduler is that of dask.distributed.
    scheduler = dask.base.get_scheduler(collections=list(tasks.values()))
    client = getattr(scheduler, "__self__", None)
    if hasattr(client, "scheduler_info"):
        _on_workers(client, tasks, done)
    else:
        _here(tasks, done)


def _on_workers(client: Any, tasks: Mapping[Path, Any], done: Done) -> None:
    from distributed import as_completed

    futures = client.compute(list(tasks.values()))
    targets = {future.key: target for future, target in zip(futures, tasks, strict=True)}
    try:
        for future in as_completed(futures):
            done(targets[future.key], future.exception())
    finally:
        client.cancel([future for future in futures if not future.done()])


def _here(tasks: Mapping[Path, Any], done: Done) -> None:
    """Dask's threads, processes or neither: with these the first error ends all that is left."""
    import dask
    from dask.callbacks import Callback

    targets = {task.key: target for target, task in tasks.items()}
    ended: set[Path] = set()

    def one_more(key: Any, *_: Any) -> None:
        if key in targets:
            ended.add(targets[key])
            done(targets[key], None)

    def work(some: Sequence[Path]) -> None:
        left = [tasks[target] for target in some if target not in ended]
        if left:
            with Callback(posttask=one_more):
                dask.compute(*left)

    for some, error in in_halves(list(tasks), work):
        if error is not None:
            done(some[0], error)
