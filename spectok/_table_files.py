"""Tables and other files of the command: formats, what may be overwritten, clear errors."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from astropy.table import QTable, Table

__all__ = [
    "check_output", "check_picture", "first_table", "is_token_table", "read_table",
    "refuse_existing", "table_or_none", "write_table",
]  # fmt: skip

_TABLES = (".fits", ".ecsv", ".parquet", ".hdf5", ".h5")
_PICTURES = (".png", ".pdf", ".svg", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".eps", ".ps")


def check_output(path: str, *, overwrite: bool, inputs: Iterable[str | os.PathLike] = ()) -> None:
    """Refuse an output that cannot or must not be written, before the work is done."""
    suffix = Path(path).suffix.lower()
    if suffix not in _TABLES:
        raise ValueError(f"{path}: tables end in {', '.join(_TABLES)}, not in {suffix!r}")
    needed = {".parquet": ("pyarrow", "pandas"), ".hdf5": ("h5py",), ".h5": ("h5py",)}
    missing = [name for name in needed.get(suffix, ()) if find_spec(name) is None]
    if missing:
        raise ImportError(
            f"{path}: this format needs {' and '.join(missing)}: "
            'pip install ".[tables]" in a checkout'
        )
    refuse_existing(path, overwrite=overwrite, inputs=inputs)


def refuse_existing(
    path: str | os.PathLike, *, overwrite: bool, inputs: Iterable[str | os.PathLike] = ()
) -> None:
    """Refuse an output in no folder, or in the place of its own input or of something else."""
    place = Path(path).resolve()
    if not place.parent.is_dir():
        raise FileNotFoundError(f"{path}: the folder {Path(path).parent} does not exist")
    if place.is_dir():
        raise IsADirectoryError(f"{path} is a folder: name a file in it")
    if place.exists():
        if any(Path(one).resolve() == place for one in inputs):
            raise FileExistsError(f"{path} is read by this command: give another output")
        if not overwrite:
            raise FileExistsError(f"{path} exists: give another output, or --overwrite it")


def check_picture(path: str | os.PathLike, source: str | os.PathLike) -> None:
    """Refuse a picture of no known kind, or in the place of what it shows."""
    suffix = Path(path).suffix.lower()
    if suffix not in _PICTURES:
        raise ValueError(f"{path}: pictures end in {', '.join(_PICTURES)}, not in {suffix!r}")
    refuse_existing(path, overwrite=True, inputs=[source])


def write_table(table: Table, path: str) -> None:
    """Write a table in the format that its name asks for, whole or not at all."""
    options = {}
    suffix = Path(path).suffix.lower()
    if suffix == ".fits":
        table = _in_ascii(table, path)
    if suffix in (".hdf5", ".h5"):
        options = {"path": "tokens", "serialize_meta": True}
    partial = Path(path).with_name(f".{Path(path).stem}.{os.getpid()}.part{suffix}")
    try:
        table.write(partial, overwrite=True, **options)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _in_ascii(table: Table, path: str) -> Table:
    """Texts as FITS can hold them: what is not ASCII is escaped as in Python, and said."""
    import numpy as np

    changed: list[str] = []
    for name in table.colnames:
        if table[name].dtype.kind != "U":
            continue
        texts = np.asarray(table[name])
        ascii_ = np.char.decode(np.char.encode(texts, "ascii", "backslashreplace"), "ascii")
        if (ascii_ != texts).any():
            table = table.copy() if not changed else table
            table[name] = ascii_
            changed.append(name)
    if changed:
        warnings.warn(
            f"{path}: FITS holds ASCII only; other letters in {', '.join(changed)} are written as "
            "\\u03b2 and the like (ECSV, Parquet and HDF5 keep them)",
            stacklevel=3,
        )
    return table


def read_table(path: str | os.PathLike) -> QTable:
    """Read a table of any of the formats, or say why not."""
    from astropy.table import QTable

    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such file; check the path")
    if Path(path).suffix.lower() not in _TABLES:
        raise ValueError(f"{path}: tables end in {', '.join(_TABLES)}")
    options = {"path": "tokens"} if Path(path).suffix.lower() in (".hdf5", ".h5") else {}
    try:
        return QTable.read(path, **options)
    except Exception as error:  # astropy's readers raise anything at all
        raise OSError(
            f"{path}: cannot be read as a table ({type(error).__name__}: {error})"
        ) from error


def table_or_none(path: str | os.PathLike) -> QTable | None:
    """A token table, or None where the file is something else (a spectrum, a model)."""
    if not Path(path).is_file() or Path(path).suffix.lower() not in _TABLES:
        return None
    try:
        with warnings.catch_warnings():
            # A spectrum file may hold several tables: astropy need not say so.
            warnings.simplefilter("ignore")
            table = read_table(path)
    except OSError:
        return None
    return table if "token_index" in table.colnames else None


def is_token_table(path: str | os.PathLike, first: tuple[str, list[str]] | None = None) -> bool:
    """Whether a file holds tokens, as far as possible from its header (`first_table`) alone."""
    if Path(path).suffix.lower() != ".fits":
        return table_or_none(path) is not None
    return {"token_index", "token"} <= set((first or first_table(path))[1])


def first_table(path: str | os.PathLike) -> tuple[str, list[str]]:
    """TELESCOP of a FITS file and the columns of its first table, from headers alone.

    Both are empty where it has none, or is no FITS. Tables of some hundred columns take astropy
    longer to look through than all else that is done with a spectrum: no more is read than asked.
    """
    from astropy.io import fits

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Opened here, because astropy leaves files open that it cannot read.
            with open(path, "rb") as file, fits.open(file, memmap=False) as hdus:
                mission = str(hdus[0].header.get("TELESCOP", ""))
                number = 1
                while True:
                    header = hdus[number].header  # the next one is read when it is asked for
                    if header.get("XTENSION", "").strip() in ("BINTABLE", "TABLE"):
                        n_columns = int(header.get("TFIELDS", 0))
                        return mission, [
                            str(header.get(f"TTYPE{k}", "")).strip()
                            for k in range(1, n_columns + 1)
                        ]
                    number += 1
    except Exception:  # no FITS, damaged, or nothing but images
        return "", []
