"""Images of other hands: cubes, bands, labelled rows, images beside images."""

import warnings

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning

from spectok import surveys

from .foreign_files import N, flux, write_image

AXIS = {"CTYPE1": "WAVE", "CUNIT1": "Angstrom", "CRVAL1": 5000.0, "CDELT1": 1.25, "CRPIX1": 1.0,
        "VACUUM": True}  # fmt: skip
WAVE = 5000 + 1.25 * np.arange(N)
SHAPE = (N, 3, 2)


def cube_cards(kind="AWAV", **more):
    axes = [("RA---TAN", 10.0, -5e-5, "deg"), ("DEC--TAN", 10.0, 5e-5, "deg")]
    axes.append((kind, 5000.0, 1.25, "Angstrom"))
    cards = {}
    for i, (name, value, step, unit) in enumerate(axes, 1):
        cards |= {f"CTYPE{i}": name, f"CRVAL{i}": value, f"CD{i}_{i}": step, f"CUNIT{i}": unit}
        cards[f"CRPIX{i}"] = 1.0
    return {**cards, **more}


def read(path, **options):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        spectra = surveys.read(path, **options)
    return spectra, " ".join(str(one.message) for one in said)


@pytest.mark.parametrize(
    ("names", "kind"),
    [(("DATA", "STAT", "DQ"), "var"), (("SCI", "ERR", "DQ"), "std"), (("SCI", "VAR", "DQ"), "var"),
     (("FLUX", "IVAR", "MASK"), "ivar"), (("PRIMARY", "UNCERT", "FLAGS"), "std")],
)  # fmt: skip
def test_cubes_with_errors_and_masks(tmp_path, names, kind):
    """MUSE, JWST, GMOS, MaNGA and KCWI by the names of their extensions."""
    data, quality = flux(SHAPE), np.zeros(SHAPE, "i4")
    quality[7, 2, 1] = 1
    cards = cube_cards(BUNIT="10**(-20)*erg/s/cm**2/Angstrom", EXTNAME=names[0])
    more = {"BUNIT": "(10**(-20)*erg/s/cm**2/Angstrom)**2"} if kind == "var" else {}
    extensions = [(names[1], np.full(SHAPE, 4.0), more), (names[2], quality, {})]
    path = write_image(tmp_path / "cube.fits", data, cards, extensions=extensions)
    if names[0] == "PRIMARY":
        del cards["EXTNAME"]
        header = fits.Header(cards.items())
        hdus = [fits.PrimaryHDU(data, header)]
        hdus += [fits.ImageHDU(values, name=name) for name, values, _ in extensions]
        fits.HDUList(hdus).writeto(path, overwrite=True)
    (spectrum,), said = read(path)
    assert spectrum.flux.shape == (3, 2, N)
    np.testing.assert_array_equal(spectrum.flux.value, np.moveaxis(data, 0, -1))
    assert spectrum.flux.unit == u.Unit("1e-20 erg / (s cm2 Angstrom)")
    np.testing.assert_allclose(spectrum.spectral_axis.to_value(u.AA), WAVE)
    assert spectrum.uncertainty.uncertainty_type == kind
    assert (spectrum.uncertainty.array == 4.0).all()
    assert np.argwhere(spectrum.mask).tolist() == [[2, 1, 7]]
    assert spectrum.meta["medium"] == "air"
    assert not said


def test_images_beside_images(tmp_path):
    extensions = [("IVAR", np.full(N, 4.0), {}), ("WAVELENGTH", WAVE, {"BUNIT": "Angstrom"})]
    path = write_image(tmp_path / "i.fits", flux(), {"EXTNAME": "FLUX"}, extensions=extensions)
    (spectrum,), _ = read(path, medium="vacuum")
    np.testing.assert_array_equal(spectrum.spectral_axis.to_value(u.AA), WAVE)
    assert spectrum.uncertainty.uncertainty_type == "ivar"


def test_cube_with_a_table_of_wavelengths(tmp_path):
    data = flux((N, 2, 2))
    cards = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CTYPE3": "WAVE-TAB", "EXTNAME": "SCI"}
    path = write_image(tmp_path / "c.fits", data, cards, extensions=[("ERR", data, {})])
    with fits.open(path, mode="append") as hdus:
        column = fits.Column("wavelength", f"{N}D", unit="um", array=[WAVE / 1e4])
        hdus.append(fits.BinTableHDU.from_columns([column], name="WCS-TABLE"))
    (spectrum,), _ = read(path, medium="vacuum")
    np.testing.assert_allclose(spectrum.spectral_axis.to_value(u.AA), WAVE)


def test_bands_of_iraf(tmp_path):
    bands = np.stack([flux(), flux(seed=2), np.full(N, 99.0), np.full(N, 2.0)])[:, None]
    cards = {**AXIS, "BANDID1": "spectrum - background fit, weights variance, clean no",
             "BANDID2": "raw - background fit, weights none, clean no",
             "BANDID3": "background - background fit", "BANDID4": "sigma - background fit",
             "APNUM1": "1 1 10.0 20.0", "WAT0_001": "system=equispec"}  # fmt: skip
    (spectrum,), said = read(write_image(tmp_path / "a.ms.fits", bands, cards))
    np.testing.assert_array_equal(spectrum.flux.value, flux())
    np.testing.assert_array_equal(spectrum.uncertainty.array, np.full(N, 2.0))
    assert not said


def multispec(functions):
    text = "wtype=multispec " + " ".join(
        f'spec{i} = "{i} {100 - i} {words}"' for i, words in enumerate(functions, 1)
    )
    cards = {"CTYPE1": "MULTISPE", "CTYPE2": "MULTISPE", "CD1_1": 1.0, "CD2_2": 1.0, "WCSDIM": 2,
             "WAT0_001": "system=multispec", "VACUUM": True,
             "WAT1_001": "wtype=multispec label=Wavelength units=angstroms"}  # fmt: skip
    parts = [text[i : i + 68] for i in range(0, len(text), 68)]
    return cards | {f"WAT2_{i:03d}": part for i, part in enumerate(parts, 1)}


def test_orders_of_iraf(tmp_path):
    """Linear, logarithmic, Chebyshev and Legendre dispersion, a redshift, and a sigma band."""
    functions = [
        f"0 5000. 0.1 {N} 0. 1. 2.",
        f"1 3.7076 1e-5 {N} 0. 1. 2.",
        f"2 5120. 0.1 {N} 0.001 1. 2. 1. 0. 1 3 1. {N}. 5130. 10. 0.2",
        f"2 5150. 0.1 {N} 0. 1. 2. 1. 2.5 2 3 1. {N}. 5160. 10. 0.2",
    ]
    pixel = np.arange(N)
    x = 2 * pixel / (N - 1) - 1
    right = [
        5000 + 0.1 * pixel,
        10 ** (3.7076 + 1e-5 * pixel),
        (5130 + 10 * x + 0.2 * (2 * x**2 - 1)) / 1.001,
        2.5 + 5160 + 10 * x + 0.2 * (1.5 * x**2 - 0.5),
    ]
    bands = np.stack([flux((4, N)), np.full((4, N), 2.0)])
    cards = multispec(functions) | {
        "BANDID1": "spectrum - weights variance",
        "BANDID2": "sigma - x",
    }
    orders, said = read(write_image(tmp_path / "ech.ms.fits", bands, cards))
    for order, wave, values in zip(orders, right, flux((4, N)), strict=True):
        np.testing.assert_allclose(order.spectral_axis.to_value(u.AA), wave, rtol=1e-12)
        np.testing.assert_array_equal(order.flux.value, values)
        np.testing.assert_array_equal(order.uncertainty.array, 2.0)
    assert [order.meta["arm"] for order in orders] == [f"order {i}" for i in (1, 2, 3, 4)]
    assert not said


def test_fibres_of_iraf_are_no_arms(tmp_path):
    cards = multispec([f"0 {5000 + i}. 0.1 {N} 0. 1. 2." for i in range(3)])
    fibres, _ = read(write_image(tmp_path / "fib.ms.fits", flux((3, N)), cards))
    assert len(fibres) == 3
    assert not any("arm" in fibre.meta for fibre in fibres)
    assert [fibre.meta["object_id"] for fibre in fibres] == [f"fib.ms:{i}" for i in range(3)]


def test_splines_of_iraf_are_refused(tmp_path):
    cards = multispec([f"2 5000. 0.1 {N} 0. 1. 2. 1. 0. 3 2 1. {N}. 1. 2. 3. 4. 5."])
    path = write_image(tmp_path / "spline.fits", flux((1, N)), cards)
    with pytest.raises(OSError, match="spline.fits: row 1 has a dispersion function of type 3"):
        surveys.read(path)


def test_units_that_iraf_keeps_in_its_own_cards(tmp_path):
    cards = {"CTYPE1": "LINEAR", "CRVAL1": 5000.0, "CDELT1": 1.25, "VACUUM": True,
             "WAT1_001": "wtype=linear label=Wavelength units=angstroms"}  # fmt: skip
    (spectrum,), said = read(write_image(tmp_path / "a.fits", flux(), cards))
    np.testing.assert_allclose(spectrum.spectral_axis.to_value(u.AA), WAVE)
    assert not said


def test_rows_that_the_header_labels(tmp_path):
    data = np.stack([flux(), np.full(N, 2.0), flux(seed=3)])
    cards = {**AXIS, "ROW1": "Spectrum", "ROW2": "Error", "ROW3": "Sky"}
    (spectrum,), _ = read(write_image(tmp_path / "rows.fits", data, cards))
    np.testing.assert_array_equal(spectrum.flux.value, flux())
    np.testing.assert_array_equal(spectrum.uncertainty.array, 2.0)


def write_lamost(path, *, table):
    loglam = 3.5682 + 1e-4 * np.arange(N)
    mask = np.zeros(N, int)
    mask[[3, 4]] = 1 << 3, 1 << 5  # BRIGHTSKY is no reason, NODATA is
    rows = [flux(), np.full(N, 4.0), 10**loglam, mask, np.ones(N)]
    rows[1][9] = 0
    primary = fits.PrimaryHDU()
    cards = {"TELESCOP": "LAMOST", "VACUUM": True, "COEFF0": 3.5682, "COEFF1": 1e-4, "DC-FLAG": 1,
             "OBSID": 101001, "CLASS": "STAR", "SUBCLASS": "G5", "Z": -9999.0, "RA": 1.0,
             "DEC": 2.0}  # fmt: skip
    if table:
        names = ("FLUX", "IVAR", "WAVELENGTH", "ANDMASK", "ORMASK")
        columns = [fits.Column(n, f"{N}D", array=[r]) for n, r in zip(names, rows, strict=True)]
        hdus = [primary, fits.BinTableHDU.from_columns(columns, name="COADD")]
    else:
        hdus = [fits.PrimaryHDU(np.stack(rows).astype("f4"))]
    hdus[0].header.update(cards)
    fits.HDUList(hdus).writeto(path)
    return path, loglam


@pytest.mark.parametrize("table", [False, True])
def test_lamost_low_resolution(tmp_path, table):
    path, loglam = write_lamost(tmp_path / "spec-55859-F5902_sp01-001.fits.gz", table=table)
    (spectrum,), said = read(path)
    np.testing.assert_allclose(spectrum.spectral_axis.to_value(u.AA), 10**loglam, rtol=1e-7)
    np.testing.assert_allclose(spectrum.flux.value, flux(), rtol=1e-6)
    assert np.flatnonzero(spectrum.mask).tolist() == [4, 9]
    meta = spectrum.meta
    assert (meta["medium"], meta["object_id"], meta["label"]) == (
        "vacuum", "101001", {"class": "STAR", "subclass": "G5"},
    )  # fmt: skip
    assert not said


def test_lamost_medium_resolution(tmp_path):
    hdus = [fits.PrimaryHDU()]
    hdus[0].header.update({"TELESCOP": "LAMOST", "OBSID": 7, "VACUUM": True})
    for name, start in (("COADD_B", 4950.0), ("COADD_R", 6300.0), ("B-84188", 4950.0)):
        columns = {"FLUX": flux(), "IVAR": np.ones(N), "ANDMASK": np.zeros(N)}
        columns["LOGLAM"] = np.log10(start + 0.1 * np.arange(N))
        made = [fits.Column(n, f"{N}D", array=[a]) for n, a in columns.items()]
        hdus.append(fits.BinTableHDU.from_columns(made, name=name))
    fits.HDUList(hdus).writeto(tmp_path / "med.fits")
    (blue, red), _ = read(tmp_path / "med.fits")
    assert (blue.meta["arm"], red.meta["arm"]) == ("B", "R")
    assert red.spectral_axis[0].to_value(u.AA) == pytest.approx(6300)


def test_nothing_in_it(tmp_path):
    fits.PrimaryHDU().writeto(tmp_path / "bare.fits")
    with pytest.raises(OSError, match="bare.fits: it holds no table and no image with data"):
        surveys.read(tmp_path / "bare.fits")


def test_errors_of_another_shape_are_named(tmp_path):
    cards = {"CRVAL1": 5000.0, "CDELT1": 1.0, "CUNIT1": "Angstrom", "VACUUM": True}
    extensions = [("ERR", np.ones(N - 1), ()), ("DQ", np.zeros(N + 1, "i4"), ())]
    path = write_image(tmp_path / "a.fits", flux(), {**cards, "EXTNAME": "SCI"},
                       extensions=extensions)  # fmt: skip
    with pytest.warns(AstropyUserWarning) as said:
        (spectrum,) = surveys.read(path)
    assert spectrum.uncertainty is None and not spectrum.mask.any()
    texts = [str(one.message) for one in said]
    assert any("the image ERR has the shape (199,), the flux (200,): ignored" in t for t in texts)
    assert any("the image DQ has the shape (201,)" in t for t in texts)
