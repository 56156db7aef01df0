"""Labels: units off before a fit, and on again after a prediction."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from astropy import units as u
from astropy.table import Column, QTable, Table

__all__ = ["Labels", "read_labels"]


@dataclasses.dataclass(frozen=True)
class Labels:
    """Form of labels: their names and units, and whether they came as a table.

    Attributes
    ----------
    names : tuple of str
        Of the columns of a table; empty for an array.
    units : tuple of str or None
        One per label; None for plain numbers.
    vector : bool
        Whether an array had one axis, so that one number per spectrum comes back.
    """

    names: tuple[str, ...]
    units: tuple[str | None, ...]
    vector: bool

    def write(self, value: np.ndarray, *, spread: bool = False) -> Any:
        """Numbers (N, L) as what the labels were: array, Quantity or table.

        A ``spread`` is a difference of labels: that of dex(cm / s2) is in dex.
        """
        units = [None if unit is None else u.Unit(unit) for unit in self.units]
        if spread:
            units = [getattr(unit, "function_unit", unit) for unit in units]
        if self.names:
            columns = value.T
            return QTable(
                {
                    name: column if unit is None else column * unit
                    for name, column, unit in zip(self.names, columns, units, strict=True)
                }
            )
        value = value[:, 0] if self.vector else value
        return value if units[0] is None else value * units[0]

    def which(self, label: int | str) -> int:
        """The number of a label that is given by number or name."""
        known: tuple[int | str, ...] = self.names or tuple(range(len(self.units)))
        if label in known:
            return known.index(label)
        if isinstance(label, (int, np.integer)) and 0 <= label < len(known):
            return int(label)
        raise ValueError(f"the probe knows no label {label!r}; its labels are {list(known)}")

    def values_of(self, which: int, values: Any) -> np.ndarray:
        """Values of one label (M,), as numbers in its unit."""
        number, unit = _numbers(values, "the values")
        if number.ndim != 1 or not number.size or not np.isfinite(number).all():
            raise ValueError(
                f"the values must be one or more finite numbers, of shape (M,), not {values!r}"
            )
        return self._converted(which, number, unit)

    def per_unit(self, which: int, values: np.ndarray) -> Any:
        """Densities of one label, with its unit."""
        if self.units[which] is None:
            return values
        unit = u.Unit(self.units[which])
        return values / getattr(unit, "function_unit", unit)

    def like(self, y: Any) -> np.ndarray:
        """Other labels in the same units: (N, L).

        Raises
        ------
        ValueError
            Where they are other labels, or their units do not convert.
        """
        value, given = read_labels(y)
        if len(given.units) != len(self.units) or given.names != self.names:
            raise ValueError(
                f"the probe was trained on {len(self.units)} labels "
                f"({', '.join(self.names) or 'an array'}), these are {len(given.units)} "
                f"({', '.join(given.names) or 'an array'})"
            )
        for k, theirs in enumerate(given.units):
            value[:, k] = self._converted(k, value[:, k], theirs)
        return value

    def _converted(self, which: int, value: np.ndarray, unit: str | None) -> np.ndarray:
        mine = self.units[which]
        try:
            # Not a factor: units such as dex(cm / s2) have another zero.
            return u.Unit(unit or "").to(u.Unit(mine or ""), value)
        except u.UnitConversionError as error:
            raise ValueError(
                f"label {(self.names or range(len(self.units)))[which]!r} is in "
                f"{unit or 'no unit'}, the probe was trained on {mine or 'no unit'}: these "
                "do not convert"
            ) from error


def read_labels(y: Any) -> tuple[np.ndarray, Labels]:
    """Labels of N spectra to numbers (N, L), NaN where unknown, and what they look like.

    Parameters
    ----------
    y : array-like, `~astropy.units.Quantity`, column or `~astropy.table.Table`
        (N,), (N, L), or a table with one column per label. Masked and NaN entries are unknown.

    Raises
    ------
    TypeError, ValueError
        For what are no numbers, for infinite ones, and for a label that is never known.
    """
    if isinstance(y, Table):
        if not y.colnames:
            raise ValueError("the table of labels has no column")
        columns = [_numbers(y[name], f"label {name!r}") for name in y.colnames]
        if any(value.ndim != 1 for value, _ in columns):
            raise ValueError("a table of labels has one number per row and column")
        value = np.stack([value for value, _ in columns], axis=1)
        labels = Labels(tuple(y.colnames), tuple(unit for _, unit in columns), False)
    else:
        value, unit = _numbers(y, "the labels")
        if value.ndim not in (1, 2) or not value.size:
            raise ValueError(
                f"labels have the shape (N,), or (N, L) for L labels of each spectrum, not "
                f"{value.shape}"
            )
        vector = value.ndim == 1
        value = value[:, None] if vector else value
        labels = Labels((), (unit,) * value.shape[1], vector)
    if np.isinf(value).any():
        row = int(np.flatnonzero(np.isinf(value).any(1))[0])
        raise ValueError(
            f"the label of spectrum {row} is infinite; unknown labels are NaN or masked"
        )
    unknown = np.isnan(value).all(0)
    if unknown.any():
        k = int(np.flatnonzero(unknown)[0])
        raise ValueError(f"label {(labels.names or range(value.shape[1]))[k]!r} is never known")
    return value, labels


def _numbers(given: Any, what: str) -> tuple[np.ndarray, str | None]:
    if isinstance(given, (list, tuple)) and any(isinstance(one, u.Quantity) for one in given):
        try:
            given = u.Quantity(given)
        except (TypeError, u.UnitConversionError) as error:
            raise TypeError(f"{what} must all have units that convert: {error}") from error
    unit = getattr(given, "unit", None)
    mask = getattr(given, "mask", None)
    plain = given.value if isinstance(given, u.Quantity) else given
    plain = getattr(plain, "data", plain) if isinstance(given, Column) else plain
    try:
        plain = np.asarray(getattr(plain, "unmasked", plain))
        if plain.dtype.kind not in "biufO":  # numpy would read numbers out of strings and dates
            raise TypeError(f"not {plain.dtype}")
        if plain.dtype.kind == "O" and any(isinstance(one, (str, bytes)) for one in plain.flat):
            raise TypeError("not strings")
        value = plain.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{what} must be numbers for a regression: {error}") from error
    if mask is not None and mask is not np.ma.nomask and np.shape(mask) == value.shape:
        value[np.asarray(mask, bool)] = np.nan
    return value, None if unit is None else u.Unit(unit).to_string()
