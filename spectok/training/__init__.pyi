from ._curriculum import training_simulators
from ._data import Batches, Source, TrainingBatch
from ._loop import fit
from ._loss import gaussian_loss
from ._mocks import MockSpectra
from ._objective import Objective
from ._packed import open_pack, pack_spectra
from ._real import RealSpectra
from ._validation import Validation
from ._window import Drawn

__all__ = [
    "Batches",
    "Drawn",
    "MockSpectra",
    "Objective",
    "RealSpectra",
    "Source",
    "TrainingBatch",
    "Validation",
    "fit",
    "gaussian_loss",
    "open_pack",
    "pack_spectra",
    "training_simulators",
]
