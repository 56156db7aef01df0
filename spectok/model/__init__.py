"""The network itself, in plain PyTorch: it knows nothing of units or files."""

from spectok.model._config import ModelConfig
from spectok.model._tokenizer import SpectralTokenizer

__all__ = ["ModelConfig", "SpectralTokenizer"]
