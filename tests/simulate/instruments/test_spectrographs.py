"""The surveys' instruments."""

import numpy as np
import pytest

from spectok import simulate
from spectok.simulate.instruments._spectrographs import INSTRUMENTS

# Pixels, first and last wavelength [vacuum Angstrom], resolving power of the survey's papers.
SURVEYS = {
    "sdss": (3840, 3800, 9200, 2000), "boss": (4565, 3600, 10300, 2000),
    "desi": (7781, 3600, 9824, 3500), "desi-arms": (7958, 3600, 9824, 3500),
    "galah": (4 * 4096, 4713, 7891, 28000), "apogee": (8575, 15101, 16999, 22500),
    "apogee-visit": (3 * 4096, 15140, 16960, 22500),
}  # fmt: skip
ARMS = {"desi-arms": [2751, 2326, 2881], "galah": [4096] * 4, "apogee-visit": [4096] * 3}


def test_all_are_here():
    assert set(INSTRUMENTS) == set(SURVEYS)
    with pytest.raises(ValueError, match="no instrument 'gaia'; choose one of sdss, boss, desi"):
        simulate.instrument("gaia")


@pytest.mark.parametrize("name", SURVEYS)
def test_pixels_and_resolution(name):
    instrument = simulate.instrument(name)
    n, low, high, power = SURVEYS[name]
    wavelength = instrument.wavelength
    assert wavelength.shape == (n,) and wavelength.dtype == np.float64
    assert wavelength.min() == pytest.approx(low, abs=12)
    assert wavelength.max() == pytest.approx(high, abs=12)
    assert 299792.458 / 2.3548 / np.median(instrument.lsf) == pytest.approx(power, rel=0.35)
    lengths = [last - first for first, last in instrument.arms]
    assert sum(lengths) == n and lengths == ARMS.get(name, lengths)
    assert len(lengths) == {"apogee": 3}.get(name, len(ARMS.get(name, "1")))
    for first, last in instrument.arms:
        assert (np.diff(wavelength[first:last]) > 0).all()


@pytest.mark.parametrize("name", SURVEYS)
def test_noise_terms_are_usable_everywhere(name):
    instrument = simulate.instrument(name)
    for key in ("lsf", "floor", "source"):
        array = getattr(instrument, key)
        assert array.shape == instrument.wavelength.shape and array.dtype == np.float64
        assert np.isfinite(array).all() and (array > 0).all()
    for key in ("line", "telluric"):
        array = getattr(instrument, key)
        assert np.isfinite(array).all() and (array >= 0).all()
    assert instrument.detector.dtype == bool and instrument.detector.mean() > 0.8


def test_native_grids():
    np.testing.assert_allclose(
        np.log10(simulate.instrument("apogee").wavelength), 4.179 + 6e-6 * np.arange(8575),
        rtol=0, atol=1e-12,
    )  # fmt: skip
    for name in ("sdss", "boss"):
        log = np.log10(simulate.instrument(name).wavelength)
        np.testing.assert_allclose(np.diff(log), 1e-4, atol=1e-9)
    coadd = simulate.instrument("desi").wavelength
    np.testing.assert_allclose(coadd, 3600 + 0.8 * np.arange(7781))
    for first, last in simulate.instrument("desi-arms").arms:
        arm = simulate.instrument("desi-arms").wavelength[first:last]
        assert np.abs(np.interp(arm, coadd, coadd) - arm).max() < 1e-6
        assert np.isin(np.rint(arm * 10), np.rint(coadd * 10)).all(), "arms share one grid"


def test_where_arms_overlap_their_coadd_is_less_noisy():
    coadd, arms = simulate.instrument("desi"), simulate.instrument("desi-arms")
    for low, high, first, second in ((5761, 5799, 0, 1), (7521, 7619, 1, 2)):
        inside = (coadd.wavelength > low) & (coadd.wavelength < high)
        total = 0.0
        for number in (first, second):
            a, b = arms.arms[number]
            noise = (arms.floor + arms.line)[a:b]
            total = total + 1 / np.interp(coadd.wavelength[inside], arms.wavelength[a:b], noise)
        np.testing.assert_allclose((coadd.floor + coadd.line)[inside], 1 / total, rtol=1e-6)


def test_gaps_of_apogee_have_no_detector():
    instrument = simulate.instrument("apogee")
    lost = instrument.wavelength[~instrument.detector]
    for gap in (15830, 16455):
        assert np.abs(lost - gap).min() < 1
    for seen in (15500, 16100, 16700):
        assert np.abs(lost - seen).min() > 100


def test_skies_and_air_are_where_they_should_be():
    sdss = simulate.instrument("sdss")

    def ratio(line, low, high):
        around = (sdss.wavelength > low) & (sdss.wavelength < high)
        near = np.abs(sdss.wavelength - line) < 3
        total = sdss.floor + sdss.line
        return total[near].max() / np.median(total[around])

    assert ratio(5578.9, 5500, 5650) > 3, "oxygen's green line"
    a_band = np.abs(sdss.wavelength - 7610) < 15
    assert sdss.telluric[a_band].max() > 20 * np.median(sdss.telluric)


def test_one_instrument_is_made_once():
    assert simulate.instrument("desi") is simulate.instrument("desi")
