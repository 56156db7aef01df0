"""Deprecated names of arguments and of modules' members: they work for one release and warn.

astropy is imported only when an old name is used, so that what simulates stays light.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["renamed_argument", "warn_deprecated"]

_F = TypeVar("_F", bound=Callable[..., Any])


def warn_deprecated(message: str, stacklevel: int = 2) -> None:
    """Warn of a deprecated name.

    Parameters
    ----------
    message : str
        What is deprecated, and what to use instead.
    stacklevel : int
        Of the code that used the name, counted from the caller as in `warnings.warn`.
    """
    from astropy.utils.exceptions import AstropyDeprecationWarning

    warnings.warn(message, AstropyDeprecationWarning, stacklevel=stacklevel + 1)


def renamed_argument(old: str, new: str) -> Callable[[_F], _F]:
    """Decorator by which a function still takes an argument by its old keyword, with a warning.

    Parameters
    ----------
    old, new : str
        Names of the argument in the last release and now.

    Returns
    -------
    decorate : callable
        For the function. It raises TypeError where both names are given.
    """

    def decorate(function: _F) -> _F:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            if old in kwargs:
                if new in kwargs:
                    raise TypeError(f"give {new}, not {new} and {old}, its old name")
                warn_deprecated(
                    f"the argument {old} is called {new} since spectok 0.2; "
                    "the old name goes with 0.3"
                )
                kwargs[new] = kwargs.pop(old)
            return function(*args, **kwargs)

        return wrapper  # type: ignore[return-value]

    return decorate
