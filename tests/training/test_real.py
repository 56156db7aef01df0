"""Real spectra: packed into few bytes, unpacked, augmented."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spectok._batch import find_segments
from spectok.training import RealSpectra, pack_spectra

GRIDS = {
    "log": 10 ** (3.5552 + 1e-4 * np.arange(4500)),
    "linear, three arms": np.concatenate(
        [a + 0.8 * np.arange(n) for a, n in ((3600.0, 2751), (5760.0, 2326), (7520.0, 2881))]
    ),
    "four arms": np.concatenate(
        [a + (b - a) * (x := np.linspace(0, 1, 4096)) + 0.5 * x * (1 - x)
         for a, b in ((4713.0, 4904.0), (5648.0, 5874.0), (6478.0, 6738.0), (7584.0, 7888.0))]
    ),
    "gaps": np.delete(10 ** (4.179 + 6e-6 * np.arange(8575)), np.r_[3000:3100, 5000, 5700:5900]),
    "few": np.array([5000.0, 5001.0, 5002.5]),
    "one": np.array([5000.0]),
}  # fmt: skip


def spectrum(wavelength, seed=0, scale=1.0):
    rng = np.random.default_rng(seed)
    sigma = scale * rng.uniform(0.01, 0.1, len(wavelength))
    flux = scale * (1 + 0.3 * np.sin(wavelength / 50)) + sigma * rng.normal(size=len(wavelength))
    valid = rng.random(len(wavelength)) > 0.05
    valid[0] = True
    return wavelength, flux, sigma, valid


@pytest.mark.parametrize("name", GRIDS)
def test_wavelengths_come_back_within_a_thousandth_of_a_pixel(name):
    wavelength = GRIDS[name]
    real = RealSpectra(pack_spectra([(0, *spectrum(wavelength))]), ("sdss",))
    (again, *_) = real.spectrum(0)
    step = np.diff(wavelength, prepend=wavelength[0] - 0.04)
    step = np.where(np.abs(step) > 5, 0.04, np.abs(step))
    assert (np.abs(again - wavelength) < 1e-3 * step).all()
    assert np.array_equal(find_segments(again), find_segments(wavelength))


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_pixels_left_out_do_not_move_the_others(data):
    wavelength = 10 ** (3.6 + 1e-4 * np.arange(300))
    kept = data.draw(st.lists(st.booleans(), min_size=300, max_size=300).filter(any))
    wavelength = wavelength[np.array(kept)]
    real = RealSpectra(pack_spectra([(0, *spectrum(wavelength))]), ("sdss",))
    again = real.spectrum(0)[0]
    assert (np.abs(again / wavelength - 1) < 0.004 * np.log(10) * 1e-4).all()


def test_flux_and_sigma_come_back_in_units_of_the_median():
    several = [spectrum(GRIDS[name], k, 1e-17) for k, name in enumerate(("log", "gaps", "log"))]
    arrays = pack_spectra((k % 2, *one) for k, one in enumerate(several))
    n_pixels = sum(len(one[0]) for one in several)
    assert sum(a.nbytes for a in arrays.values()) < 5 * n_pixels
    real = RealSpectra(arrays, ("sdss", "apogee"))
    assert {name: rows.tolist() for name, rows in real.rows.items()} == {
        "sdss": [0, 2], "apogee": [1],
    }  # fmt: skip
    for row, (_, flux, sigma, valid) in enumerate(several):
        _, flux_, sigma_, valid_ = real.spectrum(row)
        assert np.array_equal(valid_, valid)
        scale = np.median(np.abs(flux[valid]))
        np.testing.assert_allclose(flux_[valid], flux[valid] / scale, rtol=5e-4)
        np.testing.assert_allclose(sigma_[valid], sigma[valid] / scale, rtol=5e-4)


def test_what_half_precision_cannot_hold_is_bad():
    wavelength, flux, sigma, valid = spectrum(GRIDS["log"])
    valid[:] = True
    flux[10], sigma[11], sigma[12] = 1e30, 1e30, 1e-30
    flux[13], sigma[14], sigma[15] = np.nan, np.inf, -1.0
    real = RealSpectra(pack_spectra([(0, wavelength, flux, sigma, valid)]), ("sdss",))
    _, flux_, sigma_, valid_ = real.spectrum(0)
    assert np.flatnonzero(~valid_).tolist() == [*range(10, 16)]
    assert np.isfinite(flux_).all() and np.isfinite(sigma_).all()


def test_a_spectrum_of_zeros_is_kept_over_its_noise():
    wavelength, flux, sigma, valid = spectrum(GRIDS["log"])
    real = RealSpectra(pack_spectra([(0, wavelength, 0 * flux, sigma, valid)]), ("sdss",))
    _, flux_, sigma_, valid_ = real.spectrum(0)
    assert np.array_equal(valid_, valid) and not flux_.any()
    assert np.median(sigma_[valid]) == pytest.approx(1, rel=1e-3)


def test_a_spectrum_without_a_good_pixel_is_refused():
    good, bad = spectrum(GRIDS["log"]), spectrum(GRIDS["log"])
    bad[3][:] = False
    nan = spectrum(GRIDS["log"])
    nan[1][:] = np.nan
    for one in (bad, nan):
        with pytest.raises(ValueError, match="spectrum 1 has no good pixel"):
            pack_spectra([(0, *good), (0, *one)])


def test_an_empty_survey_is_named():
    real = RealSpectra(pack_spectra([(0, *spectrum(GRIDS["log"]))]), ("sdss", "desi"))
    for survey in ("desi", "galah"):
        with pytest.raises(ValueError, match=f"no spectrum of '{survey}' in the pack"):
            real.examples(np.random.default_rng(0), survey, 2)


def test_spectra_are_augmented_and_the_pack_is_left_alone():
    waves = [4000.0 + np.arange(n) for n in (100, 140)]
    arrays = pack_spectra([(0, *spectrum(w, k)) for k, w in enumerate(waves)])
    before = {name: a.copy() for name, a in arrays.items()}
    real = RealSpectra(arrays, ("sdss",))
    examples = real.examples(np.random.default_rng(0), "sdss", 40)
    assert len(examples) == 40 and {len(e.flux) for e in examples} == {100, 140}
    for e in examples:
        assert np.array_equal(e.valid, real.spectrum(int(len(e.flux) == 140))[3])
        assert np.isfinite(e.flux).all() and (e.sigma > 0).all() and not e.noiseless
        assert not e.flux[~e.valid].any()
        assert e.target_wavelength is e.wavelength
    assert len({float(e.wavelength[0]) for e in examples}) > 10
    assert len({float(e.flux[e.valid][0]) for e in examples}) == 40
    assert all(np.array_equal(arrays[name], before[name]) for name in arrays), "data were changed"


def test_extra_noise_is_in_sigma_too():
    """Residuals about the truth stay of unit variance, whatever was added."""
    wavelength = 4000.0 + np.arange(4000.0)
    rng = np.random.default_rng(3)
    sigma = np.full(4000, 0.02)
    flux = 1 + sigma * rng.normal(size=4000)
    real = RealSpectra(pack_spectra([(0, wavelength, flux, sigma, sigma > 0)]), ("sdss",))
    ratios = []
    for e in real.examples(rng, "sdss", 60):
        # Second differences: calibration waves are smooth.
        bend = 2 * e.flux[1:-1] - e.flux[:-2] - e.flux[2:]
        ratios.append(np.std(bend / e.sigma[1:-1]) / np.sqrt(6))
    assert np.all(np.abs(np.array(ratios) - 1) < 0.08)
    assert len({round(float(e.sigma.mean()), 3) for e in real.examples(rng, "sdss", 20)}) > 8
