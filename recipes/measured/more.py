"""The second set of real spectra: SDSS coadds and their single exposures, with labels and sets."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import real

from spectok._split import sky_split

# Two exposures by two cameras each of the same object.
_BLUE = "B"


@dataclass(frozen=True)
class RealSpectrum:
    """One observation: vacuum Angstrom, flux and error in one unit, True for good pixels."""

    name: str
    place: str  # one for all observations of an object
    split: str
    kind: str  # GALAXY, QSO or STAR
    redshift: float  # NaN where the survey does not trust it
    wavelength: np.ndarray
    flux: np.ndarray
    sigma: np.ndarray
    valid: np.ndarray


def _spectrum(row, name, wavelength, flux, ivar, good):
    ra, dec = float(row["ra"]), float(row["dec"])
    good = good & np.isfinite(flux) & (ivar > 0)
    trusted = float(row["zwarning"] or 0) == 0
    return RealSpectrum(
        name,
        f"{ra:.3f} {dec:.3f}",
        str(sky_split(ra, dec)),
        row["cls"],
        float(row["z"]) if trusted else np.nan,
        wavelength,
        np.where(good, flux, 0.0).astype(np.float64),
        np.where(good, np.where(good, ivar, 1.0) ** -0.5, 1.0),
        good,
    )


def coadds(folder: Path) -> list[RealSpectrum]:
    """The 700 coadds of ``sdss/``; bits of ``and_mask`` do not count, inverse variances do."""
    found, files = [], {}
    with open(folder / "sdss" / "labels.csv") as file:
        for row in csv.DictReader(file):
            arrays = files.setdefault(row["file"], dict(np.load(folder / "sdss" / row["file"])))
            k = int(row["row"])
            a, b = arrays["offsets"][k : k + 2]
            wavelength = 10 ** (arrays["loglam0"][k] + 1e-4 * np.arange(b - a))
            flux, ivar = (arrays[key][a:b].astype(float) for key in ("flux", "ivar"))
            found.append(_spectrum(row, row["key"], wavelength, flux, ivar, ivar > 0))
    return found


def exposures(folder: Path) -> list[RealSpectrum]:
    """Single exposures, the frames of both cameras one after the other; named by their coadd."""
    arrays = dict(np.load(folder / "sdss_exposures" / "sdss_exposures.npz"))
    frames: dict[str, dict[str, list[RealSpectrum]]] = {}
    with open(folder / "sdss_exposures" / "labels.csv") as file:
        for row in csv.DictReader(file):
            k = int(row["row"])
            a, b = arrays["offsets"][k : k + 2]
            steps = np.cumsum(arrays["step_1e9"][a:b], dtype="i8")
            wavelength = 10 ** ((arrays["loglam0_1e9"][k] + steps) * 1e-9)
            flux, ivar = (arrays[key][a:b].astype(float) for key in ("flux", "ivar"))
            one = _spectrum(row, row["coadd_key"], wavelength, flux, ivar, ivar > 0)
            cameras = frames.setdefault(row["coadd_key"], {})
            cameras.setdefault(row["camera"][0], []).append(one)
    found = []
    for cameras in frames.values():
        for blue, red in zip(cameras.get(_BLUE, []), cameras.get("R", []), strict=False):
            parts = (
                np.concatenate([getattr(blue, key), getattr(red, key)])
                for key in ("wavelength", "flux", "sigma", "valid")
            )
            found.append(
                RealSpectrum(blue.name, blue.place, blue.split, blue.kind, blue.redshift, *parts)
            )
    return found


def first_set(folder: Path) -> list[RealSpectrum]:
    """The SDSS spectra of the first set (`real.read_sdss`), in the same form."""
    found = []
    for one in real.read_sdss(folder):
        if one is None or one["split"] == "evaluation":
            continue
        about = one["record"]
        found.append(
            RealSpectrum(
                about["id"],
                f"{float(about['ra']):.3f} {float(about['dec']):.3f}",
                one["split"],
                about["class"],
                np.nan if about["z"] is None else about["z"],
                one["wavelength"],
                one["flux"].astype(float),
                np.where(one["valid"], one["sigma"], 1.0).astype(float),
                one["valid"],
            )
        )
    return found
