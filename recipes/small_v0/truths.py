"""Noise-free spectra for mock observations: templates on log-wavelength grids.

Kinds: 0 galaxy, 1 quasar, 2 star in the optical, 3 GALAH star (four entries,
one per arm, of one group), 4 APOGEE star.
"""

from __future__ import annotations

import re

import astropy.units as u
import numpy as np
from astropy.io import fits
from scipy.interpolate import CubicSpline
from scipy.ndimage import uniform_filter1d
from scipy.optimize import minimize
from specutils.utils.wcs_utils import air_to_vac

OPTICAL, HERMES, APOGEE = 1e-4, 3.5e-6, 6e-6
HERMES_ARMS = ((4713.0, 4904.0), (5648.0, 5874.0), (6478.0, 6738.0), (7584.0, 7888.0))


def vacuum(wavelength) -> np.ndarray:
    """Vacuum wavelength of an air wavelength, both in Angstrom."""
    return air_to_vac(np.asarray(wavelength, float) * u.AA).to_value(u.AA)


class Truths:
    """Collects truths: flux over its median on a constant log10 step."""

    def __init__(self):
        self.flux, self.start, self.step, self.kind, self.group, self.label = [], [], [], [], [], []
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


def bridge(wavelength, flux):
    """Fill wide gaps of the grid (detector gaps) by a straight line.

    A spline would swing through them.
    """
    jump = np.diff(np.log10(wavelength))
    own = np.median(jump)
    parts = [wavelength]
    for i in np.flatnonzero(jump > 5 * own):
        n = int(jump[i] / own)
        parts.append(np.linspace(wavelength[i], wavelength[i + 1], n + 1)[1:-1])
    full = np.sort(np.concatenate(parts))
    return full, flux if len(parts) == 1 else np.interp(full, wavelength, flux)


def trim(wavelength, flux):
    """Cut ends of observed templates that are noise: deep below zero there."""
    low = np.flatnonzero(flux < -0.1 * np.median(flux))
    n = len(flux)
    first = max((i + 1 for i in low if i < 0.15 * n), default=0)
    last = min((i for i in low if i > 0.85 * n), default=n)
    return wavelength[first:last], flux[first:last]


def resample(wavelength, flux, step):
    """Bring a spectrum to a constant log10 step: start, flux.

    Finer input is averaged over the new pixels (so nothing aliases), coarser
    input follows a cubic spline, and a grid that already fits is kept as it is.
    """
    loglam = np.log10(wavelength)
    own = np.diff(loglam)
    if np.ptp(own) < 1e-3 * step and abs(own[0] / step - 1) < 1e-3:
        return loglam[0], flux
    n = int((loglam[-1] - loglam[0]) / step) - 1
    start = loglam[0] + step
    centre = start + step * np.arange(n)
    if np.median(own) < 0.7 * step:
        total = np.concatenate([[0], np.cumsum(0.5 * (flux[1:] + flux[:-1]) * own)])
        edges = np.concatenate([centre - 0.5 * step, [centre[-1] + 0.5 * step]])
        return start, np.diff(CubicSpline(loglam, total)(edges)) / step
    return start, CubicSpline(loglam, flux)(centre)


def basis(path):
    """Read a redrock basis: wavelength, vectors, archetype coefficients or None."""
    with fits.open(path, memmap=False) as hdus:
        head, vectors = hdus[0].header, hdus[0].data.astype(float)
        axis = head["CRVAL1"] + head["CDELT1"] * np.arange(vectors.shape[1])
        wavelength = 10.0**axis if head.get("LOGLAM", 0) else axis
        names = [h.name for h in hdus]
        coeff = hdus["ARCHETYPE_COEFF"].data.astype(float) if "ARCHETYPE_COEFF" in names else None
    return wavelength, vectors, coeff


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
    coeff = unit * minimize(
        lambda c: c @ gram @ c - 2 * right @ c,
        start / unit,
        jac=lambda c: 2 * (gram @ c - right),
        constraints={"type": "ineq", "fun": lambda c: limits @ c - 0.02, "jac": lambda c: limits},
        method="SLSQP",
        options={"maxiter": 200},
    ).x
    rms = np.std(design @ coeff - model) / np.std(model)
    return coeff / np.median(coarse @ coeff) if rms < 0.7 else None


def mixtures(rng, coeffs, n):
    """Jittered convex combinations of fitted coefficient vectors, (n, n_vector)."""
    coeffs = np.array(coeffs)
    if len(coeffs) < 3:
        raise ValueError(f"only {len(coeffs)} spectra could be fitted with the basis; at least 3 are needed")
    weights = rng.dirichlet(np.full(min(3, len(coeffs)), 0.6), size=n)
    picks = np.array([rng.choice(len(coeffs), weights.shape[1], replace=False) for _ in range(n)])
    mixed = np.einsum("nk,nkv->nv", weights, coeffs[picks])
    return mixed * rng.normal(1, 0.05, size=mixed.shape)


def physical(flux, floor=-0.08, top=400.0) -> bool:
    """Tell whether a combination looks like a spectrum: positive, not all line."""
    median = np.median(flux)
    flux = uniform_filter1d(flux, len(flux) // 200)
    return median > 0 and flux.min() > floor * median and np.abs(flux).max() < top * median


def draw(truths, rng, kind, wavelength, vectors, coeffs, n, source):
    """Add n physical mixtures."""
    added = 0
    for c in mixtures(rng, coeffs, 20 * n):
        flux = c @ vectors
        if added < n and physical(flux):
            truths.add(kind, wavelength, np.maximum(flux, 0), OPTICAL, source)
            added += 1
    return added


def galaxies(truths, data, rng, training):
    """Stellar populations, stacks and combinations of the redrock galaxy basis."""
    folder = data / "templates"
    for name, key, air in (("mastar_ssp_v1.0", "wave_vac_A", False), ("miuscat_thin", "wave_air_A", True),
                           ("bpass_bin", "wave_A", False)):
        d = np.load(folder / f"ssp/{name}.npz")
        w = vacuum(d[key]) if air else d[key]
        labels = [k for k in d.files if d[k].ndim == 1 and k != key]
        for i, f in enumerate(d["flux"]):
            truths.add(0, w, f, OPTICAL, name, {k: float(d[k][i]) for k in labels})
    table = fits.getdata(folder / "prospect_std_templates.fits", 1)
    truths.add(0, *(np.asarray(table[c], float) for c in ("wave_GALAXY", "flux_GALAXY")), OPTICAL, "prospect")
    with fits.open(folder / "desi_stack_LRG.fits", memmap=False) as hdus:
        flux = np.where(hdus["IVAR"].data[0] > 0, hdus["FLUX"].data[0], np.nan).astype(float)
        truths.add(0, hdus["WAVE"].data.astype(float), flux, OPTICAL, "DESI LRG stack")
    w, vectors, archetypes = basis(folder / "redrock/rrtemplate-galaxy-old.fits")
    found = [fit(w, vectors, s, s["z"]) for s in training if s["class"] == "GALAXY"]
    found = [c for c in found if c is not None]
    draw(truths, rng, 0, w, vectors, found, 200, "redrock galaxy, SDSS fits")
    for i in rng.choice(len(archetypes), 150, replace=False):
        flux = archetypes[i] @ vectors
        if physical(flux):
            truths.add(0, w, np.maximum(flux, 0), OPTICAL, "redrock galaxy archetype")
    return len(found)


def quasars(truths, data, rng, training):
    """Combinations of the two redrock quasar bases."""
    counts = []
    for name, low, high in (("LOZ", 0.05, 1.7), ("HIZ", 1.5, 5.0)):
        w, vectors, _ = basis(data / f"templates/redrock/rrtemplate-QSO-{name}-v1.1.fits")
        # Below the Lyman limit the basis is noise that no fit constrains.
        w, vectors = w[w > 900], vectors[:, w > 900]
        found = [fit(w, vectors, s, s["z"]) for s in training if s["class"] == "QSO" and low < s["z"] < high]
        found = [c for c in found if c is not None and physical(c @ vectors)]
        counts.append((len(found), draw(truths, rng, 1, w, vectors, found, 150, f"redrock QSO-{name}, SDSS fits")))
    return counts


def stars(truths, data, rng, training):
    """Empirical libraries, redrock archetypes and SDSS's own best models."""
    folder = data / "templates"
    d = np.load(folder / "pyhammer/kesseli2017_templates.npz")
    for f, sptype, feh, lum in zip(d["flux"], d["sptype"], d["feh"], d["lum"]):
        truths.add(2, 10.0 ** d["log10_wave_vac_A"], f, OPTICAL, "pyhammer",
                   {"sptype": str(sptype), "feh": float(feh), "lum": str(lum)})
    d = np.load(folder / "ssp/mastar_hc_v2_stars.npz")
    for f, name in zip(d["flux"], d["name"]):
        truths.add(2, d["wave_vac_A"], f, OPTICAL, "mastar_hc", {"name": str(name)})
    d = np.load(folder / "miles/miles_v9.1_stars.npz")
    w = vacuum(d["wave_air_A"])
    for f, *label in zip(d["flux"].astype(float), d["teff"], d["logg"], d["feh"]):
        if np.isfinite(f).all():
            truths.add(2, w, f, OPTICAL, "MILES", dict(zip(("teff", "logg", "feh"), map(float, label))))
    for path in sorted((folder / "redrock").glob("rrtemplate-STAR-*")):
        w, vectors, archetypes = basis(path)
        if archetypes is None:
            continue
        for i in rng.choice(len(archetypes), 40, replace=False):
            flux = archetypes[i] @ vectors
            if physical(flux):
                truths.add(2, w, flux, OPTICAL, re.sub(r"rrtemplate-(STAR-\w+)-v.*", r"redrock \1", path.name))
    for s in training:
        if s["class"] == "STAR":
            truths.add(2, s["wavelength"] / (1 + s["z"]), s["model"], OPTICAL, "SDSS model", {"subclass": s["subclass"]})


def galah(truths, data):
    """The LTE grid on the HERMES pixels, and the Munari templates."""
    d = np.load(data / "galah/generator/lte_hermes_grid.npz")
    w = vacuum(d["wave_air_A"])
    names = [str(n) for n in d["label_names"]]
    for f, label in zip(d["flux_u16"] / 65535 * 1.1, d["labels"]):
        arms = [(w[d["arm"] == a], f[d["arm"] == a]) for a in np.unique(d["arm"])]
        truths.add_hermes(arms, "lte_hermes_grid", dict(zip(names, map(float, label))))
    d = np.load(data / "galah/generator/munari_R20000_normalised.npz")
    w = vacuum(d["wave_air_A"])
    for f, label in zip(d["flux"], d["labels"]):
        arms = [(w[(w > a) & (w < b)], f[(w > a) & (w < b)].astype(float)) for a, b in HERMES_ARMS]
        truths.add_hermes(arms, "munari", dict(zip(("teff", "logg", "feh"), map(float, label))))


def apogee(truths, data, rng):
    """Emulators and grids in the H band; values in the detector gaps are filled in."""
    folder = data / "apogee/generator"
    w = np.load(folder / "apogee_wavelength_7214.npz")["wavelength"]
    for name, labels in (("normalized", ("teff", "logg", "feh", "mgfe", "vmacro")),
                         ("unnormalized", ("teff", "logg", "feh", "alphafe"))):
        d = np.load(folder / f"payne_NN_{name}_spectra.npz")
        s = rng.uniform(-0.49, 0.49, size=(400, len(labels)))
        if name == "unnormalized":
            # Half dwarfs, half giants along a rough branch: no hot supergiants.
            teff = rng.uniform(3600, 6900, 400)
            giant = rng.random(400) < 0.5
            teff[giant] = rng.uniform(3600, 5400, giant.sum())
            logg = np.where(giant, 0.5 + (teff - 3600) / 1800 * 2.8, 4.5) + rng.normal(0, 0.2, 400)
            for k, x in ((0, teff), (1, logg)):
                s[:, k] = np.clip((x - d["x_min"][k]) / (d["x_max"][k] - d["x_min"][k]) - 0.5, -0.49, 0.49)
        for row in s:
            hidden = 1 / (1 + np.exp(-(np.einsum("ijk,k->ij", d["w_array_0"], row) + d["b_array_0"])))
            flux = np.einsum("ij,ij->i", d["w_array_1"], hidden) + d["b_array_1"]
            values = (row + 0.5) * (d["x_max"] - d["x_min"]) + d["x_min"]
            truths.add(4, w, flux, APOGEE, f"payne {name}", dict(zip(labels, map(float, values))))
    coeffs = np.loadtxt(folder / "cannon_bovy/trained_apokasc_gc_ind_feh_fix.txt")
    teff = rng.uniform(4000, 5200, 500)
    x = np.array([teff, np.clip(0.8 + (teff - 4000) / 1200 * 2.4 + rng.normal(0, 0.25, 500), 0.5, 3.8),
                  rng.uniform(-0.9, 0.35, 500), rng.uniform(-0.02, 0.28, 500)]).T
    upper = [(i, j) for i in range(4) for j in range(i, 4)]
    for row in x:
        d = row - (4500.0, 2.0, -0.3, 0.05)
        flux = np.concatenate([[1.0], d, [d[i] * d[j] for i, j in upper]]) @ coeffs
        if 0.1 < np.percentile(flux, 0.5) and np.percentile(flux, 99.5) < 1.3:
            truths.add(4, w, flux, APOGEE, "cannon bovy", dict(zip(("teff", "logg", "m_h", "alpha_m"), map(float, row))))
    d = np.load(folder / "btsettl_apogee_R22500.npz")
    for f, label in zip(d["flux"], d["labels"]):
        truths.add(4, d["wave_A"], f, APOGEE, "btsettl", dict(zip(("teff", "logg", "m_h"), map(float, label))))
    with fits.open(folder / "apg_rvsynthgrid.fits.gz", memmap=False) as hdus:
        flux = hdus[1].data.astype(float)
        flux = flux if flux.shape[0] == 96 else flux.T
        w = vacuum(10.0 ** (4.17871759122 + 4.78054467131e-6 * np.arange(flux.shape[1])))
        for f, m_h, t, g in zip(flux, hdus[2].data, hdus[3].data, hdus[4].data):
            truths.add(4, w, f, APOGEE, "rvsynthgrid", {"teff": float(t), "logg": float(g), "m_h": float(m_h)})


def build(data, training, rng) -> Truths:
    """Make all truths. ``training``: dicts of training SDSS objects with a model."""
    truths = Truths()
    print("galaxy fits used:", galaxies(truths, data, rng, training))
    print("quasar fits used, truths (LOZ, HIZ):", quasars(truths, data, rng, training))
    stars(truths, data, rng, training)
    galah(truths, data)
    apogee(truths, data, rng)
    return truths
