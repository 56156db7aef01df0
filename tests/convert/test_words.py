"""Units, media and names: what other programs write, understood."""

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.table import MaskedColumn
from astropy.utils.exceptions import AstropyUserWarning
from astropy.wcs import WCS

from spectok._convert import (
    as_name,
    as_names,
    header_medium,
    identifiers,
    parse_axis_unit,
    parse_unit,
    text_medium,
    wcs_medium,
)

DENSITY = u.erg / u.s / u.cm**2 / u.AA


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("ANGSTROMS", u.AA),
        ("Ang", u.AA),
        ("Å", u.AA),
        ("microns", u.um),
        ("NANOMETERS", u.nm),
        ("FLAM", DENSITY),
        ("fnu", u.erg / u.s / u.cm**2 / u.Hz),
        ("Counts/s", u.ct / u.s),
        ("e-/s", u.electron / u.s),
        ("DU/PIXEL", u.DN / u.pix),
        ("1E-17 erg/cm^2/s/Ang", 1e-17 * DENSITY),
        ("10^-17 ergs/s/cm^2/A", 1e-17 * DENSITY),
        ("(10^-17 erg/s/cm^2/A)", 1e-17 * DENSITY),
        ("10**(-20)*erg/s/cm**2/Angstrom", 1e-20 * DENSITY),
        ("10**-16 erg.s**-1.cm**-2.angstrom**-1", 1e-16 * DENSITY),
        ("10-17 erg/cm2/s/A", 1e-17 * DENSITY),
        ("ERG/CM2/S/A", DENSITY),
        ("erg / (A cm2 s)", DENSITY),
        ("(1e-20 erg/s/cm2/A)**2", (1e-20 * DENSITY) ** 2),
        ("1E-17 erg/s/cm^2/Ang/spaxel", 1e-17 * DENSITY / u.pix),
        ("erg/cm^2/s/Ang/arcsec^2", DENSITY / u.arcsec**2),
        ("mJy", u.mJy),
        ("MJy/sr", u.MJy / u.sr),
        ("W m-2 um-1", u.W / u.m**2 / u.um),
        ("unitless", u.dimensionless_unscaled),
        ("a.u.", u.dimensionless_unscaled),
        ("Arb. units", u.dimensionless_unscaled),
        ("E-17 erg/cm^2/s/A", 1e-17 * DENSITY),
        ("x10^-17 erg/s/cm2/A", 1e-17 * DENSITY),
        ("10(-17) erg/cm2/s/A", 1e-17 * DENSITY),
        (r"10^{-17} erg s^{-1} cm^{-2} \AA^{-1}", 1e-17 * DENSITY),
        ("1e-17 FLAM", 1e-17 * DENSITY),
        ("1e-17 erg/s/cm^2/A per spaxel", 1e-17 * DENSITY / u.pix),
        ("counts s-1 px-1", u.ct / u.s / u.pix),
        ("e/s", u.electron / u.s),
        ("microJy", u.uJy),
        ("MJY/SR", u.MJy / u.sr),
        (b"Jy", u.Jy),
        (u.Unit("ANGSTROMS", parse_strict="silent"), u.AA),
        ("", None),
        (None, None),
    ],
)
def test_units_as_they_are_spelt(text, right):
    unit = parse_unit(text)
    assert (unit is None) if right is None else (unit == right)
    if unit is not None:
        assert u.A not in unit.bases


@pytest.mark.parametrize("text", ["furlong", "1e-17 what/s", "()", "erg/"])
def test_unknown_units_are_named(text):
    with pytest.raises(ValueError, match=r"file\.fits: the unit .* is not known"):
        parse_unit(text, "file.fits")


@pytest.mark.parametrize(
    ("text", "unit", "log", "medium"),
    [
        ("log(Angstrom)", u.AA, "log10", None),
        ("log10(lambda/Angstrom)", u.AA, "log10", None),
        ("LOG10 ANGSTROMS", u.AA, "log10", None),
        ("dex(nm)", u.nm, "log10", None),
        ("ln(A)", u.AA, "ln", None),
        ("Angstrom (air)", u.AA, None, "air"),
        ("vacuum Angstroms", u.AA, None, "vacuum"),
        ("Wavelength (nm)", u.nm, None, None),
        ("lambda [A]", u.AA, None, None),
        ("Ångströms", u.AA, None, None),
        ("THZ", u.THz, None, None),
        ("Angstrom (log)", u.AA, "log10", None),
        ("natural log Angstrom", u.AA, "ln", None),
        ("log-Angstrom", u.AA, "log10", None),
        ("loglam", u.AA, "log10", None),
        (u.dex(u.AA), u.AA, "log10", None),
        (u.um, u.um, None, None),
        (None, None, None, None),
    ],
)
def test_units_of_axes(text, unit, log, medium):
    assert tuple(parse_axis_unit(text)) == (unit, log, medium)


@pytest.mark.parametrize(
    ("cards", "medium"),
    [
        ({"CTYPE3": "AWAV"}, "air"),
        ({"CTYPE1": "AWAV-LOG"}, "air"),
        ({"ctype1": "AWAV"}, "air"),
        ({"CTYPE1": "WAVE"}, None),
        ({"VACUUM": True}, "vacuum"),
        ({"VACUUM": "F"}, "air"),
        ({"AIRORVAC": "AIR"}, "air"),
        ({"AIR_WAVE": True}, "air"),
        ({"MEDIUM": "vacuum"}, "vacuum"),
        ({"TUCD1": "em.wl;obs.atmos"}, "air"),
        ({"AIRMASS": 1.2, "OBJECT": "air france"}, None),
        ({}, None),
    ],
)
def test_media_of_headers(cards, medium):
    assert header_medium(cards) == medium


def test_media_of_comments_and_nonsense():
    header = fits.Header([("CTYPE1", "LINEAR", "air wavelength"), ("COMMENT", "vacuum cleaner")])
    assert header_medium(header) == "air"
    contradictory = fits.Header([("CTYPE1", "WAVE", "in air"), ("CUNIT1", "nm", "vacuum")])
    assert header_medium(contradictory) is None
    for nothing in (None, 3, "CTYPE1 = AWAV", [1, 2]):
        assert header_medium(nothing) is None
        assert wcs_medium(nothing) is None
    assert (
        wcs_medium(WCS(fits.Header({"CTYPE1": "AWAV", "CUNIT1": "nm", "CRVAL1": 500.0}))) == "air"
    )
    assert text_medium("air to vacuum") is None


def test_names_of_any_type():
    values = (b"J1", np.bytes_(b"J1  "), "J1", np.str_("J1"), bytearray(b"J1"), np.array([b"J1"]))
    assert {as_name(value) for value in values} == {"J1"}
    assert as_name(39628427912810449) == as_name(np.int64(39628427912810449))
    assert as_names(np.array([[b"a"], [b"b"]])) == ["a", "b"]
    assert as_names(4611686018427387905) == ["4611686018427387905"]
    assert as_names(name for name in ("a", b"b")) == ["a", "b"]
    assert as_names("whole") == ["whole"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([1.0, 2.0], [1, 2]),  # a column of integers with missing ones becomes one of floats
        ([np.float32(3), b"a "], [3, "a"]),
        ([np.nan, None, "c"], ["", "", "c"]),
        (np.ma.array([5, 6], mask=[True, False]), ["", 6]),
        (MaskedColumn([39628427912810449, 6], mask=[False, True]), [39628427912810449, ""]),
        (MaskedColumn(["a", "b"], mask=[False, True]), ["a", ""]),
        ([1.5], ["1.5"]),
        (np.array([2**63 + 5], np.uint64), [2**63 + 5]),
        (np.ma.masked, [""]),
    ],
)
def test_identifiers_that_are_missing_or_floats(given, expected):
    found = identifiers(given)
    assert found == expected and [type(one) for one in found] == [type(one) for one in expected]
    assert as_name(given[0] if np.ndim(given) else given) == str(expected[0])


def test_identifiers_of_pandas_that_are_missing():
    pd = pytest.importorskip("pandas")
    assert identifiers(pd.Series([39628427912810449, None], dtype="Int64")) == [
        39628427912810449, "",
    ]  # fmt: skip


def test_identifiers_that_lost_digits_are_said():
    with pytest.warns(AstropyUserWarning, match="39628427912810448 .* has lost digits"):
        assert identifiers([39628427912810449.0]) == [39628427912810448]
