"""Mock observations to learn from: noise in, truth out (no astropy here, and no simulator)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import torch

from spectok._batch import PatchLayout
from spectok.training._window import Drawn, choose_window, lay_out

__all__ = ["MockSpectra", "ObjectSimulator"]


class ObjectSimulator(Protocol):
    """What draws objects and observes them, such as `spectok.simulate.Simulator`."""

    device: torch.device

    def draw(
        self, n: int, generator: torch.Generator, *, snr: tuple[float, float] | None = None
    ) -> Sequence[Any]:
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
        For each survey its simulators, each with its relative share of the spectra.
    jitter : float
        In half of the spectra all wavelengths are multiplied by one factor near 1, which moves
        the grid by at most this part of a pixel: no grid is always the same, and the object is
        as it would be at another velocity.
    snr : (float, float), optional
        Range of median signal to noise, uniform in the logarithm, for the share ``snr_share``
        of all draws; the others are as bright as the survey's objects, most of which are faint.
    snr_share : float
        0 to 1; not used where ``snr`` is not given.

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
    >>> drawn = mocks.draw(np.random.default_rng(1), "sdss", n=4, n_patches=100, patch_size=32)
    >>> drawn.noiseless, drawn.seen.flux.shape
    (True, torch.Size([4, 3200]))
    """

    def __init__(
        self,
        simulators: Mapping[str, Sequence[tuple[float, ObjectSimulator]]],
        *,
        jitter: float = 0.5,
        snr: tuple[float, float] | None = None,
        snr_share: float = 0.0,
    ) -> None:
        for survey, found in simulators.items():
            if not found or not all(share > 0 for share, _ in found):
                raise ValueError(
                    f"the simulators of {survey} must be pairs (share, simulator) with positive "
                    f"shares, not {found!r}"
                )
        self.simulators = {survey: list(found) for survey, found in simulators.items()}
        self.jitter, self.snr, self.snr_share = jitter, snr, snr_share

    def draw(
        self, rng: np.random.Generator, survey: str, n: int, n_patches: int, patch_size: int
    ) -> Drawn:
        """N observations of one simulator, cut to one window.

        Parameters
        ----------
        rng : `numpy.random.Generator`
            Its state alone decides what comes, to the last bit and for any number of threads.
        survey : str
            Whose simulators.
        n : int
            Number of spectra.
        n_patches, patch_size : int
            Patches of the window at the most, but for those that a gap in the grid cuts, and
            pixels of a patch.

        Returns
        -------
        drawn : Drawn
            On the simulator's device; no spectrum where not one pixel could be asked for.

        Raises
        ------
        ValueError
            For a survey without a simulator.
        """
        if survey not in self.simulators:
            raise ValueError(
                f"no simulator of {survey!r}, only of {', '.join(self.simulators) or 'nothing'}"
            )
        shares = np.array([share for share, _ in self.simulators[survey]], float)
        _, simulator = self.simulators[survey][rng.choice(len(shares), p=shares / shares.sum())]
        generator = torch.Generator(simulator.device)
        generator.manual_seed(int(rng.integers(2**62)))
        bright = {"snr": self.snr} if self.snr and rng.random() < self.snr_share else {}
        with _one_thread():
            seen, *other = simulator.draw(n, generator, **bright)
        asked = other[0] if other else seen
        grid, other_grid = (np.asarray(o.instrument.wavelength, float) for o in (seen, asked))
        covered, known = (o.valid.any(0).cpu().numpy() for o in (seen, asked))
        pair = () if asked is seen else (other_grid, known)
        window, places = choose_window(rng, grid, covered, n_patches * patch_size, *pair)
        if places is None:
            places = np.arange(len(grid))[window]
        nothing = not len(places)
        if nothing:
            window, places = slice(0, 1), np.arange(1)
        factor = self._factor(rng, grid, n).to(simulator.device)
        layout = PatchLayout.of(grid[window], patch_size)
        batch = lay_out(
            layout, seen.flux[:, window], seen.sigma[:, window], seen.valid[:, window], factor
        )
        if asked is not seen:
            layout = PatchLayout.of(other_grid[places], patch_size)
        columns = torch.from_numpy(places).to(simulator.device)
        target = lay_out(
            layout, asked.truth[:, columns], asked.sigma[:, columns], asked.valid[:, columns],
            factor,
        )  # fmt: skip
        drawn = Drawn(batch, target, noiseless=True)
        # Nothing was good, or the grids had nothing in common: others must be drawn.
        return drawn[:0] if nothing else drawn

    def _factor(self, rng: np.random.Generator, grid: np.ndarray, n: int) -> torch.Tensor:
        pixel = np.median(np.abs(np.diff(grid)) / grid[1:])
        shift = self.jitter * pixel * rng.uniform(-1.0, 1.0, n) * (rng.random(n) < 0.5)
        return torch.from_numpy(1.0 + shift)


@contextmanager
def _one_thread() -> Iterator[None]:
    """The last bits of a matrix product hang on the number of threads; a batch must not."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
