"""Instruments: pixels, line-spread functions, noise terms and the response matrix."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from spectok._deprecated import renamed_argument
from spectok.simulate._fine_grid import LIGHT, FineGrid
from spectok.simulate.instruments._pixel_response import pixel_response

__all__ = ["Instrument"]


@dataclass(frozen=True, eq=False)
class Instrument:
    """Pixels, resolution and noise of one way of observing.

    Parameters
    ----------
    name, survey : str
        What it is called, and whose spectra it takes.
    wavelength : array of float64, shape (L,)
        Pixel centres, vacuum Angstrom; arms one after the other, each ascending.
    arms : tuple of (int, int)
        First and last pixel plus one of each arm.
    grid : `~spectok.simulate._fine_grid.FineGrid`
        Where noise-free spectra are computed before they meet the pixels.
    lsf : array, shape (L,)
        Standard deviation of the line-spread function [km/s].
    floor, line, source : arrays, shape (L,)
        Variance of the flux without an object: read-out and smooth sky, and sky lines [flux^2];
        and that of an object of unit flux [flux].
    detector : array of bool, shape (L,)
        False where no detector lies (APOGEE's gaps).
    telluric : array, shape (L,)
        Optical depth of the air.
    traits : dict
        How the instrument departs from its errors, and how bright its objects are: those of
        `~spectok.simulate.instrument` show the keys that are needed.
    detail : dict of str to array, optional
        What only many spectra tell. Rows of ``nights`` are departures from the terms above [dex]:
        of the floor, of the source term, of each ``group`` of sky lines (L), and of the rows of
        ``curves`` (M, L), smooth curves that scale all; ``shared`` (K, L) are the weights by
        which neighbours share noise, ``wrong`` (L) is the true noise over the stated one beside
        its median, ``excess`` (L) what sky lines add to that, and ``lost`` (L) the
        share of spectra that lack a pixel.

    See Also
    --------
    spectok.simulate.instrument : The instruments of the four surveys.

    Examples
    --------
    >>> from spectok import simulate
    >>> desi = simulate.instrument("desi")
    >>> desi.wavelength.size, desi.arms
    (7781, ((0, 7781),))
    """

    name: str
    survey: str
    wavelength: np.ndarray
    arms: tuple[tuple[int, int], ...]
    grid: FineGrid
    lsf: np.ndarray
    floor: np.ndarray
    line: np.ndarray
    source: np.ndarray
    detector: np.ndarray
    telluric: np.ndarray
    traits: dict
    detail: dict = field(default_factory=dict)
    # Not handed on by dataclasses.replace: it holds what follows from the arrays.
    _cache: dict = field(default_factory=dict, init=False, repr=False)

    def tensor(self, name: str, device: torch.device) -> Tensor:
        """One of the arrays on a device, kept for the next call.

        Parameters
        ----------
        name : str
            Such as ``"lsf"``, or a key of ``detail``.
        device : `torch.device`
            Where it is wanted.

        Returns
        -------
        array : `torch.Tensor`, (L,) but for some of ``detail``
            Of bool or int64 where the array is, else float32.
        """
        key = (name, str(device))
        if key not in self._cache:
            array = self.detail[name] if name in self.detail else getattr(self, name)
            kind = {"b": torch.bool, "i": torch.int64}.get(array.dtype.kind, torch.float32)
            self._cache[key] = torch.tensor(array, dtype=kind, device=device)
        return self._cache[key]

    def roughness(self, device: torch.device) -> Tensor:
        """A fixed run of parts by which variances scatter from pixel to pixel.

        Parameters
        ----------
        device : `torch.device`
            Where it is wanted.

        Returns
        -------
        parts : `torch.Tensor` of float32, shape (2 L,)
            Those of one observation begin anywhere in the first half; 0 is no scatter.
        """
        key = ("rough", str(device))
        if key not in self._cache:
            draw = np.random.default_rng(1959).normal(size=2 * len(self.wavelength))
            draw = np.convolve(draw, self.traits.get("rough_taps", (1.0,)), "same")
            factor = 10 ** (2 * self.traits["rough"] * draw.clip(-3, 3)) - 1
            self._cache[key] = torch.as_tensor(factor, dtype=torch.float32, device=device)
        return self._cache[key]

    def edges(self) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper edge of every pixel: halfway to its neighbours.

        Returns
        -------
        low, high : `numpy.ndarray` of float64, shape (L,)
            Vacuum Angstrom.
        """
        low, high = np.empty_like(self.wavelength), np.empty_like(self.wavelength)
        for start, stop in self.arms:
            centre = self.wavelength[start:stop]
            middle = 0.5 * (centre[1:] + centre[:-1])
            low[start:stop] = np.concatenate([[2 * centre[0] - middle[0]], middle])
            high[start:stop] = np.concatenate([middle, [2 * centre[-1] - middle[-1]]])
        return low, high

    @renamed_argument("blurred", "lsf_sigma")
    def response(self, lsf_sigma: float, device: torch.device) -> tuple[Tensor, Tensor]:
        """Columns of the fine grid that each pixel sees, and their weights.

        A pixel's flux density is the mean over the pixel of the spectrum, a function linear
        between the points of the fine grid, convolved with the line-spread function; in closed
        form, so what leaves one pixel arrives in others and flux is conserved.

        Parameters
        ----------
        lsf_sigma : float
            Standard deviation [km/s] of the line-spread function that is already in the
            spectra: the rest of the instrument's own is applied.
        device : `torch.device`
            Where they are wanted.

        Returns
        -------
        columns : `torch.Tensor` of int64, shape (L, K)
            Points of the fine grid.
        weights : `torch.Tensor` of float32, shape (L, K)
            What each counts for.
        """
        key = ("response", round(lsf_sigma, 3), str(device))
        if key not in self._cache:
            columns, weights = pixel_response(
                self.grid, self.wavelength, *self.edges(), self.lsf, lsf_sigma
            )
            self._cache[key] = (
                torch.as_tensor(columns, device=device),
                torch.as_tensor(weights, dtype=torch.float32, device=device),
            )
        return self._cache[key]

    def calibrated(self) -> Instrument:
        """The same instrument without errors of calibration, telluric residuals and blaze.

        Returns
        -------
        instrument : Instrument
            The truth of its observations is the object itself, as pixels and resolution show it.

        Examples
        --------
        >>> from spectok import simulate
        >>> simulate.instrument("galah").calibrated().traits["wave"]
        0.0
        """
        none = (0.0, 0.0, 0.0)
        quiet = {"arm": none, "wave": 0.0, "blaze": (none,), "telluric": 0.0}
        return replace(self, traits={**self.traits, **quiet})

    def modified(
        self,
        *,
        window: tuple[float, float] | None = None,
        sampling: float = 1.0,
        resolution: float | None = None,
        noise: float = 1.0,
    ) -> Instrument:
        """The same spectrograph with another window, sampling, resolution and noise.

        Parameters
        ----------
        window : (float, float), optional
            Wavelengths kept [vacuum Angstrom].
        sampling : float
            Pixels are this many times as wide; photons go with the width.
        resolution : float, optional
            Resolving power (full width at half maximum); where the instrument's own is lower
            it stays.
        noise : float
            Standard deviations are this many times as large.

        Returns
        -------
        instrument : Instrument
            Another one; this one stays as it is.

        Raises
        ------
        ValueError
            For factors that are not positive, or a window that keeps fewer than 32 pixels.

        Examples
        --------
        >>> from spectok import simulate
        >>> coarse = simulate.instrument("desi").modified(window=(4000.0, 7000.0), sampling=2.0)
        >>> coarse.wavelength.size
        1875
        """
        for name, value in (("sampling", sampling), ("resolution", resolution), ("noise", noise)):
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be positive, not {value}")
        low, high = window or (0.0, np.inf)
        wavelength, nearest, arms, kept, start = [], [], [], [], 0
        for number, (first, last) in enumerate(self.arms):
            old = self.wavelength[first:last]
            # Centres of pixels each made of `sampling` old ones.
            place = 0.5 * (sampling - 1) + sampling * np.arange(int(len(old) / sampling))
            place = place[(place >= 0) & (place <= len(old) - 1)]
            new = np.interp(place, np.arange(len(old)), old)
            inside = (new >= low) & (new <= high)
            if inside.sum() > 1:
                wavelength.append(new[inside])
                nearest.append(first + np.rint(place[inside]).astype(int))
                arms.append((start, start + int(inside.sum())))
                kept.append(number)
                start = arms[-1][1]
        if start < 32:
            raise ValueError(
                f"the window {low:g} to {high:g} Angstrom leaves {start} pixels of "
                f"{self.name} ({self.wavelength.min():.0f} to {self.wavelength.max():.0f} "
                "Angstrom); at least 32 are needed"
            )
        near = np.concatenate(nearest)
        lsf = self.lsf[near]
        if resolution is not None:
            lsf = np.maximum(lsf, LIGHT / resolution / 2.3548)
        gain = noise**2 / sampling
        blaze = self.traits["blaze"]
        if len(blaze) > 1:  # one for each arm
            blaze = tuple(blaze[number] for number in kept)
        # What is counted per spectrum or in pixels.
        factor = {
            "cosmic": start * sampling / len(self.wavelength),
            "shift": 1 / sampling,
            "dither": float(sampling == 1),
        }
        changed = {k: self.traits[k] * f for k, f in factor.items() if k in self.traits}
        return replace(
            self,
            name=f"{self.name} modified",
            wavelength=np.concatenate(wavelength),
            arms=tuple(arms),
            lsf=lsf,
            floor=self.floor[near] * gain,
            line=self.line[near] * gain,
            source=self.source[near] * gain,
            detector=self.detector[near],
            telluric=self.telluric[near],
            traits={**self.traits, "blaze": blaze, **changed},
            detail={k: v if k == "nights" else v[..., near] for k, v in self.detail.items()},
        )
