"""Analytic templates, made of formulas without any file, for demos and tests."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch

from spectok.simulate._fine_grid import FINE
from spectok.simulate.objects._templates import Templates

__all__ = ["analytic_templates"]

_LIGHT = 299792.458  # km/s
# Rest vacuum wavelengths [Angstrom] and depths relative to the first of each list.
_BALMER = ((6564.6, 1.0), (4862.7, 0.9), (4341.7, 0.8), (4102.9, 0.7), (3971.2, 0.6))
_METALS = ((3934.8, 1.0), (3969.6, 0.8), (5176.6, 0.4), (5891.6, 0.35), (5897.6, 0.3),
           (8500.4, 0.3), (8544.4, 0.5), (8664.5, 0.4))  # fmt: skip
_BROAD = ((1215.7, 1.0), (1549.5, 0.5), (1908.7, 0.3), (2799.9, 0.3), (4862.7, 0.25),
          (6564.6, 0.6))  # fmt: skip


@cache
def analytic_templates() -> Templates:
    """Black bodies with lines as stars, with a break as galaxies, power laws as quasars.

    Good for demonstrations and tests; nothing about real objects can be learnt from them.

    Returns
    -------
    templates : `~spectok.simulate.objects._templates.Templates`
    """
    rng = np.random.default_rng(2510)
    teff = rng.uniform(4000.0, 7500.0, 48)
    feh = np.clip(rng.normal(-0.3, 0.3, 48), -2.0, 0.5)
    labels = np.stack([teff, feh], 1)
    arrays, about = {}, {}

    def add(
        name: str, flux: list[np.ndarray], segments: list, step: float, **rest: object
    ) -> None:
        rows = np.array(flux)
        arrays[f"{name}.flux"] = torch.as_tensor(rows, dtype=torch.float32)
        arrays[f"{name}.first"] = torch.zeros(len(rows), dtype=torch.int64)
        arrays[f"{name}.last"] = torch.full((len(rows),), rows.shape[1], dtype=torch.int64)
        about[name] = {
            "form": "table", "segments": segments, "step": step, "weight": 1.0, "blur": 0.0,
            "source": "formulas", **rest,
        }  # fmt: skip

    for fine, step in (("optical", 2.5e-5), ("hermes", 4e-6), ("h", 6e-6)):
        segments = [(a - 0.002, n + int(0.004 / step)) for a, n in FINE[fine].segments]
        wavelength = _points(segments, step)
        width = 60.0 if fine == "optical" else 6.0
        forest = _weak_lines(wavelength, width)
        flux = [_star(wavelength, t, m, forest) for t, m in labels]
        name = f"analytic-{fine}-stars"
        add(name, flux, segments, step, kind="star", fine=fine, labels=["teff", "feh"])
        arrays[f"{name}.labels"] = torch.as_tensor(labels, dtype=torch.float32)
    segments = [(2.95, 43000)]
    wavelength = _points(segments, 2.5e-5)
    galaxies = [_galaxy(wavelength, t) for t in rng.uniform(4500.0, 9000.0, 24)]
    common: dict[str, Any] = {"segments": segments, "step": 2.5e-5, "fine": "optical"}
    add("analytic-galaxies", galaxies, kind="galaxy", redshift=(0.02, 0.6), bare=True, **common)
    quasars = [
        _quasar(wavelength, slope, 10**strength)
        for slope, strength in zip(
            rng.normal(-1.5, 0.3, 24), rng.uniform(-0.6, 0.3, 24), strict=True
        )
    ]
    add("analytic-quasars", quasars, kind="quasar", redshift=(0.3, 4.0), **common)
    return Templates(arrays, about)


def _points(segments: list[tuple[float, int]], step: float) -> np.ndarray:
    return np.concatenate([10 ** (a + step * np.arange(n)) for a, n in segments])


def _star(wavelength: np.ndarray, teff: float, feh: float, forest: np.ndarray) -> np.ndarray:
    """Black body with Balmer lines that grow with temperature and metal lines that fade."""
    metals, hot = 10**feh, np.clip((teff - 3500.0) / 4000.0, 0.05, 1.5)
    depth = _lines(wavelength, _BALMER, 0.6 * hot, 250.0)
    depth += _lines(wavelength, _METALS, 0.7 * metals**0.3, 150.0)
    depth += forest * (metals / hot) ** 0.5
    flux = _planck(wavelength, teff) * np.exp(-depth)
    return flux / np.median(flux)


def _galaxy(wavelength: np.ndarray, teff: float) -> np.ndarray:
    """A star's spectrum with a break at 4000 Angstrom, fading into the ultraviolet."""
    flux = _planck(wavelength, teff)
    flux *= np.exp(-_lines(wavelength, _METALS, 0.5, 150.0))
    flux *= 1 - 0.35 / (1 + np.exp((wavelength - 4000.0) / 25.0))
    return flux / np.median(flux[wavelength > 3500])


def _quasar(wavelength: np.ndarray, slope: float, strength: float) -> np.ndarray:
    """A power law with broad lines, and little light beyond the Lyman limit."""
    flux = (wavelength / 3000.0) ** slope * (
        1 + strength * _lines(wavelength, _BROAD, 1.0, 3000.0)
    )
    return flux * np.where(wavelength < 912.0, 0.2, 1.0)


def _planck(wavelength: np.ndarray, teff: float) -> np.ndarray:
    """Planck's law in f_lambda, without its constant."""
    return (wavelength / 5000.0) ** -5.0 / np.expm1(1.43877688e8 / (wavelength * teff))


def _lines(
    wavelength: np.ndarray, lines: tuple[tuple[float, float], ...], strength: float, width: float
) -> np.ndarray:
    """Sum of Gaussians of a given height and standard deviation [km/s]."""
    out = np.zeros_like(wavelength)
    for centre, relative in lines:
        sigma = centre * width / _LIGHT
        out += strength * relative * np.exp(-0.5 * ((wavelength - centre) / sigma) ** 2)
    return out


def _weak_lines(wavelength: np.ndarray, width: float) -> np.ndarray:
    """A fixed forest of weak metal lines, 1 per 3 Angstrom, the same in every star."""
    rng = np.random.default_rng(2510)
    centre = np.sort(rng.uniform(3500.0, 17500.0, 4700))
    depth = 0.25 * rng.exponential(1.0, centre.size)
    # Broader than the line by itself: its area stays.
    depth *= 6.0 / width
    out = np.zeros_like(wavelength)
    for one, height in zip(centre, depth, strict=True):
        sigma = one * width / _LIGHT
        first, last = np.searchsorted(wavelength, [one - 5 * sigma, one + 5 * sigma])
        near = wavelength[first:last]
        out[first:last] += height * np.exp(-0.5 * ((near - one) / sigma) ** 2)
    return out
