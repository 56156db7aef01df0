"""Filters of light curves: names and lengths to effective wavelengths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from astropy import units as u

from spectok._convert._names import as_name

__all__ = ["FILTERS", "filter_wavelengths"]

# Effective wavelengths [Angstrom], rounded: an embedding of filters, no photometry, rests on
# them. One letter is what most surveys mean by it (SDSS, DES, Pan-STARRS and Rubin differ by less
# than 150 Angstrom); with the survey's name in front it is that survey's own.
FILTERS: dict[str, float] = {
    "u": 3560.0, "g": 4810.0, "r": 6230.0, "i": 7640.0, "z": 9000.0, "y": 9700.0,
    "U": 3600.0, "B": 4380.0, "V": 5450.0, "R": 6410.0, "I": 7980.0,
    "Y": 10200.0, "J": 12350.0, "H": 16620.0, "K": 21590.0, "Ks": 21590.0,
    "W1": 33526.0, "W2": 46028.0, "G": 6218.0, "BP": 5110.0, "RP": 7769.0,
    "TESS": 7865.0, "Kepler": 6400.0, "K2": 6400.0, "c": 5330.0, "o": 6790.0,
    "sdssu": 3560.0, "sdssg": 4720.0, "sdssr": 6180.0, "sdssi": 7500.0, "sdssz": 8960.0,
    "desu": 3810.0, "desg": 4820.0, "desr": 6410.0, "desi": 7810.0, "desz": 9250.0,
    "desy": 9900.0, "ps1g": 4810.0, "ps1r": 6160.0, "ps1i": 7500.0, "ps1z": 8660.0,
    "ps1y": 9600.0, "lsstu": 3671.0, "lsstg": 4827.0, "lsstr": 6223.0, "lssti": 7546.0,
    "lsstz": 8691.0, "lssty": 9712.0, "ztfg": 4746.0, "ztfr": 6366.0, "ztfi": 7829.0,
    "gaiaG": 6218.0, "gaiaBP": 5110.0, "gaiaRP": 7769.0, "atlasc": 5330.0, "atlaso": 6790.0,
}  # fmt: skip
_LEAST, _MOST = 1000.0, 1e6  # of an effective wavelength [Angstrom]


def filter_wavelengths(
    bands: Any, number: int, where: str, own: Mapping[str, Any] | None = None
) -> np.ndarray:
    """Effective wavelengths of the filters of so many points, in Angstrom.

    Parameters
    ----------
    bands : str, number, `~astropy.units.Quantity`, or sequence of them
        Names of `FILTERS` or of ``own``, or effective wavelengths (Angstrom where they have no
        unit): one for all points, or one for each.
    number : int
        Of points.
    where : str
        Name of the light curve for messages.
    own : mapping of str to number or `~astropy.units.Quantity`, optional
        More names, with their effective wavelengths.

    Returns
    -------
    wavelength : `numpy.ndarray`, shape (number,)

    Raises
    ------
    ValueError
        For a name that is not known, a wavelength that is none, and another number of them.
    """
    names = {**FILTERS, **{key: _angstrom(value, where) for key, value in (own or {}).items()}}
    given = bands if isinstance(bands, u.Quantity) else np.asarray(bands)
    if np.ndim(given) == 0:
        given = given.reshape(1)
    if given.shape not in ((1,), (number,)):
        raise ValueError(
            f"{where}: {np.size(given)} bands for {number} points: give one for all, or one for "
            "each"
        )
    if isinstance(given, u.Quantity) or given.dtype.kind in "iuf":
        found = _angstrom(given, where)
    else:
        texts = [as_name(value).strip() for value in given]
        known = {text: _named(text, names) for text in set(texts)}
        lost = sorted(text for text, value in known.items() if value is None)
        if lost:
            raise ValueError(
                f"{where}: the filter {', '.join(map(repr, lost))} is not known; known are "
                f"{', '.join(names)}. Give others with their effective wavelengths, such as "
                f"bands={{{lost[0]!r}: 6200 * u.AA}}"
            )
        found = np.array([known[text] for text in texts], float)
    if not ((found > _LEAST) & (found < _MOST)).all():
        raise ValueError(
            f"{where}: effective wavelengths of filters must lie between {_LEAST:g} and "
            f"{_MOST:g} Angstrom, and these run from {found.min():.6g} to {found.max():.6g}: "
            "give them their unit, or the filters by name"
        )
    return np.broadcast_to(found, (number,)).astype(np.float64)


def _named(text: str, names: Mapping[str, float]) -> float | None:
    """The filter of a name: exactly, else without its separators and whatever its case."""
    if text in names:
        return names[text]
    plain = "".join(one for one in text if one.isalnum())
    if plain in names:
        return names[plain]
    lower = [value for name, value in names.items() if name.lower() == plain.lower()]
    return lower[0] if len(set(lower)) == 1 else None


def _angstrom(value: Any, where: str) -> Any:
    if not isinstance(value, u.Quantity):
        return np.asarray(value, dtype=np.float64)
    try:
        return value.to_value(u.AA, u.spectral())
    except u.UnitConversionError as error:
        raise ValueError(f"{where}: bands in {value.unit} are no wavelengths") from error
