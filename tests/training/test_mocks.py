"""Mock observations as examples, and batches of them."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from spectok.simulate import Simulator, instrument
from spectok.training import Batches, MockSpectra

SAME, PAIR = np.linspace(4000.0, 4400.0, 401), np.linspace(4100.0, 4200.0, 333)


class Objects:
    """Ramps over the wavelength with noise, seen on one grid or on two."""

    device = torch.device("cpu")

    def __init__(self, *grids):
        self.grids = grids
        self.calls = []

    def draw(self, n, generator):
        self.calls.append(n)
        slope = torch.rand((n, 1), generator=generator)
        for grid in self.grids:
            truth = slope * torch.as_tensor(grid, dtype=torch.float32)
            sigma = torch.full_like(truth, 3.0)
            flux = truth + sigma * torch.randn(truth.shape, generator=generator)
            valid = torch.rand(truth.shape, generator=generator) > 0.1
            yield SimpleNamespace(
                truth=truth, flux=flux, sigma=sigma, valid=valid,
                instrument=SimpleNamespace(wavelength=grid),
            )  # fmt: skip


def examples_of(n=12, seed=0, jitter=0.0, **simulators):
    mocks = MockSpectra({k: [(1.0, v)] for k, v in simulators.items()}, jitter=jitter)
    return mocks.examples(np.random.default_rng(seed), next(iter(simulators)), n)


def test_the_encoder_sees_noise_and_is_asked_for_the_truth():
    for e in examples_of(sdss=Objects(SAME)):
        assert e.noiseless and e.target_wavelength is e.wavelength
        assert np.array_equal(e.wavelength, SAME)
        slope = e.target / SAME
        assert np.ptp(slope) < 1e-6 * slope[0]
        assert np.std(e.flux - e.target) == pytest.approx(3, rel=0.2)
        assert (e.target_sigma == 3).all() and np.array_equal(e.valid, e.target_valid)
        assert 0.8 < e.valid.mean() < 1


def test_the_target_of_a_pair_is_the_same_object_on_the_other_grid():
    for e in examples_of(sdss=Objects(SAME, PAIR)):
        assert np.array_equal(e.wavelength, SAME) and np.array_equal(e.target_wavelength, PAIR)
        slope = np.median(e.target / PAIR)
        assert np.median(e.flux / SAME) == pytest.approx(slope, abs=1e-3)
        assert len(e.target) == len(e.target_sigma) == len(e.target_valid) == len(PAIR)
        assert np.isclose(e.target, slope * PAIR).all(), "noise in the truth"


def test_the_grid_moves_by_less_than_a_pixel_in_half_of_the_examples():
    for grids in ((SAME,), (SAME, PAIR)):
        examples = examples_of(200, jitter=0.5, sdss=Objects(*grids))
        shift = np.array([e.wavelength / SAME - 1 for e in examples])
        assert np.ptp(shift, axis=1).max() < 1e-12, "the grid changed its shape"
        pixels = shift.mean(1) * 4200
        assert 0.35 < (pixels == 0).mean() < 0.65
        assert 0.4 < np.abs(pixels).max() <= 0.51 and abs(pixels.mean()) < 0.1
        for e, moved in zip(examples, shift.mean(1), strict=True):
            target = SAME if len(grids) == 1 else PAIR
            np.testing.assert_allclose(e.target_wavelength, target * (1 + moved), rtol=1e-13)
            assert (e.target_wavelength is e.wavelength) == (len(grids) == 1)


def test_simulators_are_drawn_by_their_shares_and_not_for_one_object_each():
    one, two = Objects(SAME), Objects(SAME, PAIR)
    mocks = MockSpectra({"sdss": [(7.0, one), (3.0, two)]})
    rng = np.random.default_rng(0)
    examples = [e for _ in range(100) for e in mocks.examples(rng, "sdss", 20)]
    assert len(examples) == 2000 and len(one.calls) + len(two.calls) == 200
    pairs = np.mean([e.target_wavelength is not e.wavelength for e in examples])
    assert 0.2 < pairs < 0.4
    assert len({float(e.target[0]) for e in examples}) > 1900, "the same objects again"
    assert MockSpectra({"sdss": [(1.0, one)]}).examples(rng, "sdss", 0) == []
    one.calls.clear()
    MockSpectra({"sdss": [(1.0, one)]}, group=3).examples(rng, "sdss", 8)
    assert one.calls == [3, 3, 2]


@pytest.mark.parametrize("found", [[], [(0.0, None)], [(1.0, None), (-1.0, None)]])
def test_shares_are_checked(found):
    with pytest.raises(ValueError, match="simulators of desi must be pairs"):
        MockSpectra({"desi": found})


def test_an_unknown_survey_is_named():
    with pytest.raises(ValueError, match="no simulator of 'galah', only of sdss"):
        MockSpectra({"sdss": [(1.0, Objects(SAME))]}).examples(None, "galah", 1)


# ------------------------------------------------------------------ with the simulator


@pytest.fixture(scope="module")
def batches():
    boss, desi = instrument("boss"), instrument("desi")
    narrow = boss.modified(window=(5000.0, 6500.0), sampling=1.5)
    mocks = MockSpectra(
        {
            "sdss": [(0.5, Simulator(boss)), (0.3, Simulator(boss, narrow))],
            "desi": [(0.2, Simulator("desi-arms")), (0.3, Simulator(desi, boss))],
        }
    )
    mixture = {"sdss": {"mock": 0.6}, "desi": {"mock": 0.4}}
    return Batches({"mock": mocks}, mixture, patch_size=32, n_tokens=500, seed=11)


def same(a, b):
    parts = [
        (getattr(x.seen, k), getattr(x.target, k), x.hidden, x.weight, x.noiseless)
        for x in (a, b)
        for k in ("flux", "sigma", "wavelength", "valid")
    ]
    half = len(parts) // 2
    return all(
        torch.equal(x, y)
        for one, other in zip(parts[:half], parts[half:], strict=True)
        for x, y in zip(one, other, strict=True)
    )


def test_a_batch_depends_on_its_number_alone(batches):
    first = [batches[number] for number in range(6)]
    for number in (4, 0, 5, 2):
        assert same(first[number], batches[number])
    assert not same(first[0], first[1])
    assert {len(b.seen.flux) for b in first} != {len(first[0].seen.flux)}


def test_neither_threads_nor_workers_change_a_bit_of_it(batches):
    """The last bits of matrix products do hang on the number of threads."""
    threads = torch.get_num_threads()
    found = []
    try:
        for number in (1, 2):
            torch.set_num_threads(number)
            found.append([batches[k] for k in range(4)])
            assert torch.get_num_threads() == number
    finally:
        torch.set_num_threads(threads)
    loader = DataLoader(batches, sampler=range(4), batch_size=None, num_workers=2)
    for one, two, three in zip(*found, loader, strict=True):
        assert same(one, two) and same(one, three)


def test_mocks_are_good_to_learn_from(batches):
    found = [batches[number] for number in range(16)]
    for batch in found:
        for part in (batch.seen, batch.target):
            assert torch.isfinite(part.flux).all() and (part.sigma > 0).all()
            assert part.valid.any(1).all()
        assert batch.noiseless.all() and (batch.weight == 1).all()
    own_grid = [torch.equal(b.seen.wavelength, b.target.wavelength) for b in found]
    assert 2 <= sum(own_grid) <= 14


def test_the_truth_of_a_pair_is_that_of_one_object():
    """On a window of the same pixels, without errors of calibration, it is the same truth."""
    boss = instrument("boss")
    exact = {"arm": (0.0,) * 3, "wave": 0.0, "blaze": ((0.0,) * 3,), "telluric": 0.0}
    boss = replace(boss, traits={**boss.traits, **exact})
    window = boss.modified(window=(5000.0, 6500.0))
    first = np.abs(boss.wavelength - window.wavelength[0]).argmin()
    cut = slice(first, first + len(window.wavelength))
    pairs = examples_of(sdss=Simulator(boss, window), jitter=0.5)
    for e in pairs:
        np.testing.assert_allclose(e.target_wavelength, e.wavelength[cut], rtol=1e-12)
        pull = ((e.flux[cut] - e.target) / e.sigma[cut])[e.valid[cut] & e.target_valid]
        # Bias of a pixel in the mean: level, slope and shape of both truths agree.
        assert np.abs(np.median(pull)) < 0.25
        assert np.percentile(np.abs(pull), 68) < 1.3
