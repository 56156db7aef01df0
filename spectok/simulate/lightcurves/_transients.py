"""Supernova-like transients: one blackbody that expands and cools, seen from its redshift."""

from __future__ import annotations

import numpy as np

__all__ = ["TRANSIENTS", "transient"]

ZERO_POINT = 27.5
_HC_OVER_K = 1.4388e8  # Angstrom kelvin
_NORMAL = 4400.0  # rest wavelength at which absolute magnitudes are given [Angstrom]
_REDSHIFTS = np.linspace(0.0, 2.0, 400)
# Distance modulus of flat space with Omega_m = 0.3 and H0 = 70 km/s/Mpc.
_COMOVING = np.concatenate(
    [
        [0.0],
        np.cumsum(
            np.diff(_REDSHIFTS)
            * 4282.7
            / np.sqrt(0.3 * (1 + 0.5 * (_REDSHIFTS[1:] + _REDSHIFTS[:-1])) ** 3 + 0.7)
        ),
    ]
)
_MODULUS = 5 * np.log10(np.maximum(_COMOVING * (1 + _REDSHIFTS), 1e-3)) + 25

# Mean and scatter of: absolute magnitude at peak; ln of the days of rise and of fall; ln of the
# days of a plateau, or None; ln of the temperature at peak and at the end, and of the days of
# cooling; how much the ultraviolet is blanketed [magnitudes per 1000 Angstrom below 4000]; the
# height of a second maximum in the red.
TRANSIENTS: dict[str, dict[str, tuple[float, float] | None]] = {
    "Ia": {
        "peak": (-19.2, 0.35), "rise": (1.15, 0.15), "fall": (2.95, 0.15), "plateau": None,
        "hot": (9.45, 0.08), "cool": (8.6, 0.06), "cooling": (2.75, 0.12), "blanket": (1.5, 0.3),
        "bump": (0.30, 0.08),
    },
    "Ibc": {
        "peak": (-17.7, 0.9), "rise": (1.25, 0.3), "fall": (2.75, 0.35), "plateau": None,
        "hot": (9.05, 0.12), "cool": (8.45, 0.08), "cooling": (2.5, 0.3), "blanket": (1.3, 0.5),
        "bump": (0.05, 0.05),
    },
    "IIP": {
        "peak": (-17.0, 1.0), "rise": (0.6, 0.4), "fall": (4.6, 0.4), "plateau": (4.45, 0.2),
        "hot": (9.4, 0.15), "cool": (8.6, 0.06), "cooling": (3.1, 0.3), "blanket": (0.6, 0.4),
        "bump": (0.0, 0.0),
    },
    "IIL": {
        "peak": (-17.8, 0.9), "rise": (1.0, 0.4), "fall": (3.7, 0.4), "plateau": None,
        "hot": (9.35, 0.15), "cool": (8.7, 0.1), "cooling": (3.2, 0.4), "blanket": (0.4, 0.3),
        "bump": (0.0, 0.0),
    },
    "IIn": {
        "peak": (-18.8, 0.9), "rise": (1.8, 0.5), "fall": (4.2, 0.4), "plateau": None,
        "hot": (9.35, 0.15), "cool": (8.85, 0.12), "cooling": (3.9, 0.4), "blanket": (0.3, 0.3),
        "bump": (0.0, 0.0),
    },
    "other": {
        "peak": (-18.5, 1.5), "rise": (1.3, 0.8), "fall": (3.2, 0.9), "plateau": None,
        "hot": (9.4, 0.35), "cool": (8.8, 0.3), "cooling": (3.1, 0.7), "blanket": (0.6, 0.6),
        "bump": (0.1, 0.1),
    },
}  # fmt: skip


def transient(
    rng: np.random.Generator,
    kind: str,
    n: int,
    time: np.ndarray,
    band: np.ndarray,
    redshift: np.ndarray,
) -> np.ndarray:
    """Noise-free fluxes of transients of one kind, zero point 27.5.

    Parameters
    ----------
    rng : `numpy.random.Generator`
    kind : str
        Of `TRANSIENTS`.
    n : int
        Objects.
    time : `numpy.ndarray`, shape (n, L)
        Days since each object's maximum.
    band : `numpy.ndarray`, shape (n, L)
        Effective wavelengths, Angstrom.
    redshift : `numpy.ndarray`, shape (n,)

    Returns
    -------
    flux : `numpy.ndarray`, shape (n, L)
    """
    drawn = {
        name: np.full((n, 1), np.nan) if of is None else rng.normal(*of, (n, 1))
        for name, of in TRANSIENTS[kind].items()
    }
    stretch = 1 + redshift[:, None]
    age, rest = time / stretch, band / stretch
    rise, fall, cooling = (np.exp(drawn[name]) for name in ("rise", "fall", "cooling"))
    # A logistic rise into an exponential fall (Bazin et al. 2009), scaled to 1 at its maximum.
    fall = np.maximum(fall, 1.2 * rise)
    top = rise * np.log(fall / rise - 1)
    shifted = age + top  # the maximum is at age 0
    with np.errstate(over="ignore"):
        profile = np.exp(-shifted / fall) / (1 + np.exp(-shifted / rise))
    profile /= np.exp(-top / fall) / (1 + np.exp(-top / rise))
    if TRANSIENTS[kind]["plateau"] is not None:
        end = (age - np.exp(drawn["plateau"])) / 4.0
        tail = 0.08 * np.exp(-np.maximum(age, 0) / 110.0)
        profile = np.where(age < 0, profile, profile * (1 - tail) / (1 + np.exp(end)) + tail)
    hot, cool = np.exp(drawn["hot"]), np.exp(drawn["cool"])
    cool = np.minimum(cool, hot)
    temperature = cool + (hot - cool) * np.exp(-np.clip(age + 8.0, 0, None) / cooling)
    colour = _planck(rest, temperature) / _planck(_NORMAL, temperature)
    blanket = np.maximum(drawn["blanket"], 0) * np.clip(4000.0 - rest, 0, None) / 1000.0
    dust = np.abs(rng.normal(0, 0.1, (n, 1))) * 3.1 * (5500.0 / rest - 0.2)
    bump = 1 + np.maximum(drawn["bump"], 0) * np.clip((rest - 5500.0) / 2000.0, 0, 1.5) * np.exp(
        -0.5 * ((age - 26.0) / 8.0) ** 2
    ) / np.clip(profile, 0.05, None)
    magnitude = drawn["peak"] + np.interp(redshift, _REDSHIFTS, _MODULUS)[:, None] + blanket + dust
    return 10 ** (-0.4 * (magnitude - ZERO_POINT)) * profile * colour * bump


def _planck(wavelength: np.ndarray | float, temperature: np.ndarray) -> np.ndarray:
    """Blackbody per frequency, on no particular scale."""
    x = np.minimum(_HC_OVER_K / (wavelength * temperature), 60.0)
    return (wavelength / 5000.0) ** -3.0 / np.expm1(x)
