"""Noise-free spectra for mock observations: templates on log-wavelength grids.

Kinds: 0 galaxy, 1 quasar, 2 star in the optical, 3 GALAH star (four entries,
one per arm, of one group), 4 APOGEE star.
"""

from __future__ import annotations

import re

import emulators
import numpy as np
from astropy.io import fits
from grids import basis, bridge, resample, trim, vacuum
from scipy.ndimage import median_filter, uniform_filter1d
from scipy.optimize import minimize

OPTICAL, HERMES = 1e-4, 4e-6  # log10 steps


class Truths:
    """Collects truths: flux over its median on a constant log10 step."""

    def __init__(self):
        self.flux, self.start, self.step, self.kind, self.group, self.label = (
            [],
            [],
            [],
            [],
            [],
            [],
        )
        self.skipped: dict[str, int] = {}
        self.n_group = 0

    def add(self, kind, wavelength, flux, step, source, label=None, *, group=None, scale=None):
        """Resample one spectrum (vacuum Angstrom, rest frame) and keep it if sane."""
        ok = np.isfinite(flux)
        if not ok.any():
            return self._skip(source)
        first, last = np.flatnonzero(ok)[[0, -1]]
        if ok[first : last + 1].mean() < 0.995:
            return self._skip(source)
        w, f = wavelength[first : last + 1], flux[first : last + 1].astype(float)
        f = np.interp(w, w[ok[first : last + 1]], f[ok[first : last + 1]])
        w, f = trim(*bridge(w, f))
        start, f = resample(w, f, step)
        scale = np.median(f) if scale is None else scale
        if not scale > 0:
            return self._skip(source)
        f = f / scale
        # A truth may touch zero in a deep band, but not dive below it.
        if f.min() < -0.1 or f.max() > 2e4:
            return self._skip(source)
        if group is None:
            group, self.n_group = self.n_group, self.n_group + 1
        self.flux.append(f.astype(np.float16))
        self.start.append(start)
        self.step.append(step)
        self.kind.append(kind)
        self.group.append(group)
        self.label.append({"source": source, **(label or {})})

    def _skip(self, source):
        self.skipped[source] = self.skipped.get(source, 0) + 1

    def add_hermes(self, arms, source, label):
        """Add the four arms, (wavelength, flux) each, of one GALAH star."""
        scale = np.median(np.concatenate([f for _, f in arms]))
        for w, f in arms:
            self.add(3, w, f, HERMES, source, label, group=self.n_group, scale=scale)
        self.n_group += 1

    def arrays(self) -> dict[str, np.ndarray]:
        """Make the arrays of the pack."""
        length = [len(f) for f in self.flux]
        return {
            "truth.flux": np.concatenate(self.flux),
            "truth.offset": np.concatenate([[0], np.cumsum(length)]).astype(np.int64),
            "truth.start": np.array(self.start, np.float64),
            "truth.step": np.array(self.step, np.float64),
            "truth.kind": np.array(self.kind, np.int64),
            "truth.group": np.array(self.group, np.int64),
        }


def fit(wavelength, vectors, spectrum, z):
    """Coefficients of a rest-frame basis for one model spectrum, or None.

    Least squares on the observed range under the constraint of positive flux all
    over the basis: outside that range plain least squares extrapolates wildly.
    """
    rest = spectrum["wavelength"] / (1 + z)
    use = (rest > wavelength[0]) & (rest < wavelength[-1]) & np.isfinite(spectrum["model"])
    if use.sum() < 1000:
        return None
    design = np.array([np.interp(rest[use], wavelength, v) for v in vectors]).T
    model = spectrum["model"][use].astype(float)
    scale = np.median(np.abs(model))
    if not (scale > 0 and np.std(model) > 0):
        return None
    model = model / scale
    width = len(wavelength) // 400
    coarse = np.array([v[: 400 * width].reshape(400, width).mean(axis=1) for v in vectors]).T
    start = np.zeros(len(vectors))
    start[0] = 1.0 / max(np.median(coarse[:, 0]), 1e-9) if np.median(coarse[:, 0]) > 0 else 1.0
    gram, right = design.T @ design / len(model), design.T @ model / len(model)
    unit = 1 / np.sqrt(np.diag(gram))  # all coefficients of order one
    gram, right = gram * unit[:, None] * unit, right * unit
    limits = coarse * unit
    coeff = (
        unit
        * minimize(
            lambda c: c @ gram @ c - 2 * right @ c,
            start / unit,
            jac=lambda c: 2 * (gram @ c - right),
            constraints={
                "type": "ineq",
                "fun": lambda c: limits @ c - 0.02,
                "jac": lambda c: limits,
            },
            method="SLSQP",
            options={"maxiter": 200},
        ).x
    )
    rms = np.std(design @ coeff - model) / np.std(model)
    return coeff / np.median(coarse @ coeff) if rms < 0.7 else None


def mixtures(rng, coeffs, n):
    """Jittered convex combinations of fitted coefficient vectors, (n, n_vector)."""
    coeffs = np.array(coeffs)
    if len(coeffs) < 3:
        raise ValueError(
            f"only {len(coeffs)} spectra could be fitted with the basis; at least 3 are needed"
        )
    weights = rng.dirichlet(np.full(min(3, len(coeffs)), 0.6), size=n)
    picks = np.array([rng.choice(len(coeffs), weights.shape[1], replace=False) for _ in range(n)])
    mixed = np.einsum("nk,nkv->nv", weights, coeffs[picks])
    return mixed * rng.normal(1, 0.05, size=mixed.shape)


def physical(flux, floor=-0.08, top=400.0, *, lines=False) -> bool:
    """Tell whether a combination looks like a spectrum: positive, not all line.

    ``lines``: also refuse narrow holes, which are emission lines of negative
    weight (a component analysis knows no sign).
    """
    median = np.median(flux)
    if lines:
        thin = flux[: len(flux) // 20 * 20].reshape(-1, 20).mean(axis=1)
        ratio = thin / np.maximum(median_filter(thin, 75), 1e-3 * median)
        if not (median > 0 and ratio[len(ratio) // 4 :].min() > 0.45):
            return False
    flux = uniform_filter1d(flux, len(flux) // 200)
    return median > 0 and flux.min() > floor * median and np.abs(flux).max() < top * median


def draw(truths, rng, kind, wavelength, vectors, coeffs, n, source, **limits):
    """Add n physical mixtures."""
    added = 0
    for c in mixtures(rng, coeffs, 20 * n):
        flux = c @ vectors
        if added < n and physical(flux, **limits):
            truths.add(kind, wavelength, np.maximum(flux, 0), OPTICAL, source)
            added += 1
    return added


def galaxies(truths, data, rng, training):
    """Stellar populations, stacks and combinations of the redrock galaxy basis."""
    folder = data / "templates"
    for name, key, air in (
        ("mastar_ssp_v1.0", "wave_vac_A", False),
        ("miuscat_thin", "wave_air_A", True),
        ("bpass_bin", "wave_A", False),
    ):
        d = np.load(folder / f"ssp/{name}.npz")
        w = vacuum(d[key]) if air else d[key]
        labels = [k for k in d.files if d[k].ndim == 1 and k != key]
        for i, f in enumerate(d["flux"]):
            truths.add(0, w, f, OPTICAL, name, {k: float(d[k][i]) for k in labels})
    table = fits.getdata(folder / "prospect_std_templates.fits", 1)
    truths.add(
        0,
        *(np.asarray(table[c], float) for c in ("wave_GALAXY", "flux_GALAXY")),
        OPTICAL,
        "prospect",
    )
    with fits.open(folder / "desi_stack_LRG.fits", memmap=False) as hdus:
        flux = np.where(hdus["IVAR"].data[0] > 0, hdus["FLUX"].data[0], np.nan).astype(float)
        truths.add(0, hdus["WAVE"].data.astype(float), flux, OPTICAL, "DESI LRG stack")
    w, vectors, archetypes = basis(folder / "redrock/rrtemplate-galaxy-old.fits")
    w, vectors = w[w > 1250], vectors[:, w > 1250]  # the blue end holds one spike
    found = [fit(w, vectors, s, s["z"]) for s in training if s["class"] == "GALAXY"]
    found = [c for c in found if c is not None]
    draw(truths, rng, 0, w, vectors, found, 200, "redrock galaxy, SDSS fits", lines=True)
    for i in rng.choice(len(archetypes), 150, replace=False):
        flux = archetypes[i] @ vectors
        if physical(flux, lines=True):
            truths.add(0, w, np.maximum(flux, 0), OPTICAL, "redrock galaxy archetype")
    return len(found)


def quasars(truths, data, rng, training):
    """Combinations of the two redrock quasar bases."""
    counts = []
    for name, low, high in (("LOZ", 0.05, 1.7), ("HIZ", 1.5, 5.0)):
        w, vectors, _ = basis(data / f"templates/redrock/rrtemplate-QSO-{name}-v1.1.fits")
        # Below the Lyman limit the basis is noise that no fit constrains.
        w, vectors = w[w > 900], vectors[:, w > 900]
        found = [
            fit(w, vectors, s, s["z"])
            for s in training
            if s["class"] == "QSO" and low < s["z"] < high
        ]
        found = [c for c in found if c is not None and physical(c @ vectors)]
        counts.append(
            (
                len(found),
                draw(
                    truths,
                    rng,
                    1,
                    w,
                    vectors,
                    found,
                    150,
                    f"redrock QSO-{name}, SDSS fits",
                    top=30.0,
                ),
            )
        )
    return counts


def stars(truths, data, rng, training):
    """Empirical libraries, redrock archetypes and SDSS's own best models."""
    folder = data / "templates"
    d = np.load(folder / "pyhammer/kesseli2017_templates.npz")
    for f, sptype, feh, lum in zip(d["flux"], d["sptype"], d["feh"], d["lum"], strict=True):
        truths.add(
            2,
            10.0 ** d["log10_wave_vac_A"],
            f,
            OPTICAL,
            "pyhammer",
            {"sptype": str(sptype), "feh": float(feh), "lum": str(lum)},
        )
    d = np.load(folder / "ssp/mastar_hc_v2_stars.npz")
    for f, name in zip(d["flux"], d["name"], strict=True):
        truths.add(2, d["wave_vac_A"], f, OPTICAL, "mastar_hc", {"name": str(name)})
    d = np.load(folder / "miles/miles_v9.1_stars.npz")
    w = vacuum(d["wave_air_A"])
    for f, *label in zip(d["flux"].astype(float), d["teff"], d["logg"], d["feh"], strict=True):
        if np.isfinite(f).all():
            truths.add(
                2,
                w,
                f,
                OPTICAL,
                "MILES",
                dict(zip(("teff", "logg", "feh"), map(float, label), strict=True)),
            )
    for path in sorted((folder / "redrock").glob("rrtemplate-STAR-*")):
        w, vectors, archetypes = basis(path)
        if archetypes is None:
            continue
        for i in rng.choice(len(archetypes), 40, replace=False):
            flux = archetypes[i] @ vectors
            if physical(flux):
                truths.add(
                    2,
                    w,
                    flux,
                    OPTICAL,
                    re.sub(r"rrtemplate-(STAR-\w+)-v.*", r"redrock \1", path.name),
                )
    for s in training:
        if s["class"] == "STAR":
            truths.add(
                2,
                s["wavelength"] / (1 + s["z"]),
                s["model"],
                OPTICAL,
                "SDSS model",
                {"subclass": s["subclass"]},
            )


def build(data, training, rng) -> Truths:
    """Make all truths. ``training``: dicts of training SDSS objects with a model."""
    truths = Truths()
    print("galaxy fits used:", galaxies(truths, data, rng, training))
    print("quasar fits used, truths (LOZ, HIZ):", quasars(truths, data, rng, training))
    stars(truths, data, rng, training)
    emulators.galah(truths, data)
    emulators.apogee(truths, data, rng)
    return truths
