from . import apogee, desi, galah, sdss
from ._multimodal import MultimodalUniverse
from ._read import read
from ._sparcl import from_sparcl

__all__ = [
    "MultimodalUniverse",
    "apogee",
    "desi",
    "from_sparcl",
    "galah",
    "read",
    "sdss",
]
