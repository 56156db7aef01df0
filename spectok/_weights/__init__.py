"""Weights: embedded ones, downloads, folders of one's own; which ones a network has."""

from spectok._weights._copies import bfloat16_copy
from spectok._weights._hub_card import save_hub_card
from spectok._weights._identity import model_identity
from spectok._weights._store import (
    DEFAULT,
    describe,
    list_models,
    load_model,
    resolve,
    save_model,
)

__all__ = [
    "DEFAULT",
    "bfloat16_copy",
    "describe",
    "list_models",
    "load_model",
    "model_identity",
    "resolve",
    "save_hub_card",
    "save_model",
]
