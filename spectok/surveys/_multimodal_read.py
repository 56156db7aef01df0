"""Reading a file of the Multimodal Universe piece by piece (no astropy)."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._multimodal_files import SurveyFile, damage_named, opened

__all__ = ["Chunk", "cuts", "read_chunks"]

Wanted = Callable[[np.ndarray, np.ndarray, Sequence], np.ndarray]
# Values of a column (by our name for it) from one row of a piece to another.
Load = Callable[[str, int, int], Sequence]


@dataclass(frozen=True)
class Chunk:
    """Some rows of a file.

    Attributes
    ----------
    keep : numpy.ndarray of bool
        Rows that are wanted.
    first : int
        The row that stands first in ``columns``.
    columns : dict of str to sequence
        Values of the wanted rows, and of those between them.
    """

    keep: np.ndarray
    first: int
    columns: Mapping[str, Sequence]

    def row(self, number: int) -> dict[str, Any]:
        """The values of a wanted row."""
        return {name: values[number - self.first] for name, values in self.columns.items()}


def cuts(start: int, stop: int, size: int) -> list[tuple[int, int]]:
    """Rows start to stop, cut at every multiple of ``size``."""
    edges = [start, *range((start // size + 1) * size, stop, size), stop]
    return list(zip(edges[:-1], edges[1:], strict=True))


def read_chunks(
    file: SurveyFile,
    group: int,
    start: int,
    stop: int,
    *,
    size: int,
    wanted: Wanted | None = None,
) -> Generator[Chunk, None, None]:
    """Read rows of one row group, some at a time.

    Parameters
    ----------
    file : SurveyFile
    group : int
    start, stop : int
        Rows of the group. What comes before ``start`` is not read in HDF5 files; in Parquet
        files it is decoded and thrown away.
    size : int
        Rows of a chunk: chunks end at its multiples.
    wanted : callable, optional
        Function of right ascensions, declinations and identifiers that says which rows to
        keep. Of an HDF5 chunk without one wanted row no spectrum is read.

    Yields
    ------
    Chunk

    Raises
    ------
    OSError
        If the file is damaged.
    """
    columns = {**file.columns, **{f"label {key}": name for key, name in file.labels.items()}}
    pieces = _parquet if file.parquet else _hdf5
    with opened(file.path) as source, damage_named(file.path):
        for n_rows, load in pieces(source, columns, group, start, stop, size):
            keep = np.ones(n_rows, bool)
            if wanted is not None:
                ra, dec = (np.asarray(load(name, 0, n_rows), float) for name in ("ra", "dec"))
                keep = wanted(ra, dec, load("object_id", 0, n_rows))
            some = np.flatnonzero(keep)
            values = {}
            if some.size:
                values = {name: load(name, int(some[0]), int(some[-1]) + 1) for name in columns}
            yield Chunk(keep, int(some[0]) if some.size else 0, values)


def _hdf5(
    file: Any, columns: Mapping[str, str], group: int, start: int, stop: int, size: int
) -> Iterator[tuple[int, Load]]:
    for low, high in cuts(start, stop, size):

        def load(name: str, first: int, last: int, low: int = low) -> Any:
            return file[columns[name]][low + first : low + last]

        yield high - low, load


def _parquet(
    file: Any, columns: Mapping[str, str], group: int, start: int, stop: int, size: int
) -> Iterator[tuple[int, Load]]:
    import pyarrow.compute

    low = 0
    for batch in file.iter_batches(
        batch_size=size, row_groups=[group], columns=list(columns.values()), use_threads=False
    ):
        first_row, last_row = max(start - low, 0), min(stop - low, batch.num_rows)
        low += batch.num_rows
        if last_row <= first_row:
            continue
        part = batch.slice(first_row, last_row - first_row)

        def load(name: str, first: int, last: int, part: Any = part) -> list:
            struct, _, field = columns[name].partition(".")
            if struct != "spectrum" or not field:
                return part.column(columns[name])[first:last].to_pylist()
            lists = pyarrow.compute.struct_field(part.column("spectrum")[first:last], field)
            return [
                row.values.to_numpy(zero_copy_only=False) if row.is_valid else None
                for row in lists
            ]

        yield part.num_rows, load
        if low >= stop:
            return
