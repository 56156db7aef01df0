"""Millions of spectra: bulk encoding of folders, Parquet, HATS and Dask, resumable (layer 5)."""

import lazy_loader as _lazy

_getattr, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)


def __getattr__(name: str) -> object:
    try:
        return _getattr(name)
    except ModuleNotFoundError as error:
        if error.name not in ("pyarrow", "pandas"):
            raise
        raise ImportError(
            f'spectok.bulk needs {error.name}: pip install ".[bulk]" in a checkout'
        ) from error
