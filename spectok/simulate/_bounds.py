"""Cramér-Rao bounds on the labels of mock stars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from spectok.simulate._fisher import autocorrelation, information, limits
from spectok.simulate._simulator import Simulator
from spectok.simulate.instruments._exposure import as_seen
from spectok.simulate.instruments._instrument import Instrument
from spectok.simulate.instruments._noise import noise_taps
from spectok.simulate.instruments._observation import Observation, join
from spectok.simulate.instruments._systematics import calibration_modes
from spectok.simulate.objects._dust import milky_way
from spectok.simulate.objects._family import EMULATING, Family
from spectok.simulate.objects._sampling import AT_REST, DUST, HALO, TILT

__all__ = ["LabelBounds", "label_bounds"]

# Half the distance of central differences: labels in units of the family's jitter, km/s, dex.
# Halved they change no bound by a hundredth.
_STEPS = {"velocity": 0.3, "vsini": 0.02}
_LABEL_STEP = 0.5
_WIDE = 0.3  # parts of the prior's width: beyond, the prior decides, and not the spectrum
_DRAWS = 20_000  # labels from which the prior's covariance is taken


@dataclass(frozen=True, eq=False)
class LabelBounds:
    """Mock observations with the Cramér-Rao bounds on the labels of each star.

    Parameters
    ----------
    observation : Observation
        Of n stars.
    plain : dict of str to `numpy.ndarray` of float64, shape (n,)
        Cramér-Rao bound: the least standard deviation of an estimate without bias, in the
        label's unit.
    bayes : dict of str to `numpy.ndarray`, shape (n,)
        The same for one who also knows how labels are distributed in the star's family.
    prior : dict of str to `numpy.ndarray`, shape (n,)
        Standard deviation of the label in the star's family.

    See Also
    --------
    label_bounds : What makes one.

    Examples
    --------
    >>> import numpy as np
    >>> from spectok import simulate
    >>> from spectok.simulate._bounds import LabelBounds
    >>> observation = simulate.Simulator("apogee").observe(2)[0]
    >>> kelvin = ([9.0, 400.0], [9.0, 300.0], [500.0, 500.0])
    >>> plain, bayes, prior = ({"teff": np.array(values)} for values in kelvin)
    >>> LabelBounds(observation, plain, bayes, prior).bound["teff"]
    array([  9., 300.])
    """

    observation: Observation
    plain: dict[str, np.ndarray]
    bayes: dict[str, np.ndarray]
    prior: dict[str, np.ndarray]

    @property
    def bound(self) -> dict[str, np.ndarray]:
        """The plain bound; the Bayesian one where the plain one exceeds 0.3 of the prior."""
        return {
            label: np.where(plain > _WIDE * self.prior[label], self.bayes[label], plain)
            for label, plain in self.plain.items()
        }


def label_bounds(
    simulator: Simulator,
    n: int,
    *,
    seed: int = 0,
    snr: float | Sequence[float] | None = None,
    labels: Sequence[str] = ("teff", "logg", "feh"),
    correlated: bool = True,
) -> LabelBounds:
    """Cramér-Rao bounds on the labels of mock stars, from the simulator's own derivatives.

    Parameters
    ----------
    simulator : `~spectok.simulate.Simulator`
        With templates among which are emulators (of GALAH "hermes-lte", of APOGEE
        "h-payne-dwarfs", "h-payne" and "h-cannon"): only they have derivatives by labels.
        Its first instrument observes.
    n : int
        Number of objects.
    seed : int
        The same seed gives the same stars.
    snr : float or (float, float), optional
        As in `Simulator.observe`.
    labels : sequence of str
        Labels wanted. All others of the emulator are marginalised.
    correlated : bool
        False takes the noise of neighbouring pixels as independent, which it is not: to see what
        that changes.

    Returns
    -------
    bounds : LabelBounds
        ``bounds.observation`` is ``simulator.observe(n, seed=seed, snr=snr)[0]``. The others are
        dicts of label to `numpy.ndarray` of shape (n,), in the label's unit: ``plain``, the
        Cramér-Rao bound, the least standard deviation of an estimate without bias; ``bayes``,
        the same for one who also knows how labels are distributed in the star's family;
        ``prior``, the standard deviation of the label there; ``bound``, the plain bound, or
        the Bayesian one where the plain one exceeds 0.3 of the prior. Bounds are NaN for
        objects of other families and for labels that the star's emulator does not have; they
        are infinite where a spectrum has no valid pixel.

    Raises
    ------
    ValueError
        If the simulator has no emulator, or none with one of the labels.

    Notes
    -----
    The information F = J C^-1 J^T sums over valid pixels. J are central differences of the
    noise-free flux, drawn again with the same random numbers and one quantity perturbed. C is the
    covariance of the noise that was really drawn (``true_sigma``, not the stated error), with
    what neighbours share. Marginalised are the other labels, radial velocity, rotation, scale,
    dust and tilt of the spectrum with flat priors, and levels, slopes, curves and waves of the
    calibration of each arm with the Gaussian priors they are drawn from.

    For ``bayes`` the inverse covariance of the prior is added (van Trees 1968): of all labels as
    the family draws them, velocity, rotation, dust and tilt as they are drawn; the scale stays
    free. It treats the prior as Gaussian. Real ones are lumpier, so an estimate may be a little
    better than this; and a family is taken as known.

    The true limit is a little weaker: F knows the errors exactly, and leaves out cosmic rays that
    nobody noticed and residuals of sky lines and of the air. What the noise itself tells of the
    flux is left out too; that adds about 1 / (2 S/N^2) of the information.

    References
    ----------
    Rao 1945, Bull. Calcutta Math. Soc. 37, 81; Cramér 1946, Mathematical Methods of
    Statistics; van Trees 1968, Detection, Estimation, and Modulation Theory, part I; for spectra
    of stars Ting et al. 2017, ApJ 843, 32, and Sandford et al. 2020, ApJS 249, 24.

    Examples
    --------
    >>> from spectok import simulate
    >>> templates = simulate.load_templates("templates.safetensors")  # doctest: +SKIP
    >>> simulator = simulate.Simulator("apogee", templates=templates)  # doctest: +SKIP
    >>> bounds = simulate.label_bounds(simulator, 100, snr=100)  # doctest: +SKIP
    >>> bounds.bound["teff"]  # doctest: +SKIP
    """
    stars = {
        number: _Star(family, simulator.at_rest)
        for number, family in enumerate(simulator.families)
        if family.form in EMULATING
    }
    known = sorted({label for star in stars.values() for label in star.labels})
    missing = [label for label in labels if label not in known]
    if not stars or missing:
        raise ValueError(
            f"no emulator of {simulator.instruments[0].name} knows {', '.join(missing or labels)}"
            + (f", only {', '.join(known)}" if known else "")
            + ": bounds need templates that follow from labels, see simulate.build_templates"
        )
    instrument = simulator.instruments[0]
    shared = autocorrelation(noise_taps(instrument) if correlated else [1.0])
    modes = _modes(instrument)
    quantities = sorted({name for star in stars.values() for name in star.quantities})
    parts, found, left = [], [], n
    for generator, order in simulator.chunks(n, seed):
        state = generator.get_state()
        seen = simulator.draw(len(order), generator, snr=snr)[0]
        derivatives = _derivatives(simulator, seen, quantities, generator, state)
        order = order[:left]
        left -= len(order)
        parts.append(seen[order])
        found.append(np.full((3, len(labels), len(order)), np.nan))
        truth, sigma, valid = (
            value.cpu().numpy() for value in (seen.truth.double(), seen.true_sigma, seen.valid)
        )
        for at, i in enumerate(order.tolist()):
            star = stars.get(int(seen.family[i]))
            if star is None:
                continue
            rows = [derivatives[name][i] for name in star.quantities]
            jacobian = np.concatenate([rows, truth[i] * modes])
            matrix = information(jacobian, sigma[i].astype(float), valid[i], shared)
            found[-1][:, :, at] = star.bounds(matrix, labels)
    plain, bayes, prior = (
        dict(zip(labels, value, strict=True)) for value in np.concatenate(found, 2)
    )
    return LabelBounds(join(parts), plain, bayes, prior)


class _Star:
    """Quantities drawn for a star of an emulating family, and how widely.

    Parameters
    ----------
    family : `~spectok.simulate.objects._family.Family`
    at_rest : bool
        Whether velocities were taken out.
    """

    def __init__(self, family: Family, at_rest: bool) -> None:
        self.labels = list(family.about["labels"])
        self.quantities = [*self.labels, "velocity"]
        share, halo, disc = HALO
        spread = [AT_REST if at_rest else (share * halo**2 + (1 - share) * disc**2) ** 0.5]
        if "vsini" in family.about:
            self.quantities.append("vsini")
            spread.append(family.about["vsini"][1])
        device = family.arrays["labels"].device
        drawn, _ = family.draw_labels(_DRAWS, torch.Generator(device).manual_seed(0))
        self.unit = family.arrays["jitter"].double().cpu().numpy()
        covariance = np.cov(drawn.double().cpu().numpy() / self.unit, rowvar=False)
        self.prior = np.sqrt(np.diag(covariance)) * self.unit
        own = len(self.labels)
        self.precision = np.diag(
            [*([0.0] * own), *np.square(spread) ** -1.0, 0.0, TILT**-2, DUST**-2]
        )
        self.precision[:own, :own] = np.linalg.inv(covariance)

    def bounds(self, matrix: np.ndarray, labels: Sequence[str]) -> np.ndarray:
        """Plain bound, Bayesian bound and prior of some labels, (3, number of labels)."""
        flat = np.zeros(matrix.shape)
        calibration = np.arange(len(self.precision), len(matrix))
        flat[calibration, calibration] = 1.0
        informed = flat.copy()
        informed[: len(self.precision), : len(self.precision)] = self.precision
        own = slice(len(self.labels))
        plain, bayes = (limits(matrix, p)[own] * self.unit for p in (flat, informed))
        out = np.full((3, len(labels)), np.nan)
        for k, label in enumerate(labels):
            if label in self.labels:
                at = self.labels.index(label)
                out[:, k] = plain[at], bayes[at], self.prior[at]
        return out


def _derivatives(
    simulator: Simulator,
    seen: Observation,
    quantities: Sequence[str],
    generator: torch.Generator,
    state: torch.Tensor,
) -> dict[str, np.ndarray]:
    """Of the noise-free flux by each quantity that is drawn, (n, L) each."""

    def again(perturb: tuple[str, float] | None) -> torch.Tensor:
        generator.set_state(state)
        sample = simulator.sample(len(seen.flux), generator, perturb=perturb)
        return as_seen(sample, seen.instrument).double()

    # Scale and calibration multiply: they stay what they were.
    gain = seen.truth / again(None)
    out = {}
    for name in quantities:
        step = _STEPS.get(name, _LABEL_STEP)
        slope = (again((name, step)) - again((name, -step))) * (gain / (2 * step))
        out[name] = slope.cpu().numpy()
    return out


def _modes(instrument: Instrument) -> np.ndarray:
    """Factors of a spectrum: scale, tilt and dust of the star, then the calibration."""
    place = np.log10(instrument.wavelength)
    dust = milky_way(torch.tensor(instrument.wavelength)).numpy()
    star = [np.ones(len(place)), np.log(10) * (place - place.mean()), -0.4 * np.log(10) * dust]
    return np.concatenate([star, calibration_modes(instrument).numpy()])
