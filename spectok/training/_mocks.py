"""Mock observations as examples: noise in, truth out (no astropy here, and no simulator)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import torch

from spectok.training._data import Example

__all__ = ["MockSpectra", "ObjectSimulator"]


class ObjectSimulator(Protocol):
    """What draws objects and observes them, such as `spectok.simulate.Simulator`."""

    device: torch.device

    def draw(self, n: int, generator: torch.Generator) -> Sequence[Any]:
        """Observe the same n objects with one instrument or more.

        Each observation has ``truth``, ``flux``, ``sigma`` and ``valid``, tensors of shape
        (n, L), and ``instrument.wavelength``, an array of shape (L,).
        """


class MockSpectra:
    """Mock observations of which the encoder sees the noisy flux and is asked for the truth.

    A simulator of one instrument asks for the truth on the grid that is seen, one of two
    instruments for the truth on the second one's grid.

    Parameters
    ----------
    simulators : mapping of str to sequence of (float, ObjectSimulator)
        For each survey its simulators, each with its relative share of the examples.
    jitter : float
        In half of the examples all wavelengths are multiplied by one factor near 1, which moves
        the grid by at most this part of a pixel: no grid is always the same, and the object is
        as it would be at another velocity.
    group : int
        Objects drawn from one simulator at a time: more are faster (on a GPU hundreds), fewer
        mix more instruments into a batch.

    Raises
    ------
    ValueError
        For a survey without simulators, or shares that are not positive.

    Examples
    --------
    >>> import numpy as np
    >>> from spectok.simulate import Simulator
    >>> from spectok.training import MockSpectra
    >>> simulators = [(0.7, Simulator("boss")), (0.3, Simulator("boss", "desi"))]
    >>> mocks = MockSpectra({"sdss": simulators})
    >>> example = mocks.examples(np.random.default_rng(1), "sdss", 4)[0]
    >>> example.noiseless
    True
    """

    def __init__(
        self,
        simulators: Mapping[str, Sequence[tuple[float, ObjectSimulator]]],
        *,
        jitter: float = 0.5,
        group: int = 16,
    ) -> None:
        for survey, found in simulators.items():
            if not found or not all(share > 0 for share, _ in found):
                raise ValueError(
                    f"the simulators of {survey} must be pairs (share, simulator) with positive "
                    f"shares, not {found!r}"
                )
        self.simulators = {survey: list(found) for survey, found in simulators.items()}
        self.jitter, self.group = jitter, group

    def examples(self, rng: np.random.Generator, survey: str, n: int) -> list[Example]:
        """N examples of a survey.

        Parameters
        ----------
        rng : `numpy.random.Generator`
            Its state alone decides what comes, to the last bit and for any number of threads.
        survey : str
        n : int

        Returns
        -------
        examples : list of Example
        """
        if survey not in self.simulators:
            raise ValueError(
                f"no simulator of {survey!r}, only of {', '.join(self.simulators) or 'nothing'}"
            )
        shares = np.array([share for share, _ in self.simulators[survey]], float)
        out: list[Example] = []
        while len(out) < n:
            _, simulator = self.simulators[survey][
                rng.choice(len(shares), p=shares / shares.sum())
            ]
            generator = torch.Generator(simulator.device)
            generator.manual_seed(int(rng.integers(2**62)))
            with _one_thread():
                seen, *other = simulator.draw(min(n - len(out), self.group), generator)
            out += self._pair(rng, seen, other[0] if other else seen)
        return out

    def _pair(self, rng: np.random.Generator, seen: Any, asked: Any) -> Iterator[Example]:
        """Examples of observations of the same objects."""
        grid, other = (np.asarray(o.instrument.wavelength, float) for o in (seen, asked))
        flux, sigma, valid = (a.cpu().numpy() for a in (seen.flux, seen.sigma, seen.valid))
        truth, error, known = (a.cpu().numpy() for a in (asked.truth, asked.sigma, asked.valid))
        pixel = np.median(np.abs(np.diff(grid)) / grid[1:])
        n = len(flux)
        shift = self.jitter * pixel * rng.uniform(-1.0, 1.0, n) * (rng.random(n) < 0.5)
        for i, factor in enumerate(1.0 + shift):
            wavelength = grid * factor
            # Which of the two it is says whether the target has a grid of its own.
            target = wavelength if asked is seen else other * factor
            yield Example(
                wavelength, flux[i], sigma[i], valid[i], target, truth[i], error[i], known[i],
                noiseless=True,
            )  # fmt: skip


@contextmanager
def _one_thread() -> Iterator[None]:
    """The last bits of a matrix product hang on the number of threads; a batch must not."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
