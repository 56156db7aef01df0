"""Containers of other hands: pandas, Arrow, masked errors and axes, metadata of any type."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from astropy import units as u
from astropy.io import fits
from astropy.nddata import InverseVariance, StdDevUncertainty, VarianceUncertainty
from astropy.table import QTable, Table
from astropy.utils.exceptions import AstropyUserWarning
from astropy.utils.masked import Masked
from astropy.wcs import WCS
from specutils import Spectrum

import spectok
from spectok import TokenFlag
from spectok._convert import convert_arrays, convert_spectra

N = 200
WAVE = 4000 + 1.3 * np.arange(N)
FLUX = np.random.default_rng(3).normal(20, 1, N)
BAD = np.isin(np.arange(N), [3, 50, 51])


def rows_of(*arrays, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rows, _ = convert_arrays(*arrays, **options)
    return rows


def spectrum(**changes):
    fields = {
        "flux": FLUX * u.Jy,
        "spectral_axis": WAVE * u.AA,
        "uncertainty": StdDevUncertainty(np.ones(N)),
    }
    return Spectrum(**(fields | changes))


def columns(kind):
    """Wavelength, flux with NaN at BAD, ivar as columns of a kind."""
    holed = np.where(BAD, np.nan, FLUX)
    arrays = {"wave": WAVE, "flux": holed, "ivar": np.ones(N)}
    if kind == "torch":
        return [torch.tensor(a, requires_grad=True) for a in arrays.values()]
    if kind.startswith("pandas"):
        pd = pytest.importorskip("pandas")
        frame = pd.DataFrame(arrays, index=np.arange(N)[::-1] + 7)
        if kind == "pandas nullable":
            frame = frame.convert_dtypes()
            assert frame.flux.isna().sum() == BAD.sum()
        if kind == "pandas arrow":
            pytest.importorskip("pyarrow")
            frame = frame.convert_dtypes(dtype_backend="pyarrow")
        return [frame[name] for name in arrays]
    pa = pytest.importorskip("pyarrow")
    made = [pa.array(a, mask=BAD if name == "flux" else None) for name, a in arrays.items()]
    return [pa.chunked_array([a[:90], a[90:]]) for a in made] if kind == "arrow chunks" else made


KINDS = ["pandas", "pandas nullable", "pandas arrow", "arrow", "arrow chunks", "torch"]


@pytest.mark.parametrize("kind", KINDS)
def test_columns_are_arrays(kind):
    (row,) = rows_of(*columns(kind))
    np.testing.assert_array_equal(row.wavelength, WAVE)
    np.testing.assert_array_equal(row.valid[0], ~BAD)
    np.testing.assert_array_equal(row.flux[0][~BAD], FLUX[~BAD])


@pytest.mark.parametrize("kind", KINDS)
def test_lists_of_columns_are_rows(kind):
    wave, flux, ivar = columns(kind)
    rows = rows_of([wave, wave], [flux, flux], [ivar, ivar])
    assert len(rows) == 2
    for row in rows:
        np.testing.assert_array_equal(row.valid[0], ~BAD)


def test_cells_that_are_arrays():
    """Nested columns: pandas and numpy of objects, lists of Arrow, variable length of FITS."""
    pd = pytest.importorskip("pandas")
    pa = pytest.importorskip("pyarrow")
    cells = [FLUX, FLUX[:40]]
    waves, ones = [WAVE, WAVE[:40]], [np.ones(N), np.ones(40)]
    objects = np.empty(2, object)
    objects[:] = cells
    for kind in (pd.Series(cells), pa.array(cells), objects, pd.Series(cells).to_numpy()):
        one, two = rows_of(waves, kind, ones)
        np.testing.assert_array_equal(one.flux[0], FLUX)
        np.testing.assert_array_equal(two.flux[0], FLUX[:40])
    frame = pd.DataFrame(np.tile(FLUX, (3, 1)))
    (rows,) = rows_of(WAVE, frame, np.ones((3, N)))
    assert rows.flux.shape == (3, N)


def test_masks_of_pandas():
    pd = pytest.importorskip("pandas")
    (row,) = rows_of(WAVE, FLUX, np.ones(N), pd.Series(BAD))
    np.testing.assert_array_equal(row.valid[0], ~BAD)


@pytest.mark.parametrize("kind", [StdDevUncertainty, VarianceUncertainty, InverseVariance])
@pytest.mark.parametrize("form", ["numpy", "Masked", "Masked with unit", "slice", "rows"])
def test_masked_errors_are_bad_pixels(kind, form):
    """astropy's uncertainties drop the mask of what they are made from."""
    unit = {StdDevUncertainty: u.Jy, VarianceUncertainty: u.Jy**2, InverseVariance: u.Jy**-2}[kind]
    shape = (2, N) if form == "rows" else (N,)
    values, bad = np.ones(shape), np.broadcast_to(BAD, shape)
    if form == "numpy":
        error = kind(np.ma.array(values, mask=bad), unit=unit)
    elif form == "Masked with unit":
        error = kind(Masked(values, mask=bad) * unit)
    else:
        error = kind(Masked(values, mask=bad), unit=unit)
    if form == "slice":  # of the uncertainty; specutils copies when a spectrum is sliced
        part = slice(40, 120)
        made, bad = spectrum(flux=FLUX[part] * u.Jy, spectral_axis=WAVE[part] * u.AA,
                             uncertainty=error[part]), bad[part]  # fmt: skip
    else:
        made = spectrum(flux=np.broadcast_to(FLUX, shape) * u.Jy, uncertainty=error)
    if form == "rows":
        made, bad = made[1], bad[1]
    (row,), _ = convert_spectra(made)
    np.testing.assert_array_equal(row.valid[0], ~bad)


def test_masked_axis_is_refused():
    table = QTable({"w": Masked(WAVE * u.AA, mask=BAD), "f": FLUX * u.Jy})
    with pytest.raises(ValueError, match=r"spectrum 0: 3 of 200 wavelengths are masked.*pixel 3"):
        convert_spectra(Spectrum(flux=table["f"], spectral_axis=table["w"]))
    whole = Spectrum(flux=table["f"], spectral_axis=Masked(WAVE * u.AA, mask=False))
    (row,), _ = convert_spectra(whole)
    np.testing.assert_array_equal(row.wavelength, WAVE)


@pytest.mark.parametrize("hole", ["empty", "one NaN", "all NaN", "zeros at the end"])
def test_one_damaged_row_does_not_cost_the_others(hole, tiny):
    waves, fluxes = [WAVE.copy() for _ in range(3)], [FLUX.copy() for _ in range(3)]
    if hole == "empty":
        waves[1] = fluxes[1] = np.zeros(0)
    else:
        places = {"one NaN": 100, "all NaN": slice(None), "zeros at the end": slice(150, None)}
        waves[1][places[hole]] = 0.0 if hole == "zeros at the end" else np.nan
    ivars = [np.ones(len(flux)) for flux in fluxes]
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        tokens = spectok.encode_arrays(waves, fluxes, ivars, model=tiny)
    lost = hole in ("empty", "all NaN")
    assert f"1 of 3 spectra {'cannot be used' if lost else '(1) have '}" in str(said[0].message)
    assert len(said) == 1
    alone = spectok.encode_arrays(WAVE, FLUX, np.ones(N), model=tiny)
    for number in (0, 2):
        part = tokens[tokens["spectrum_index"] == number]
        np.testing.assert_allclose(part["token"], alone["token"], atol=1e-5)
    broken = tokens[tokens["spectrum_index"] == 1]
    assert len(broken) >= 1
    assert broken["valid"].any() != lost
    assert np.isfinite(broken["token"]).all()
    assert np.isfinite(broken["wavelength"].value).all() != lost  # it lies nowhere


def test_logarithms_get_the_right_hint(tiny):
    for wave, hint in (
        (np.log10(WAVE), r"10\*\*\(wavelength\)"),
        (np.log(WAVE), r"np\.exp\(wave"),
    ):
        with pytest.warns(AstropyUserWarning, match=f"logarithms.*{hint}"):
            spectok.encode_arrays(wave, FLUX, np.ones(N), model=tiny)


# ------------------------------------------------------------------ metadata of any type


@pytest.mark.parametrize(
    ("meta", "name"),
    [
        ({"object_id": b"J1"}, "J1"),
        ({"object_id": np.bytes_(b"J1")}, "J1"),
        ({"object_id": [b"J1"]}, "J1"),
        ({"object_id": 39628427912810449}, 39628427912810449),
        ({"header": {"PLATEID": "0266", "MJD": 51602, "FIBERID": 3}}, "0266-51602-0003"),
        ({"header": {"PLATEID": 266, "MJD": 51602, "FIBERID": "3"}}, "0266-51602-0003"),
        ({"header": {"PLATEID": 266, "FIBERID": 3}}, None),
        ({"header": {"PLATEID": 266, "MJD": 51602.25, "FIBERID": 3}}, None),
        ({"header": {"PLATEID": None, "MJD": 51602, "FIBERID": 3}}, None),
        ({"header": {"PLATEID": fits.card.Undefined(), "MJD": 1, "FIBERID": 3}}, None),
        ({"header": "a text"}, None),
        ({"header": [1, 2]}, None),
        ({"fibermap": None}, None),
        ({"fibermap": 3}, None),
        ({"fibermap": Table({"OTHER": [1]})}, None),
        ({"fibermap": Table({"TARGETID": [7]})}, 7),
        ({1: 2, None: 3, ("a",): "b"}, None),
        ({"medium": None}, None),
        ({}, None),
    ],
)
def test_metadata_never_stops_a_call(meta, name):
    (row,), _ = convert_spectra(spectrum(meta=meta))
    assert row.object_id == (None if name is None else [name])


@pytest.mark.parametrize(
    "medium", ["AIR", " air ", np.str_("air"), b"air", ["air"], ("air", "air")]
)
def test_medium_in_many_spellings(medium):
    (row,), _ = convert_spectra(spectrum(meta={"medium": medium}))
    assert row.flags[0] & TokenFlag.FROM_AIR


def test_object_ids_of_the_call_may_be_bytes(tiny):
    names = np.array([b"J1", b"J2"])
    tokens = spectok.encode_arrays(
        WAVE, [FLUX, FLUX], [np.ones(N)] * 2, object_id=names, model=tiny
    )
    assert set(tokens["object_id"]) == {"J1", "J2"}


# ------------------------------------------------------------------ medium and units of a Spectrum


@pytest.mark.parametrize("where", ["wcs", "header", "cube"])
def test_air_by_the_axis_type(where):
    cards = {
        "CTYPE1": "AWAV",
        "CUNIT1": "Angstrom",
        "CRVAL1": 4000.0,
        "CDELT1": 1.3,
        "CRPIX1": 1.0,
    }
    header = fits.Header(cards)
    if where == "wcs":
        made = Spectrum(
            flux=FLUX * u.Jy, wcs=WCS(header), uncertainty=StdDevUncertainty(np.ones(N))
        )
    elif where == "header":
        made = spectrum(meta={"header": header})
    else:
        sky = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CUNIT1": "deg", "CUNIT2": "deg",
               "CDELT1": 1e-4, "CDELT2": 1e-4}  # fmt: skip
        cube = fits.Header(sky | {key.replace("1", "3"): value for key, value in cards.items()})
        made = Spectrum(flux=np.tile(FLUX[:, None, None], (1, 2, 2)) * u.Jy, wcs=WCS(cube))
    rows, _ = convert_spectra(made)
    assert all(row.flags[0] & TokenFlag.FROM_AIR for row in rows)
    air = spectrum(meta={"medium": "air"})
    np.testing.assert_allclose(rows[0].wavelength, convert_spectra(air)[0][0].wavelength)
    told, _ = convert_spectra(made, medium="vacuum")
    assert not told[0].flags[0] & TokenFlag.FROM_AIR


def test_ampere_is_refused_by_name():
    with pytest.raises(ValueError, match="spectrum 0: the flux unit .* has ampere in it"):
        convert_spectra(spectrum(flux=FLUX * u.Unit("erg / (s cm2 A)")))
    with pytest.raises(ValueError, match="flux: the flux unit .* ampere"):
        convert_arrays(WAVE, FLUX * u.Unit("erg / (s cm2 A)"), np.ones(N))


def test_units_that_astropy_did_not_know():
    known = u.Unit("FLAM", parse_strict="silent")
    _, unit = convert_spectra(spectrum(flux=u.Quantity(FLUX, known)))
    assert unit.unit == u.erg / u.s / u.cm**2 / u.AA
    other = u.Unit("furlongs", parse_strict="silent")
    with pytest.raises(ValueError, match="spectrum 0: flux: the unit 'furlongs' is not known"):
        convert_spectra(spectrum(flux=u.Quantity(FLUX, other)))


def test_no_row_is_no_spectrum():
    for shape in ((0, N), (2, 0, N)):
        empty = Spectrum(flux=np.zeros(shape) * u.Jy, spectral_axis=WAVE * u.AA)
        with pytest.raises(ValueError, match="spectrum 0: there is no spectrum to encode"):
            convert_spectra(empty)


def test_logarithmic_quantities_are_wavelengths():
    (rows,) = rows_of(u.Dex(np.log10(WAVE), u.dex(u.AA)), FLUX, np.ones(N))
    np.testing.assert_allclose(rows.wavelength, WAVE, rtol=1e-12)


def test_brain_floats_are_numbers():
    flux = torch.tensor(FLUX).bfloat16()
    (rows,) = rows_of(WAVE, flux, torch.ones(N, dtype=torch.bfloat16))
    np.testing.assert_array_equal(rows.flux[0], flux.double().numpy())


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy, lambda bad: [bad, bad]])
def test_a_mask_in_the_place_of_the_inverse_variance_is_refused(kind):
    flux = np.stack([FLUX, FLUX])
    with pytest.raises(ValueError, match="ivar is True or False .* pass a mask as mask="):
        rows_of(WAVE, flux, kind(BAD if isinstance(kind(BAD), list) else np.stack([BAD, BAD])))
    with pytest.raises(ValueError, match="flux is True or False"):
        rows_of(WAVE, kind(BAD), np.ones(N))


def test_errors_in_the_place_of_the_inverse_variance_are_refused():
    with pytest.raises(ValueError, match="ivar is in Jy, as errors are; .* pass errors as"):
        rows_of(WAVE, FLUX * u.Jy, np.ones(N) * u.Jy)


def test_columns_of_one_pixel_are_refused():
    with pytest.raises(ValueError, match=r"shape \(200, 1\), 200 grids of one pixel: .* flux.T"):
        rows_of(WAVE[:, None], FLUX[:, None], np.ones((N, 1)))


def test_wavelengths_of_single_precision_that_are_equal_are_explained():
    with pytest.raises(ValueError, match="more than once .* type float32 are too coarse"):
        rows_of((16000 + 1e-4 * np.arange(N)).astype("f4"), FLUX, np.ones(N))
    with pytest.raises(ValueError, match="more than once") as refused:
        rows_of(np.repeat(WAVE[: N // 2], 2), FLUX, np.ones(N))
    assert "coarse" not in str(refused.value)


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ([WAVE, FLUX], r"got ndarray; plain arrays go to spectok.encode_arrays\(wavelength"),
        (["a.fits"], "got str; spectok.surveys.read makes spectra of files"),
        ({"wave": WAVE, "flux": FLUX}, "columns of tables go to spectok.encode_arrays"),
        (Path("a.fits"), "got PosixPath; .* and files to spectok.surveys.read"),
    ],
)
def test_what_is_no_spectrum_is_pointed_to_its_door(given, hint):
    with pytest.raises(TypeError, match=hint):
        convert_spectra(given)
