"""Deprecated names of arguments and of modules' members: they work for one release and warn.

astropy is imported only when an old name is used, so that what simulates stays light.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import warnings
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

__all__ = ["deprecated_names", "renamed_argument", "warn_deprecated"]

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
    category: type[Warning] = FutureWarning  # machines that pretrain have no astropy
    with contextlib.suppress(ImportError):
        from astropy.utils.exceptions import AstropyDeprecationWarning

        category = AstropyDeprecationWarning
    warnings.warn(message, category, stacklevel=stacklevel + 1)


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


def deprecated_names(
    package: str, attribute: Callable[[str], Any], names: Mapping[str, tuple[str, str]]
) -> Callable[[str], Any]:
    """A package's ``__getattr__`` that still finds names which are public no more, and warns.

    Parameters
    ----------
    package : str
        Name of the package.
    attribute : callable
        Its ``__getattr__`` for all other names: that of `lazy_loader`.
    names : mapping of str to (str, str)
        For each old name the module that has it, and what to use instead.

    Returns
    -------
    getter : callable
        The ``__getattr__``.
    """

    def getter(name: str) -> Any:
        if name not in names:
            return attribute(name)
        module, instead = names[name]
        warn_deprecated(
            f"{package}.{name} is no public name since spectok 0.2 and goes with 0.3: {instead}"
        )
        return getattr(importlib.import_module(module), name)

    return getter
