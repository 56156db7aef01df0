"""What a tokenizer's reconstruction is compared with: guesses of pixels that are hidden."""

from __future__ import annotations

import numpy as np

from spectok._batch import PatchLayout
from spectok.training import RealSpectra, open_pack

FEWEST_PATCHES = 1000  # of a survey; with fewer, the patches of all surveys serve it
Components = tuple[np.ndarray, np.ndarray, np.ndarray]


def by_line(wavelength, flux, seen):
    """Linear interpolation between the nearest visible pixels."""
    order = np.argsort(wavelength, kind="stable")
    known = order[seen[order]]
    return np.interp(wavelength, wavelength[known], flux[known])


def by_median(wavelength, flux, seen, hidden, width=31):
    """Running median of the visible pixels within ``width`` pixels."""
    filled = np.where(seen, flux, np.nan)
    padded = np.pad(filled, width // 2, constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, width)
    out = by_line(wavelength, flux, seen)
    usable = np.isfinite(windows).any(1) & hidden
    out[usable] = np.nanmedian(windows[usable], axis=1)
    return out


def patches(wavelength, flux, sigma, seen, patch_size):
    """Flux and inverse variance in patches, over the spectrum's scale; layout and scale."""
    layout = PatchLayout.of(wavelength, patch_size)
    # As in the model: of the visible pixels, never of the hidden ones.
    scale = max(np.median(flux[seen]), np.median(sigma[seen]))
    weight = np.where(seen, (scale / np.where(seen, sigma, 1.0)) ** 2, 0.0)
    shape = (-1, patch_size)
    weight = np.where(layout.present, layout.gather(weight), 0.0).reshape(shape)
    return layout.gather(flux / scale).reshape(shape), weight, layout, scale


def principal_components(flux: np.ndarray, weight: np.ndarray, number: int) -> Components:
    """Mean, components and their variances of complete patches, (N, P).

    A patch weighs as the inverse of its mean variance, so that faint spectra add no noise; what
    noise is left is taken from the diagonal of the covariance.
    """
    variance = 1.0 / weight
    share = 1.0 / variance.mean(1)
    share /= share.sum()
    mean = share @ flux
    away = flux - mean
    covariance = (away * share[:, None]).T @ away - np.diag(share @ variance)
    power, component = np.linalg.eigh(covariance)
    largest = slice(-1, -number - 1, -1)
    # The smallest may be negative where the noise is all there is.
    return mean, component[:, largest], np.maximum(power[largest], 1e-8)


def fit_components(path: str, number: int, patch_size: int) -> dict[str, Components]:
    """`principal_components` of the training spectra of each survey in a pack.

    Complete patches only. A survey with fewer than `FEWEST_PATCHES` of them gets the components
    of all surveys together, under "pooled", and so does one that is not there.
    """
    source = RealSpectra(open_pack(path))
    found: dict[str, list] = {}
    for survey, rows in source.rows.items():
        for row in rows.tolist():
            flux, weight, *_ = patches(*source.spectrum(row), patch_size)
            complete = (weight > 0).all(1)
            found.setdefault(survey, []).append((flux[complete], weight[complete]))
    join = lambda parts: [np.concatenate(a) for a in zip(*parts, strict=True)]  # noqa: E731
    enough = {s: join(p) for s, p in found.items() if sum(len(f) for f, _ in p) >= FEWEST_PATCHES}
    enough["pooled"] = join([part for parts in found.values() for part in parts])
    return {s: principal_components(*arrays, number) for s, arrays in enough.items()}


def by_components(components: Components, wavelength, flux, sigma, seen):
    """The most probable patches, given their visible pixels and the components' variances."""
    mean, component, power = components
    flux, weight, layout, scale = patches(wavelength, flux, sigma, seen, len(mean))
    normal = np.einsum("np,pc,pd->ncd", weight, component, component, optimize=True)
    right = ((flux - mean) * weight) @ component
    code = np.linalg.solve(normal + np.diag(1.0 / power), right[..., None])[..., 0]
    return scale * layout.scatter((mean + code @ component.T).ravel())
