"""Cells of a table to the arrays of each spectrum: structs of lists, lists of structs, columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from spectok.bulk._options import Options
from spectok.surveys._multimodal_files import surveys_of
from spectok.surveys._multimodal_records import make_record

__all__ = ["Cell", "cells_of", "check_columns"]

_ROLES = ("wavelength", "flux", "ivar", "mask")


@dataclass
class Cell:
    """The arrays of one row, or why it has none.

    Attributes
    ----------
    arms : list of dict of str to array
        Wavelength, flux, inverse variance and mask (True is bad) of every arm.
    reason : str, optional
        Why it cannot be used.
    medium : str, optional
        Of the wavelengths, where it is not what the options say.
    """

    arms: list[dict[str, np.ndarray | None]] = field(default_factory=list)
    reason: str | None = None
    medium: str | None = None


def _needed_columns(options: Options) -> list[str]:
    """Columns of the table without which there is no spectrum."""
    if options.arms == (None,):
        needed = [options.fields["wavelength"], options.fields["flux"]]
        return needed + [options.fields[k] for k in ("ivar", "mask") if k in options.fields]
    return [str(name) for name in options.arms]


def check_columns(schema: pa.Schema, options: Options, where: str) -> None:
    """Refuse a table that has no spectra where the options say.

    Raises
    ------
    ValueError
        Where a column or a field is missing.
    """
    have = ", ".join(schema.names[:40]) or "none"
    optional = {options.fields.get("mask"), options.fields.get("ivar")}
    for name in _needed_columns(options):
        if name in schema.names:
            if options.arms != (None,):
                _check_fields(schema.field(name), options, where)
        elif not (options.arms == (None,) and name in optional and name is not None):
            raise ValueError(
                f"{where}: there is no column {name!r}; it has {have}. Say with spectrum= which "
                "column holds the spectra (a list of columns: their arms; None: the fields are "
                "columns themselves), and with fields= how wavelength, flux, ivar and mask are "
                "called in it"
            )


def _check_fields(column: pa.Field, options: Options, where: str) -> None:
    inside = _fields_of(column.type)
    if inside is None:
        if pa.types.is_null(column.type) or pa.types.is_binary(column.type):
            return  # an empty column of objects: nothing is known of it
        raise ValueError(
            f"{where}: the column {column.name!r} is {column.type}, not a struct of lists; with "
            "spectrum=None the fields are looked for among the columns"
        )
    for role in ("wavelength", "flux"):
        if options.fields[role] not in inside:
            raise ValueError(
                f"{where}: {column.name!r} has the fields {', '.join(inside)}, and none is "
                f"{options.fields[role]!r}: say with fields= how {role} is called"
            )


def _fields_of(kind: pa.DataType) -> list[str] | None:
    """Names inside a struct of lists, or a list of structs."""
    if _is_list(kind):
        kind = kind.value_type
    return (
        [kind.field(k).name for k in range(kind.num_fields)] if pa.types.is_struct(kind) else None
    )


def _is_list(kind: pa.DataType) -> bool:
    return (
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )


def _survey_of(schema: pa.Schema, options: Options) -> str | None:
    """Whose rows of the Multimodal Universe a table holds, as far as its columns say it."""
    if options.survey != "auto" or len(options.arms) != 1:
        return None if options.survey == "auto" else options.survey
    names = {name.lower() for name in schema.names}
    column = options.arms[0]
    if column is not None and column in schema.names:
        inside = _fields_of(schema.field(column).type) or []
        names |= {f"spectrum_{name.lower()}" for name in inside}
    found = surveys_of(names)
    return found[0] if len(found) == 1 else None


def cells_of(table: pa.Table, options: Options, *, galah_offset: int = 0) -> list[Cell]:
    """The arrays of every row of a table.

    Parameters
    ----------
    table : `pyarrow.Table`
    options : `Options`
    galah_offset : int
        Pixels by which wavelengths of GALAH are too long in this file.

    Returns
    -------
    cells : list of `Cell`
        One for each row. Whatever is wrong with a row stands in its ``reason``.
    """
    survey = _survey_of(table.schema, options)
    arms = [_arm(table, name, options) for name in options.arms]
    cells = []
    for _ in range(table.num_rows):
        try:
            cells.append(_cell([next(arm) for arm in arms], options, survey, galah_offset))
        except ValueError as error:
            cells.append(Cell(reason=str(error)))
    return cells


def _cell(
    parts: Sequence[dict[str, np.ndarray | None] | Exception],
    options: Options,
    survey: str | None,
    galah_offset: int,
) -> Cell:
    found = []
    for name, part in zip(options.arms, parts, strict=True):
        where = f"{name}: " if len(options.arms) > 1 else ""
        if isinstance(part, Exception):
            raise ValueError(f"{where}{part}")
        if all(a is None or not len(a) for a in part.values()):
            continue  # an arm that was not observed
        for role in ("wavelength", "flux"):
            if part[role] is None:
                raise ValueError(f"{where}it has no {role}")
        lengths = {role: len(a) for role, a in part.items() if a is not None}
        if len(set(lengths.values())) > 1:
            said = ", ".join(f"{count} of {role}" for role, count in lengths.items())
            raise ValueError(f"{where}its lists are not of one length: {said}")
        found.append(_without_padding(part))
    if not found:
        raise ValueError("it has no spectrum: the cell is null or empty")
    if survey is None:
        return Cell(found)
    record = make_record(
        survey, {"ivar": None, **found[0]}, galah_offset=galah_offset, object_id=""
    )
    mended: dict[str, np.ndarray | None] = {
        "wavelength": record.wavelength, "flux": record.flux, "ivar": record.ivar,
        "mask": record.mask,
    }  # fmt: skip
    return Cell([mended], medium="vacuum")


def _without_padding(part: dict[str, np.ndarray | None]) -> dict[str, np.ndarray | None]:
    """The pixels that have a wavelength; all, where none has one."""
    axis = part["wavelength"]
    if axis is None or axis.dtype.kind not in "iuf":
        return part
    there = np.isfinite(axis) & (axis > 0)
    if there.all() or not there.any():
        return part
    return {role: None if a is None else a[there] for role, a in part.items()}


def _arm(
    table: pa.Table, column: str | None, options: Options
) -> Iterator[dict[str, np.ndarray | None] | Exception]:
    """Arrays by role, row by row; an exception in the place of a row that has none."""
    if column is None:
        columns = {
            role: table.column(name)
            for role, name in options.fields.items()
            if name in table.schema.names
        }
        rows = {role: _lists(values) for role, values in columns.items()}
        for _ in range(table.num_rows):
            yield _gathered({role: next(one) for role, one in rows.items()})
        return
    values = table.column(column)
    if _fields_of(values.type) is None:
        for one in values:
            yield _of_object(one.as_py(), options)
        return
    for chunk in values.chunks:
        yield from _of_struct(chunk, options)


def _gathered(found: dict[str, Any]) -> dict[str, np.ndarray | None] | Exception:
    wrong = next((one for one in found.values() if isinstance(one, Exception)), None)
    return wrong if wrong is not None else {role: found.get(role) for role in _ROLES}


def _of_struct(
    chunk: pa.Array, options: Options
) -> Iterator[dict[str, np.ndarray | None] | Exception]:
    """A struct of lists, or a list of structs."""
    known = chunk.is_valid().to_numpy(zero_copy_only=False)
    listed = _is_list(chunk.type)
    inner = chunk.values if listed else chunk
    rows = {}
    for role, name in options.fields.items():
        place = inner.type.get_field_index(name)
        if place < 0:
            continue
        values = inner.field(place)
        # A field of a slice is sliced as it is.
        rows[role] = _sliced(chunk, values) if listed else _lists(pa.chunked_array([values]))
    for there in known:
        found = {role: next(one) for role, one in rows.items()}
        yield _gathered(found if there else dict.fromkeys(found))


def _sliced(chunk: pa.Array, values: pa.Array) -> Iterator[np.ndarray | None | Exception]:
    """Values of one field of a list of structs, row by row."""
    if pa.types.is_fixed_size_list(chunk.type):
        size = chunk.type.list_size
        offsets = (chunk.offset + np.arange(len(chunk) + 1)) * size
    else:
        offsets = chunk.offsets.to_numpy()
    numbers = _numbers(values)
    for first, last in zip(offsets[:-1], offsets[1:], strict=True):
        yield numbers if isinstance(numbers, Exception) else numbers[first:last]


def _lists(column: pa.ChunkedArray) -> Iterator[np.ndarray | None | Exception]:
    """A column of lists, row by row; None for a null."""
    for chunk in column.chunks:
        if not _is_list(chunk.type):
            for one in chunk:
                yield _of_value(one.as_py())
            continue
        known = chunk.is_valid().to_numpy(zero_copy_only=False)
        for there, values in zip(known, _sliced(chunk, chunk.values), strict=True):
            yield values if there else None


def _numbers(values: pa.Array) -> np.ndarray | Exception:
    """A flat array of numbers; nulls are not a number, and in masks bad."""
    kind = values.type
    if pa.types.is_boolean(kind):
        return values.fill_null(True).to_numpy(zero_copy_only=False)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return values.to_numpy(zero_copy_only=False)
    return ValueError(f"its values are {kind}, not numbers")


def _of_object(cell: Any, options: Options) -> dict[str, np.ndarray | None] | Exception:
    """A cell of Python's own: a dict of lists."""
    if cell is None:
        return dict.fromkeys(_ROLES)
    if not isinstance(cell, dict):
        return ValueError(f"its cell is {type(cell).__name__}, not a struct of lists")
    return _gathered({role: _of_value(cell.get(name)) for role, name in options.fields.items()})


def _of_value(value: Any) -> np.ndarray | None | Exception:
    if value is None:
        return None
    try:
        array = np.asarray([np.nan if x is None else x for x in value])
    except (TypeError, ValueError):
        array = np.asarray(value)
    if array.ndim != 1 or (array.dtype.kind not in "biuf" and array.size):
        return ValueError(f"its values are {array.dtype} of shape {array.shape}, not numbers")
    return array
