"""Does `spectok.probes.novelty` find what is odd, and leave alone what is not?"""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
from _oddities import ODDITIES
from astropy import units as u
from astropy.io import fits
from astropy.nddata import InverseVariance
from safetensors import safe_open
from scipy.stats import binomtest, rankdata
from specutils import Spectrum

from spectok import simulate
from spectok.probes._novelty import novelty
from spectok.simulate._sample import KINDS

BASE = "boss"  # what oddities are injected into
SHARES = (0.01, 0.05, 0.1)
FEWEST = 30  # spectra; for fewer counts are given, and no share
ODD_GALAH = "150411003101372"  # a quasar among GALAH's stars


def instruments():
    """Instruments that no training and no reference has seen, and what wavelengths are times."""
    desi, boss = simulate.instrument("desi"), simulate.instrument("boss")
    return {
        "LAMOST-like": (boss.modified(window=(3700.0, 9000.0), resolution=1800.0), 1.0),
        "MUSE-like": (desi.modified(window=(4750.0, 9350.0), sampling=1.5625), 1.0),
        "grism-like, R 200": (boss.modified(sampling=10.0, resolution=200.0), 1.0),
        # Rest-frame optical at a redshift of 2.
        "JWST-like, R 1000": (boss.modified(sampling=2.0, resolution=1000.0), 3.0),
        "JWST-like, R 100": (boss.modified(sampling=16.0, resolution=100.0), 3.0),
    }


def mocks(instrument, templates, n, seed, factor=1.0):
    """Tuples of wavelength, flux, sigma and valid, and whether each is a star."""
    (seen,) = simulate.Simulator(instrument, templates=templates).observe(n, seed=seed)
    flux, sigma = (a.double().numpy() for a in (seen.flux, seen.sigma))
    rows = zip(flux, sigma, seen.valid.bool().numpy(), strict=True)
    # Templates that end within the instrument's range leave little of some spectra.
    usable = np.flatnonzero(seen.valid.float().mean(1).numpy() > 0.1)
    found = [(factor * seen.instrument.wavelength, *row) for row in rows]
    star = seen.labels["kind"].numpy() == KINDS.index("star")
    return [found[i] for i in usable], star[usable]


def as_spectra(rows):
    """Each a list of its arms: they may overlap, and a Spectrum ascends."""
    out = []
    for wavelength, flux, sigma, valid in rows:
        starts = np.flatnonzero(np.diff(wavelength) <= 0) + 1
        ivar = np.where(valid, sigma, np.inf) ** -2.0
        out.append(
            [
                Spectrum(
                    flux=flux[arm] * u.one,
                    spectral_axis=wavelength[arm] * u.AA,
                    uncertainty=InverseVariance(ivar[arm]),
                    mask=~valid[arm],
                )
                for arm in np.split(np.arange(flux.size), starts)
            ]
        )
    return out


def judged(rows, model):
    """The table of `spectok.probes.novelty`, of those that could be judged."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "[0-9]+ of [0-9]+ spectra have")
        table = novelty(as_spectra(rows), arms=True, model=model, progress=False)
    return table


def share(odd):
    """Count, and for enough of them the share with its 95 % interval (Wilson)."""
    count, n = int(np.sum(odd)), len(odd)
    if n < FEWEST:
        return {"count": count, "of": n}
    interval = binomtest(count, n).proportion_ci(method="wilson")
    return {
        "count": count, "of": n,
        "share": [round(float(x), 3) for x in (count / n, interval.low, interval.high)],
    }  # fmt: skip


def calibration(table):
    """How many are called odd at several levels, by all three numbers together and by each."""
    ps = {"p": 10 ** -np.asarray(table["score"])} | {
        name: np.asarray(table[name]) for name in ("p_misfit", "p_peak", "p_distance")
    }
    ps = {name: p[np.isfinite(p)] for name, p in ps.items()}
    return {name: {f"< {x}": share(p < x) for x in SHARES} for name, p in ps.items()}


def area(odd, ordinary):
    """Chance that an odd one has a higher score than an ordinary one."""
    ranks = rankdata(np.concatenate([odd, ordinary]))[: len(odd)]
    return (ranks.sum() / len(odd) - (len(odd) + 1) / 2) / len(ordinary)


def detection(odd, ordinary, rng):
    """Area under the curve of the score against ordinary spectra of the same S/N, and shares.

    For the area, each odd spectrum is set against the ordinary one nearest in S/N; those without
    one within a factor of 1.5 do not count.
    """
    odd, ordinary = odd[odd["valid"]], ordinary[ordinary["valid"]]
    scores = np.asarray(odd["score"])
    out = {
        "found": {f"< {p}": share(scores > -np.log10(p)) for p in SHARES[:2]},
        "by": {
            name: share(np.asarray(odd[f"p_{name}"]) < 0.05 / 3)
            for name in ("misfit", "peak", "distance")
        },
    }
    away = np.abs(np.log(np.asarray(odd["snr"]))[:, None] - np.log(np.asarray(ordinary["snr"])))
    near = away.min(1) < np.log(1.5)
    if near.sum() >= FEWEST:
        pairs, scores = np.asarray(ordinary["score"])[away.argmin(1)][near], scores[near]
        draws = rng.integers(0, len(scores), (300, len(scores)))
        low, high = np.percentile([area(scores[d], pairs[d]) for d in draws], [2.5, 97.5])
        out["area"] = [round(float(x), 3) for x in (area(scores, pairs), low, high)]
    return out


def real_spectra(path, wanted):
    """Rows of a test pack, with what they are."""
    with safe_open(path, "numpy") as file:
        arrays = {k: file.get_tensor(f"real.{k}")
                  for k in ("offset", "wavelength", "flux", "sigma", "valid")}  # fmt: skip
        objects = json.loads(file.metadata()["real"])
    rows, about = [], []
    for i, one in enumerate(objects):
        if wanted(one):
            part = slice(*arrays["offset"][i : i + 2])
            rows.append(
                (*(arrays[k][part].astype(float) for k in ("wavelength", "flux", "sigma")),
                 arrays["valid"][part] > 0)
            )  # fmt: skip
            about.append(one)
    return rows, about


def manga(data):
    """Spectra of MaNGA's galaxies, observed with BOSS's spectrographs."""
    with fits.open(Path(data) / "sdss/manga_test_spectra.fits.gz") as file:
        wavelength, flux, ivar, mask = (
            np.asarray(file[name].data, float) for name in ("WAVE", "FLUX", "IVAR", "MASK")
        )
    for i in range(len(flux)):
        valid = (ivar[i] > 0) & (mask[i] == 0) & np.isfinite(flux[i])
        yield wavelength, flux[i], np.where(valid, ivar[i], 1.0) ** -0.5, valid


def listed(rows, about, model):
    """Single spectra, each with its numbers."""
    table = judged(rows, model)
    return [
        {
            "object": name,
            **{k: round(float(row[k]), 4)
               for k in ("snr", "misfit", "peak", "distance", "p_misfit", "p_peak",
                         "p_distance", "score")},
        }
        for name, row in zip(about, table, strict=True)
    ]  # fmt: skip


def novelty_task(test_pack, templates, model, seed, n, *, data=None, split="test"):
    """Calibration and detection of `spectok.probes.novelty`.

    Parameters
    ----------
    test_pack : path
        ``test.safetensors`` of ``recipes/small_v1/pack.py``.
    templates : `~spectok.simulate.Templates` or path
    model : `~spectok.SpectralTokenizer` or str
    seed : int
    n : int
        Spectra of each oddity; half as many of each instrument.
    data : path, optional
        Folder of real spectra; without it MaNGA is left out.
    split : str
        Which real spectra calibration is checked with.

    Returns
    -------
    found : dict
        ``calibration`` (counts and shares of ordinary spectra below each p), ``detection`` and
        ``real`` (single spectra).
    """
    rng = np.random.default_rng(seed)
    unseen = simulate.load_templates(templates) if isinstance(templates, str | Path) else templates
    ordinary = {}
    for k, name in enumerate((BASE, "desi", "galah", "apogee")):
        number = n if name == BASE else max(n // 3, FEWEST)
        rows, star = mocks(name, unseen, number, seed + k)
        ordinary[name] = (rows, star, judged(rows, model))
    out = {"calibration": {f"mocks, {k}": calibration(v[2]) for k, v in ordinary.items()}}
    for survey in ("SDSS", "DESI"):
        rows, _ = real_spectra(
            test_pack, lambda o, s=survey: o["split"] == split and o["survey"] == s
        )
        if rows:
            out["calibration"][f"real, {survey}"] = calibration(judged(rows, model))
    rows, star, table = ordinary[BASE]
    groups = {True: np.flatnonzero(~star), False: np.flatnonzero(star)}
    found = {}
    for oddity in ODDITIES:
        others = [rows[rng.choice(groups[bool(is_star)])] for is_star in star]
        odd = [oddity(one, other, rng) for one, other in zip(rows, others, strict=True)]
        found[oddity.__name__] = detection(judged(odd, model), table, rng)
    for k, (name, (instrument, factor)) in enumerate(instruments().items()):
        odd, _ = mocks(instrument, unseen, max(n // 2, FEWEST), seed + 10 + k, factor)
        found[name] = detection(judged(odd, model), table, rng)
    out["detection"] = found
    galah, about = real_spectra(
        test_pack, lambda o: o["survey"] == "GALAH" and "DR4 fit" in o.get("note", "")
    )
    names = [o["id"] + (" (quasar)" if o["id"] == ODD_GALAH else "") for o in about]
    out["real"] = {"GALAH DR4 fits": listed(galah, names, model)} if galah else {}
    rare, about = real_spectra(
        test_pack,
        lambda o: o["split"] == split and o["subclass"].startswith(("WD", "CV", "Carb")),
    )
    if rare:
        names = [f"{o['id']} ({o['subclass']})" for o in about]
        out["real"]["SDSS, rare stars"] = listed(rare, names, model)
    if data is not None:
        galaxies = list(manga(data))
        names = [str(i) for i in range(len(galaxies))]
        out["real"]["MaNGA"] = listed(galaxies, names, model)
    return out
