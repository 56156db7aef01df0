"""GALAH: ``com`` files of HERMES, one camera each, four to a star."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.utils.exceptions import AstropyUserWarning
from specutils import Spectrum, SpectrumList

from ._files import build, native, open_fits, scalar

__all__ = ["read", "recognise"]

_LABELS = {
    "teff": "TEFF_R",
    "logg": "LOGG_R",
    "fe_h": "FE_H_R",
    "alpha_fe": "A_FE_R",
    "vbroad": "VBROAD_R",
    "rv": "RVCOM",
    "snr": "SNR_AA",
}


def recognise(hdus) -> bool:
    """Tell whether open HDUs are a GALAH ``com`` file of either generation."""
    names = {hdu.name.lower() for hdu in hdus}
    return hdus[0].data is not None and bool({"relative_error", "input_sigma"} & names)


def read(path: str | os.PathLike) -> SpectrumList:
    """Read the four cameras of a GALAH star, given the file of any of them.

    Camera n of a star is the file whose name ends in the digit n. A camera
    whose file is not beside the given one is left out, with a warning that
    names it. Both generations of ``com`` files are read: reduction 6
    (``relative_error`` extension) and reduction 5 (``input_sigma``). The error
    in both is relative to the flux (specutils' own loader takes it for an
    absolute one); it becomes absolute here, so a pixel of zero or negative flux
    has no known error and is bad.

    Parameters
    ----------
    path : path-like
        One camera's file, such as ``2101150001010011.fits``.

    Returns
    -------
    specutils.SpectrumList
        One `~specutils.Spectrum` of shape (4096,) per camera, in wavelength
        order: counts on the native linear grid in **air** Angstrom, in the
        frame of the solar system's barycentre. ``meta`` has "survey", "medium",
        "arm" (1 to 4), "object_id" (the sobject_id), "ra", "dec" [deg] where
        known, and "label" (teff, logg, fe_h, rv, ... where known).

    Raises
    ------
    FileNotFoundError, OSError
        If a file is missing or damaged.
    ValueError
        If it is no GALAH ``com`` file.

    Warns
    -----
    astropy.utils.exceptions.AstropyUserWarning
        If a camera's file is missing.

    Examples
    --------
    >>> from spectok.surveys import galah
    >>> arms = galah.read("2101150001010011.fits")  # doctest: +SKIP
    """
    path = Path(path)
    given = _read_camera(path)
    stem, suffix = path.name.split(".", 1) if "." in path.name else (path.name, "")
    if not (stem.isdigit() and stem[-1] in "1234"):
        warnings.warn(
            f"{path}: the name is not a GALAH one (digits, the last the camera 1 to 4), "
            "so the other three cameras cannot be found; this one is returned alone",
            AstropyUserWarning,
            stacklevel=2,
        )
        return SpectrumList([given])
    arms, missing = [], []
    for camera in "1234":
        sister = path.with_name(f"{stem[:-1]}{camera}" + (f".{suffix}" if suffix else ""))
        if camera == stem[-1]:
            spectrum = given
        elif sister.is_file():
            spectrum = _read_camera(sister)
        else:
            missing.append(sister.name)
            continue
        spectrum.meta["object_id"] = stem[:-1]
        spectrum.meta["arm"] = camera
        arms.append(spectrum)
    if missing:
        warnings.warn(
            f"{path}: no {', '.join(missing)} beside it; these cameras are left out: "
            "put the files into the same folder to have them",
            AstropyUserWarning,
            stacklevel=2,
        )
    return SpectrumList(arms)


def _read_camera(path: Path) -> Spectrum:
    """Read one camera's file."""
    with open_fits(path) as hdus:
        if not recognise(hdus):
            raise ValueError(
                f"{path}: not a GALAH com file (no extension relative_error or input_sigma); "
                "use spectok.surveys.read to have the survey found"
            )
        by_name = {hdu.name.lower(): hdu for hdu in hdus}
        header = hdus[0].header
        flux = native(hdus[0].data)
        error_hdu = by_name.get("relative_error", by_name.get("input_sigma"))
        relative = native(error_hdu.data)
        if flux.ndim != 1 or relative.shape != flux.shape:
            raise ValueError(
                f"{path}: flux {flux.shape} and relative error {relative.shape} must be "
                "one-dimensional and of the same length; the file is damaged: fetch it again"
            )
        step = header.get("CDELT1", header.get("CD1_1"))
        if step is None or "CRVAL1" not in header:
            raise ValueError(f"{path}: no CRVAL1 and CDELT1, so no wavelengths; fetch it again")
        pixel = np.arange(flux.size) + 1.0 - header.get("CRPIX1", 1.0)
        wavelength = header["CRVAL1"] + step * pixel
        good = (flux > 0) & (relative > 0) & np.isfinite(flux) & np.isfinite(relative)
        ivar = np.zeros(flux.size)
        ivar[good] = (relative[good] * flux[good]) ** -2.0
        label = {k: scalar(header[c]) for k, c in _LABELS.items() if c in header}
        meta = {
            "survey": "GALAH",
            "medium": "air",
            "object_id": path.name.split(".", 1)[0],
            "label": {k: v for k, v in label.items() if isinstance(v, (int, float))},
        }
        # MEANRA and MEANDEC are the field's centre, not the star's place.
        # Twilight and other frames without a catalogue star say exactly (0, 0).
        place = tuple(header.get(card) for card in ("RA_ICRS", "DEC_ICRS"))
        if None not in place and place != (0.0, 0.0):
            meta["ra"], meta["dec"] = float(place[0]), float(place[1])
        return build(wavelength, flux, ivar, ~good, unit=u.count, meta=meta)
