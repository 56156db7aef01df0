"""Token tables in files, for the command: formats, clear errors (top layer)."""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from astropy.table import QTable, Table

__all__ = ["check_output", "read_table", "table_or_none", "write_table"]

_TABLES = (".fits", ".ecsv", ".parquet", ".hdf5", ".h5")


def check_output(path: str) -> None:
    """Refuse an output that cannot be written before the work is done, not after."""
    suffix = Path(path).suffix.lower()
    if suffix not in _TABLES:
        raise ValueError(f"{path}: tables end in {', '.join(_TABLES)}, not in {suffix!r}")
    if not Path(path).parent.is_dir():
        raise FileNotFoundError(f"{path}: the folder {Path(path).parent} does not exist")
    needed = {".parquet": ("pyarrow", "pandas"), ".hdf5": ("h5py",), ".h5": ("h5py",)}
    missing = [name for name in needed.get(suffix, ()) if find_spec(name) is None]
    if missing:
        raise ImportError(
            f'{path}: this format needs {" and ".join(missing)}: pip install "spectok[tables]"'
        )


def write_table(table: Table, path: str) -> None:
    """Write a table in the format that its name asks for."""
    options = {}
    if Path(path).suffix.lower() in (".hdf5", ".h5"):
        options = {"path": "tokens", "serialize_meta": True}
    table.write(path, overwrite=True, **options)


def read_table(path: str) -> QTable:
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


def table_or_none(path: str) -> QTable | None:
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
