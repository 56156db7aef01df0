"""What an instrument makes of objects: pixels, calibration, noise and damage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag, interpolate

from spectok.simulate._calibration import air_left, calibration
from spectok.simulate._damage import bad_pixels, cosmic_rays
from spectok.simulate._grid import LIGHT
from spectok.simulate._instrument import Instrument
from spectok.simulate._scene import Scene
from spectok.simulate._signal import draw_snr

__all__ = ["Observation", "as_seen", "expose", "join", "noise_taps"]

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
        Flux per unit of the scene, for a second observation of the same object.
    family : `torch.Tensor` of int64, shape (n,)
        Place in ``names`` of the family of each object.
    labels : dict of str to `torch.Tensor`, shape (n,)
        Those of the scene, and ``snr``.
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
    """One observation of the objects of several."""
    return replace(
        parts[0],
        **{name: torch.cat([getattr(part, name) for part in parts]) for name in _ROWS},
        labels={key: torch.cat([p.labels[key] for p in parts]) for key in parts[0].labels},
    )


def expose(
    scene: Scene,
    instrument: Instrument,
    generator: torch.Generator,
    *,
    snr: float | Sequence[float] | None = None,
    level: Tensor | None = None,
) -> Observation:
    """Observe the objects of a scene.

    Parameters
    ----------
    scene : `~spectok.simulate._scene.Scene`
    instrument : `~spectok.simulate._instrument.Instrument`
    generator : `torch.Generator`
    snr : float or (float, float), optional
        Median signal to noise per pixel, or the range from which its logarithm is drawn
        uniformly; by default as in the survey.
    level : `torch.Tensor`, shape (n,), optional
        That of another observation of the same objects; ``snr`` is then not used.

    Returns
    -------
    observation : Observation
    """
    device, n = generator.device, len(scene.flux)
    traits = instrument.traits

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, device=device)

    truth = as_seen(scene, instrument)
    valid = _known(scene, instrument)

    # How bright the night was: smooth sky and lines each have their own scatter.
    dark = 10 ** (traits["scatter"] * normal(n, 2))
    floor, line, source = (instrument.tensor(name, device) for name in ("floor", "line", "source"))
    empty = torch.addcmul(dark[:, :1] * floor, dark[:, 1:], line)
    empty *= _sky_scatter(instrument, n, generator)
    if level is None:
        wanted = draw_snr(snr, traits["snr"], scene.labels["kind"], generator)
        # Where snr^2 = level^2 / (empty + source * level) at the median pixel.
        photon = source.median()
        half = 0.5 * wanted**2 * photon
        median = half + torch.sqrt(half**2 + wanted**2 * empty[:, ::5].median(1)[0])
        level = median / _median(truth, valid)
    air, divided = air_left(instrument, n, generator)
    truth *= calibration(instrument, n, generator).sub_(air).exp_()
    truth *= level[:, None]

    photons = source * truth.clamp(min=0)
    if divided is not None:
        # Fewer photons came through the air; dividing by its transmission keeps their noise.
        through = torch.exp(-divided)
        photons = photons / through
        empty = empty / through**2
        valid &= through > 0.5
    sigma = (empty + photons).sqrt_()
    # The true noise departs from the stated one, that of the sky otherwise than the photons'.
    wrong = traits["error"] * torch.exp(traits["error_scatter"] * normal(n, 1))
    if traits["photon_error"] == traits["error"]:
        actual = wrong * sigma
    else:
        ratio = (traits["photon_error"] / traits["error"]) ** 2
        actual = torch.add(empty, photons, alpha=ratio).sqrt_().mul_(wrong)
    if traits["dither"]:
        # Two exposures are interleaved, one better than the other.
        better = 1 + traits["dither"] * normal(n, 1).clamp(-2, 2)
        for spread in (sigma, actual):
            spread[:, ::2] *= better
            spread[:, 1::2] /= better
    flux = torch.addcmul(truth, _noise(instrument, n, generator), actual)
    flux += _sky_left(instrument, dark[:, 1:], generator)
    noticed = cosmic_rays(flux, sigma, traits["cosmic"], generator)
    valid &= instrument.tensor("detector", device)
    valid &= ~(noticed | bad_pixels(instrument, n, generator))
    thin = slice(None), slice(None, None, 5)
    shown = _median(truth[thin].abs() / sigma[thin], valid[thin], 1)
    labels = {**scene.labels, "snr": shown}
    return Observation(
        instrument, truth, flux, sigma, actual, valid, level, scene.family, labels, scene.names
    )


def as_seen(scene: Scene, instrument: Instrument) -> Tensor:
    """Mean flux density in each pixel after the line-spread function, (n, L)."""
    device = scene.flux.device
    out = torch.empty((len(scene.flux), len(instrument.wavelength)), device=device)
    # Families stand one after the other, ordered by their blur.
    counts = torch.bincount(scene.family, minlength=len(scene.blur)).tolist()
    start = 0
    for value, same in groupby(zip(scene.blur, counts, strict=True), key=itemgetter(0)):
        stop = start + sum(count for _, count in same)
        if stop > start:
            columns, weights = instrument.response(value, device)
            # One sparse product for all: rows of the transposed spectra, weighted and summed.
            seen = embedding_bag(
                columns,
                scene.flux[start:stop].t().contiguous(),
                per_sample_weights=weights,
                mode="sum",
            )
            out[start:stop] = seen.t()
        start = stop
    return out


def _known(scene: Scene, instrument: Instrument) -> Tensor:
    """Where the templates say something, (n, L)."""
    device = scene.flux.device
    place = torch.tensor(instrument.wavelength, device=device).log10()
    reach = 3 * float(instrument.lsf.max()) / LIGHT * 0.4343
    valid = (place > scene.low[:, None] + reach) & (place < scene.high[:, None] - reach)
    shift = (1 + scene.labels["redshift"]).log10()
    for number, gaps in enumerate(scene.gaps):
        if not gaps:
            continue
        mine = (scene.family == number)[:, None]
        for low, high in gaps:
            inside = (place > low + shift[:, None] - reach) & (
                place < high + shift[:, None] + reach
            )
            valid &= ~(inside & mine)
    return valid


def _median(values: Tensor, valid: Tensor, step: int = 5) -> Tensor:
    """Median over every so many valid pixels, (n,); 1 where it is not positive."""
    values, valid = values[:, ::step], valid[:, ::step]
    middle = torch.where(valid, values, float("nan")).nanmedian(1)[0].nan_to_num(1.0)
    return torch.where(middle > 0, middle, 1.0)


def noise_taps(instrument: Instrument) -> list[float]:
    """Weights of the moving average that makes neighbours share noise; their squares sum to 1."""
    # What shares less than this with its neighbours is white for all purposes.
    taps = torch.tensor([t for t in instrument.traits["taps"] if abs(t) > 0.03])
    return (taps / taps.square().sum().sqrt()).tolist()


def _noise(instrument: Instrument, n: int, generator: torch.Generator) -> Tensor:
    """Noise of unit variance, shared by neighbours as resampling shares it; (n, L)."""
    taps = noise_taps(instrument)
    length = len(instrument.wavelength)
    white = torch.randn((n, length + len(taps) - 1), generator=generator, device=generator.device)
    out = taps[0] * white[:, :length]
    for k, tap in enumerate(taps[1:], 1):
        out.add_(white[:, k : k + length], alpha=tap)
    return out


def _sky_scatter(instrument: Instrument, n: int, generator: torch.Generator) -> Tensor:
    """Factors on the variances without an object: no two skies are alike, nor fibres; (n, L)."""
    device, length = generator.device, len(instrument.wavelength)
    # One fixed pattern, begun anywhere: new noise for every spectrum would teach no more.
    pattern = instrument.roughness(device).as_strided((length, length), (1, 1))
    start = torch.randint(length, (n,), generator=generator, device=device)
    nodes = 0.08 * torch.randn((n, 1, 10), generator=generator, device=device)
    smooth = interpolate(nodes.exp(), size=length, mode="linear", align_corners=True)[:, 0]
    # Some fibres' skies are known better than others'.
    strength = 0.5 + 1.5 * torch.rand((n, 1), generator=generator, device=device)
    return pattern[start].mul_(strength).add_(1).clamp_(min=0.2).mul_(smooth)


def _sky_left(instrument: Instrument, bright: Tensor, generator: torch.Generator) -> Tensor:
    """What the subtraction of sky lines left: lines too strong, too weak, or shifted; (n, L)."""
    device, n = generator.device, len(bright)
    # Photons make variance at the rate of the source term, so this is the sky's flux.
    sky = instrument.tensor("line", device) / instrument.tensor("source", device)
    # An extra tenth of the lines' width in shift is a tenth of their derivative.
    slope = torch.cat([torch.gradient(sky[a:b])[0] for a, b in instrument.arms])
    draw = torch.randn((3, n, 1), generator=generator, device=device)
    # Now and then a night goes badly.
    amount = instrument.traits["sky"] * bright * 10 ** (0.35 * draw[2]) * draw[:2]
    return torch.addcmul(amount[0] * sky, amount[1], slope)
