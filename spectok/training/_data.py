"""Batches for pretraining: a pure function of (seed, number), so runs resume exactly."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from spectok._batch import SpectrumBatch
from spectok._deprecated import renamed_argument
from spectok.training._hide import HIDDEN_SHARE, check_hidden, hide, hide_more
from spectok.training._window import Drawn

__all__ = ["Batches", "Source", "TrainingBatch"]

# Parts of a whole spectrum that a batch holds: few, so that few shapes are compiled.
_PARTS = (1.0, 1.0, 1.0, 0.7, 0.5, 0.35, 0.25, 0.18)
_GOOD = 0.1  # least share of good pixels
# Batches that are drawn at once come in the order of this many draws, shuffled.
_SHUFFLED = 64


class Source(Protocol):
    """Anything that hands out spectra of a survey, laid out in patches.

    A protocol: a class with this method is a source, whatever it inherits from.

    See Also
    --------
    Drawn : What it hands out.
    RealSpectra : Real spectra, augmented.
    MockSpectra : Mock observations.

    Examples
    --------
    A source of one's own: spectra in memory, here made up, of an instrument "mine".

    >>> import numpy as np
    >>> from spectok.training import Batches, Drawn
    >>> class Mine:
    ...     def __init__(self):
    ...         self.wavelength = np.linspace(4000.0, 7000.0, 3200)
    ...         self.flux = np.random.default_rng(0).normal(1.0, 0.1, (50, 3200))
    ...     def draw(self, rng, survey, n, n_patches, patch_size):
    ...         flux = self.flux[rng.integers(0, len(self.flux), n)]
    ...         sigma, valid = np.full(flux.shape, 0.1), np.isfinite(flux)
    ...         return Drawn.of(self.wavelength, flux, sigma, valid, patch_size=patch_size,
    ...                         window=(rng, n_patches))
    >>> batches = Batches({"mine": Mine()}, {"mine": {"mine": 1.0}}, patch_size=32,
    ...                   n_tokens=400, seed=1, patches={"mine": 100})
    >>> batches[0].seen.flux.shape[1] <= 3200
    True
    """

    def draw(
        self, rng: np.random.Generator, survey: str, n: int, n_patches: int, patch_size: int
    ) -> Drawn:
        """N spectra of about ``n_patches`` patches, which depend on the generator alone.

        Parameters
        ----------
        rng : `numpy.random.Generator`
            All chance comes from it.
        survey : str
            Whose spectra are wanted.
        n : int
            Number of spectra.
        n_patches, patch_size : int
            Patches of a spectrum at the most, but for those that a gap in the grid cuts, and
            pixels of a patch.

        Returns
        -------
        drawn : Drawn
            The spectra, on any device, as `Drawn.of` makes them of arrays.
        """


@dataclass(frozen=True)
class TrainingBatch:
    """What one pass of the network needs.

    Parameters
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
        Whether the target is free of noise.

    Examples
    --------
    >>> from spectok.simulate import Simulator
    >>> from spectok.training import Batches, MockSpectra
    >>> mocks = MockSpectra({"sdss": [(1.0, Simulator("boss"))]})
    >>> batches = Batches({"mock": mocks}, {"sdss": {"mock": 1.0}}, patch_size=32, n_tokens=300,
    ...                   seed=1)
    >>> batch = batches[0].to("cpu")
    >>> batch.weight.shape == batch.target.flux.shape
    True
    """

    seen: SpectrumBatch
    hidden: Tensor
    target: SpectrumBatch
    weight: Tensor
    noiseless: Tensor

    def to(self, device: torch.device | str) -> TrainingBatch:
        """The same batch on a device.

        Parameters
        ----------
        device : str or `torch.device`
            Where it is wanted.

        Returns
        -------
        batch : TrainingBatch
            With all its tensors there.
        """
        seen = self.seen.to(device)
        return TrainingBatch(
            seen,
            self.hidden.to(device),
            seen if self.target is self.seen else self.target.to(device),
            self.weight.to(device),
            self.noiseless.to(device),
        )


class Batches(Dataset):
    """Numbered training batches, each of one survey, one source and one length.

    Batch ``k`` depends on the seed and on ``k`` alone: shuffling, resuming and splitting over
    workers and ranks are a matter of which numbers are asked for. Spectra of one length leave
    next to no padding; surveys mix in the gradient of a step, over its batches and ranks.

    Parameters
    ----------
    sources : mapping of str to Source
        Where spectra come from, by name.
    mixture : mapping of str to mapping of str to float
        For each survey its sources' names and their relative shares of all tokens, such as
        ``{"sdss": {"real": 0.2, "mock": 0.2}, "galah": {"mock": 0.1}}``.
    patch_size : int
        Pixels of a patch.
    n_tokens : int
        Tokens of a batch.
    seed : int
        The same seed gives the same batches.
    seen_weight : float
        Weight of a noisy pixel that the encoder has seen; a hidden one, and any pixel whose
        truth is known, counts 1. Copying noise teaches nothing.
    hidden_share : (float, float)
        Range of the share of pixels that is hidden in blocks; (0, 0) hides nothing.
    hidden : mapping of str to mapping, optional
        What is hidden beside the blocks: ``patches``, ``stretches`` and ``lines``, such as
        ``{"patches": {"chance": 0.5, "share": (0.3, 0.75), "visible": (0, 2)}}``; each spectrum
        draws by itself, with a ``chance``, whether it has them. Of the patches a ``share`` is
        hidden but for ``visible`` pixels in each; of the spectrum one stretch that covers a
        ``share``, like an arm; and ``{"lines": {"number": (1, 12), "pixels": (8, 48)}}`` hides
        so many windows as wide as lines.
    draw_batches : int
        Batches whose spectra are drawn at once, which then come apart among those of other
        draws. Small batches on a CPU are made faster so; more ranks than one draw for each
        other what they do not need.
    patches : mapping of str to int, optional
        Patches of a whole spectrum of each survey; known for SDSS, DESI, GALAH and APOGEE.

    Raises
    ------
    ValueError
        For a survey of unknown length, for shares that are negative or all zero, for a
        ``hidden`` that means nothing, and, when a batch is asked for, where a source hands out
        nothing that is good.

    Examples
    --------
    >>> from spectok.simulate import Simulator
    >>> from spectok.training import Batches, MockSpectra
    >>> mocks = MockSpectra({"sdss": [(1.0, Simulator("boss"))]})
    >>> batches = Batches({"mock": mocks}, {"sdss": {"mock": 1.0}}, patch_size=32, n_tokens=300,
    ...                   seed=1)
    >>> batch = batches[7]
    >>> batch.hidden.shape == batch.seen.flux.shape
    True
    """

    @renamed_argument("together", "draw_batches")
    def __init__(
        self,
        sources: Mapping[str, Source],
        mixture: Mapping[str, Mapping[str, float]],
        *,
        patch_size: int,
        n_tokens: int,
        seed: int,
        seen_weight: float = 0.2,
        hidden_share: tuple[float, float] = HIDDEN_SHARE,
        hidden: Mapping[str, Mapping[str, Any]] | None = None,
        draw_batches: int = 1,
        patches: Mapping[str, int] | None = None,
    ) -> None:
        self.patches = {**_PATCHES, **(patches or {})}
        unknown = [survey for survey in mixture if survey not in self.patches]
        if unknown:
            raise ValueError(
                f"patches must say how many a whole spectrum of {', '.join(unknown)} has"
            )
        self.sources, self.mixture = dict(sources), dict(mixture)
        lost = {name for shares in mixture.values() for name in shares} - set(self.sources)
        if lost:
            raise ValueError(
                f"the mixture names {', '.join(sorted(lost))}, but the sources are "
                f"{', '.join(self.sources) or 'none'}"
            )
        for survey, own in mixture.items():
            shares = np.array(list(own.values()), float)
            if not (np.isfinite(shares).all() and (shares >= 0).all() and shares.sum() > 0):
                raise ValueError(
                    f"the mixture's shares of {survey} must be numbers of 0 or more, not all 0, "
                    f"not {dict(own)}: leave the survey out if you want nothing of it"
                )
        if not mixture:
            raise ValueError("the mixture names no survey: there is nothing to learn from")
        if draw_batches < 1:
            raise ValueError(f"draw_batches must be at least 1, not {draw_batches}")
        self.patch_size, self.n_tokens, self.seed = patch_size, n_tokens, seed
        self.seen_weight = seen_weight
        self.hidden_share = (hidden_share[0], hidden_share[1])
        self.draw_batches, self.hidden = draw_batches, check_hidden(hidden)
        self._kept: OrderedDict[int, Drawn] = OrderedDict()

    def __getitem__(self, number: int) -> TrainingBatch:
        block, place = divmod(number, self.draw_batches * _SHUFFLED)
        if self.draw_batches > 1:
            order = np.random.default_rng((self.seed, 2, block)).permutation(
                self.draw_batches * _SHUFFLED
            )
            place = int(order[place])
        draw, part = divmod(place, self.draw_batches)
        drawn = self._drawn(block * _SHUFFLED + draw)
        n = -(-len(drawn.seen.flux) // self.draw_batches)
        first = min(part * n, len(drawn.seen.flux) - n)
        return self._hide(np.random.default_rng((self.seed, 1, number)), drawn[first : first + n])

    def _hide(self, rng: np.random.Generator, drawn: Drawn) -> TrainingBatch:
        seen, target = drawn.seen, drawn.target
        shape = (seen.flux.shape[0], seen.flux.shape[1])
        hidden = hide(rng, shape, self.hidden_share)
        if self.hidden:
            hidden |= hide_more(rng, shape, self.patch_size, self.hidden)
        hidden = hidden.to(seen.flux.device)
        weight = torch.ones_like(target.flux)
        if target is seen and not drawn.noiseless:
            weight = torch.where(hidden, weight, self.seen_weight)
        noiseless = torch.full((len(weight), 1), drawn.noiseless, device=weight.device)
        return TrainingBatch(seen, hidden, target, weight, noiseless)

    def _drawn(self, number: int) -> Drawn:
        """What belongs to batches that are drawn at once; the last ones are kept."""
        if number not in self._kept:
            self._kept[number] = self._draw(number)
            while len(self._kept) > (_SHUFFLED if self.draw_batches > 1 else 1):
                self._kept.popitem(last=False)
        self._kept.move_to_end(number)
        return self._kept[number]

    def _draw(self, number: int) -> Drawn:
        rng = np.random.default_rng((self.seed, 0, number))
        shares = [sum(share.values()) for share in self.mixture.values()]
        survey = str(rng.choice(list(self.mixture), p=_normalised(shares)))
        names = list(self.mixture[survey])
        name = str(rng.choice(names, p=_normalised(self.mixture[survey].values())))
        patches = max(round(self.patches[survey] * rng.choice(_PARTS)), 1)
        n = max(round(self.n_tokens / patches), 1) * self.draw_batches
        for _ in range(1 + 1000 // n):
            drawn = self.sources[name].draw(rng, survey, n, patches, self.patch_size)
            # A window without a good pixel teaches nothing.
            parts = (drawn.seen.valid, drawn.target.valid)
            good = torch.stack([v.float().mean(1) > _GOOD for v in parts]).all(0)
            if good.sum() >= min(n, self.draw_batches):
                return drawn if bool(good.all()) else drawn[good]
        raise ValueError(
            f"of {n * (1 + 1000 // n)} {survey} spectra in a row hardly one has one good pixel "
            f"in ten: look at the source {name}"
        )


# Patches of a whole spectrum of each survey.
_PATCHES = {"sdss": 145, "desi": 244, "galah": 512, "apogee": 270}


def _normalised(weights: Iterable[float]) -> np.ndarray:
    weights = np.array(list(weights), float)
    return weights / weights.sum()
