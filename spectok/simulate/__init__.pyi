from ._bounds import label_bounds as label_bounds
from ._observe import observe as observe
from ._observe import observe_pairs as observe_pairs
from ._simulator import Simulator as Simulator
from .instruments._instrument import Instrument as Instrument
from .instruments._spectrographs import instrument as instrument
from .objects._registry import conf as conf
from .objects._sources import build_templates as build_templates
from .objects._templates import Templates as Templates
from .objects._templates import load_templates as load_templates
from .objects._templates import save_templates as save_templates

__all__ = [
    "Instrument",
    "Simulator",
    "Templates",
    "build_templates",
    "conf",
    "instrument",
    "label_bounds",
    "load_templates",
    "observe",
    "observe_pairs",
    "save_templates",
]
