"""Simulators of the four surveys for training: native grids, and pairs of grids.

The decoder is never told a resolution: it must follow from the pixels that are asked for. So an
instrument with coarser pixels here has a resolution lower in proportion, as real ones are built,
and one with finer pixels keeps that of the survey. Nor can it know how another observation was
miscalibrated: in pairs both instruments are without errors of calibration.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from spectok.simulate import Instrument, Simulator, Templates, instrument

NATIVE = {
    "sdss": ("sdss", "boss"),
    "desi": ("desi", "desi-arms"),
    "galah": ("galah",),
    "apogee": ("apogee", "apogee-visit"),
}
# Other instruments that see the same wavelengths; apStar and apVisit are two grids themselves.
CROSS = {"sdss": ("desi",), "desi": ("boss", "sdss"), "galah": (), "apogee": NATIVE["apogee"]}
PAIRS = 0.3  # share of examples whose target lies on another grid
VARIED = 6  # random instruments beside each native one
STRANGE = 0.2  # share of objects with lines that no template has


def varied(rng: np.random.Generator, native: Instrument) -> Instrument:
    """An instrument like a native one, with a window and a sampling of its own."""
    share = rng.uniform(0.15, 1.0)
    low = rng.uniform(0.0, 1.0 - share)
    window = np.quantile(native.wavelength, [low, low + share])
    sampling = 2 ** rng.uniform(-1.2, 1.2)
    resolving_power = 299792.458 / 2.3548 / np.median(native.lsf)
    return native.modified(
        window=tuple(window), sampling=sampling, resolution=resolving_power / max(sampling, 1.0)
    )


def simulators(
    templates: Templates | None, *, device: str = "cpu", seed: int = 0
) -> dict[str, list[tuple[float, Simulator]]]:
    """Simulators of each survey with their shares, for `spectok.training.MockSpectra`."""
    rng = np.random.default_rng(seed)
    clean = {
        name: instrument(name).calibrated() for names in NATIVE.values() for name in names
    }  # once each: they keep their responses
    found = {}
    for survey, names in NATIVE.items():
        native = [(instrument(name),) for name in names]
        cross = [
            (clean[own], clean[other])
            for own, other in product(names, CROSS[survey])
            if own != other
        ]
        random = [(clean[own], varied(rng, clean[own])) for own in names for _ in range(VARIED)]
        groups = [
            (1 - PAIRS, native),
            (PAIRS / 2, cross or random),
            (PAIRS / 2, random),
        ]
        found[survey] = [
            (
                share / len(group),
                Simulator(*observers, templates=templates, strange=STRANGE, device=device),
            )
            for share, group in groups
            for observers in group
        ]
    return found
