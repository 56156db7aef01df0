"""GALAH: the spectra of HERMES, four cameras to a star."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.io.fits import HDUList
from astropy.utils.exceptions import AstropyUserWarning
from specutils import Spectrum, SpectrumList

from ._fits import Source, build, known, native, open_fits, path_of, scalar, stem_of
from ._kinds import galah_kind, wrong_survey
from ._table import FitsTable

__all__ = ["OPAQUE", "read", "recognise"]

#: Where less of the starlight than this came through the air, a pixel is bad. In the
#: O2 band the telluric correction leaves the flux too low: by 10 to 17 % where 40 to
#: 50 % of the light came through, by 25 to 36 % where 10 to 20 % did, measured on four
#: stars (benchmarks/galah_telluric.py). The survey's own DR4 analysis drops the band.
OPAQUE = 0.5

_LABELS = {
    "teff": "TEFF_R",
    "logg": "LOGG_R",
    "fe_h": "FE_H_R",
    "alpha_fe": "A_FE_R",
    "vmic": "VMIC_R",
    "vbroad": "VBROAD_R",
    "rv": "RVCOM",
    "e_rv": "E_RVCOM",
    "snr": "SNR_AA",
    "par_ok": "PAR_OK",
    "rv_ok": "RVCOM_OK",
}
_CAMERAS = {"1": 5300.0, "2": 6200.0, "3": 7100.0, "4": np.inf}  # each below this wavelength


def recognise(hdus: HDUList) -> bool:
    """Tell whether open HDUs are a GALAH ``com`` file or one of the DR4 analysis.

    Parameters
    ----------
    hdus : `~astropy.io.fits.HDUList`
        An open file.

    Returns
    -------
    recognised : bool
        Whether `read` knows it.

    Examples
    --------
    >>> from astropy.io import fits
    >>> from spectok.surveys import galah
    >>> galah.recognise(fits.HDUList([fits.PrimaryHDU()]))
    False
    """
    return galah_kind(hdus) is not None


def read(path: Source) -> SpectrumList:
    """Read the four cameras of a GALAH star, given the file of any of them.

    Camera n of a star is the file whose name ends in the digit n. A camera whose
    file is not beside the given one is left out, with a warning that names it.
    Read are reduction 6 (DR4, an extension ``relative_error``) and reduction 5
    (DR2 and DR3, ``input_sigma``; with or without the normalised spectrum), and
    the ``*_allstar_fit_spectrum.fits`` files of the DR4 analysis, which hold all
    cameras, normalised and at rest.

    The error in the camera files is relative to the flux (specutils' own loader
    takes it for an absolute one); it becomes absolute here, so a pixel of zero or
    negative flux has no known error and is bad. Where the telluric correction is
    larger than a factor 1 / `OPAQUE` (the core of the O2 band in the fourth
    camera) a pixel is bad, too. Reduction 6 computed the error from the flux after
    that correction; here the noise is divided by the transmission as the flux was.
    Reduction 5 needs no such amendment.

    Parameters
    ----------
    path : path-like or `~astropy.io.fits.HDUList`
        One camera's file, such as ``2101150001010011.fits``, or a DR4 analysis file.

    Returns
    -------
    specutils.SpectrumList
        One `~specutils.Spectrum` of shape (4096,) per camera, in wavelength
        order: counts on the native linear grid in **air** Angstrom. ``meta`` has
        "survey", "medium" (air or vacuum), "arm" ("1" to "4"), "object_id" (the sobject_id),
        "frame" ("barycentric", or "observatory" where the reduction did not
        correct; absent if the file does not say), "v_barycentric" (the correction
        that was applied [km/s]), "ra", "dec" [deg] where known, and "label"
        (teff, logg, fe_h, rv, ... where known). From the DR4 analysis:
        dimensionless flux, "frame" is "rest", "model" the best synthetic spectrum,
        and "used_in_fit" the survey's choice of pixels for its fit, which is no
        mask of bad ones.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    OSError
        If a file is damaged.
    ValueError
        If it is none of these files.

    Warns
    -----
    astropy.utils.exceptions.AstropyUserWarning
        If a camera's file is missing.

    Examples
    --------
    >>> from spectok.surveys import galah
    >>> arms = galah.read("2101150001010011.fits")  # doctest: +SKIP
    """
    with open_fits(path) as hdus:
        path = path_of(path)
        if galah_kind(hdus) == "fit":
            return _read_fit(path, FitsTable(hdus[1]))
        given = _read_camera(path, hdus)
    stem, suffix = path.name.split(".", 1) if "." in path.name else (path.name, "")
    if not (stem.isdigit() and stem[-1] in _CAMERAS):
        warnings.warn(
            f"{path}: the name is not a GALAH one (digits, the last the camera 1 to 4), "
            "so the other three cameras cannot be found; this one is returned alone",
            AstropyUserWarning,
            stacklevel=2,
        )
        return SpectrumList([given])
    arms, missing = [], []
    for camera in _CAMERAS:
        sister = path.with_name(f"{stem[:-1]}{camera}" + (f".{suffix}" if suffix else ""))
        if camera == stem[-1]:
            spectrum = given
        elif sister.is_file():
            with open_fits(sister) as hdus:
                spectrum = _read_camera(sister, hdus)
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


def star_of(path: Path) -> Path | None:
    """Part of the name that the four camera files of a star share; None for other names.

    Examples
    --------
    >>> from pathlib import Path
    >>> from spectok.surveys import galah
    >>> galah.star_of(Path("2101150001010013.fits")).name
    '210115000101001.fits'
    """
    stem, suffix = path.name.split(".", 1) if "." in path.name else (path.name, "")
    if len(stem) < 10 or not (stem.isdigit() and stem[-1] in _CAMERAS):
        return None
    return path.with_name(f"{stem[:-1]}.{suffix}".rstrip("."))


def _read_camera(path: Path, hdus) -> Spectrum:
    """Read one camera's file."""
    if galah_kind(hdus) != "com":
        wanted = "a GALAH com file (no extension relative_error or input_sigma)"
        raise wrong_survey(path, hdus, wanted)
    by_name = {hdu.name.lower(): hdu for hdu in hdus}
    header = hdus[0].header
    flux = native(hdus[0].data)
    name = "relative_error" if "relative_error" in by_name else "input_sigma"
    relative = native(by_name[name].data)
    if flux.ndim != 1 or relative.shape != flux.shape:
        raise ValueError(
            f"{path}: flux {flux.shape} and relative error {relative.shape} must be "
            "one-dimensional and of the same length; the file is damaged: fetch it again"
        )
    step = header.get("CDELT1", header.get("CD1_1"))
    if step is None or "CRVAL1" not in header:
        raise ValueError(f"{path}: no CRVAL1 and CDELT1, so no wavelengths; fetch it again")
    # Some files count their reference pixel from zero; the survey's own code reads 0 as 1.
    pixel = np.arange(flux.size) + 1.0 - (header.get("CRPIX1") or 1.0)
    variance = np.where(flux > 0, (relative * flux) ** 2, 0.0)
    if "teluric" in by_name:
        variance = _through_the_air(variance, flux, native(by_name["teluric"].data))
    elif "no_sky_subspectrum" in by_name:
        # Reduction 5 stores no transmission, but the counts before the corrections: sky and
        # transmitted flux, so that the transmission is this ratio at most.
        variance[native(by_name["no_sky_subspectrum"].data) < OPAQUE * flux] = 0.0
    bad = ~((relative > 0) & (variance > 0) & np.isfinite(variance))
    ivar = np.zeros(flux.size)
    ivar[~bad] = 1.0 / variance[~bad]
    meta: dict[str, Any] = {
        "survey": "GALAH",
        "medium": "air",
        "object_id": stem_of(path),
        "label": known({k: scalar(header[c]) for k, c in _LABELS.items() if c in header}),
    }
    if "BARYEFF" in header:
        # "None" in words: twilight, asteroids and others that are no star.
        corrected = isinstance(header["BARYEFF"], float)
        meta["frame"] = "barycentric" if corrected else "observatory"
        meta["v_barycentric"] = header["BARYEFF"] if corrected else 0.0
    # MEANRA and MEANDEC are the field's centre, not the star's place.
    # Twilight and other frames without a catalogue star say exactly (0, 0).
    place = tuple(header.get(card) for card in ("RA_ICRS", "DEC_ICRS"))
    if None not in place and place != (0.0, 0.0):
        meta["ra"], meta["dec"] = float(place[0]), float(place[1])
    return build(header["CRVAL1"] + step * pixel, flux, ivar, bad, unit=u.count, meta=meta)


def _through_the_air(variance, flux, transmission) -> np.ndarray:
    """Divide the noise by the transmission, as the reduction divided only the flux.

    The file's variance is corrected flux + sky + scattered light + cross-talk +
    read-out noise, to the last bit. The light that was counted is flux times
    transmission, and its noise was divided by the transmission with it.
    """
    seen = transmission >= OPAQUE  # False for NaN
    counted = variance - flux * (1.0 - transmission)
    return np.divide(counted, transmission**2, out=np.zeros(flux.size), where=seen)


def _read_fit(path: Path, table) -> SpectrumList:
    """Read a file of the DR4 analysis: cameras one after the other, at rest, normalised."""
    wavelength = native(table["wave"])
    sigma = native(table["uob"])
    good = (sigma > 0) & np.isfinite(sigma)
    ivar = np.divide(1.0, sigma**2, out=np.zeros(sigma.size), where=good)
    arms, low = [], 0.0
    for camera, high in _CAMERAS.items():
        part = (wavelength >= low) & (wavelength < high)
        low = high
        if not part.any():
            continue
        meta = {
            "survey": "GALAH",
            "medium": "air",
            "frame": "rest",
            "arm": camera,
            "object_id": stem_of(path).split("_")[0],
            "label": {},
            "model": native(table["smod"])[part],
        }
        if "mob" in table:
            meta["used_in_fit"] = native(table["mob"], bool)[part]
        arms.append(
            build(
                wavelength[part],
                native(table["sob"])[part],
                ivar[part],
                ~good[part],
                unit=u.dimensionless_unscaled,
                meta=meta,
            )
        )
    return SpectrumList(arms)
