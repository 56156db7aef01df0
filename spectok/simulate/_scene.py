"""Objects before they meet an instrument: noise-free spectra on a fine grid, with labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from spectok.simulate._broaden import broaden
from spectok.simulate._dust import calzetti, milky_way
from spectok.simulate._family import LABELS, Family
from spectok.simulate._grid import LIGHT, FineGrid
from spectok.simulate._lines import add_lines, nebular_lines

__all__ = ["CLASSES", "KINDS", "Scene", "draw_scene"]

KINDS = ("galaxy", "quasar", "star")
CLASSES = ("GALAXY", "QSO", "STAR")  # of the same, as SDSS and DESI write them
_ARCH = 1215.67  # Lyman alpha [Angstrom]
_NODES = 48  # points per segment that carry what is smooth in wavelength


@dataclass(frozen=True, eq=False)
class Scene:
    """Objects on a fine grid.

    Attributes
    ----------
    flux : `torch.Tensor`, shape (n, F)
        Noise-free flux density, on no particular scale.
    low, high : `torch.Tensor` of float64, shape (n,)
        log10 of the wavelengths between which each spectrum is known.
    gaps : list of list of (float, float)
        For each family, rest log10 wavelengths between which its spectra say nothing.
    family : `torch.Tensor` of int64, shape (n,)
        Which family each object is of.
    blur : sequence of float
        For each family, what its spectra are blurred by [km/s].
    names : sequence of str
        Of the families.
    labels : dict of str to `torch.Tensor`, shape (n,)
        ``kind`` (index into `KINDS`), ``redshift``, ``ebv``, ``vsini``, ``template`` (entry of
        the family), and the names of `LABELS`; NaN where not known.
    """

    flux: Tensor
    low: Tensor
    high: Tensor
    gaps: list
    family: Tensor
    blur: Sequence[float]
    names: Sequence[str]
    labels: dict[str, Tensor]


def draw_scene(
    families: Sequence[Family],
    shares: Sequence[float],
    fine: FineGrid,
    n: int,
    generator: torch.Generator,
    *,
    at_rest: bool = False,
) -> Scene:
    """Draw n objects, those of one family one after the other.

    Parameters
    ----------
    families : sequence of `~spectok.simulate._templates.Family`
    shares : sequence of float
        How often each family is drawn.
    fine : `~spectok.simulate._grid.FineGrid`
    n : int
    generator : `torch.Generator`
        Its device is where everything is computed.
    at_rest : bool
        Whether the instrument's spectra are shifted to the stars' rest frame (APOGEE's apStar):
        the radial velocity left is then a small error.

    Returns
    -------
    scene : Scene
    """
    device = generator.device
    chosen = torch.multinomial(
        torch.tensor(shares, device=device), n, replacement=True, generator=generator
    ).sort()[0]
    counts = torch.bincount(chosen, minlength=len(families)).tolist()
    flux = torch.empty((n, fine.size), device=device)
    low = torch.empty(n, dtype=torch.float64, device=device)
    high = torch.empty_like(low)
    names = ("kind", "redshift", "ebv", "vsini", "template", *LABELS)
    labels = {name: torch.full((n,), float("nan"), device=device) for name in names}
    labels["redshift"] = labels["redshift"].double()
    start = 0
    for family, count in zip(families, counts, strict=True):
        if count:
            cut = slice(start, start + count)
            own = _draw_family(family, fine, count, generator, at_rest)
            flux[cut], low[cut], high[cut] = own.pop("flux"), own.pop("low"), own.pop("high")
            for name in own.keys() & labels.keys():
                labels[name][cut] = own[name].to(labels[name].dtype)
            start += count
    return Scene(
        flux,
        low,
        high,
        [family.about.get("gaps", []) for family in families],
        chosen,
        [family.about["blur"] for family in families],
        [family.name for family in families],
        labels,
    )


def _draw_family(
    family: Family, fine: FineGrid, n: int, generator: torch.Generator, at_rest: bool
) -> dict[str, Tensor]:
    """Flux and labels of n objects of one family."""
    device = generator.device

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, device=device)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, device=device)

    drawn = family.draw(n, generator)
    if "redshift" in family.arrays:
        around = 1 + family.arrays["redshift"][drawn.entry].double()
        redshift = around * torch.exp(0.05 * normal(n).double()) - 1
        redshift = redshift.clamp(min=0.001)
    elif "redshift" in family.about:
        least, most = family.about["redshift"]
        # More near than far, as in a survey limited in flux.
        redshift = least + (most - least) * uniform(n).double() ** 1.5
    else:
        # Discs and halo; the spectra of apStar are at rest but for a kilometre per second.
        spread = torch.where(uniform(n) < 0.15, 120.0, 35.0)
        velocity = (torch.tensor(0.3, device=device) if at_rest else spread) * normal(n)
        redshift = velocity.double() / LIGHT
    log_shift = (1 + redshift).log10()
    flux = family.place(drawn, log_shift)
    low, high = family.known(drawn, log_shift)
    galaxy, quasar = family.kind == "galaxy", family.kind == "quasar"
    # Dispersion of the stars in a galaxy; rotation of a star.
    sigma = 10 ** (1.7 + 0.75 * uniform(n)) if galaxy and family.about.get("bare") else None
    rotation = None
    if family.kind == "star" and "vsini" in family.about:
        typical, scatter = family.about["vsini"]
        rotation = typical * 10 ** (scatter * normal(n))
    if sigma is not None or rotation is not None:
        flux = broaden(flux, fine, sigma=sigma, rotation=rotation)
    if quasar:
        _absorb(flux, fine, redshift, generator)
    teff = drawn.labels["teff"] if family.about.get("normalised") else None
    smooth, ebv = _smooth_factor(fine, redshift, galaxy, teff, generator)
    for (begin, end), part in zip(fine.bounds(), smooth, strict=True):
        flux[:, begin:end] *= interpolate(
            part[:, None], size=end - begin, mode="linear", align_corners=True
        )[:, 0]
    if galaxy:
        _light_up(flux, fine, redshift, family.about.get("lines", 0.6), generator)
    _strange_lines(flux, fine, generator)
    return {
        "flux": flux, "low": low, "high": high, "redshift": redshift, "ebv": ebv,
        "vsini": torch.full_like(ebv, float("nan")) if rotation is None else rotation,
        "kind": torch.full_like(ebv, KINDS.index(family.kind)), "template": drawn.entry,
        **drawn.labels,
    }  # fmt: skip


def _smooth_factor(
    fine: FineGrid,
    redshift: Tensor,
    galaxy: bool,
    teff: Tensor | None,
    generator: torch.Generator,
) -> tuple[list[Tensor], Tensor]:
    """Factors at nodes of each segment: dust in the object and in the Galaxy, and a tilt.

    Templates over their continuum get that of a black body of their temperature back.
    """
    n, device = len(redshift), generator.device
    ebv = 0.05 * torch.rand(n, generator=generator, device=device).log().neg()
    own = torch.rand(n, generator=generator, device=device) ** 2 * (0.4 if galaxy else 0.0)
    tilt = 0.25 * torch.randn(n, generator=generator, device=device)
    factors = []
    reference = 10 ** (sum(start for start, _ in fine.segments) / len(fine.segments))
    for start, count in fine.segments:
        nodes = start + fine.step * (count - 1) * torch.linspace(0, 1, _NODES, device=device)
        magnitudes = ebv[:, None] * milky_way(10**nodes)
        if galaxy:
            rest = 10 ** (nodes - (1 + redshift[:, None]).log10().float())
            magnitudes = magnitudes + own[:, None] * calzetti(rest)
        planck = torch.zeros_like(magnitudes)
        if teff is not None:
            place = 10**nodes
            bright = torch.expm1(1.43877688e8 / (place * teff.clamp(2500.0, 5e4)[:, None]))
            middle = torch.expm1(1.43877688e8 / (reference * teff.clamp(2500.0, 5e4)))
            planck = (middle[:, None] / bright * (reference / place) ** 5).log()
        # Relative to the middle, so that dust does not dim what is scaled later anyway.
        magnitudes = magnitudes - magnitudes[:, _NODES // 2 :][:, :1]
        slope = tilt[:, None] * torch.log(10.0 ** (nodes - nodes[_NODES // 2]))
        factors.append(torch.exp(planck + slope - 0.921 * magnitudes))
    return factors, ebv


def _absorb(flux: Tensor, fine: FineGrid, redshift: Tensor, generator: torch.Generator) -> None:
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


def _light_up(
    flux: Tensor, fine: FineGrid, redshift: Tensor, share: float, generator: torch.Generator
) -> None:
    """Give a share of the galaxies emission lines."""
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
    widths = width[:, None].expand_as(centre)
    add_lines(own, start, fine.step, fine.velocity, centre, widths, height)
    flux[lit] = own


def _level(flux: Tensor, fine: FineGrid, wavelength: Tensor) -> Tensor:
    """Mean flux in the 200 points around a wavelength, or at the nearest end of the grid."""
    place = ((wavelength.double().log10() - fine.segments[0][0]) / fine.step).long()
    first = (place - 100).clamp(0, fine.size - 200)
    return flux.gather(1, first[:, None] + torch.arange(200, device=flux.device)).mean(1)


def _strange_lines(flux: Tensor, fine: FineGrid, generator: torch.Generator) -> None:
    """In one object of five, lines that no template has: tokens must carry the unexpected."""
    device, most = flux.device, 6
    strange = torch.nonzero(torch.rand(len(flux), generator=generator, device=device) < 0.2)[:, 0]
    n = len(strange)
    if not n:
        return
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
        add_lines(added, start, fine.step, fine.velocity, centre, width, height)
        flux[strange, begin:end] = torch.maximum(part + added, 0.1 * part)
