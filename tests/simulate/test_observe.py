"""Mock observations as specutils spectra: units, masks, labels and truth."""

import numpy as np
import pytest
from astropy import units as u
from astropy.nddata import InverseVariance

import spectok
from spectok import simulate

PIXELS = {"sdss": 3840, "boss": 4565, "desi": 7781, "galah": 4 * 4096, "apogee": 8575,
          "apogee-visit": 3 * 4096}  # fmt: skip
F_LAMBDA = u.Unit("1e-17 erg / (s cm2 AA)")


@pytest.mark.slow
@pytest.mark.parametrize("survey", PIXELS)
def test_what_comes_along(survey):
    spectra = simulate.observe(survey, 2, seed=9)
    assert [s.meta["object_id"] for s in spectra] == [f"mock-{survey}-9-{k}" for k in (0, 1)]
    for s in spectra:
        assert s.flux.shape == (PIXELS[survey],) and s.flux.dtype == np.float64
        assert s.flux.unit == (u.count if survey == "galah" else F_LAMBDA)
        assert s.spectral_axis.unit == u.AA
        assert (s.spectral_axis.value == simulate.instrument(survey).wavelength).all()
        assert isinstance(s.uncertainty, InverseVariance)
        assert s.uncertainty.unit == s.flux.unit**-2
        assert s.mask.dtype == bool and not s.mask.all()
        ivar = s.uncertainty.array
        assert (ivar[s.mask] == 0).all() and (ivar[~s.mask] > 0).all()
        assert np.isfinite(ivar).all() and np.isfinite(s.flux.value).all()
        assert s.meta["truth"].shape == s.flux.shape and np.isfinite(s.meta["truth"]).all()
        assert s.meta["mock"] is True and s.meta["medium"] == "vacuum"
        assert s.meta["simulator"] == f"spectok {spectok.__version__}"
        assert s.meta["survey"] == {"boss": "SDSS"}.get(survey, survey.split("-")[0].upper())
    assert not np.array_equal(spectra[0].flux, spectra[1].flux)


def test_labels():
    spectra = simulate.observe("desi", 30, seed=2)
    wanted = {"class", "redshift", "snr", "template", "ebv", "ebv_host", "vsini", "teff", "logg",
              "feh", "alpha", "vbroad", "age", "metallicity"}  # fmt: skip
    for s in spectra:
        label = s.meta["label"]
        assert set(label) == wanted
        family, _, entry = label["template"].partition(":")
        assert family.startswith("analytic-") and entry.isdigit()
        assert ("stars" in family) == (label["class"] == "STAR") == np.isfinite(label["teff"])
        assert all(isinstance(label[key], float) for key in wanted - {"class", "template"})
    assert {s.meta["label"]["class"] for s in spectra} == {"GALAXY", "QSO", "STAR"}


def test_noise_and_truth_agree_with_the_simulator():
    (observation,) = simulate.Simulator("sdss").observe(3, seed=5, snr=(5.0, 50.0))
    for i, s in enumerate(simulate.observe("sdss", 3, seed=5, snr=(5.0, 50.0))):
        valid = observation.valid[i].numpy()
        assert (s.mask == ~valid).all()
        np.testing.assert_allclose(s.flux.value, observation.flux[i].numpy())
        np.testing.assert_allclose(s.meta["truth"], observation.truth[i].numpy())
        sigma = observation.sigma[i].double().numpy()
        np.testing.assert_allclose(s.uncertainty.array[valid], sigma[valid] ** -2)
        label = s.meta["label"]
        assert label["snr"] == pytest.approx(float(observation.labels["snr"][i]))
        assert label["redshift"] == float(observation.labels["redshift"][i]), "in full precision"


@pytest.mark.slow
@pytest.mark.parametrize("survey", ["sdss", "galah", "apogee"])
@pytest.mark.parametrize("snr", [3.0, 100.0])
def test_signal_to_noise_is_about_what_was_asked_for(survey, snr):
    shown = [s.meta["label"]["snr"] for s in simulate.observe(survey, 20, snr=snr)]
    assert np.median(shown) == pytest.approx(snr, rel=0.25)
    (spectrum,) = simulate.observe(survey, 1, snr=snr)
    ratio = np.abs(spectrum.meta["truth"]) * spectrum.uncertainty.array**0.5
    exact = np.median(ratio[~spectrum.mask])
    assert spectrum.meta["label"]["snr"] == pytest.approx(exact, rel=0.05)


def test_the_seed_fixes_everything():
    few, many = simulate.observe("sdss", 2, seed=4), simulate.observe("sdss", 4, seed=4)
    for a, b in zip(few, many, strict=False):
        assert np.array_equal(a.flux, b.flux) and a.meta["object_id"] == b.meta["object_id"]
        assert repr(a.meta["label"]) == repr(b.meta["label"])
    other = simulate.observe("sdss", 1, seed=5)[0]
    assert not np.array_equal(other.flux, few[0].flux)


@pytest.mark.parametrize("survey", ["galah", "apogee"])
def test_stars_only(survey):
    assert {s.meta["label"]["class"] for s in simulate.observe(survey, 3)} == {"STAR"}
    with pytest.raises(ValueError, match=f"no template of kind 'quasar' for {survey}"):
        simulate.observe(survey, kind="quasar")


def test_templates_from_files(real_templates):
    templates = real_templates("star-kesseli", "galaxy-mastar")
    spectra = simulate.observe("boss", 12, seed=1, templates=templates)
    family = {s.meta["label"]["template"].partition(":")[0] for s in spectra}
    assert family == {"star-kesseli", "galaxy-mastar"}
    for s in spectra:
        assert np.isfinite(s.meta["label"]["age"]) == (s.meta["label"]["class"] == "GALAXY")
        # Redshifted out of the template's range: masked, not invented.
        low = 3622 * (1 + s.meta["label"]["redshift"])
        if s.meta["label"]["class"] == "GALAXY":
            assert s.mask[s.spectral_axis.value < low].all()


def test_an_instrument_of_ones_own():
    own = simulate.instrument("desi").modified(window=(5000.0, 6000.0), sampling=2.0)
    (spectrum,) = simulate.observe(own, 1, seed=3)
    assert spectrum.flux.shape == own.wavelength.shape
    assert spectrum.meta["survey"] == "DESI" and " " not in spectrum.meta["object_id"]


# arms


@pytest.mark.slow
@pytest.mark.parametrize(("survey", "n_arms"), [("desi-arms", 3), ("galah", 4), ("sdss", 1)])
def test_arms(survey, n_arms):
    arms = simulate.observe(survey, 3, seed=6, arms=True)
    (whole,) = simulate.Simulator(survey).observe(3, seed=6)
    assert len(arms) == n_arms == len(whole.instrument.arms)
    names = {"desi-arms": "brz"}.get(survey, "1234"[:n_arms])
    for name, arm, (a, b) in zip(names, arms, whole.instrument.arms, strict=True):
        assert arm.flux.shape == arm.meta["truth"].shape == arm.mask.shape == (3, b - a)
        assert (arm.flux.value == whole.flux[:, a:b].numpy()).all()
        assert (arm.spectral_axis.value == whole.instrument.wavelength[a:b]).all()
        assert arm.meta["arm"] == name
        assert arm.meta["object_id"] == [f"mock-{survey}-6-{k}" for k in range(3)]
        assert [label["redshift"] for label in arm.meta["label"]] == pytest.approx(
            whole.labels["redshift"].tolist()
        )


def test_arms_become_one_sequence_of_tokens(tiny):
    arms = simulate.observe("desi-arms", 2, seed=7, arms=True)
    tokens = spectok.encode(arms, model=tiny, arms=True)
    assert np.unique(tokens["spectrum_index"]).tolist() == [0, 1]
    assert set(tokens["object_id"]) == {"mock-desi-arms-7-0", "mock-desi-arms-7-1"}
    # 2751, 2326 and 2881 pixels in patches of 32, none of which straddles two arms.
    assert (tokens["spectrum_index"] == 0).sum() == 86 + 73 + 91
    assert np.isfinite(tokens["token"]).all()


@pytest.mark.slow
def test_arms_that_overlap_are_no_one_spectrum():
    with pytest.raises(ValueError, match="arms of desi-arms overlap.*pass arms=True"):
        simulate.observe("desi-arms", 1)
    with pytest.raises(ValueError, match="arms of desi-arms overlap") as caught:
        simulate.observe_pairs("sdss", "desi-arms", 1)
    assert "arms=True" not in str(caught.value), "a pair knows no such argument"


# pairs


def test_pairs():
    coarse = simulate.instrument("sdss").modified(window=(5000.0, 7000.0), sampling=3.0)
    first, second = simulate.observe_pairs("sdss", coarse, 6, seed=3, snr=20.0, calibration=True)
    alone = simulate.observe("sdss", 6, seed=3, snr=20.0)
    assert len(first) == len(second) == 6
    for a, b, c in zip(first, second, alone, strict=True):
        for key in a.meta["label"]:
            if key != "snr":
                assert repr(a.meta["label"][key]) == repr(b.meta["label"][key])
        # What the first instrument sees does not depend on the second.
        assert a.meta["object_id"] == c.meta["object_id"]
        assert a.meta["label"]["redshift"] == c.meta["label"]["redshift"]
        assert (a.flux.value == c.flux.value).all()
        assert (b.spectral_axis.value == coarse.wavelength).all()
        # The calibrations are each observation's own: 2 % and a few.
        inside = (a.spectral_axis.value > 5800) & (a.spectral_axis.value < 6200)
        there = (b.spectral_axis.value > 5800) & (b.spectral_axis.value < 6200)
        ratio = a.meta["truth"][inside].mean() / b.meta["truth"][there].mean()
        assert ratio == pytest.approx(1, abs=0.25)
    shown = [s.meta["label"]["snr"] for s in first]
    assert np.median(shown) == pytest.approx(20, rel=0.25)
    # Three pixels in one: more light in each.
    assert np.median([s.meta["label"]["snr"] for s in second]) > np.median(shown)


# requests


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"survey": "gaia"}, "no instrument 'gaia'; choose one of sdss, boss, desi"),
        ({"survey": "sdss", "kind": "comet"}, "kind must be galaxy, quasar, star, not 'comet'"),
        ({"survey": "sdss", "n": 0}, "n must be at least 1, not 0"),
        ({"survey": "sdss", "snr": 0.0}, "snr must be a positive number or a pair.*not 0.0"),
        ({"survey": "sdss", "snr": -3.0}, "snr must be a positive number or a pair"),
        ({"survey": "sdss", "snr": float("nan")}, "snr must be a positive number or a pair"),
        ({"survey": "sdss", "snr": (5.0,)}, "snr must be a positive number or a pair"),
        ({"survey": "sdss", "snr": (5.0, 6.0, 7.0)}, "snr must be a positive number or a pair"),
    ],
)
def test_wrong_requests(arguments, message):
    with pytest.raises(ValueError, match=message):
        simulate.observe(**arguments)


def test_a_pair_may_be_a_list():
    shown = [s.meta["label"]["snr"] for s in simulate.observe("sdss", 20, snr=[50.0, 60.0])]
    assert 35 < min(shown) and max(shown) < 80


@pytest.mark.parametrize("second", ["galah", "apogee"])
def test_pairs_must_share_wavelengths(second):
    with pytest.raises(ValueError, match=f"sdss, {second} do not observe the same wavelengths"):
        simulate.observe_pairs("sdss", second)


def test_mocks_of_all_surveys_in_one_call(tiny):
    surveys = ["sdss", "desi", "apogee"]
    spectra = [simulate.observe(survey, 1)[0] for survey in surveys]
    tokens = spectok.encode(spectra, model=tiny)
    assert np.unique(tokens["spectrum_index"]).tolist() == [0, 1, 2]
    assert np.isfinite(tokens["token"]).all()
    # What lies under a mask matters for no token.
    junk = simulate.observe("sdss", 1)[0]
    flux = junk.flux.copy()
    flux[junk.mask] = 1e9 * flux.unit
    other = type(junk)(
        flux=flux, spectral_axis=junk.spectral_axis, uncertainty=junk.uncertainty, mask=junk.mask,
        meta=junk.meta,
    )  # fmt: skip
    again = spectok.encode([other], model=tiny)
    first = tokens["token"][tokens["spectrum_index"] == 0]
    np.testing.assert_allclose(first, again["token"], rtol=0, atol=1e-5)
