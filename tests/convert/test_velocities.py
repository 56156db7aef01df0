"""Redshifts and velocities as plain redshifts."""

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SpectralCoord
from astropy.table import MaskedColumn

from spectok._convert import to_redshifts


def test_against_spectral_coordinates():
    """A line at rest, seen by an observer from whom the source moves away."""
    for velocity in (-300.0, 0.0, 50.0, 90000.0) * u.km / u.s:
        rest = SpectralCoord(5000 * u.AA)
        seen = rest.with_radial_velocity_shift(velocity)
        assert 1 + to_redshifts(velocity) == pytest.approx((seen / rest).value, rel=1e-12)


def test_what_is_no_velocity_stays():
    assert to_redshifts(0.3) == 0.3
    assert to_redshifts(5 * u.percent) == pytest.approx(0.05)
    assert list(to_redshifts([0.1, 0.2])) == [0.1, 0.2]
    listed = to_redshifts([10 * u.km / u.s, 20e3 * u.m / u.s])
    assert listed == pytest.approx(to_redshifts([10, 20] * u.km / u.s))
    masked = MaskedColumn([0.1, 0.2], mask=[True, False])
    assert np.isnan(to_redshifts(masked)[0]) and to_redshifts(masked)[1] == 0.2
    moving = MaskedColumn([10.0, np.nan], mask=[True, False], unit="km/s")
    assert np.isnan(to_redshifts(moving)).all()


@pytest.mark.parametrize(("given", "error", "message"), [
    (3 * u.kg, ValueError, "redshifts cannot be in kg"),
    (3e5 * u.km / u.s, ValueError, "reach the speed of light"),
    ([0.1, 63.2], ValueError, "up to 63.2 are none .* velocities need their unit"),
    (["a"], TypeError, "not list"),
    ({"z": 1}, TypeError, "not dict"),
])  # fmt: skip
def test_what_cannot_be(given, error, message):
    with pytest.raises(error, match=message):
        to_redshifts(given)
