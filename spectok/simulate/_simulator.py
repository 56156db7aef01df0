"""Simulator: mock observations as tensors, by the thousand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spectok._deprecated import renamed_argument, warn_deprecated
from spectok.simulate._fine_grid import FINE, FineGrid
from spectok.simulate._sample import KINDS, Sample
from spectok.simulate.instruments._exposure import expose
from spectok.simulate.instruments._instrument import Instrument
from spectok.simulate.instruments._observation import Observation, join
from spectok.simulate.instruments._spectrographs import instrument
from spectok.simulate.objects._analytic import analytic_templates
from spectok.simulate.objects._family import Family
from spectok.simulate.objects._same_stars import draw_across, emulators_across
from spectok.simulate.objects._sampling import draw_sample
from spectok.simulate.objects._templates import Templates

__all__ = ["Simulator"]

_CHUNK = 64
# Names of the last release.
_OLD = {"scene": "sample", "scenes": "samples", "strange": "extra_lines"}
# How often each kind is drawn where all are observed.
_SHARES = {"galaxy": 0.4, "quasar": 0.3, "star": 0.3}


class Simulator:
    """Mock observations of one set of objects through one or more instruments, on any device.

    Parameters
    ----------
    *instruments : str or `Instrument`
        What the objects are observed with: names that `~spectok.simulate.instrument` knows, or
        instruments of one's own. Those of one family of wavelengths (SDSS, BOSS and DESI)
        observe all kinds of objects; of different ones (GALAH and APOGEE) the same stars, drawn
        by their labels.
    templates : `~spectok.simulate.Templates`, optional
        Default: analytic ones.
    kind : str, optional
        ``"galaxy"``, ``"quasar"`` or ``"star"``; by default all that the survey observes.
    extra_lines : float
        Share of the objects that get a few lines which no template has, so that a model cannot
        learn that there are none: for training.
    device : str or `torch.device`
        Where everything is computed.

    Raises
    ------
    ValueError
        - Without an instrument.
        - For a kind that is none, or has no template.
        - For instruments of different wavelengths without emulators of the same stars.
        - For instruments of different wavelengths that are to share other objects than stars.

    Examples
    --------
    >>> from spectok import simulate
    >>> simulator = simulate.Simulator("sdss", "desi")
    >>> sdss, desi = simulator.observe(10, seed=1)
    >>> desi.flux.shape
    torch.Size([10, 7781])
    """

    @renamed_argument("strange", "extra_lines")
    def __init__(
        self,
        *instruments: str | Instrument,
        templates: Templates | None = None,
        kind: str | None = None,
        extra_lines: float = 0.0,
        device: str | torch.device = "cpu",
    ) -> None:
        self.instruments = [instrument(i) if isinstance(i, str) else i for i in instruments]
        self.device, self.extra_lines = torch.device(device), extra_lines
        if not self.instruments:
            raise ValueError("a simulator needs at least one instrument, such as 'desi'")
        self.fine = self.instruments[0].grid
        names = [_family_of(one) for one in self.instruments]
        name = names[0]
        observers = ", ".join(one.name for one in self.instruments)
        if len(set(names)) > 1 and kind not in (None, "star"):
            raise ValueError(
                f"{observers} do not observe the same "
                f"wavelengths, so they can only share stars, by their labels, and no {kind}"
            )
        templates = analytic_templates() if templates is None else templates
        families = templates.families(name, self.fine, self.device)
        if kind is not None and kind not in KINDS:
            raise ValueError(f"kind must be {', '.join(KINDS)}, not {kind!r}")
        self.families = [f for f in families if kind in (None, f.kind)]
        # Those that need the same response stand together.
        self.families.sort(key=lambda family: family.lsf_sigma)
        if not families:
            raise ValueError(
                f"no template covers {self.instruments[0].name}, only {sorted(templates.about)}: "
                "files behind GALAH's are in no public place, give build_templates their folder"
            )
        if not self.families:
            seen = ", ".join(sorted({f.kind for f in families}))
            raise ValueError(
                f"no template of kind {kind!r} for {self.instruments[0].name}, which observes "
                f"{seen}"
            )
        weights = {k: sum(f.about["weight"] for f in self.families if f.kind == k) for k in KINDS}
        self.shares = [
            _SHARES[f.kind] * f.about["weight"] / weights[f.kind] for f in self.families
        ]
        # Where the instruments see different wavelengths: the same stars by their labels.
        self.across: dict[FineGrid, Family] = {}
        if len(set(names)) > 1:
            grids = {one.grid: known for one, known in zip(self.instruments, names, strict=True)}
            self.across = emulators_across(templates, grids, self.device, observers)
            self.families, self.shares = [self.across[self.fine]], [1.0]

    def observe(
        self, n: int, *, seed: int = 0, snr: float | Sequence[float] | None = None
    ) -> list[Observation]:
        """Observe n objects with each instrument.

        Parameters
        ----------
        n : int
            Number of objects.
        seed : int
            The same seed gives the same objects; the first of many are those of few.
        snr : float or (float, float), optional
            Median signal to noise per pixel with the first instrument, or the range it is drawn
            from; by default as in the survey. An instrument of other wavelengths than the first
            has one of its own from the same range.

        Returns
        -------
        observations : list
            One per instrument, of the same objects; what the first sees does not depend on the
            others. Each has tensors of shape (n, L): ``truth`` (noise-free), ``flux``,
            ``sigma`` (the stated error), ``true_sigma`` and ``valid``; ``labels``, a dict of
            tensors of shape (n,); ``families``, the names of the templates' families;
            ``instrument``, whose ``wavelength`` they are on; and rows of it are one, too.

        Raises
        ------
        ValueError
            For n below 1, or a signal to noise that is not positive and finite.
        """
        chunks = []
        for generator, order in self.chunks(n, seed):
            chunk = self.draw(len(order), generator, snr=snr)
            chunks.append([one[order] for one in chunk])
        return [join(one)[:n] for one in zip(*chunks, strict=True)]

    def chunks(self, n: int, seed: int) -> Iterator[tuple[torch.Generator, Tensor]]:
        """Generators of random numbers for at least n objects, and the order that mixes each's.

        Parameters
        ----------
        n : int
            Least number of objects.
        seed : int
            The same seed gives the same generators; more objects, more of them.

        Yields
        ------
        generator : `torch.Generator`
            From which as many objects are to be drawn as ``order`` has.
        order : `torch.Tensor` of int64
            In which they are handed out; objects are drawn family by family.

        Raises
        ------
        ValueError
            For n below 1.
        """
        if n < 1:
            raise ValueError(f"n must be at least 1, not {n}")
        for number in range(-(-n // _CHUNK)):
            generator = torch.Generator(self.device)
            # A state of 32 bits is all that torch takes; consecutive seeds must share no chunk.
            state = np.random.SeedSequence((int(seed), number)).generate_state(1)
            generator.manual_seed(int(state[0]))
            yield generator, torch.randperm(_CHUNK, generator=generator, device=self.device)

    def draw(
        self,
        n: int,
        generator: torch.Generator,
        *,
        snr: float | Sequence[float] | None = None,
    ) -> list[Observation]:
        """Observe n objects drawn from a generator: what a training step calls.

        Parameters
        ----------
        n : int
            Number of objects.
        generator : `torch.Generator`
            On this simulator's device.
        snr : float or (float, float), optional
            As for `observe`.

        Returns
        -------
        observations : list
            One per instrument, as from `observe`, of the same objects, family by family.

        Raises
        ------
        ValueError
            For a signal to noise that is not positive and finite.
        """
        samples = self.samples(n, generator)
        first = expose(samples[self.fine], self.instruments[0], generator, snr=snr)
        rest = [
            # How bright a star is at other wavelengths its labels do not tell.
            expose(samples[other.grid], other, generator, level=first.level)
            if other.grid == self.fine
            else expose(samples[other.grid], other, generator, snr=snr)
            for other in self.instruments[1:]
        ]
        return [first, *rest]

    def samples(self, n: int, generator: torch.Generator) -> dict[FineGrid, Sample]:
        """The same n objects on the fine grid of every instrument, drawn from the generator.

        Parameters
        ----------
        n : int
            Number of objects.
        generator : `torch.Generator`
            On this simulator's device.

        Returns
        -------
        samples : dict of `~spectok.simulate._fine_grid.FineGrid` to Sample
            One where all instruments see the same wavelengths; else one for each kind of
            instrument, the stars of which have the same labels, velocities and rotation.
        """
        if not self.across:
            return {self.fine: self.sample(n, generator)}
        at_rest = {
            grid: all(i.traits.get("at_rest", False) for i in self.instruments if i.grid == grid)
            for grid in self.across
        }
        return draw_across(
            self.across, n, generator, at_rest=at_rest, extra_lines=self.extra_lines
        )

    @property
    def at_rest(self) -> bool:
        """Whether stars' velocities have been taken out of what all instruments show."""
        return all(i.traits.get("at_rest", False) for i in self.instruments)

    @renamed_argument("nudge", "perturb")
    def sample(
        self, n: int, generator: torch.Generator, *, perturb: tuple[str, float] | None = None
    ) -> Sample:
        """The objects that `draw` observes, drawn first from the generator.

        Parameters
        ----------
        n : int
            Number of objects.
        generator : `torch.Generator`
            On this simulator's device.
        perturb : (str, float), optional
            As `~spectok.simulate.objects._sampling.draw_sample` takes it.

        Returns
        -------
        sample : `~spectok.simulate._sample.Sample`
            Their spectra on the fine grid, free of noise, and their labels.
        """
        return draw_sample(
            self.families,
            self.shares,
            self.fine,
            n,
            generator,
            at_rest=self.at_rest,
            extra_lines=self.extra_lines,
            perturb=perturb,
        )

    def __getattr__(self, name: str) -> Any:
        if name not in _OLD:
            raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")
        warn_deprecated(
            f"Simulator.{name} is called {_OLD[name]} since spectok 0.2; "
            "the old name goes with 0.3"
        )
        return getattr(self, _OLD[name])


def _family_of(one: Instrument) -> str:
    """Name of the wavelengths that an instrument sees, or a ValueError."""
    for name, grid in FINE.items():
        if one.grid == grid:
            return name
    raise ValueError(
        f"{one.name} has a fine grid of its own, on which there is no template: take the grid of "
        "one of the surveys' instruments"
    )
