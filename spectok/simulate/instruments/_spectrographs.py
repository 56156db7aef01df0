"""Instruments of four surveys, with the noise measured on their training spectra."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
from safetensors import safe_open

from spectok.simulate._fine_grid import FINE
from spectok.simulate._measured import MEASURED
from spectok.simulate.instruments._instrument import Instrument

__all__ = ["INSTRUMENTS", "instrument"]

INSTRUMENTS = {
    "sdss": "SDSS spectrographs: 3800 to 9200 Angstrom, 1e-4 dex",
    "boss": "BOSS spectrographs: 3600 to 10300 Angstrom, 1e-4 dex",
    "desi": "DESI, three arms coadded: 3600 to 9824 Angstrom, 0.8 Angstrom",
    "desi-arms": "DESI, arms b, r and z one after the other",
    "galah": "HERMES as used by GALAH: four arms of 4096 pixels",
    "apogee": "APOGEE apStar: rest frame, 6e-6 dex, gaps between three detectors",
    "apogee-visit": "APOGEE apVisit: three detectors of 4096 pixels, as observed",
}
"""Names of the instruments and what they are."""

# What the files at hand do not tell, set by hand: errors of the calibration of each arm (level,
# slope, curve) and of smooth waves; the blaze (the same three) that GALAH leaves in; the share of
# the air's optical depth that its correction leaves; the Earth's motion [pixels], where errors
# know what was divided out (GALAH); what the subtraction of sky lines leaves, as a share of the
# sky; cosmic rays per spectrum; the share of dead arms.
_OPTICAL = {
    "arm": (0.02, 0.02, 0.01), "wave": 0.006, "blaze": ((0.0, 0.0, 0.0),), "telluric": 0.04,
    "shift": 0.0, "sky": 0.01, "cosmic": 0.15, "dead": 0.005,
}  # fmt: skip
_TRAITS = {
    # Errors of neighbours go together, as those of the detector's pixels are shared among them.
    "sdss": {**_OPTICAL, "rough_taps": (0.58, 0.67, 0.42, 0.12)},
    "boss": {**_OPTICAL, "rough_taps": (0.7, 0.62, 0.3, 0.1)},
    "desi": _OPTICAL,
    "galah": {
        "arm": (0.4, 0.1, 0.1), "wave": 0.008, "telluric": 0.05, "shift": 9.0, "sky": 0.01,
        "cosmic": 1.0, "dead": 0.02, "scatter": 0.2, "snr": {"all": (1.6, 0.3)},
        # Throughput of the four cameras of one training star, beyond the star's colour.
        "blaze": (
            (-0.6, -0.1, -0.1), (0.0, -0.15, -0.05), (0.2, -0.15, -0.05), (0.3, -0.05, -0.1),
        ),
        "bad": 0.002, "error_scatter": 0.05, "photon_error": 0.66,
    },
    "apogee": {
        "arm": (0.04, 0.03, 0.04), "wave": 0.006, "blaze": ((0.0, 0.0, 0.0),), "telluric": 0.03,
        "shift": 0.0, "sky": 0.01, "cosmic": 1.0, "dead": 0.01, "scatter": 0.2,
        "snr": {"all": (1.9, 0.3)}, "error": 1.0, "photon_error": 1.0,
        "error_scatter": 0.05, "taps": (1.0, 0.3), "rough": 0.001,
    },
}  # fmt: skip
# Two exposures half a pixel apart are interleaved, and one is always the better.
_DITHER = {"apogee-visit": 0.06}
# Bands of oxygen and water in the optical: centre, half width [Angstrom], optical depth.
_BANDS = (
    (6282.0, 12.0, 0.05), (6875.0, 10.0, 0.5), (6895.0, 25.0, 0.15), (7190.0, 30.0, 0.12),
    (7270.0, 40.0, 0.1), (7606.0, 12.0, 1.2), (7635.0, 22.0, 0.6), (8165.0, 25.0, 0.1),
    (8230.0, 40.0, 0.15), (8980.0, 60.0, 0.25), (9150.0, 80.0, 0.15), (9380.0, 90.0, 0.8),
    (9540.0, 90.0, 0.4),
)  # fmt: skip
# What only SDSS's many spectra tell; see `Instrument`.
_DETAIL = ("wrong", "excess", "shared", "lost", "group", "curves")
# Detectors of APOGEE in the rest frame's grid [Angstrom].
_DETECTORS = ((15145.0, 15808.0), (15858.0, 16432.0), (16476.0, 16953.0))


@cache
def instrument(name: str) -> Instrument:
    """One of the surveys' instruments.

    Parameters
    ----------
    name : str
        ``sdss``, ``boss``, ``desi``, ``desi-arms``, ``galah``, ``apogee`` or ``apogee-visit``.

    Returns
    -------
    instrument : `~spectok.simulate.Instrument`
        Its noise is that of real training spectra of the survey: GALAH's rests on one star,
        APOGEE's on two visits.

    Raises
    ------
    ValueError
        For an unknown name.

    Examples
    --------
    >>> from spectok import simulate
    >>> simulate.instrument("desi").wavelength.shape
    (7781,)
    """
    if name not in INSTRUMENTS:
        raise ValueError(f"no instrument {name!r}; choose one of {', '.join(INSTRUMENTS)}")
    survey = name.split("-")[0]
    with safe_open(MEASURED, "np") as file:
        found = {
            key.partition(".")[2]: file.get_tensor(key)
            for key in file.keys()
            if key.startswith(survey + ".")
        }
        measured = json.loads(file.metadata()["traits"])[survey]
    traits = {**measured, **_TRAITS[survey]}
    traits.setdefault("photon_error", traits["error"])
    traits["dither"] = _DITHER.get(name, 0.0)
    traits["at_rest"] = name == "apogee"
    native = wavelength = found.pop("wavelength")
    nights = found.pop("nights", None)
    if nights is not None:
        found["wrong"] = found["wrong"] / traits["error"]
        nodes = nights.shape[1] - 3 - int(found["group"].max())
        found["curves"] = _hats(nodes, len(native))
    if "telluric" not in found:
        found["telluric"] = sum(
            depth * np.exp(-0.5 * ((wavelength - centre) / half * 1.6) ** 2)
            for centre, half, depth in _BANDS
        )
    fine = FINE[{"galah": "hermes", "apogee": "h"}.get(survey, "optical")]
    if name in ("sdss", "boss"):
        low, high = (3800.0, 9200.0) if name == "sdss" else (3600.0, 10300.0)
        wavelength = wavelength[(wavelength > low) & (wavelength < high)]
    elif name == "desi":
        wavelength = 3600.0 + 0.8 * np.arange(7781)
    elif name == "apogee":
        wavelength = 10 ** (4.179 + 6e-6 * np.arange(8575))
    detector = np.ones(len(wavelength), bool)
    if name == "apogee":
        detector = np.any([(wavelength > a) & (wavelength < b) for a, b in _DETECTORS], axis=0)
    arms = _arms(wavelength)
    if name == "apogee":  # one grid, but three detectors
        ends = [0, *np.searchsorted(wavelength, [15833.0, 16454.0]).tolist(), len(wavelength)]
        arms = tuple(zip(ends[:-1], ends[1:], strict=True))
    many = {key: found.pop(key) for key in _DETAIL if key in found}
    if name in ("sdss", "boss"):
        near = np.searchsorted(native, wavelength)
        many = {"nights": nights, **{key: value[..., near] for key, value in many.items()}}
    if name != "desi-arms":
        found = _onto(found, native, wavelength, combine=name == "desi")
    found = {key: value.astype(float) for key, value in found.items()}
    for array in (wavelength, detector, *found.values(), *many.values()):
        array.flags.writeable = False  # all who ask share one instrument
    return Instrument(
        name, {"boss": "sdss"}.get(survey, survey), wavelength, arms, fine, detector=detector,
        traits=traits, detail=many,
        **{k: found[k] for k in ("lsf", "floor", "line", "source", "telluric")},
    )  # fmt: skip


def _hats(n: int, length: int) -> np.ndarray:
    """Curves that are one at each of n nodes and fall to zero at the next, (n, length)."""
    place = np.linspace(0, n - 1, length)
    return np.maximum(1 - np.abs(place - np.arange(n)[:, None]), 0)


def _arms(wavelength: np.ndarray) -> tuple[tuple[int, int], ...]:
    """Stretches of ascending wavelengths without a jump in sampling."""
    step = np.diff(wavelength)
    jumps = np.flatnonzero((step <= 0) | (step > 20 * np.median(np.abs(step)))) + 1
    ends = [0, *jumps.tolist(), len(wavelength)]
    return tuple(zip(ends[:-1], ends[1:], strict=True))


def _onto(
    found: dict[str, np.ndarray], native: np.ndarray, wavelength: np.ndarray, *, combine: bool
) -> dict[str, np.ndarray]:
    """Interpolate what was measured; where arms overlap, ``combine`` them by their weights."""
    parts, inverse = [], []
    for first, last in _arms(native):
        here = native[first:last]
        inside = (wavelength >= here[0] - 0.5) & (wavelength <= here[-1] + 0.5)
        part = {k: np.interp(wavelength, here, v[first:last]) for k, v in found.items()}
        parts.append(part)
        inverse.append(inside / (part["floor"] + part["line"]))
    weights = np.array(inverse)
    # Beyond all arms (APOGEE's gaps) the nearest detector's values stand in.
    lost = weights.sum(0) == 0
    weights[:, lost] = [[1.0 / len(parts)]] * len(parts)
    share = weights / weights.sum(0)
    out = {k: (share * [p[k] for p in parts]).sum(0) for k in found}
    if combine:
        for key in ("floor", "line", "source"):
            # Variances of weighted means.
            out[key] = (share**2 * [p[key] for p in parts]).sum(0)
    return out
