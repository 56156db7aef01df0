from ._data import Batches, Example, Source, TrainingBatch
from ._loop import Objective, fit
from ._real import RealSpectra

__all__ = [
    "Batches",
    "Example",
    "Objective",
    "RealSpectra",
    "Source",
    "TrainingBatch",
    "fit",
]
