"""Mock light curves: what they promise of themselves."""

import numpy as np
import pytest

from spectok.simulate import lightcurves
from spectok.simulate.lightcurves import KINDS, SURVEYS


@pytest.mark.parametrize("survey", SURVEYS)
def test_points_are_sorted_and_errors_positive(survey):
    found = lightcurves.observe(survey, 40, seed=3)
    assert len(found) == 40
    for time, band, sigma, truth in zip(
        found.time, found.band, found.sigma, found.truth, strict=True
    ):
        assert (np.diff(band) >= 0).all() and (sigma > 0).all() and np.isfinite(truth).all()
        assert (np.diff(time)[np.diff(band) == 0] >= 0).all()
        assert set(band) <= set(SURVEYS[survey].bands)


def test_noise_is_what_the_errors_say():
    found = lightcurves.observe("des", 200, seed=1)
    pull = np.concatenate(found.flux) - np.concatenate(found.truth)
    pull = pull / np.concatenate(found.sigma)
    # 20,000 numbers: the standard deviation is known to half a per cent.
    assert abs(pull.mean()) < 0.03 and abs(pull.std() - 1) < 0.03


def test_the_seed_says_all():
    first, again, other = (lightcurves.observe("lsst", 5, seed=k) for k in (1, 1, 2))
    assert all(map(np.array_equal, first.flux, again.flux))
    assert not np.array_equal(first.flux[0], other.flux[0])


def test_kinds_and_shares():
    found = lightcurves.observe("ztf", 300, kinds={"Ia": 3, "constant": 1}, seed=5)
    assert set(found.kind) == {"Ia", "constant"}
    assert 0.65 < (found.kind == "Ia").mean() < 0.85
    assert np.isnan(found.redshift[found.kind == "constant"]).all()
    ia = found.kind == "Ia"
    assert (found.redshift[ia] > 0).all()
    constant = [t / t.mean() for t, b in zip(found.truth, ~ia, strict=True) if b]
    one_band = [
        c[b == b[0]] for c, b in zip(constant, np.array(found.band, object)[~ia], strict=True)
    ]
    assert max(np.ptp(c) for c in one_band) < 1e-12


def test_supernovae_fade_and_redden():
    """After maximum a type Ia is redder, and in time it is gone."""
    from spectok.simulate.lightcurves._transients import transient

    time = np.tile([-60.0, 0.0, 20.0, 300.0], (50, 1))
    blue, red = (
        transient(
            np.random.default_rng(1), "Ia", 50, time, np.full_like(time, band), np.full(50, 0.1)
        )
        for band in (4800.0, 7800.0)
    )
    assert (blue[:, 0] < 0.02 * blue[:, 1]).all() and (blue[:, 3] < 0.01 * blue[:, 1]).all()
    assert (blue[:, 2] / red[:, 2] < blue[:, 1] / red[:, 1]).all()


def test_what_cannot_be():
    with pytest.raises(ValueError, match="no survey 'sloan'"):
        lightcurves.observe("sloan")
    with pytest.raises(ValueError, match="kinds must be of .*, not kilonova"):
        lightcurves.observe("des", kinds=["kilonova"])
    assert len(KINDS) == len(set(KINDS))
