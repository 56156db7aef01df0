"""A partition in, a partition out: what Dask and LSDB call, and what files are made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from spectok.bulk._cells import cells_of, check_columns
from spectok.bulk._columns import SPATIAL_INDEX, kept_columns, to_table
from spectok.bulk._options import FIELDS, Options
from spectok.bulk._rows import encode_cells, quiet
from spectok.bulk._worker import network_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["encode_chunks", "encode_partition", "frame_to_table", "partition"]

_CHUNK = 512  # rows that are encoded at once: what stays in memory beside the result


def encode_partition(
    frame: pd.DataFrame,
    *,
    write: str = "embedding",
    spectrum: str | Sequence[str] | None = "spectrum",
    fields: Mapping[str, str] | None = None,
    keep: Sequence[str] | None = None,
    model: Any = None,
    medium: str | None = None,
    device: Any = None,
    precision: str | None = None,
    batch_size: int | None = None,
    units: Mapping[str, str] | None = None,
    survey: str | None = "auto",
    errors: str = "row",
) -> pd.DataFrame:
    """Encode the spectra of a pandas frame: one row for each, whatever is wrong with it.

    Made for ``catalog.map_partitions(spectok.bulk.encode_partition)`` of LSDB and Dask: a frame
    without rows gives one with the same columns and types, so that both find the schema by
    themselves, and the function travels to workers.

    Parameters
    ----------
    frame : `pandas.DataFrame`
        With spectra in a nested column, a column of structs of lists, columns of lists, or
        columns of dicts. Its index is kept.
    write, spectrum, fields, keep, model, medium, device, precision, batch_size, units, survey, \
errors : as for `encode`
        What they are there.

    Returns
    -------
    encoded : `pandas.DataFrame`
        Of the same length: the kept columns and those of `encode`, all of Arrow's types.

    Raises
    ------
    ValueError
        For options that mean nothing, and for a frame without the columns that they name. Never
        for a row, unless ``errors="raise"``.

    Examples
    --------
    >>> import numpy as np, pandas as pd, spectok.bulk
    >>> wavelength = np.linspace(4000.0, 5000.0, 640)
    >>> flux = np.sin(wavelength / 30) + 3
    >>> good = {"lambda": wavelength, "flux": flux, "ivar": np.full(640, 99.0)}
    >>> frame = pd.DataFrame({"object_id": ["a", "b"], "spectrum": [good, None]})
    >>> encoded = spectok.bulk.encode_partition(frame)
    >>> list(encoded["status"])
    ['ok', 'error: it has no spectrum: the cell is null or empty']
    >>> len(encoded["embedding"].iloc[0])
    128
    """
    options = Options(
        write=write, spectrum=spectrum, fields=FIELDS if fields is None else fields, keep=keep,
        model=model, medium=medium, device=device, precision=precision, batch_size=batch_size,
        units=units or {}, survey=survey, errors=errors,
    )  # fmt: skip
    return partition(frame, options)


def partition(frame: pd.DataFrame, options: Options) -> pd.DataFrame:
    """`encode_partition` with its options in one."""
    import pandas as pd

    table = frame_to_table(frame, options)
    found = pa.concat_tables(encode_chunks(table, options))
    columns = {
        name: pd.Series(
            pd.arrays.ArrowExtensionArray(found.column(name)), index=frame.index, name=name
        )
        for name in found.column_names
        if not (name == SPATIAL_INDEX and frame.index.name == SPATIAL_INDEX)
    }
    return pd.DataFrame(columns, index=frame.index)


def frame_to_table(frame: pd.DataFrame, options: Options) -> pa.Table:
    """The columns of a frame that matter, as Arrow's."""
    columns = {}
    wanted = {str(name) for name in options.arms if name is not None}
    if options.arms == (None,):
        wanted = set(options.fields.values())
    for name in frame.columns:
        series = frame[name]
        spectral = name in wanted
        kind = getattr(series.dtype, "pyarrow_dtype", None)
        if kind is not None:
            columns[str(name)] = pa.array(series.array, type=kind)
        elif spectral and series.dtype == object:
            columns[str(name)] = _of_objects(series)
        else:
            columns[str(name)] = pa.array(series, from_pandas=True)
    return pa.table(columns)


def _of_objects(series: Any) -> pa.Array:
    """A column of Python's objects; rows that do not go together are left to be refused alone."""
    values = [None if _is_missing(value) else value for value in series]
    together = _as_array(values)
    if together is not None:
        return together
    alone = [_as_array([value]) for value in values]
    kinds = [pa.null() if one is None else one.type for one in alone]
    # The type of most rows; the others become null, and say so.
    usable = [kind for kind in kinds if not pa.types.is_null(kind)]
    if not usable:
        return pa.nulls(len(values))
    common = max(set(map(str, usable)), key=[str(kind) for kind in usable].count)
    kind = next(kind for kind in usable if str(kind) == common)
    return pa.array(
        [value if str(own) == common else None for value, own in zip(values, kinds, strict=True)],
        type=kind, from_pandas=True,
    )  # fmt: skip


def _as_array(values: list[Any]) -> pa.Array | None:
    """Values as Arrow's, or None where they are of no one type."""
    try:
        return pa.array(values, from_pandas=True)
    except pa.ArrowException:  # of its many kinds: a list among dicts, an object of no type
        return None


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and value != value)


def encode_chunks(
    table: pa.Table, options: Options, *, galah_offset: int = 0, where: str = "the table"
) -> Iterator[pa.Table]:
    """Parts of the output, some rows at a time; one without rows where there are none."""
    network = network_of(options)
    check_columns(table.schema, options, where)
    kept = kept_columns(table.schema.names, options, where)
    for first in range(0, max(table.num_rows, 1), _CHUNK):
        part = table.slice(first, _CHUNK)
        with quiet():
            cells = cells_of(part, options, galah_offset=galah_offset)
            encoded = encode_cells(cells, network, options)
        yield to_table({name: part.column(name) for name in kept}, encoded, network, options)
