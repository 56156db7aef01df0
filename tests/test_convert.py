"""The input rules: whatever specutils can hold becomes the right tokens, or a clear refusal."""

import warnings

import numpy as np
import pytest
from astropy import constants
from astropy import units as u
from astropy.nddata import (
    InverseVariance,
    StdDevUncertainty,
    UnknownUncertainty,
    VarianceUncertainty,
)
from astropy.table import MaskedColumn
from astropy.utils.exceptions import AstropyUserWarning
from astropy.utils.masked import Masked
from hypothesis import given
from hypothesis import strategies as st
from specutils import Spectrum, SpectrumCollection, SpectrumList
from specutils.spectra.spectral_axis import SpectralAxis

import spectok
from spectok import TokenFlag
from spectok._convert import convert_arrays, convert_spectra

CGS = u.Unit("erg / (s cm2 AA)")
N_PIXELS = 200


@pytest.fixture
def data(make_arrays):
    """Wavelength, flux and sigma of one spectrum."""
    return make_arrays(N_PIXELS)


@pytest.fixture
def encode(tiny):
    return lambda spectra, **options: spectok.encode(spectra, model=tiny, **options)


@pytest.fixture
def encode_arrays(tiny):
    return lambda *arrays, **options: spectok.encode_arrays(*arrays, model=tiny, **options)


@pytest.fixture
def spectrum(data):
    """Function that builds the spectrum, with changes."""

    def build(**changes):
        wavelength, flux, sigma = data
        unit = changes.pop("unit", CGS)
        fields = {
            "flux": flux * unit,
            "spectral_axis": wavelength * u.AA,
            "uncertainty": StdDevUncertainty(sigma),
        } | changes
        return Spectrum(**fields)

    return build


def same(a, b):
    """Whether the tokens, and what goes with them, are the same to the last bit."""
    return all(
        np.array_equal(np.asarray(a[name]), np.asarray(b[name]))
        for name in ("token", "valid", "n_valid", "wavelength", "scale")
    )


# ------------------------------------------------------------------ spectral axes


@pytest.mark.parametrize("unit", ["nm", "micron", "m", "Hz", "GHz", "eV", "J", "1/cm"])
def test_any_unit_of_the_axis_gives_the_same_tokens(unit, spectrum, encode, rms_difference):
    reference = encode(spectrum())
    axis = (spectrum().spectral_axis.value * u.AA).to(unit, equivalencies=u.spectral())
    tokens = encode(spectrum(spectral_axis=axis))
    # A unit costs a few roundings of float64 in the wavelength, and nothing else.
    assert np.allclose(tokens["wavelength"], reference["wavelength"], rtol=1e-14, atol=0)
    assert rms_difference(reference["token"], tokens["token"]) < 1e-5
    # "Reversed" speaks of the order of pixels in wavelength.
    descending = axis[0] > axis[-1]
    assert bool(tokens["flags"][0] & TokenFlag.REVERSED) == bool(
        descending and unit in ("nm", "micron", "m")
    )


@pytest.mark.parametrize("convention", ["optical", "radio", "relativistic"])
def test_velocity_axis_with_rest_value(convention, data, spectrum):
    velocity = np.linspace(-3000.0, 3000.0, N_PIXELS)
    rest = 6564.6
    beta = velocity / constants.c.to_value(u.km / u.s)
    expected = {
        "optical": rest * (1 + beta),
        "radio": rest / (1 - beta),
        "relativistic": rest * np.sqrt((1 + beta) / (1 - beta)),
    }[convention]
    rows, _ = convert_spectra(
        spectrum(
            spectral_axis=velocity * u.km / u.s,
            velocity_convention=convention,
            rest_value=rest * u.AA,
        )
    )
    assert np.allclose(rows[0].wavelength, expected, rtol=1e-12, atol=0)


def test_velocity_axis_without_rest_value_is_refused(spectrum, encode):
    axis = np.linspace(-3000, 3000, N_PIXELS) * u.km / u.s
    with pytest.raises(ValueError, match="spectrum 0: .*needs velocity_convention and rest_value"):
        encode(spectrum(spectral_axis=axis))


@pytest.mark.parametrize("axis", [None, np.arange(N_PIXELS) * u.pix])
def test_pixel_axis_is_refused(axis, spectrum, encode):
    with pytest.raises(ValueError, match="spectrum 1: .*unit 'pix'; give it in a unit of wavel"):
        encode([spectrum(), spectrum(spectral_axis=axis)])


def test_axis_of_something_else_is_refused(encode_arrays, data):
    wavelength, flux, sigma = data
    with pytest.raises(ValueError, match="in K does not convert to Angstrom; give it in a unit"):
        encode_arrays(wavelength * u.K, flux, sigma**-2)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0, 0.0])
def test_impossible_wavelengths_are_refused(bad, data, encode_arrays):
    wavelength, flux, sigma = data
    wavelength[[7, 9]] = bad
    message = r"2 of 200 wavelengths are not finite and positive \(the first is pixel 7\)"
    with pytest.raises(ValueError, match=message):
        encode_arrays(wavelength, flux, sigma**-2)
    two = ([np.arange(4000.0, 4200.0), wavelength], [flux, flux], [sigma, sigma])
    with pytest.warns(AstropyUserWarning, match="1 of 2 spectra .1. have .* are left out"):
        tokens = encode_arrays(*two)
    assert tokens["n_pixels"][tokens["spectrum_index"] == 1].sum() == 198
    assert tokens["valid"][tokens["spectrum_index"] == 0].sum() == 6
    with pytest.raises(ValueError, match="spectrum 1: 2 of 200"):
        convert_arrays(*two)


def test_negative_wavelengths_of_a_spectrum_are_refused(spectrum, encode):
    axis = np.linspace(-5, 100, N_PIXELS) * u.AA
    with pytest.raises(ValueError, match="spectrum 0: .*not finite and positive"):
        encode(spectrum(spectral_axis=axis))


def test_infinite_frequency_like_zero_is_refused(data, encode_arrays):
    wavelength, flux, sigma = data
    frequency = wavelength * 1e11
    frequency[3] = 0.0  # an infinite wavelength
    with np.errstate(divide="ignore"), pytest.raises(ValueError, match="not finite and positive"):
        encode_arrays(frequency * u.Hz, flux, sigma**-2)


def test_repeated_wavelengths_are_refused(data, encode_arrays):
    wavelength, flux, sigma = data
    wavelength[50] = wavelength[49]
    with pytest.raises(
        ValueError, match="occur more than once .*pass the arms as a list with arm"
    ):
        encode_arrays(wavelength, flux, sigma**-2)


def test_bin_edges_are_converted_before_they_are_averaged(data, encode, spectrum):
    edges = np.linspace(9e14, 3e14, N_PIXELS + 1)  # 10 to 30 A per pixel
    tokens_of = spectrum(spectral_axis=edges * u.Hz, bin_specification="edges")
    in_angstrom = 299792458.0 / edges * 1e10
    expected = 0.5 * (in_angstrom[1:] + in_angstrom[:-1])
    rows, _ = convert_spectra(tokens_of)
    assert np.allclose(rows[0].wavelength, expected, rtol=1e-13, atol=0)
    # What specutils says is off by far more than that.
    naive = tokens_of.spectral_axis.to_value(u.AA, equivalencies=u.spectral())
    assert np.abs(naive - expected).max() > 0.01


def test_bin_edges_of_a_descending_axis_and_of_a_slice(data, spectrum):
    edges = np.linspace(5000.0, 4000.0, N_PIXELS + 1)
    whole = spectrum(spectral_axis=edges * u.AA, bin_specification="edges")
    expected = 0.5 * (edges[1:] + edges[:-1])
    assert np.allclose(convert_spectra(whole)[0][0].wavelength, expected[::-1], rtol=1e-14)
    part = convert_spectra(whole[10:60])[0][0]
    assert np.allclose(part.wavelength, expected[10:60][::-1], rtol=1e-14)


def test_descending_axis(data, encode, spectrum, tiny):
    _, flux, sigma = data
    mask = np.arange(N_PIXELS) % 17 == 0
    forward = encode(spectrum(mask=mask))
    wavelength = data[0]
    backward_spectrum = spectrum(
        flux=flux[::-1] * CGS,
        spectral_axis=wavelength[::-1] * u.AA,
        uncertainty=StdDevUncertainty(sigma[::-1]),
        mask=mask[::-1],
    )
    backward = encode(backward_spectrum)
    assert same(forward, backward)
    assert (backward["flags"] & TokenFlag.REVERSED).all()
    assert not (forward["flags"] & TokenFlag.REVERSED).any()
    again = spectok.decode(backward, backward_spectrum.spectral_axis, model=tiny)
    assert np.array_equal(again.spectral_axis.value, wavelength[::-1])
    reference = spectok.decode(forward, spectrum().spectral_axis, model=tiny)
    assert np.array_equal(again.flux[::-1], reference.flux)


def test_shuffled_axis_is_sorted_too(data, encode_arrays):
    wavelength, flux, sigma = data
    order = np.random.default_rng(3).permutation(N_PIXELS)
    assert same(
        encode_arrays(wavelength, flux, sigma**-2),
        encode_arrays(wavelength[order], flux[order], sigma[order] ** -2),
    )


# ------------------------------------------------------------------ medium


def vacuum_to_air(wavelength):
    """Ciddor (1996), equation 1: dry air at 15 C, 101325 Pa, 450 ppm of CO2."""
    s2 = (1e4 / wavelength) ** 2
    return wavelength / (1 + 0.05792105 / (238.0185 - s2) + 0.00167917 / (57.362 - s2))


def test_air_becomes_vacuum():
    vacuum = np.linspace(3500.0, 17000.0, 3000)
    rows, _ = convert_arrays(vacuum_to_air(vacuum), np.ones(3000), np.ones(3000), medium="air")
    # Formulae for air differ by a few 1e-9; air and vacuum by 2.7e-4.
    assert np.abs(rows[0].wavelength / vacuum - 1).max() < 2e-8
    assert (rows[0].flags & TokenFlag.FROM_AIR).all()


def test_medium_from_keyword_meta_and_default(spectrum, data, encode):
    wavelength = data[0]
    in_air = spectrum(meta={"medium": "air"})
    by_meta, by_keyword = encode(in_air), encode(spectrum(), medium="air")
    assert same(by_meta, by_keyword)
    assert (by_meta["flags"] & TokenFlag.FROM_AIR).all()
    shift = (by_meta["wavelength"] - encode(spectrum())["wavelength"]).to_value(u.AA)
    assert ((shift > 1.1) & (shift < 1.25)).all()
    # The keyword wins, and says so in the flags.
    forced = encode(in_air, medium="vacuum")
    assert same(forced, encode(spectrum())) and not (forced["flags"] & TokenFlag.FROM_AIR).any()
    assert wavelength[0] == forced["wavelength_min"][0].value


def test_air_in_any_unit(spectrum, data, encode, rms_difference):
    axis = (data[0] * u.AA).to(u.THz, equivalencies=u.spectral())
    a, b = encode(spectrum(), medium="air"), encode(spectrum(spectral_axis=axis), medium="air")
    assert rms_difference(a["token"], b["token"]) < 1e-5


def test_below_2000_angstrom_there_is_no_air():
    wavelength = np.arange(1990.0, 2010.0)
    rows, _ = convert_arrays(wavelength, np.ones(20), np.ones(20), medium="air")
    assert np.array_equal(rows[0].wavelength[:10], wavelength[:10])
    assert (rows[0].wavelength[10:] > wavelength[10:] + 0.6).all()
    assert (np.diff(rows[0].wavelength) > 0).all()


@pytest.mark.parametrize("medium", ["water", 3])
def test_unknown_medium_is_refused(medium, spectrum, encode):
    with pytest.raises(ValueError, match='medium must be "air" or "vacuum", not'):
        encode(spectrum(), medium=medium)
    with pytest.raises(ValueError, match='spectrum 1: medium must be "air" or "vacuum"'):
        encode([spectrum(), spectrum(meta={"medium": medium})])


@pytest.mark.parametrize("shift", [{"redshift": 0.5}, {"radial_velocity": 3000 * u.km / u.s}])
def test_redshift_is_never_applied(shift, spectrum, encode):
    assert same(encode(spectrum()), encode(spectrum(**shift)))


# ------------------------------------------------------------------ flux units


def test_jansky_and_f_lambda_agree(data, spectrum, encode, tiny, rms_difference):
    wavelength, flux, sigma = data
    # f_nu = f_lambda lambda^2 / c, all in cgs; 1 Jy = 1e-23 erg/s/cm2/Hz.
    factor = 1e-17 * wavelength * (wavelength * 1e-8) / 29979245800.0 / 1e-23
    jansky = spectrum(flux=flux * factor * u.Jy, uncertainty=StdDevUncertainty(sigma * factor))
    per_wavelength = spectrum(unit=u.Unit(1e-17 * CGS))
    a, b = encode(per_wavelength), encode(jansky)
    assert rms_difference(a["token"], b["token"]) < 1e-5
    assert np.allclose(a["scale"].to_value(CGS), b["scale"].to_value(CGS), rtol=1e-6)
    assert (b["flags"] & TokenFlag.UNIT_CONVERTED).all()
    assert not (a["flags"] & TokenFlag.UNIT_CONVERTED).any()
    # And back in the unit that came in.
    back = spectok.decode(b, wavelength * u.AA, model=tiny)
    straight = spectok.decode(a, wavelength * u.AA, model=tiny)
    assert back.flux.unit == u.Jy
    assert np.allclose(back.flux.value, straight.flux.value * factor, rtol=1e-4)
    assert np.allclose(back.uncertainty.array, straight.uncertainty.array * factor, rtol=1e-4)


def test_photons_and_f_lambda_agree(data, spectrum, encode, rms_difference):
    wavelength, flux, sigma = data
    energy = 6.62607015e-27 * 29979245800.0 / (wavelength * 1e-8)  # erg
    unit = u.photon / (u.s * u.cm**2 * u.AA)
    photons = spectrum(flux=flux / energy * unit, uncertainty=StdDevUncertainty(sigma / energy))
    a, b = encode(spectrum()), encode(photons)
    assert rms_difference(a["token"], b["token"]) < 1e-5
    assert (b["flags"] & TokenFlag.UNIT_CONVERTED).all()


@pytest.mark.parametrize(
    ("per_nu", "per_lambda"),
    [
        ("erg / (s cm2 Hz)", "erg / (s cm2 AA)"),
        ("erg / (s cm2 Hz arcsec2)", "erg / (s cm2 AA arcsec2)"),
        ("erg / (s cm2 Hz sr)", "erg / (s cm2 AA sr)"),
        ("erg / (s cm2 Hz beam)", "erg / (s cm2 AA beam)"),
        ("erg / (s cm2 Hz pix)", "erg / (s cm2 AA pix)"),
        ("erg / (s Hz)", "erg / (s AA)"),
    ],
)
def test_every_density_becomes_per_wavelength(
    per_nu, per_lambda, data, spectrum, encode, tiny, rms_difference
):
    wavelength, flux, sigma = data
    factor = wavelength * (wavelength * 1e-8) / 29979245800.0
    frequency = spectrum(
        flux=flux * factor * u.Unit(per_nu), uncertainty=StdDevUncertainty(sigma * factor)
    )
    a, b = encode(spectrum(unit=u.Unit(per_lambda))), encode(frequency)
    assert rms_difference(a["token"], b["token"]) < 1e-5
    assert b["scale"].unit == a["scale"].unit == u.Unit(per_lambda)
    assert spectok.decode(b, wavelength * u.AA, model=tiny).flux.unit == u.Unit(per_nu)


@pytest.mark.parametrize(
    "unit",
    [u.ct, u.electron, u.electron / u.s, u.adu, u.DN, u.dimensionless_unscaled, u.percent,
     u.L_sun / u.AA, 1e-17 * CGS, u.Unit(2.5e-16 * CGS)],
)  # fmt: skip
def test_other_units_pass_as_they_are(unit, spectrum, encode, tiny):
    unit = u.Unit(unit)
    tokens = encode(spectrum(unit=unit))
    assert same_tokens(tokens, encode(spectrum()))
    assert not (tokens["flags"] & TokenFlag.UNIT_CONVERTED).any()
    assert tokens["scale"][0].to_value(unit) == pytest.approx(encode(spectrum())["scale"][0].value)
    again = spectok.decode(tokens, spectrum().spectral_axis, model=tiny)
    assert again.flux.unit == unit
    reference = spectok.decode(encode(spectrum()), spectrum().spectral_axis, model=tiny)
    assert np.allclose(again.flux.value, reference.flux.value, rtol=1e-6)


def same_tokens(a, b):
    return np.array_equal(np.asarray(a["token"]), np.asarray(b["token"]))


def test_private_names_of_known_units_are_spelled_out(spectrum, encode, tiny):
    spaxel = u.def_unit("spaxel", u.pix)
    tokens = encode(spectrum(unit=u.Unit(1e-17 * CGS) / spaxel))
    again = spectok.decode(tokens, spectrum().spectral_axis, model=tiny)
    assert again.flux.unit == u.Unit(1e-17 * CGS) / u.pix


def test_a_wholly_private_unit_becomes_relative_flux(spectrum, encode, tiny):
    with pytest.warns(AstropyUserWarning, match="arbitrary unit cannot be written to a file"):
        tokens = encode(spectrum(unit=u.def_unit("arbitrary unit")))
    assert tokens["scale"].unit == u.dimensionless_unscaled
    again = spectok.decode(tokens, spectrum().spectral_axis, model=tiny)
    assert again.flux.unit == u.dimensionless_unscaled


@pytest.mark.parametrize("unit", [u.mag, u.dex, u.mag / u.arcsec**2, u.dB])
def test_magnitudes_are_refused(unit, spectrum, encode):
    with pytest.raises(ValueError, match="spectrum 1: flux in .* is logarithmic; convert it to a"):
        encode([spectrum(), spectrum(unit=unit)])


def test_function_magnitudes_are_refused(data, encode_arrays):
    wavelength, flux, sigma = data
    with pytest.raises(ValueError, match="is logarithmic; convert it to a flux density first"):
        encode_arrays(wavelength, u.Magnitude(flux, u.ABmag), sigma)


@pytest.mark.parametrize("unit", [u.K, u.mK, u.K * u.km / u.s])
def test_temperatures_are_refused(unit, spectrum, encode):
    with pytest.raises(ValueError, match="spectrum 0: .* is a temperature; convert it"):
        encode(spectrum(unit=unit))


def test_mixed_units_that_convert(data, spectrum, encode, rms_difference):
    _, flux, sigma = data
    milli = spectrum(flux=flux * 1e3 * u.mJy, uncertainty=StdDevUncertainty(sigma * 1e3))
    tokens = encode([spectrum(unit=u.Jy), milli])
    one, two = (tokens[tokens["spectrum_index"] == k] for k in (0, 1))
    assert rms_difference(one["token"], two["token"]) < 1e-5
    assert np.allclose(one["scale"].value, two["scale"].value, rtol=1e-6)
    assert tokens.meta["FLUXUNIT"] == "Jy"


def test_mixed_densities_flag_only_what_was_converted(spectrum, encode):
    tokens = encode([spectrum(), spectrum(unit=u.Jy)])
    converted = (tokens["flags"] & TokenFlag.UNIT_CONVERTED) != 0
    assert np.array_equal(converted, tokens["spectrum_index"] == 1)
    tokens = encode([spectrum(unit=u.Jy), spectrum()])
    converted = (tokens["flags"] & TokenFlag.UNIT_CONVERTED) != 0
    assert np.array_equal(converted, tokens["spectrum_index"] == 0)


@pytest.mark.parametrize(
    ("first", "second"),
    [(u.Jy, u.ct), (u.ct, u.Jy), (CGS, CGS / u.arcsec**2), (u.Jy / u.beam, u.Jy), (CGS, u.L_sun)],
)
def test_mixed_units_that_do_not_convert(first, second, spectrum, encode):
    with pytest.raises(ValueError) as raised:
        encode([spectrum(unit=first), spectrum(unit=second)])
    message = str(raised.value)
    assert message.startswith("spectrum 1: ")
    assert str(first) in message and str(second) in message


# ------------------------------------------------------------------ uncertainties


@pytest.mark.parametrize(
    ("kind", "power"), [(StdDevUncertainty, 1), (VarianceUncertainty, 2), (InverseVariance, -2)]
)
@pytest.mark.parametrize("own_unit", [None, CGS, 1e-17 * CGS])
def test_every_uncertainty(kind, power, own_unit, data, spectrum, encode, rms_difference):
    sigma = data[2]
    factor, unit = 1.0, None
    if own_unit is not None:
        own_unit = u.Unit(own_unit)
        factor, unit = CGS.to(own_unit), own_unit**power
    tokens = encode(spectrum(uncertainty=kind((sigma * factor) ** power, unit=unit)))
    assert rms_difference(encode(spectrum())["token"], tokens["token"]) < 1e-5


def test_error_in_another_unit_than_the_flux(data, spectrum, encode, rms_difference):
    wavelength, flux, sigma = data
    in_jansky = spectrum(unit=u.Jy, uncertainty=StdDevUncertainty(sigma))
    beside = spectrum(unit=u.Jy, uncertainty=StdDevUncertainty(sigma * 1e3, unit=u.mJy))
    assert rms_difference(encode(in_jansky)["token"], encode(beside)["token"]) < 1e-5


def test_error_per_frequency_beside_flux_per_wavelength(
    data, spectrum, encode_arrays, rms_difference
):
    wavelength, flux, sigma = data
    factor = wavelength * (wavelength * 1e-8) / 29979245800.0
    per_frequency = (sigma * factor) ** -2 / u.Unit("erg / (s cm2 Hz)") ** 2
    tokens = encode_arrays(wavelength, flux * CGS, per_frequency)
    reference = encode_arrays(wavelength, flux * CGS, sigma**-2)
    assert rms_difference(reference["token"], tokens["token"]) < 1e-5
    # A Spectrum cannot be made of these two: astropy refuses it with its own words.
    with pytest.raises(u.UnitConversionError, match="incompatible"):
        spectrum(uncertainty=StdDevUncertainty(sigma, unit=u.Jy))


def test_error_in_an_alien_unit_is_refused(data, spectrum, encode_arrays):
    wavelength, flux, sigma = data
    with pytest.raises(ValueError, match="s does not convert to the flux unit Jy"):
        encode_arrays(wavelength, flux * u.Jy, sigma**-2 / u.s**2)


def test_unknown_uncertainty_is_refused(data, spectrum, encode):
    with pytest.raises(ValueError, match="spectrum 0: .*UnknownUncertainty does not say what it"):
        encode(spectrum(uncertainty=UnknownUncertainty(data[2])))


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
def test_impossible_inverse_variance_is_a_bad_pixel(bad, data, encode_arrays):
    wavelength, flux, sigma = data
    ivar, where = sigma**-2, np.arange(N_PIXELS) % 5 == 0
    reference = encode_arrays(wavelength, flux, ivar, mask=where)
    assert same(reference, encode_arrays(wavelength, flux, np.where(where, bad, ivar)))
    assert reference["n_valid"].sum() == N_PIXELS - where.sum()


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
@pytest.mark.parametrize("kind", [StdDevUncertainty, VarianceUncertainty])
def test_impossible_error_is_a_bad_pixel(bad, kind, data, spectrum, encode):
    sigma, where = data[2], np.arange(N_PIXELS) % 5 == 0
    reference = encode(spectrum(uncertainty=kind(sigma), mask=where))
    assert same(reference, encode(spectrum(uncertainty=kind(np.where(where, bad, sigma)))))


def test_noise_is_estimated_where_none_is_given(data, spectrum, encode):
    wavelength, flux, _ = data
    mask = np.arange(N_PIXELS) % 11 == 0
    good = flux[~mask]
    # DER_SNR (Stoehr et al. 2008) written down anew.
    noise = np.median([abs(2 * b - a - c) for a, b, c in zip(good, good[2:], good[4:])])  # noqa: B905
    noise *= 1.482602 / np.sqrt(6)
    rows, _ = convert_spectra(spectrum(uncertainty=None, mask=mask))
    assert rows[0].sigma[0][~mask] == pytest.approx(noise)
    with pytest.warns(AstropyUserWarning, match="without an uncertainty") as caught:
        tokens = encode([spectrum(uncertainty=None, mask=mask), spectrum()])
    assert len(caught) == 1
    estimated = (tokens["flags"] & TokenFlag.NOISE_ESTIMATED) != 0
    assert np.array_equal(estimated, tokens["spectrum_index"] == 0)


def test_estimated_noise_is_about_right():
    rng = np.random.default_rng(0)
    flux = 100 + 30 * np.sin(np.arange(4000) / 200) + rng.normal(0, 2.0, 4000)
    rows, _ = convert_arrays(np.arange(4000.0, 8000.0), flux)
    assert rows[0].sigma[0, 0] == pytest.approx(2.0, rel=0.08)


def test_many_spectra_without_errors_warn_once(data, encode_arrays):
    wavelength, flux, _ = data
    with pytest.warns(AstropyUserWarning, match="30 of 30 spectra came without") as caught:
        encode_arrays(wavelength, np.tile(flux, (30, 1)))
    assert len(caught) == 1
    assert caught[0].filename == __file__ or "test_convert" in caught[0].filename


def test_a_noiseless_spectrum_without_errors_has_tokens(encode_arrays):
    with pytest.warns(AstropyUserWarning, match="without an uncertainty"):
        tokens = encode_arrays(np.arange(4000.0, 4064.0), np.full(64, 3.0))
    assert tokens["valid"].all() and np.isfinite(tokens["token"]).all()


# ------------------------------------------------------------------ bad pixels


@pytest.mark.parametrize("junk", [np.nan, np.inf, -np.inf, 1e30, -1e30, 1e300, 0.0])
def test_junk_under_the_mask_changes_no_bit(junk, data, spectrum, encode):
    _, flux, sigma = data
    mask = np.random.default_rng(4).random(N_PIXELS) < 0.15
    mask[40:60] = True
    reference = encode(spectrum(mask=mask))
    changed = spectrum(
        flux=np.where(mask, junk, flux) * CGS,
        uncertainty=StdDevUncertainty(np.where(mask, abs(junk), sigma)),
        mask=mask,
    )
    assert same(reference, encode(changed))


@pytest.mark.parametrize("junk", [np.nan, np.inf, 1e30])
def test_junk_under_the_mask_changes_no_estimated_noise(junk, data, encode_arrays):
    wavelength, flux, _ = data
    mask = np.arange(N_PIXELS) % 7 == 0
    with pytest.warns(AstropyUserWarning, match="without an uncertainty"):
        a = encode_arrays(wavelength, flux, mask=mask)
    with pytest.warns(AstropyUserWarning, match="without an uncertainty"):
        b = encode_arrays(wavelength, np.where(mask, junk, flux), mask=mask)
    assert same(a, b)


@pytest.mark.parametrize("junk", [np.nan, np.inf, -np.inf])
def test_non_finite_flux_is_a_bad_pixel(junk, data, spectrum, encode):
    flux, where = data[1], np.arange(N_PIXELS) % 9 == 0
    reference = encode(spectrum(mask=where))
    changed = spectrum(flux=np.where(where, junk, flux) * CGS, mask=np.zeros(N_PIXELS, bool))
    assert same(reference, encode(changed))


def test_a_bad_pixel_is_not_a_zero(data, encode_arrays):
    wavelength, flux, sigma = data
    where = np.arange(N_PIXELS) == 20
    bad = encode_arrays(wavelength, flux, sigma**-2, mask=where)
    zero = encode_arrays(wavelength, np.where(where, 0.0, flux), sigma**-2)
    assert not np.allclose(bad["token"][0], zero["token"][0], atol=1e-3)


def test_half_bad_patches_are_no_tokens(encode_arrays):
    wavelength, mask = np.arange(4000.0, 4096.0), np.zeros(96, bool)
    mask[:16] = True  # half of the first patch
    mask[32:47] = True  # just less than half of the second
    tokens = encode_arrays(wavelength, np.ones(96), np.ones(96), mask=mask)
    assert tokens["valid"].tolist() == [False, True, True]
    assert tokens["n_valid"].tolist() == [16, 17, 32]
    assert not tokens["token"][0].any()


def test_integer_masks_count_where_not_zero(data, encode_arrays):
    wavelength, flux, sigma = data
    bits = np.where(np.arange(N_PIXELS) % 6 == 0, 1 << 22, 0)
    assert same(
        encode_arrays(wavelength, flux, sigma**-2, mask=bits),
        encode_arrays(wavelength, flux, sigma**-2, mask=bits != 0),
    )


@pytest.mark.parametrize(
    "extreme",
    [
        {"flux": 1e60}, {"sigma": 1e-60}, {"sigma": 1e60}, {"flux": -1e60, "sigma": 1e-60},
        {"flux": 1e300}, {"sigma": 1e120},
    ],
)  # fmt: skip
def test_no_good_pixel_however_extreme_makes_nan(extreme, data, encode_arrays):
    wavelength, flux, sigma = data
    flux[5], sigma[5] = extreme.get("flux", flux[5]), extreme.get("sigma", sigma[5])
    tokens = encode_arrays(wavelength, flux, sigma**-2)
    assert np.isfinite(tokens["token"]).all()
    # The others keep their scale: nothing underflows beside one infinite error.
    assert tokens["scale"][0].value == pytest.approx(np.median(flux), rel=0.05)


# ------------------------------------------------------------------ all bad, faint, negative


def test_all_bad_spectra_keep_one_row(make_arrays, encode_arrays):
    wavelength, flux, sigma = make_arrays(N_PIXELS, 4)
    flux[1] = np.nan
    sigma[3] = np.inf
    with pytest.warns(AstropyUserWarning) as caught:
        tokens = encode_arrays(wavelength, flux, sigma**-2, object_id=["a", "b", "c", "d"])
    assert len(caught) == 1
    assert "2 of 4 spectra" in str(caught[0].message)
    assert "flux that is not finite: 1 (b)" in str(caught[0].message)
    assert "infinite error: 3 (d)" in str(caught[0].message)
    for k, n_rows in enumerate([7, 1, 7, 1]):
        rows = tokens[tokens["spectrum_index"] == k]
        assert len(rows) == n_rows and (rows["valid"].any() == (n_rows > 1))
        lost = (rows["flags"] & TokenFlag.NO_VALID_PATCH) != 0
        assert lost.all() == (n_rows == 1)
    assert np.isfinite(tokens["token"]).all() and np.isfinite(tokens["scale"]).all()
    assert (tokens["scale"] > 0).all()


@pytest.mark.parametrize("level", [0.0, 0.01, -0.3, -50.0])
def test_scale_of_faint_and_negative_spectra_is_the_noise(level, encode_arrays):
    rng = np.random.default_rng(5)
    sigma = rng.uniform(1.0, 3.0, N_PIXELS + 1)
    flux = level + rng.normal(0, 0.3, N_PIXELS + 1)
    tokens = encode_arrays(4000.0 + np.arange(N_PIXELS + 1), flux, sigma**-2)
    assert tokens["scale"][0].value == pytest.approx(np.median(sigma), rel=1e-6)
    assert (tokens["flags"] & TokenFlag.SCALE_FROM_NOISE).all()
    assert np.isfinite(tokens["token"]).all()


def test_scale_of_bright_spectra_is_the_median_flux(data, encode_arrays):
    wavelength, flux, sigma = (part[:-1] for part in data)  # an odd number
    mask = np.zeros(flux.size, bool)
    mask[::50] = True
    good = flux[~mask]
    good = good[: good.size - (1 - good.size % 2)]
    tokens = encode_arrays(wavelength, flux, sigma**-2, mask=mask)
    assert tokens["scale"][0].value == pytest.approx(np.median(flux[~mask]), rel=2e-2)
    assert not (tokens["flags"] & TokenFlag.SCALE_FROM_NOISE).any()


# ------------------------------------------------------------------ kinds of input


@pytest.mark.parametrize("place", [0, 1, 2])
def test_cubes_with_any_spectral_axis(place, make_arrays, encode, tiny):
    wavelength, flux, sigma = make_arrays(70, 6)
    flux, sigma = (a.reshape(2, 3, 70) for a in (flux, sigma))
    mask = np.random.default_rng(0).random(flux.shape) < 0.1
    flat = spectok.encode_arrays(
        wavelength,
        flux.reshape(6, 70),
        sigma.reshape(6, 70) ** -2,
        mask.reshape(6, 70),
        model=tiny,
    )
    cube = Spectrum(
        flux=np.moveaxis(flux, -1, place) * u.ct,
        spectral_axis=wavelength * u.AA,
        spectral_axis_index=place,
        uncertainty=StdDevUncertainty(np.moveaxis(sigma, -1, place)),
        mask=np.moveaxis(mask, -1, place),
    )
    tokens = encode(cube)
    assert np.unique(tokens["spectrum_index"]).tolist() == list(range(6))
    assert np.allclose(tokens["token"], flat["token"], atol=1e-5)
    assert np.array_equal(tokens["n_valid"], flat["n_valid"])


def test_one_name_serves_a_cube(make_arrays, encode):
    wavelength, flux, sigma = make_arrays(70, 3)
    fields = {"flux": flux * u.ct, "spectral_axis": wavelength * u.AA,
              "uncertainty": StdDevUncertainty(sigma)}  # fmt: skip
    tokens = encode(Spectrum(**fields, meta={"object_id": "NGC 1365"}))
    assert set(tokens["object_id"]) == {"NGC 1365"}
    with pytest.raises(ValueError, match="names 2 objects, but there are 3 spectra .* object_id="):
        encode(Spectrum(**fields, meta={"object_id": ["a", "b"]}))


def test_names_that_are_given_win(make_arrays, encode):
    wavelength, flux, sigma = make_arrays(70, 3)
    whole = Spectrum(
        flux=flux * u.ct, spectral_axis=wavelength * u.AA,
        uncertainty=StdDevUncertainty(sigma), meta={"object_id": ["a", "b", "c"]},
    )  # fmt: skip
    assert set(encode(whole[1], object_id="b")["object_id"]) == {"b"}
    assert set(encode([whole[1], whole[2]], object_id=["x", "y"])["object_id"]) == {"x", "y"}
    with pytest.raises(ValueError, match="names 3 objects, but there are 1 spectra"):
        encode(whole[1])


def test_collections(make_arrays, encode):
    wavelength, flux, sigma = make_arrays(70, 3)
    grids = wavelength + np.arange(3)[:, None] * 0.2
    mask = flux < np.quantile(flux, 0.1)
    collection = SpectrumCollection(
        flux=flux * u.ct, spectral_axis=grids * u.AA, uncertainty=StdDevUncertainty(sigma),
        mask=mask,
    )  # fmt: skip
    members = [
        Spectrum(flux=f * u.ct, spectral_axis=w * u.AA, uncertainty=StdDevUncertainty(s), mask=m)
        for w, f, s, m in zip(grids, flux, sigma, mask, strict=True)
    ]
    assert same(encode(collection), encode(members))
    assert np.unique(encode([collection, members[0]])["spectrum_index"]).size == 4


def test_spectrum1d_is_still_welcome(data, spectrum, encode):
    from specutils import Spectrum1D

    wavelength, flux, sigma = data
    with pytest.warns(Warning, match="Spectrum1D"):
        old = Spectrum1D(
            flux=flux * CGS, spectral_axis=wavelength * u.AA, uncertainty=StdDevUncertainty(sigma)
        )
    assert same(encode(spectrum()), encode(old))


def test_lists_tuples_and_generators(spectrum, encode):
    members = [spectrum(), spectrum()[:100], spectrum()[20:90]]
    reference = encode(members)
    assert np.unique(reference["spectrum_index"]).tolist() == [0, 1, 2]
    for others in (tuple(members), SpectrumList(members), (m for m in members), iter(members)):
        assert same(reference, encode(others))
    assert same(reference, encode(SpectrumList(members)[:]))  # a plain list


def test_names_from_meta_keyword_and_position(spectrum, encode):
    members = [spectrum(), spectrum(meta={"object_id": 39627}), spectrum()]
    tokens = encode(members)
    assert sorted(set(tokens["object_id"])) == ["0", "2", "39627"]
    assert sorted(set(encode(members, object_id=[7, 8, 9])["object_id"])) == [7, 8, 9]
    with pytest.raises(ValueError, match="object_id has 2 names for 3 spectra"):
        encode(members, object_id=["a", "b"])


@pytest.mark.parametrize("nothing", [[], (), SpectrumList()])
@pytest.mark.parametrize("arms", [False, True])
def test_empty_input_is_refused(nothing, arms, encode):
    with pytest.raises(ValueError, match="no spectrum to encode: the input is empty"):
        encode(nothing, arms=arms)


@pytest.mark.parametrize("wrong", ["a.fits", b"a.fits", None, 3, np.ones(5), np.ones(5) * u.Jy])
def test_what_is_no_spectrum_is_refused(wrong, encode):
    with pytest.raises(TypeError, match="plain arrays go to spectok.encode_arrays"):
        encode(wrong)


def test_files_are_pointed_to_their_reader(encode):
    with pytest.raises(TypeError, match="got str; .* and files to spectok.surveys.read"):
        encode("spec.fits")


def test_strangers_in_a_list_are_named(spectrum, encode):
    with pytest.raises(TypeError, match="spectrum 1: expected a specutils Spectrum, got str"):
        encode([spectrum(), "x.fits"])
    with pytest.raises(TypeError, match="spectrum 1: .*got list; did you mean arms=True"):
        encode([spectrum(), [spectrum()]])


# ------------------------------------------------------------------ arms


def arm(low, n_pixels, *, step=0.8, level=20.0, n_spectra=2, seed=0, **changes):
    rng = np.random.default_rng(seed + int(low))
    shape = (n_spectra, n_pixels) if n_spectra else (n_pixels,)
    fields = {
        "flux": (level + rng.normal(0, 1, shape)) * u.ct,
        "spectral_axis": (low + step * np.arange(n_pixels)) * u.AA,
        "uncertainty": StdDevUncertainty(np.ones(shape)),
    } | changes
    return Spectrum(**fields)


def test_arms_become_one_sequence_with_one_scale(encode):
    blue, red = arm(4000.0, 96, level=10.0), arm(4070.0, 64, level=100.0, step=1.1)
    tokens = encode([blue, red], arms=True)
    for k in (0, 1):
        rows = tokens[tokens["spectrum_index"] == k]
        assert rows["token_index"].tolist() == [0, 1, 2, 3, 4]
        assert np.unique(rows["scale"]).size == 1
        both = np.concatenate([blue.flux.value[k], red.flux.value[k]])
        assert rows["scale"][0].value == pytest.approx(np.median(both), rel=0.1)
        # Overlapping arms are never mixed in one patch.
        assert rows["n_pixels"].tolist() == [32, 32, 32, 32, 32]
    assert same(tokens, encode([red, blue], arms=True)), "the order of arms matters"


def test_arms_of_several_objects_with_different_arms(encode, rms_difference):
    blue, red = arm(4000.0, 96, n_spectra=None), arm(4500.0, 64, n_spectra=None)
    tokens = encode([[blue, red], [blue], SpectrumList([red, blue])], arms=True)
    counts = [int((tokens["spectrum_index"] == k).sum()) for k in (0, 1, 2)]
    assert counts == [5, 3, 5]
    first, third = (np.asarray(tokens["token"][tokens["spectrum_index"] == k]) for k in (0, 2))
    assert rms_difference(first, third) < 1e-5


def test_arms_in_air_without_errors_and_upside_down_carry_their_flags(encode):
    blue = arm(4000.0, 64, meta={"medium": "air"})
    red = arm(4500.0, 64)
    tokens = encode([blue, red], arms=True)
    assert (tokens["flags"] & TokenFlag.FROM_AIR).all()
    assert tokens["wavelength_min"][0].value > 4001.0
    assert tokens["wavelength_min"][2].value == 4500.0


def test_arms_must_belong_together(encode):
    with pytest.raises(ValueError, match="arms of the same objects, but these hold 2, 3 spectra"):
        encode([arm(4000.0, 64), arm(4500.0, 64, n_spectra=3)], arms=True)
    named = [
        arm(4000.0, 64, meta={"object_id": ["a", "b"]}),
        arm(4500.0, 64, meta={"object_id": ["a", "c"]}),
    ]
    with pytest.raises(ValueError, match="the arms' object ids differ"):
        encode(named, arms=True)
    with pytest.raises(ValueError, match="wants a list of spectra, one for each arm"):
        encode(arm(4000.0, 64), arms=True)
    with pytest.raises(TypeError, match="arm 1: an arm must be a specutils Spectrum, not str"):
        encode([arm(4000.0, 64), "red"], arms=True)
    with pytest.raises(ValueError, match="ct does not convert|Jy does not convert"):
        encode([arm(4000.0, 64), arm(4500.0, 64, flux=np.ones((2, 64)) * u.Jy)], arms=True)


def test_names_of_arms_may_stand_on_one_of_them(encode):
    named = arm(4000.0, 64, meta={"object_id": ["x", "y"]})
    tokens = encode([named, arm(4500.0, 64)], arms=True)
    assert sorted(set(tokens["object_id"])) == ["x", "y"]


# ------------------------------------------------------------------ arrays


def test_arrays_and_spectra_agree(data, spectrum, encode, encode_arrays):
    wavelength, flux, sigma = data
    reference = encode(spectrum(uncertainty=InverseVariance(sigma**-2)))
    assert same(reference, encode_arrays(wavelength, flux * CGS, sigma**-2))
    assert same(reference, encode_arrays(wavelength * u.AA, flux * CGS, sigma**-2 / CGS**2))
    assert same_tokens(reference, encode_arrays(list(wavelength), list(flux), list(sigma**-2)))


def test_arrays_of_many_forms(make_arrays, encode_arrays):
    wavelength, flux, sigma = make_arrays(70, 3)
    ivar = sigma**-2
    reference = encode_arrays(wavelength, flux, ivar)
    assert np.unique(reference["spectrum_index"]).tolist() == [0, 1, 2]
    assert same(reference, encode_arrays(np.tile(wavelength, (3, 1)), flux, ivar))
    assert same(reference, encode_arrays(wavelength, list(flux), list(ivar)))
    assert same(reference, encode_arrays([wavelength] * 3, list(flux), list(ivar)))
    assert same(reference, encode_arrays([wavelength * u.AA] * 3, list(flux), list(ivar)))


def test_ragged_rows(make_arrays, encode_arrays, rms_difference):
    rows = [make_arrays(n, seed=n) for n in (40, 200, 97)]
    tokens = encode_arrays(*([row[k] for row in rows] for k in (0, 1)), [r[2] ** -2 for r in rows])
    for k, (wavelength, flux, sigma) in enumerate(rows):
        mine = tokens[tokens["spectrum_index"] == k]
        alone = encode_arrays(wavelength, flux, sigma**-2)
        assert rms_difference(alone["token"], mine["token"]) < 1e-5


@pytest.mark.parametrize("dtype", [">f4", ">f8", "f4", "i4", "i2", "u1"])
def test_big_endian_and_integer_arrays(dtype, encode_arrays):
    wavelength = np.arange(4000, 4064)
    flux = np.arange(20, 84).astype(dtype)
    tokens = encode_arrays(wavelength.astype(">f8"), flux, np.ones(64, ">f4"))
    assert same(tokens, encode_arrays(wavelength, flux.astype(float), np.ones(64)))


def test_read_only_and_strided_arrays(data, encode_arrays):
    wavelength, flux, sigma = data
    frozen = flux.copy()
    frozen.flags.writeable = False
    assert same(
        encode_arrays(wavelength, flux, sigma**-2),
        encode_arrays(wavelength, np.repeat(frozen, 2)[::2], sigma**-2),
    )


@pytest.mark.parametrize("form", ["masked array", "Masked", "MaskedColumn", "rows", "ivar"])
def test_masked_arrays_are_heeded(form, data, encode_arrays):
    wavelength, flux, sigma = data
    ivar, mask = sigma**-2, np.arange(N_PIXELS) % 8 == 0
    junk = np.where(mask, 1e30, flux)
    unit = u.Jy if form.startswith("Masked") else u.dimensionless_unscaled
    reference = encode_arrays(wavelength, flux * unit, ivar, mask=mask)
    inputs = {
        "masked array": lambda: (np.ma.array(junk, mask=mask), ivar),
        "Masked": lambda: (Masked(junk * u.Jy, mask=mask), ivar),
        "MaskedColumn": lambda: (MaskedColumn(junk, mask=mask, unit="Jy"), ivar),
        "rows": lambda: ([np.ma.array(junk, mask=mask)], [ivar]),
        "ivar": lambda: (junk, np.ma.array(ivar, mask=mask)),
    }[form]()
    assert same_tokens(reference, encode_arrays(wavelength, *inputs))
    # A mask given beside it adds to it.
    more = np.arange(N_PIXELS) == 33
    both = encode_arrays(wavelength, *inputs, mask=[more] if form == "rows" else more)
    expected = encode_arrays(wavelength, flux * unit, ivar, mask=mask | more)
    assert same_tokens(expected, both)


def test_shapes_that_do_not_fit(data, encode_arrays):
    wavelength, flux, sigma = data
    with pytest.raises(ValueError, match="ivar has 1 x 199 pixels, flux 1 x 200 pixels"):
        encode_arrays(wavelength, flux, sigma[1:])
    with pytest.raises(ValueError, match="mask has 1 x 199 pixels, flux 1 x 200 pixels"):
        encode_arrays(wavelength, flux, sigma, mask=flux[1:] > 0)
    with pytest.raises(ValueError, match="199 wavelengths for fluxes of 1 x 200 pixels"):
        encode_arrays(wavelength[1:], flux, sigma)
    with pytest.raises(ValueError, match="2 wavelength grids for 3 spectra"):
        encode_arrays([wavelength] * 2, [flux] * 3, [sigma] * 3)
    with pytest.raises(ValueError, match="rows have the units Jy, ct; convert them to one"):
        encode_arrays(wavelength, [flux * u.Jy, flux * u.ct], [sigma, sigma])
    with pytest.raises(ValueError, match=r"flux: expected numbers of shape .* \(2, 2, 50\)"):
        encode_arrays(wavelength, flux.reshape(2, 2, 50))


@pytest.mark.parametrize("shape", [(0,), (0, 200)])
def test_empty_arrays_are_refused(shape, data, encode_arrays):
    with pytest.raises(ValueError, match="empty|0 pixels"):
        encode_arrays(data[0], np.ones(shape))


def test_strings_are_refused(data, encode_arrays):
    with pytest.raises(ValueError, match="flux: expected numbers"):
        encode_arrays(data[0], ["a"] * N_PIXELS)
    with pytest.raises(ValueError, match="flux: expected numbers .* in row 0"):
        encode_arrays([data[0]], [["a"] * N_PIXELS])


# ------------------------------------------------------------------ properties


@pytest.mark.slow
@given(exponent=st.integers(-60, 60))
def test_a_power_of_two_changes_no_bit(exponent, tiny, make_arrays):
    wavelength, flux, sigma = make_arrays(100)
    factor = 2.0**exponent
    a = spectok.encode_arrays(wavelength, flux, sigma**-2, model=tiny)
    b = spectok.encode_arrays(wavelength, flux * factor, (sigma * factor) ** -2, model=tiny)
    assert same_tokens(a, b)
    assert np.array_equal(a["scale"] * factor, b["scale"])


@pytest.mark.slow
@given(factor=st.floats(1e-30, 1e30))
def test_any_factor_changes_next_to_nothing(factor, tiny, make_arrays, rms_difference):
    wavelength, flux, sigma = make_arrays(100)
    a = spectok.encode_arrays(wavelength, flux, sigma**-2, model=tiny)
    b = spectok.encode_arrays(wavelength, flux * factor, (sigma * factor) ** -2, model=tiny)
    assert rms_difference(a["token"], b["token"]) < 1e-5


@given(factor=st.sampled_from([2.0**-40, 1e-17, 3.0]))
def test_scale_invariance_with_estimated_noise(factor, tiny, make_arrays, rms_difference):
    wavelength, flux, _ = make_arrays(100)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyUserWarning)
        a = spectok.encode_arrays(wavelength, flux, model=tiny)
        b = spectok.encode_arrays(wavelength, flux * factor, model=tiny)
    assert rms_difference(a["token"], b["token"]) < 1e-5


@pytest.mark.slow
@given(order=st.permutations(range(6)))
def test_the_order_of_spectra_only_orders_the_rows(order, tiny, make_arrays, rms_difference):
    rows = [make_arrays(n, seed=n) for n in (33, 180, 96, 64, 200, 120)]

    def tokens_of(chosen):
        return spectok.encode_arrays(
            *([row[k] for row in chosen] for k in (0, 1)),
            [row[2] ** -2 for row in chosen],
            model=tiny,
        )

    reference, permuted = tokens_of(rows), tokens_of([rows[k] for k in order])
    for position, k in enumerate(order):
        a = reference[reference["spectrum_index"] == k]
        b = permuted[permuted["spectrum_index"] == position]
        assert rms_difference(a["token"], b["token"]) < 1e-5
        assert np.array_equal(a["wavelength"], b["wavelength"])


def test_bin_edges_survive_the_fast_door(tiny):
    edges = np.linspace(7.5e14, 4.5e14, 321) * u.Hz
    axis = SpectralAxis(edges, bin_specification="edges")
    flux = np.random.default_rng(0).normal(10.0, 1.0, 320)
    spectrum = Spectrum(
        flux=flux * u.ct,
        spectral_axis=axis,
        uncertainty=InverseVariance(np.ones(320)),
    )
    expected = spectok.encode(spectrum, model=tiny)
    got = spectok.encode_arrays(axis, flux * u.ct, np.ones(320) / u.ct**2, model=tiny)
    np.testing.assert_array_equal(got["wavelength"], expected["wavelength"])
    np.testing.assert_array_equal(got["token"], expected["token"])


def test_arms_encoded_apart_are_pointed_out(tiny, make_arrays):
    wavelength, flux, sigma = make_arrays(128)
    arms = [
        Spectrum(
            flux=flux[part] * u.ct,
            spectral_axis=wavelength[part] * u.AA,
            uncertainty=StdDevUncertainty(sigma[part]),
            meta={"arm": name, "object_id": "star"},
        )
        for name, part in (("b", slice(0, 64)), ("r", slice(64, 128)))
    ]
    with pytest.warns(AstropyUserWarning, match="arms=True"):
        spectok.encode(arms, model=tiny)
    spectok.encode(arms, arms=True, model=tiny)  # and nothing is said (warnings are errors)


def test_masked_wavelengths_are_refused(tiny, make_arrays):
    wavelength, flux, sigma = make_arrays(64)
    every_fourth = np.arange(64) % 4 == 0
    with pytest.raises(ValueError, match="wavelength has masked values"):
        spectok.encode_arrays(np.ma.array(wavelength, mask=every_fourth), flux, sigma, model=tiny)


@pytest.mark.parametrize("factor", [0.1, 1e-4])
def test_numbers_that_are_hardly_angstrom(tiny, make_arrays, factor):
    wavelength, flux, sigma = make_arrays(64)
    with pytest.warns(AstropyUserWarning, match="taken as Angstrom"):
        spectok.encode_arrays(wavelength * factor, flux, sigma**-2, model=tiny)


def test_a_unit_of_ivar_alone_is_refused(tiny, make_arrays):
    wavelength, flux, sigma = make_arrays(64)
    with pytest.raises(ValueError, match="ivar is in 1 / Jy2, but flux has no unit"):
        spectok.encode_arrays(wavelength, flux, sigma**-2 / u.Jy**2, model=tiny)


def test_dropped_pixels_are_not_lost_silently(tiny, make_arrays):
    wavelength, flux, sigma = make_arrays(960)
    keep = np.arange(960) % 15 < 12
    with pytest.warns(AstropyUserWarning, match="as a mask instead of dropping them"):
        spectok.encode_arrays(wavelength[keep], flux[keep], sigma[keep] ** -2, model=tiny)
    tokens = spectok.encode_arrays(wavelength, flux, sigma**-2, ~keep, model=tiny)
    assert tokens["valid"].all()


def test_a_private_unit_is_said_once(tiny, make_arrays):
    wavelength, flux, sigma = make_arrays(64)
    unit = u.def_unit("arbitrary_flux")
    with pytest.warns(AstropyUserWarning, match="cannot be written to a file"):
        tokens = spectok.encode_arrays(wavelength, flux * unit, sigma**-2 / unit**2, model=tiny)
    assert spectok.decode(tokens, wavelength * u.AA, model=tiny).flux.unit == ""


def test_sdss_header_names_the_object(tiny, make_arrays):
    wavelength, flux, sigma = make_arrays(64)
    spectrum = Spectrum(
        flux=flux * u.ct,
        spectral_axis=wavelength * u.AA,
        uncertainty=StdDevUncertainty(sigma),
        meta={"header": {"PLATEID": 266, "MJD": 51602, "FIBERID": 31}},
    )
    assert set(spectok.encode(spectrum, model=tiny)["object_id"]) == {"0266-51602-0031"}


@pytest.mark.parametrize("unit", ["nmgy", "mgy", "nmgy / arcsec2"])
def test_fluxes_in_a_band_are_refused(unit, data, encode_arrays):
    wavelength, flux, _ = data
    with pytest.raises(ValueError, match="in a photometric band.*zero_point_flux"):
        encode_arrays(wavelength, flux * u.Unit(unit))


def test_unknown_units_are_named_with_their_spectrum(data, encode_arrays):
    wavelength, flux, _ = data
    unknown = u.Unit("furlong", parse_strict="silent")
    with pytest.raises(ValueError, match="the spectra: the unit 'furlong' of the spectral axis"):
        encode_arrays(u.Quantity(wavelength, unknown), flux)
