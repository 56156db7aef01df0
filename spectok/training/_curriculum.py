"""Simulators to pretrain on: native grids, pairs of grids, and grids that no survey has.

The decoder is never told a resolution: it must follow from the pixels that are asked for. So an
instrument with coarser pixels here has a resolution lower in proportion, as real ones are built,
and one with finer pixels keeps that of the survey. Nor can it know how another observation was
miscalibrated: in pairs both instruments are without errors of calibration.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import torch

from spectok._deprecated import renamed_argument
from spectok.simulate import Instrument, Simulator, Templates, instrument

__all__ = ["training_simulators"]

_NATIVE = {
    "sdss": ("sdss", "boss"),
    "desi": ("desi", "desi-arms"),
    "galah": ("galah",),
    "apogee": ("apogee", "apogee-visit"),
}
# Other instruments that see the same wavelengths; apStar and apVisit are two grids themselves.
_CROSS = {"sdss": ("desi",), "desi": ("boss", "sdss"), "galah": (), "apogee": _NATIVE["apogee"]}


@renamed_argument("strange", "extra_lines")
def training_simulators(
    templates: Templates | None = None,
    *,
    surveys: tuple[str, ...] = ("sdss", "desi", "galah", "apogee"),
    pairs: float = 0.3,
    varied: int = 6,
    extra_lines: float = 0.2,
    device: str | torch.device = "cpu",
    seed: int = 0,
) -> dict[str, list[tuple[float, Simulator]]]:
    """Simulators of each survey with their shares, for `MockSpectra`.

    Parameters
    ----------
    templates : `~spectok.simulate.Templates`, optional
        Default: analytic ones.
    surveys : tuple of str
        Of sdss, desi, galah and apogee.
    pairs : float
        Share of spectra that are asked for on another grid: half on another survey's, half on
        a window with a sampling of its own.
    varied : int
        Instruments with random windows and samplings beside each native one.
    extra_lines : float
        Share of objects with lines that no template has.
    device : str or `torch.device`
        Where spectra are made.
    seed : int
        Of the random instruments.

    Returns
    -------
    simulators : dict of str to list of (float, `Simulator`)
        For each survey its simulators, each with its share; the shares of a survey sum to 1.

    Raises
    ------
    ValueError
        For an unknown survey, or shares that are none.

    Examples
    --------
    >>> from spectok.training import training_simulators
    >>> found = training_simulators(surveys=("galah",), varied=2)
    >>> [len(one.instruments) for _, one in found["galah"]]
    [1, 2, 2, 2, 2]
    """
    unknown = [name for name in surveys if name not in _NATIVE]
    if unknown:
        raise ValueError(f"surveys must be of {', '.join(_NATIVE)}, not {', '.join(unknown)}")
    if not (0.0 <= pairs < 1.0 and varied >= 1):
        raise ValueError(
            f"pairs must be a share below 1 and varied at least 1, not {pairs} and {varied}"
        )
    rng = np.random.default_rng(seed)
    names = {name for survey in surveys for name in (*_NATIVE[survey], *_CROSS[survey])}
    # Once each: they keep their responses.
    clean = {name: instrument(name).calibrated() for name in sorted(names)}
    found = {}
    for survey in surveys:
        own = _NATIVE[survey]
        native = [(instrument(name),) for name in own]
        cross = [(clean[a], clean[b]) for a, b in product(own, _CROSS[survey]) if a != b]
        random = [(clean[a], _varied(rng, clean[a])) for a in own for _ in range(varied)]
        groups: tuple[tuple[float, list[Any]], ...] = (
            (1.0 - pairs, native), (pairs / 2, cross or random), (pairs / 2, random),
        )  # fmt: skip
        found[survey] = [
            (
                share / len(group),
                Simulator(*observers, templates=templates, extra_lines=extra_lines, device=device),
            )
            for share, group in groups
            if share
            for observers in group
        ]
    return found


def _varied(rng: np.random.Generator, native: Instrument) -> Instrument:
    """An instrument like a native one, with a window and a sampling of its own."""
    share = rng.uniform(0.15, 1.0)
    low = rng.uniform(0.0, 1.0 - share)
    window = np.quantile(native.wavelength, [low, low + share])
    sampling = 2 ** rng.uniform(-1.2, 1.2)
    resolving_power = 299792.458 / 2.3548 / np.median(native.lsf)
    return native.modified(
        window=tuple(window), sampling=sampling, resolution=resolving_power / max(sampling, 1.0)
    )
