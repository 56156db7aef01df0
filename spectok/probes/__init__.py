"""The adaptation module: frozen tokens to labels, and what else tokens tell."""

from typing import Any

import lazy_loader as _lazy

_attribute, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    if name == "PoolTokens":
        import warnings

        from astropy.utils.exceptions import AstropyDeprecationWarning

        from spectok.probes._simple import PoolTokens

        warnings.warn(
            "spectok.probes.PoolTokens will go: use spectok.pool, spectok.embed or linear_probe",
            AstropyDeprecationWarning,
            stacklevel=2,
        )
        return PoolTokens
    return _attribute(name)
