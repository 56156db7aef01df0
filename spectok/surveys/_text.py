"""Tables that are no FITS (text, Parquet, VOTable, HDF5) to spectra."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from astropy.utils.exceptions import AstropyWarning
from specutils import Spectrum

from ._axis import warn
from ._columns import read_columns, refuse_own

__all__ = ["read_text"]

_NAMES = ("wavelength", "flux", "error")


def read_text(path: Path) -> list[Spectrum]:
    """Read a table that is text, Parquet, VOTable or HDF5.

    Raises
    ------
    ValueError
        If it is no table, or has no columns of a spectrum.
    """
    table = _read_table(path)
    names = list(table.colnames)
    header = {str(key).upper(): value for key, value in table.meta.items()}
    refuse_own(names, str(path))
    if not len(table):
        raise ValueError(f"{path}: the table has no row; it is no spectrum")
    if all(name == f"col{i}" for i, name in enumerate(names, 1)):
        if len(names) not in (2, 3):
            raise ValueError(
                f"{path}: its {len(names)} columns have no names: write a first line that names "
                "them, such as: wavelength flux error"
            )
        new = _NAMES[: len(names)]
        warn(f"{path}: its columns have no names; they are taken as {', '.join(new)}")
        table.rename_columns(names, list(new))
        names = list(new)
    columns: dict[str, np.ndarray] = {}
    units: dict[str, Any] = {}
    for name in names:
        column = table[name]
        units[name] = str(column.unit) if getattr(column, "unit", None) is not None else None
        values = getattr(column, "value", column)
        if hasattr(values, "filled") and values.dtype.kind in "f":
            values = values.filled(np.nan)
        elif hasattr(values, "filled") and values.dtype.kind in "iu" and np.any(values.mask):
            values = values.astype(float).filled(np.nan)
        elif hasattr(values, "unmasked") and np.asarray(values.unmasked).dtype.kind == "f":
            values = np.where(values.mask, np.nan, values.unmasked)
        columns[name] = np.asarray(values)
    texts = [name for name in names if columns[name].dtype.kind == "U"]
    if len(texts) == len(names) and not any(_is_number(columns[name][0]) for name in names):
        # A second line of units, under that of the names.
        for name in names:
            units[name] = units[name] or str(columns[name][0]).strip()
            columns[name] = columns[name][1:]
    return read_columns(columns, units, header, str(path))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _read_table(path: Path) -> Any:
    from astropy.table import QTable, Table

    suffix = path.suffix.lower()
    with open(path, "rb") as file:
        start = file.read(1024)
    suffix = {b"PAR1": ".parquet", b"\x89HDF": ".h5"}.get(start[:4], suffix)
    if start.startswith((b"\x93NUMPY", b"PK\x03\x04")):
        raise ValueError(
            f"{path}: arrays of NumPy or an archive, no table: load it, and pass the arrays to "
            "spectok.encode_arrays"
        )
    if b"\x00" in start and suffix not in (".parquet", ".pq", ".h5", ".hdf5"):
        raise ValueError(f"{path}: neither FITS nor a table: fetch it again, or name its format=")
    if start.lstrip()[:1] == b"<" and b"votable" not in start.lower():
        raise ValueError(f"{path}: a web page instead of a spectrum: fetch it again")
    if start.lstrip()[:1] == b"{":
        raise ValueError(
            f"{path}: JSON, no table: read it yourself, and pass the arrays to "
            "spectok.encode_arrays"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyWarning)
            if suffix in (".parquet", ".pq"):
                return Table.read(path, format="parquet")
            if suffix in (".vot", ".xml"):
                return Table.read(path, format="votable")
            if suffix in (".h5", ".hdf5"):
                return QTable.read(path)
            if suffix == ".ecsv":
                return QTable.read(path, format="ascii.ecsv")
            return _read_ascii(path)
    except Exception as error:  # readers of tables raise anything at all
        if isinstance(error, ImportError):
            raise
        first = (str(error).strip().splitlines() or [""])[0]
        raise ValueError(
            f"{path}: neither FITS nor a table that can be read ({type(error).__name__}: "
            f"{first:.150})"
        ) from error


def _read_ascii(path: Path) -> Any:
    """A text table by its looks: separated by blanks, commas or, of many countries, semicolons."""
    from astropy.io import ascii
    from astropy.utils.data import get_readable_fileobj

    with get_readable_fileobj(path, encoding="binary") as file:  # it may be compressed
        content = file.read()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if lines and ";" in lines[0] and all(";" in line for line in lines[:20]):
        if "," not in lines[0]:  # then a comma is a decimal point
            text = text.replace(",", ".")
        return ascii.read(text.splitlines(), delimiter=";")
    return ascii.read(text.splitlines())
