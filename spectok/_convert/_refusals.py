"""Which spectra may be refused without failing the call."""

from __future__ import annotations

from spectok._convert._wavelength import NoDataError

__all__ = ["Refusals"]


class Refusals:
    """Decides whether the error of one spectrum is the error of the call.

    Parameters
    ----------
    errors : str
        ``"raise"``, ``"row"`` or ``"strict"``; see `spectok._convert.stream_spectra`.

    Attributes
    ----------
    usable : bool
        Whether any spectrum could be used so far.

    Raises
    ------
    ValueError
        For another ``errors``.
    """

    def __init__(self, errors: str) -> None:
        if errors not in ("raise", "row", "strict"):
            raise ValueError(f'errors must be "raise" or "row", not {errors!r}')
        self.errors = errors
        self.usable = False
        self._first: Exception | None = None

    def note(self, error: Exception) -> None:
        """Raise the error of a spectrum again, unless it may be a refused row."""
        dead = self.errors == "raise" and isinstance(error, NoDataError)
        if self.errors != "row" and not dead:
            raise error
        if self._first is None:
            self._first = error

    def check(self) -> None:
        """At the end of a call that raises: if not one spectrum had data, say so."""
        if self.errors == "raise" and not self.usable and self._first is not None:
            raise self._first
