"""Exposure of objects to an instrument: pixels, calibration, noise and faults."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from spectok.simulate._fine_grid import LIGHT
from spectok.simulate._sample import Sample
from spectok.simulate.instruments._instrument import Instrument
from spectok.simulate.instruments._noise import (
    correlated_noise,
    draw_snr,
    sky_residuals,
    without_object,
)
from spectok.simulate.instruments._observation import Observation
from spectok.simulate.instruments._systematics import (
    air_left,
    bad_pixels,
    calibration,
    cosmic_rays,
)

__all__ = ["as_seen", "expose"]


def expose(
    sample: Sample,
    instrument: Instrument,
    generator: torch.Generator,
    *,
    snr: float | Sequence[float] | None = None,
    level: Tensor | None = None,
) -> Observation:
    """Observe the objects of a sample.

    Parameters
    ----------
    sample : `~spectok.simulate._sample.Sample`
    instrument : `~spectok.simulate.instruments._instrument.Instrument`
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
    device, n = generator.device, len(sample.flux)
    traits = instrument.traits

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, device=device)

    truth = as_seen(sample, instrument)
    valid = _known(sample, instrument)

    empty, source, bright = without_object(instrument, n, generator)
    added = torch.tensor(traits.get("share", 0.0), device=device)
    if level is None:
        wanted = draw_snr(snr, traits["snr"], sample.labels["kind"], generator)
        photon = source.expand(n, -1)[:, ::5].median(1)[0] if source.ndim > 1 else source.median()
        # The error that the pipeline adds, but for as much as lets that S/N be reached.
        added = torch.minimum(0.9 / wanted, added)
        # Where snr^2 = level^2 / (empty + source * level + (added level)^2) at the median pixel.
        square = wanted**2 / (1 - (added * wanted) ** 2)
        half = 0.5 * square * photon
        median = half + torch.sqrt(half**2 + square * empty[:, ::5].median(1)[0])
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
    if instrument.detail:
        # More so on sky lines, where their subtraction fails, in some spectra more than in others.
        failing = torch.exp(0.6 * normal(n, 1) - 0.35)
        usual, excess = (instrument.tensor(name, device) for name in ("wrong", "excess"))
        actual = torch.addcmul(usual, failing, usual * excess).mul_(wrong).mul_(sigma)
    elif traits["photon_error"] == traits["error"]:
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
    noise = correlated_noise(instrument, n, generator).mul_(actual)
    flux = truth + noise
    if instrument.detail:
        # Errors are reckoned from the photons that came, those of the noise among them.
        stated = sigma.square_()
        least = 0.25 * stated
        stated.addcmul_(source, noise, value=traits["echo"])
        torch.maximum(stated, least, out=stated)
        extra = torch.mul(added[..., None], truth, out=least)
        sigma = stated.addcmul_(extra, extra).sqrt_()
    flux += sky_residuals(instrument, bright, generator)
    noticed = cosmic_rays(flux, sigma, traits["cosmic"], generator)
    valid &= instrument.tensor("detector", device)
    valid &= ~(noticed | bad_pixels(instrument, n, generator))
    thin = slice(None), slice(None, None, 5)
    shown = _median(truth[thin].abs() / sigma[thin], valid[thin], 1)
    labels = {**sample.labels, "snr": shown}
    return Observation(
        instrument, truth, flux, sigma, actual, valid, level, sample.family, labels, sample.names
    )


def as_seen(sample: Sample, instrument: Instrument) -> Tensor:
    """Mean flux density in each pixel after the line-spread function, (n, L)."""
    device = sample.flux.device
    out = torch.empty((len(sample.flux), len(instrument.wavelength)), device=device)
    # Families stand one after the other, ordered by their line-spread function.
    counts = torch.bincount(sample.family, minlength=len(sample.lsf_sigma)).tolist()
    start = 0
    for value, same in groupby(zip(sample.lsf_sigma, counts, strict=True), key=itemgetter(0)):
        stop = start + sum(count for _, count in same)
        if stop > start:
            columns, weights = instrument.response(value, device)
            # One sparse product for all: rows of the transposed spectra, weighted and summed.
            seen = embedding_bag(
                columns,
                sample.flux[start:stop].t().contiguous(),
                per_sample_weights=weights,
                mode="sum",
            )
            out[start:stop] = seen.t()
        start = stop
    return out


def _known(sample: Sample, instrument: Instrument) -> Tensor:
    """Where the templates say something, (n, L)."""
    device = sample.flux.device
    place = torch.tensor(instrument.wavelength, device=device).log10()
    reach = 3 * float(instrument.lsf.max()) / LIGHT * 0.4343
    valid = (place > sample.low[:, None] + reach) & (place < sample.high[:, None] - reach)
    shift = (1 + sample.labels["redshift"]).log10()
    for number, gaps in enumerate(sample.gaps):
        if not gaps:
            continue
        mine = (sample.family == number)[:, None]
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
