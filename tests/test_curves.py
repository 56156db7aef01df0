"""Layout of light curves in patches."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectok._curves import curve_layout


@given(st.lists(st.integers(1, 23), min_size=1, max_size=4), st.integers(2, 8), st.integers(0, 9))
def test_every_point_has_one_place_in_a_patch_of_its_band(counts, patch_size, seed):
    rng = np.random.default_rng(seed)
    band = np.repeat(4000.0 + 1000.0 * np.arange(len(counts)), counts)
    time = np.concatenate([np.sort(rng.uniform(5e4, 5.1e4, n)) for n in counts])
    layout = curve_layout(time, band, patch_size)
    assert layout.n_patches == sum(-(-n // patch_size) for n in counts)
    assert np.array_equal(layout.scatter(layout.gather(time)), time)
    assert layout.origin == time.min()
    own = layout.scatter(layout.wavelength) + layout.origin
    assert np.abs(own - time).max() < 1e-9
    patches = layout.scatter(np.repeat(layout.band, patch_size))
    assert np.array_equal(patches, band)
    # Points are spread evenly: patches of a band differ by one point at the most.
    _, _, n_points = layout.patch_range()
    for one in np.unique(band):
        assert np.ptp(n_points[layout.band == one]) <= 1
    places = layout.wavelength.reshape(-1, patch_size)
    assert (np.diff(places, axis=1) >= 0).all()
    assert ((places[:, -1] > places[:, 0]) | (n_points == patch_size)).all()


def test_order_is_asked_for():
    with pytest.raises(ValueError, match="sorted by band"):
        curve_layout(np.arange(3.0), np.array([2.0, 1.0, 2.0]), 4)
    with pytest.raises(ValueError, match="sorted by band"):
        curve_layout(np.array([1.0, 0.0]), np.ones(2), 4)


def test_times_count_from_where_they_are_told_to():
    time, band = np.array([3.0, 5.0, 9.0]), np.full(3, 5e3)
    own = curve_layout(time, band, 4)
    told = curve_layout(time, band, 4, origin=1.0)
    assert own.origin == 3.0 and told.origin == 1.0
    assert np.allclose(told.wavelength - own.wavelength, 2.0)
