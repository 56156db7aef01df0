"""Batches for pretraining: a pure function of (seed, number), so runs resume exactly."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from spectok._batch import PatchLayout, SpectrumBatch

__all__ = ["Batches", "Example", "Source", "TrainingBatch", "hide"]


@dataclass(frozen=True)
class Example:
    """One spectrum to learn from, arrays of shape (L,).

    Attributes
    ----------
    wavelength, flux, sigma, valid : arrays
        The observation that the encoder sees.
    target_wavelength, target, target_sigma, target_valid : arrays
        What the decoder is asked for, on its own grid.
    noiseless : bool
        Whether ``target`` is free of noise.
    """

    wavelength: np.ndarray
    flux: np.ndarray
    sigma: np.ndarray
    valid: np.ndarray
    target_wavelength: np.ndarray
    target: np.ndarray
    target_sigma: np.ndarray
    target_valid: np.ndarray
    noiseless: bool


class Source(Protocol):
    """Anything that hands out examples of a survey, several at a time."""

    def examples(self, rng: np.random.Generator, survey: str, n: int) -> list[Example]:
        """N examples, which depend on the generator's state alone."""


@dataclass(frozen=True)
class TrainingBatch:
    """What one pass of the network needs.

    Attributes
    ----------
    seen : `~spectok._batch.SpectrumBatch`
        The observations.
    hidden : `torch.Tensor` of bool, shape (N, T * P)
        Pixels withheld from the encoder.
    target : `~spectok._batch.SpectrumBatch`
        The grid and the fluxes asked for.
    weight : `torch.Tensor`, shape (N, S * P)
        What each pixel of the target counts for.
    noiseless : `torch.Tensor` of bool, shape (N, 1)
    """

    seen: SpectrumBatch
    hidden: Tensor
    target: SpectrumBatch
    weight: Tensor
    noiseless: Tensor

    def to(self, device: torch.device | str) -> TrainingBatch:
        """The same batch on a device."""
        return TrainingBatch(
            self.seen.to(device),
            self.hidden.to(device),
            self.target.to(device),
            self.weight.to(device),
            self.noiseless.to(device),
        )


def hide(rng: np.random.Generator, n_pixels: int) -> np.ndarray:
    """Pixels to withhold: blocks, single ones, and at times long gaps; shape (L,), bool."""
    hidden = rng.random(n_pixels) < rng.choice([0.0, 0.02, 0.08])
    share = rng.uniform(0.02, 0.30)
    typical = 12 if rng.random() < 0.6 else int(rng.integers(2, 40))
    for start in rng.integers(0, n_pixels, max(int(share * n_pixels / typical), 1)):
        hidden[start : start + typical] = True
    if rng.random() < 0.15:
        start = int(rng.integers(0, n_pixels))
        hidden[start : start + int(rng.integers(32, 256))] = True
    return hidden


class Batches(Dataset):
    """Numbered training batches of mixed surveys, each of one survey and one length.

    Batch ``k`` depends on the seed and on ``k`` alone: shuffling, resuming and splitting over
    workers and ranks are a matter of which numbers are asked for.

    Parameters
    ----------
    sources : mapping of str to Source
        Where examples come from, by name.
    mixture : mapping of str to mapping of str to float
        For each survey its sources' names and their relative shares of all tokens, such as
        ``{"sdss": {"real": 0.2, "mock": 0.2}, "galah": {"mock": 0.1}}``.
    patch_size : int
        Pixels of a patch.
    n_tokens : int
        Tokens of a batch.
    seed : int
    seen_weight : float
        Weight of a noisy pixel that the encoder has seen; a hidden one, and any pixel whose
        truth is known, counts 1. Copying noise teaches nothing.
    patches : mapping of str to int, optional
        Patches of a whole spectrum of each survey; known for SDSS, DESI, GALAH and APOGEE.
    """

    def __init__(
        self,
        sources: Mapping[str, Source],
        mixture: Mapping[str, Mapping[str, float]],
        *,
        patch_size: int,
        n_tokens: int,
        seed: int,
        seen_weight: float = 0.2,
        patches: Mapping[str, int] | None = None,
    ) -> None:
        self.patches = {**_PATCHES, **(patches or {})}
        unknown = [survey for survey in mixture if survey not in self.patches]
        if unknown:
            raise ValueError(
                f"patches must say how many a whole spectrum of {', '.join(unknown)} has"
            )
        self.sources, self.mixture = dict(sources), dict(mixture)
        self.patch_size, self.n_tokens, self.seed = patch_size, n_tokens, seed
        self.seen_weight = seen_weight

    def __getitem__(self, number: int) -> TrainingBatch:
        rng = np.random.default_rng((self.seed, number))
        shares = [sum(share.values()) for share in self.mixture.values()]
        survey = str(rng.choice(list(self.mixture), p=_normalised(shares)))
        patches = self.patches[survey]
        if rng.random() < 0.5:
            patches = int(patches * rng.uniform(0.15, 1.0))
        n_spectra = max(round(self.n_tokens / patches), 1)
        examples = self._examples(rng, survey, n_spectra, patches * self.patch_size)
        return self.collate(rng, examples)

    def _examples(
        self, rng: np.random.Generator, survey: str, number: int, n_pixels: int
    ) -> list[Example]:
        shares = _normalised(self.mixture[survey].values())
        found: list[Example] = []
        refused = 0
        while len(found) < number:
            counts = rng.multinomial(number - len(found), shares)
            for name, count in zip(self.mixture[survey], counts.tolist(), strict=True):
                drawn = self.sources[name].examples(rng, survey, count) if count else []
                cut = [_window(rng, example, n_pixels) for example in drawn]
                # A window without a good pixel teaches nothing.
                good = [
                    e for e in cut if e and e.valid.mean() > 0.1 and e.target_valid.mean() > 0.1
                ]
                found += good
                refused = 0 if good else refused + count
            if refused >= 1000:
                raise ValueError(
                    f"{refused} {survey} examples in a row have not one good pixel in ten: look "
                    f"at the sources {', '.join(self.mixture[survey])}"
                )
        return found

    def collate(self, rng: np.random.Generator, examples: list[Example]) -> TrainingBatch:
        """Lay the examples out in patches and draw what is hidden."""
        layouts = [PatchLayout.of(e.wavelength, self.patch_size) for e in examples]
        targets = [
            layout
            if e.target_wavelength is e.wavelength
            else PatchLayout.of(e.target_wavelength, self.patch_size)
            for layout, e in zip(layouts, examples, strict=True)
        ]
        seen = SpectrumBatch.from_layouts(
            layouts,
            [e.flux for e in examples],
            [e.sigma for e in examples],
            [e.valid for e in examples],
        )
        target = SpectrumBatch.from_layouts(
            targets,
            [e.target for e in examples],
            [e.target_sigma for e in examples],
            [e.target_valid for e in examples],
        )
        hidden = np.zeros(seen.flux.shape, bool)
        weight = np.ones(target.flux.shape, np.float32)
        for row, (layout, example) in enumerate(zip(layouts, examples, strict=True)):
            places = layout.gather(hide(rng, len(example.wavelength)))
            hidden[row, : len(places)] = places
            if not example.noiseless and example.target_wavelength is example.wavelength:
                weight[row, : len(places)] = np.where(places, 1.0, self.seen_weight)
        noiseless = torch.tensor([[e.noiseless] for e in examples])
        return TrainingBatch(
            seen, torch.from_numpy(hidden), target, torch.from_numpy(weight), noiseless
        )


# Patches of a whole spectrum of each survey.
_PATCHES = {"sdss": 145, "desi": 250, "galah": 512, "apogee": 270}


def _normalised(weights: Iterable[float]) -> np.ndarray:
    weights = np.array(list(weights), float)
    return weights / weights.sum()


def _window(rng: np.random.Generator, example: Example, n_pixels: int) -> Example | None:
    """Cut an example to at most ``n_pixels`` of the part that it covers; None if nothing is."""
    covered = np.flatnonzero(example.valid)
    if not (len(covered) and example.target_valid.any()):
        return None
    same = example.target_wavelength is example.wavelength
    first, last = int(covered[0]), int(covered[-1]) + 1
    if last - first > n_pixels:
        low, high = first, last - n_pixels
        if not same:
            # Around a pixel that is asked for, so that both grids have something in common.
            asked = rng.choice(example.target_wavelength[example.target_valid])
            place = int(np.abs(example.wavelength - asked).argmin())
            low, high = min(max(low, place - n_pixels + 1), high), max(min(high, place), low)
        first = int(rng.integers(low, high + 1))
        last = first + n_pixels
    cut = slice(first, last)
    wavelength = example.wavelength[cut]
    seen = (wavelength, *(a[cut] for a in (example.flux, example.sigma, example.valid)))
    asked = (example.target, example.target_sigma, example.target_valid)
    if same:
        return Example(*seen, wavelength, *(a[cut] for a in asked), noiseless=example.noiseless)
    other = example.target_wavelength
    place = np.flatnonzero((other >= wavelength.min()) & (other <= wavelength.max()))
    if len(place) > n_pixels:
        first = int(rng.integers(0, len(place) - n_pixels + 1))
        place = place[first : first + n_pixels]
    if not len(place):
        return None
    return Example(*seen, other[place], *(a[place] for a in asked), noiseless=example.noiseless)
