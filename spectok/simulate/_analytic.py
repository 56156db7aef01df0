"""Analytic spectra: continua and lines without template files, for demos and tests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["RESOLUTION", "Scene", "draw_scene", "flux_of", "noise_of", "survey_grid"]

RESOLUTION = {"sdss": 2000.0, "desi": 3500.0, "galah": 28000.0, "apogee": 22500.0}
_LIGHT = 299792.458  # km/s

# Rest vacuum wavelengths [Angstrom] and strengths relative to the first line of each list.
_BALMER = ((6564.6, 1.0), (4862.7, 0.9), (4341.7, 0.8), (4102.9, 0.7), (3971.2, 0.6))
_METALS = ((3934.8, 1.0), (3969.6, 0.8), (5176.6, 0.4), (5891.6, 0.35), (5897.6, 0.3),
           (8500.4, 0.3), (8544.4, 0.5), (8664.5, 0.4))  # fmt: skip
_NEBULAR = ((6564.6, 1.0), (4862.7, 0.35), (4341.7, 0.16), (5008.2, 0.7), (4960.3, 0.23),
            (3728.5, 0.9), (6585.3, 0.35), (6718.3, 0.2), (6732.7, 0.15))  # fmt: skip
_BROAD = ((1215.7, 1.0), (1549.5, 0.5), (1908.7, 0.3), (2799.9, 0.3), (4862.7, 0.25),
          (6564.6, 0.6))  # fmt: skip


@dataclass(frozen=True)
class Scene:
    """One object and how it is observed.

    Attributes
    ----------
    kind : str
        ``"star"``, ``"galaxy"`` or ``"quasar"``.
    redshift : float
    temperature : float
        Of a star, or of a galaxy's stars [K].
    metallicity : float
        [Fe/H] of a star [dex]: scales its metal lines.
    lines : float
        Strength of the emission lines.
    width : float
        Gaussian sigma of the lines before the instrument [km/s].
    snr : float
        Median signal to noise per pixel.
    """

    kind: str
    redshift: float
    temperature: float
    metallicity: float
    lines: float
    width: float
    snr: float


def survey_grid(survey: str) -> np.ndarray:
    """Native wavelengths of a survey, vacuum Angstrom, ascending."""
    if survey == "sdss":
        return 10 ** (3.5797 + 1e-4 * np.arange(3840))
    if survey == "desi":
        return 3600.0 + 0.8 * np.arange(7781)
    if survey == "galah":
        arms = ((4714.3, 0.0460), (5650.2, 0.0547), (6479.5, 0.0631), (7587.6, 0.0737))
        return np.concatenate([start + step * np.arange(4096) for start, step in arms])
    if survey == "apogee":
        grid = 10 ** (4.179 + 6e-6 * np.arange(8575))
        chips = ((15145.0, 15810.0), (15860.0, 16430.0), (16480.0, 16950.0))
        return grid[np.any([(grid > low) & (grid < high) for low, high in chips], axis=0)]
    raise ValueError(f"no survey {survey!r}; choose one of {', '.join(RESOLUTION)}")


def draw_scene(
    rng: np.random.Generator, survey: str, kind: str | None, snr: float | None
) -> Scene:
    """Draw an object: any kind for SDSS and DESI, stars for GALAH and APOGEE."""
    stars_only = survey in ("galah", "apogee")
    if kind is None:
        kind = "star" if stars_only else str(rng.choice(["star", "galaxy", "quasar"]))
    if stars_only and kind != "star":
        raise ValueError(f"{survey} observes stars only, not a {kind}")
    if kind not in ("star", "galaxy", "quasar"):
        raise ValueError(f"kind must be star, galaxy or quasar, not {kind!r}")
    redshift = {
        "star": rng.normal(0.0, 40.0) / _LIGHT,
        "galaxy": rng.uniform(0.02, 0.5),
        "quasar": rng.uniform(0.3, 3.0),
    }[kind]
    return Scene(
        kind,
        float(redshift),
        float(rng.uniform(4000.0, 7000.0) if kind == "star" else rng.uniform(4500.0, 9000.0)),
        float(rng.normal(-0.3, 0.3)),
        float(10 ** rng.uniform(-0.3, 0.7)),
        float(rng.uniform(3.0, 10.0) if stars_only else rng.uniform(60.0, 200.0)),
        float(10 ** rng.uniform(0.8, 1.8)) if snr is None else float(snr),
    )


def flux_of(scene: Scene, wavelength: np.ndarray, resolution: float) -> np.ndarray:
    """Noise-free flux density at an instrument's resolution, median 1; shape (L,)."""
    rest = wavelength / (1 + scene.redshift)
    if scene.kind == "quasar":
        flux = (rest / 3000.0) ** -1.5
        flux *= 1 + _lines(rest, _BROAD, 0.3 * scene.lines, 3000.0, resolution)
    else:
        # Planck's law in f_lambda, without its constant.
        flux = rest**-5.0 / np.expm1(1.43877688e8 / (rest * scene.temperature))
        metals = 10**scene.metallicity
        hot = np.clip((scene.temperature - 3500.0) / 4000.0, 0.05, 1.5)
        balmer = 0.6 * hot * (1.0 if scene.kind == "star" else 0.3)
        depth = _lines(rest, _BALMER, balmer, 250.0, resolution)
        depth += _lines(rest, _METALS, 0.7 * metals**0.3, 150.0, resolution)
        depth += _weak_lines(rest, metals / hot, scene.width, resolution)
        flux *= np.exp(-depth)
        if scene.kind == "galaxy":
            flux *= 1 - 0.35 / (1 + np.exp((rest - 4000.0) / 25.0))  # the 4000 A break
            flux *= 1 + _lines(rest, _NEBULAR, scene.lines, scene.width, resolution)
    return flux / np.median(flux)


def _lines(
    rest: np.ndarray,
    lines: tuple[tuple[float, float], ...],
    strength: float,
    width: float,
    resolution: float,
) -> np.ndarray:
    """Sum of Gaussians of unit height times strength, as the instrument sees them."""
    out = np.zeros_like(rest)
    instrument = _LIGHT / resolution / 2.3548
    seen = np.hypot(width, instrument)
    for centre, relative in lines:
        sigma = centre * seen / _LIGHT
        # The instrument spreads a line; its area stays.
        out += strength * relative * (width / seen) * np.exp(-0.5 * ((rest - centre) / sigma) ** 2)
    return out


def _weak_lines(rest: np.ndarray, strength: float, width: float, resolution: float) -> np.ndarray:
    """A fixed forest of weak metal lines, 1 per 3 Angstrom, the same in every star."""
    rng = np.random.default_rng(2510)
    centre = np.sort(rng.uniform(3500.0, 17500.0, 4700))
    depth = 0.25 * rng.exponential(1.0, centre.size) * strength**0.5
    width = min(width, 12.0)
    instrument = _LIGHT / resolution / 2.3548
    seen = np.hypot(width, instrument)
    out = np.zeros_like(rest)
    for one, height in zip(centre, depth, strict=True):
        sigma = one * seen / _LIGHT
        first, last = np.searchsorted(rest, [one - 5 * sigma, one + 5 * sigma])
        near = rest[first:last]
        out[first:last] += height * (width / seen) * np.exp(-0.5 * ((near - one) / sigma) ** 2)
    return out


def noise_of(wavelength: np.ndarray, flux: np.ndarray, snr: float) -> np.ndarray:
    """Standard deviation per pixel: sky with its lines, read-out, and the source itself."""
    rng = np.random.default_rng(1959)
    sky = 0.4 + 1.5 * np.exp(-(wavelength - 3600.0) / 250.0)
    for line in (5578.9, 5891.6, 6302.1, *rng.uniform(7200.0, 17000.0, 260)):
        sky += 6.0 * np.exp(-0.5 * ((wavelength - line) / (line / 5000.0)) ** 2)
    faint = 1.0 / (1.0 + snr / 20.0)
    variance = faint * sky + (1.0 - faint) * np.maximum(flux, 0.0) + 0.02
    return np.sqrt(variance / np.median(variance)) / snr
