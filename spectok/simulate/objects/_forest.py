"""Lyman-alpha forest in the spectra of quasars."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from spectok.simulate._fine_grid import FineGrid

__all__ = ["absorb"]

_ARCH = 1215.67  # Lyman alpha [Angstrom]


def absorb(flux: Tensor, fine: FineGrid, redshift: Tensor, generator: torch.Generator) -> None:
    """Lyman-alpha forest: lognormal clouds about the transmission that the templates hold."""
    (start, count) = fine.segments[0]
    edge = ((redshift + 1).log10() + torch.log10(torch.tensor(_ARCH)) - start) / fine.step
    columns = min(int(edge.max().ceil().item()), count)
    if columns < 64:
        return
    far = torch.nonzero(edge > 64)[:, 0]
    # One cloud per 70 km/s, spread over its neighbours.
    field = torch.randn((len(far), 1, columns // 4 + 2), generator=generator, device=flux.device)
    field = interpolate(field, scale_factor=4, mode="linear")[:, 0, :columns] / 0.83
    # Opacity grows as (1 + z)^3.45 with the absorber's redshift (Faucher-Giguere et al. 2008).
    absorber = 10 ** (start + fine.step * torch.arange(columns, device=flux.device)) / _ARCH
    depth = 0.0024 * absorber**3.45 * torch.exp(1.4 * field - 0.98)
    # What the clouds let through in the mean, by quadrature over their normal field.
    nodes = torch.linspace(-4, 4, 33, device=flux.device)
    weights = torch.softmax(-0.5 * nodes**2, 0)
    opaque = 0.0024 * absorber**3.45 * torch.exp(1.4 * nodes[:, None] - 0.98)
    mean = weights @ torch.exp(-opaque)
    here = torch.arange(columns, device=flux.device) < edge[far, None]
    flux[far, :columns] *= torch.where(here, torch.exp(-depth) / mean, 1.0).float()
