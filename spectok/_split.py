"""The one division of objects into train, validation and test, fixed for ever.

Every figure this package publishes, every noise vector and every template fit
uses this division, so that no spectrum is ever judged by a model which saw
another spectrum of the same object. The same object recurs under other names
(repeat plates, repeat epochs, other surveys): what it keeps is its place on the
sky, so the place decides. Neighbours share a cell of a quarter of a degree,
which also keeps a field's shared sky residuals on one side.

Needs numpy and the standard library only.
"""

from __future__ import annotations

import hashlib
import math

import numpy as np

__all__ = ["SETS", "name_split", "sky_split"]

SETS = ("train", "validation", "test")

# Changing any of these moves objects between the sets: never do it. The number
# in the salt was picked once, before any model existed: of 1 to 400 it divides
# the few hundred public spectra at hand most evenly by survey, class and signal
# to noise, so that no survey is left without training or without test objects.
_SALT = b"spectok-split-13"
_CELL = 0.25  # degree
_N_BANDS = round(180.0 / _CELL)
_BOUNDS = (0.70, 0.75)  # train below the first, validation below the second


def _set_of(key: str) -> str:
    """Name the set of one key, by 64 bits of a keyed hash."""
    digest = hashlib.blake2b(key.encode("utf-8"), digest_size=8, key=_SALT).digest()
    fraction = int.from_bytes(digest, "big") / 2**64
    if fraction < _BOUNDS[0]:
        return "train"
    return "validation" if fraction < _BOUNDS[1] else "test"


def _cell(ra: float, dec: float) -> str:
    """Key of the sky cell that holds a position."""
    band = min(int(math.floor((dec + 90.0) / _CELL)), _N_BANDS - 1)
    middle = -90.0 + (band + 0.5) * _CELL
    # Rounded, because the last bit of a cosine differs between C libraries.
    n_cells = max(1, round(round(math.cos(math.radians(middle)), 9) * 360.0 / _CELL))
    index = min(int(math.floor((ra % 360.0) / 360.0 * n_cells)), n_cells - 1)
    return f"cell {band} {index}"


def sky_split(ra, dec) -> np.ndarray:
    """Name the set of each object by its position on the sky.

    The sky is cut into declination bands of 0.25 degree and each band into
    cells of equal width close to 0.25 degree on the sky; a keyed hash of the
    cell gives "train" (70 %), "validation" (5 %) or "test" (25 %).

    Parameters
    ----------
    ra, dec : float or array_like
        ICRS right ascension and declination in degrees; they broadcast.

    Returns
    -------
    numpy.ndarray
        Strings "train", "validation" or "test", of the broadcast shape.

    Raises
    ------
    ValueError
        If a position is not finite or a declination lies beyond a pole.

    Examples
    --------
    >>> from spectok._split import sky_split
    >>> sky_split([10.0, 200.0], [0.0, 45.0]).shape
    (2,)
    """
    ra, dec = np.broadcast_arrays(np.asarray(ra, float), np.asarray(dec, float))
    wrong = ~np.isfinite(ra) | ~np.isfinite(dec) | (np.abs(dec) > 90.0)
    if wrong.any():
        first = np.flatnonzero(wrong.ravel())[0]
        raise ValueError(
            f"position {first} (ra={ra.ravel()[first]}, dec={dec.ravel()[first]}) is not "
            "on the sky: give finite degrees with -90 <= dec <= 90, or use name_split "
            "for objects without a position"
        )
    names = [
        _set_of(_cell(float(a), float(d))) for a, d in zip(ra.ravel(), dec.ravel(), strict=True)
    ]
    return np.array(names, dtype="U10").reshape(ra.shape)


def name_split(name) -> np.ndarray:
    """Name the set of each object by its name, for objects without position.

    Parameters
    ----------
    name : str or array_like of str
        The object's name: one object must always carry the same one.

    Returns
    -------
    numpy.ndarray
        Strings "train", "validation" or "test", of the input's shape.

    Raises
    ------
    ValueError
        If a name is empty.

    Examples
    --------
    >>> from spectok._split import name_split
    >>> str(name_split("2M08002084+4044415")) in ("train", "validation", "test")
    True
    """
    names = np.asarray(name, dtype=str)
    stripped = [str(n).strip() for n in names.ravel()]
    if not all(stripped):
        raise ValueError("an object's name is empty: give every object a name")
    return np.array([_set_of("name " + n) for n in stripped], dtype="U10").reshape(names.shape)
