"""Mock observations as specutils spectra, with their truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spectok.simulate._analytic import RESOLUTION, draw_scene, flux_of, noise_of, survey_grid

if TYPE_CHECKING:
    from specutils import SpectrumList

__all__ = ["observe"]


def observe(
    survey: str,
    n: int = 1,
    *,
    seed: int = 0,
    kind: str | None = None,
    snr: float | None = None,
) -> SpectrumList:
    """Mock observations of analytic objects on a survey's native grid.

    The objects are continua with lines (black bodies, power laws), not templates of real ones:
    good for demonstrations and tests, not for science.

    Parameters
    ----------
    survey : str
        ``"sdss"``, ``"desi"``, ``"galah"`` or ``"apogee"``.
    n : int
        Number of objects.
    seed : int
        The same seed gives the same observations.
    kind : str, optional
        ``"star"``, ``"galaxy"`` or ``"quasar"``; by default drawn.
    snr : float, optional
        Median signal to noise per pixel; by default drawn between 6 and 60.

    Returns
    -------
    spectra : `~specutils.SpectrumList`
        In 1e-17 erg/s/cm2/A on vacuum Angstrom, with inverse variances and masks.
        ``meta["truth"]`` is the noise-free flux in the same unit, ``meta["label"]`` what was
        drawn; ``meta["mock"]`` is True.

    Raises
    ------
    ValueError
        For an unknown survey or kind, or a kind that the survey does not observe.

    Examples
    --------
    >>> from spectok import simulate
    >>> spectrum = simulate.observe("desi", kind="galaxy", snr=20)[0]
    >>> spectrum.flux.shape
    (7781,)
    """
    from astropy import units as u
    from astropy.nddata import InverseVariance
    from specutils import Spectrum, SpectrumList

    if n < 1:
        raise ValueError(f"n must be at least 1, not {n}")
    if snr is not None and not snr > 0:
        raise ValueError(f"snr must be positive, not {snr}")
    wavelength = survey_grid(survey)
    unit = u.Unit("1e-17 erg / (s cm2 AA)")
    out = SpectrumList()
    for number in range(n):
        rng = np.random.default_rng((seed, number))
        scene = draw_scene(rng, survey, kind, snr)
        level = 10 ** rng.uniform(0.0, 2.0)
        truth = flux_of(scene, wavelength, RESOLUTION[survey])
        sigma = noise_of(wavelength, truth, scene.snr)
        flux = truth + sigma * rng.standard_normal(truth.size)
        mask = rng.random(truth.size) < 0.003
        label = {
            "class": scene.kind.upper(),
            "redshift": scene.redshift,
            "teff": scene.temperature if scene.kind == "star" else np.nan,
            "feh": scene.metallicity if scene.kind == "star" else np.nan,
            "snr": scene.snr,
        }
        out.append(
            Spectrum(
                flux=level * flux * unit,
                spectral_axis=wavelength * u.AA,
                uncertainty=InverseVariance(1 / (level * sigma) ** 2 / unit**2),
                mask=mask,
                meta={
                    "survey": survey,
                    "medium": "vacuum",
                    "mock": True,
                    "object_id": f"mock-{survey}-{seed}-{number}",
                    "label": label,
                    "truth": level * truth,
                },
            )
        )
    return out
