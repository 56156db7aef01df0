"""Spectrum files to the columns of the output: several files at once, a bad one alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from astropy import units as u
from astropy.table import QTable

from spectok._file_batches import Content, encode_run, read_content, runs, starts_of
from spectok.bulk._columns import to_table
from spectok.bulk._options import DEFAULT_KEEP, Options
from spectok.bulk._rows import encode_some, quiet, reason_of
from spectok.bulk._worker import network_of
from spectok.surveys._fits import stem_of

__all__ = ["encode_files_in_chunks"]


def encode_files_in_chunks(files: Sequence[Path], options: Options) -> Iterator[pa.Table]:
    """Parts of the output, some files at a time: one row for each spectrum of each file.

    A file that cannot be read is one row, whose status says why. The parts wait for the last of
    them: of which type a kept column is, only all of the files say.
    """
    network = network_of(options)
    asked = DEFAULT_KEEP if options.keep is None else options.keep
    keep = [name for name in asked if name != "object_id"]
    contents = (one for file in files for one in _read(file, options))
    parts = [_encoded(run, keep, network, options) for run in runs(contents)]
    for name in keep:
        if any(pa.types.is_string(part.column(name).type) for part in parts):
            parts = [_as_text(part, name) for part in parts]
    yield from parts


def _read(file: Path, options: Options) -> list[Content]:
    """The objects of a file, with a name for each of their spectra."""
    try:
        with quiet():
            return read_content(file, medium=options.medium).objects()
    except Exception as error:  # one bad file must not cost the others
        if options.errors == "raise":
            raise
        return [Content(file, [], [stem_of(file)], reason=f"{file.name}: {reason_of(error)}")]


def _encoded(
    run: Sequence[Content], keep: Sequence[str], network: Any, options: Options
) -> pa.Table:
    """One table of what is of one kind, in its order."""
    # Of each object: what is kept of it, once it has been encoded.
    rows: dict[Content, dict[str, list[Any]]] = {}

    def tokens_of(objects: Sequence[Content]) -> QTable:
        tokens = encode_run(
            objects, model=network, medium=options.medium, keep=keep, errors="row",
            device=options.device, batch_size=options.batch_size, precision=options.precision,
            progress=False,
        )  # fmt: skip
        starts = starts_of(tokens)
        columns = {
            name: _values(tokens[name][starts])
            if name in tokens.colnames
            else [None] * len(starts)
            for name in keep
        }
        at = 0
        for one in objects:
            part = slice(at, at + len(one.names))
            rows[one] = {name: column[part] for name, column in columns.items()}
            at = part.stop
        return tokens

    with quiet():
        encoded = encode_some(run, tokens_of, network, options)
    names: list[str] = []
    kept: dict[str, list[Any]] = {name: [] for name in keep}
    for one in run:
        # What failed as a whole is one row, whatever it held.
        names += [str(name) for name in (one.names if one in rows else one.names[:1])]
        for name in keep:
            kept[name] += rows[one][name] if one in rows else [None]
    out: dict[str, Any] = {"object_id": pa.array(names, pa.string())}
    return to_table(
        out | {name: _column(values) for name, values in kept.items()}, encoded, network, options
    )


def _as_text(table: pa.Table, name: str) -> pa.Table:
    if pa.types.is_string(table.column(name).type):
        return table
    texts = [None if one is None else str(one) for one in table.column(name).to_pylist()]
    return table.set_column(table.column_names.index(name), name, pa.array(texts, pa.string()))


def _values(column: Any) -> list[Any]:
    """A column of a token table as plain values; degrees where it has a unit of angles."""
    if isinstance(column, u.Quantity):
        column = column.to_value(u.deg) if column.unit.is_equivalent(u.deg) else column.value
    return np.asarray(column).tolist()


def _column(values: Sequence[Any]) -> pa.Array:
    """Numbers as float64, all else as text: files differ, and the columns must not."""
    numbers = [
        None if value is None else float(value)
        for value in values
        if value is None or isinstance(value, (int, float)) and not isinstance(value, bool)
    ]
    if len(numbers) == len(values):
        return pa.array(numbers, pa.float64())
    return pa.array([None if value is None else str(value) for value in values], pa.string())
