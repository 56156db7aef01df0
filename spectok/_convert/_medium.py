"""What a header says of air and vacuum."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["header_medium", "text_medium", "wcs_medium"]

# Keywords by which archives state it: SDSS and LAMOST (VACUUM), DEIMOS and KCWI (AIRORVAC),
# spectok itself (MEDIUM), and others seen.
_STATED = (
    "MEDIUM", "AIRORVAC", "AIRVAC", "VACAIR", "WAVEMED", "WAVETYPE", "WAVE_MED", "REFMED",
    "WAVSYS",
)  # fmt: skip
_VACUUM_FLAGS = ("VACUUM", "VAC", "INVACUUM", "WAVEVAC", "VACWAVE", "VAC_WAVE", "WAVE_VAC")
_AIR_FLAGS = ("INAIR", "AIRWAVE", "AIR_WAVE", "WAVE_AIR", "WAVEAIR")
_WORDS = re.compile(r"\b(vacuum|vac|air|awav)\b", re.IGNORECASE)
# Cards that describe the spectral axis, the comments of which often say "in air".
_AXIS_CARDS = re.compile(r"^(CTYPE|CUNIT|CNAME|TTYPE|TUNIT|CRVAL|COEFF)\d*$")


def text_medium(text: Any) -> str | None:
    """``"air"`` or ``"vacuum"``, where a text says one of the two and not both."""
    if isinstance(text, bytes):
        text = text.decode("ascii", "replace")
    if not isinstance(text, str):
        return None
    text = text.replace("_", " ")
    if re.search(r"\b(air to vac|vac to air|air2vac|vac2air)", text, re.IGNORECASE):
        return None
    said = {"vacuum" if word[0].lower() == "v" else "air" for word in _WORDS.findall(text)}
    return said.pop() if len(said) == 1 else None


def _flag(value: Any) -> bool | None:
    """A keyword's value as true or false; None for what is neither."""
    if isinstance(value, str):
        return {"t": True, "true": True, "y": True, "yes": True, "1": True,
                "f": False, "false": False, "n": False, "no": False, "0": False,
                }.get(value.strip().lower())  # fmt: skip
    return bool(value) if isinstance(value, (bool, int)) else None


def header_medium(header: Any) -> str | None:
    """What the keywords of a header say the wavelengths are in.

    Parameters
    ----------
    header : `~astropy.io.fits.Header`, mapping or anything else

    Returns
    -------
    medium : ``"air"``, ``"vacuum"`` or None
        The axis type first (``AWAV``, air by the FITS standard), then the keywords by which
        archives state it (``VACUUM``, ``AIRORVAC``, ...), then the comments of the cards that
        describe the axis. None where nothing is said, or what is said is contradictory.

    Examples
    --------
    >>> from spectok._convert import header_medium
    >>> header_medium({"CTYPE3": "AWAV"})
    'air'
    """
    if not isinstance(header, Mapping) and not hasattr(header, "cards"):
        return None
    values = {str(key).upper(): value for key, value in _items(header)}
    axes = [str(value).upper() for key, value in values.items() if re.match(r"^CTYPE\d", key)]
    if any(axis.startswith("AWAV") for axis in axes):
        return "air"
    for key in _STATED:
        said = text_medium(values.get(key))
        if said:
            return said
    for keys, true, false in ((_VACUUM_FLAGS, "vacuum", "air"), (_AIR_FLAGS, "air", "vacuum")):
        for key in keys:
            flag = _flag(values.get(key))
            said = text_medium(values.get(key))
            if flag is not None or said:
                return said or (true if flag else false)
    texts = [value for key, value in values.items() if _AXIS_CARDS.match(key)]
    texts += [
        card.comment for card in getattr(header, "cards", ()) if _AXIS_CARDS.match(card.keyword)
    ]
    # ESO's science products: em.wl in vacuum, em.wl;obs.atmos in air.
    kinds = [str(value).lower() for key, value in values.items() if re.match(r"^TUCD\d", key)]
    if any("em.wl" in kind and "obs.atmos" in kind for kind in kinds):
        return "air"
    every = {found for found in map(text_medium, texts) if found}
    return every.pop() if len(every) == 1 else None


def _items(header: Any) -> Iterable[tuple[Any, Any]]:
    try:
        return list(header.items())
    except Exception:  # cards of other hands that cannot be parsed say nothing
        return []


def wcs_medium(wcs: Any) -> str | None:
    """``"air"`` where the spectral axis of a WCS is ``AWAV``, else None."""
    try:
        kinds = [str(kind).upper() for kind in wcs.wcs.ctype]
    except AttributeError:
        return None
    return "air" if any(kind.startswith("AWAV") for kind in kinds) else None
