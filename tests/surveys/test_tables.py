"""Tables of other hands: which column is what, by its name; rows that are spectra; text."""

import io
import warnings

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable, Table
from specutils import Spectrum

from spectok import surveys

from .foreign_files import DENSITY, N, flux, write_table

WAVE = 4000 + np.arange(float(N))
VACUUM = {"VACUUM": True}
UNIT = u.Unit("erg / (s cm2 Angstrom)")


def read(path, **options):
    """Spectra, with what was said."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        spectra = surveys.read(path, **options)
    return spectra, " ".join(str(one.message) for one in said)


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (("wave", "flux", "sky", "err"), "std"),
        (("WAVELENGTH", "FLUX", "CONTINUUM", "FLUX_ERROR"), "std"),
        (("lambda", "flam", "sky", "sigma"), "std"),
        (("wl", "flux", "sky", "e_flux"), "std"),
        (("wave", "flux_reduced", "err", "err_reduced"), "std"),
        (("wave", "optflam", "sky", "optflam_sig"), "std"),
        (("wave", "flux", "sky", "ivar"), "ivar"),
        (("wave", "flux", "model", "inverse_variance"), "ivar"),
        (("wave", "flux", "noise_free", "variance"), "var"),
    ],
)
def test_error_is_the_column_named_so(tmp_path, names, kind):
    error = np.full(N, 2.0)
    arrays = (WAVE, flux(), np.full(N, 50.0), error)
    units = ("Angstrom", DENSITY, DENSITY, DENSITY if kind == "std" else None)
    columns = [(n, "D", unit, a) for n, unit, a in zip(names, units, arrays, strict=True)]
    (spectrum,), said = read(write_table(tmp_path / "t.fits", columns, cards=VACUUM))
    assert spectrum.uncertainty.uncertainty_type == kind
    np.testing.assert_array_equal(spectrum.uncertainty.array, 2.0)
    np.testing.assert_array_equal(spectrum.flux.value, flux())
    assert spectrum.flux.unit == UNIT
    assert not said


def test_sky_is_no_error(tmp_path):
    columns = [("wave", "D", "Angstrom", WAVE), ("flux", "D", DENSITY, flux())]
    columns += [("sky", "D", DENSITY, np.ones(N)), ("continuum", "D", DENSITY, np.ones(N))]
    (spectrum,), said = read(write_table(tmp_path / "t.fits", columns, cards=VACUUM))
    assert spectrum.uncertainty is None
    assert "sky, continuum are not taken for one" in said


def test_columns_without_a_known_name_are_refused(tmp_path):
    columns = [("a", "D", "Angstrom", WAVE), ("b", "D", DENSITY, flux())]
    with pytest.raises(OSError, match="t.fits: no column of wavelengths by name; it has a, b"):
        surveys.read(write_table(tmp_path / "t.fits", columns))


def test_logarithmic_column(tmp_path):
    columns = [("loglam", "D", None, np.log10(WAVE)), ("flux", "E", DENSITY, flux())]
    (spectrum,), _ = read(write_table(tmp_path / "t.fits", columns, cards=VACUUM))
    np.testing.assert_allclose(spectrum.spectral_axis.to_value(u.AA), WAVE)


@pytest.mark.parametrize(
    ("name", "cards", "medium"),
    [("WAVE_AIR", {}, "air"), ("awav", {}, "air"), ("wave_vac", {}, "vacuum"),
     ("WAVE", {"TUCD1": "em.wl;obs.atmos"}, "air"),
     ("WAVE", {"TTYPE1": ("WAVE", "wavelength in air")}, "air")],
)  # fmt: skip
def test_medium_of_a_column(tmp_path, name, cards, medium):
    columns = [(name, "D", "Angstrom", WAVE), ("flux", "E", DENSITY, flux())]
    (spectrum,), said = read(write_table(tmp_path / "t.fits", columns, cards=cards))
    assert spectrum.meta["medium"] == medium
    assert not said


def quality_columns(quality, name="DQ", form="J"):
    return [
        ("WAVELENGTH", "D", "um", np.linspace(1.0, 1.8, N)),
        ("FLUX", "D", "Jy", flux()),
        ("FLUX_ERROR", "D", "Jy", np.ones(N)),
        ("SURF_BRIGHT", "D", "MJy/sr", 2 * flux()),
        ("SB_ERROR", "D", "MJy/sr", np.full(N, 2.0)),
        (name, form, None, quality),
    ]


@pytest.mark.parametrize(
    ("name", "cards", "bad"),
    [
        ("DQ", {"TELESCOP": "JWST"}, {1, 3}),  # DO_NOT_USE is bit 0; others are remarks
        ("DQ", {"TELESCOP": "HST", "SDQFLAGS": 4}, {4}),
        ("DQ", {"TELESCOP": "HST"}, {1, 2, 3, 4}),
        ("QUAL", {}, {1, 2, 3, 4}),
        ("mask", {}, {1, 2, 3, 4}),
        ("good", {}, set(range(N)) - {1, 2, 3, 4}),
        ("mask", {"DMODCLS": "OneSpec"}, set(range(N)) - {1, 2, 3, 4}),
    ],
)
def test_quality_columns_are_masks(tmp_path, name, cards, bad):
    quality = np.zeros(N, int)
    quality[1:5] = 1, 2, 3, 4
    path = write_table(tmp_path / "q.fits", quality_columns(quality, name), primary=cards)
    (spectrum,), _ = read(path, medium="vacuum")
    assert set(np.flatnonzero(spectrum.mask)) == bad


def test_jwst_of_several_sources(tmp_path):
    hdus = [fits.PrimaryHDU()]
    hdus[0].header["TELESCOP"] = "JWST"
    for kind in ("POINT", "EXTENDED"):
        table = fits.BinTableHDU.from_columns(
            [fits.Column(n, f, unit=t, array=a) for n, f, t, a in quality_columns(np.zeros(N))],
            name="EXTRACT1D",
        )
        table.header["SRCTYPE"] = kind
        hdus.append(table)
    hdus.append(fits.BinTableHDU.from_columns([fits.Column("META", "B", array=[0])], name="ASDF"))
    fits.HDUList(hdus).writeto(tmp_path / "x1d.fits")
    (point, extended), said = read(tmp_path / "x1d.fits")
    assert (point.flux.unit, extended.flux.unit) == (u.Jy, u.Unit("MJy / sr"))
    np.testing.assert_array_equal(extended.uncertainty.array, 2.0)
    assert (point.meta["object_id"], extended.meta["object_id"]) == ("x1d:0", "x1d:1")
    assert not said


def test_eso_product_of_one_row(tmp_path):
    density = "erg cm**(-2) s**(-1) angstrom**(-1)"
    columns = [
        ("WAVE", f"{N}D", "nm", [WAVE / 10]),
        ("FLUX", f"{N}D", density, [flux()]),
        ("ERR", f"{N}D", density, [np.ones(N)]),
        ("QUAL", f"{N}J", None, [(np.arange(N) == 7).astype(int)]),
        ("SNR", f"{N}D", None, [flux()]),
        ("BGFLUX_REDUCED", f"{N}D", "count", [flux()]),
    ]
    path = write_table(tmp_path / "ADP.2014-05-15T16-08-02.250.fits", columns, cards=VACUUM)
    (spectrum,), said = read(path)
    assert spectrum.flux.shape == (N,)
    np.testing.assert_allclose(spectrum.spectral_axis.to_value(u.AA), WAVE)
    assert np.flatnonzero(spectrum.mask).tolist() == [7]
    assert spectrum.meta["object_id"] == "ADP.2014-05-15T16-08-02.250"
    assert not said


def test_rows_on_one_grid_are_one_spectrum_of_many(tmp_path):
    columns = [
        ("TARGETID", "K", None, [39628427912810449, 2]),
        ("wave", f"{N}D", "Angstrom", [WAVE, WAVE]),
        ("flux", f"{N}E", DENSITY, flux((2, N))),
        ("ivar", f"{N}E", None, np.ones((2, N))),
    ]
    (spectrum,), _ = read(write_table(tmp_path / "t.fits", columns, cards=VACUUM))
    assert spectrum.flux.shape == (2, N)
    assert spectrum.meta["object_id"] == ["39628427912810449", "2"]
    np.testing.assert_allclose(spectrum.flux.value, flux((2, N)), rtol=1e-6)


def test_rows_of_different_lengths(tmp_path):
    rows = [WAVE, WAVE[:50] + 1000]
    wave, fluxes = np.empty(2, object), np.empty(2, object)
    wave[:], fluxes[:] = rows, [flux(len(row)) for row in rows]
    columns = [("wave", "PD()", "Angstrom", wave), ("flux", "PD()", DENSITY, fluxes)]
    (long, short), _ = read(write_table(tmp_path / "t.fits", columns, cards=VACUUM))
    assert (long.flux.size, short.flux.size) == (N, 50)
    np.testing.assert_array_equal(short.spectral_axis.to_value(u.AA), rows[1])


def test_stis_orders_are_arms(tmp_path):
    wave = np.array([1500 + 5 * i + 0.05 * np.arange(N) for i in range(3)])
    columns = [
        ("SPORDER", "I", None, [60, 61, 62]),
        ("NELEM", "I", None, [N, N, N - 20]),
        ("WAVELENGTH", f"{N}D", "Angstroms", wave),
        ("GROSS", f"{N}E", "Counts/s", flux((3, N))),
        ("FLUX", f"{N}E", "erg/s/cm**2/Angstrom", flux((3, N))),
        ("ERROR", f"{N}E", "erg/s/cm**2/Angstrom", np.ones((3, N))),
        ("DQ", f"{N}I", None, np.zeros((3, N))),
    ]
    path = write_table(tmp_path / "o_x1d.fits", columns, primary={"TELESCOP": "HST"}, name="SCI")
    orders, said = read(path)
    assert [one.meta["arm"] for one in orders] == ["order 60", "order 61", "order 62"]
    assert [one.flux.size for one in orders] == [N, N, N - 20]
    assert {one.meta["object_id"] for one in orders} == {"o_x1d"}
    np.testing.assert_array_equal(orders[2].spectral_axis.to_value(u.AA), wave[2][:-20])
    assert not said


def test_iue_has_the_first_wavelength_and_the_step(tmp_path):
    columns = [
        ("APERTURE", "5A", None, ["LARGE"]),
        ("NPOINTS", "I", None, [N]),
        ("WAVELENGTH", "E", "ANGSTROM", [1050.0]),
        ("DELTAW", "E", "ANGSTROM", [1.5]),
        ("NET", f"{N}E", "FN", [flux()]),
        ("SIGMA", f"{N}E", "ERG/CM2/S/A", [np.ones(N)]),
        ("QUALITY", f"{N}I", None, [-(np.arange(N) == 3).astype(int)]),
        ("FLUX", f"{N}E", "ERG/CM2/S/A", [flux()]),
    ]
    (spectrum,), said = read(
        write_table(tmp_path / "swp.mxlo", columns, primary={"TELESCOP": "IUE"})
    )
    np.testing.assert_allclose(spectrum.spectral_axis.to_value(u.AA), 1050 + 1.5 * np.arange(N))
    assert spectrum.flux.unit == UNIT
    assert np.flatnonzero(spectrum.mask).tolist() == [3]
    assert not said


def test_calspec_repeats_wavelengths_where_gratings_join(tmp_path):
    wave = WAVE.copy()
    wave[100] = wave[99]
    columns = [
        ("WAVELENGTH", "D", "ANGSTROMS", wave),
        ("FLUX", "E", "FLAM", flux()),
        ("STATERROR", "E", "FLAM", np.ones(N)),
        ("SYSERROR", "E", "FLAM", np.full(N, 9.0)),
        ("FWHM", "E", "ANGSTROMS", np.full(N, 5.0)),
        ("DATAQUAL", "I", "NONE", (np.arange(N) != 5).astype(int)),  # 1 is good
    ]
    (spectrum,), said = read(
        write_table(tmp_path / "star_stis_001.fits", columns), medium="vacuum"
    )
    assert spectrum.flux.size == N - 1
    np.testing.assert_array_equal(spectrum.uncertainty.array, 1.0)
    assert np.flatnonzero(spectrum.mask).tolist() == [5]
    assert "1 of 200 pixels are left out" in said


def test_pixels_without_a_wavelength_are_left_out(tmp_path):
    wave = np.r_[WAVE[:-20], np.zeros(10), np.full(10, np.nan)]
    columns = [("wave", "D", "Angstrom", wave), ("flux", "D", DENSITY, flux())]
    (spectrum,), said = read(write_table(tmp_path / "t.fits", columns, cards=VACUUM))
    assert spectrum.flux.size == N - 20
    assert "20 of 200 pixels" in said


@pytest.mark.parametrize("way", [1, -1], ids=["ascending", "descending"])
def test_orders_one_after_the_other_are_refused(way, tmp_path):
    wave = np.r_[WAVE[:100][::way], WAVE[50:150][::way]]
    columns = [("wave", "D", "Angstrom", wave), ("flux", "D", DENSITY, flux())]
    with pytest.raises(OSError, match="t.fits: the wavelengths turn back 1 times.*arms=True"):
        surveys.read(write_table(tmp_path / "t.fits", columns))


def test_several_tables_and_catalogues(tmp_path):
    spectrum = fits.BinTableHDU.from_columns(
        [fits.Column("wave", "D", unit="nm", array=WAVE / 10),
         fits.Column("flux", "D", unit="Jy", array=flux())], name="RED")  # fmt: skip
    other = fits.BinTableHDU.from_columns([fits.Column("ra", "D", array=[1.0])], name="SOURCES")
    path = tmp_path / "several.fits"
    fits.HDUList([fits.PrimaryHDU(), other, spectrum]).writeto(path)
    (found,), _ = read(path, medium="air")
    assert (found.flux.unit, found.meta["medium"]) == (u.Jy, "air")


def text_of(wave, names="wave flux err", separator=" "):
    lines = [separator.join(names.split())] if names else []
    rows = zip(wave, flux(), np.ones(N), strict=True)
    return "\n".join(lines + [separator.join(f"{x:.6f}" for x in row) for row in rows])


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", text_of(WAVE, separator=","), "no unit"),
        ("a.txt", text_of(WAVE), "no unit"),
        ("a.dat", "# " + text_of(WAVE), "no unit"),
        ("a.csv", text_of(WAVE / 10, "wave_(nm) flux err", ","), ""),
        ("a.txt", text_of(WAVE, ""), "no names; they are taken as wavelength, flux, error"),
        ("a.csv", text_of(WAVE, separator=";"), "no unit"),
        ("a.csv", text_of(WAVE, separator=";").replace(".", ","), "no unit"),
        ("a.csv", "\ufeff" + text_of(WAVE, separator=","), "column wave has no unit"),
        ("a.txt", "# Wellenlänge in Å\n" + text_of(WAVE), "no unit"),
        ("a.dat", text_of(WAVE).replace("1.000000\n", "1.0D+00\n"), "no unit"),
        ("a.csv", text_of(WAVE, separator=",").replace("err\n", "err\nAngstrom,Jy,Jy\n"), ""),
        ("a.txt", text_of(WAVE / 1e4, "wave_um flux err"), ""),
    ],
)
def test_text_tables(tmp_path, name, text, said):
    (tmp_path / name).write_text(text, "latin-1" if "Å" in text else "utf-8")
    (spectrum,), found = read(tmp_path / name, medium="vacuum")
    np.testing.assert_allclose(spectrum.spectral_axis.to_value(u.AA), WAVE, atol=1e-4)
    np.testing.assert_array_equal(spectrum.uncertainty.array, 1.0)
    assert spectrum.meta["object_id"] == "a"
    assert said in found


@pytest.mark.parametrize("suffix", ["ecsv", "parquet", "vot"])
def test_tables_of_other_formats(tmp_path, suffix):
    table = QTable({"wave": WAVE / 10 * u.nm, "flux": flux() * u.Jy, "ivar": np.ones(N)})
    path = tmp_path / f"t.{suffix}"
    (Table(table) if suffix == "vot" else table).write(
        path, **({"format": "votable"} if suffix == "vot" else {})
    )
    (spectrum,), said = read(path, medium="vacuum")
    assert spectrum.flux.unit == u.Jy
    np.testing.assert_allclose(spectrum.spectral_axis.to_value(u.AA), WAVE)
    assert spectrum.uncertainty.uncertainty_type == "ivar"
    assert not said


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("empty.fits", b"", "the file is empty"),
        ("page.fits", b"<html>404 not found</html>", "a web page instead of a spectrum"),
        ("noise.fits", bytes(range(256)) * 40, "neither FITS nor a table"),
        ("notes.txt", b"dear reader,\nthis is no table at all\n", "notes.txt: "),
        ("a.csv", b"wave,flux\n", "the table has no row"),
        ("a.txt", b"1 2 3 4\n" * 9, "its 4 columns have no names: write a first line"),
        ("a.csv", b"wave,flux\n4000,1\n4001,few\n", "column flux holds 'FEW', which is no number"),
        ("a.json", b'{"wave": [1, 2]}', "JSON, no table"),
        ("a.npy", b"\x93NUMPY\x01\x00" * 9, "arrays of NumPy"),
    ],
)
def test_what_is_no_spectrum_is_refused_with_one_reason(tmp_path, name, content, why):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(OSError, match=why) as refused:
        surveys.read(tmp_path / name)
    assert name in str(refused.value)
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize("word", ["INDEF", "--", "nan", "NULL"])
def test_words_for_no_number(tmp_path, word):
    lines = text_of(WAVE).split("\n")
    lines[6] = f"{WAVE[5]} {word} 1.0"
    (tmp_path / "a.txt").write_text("\n".join(lines))
    (spectrum,), _ = read(tmp_path / "a.txt", medium="vacuum")
    assert np.flatnonzero(spectrum.mask).tolist() == [5]


@pytest.mark.parametrize("names", [("wave_nm", "flux"), ("WAVELENGTH (nm)", "FLUX (Jy)"),
                                   ("lambda[nm]", "flux")])  # fmt: skip
def test_units_in_the_names_of_fits_columns(tmp_path, names):
    columns = [(names[0], "D", None, WAVE / 10), (names[1], "D", None, flux())]
    (spectrum,), said = read(write_table(tmp_path / "t.fits", columns, cards=VACUUM))
    np.testing.assert_allclose(spectrum.spectral_axis.to_value(u.AA), WAVE)
    assert spectrum.flux.unit == (u.Jy if "Jy" in names[1] else "") and not said


def test_integers_that_stand_for_nothing(tmp_path):
    """TNULL: -999 counts are no counts."""
    values = np.where(np.arange(N) < 5, -999, 100).astype("i4")
    columns = [fits.Column("wave", "D", unit="Angstrom", array=WAVE),
               fits.Column("flux", "J", unit="count", null=-999, array=values)]  # fmt: skip
    table = fits.BinTableHDU.from_columns(columns)
    table.header["VACUUM"] = True
    table.writeto(tmp_path / "t.fits")
    (spectrum,), _ = read(tmp_path / "t.fits")
    assert np.flatnonzero(spectrum.mask).tolist() == [0, 1, 2, 3, 4]
    assert (spectrum.flux.value[5:] == 100).all()


def test_errors_in_per_cent(tmp_path):
    columns = [("wave", "D", "Angstrom", WAVE), ("flux", "D", "Jy", flux())]
    columns += [("err", "D", "%", np.full(N, 20.0))]
    (spectrum,), said = read(write_table(tmp_path / "t.fits", columns, cards=VACUUM))
    np.testing.assert_allclose(spectrum.uncertainty.array, 0.2 * np.abs(flux()))
    assert not said


@pytest.mark.parametrize("name", ["rel_err", "SNR", "flux_err_low", "my_sigma"])
def test_what_may_be_an_error_is_named(tmp_path, name):
    columns = [("wave", "D", "Angstrom", WAVE), ("flux", "D", "Jy", flux())]
    columns += [(name, "D", None, np.ones(N))]
    (spectrum,), said = read(write_table(tmp_path / "t.fits", columns, cards=VACUUM))
    assert spectrum.uncertainty is None and f"{name} is not taken for one" in said


def test_masks_of_truths_that_are_upside_down_are_doubted(tmp_path):
    columns = [("wave", "D", "Angstrom", WAVE), ("flux", "D", "Jy", flux())]
    columns += [("mask", "L", None, np.ones(N, bool))]
    _, said = read(write_table(tmp_path / "t.fits", columns, cards=VACUUM))
    assert "mask marks 100% of the pixels as bad" in said


def test_names_of_rows(tmp_path):
    columns = [("wave", f"{N}D", "Angstrom", np.tile(WAVE, (3, 1))),
               ("flux", f"{N}D", "Jy", flux((3, N))),
               ("OBJ_ID", "5A", None, np.array(["a", "b", "a"]))]  # fmt: skip
    (spectra,), _ = read(write_table(tmp_path / "t.fits", columns, cards=VACUUM))
    assert spectra.meta["object_id"] == ["a", "b", "a"]


def test_complex_fluxes_are_refused(tmp_path):
    columns = [("wave", "D", "Angstrom", WAVE), ("flux", "C", "Jy", flux().astype("c8"))]
    with pytest.raises(OSError, match="column flux holds complex numbers"):
        surveys.read(write_table(tmp_path / "t.fits", columns, cards=VACUUM))


def test_tables_without_rows_and_closed_files_are_named(tmp_path):
    columns = [("wave", "D", "Angstrom", WAVE[:0]), ("flux", "D", "Jy", flux()[:0])]
    path = write_table(tmp_path / "t.fits", columns)
    with pytest.raises(OSError, match="its table has no row"):
        surveys.read(path)
    closed = fits.open(path)
    closed.close()
    with pytest.raises(OSError, match="t.fits: "):
        surveys.read(closed)


@pytest.mark.parametrize(
    ("given", "error", "why"),
    [
        (io.BytesIO(b"SIMPLE"), TypeError, "not BytesIO: open it with astropy.io.fits.open"),
        (fits.ImageHDU(flux()), TypeError, "not ImageHDU: give the HDUList"),
        (Table({"wave": WAVE}), TypeError, "not Table: pass its columns to spectok.encode_arrays"),
        (None, TypeError, "not NoneType"),
        ([1], TypeError, "not int"),
        ("https://example.org/a.fits", FileNotFoundError, "an address, no file; fetch it first"),
        (b"nothing.fits", FileNotFoundError, "nothing.fits: no such file"),
    ],
)
def test_what_is_no_file_is_pointed_elsewhere(given, error, why):
    with pytest.raises(error, match=why):
        surveys.read(given)


def test_token_table_is_no_spectrum(tmp_path):
    table = Table({"spectrum_index": [0], "token_index": [0], "wavelength": [1.0], "scale": [1.0]})
    for name in ("t.fits", "t.ecsv"):
        table.write(tmp_path / name)
        with pytest.raises(OSError, match=f"{name}: this is a token table"):
            surveys.read(tmp_path / name)


def test_table_of_embeddings_is_no_spectrum(tmp_path):
    table = Table({"spectrum_index": [0], "embedding": [[1.0, 2.0]], "n_valid": [3]})
    for name in ("t.fits", "t.ecsv"):
        table.write(tmp_path / name)
        with pytest.raises(OSError, match=f"{name}: this is a table of embeddings, no spectrum"):
            surveys.read(tmp_path / name)


def test_own_spectrum_through_specutils(tmp_path):
    own = Spectrum(flux=flux() * u.Jy, spectral_axis=WAVE * u.AA, mask=np.arange(N) < 3)
    own.write(tmp_path / "own.fits", format="tabular-fits")
    (spectrum,), _ = read(tmp_path / "own.fits")
    np.testing.assert_array_equal(spectrum.flux.value, own.flux.value)
    (named,), _ = read(tmp_path / "own.fits", format="tabular-fits", medium="air")
    assert named.meta["medium"] == "air"
    with pytest.raises(ValueError, match="no loader of specutils is named 'none'"):
        surveys.read(tmp_path / "own.fits", format="none")
