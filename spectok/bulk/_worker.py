"""What every process that encodes holds once: the model, and how many threads it may use."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Any

import torch

from spectok._weights import model_identity, resolve
from spectok._weights._downloads import WEIGHTS
from spectok.bulk._options import Options
from spectok.model import SpectralTokenizer

__all__ = ["network_of"]

_lock = threading.Lock()
_networks: dict[tuple[str, str, int], SpectralTokenizer] = {}
_threads_set = False


def network_of(options: Options) -> SpectralTokenizer:
    """The model of a run, loaded once for each process however many threads ask at a time.

    In a worker of Dask, PyTorch takes as many threads as the worker has, so that workers side by
    side do not fight for the cores.

    Raises
    ------
    ValueError
        For an unknown model, and for one without a reader where embeddings are asked for.
    """
    with _lock:
        _share_the_cores()
        if isinstance(options.model, SpectralTokenizer):
            network = resolve(options.model, options.device)
        else:
            key = (str(options.model), str(options.device), _written(options.model))
            if key not in _networks:
                _networks[key] = resolve(options.model, options.device)
            network = _networks[key]
    if options.with_embedding and network.reader is None:
        name, _ = model_identity(network)
        raise ValueError(
            f"the model {name!r} has no reader and makes no embeddings: take the default model, "
            'or write="tokens"'
        )
    return network


def _written(model: Any) -> int:
    """When the weights in a folder of one's own were written: they may be trained on."""
    weights = Path(str(model)) / WEIGHTS
    return weights.stat().st_mtime_ns if weights.is_file() else 0


def _share_the_cores() -> None:
    """Once, in a worker of Dask: its number of threads is the one that it was given."""
    global _threads_set
    if _threads_set:
        return
    _threads_set = True
    worker = _dask_worker()
    if worker is not None and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(int(worker.state.nthreads), 1))


def _dask_worker() -> Any:
    module = sys.modules.get("distributed.worker")
    if module is None:
        return None
    try:
        return module.get_worker()
    except (ValueError, AttributeError):  # not inside a worker
        return None
