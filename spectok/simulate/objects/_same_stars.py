"""Draws of the same stars on grids of different wavelengths, by labels that emulators share."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from spectok.simulate._fine_grid import FineGrid
from spectok.simulate._sample import Sample
from spectok.simulate.objects._family import EMULATING, Family
from spectok.simulate.objects._sampling import draw_sample
from spectok.simulate.objects._templates import Templates

__all__ = ["draw_across", "emulators_across"]

_SHARED = ("teff", "logg", "feh", "alpha")  # what makes two spectra those of the same star


def emulators_across(
    templates: Templates, grids: Mapping[FineGrid, str], device: torch.device, observers: str
) -> dict[FineGrid, Family]:
    """One emulator of stars for each grid, those whose labels cover most in common.

    Parameters
    ----------
    templates : `~spectok.simulate.Templates`
    grids : mapping of `~spectok.simulate._fine_grid.FineGrid` to str
        Fine grids and their names.
    device : `torch.device`
    observers : str
        Names of the instruments, for messages.

    Returns
    -------
    emulators : dict of `~spectok.simulate._fine_grid.FineGrid` to Family

    Raises
    ------
    ValueError
        Where a grid has no emulator with labels that all share.
    """
    found = {}
    for grid, name in grids.items():
        able = [
            family
            for family in templates.families(name, grid, device)
            if family.form in EMULATING and set(_SHARED) <= set(family.about["labels"])
        ]
        if not able:
            raise ValueError(
                f"{observers} do not observe the same wavelengths, and no emulator of stars "
                f"at the wavelengths {name!r} knows {', '.join(_SHARED)}, by which they could see "
                "the same stars: give templates of simulate.build_templates that have some, or "
                "instruments that see the same wavelengths"
            )
        # The widest range of temperatures serves most stars.
        found[grid] = max(able, key=lambda family: _spread(family, "teff"))
    return found


def draw_across(
    emulators: Mapping[FineGrid, Family],
    n: int,
    generator: torch.Generator,
    *,
    at_rest: Mapping[FineGrid, bool],
    extra_lines: float = 0.0,
) -> dict[FineGrid, Sample]:
    """Draw n stars, and their spectra on every grid.

    Labels are drawn around the real stars of the first emulator, inside of what all emulators
    know. Velocity and rotation are the same on all grids, but that spectra which are at rest keep
    a small error of their own; dust and the slope of the continuum are drawn for each.

    Parameters
    ----------
    emulators : mapping of `~spectok.simulate._fine_grid.FineGrid` to Family
        From `emulators_across`.
    n : int
    generator : `torch.Generator`
        Its device is where everything is computed.
    at_rest : mapping of `~spectok.simulate._fine_grid.FineGrid` to bool
        Whether the stars' velocities have been taken out.
    extra_lines : float
        Share of the stars that get lines which no template has.

    Returns
    -------
    samples : dict of `~spectok.simulate._fine_grid.FineGrid` to Sample
    """
    (first, leading), *_ = emulators.items()
    within = {
        name: (
            max(_bound(family, "low", name) for family in emulators.values()),
            min(_bound(family, "high", name) for family in emulators.values()),
        )
        for name in _SHARED
    }
    value, _ = leading.draw_labels(n, generator, within=within)
    own = dict(zip(leading.about["labels"], value.unbind(1), strict=True))
    given = {name: own[name] for name in _SHARED}
    samples: dict[FineGrid, Sample] = {}
    for grid, family in emulators.items():
        known = own if grid == first else given
        if grid != first and not at_rest[grid] and not at_rest[first]:
            known = {**known, "redshift": samples[first].labels["redshift"]}
        if "vbroad" in own:
            known = {**known, "vsini": own["vbroad"]}
        samples[grid] = draw_sample(
            [family], [1.0], grid, n, generator, at_rest=at_rest[grid], extra_lines=extra_lines,
            given=known,
        )  # fmt: skip
    return samples


def _bound(family: Family, which: str, label: str) -> float:
    return float(family.arrays[which][family.about["labels"].index(label)])


def _spread(family: Family, label: str) -> float:
    return _bound(family, "high", label) - _bound(family, "low", label)
