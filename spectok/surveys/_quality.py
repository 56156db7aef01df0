"""Data-quality columns and images to masks of bad pixels."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._axis import warn
from ._missing import broken
from ._roles import plain
from ._spec import BAD_BITS

__all__ = ["LAMOST_BITS", "bad_pixels"]

# LAMOST's ANDMASK (https://www.lamost.org/dr8/v1.0/doc/lr-data-production-description):
# all but BRIGHTSKY, which the inverse variance knows of.
LAMOST_BITS = {"BADCCD": 0, "BADPROFILE": 1, "NOSKY": 2, "BADCENTER": 4, "NODATA": 5}


def bad_pixels(values: Any, name: str, header: Any, where: str, *, inverse: bool) -> np.ndarray:
    """True where a data-quality value says that the pixel is bad.

    JWST and Roman: bit 0, ``DO_NOT_USE``. HST: the bits of ``SDQFLAGS`` where the header has
    them. SDSS: as its own reader. Any other: everything that is not zero (or, of columns named
    for good pixels, what is zero).
    """
    values = np.asarray(values)
    if values.dtype.kind in "SU":
        values = np.char.strip(values.astype(str))
        values = ~np.isin(values, ("", "0", "F", "False", "f", "good"))
    telescope = str(header.get("TELESCOP", "")).upper()
    pypeit = str(header.get("DMODCLS", "")) in ("OneSpec", "SpecObj")
    if inverse or (pypeit and plain(name) == "mask"):
        if plain(name) == "dataqual" and not _mostly_one(values):
            return values != 0
        return values == 0
    if values.dtype.kind != "b":  # a truth for each pixel has no bits
        values = np.nan_to_num(values, nan=1.0)
        if telescope.startswith(("JWST", "ROMAN")):
            return values.astype(np.int64) & 1 != 0
        if telescope == "HST" and isinstance(header.get("SDQFLAGS"), int):
            return values.astype(np.int64) & np.int64(header["SDQFLAGS"]) != 0
        if telescope == "LAMOST":
            return broken(values, LAMOST_BITS)
        if telescope.startswith("SDSS") and plain(name) == "andmask":
            return broken(values, BAD_BITS)
    bad = values != 0
    if bad.mean() > 0.9 and set(np.unique(values)[:3].tolist()) <= {0.0, 1.0}:
        warn(
            f"{where}: {name} marks {bad.mean():.0%} of the pixels as bad (1, as in astropy); "
            "if 1 means good in it, invert the mask of the spectrum"
        )
    return bad


def _mostly_one(values: np.ndarray) -> bool:
    return set(np.unique(values)[:3].tolist()) <= {0, 1} and bool(np.mean(values) > 0.5)
