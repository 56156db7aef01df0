from . import metrics
from ._classifier import ProbeClassifier as ProbeClassifier
from ._first_look import first_look as first_look
from ._neighbours import neighbours as neighbours
from ._novelty import novelty as novelty
from ._novelty import novelty_reference as novelty_reference
from ._redshift import RedshiftProbe as RedshiftProbe
from ._regressor import ProbeRegressor as ProbeRegressor
from ._save import load_probe as load_probe
from ._save import save_probe as save_probe
from ._shipped import catalogue as catalogue
from ._shipped import load_head as load_head
from ._simple import knn_probe as knn_probe
from ._simple import linear_probe as linear_probe
from ._transients import transient_features as transient_features

__all__ = [
    "ProbeClassifier",
    "ProbeRegressor",
    "RedshiftProbe",
    "catalogue",
    "first_look",
    "knn_probe",
    "linear_probe",
    "load_head",
    "load_probe",
    "metrics",
    "neighbours",
    "novelty",
    "novelty_reference",
    "save_probe",
    "transient_features",
]
