"""Coefficients of redrock's quasar bases that fit SDSS's models of training quasars."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize

from spectok.simulate.objects._registry import find_template
from spectok.simulate.objects._sources._optical import QUASARS, physical
from spectok.simulate.objects._sources._resampling import read_basis

RANGES = {"quasar-low": (0.05, 1.7), "quasar-high": (1.5, 5.0)}


def fit(wavelength, vectors, spectrum):
    """Coefficients of a rest-frame basis for one model spectrum, or None.

    Least squares on the observed range under the constraint of positive flux all
    over the basis: outside that range plain least squares extrapolates wildly.
    """
    rest = spectrum["wavelength"] / (1 + spectrum["z"])
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
    found = minimize(
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
    coeff = unit * found
    rms = np.std(design @ coeff - model) / np.std(model)
    return coeff / np.median(coarse @ coeff) if rms < 0.7 else None


def quasars(data, spectra):
    """Coefficients of both bases, (M, K) each; prints how many spectra were fitted."""
    out = {}
    for name, (low, high) in RANGES.items():
        file, first = QUASARS[name]
        wavelength, vectors, _ = read_basis(
            find_template(f"templates/redrock/{file}", folder=data)
        )
        inside = wavelength > first
        wavelength, vectors = wavelength[inside], vectors[:, inside]
        found = [
            fit(wavelength, vectors, s)
            for s in spectra
            if s["class"] == "QSO" and low < (s["z"] or 0) < high
        ]
        kept = [c for c in found if c is not None and physical(c @ vectors)]
        print(f"{name}: {len(kept)} of {len(found)} quasars fitted")
        out[f"{name}.coeff"] = np.array(kept, np.float32)
    return out
