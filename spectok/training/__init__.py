"""Pretraining: batches of mixed surveys, the loop, checkpoints."""

import lazy_loader as _lazy

from spectok._deprecated import deprecated_names as _deprecated_names

_attribute, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
__getattr__ = _deprecated_names(
    __name__,
    _attribute,
    {
        "Objective": ("spectok.training._objective", "spectok.training.fit makes it"),
        "TrainingBatch": ("spectok.training._data", "take what spectok.training.Batches gives"),
    },
)
