"""Sampling of objects: noise-free spectra on a fine grid, with labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from spectok.simulate._fine_grid import LIGHT, FineGrid
from spectok.simulate._sample import KINDS, Sample
from spectok.simulate.objects._broaden import broaden
from spectok.simulate.objects._dust import calzetti, milky_way
from spectok.simulate.objects._emission_lines import add_extra_lines, light_up
from spectok.simulate.objects._family import LABELS, Family
from spectok.simulate.objects._forest import absorb

__all__ = ["AT_REST", "DUST", "HALO", "TILT", "draw_sample"]

AT_REST = 0.3  # what is left of a star's velocity where it was taken out [km/s]
HALO = (0.15, 120.0, 35.0)  # share of the halo, its spread of velocities and the disc's [km/s]
DUST = 0.05  # mean E(B-V) of the Galaxy, exponentially distributed
TILT = 0.25  # spread of an exponent of wavelength
_NODES = 48  # points per segment that carry what is smooth in wavelength


def draw_sample(
    families: Sequence[Family],
    shares: Sequence[float],
    fine: FineGrid,
    n: int,
    generator: torch.Generator,
    *,
    at_rest: bool = False,
    extra_lines: float = 0.0,
    perturb: tuple[str, float] | None = None,
    given: Mapping[str, Tensor] | None = None,
) -> Sample:
    """Draw a sample of n objects, those of one family one after the other.

    Parameters
    ----------
    families : sequence of `~spectok.simulate.objects._templates.Family`
    shares : sequence of float
        How often each family is drawn.
    fine : `~spectok.simulate._fine_grid.FineGrid`
    n : int
    generator : `torch.Generator`
        Its device is where everything is computed.
    at_rest : bool
        Whether the instrument's spectra are shifted to the stars' rest frame (APOGEE's apStar):
        the radial velocity left is then a small error.
    extra_lines : float
        Share of the objects that get lines which no template has.
    perturb : (str, float), optional
        One drawn quantity and by how much it is changed, all else the same: a label of
        emulated stars [the family's jitter], ``velocity`` of stars [km/s] or ``vsini`` [dex].
    given : mapping of str to `torch.Tensor`, shape (n,), optional
        Labels of emulated stars, ``redshift`` and ``vsini``, which are then not drawn: the same
        stars as another sample's. With one family only.

    Returns
    -------
    sample : Sample
    """
    device = generator.device
    chosen = torch.multinomial(
        torch.tensor(shares, device=device), n, replacement=True, generator=generator
    ).sort()[0]
    counts = torch.bincount(chosen, minlength=len(families)).tolist()
    flux = torch.empty((n, fine.size), device=device)
    low = torch.empty(n, dtype=torch.float64, device=device)
    high = torch.empty_like(low)
    names = ("kind", "redshift", "ebv", "ebv_host", "vsini", "extra_lines", "template", *LABELS)
    labels = {name: torch.full((n,), float("nan"), device=device) for name in names}
    labels["redshift"] = labels["redshift"].double()
    start = 0
    for family, count in zip(families, counts, strict=True):
        if count:
            cut = slice(start, start + count)
            own = _draw_family(
                family, fine, count, generator, at_rest, extra_lines, perturb, given
            )
            flux[cut], low[cut], high[cut] = own.pop("flux"), own.pop("low"), own.pop("high")
            for name in own.keys() & labels.keys():
                labels[name][cut] = own[name].to(labels[name].dtype)
            start += count
    return Sample(
        flux,
        low,
        high,
        [family.about.get("gaps", []) for family in families],
        chosen,
        [family.lsf_sigma for family in families],
        [family.name for family in families],
        labels,
    )


def _draw_family(
    family: Family,
    fine: FineGrid,
    n: int,
    generator: torch.Generator,
    at_rest: bool,
    extra_lines: float,
    perturb: tuple[str, float] | None,
    given: Mapping[str, Tensor] | None,
) -> dict[str, Tensor]:
    """Flux and labels of n objects of one family."""
    device = generator.device

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, device=device)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, device=device)

    drawn = family.draw(n, generator, perturb=perturb, given=given)
    given = given or {}
    change = dict([perturb]) if perturb else {}
    if "redshift" in family.arrays:
        own = family.arrays["redshift"][drawn.entry].double()
        redshift = own * torch.exp(0.1 * normal(n).double().clamp(-2, 2))
        redshift = redshift.clamp(min=0.001)
    elif "redshift" in family.about:
        least, most = family.about["redshift"]
        # More near than far, as in a survey limited in flux.
        redshift = least + (most - least) * uniform(n).double() ** 1.5
    else:
        # Discs and halo; the spectra of apStar are at rest but for a kilometre per second.
        spread = torch.where(uniform(n) < HALO[0], HALO[1], HALO[2])
        velocity = (torch.tensor(AT_REST, device=device) if at_rest else spread) * normal(n)
        redshift = (velocity.double() + change.get("velocity", 0.0)) / LIGHT
    redshift = given.get("redshift", redshift)
    log_shift = (1 + redshift).log10()
    flux = family.place(drawn, log_shift)
    low, high = family.known(drawn, log_shift)
    galaxy, quasar = family.kind == "galaxy", family.kind == "quasar"
    # Dispersion of the stars in a galaxy; rotation of a star.
    sigma = 10 ** (1.7 + 0.75 * uniform(n)) if galaxy and family.about.get("bare") else None
    rotation = None
    if family.kind == "star" and "vsini" in family.about:
        typical, scatter = family.about["vsini"]
        # Faster ones would break up.
        rotation = (typical * 10 ** (scatter * normal(n))).clamp(max=400.0)
        rotation = given.get("vsini", rotation)
        if "vsini" in change:
            rotation = rotation * 10 ** change["vsini"]
    if sigma is not None or rotation is not None:
        flux = broaden(flux, fine, sigma=sigma, rotation=rotation)
    if quasar:
        absorb(flux, fine, redshift, generator)
    # Lines are drawn as the template would show them; the instrument adds the rest.
    lsf_sigma = family.lsf_sigma
    if galaxy:
        lit = family.about.get("lines", 0.6)
        light_up(flux, fine, redshift, lit, generator, lsf_sigma=lsf_sigma)
    teff = drawn.labels["teff"] if family.about.get("normalised") else None
    smooth, ebv, ebv_host = _smooth_factor(fine, redshift, galaxy, teff, generator)
    for (begin, end), part in zip(fine.bounds(), smooth, strict=True):
        flux[:, begin:end] *= interpolate(
            part[:, None], size=end - begin, mode="linear", align_corners=True
        )[:, 0]
    entry = drawn.entry
    if "entry" in family.arrays:  # a part, whose rows keep the numbers they had in the whole
        entry = family.arrays["entry"][entry]
    odd = add_extra_lines(flux, fine, generator, share=extra_lines, lsf_sigma=lsf_sigma)
    return {
        "flux": flux, "low": low, "high": high, "redshift": redshift, "ebv": ebv,
        "ebv_host": ebv_host, "extra_lines": odd,
        "vsini": torch.full_like(ebv, float("nan")) if rotation is None else rotation,
        "kind": torch.full_like(ebv, KINDS.index(family.kind)), "template": entry,
        **drawn.labels,
    }  # fmt: skip


def _smooth_factor(
    fine: FineGrid,
    redshift: Tensor,
    galaxy: bool,
    teff: Tensor | None,
    generator: torch.Generator,
) -> tuple[list[Tensor], Tensor, Tensor]:
    """Factors at nodes of each segment: dust in the Galaxy and in the object, and a tilt.

    Templates over their continuum get that of a black body of their temperature back.
    """
    n, device = len(redshift), generator.device
    ebv = -DUST * torch.log1p(-torch.rand(n, generator=generator, device=device))
    own = torch.rand(n, generator=generator, device=device) ** 2 * (0.4 if galaxy else 0.0)
    tilt = TILT * torch.randn(n, generator=generator, device=device)
    factors = []
    middles = [start + fine.step * (count - 1) / 2 for start, count in fine.segments]
    middle_log = sum(middles) / len(middles)
    reference = torch.tensor(10.0**middle_log, device=device)
    # Relative to one place, so that dust does not dim what is scaled later anyway.
    zero = ebv * milky_way(reference)
    if galaxy:
        zero = zero + own * calzetti(reference / (1 + redshift).float())
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
        slope = tilt[:, None] * (nodes - middle_log) * 2.302585
        factors.append(torch.exp(planck + slope - 0.921 * (magnitudes - zero[:, None])))
    return factors, ebv, own
