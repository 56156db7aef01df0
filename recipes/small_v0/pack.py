"""Pack all a training run needs into two files of plain arrays.

    python pack.py --data DIR --train train.safetensors --test test.safetensors

DIR (or the environment variable SPECTOK_DATA) holds the spectra and templates
listed in its MANIFEST.md. What each array means is in README.md beside this file.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import warnings
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.io import fits
from safetensors.numpy import save_file

import lines
import noise
import truths
from spectok import surveys
from spectok._split import name_split, sky_split

SURVEYS = ("SDSS", "DESI", "GALAH", "APOGEE")
# Repositories without a licence: their files serve evaluation only.
NO_LICENCE = {"segasai/rvspecfit", "kefrankk/working-with-desi", "working-with-desi",
              "tingyuansen/Payne4GALAH", "svenbuder/multiwave_galah", "svenbuder/residual_cannon"}
LICENCES = {
    "iprafols/SQUEzE": "GPL-3 (repo); SDSS data public", "igmhub/picca": "GPL-3 (repo); SDSS public, DESI CC BY 4.0",
    "legolason/PyQSOFit": "GPL-3 (repo); SDSS data public", "TheSkyentist/GELATO": "GPL-3 (repo); SDSS data public",
    "FireflySpectra/firefly_release": "see repo; SDSS data public", "mveyette/PyHammer": "MIT",
    "desihub/timedomain": "MIT-like; SDSS data public", "aframosp/SpecData": "MIT; SDSS data public",
    "dnidever/doppler": "MIT", "tingyuansen/MWM_Classifier": "MIT", "desihub/fastspecfit": "BSD-3; DESI CC BY 4.0",
    "astropy/specutils": "BSD-3; DESI EDR CC BY 4.0", "desihub/QuasarNP": "MIT; DESI release unstated",
    "sheliak/galah_workshop": "GPL-3 (repo); GALAH data", "tingyuansen/payne-zero": "BSD-3",
    "tingyuansen/The_Payne": "MIT (README)",
}


def entry(survey, name, arms, split, repo, label, model=None):
    """Join the arms, (wavelength, flux, ivar, mask) each, of one object."""
    wavelength, flux, ivar, mask = (np.concatenate([np.asarray(a[k]) for a in arms]) for k in range(4))
    valid = ~mask.astype(bool)
    if not valid.any():
        return None
    scale = np.median(np.abs(flux[valid]))
    sigma = np.zeros(len(flux))
    sigma[valid] = ivar[valid] ** -0.5
    split = "evaluation" if repo in NO_LICENCE else str(split)
    number = lambda x: float(x) if x not in (None, "") and np.isfinite(float(x)) else None  # noqa: E731
    return {
        "survey": survey, "split": split, "valid": valid, "wavelength": wavelength.astype(np.float64),
        "flux": np.where(valid, flux / scale, 0).astype(np.float32), "sigma": (sigma / scale).astype(np.float32),
        "model": (np.full(len(flux), np.nan) if model is None else model / scale).astype(np.float32),
        "class": label.get("class", ""), "z": number(label.get("z")), "subclass": label.get("subclass", ""),
        "segments": np.cumsum([0] + [len(a[0]) for a in arms]),
        "record": {
            "id": name, "survey": SURVEYS[survey], "split": split, "class": label.get("class", ""),
            "subclass": label.get("subclass", ""), "z": number(label.get("z")),
            **{k: number(label.get(k)) for k in ("teff", "logg", "fe_h") if k in label},
            "snr": float(np.median(np.abs(flux[valid]) / sigma[valid])), "scale": float(scale),
            "ra": label.get("ra"), "dec": label.get("dec"), "n_pixels": int(len(flux)), "source": repo,
            "licence": LICENCES.get(repo, "none"), **({"note": label["note"]} if "note" in label else {}),
        },
    }


def plain(spectrum, row=None, *, to_vacuum=False):
    """(wavelength, flux, ivar, mask) of a spectrum or of one row of it."""
    wavelength = spectrum.spectral_axis.to_value(u.AA)
    wavelength = truths.vacuum(wavelength) if to_vacuum else wavelength
    parts = (spectrum.flux.value, spectrum.uncertainty.array, spectrum.mask)
    return (wavelength, *(p if row is None else p[row] for p in parts))


def read_sdss(data):
    """All SDSS spectra, with their labels."""
    for r in csv.DictReader(open(data / "sdss/labels.csv")):
        (s,) = surveys.sdss.read(data / r["file"])
        m = s.meta
        label = {"class": r["cls"], "subclass": r["subclass"], "z": r["z"], "ra": m["ra"], "dec": m["dec"]}
        if float(r["elodie_teff"] or 0) > 0 and r["cls"] == "STAR":
            label |= {"teff": r["elodie_teff"], "logg": r["elodie_logg"], "fe_h": r["elodie_feh"]}
        yield entry(0, r["key"], [plain(s)], sky_split(m["ra"], m["dec"]), r["source_repo"], label, m.get("model"))


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
        yield entry(2, name, [plain(a, to_vacuum=True) for a in arms], split, r["source_repo"], label)
    for path in sorted((data / "galah/real/dr4_fit").glob("*.fits")):
        t, name = fits.getdata(path, 1), path.name.split("_")[0]
        w = t["wave"].astype(float)
        cuts = np.flatnonzero(np.diff(w) > 50) + 1
        arms = []
        for p in np.split(np.arange(len(w)), cuts):
            error = t["uob"][p].astype(float)
            bad = ~np.isfinite(t["sob"][p]) | ~(error > 0)
            ivar = np.where(bad, 0, np.where(bad, 1, error) ** -2.0)
            arms.append((truths.vacuum(w[p]), np.nan_to_num(t["sob"][p].astype(float)), ivar, bad))
        r = labels[name]
        label = {"class": "STAR", "teff": r["teff"], "logg": r["logg"], "fe_h": r["fe_h"],
                 "note": "DR4 fit: continuum-normalised, rest frame"}
        yield entry(2, name, arms, "evaluation", r["source_repo"], label)


def position(name):
    """Degrees from a 2MASS-style name, 2MHHMMSSss+DDMMSSs."""
    h, m, s, sign, d, dm, ds = re.match(r"2M(\d\d)(\d\d)(\d{4})([+-])(\d\d)(\d\d)(\d{3})", name).groups()
    dec = int(d) + int(dm) / 60 + int(ds) / 36000
    return 15 * (int(h) + int(m) / 60 + int(s) / 360000), -dec if sign == "-" else dec


def read_apogee(data):
    """APOGEE stars: two apVisit files and two spectra stored as npz."""
    labels = {Path(r["file"]).name: r for r in csv.DictReader(open(data / "apogee/labels.csv"))}
    wave = np.load(data / "apogee/generator/apogee_wavelength_7214.npz")["wavelength"]
    for file, repo in (("apVisit-r13-9518-57729-104.fits", "dnidever/doppler"),
                       ("apVisit-r8-4914-55807-100.fits", "tingyuansen/MWM_Classifier"),
                       ("aspcapStar_dr14_2M08002084+4044415.npz", "tingyuansen/payne-zero"),
                       ("combined_2M13012770+5754582.npz", "tingyuansen/The_Payne")):
        r, path = labels[file], data / "apogee/real" / file
        ra, dec = position(r["apogee_id"])
        label = {"class": "STAR", "teff": r["teff"], "logg": r["logg"], "fe_h": r["m_h"], "ra": ra, "dec": dec}
        if path.suffix == ".fits":
            arms = [plain(s) for s in surveys.apogee.read(path)]
        elif file.startswith("aspcap"):
            d = np.load(path)
            good = d["strict_good_pixel_mask"] & (d["inverse_variance"] > 0)
            arms = [(10 * d["wavelength_nm"], d["normalized_flux"], np.where(good, d["inverse_variance"], 0), ~good)]
            label["note"] = "continuum-normalised, rest frame"
        else:
            d = np.load(path)
            error = d["spec_err"].astype(float)
            bad = ~(error > 0) | (error > 1) | (d["spectrum"] == 0)
            arms = [(wave, d["spectrum"], np.where(bad, 0, np.where(bad, 1, error) ** -2.0), bad)]
            label["note"] = "continuum-normalised, rest frame"
        yield entry(3, r["apogee_id"], arms, sky_split(ra, dec), repo, label)


def real_arrays(entries):
    """Concatenate entries into the arrays of the pack."""
    join = lambda key, kind: np.concatenate([e[key] for e in entries]).astype(kind)  # noqa: E731
    return {
        "real.flux": join("flux", np.float32), "real.sigma": join("sigma", np.float32),
        "real.wavelength": join("wavelength", np.float64), "real.valid": join("valid", np.uint8),
        "real.model": join("model", np.float32),
        "real.offset": np.cumsum([0] + [len(e["flux"]) for e in entries]).astype(np.int64),
        "real.survey": np.array([e["survey"] for e in entries], np.int64),
        "real.validation": np.array([e["split"] == "validation" for e in entries], np.uint8),
        "real.evaluation": np.array([e["split"] == "evaluation" for e in entries], np.uint8),
    }


def noise_arrays(data, training):
    """Noise models of the four surveys, from training objects."""
    by_survey = [[e for e in training if e["survey"] == k] for k in range(4)]
    found = {"sdss": noise.sdss(by_survey[0])}
    desi = [e for e in by_survey[1] if e["valid"].mean() > 0.9]
    ends = desi[0]["segments"]
    found["desi"] = noise.stacked(desi, list(zip(ends[:-1], ends[1:])), smooth=301)
    # The sky spectra that the files carry give the shape of the lines.
    star = next(e for e in by_survey[2] if "note" not in e["record"])
    files = [data / f"galah/real/com/{star['record']['id']}{c}.fits" for c in "1234"]
    sky = np.concatenate([fits.getdata(f, "sky").astype(float) for f in files])
    ends = star["segments"]
    # Flux and sky are counts there; the entry's flux is over its scale.
    scale = star["record"]["scale"]
    found["galah"] = noise.known_sky(star, sky / scale, list(zip(ends[:-1], ends[1:])), smooth=301, gain=1 / scale)
    visit = next(e for e in by_survey[3] if "note" not in e["record"])
    path = next(p for p in sorted((data / "apogee/real").glob("apVisit*.fits"))
                if surveys.apogee.read(p)[0].meta["object_id"] == visit["record"]["id"])
    with fits.open(path, memmap=False) as hdus:
        wave, sky = hdus[4].data.astype(float), hdus[5].data.astype(float)
    chips = np.argsort(np.median(wave, axis=1))
    sky = np.concatenate([sky[c][np.argsort(wave[c])] for c in chips])
    ends = visit["segments"]
    found["apogee"] = noise.known_sky(visit, sky / visit["record"]["scale"], list(zip(ends[:-1], ends[1:])), smooth=201)
    print("noise from:", {"sdss": len(by_survey[0]), "desi": len(desi), "galah": star["record"]["id"],
                          "apogee": visit["record"]["id"]})
    grids = {"grid.desi": desi[0]["wavelength"], "grid.galah": star["wavelength"],
             "grid.apvisit": visit["wavelength"],
             "grid.sdss": 10.0 ** (3.5500 + 1e-4 * np.arange(4670)),
             "grid.apogee": 10.0 ** (4.179 + 6e-6 * np.arange(8575))}
    arrays = {}
    for name, parts in found.items():
        for key, value in noise.normalised(*parts).items():
            arrays[f"noise.{name}.{key}"] = value
    return arrays, grids


def detector_gaps(data):
    """Gaps of the 7214-pixel APOGEE grid, (2, 2) in vacuum Angstrom."""
    w = np.load(data / "apogee/generator/apogee_wavelength_7214.npz")["wavelength"]
    at = np.sort(np.argsort(np.diff(w))[-2:])
    return np.array([(w[i], w[i + 1]) for i in at])


def write(path, arrays, metadata):
    """Write under a temporary name, then rename, so that no reader sees half."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    save_file({k: np.ascontiguousarray(v) for k, v in arrays.items()}, part,
              metadata={k: json.dumps(v) for k, v in metadata.items()})
    os.replace(part, path)


def summary(path, arrays):
    """Print what a pack holds."""
    print(f"\n{path}: {os.path.getsize(path) / 2**20:.1f} MiB")
    for key, value in sorted(arrays.items()):
        print(f"  {key:26s} {value.dtype!s:8s} {value.shape!s:14s} {value.nbytes / 2**20:7.2f} MiB")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("SPECTOK_DATA"))
    parser.add_argument("--train", default="train.safetensors")
    parser.add_argument("--test", default="test.safetensors")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.data is None or not Path(options.data).is_dir():
        parser.error("no data folder: give --data DIR or set SPECTOK_DATA")
    data, rng = Path(options.data), np.random.default_rng(options.seed)
    warnings.simplefilter("ignore", category=u.UnitsWarning)

    entries = [e for reader in (read_sdss, read_desi, read_galah, read_apogee) for e in reader(data)]
    print(f"objects without one good pixel, left out: {sum(e is None for e in entries)}")
    entries = [e for e in entries if e is not None]
    sets = {s: [e for e in entries if e["split"] == s] for s in ("train", "validation", "test", "evaluation")}
    training = sets["train"]
    made = truths.build(data, [e for e in training if e["survey"] == 0], rng)
    if made.skipped:
        print("truths left out:", made.skipped)
    arrays, grids = noise_arrays(data, training)
    wavelength, records = lines.read(data / "templates/emlines_fastspecfit.ecsv")

    seen = training + sets["validation"]
    train = {**real_arrays(seen), **made.arrays(), **arrays, **grids,
             "gap.apogee": detector_gaps(data), "lines.wavelength": wavelength}
    write(options.train, train, {"real": [e["record"] for e in seen], "truth": made.label, "lines": records})
    unseen = sets["test"] + sets["evaluation"]
    test = real_arrays(unseen)
    write(options.test, test, {"real": [e["record"] for e in unseen]})

    print("\nsurvey  class    S/N      " + "  ".join(f"{s:>10s}" for s in sets))
    bin_of = lambda s: "<10" if s < 10 else "10-30" if s <= 30 else ">30"  # noqa: E731
    keys = sorted({(e["survey"], e["class"], bin_of(e["record"]["snr"])) for e in entries})
    for key in keys:
        counts = [sum((e["survey"], e["class"], bin_of(e["record"]["snr"])) == key for e in sets[s]) for s in sets]
        print(f"{SURVEYS[key[0]]:7s} {key[1]:8s} {key[2]:8s} " + "  ".join(f"{c:10d}" for c in counts))
    kinds: dict = {}
    for kind, group, label in zip(made.kind, made.group, made.label):
        kinds.setdefault((kind, label["source"]), set()).add(group)
    print("\ntruths: kind, source, number")
    for (kind, source), groups in sorted(kinds.items()):
        print(f"  {kind} {source:32s} {len(groups)}")
    summary(options.train, train)
    summary(options.test, test)


if __name__ == "__main__":
    main()
