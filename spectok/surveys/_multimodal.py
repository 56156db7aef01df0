"""Stream of the spectra of the Multimodal Universe, shuffled and in shards (no astropy)."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from operator import index

import numpy as np
from torch.utils.data import IterableDataset, get_worker_info

from spectok._split import SETS

from ._multimodal_files import SURVEYS, SurveyFile, cuts, find_files, inspect_file, report
from ._multimodal_records import ShardReader, SurveyRecord, Unit, as_arrays

__all__ = ["MultimodalUniverse"]


class MultimodalUniverse(IterableDataset):
    """Spectra from HDF5 or Parquet partitions of the Multimodal Universe, a few at a time.

    Reads the healpix partitions of SDSS, DESI, GALAH and APOGEE: HDF5 as the project writes
    them, and the Parquet of their HATS copies. No file is ever in memory as a whole. Each
    spectrum comes exactly once in an epoch, whatever the number of shards, and reading can go
    on from any position. What is mended on the way stands under Notes.

    Parameters
    ----------
    paths : path-like or sequence of path-like
        Files (``.hdf5``, ``.parquet``), or folders that hold some at any depth. Margin and
        index catalogs inside a HATS collection are left out: their rows are repetitions.
    survey : str, optional
        "SDSS", "DESI", "GALAH" or "APOGEE"; by default found from each file's columns.
    split : str, optional
        "train", "validation" or "test": only objects of that part of the package's one split
        of the sky. By default all. Rows without a position go by their identifier.
    labels : sequence of str
        Columns to hand out besides the usual labels of the survey.
    seed : int, optional
        Shuffle, differently in each epoch. By default spectra come in the files' order.
    rank, world_size : int
        Which of how many processes this one is, as ``torch.distributed`` counts them.
    chunk_rows : int
        Neighbouring rows that are read at once.
    buffer_rows : int
        Rows in memory, and shuffled with each other. They come from up to
        ``buffer_rows // chunk_rows`` places of all the files.
    galah_offset : int, optional
        Pixels by which a file's wavelengths of GALAH are too long. By default 2 in HDF5 files
        and 0 in Parquet files.
    damaged : "raise" or "skip"
        What to do with files that cannot be read and rows that hold no spectrum: raise an
        error, or leave them out with a warning that names them.

    Attributes
    ----------
    n_rows : int
        Spectra in all files, before ``split``.
    files : list
        What was found.
    epoch : int
        The epoch that iterating gives. Set it before each one.
    positions : dict of int to int
        Where iterating begins, for shards that do not begin at 0. To go on after an
        interruption keep ``positions[record.shard] = record.position`` of what was used up.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    OSError
        If a file is damaged.
    ValueError
        If a file is of another schema or survey, or an option is none.

    Warns
    -----
    UserWarning
        With ``damaged="skip"``, once for each damaged file and once per shard for rows that
        hold no spectrum.

    Notes
    -----
    Iterating in a `torch.utils.data.DataLoader` divides the rank's share among its workers;
    `read` takes the shard as plain arguments.

    - Padding (wavelength -1, 0 or NaN) is taken off.
    - A pixel is bad where the file's mask is True, flux or inverse variance is not finite, or
      inverse variance is not positive. GALAH has no mask: there, also where the flux is not
      positive, because its errors are relative; how opaque the air was in the oxygen band near
      7650 Angstrom, the files do not say. APOGEE: also where the flux is exactly zero or the
      error a thousand times the median.
    - Wavelengths of GALAH are in air and become vacuum. In the HDF5 files they are two pixels
      too long (the builder adds the reference pixel where it should be subtracted; lines of
      real stars show it); they are moved back.
    - Wavelengths of APOGEE are rounded in the files and are put back onto the survey's grid.
    - DESI's three arms, where a file has them one after the other, are averaged by inverse
      variance where they overlap.
    - Spectra without a good pixel are handed out as such.

    References
    ----------
    The Multimodal Universe Collaboration (2024), arXiv:2412.02527.

    Examples
    --------
    >>> import spectok
    >>> from spectok.surveys import MultimodalUniverse
    >>> source = MultimodalUniverse("desi/edr_sv3", split="train", seed=0)  # doctest: +SKIP
    >>> for record in source:  # doctest: +SKIP
    ...     print(record.object_id, record.flux.shape, record.labels["z"])

    Tokens of everything, 64 spectra at a time, read by two other processes:

    >>> from torch.utils.data import DataLoader
    >>> batches = DataLoader(  # doctest: +SKIP
    ...     source, batch_size=64, num_workers=2, collate_fn=source.as_arrays
    ... )
    >>> for arrays in batches:  # doctest: +SKIP
    ...     tokens = spectok.encode_arrays(**arrays)
    """

    def __init__(
        self,
        paths: str | os.PathLike | Sequence[str | os.PathLike],
        *,
        survey: str | None = None,
        split: str | None = None,
        labels: Sequence[str] = (),
        seed: int | None = None,
        rank: int = 0,
        world_size: int = 1,
        chunk_rows: int = 32,
        buffer_rows: int = 256,
        galah_offset: int | None = None,
        damaged: str = "raise",
    ) -> None:
        survey = survey if survey is None else survey.upper()
        for name, value, known in (
            ("survey", survey, (None, *SURVEYS)),
            ("split", split, (None, *SETS)),
            ("damaged", damaged, ("raise", "skip")),
        ):
            if value not in known:
                raise ValueError(f"{name} must be one of {known}, not {value!r}")
        if isinstance(labels, str):
            raise ValueError(f"labels must be a list of column names, not the text {labels!r}")
        _check_share(rank, world_size, "rank", "world_size")
        if not 1 <= index(chunk_rows) <= index(buffer_rows):
            raise ValueError(
                f"chunk_rows and buffer_rows must be 1 <= chunk_rows <= buffer_rows, not "
                f"{chunk_rows} and {buffer_rows}"
            )
        self.split, self.seed, self.damaged = split, seed, damaged
        self.rank, self.world_size = rank, world_size
        self.chunk_rows, self.buffer_rows = chunk_rows, buffer_rows
        self.galah_offset = galah_offset
        self.epoch = 0
        self.positions: dict[int, int] = {}
        self.files: list[SurveyFile] = []
        for path in find_files(paths):
            try:
                self.files.append(inspect_file(path, survey=survey, labels=tuple(labels)))
            except OSError as error:
                report(error, damaged)
        self._units = _all_units(self.files, chunk_rows)
        self.n_rows = int((self._units[:, 3] - self._units[:, 2]).sum())

    def __iter__(self) -> Iterator[SurveyRecord]:
        worker = get_worker_info()
        number, count = (0, 1) if worker is None else (worker.id, worker.num_workers)
        shard = self.rank * count + number
        return self.read(
            epoch=self.epoch,
            shard=shard,
            n_shards=self.world_size * count,
            position=self.positions.get(shard, 0),
        )

    def read(
        self, *, epoch: int = 0, shard: int = 0, n_shards: int = 1, position: int = 0
    ) -> Iterator[SurveyRecord]:
        """Spectra of one shard of one epoch.

        Parameters
        ----------
        epoch : int
            Another epoch, another order; without a seed all are alike.
        shard, n_shards : int
            Which of how many shards. They differ by one row at the most, counted before
            ``split``, and together hold each row once.
        position : int
            The ``position`` of the last record that was used up: reading goes on after it.
            Of what comes before, nothing is read in HDF5 files but the rest of a buffer; in
            Parquet files, the row groups that stand open there are read from their start.

        Returns
        -------
        records : iterator of SurveyRecord
            Files are opened as it goes.

        Raises
        ------
        OSError
            If a file is damaged.
        ValueError
            If a row holds no spectrum, or the shard is none.

        Examples
        --------
        >>> from spectok.surveys import MultimodalUniverse
        >>> source = MultimodalUniverse("sdss/sdss", seed=0)  # doctest: +SKIP
        >>> first = next(source.read(epoch=3, shard=5, n_shards=8))  # doctest: +SKIP
        >>> rest = source.read(  # doctest: +SKIP
        ...     epoch=3, shard=5, n_shards=8, position=first.position
        ... )
        """
        _check_share(shard, n_shards, "shard", "n_shards")
        if index(position) < 0 or index(epoch) < 0:
            raise ValueError(f"position {position} and epoch {epoch} must not be negative")
        units = self._units
        if self.seed is not None:
            units = units[np.random.default_rng((self.seed, epoch)).permutation(len(units))]
        mine = _cut_units(units, shard, n_shards)
        # In the files' order there is nothing to keep in memory but the chunk itself.
        n_chunks = 1 if self.seed is None else self.buffer_rows // self.chunk_rows
        reader = ShardReader(
            self.files,
            mine,
            _rounds(mine, n_chunks=n_chunks, size=self.chunk_rows),
            seed=None if self.seed is None else (self.seed, epoch, shard),
            chunk_rows=self.chunk_rows,
            split=self.split,
            galah_offset=self.galah_offset,
            damaged=self.damaged,
        )
        return reader.records(shard, position)

    @staticmethod
    def as_arrays(records: Sequence[SurveyRecord]) -> dict[str, list]:
        """Arrays of several records, as `spectok.encode_arrays` takes them.

        Parameters
        ----------
        records : sequence
            What iterating gives: of any surveys, lengths and grids.

        Returns
        -------
        arrays : dict of str to list
            "wavelength", "flux", "ivar", "mask" and "object_id", one entry per record.

        Examples
        --------
        >>> from spectok.surveys import MultimodalUniverse
        >>> arrays = MultimodalUniverse.as_arrays([])
        >>> list(arrays)
        ['wavelength', 'flux', 'ivar', 'mask', 'object_id']
        """
        return as_arrays(records)


def _check_share(number: int, count: int, name: str, count_name: str) -> None:
    if not 0 <= index(number) < index(count):
        raise ValueError(
            f"{name} and {count_name} must be 0 <= {name} < {count_name}, not {number} and {count}"
        )


def _all_units(files: Sequence[SurveyFile], size: int) -> np.ndarray:
    """Units that are read on their own: ``size`` rows of HDF5, a row group of Parquet files.

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


def _cut_units(units: np.ndarray, shard: int, n_shards: int) -> list[Unit]:
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


def _rounds(
    units: Sequence[Unit], *, n_chunks: int, size: int
) -> Iterator[list[tuple[int, int, int]]]:
    """Chunks that are in memory together.

    Units are read side by side, a chunk of each in turn, so that neighbours in a long row
    group do not stand together in memory.

    Parameters
    ----------
    units : sequence of `Unit`
    n_chunks : int
        Chunks of a round, and units that are read side by side.
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
            while len(running) < n_chunks and (unit := next(waiting, None)) is not None:
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
