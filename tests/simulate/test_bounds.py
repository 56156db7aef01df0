"""The Cramér-Rao bound on labels of mock stars."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from spectok import simulate
from spectok.simulate import _bounds
from spectok.simulate._fine_grid import FINE
from spectok.simulate.instruments._noise import correlated_noise
from spectok.simulate.instruments._systematics import calibration
from spectok.simulate.objects import _sampling
from spectok.simulate.objects._dust import milky_way
from spectok.simulate.objects._templates import Templates

LIGHT = 299792.458
N = 6
LABELS = ("teff", "logg")
JITTER = np.array([20.0, 0.1])


@pytest.fixture(scope="module")
def changed(toy):
    """Function (label=, velocity=, vsini=, other=) -> templates of one emulator, altered."""

    def make(label=None, amount=0.0, *, velocity=0.0, vsini=0.0, other=False):
        arrays, about = toy(
            "network", FINE["h"], n=30, fine="h", vsini=[12.0 * 10**vsini, 0.1], normalised=True
        )
        arrays["b1"] = arrays["b1"] + 8.0
        # No label is held at an end, so that a change of all is a change of each.
        arrays["low"], arrays["high"] = torch.tensor([3e3, -9.0]), torch.tensor([9e3, 9.0])
        if label is not None:
            arrays["labels"][:, label] += amount * JITTER[label]
        shift = np.log10(1 + velocity / LIGHT)
        about["segments"] = [(start + shift, n) for start, n in about["segments"]]
        whole, described = {f"toy.{k}": v for k, v in arrays.items()}, {"toy": about}
        if other:
            arrays, described["other"] = toy("table", FINE["h"], fine="h")
            whole |= {f"other.{k}": v for k, v in arrays.items()}
        return Templates(whole, described)

    return make


@pytest.fixture(scope="module")
def small(quiet):
    """A narrow spectrograph of two arms with faults of every kind that bounds know of."""
    whole = simulate.instrument("apogee").modified(window=(15780.0, 15885.0))
    return quiet(
        whole, taps=(1.0, 0.5, 0.2), arm=(0.01, 0.008, 0.01), wave=0.002, error=0.8,
        photon_error=1.1, error_scatter=0.05, bad=0.02, scatter=0.2, at_rest=True,
    )  # fmt: skip


def derivatives(changed, instrument, n, snr):
    """By each quantity from mocks of altered templates, (4, n, L)."""
    out = []
    for step, kwargs in (
        (0.5, {"label": 0, "amount": 0.5}), (0.5, {"label": 1, "amount": 0.5}),
        (0.3, {"velocity": 0.3}), (0.02, {"vsini": 0.02}),
    ):  # fmt: skip
        back = {k: -v if k != "label" else v for k, v in kwargs.items()}
        up, down = (
            simulate.Simulator(instrument, templates=changed(**k)).observe(n, seed=3, snr=snr)[0]
            for k in (kwargs, back)
        )
        out.append((up.truth.double() - down.truth.double()).numpy() / (2 * step))
    return np.array(out)


def smooth(instrument):
    """Scale, tilt, dust, and the calibration by its definition, (3 + 9 arms, L)."""
    wavelength = instrument.wavelength
    modes = [np.ones(len(wavelength)), np.log(wavelength / 15800)]
    modes += [-0.4 * np.log(10) * milky_way(torch.tensor(wavelength)).numpy()]
    nodes = np.linspace(-1, 1, 24)
    shapes = [a * nodes**k for k, a in enumerate(instrument.traits["arm"])]
    wave = instrument.traits["wave"]
    shapes += [wave * np.sin(np.pi * k * (nodes + 1) / 2) for k in range(1, 7)]
    for first, last in instrument.arms:
        for shape in shapes:
            mode = np.zeros(len(wavelength))
            mode[first:last] = np.interp(np.linspace(-1, 1, last - first), nodes, shape)
            modes.append(mode)
    return np.array(modes)


def dense(instrument, sigma):
    """Covariance of noise that is a moving average of white noise."""
    taps = np.array(instrument.traits["taps"])
    matrix = sum(t * np.eye(len(sigma), len(sigma) + len(taps) - 1, k) for k, t in enumerate(taps))
    return matrix @ matrix.T / np.square(taps).sum() * np.outer(sigma, sigma)


def by_hand(changed, instrument, snr):
    """For each star: Jacobian of the valid pixels, their covariance, priors without and with."""
    templates = changed()
    (seen,) = simulate.Simulator(instrument, templates=templates).observe(N, seed=3, snr=snr)
    slopes, modes = derivatives(changed, instrument, N, snr), smooth(instrument)
    calibrated = np.ones(len(modes) - 3)
    plain = np.diag([*np.zeros(7), *calibrated])
    bayes = np.diag([0, 0, 0.3**-2, 0.1**-2, 0, 0.25**-2, 0.05**-2, *calibrated])
    drawn = templates.arrays["toy.labels"].double().numpy() / JITTER
    bayes[:2, :2] = np.linalg.inv(np.cov(drawn, rowvar=False, bias=True) + np.eye(2))
    for i in range(N):
        valid = seen.valid[i].numpy()
        truth = seen.truth[i].double().numpy()
        jacobian = np.concatenate([slopes[:, i], truth * modes])[:, valid]
        covariance = dense(instrument, seen.true_sigma[i].double().numpy())
        yield jacobian, covariance[np.ix_(valid, valid)], plain, bayes


@pytest.mark.slow
def test_bounds_are_those_of_brute_force(changed, small):
    assert len(small.arms) == 2 and 0.3 < small.detector.mean() < 0.9
    snr = (10.0, 100.0)
    simulator = simulate.Simulator(small, templates=changed())
    bounds = simulate.label_bounds(simulator, N, seed=3, snr=snr, labels=["logg", "teff"])
    white = simulate.label_bounds(simulator, N, seed=3, snr=snr, labels=["teff"], correlated=False)
    for i, (jacobian, covariance, plain, bayes) in enumerate(by_hand(changed, small, snr)):
        matrix = jacobian @ np.linalg.inv(covariance) @ jacobian.T
        for precision, found in ((plain, bounds.plain), (bayes, bounds.bayes)):
            expected = np.sqrt(np.diag(np.linalg.inv(matrix + precision)))[:2] * JITTER
            assert found["teff"][i] == pytest.approx(expected[0], rel=0.02)
            assert found["logg"][i] == pytest.approx(expected[1], rel=0.02)
        matrix = (jacobian / np.diag(covariance)) @ jacobian.T
        expected = np.sqrt(np.linalg.inv(matrix + plain)[0, 0]) * JITTER[0]
        assert white.plain["teff"][i] == pytest.approx(expected, rel=0.02)
    assert (np.abs(bounds.plain["teff"] / white.plain["teff"] - 1) > 0.05).all()


@pytest.mark.slow
def test_fits_scatter_by_the_bound(changed, small, generator):
    """Generalised least squares on noise and calibration as the simulator draws them."""
    snr, many = (30.0, 60.0), 3000
    simulator = simulate.Simulator(small, templates=changed())
    bounds = simulate.label_bounds(simulator, N, seed=3, snr=snr, labels=LABELS)
    seen = bounds.observation
    for i, (jacobian, covariance, plain, _) in enumerate(by_hand(changed, small, snr)):
        valid = seen.valid[i]
        noise = correlated_noise(small, many, generator(i)) * seen.true_sigma[i]
        wrong = calibration(small, many, generator(100 + i)) * seen.truth[i]
        data = (noise + wrong)[:, valid].double().numpy()
        weighted = jacobian @ np.linalg.inv(covariance)
        fitted = np.linalg.solve(weighted @ jacobian.T + plain, weighted @ data.T)
        scatter = fitted[:2].std(1) * JITTER
        assert scatter[0] == pytest.approx(bounds.plain["teff"][i], rel=0.06)
        assert scatter[1] == pytest.approx(bounds.plain["logg"][i], rel=0.06)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("perturb", "kwargs"),
    [
        (("teff", 0.7), {"label": 0, "amount": 0.7}),
        (("logg", -0.7), {"label": 1, "amount": -0.7}),
        (("velocity", 2.0), {"velocity": 2.0}),
        (("vsini", 0.05), {"vsini": 0.05}),
    ],
)
def test_a_perturbation_changes_one_quantity(changed, generator, perturb, kwargs):
    plain, perturbed, altered = (
        simulate.Simulator("apogee", templates=templates).sample(20, generator(2), perturb=change)
        for templates, change in (
            (changed(other=True), None), (changed(other=True), perturb),
            (changed(other=True, **kwargs), None),
        )
    )  # fmt: skip
    emulated = plain.family == plain.names.index("toy")
    assert 0 < emulated.sum() < 20
    moved = (altered.flux - plain.flux)[emulated].abs().max(1)[0]
    assert (moved > 3e-3).all()
    assert (perturbed.flux - altered.flux)[emulated].abs().max() < 5e-3 * moved.min()
    same = [k for k in plain.labels if k not in (perturb[0], "redshift")]
    for key in same:
        torch.testing.assert_close(perturbed.labels[key], plain.labels[key], equal_nan=True)
    # Tables have no labels to perturb, but velocities.
    others = (perturbed.flux - plain.flux)[~emulated].abs().max()
    assert (others > 0) == (perturb[0] == "velocity")


@pytest.mark.parametrize("constant", ["TILT", "DUST"])
def test_smooth_modes_are_the_simulators(changed, small, generator, monkeypatch, constant):
    simulator = simulate.Simulator(small, templates=changed())
    before = simulator.sample(8, generator(1))
    monkeypatch.setattr(_sampling, constant, 1.2 * getattr(_sampling, constant))
    after = simulator.sample(8, generator(1))
    wavelength = torch.tensor(simulator.fine.wavelength()[::50])
    ratio = (after.flux / before.flux).log().double()[:, ::50].numpy()
    modes = {
        "TILT": np.log(wavelength.numpy()),
        "DUST": -0.4 * np.log(10) * milky_way(wavelength).numpy(),
    }
    design = np.stack([modes[constant], np.ones(len(wavelength))], 1)
    weight, *_ = np.linalg.lstsq(design, ratio.T, rcond=None)
    assert np.abs(design @ weight - ratio.T).max() < 0.01 * np.abs(ratio).max()
    if constant == "DUST":
        assert weight[0] == pytest.approx(0.2 * before.labels["ebv"].numpy(), rel=0.02)
    else:
        assert 0.01 < np.abs(weight[0]).mean() / 0.25 < 0.4


@pytest.mark.slow
def test_the_observation_is_the_simulators(changed, small):
    simulator = simulate.Simulator(small, templates=changed(other=True), extra_lines=0.3)
    bounds = simulate.label_bounds(simulator, 70, seed=9, snr=20, labels=LABELS)
    (plain,) = simulator.observe(70, seed=9, snr=20)
    for name in ("truth", "flux", "sigma", "true_sigma", "valid", "level", "family"):
        assert torch.equal(getattr(bounds.observation, name), getattr(plain, name))
    # Only emulated stars have bounds, each from its own derivatives.
    emulated = np.array(plain.families) == "toy"
    assert 0 < emulated.sum() < 70
    for name in ("plain", "bayes", "prior", "bound"):
        found = getattr(bounds, name)
        assert list(found) == ["teff", "logg"] or name == "bound"
        assert (np.isfinite(found["teff"]) == emulated).all()
    few = simulate.label_bounds(simulator, 5, seed=9, snr=20, labels=LABELS)
    np.testing.assert_array_equal(few.plain["teff"], bounds.plain["teff"][:5])


@pytest.mark.slow
def test_noise_sets_the_bound(changed, small, quiet):
    faint = replace(small, source=1e-6 * small.source)
    simulator = simulate.Simulator(quiet(faint, at_rest=True), templates=changed())
    low, high = (
        simulate.label_bounds(simulator, N, seed=3, snr=snr, labels=LABELS) for snr in (20.0, 2e3)
    )
    for label in low.plain:
        ratio = low.plain[label] / high.plain[label]
        np.testing.assert_allclose(ratio, 100, rtol=2e-3)
        # Good spectra need no prior.
        np.testing.assert_allclose(high.bayes[label], high.plain[label], rtol=0.01)
    simulator = simulate.Simulator(small, templates=changed())
    last = None
    for snr in (3.0, 10.0, 30.0, 100.0):
        found = simulate.label_bounds(simulator, N, seed=3, snr=snr, labels=LABELS)
        for label in found.plain:
            assert (found.bayes[label] <= found.plain[label]).all()
            assert (found.bayes[label] < found.prior[label]).all()
            assert last is None or (found.plain[label] < last.plain[label]).all()
        last = found


@pytest.mark.slow
def test_the_prior_takes_over(changed, small):
    simulator = simulate.Simulator(small, templates=changed())
    bounds = simulate.label_bounds(simulator, N, seed=3, snr=1e-3, labels=LABELS)
    drawn = changed().arrays["toy.labels"].double().numpy()
    expected = np.sqrt(drawn.var(0) + JITTER**2)
    for k, label in enumerate(("teff", "logg")):
        np.testing.assert_allclose(bounds.prior[label], expected[k], rtol=0.02)
        np.testing.assert_allclose(bounds.bayes[label], bounds.prior[label], rtol=0.02)
        assert (bounds.plain[label] > bounds.prior[label]).all()
        np.testing.assert_array_equal(bounds.bound[label], bounds.bayes[label])
    narrow = replace(bounds, plain={k: np.full(N, 0.29 * v) for k, v in bounds.prior.items()})
    np.testing.assert_array_equal(narrow.bound["teff"], narrow.plain["teff"])


@pytest.mark.slow
def test_without_valid_pixels(changed, small):
    blind = replace(small, detector=np.zeros_like(small.detector))
    simulator = simulate.Simulator(blind, templates=changed())
    bounds = simulate.label_bounds(simulator, 2, labels=LABELS)
    assert np.isinf(bounds.plain["teff"]).all()
    np.testing.assert_allclose(bounds.bound["teff"], bounds.prior["teff"], rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("survey", "names"),
    [("galah", ["hermes-lte"]), ("apogee", ["h-payne-dwarfs", "h-payne", "h-cannon"])],
)
def test_halved_steps_change_nothing(real_templates, monkeypatch, survey, names):
    simulator = simulate.Simulator(survey, templates=real_templates(*names))
    bounds = simulate.label_bounds(simulator, 16, seed=1, snr=(5, 100))
    monkeypatch.setattr(_bounds, "_LABEL_STEP", _bounds._LABEL_STEP / 2)
    halved = {name: step / 2 for name, step in _bounds._STEPS.items()}
    monkeypatch.setattr(_bounds, "_STEPS", halved)
    again = simulate.label_bounds(simulator, 16, seed=1, snr=(5, 100))
    assert set(bounds.observation.families) == set(names)
    for label, value in bounds.plain.items():
        np.testing.assert_allclose(again.plain[label], value, rtol=0.01)
        np.testing.assert_allclose(again.bayes[label], bounds.bayes[label], rtol=0.01)


def test_errors(changed):
    simulator = simulate.Simulator("apogee", templates=changed())
    with pytest.raises(ValueError, match="no emulator of apogee knows feh, only logg, teff: bo"):
        simulate.label_bounds(simulator, 2)
    with pytest.raises(ValueError, match="no emulator of sdss knows teff, logg, feh: bounds need"):
        simulate.label_bounds(simulate.Simulator("sdss"), 2)
    for n in (0, -1):
        with pytest.raises(ValueError, match=f"n must be at least 1, not {n}"):
            simulate.label_bounds(simulator, n, labels=["teff"])
