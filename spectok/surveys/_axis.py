"""Spectral axes of foreign files to wavelengths: unit, logarithm, plausibility."""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np
from astropy import units as u
from astropy.utils.exceptions import AstropyUserWarning

from spectok._convert import parse_axis_unit, text_medium

__all__ = ["check_plausible", "header_axis", "iraf_unit", "spectral_number", "to_axis", "warn"]

# Wavelengths without a unit are taken as Angstrom between these: below, they may be in nm.
_SURE = (2500.0, 60_000.0)
_PLAUSIBLE = (10.0, 1e8)  # Angstrom: X-rays to 1 cm
_REMEDY = (
    "read the arrays yourself and pass them with their unit to spectok.encode_arrays or to "
    "specutils.Spectrum"
)


def warn(message: str) -> None:
    """Warn as the package does."""
    warnings.warn(message, AstropyUserWarning, stacklevel=3)


def to_axis(
    values: np.ndarray, unit_text: Any, where: str, *, log: str | None = None, what: str = ""
) -> tuple[u.Quantity, str | None]:
    """Numbers of a spectral axis with their unit, logarithms undone, and the medium if told.

    Parameters
    ----------
    values : array
    unit_text : str, unit or None
        What the file says.
    where : str
        The file, for messages.
    log : str, optional
        ``"log10"`` or ``"ln"``, where a keyword or the column's name says so.
    what : str
        Where the values come from, for messages: "column wave".

    Raises
    ------
    ValueError
        If the unit is unknown, or is not told and cannot be told from the values.
    """
    values = np.asarray(values, dtype=np.float64)
    unit, said_log, medium = parse_axis_unit(unit_text, f"{where}: {what}")
    if unit == u.dimensionless_unscaled:
        unit = None
    log = log or said_log
    good = values[np.isfinite(values) & ((values > 0) | bool(log))]  # log10 of metres: -6.4
    if not good.size:
        raise ValueError(f"{where}: {what} holds no positive wavelength; it is no spectrum")
    low, high = float(good.min()), float(good.max())
    if log is None and unit in (None, u.AA) and high < 12.0:
        log = _logarithm(low, high, unit, values, where, what)
    if log is not None:
        if high > 40.0:  # the keyword is wrong about linear wavelengths
            warn(f"{where}: {what} is said to be logarithmic, but holds {low:.5g} to {high:.5g}")
        else:
            values = 10.0**values if log == "log10" else np.exp(values)
            return values * (unit or u.AA), medium
    if unit is None:
        if not (_SURE[0] <= np.median(good) <= _SURE[1]):
            raise ValueError(
                f"{where}: {what} has no unit, and values of {low:.5g} to {high:.5g} may be "
                f"wavelengths in Angstrom, nm or micron, their logarithm, or pixels; {_REMEDY}"
            )
        warn(
            f"{where}: {what} has no unit; wavelengths of {low:.5g} to {high:.5g} are taken as "
            "Angstrom"
        )
        unit = u.AA
    return values * unit, medium


def _logarithm(
    low: float, high: float, unit: Any, values: Any, where: str, what: str
) -> str | None:
    """Whether small numbers are log10 or ln of Angstrom, said aloud; or a refusal."""
    step = float(np.median(np.abs(np.diff(values)))) if values.size > 1 else 1.0
    for kind, least, most, largest in (("log10", 3.0, 4.8, 2e-3), ("ln", 7.5, 10.5, 5e-3)):
        if unit == u.AA and least < low and high < most and step < largest:
            warn(
                f"{where}: wavelengths of {low:.5g} to {high:.5g} Angstrom ({what}) are taken as "
                f"{kind} of the wavelength in Angstrom"
            )
            return kind
    if unit == u.AA:
        return None  # X-ray gratings; the gate asks whether it is plausible
    raise ValueError(
        f"{where}: {what} has no unit, and values of {low:.5g} to {high:.5g} may be wavelengths "
        f"in micron or the logarithm of Angstrom; {_REMEDY}"
    )


def check_plausible(axis: Any, where: str) -> None:
    """Warn of wavelengths far outside of optical, ultraviolet, infrared and radio."""
    unit = getattr(axis, "unit", None)
    if unit is None or not unit.is_equivalent(u.AA, u.spectral()):
        return
    values = unit.to(u.AA, np.asarray(axis.value, dtype=float), u.spectral())
    middle = float(np.nanmedian(values))
    if not _PLAUSIBLE[0] <= middle <= _PLAUSIBLE[1]:
        warn(
            f"{where}: wavelengths near {middle:.4g} Angstrom ({unit}) are hardly right; check "
            "the unit and whether the file holds their logarithm"
        )


_SPECTRAL = re.compile(
    r"^(A?WAV|WAVE|AWAV|LAMBDA|LAM\b|FREQ|ENER|WAVN|VOPT|VRAD|VELO|ZOPT|BETA|LOG|LN-?LAM|LINEAR|"
    r"LOGLAM|MULTISPE|ANGSTROM|SPECTRAL|WL\b)",
    re.IGNORECASE,
)


_CELESTIAL = re.compile(r"^(RA|DEC|GLON|GLAT|ELON|ELAT)(---?|-)[A-Z]{3}$")


def _number(header: Any, key: str, default: float, where: str) -> float:
    """A card's number, which some write as text."""
    value = header.get(key, default)
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{where}: {key} in the header is {value!r}, no number") from None


def spectral_number(header: Any) -> int | None:
    """Number of the FITS axis that is spectral, from CTYPE and DISPAXIS; None if none says so."""
    number = int(header.get("NAXIS", 0) or 0)
    kinds = [str(header.get(f"CTYPE{i}", "")).strip() for i in range(1, number + 1)]
    for strict in (True, False):
        for i, kind in enumerate(kinds, 1):
            if _SPECTRAL.match(kind) and not (strict and kind.upper() in ("LINEAR", "MULTISPE")):
                return i
    told = header.get("DISPAXIS")
    if isinstance(told, int) and 1 <= told <= number:
        return told
    return None


def header_axis(
    header: Any, n_pixels: int, number: int, where: str, hdus: Any = None
) -> tuple[u.Quantity, str | None]:
    """Wavelengths of a FITS axis by whatever convention the header follows.

    Known are FITS's own (``WAVE``, ``AWAV``, ``FREQ``, ``WAVE-LOG`` and its other algorithms),
    ``COEFF0``/``COEFF1`` of SDSS, ``DC-FLAG`` of IRAF, ``WFITTYPE = LOG-LINEAR``, and axis types
    and units that say ``log``.

    Raises
    ------
    ValueError
        If the header has no wavelengths, or its unit is not known.
    """
    kind = str(header.get(f"CTYPE{number}", "")).strip().upper()
    if _CELESTIAL.match(kind):
        raise ValueError(f"{where}: a picture of the sky (CTYPE{number} is {kind}), no spectrum")

    def card(key: str, default: float = 0.0) -> float:
        return _number(header, key, default, where)

    if "COEFF0" in header and "COEFF1" in header:
        values = card("COEFF0") + card("COEFF1") * np.arange(n_pixels)
        return 10.0**values * u.AA, None
    step = card(f"CD{number}_{number}") or card(f"CDELT{number}")
    if f"CDELT{number}" in header and f"PC{number}_{number}" in header:
        step = card(f"CDELT{number}") * card(f"PC{number}_{number}")
    if f"CRVAL{number}" not in header or not step:
        raise ValueError(
            f"{where}: no wavelengths: neither a table nor keywords (CRVAL{number} and "
            f"CDELT{number}, or COEFF0 and COEFF1) say what the pixels are; {_REMEDY}"
        )
    unit_text = str(header.get(f"CUNIT{number}", "") or "").strip() or iraf_unit(header)
    pixel = np.arange(n_pixels) + 1.0 - card(f"CRPIX{number}", 1.0)
    values = card(f"CRVAL{number}") + step * pixel
    if kind.startswith(("VOPT", "VRAD", "VELO", "ZOPT", "BETA")) or re.match(
        r"^\w{4}-\w{3}$", kind
    ):
        if not kind.endswith("-LOG"):
            return _by_astropy(header, n_pixels, number, where, hdus), None
    medium = text_medium(header.get(f"CTYPE{number}"))
    if kind.endswith("-LOG") and kind[:4] in ("WAVE", "AWAV", "FREQ", "ENER", "WAVN"):
        start = card(f"CRVAL{number}")
        if start > 12.0:  # FITS paper III: the step is that of the first pixel
            values = start * np.exp(step * pixel / start)
            log = None
        else:
            log = "log10" if start < 5.5 else "ln"
    else:
        log = _log_of(header, kind, number, values)
    if kind[:4] == "FREQ" and not unit_text:
        unit_text = "Hz"
    axis, said = to_axis(values, unit_text or None, where, log=log, what=f"axis {number}")
    return axis, said or medium


def _log_of(header: Any, kind: str, number: int, values: np.ndarray) -> str | None:
    """Logarithm of a header's axis, by any of the conventions."""
    fit = str(header.get("WFITTYPE", "")).upper()
    said = "LOG" in kind or kind.startswith("LN") or fit.startswith("LOG")
    said |= str(header.get("DC-FLAG", 0)).strip() in ("1", "1.0", "True", "T")
    if not said:
        return None
    largest = float(np.max(np.abs(values)))
    if kind.startswith("LN") or (largest > 5.5 and "10" not in kind):
        return "ln" if largest < 14 else "log10"
    return "log10"


def iraf_unit(header: Any) -> str:
    """The unit that IRAF keeps in its WAT cards."""
    text = "".join(str(header[key]) for key in sorted(header) if str(key).startswith("WAT1_"))
    match = re.search(r"units\s*=\s*(\"[^\"]*\"|\S+)", text)
    return match[1].strip('"') if match else ""


def _by_astropy(header: Any, n_pixels: int, number: int, where: str, hdus: Any) -> u.Quantity:
    """Axes that need a formula: velocities, grisms, tables of wavelengths."""
    from astropy.coordinates import SpectralCoord
    from astropy.wcs import WCS

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wcs = WCS(header, fobj=hdus).sub([number])
            world = wcs.pixel_to_world(np.arange(n_pixels))
            if isinstance(world, SpectralCoord):
                if world.unit.is_equivalent(u.km / u.s):
                    world = world.to(u.AA)
                return u.Quantity(world.value, world.unit)
            return u.Quantity(wcs.wcs_pix2world(np.arange(n_pixels), 0)[0], wcs.wcs.cunit[0])
    except Exception as error:  # wcslib raises anything at all
        raise ValueError(
            f"{where}: the axis {header.get(f'CTYPE{number}')!r} cannot be turned into "
            f"wavelengths ({str(error).splitlines()[0] if str(error) else type(error).__name__}); "
            f"{_REMEDY}"
        ) from error
