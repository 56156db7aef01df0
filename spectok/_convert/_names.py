"""Identifiers and other metadata, of any type, as text."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from astropy.utils.exceptions import AstropyUserWarning

from spectok._convert._masks import own_mask

__all__ = ["as_name", "as_names", "identifiers", "mapping_of", "names_of"]


def as_name(value: Any) -> str:
    """An identifier as text, whatever type it came in: bytes of HDF5 and FITS, numbers, text.

    Examples
    --------
    >>> from spectok._convert import as_name
    >>> as_name(b"J1"), as_name(39628427912810449)
    ('J1', '39628427912810449')
    """
    value = _plain(value)
    if isinstance(value, (bytes, bytearray)):
        value = bytes(value).decode("utf-8", "replace")
    return str(value).rstrip("\x00 ") if isinstance(value, str) else str(value)


def _plain(value: Any) -> Any:
    """A number or text of Python; floats that are whole as integers, nothing as the empty text.

    Tables in which an identifier is missing hold integers as floats, or masked.
    """
    if value is None or value is np.ma.masked or type(value).__name__ in ("NAType", "NaTType"):
        return ""
    if getattr(value, "mask", None) is not None and np.size(value) == 1 and np.all(value.mask):
        return ""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(-1)[0]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        if np.isnan(value):
            return ""
        if value.is_integer():
            if abs(value) > 2**53:
                warnings.warn(
                    f"the identifier {value:.17g} is a floating-point number and has lost digits: "
                    "read the identifiers as integers or as text",
                    AstropyUserWarning,
                    stacklevel=2,
                )
            return int(value)
    return value


def _members(values: Any) -> list[Any]:
    """Identifiers one by one, whatever they stand in; masked ones as None."""
    mask = own_mask(values)
    if hasattr(values, "to_pylist"):
        return list(values.to_pylist())
    if hasattr(values, "to_numpy") and not isinstance(values, np.ndarray):
        return list(values)  # of pandas, whose own arrays know what is missing
    if mask is not None:
        flat = np.asarray(getattr(values, "unmasked", values)).ravel()
        return [None if bad else one for one, bad in zip(flat, mask.ravel(), strict=True)]
    return list(np.ravel(values))


def as_names(values: Any) -> list[str]:
    """Identifiers as texts: one, or a sequence, column or array of any shape."""
    if isinstance(values, (str, bytes, bytearray)) or np.ndim(values) == 0:
        # A generator or another iterable that numpy takes for a scalar.
        if not isinstance(values, (str, bytes, bytearray, np.generic, np.ndarray)) and hasattr(
            values, "__iter__"
        ):
            return [as_name(value) for value in values]
        return [as_name(values)]
    return [as_name(value) for value in np.asarray(values, dtype=object).flat]


def identifiers(names: Any) -> list[int | str]:
    """One or many identifiers: integers stay integers, everything else is text.

    Examples
    --------
    >>> from spectok._convert import identifiers
    >>> identifiers([39628427912810449, b"J1"])
    [39628427912810449, 'J1']
    """
    if isinstance(names, (str, bytes, bytearray)) or np.ndim(names) == 0:
        listed = not isinstance(names, (str, bytes, bytearray, np.generic, np.ndarray))
        names = list(names) if listed and hasattr(names, "__iter__") else [names]
    elif not isinstance(names, (list, tuple)):
        names = _members(names)
    return [_identifier(name) for name in names]


def _identifier(name: Any) -> int | str:
    name = _plain(name)
    return name if isinstance(name, int) and not isinstance(name, bool) else as_name(name)


def mapping_of(meta: Any) -> Mapping[str, Any]:
    """Metadata as a mapping; empty where there is none, or it is something else."""
    if isinstance(meta, Mapping) or (hasattr(meta, "get") and hasattr(meta, "items")):
        return meta
    return {}


def names_of(meta: Any) -> list[int | str] | None:
    """Names from ``meta["object_id"]``, or as specutils reads them from SDSS and DESI files."""
    meta = mapping_of(meta)
    names = meta.get("object_id")
    if names is None:
        names = _plate(meta.get("header"))
    if names is None and meta.get("fibermap") is not None:
        try:
            names = meta["fibermap"]["TARGETID"]
        except (KeyError, IndexError, TypeError, ValueError, AttributeError):
            return None
    return None if names is None else identifiers(names)


def _plate(header: Any) -> str | None:
    """Plate, MJD and fibre of an SDSS header, where all three are whole numbers."""
    header = mapping_of(header)
    numbers = []
    for key in ("PLATEID", "MJD", "FIBERID"):
        try:
            value = header.get(key)
            number = int(str(value).strip() if isinstance(value, (str, bytes)) else value)
            if number != float(value):
                return None
        except (KeyError, TypeError, ValueError, OverflowError):
            return None
        numbers.append(number)
    return "{:04d}-{:05d}-{:04d}".format(*numbers)
