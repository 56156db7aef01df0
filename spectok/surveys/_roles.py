"""Roles of columns and images of foreign files, told by their names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Roles", "find_roles", "plain", "split_name"]

_WAVE = (
    "wavelength", "wavelengths", "wave", "lambda", "lam", "wl", "wlen", "wvl", "wvln", "waves",
    "spectralaxis", "wavevac", "wavelengthvac", "wavevacuum", "vacuumwavelength", "vacwave",
    "lambdavac", "waveair", "awav", "awave", "wavelengthair", "airwavelength", "airwave",
    "lambdaair", "waveobs", "wavelengthobs", "lambdaobs", "obswave", "wavegridmid", "optwave",
    "boxwave", "angstrom", "angstroms", "ang", "wavemicron", "micron", "microns", "nm",
    "loglam", "loglambda", "loglamb", "log10lam", "log10lambda", "log10wave", "log10wavelength",
    "logwave", "logwavelength", "logwl", "lnlam", "lnlambda", "lnwave", "lnwavelength",
    "frequency", "freq", "wavenumber", "energy",
)  # fmt: skip
_FLUX = (
    "flux", "fluxdensity", "flam", "flambda", "fluxlambda", "fluxlam", "fnu", "fluxnu",
    "spectrum", "spec", "intensity", "optflam", "optcounts", "boxflam", "boxcounts", "sci",
    "data", "counts", "surfbright", "surfacebrightness", "fluxcal", "fluxcalibrated",
    "calibratedflux", "fluxcorr", "normflux", "fluxnorm", "normalizedflux", "fluxnormalized",
    "fluxreduced", "signal", "value", "f",
)  # fmt: skip
_SIGMA = (
    "err", "error", "errors", "errs", "sigma", "uncertainty", "uncertainties", "unc", "uncert",
    "std", "stddev", "stdev", "stderr", "noise", "sig", "rms", "staterror", "staterr", "eflux",
    "dflux", "deltaflux", "fluxerr",
)  # fmt: skip
_IVAR = ("ivar", "invvar", "invar", "inversevariance", "ivarflux", "fluxivar", "invvariance")
_VAR = ("var", "variance", "varflux", "fluxvar", "stat")
_MASK = (
    "mask", "dq", "andmask", "quality", "qual", "flag", "flags", "bpm", "bad", "badpix",
    "badpixel", "badpixels", "pixelflags", "dqflags", "maskbits", "bitmask", "fluxmask",
    "maskflux", "fluxflag", "ormask",
)  # fmt: skip
_GOOD = ("good", "goodpix", "goodpixel", "goodpixels", "valid", "gpm", "dataqual", "optmask")
_NAMES = (
    "objectid",
    "targetid",
    "sourceid",
    "sdssid",
    "obsid",
    "specid",
    "catalogid",
    "mangaid",
    "objid",
    "specobjid",
    "gaiaid",
    "starid",
    "id",
    "object",
    "objname",
    "objectname",
    "target",
    "targname",
    "targetname",
    "starname",
    "name",
)
# Units that stand in names: wave_nm, WAVELENGTH (A), flux[mJy].
_BRACKETED = re.compile(r"^(?P<name>[^\[(]*[^\[(\s])\s*[\[(](?P<unit>.*)[\])]\s*$")
_ENDING = re.compile(
    r"^(?P<name>.+)_(?P<unit>nm|um|micron|microns|angstroms?|ang|aa|a|ghz|hz)$", re.IGNORECASE
)


def plain(name: str) -> str:
    """A name without case, blanks and signs."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def split_name(name: str) -> tuple[str, str | None]:
    """A column's name and the unit that stands in it: ``wave [nm]``, ``wavelength_um``.

    Examples
    --------
    >>> from spectok.surveys._roles import split_name
    >>> split_name("WAVELENGTH (A)"), split_name("wave_nm"), split_name("flux_a")
    (('WAVELENGTH', 'A'), ('wave', 'nm'), ('flux_a', None))
    """
    match = _BRACKETED.match(name)
    if match:
        return match["name"].strip(), match["unit"].strip() or None
    match = _ENDING.match(name)
    if match and plain(match["name"]) in _WAVE:
        return match["name"], match["unit"]
    return name, None


@dataclass
class Roles:
    """Names of the columns of a spectrum; None where there is none.

    Attributes
    ----------
    wave, flux, error, mask, name : str or None
    kind : str
        What the error is: ``"std"``, ``"var"`` or ``"ivar"``.
    log : str or None
        ``"log10"`` or ``"ln"``, where the wavelength's name says so.
    inverse : bool
        The mask is true for good pixels.
    """

    wave: str | None = None
    flux: str | None = None
    error: str | None = None
    kind: str = "std"
    mask: str | None = None
    name: str | None = None
    log: str | None = None
    inverse: bool = False


def find_roles(names: Iterable[str]) -> Roles:
    """Find which name is what.

    Of several candidates the first in the list of the usual names is taken, and an error is
    looked for that belongs to the flux which was taken (``ERR_REDUCED`` to ``FLUX_REDUCED``).
    """
    own: dict[str, str] = {}
    for name in names:
        own.setdefault(plain(name), name)
    found = Roles()

    def first(candidates: Iterable[str]) -> str | None:
        return next((own[name] for name in candidates if name in own), None)

    found.wave, found.flux = first(_WAVE), first(_FLUX)
    if found.wave is not None:
        key = plain(found.wave)
        if key.startswith("log"):
            found.log = "log10"
        elif key.startswith("ln"):
            found.log = "ln"
    found.error, found.kind = _error_of(found.flux, own)
    found.mask = first(_MASK)
    if found.mask is None:
        found.mask = first(_GOOD)
        found.inverse = found.mask is not None
    found.name = first(_NAMES)
    return found


def _error_of(flux: str | None, own: dict[str, str]) -> tuple[str | None, str]:
    """The error's name and kind."""
    base = plain(flux or "flux")
    # surf_bright and sb_error (JWST); flux_reduced and err_reduced (ESO); optflam, optflamsig.
    stems = [base]
    if base in ("surfbright", "surfacebrightness"):
        stems.append("sb")
    rest = base.removeprefix("flux")
    for candidates, kind in ((_SIGMA, "std"), (_IVAR, "ivar"), (_VAR, "var")):
        exact = []
        for stem in stems:
            exact += [f"{stem}{word}" for word in candidates]
            exact += [f"{word}{stem}" for word in candidates]
            exact += [f"e{stem}", f"d{stem}"] if kind == "std" else []
        exact += [f"{word}{rest}" for word in candidates] if rest else []
        named = next((own[name] for name in exact if name in own), None)
        if named is not None:
            return named, kind
    for candidates, kind in ((_SIGMA, "std"), (_IVAR, "ivar"), (_VAR, "var")):
        named = next((own[name] for name in candidates if name in own), None)
        if named is not None:
            return named, kind
    return None, "std"
