"""Pixels, the response matrix, and spectrographs made of others."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtr
from torch.nn.functional import embedding_bag

from spectok import simulate
from spectok.simulate._fine_grid import FineGrid
from spectok.simulate.instruments._instrument import Instrument

CPU = torch.device("cpu")
LIGHT = 299792.458
GRID = FineGrid(((np.log10(4000.0), 4000),), 2.5e-5)  # to 5036 Angstrom, 17 km/s
TWO = FineGrid(((np.log10(4000.0), 1200), (np.log10(5000.0), 1200)), 2.5e-5)


def make(wavelength, lsf=60.0, *, arms=None, grid=GRID, **arrays):
    """An instrument of one's own; what is not given is one everywhere."""
    wavelength = np.asarray(wavelength, float)
    ones = np.ones(len(wavelength))
    given_arrays = {
        "floor": ones, "line": ones, "source": ones, "detector": ones.astype(bool),
        "telluric": 0 * ones, **arrays,
    }  # fmt: skip
    return Instrument(
        "mine", "mine", wavelength, arms or ((0, len(wavelength)),), grid, lsf=lsf * ones,
        traits={"rough": 0.0, "blaze": ((0.0, 0.0, 0.0),)}, **given_arrays,
    )  # fmt: skip


def matrix(instrument, lsf_sigma=0.0):
    """The response as a dense matrix, (pixels, fine points)."""
    columns, weights = instrument.response(lsf_sigma, CPU)
    dense = torch.zeros(len(columns), instrument.grid.size, dtype=torch.float64)
    return dense.scatter_add_(1, columns, weights.double()).numpy()


def through(instrument, flux, lsf_sigma=0.0):
    columns, weights = instrument.response(lsf_sigma, CPU)
    flux = torch.as_tensor(flux, dtype=torch.float32)[:, None]
    return embedding_bag(columns, flux, per_sample_weights=weights, mode="sum")[:, 0].numpy()


@given(
    width=st.floats(0.3, 6.0), lsf=st.floats(5.0, 250.0), lsf_sigma=st.floats(0.0, 250.0),
    start=st.floats(4060.0, 4100.0), n=st.integers(20, 60),
)  # fmt: skip
def test_response_conserves_flux(width, lsf, lsf_sigma, start, n):
    instrument = make(start + width * np.arange(n), lsf)
    response = matrix(instrument, lsf_sigma)
    assert response.min() > -1e-7
    np.testing.assert_allclose(response.sum(1), 1.0, atol=1e-6)
    fine = GRID.wavelength()
    # What lies so deep inside that none of it can leave through the first or last pixel.
    left = np.sqrt(max(lsf**2 - lsf_sigma**2 - GRID.velocity**2 / 6, 0.25))
    room = 5 * left / LIGHT * 4500 + 1
    inside = (fine > start + room) & (fine < start + width * (n - 1) - room)
    cell = 0.5 * (fine[2:] - fine[:-2])
    share = ((width * response.sum(0))[1:-1] / cell)[inside[1:-1]]
    # The width of the function grows with wavelength: neighbours disagree a little.
    np.testing.assert_allclose(share, 1.0, atol=5e-4)
    if len(share):
        assert share.mean() == pytest.approx(1, abs=5e-5)


@pytest.mark.parametrize("width", [0.8, 3.0])
@pytest.mark.parametrize(("line", "lsf", "lsf_sigma"), [(40.0, 60.0, 0.0), (65.0, 90.0, 65.0),
                                                     (100.0, 25.0, 0.0)])  # fmt: skip
def test_gaussian_line_is_that_of_both_widths_mean_over_each_pixel(width, line, lsf, lsf_sigma):
    wavelength = 4300 + width * np.arange(int(500 / width))
    instrument = make(wavelength, lsf)
    centre = 4500.123
    fine = GRID.wavelength()
    # A template whose blur is known comes with it already in its lines.
    flux = np.exp(-0.5 * (np.log(fine / centre) * LIGHT / line) ** 2)
    seen = through(instrument, flux, lsf_sigma)
    own = line / LIGHT * centre
    both = np.sqrt(line**2 + lsf**2 - lsf_sigma**2) / LIGHT * centre
    edge = np.append(wavelength - width / 2, wavelength[-1] + width / 2)
    expected = np.diff(ndtr((edge - centre) / both)) * np.sqrt(2 * np.pi) * own / width
    assert np.abs(seen - expected).max() < 1e-3 * expected.max()


@pytest.mark.parametrize("name", ["sdss", "desi-arms", "galah", "apogee", "apogee-visit"])
def test_a_constant_stays_a_constant(name):
    instrument = simulate.instrument(name)
    seen = through(instrument, np.full(instrument.grid.size, 3.0), 5.0)
    np.testing.assert_allclose(seen, 3.0, rtol=1e-6)


def test_a_pixel_sees_no_other_segment():
    edge = np.concatenate([4276.0 + 0.3 * np.arange(30), 5001.0 + 0.3 * np.arange(30)])
    instrument = make(edge, 150.0, arms=((0, 30), (30, 60)), grid=TWO)
    response = matrix(instrument)
    assert response[29, 1190:1200].any() and response[30, 1200:1210].any()
    assert not response[:30, 1200:].any() and not response[30:, :1200].any()
    np.testing.assert_allclose(response.sum(1), 1.0, atol=1e-6)


def test_pixels_outside_the_simulated_range_are_refused():
    with pytest.raises(ValueError, match="3990.0 to 4100.0 Angstrom are not inside the sim"):
        make([3990.0, 4050.0, 4100.0]).response(0.0, CPU)
    between = make([4200.0, 4500.0, 5100.0], grid=TWO)
    with pytest.raises(ValueError, match="not inside the simulated range"):
        between.response(0.0, CPU)


def test_edges_lie_halfway():
    low, high = make([1.0, 2.0, 4.0, 10.0, 12.0], arms=((0, 3), (3, 5))).edges()
    assert low.tolist() == [0.5, 1.5, 3.0, 9.0, 11.0]
    assert high.tolist() == [1.5, 3.0, 5.0, 11.0, 13.0]


def test_what_is_kept_belongs_to_one_instrument():
    first = make(4200 + np.arange(50.0), 60.0)
    sharp = matrix(first)
    assert first.response(0.0, CPU)[1] is first.response(0.0, CPU)[1]
    second = replace(first, lsf=np.full(50, 120.0), floor=np.full(50, 7.0))
    assert second.tensor("floor", CPU)[0] == 7 and first.tensor("floor", CPU)[0] == 1
    assert matrix(second).max() < 0.7 * sharp.max()


# modified


@pytest.fixture
def arms():
    """Two arms that overlap; every array says which arm it is from."""
    wavelength = np.concatenate([4100 + 0.5 * np.arange(300), 4200 + 0.8 * np.arange(200)])
    number = np.repeat([1.0, 2.0], [300, 200])
    return make(
        wavelength, 30.0, arms=((0, 300), (300, 500)),
        floor=number, line=10 * number, source=100 * number, telluric=0.1 * number,
        detector=number > 0,
    )  # fmt: skip


@given(
    sampling=st.floats(0.2, 8.0), noise=st.floats(0.1, 10.0),
    low=st.floats(4050.0, 4150.0), high=st.floats(4300.0, 4400.0),
)  # fmt: skip
def test_modified_pixels_stay_in_their_arms(sampling, noise, low, high):
    number = np.repeat([1.0, 2.0], [300, 200])
    wavelength = np.concatenate([4100 + 0.5 * np.arange(300), 4200 + 0.8 * np.arange(200)])
    old = make(
        wavelength, 30.0 * number, arms=((0, 300), (300, 500)), floor=number, line=3 * number,
        source=7 * number,
    )  # fmt: skip
    new = old.modified(window=(low, high), sampling=sampling, noise=noise)
    assert new.arms[0][0] == 0 and new.arms[-1][1] == len(new.wavelength)
    assert len(new.arms) == 2 and new.arms[0][1] == new.arms[1][0]
    gain = noise**2 / sampling
    for which, (first, last), step in zip((1, 2), new.arms, (0.5, 0.8), strict=True):
        here = new.wavelength[first:last]
        assert low <= here[0] and here[-1] <= high
        np.testing.assert_allclose(np.diff(here), step * sampling, rtol=1e-6)
        np.testing.assert_allclose(new.floor[first:last], which * gain)
        np.testing.assert_allclose(new.line[first:last], 3 * which * gain)
        np.testing.assert_allclose(new.source[first:last], 7 * which * gain)
        assert (new.lsf[first:last] == 30 * which).all()
    for name in ("lsf", "floor", "line", "source", "detector", "telluric"):
        assert len(getattr(new, name)) == len(new.wavelength)
    np.testing.assert_allclose(matrix(new).sum(1), 1.0, atol=1e-6)


def test_whole_groups_of_pixels_share_their_edges(arms):
    low, high = arms.edges()
    new_low, new_high = arms.modified(sampling=3.0).edges()
    np.testing.assert_allclose(new_low[:100], low[:300:3])
    np.testing.assert_allclose(new_high[:100], high[2:300:3])


def test_a_window_that_leaves_no_pixel_of_an_arm_leaves_the_arm_out(arms):
    new = arms.modified(window=(4100.0, 4190.0))
    assert new.arms == ((0, 181),) and (new.floor == 1).all()
    assert arms.modified(window=(4260.0, 4360.0)).floor.tolist() == [2.0] * 125


def test_what_belongs_to_an_arm_stays_with_it():
    galah = simulate.instrument("galah")
    assert len(galah.traits["blaze"]) == 4
    for window, kept in (((4600.0, 6000.0), (0, 1)), ((6500.0, 6600.0), (2,)), (None, range(4))):
        new = galah.modified(window=window)
        assert new.traits["blaze"] == tuple(galah.traits["blaze"][k] for k in kept)
        assert len(new.arms) == len(kept)


def test_resolution_only_gets_worse():
    old = make(4100 + np.arange(100.0), np.linspace(20.0, 60.0, 100))
    new = old.modified(resolution=3000.0)
    np.testing.assert_allclose(new.lsf, np.maximum(old.lsf, LIGHT / 3000 / 2.35482), rtol=1e-4)
    assert (old.modified(resolution=1e6).lsf == old.lsf).all()
    assert (old.modified().wavelength == old.wavelength).all()


@pytest.mark.parametrize("name", ["sampling", "resolution", "noise"])
@pytest.mark.parametrize("value", [0.0, -2.0, float("nan")])
def test_factors_must_be_positive(arms, name, value):
    with pytest.raises(ValueError, match=f"{name} must be positive, not {value}"):
        arms.modified(**{name: value})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": (4300.0, 4306.0)}, "4300 to 4306 Angstrom leaves 8 pixels of mine"),
        ({"window": (4300.0, 4200.0)}, "leaves 0 pixels"),
        ({"window": (9000.0, 9900.0)}, "leaves 0 pixels of mine .4100 to 4359 Angstrom"),
        ({"sampling": 25.0}, "at least 32"),
        ({"sampling": 1e9}, "leaves 0 pixels"),
    ],
)
def test_too_few_pixels(arms, options, message):
    with pytest.raises(ValueError, match=message):
        arms.modified(**options)
