"""Probes: labels, redshifts, neighbours and outliers from frozen tokens."""

import lazy_loader as _lazy

from spectok._deprecated import deprecated_names as _deprecated_names

_attribute, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
__getattr__ = _deprecated_names(
    __name__,
    _attribute,
    {
        "PoolTokens": (
            "spectok.probes._simple",
            "use spectok.pool, spectok.embed or spectok.probes.linear_probe",
        ),
    },
)
