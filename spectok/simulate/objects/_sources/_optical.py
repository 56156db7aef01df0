"""Optical template families: galaxies, quasars and stars."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from scipy.ndimage import median_filter, uniform_filter1d

from spectok.simulate.objects._sources._resampling import read_basis, resample, table, vacuum

__all__ = ["FAMILIES", "QUASARS", "models", "physical"]

# log10 steps: populations and libraries are blurred beyond the coarse one.
_COARSE, _FINE = 1e-4, 2.5e-5
_CLASSES = {"GALAXY": "galaxy", "QSO": "quasar", "STAR": "star"}
Find = Callable[[str], Path]


def _segment(low: float, high: float, step: float) -> tuple[float, int]:
    start = np.ceil(np.log10(low) / step) * step
    return float(start), int((np.log10(high) - start) / step)


def _about(kind: str, form: str, segment: tuple, step: float, source: str, **rest: object) -> dict:
    return {
        "kind": kind, "form": form, "fine": "optical", "segments": [segment], "step": step,
        "source": source, **rest,
    }  # fmt: skip


def _population(
    find: Find,
    file: str,
    wave: str,
    names: dict[str, str],
    source: str,
    *,
    air: bool,
    **rest: object,
) -> tuple[dict, dict]:
    """A grid of simple stellar populations, of which galaxies are mixed."""
    data = np.load(find(f"templates/ssp/{file}.npz"))
    wavelength = vacuum(data[wave]) if air else data[wave].astype(float)
    segment = _segment(wavelength[0], wavelength[-1], _COARSE)
    arrays = table(resample(wavelength, data["flux"].astype(float), *_points(segment, _COARSE)))
    age = 10 ** data["log_age_gyr"] if "log_age_gyr" in names.values() else data[names["age"]]
    metallicity = data[names["metallicity"]]
    if names["metallicity"] == "Z":
        metallicity = np.log10(metallicity / 0.02)
    arrays["labels"] = np.stack([age, metallicity], 1).astype(np.float32)
    return arrays, _about(
        "galaxy", "table", segment, _COARSE, source, mix=3, bare=True, redshift=(0.003, 0.35),
        labels=["age", "metallicity"], **rest,
    )  # fmt: skip


def _points(segment: tuple[float, int], step: float) -> tuple[float, float, int]:
    return segment[0], step, segment[1]


def _basis(
    find: Find, file: str, kind: str, source: str, coeff: np.ndarray | None = None,
    *, low: float = 0.0, step: float = _FINE, emission: bool = False, **rest: object,
) -> tuple[dict, dict]:  # fmt: skip
    """Vectors and the coefficients of real objects, those that give physical spectra."""
    wavelength, vectors, own = read_basis(find(f"templates/redrock/{file}"))
    inside = wavelength > low
    wavelength, vectors = wavelength[inside], vectors[:, inside]
    coeff = own if coeff is None else coeff
    if coeff is None:  # a single mean spectrum
        coeff = np.ones((1, len(vectors)))
    if len(coeff) > 3000:
        coeff = coeff[:: len(coeff) // 3000]
    flux = coeff @ vectors[:, :: max(len(wavelength) // 4000, 1)]
    keep = [physical(row, lines=emission) for row in flux]
    coeff = coeff[keep] / np.median(flux[keep], 1, keepdims=True)
    segment = _segment(wavelength[0], wavelength[-1], step)
    start, _, n = _points(segment, step)
    seen = resample(wavelength, vectors, start, step, n)
    arrays = {
        "vectors": np.nan_to_num(seen).astype(np.float32),
        "coeff": coeff.astype(np.float32),
    }
    return arrays, _about(kind, "basis", segment, step, source, **rest)


# File and first wavelength kept of the quasar bases: below the Lyman limit they are noise that
# no fit constrains.
QUASARS = {
    "quasar-low": ("rrtemplate-QSO-LOZ-v1.1.fits", 1000.0),
    "quasar-high": ("rrtemplate-QSO-HIZ-v1.1.fits", 900.0),
}


def physical(flux: np.ndarray, *, lines: bool = False) -> bool:
    """Whether a combination of vectors looks like a spectrum: positive, not all line.

    Parameters
    ----------
    flux : array, shape (L,)
    lines : bool
        Also refuse narrow holes, which are emission lines of negative weight (a component
        analysis knows no sign).

    Returns
    -------
    physical : bool
    """
    median = np.median(flux)
    if not median > 0:
        return False
    if lines:
        ratio = flux / np.maximum(median_filter(flux, 75), 1e-3 * median)
        if ratio[len(ratio) // 4 :].min() < 0.3:
            return False
    flux = uniform_filter1d(flux, max(len(flux) // 200, 1))
    return bool(flux.min() > -0.08 * median and np.abs(flux).max() < 400 * median)


def _miles(find: Find) -> tuple[dict, dict]:
    data = np.load(find("templates/miles/miles_v9.1_stars.npz"))
    flux = data["flux"].astype(float)
    whole = np.isfinite(flux).all(1)
    wavelength = vacuum(data["wave_air_A"])
    segment = _segment(wavelength[0], wavelength[-1], _COARSE)
    arrays = table(resample(wavelength, flux[whole], *_points(segment, _COARSE)))
    labels = np.stack([data[k][whole] for k in ("teff", "logg", "feh")], 1)
    arrays["labels"] = labels.astype(np.float32)
    return arrays, _about(
        "star", "table", segment, _COARSE, "MILES v9.1 (Falcon-Barroso et al. 2011)",
        weight=0.15, blur=58.0, labels=["teff", "logg", "feh"],
    )  # fmt: skip


def _kesseli(find: Find) -> tuple[dict, dict]:
    data = np.load(find("templates/pyhammer/kesseli2017_templates.npz"))
    wavelength = 10.0 ** data["log10_wave_vac_A"].astype(float)
    segment = (float(np.log10(wavelength[0])), len(wavelength))
    arrays = table(resample(wavelength, data["flux"].astype(float), *_points(segment, _COARSE)))
    arrays["labels"] = data["feh"].astype(np.float32)[:, None]
    return arrays, _about(
        "star", "table", segment, _COARSE, "Kesseli et al. (2017), from BOSS spectra",
        weight=0.20, blur=65.0, labels=["feh"],
    )  # fmt: skip


def _mastar(find: Find) -> tuple[dict, dict]:
    data = np.load(find("templates/ssp/mastar_hc_v2_stars.npz"))
    wavelength = data["wave_vac_A"].astype(float)
    segment = (float(np.log10(wavelength[0])), len(wavelength))
    arrays = table(resample(wavelength, data["flux"].astype(float), *_points(segment, _COARSE)))
    return arrays, _about(
        "star", "table", segment, _COARSE, "MaStar, mean stars (Yan et al. 2019)",
        weight=0.10, blur=65.0,
    )  # fmt: skip


def _lrg(find: Find) -> tuple[dict, dict]:
    with fits.open(find("templates/desi_stack_LRG.fits"), memmap=False) as hdus:
        flux, wavelength = (np.squeeze(hdus[k].data).astype(float) for k in ("FLUX", "WAVE"))
    known = np.isfinite(flux) & (flux != 0)
    wavelength, flux = wavelength[known], flux[known]
    segment = _segment(wavelength[0], wavelength[-1], _COARSE)
    arrays = table(resample(wavelength, flux[None], *_points(segment, _COARSE)))
    return arrays, _about(
        "galaxy", "table", segment, _COARSE, "DESI stack of luminous red galaxies",
        weight=0.03, blur=30.0, redshift=(0.05, 1.1), lines=0.1,
    )  # fmt: skip


def models(spectra: Sequence[dict], kind: str) -> tuple[dict, dict] | None:
    """The survey's own best fits to training spectra, as a family.

    Parameters
    ----------
    spectra : sequence of dict
        ``wavelength`` (observed, vacuum Angstrom), ``model``, ``z`` and ``class``.
    kind : str
        ``galaxy``, ``quasar`` or ``star``.

    Returns
    -------
    arrays, about : dict, dict
        None without a usable one.
    """
    rows = [
        s for s in spectra if _CLASSES.get(s["class"]) == kind and np.isfinite(s["model"]).all()
        and np.median(s["model"]) > 0 and s["z"] is not None and s["z"] > -0.01
    ]  # fmt: skip
    if not rows:
        return None
    low = min(s["wavelength"][0] / (1 + s["z"]) for s in rows)
    high = max(s["wavelength"][-1] / (1 + s["z"]) for s in rows)
    segment = _segment(low, high, _COARSE)
    flux = np.stack(
        [
            resample(
                s["wavelength"] / (1 + s["z"]),
                s["model"].astype(float),
                *_points(segment, _COARSE),
            )
            for s in rows
        ]
    )
    arrays = table(flux)
    about = _about(
        kind, "table", segment, _COARSE, "best fits of SDSS training spectra",
        weight={"galaxy": 0.12, "quasar": 0.3, "star": 0.1}[kind], blur=65.0,
    )  # fmt: skip
    if kind != "star":
        # Each is known about its own redshift only, and is moved within a tenth of it.
        arrays["redshift"] = np.array([s["z"] for s in rows], np.float32)
        about |= {"redshift": (0.0, 5.0), "lines": 0.15 if kind == "galaxy" else 0.0}
    return arrays, about


def _red(kind: str, weight: float) -> Callable[[Find, dict], tuple[dict, dict]]:
    """A redrock family of stars."""

    def build(find: Find, fits_of: dict) -> tuple[dict, dict]:
        file = f"rrtemplate-STAR-{kind}-v0.1.fits"
        # Hot stars rotate; cool ones are broadened below what these instruments resolve.
        spin = {"A": (120.0, 0.3), "B": (120.0, 0.3), "F": (20.0, 0.3)}
        known: dict[str, Any] = {"vsini": spin[kind]} if kind in spin else {}
        return _basis(
            find,
            file,
            "star",
            f"redrock stars {kind}",
            weight=weight,
            blur=8.0,
            low=3300.0,
            **known,
        )

    return build


def _quasar(name: str, redshift: tuple[float, float], weight: float) -> Callable:
    def build(find: Find, fits_of: dict) -> tuple[dict, dict]:
        file, low = QUASARS[name]
        return _basis(
            find, file, "quasar", f"redrock, fits to training spectra ({name})", fits_of[name],
            low=low, step=_COARSE, weight=weight, blur=30.0, redshift=redshift, mix=3,
        )  # fmt: skip

    return build


def _rare(kind: str) -> Callable[[Find, dict], tuple[dict, dict]]:
    """A redrock family of few stars, which are rare."""

    def build(find: Find, fits_of: dict) -> tuple[dict, dict]:
        file = f"rrtemplate-star-{kind}.fits"
        return _basis(find, file, "star", f"redrock {kind}", weight=0.01, blur=65.0, step=_COARSE)

    return build


FAMILIES: dict[str, Callable[[Find, dict], tuple[dict, dict]]] = {
    "galaxy-mastar": lambda find, _: _population(
        find, "mastar_ssp_v1.0", "wave_vac_A", {"age": "age_gyr", "metallicity": "z_h"},
        "MaStar populations (Maraston et al. 2020)", air=False, weight=0.12, blur=65.0,
    ),
    "galaxy-miuscat": lambda find, _: _population(
        find, "miuscat_thin", "wave_air_A", {"age": "age_gyr", "metallicity": "m_h"},
        "MIUSCAT populations (Vazdekis et al. 2012)", air=True, weight=0.12, blur=58.0,
    ),
    "galaxy-bpass": lambda find, _: _population(
        find, "bpass_bin", "wave_A", {"age": "log_age_gyr", "metallicity": "Z"},
        "BPASS binary populations (Eldridge et al. 2017)", air=False, weight=0.12, blur=20.0,
        lines=0.9,
    ),
    "galaxy-redrock": lambda find, _: _basis(
        find, "rrtemplate-galaxy-old.fits", "galaxy", "redrock galaxies", weight=0.45, blur=20.0,
        redshift=(0.003, 1.5), lines=0.2, emission=True, step=_COARSE / 2, mix=2,
    ),
    "galaxy-lrg": lambda find, _: _lrg(find),
    "quasar-low": _quasar("quasar-low", (0.05, 1.7), 0.4),
    "quasar-high": _quasar("quasar-high", (1.5, 4.5), 0.4),
    "star-miles": lambda find, _: _miles(find),
    "star-kesseli": lambda find, _: _kesseli(find),
    "star-mastar": lambda find, _: _mastar(find),
    **{
        f"star-redrock-{kind}": _red(kind, weight)
        for kind, weight in (
            ("A", 0.04), ("B", 0.03), ("F", 0.08), ("G", 0.08), ("K", 0.08), ("M", 0.08),
            ("WD", 0.05),
        )
    },
    **{
        f"star-redrock-{kind}": _rare(kind)
        for kind in ("Carbon", "Ldwarf")
    },
}  # fmt: skip
"""Name of each family and the function that builds it."""
