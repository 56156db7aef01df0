"""spectok: a universal spectrum tokenizer for astronomers.

Any spectrum that specutils can hold goes in on its native wavelength grid, wavelength-aware
tokens come out, and any requested grid can be decoded from them.
"""

import lazy_loader as _lazy

__version__ = "0.1.dev0"

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
