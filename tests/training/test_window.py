"""Windows hold what is asked for; laying out on a device is laying out one by one."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spectok._batch import PatchLayout, SpectrumBatch
from spectok.training._window import Drawn, choose_window, lay_out

GRID = 4000.0 + np.arange(2000.0)


@given(seed=st.integers(0, 200), n_pixels=st.integers(1, 2500), data=st.data())
def test_a_window_is_of_the_part_that_is_covered(seed, n_pixels, data):
    first, last = sorted(data.draw(st.tuples(*[st.integers(0, 1999)] * 2)))
    covered = np.zeros(2000, bool)
    covered[[first, last]] = True
    window, places = choose_window(np.random.default_rng(seed), GRID, covered, n_pixels)
    assert places is None
    # All of it where it fits, and as much as fits of it where not.
    assert window.stop - window.start == min(n_pixels, last + 1 - first)
    assert first <= window.start and window.stop <= last + 1


def test_windows_lie_anywhere():
    rng = np.random.default_rng(0)
    starts = [choose_window(rng, GRID, GRID > 0, 1990)[0].start for _ in range(300)]
    assert set(starts) == set(range(11))


def test_nothing_covered_is_an_empty_window():
    nothing, rng = np.zeros(2000, bool), np.random.default_rng(0)
    assert choose_window(rng, GRID, nothing, 10) == (slice(0, 0), None)
    assert choose_window(rng, GRID, GRID > 0, 10, GRID, nothing) == (slice(0, 0), None)


@given(seed=st.integers(0, 300))
def test_a_window_contains_what_is_asked_for(seed):
    """Cut anywhere, most windows of 96 pixels would have nothing of the other grid."""
    other, rng = np.linspace(5900.0, 5990.0, 250), np.random.default_rng(seed)
    window, places = choose_window(rng, GRID, GRID > 0, 96, other, other > 0)
    assert window.stop - window.start == 96
    assert 0 < len(places) <= 96, "never more than the encoder sees"
    seen, asked = GRID[window], other[places]
    assert seen.min() <= asked.min() and asked.max() <= seen.max()
    assert (np.diff(places) == 1).all()


def test_not_always_the_blue_end_is_asked_for_where_more_than_fits_is():
    other, rng = np.linspace(5900.0, 5990.0, 2500), np.random.default_rng(0)
    found = [choose_window(rng, GRID, GRID > 0, 200, other, other > 0) for _ in range(50)]
    assert all(len(places) == 200 for _, places in found)
    assert len({int(places[0]) for _, places in found}) > 25


def test_a_window_is_around_pixels_that_are_good():
    """All else that the other grid has in the window comes with them."""
    other, rng = np.linspace(4000.0, 5999.0, 4000), np.random.default_rng(0)
    known = np.abs(other - 5000) < 5
    found = [choose_window(rng, GRID, GRID > 0, 300, other, known)[0] for _ in range(50)]
    assert all(GRID[w].max() > 4995 and GRID[w].min() < 5005 for w in found)
    assert len({w.start for w in found}) > 30


def test_grids_with_nothing_in_common_have_no_places():
    other = np.linspace(7000.0, 7100.0, 50)
    for n_pixels in (96, 3000):
        _, places = choose_window(
            np.random.default_rng(0), GRID, GRID > 0, n_pixels, other, other > 0
        )
        assert len(places) == 0


# ------------------------------------------------------------------ laying out

ARMS = np.concatenate([np.linspace(4000.0, 4100.0, 75), np.linspace(5000.0, 5200.0, 41)])


def spectra(n, grid, seed=0):
    rng = np.random.default_rng(seed)
    flux, sigma = rng.normal(size=(n, len(grid))), rng.uniform(0.1, 1.0, (n, len(grid)))
    return flux.astype(np.float32), sigma.astype(np.float32), rng.random(flux.shape) > 0.1


def test_it_is_what_spectra_one_by_one_become():
    layout, arrays = PatchLayout.of(ARMS, 32), spectra(5, ARMS)
    batch = lay_out(layout, *map(torch.from_numpy, arrays))
    one_by_one = SpectrumBatch.from_layouts([layout] * 5, *map(list, arrays))
    for name in ("flux", "sigma", "wavelength", "valid"):
        ours, theirs = getattr(batch, name), getattr(one_by_one, name)
        assert torch.equal(ours, theirs) and ours.dtype == theirs.dtype
    assert batch.flux.shape == (5, 96 + 64)


def test_a_factor_moves_each_grid():
    layout, arrays = PatchLayout.of(ARMS, 32), spectra(3, ARMS)
    factor = np.array([1.0, 1.5, 0.25])
    batch = lay_out(layout, *map(torch.from_numpy, arrays), torch.from_numpy(factor))
    expected = factor[:, None] * layout.wavelength
    assert np.array_equal(batch.wavelength.numpy(), expected)


@pytest.mark.parametrize("own", [True, False])
def test_some_of_what_was_drawn(own):
    seen, other = (
        lay_out(PatchLayout.of(grid, 32), *map(torch.from_numpy, spectra(6, grid)))
        for grid in (ARMS, GRID[:100])
    )
    drawn = Drawn(seen, seen if own else other, noiseless=not own)
    rows = torch.tensor([True, False, True, True, False, False])
    for picked, where in ((rows, [0, 2, 3]), (slice(1, 3), [1, 2])):
        some = drawn[picked]
        assert torch.equal(some.seen.flux, seen.flux[where])
        assert torch.equal(some.target.wavelength, drawn.target.wavelength[where])
        assert (some.target is some.seen) == own and some.noiseless == (not own)


def test_arrays_become_what_a_source_hands_out():
    """In any unit, with junk under bad pixels; of unequal grids, and with a truth."""
    rng = np.random.default_rng(0)
    flux, sigma, valid = (a.astype(float) for a in spectra(3, ARMS))
    valid = valid.astype(bool)
    drawn = Drawn.of(ARMS, 1e-17 * flux, 1e-17 * sigma, valid, patch_size=32)
    expected = lay_out(PatchLayout.of(ARMS, 32), *map(torch.from_numpy, (flux, sigma, valid)))
    assert drawn.target is drawn.seen and not drawn.noiseless
    assert torch.equal(drawn.seen.valid, expected.valid)
    assert torch.equal(drawn.seen.wavelength, expected.wavelength)
    unit = (drawn.seen.sigma[:, :1] / expected.sigma[:, :1]).double()
    assert torch.allclose(drawn.seen.flux.double(), expected.flux * unit, rtol=1e-5)
    flux[0, 5], sigma[1, 7], sigma[2, 8] = np.nan, 0.0, np.inf
    junk = Drawn.of(ARMS, flux, sigma, valid, patch_size=32).seen
    assert not (junk.valid[0, 5] or junk.valid[1, 7] or junk.valid[2, 8])
    assert junk.flux.isfinite().all() and junk.sigma.isfinite().all()
    short = [GRID[:n] for n in (40, 100)]
    parts = [[np.full(len(g), x) for g in short] for x in (2.0, 0.5, True, 3.0)]
    drawn = Drawn.of(short, *parts[:3], patch_size=32, truth=parts[3])
    assert drawn.noiseless and drawn.seen.flux.shape == (2, 128)
    ratio = drawn.target.flux[drawn.target.valid] / drawn.seen.flux[drawn.seen.valid]
    assert torch.allclose(ratio, torch.tensor(1.5)) and drawn.seen.valid.sum() == 140
    ones = np.ones((4, len(GRID)))
    dead = ones > np.array([[0], [0], [2], [0]])
    cut = Drawn.of(GRID, ones, ones, dead, patch_size=32, window=(rng, 2))
    assert cut.seen.valid.sum(1).tolist() == [64, 64, 0, 64]


def test_arrays_that_do_not_belong_together_are_refused():
    ones = np.ones((2, len(GRID)))
    with pytest.raises(ValueError, match="2 spectra of flux, 1 of sigma"):
        Drawn.of(GRID, ones, ones[:1], ones > 0, patch_size=32)
    with pytest.raises(ValueError, match="spectrum 0: wavelength, flux, .*must have one"):
        Drawn.of(GRID[1:], ones, ones, ones > 0, patch_size=32)
