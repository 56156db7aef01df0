"""The adaptation module: frozen tokens to labels, and what else tokens tell."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
