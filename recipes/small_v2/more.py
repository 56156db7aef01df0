"""The second set of real spectra, as entries beside those of ``recipes/measured/real.py``.

700 SDSS and BOSS coadds, two single exposures of 68 of them, and two stars of MaStar. What the
set's MANIFEST marks as evaluation only is not here.
"""

from __future__ import annotations

import csv
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

from spectok._split import name_split, sky_split
from spectok.surveys._spec import BAD_BITS

sys.path.insert(0, str(Path(__file__).parents[1] / "measured"))
import real  # noqa: E402

_BROKEN = sum(1 << bit for bit in BAD_BITS.values())


def rows_of(folder: Path):
    """Rows of a folder's labels, each with the arrays of its spectrum."""
    files = {}
    with open(folder / "labels.csv") as file:
        for row in csv.DictReader(file):
            if row["file"] not in files:
                files[row["file"]] = dict(np.load(folder / row["file"]))
            arrays, number = files[row["file"]], int(row["row"])
            begin, end = arrays["offsets"][number : number + 2]
            own = {
                k: a[begin:end] if len(a) == arrays["offsets"][-1] else a[number]
                for k, a in arrays.items()
                if k != "offsets"
            }
            yield row, own


def arm(wavelength, own, mask):
    """(wavelength, flux, ivar, mask) as `real.entry` takes them."""
    flux, ivar = own["flux"].astype(float), own["ivar"].astype(float)
    bad = mask | ~np.isfinite(flux) | ~(ivar > 0) | ~np.isfinite(ivar)
    return wavelength, np.where(bad, 0.0, flux), np.where(bad, 0.0, ivar), bad


def label_of(row):
    """Labels by the names that `real.entry` knows; no redshift that the survey doubts."""
    doubted = float(row.get("zwarning") or 0) != 0
    label = {"class": row["cls"], "subclass": row["subclass"], "z": "" if doubted else row["z"]}
    return label | {"ra": float(row["ra"]), "dec": float(row["dec"])}


def grid(own):
    """Wavelengths of SDSS's coadds."""
    return 10.0 ** (own["loglam0"] + 1e-4 * np.arange(len(own["flux"])))


def read_coadds(data: Path):
    """SDSS and BOSS spectra as the survey coadded them."""
    for row, own in rows_of(data / "sdss"):
        where = sky_split(float(row["ra"]), float(row["dec"]))
        model = own["model"].astype(float) * own["model_scale"]
        one = arm(grid(own), own, (own["and_mask"] & _BROKEN) != 0)
        yield real.entry(0, row["key"], [one], where, row["repo"], label_of(row), model)


def read_exposures(data: Path):
    """Single exposures, the blue and the red camera's frame as two arms of one spectrum."""
    frames = defaultdict(dict)
    for row, own in rows_of(data / "sdss_exposures"):
        step = np.cumsum(own["step_1e9"], dtype=np.int64)
        wavelength = 10.0 ** ((own["loglam0_1e9"] + step) * 1e-9)
        one = arm(wavelength, own, (own["mask"] & _BROKEN) != 0)
        frames[row["coadd_key"]].setdefault(row["camera"][0], []).append((row, one))
    for key, cameras in frames.items():
        for number, pair in enumerate(zip(*cameras.values(), strict=True)):
            row = pair[0][0]
            where = sky_split(float(row["ra"]), float(row["dec"]))
            name = f"{key}, exposure {number + 1}"
            arms = sorted((one for _, one in pair), key=lambda one: one[0][0])
            yield real.entry(0, name, arms, where, row["repo"], label_of(row))


def read_mastar(data: Path):
    """Bright stars seen through fibre bundles by BOSS's spectrographs."""
    for row, own in rows_of(data / "mastar"):
        where = name_split(row["object_id"]) if not row["ra"] else sky_split(
            float(row["ra"]), float(row["dec"])
        )  # fmt: skip
        one = arm(grid(own), own, own["mask"] != 0)
        yield real.entry(0, row["key"], [one], where, row["repo"], label_of(row))


def read_more(data: Path):
    """All of them; None for those without one good pixel."""
    return [one for read in (read_coadds, read_exposures, read_mastar) for one in read(data)]
