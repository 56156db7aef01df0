"""Mock observations: their truth, their noise, their grids."""

import numpy as np
import pytest
from astropy import units as u
from astropy.nddata import InverseVariance

import spectok
from spectok import simulate

SURVEYS = {"sdss": 3840, "desi": 7781, "galah": 4 * 4096, "apogee": None}


@pytest.mark.parametrize("survey", SURVEYS)
def test_noise_is_what_the_errors_say(survey):
    for spectrum in simulate.observe(survey, 3, seed=1):
        truth, sigma = spectrum.meta["truth"], spectrum.uncertainty.array**-0.5
        pull = (spectrum.flux.value - truth) / sigma
        n_pixels = truth.size
        assert n_pixels == (SURVEYS[survey] or n_pixels)
        assert pull.mean() == pytest.approx(0, abs=5 / n_pixels**0.5)
        assert pull.std() == pytest.approx(1, abs=5 / (2 * n_pixels) ** 0.5)
        assert np.isfinite(truth).all() and np.isfinite(sigma).all() and (sigma > 0).all()


@pytest.mark.parametrize("survey", SURVEYS)
@pytest.mark.parametrize("snr", [3.0, 100.0])
def test_signal_to_noise_is_what_was_asked_for(survey, snr):
    spectrum = simulate.observe(survey, 1, snr=snr)[0]
    truth, sigma = spectrum.meta["truth"], spectrum.uncertainty.array**-0.5
    assert np.median(truth) / np.median(sigma) == pytest.approx(snr, rel=1e-6)
    assert spectrum.meta["label"]["snr"] == snr


@pytest.mark.parametrize("survey", SURVEYS)
def test_what_comes_along(survey):
    spectra = simulate.observe(survey, 2, seed=9)
    assert [s.meta["object_id"] for s in spectra] == [f"mock-{survey}-9-{k}" for k in (0, 1)]
    for s in spectra:
        assert s.meta["mock"] is True and s.meta["survey"] == survey
        assert s.meta["medium"] == "vacuum"
        assert s.flux.unit == u.Unit("1e-17 erg / (s cm2 AA)")
        assert isinstance(s.uncertainty, InverseVariance)
        assert s.mask.dtype == bool and 0 < s.mask.mean() < 0.01
        assert s.meta["label"]["class"] in ("STAR", "GALAXY", "QUASAR")
    assert not np.array_equal(spectra[0].flux, spectra[1].flux)


def test_the_seed_fixes_everything():
    few, many = simulate.observe("sdss", 2, seed=4), simulate.observe("sdss", 4, seed=4)
    for a, b in zip(few, many, strict=False):
        assert (
            np.array_equal(a.flux, b.flux) and a.meta["label"]["class"] == b.meta["label"]["class"]
        )
    other = simulate.observe("sdss", 1, seed=5)[0]
    assert not np.array_equal(other.flux, few[0].flux)


@pytest.mark.parametrize("kind", ["star", "galaxy", "quasar"])
def test_kinds(kind):
    for spectrum in simulate.observe("desi", 3, kind=kind):
        label = spectrum.meta["label"]
        assert label["class"] == kind.upper()
        assert np.isfinite(label["teff"]) == (kind == "star")
        assert label["redshift"] > 0.01 or kind == "star"


@pytest.mark.parametrize("survey", ["galah", "apogee"])
def test_stars_only(survey):
    assert {s.meta["label"]["class"] for s in simulate.observe(survey, 3)} == {"STAR"}
    with pytest.raises(ValueError, match=f"{survey} observes stars only, not a quasar"):
        simulate.observe(survey, kind="quasar")


def test_a_balmer_line_stands_where_the_redshift_puts_it():
    spectrum = simulate.observe("sdss", kind="galaxy", snr=50, seed=2)[0]
    wavelength = spectrum.spectral_axis.to_value(u.AA)
    truth, redshift = spectrum.meta["truth"], spectrum.meta["label"]["redshift"]
    line = 5008.2 * (1 + redshift)
    near = np.abs(wavelength - line) < 25
    assert near.sum() > 10
    assert wavelength[near][truth[near].argmax()] == pytest.approx(line, abs=2.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"survey": "gaia"}, "no survey 'gaia'; choose one of sdss, desi, galah, apogee"),
        ({"survey": "sdss", "kind": "comet"}, "kind must be star, galaxy or quasar, not 'comet'"),
        ({"survey": "sdss", "n": 0}, "n must be at least 1, not 0"),
        ({"survey": "sdss", "snr": 0.0}, "snr must be positive, not 0.0"),
        ({"survey": "sdss", "snr": -3.0}, "snr must be positive, not -3.0"),
    ],
)
def test_wrong_requests(arguments, message):
    with pytest.raises(ValueError, match=message):
        simulate.observe(**arguments)


def test_mocks_of_all_surveys_in_one_call(tiny):
    spectra = [simulate.observe(survey, 1)[0] for survey in SURVEYS]
    tokens = spectok.encode(spectra, model=tiny)
    assert np.unique(tokens["spectrum_index"]).tolist() == [0, 1, 2, 3]
    assert np.isfinite(tokens["token"]).all() and tokens["valid"].mean() > 0.95
    galah = tokens[tokens["spectrum_index"] == 2]
    assert len(galah) == 512, "an arm's patches are its own"
