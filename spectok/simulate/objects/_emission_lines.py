"""Emission lines: those of gas in galaxies, and extra ones that no template has."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from spectok.simulate._fine_grid import FineGrid
from spectok.simulate.objects._dust import calzetti

__all__ = ["add_extra_lines", "add_lines", "light_up", "nebular_lines"]

# Vacuum wavelength [Angstrom], flux relative to H-beta in star-forming galaxies and in active
# nuclei, and a group: lines of one group keep their ratio (an atom's doublets, or the Balmer
# series, whose ratios are those of case B and change by dust only). Orders of magnitude for
# mocks (Osterbrock & Ferland 2006; Vanden Berk et al. 2001 for the ultraviolet of nuclei).
_LINES = (
    (1215.67, 8.0, 10.0, 0), (1240.81, 0.0, 1.0, 1), (1304.35, 0.1, 0.3, 2),
    (1335.31, 0.05, 0.1, 3), (1396.76, 0.05, 0.9, 4), (1549.48, 0.3, 3.0, 5),
    (1640.42, 0.15, 0.5, 6), (1857.4, 0.0, 0.4, 7), (1892.03, 0.1, 0.3, 8),
    (1908.73, 0.3, 2.0, 9), (2796.35, 0.15, 1.0, 10), (2803.53, 0.1, 0.9, 10),
    (3346.79, 0.01, 0.2, 11), (3426.85, 0.02, 0.6, 11), (3727.09, 1.2, 1.2, 12),
    (3729.88, 1.6, 1.4, 12), (3869.86, 0.3, 0.9, 14), (3890.17, 0.11, 0.11, 15),
    (3971.2, 0.16, 0.16, 15), (4102.89, 0.26, 0.26, 15), (4341.68, 0.47, 0.47, 15),
    (4364.44, 0.03, 0.15, 16), (4472.73, 0.04, 0.04, 17), (4687.02, 0.01, 0.25, 18),
    (4862.69, 1.0, 1.0, 15), (4960.3, 0.7, 3.3, 19), (5008.24, 2.1, 9.9, 19),
    (5756.19, 0.01, 0.05, 20), (5877.25, 0.12, 0.1, 17), (6302.05, 0.12, 0.5, 21),
    (6365.54, 0.04, 0.17, 21), (6549.86, 0.3, 1.0, 22), (6564.61, 2.87, 2.87, 15),
    (6585.27, 0.9, 3.0, 22), (6679.99, 0.03, 0.03, 17), (6718.29, 0.5, 0.8, 23),
    (6732.67, 0.37, 0.75, 23), (7067.2, 0.03, 0.03, 17), (7137.77, 0.1, 0.25, 25),
    (7321.94, 0.03, 0.06, 26), (7332.21, 0.03, 0.05, 26), (9071.1, 0.25, 0.6, 27),
    (9533.2, 0.62, 1.5, 27),
)  # fmt: skip
_BALMER_BETA = 24
# First lines of the doublets [O II] and [S II], whose ratio tells the density of the gas.
_DENSITY = (14, 35)


def nebular_lines(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Draw the narrow lines of n galaxies, from star formation to an active nucleus.

    Parameters
    ----------
    n : int
    generator : `torch.Generator`

    Returns
    -------
    wavelength : `torch.Tensor`, shape (J,)
        Rest wavelengths [vacuum Angstrom].
    width : `torch.Tensor`, shape (n,)
        Standard deviation of the lines [km/s].
    equivalent : `torch.Tensor`, shape (n, J)
        Rest equivalent widths [Angstrom], all in units of the continuum at H-beta.
    """
    device = generator.device
    table = torch.tensor(_LINES, device=device)
    wavelength, forming, active = table[:, 0], table[:, 1], table[:, 2]
    groups = table[:, 3].long()

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, device=device)

    # Four in five galaxies with lines form stars; the others are mixed with a nucleus.
    share = torch.where(uniform(n, 1) < 0.2, uniform(n, 1), 0.0)
    ratio = (1 - share) * forming + share * active
    scatter = torch.randn((n, int(groups.max()) + 1), generator=generator, device=device)
    scatter[:, groups[_BALMER_BETA]] = 0.0
    ratio = ratio * 10 ** (0.25 * scatter[:, groups])
    for first in _DENSITY:
        # Ratios between those of low and of high density, for both lines together as above.
        share = 0.28 + 0.32 * uniform(n)
        total = ratio[:, first] + ratio[:, first + 1]
        ratio[:, first], ratio[:, first + 1] = (1 - share) * total, share * total
    reddening = 0.35 * uniform(n, 1) ** 2
    dimming = calzetti(wavelength) - calzetti(wavelength[_BALMER_BETA])
    ratio = ratio * 10 ** (-0.4 * reddening * dimming)
    strength = 10 ** (-0.5 + 2.2 * uniform(n, 1))
    width = 10 ** (1.6 + 0.8 * uniform(n))
    return wavelength, width, strength * ratio


def add_lines(
    flux: Tensor,
    start: float,
    step: float,
    velocity: float,
    centre: Tensor,
    width: Tensor,
    height: Tensor,
) -> None:
    """Add Gaussian lines to spectra on a grid of constant step in log10 wavelength, in place.

    Parameters
    ----------
    flux : `torch.Tensor`, shape (n, F)
    start, step : float
        log10 of the first wavelength, and the step.
    velocity : float
        The step [km/s].
    centre : `torch.Tensor`, shape (n, J)
        Observed wavelengths [Angstrom]; lines outside the grid are left out.
    width : `torch.Tensor`, shape (n, J)
        Standard deviation [km/s].
    height : `torch.Tensor`, shape (n, J)
        Area of each line divided by the width of one grid step, in units of flux.
    """
    size = flux.shape[1]
    place = (centre.double().log10() - start) / step
    # Narrower than this the points of the grid would miss the line.
    sigma = (width / velocity).clamp(min=0.6)
    reach = int(math.ceil(4 * float(sigma.max()))) if sigma.numel() else 0
    inside = (place > -reach) & (place < size + reach)
    middle = place.round().clamp(-reach, size + reach)
    offset = torch.arange(-reach, reach + 1, device=flux.device)
    apart = offset - (place - middle)[..., None].float()
    profile = torch.exp(-0.5 * (apart / sigma[..., None]) ** 2)
    # Normalised by its own sum, so that the area is right whatever the sampling.
    # A line far outside sums to nothing.
    area = profile.sum(-1, True).clamp(min=1e-30)
    profile = profile * (torch.where(inside, height, 0.0)[..., None] / area)
    index = middle[..., None].long() + offset
    profile = torch.where((index >= 0) & (index < size), profile, 0.0)
    flux.scatter_add_(1, index.clamp(0, size - 1).flatten(1), profile.flatten(1))


def light_up(
    flux: Tensor,
    fine: FineGrid,
    redshift: Tensor,
    share: float,
    generator: torch.Generator,
    *,
    lsf_sigma: float = 0.0,
) -> None:
    """Give a share of the galaxies emission lines, as wide as the template shows them [km/s]."""
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
    widths = torch.sqrt(width**2 + lsf_sigma**2)[:, None].expand_as(centre)
    add_lines(own, start, fine.step, fine.velocity, centre, widths, height)
    flux[lit] = own


def _level(flux: Tensor, fine: FineGrid, wavelength: Tensor) -> Tensor:
    """Mean flux in the 200 points around a wavelength, or at the nearest end of the grid."""
    place = ((wavelength.double().log10() - fine.segments[0][0]) / fine.step).long()
    first = (place - 100).clamp(0, fine.size - 200)
    return flux.gather(1, first[:, None] + torch.arange(200, device=flux.device)).mean(1)


def add_extra_lines(
    flux: Tensor,
    fine: FineGrid,
    generator: torch.Generator,
    *,
    share: float = 0.2,
    lsf_sigma: float = 0.0,
) -> Tensor:
    """Give a share of the objects lines that no template has; tells which, (n,) of bool."""
    device, most = flux.device, 6
    odd = torch.rand(len(flux), generator=generator, device=device) < share
    chosen = torch.nonzero(odd)[:, 0]
    n = len(chosen)
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
        part = flux[chosen, begin:end]
        level = part.gather(1, place.long())
        # Height of the peak in units of the local flux, to the area in steps of the grid.
        height = depth * level * (width / fine.velocity) * 2.5066 * wanted
        added = torch.zeros_like(part)
        seen = torch.sqrt(width**2 + lsf_sigma**2)
        add_lines(added, start, fine.step, fine.velocity, centre, seen, height)
        flux[chosen, begin:end] = torch.maximum(part + added, 0.1 * part)
    return odd
