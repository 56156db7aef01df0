"""Noise models of the surveys: variance = a * sky + b * source * max(flux, 0).

Estimated from training spectra only.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import median_filter, percentile_filter, uniform_filter1d


def separate(variance, flux, *, smooth, segments, rounds=12):
    """Split variances (n, L; NaN where bad) into sky and source shapes.

    Alternating robust fits of v_ij = a_i sky_j + b_i source_j flux_ij, relative
    to the variance itself; the source term is smoothed within each segment,
    because throughput is smooth while sky lines are not.
    """
    n, length = variance.shape
    good = np.isfinite(variance) & np.isfinite(flux) & (variance > 0)
    v = np.where(good, variance, 1.0)
    f = np.where(good, np.maximum(flux, 0), 0.0)
    level = v / np.median(v[good])
    sky = np.array(
        [np.median(level[good[:, j], j]) if good[:, j].any() else 1.0 for j in range(length)]
    )
    source = np.ones(length)
    a = np.array([np.median(v[i][good[i]]) for i in range(n)]) / np.median(sky)
    b = 0.1 * a
    weight = good / v**2
    for _ in range(rounds):
        a, b = _two(sky[None] * np.ones((n, 1)), source * f, v, weight, axis=1)
        pred = a[:, None] * sky + b[:, None] * source * f
        weight = _robust(v, pred, good)
        sky_new, source_new = _two(
            a[:, None] * np.ones((1, length)), b[:, None] * f, v, weight, axis=0
        )
        seen = good.sum(axis=0) >= max(2, min(5, n // 3))
        sky = np.where(seen & (sky_new > 0), sky_new, sky)
        source = _smooth(np.where(seen & (source_new > 0), source_new, np.nan), smooth, segments)
        source, sky = source / np.median(source), sky / np.median(sky)
        pred = a[:, None] * sky + b[:, None] * source * f
        weight = _robust(v, pred, good)
    return sky, source


def _two(x, y, v, weight, axis):
    """Weighted non-negative fit of v = p x + q y along an axis: p, q."""
    xx, yy, xy = (np.sum(weight * p, axis=axis) for p in (x * x, y * y, x * y))
    xv, yv = np.sum(weight * x * v, axis=axis), np.sum(weight * y * v, axis=axis)
    det = np.maximum(xx * yy - xy**2, 1e-12 * np.maximum(xx * yy, 1e-300))
    p, q = (yy * xv - xy * yv) / det, (xx * yv - xy * xv) / det
    only_x, only_y = xv / np.maximum(xx, 1e-300), yv / np.maximum(yy, 1e-300)
    p, q = np.where(q < 0, only_x, p), np.where(q < 0, 0, q)
    return np.where(p < 0, 0, p), np.where(p < 0, only_y, q)


def _robust(v, pred, good):
    """Weights of relative residuals, Cauchy with a scale of 10 %."""
    pred = np.maximum(pred, 1e-3 * np.median(v))
    return good / pred**2 / (1 + ((v - pred) / (0.1 * pred)) ** 2)


def _smooth(values, width, segments):
    """Running median, then mean, within each segment; gaps are bridged."""
    out = np.empty_like(values)
    for start, stop in segments:
        part = values[start:stop]
        ok = np.isfinite(part)
        if not ok.any():
            out[start:stop] = 1.0
            continue
        part = np.interp(np.arange(len(part)), np.flatnonzero(ok), part[ok])
        part = median_filter(part, width, mode="nearest")
        out[start:stop] = uniform_filter1d(part, width, mode="nearest")
    return out


def stacked(spectra, arms, *, smooth):
    """From few spectra on one common grid of several arms.

    The sky term is the median of the faint spectra's variances, each over its
    own median. The source term is variance over flux of the brightest spectrum,
    where photons of the object are nearly all of the noise: its lower envelope,
    which leaves the sky lines out.
    """
    faint = [s for s in spectra if s["record"]["snr"] < 3]
    variance = np.array(
        [np.where(s["valid"], s["sigma"].astype(float) ** 2, np.nan) for s in faint]
    )
    sky = np.nanmedian(variance / np.nanmedian(variance, axis=1, keepdims=True), axis=0)
    seen = np.isfinite(sky)
    sky = np.interp(np.arange(len(sky)), np.flatnonzero(seen), sky[seen])
    bright = max(spectra, key=lambda s: s["record"]["snr"])
    source = np.empty_like(sky)
    for start, stop in arms:
        ok = bright["valid"][start:stop]
        f = median_filter(bright["flux"][start:stop].astype(float), 25, mode="nearest")
        ratio = np.where(
            ok & (f > 0),
            bright["sigma"][start:stop].astype(float) ** 2 / np.maximum(f, 1e-9),
            np.nan,
        )
        source[start:stop] = envelope(ratio, smooth)
    return spectra[0]["wavelength"], sky, source


def envelope(ratio, width):
    """Smooth lower envelope (20th percentile), gaps bridged."""
    ok = np.isfinite(ratio)
    filled = np.interp(np.arange(len(ratio)), np.flatnonzero(ok), ratio[ok])
    low = percentile_filter(filled, 20, size=width, mode="nearest")
    return uniform_filter1d(low, width, mode="nearest")


def known_sky(spectrum, sky_flux, arms, *, smooth, gain=None):
    """From one bright spectrum that comes with the sky that was subtracted.

    Photons of sky and object make the same noise: v = gain (flux + sky) + c.
    The gain is measured as the lower envelope of v / (flux + sky) unless given
    (GALAH's counts are electrons: v / flux is 1.00 for its brightest star). The
    constant is what is left over where the gain is given, else, as it cannot be
    told from the gain, as large as the median sky.
    """
    length = len(spectrum["wavelength"])
    sky, source = np.empty(length), np.empty(length)
    for start, stop in arms:
        v = spectrum["sigma"][start:stop].astype(float) ** 2
        f = np.maximum(spectrum["flux"][start:stop].astype(float), 0)
        # Ends of detectors carry errors beyond the flux: no throughput there.
        ok = spectrum["valid"][start:stop] & (v < f**2)
        s = np.maximum(np.nan_to_num(sky_flux[start:stop]), 0)
        if gain is None:
            q = envelope(np.where(ok & (f > 0), v / np.maximum(f + s, 1e-9), np.nan), smooth)
            q = np.minimum(q, 10 * np.median(q))  # the last pixels of a detector
            constant = np.median((q * s)[ok])
        else:
            q = np.full(stop - start, gain)
            constant = max(np.median((v - q * (f + s))[ok]), 0.01 * np.median(v[ok]))
        s = np.minimum(s, np.percentile(s[ok], 99.9))
        sky[start:stop], source[start:stop] = q * s + constant, q
    return spectrum["wavelength"], sky, source
