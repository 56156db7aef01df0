"""Survey files as spectra with right masks, errors, medium and identifiers.

``spectok.surveys.read(path)`` finds the survey from what the file holds;
`sdss`, `desi`, `galah` and `apogee` have a ``read`` of their own.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
