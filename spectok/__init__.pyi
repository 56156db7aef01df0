from . import bulk, plotting, probes, simulate, surveys, training
from ._codec import decode, embed, embed_arrays, encode, encode_arrays, to_rest_frame
from ._conf import conf
from ._flags import TokenFlag
from ._tokens import concatenate, group, pool, refusals
from ._weights import list_models, load_model, save_hub_card, save_model
from .model import ModelConfig, SpectralTokenizer

__version__: str
__citation__: str
__bibtex__: str

__all__ = [
    "ModelConfig",
    "SpectralTokenizer",
    "TokenFlag",
    "bulk",
    "concatenate",
    "conf",
    "decode",
    "embed",
    "embed_arrays",
    "encode",
    "encode_arrays",
    "group",
    "list_models",
    "load_model",
    "plotting",
    "pool",
    "probes",
    "refusals",
    "save_hub_card",
    "save_model",
    "simulate",
    "surveys",
    "to_rest_frame",
    "training",
]
