"""Columns of a FITS binary table by name, of which only those asked for are decoded."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import numpy as np
from astropy.io import fits

__all__ = ["FitsTable", "is_table"]

# A catalogue row of SDSS has 130 columns: astropy describes each of them before it hands out one.
_TYPES = {
    "B": "u1",
    "I": ">i2",
    "J": ">i4",
    "K": ">i8",
    "E": ">f4",
    "D": ">f8",
    "L": "S1",
    "A": "S",
}
_SIZES = {"B": 1, "I": 2, "J": 4, "K": 8, "E": 4, "D": 8, "L": 1, "A": 1,
          "C": 8, "M": 16, "P": 8, "Q": 16}  # fmt: skip
_FORM = re.compile(r"^\s*(\d*)([LXBIJKAEDCMPQ])")


def is_table(hdu: Any) -> bool:
    """Tell whether an HDU is a binary or an ASCII table, without reading it."""
    return isinstance(hdu, (fits.BinTableHDU, fits.TableHDU)) and not hdu.is_image


class FitsTable:
    """A table of an open FITS file.

    Parameters
    ----------
    hdu : `~astropy.io.fits.BinTableHDU`

    Attributes
    ----------
    names : list of str
        As the file spells them.
    units : dict
        {name: text of its unit}.
    nulls : dict
        {name: the integer that stands for no value}.
    n_rows : int
    """

    def __init__(self, hdu: Any) -> None:
        self._hdu = hdu
        cards = _column_cards(_header_text(hdu))
        self.n_rows, self._width = int(cards["NAXIS", 2]), int(cards["NAXIS", 1])
        number = int(cards["TFIELDS", 0])
        self.names = [cards.get(("TTYPE", i), f"col{i}") for i in range(1, number + 1)]
        self.units = {
            name: cards[("TUNIT", i)]
            for i, name in enumerate(self.names, 1)
            if ("TUNIT", i) in cards
        }
        self.nulls = {
            name: int(cards["TNULL", i])
            for i, name in enumerate(self.names, 1)
            if ("TNULL", i) in cards
        }
        self._places: dict[str, tuple[int, str, str]] = {}
        binary = isinstance(hdu, fits.BinTableHDU)
        offset = 0
        for i, name in enumerate(self.names, 1):
            match = _FORM.match(cards.get(("TFORM", i), ""))
            if match is None or not binary:
                break
            repeat, kind = int(match[1] or 1), match[2]
            plain = not {("TSCAL", i), ("TZERO", i), ("TDIM", i)} & cards.keys()
            if kind in _TYPES and plain and repeat:
                form = _TYPES[kind]
                if kind == "A":
                    form = f"S{repeat}"
                elif repeat > 1:
                    form = f"({repeat},){form}"
                self._places[name] = (offset, form, kind)
            offset += (repeat + 7) // 8 if kind == "X" else repeat * _SIZES[kind]
        self._own = {name.lower(): name for name in reversed(self.names)}
        self._raw: bytes | None = None

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._own

    def has(self, names: Iterable[str]) -> bool:
        """Whether all of some columns are there, in any case."""
        return all(name in self for name in names)

    def __getitem__(self, name: str) -> np.ndarray:
        """A column, whatever the case of its name, in the machine's byte order."""
        name = self._own[name.lower()]
        place = self._places.get(name)
        raw = self._bytes() if place is not None else None
        if place is None or raw is None:
            values = np.asarray(self._hdu.data[name])
        else:
            offset, form, kind = place
            dtype = np.dtype(
                {"names": ["it"], "formats": [form], "offsets": [offset], "itemsize": self._width}
            )
            values = np.frombuffer(raw, dtype=dtype, count=self.n_rows)["it"]
            if kind == "L":
                values = values == b"T"
        if values.dtype.kind in "iufc" and not values.dtype.isnative:
            values = values.astype(values.dtype.newbyteorder("="))
        return values

    def _bytes(self) -> bytes | None:
        """The table's bytes; None where it is not, or no longer, what the file holds."""
        if self._raw is None:
            info = self._hdu.fileinfo()
            if info is None or "data" in self._hdu.__dict__:
                return None
            file = info["file"]
            if getattr(file, "closed", False):
                return None
            file.seek(info["datLoc"])
            self._raw = file.read(self._width * self.n_rows)
            if len(self._raw) != self._width * self.n_rows:
                raise OSError("the table is cut short")
        return self._raw


_CARD = re.compile(
    r"^(TTYPE|TFORM|TUNIT|TNULL|TSCAL|TZERO|TDIM|NAXIS|TFIELDS)(\d*) *= *('(?:[^']|'')*'|[^/]*)"
)


def _header_text(hdu: Any) -> str:
    """A header's text as the file has it, which is not parsed for that; else written anew."""
    info = hdu.fileinfo()
    if info is not None and "data" not in hdu.__dict__ and not info["file"].closed:
        file = info["file"]
        file.seek(info["hdrLoc"])
        return file.read(info["datLoc"] - info["hdrLoc"]).decode("ascii", "replace")
    return hdu.header.tostring(padding=False)


def _column_cards(text: str) -> dict[tuple[str, int], str]:
    """The cards that describe a table and its columns."""
    out = {}
    for start in range(0, len(text), 80):
        if text[start] not in "TN":
            continue
        match = _CARD.match(text[start : start + 80])
        if match:
            value = match[3].strip()
            if value.startswith("'"):
                value = value[1:-1].replace("''", "'").strip()
            out[match[1], int(match[2] or 0)] = value
    return out
