from . import apogee, desi, galah, sdss
from ._multimodal import MultimodalUniverse
from ._multimodal_rows import SurveyRecord, as_arrays
from ._read import read
from ._sparcl import from_sparcl

__all__ = [
    "MultimodalUniverse",
    "SurveyRecord",
    "apogee",
    "as_arrays",
    "desi",
    "from_sparcl",
    "galah",
    "read",
    "sdss",
]
