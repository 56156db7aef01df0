from ._data import Batches, Example, Source, TrainingBatch
from ._loop import fit
from ._mocks import MockSpectra
from ._objective import Objective
from ._real import RealSpectra, pack_spectra

__all__ = [
    "Batches",
    "Example",
    "MockSpectra",
    "Objective",
    "RealSpectra",
    "Source",
    "TrainingBatch",
    "fit",
    "pack_spectra",
]
