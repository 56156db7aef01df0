"""Millions of spectra: bulk encoding of folders, Parquet, HATS and Dask, resumable (layer 5)."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
