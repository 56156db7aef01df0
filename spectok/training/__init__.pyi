from ._curriculum import training_simulators
from ._cut_views import cut_views
from ._data import Batches, Source
from ._lightcurves import Curve, LightCurveBatches, degrade_curve
from ._loop import fit
from ._loss import gaussian_loss
from ._match import fit_reader
from ._mocks import MockSpectra
from ._packed import open_pack, pack_spectra
from ._real import RealSpectra
from ._validation import Validation
from ._views import ViewPack, open_views, shared_places
from ._window import Drawn

__all__ = [
    "Batches",
    "Curve",
    "Drawn",
    "LightCurveBatches",
    "MockSpectra",
    "RealSpectra",
    "Source",
    "Validation",
    "ViewPack",
    "cut_views",
    "degrade_curve",
    "fit",
    "fit_reader",
    "gaussian_loss",
    "open_pack",
    "open_views",
    "pack_spectra",
    "shared_places",
    "training_simulators",
]
