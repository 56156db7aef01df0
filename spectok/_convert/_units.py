"""Units spelt as instruments and archives spell them, parsed to what they mean."""

from __future__ import annotations

import re
import warnings
from typing import Any, NamedTuple

from astropy import units as u

__all__ = ["AxisUnit", "check_flux_unit", "parse_axis_unit", "parse_unit"]

# To astropy "A" is ampere and "S" siemens; in the unit of a spectrum they never are.
_WORDS = {
    "a": "Angstrom", "aa": "Angstrom", "ang": "Angstrom", "angs": "Angstrom", "å": "Angstrom",
    "angstrom": "Angstrom", "angstroms": "Angstrom", "angstroem": "Angstrom",
    "ångström": "Angstrom", "ångströms": "Angstrom", "0.1nm": "Angstrom",
    "micron": "um", "microns": "um", "micrometer": "um", "micrometers": "um", "mum": "um",
    "micrometre": "um", "micrometres": "um", "microm": "um", "um": "um", "µm": "um", "μm": "um",
    "nm": "nm", "nanometer": "nm", "nanometers": "nm", "nanometre": "nm", "nanometres": "nm",
    "mm": "mm", "cm": "cm", "m": "m", "meter": "m", "meters": "m", "metre": "m", "metres": "m",
    "s": "s", "sec": "s", "secs": "s", "second": "s", "seconds": "s",
    "erg": "erg", "ergs": "erg", "w": "W", "watt": "W", "watts": "W",
    "hz": "Hz", "hertz": "Hz", "khz": "kHz", "ghz": "GHz", "mhz": "MHz", "thz": "THz",
    "km": "km", "jy": "Jy", "jansky": "Jy",
    "janskys": "Jy", "janskies": "Jy", "ujy": "uJy", "microjy": "uJy", "njy": "nJy",
    "ev": "eV", "kev": "keV",
    "ct": "ct", "cts": "ct", "count": "ct", "counts": "ct", "adu": "adu", "adus": "adu",
    "dn": "DN", "du": "DN", "electron": "electron", "electrons": "electron", "el": "electron",
    "elec": "electron", "e": "electron", "photon": "ph", "photons": "ph", "phot": "ph", "ph": "ph",
    "pix": "pix", "px": "pix", "pixel": "pix", "pixels": "pix", "spaxel": "pix", "spaxels": "pix",
    "fiber": "pix", "fibre": "pix", "bin": "pix", "beam": "beam", "sr": "sr",
    "arcsec": "arcsec", "arcseconds": "arcsec", "arcsecond": "arcsec", "asec": "arcsec",
    "nmgy": "nmgy", "nanomaggies": "nmgy", "nanomaggy": "nmgy", "maggies": "mgy",
}  # fmt: skip
_DENSITY = "erg / (s cm2 Angstrom)"
_WHOLE = {
    "flam": _DENSITY, "fnu": "erg / (s cm2 Hz)", "photlam": "ph / (s cm2 Angstrom)",
    "photnu": "ph / (s cm2 Hz)", "e-": "electron", "mag": "mag", "obmag": "mag",
    "stmag": "mag(ST)",
    "abmag": "mag(AB)",
    **dict.fromkeys(
        ("none", "unitless", "dimensionless", "relative", "normalized", "normalised", "adim",
         "arbitrary", "arb", "n/a", "relative flux", "arbitrary units", "rel. flux",
         "normalized flux", "normalised flux", "relative units", "rel", "-", "a.u.", "a.u", "arb.",
         "arb. units", "arb. unit", "arb.units", "arbitrary unit", "arbitrary flux units",
         "normalized intensity", "normalised intensity", "continuum normalized"), ""),
}  # fmt: skip
_LEADING = re.compile(
    r"""^(?:x\s*)?(?P<factor>\(?\s*10\s*(?:\*\*|\^|(?=[+-]\d|\([+-]\d))\s*\(?\s*(?P<power>[+-]?\d+)\s*\)?\s*\)?
         |[eE](?P<exponent>[+-]\d+)(?=\s)
         |(?P<number>\d+(?:\.\d*)?(?:[eE][+-]?\d+)?))\s*[*.]?\s*(?P<rest>[^-+(\d\s*.^/].*)$""",
    re.VERBOSE,
)
_WORD = re.compile(r"[A-Za-zÅåµμö_]+")


def parse_unit(text: Any, where: str = "the file") -> u.UnitBase | None:
    """Parse a unit as instruments spell it.

    Known are astropy's own spellings and, in any case, those of observatories: ANGSTROMS, FLAM,
    Counts/s, DU/PIXEL, ``1E-17 erg/cm^2/s/Ang``, ``10**(-20)*erg/s/cm**2/Angstrom``,
    ``erg/cm2/s/A`` (per Angstrom, not per ampere).

    Parameters
    ----------
    text : str, `~astropy.units.UnitBase` or None
    where : str
        What has the unit, for the error message.

    Returns
    -------
    unit : `~astropy.units.UnitBase` or None
        None where nothing is said.

    Raises
    ------
    ValueError
        If the text is no unit that is known here.

    Examples
    --------
    >>> from spectok._convert import parse_unit
    >>> parse_unit("1E-17 erg/cm^2/s/Ang")
    Unit("1e-17 erg / (Angstrom s cm2)")
    """
    if isinstance(text, u.UnrecognizedUnit):
        text = text.to_string()
    if text is None or isinstance(text, (u.UnitBase, u.function.FunctionUnitBase)):
        return text
    text = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
    text = text.strip().strip("'\"[]").strip()
    if not text:
        return None
    whole = _WHOLE.get(" ".join(text.lower().split()))
    if whole is not None:
        return u.Unit(whole)
    squared = re.match(r"^\((.+)\)\s*(?:\*\*|\^)\s*\(?([+-]?\d)\)?$", text)
    if squared and _closes_at_end(f"({squared[1]})"):  # (1e-20 erg/s/cm2/A)**2, of variances
        return u.Unit(parse_unit(squared[1], where)) ** int(squared[2])
    for scale, candidate in (_respelt(text), (1.0, text)):
        if not candidate.strip():
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", u.UnitsWarning)  # "multiple slashes"
                unit = u.Unit(candidate)
            unit = unit if scale == 1.0 else u.Unit(scale * unit)
        except (ValueError, TypeError):
            continue
        if u.A not in getattr(unit, "bases", ()):
            return unit
    raise ValueError(
        f"{where}: the unit {text!r} is not known; read the arrays yourself and give them "
        "units of astropy, such as u.Unit('1e-17 erg / (s cm2 Angstrom)')"
    )


def _respelt(text: str) -> tuple[float, str]:
    """The leading power of ten, and the rest in astropy's spelling: words replaced."""
    scale = 1.0
    body = re.sub(r"[{}$]|\\(?:math)?rm\b|\\,", "", text)  # LaTeX
    body = re.sub(r"\s+per\s+", " / ", body)
    while body.startswith("(") and body.endswith(")") and _closes_at_end(body):
        body = body[1:-1].strip()
    match = _LEADING.match(body)
    if match:
        power = match["power"] or match["exponent"]
        scale = float(f"1e{int(power)}") if power else float(match["number"])
        body = match["rest"].strip()
    body = re.sub(r"\be-(?![\d])", "electron", body)
    body = re.sub(r"(?<=[A-Za-zÅ])\.(?=\s|/|$|\))", "", body)  # "Ang."
    body = body.replace("\\AA", "Angstrom").replace("\\", "")

    def replaced(match: re.Match) -> str:
        word = match[0]
        if word in ("mJy", "MJy", "mHz", "Mpc", "M_sun"):
            return word
        if word == "MJY" and re.search(r"\bsr\b", body, re.IGNORECASE):
            return "MJy"  # of images; alone it might be mJy
        lower = word.lower()
        if lower in ("flam", "fnu", "photlam", "photnu"):
            return f"({_WHOLE[lower]})"
        return _WORDS.get(lower, word)

    body = _WORD.sub(replaced, body)
    body = re.sub(r"\bsq(?:uare)?\s+arcsec\b", "arcsec2", body)
    if body.startswith("(") and _closes_at_end(body):  # astropy reads no unit that is bracketed
        body = body[1:-1]
    return scale, body


def _closes_at_end(text: str) -> bool:
    """Whether the bracket that opens a text is the one that closes it."""
    depth = 0
    for place, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth == 0:
            return place == len(text) - 1
    return False


class AxisUnit(NamedTuple):
    """What the unit of a spectral axis says: the unit, ``"log10"`` or ``"ln"``, the medium."""

    unit: u.UnitBase | None
    log: str | None = None
    medium: str | None = None


_LOG_UNIT = re.compile(
    r"^(?P<kind>natural log|log_?10|log|lg|ln|dex)[\s_(\[-]*(?P<rest>.*?)[\])]*$", re.I
)
# "Angstrom (log10)"
_LOG_AFTER = re.compile(
    r"^(?P<rest>\S+)\s*[\[(]\s*(?P<kind>log_?10|log|lg|ln|dex)\s*[\])]*$", re.I
)


def parse_axis_unit(text: Any, where: str = "the file") -> AxisUnit:
    """Parse the unit of a spectral axis: ``Angstrom``, ``log10(Angstrom)``, ``Angstrom (air)``.

    Raises
    ------
    ValueError
        As `parse_unit`.
    """
    if text is None or isinstance(text, u.UnitBase) and not isinstance(text, u.UnrecognizedUnit):
        return AxisUnit(text)
    if isinstance(text, u.function.FunctionUnitBase):
        return AxisUnit(text.physical_unit, "log10")
    text = str(text).strip()
    medium = None
    for word, means in (("vacuum", "vacuum"), ("vac", "vacuum"), ("air", "air")):
        found = re.search(rf"[\s(,_]*\b{word}\b[\s),_]*", text, re.I)
        if found:
            medium, text = means, (text[: found.start()] + " " + text[found.end() :]).strip()
            break
    text = re.sub(r"^wavelengths?\s*", "", text, flags=re.I).strip(" ()[]:")
    text = re.sub(r"^lambda\s*[\[(]\s*", "", text, flags=re.I)
    match = _LOG_AFTER.match(text) or _LOG_UNIT.match(text)
    if match:
        kind = "ln" if match["kind"].lower() in ("ln", "natural log") else "log10"
        rest = re.sub(r"^(lambda|lam|wave(length)?)\b\s*/?\s*", "", match["rest"], flags=re.I)
        return AxisUnit(parse_unit(rest, where) or u.AA, kind, medium)
    return AxisUnit(parse_unit(text, where), None, medium)


def check_flux_unit(unit: Any, where: str) -> u.UnitBase:
    """The unit of a flux that was given, or a ValueError that names the spectrum.

    A unit that astropy did not recognise is parsed again; one with ampere (a slip: ``A`` is
    ampere to astropy) is refused.
    """
    if isinstance(unit, u.UnrecognizedUnit):
        unit = parse_unit(unit, f"{where}: flux")
    if u.A in getattr(unit, "bases", ()):
        raise ValueError(
            f"{where}: the flux unit {unit} has ampere in it, which is what A means to astropy; "
            "write Angstrom or AA"
        )
    return unit
