"""Observed objects of the four surveys, with their labels, sets and sources."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.io import fits

from spectok import surveys
from spectok._split import name_split, sky_split
from spectok.simulate.objects._sources._resampling import vacuum

SURVEYS = ("SDSS", "DESI", "GALAH", "APOGEE")
# Repositories without a licence: their files serve evaluation only.
NO_LICENCE = {
    "segasai/rvspecfit",
    "kefrankk/working-with-desi",
    "working-with-desi",
    "tingyuansen/Payne4GALAH",
    "svenbuder/multiwave_galah",
    "svenbuder/residual_cannon",
}
LICENCES = {
    "iprafols/SQUEzE": "GPL-3 (repo); SDSS data public",
    "igmhub/picca": "GPL-3 (repo); SDSS public, DESI CC BY 4.0",
    "legolason/PyQSOFit": "GPL-3 (repo); SDSS data public",
    "TheSkyentist/GELATO": "GPL-3 (repo); SDSS data public",
    "FireflySpectra/firefly_release": "see repo; SDSS data public",
    "mveyette/PyHammer": "MIT",
    "desihub/timedomain": "MIT-like; SDSS data public",
    "aframosp/SpecData": "MIT; SDSS data public",
    "dnidever/doppler": "MIT",
    "tingyuansen/MWM_Classifier": "MIT",
    "desihub/fastspecfit": "BSD-3; DESI CC BY 4.0",
    "astropy/specutils": "BSD-3; DESI EDR CC BY 4.0",
    "desihub/QuasarNP": "MIT; DESI release unstated",
    "sheliak/galah_workshop": "GPL-3 (repo); GALAH data",
    "tingyuansen/payne-zero": "BSD-3",
    "tingyuansen/The_Payne": "MIT (README)",
}


def entry(survey, name, arms, split, repo, label, model=None):
    """Join the arms, (wavelength, flux, ivar, mask) each, of one object."""
    wavelength, flux, ivar, mask = (
        np.concatenate([np.asarray(a[k]) for a in arms]) for k in range(4)
    )
    valid = ~mask.astype(bool)
    if not valid.any():
        return None
    scale = np.median(np.abs(flux[valid]))
    sigma = np.zeros(len(flux))
    sigma[valid] = ivar[valid] ** -0.5
    split = "evaluation" if repo in NO_LICENCE else str(split)
    number = lambda x: float(x) if x not in (None, "") and np.isfinite(float(x)) else None  # noqa: E731
    return {
        "survey": survey,
        "split": split,
        "valid": valid,
        "wavelength": wavelength.astype(np.float64),
        "flux": np.where(valid, flux / scale, 0).astype(np.float32),
        "sigma": (sigma / scale).astype(np.float32),
        "model": (np.full(len(flux), np.nan) if model is None else model / scale).astype(
            np.float32
        ),
        "class": label.get("class", ""),
        "z": number(label.get("z")),
        "subclass": label.get("subclass", ""),
        "segments": np.cumsum([0] + [len(a[0]) for a in arms]),
        "record": {
            "id": name,
            "survey": SURVEYS[survey],
            "split": split,
            "class": label.get("class", ""),
            "subclass": label.get("subclass", ""),
            "z": number(label.get("z")),
            **{k: number(label.get(k)) for k in ("teff", "logg", "fe_h") if k in label},
            "snr": float(np.median(np.abs(flux[valid]) / sigma[valid])),
            "scale": float(scale),
            "ra": label.get("ra"),
            "dec": label.get("dec"),
            "n_pixels": int(len(flux)),
            "source": repo,
            "licence": LICENCES.get(repo, "none"),
            **({"note": label["note"]} if "note" in label else {}),
        },
    }


def plain(spectrum, row=None, *, to_vacuum=False):
    """(wavelength, flux, ivar, mask) of a spectrum or of one row of it."""
    wavelength = spectrum.spectral_axis.to_value(u.AA)
    wavelength = vacuum(wavelength) if to_vacuum else wavelength
    parts = (spectrum.flux.value, spectrum.uncertainty.array, spectrum.mask)
    return (wavelength, *(p if row is None else p[row] for p in parts))


def read_sdss(data):
    """All SDSS spectra, with their labels."""
    for r in csv.DictReader(open(data / "sdss/labels.csv")):
        (s,) = surveys.sdss.read(data / r["file"])
        m = s.meta
        label = {
            "class": r["cls"],
            "subclass": r["subclass"],
            "z": r["z"],
            "ra": m["ra"],
            "dec": m["dec"],
        }
        if float(r["elodie_teff"] or 0) > 0 and r["cls"] == "STAR":
            label |= {"teff": r["elodie_teff"], "logg": r["elodie_logg"], "fe_h": r["elodie_feh"]}
        yield entry(
            0,
            r["key"],
            [plain(s)],
            sky_split(m["ra"], m["dec"]),
            r["source_repo"],
            label,
            m.get("model"),
        )


def read_desi(data):
    """All usable DESI spectra, arms b, r, z one after the other."""
    files: dict[str, list] = {}
    for r in csv.DictReader(open(data / "desi/labels.csv")):
        arms = files.setdefault(r["file"], surveys.desi.read(data / r["file"]))
        i, m = int(r["row"]), arms[0].meta
        name = m["object_id"][i]
        label = {"class": r["spectype"].strip("?"), "z": r["z"]}
        if "ra" in m:
            label |= {"ra": m["ra"][i], "dec": m["dec"][i]}
        split = sky_split(m["ra"][i], m["dec"][i]) if "ra" in m else name_split(name)
        yield entry(1, name, [plain(a, i) for a in arms], split, r["repo"], label)


def read_galah(data):
    """GALAH stars: both generations of com files, and the fitted DR4 spectra."""
    labels = {r["sobject_id"]: r for r in csv.DictReader(open(data / "galah/labels.csv"))}
    for path in sorted((data / "galah/real").glob("com*/*1.fits")):
        arms = surveys.galah.read(path)
        m, name = arms[0].meta, arms[0].meta["object_id"]
        r = labels[name]
        place = {"ra": m["ra"], "dec": m["dec"]} if "ra" in m else {}
        split = sky_split(m["ra"], m["dec"]) if place else name_split(name)
        label = {"class": "STAR", "teff": r["teff"], "logg": r["logg"], "fe_h": r["fe_h"], **place}
        yield entry(
            2, name, [plain(a, to_vacuum=True) for a in arms], split, r["source_repo"], label
        )
    for path in sorted((data / "galah/real/dr4_fit").glob("*.fits")):
        t, name = fits.getdata(path, 1), path.name.split("_")[0]
        w = t["wave"].astype(float)
        cuts = np.flatnonzero(np.diff(w) > 50) + 1
        arms = []
        for p in np.split(np.arange(len(w)), cuts):
            error = t["uob"][p].astype(float)
            bad = ~np.isfinite(t["sob"][p]) | ~(error > 0)
            ivar = np.where(bad, 0, np.where(bad, 1, error) ** -2.0)
            arms.append((vacuum(w[p]), np.nan_to_num(t["sob"][p].astype(float)), ivar, bad))
        r = labels[name]
        label = {
            "class": "STAR",
            "teff": r["teff"],
            "logg": r["logg"],
            "fe_h": r["fe_h"],
            "note": "DR4 fit: continuum-normalised, rest frame",
        }
        yield entry(2, name, arms, "evaluation", r["source_repo"], label)


def position(name):
    """Degrees from a 2MASS-style name, 2MHHMMSSss+DDMMSSs."""
    h, m, s, sign, d, dm, ds = re.match(
        r"2M(\d\d)(\d\d)(\d{4})([+-])(\d\d)(\d\d)(\d{3})", name
    ).groups()
    dec = int(d) + int(dm) / 60 + int(ds) / 36000
    return 15 * (int(h) + int(m) / 60 + int(s) / 360000), -dec if sign == "-" else dec


def read_apogee(data):
    """APOGEE stars: two apVisit files and two spectra stored as npz."""
    labels = {Path(r["file"]).name: r for r in csv.DictReader(open(data / "apogee/labels.csv"))}
    wave = np.load(data / "apogee/generator/apogee_wavelength_7214.npz")["wavelength"]
    for file, repo in (
        ("apVisit-r13-9518-57729-104.fits", "dnidever/doppler"),
        ("apVisit-r8-4914-55807-100.fits", "tingyuansen/MWM_Classifier"),
        ("aspcapStar_dr14_2M08002084+4044415.npz", "tingyuansen/payne-zero"),
        ("combined_2M13012770+5754582.npz", "tingyuansen/The_Payne"),
    ):
        r, path = labels[file], data / "apogee/real" / file
        ra, dec = position(r["apogee_id"])
        label = {
            "class": "STAR",
            "teff": r["teff"],
            "logg": r["logg"],
            "fe_h": r["m_h"],
            "ra": ra,
            "dec": dec,
        }
        if path.suffix == ".fits":
            arms = [plain(s) for s in surveys.apogee.read(path)]
        elif file.startswith("aspcap"):
            d = np.load(path)
            good = d["strict_good_pixel_mask"] & (d["inverse_variance"] > 0)
            arms = [
                (
                    10 * d["wavelength_nm"],
                    d["normalized_flux"],
                    np.where(good, d["inverse_variance"], 0),
                    ~good,
                )
            ]
            label["note"] = "continuum-normalised, rest frame"
        else:
            d = np.load(path)
            error = d["spec_err"].astype(float)
            bad = ~(error > 0) | (error > 1) | (d["spectrum"] == 0)
            arms = [(wave, d["spectrum"], np.where(bad, 0, np.where(bad, 1, error) ** -2.0), bad)]
            label["note"] = "continuum-normalised, rest frame"
        yield entry(3, r["apogee_id"], arms, sky_split(ra, dec), repo, label)


READERS = (read_sdss, read_desi, read_galah, read_apogee)  # in the order of SURVEYS


def read_all(data):
    """All objects of all surveys; None for those without one good pixel."""
    return [entry for reader in READERS for entry in reader(data)]


def arrays(entries):
    """Concatenate entries into the arrays of the pack."""
    join = lambda key, kind: np.concatenate([e[key] for e in entries]).astype(kind)  # noqa: E731
    return {
        "real.flux": join("flux", np.float32),
        "real.sigma": join("sigma", np.float32),
        "real.wavelength": join("wavelength", np.float64),
        "real.valid": join("valid", np.uint8),
        "real.model": join("model", np.float32),
        "real.offset": np.cumsum([0] + [len(e["flux"]) for e in entries]).astype(np.int64),
        "real.survey": np.array([e["survey"] for e in entries], np.int64),
        "real.validation": np.array([e["split"] == "validation" for e in entries], np.uint8),
        "real.evaluation": np.array([e["split"] == "evaluation" for e in entries], np.uint8),
    }
