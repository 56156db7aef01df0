"""Template families at high resolution: HERMES' arms and the H band."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from astropy.io import fits

from spectok.simulate.objects._sources._resampling import resample, table, vacuum

__all__ = ["FAMILIES"]

_ARMS = ((4713.0, 4904.0), (5648.5, 5873.5), (6478.5, 6737.5), (7585.0, 7887.5))
_STEP = 4e-6
# The apStar grid.
_START, _POINTS, _H_STEP = 4.179, 8575, 6e-6
Find = Callable[[str], Path]


def _hermes(wavelength: np.ndarray, flux: np.ndarray) -> tuple[np.ndarray, dict]:
    """Spectra on the four arms' grids, and what their description says of the grid."""
    segments = []
    for low, high in _ARMS:
        start = np.log10(low)
        segments.append((float(start), int((np.log10(high) - start) / _STEP)))
    parts = []
    for (start, n), (low, high) in zip(segments, _ARMS, strict=True):
        near = (wavelength > low - 3) & (wavelength < high + 3)
        part = resample(wavelength[near], flux[:, near], start, _STEP, n)
        known = np.flatnonzero(np.isfinite(part[0]))
        parts.append(np.array([np.interp(np.arange(n), known, row[known]) for row in part]))
    ends = [(a, a + _STEP * (n - 1)) for a, n in segments]
    # Between the arms nothing is known, and a star's velocity moves the borders.
    gaps = [(b[1], c[0]) for b, c in zip(ends[:-1], ends[1:], strict=True)]
    return np.concatenate(parts, 1), {
        "kind": "star", "fine": "hermes", "segments": segments, "step": _STEP, "gaps": gaps,
        "blur": 4.6, "normalised": True,
    }  # fmt: skip


def _lte(find: Find, _: dict) -> tuple[dict, dict]:
    """Kernel regression of a grid of synthetic spectra on its labels."""
    data = np.load(find("galah/generator/lte_hermes_grid.npz"))
    flux, about = _hermes(vacuum(data["wave_air_A"]), data["flux_u16"] / 65535 * 1.1)
    labels = data["labels"].astype(float)
    mean = flux.mean(0)
    vectors = np.linalg.svd(flux - mean, full_matrices=False)[2][:80]
    coeff = (flux - mean) @ vectors.T
    x = labels.copy()
    x[:, 0] = 50400 / x[:, 0]
    centre, width = x.mean(0), x.std(0)
    # Widths from the error on a held-out sixth of the grid: 3e-4 of the continuum (median).
    width = width * np.array([1, 1, 1, 3.3, 3.3, 1]) * 2.0
    nodes = (x - centre) / width
    distance = ((nodes[:, None] - nodes) ** 2).sum(-1)
    alpha = np.linalg.solve(np.exp(-0.5 * distance) + 1e-6 * np.eye(len(x)), coeff)
    low, high = np.percentile(labels, [1, 99], axis=0)
    arrays = {
        "mean": mean, "vectors": vectors, "alpha": alpha, "nodes": nodes, "centre": centre,
        "width": width, "labels": labels, "low": low, "high": high,
        "jitter": np.array([60.0, 0.08, 0.05, 0.03, 0.05, 0.5]),
    }  # fmt: skip
    names = ["teff", "logg", "feh", "alpha", "vmic", "vbroad"]
    about |= {"form": "kernel", "source": "LTE grid of this project", "labels": names}
    return arrays, about | {"weight": 0.9}


def _munari(find: Find, _: dict) -> tuple[dict, dict]:
    """Few templates from 3500 to 40,000 K: what the grid does not reach."""
    data = np.load(find("galah/generator/munari_R20000_normalised.npz"))
    flux, about = _hermes(vacuum(data["wave_air_A"]), data["flux"].astype(float))
    arrays = {**table(flux), "labels": data["labels"].astype(float)}
    about |= {"form": "table", "source": "Munari et al. (2005)", "labels": ["teff", "logg", "feh"]}
    return arrays, about | {"weight": 0.1, "vsini": (12.0, 0.4), "blur": 6.4}  # R = 20,000


def _lattice(find: Find) -> tuple[np.ndarray, list]:
    """Nearest pixel of the emulators' 7214 for each of apStar's 8575, and what they leave out."""
    wavelength = np.load(find("apogee/generator/apogee_wavelength_7214.npz"))["wavelength"]
    own = np.rint((np.log10(wavelength) - _START) / _H_STEP).astype(int)
    nearest = np.clip(np.searchsorted(own, np.arange(_POINTS)), 0, len(own) - 1)
    ends = np.flatnonzero(np.diff(own) > 1)
    gaps = [(_START + _H_STEP * own[i], _START + _H_STEP * own[i + 1]) for i in ends]
    gaps += [(0.0, _START + _H_STEP * own[0]), (_START + _H_STEP * own[-1], 9.0)]
    return nearest, [(float(a), float(b)) for a, b in gaps]


def _h_band(form: str, source: str, **rest: object) -> dict:
    return {
        "kind": "star", "form": form, "fine": "h", "segments": [(_START, _POINTS)],
        "step": _H_STEP, "blur": 5.66, "source": source, **rest,
    }  # fmt: skip


def _galah_labels(find: Find) -> np.ndarray:
    """Teff, log g, [Fe/H], [alpha/Fe] of real stars of all kinds, (M, 4)."""
    with fits.open(find("galah/label_distribution_dr3_6064.fits"), memmap=False) as hdus:
        data = hdus[1].data
        labels = np.stack([data[k] for k in ("teff", "logg", "fe_h", "alpha_fe")], 1)
    labels = labels.astype(float)
    return labels[np.isfinite(labels).all(1)]


def _network(find: Find, *, normalized: bool) -> tuple[dict, dict]:
    """The Payne's networks, one small one per pixel."""
    name = "normalized" if normalized else "unnormalized"
    data = np.load(find(f"apogee/generator/payne_NN_{name}_spectra.npz"))
    nearest, gaps = _lattice(find)
    real = _galah_labels(find)
    low, high = data["x_min"].astype(float), data["x_max"].astype(float)
    names = ["teff", "logg", "feh", "alpha"]
    jitter = [80.0, 0.08, 0.06, 0.03]
    if normalized:
        rng = np.random.default_rng(2016)
        broad = 10 ** rng.normal(0.7, 0.35, len(real))
        real, names, jitter = np.column_stack([real, broad]), [*names, "vmacro"], [*jitter, 1.0]
        low[4] = max(low[4], 0.0)
    inside = ((real > low) & (real < high)).all(1)
    scale = 1.0 if normalized else np.median(data["b_array_1"] + data["w_array_1"].sum(1) / 2)
    arrays = {
        "w0": np.moveaxis(data["w_array_0"][nearest], 0, -1),
        "b0": data["b_array_0"][nearest].T,
        "w1": data["w_array_1"][nearest].T / scale,
        "b1": data["b_array_1"][nearest] / scale,
        "low_in": data["x_min"], "high_in": data["x_max"],
        "low": low + 0.01 * (high - low), "high": high - 0.01 * (high - low),
        "labels": real[inside], "jitter": np.array(jitter),
    }  # fmt: skip
    spin = {"normalised": True} if normalized else {"vsini": (6.0, 0.3)}
    return arrays, _h_band(
        "network", f"The Payne, {name} (Ting et al. 2019)", labels=names, gaps=gaps,
        weight=0.3 if normalized else 0.25, **spin,
    )  # fmt: skip


def _cannon(find: Find, _: dict) -> tuple[dict, dict]:
    """The Cannon's quadratic model of real giants."""
    coeff = np.loadtxt(find("apogee/generator/cannon_bovy/trained_apokasc_gc_ind_feh_fix.txt"))
    nearest, gaps = _lattice(find)
    data = np.load(find("apogee/real/annieslasso_671giants_100px.npz"))
    real = np.stack([data[k] for k in ("teff", "logg", "m_h")], 1).astype(float)
    # Alpha enhancement falls with metallicity, as in the Galaxy's discs.
    alpha = np.clip(0.05 - 0.2 * real[:, 2], 0.0, 0.28)
    real = np.column_stack([real, alpha])
    low, high = np.array([4000.0, 0.8, -0.9, -0.02]), np.array([5200.0, 3.8, 0.35, 0.28])
    inside = ((real > low) & (real < high)).all(1)
    arrays = {
        "vectors": coeff[:, nearest], "pivot": np.array([4500.0, 2.0, -0.3, 0.05]),
        "labels": real[inside], "low": low, "high": high,
        "jitter": np.array([60.0, 0.1, 0.05, 0.04]),
    }  # fmt: skip
    return arrays, _h_band(
        "quadratic", "The Cannon on APOKASC giants (Ness et al. 2015; J. Bovy)", gaps=gaps,
        labels=["teff", "logg", "feh", "alpha"], weight=0.3, vsini=(3.0, 0.3),
        normalised=True,
    )  # fmt: skip


def _btsettl(find: Find, _: dict) -> tuple[dict, dict]:
    data = np.load(find("apogee/generator/btsettl_apogee_R22500.npz"))
    flux = resample(
        data["wave_A"].astype(float), data["flux"].astype(float), _START, _H_STEP, _POINTS
    )
    arrays = {**table(flux), "labels": data["labels"].astype(float)}
    return arrays, _h_band(
        "table", "BT-Settl (Allard et al. 2012)", labels=["teff", "logg", "feh", "alpha"],
        weight=0.1, vsini=(8.0, 0.4),
    )  # fmt: skip


def _grid(find: Find, _: dict) -> tuple[dict, dict]:
    with fits.open(find("apogee/generator/apg_rvsynthgrid.fits"), memmap=False) as hdus:
        flux = hdus[1].data.astype(float)
        labels = [hdus[k].data.astype(float).ravel() for k in (3, 4, 2)]
    flux = flux if flux.shape[0] == 96 else flux.T
    wavelength = vacuum(10.0 ** (4.17871759122 + 4.78054467131e-6 * np.arange(flux.shape[1])))
    flux = resample(wavelength, flux, _START, _H_STEP, _POINTS)
    arrays = {**table(flux), "labels": np.stack(labels, 1)}
    return arrays, _h_band(
        "table", "APOGEE's grid for radial velocities", labels=["teff", "logg", "feh"],
        weight=0.05, vsini=(30.0, 0.4),
        normalised=True,
    )  # fmt: skip


FAMILIES: dict[str, Callable[[Find, dict], tuple[dict, dict]]] = {
    "hermes-lte": _lte,
    "hermes-munari": _munari,
    "h-payne-dwarfs": lambda find, _: _network(find, normalized=True),
    "h-payne": lambda find, _: _network(find, normalized=False),
    "h-cannon": _cannon,
    "h-btsettl": _btsettl,
    "h-grid": _grid,
}
"""Name of each family and the function that builds it."""
