"""SDSS's coadds of both sets with all that the noise is measured on, by spectrograph."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits

from spectok import surveys
from spectok._split import sky_split
from spectok.surveys._spec import BAD_BITS

__all__ = ["Coadd", "read"]

_BROKEN = sum(1 << bit for bit in BAD_BITS.values())
# What the simulator's instruments cover, and what nearly all files do: they begin and end at
# different pixels.
REACH = {"sdss": (3800.0, 9200.0), "boss": (3600.0, 10300.0)}
WINDOWS = {"sdss": (3830.0, 9170.0), "boss": (3640.0, 10280.0)}


@dataclass(frozen=True)
class Coadd:
    """One spectrum in the unit of its file; sigma is 1 and flux 0 at pixels that are not valid."""

    name: str
    place: str
    split: str
    kind: str
    redshift: float
    spectrograph: str
    wavelength: np.ndarray
    flux: np.ndarray
    sigma: np.ndarray
    valid: np.ndarray
    model: np.ndarray
    width: np.ndarray  # standard deviation of the line-spread function [pixels]

    @property
    def snr(self) -> float:
        """Median of flux over error, without the sign."""
        return float(np.median(np.abs(self.flux / self.sigma)[self.valid]))


def _coadd(name, ra, dec, kind, redshift, run, loglam, flux, ivar, mask, model, width):
    """A Coadd on its spectrograph's range, or None where it lacks too much of it."""
    spectrograph = "boss" if run.startswith("v") else "sdss"
    wavelength = 10.0 ** np.asarray(loglam, float)
    low, high = REACH[spectrograph]
    use = (wavelength > low) & (wavelength < high)
    flux, ivar = (np.asarray(v, float)[use] for v in (flux, ivar))
    valid = (np.asarray(mask, int)[use] & _BROKEN == 0) & np.isfinite(flux) & (ivar > 0)
    low, high = WINDOWS[spectrograph]
    shared = (wavelength > low) & (wavelength < high)
    if shared.sum() < 0.97e4 * np.log10(high / low) or valid.mean() < 0.5:
        return None
    return Coadd(
        name, f"{ra:.3f} {dec:.3f}", str(sky_split(ra, dec)), kind, redshift, spectrograph,
        wavelength[use], np.where(valid, flux, 0.0),
        np.where(valid, np.where(valid, ivar, 1.0) ** -0.5, 1.0), valid,
        np.asarray(model, float)[use], np.asarray(width, float)[use],
    )  # fmt: skip


def _first(data: Path):
    for row in csv.DictReader(open(data / "sdss/labels.csv")):
        # Plates of reverberation mapping are sums of tens of nights.
        if row["rm"] == "True":
            continue
        about = surveys.sdss.read(data / row["file"])[0].meta
        with fits.open(data / row["file"], memmap=False) as hdus:
            table = hdus[1].data
            own = {name.lower(): table[name] for name in hdus[1].columns.names}
            yield _coadd(
                row["key"], about["ra"], about["dec"], row["cls"], float(row["z"] or 0),
                row["run2d"], *(own[k] for k in ("loglam", "flux", "ivar", "and_mask", "model")),
                own["wdisp"],
            )  # fmt: skip


def _second(more: Path):
    files: dict[str, dict] = {}
    for row in csv.DictReader(open(more / "sdss/labels.csv")):
        if row["file"] not in files:
            files[row["file"]] = dict(np.load(more / "sdss" / row["file"]))
        arrays, k = files[row["file"]], int(row["row"])
        one = slice(*arrays["offsets"][k : k + 2])
        flux, ivar, mask, width = (arrays[n][one] for n in ("flux", "ivar", "and_mask", "wdisp"))
        loglam = arrays["loglam0"][k] + 1e-4 * np.arange(len(flux))
        model = arrays["model"][one].astype(float) * arrays["model_scale"][k]
        yield _coadd(
            row["key"], float(row["ra"]), float(row["dec"]), row["cls"], float(row["z"] or 0),
            row["run2d"], loglam, flux, ivar, mask, model, width,
        )  # fmt: skip


def read(data: Path, more: Path | None) -> list[Coadd]:
    """All coadds of objects, those of both sets once; empty sky is left out."""
    found = {}
    for one in [*_first(data), *(_second(more) if more else ())]:
        if one is not None and one.kind in ("GALAXY", "QSO", "STAR"):
            found.setdefault(one.name, one)
    return list(found.values())
