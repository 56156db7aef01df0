from ._data import Batches, Example, RealSpectra, Source, TrainingBatch
from ._loop import Objective, fit

__all__ = [
    "Batches",
    "Example",
    "Objective",
    "RealSpectra",
    "Source",
    "TrainingBatch",
    "fit",
]
