"""Readers of survey files: spectra with masks, errors, medium (air or vacuum) and identifiers.

``spectok.surveys.read(path)`` finds the survey from what the file holds;
`sdss`, `desi`, `galah` and `apogee` have a ``read`` of their own.
"""

import lazy_loader as _lazy

from spectok._deprecated import deprecated_names as _deprecated_names

_attribute, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
__getattr__ = _deprecated_names(
    __name__,
    _attribute,
    {
        "SurveyRecord": (
            "spectok.surveys._multimodal_records",
            "take what spectok.surveys.MultimodalUniverse gives",
        ),
        "as_arrays": (
            "spectok.surveys._multimodal_records",
            "use spectok.surveys.MultimodalUniverse.as_arrays",
        ),
    },
)
