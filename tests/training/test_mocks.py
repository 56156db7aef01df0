"""Mock observations: noise is seen and truth is asked for, of the same object."""

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

    def __init__(self, *grids, good=0.9):
        self.grids, self.good = grids, good
        self.calls = []

    def draw(self, n, generator, *, snr=None):
        self.calls.append((n, snr))
        slope = torch.rand((n, 1), generator=generator)
        for grid in self.grids:
            truth = slope * torch.as_tensor(grid, dtype=torch.float32)
            sigma = torch.full_like(truth, 3.0)
            flux = truth + sigma * torch.randn(truth.shape, generator=generator)
            valid = torch.rand(truth.shape, generator=generator) < self.good
            yield SimpleNamespace(
                truth=truth, flux=flux, sigma=sigma, valid=valid,
                instrument=SimpleNamespace(wavelength=grid),
            )  # fmt: skip


def drawn_of(*found, n=12, seed=0, n_patches=20, patch=32, jitter=0.0):
    """What is drawn of simulators of equal shares."""
    mocks = MockSpectra({"sdss": [(1.0, one) for one in found]}, jitter=jitter)
    return mocks.draw(np.random.default_rng(seed), "sdss", n, n_patches, patch)


def on(grid, part, row):
    """Flux, wavelength, sigma and valid of a spectrum of so many pixels."""
    arrays = (part.flux, part.wavelength, part.sigma, part.valid)
    return [a[row, : len(grid)].numpy() for a in arrays]


def test_the_encoder_sees_noise_and_is_asked_for_the_truth():
    drawn = drawn_of(Objects(SAME))
    assert drawn.noiseless and drawn.seen.flux.shape == drawn.target.flux.shape == (12, 13 * 32)
    assert torch.equal(drawn.seen.wavelength, drawn.target.wavelength)
    assert torch.equal(drawn.seen.valid, drawn.target.valid)
    for row in range(12):
        flux, wavelength, sigma, valid = on(SAME, drawn.seen, row)
        assert np.array_equal(wavelength, SAME)
        truth, _, target_sigma, _ = on(SAME, drawn.target, row)
        slope = truth[valid] / SAME[valid]
        assert np.ptp(slope) < 1e-6 * slope[0]
        assert np.std((flux - truth)[valid]) == pytest.approx(3, rel=0.2)
        assert (sigma[valid] == 3).all() and (target_sigma[valid] == 3).all()
        assert 0.8 < valid.mean() < 1 and not flux[~valid].any()
    assert not drawn.seen.valid[:, 401:].any()


def test_the_target_of_a_pair_is_the_same_object_on_the_other_grid():
    drawn = drawn_of(Objects(SAME, PAIR))
    for row in range(12):
        flux, wavelength, _, valid = on(SAME, drawn.seen, row)
        truth, other, _, known = on(PAIR, drawn.target, row)
        assert np.array_equal(wavelength, SAME) and np.array_equal(other, PAIR)
        slope = np.median((truth / PAIR)[known])
        assert np.median((flux / SAME)[valid]) == pytest.approx(slope, abs=1e-3)
        assert np.isclose(truth, slope * PAIR)[known].all(), "noise in the truth"


def test_a_window_contains_what_is_asked_for():
    for seed in range(30):
        drawn = drawn_of(Objects(SAME, PAIR), seed=seed, n_patches=3, patch=16)
        assert drawn.seen.flux.shape == (12, 48) and drawn.target.flux.shape[1] <= 48
        asked = drawn.target.wavelength[drawn.target.valid]
        assert len(asked) and drawn.seen.wavelength.min() <= asked.min()
        assert asked.max() <= drawn.seen.wavelength.max()


def test_the_grid_moves_by_less_than_a_pixel_in_half_of_the_spectra():
    for grids in ((SAME,), (SAME, PAIR)):
        drawn = drawn_of(Objects(*grids), n=200, jitter=0.5)
        shift = drawn.seen.wavelength.numpy()[:, :401] / SAME - 1
        assert np.ptp(shift, axis=1).max() < 1e-12, "the grid changed its shape"
        pixels = shift.mean(1) * 4200
        assert 0.35 < (pixels == 0).mean() < 0.65
        assert 0.4 < np.abs(pixels).max() <= 0.51 and abs(pixels.mean()) < 0.1
        target = grids[-1]
        moved = drawn.target.wavelength.numpy()[:, : len(target)]
        np.testing.assert_allclose(moved, target * (1 + shift.mean(1)[:, None]), rtol=1e-13)


def test_simulators_are_drawn_by_their_shares():
    """And each batch is of one."""
    one, two = Objects(SAME), Objects(SAME, PAIR)
    mocks = MockSpectra({"sdss": [(7.0, one), (3.0, two)]})
    rng = np.random.default_rng(0)
    found = [mocks.draw(rng, "sdss", 20, 20, 32) for _ in range(200)]
    assert len(one.calls) + len(two.calls) == 200
    assert {len(drawn.seen.flux) for drawn in found} == {20}
    assert 0.2 < len(two.calls) / 200 < 0.4
    first = torch.cat([drawn.target.flux.sum(1) for drawn in found])
    assert len(first.unique()) > 3900, "the same objects again"


def test_a_share_of_all_draws_is_bright():
    one = Objects(SAME)
    mocks = MockSpectra({"sdss": [(1.0, one)]}, snr=(5.0, 50.0), snr_share=0.25)
    rng = np.random.default_rng(0)
    for _ in range(400):
        mocks.draw(rng, "sdss", 1, 2, 32)
    asked = [snr for _, snr in one.calls]
    assert set(asked) == {None, (5.0, 50.0)}
    assert np.mean([snr is not None for snr in asked]) == pytest.approx(0.25, abs=0.06)


@pytest.mark.slow
@pytest.mark.parametrize(
    "objects",
    [Objects(SAME, good=0.0), Objects(SAME, PAIR, good=0.0), Objects(SAME, SAME + 1000.0)],
    ids=["nothing good", "nothing good of two", "nothing in common"],
)
def test_nothing_is_drawn_where_nothing_can_be_asked_for(objects):
    drawn = drawn_of(objects)
    assert len(drawn.seen.flux) == len(drawn.target.flux) == 0
    mocks = MockSpectra({"sdss": [(1.0, objects)]})
    batches = Batches(
        {"mock": mocks}, {"sdss": {"mock": 1.0}}, patch_size=32, n_tokens=500, seed=1
    )
    with pytest.raises(ValueError, match="look at the source mock"):
        batches[0]


@pytest.mark.parametrize("found", [[], [(0.0, None)], [(1.0, None), (-1.0, None)]])
def test_shares_are_checked(found):
    with pytest.raises(ValueError, match="simulators of desi must be pairs"):
        MockSpectra({"desi": found})


def test_an_unknown_survey_is_named():
    mocks = MockSpectra({"sdss": [(1.0, Objects(SAME))]})
    with pytest.raises(ValueError, match="no simulator of 'galah', only of sdss"):
        mocks.draw(np.random.default_rng(0), "galah", 1, 2, 32)


# ------------------------------------------------------------------ with the simulator


@pytest.fixture(scope="module")
def mocks():
    boss, desi = instrument("boss"), instrument("desi")
    narrow = boss.modified(window=(5000.0, 6500.0), sampling=1.5)
    return MockSpectra(
        {
            "sdss": [(0.5, Simulator(boss)), (0.3, Simulator(boss, narrow))],
            "desi": [(0.2, Simulator("desi-arms")), (0.3, Simulator(desi, boss))],
        }
    )


@pytest.fixture(scope="module", params=[1, 3], ids=["alone", "at_once"])
def batches(request, mocks):
    mixture = {"sdss": {"mock": 0.6}, "desi": {"mock": 0.4}}
    return Batches(
        {"mock": mocks}, mixture, patch_size=32, n_tokens=500, seed=11, draw_batches=request.param
    )


def test_a_batch_depends_on_its_number_alone(batches, same):
    first = [batches[number] for number in range(6)]
    for number in (4, 0, 5, 2):
        assert same(first[number], batches[number])
    assert not same(first[0], first[1])
    assert {len(b.seen.flux) for b in first} != {len(first[0].seen.flux)}


@pytest.mark.slow
def test_neither_threads_nor_workers_change_a_bit_of_it(batches, same):
    """The last bits of matrix products do hang on the number of threads."""
    threads = torch.get_num_threads()
    found = []
    try:
        for number in (1, 2):
            torch.set_num_threads(number)
            batches._kept.clear()
            found.append([batches[k] for k in range(4)])
            assert torch.get_num_threads() == number
    finally:
        torch.set_num_threads(threads)
    loader = DataLoader(batches, sampler=range(4), batch_size=None, num_workers=2)
    for one, two, three in zip(*found, loader, strict=True):
        assert same(one, two) and same(one, three)


@pytest.mark.slow
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
    drawn = drawn_of(Simulator(boss, window), jitter=0.5, n_patches=200)
    for row in range(12):
        flux, wavelength, sigma, valid = (a.numpy() for a in (
            drawn.seen.flux[row], drawn.seen.wavelength[row], drawn.seen.sigma[row],
            drawn.seen.valid[row],
        ))  # fmt: skip
        truth, other, _, known = on(window.wavelength, drawn.target, row)
        first = np.abs(wavelength - other[0]).argmin()
        cut = slice(first, first + len(other))
        np.testing.assert_allclose(other, wavelength[cut], rtol=1e-12)
        pull = ((flux[cut] - truth) / sigma[cut])[valid[cut] & known]
        # Bias of a pixel in the mean: level, slope and shape of both truths agree.
        assert np.abs(np.median(pull)) < 0.25
        assert np.percentile(np.abs(pull), 68) < 1.3
