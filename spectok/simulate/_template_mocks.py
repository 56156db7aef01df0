"""Mock observations from packed templates, as arrays: for training (no astropy here)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

__all__ = ["Mock", "TemplateMocks"]

SURVEYS = ("sdss", "desi", "galah", "apogee")
_GALAXY, _QUASAR, _STAR, _GALAH_STAR, _APOGEE_STAR = range(5)
# Share of each kind of truth in the mocks of a survey.
_KINDS = {
    "sdss": ((_GALAXY, _QUASAR, _STAR), (0.35, 0.35, 0.30)),
    "desi": ((_GALAXY, _QUASAR, _STAR), (0.40, 0.35, 0.25)),
    "galah": ((_GALAH_STAR,), (1.0,)),
    "apogee": ((_APOGEE_STAR,), (1.0,)),
}
_REDSHIFT = {_GALAXY: (0.0, 1.2), _QUASAR: (0.1, 4.0)}
# Vacuum wavelength [Angstrom] and typical strength against H-beta of the lines that dominate
# optical galaxy spectra (star-forming; the scatter of each mock is far larger).
_NEBULAR = np.array(
    [
        (3727.1, 1.3), (3729.9, 1.7), (3869.9, 0.4), (4102.9, 0.26), (4341.7, 0.47),
        (4862.7, 1.0), (4960.3, 0.7), (5008.2, 2.1), (5877.2, 0.12), (6302.0, 0.1),
        (6549.9, 0.3), (6564.6, 2.9), (6585.3, 0.9), (6718.3, 0.5), (6732.7, 0.4),
    ]
)  # fmt: skip
_LYMAN_ALPHA = 1215.67


@dataclass(frozen=True)
class Mock:
    """One mock observation on one grid, arrays of shape (L,).

    ``flux`` is ``truth`` plus noise of ``sigma``; ``valid`` is False where the template does
    not reach and where pixels were killed.
    """

    wavelength: np.ndarray
    truth: np.ndarray
    flux: np.ndarray
    sigma: np.ndarray
    valid: np.ndarray


class TemplateMocks:
    """Mock observations of template spectra through four surveys' grids and noise.

    Parameters
    ----------
    arrays : mapping of str to array
        The packed templates: ``truth.*``, ``noise.*`` and ``grid.*``.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.arrays = arrays
        kind, group = arrays["truth.kind"], arrays["truth.group"]
        self.members: dict[int, list[np.ndarray]] = {}
        for value in np.unique(kind):
            entries = np.flatnonzero(kind == value)
            groups = group[entries]
            # A star observed in four arms is four entries of one group.
            self.members[int(value)] = (
                [entries[groups == g] for g in np.unique(groups)]
                if (groups >= 0).all()
                else [entries[i : i + 1] for i in range(len(entries))]
            )

    def observe(self, rng: np.random.Generator, survey: str) -> tuple[Mock, Mock | None]:
        """One object through a survey, and, three times in ten, on a second grid as well.

        Parameters
        ----------
        rng : `numpy.random.Generator`
        survey : str
            ``sdss``, ``desi``, ``galah`` or ``apogee``.

        Returns
        -------
        mock : `Mock`
        other : `Mock` or None
            The same object at the same epoch on another grid, noise of its own.
        """
        sky = _Scene(rng, self, survey)
        first = sky.observe(self._grid(rng, survey))
        if rng.random() >= 0.3:
            return first, None
        return first, sky.observe(self._other_grid(rng, survey, first.wavelength))

    def truth_at(self, entries: np.ndarray, rest_wavelength: np.ndarray) -> np.ndarray:
        """Template flux at rest wavelengths; NaN beyond the template."""
        flux, offset = self.arrays["truth.flux"], self.arrays["truth.offset"]
        out = np.full(rest_wavelength.shape, np.nan)
        log_wavelength = np.log10(rest_wavelength)
        for entry in entries:
            values = flux[offset[entry] : offset[entry + 1]]
            place = (log_wavelength - self.arrays["truth.start"][entry]) / self.arrays[
                "truth.step"
            ][entry]
            inside = (place >= 0) & (place < len(values) - 1)
            low = place[inside].astype(np.int64)
            weight = place[inside] - low
            out[inside] = (1 - weight) * values[low] + weight * values[low + 1]
        return out

    def _grid(self, rng: np.random.Generator, survey: str) -> np.ndarray:
        jitter = rng.uniform(-0.5, 0.5) * (rng.random() < 0.5)  # pixels
        if survey == "sdss":
            legacy = rng.random() < 0.5
            low, high = (3.5796, 3.9640) if legacy else (3.5525, 4.0160)
            low, high = np.round(low + rng.uniform(-0.002, 0.002), 4), high
            return 10 ** (np.arange(low, high, 1e-4) + 1e-4 * jitter)
        if survey == "desi" and rng.random() < 0.4:
            return 3600.0 + 0.8 * (np.arange(7781) + jitter)
        if survey == "apogee" and rng.random() < 0.7:
            return 10 ** (4.179 + 6e-6 * (np.arange(8575) + jitter))
        name = "apvisit" if survey == "apogee" else survey
        return self.arrays[f"grid.{name}"] * (1 + 4e-6 * jitter)

    def _other_grid(
        self, rng: np.random.Generator, survey: str, wavelength: np.ndarray
    ) -> np.ndarray:
        """Another survey's grid of the same range, or another window and sampling."""
        if survey in ("sdss", "desi") and rng.random() < 0.5:
            return self._grid(rng, "desi" if survey == "sdss" else "sdss")
        # One arm at random, so that the new grid does not bridge the gaps between arms.
        step = np.diff(wavelength)
        ends = np.flatnonzero((step > 5 * np.median(step)) | (step <= 0)) + 1
        arm = np.split(wavelength, ends)[rng.integers(len(ends) + 1)]
        low, high = np.sort(rng.uniform(arm[0], arm[-1], 2))
        n_pixels = int((high - low) / (np.median(step) * 2 ** rng.uniform(-1.2, 1.2)))
        return np.linspace(low, high, min(max(n_pixels, 64), 8192))


class _Scene:
    """One object under one set of observing conditions; draws all its properties once."""

    def __init__(self, rng: np.random.Generator, mocks: TemplateMocks, survey: str) -> None:
        self.rng, self.mocks, self.survey = rng, mocks, survey
        self.level: float | None = None
        kinds, shares = _KINDS[survey]
        self.kind = int(rng.choice(kinds, p=shares))
        members = mocks.members[self.kind]
        picked = rng.choice(len(members), 2, replace=len(members) < 2)
        self.entries = [members[i] for i in picked]
        blend = self.kind == _GALAXY and rng.random() < 0.5
        self.blend = rng.random() if blend else 0.0
        if self.kind in _REDSHIFT:
            low, high = _REDSHIFT[self.kind]
            self.redshift = rng.uniform(np.sqrt(low), np.sqrt(high)) ** 2
        else:
            self.redshift = rng.normal(0.0, 60.0) / 299792.458
        self.knots = rng.normal(0.0, 1.0, 6) * 10 ** rng.uniform(-2.5, -0.5)
        self.tilt = rng.normal(0.0, 0.7) if self.kind <= _STAR else rng.normal(0.0, 0.2)
        self.lines = self._draw_lines()
        self.forest_seed = int(rng.integers(2**31))
        self.snr = 10 ** rng.normal(*_LOG_SNR[survey])
        # Spectrographs with separate cameras: each arm has its own level, slope and blaze.
        arms = len(_ARMS.get(survey, ())) * (rng.random() < 0.8)
        self.blaze = rng.normal(0.0, 1.0, (arms, 3)) * [0.4, 0.4, 0.4] - [0.0, 0.0, 0.3]

    def _draw_lines(self) -> np.ndarray:
        """Lines (observed wavelength, sigma in km/s, equivalent width in Angstrom)."""
        rng = self.rng
        lines = []
        if self.kind == _GALAXY and rng.random() < 0.6:
            width, strength = 10 ** rng.uniform(1.9, 2.5), 10 ** rng.uniform(-0.5, 1.6)
            scatter = 10 ** rng.normal(0.0, 0.25, len(_NEBULAR))
            centre = _NEBULAR[:, 0] * (1 + self.redshift)
            equivalent = strength * _NEBULAR[:, 1] * scatter * (1 + self.redshift)
            lines.append(np.stack([centre, np.full(len(centre), width), equivalent], 1))
        if rng.random() < 0.4:  # lines that no prior knows: the tokens must carry them
            n, (low, high) = rng.integers(1, 12), _RANGE[self.survey]
            resolution = {"galah": 6.0, "apogee": 7.0}.get(self.survey, 70.0)
            centre = rng.uniform(low, high, n)
            width = resolution * 10 ** rng.uniform(0.0, 0.6, n)
            depth = rng.choice([-1.0, 1.0], n) * 10 ** rng.uniform(-1.5, 0.8, n)
            depth = np.maximum(depth, -0.9)
            equivalent = depth * 2.5 * centre * width / 299792.458
            lines.append(np.stack([centre, width, equivalent], 1))
        return np.concatenate(lines) if lines else np.empty((0, 3))

    def truth(self, wavelength: np.ndarray) -> np.ndarray:
        """Noise-free flux density; NaN where the template does not reach."""
        rest = wavelength / (1 + self.redshift)
        flux = self.mocks.truth_at(self.entries[0], rest)
        if self.blend:
            flux = (1 - self.blend) * flux + self.blend * self.mocks.truth_at(
                self.entries[1], rest
            )
        low, high = _RANGE[self.survey]
        place = (wavelength - low) / (high - low)
        # Reddening and flux calibration: a tilt and a few smooth waves.
        waves = np.sin(np.pi * np.outer(place, np.arange(1, 7))) @ self.knots
        flux = flux * np.exp(self.tilt * (place - 0.5) + np.clip(waves, -2.0, 2.0))
        # Without a blaze there are no rows to go through.
        arms = zip(_ARMS.get(self.survey, ()), self.blaze, strict=False)
        for (low, high), (level, slope, curve) in arms:
            inside = (wavelength >= low) & (wavelength < high)
            place = 2 * (wavelength[inside] - low) / (high - low) - 1
            flux[inside] *= np.exp(level + slope * place + curve * place**2)
        if self.kind == _QUASAR:
            flux = self._forest(flux, rest)
        continuum = _median(flux, 1.0)
        for centre, width, equivalent in self.lines:
            sigma = centre * width / 299792.458
            near = np.abs(wavelength - centre) < 5 * sigma
            if near.any():
                profile = np.exp(-0.5 * ((wavelength[near] - centre) / sigma) ** 2)
                level = _median(flux[near], continuum)
                # A deep absorption line must not turn the flux negative.
                height = max(equivalent / (sigma * np.sqrt(2 * np.pi)), -0.95)
                flux[near] += level * height * profile
        return flux

    def _forest(self, flux: np.ndarray, rest: np.ndarray) -> np.ndarray:
        """Random Lyman-alpha absorption around the template's mean transmission."""
        blue = rest < _LYMAN_ALPHA
        if not blue.any():
            return flux
        # A fixed comb in log wavelength, so that two grids see the same clouds.
        comb = np.random.default_rng(self.forest_seed).normal(size=6000)
        comb = np.convolve(comb, np.exp(-0.5 * (np.arange(-4, 5) / 1.2) ** 2), "same")
        depth = np.exp(0.9 * comb / comb.std())
        transmission = np.exp(-0.25 * (1 + self.redshift) ** 2 / 10.0 * depth)
        transmission /= transmission.mean()
        place = (np.log10(rest[blue]) - 2.70) / 1e-4
        flux = flux.copy()
        flux[blue] *= np.interp(place, np.arange(6000), transmission)
        return flux

    def observe(self, wavelength: np.ndarray) -> Mock:
        """Add noise and kill pixels; everything in units of the median flux."""
        rng, truth = self.rng, self.truth(wavelength)
        valid = np.isfinite(truth)
        if self.level is None:  # one unit of flux for all grids of a scene
            level = _median(truth, 1.0)
            self.level = level if level > 0 else max(np.abs(truth[valid]).max(initial=0), 1e-3)
        truth = np.where(valid, truth / self.level, 0.0)
        noise = self.mocks.arrays
        grid = noise[f"noise.{self.survey}.wavelength"]
        sky, source = (
            np.interp(wavelength, grid, noise[f"noise.{self.survey}.{name}"])
            for name in ("sky", "source")
        )
        share = 1.0 / (1.0 + (self.snr / 20.0) * 10 ** rng.normal(0.0, 0.2))
        variance = share * sky + (1 - share) * source * np.maximum(truth, 0.0) + 1e-3
        sigma = np.sqrt(np.minimum(variance, 1e6)) / self.snr
        flux = truth + sigma * rng.standard_normal(len(truth))
        valid &= (variance < 1e3) & (rng.random(len(truth)) > 0.003)  # gaps between detectors
        return Mock(wavelength, truth, flux, sigma, valid)


def _median(values: np.ndarray, otherwise: float) -> float:
    """Median of the finite values, or ``otherwise`` where there are none."""
    values = values[np.isfinite(values)]
    return float(np.median(values)) if values.size else otherwise


# Mean and standard deviation of log10 of the signal to noise per pixel.
_LOG_SNR = {"sdss": (0.8, 0.45), "desi": (0.6, 0.5), "galah": (1.5, 0.3), "apogee": (1.8, 0.35)}
_ARMS = {
    "galah": ((4710.0, 4910.0), (5640.0, 5880.0), (6470.0, 6745.0), (7575.0, 7895.0)),
    "apogee": ((15100.0, 15830.0), (15830.0, 16460.0), (16460.0, 17000.0)),
}
_RANGE = {
    "sdss": (3600.0, 10400.0),
    "desi": (3600.0, 9824.0),
    "galah": (4710.0, 7890.0),
    "apogee": (15100.0, 17000.0),
}
