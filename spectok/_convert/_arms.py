"""Which spectra are arms of the same objects, and how many spectra a set holds."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from astropy.utils.exceptions import AstropyUserWarning

from spectok._convert._names import mapping_of, names_of

__all__ = ["ArmsNoted", "are_arms", "count_of", "objects_of", "shape_of"]


def are_arms(members: Sequence[Any]) -> bool:
    """Whether spectra are arms of the same objects, as a reader marked them."""
    metas = [mapping_of(getattr(member, "meta", None)) for member in members]
    return len(metas) > 1 and all("arm" in meta for meta in metas)


def objects_of(members: Sequence[Any]) -> list[list[Any]]:
    """A flat list of arms, object by object, where it names both (files of many stars).

    A new object begins with an arm that the last one has already, under another name.
    """
    objects: list[list[Any]] = [[]]
    seen: set[str] = set()
    last = None
    for member in members:
        meta = mapping_of(getattr(member, "meta", None))
        name, arm = names_of(meta), meta.get("arm")
        if objects[-1] and name is not None and name != last and str(arm) in seen:
            objects.append([])
            seen = set()
        objects[-1].append(member)
        if arm is not None:
            seen.add(str(arm))
        last = name
    return objects


class ArmsNoted:
    """Notes whether spectra that are read apart look like arms of the same objects."""

    def __init__(self) -> None:
        self.first: Any = None
        self.count = 0

    def note(self, spectrum: Any) -> None:
        if self.count < 0 or not are_arms([spectrum, spectrum]):
            self.count = -1
            return
        names = names_of(spectrum.meta)
        self.first = names if self.count == 0 else self.first
        self.count = self.count + 1 if names == self.first else -1

    def warn(self) -> None:
        """Arms that a reader marked as such, encoded apart, are most often a slip."""
        if self.count > 1:
            warnings.warn(
                f"these {self.count} spectra look like arms of the same objects; with arms=True "
                "they become one token sequence per object",
                AstropyUserWarning,
                stacklevel=6,
            )


def shape_of(spectrum: Any) -> tuple[int, ...] | None:
    """Shape of the flux of a set of spectra, -1 in place of the spectral axis; None for one."""
    flux = spectrum.flux
    if flux.ndim < 2:
        return None
    place = getattr(spectrum, "spectral_axis_index", None)
    shape = list(flux.shape)
    shape[-1 if place is None else place] = -1
    return tuple(shape)


def count_of(spectrum: Any) -> int:
    """Number of spectra in what may be one, a set of them, or no spectrum at all."""
    try:
        shape = shape_of(spectrum)
    except (AttributeError, IndexError, TypeError):
        return 1
    return 1 if shape is None else -int(np.prod(shape))
