"""What is drawn anew on every spectrum: the Lyman-alpha forest, gas, and strange lines."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from spectok.simulate._grid import FineGrid
from spectok.simulate._lines import add_lines, nebular_lines

__all__ = ["absorb", "light_up", "strange_lines"]

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


def light_up(
    flux: Tensor,
    fine: FineGrid,
    redshift: Tensor,
    share: float,
    generator: torch.Generator,
    *,
    blur: float = 0.0,
) -> None:
    """Give a share of the galaxies emission lines, blurred as the template is [km/s]."""
    lit = torch.rand(len(flux), generator=generator, device=flux.device) < share
    lit = torch.nonzero(lit)[:, 0]
    wavelength, width, equivalent = nebular_lines(len(lit), generator)
    (start, _) = fine.segments[0]
    stretch = (1 + redshift[lit]).float()
    centre = wavelength * stretch[:, None]
    own = flux[lit]
    level = _level(own, fine, 4862.69 * stretch)
    # Areas in steps of the grid, whose width in Angstrom grows with the wavelength.
    step = centre * (10**fine.step - 1)
    height = equivalent * (stretch * level)[:, None] / step
    widths = torch.sqrt(width**2 + blur**2)[:, None].expand_as(centre)
    add_lines(own, start, fine.step, fine.velocity, centre, widths, height)
    flux[lit] = own


def _level(flux: Tensor, fine: FineGrid, wavelength: Tensor) -> Tensor:
    """Mean flux in the 200 points around a wavelength, or at the nearest end of the grid."""
    place = ((wavelength.double().log10() - fine.segments[0][0]) / fine.step).long()
    first = (place - 100).clamp(0, fine.size - 200)
    return flux.gather(1, first[:, None] + torch.arange(200, device=flux.device)).mean(1)


def strange_lines(
    flux: Tensor,
    fine: FineGrid,
    generator: torch.Generator,
    *,
    share: float = 0.2,
    blur: float = 0.0,
) -> Tensor:
    """Give a share of the objects lines that no template has; tells which, (n,) of bool."""
    device, most = flux.device, 6
    odd = torch.rand(len(flux), generator=generator, device=device) < share
    strange = torch.nonzero(odd)[:, 0]
    n = len(strange)
    if not n:
        return odd
    wanted = torch.rand((n, most), generator=generator, device=device) < 0.5
    for (start, count), (begin, end) in zip(fine.segments, fine.bounds(), strict=True):
        draw = torch.rand((3, n, most), generator=generator, device=device)
        place = draw[0] * (count - 1)
        centre = 10 ** (start + fine.step * place.double())
        width = fine.velocity * 1.5 * 8 ** draw[1]
        sign = torch.where(draw[2] < 0.5, -0.7, 2.0)
        depth = sign * (2 * (draw[2] % 0.5)) ** 2
        part = flux[strange, begin:end]
        level = part.gather(1, place.long())
        # Height of the peak in units of the local flux, to the area in steps of the grid.
        height = depth * level * (width / fine.velocity) * 2.5066 * wanted
        added = torch.zeros_like(part)
        seen = torch.sqrt(width**2 + blur**2)
        add_lines(added, start, fine.step, fine.velocity, centre, seen, height)
        flux[strange, begin:end] = torch.maximum(part + added, 0.1 * part)
    return odd
