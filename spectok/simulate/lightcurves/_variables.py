"""Stars and nuclei that vary: periodic, red noise, flares, and constant ones (numpy only)."""

from __future__ import annotations

import numpy as np

__all__ = ["constant", "flaring", "periodic", "red_noise"]

ZERO_POINT = 27.5


def _level(rng: np.random.Generator, n: int, band: np.ndarray, faintest: np.ndarray) -> np.ndarray:
    """Mean flux (n, L): 5 to 300 times the usual error, with a colour."""
    level = faintest[:, None] * np.exp(rng.uniform(np.log(5), np.log(300), (n, 1)))
    return level * (band / 6000.0) ** rng.normal(0.5, 1.2, (n, 1))


def constant(
    rng: np.random.Generator, n: int, time: np.ndarray, band: np.ndarray, sigma: np.ndarray
) -> np.ndarray:
    """Objects that do not vary: fluxes (n, L) at times (n, L) [d] through filters (n, L)."""
    return _level(rng, n, band, sigma)


def periodic(
    rng: np.random.Generator, n: int, time: np.ndarray, band: np.ndarray, sigma: np.ndarray
) -> np.ndarray:
    """Pulsating and eclipsing stars: three harmonics, or two dips, of periods 0.2 to 400 d."""
    period = np.exp(rng.uniform(np.log(0.2), np.log(400.0), (n, 1)))
    phase = time / period + rng.random((n, 1))
    colour = (band / 5500.0) ** -rng.uniform(0.0, 1.2, (n, 1))
    wave = np.zeros_like(time)
    amplitude = np.exp(rng.uniform(np.log(0.03), np.log(0.5), (n, 1)))
    for k, share in enumerate((1.0, rng.uniform(0, 0.6, (n, 1)), rng.uniform(0, 0.3, (n, 1)))):
        wave += share * np.sin(2 * np.pi * ((k + 1) * phase + rng.random((n, 1)) * (k > 0)))
    dips = np.zeros_like(time)
    for depth, centre in ((1.0, 0.25), (rng.uniform(0.1, 1, (n, 1)), 0.75)):
        away = (phase - centre + 0.5) % 1 - 0.5
        dips -= depth * np.exp(-0.5 * (away / rng.uniform(0.01, 0.06, (n, 1))) ** 2)
    eclipsing = rng.random((n, 1)) < 0.3
    change = np.where(eclipsing, 1.5 * amplitude * dips, amplitude * colour * wave)
    return _level(rng, n, band, sigma) * np.exp(0.921 * change)


def red_noise(
    rng: np.random.Generator, n: int, time: np.ndarray, band: np.ndarray, sigma: np.ndarray
) -> np.ndarray:
    """Damped random walks of the magnitude, as quasars have (Kelly et al. 2009)."""
    memory = np.exp(rng.normal(4.6, 1.0, n))
    spread = np.exp(rng.normal(np.log(0.15), 0.5, n))
    order = np.argsort(time, axis=1, kind="stable")
    ordered = np.take_along_axis(time, order, 1)
    walk = np.empty_like(ordered)
    step = rng.normal(size=ordered.shape)
    walk[:, 0] = step[:, 0]
    for k in range(1, ordered.shape[1]):
        kept = np.exp(-(ordered[:, k] - ordered[:, k - 1]) / memory)
        walk[:, k] = kept * walk[:, k - 1] + np.sqrt(1 - kept**2) * step[:, k]
    change = np.empty_like(walk)
    np.put_along_axis(change, order, walk, 1)
    colour = (band / 5500.0) ** -rng.uniform(0.0, 0.8, (n, 1))
    return _level(rng, n, band, sigma) * np.exp(0.921 * spread[:, None] * colour * change)


def flaring(
    rng: np.random.Generator, n: int, time: np.ndarray, band: np.ndarray, sigma: np.ndarray
) -> np.ndarray:
    """Quiet objects with one to five hot flares: a fast rise and an exponential decay."""
    length = np.ptp(time, axis=1)[:, None]
    flux = np.zeros_like(time)
    for k in range(5):
        start = time.min(1)[:, None] + length * rng.uniform(-0.05, 1, (n, 1))
        decay = length * np.exp(rng.uniform(np.log(0.003), np.log(0.15), (n, 1)))
        since = (time - start) / decay
        height = np.exp(rng.normal(0, 0.7, (n, 1))) * (rng.random((n, 1)) < 1 / (k + 1))
        flux += height * np.where(
            since > 0, np.exp(-np.maximum(since, 0)), np.exp(8 * np.minimum(since, 0))
        )
    hot = (band / 5500.0) ** -rng.uniform(0.5, 2.5, (n, 1))
    level = _level(rng, n, band, sigma)
    return level + level.mean(1, keepdims=True) * np.exp(rng.normal(0, 1, (n, 1))) * hot * flux
