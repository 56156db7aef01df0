"""What is to be encoded, cut into numbered pieces that each become one file."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from spectok._many_files import find_files as find_spectra
from spectok.surveys._multimodal_files import damage_named, opened
from spectok.surveys._multimodal_files import find_files as find_partitions
from spectok.surveys._multimodal_records import text

__all__ = ["Piece", "Source", "open_source", "shard_of"]

_PARQUET, _HDF5 = (".parquet", ".pq"), (".hdf5", ".h5")
# Survey files of one piece: no more bytes than this, so that a piece of large files (a coadd of
# DESI holds 500 stars) takes minutes and not hours.
_MOST_BYTES = 1 << 29
# Rows of a Parquet file that are read at once.
_READ_ROWS = 512


@dataclass(frozen=True)
class Piece:
    """One file of the output, and what goes into it.

    Attributes
    ----------
    target : str
        Name of the file, relative to the output.
    files : tuple of `pathlib.Path`
        One Parquet or HDF5 file, or spectrum files.
    start, stop : int
        Rows of the file; both 0 for spectrum files.
    """

    target: str
    files: tuple[Path, ...]
    start: int = 0
    stop: int = 0


@dataclass(frozen=True)
class Source:
    """Files of one kind.

    Attributes
    ----------
    kind : str
        ``"parquet"``, ``"hdf5"`` or ``"spectra"``.
    pieces : list of `Piece`
    n_files : int
    fingerprint : str
        Of the files' names and sizes.
    root : `pathlib.Path`, optional
        Of the HATS catalogue that the files are.
    """

    kind: str
    pieces: list[Piece]
    n_files: int
    fingerprint: str
    root: Path | None = None


def open_source(source: Any, rows_per_file: int) -> Source:
    """Find the files of a source, and cut them into pieces.

    Parameters
    ----------
    source : path, pattern, or sequence of them
    rows_per_file : int
        Rows, or spectrum files, of a piece at the most; partitions of HATS stay whole.

    Raises
    ------
    FileNotFoundError
        Where there is nothing.
    ValueError
        Where files of several kinds are mixed.
    """
    paths = [source] if isinstance(source, (str, os.PathLike)) else list(source)
    found: list[Path] = []
    for path in paths:
        found += _matching(path)
    kinds = {_kind_of(path) for path in found}
    if len(kinds) > 1:
        raise ValueError(
            f"the source mixes {' and '.join(sorted(kinds))} files: encode each kind into an "
            "output of its own"
        )
    kind = kinds.pop()
    if kind == "spectra":
        # However they were named: each once, and of a GALAH star's four cameras one.
        found, root = find_spectra(found), None
        pieces = list(_of_spectra(found, rows_per_file))
    else:
        found = list({path.resolve(): path for path in found}.values())
        root = _catalogue_of(found)
        pieces = list(_of_tables(found, rows_per_file, root))
    return Source(kind, pieces, len(found), _fingerprint(found), root)


def _matching(path: str | os.PathLike) -> list[Path]:
    text = os.fspath(path)
    if glob.has_magic(text) and not Path(text).exists():
        inside = sorted(glob.glob(text, recursive=True))
        if not inside:
            raise FileNotFoundError(f"{text}: no file has such a name")
        return [file for one in inside for file in _matching(one)]
    place = Path(text)
    if not place.exists():
        raise FileNotFoundError(f"{place}: no such file or folder; check the path")
    if not place.is_dir():
        return [place]
    if any(p.suffix in _PARQUET + _HDF5 for p in place.rglob("*")):
        return find_partitions(place)
    return find_spectra([place])


def _kind_of(path: Path) -> str:
    if path.suffix in _PARQUET:
        return "parquet"
    return "hdf5" if path.suffix in _HDF5 else "spectra"


def _catalogue_of(files: Sequence[Path]) -> Path | None:
    """The one HATS catalogue that all files are partitions of."""
    roots = set()
    for file in files:
        place = next((k for k, part in enumerate(file.parts) if part.startswith("Norder=")), None)
        if place is None:
            return None
        root = Path(*file.parts[:place])
        roots.add(root.parent if root.name == "dataset" else root)
    if len(roots) != 1:
        return None
    (own,) = roots
    return own if any((own / n).is_file() for n in ("hats.properties", "properties")) else None


def _of_tables(files: Sequence[Path], rows_per_file: int, root: Path | None) -> Iterator[Piece]:
    number = 0  # of files of the output
    for file in files:
        if root is not None:
            place = next(k for k, part in enumerate(file.parts) if part.startswith("Norder="))
            target = str(Path("dataset", *file.parts[place:]))
            yield Piece(target, (file,), 0, -1)
            continue
        try:
            n_rows = _count_rows(file)
        except OSError:
            n_rows = -1  # damaged: one piece of its own, which says so
        size = rows_per_file if n_rows > 0 else 1
        for start in range(0, max(n_rows, 1), size):
            stop = -1 if n_rows < 0 else min(start + size, n_rows)
            yield Piece(_part(number), (file,), start, stop)
            number += 1


def _part(number: int) -> str:
    return f"part-{number:06d}.parquet"


def _count_rows(file: Path) -> int:
    with opened(file) as content:
        if hasattr(content, "metadata"):
            return content.metadata.num_rows
        lengths = {one.shape[0] for one in content.values() if getattr(one, "shape", ())}
        return max(lengths, default=0)


def _of_spectra(files: Sequence[Path], rows_per_file: int) -> Iterator[Piece]:
    some: list[Path] = []
    size = number = 0
    for file in files:
        own = file.stat().st_size
        if some and (len(some) == rows_per_file or size + own > _MOST_BYTES):
            yield Piece(_part(number), tuple(some))
            some, size, number = [], 0, number + 1
        some.append(file)
        size += own
    yield Piece(_part(number), tuple(some))


def _fingerprint(files: Iterable[Path]) -> str:
    found = hashlib.sha256()
    for file in files:
        found.update(f"{file.name} {file.stat().st_size}\n".encode())
    return found.hexdigest()


def shard_of(shard: str | tuple[int, int] | None) -> tuple[int, int]:
    """Which of how many shares: ``"3/64"`` or (3, 64), counted from 1.

    Raises
    ------
    ValueError
        For what is no share.
    """
    if shard is None:
        return 1, 1
    try:
        parts = shard.split("/") if isinstance(shard, str) else shard
        number, count = (int(part) for part in parts)
    except (TypeError, ValueError):
        number, count = 0, 0
    if not 1 <= number <= count:
        raise ValueError(
            f'shard must say which of how many, from "1/64" to "64/64", not {shard!r}'
        )
    return number, count


def tables_of(piece: Piece, kind: str) -> Iterator[pa.Table]:
    """Rows of a Parquet or HDF5 file, some at a time; one table without rows if there are none.

    Raises
    ------
    OSError
        Where the file is damaged.
    """
    (file,) = piece.files
    reader = _parquet if kind == "parquet" else _hdf5
    # Damage may show only in the middle of the file.
    with opened(file) as content, damage_named(file):
        yield from reader(content, piece)


def _parquet(content: Any, piece: Piece) -> Iterator[pa.Table]:
    stop = content.metadata.num_rows if piece.stop < 0 else piece.stop
    low = 0
    if stop <= piece.start:
        yield content.schema_arrow.empty_table()
        return
    for number in range(content.num_row_groups):
        high = low + content.metadata.row_group(number).num_rows
        if high > piece.start and low < stop:
            at = low
            for batch in content.iter_batches(
                batch_size=_READ_ROWS, row_groups=[number], use_threads=False
            ):
                first, last = max(piece.start - at, 0), min(stop - at, batch.num_rows)
                at += batch.num_rows
                if last > first:
                    yield pa.Table.from_batches([batch.slice(first, last - first)])
        low = high


def _hdf5(content: Any, piece: Piece) -> Iterator[pa.Table]:
    names = [name for name, one in content.items() if getattr(one, "shape", ())]
    stop = max((content[name].shape[0] for name in names), default=0)
    stop = stop if piece.stop < 0 else piece.stop
    for start in range(piece.start, max(stop, piece.start + 1), _READ_ROWS):
        end = min(start + _READ_ROWS, stop)
        columns = {name: _column(content[name][start:end]) for name in names}
        yield pa.table(_with_struct(columns))


def _with_struct(columns: dict[str, pa.Array]) -> dict[str, pa.Array]:
    """Columns spectrum_flux, spectrum_lambda, ... as one struct, as in the Parquet files."""
    inside = {
        name.removeprefix("spectrum_"): values
        for name, values in columns.items()
        if name.startswith("spectrum_") and pa.types.is_fixed_size_list(values.type)
    }
    if "spectrum" in columns or not inside:
        return columns
    if "ivar" not in inside and "flux_ivar" in inside:
        inside["ivar"] = inside.pop("flux_ivar")  # the first build of GALAH
    struct = pa.StructArray.from_arrays(list(inside.values()), names=list(inside))
    rest = {n: v for n, v in columns.items() if n.removeprefix("spectrum_") not in inside}
    rest.pop("spectrum_flux_ivar", None)
    return {**rest, "spectrum": struct}


def _column(values: np.ndarray) -> pa.Array:
    if values.dtype.kind in "SO":
        return pa.array([text(value) for value in values.tolist()])
    if values.dtype.byteorder == ">":
        values = values.astype(values.dtype.newbyteorder("="))
    if values.ndim == 1:
        return pa.array(values)
    flat = pa.array(np.ascontiguousarray(values).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, int(np.prod(values.shape[1:])))
