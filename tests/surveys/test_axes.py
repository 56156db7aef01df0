"""Spectral axes of foreign files: unit, logarithm, medium, pixels; by whatever convention."""

import warnings

import numpy as np
import pytest
from astropy import constants
from astropy import units as u
from astropy.utils.exceptions import AstropyUserWarning
from astropy.wcs import WCS

from spectok import surveys

from .foreign_files import N, flux, header_of, write_image

LOG10 = 10 ** (3.6 + 1e-4 * np.arange(N))
LN = np.exp(8.3 + 2e-4 * np.arange(N))
LINEAR = {"CRVAL1": 5000.0, "CDELT1": 1.25, "CRPIX1": 1.0, "CUNIT1": "Angstrom", "CTYPE1": "WAVE"}
LOG = {"CRVAL1": 3.6, "CDELT1": 1e-4, "CRPIX1": 1.0}
MATRIX = {"CRVAL1": 3.6, "CD1_1": 1e-4, "CRPIX1": 1.0}
NATURAL = {"CRVAL1": 8.3, "CDELT1": 2e-4, "CRPIX1": 1.0}


def read_one(path, **options):
    """The only spectrum, with what was said."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        (spectrum,) = surveys.read(path, **options)
    return spectrum, " ".join(str(one.message) for one in said)


@pytest.mark.parametrize(
    ("cards", "right"),
    [
        ({"COEFF0": 3.6, "COEFF1": 1e-4}, LOG10),
        ({**LOG, "CTYPE1": "LINEAR", "DC-FLAG": 1}, LOG10),
        ({**MATRIX, "CTYPE1": "LINEAR", "DC-FLAG": 1, "CUNIT1": "Angstrom"}, LOG10),
        ({**MATRIX, "WFITTYPE": "LOG-LINEAR"}, LOG10),
        ({**LOG, "CTYPE1": "LOGLAM"}, LOG10),
        ({**LOG, "CTYPE1": "LOG10-LAM"}, LOG10),
        ({**LOG, "CTYPE1": "WAVE-LOG", "CUNIT1": "Angstrom"}, LOG10),
        ({**LOG, "CTYPE1": "WAVE", "CUNIT1": "log(Angstrom)"}, LOG10),
        ({**LOG, "CTYPE1": "LINEAR", "CUNIT1": "LOG10 ANGSTROMS"}, LOG10),
        ({**NATURAL, "CTYPE1": "LN-LAMBDA"}, LN),
        ({**NATURAL, "CTYPE1": "WAVE", "CUNIT1": "ln(Angstrom)"}, LN),
        ({**NATURAL, "CTYPE1": "LOGLAMBDA"}, LN),
    ],
)
def test_logarithms_by_any_convention(tmp_path, cards, right):
    path = write_image(tmp_path / "log.fits", flux(), {**cards, "VACUUM": True})
    spectrum, said = read_one(path)
    np.testing.assert_allclose(spectrum.spectral_axis.to_value(u.AA), right, rtol=1e-9)
    assert not said


def test_logarithm_said_to_be_angstrom(tmp_path):
    cards = {**LOG, "CTYPE1": "LINEAR", "CUNIT1": "Angstrom"}
    spectrum, said = read_one(write_image(tmp_path / "log.fits", flux(), cards), medium="vacuum")
    np.testing.assert_allclose(spectrum.spectral_axis.to_value(u.AA), LOG10, rtol=1e-9)
    assert "log10 of the wavelength" in said


@pytest.mark.parametrize(
    "cards",
    [
        {"CTYPE1": "WAVE-LOG", "CRVAL1": 3621.6, "CDELT1": 0.8339, "CUNIT1": "Angstrom"},
        {"CTYPE1": "WAVE", "CRVAL1": 1.2, "CDELT1": 1e-3, "CUNIT1": "um"},
        {"CTYPE1": "WAVE", "CRVAL1": 5e-7, "CDELT1": 1e-10, "CUNIT1": "m"},
        {"CTYPE1": "FREQ", "CRVAL1": 5e14, "CDELT1": -1e11, "CUNIT1": "Hz"},
        {"CTYPE1": "ENER", "CRVAL1": 2.0, "CDELT1": 1e-3, "CUNIT1": "eV"},
        {"CTYPE1": "VOPT-F2W", "CRVAL1": 1e6, "CDELT1": 1e4, "CUNIT1": "m/s",
         "RESTWAV": 6562.8e-10, "CNAME1": "cz"},
    ],
)  # fmt: skip
def test_standard_axes_are_those_of_wcslib(tmp_path, cards):
    cards = {**cards, "CRPIX1": 3.0}
    spectrum, _ = read_one(write_image(tmp_path / "a.fits", flux(), cards))
    found = spectrum.spectral_axis.to_value(u.AA, u.spectral())
    world = WCS(header_of({"NAXIS": 1, "NAXIS1": N, **cards})).wcs_pix2world(np.arange(N), 0)[0]
    if "RESTWAV" in cards:
        right = 6562.8 * (1 + world / constants.c.to_value("m/s"))
    else:
        unit = {"W": u.m, "F": u.Hz, "E": u.J}[cards["CTYPE1"][0]]
        right = (world * unit).to_value(u.AA, u.spectral())
    np.testing.assert_allclose(found, right, rtol=2e-7)  # wcslib has older constants


@pytest.mark.parametrize(
    "cards",
    [
        {},
        {"CRVAL1": 1.0, "CDELT1": 1.0, "CRPIX1": 1.0},
        {"CTYPE1": "PIXEL", "CRVAL1": 1.0, "CDELT1": 1.0, "CUNIT1": "pixel"},
        {"CTYPE1": "LINEAR", "CRVAL1": 0.0, "CD1_1": 1.0, "LTV1": 0.0, "LTM1_1": 1.0},
        {"CRVAL1": 3.6, "CDELT1": 1e-4},  # micron, or a logarithm
        {"CRVAL1": 900.0, "CDELT1": 1.0},  # nm, or Angstrom
    ],
)
def test_pixels_and_riddles_are_refused(tmp_path, cards):
    path = write_image(tmp_path / "pixels.fits", flux(), cards)
    with pytest.raises(OSError, match=r"pixels.fits.*(no wavelengths|has no unit|pixel)"):
        surveys.read(path)


def test_absent_unit_is_angstrom_said_aloud(tmp_path):
    cards = {"CTYPE1": "WAVE", "CRVAL1": 4000.0, "CDELT1": 1.0}
    spectrum, said = read_one(write_image(tmp_path / "n.fits", flux(), cards), medium="vacuum")
    assert spectrum.spectral_axis[0].to_value(u.AA) == 4000
    assert "no unit" in said and "taken as Angstrom" in said


def test_implausible_wavelengths_are_doubted(tmp_path):
    cards = {"CTYPE1": "WAVE", "CRVAL1": 4000.0, "CDELT1": 1.0, "CUNIT1": "m"}
    _, said = read_one(write_image(tmp_path / "km.fits", flux(), cards))
    assert "hardly right" in said and "4.099e+13" in said


@pytest.mark.parametrize(
    ("cards", "medium"),
    [
        ({"CTYPE1": "AWAV"}, "air"),
        ({"CTYPE1": "AWAV", "VACUUM": True}, "air"),
        ({"VACUUM": True}, "vacuum"),
        ({"VACUUM": "T"}, "vacuum"),
        ({"VACUUM": False}, "air"),
        ({"VACUUM": 1}, "vacuum"),
        ({"AIRORVAC": "air"}, "air"),
        ({"AIRORVAC": "vac"}, "vacuum"),
        ({"AIRVAC": "Vacuum"}, "vacuum"),
        ({"MEDIUM": "air"}, "air"),
        ({"CUNIT1": "Angstrom (air)"}, "air"),
        ({"CTYPE1": ("WAVE", "wavelengths in air")}, "air"),
        ({"CUNIT1": ("Angstrom", "vacuum wavelengths")}, "vacuum"),
        ({"TELESCOP": "HST"}, "vacuum"),
    ],
)
def test_medium_is_what_the_header_says(tmp_path, cards, medium):
    path = write_image(tmp_path / "m.fits", flux(), {**LINEAR, **cards})
    spectrum, said = read_one(path)
    assert spectrum.meta["medium"] == medium
    assert not said


def test_medium_unsaid_is_named_once(tmp_path):
    path = write_image(tmp_path / "unsaid.fits", flux(), LINEAR)
    with pytest.warns(AstropyUserWarning, match="unsaid.fits.*air or in vacuum") as said:
        (spectrum,) = surveys.read(path)
    assert len(said) == 1
    assert spectrum.meta["medium"] == "vacuum"
    spectrum, said = read_one(path, medium="air")
    assert (spectrum.meta["medium"], said) == ("air", "")
    with pytest.raises(ValueError, match="medium must be"):
        surveys.read(path, medium="water")


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("1E-17 erg/cm^2/s/Ang", "1e-17 erg / (s cm2 Angstrom)"),
        ("10**(-20)*erg/s/cm**2/Angstrom", "1e-20 erg / (s cm2 Angstrom)"),
        ("erg/cm2/s/A", "erg / (s cm2 Angstrom)"),
        ("FLAM", "erg / (s cm2 Angstrom)"),
        ("Counts/s", "ct / s"),
        ("DU/PIXEL", "DN / pix"),
        ("ergs/cm**2/s/Angstroms", "erg / (s cm2 Angstrom)"),
        ("W/m2/um", "W / (m2 um)"),
        ("MJy/sr", "MJy / sr"),
        ("electrons", "electron"),
        ("Relative Flux", ""),
        (None, ""),
    ],
)
def test_flux_units_as_instruments_spell_them(tmp_path, text, right):
    cards = {**LINEAR, "VACUUM": True, **({} if text is None else {"BUNIT": text})}
    spectrum, said = read_one(write_image(tmp_path / "u.fits", flux(), cards))
    assert spectrum.flux.unit == u.Unit(right)
    assert not said


def test_unknown_flux_unit_is_said(tmp_path):
    cards = {**LINEAR, "VACUUM": True, "BUNIT": "furlongs"}
    spectrum, said = read_one(write_image(tmp_path / "u.fits", flux(), cards))
    assert spectrum.flux.unit == u.dimensionless_unscaled
    assert "'furlongs' is not known" in said


def test_unknown_axis_unit_is_refused(tmp_path):
    path = write_image(tmp_path / "u.fits", flux(), {**LINEAR, "CUNIT1": "furlong"})
    with pytest.raises(OSError, match="u.fits.*'furlong' is not known"):
        surveys.read(path)


def test_density_is_no_ampere(tmp_path):
    assert u.A in u.Unit("erg / (cm2 s A)").bases  # to astropy
    path = write_image(tmp_path / "a.fits", flux(), {**LINEAR, "BUNIT": "erg/cm2/s/A"})
    spectrum, _ = read_one(path)
    assert spectrum.flux.unit == u.Unit("erg / (s cm2 Angstrom)")


def test_numbers_that_are_written_as_text(tmp_path):
    cards = {**LINEAR, "CRVAL1": "5000.0", "CDELT1": "1.25", "VACUUM": True}
    spectrum, said = read_one(write_image(tmp_path / "a.fits", flux(), cards))
    np.testing.assert_allclose(spectrum.spectral_axis.to_value(u.AA), 5000 + 1.25 * np.arange(N))
    assert not said
    path = write_image(tmp_path / "b.fits", flux(), {**cards, "CRVAL1": "blue"})
    with pytest.raises(OSError, match="b.fits: CRVAL1 in the header is 'blue', no number"):
        surveys.read(path)


def test_a_matrix_of_zero_leaves_the_step_to_cdelt(tmp_path):
    cards = {**LINEAR, "CD1_1": 0.0, "VACUUM": True}
    spectrum, _ = read_one(write_image(tmp_path / "a.fits", flux(), cards))
    np.testing.assert_allclose(spectrum.spectral_axis.to_value(u.AA), 5000 + 1.25 * np.arange(N))


def test_logarithms_may_be_negative(tmp_path):
    cards = {"CRVAL1": -6.4, "CDELT1": 1e-4, "CRPIX1": 1.0, "CUNIT1": "log10(m)", "VACUUM": True}
    spectrum, _ = read_one(write_image(tmp_path / "a.fits", flux(), cards))
    np.testing.assert_allclose(spectrum.spectral_axis.to_value(u.AA), LOG10)


def test_a_picture_of_the_sky_is_no_spectrum(tmp_path):
    cards = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 1.0, "CDELT1": 0.1}
    with pytest.raises(OSError, match="a picture of the sky .CTYPE1 is RA---TAN., no spectrum"):
        surveys.read(write_image(tmp_path / "a.fits", flux((20, 20)), cards))
