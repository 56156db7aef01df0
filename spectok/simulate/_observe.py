"""Mock observations as specutils spectra, with their truth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from spectok import __version__
from spectok.simulate._sample import CLASSES
from spectok.simulate._simulator import Simulator
from spectok.simulate.instruments._spectrographs import instrument
from spectok.simulate.objects._family import LABELS

if TYPE_CHECKING:
    from specutils import SpectrumList

    from spectok.simulate.instruments._instrument import Instrument
    from spectok.simulate.instruments._observation import Observation
    from spectok.simulate.objects._templates import Templates

__all__ = ["observe", "observe_pairs"]

_ARMS = {"desi-arms": "brz", "apogee-visit": "cba"}


def observe(
    survey: str | Instrument,
    n: int = 1,
    *,
    seed: int = 0,
    kind: str | None = None,
    snr: float | Sequence[float] | None = None,
    templates: Templates | None = None,
    arms: bool = False,
) -> SpectrumList:
    """Mock observations of known truth on a survey's native grid.

    Parameters
    ----------
    survey : str or `~spectok.simulate.Instrument`
        ``"sdss"``, ``"boss"``, ``"desi"``, ``"desi-arms"``, ``"galah"``, ``"apogee"`` or
        ``"apogee-visit"``; or an instrument of one's own.
    n : int
        Number of objects.
    seed : int
        The same seed gives the same observations; the first of many are those of few.
    kind : str, optional
        ``"star"``, ``"galaxy"`` or ``"quasar"``; by default drawn.
    snr : float or (float, float), optional
        Median signal to noise per pixel, or the range from which it is drawn; by default as in
        the survey.
    templates : `~spectok.simulate.Templates`, optional
        What the objects are made of, from `~spectok.simulate.build_templates`. Default:
        formulas (black bodies, power laws), which need no file: good for demonstrations and
        tests, not for science.
    arms : bool
        Return one spectrum per arm, each with all objects, as the readers of DESI and GALAH do
        and as ``spectok.encode(..., arms=True)`` takes them.

    Returns
    -------
    spectra : `~specutils.SpectrumList`
        One of shape (L,) per object, or with ``arms`` one of shape (n, L) per arm; in
        1e-17 erg/s/cm2/A (GALAH: counts) on vacuum Angstrom, with inverse variances and masks.
        ``meta["truth"]`` is the noise-free flux at the instrument's resolution and in its
        calibration, in the same unit and shape; ``meta["label"]`` what was drawn (class,
        redshift, S/N; teff, logg, feh, age and others where the template knows them);
        ``meta["mock"]`` is True, and ``meta["simulator"]`` names the version, because the same
        seed may give other noise in another one. With ``arms``, "label" and "object_id" are
        lists.

    Raises
    ------
    ValueError
        - For an unknown survey or kind.
        - For a kind that the survey does not observe.
        - For arms that overlap, where one spectrum is asked for.

    See Also
    --------
    Simulator : The same as tensors, fast enough for a training step.
    observe_pairs : The same objects with two instruments.

    Examples
    --------
    >>> from spectok import simulate
    >>> spectrum = simulate.observe("desi", kind="galaxy", snr=20)[0]
    >>> spectrum.flux.shape
    (7781,)
    """
    simulator = Simulator(survey, templates=templates, kind=kind)
    (observation,) = simulator.observe(n, seed=seed, snr=snr)
    return _spectra(observation, seed, arms)


def observe_pairs(
    first: str | Instrument,
    second: str | Instrument,
    n: int = 1,
    *,
    seed: int = 0,
    kind: str | None = None,
    snr: float | Sequence[float] | None = None,
    templates: Templates | None = None,
    calibration: bool = False,
) -> tuple[SpectrumList, SpectrumList]:
    """The same objects observed with two instruments, each with its own truth.

    What decoding tokens of one grid onto another is tested with: SDSS and DESI, or a survey and
    the same survey with another window, sampling, resolution or noise.

    Parameters
    ----------
    first, second : str or `~spectok.simulate.Instrument`
        Of the same family of wavelengths; see `~spectok.simulate.Instrument.modified`.
    n : int
        Number of objects.
    seed : int
        The same seed gives the same objects.
    kind : str, optional
        As in `~spectok.simulate.observe`.
    snr : float or (float, float), optional
        With the first instrument; the second sees objects of the same brightness.
    templates : `~spectok.simulate.Templates`, optional
        As in `~spectok.simulate.observe`.
    calibration : bool
        Give each observation errors of calibration of its own. Left out by default: no decoder
        can know how another spectrum was miscalibrated.

    Returns
    -------
    first, second : `~specutils.SpectrumList`
        As from `~spectok.simulate.observe`; member i of both is the same object.

    Raises
    ------
    ValueError
        - As `~spectok.simulate.observe`.
        - For instruments that share no wavelengths (GALAH and APOGEE do not overlap).

    Examples
    --------
    >>> from spectok import simulate
    >>> coarse = simulate.instrument("sdss").modified(window=(5000.0, 7000.0), sampling=3.0)
    >>> sdss, other = simulate.observe_pairs("sdss", coarse, 2, seed=1)
    >>> sdss[0].meta["label"]["redshift"] == other[0].meta["label"]["redshift"]
    True
    """
    both = [instrument(i) if isinstance(i, str) else i for i in (first, second)]
    if not calibration:
        both = [i.calibrated() for i in both]
    simulator = Simulator(*both, templates=templates, kind=kind)
    one, other = simulator.observe(n, seed=seed, snr=snr)
    return _spectra(one, seed, None), _spectra(other, seed, None)


def _spectra(observation: Observation, seed: int, arms: bool | None) -> SpectrumList:
    """Units on."""
    from specutils import SpectrumList

    wavelength, own = observation.instrument.wavelength, observation.instrument.arms
    if not arms and (np.diff(wavelength) <= 0).any():
        raise ValueError(
            f"the arms of {observation.instrument.name} overlap, so they are no one spectrum: "
            + ("use simulate.Simulator for pairs of it" if arms is None else "pass arms=True")
        )
    n = len(observation.flux)
    label = [_label(observation, i) for i in range(n)]
    name = observation.instrument.name.replace(" ", "-")
    object_id = [f"mock-{name}-{seed}-{i}" for i in range(n)]
    if not arms:
        every = slice(None)
        return SpectrumList(
            [_spectrum(observation, i, every, object_id[i], label[i]) for i in range(n)]
        )
    # As the readers call them, for instruments that have all their arms.
    names = _ARMS.get(observation.instrument.name, [str(k + 1) for k in range(len(own))])
    return SpectrumList(
        [
            _spectrum(observation, slice(None), slice(*arm), object_id, label, arm=arm_name)
            for arm, arm_name in zip(own, names, strict=True)
        ]
    )


def _label(observation: Observation, i: int) -> dict:
    found = {key: float(value[i]) for key, value in observation.labels.items()}
    out = {
        "class": CLASSES[int(found.pop("kind"))],
        "redshift": found["redshift"],
        "snr": found["snr"],
    }
    out["template"] = f"{observation.families[i]}:{int(found.pop('template'))}"
    # NaN stays where a template does not know: every label has the same keys.
    return out | {key: found[key] for key in ("ebv", "ebv_host", "vsini", *LABELS)}


def _spectrum(
    observation: Observation, rows: int | slice, columns: slice, object_id: object, label: object,
    **more: str,
) -> object:  # fmt: skip
    from astropy import units as u
    from astropy.nddata import InverseVariance
    from specutils import Spectrum

    instrument = observation.instrument
    unit = u.count if instrument.survey == "galah" else u.Unit("1e-17 erg / (s cm2 AA)")
    cut = (rows, columns)
    flux, truth, sigma, valid = (
        value[cut].cpu().numpy().astype(float if value.is_floating_point() else bool)
        for value in (observation.flux, observation.truth, observation.sigma, observation.valid)
    )
    return Spectrum(
        flux=flux * unit,
        spectral_axis=instrument.wavelength[columns] * u.AA,
        uncertainty=InverseVariance(np.where(valid, sigma**-2.0, 0.0), unit=unit**-2),
        mask=~valid,
        meta={
            "survey": instrument.survey.upper(), "medium": "vacuum", "mock": True,
            "object_id": object_id, "label": label, "truth": truth,
            "simulator": f"spectok {__version__}", **more,
        },
    )  # fmt: skip
