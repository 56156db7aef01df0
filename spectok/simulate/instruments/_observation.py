"""Mock observations as tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from spectok.simulate.instruments._instrument import Instrument

__all__ = ["Observation", "join"]

# One row per object.
_ROWS = ("truth", "flux", "sigma", "true_sigma", "valid", "level", "family")


@dataclass(frozen=True, eq=False)
class Observation:
    """Mock observations on one grid, as tensors.

    Parameters
    ----------
    instrument : `~spectok.simulate.Instrument`
        What observed them; it has the wavelengths.
    truth : `torch.Tensor`, shape (n, L)
        Noise-free flux density at the instrument's resolution and in its calibration
        [the unit of the instrument's noise: 1e-17 erg/s/cm2/A, GALAH: counts].
    flux : `torch.Tensor`, shape (n, L)
        What is observed.
    sigma : `torch.Tensor`, shape (n, L)
        The error that comes with it.
    true_sigma : `torch.Tensor`, shape (n, L)
        The standard deviation of the noise that is in the flux, but for damage and sky lines:
        stated errors are off, as those of the survey are.
    valid : `torch.Tensor` of bool, shape (n, L)
        False where a detector, the template or the pixel is missing, and where the pipeline
        noticed damage.
    level : `torch.Tensor`, shape (n,)
        Flux per unit of the sample, for a second observation of the same object.
    family : `torch.Tensor` of int64, shape (n,)
        Place in ``names`` of the family of each object.
    labels : dict of str to `torch.Tensor`, shape (n,)
        Those of the sample, and ``snr``.
    names : sequence of str
        Of the template families.

    See Also
    --------
    spectok.simulate.observe : The same as `~specutils.Spectrum` objects, with units.

    Examples
    --------
    >>> from spectok import simulate
    >>> (observation,) = simulate.Simulator("sdss", kind="star").observe(3, seed=1)
    >>> observation.flux.shape == observation.truth.shape == observation.valid.shape
    True
    >>> len(observation[:2].families)
    2
    """

    instrument: Instrument
    truth: Tensor
    flux: Tensor
    sigma: Tensor
    true_sigma: Tensor
    valid: Tensor
    level: Tensor
    family: Tensor
    labels: dict[str, Tensor]
    names: Sequence[str]

    @property
    def families(self) -> list[str]:
        """Name of the template family of each object."""
        return [self.names[int(k)] for k in self.family]

    def __getitem__(self, rows: Tensor | slice) -> Observation:
        """Some of the objects."""
        return replace(
            self,
            **{name: getattr(self, name)[rows] for name in _ROWS},
            labels={key: value[rows] for key, value in self.labels.items()},
        )


def join(parts: Sequence[Observation]) -> Observation:
    """Join observations of several sets of objects into one."""
    rows: dict[str, Any] = {
        name: torch.cat([getattr(part, name) for part in parts]) for name in _ROWS
    }
    return replace(
        parts[0],
        **rows,
        labels={key: torch.cat([p.labels[key] for p in parts]) for key in parts[0].labels},
    )
