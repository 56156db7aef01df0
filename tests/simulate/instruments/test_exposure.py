"""What an instrument makes of objects: pixels, calibration, noise and damage."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from spectok import simulate
from spectok.simulate._sample import Sample
from spectok.simulate.instruments._exposure import expose

N = 96
NAMES = ("sdss", "desi", "desi-arms", "galah", "apogee", "apogee-visit")


def sample_of(instrument, flux=None, n=N, *, low=0.0, high=9.0, gaps=(), redshift=0.0):
    """Objects of one made-up family: flat, unless a flux is given."""
    whole = torch.ones(n, dtype=torch.float64)
    flux = torch.ones(n, instrument.grid.size) if flux is None else flux
    labels = {"kind": torch.full((n,), 2.0), "redshift": redshift * whole}
    family = torch.zeros(n, dtype=torch.int64)
    return Sample(flux, low * whole, high * whole, [list(gaps)], family, [0.0], ["flat"], labels)


def noise(observation, start=0, step=1):
    """Departures from the truth in units of the stated error."""
    pull = (observation.flux - observation.truth) / observation.sigma
    return pull[:, start::step].double().numpy()


# noise


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_noise_has_the_stated_variance(quiet, generator, name):
    instrument = quiet(simulate.instrument(name))
    pull = noise(expose(sample_of(instrument), instrument, generator(1)))
    assert pull.mean() == pytest.approx(0, abs=5 / pull.size**0.5)
    assert pull.var() == pytest.approx(1, abs=5 * (2 / pull.size) ** 0.5)
    # Of every stretch of pixels, not only of all together.
    by_pixel = pull[:, : pull.shape[1] // 64 * 64].reshape(N, -1, 64).var((0, 2))
    assert np.abs(by_pixel - 1).max() < 6 * (2 / (64 * N)) ** 0.5
    for lag in (1, 2):
        shared = (pull[:, lag:] * pull[:, :-lag]).mean()
        assert shared == pytest.approx(0, abs=5 / pull.size**0.5)


def test_noise_shared_by_neighbours(quiet, generator):
    taps = (1.0, 0.4, -0.15)
    instrument = quiet(simulate.instrument("sdss"), taps=taps)
    pull = noise(expose(sample_of(instrument), instrument, generator(2)))
    power = np.square(taps).sum()
    expected = {0: 1.0, 1: (0.4 - 0.15 * 0.4) / power, 2: -0.15 / power, 3: 0.0, 4: 0.0}
    for lag, value in expected.items():
        seen = (pull[:, lag:] * pull[:, : pull.shape[1] - lag]).mean()
        assert seen == pytest.approx(value, abs=8 / pull.size**0.5)


@pytest.mark.parametrize("error", [0.7, 1.2])
def test_noise_that_is_stated_wrongly(quiet, generator, error):
    instrument = quiet(simulate.instrument("desi"), error=error, photon_error=error)
    pull = noise(expose(sample_of(instrument), instrument, generator(3)))
    assert pull.std() == pytest.approx(error, rel=5 / (2 * pull.size) ** 0.5)


def test_photons_noise_may_be_stated_otherwise_than_the_skys(quiet, generator):
    instrument = quiet(simulate.instrument("sdss"), photon_error=0.6)
    bright = noise(expose(sample_of(instrument), instrument, generator(3), snr=3000.0))
    assert bright.std() == pytest.approx(0.6, rel=0.02)
    faint = noise(expose(sample_of(instrument), instrument, generator(3), snr=0.1))
    assert faint.std() == pytest.approx(1.0, rel=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sdss", "desi-arms", "apogee-visit"])
def test_stated_variance_is_that_of_sky_and_photons(quiet, generator, name):
    instrument = quiet(simulate.instrument(name))
    seen = expose(sample_of(instrument), instrument, generator(4), snr=20.0)
    truth, sigma = seen.truth.double().numpy(), seen.sigma.double().numpy()
    sky = (sigma**2 - instrument.source * truth) / (instrument.floor + instrument.line)
    # The sky differs smoothly from spectrum to spectrum, by some per cent.
    assert np.median(sky) == pytest.approx(1, abs=0.03)
    assert 0.6 < np.percentile(sky, 0.1) and np.percentile(sky, 99.9) < 1.6
    # And the object's own photons count where it is bright.
    bright = expose(sample_of(instrument), instrument, generator(4), snr=3000.0)
    ratio = bright.sigma.double().numpy() ** 2 / (instrument.source * bright.truth.numpy())
    assert np.median(ratio) == pytest.approx(1, abs=0.01) and ratio.min() > 0.999


def test_nights_differ_as_a_whole(quiet, generator):
    instrument = quiet(simulate.instrument("sdss"), scatter=0.3)
    seen = expose(sample_of(instrument), instrument, generator(5), snr=1.0)
    sky = seen.sigma.double().numpy() ** 2 - instrument.source * seen.truth.numpy()
    night = np.log10(np.median(sky / (instrument.floor + instrument.line), axis=1))
    assert night.std() == pytest.approx(0.3, rel=5 / (2 * N) ** 0.5)


# brightness


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("snr", [0.5, 7.0, 150.0])
def test_signal_to_noise_is_what_was_asked_for(quiet, generator, name, snr):
    instrument = quiet(simulate.instrument(name))
    seen = expose(sample_of(instrument), instrument, generator(6), snr=snr)
    shown = seen.labels["snr"].numpy()
    # The median of a ratio is not the ratio of medians, and skies differ.
    np.testing.assert_allclose(shown, snr, rtol=0.2)
    assert np.median(shown) == pytest.approx(snr, rel=0.06)
    ratio = torch.where(seen.valid, (seen.truth / seen.sigma).abs(), torch.nan).numpy()
    np.testing.assert_allclose(shown, np.nanmedian(ratio, axis=1), rtol=0.03)


def test_signal_to_noise_from_a_range_or_the_survey(quiet, generator):
    instrument = quiet(simulate.instrument("desi"))
    spread = expose(sample_of(instrument), instrument, generator(7), snr=(2.0, 200.0))
    log = spread.labels["snr"].log10().numpy()
    assert 0.2 < log.min() < 0.5 and 2.1 < log.max() < 2.4
    assert log.mean() == pytest.approx(1.3, abs=5 * 0.58 / N**0.5)
    usual = replace(instrument, traits={**instrument.traits, "snr": {"all": (0.8, 0.2)}})
    log = expose(sample_of(usual), usual, generator(7)).labels["snr"].log10().numpy()
    assert log.mean() == pytest.approx(0.8, abs=5 * 0.2 / N**0.5)
    assert log.std() == pytest.approx(0.2, rel=5 / (2 * N) ** 0.5)


def test_truth_is_the_template(quiet, generator):
    instrument = quiet(simulate.instrument("desi"))
    fine = torch.tensor(instrument.grid.wavelength()).float()
    slope = (fine / 6000.0) ** -1.7
    flux = torch.stack([slope, 40 * slope])
    seen = expose(sample_of(instrument, flux, n=2), instrument, generator(8), snr=10.0)
    expected = (instrument.wavelength / 6000.0) ** -1.7
    ratio = seen.truth.double().numpy() / expected
    np.testing.assert_allclose(ratio / ratio.mean(1, keepdims=True), 1.0, atol=1e-4)
    # On which scale a template is kept does not matter.
    assert ratio[0].mean() == pytest.approx(ratio[1].mean(), rel=0.2)


def test_calibration_errors_are_in_the_truth(quiet, generator):
    instrument = quiet(simulate.instrument("desi-arms"), arm=(0.1, 0.0, 0.0))
    truth = expose(sample_of(instrument), instrument, generator(9), snr=50.0).truth.log().numpy()
    level = np.array([truth[:, a:b].mean(1) for a, b in instrument.arms])
    for (a, b), one in zip(instrument.arms, level, strict=True):
        np.testing.assert_allclose(truth[:, a:b], one[:, None] + np.zeros(b - a), atol=1e-4)
    steps = np.diff(level, axis=0)
    assert steps.std() == pytest.approx(0.1 * 2**0.5, rel=5 / (2 * steps.size) ** 0.5 + 0.1)


# what is known


def test_pixels_beyond_a_template_are_not_valid(quiet, generator):
    instrument = quiet(simulate.instrument("desi"))
    limits = {"low": np.log10(4500.0), "high": np.log10(9000.0)}
    gap = (np.log10(6000.0), np.log10(6100.0))
    sample = sample_of(instrument, **limits, gaps=[gap], redshift=0.01)
    valid = expose(sample, instrument, generator(10)).valid.numpy()
    wavelength = instrument.wavelength
    # With room for the line-spread function, which reaches 3 of its deviations.
    room = 3 * instrument.lsf.max() / 299792.458 * 9000 + 0.8
    inside = (wavelength > 4500 + room) & (wavelength < 9000 - room)
    blocked = (wavelength > 6060 - room) & (wavelength < 6161 + room)
    assert valid[:, inside & ~blocked].all()
    assert not valid[:, (wavelength < 4500) | (wavelength > 9000)].any()
    assert not valid[:, (wavelength > 6060) & (wavelength < 6161)].any()


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_pixel_holds_numbers_even_where_it_is_not_valid(generator, name):
    instrument = simulate.instrument(name)
    seen = expose(sample_of(instrument, high=np.log10(16000.0)), instrument, generator(11))
    for array in (seen.truth, seen.flux, seen.sigma):
        assert array.shape == seen.valid.shape == (N, len(instrument.wavelength))
        assert torch.isfinite(array).all()
    assert (seen.sigma > 0).all() and (seen.truth > 0).all()
    assert not seen.valid[:, ~torch.tensor(instrument.detector)].any()
    assert 0.3 < seen.valid.float().mean() < 1


def test_noticed_cosmic_rays_stay_in_the_flux_under_the_mask(quiet, generator):
    instrument = quiet(simulate.instrument("sdss"), cosmic=3.0)
    seen = expose(sample_of(instrument), instrument, generator(12), snr=10.0)
    pull, valid = noise(seen), seen.valid.numpy()
    # Three in four of some 3 x 96 rays, of which most stand out; noise does not reach so high.
    assert 100 < (pull[~valid] > 6).sum() and 20 < (pull[valid] > 6).sum()
    assert (~valid).sum() < 2 * 3 * N


def test_bad_pixels_are_masked(quiet, generator):
    instrument = quiet(simulate.instrument("desi-arms"), bad=0.003, dead=0.3)
    valid = expose(sample_of(instrument), instrument, generator(13)).valid.numpy()
    arms = np.array([valid[:, a:b].any(1) for a, b in instrument.arms])
    assert arms[0].all() and arms[1:].mean() == pytest.approx(0.7, abs=5 * (0.21 / 2 / N) ** 0.5)
    assert valid[:, :2751].mean() == pytest.approx(0.997, abs=0.0015)


# the air


@pytest.mark.slow
def test_galah_divides_the_air_out(quiet, generator):
    # An Earth that moves by less than half a pixel, so that the air stays in its place.
    instrument = quiet(simulate.instrument("galah"), shift=0.4)
    seen = expose(sample_of(instrument), instrument, generator(14), snr=30.0)
    clear = replace(instrument, telluric=0 * instrument.telluric)
    without = expose(sample_of(clear), clear, generator(14), snr=30.0)
    torch.testing.assert_close(seen.truth, without.truth, msg="nothing of it is in the flux")
    through = np.exp(-instrument.telluric)
    assert 0.01 < (through < 0.5).mean() < 0.5
    assert (seen.valid.numpy() == (through > 0.5)).all()
    # Fewer photons came, and were multiplied up again: the sky's noise with them.
    truth, sigma = seen.truth.double().numpy(), seen.sigma.double().numpy()
    sky = without.sigma.double().numpy() ** 2 - instrument.source * without.truth.numpy()
    expected = np.sqrt(sky + instrument.source * truth * through) / through
    np.testing.assert_allclose(sigma, expected, rtol=1e-4)


def test_what_a_correction_of_the_air_leaves(quiet, generator):
    instrument = quiet(simulate.instrument("sdss"), telluric=0.1)
    truth = expose(sample_of(instrument), instrument, generator(15), snr=30.0).truth.log().numpy()
    deep = instrument.telluric > 0.5 * instrument.telluric.max()
    clear = instrument.telluric < 1e-6
    left = (truth[:, deep] - truth[:, clear].mean(1, keepdims=True)) / instrument.telluric[deep]
    np.testing.assert_allclose(left, left.mean(1, keepdims=True) + 0 * left, atol=1e-3)
    assert left.mean(1).std() == pytest.approx(0.1, rel=5 / (2 * N) ** 0.5)


def test_skyline_residuals_are_in_the_flux_and_not_in_the_truth(quiet, generator):
    instrument = quiet(simulate.instrument("sdss"))
    poor = quiet(simulate.instrument("sdss"), sky=0.05)
    clean = expose(sample_of(instrument), instrument, generator(16), snr=1.0)
    dirty = expose(sample_of(poor), poor, generator(16), snr=1.0)
    torch.testing.assert_close(clean.truth, dirty.truth)
    lines = instrument.line / (instrument.floor + instrument.line)
    extra = (noise(dirty) ** 2).mean(0) - 1
    assert extra[lines > 0.8].mean() > 1 > 0.05 > np.median(extra[instrument.line == 0])


# the same objects again


def test_a_second_observation_sees_the_same_brightness(quiet, generator):
    instrument = quiet(simulate.instrument("desi"))
    fine = torch.tensor(instrument.grid.wavelength()).float()
    slope = torch.stack([(fine / 6000.0) ** -2, (fine / 6000.0) ** 1.5])
    window = instrument.modified(window=(3700.0, 5000.0), noise=2.0)
    sample = sample_of(instrument, slope, n=2)
    first = expose(sample, instrument, generator(17), snr=20.0)
    second = expose(sample, window, generator(18), level=first.level)
    place = np.searchsorted(instrument.wavelength, window.wavelength)
    np.testing.assert_allclose(second.truth.numpy(), first.truth.numpy()[:, place], rtol=1e-5)


def test_rows(quiet, generator):
    instrument = quiet(simulate.instrument("sdss"))
    seen = expose(sample_of(instrument), instrument, generator(19))
    some = seen[torch.tensor([5, 2])]
    assert (some.flux[0] == seen.flux[5]).all() and (some.flux[1] == seen.flux[2]).all()
    assert some.labels["snr"].tolist() == seen.labels["snr"][[5, 2]].tolist()
    assert some.families == ["flat", "flat"] and some.level.shape == (2,)


# what SDSS's many spectra tell


@pytest.mark.parametrize("name", ["sdss", "boss"])
def test_errors_follow_the_photons_that_were_counted(generator, name):
    instrument = simulate.instrument(name)
    seen = expose(sample_of(instrument), instrument, generator(20), snr=10.0)
    noise = (seen.flux - seen.truth).double().numpy()
    steady = instrument.line < 0.02 * instrument.floor
    # Neighbours' differences, in which all that is smooth falls out.
    pairs = np.flatnonzero(steady[1:] & steady[:-1])
    rise = np.diff(noise)[:, pairs], np.diff(seen.sigma.double().numpy())[:, pairs]
    each = [np.corrcoef(a, b)[0, 1] for a, b in zip(*rise, strict=True)]
    assert 0.1 < np.median(each) < 0.95


def test_errors_of_bright_objects_hold_a_share_of_the_flux(generator):
    instrument = simulate.instrument("sdss")
    for snr, least, most in ((3.0, 0.85, 1.15), (40.0, 0.3, 0.8)):
        seen = expose(sample_of(instrument), instrument, generator(21), snr=snr)
        ratio = (seen.true_sigma / seen.sigma).median(1)[0]
        assert least < ratio.median() < most
        assert seen.labels["snr"].median() == pytest.approx(snr, rel=0.25)


def test_nights_are_those_that_were_measured(generator):
    instrument = simulate.instrument("boss")
    curves = instrument.detail["curves"]
    np.testing.assert_allclose(curves.sum(0), 1.0, atol=0.1)
    assert instrument.detail["nights"].shape[1] == 3 + instrument.detail["group"].max() + len(
        curves
    )
    seen = expose(sample_of(instrument), instrument, generator(22), snr=0.2)
    level = seen.sigma.log10().median(1)[0]
    expected = 0.5 * instrument.detail["nights"][:, 0].std()
    assert level.std() == pytest.approx(float(expected), rel=0.4)


def test_bright_sky_lines_are_lost_as_often_as_in_boss(generator):
    instrument = simulate.instrument("boss")
    seen = expose(sample_of(instrument), instrument, generator(23), snr=5.0)
    lost = instrument.detail["lost"]
    brightest = np.argsort(lost)[-20:]
    share = 1 - seen.valid.double().mean(0).numpy()[brightest]
    assert share.mean() == pytest.approx(lost[brightest].mean(), abs=0.08)


def test_a_window_keeps_what_its_pixels_had():
    whole = simulate.instrument("boss")
    window = whole.modified(window=(5500.0, 7000.0))
    place = np.searchsorted(whole.wavelength, window.wavelength)
    for key, array in whole.detail.items():
        expected = array if key == "nights" else array[..., place]
        np.testing.assert_array_equal(window.detail[key], expected)
