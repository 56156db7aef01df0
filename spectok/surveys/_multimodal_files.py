"""Files of the Multimodal Universe: found, told apart by columns, read in chunks (no astropy)."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

__all__ = [
    "SURVEYS", "Chunk", "SurveyFile", "cuts", "damage_named", "find_files", "inspect_file",
    "opened", "read_chunks", "report", "surveys_of",
]  # fmt: skip

_HDF5, _PARQUET = (".hdf5", ".h5"), (".parquet", ".pq")
# Names of columns in lower case; of Parquet files' struct "spectrum" as in the HDF5 files. The
# first build of GALAH wrote spectrum_flux_ivar. The column spectrum_bitmask of an early build of
# APOGEE is left alone: by mistake it holds the errors.
_COLUMNS = {
    "object_id": ("object_id",),
    "ra": ("ra",),
    "dec": ("dec",),
    "wavelength": ("spectrum_lambda",),
    "flux": ("spectrum_flux",),
    "ivar": ("spectrum_ivar", "spectrum_flux_ivar"),
    "mask": ("spectrum_mask",),
}
_OPTIONAL = ("mask",)
_PIXELS = ("wavelength", "flux", "ivar", "mask")
_SIGNS = {
    "SDSS": {"zwarning", "specobjid"},
    "DESI": {"zwarn", "targetid"},
    "GALAH": {"spectrum_norm_flux", "spectrum_norm_lambda"},
    "APOGEE": {"spectrum_pseudo_continuum_flux", "restframe"},
}
SURVEYS = tuple(_SIGNS)
_LABELS = {
    "SDSS": {
        **{n: n for n in ("class", "subclass", "z", "z_err", "zwarning")},
        "sn_median": "sn_median_all",
    },
    "DESI": {
        "class": "spectype",
        "subclass": "subtype",
        "z": "z",
        "z_err": "zerr",
        "zwarn": "zwarn",
    },
    "GALAH": {n: n for n in ("teff", "logg", "fe_h", "alpha_fe", "vbroad", "rv", "flag_sp")},
    "APOGEE": {
        **{n: n for n in ("teff", "logg", "m_h", "alpha_m", "snr")},
        "rv": "radial_velocity",
    },
}
# Bytes that pyarrow reads ahead. With this, and without its own buffering of whole row groups,
# 4000 spectra in one row group take 34 MB and not 265.
_READ_AHEAD = 1 << 16

Wanted = Callable[[np.ndarray, np.ndarray, Sequence], np.ndarray]
# Values of a column (by our name for it) from one row of a piece to another.
Load = Callable[[str, int, int], Sequence]


@dataclass(frozen=True)
class SurveyFile:
    """Facts on a file, known without having read a spectrum.

    Attributes
    ----------
    path : pathlib.Path
    survey : str
    groups : tuple of int
        Rows of each row group; an HDF5 file is one group.
    columns, labels : dict of str to str
        The file's name of each column that is read.
    """

    path: Path
    survey: str
    groups: tuple[int, ...]
    columns: Mapping[str, str]
    labels: Mapping[str, str]

    @property
    def parquet(self) -> bool:
        """Whether it is a Parquet file: read from the start of a row group only."""
        return self.path.suffix in _PARQUET


def find_files(paths: str | os.PathLike | Sequence[str | os.PathLike]) -> list[Path]:
    """Files, and the partitions in folders, sorted within each folder.

    Side files of HATS catalogs and whole margin and index catalogs are left out: their rows
    repeat those of the main catalog.

    Raises
    ------
    FileNotFoundError
        If a path does not exist or a folder holds no such file.
    ValueError
        If a file is of another format.
    """
    found: list[Path] = []
    for path in [paths] if isinstance(paths, (str, os.PathLike)) else paths:
        path = Path(path)
        if path.is_dir():
            inside = sorted(
                p for p in path.rglob("*") if p.suffix in _HDF5 + _PARQUET and _is_main(p)
            )
            if not inside:
                raise FileNotFoundError(
                    f"{path}: no file that ends in {', '.join(_HDF5 + _PARQUET)} in this folder "
                    "(margin and index catalogs of HATS do not count)"
                )
            found += inside
        elif not path.exists():
            raise FileNotFoundError(f"{path}: no such file or folder; check the path")
        elif path.suffix not in _HDF5 + _PARQUET:
            raise ValueError(f"{path}: files end in {', '.join(_HDF5 + _PARQUET)}")
        else:
            found.append(path)
    if not found:
        raise FileNotFoundError("no file was given: give files, or folders that hold some")
    return found


def _is_main(path: Path) -> bool:
    """Whether a file holds rows of its own: not a margin, an index or a thumbnail."""
    if path.name.startswith(("_", ".")):
        return False
    place = [part.startswith("Norder=") for part in path.parts]
    if not any(place):
        # Statistics and thumbnails lie beside the properties, or in the folder of partitions.
        root = path.parent.parent if path.parent.name == "dataset" else path.parent
        return not (root / "partition_info.csv").exists()
    root = Path(*path.parts[: place.index(True)])
    return _kind(root.parent if root.name == "dataset" else root) not in ("margin", "index")


@lru_cache(maxsize=64)
def _kind(root: Path) -> str:
    """The kind of a HATS catalog, "" if it does not say."""
    for name in ("hats.properties", "properties"):
        if (root / name).is_file():
            for line in (root / name).read_text(encoding="utf-8").splitlines():
                key, _, value = line.partition("=")
                if key.strip() == "dataproduct_type":
                    return value.strip()
    return ""


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """An `h5py.File` or a `pyarrow.parquet.ParquetFile`; damage becomes one sentence."""
    parquet = path.suffix in _PARQUET
    try:
        if parquet:
            import pyarrow.parquet as package
        else:
            import h5py as package
    except ImportError as error:
        name = "pyarrow" if parquet else "h5py"
        said = f'{path}: needs {name}: pip install ".[tables]" in a checkout'
        raise ImportError(said) from error
    with damage_named(path):
        if parquet:
            file = package.ParquetFile(path, pre_buffer=False, buffer_size=_READ_AHEAD)
        else:
            file = package.File(path, "r")
    with file:
        yield file


@contextmanager
def damage_named(path: Path) -> Iterator[None]:
    """Whatever goes wrong inside means that the file is damaged: one `OSError` that says so."""
    try:
        yield
    except Exception as error:  # the two packages raise anything at all
        raise OSError(
            f"{path}: cannot be read ({type(error).__name__}: {error}); it may be cut short or "
            'damaged: fetch it again, or leave such files out with damaged="skip"'
        ) from error


def report(error: Exception, damaged: str) -> None:
    """Raise what is wrong (``damaged="raise"``), or warn that it is left out."""
    if damaged == "raise":
        raise error
    warnings.warn(f"left out: {error}", UserWarning, stacklevel=3)


def inspect_file(path: Path, *, survey: str | None, labels: Sequence[str]) -> SurveyFile:
    """Look at the columns of a file.

    Parameters
    ----------
    path : pathlib.Path
    survey : str, optional
        By default found from the columns.
    labels : sequence of str
        Columns wanted besides the usual labels.

    Raises
    ------
    OSError
        If the file is damaged.
    ValueError
        If it is of another schema or another survey.
    """
    with opened(path) as file:
        with damage_named(path):
            names = _column_names(file, path.suffix in _PARQUET)
        shown = ", ".join(sorted(names.values())[:40]) + (", ..." if len(names) > 40 else "")
        columns = {}
        for role, candidates in _COLUMNS.items():
            have = [names[name] for name in candidates if name in names]
            if have:
                columns[role] = have[0]
            elif role not in _OPTIONAL:
                raise ValueError(
                    f"{path}: not spectra of the Multimodal Universe: expected the columns "
                    f"object_id, ra, dec, spectrum_lambda, spectrum_flux and spectrum_ivar (in "
                    f"Parquet a struct spectrum of lists), but there is no "
                    f"{' or '.join(candidates)}; it has {shown}"
                )
        signs = surveys_of(names)
        if survey is None and len(signs) != 1:
            raise ValueError(
                f"{path}: cannot tell the survey from the columns ({shown}); give "
                f"survey={' or '.join(map(repr, SURVEYS))}"
            )
        if survey is not None and signs and survey not in signs:
            raise ValueError(f"{path}: its columns are those of {signs[0]}, not of {survey}")
        survey = survey or signs[0]
        usual = {key: names[n] for key, n in _LABELS[survey].items() if n in names}
        lost = [name for name in labels if name.lower() not in names]
        if lost:
            raise ValueError(f"{path}: no column {', '.join(lost)} for labels; it has {shown}")
        with damage_named(path):
            groups = _count_rows(file, columns)
    wanted = {name: names[name.lower()] for name in labels}
    return SurveyFile(path, survey, groups, columns, {**usual, **wanted})


def surveys_of(names: Iterable[str]) -> list[str]:
    """Surveys of the Multimodal Universe that have such columns (names in lower case)."""
    return [survey for survey, words in _SIGNS.items() if words & set(names)]


def _column_names(file: Any, parquet: bool) -> dict[str, str]:
    """The file's columns by their names in lower case, which come first where cases differ."""
    if not parquet:
        names = {name: name for name in file}
    else:
        from pyarrow.types import is_struct

        schema = file.schema_arrow
        names = {name: name for name in schema.names if name != "spectrum"}
        if "spectrum" in schema.names and is_struct(schema.field("spectrum").type):
            inside = [child.name for child in schema.field("spectrum").type]
            names |= {f"spectrum_{name}": f"spectrum.{name}" for name in inside}
    lower = {name.lower(): column for name, column in names.items()}
    return {**lower, **{n: column for n, column in names.items() if n == n.lower()}}


def _count_rows(file: Any, columns: Mapping[str, str]) -> tuple[int, ...]:
    if hasattr(file, "metadata"):
        meta = file.metadata
        return tuple(meta.row_group(i).num_rows for i in range(meta.num_row_groups))
    shapes = {column: file[column].shape for column in columns.values()}
    pixels = {file[columns[role]].shape for role in _PIXELS if role in columns}
    rows = {shape[:1] for shape in shapes.values()}
    if len(rows) != 1 or len(pixels) != 1 or any(len(shape) != 2 for shape in pixels):
        raise ValueError(f"the shapes of its columns do not fit each other: {shapes}")
    return rows.pop()


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
