"""One shard of many files: the order of its rows, known without reading one, and reading them."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Sequence

import numpy as np

from spectok._split import name_split, sky_split

from ._multimodal_files import SurveyFile, report
from ._multimodal_read import Chunk, cuts, read_chunks
from ._multimodal_rows import SurveyRecord, known, make_record, text

__all__ = ["ShardReader", "all_units", "cut_units", "rounds"]

# File, row group, first row, row after the last.
Unit = tuple[int, int, int, int]


def all_units(files: Sequence[SurveyFile], size: int) -> np.ndarray:
    """What can be read on its own: ``size`` rows of an HDF5 file, a row group of a Parquet file.

    Returns
    -------
    numpy.ndarray of int, shape (U, 4)
        Rows are `Unit`.
    """
    units: list[Unit] = []
    for number, file in enumerate(files):
        for group, n_rows in enumerate(file.groups):
            parts = [(0, n_rows)] if file.parquet else cuts(0, n_rows, size)
            units += [(number, group, *part) for part in parts if n_rows]
    return np.array(units, np.int64).reshape(-1, 4)


def cut_units(units: np.ndarray, shard: int, n_shards: int) -> list[Unit]:
    """The shard's share of the rows, equal within one row: units at its ends are cut.

    Parameters
    ----------
    units : numpy.ndarray of int, shape (U, 4)
        All units, in the order of the epoch.
    shard, n_shards : int
    """
    size = units[:, 3] - units[:, 2]
    after = np.cumsum(size)
    before = after - size
    total = int(size.sum())
    low, high = total * shard // n_shards, total * (shard + 1) // n_shards
    mine = np.flatnonzero((after > low) & (before < high))
    cut = units[mine]  # a copy
    cut[:, 3] -= np.maximum(after[mine] - high, 0)
    cut[:, 2] += np.maximum(low - before[mine], 0)
    return [tuple(unit) for unit in cut.tolist()]


def rounds(
    units: Sequence[Unit], *, n_open: int, n_chunks: int, size: int
) -> Iterator[list[tuple[int, int, int]]]:
    """Chunks that are in memory together.

    Units are read side by side, a chunk of each in turn, so that neighbours in a long row
    group do not stand together in memory.

    Parameters
    ----------
    units : sequence of `Unit`
    n_open : int
        Units that are read side by side.
    n_chunks : int
        Chunks of a round.
    size : int
        Rows of a chunk: chunks end at its multiples.

    Yields
    ------
    list of (int, int, int)
        Position in ``units``, first row, row after the last.
    """
    waiting = iter(range(len(units)))
    running: deque[tuple[int, list[tuple[int, int]]]] = deque()
    while True:
        chunks: list[tuple[int, int, int]] = []
        while len(chunks) < n_chunks:
            while len(running) < n_open and (unit := next(waiting, None)) is not None:
                running.append((unit, cuts(*units[unit][2:], size)[::-1]))
            if not running:
                break
            unit, parts = running.popleft()
            chunks.append((unit, *parts.pop()))
            if parts:
                running.append((unit, parts))
        if not chunks:
            return
        yield chunks


class ShardReader:
    """Reads a shard; holds the files that are open.

    Parameters
    ----------
    files : sequence of SurveyFile
    units : sequence of `Unit`
        The shard's share, in the order of the epoch.
    seed : tuple of int, optional
        Of this shard in this epoch; without it rows come in the order of the units.
    chunk_rows, n_chunks : int
        Rows of a chunk, and chunks in memory together.
    split : str, optional
        Objects of which part of the sky; by default all.
    galah_offset : int, optional
        By default 2 in HDF5 files and 0 in Parquet files.
    damaged : "raise" or "skip"
        What to do with files that cannot be read and rows that hold no spectrum.
    """

    def __init__(
        self,
        files: Sequence[SurveyFile],
        units: Sequence[Unit],
        *,
        seed: tuple[int, ...] | None,
        chunk_rows: int,
        n_chunks: int,
        split: str | None,
        galah_offset: int | None,
        damaged: str,
    ) -> None:
        self.files, self.units, self.seed = files, units, seed
        self.chunk_rows, self.n_chunks = chunk_rows, n_chunks
        self.split, self.galah_offset, self.damaged = split, galah_offset, damaged
        self.empty: list[str] = []
        # Units that are being read; None: the rest of it cannot be.
        self.lanes: dict[int, Generator[Chunk, None, None] | None] = {}

    def records(self, shard: int, position: int) -> Iterator[SurveyRecord]:
        """The shard's spectra that come after a position."""
        seen = 0
        plan = rounds(
            self.units, n_open=self.n_chunks, n_chunks=self.n_chunks, size=self.chunk_rows
        )
        try:
            for number, chunks in enumerate(plan):
                sizes = [stop - start for _, start, stop in chunks]
                if seen + sum(sizes) <= position:
                    seen += sum(sizes)
                    continue
                loaded = [self._load(*chunk) for chunk in chunks]
                rows = [(part, row) for part, size in enumerate(sizes) for row in range(size)]
                if self.seed is not None:
                    rng = np.random.default_rng((*self.seed, number))
                    rows = [rows[i] for i in rng.permutation(len(rows))]
                for part, row in rows:
                    seen += 1
                    chunk = loaded[part]
                    if seen <= position or chunk is None or not chunk.keep[row]:
                        continue
                    unit, start, _ = chunks[part]
                    record = self._record(unit, start + row, chunk.row(row), shard, seen)
                    if record is not None:
                        yield record
        finally:
            for lane in self.lanes.values():
                if lane is not None:
                    lane.close()
            if self.empty:
                report(
                    ValueError(
                        f"{len(self.empty)} rows without a spectrum; the first: {self.empty[0]}"
                    ),
                    self.damaged,
                )

    def _load(self, unit: int, start: int, stop: int) -> Chunk | None:
        """The next chunk of a unit; None where it cannot be read."""
        number, group, _, end = self.units[unit]
        file = self.files[number]
        if unit not in self.lanes:
            self.lanes[unit] = read_chunks(
                file,
                group,
                start,
                end,
                size=self.chunk_rows,
                wanted=None if self.split is None else self._wanted,
            )
        lane = self.lanes[unit]
        chunk = None
        if lane is not None:
            try:
                chunk = next(lane, None)
                if chunk is None or len(chunk.keep) != stop - start:
                    raise OSError(f"{file.path}: holds fewer rows than it says: fetch it again")
            except OSError as error:
                report(OSError(f"{error} (rows from {start} on)"), self.damaged)
                self.lanes[unit], chunk = None, None
        if stop == end:
            lane = self.lanes.pop(unit)
            if lane is not None:
                lane.close()
        return chunk

    def _wanted(self, ra: np.ndarray, dec: np.ndarray, object_id: Sequence) -> np.ndarray:
        """Which rows are of the part of the sky that is asked for."""
        placed = np.isfinite(ra) & np.isfinite(dec) & (np.abs(dec) <= 90.0)
        part = np.empty(len(ra), "U10")
        part[placed] = sky_split(ra[placed], dec[placed])
        names = [str(text(object_id[int(i)])) or "unnamed" for i in np.flatnonzero(~placed)]
        part[~placed] = name_split(names)
        return part == self.split

    def _record(
        self, unit: int, row: int, values: dict, shard: int, position: int
    ) -> SurveyRecord | None:
        """One row as a record; None where it holds no spectrum."""
        file = self.files[self.units[unit][0]]
        offset = self.galah_offset
        if offset is None:
            offset = 0 if file.parquet else 2
        object_id = str(text(values["object_id"]))
        try:
            return make_record(
                file.survey,
                values,
                galah_offset=offset,
                object_id=object_id,
                ra=np.nan if values["ra"] is None else float(values["ra"]),
                dec=np.nan if values["dec"] is None else float(values["dec"]),
                labels=known({key: values[f"label {key}"] for key in file.labels}),
                shard=shard,
                position=position,
            )
        except ValueError as error:
            where = f"{file.path}: row {row} of group {self.units[unit][1]}, object {object_id}"
            if self.damaged == "raise":
                raise ValueError(
                    f'{where}: {error}; leave such rows out with damaged="skip"'
                ) from error
            self.empty.append(f"{where}: {error}")
            return None
