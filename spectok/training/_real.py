"""Real spectra from a pack, augmented (no astropy here)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.polynomial import chebyshev

from spectok._batch import PatchLayout, Prepared, SpectrumBatch
from spectok.training._packed import first_of_segments
from spectok.training._window import Drawn, choose_window

__all__ = ["RealSpectra"]


class RealSpectra:
    """Real spectra with augmentation.

    Moved in wavelength, multiplied by smooth calibration waves, with noise added on top of
    their own: what an object would look like in another observation.

    Parameters
    ----------
    arrays : mapping of str to array
        What `pack_spectra` returned, or `open_pack`: a pack may be larger than the memory.
    surveys : sequence of str
        Names of the numbers that stand for the surveys.
    device : str or `torch.device`
        Where spectra are augmented.

    Examples
    --------
    >>> import numpy as np
    >>> from spectok.training import RealSpectra, pack_spectra
    >>> ones = np.ones(640)
    >>> real = RealSpectra(pack_spectra([(0, 4000 + ones.cumsum(), ones, ones, ones > 0)]))
    >>> drawn = real.draw(np.random.default_rng(1), "sdss", n=3, n_patches=10, patch_size=32)
    >>> drawn.seen.flux.shape
    torch.Size([3, 320])
    """

    def __init__(
        self,
        arrays: Mapping[str, np.ndarray],
        surveys: Sequence[str] = ("sdss", "desi", "galah", "apogee"),
        *,
        device: str | torch.device = "cpu",
    ) -> None:
        self.arrays, self.device = arrays, torch.device(device)
        code = np.asarray(arrays["spectra.survey"])
        self.rows = {name: np.flatnonzero(code == k) for k, name in enumerate(surveys)}
        # Where the segments of each spectrum begin among all segments.
        self.first = first_of_segments(arrays)
        self.segments = np.searchsorted(self.first, arrays["spectra.offset"])

    def spectrum(self, row: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """One spectrum as it was observed.

        Parameters
        ----------
        row : int
            Its number in the pack.

        Returns
        -------
        wavelength, flux, sigma : `numpy.ndarray` of float64, shape (L,)
            Vacuum Angstrom; flux and its error over the spectrum's median absolute flux.
        valid : `numpy.ndarray` of bool, shape (L,)
            True for good pixels.
        """
        start, stop = (int(n) for n in self.arrays["spectra.offset"][row : row + 2])
        first, last = self.segments[row : row + 2]
        ends = np.append(self.first[first:last], stop)
        wavelength = [
            np.exp(chebyshev.chebval(np.linspace(-1, 1, n), coefficients))
            for n, coefficients in zip(
                np.diff(ends), self.arrays["spectra.grid"][first:last], strict=True
            )
        ]
        flux, sigma = (
            np.array(self.arrays[f"spectra.{name}"][start:stop], float)
            for name in ("flux", "sigma")
        )
        return np.concatenate(wavelength), flux, sigma, sigma > 0

    def draw(
        self, rng: np.random.Generator, survey: str, n: int, n_patches: int, patch_size: int
    ) -> Drawn:
        """N random spectra of a survey, each cut to a window of its own, augmented.

        Parameters
        ----------
        rng : `numpy.random.Generator`
            Its state alone decides what comes.
        survey : str
            One of ``surveys``.
        n : int
            Number of spectra.
        n_patches, patch_size : int
            Patches of a window at the most, but for those that a gap in the grid cuts, and
            pixels of a patch.

        Returns
        -------
        drawn : Drawn
            On the device of this source.

        Raises
        ------
        ValueError
            Where the pack has no spectrum of the survey.
        """
        rows = self.rows.get(survey, np.empty(0, int))
        if not len(rows):
            raise ValueError(
                f"there is no spectrum of {survey!r} in the pack: leave its real spectra out of "
                "the mixture"
            )
        parts = []
        for row in rng.choice(rows, n).tolist():
            wavelength, flux, sigma, valid = self.spectrum(row)
            window, _ = choose_window(rng, wavelength, valid, n_patches * patch_size)
            layout = PatchLayout.of(wavelength[window], patch_size)
            parts.append(Prepared(layout, flux[window], sigma[window], valid[window]))
        seen = self._augment(rng, survey, SpectrumBatch.of(parts).to(self.device))
        return Drawn(seen, seen, noiseless=False)

    def _augment(
        self, rng: np.random.Generator, survey: str, batch: SpectrumBatch
    ) -> SpectrumBatch:
        n = len(batch.flux)
        noise = torch.Generator(self.device)
        noise.manual_seed(int(rng.integers(2**62)))
        # Every grid keeps its shape: a shift in velocity is a factor on the wavelength.
        wide = 2e-2 if survey in ("sdss", "desi") else 3e-4
        stretched = 1 + rng.normal(0.0, wide, n) * (rng.random(n) < 0.7)
        wavy, tilted = rng.normal(0.0, 0.15, (n, 4)), rng.normal(0.0, 0.4, n)
        noisier = 10 ** rng.uniform(-1.0, 0.6, n) * (rng.random(n) < 0.5)
        factor, waves, slope, extra = (
            torch.from_numpy(a).to(self.device).unsqueeze(-1)
            for a in (stretched, wavy, tilted, noisier)
        )
        low, high = batch.wavelength.amin(1, True), batch.wavelength.amax(1, True)
        place = ((batch.wavelength - low) / (high - low).clamp(min=1e-9)).float()
        number = torch.arange(1, 5, device=self.device)
        wave = (torch.sin(torch.pi * place.unsqueeze(-1) * number) @ waves.float()).squeeze(-1)
        gain = torch.exp(wave + slope.float() * (place - 0.5))
        deviate = torch.randn(batch.flux.shape, generator=noise, device=self.device)
        extra = extra.float()
        flux = (batch.flux + extra * batch.sigma * deviate) * gain
        sigma = batch.sigma * torch.hypot(torch.ones_like(extra), extra) * gain
        return SpectrumBatch(
            torch.where(batch.valid, flux, 0.0),
            torch.where(batch.valid, sigma, 1.0),
            batch.wavelength * factor,
            batch.valid,
        )
