"""Encode and decode, and the tables between them."""

import numpy as np
import pytest
import torch
from astropy import units as u
from astropy.nddata import StdDevUncertainty
from astropy.table import QTable, Table, vstack
from astropy.utils.exceptions import AstropyUserWarning
from astropy.wcs import WCS
from specutils import Spectrum, SpectrumList

import spectok

LENGTHS = (33, 64, 97, 150, 200, 400, 401, 777)


@pytest.fixture(scope="module")
def mixed(make_arrays):
    """Wavelengths, fluxes and inverse variances of spectra of many lengths, some of them bad."""
    rows = [make_arrays(n, seed=n) for n in LENGTHS]
    ivar = [row[2] ** -2 for row in rows]
    ivar[4][30:90] = 0
    return [row[0] for row in rows], [row[1] for row in rows], ivar


@pytest.fixture(scope="module")
def tokens(mixed, tiny):
    return spectok.encode_arrays(*mixed, model=tiny)


@pytest.fixture(scope="module")
def one(make_arrays, tiny):
    """Tokens of one spectrum of 300 pixels from 4000 A in steps of 1.3 A."""
    wavelength, flux, sigma = make_arrays(300)
    return spectok.encode_arrays(wavelength, flux * u.Jy, sigma**-2, model=tiny)


def tokens_of(table, k):
    return np.asarray(table["token"][table["spectrum_index"] == k])


# ------------------------------------------------------------------ batches


def test_alone_and_in_a_batch_of_other_lengths(mixed, tokens, tiny, rms_difference):
    for k, (wavelength, flux, ivar) in enumerate(zip(*mixed, strict=True)):
        alone = spectok.encode_arrays(wavelength, flux, ivar, model=tiny)
        mine = tokens[tokens["spectrum_index"] == k]
        assert rms_difference(alone["token"], mine["token"]) < 1e-5
        for name in ("valid", "n_valid", "wavelength", "scale", "flags"):
            assert np.array_equal(alone[name], mine[name]), name


def test_padding_changes_nothing(mixed, tiny, rms_difference):
    """Past the buckets, which would keep such lengths apart: one batch of all."""
    from spectok._batch import PatchLayout, SpectrumBatch

    wavelength, flux, ivar = mixed
    with np.errstate(divide="ignore"):
        sigma = [i**-0.5 for i in ivar]
    layouts = [PatchLayout.of(w, 32) for w in wavelength]
    valid = [i > 0 for i in ivar]
    with torch.inference_mode():
        together = tiny.encode(SpectrumBatch.from_layouts(layouts, flux, sigma, valid))
        for k, layout in enumerate(layouts):
            batch = SpectrumBatch.from_layouts([layout], [flux[k]], [sigma[k]], [valid[k]])
            alone = tiny.encode(batch).value[0]
            assert rms_difference(alone, together.value[k, : layout.n_patches]) < 1e-5
            assert not together.value[k, layout.n_patches :].any()


@pytest.mark.parametrize("batch_size", [1, 2, 3, 100])
def test_batch_size_changes_nothing(batch_size, mixed, tokens, tiny, rms_difference):
    other = spectok.encode_arrays(*mixed, model=tiny, batch_size=batch_size)
    assert rms_difference(tokens["token"], other["token"]) < 1e-5
    assert np.array_equal(tokens["spectrum_index"], other["spectrum_index"])


def test_batch_size_of_nothing_is_refused(mixed, tiny):
    with pytest.raises(ValueError, match="batch_size must be at least 1, not 0"):
        spectok.encode_arrays(*mixed, model=tiny, batch_size=0)


def test_progress_bar_on_request(one, make_arrays, tiny, capsys):
    wavelength, flux, sigma = make_arrays(64)
    spectok.encode_arrays(wavelength, flux, sigma, model=tiny)
    assert capsys.readouterr().err == ""
    spectok.encode_arrays(wavelength, flux, sigma, model=tiny, progress=True)
    assert "encoding" in capsys.readouterr().err


# ------------------------------------------------------------------ the table


def test_columns_of_the_table(one):
    assert one.colnames == [
        "spectrum_index", "object_id", "token_index", "wavelength", "wavelength_min",
        "wavelength_max", "n_pixels", "n_valid", "valid", "scale", "flags", "token",
    ]  # fmt: skip
    assert one["token"].dtype == np.float32 and one["token"].shape == (10, 16)
    assert one["object_id"].dtype.kind == "U"
    assert one["valid"].dtype == bool
    for name in ("wavelength", "wavelength_min", "wavelength_max"):
        assert one[name].unit == u.AA and one[name].dtype == np.float64
    assert one["scale"].unit.is_equivalent(u.erg / u.s / u.cm**2 / u.AA)
    assert one["token_index"].tolist() == list(range(10))
    assert one["n_pixels"].tolist() == [32] * 9 + [12]
    # The last patch has 12 pixels, which is less than half of it.
    assert one["valid"].tolist() == [True] * 9 + [False]
    assert np.allclose(one["wavelength_min"].value, 4000 + 1.3 * 32 * np.arange(10))
    assert one["wavelength_max"][-1].value == pytest.approx(4000 + 1.3 * 299)
    assert all(len(key) <= 8 and key.isupper() for key in one.meta)


def test_the_display_is_rounded_and_the_table_is_not(one, tmp_path):
    from astropy.table import vstack

    part, twice = one[2:5], vstack([one, one])
    for table in (one, part, twice, spectok.concatenate([one, one])):
        shown = table[:1]._repr_html_().split("<td>")
        assert len(shown) == 13
        texts = [cell.split("<")[0] for cell in shown[1:]]
        token = table["token"][0]
        assert texts[11] == f"{token[0]:.3f} .. {token[-1]:.3f}"
        assert texts[9] == f"{table['scale'][0].value:.4g}"
        assert texts[3] == f"{table['wavelength'][0].value:.2f}"
    (line,) = spectok.pool(one).pformat(max_width=-1)[-1:]
    vector = spectok.pool(one)["vector"][0]
    assert line.endswith(f"{vector[0]:.3f} .. {vector[-1]:.3f}")
    one.write(tmp_path / "tokens.ecsv")
    again = QTable.read(tmp_path / "tokens.ecsv")
    for name in ("token", "scale", "wavelength"):
        np.testing.assert_array_equal(again[name], one[name])


def test_meta_names_the_weights(one, tiny):
    import hashlib

    from spectok._weights import model_identity

    assert (one.meta["MODEL"], one.meta["SHA256"]) == model_identity(tiny)
    assert one.meta["PATCH"] == 32 and one.meta["SPECTOK"] == spectok.__version__
    assert len(one.meta["SHA256"]) == len(hashlib.sha256().hexdigest())


WRITERS = {
    "fits": ({}, {}),
    "ecsv": ({}, {}),
    "parquet": ({}, {}),
    "hdf5": ({"path": "tokens", "serialize_meta": True}, {"path": "tokens"}),
}


@pytest.mark.slow
@pytest.mark.parametrize("reader", [QTable, Table])
@pytest.mark.parametrize("unit", ["Jy", "1e-17 erg / (s cm2 AA)", "", "2.5e-16 erg / (s cm2 AA)"])
@pytest.mark.parametrize("extension", WRITERS)
def test_decodes_after_reading_back(extension, unit, reader, make_arrays, tiny, tmp_path):
    if extension in ("parquet", "hdf5"):
        pytest.importorskip({"parquet": "pyarrow", "hdf5": "h5py"}[extension])
    wavelength, flux, sigma = make_arrays(100, 2)
    names = ["first", "zweites Objekt"]
    table = spectok.encode_arrays(
        wavelength, flux * u.Unit(unit), sigma**-2, model=tiny, object_id=names
    )
    path, (write, read) = tmp_path / f"tokens.{extension}", WRITERS[extension]
    table.write(path, **write)
    back = reader.read(path, **read)
    axis = wavelength * u.AA
    expected = spectok.decode(table, axis, model=tiny)
    again = spectok.decode(back, axis, model=tiny)
    assert again.flux.unit == u.Unit(unit)
    assert np.array_equal(again.flux.value, expected.flux.value)
    assert np.array_equal(again.uncertainty.array, expected.uncertainty.array)
    assert again.meta["object_id"] == names
    assert np.array_equal(spectok.pool(back)["vector"], spectok.pool(table)["vector"])
    both = spectok.concatenate([table, back])
    assert list(spectok.pool(both)["object_id"]) == names * 2
    assert np.array_equal(tokens_of(both, 0), tokens_of(both, 2))


def test_a_table_gives_back_the_batch_that_it_was_made_of(make_arrays, tiny):
    from spectok._batch import PatchLayout, SpectrumBatch
    from spectok._tokens import sequences, to_token_batch

    wavelength, flux, sigma = make_arrays(100)
    grids = [np.delete(wavelength, np.s_[40:60]), wavelength[:50]]  # a gap, and a shorter one
    arrays = [[np.interp(grid, wavelength, a) for a in (flux, sigma)] for grid in grids]
    fluxes, sigmas = zip(*arrays, strict=True)
    table = spectok.encode_arrays(grids, list(fluxes), [s**-2 for s in sigmas], model=tiny)
    found = to_token_batch(sequences(table))
    layouts = [PatchLayout.of(grid, 32) for grid in grids]
    valid = [np.ones(grid.shape, bool) for grid in grids]
    with torch.inference_mode():
        expected = tiny.encode(SpectrumBatch.from_layouts(layouts, fluxes, sigmas, valid))
    assert torch.equal(found.valid, expected.valid) and found.valid.sum(1).tolist() == [2, 2]
    for name in ("wavelength", "half"):
        a, b = (getattr(batch, name)[expected.valid] for batch in (found, expected))
        assert a.dtype == b.dtype == torch.float64 and torch.allclose(a, b, rtol=1e-12)
    assert torch.allclose(found.value, expected.value, atol=1e-4)
    assert torch.isfinite(found.half).all()


# ------------------------------------------------------------------ decode


def test_decode_answers_in_the_callers_order_and_unit(one, tiny):
    wavelength = np.linspace(4005.0, 4370.0, 181)
    straight = spectok.decode(one, wavelength * u.AA, model=tiny)
    assert straight.flux.unit == u.Jy and straight.flux.shape == (181,)
    assert isinstance(straight.uncertainty, StdDevUncertainty)
    assert not straight.mask.any()
    assert np.isfinite(straight.flux.value).all() and (straight.uncertainty.array > 0).all()
    turned = spectok.decode(one, wavelength[::-1] * u.AA, model=tiny)
    assert np.array_equal(turned.spectral_axis.value, wavelength[::-1])
    assert np.array_equal(turned.flux, straight.flux[::-1])
    assert np.array_equal(turned.uncertainty.array, straight.uncertainty.array[::-1])
    for unit in ("nm", "micron", "Hz", "eV", "1/cm"):
        axis = (wavelength * u.AA).to(unit, equivalencies=u.spectral())
        other = spectok.decode(one, axis, model=tiny)
        assert other.spectral_axis.unit == u.Unit(unit)
        assert np.allclose(other.flux, straight.flux, rtol=1e-4, atol=1e-4 * straight.flux.max())


def test_decode_onto_air(one, tiny, rms_difference):
    wavelength = np.linspace(4005.0, 4370.0, 181)
    s2 = (1e4 / wavelength) ** 2
    air = wavelength / (1 + 0.05792105 / (238.0185 - s2) + 0.00167917 / (57.362 - s2))
    vacuum = spectok.decode(one, wavelength * u.AA, model=tiny)
    in_air = spectok.decode(one, air * u.AA, model=tiny, medium="air")
    assert rms_difference(vacuum.flux.value, in_air.flux.value) < 1e-3
    assert np.array_equal(in_air.spectral_axis.value, air)
    assert (vacuum.meta["medium"], in_air.meta["medium"]) == ("vacuum", "air")
    wrong = spectok.decode(one, air * u.AA, model=tiny)
    assert rms_difference(vacuum.flux.value, wrong.flux.value) > 1e-2
    with pytest.raises(ValueError, match='medium must be "air" or "vacuum", not \'glass\''):
        spectok.decode(one, air * u.AA, model=tiny, medium="glass")


def test_decode_many_on_one_axis_and_each_on_its_own(tokens, mixed, tiny, rms_difference):
    axis = np.arange(4000.0, 4100.0) * u.AA
    cube = spectok.decode(tokens, axis, model=tiny)
    assert cube.flux.shape == (len(LENGTHS), 100)
    assert cube.meta["object_id"] == [str(k) for k in range(len(LENGTHS))]
    listed = spectok.decode(tokens, [axis] * len(LENGTHS), model=tiny)
    assert isinstance(listed, SpectrumList) and len(listed) == len(LENGTHS)
    for k, single in enumerate(listed):
        assert np.array_equal(single.mask, cube.mask[k])
        good = ~single.mask
        assert rms_difference(cube.flux.value[k][good], single.flux.value[good]) < 1e-5
    own = spectok.decode(tokens, [w * u.AA for w in mixed[0]], model=tiny)
    assert [s.flux.shape for s in own] == [(n,) for n in LENGTHS]
    with pytest.raises(ValueError, match="2 spectral axes for 8 spectra: give one for all or a"):
        spectok.decode(tokens, [axis, axis], model=tiny)


@pytest.mark.parametrize("shape", [(320, 2, 3), (2, 320, 3), (2, 3, 320), (1, 320), (320, 1)])
def test_a_cube_comes_back_in_its_shape(shape, make_arrays, tiny, tmp_path):
    wavelength, flux, sigma = make_arrays(320, 6 if len(shape) == 3 else 1)
    place = shape.index(320)
    whole = [n for n in shape if n != 320]
    flux, sigma = (np.moveaxis(a.reshape(*whole, 320), -1, place) for a in (flux, sigma))
    cube = Spectrum(
        flux=flux * u.ct,
        spectral_axis=wavelength * u.AA,
        spectral_axis_index=place,
        uncertainty=StdDevUncertainty(sigma),
    )
    tokens = spectok.encode(cube, model=tiny)
    tokens.write(tmp_path / "tokens.fits")
    for table in (tokens, QTable.read(tmp_path / "tokens.fits")):
        again = spectok.decode(table, cube.spectral_axis, model=tiny)
        assert again.flux.shape == again.mask.shape == again.uncertainty.array.shape == shape
        assert again.spectral_axis_index == place
        rows = spectok.decode(spectok.concatenate([table]), cube.spectral_axis, model=tiny)
        plain = np.atleast_2d(rows.flux.value)
        assert np.array_equal(np.moveaxis(again.flux.value, place, -1).reshape(-1, 320), plain)
        assert spectok.decode(table, 4100 * u.AA, model=tiny).flux.shape == tuple(whole)
    if len(whole) == 2:
        part = spectok.decode(tokens[tokens["spectrum_index"] > 0], cube.spectral_axis, model=tiny)
        assert part.flux.shape == (5, 320)


def test_a_scalar_wavelength_gives_a_scalar(one, tiny):
    pixel = spectok.decode(one, 410.0 * u.nm, model=tiny)
    spectrum = spectok.decode(one, [4100.0] * u.AA, model=tiny)
    assert pixel.flux.isscalar and u.isclose(pixel.flux, spectrum.flux[0], rtol=1e-5)
    assert np.isclose(pixel.uncertainty.array, spectrum.uncertainty.array[0], rtol=1e-5)
    assert not pixel.mask and pixel.spectral_axis == 410.0 * u.nm
    assert pixel.meta["object_id"] == "0"


def test_a_grid_that_no_token_reaches_is_refused(one, tokens, mixed, tiny):
    for axis in (np.arange(400.0, 440.0) * u.AA, np.arange(4000.0, 4400.0) * u.nm):
        with pytest.raises(
            ValueError, match="no token reaches any .* the tokens from 4000 to 437"
        ):
            spectok.decode(one, axis, model=tiny)
    with pytest.raises(ValueError, match="no token reaches"):
        spectok.decode(tokens, [np.arange(9000.0, 9100.0) * u.AA] * len(LENGTHS), model=tiny)
    # One that is reached is enough: the others are masked, as an arm without a token is.
    axes = [np.arange(9000.0, 9100.0) * u.AA] * (len(LENGTHS) - 1) + [mixed[0][-1] * u.AA]
    listed = spectok.decode(tokens, axes, model=tiny)
    assert [one.mask.all() for one in listed] == [True] * 7 + [False]


def test_arms_are_decoded_together(one, tiny):
    from spectok._codec import decode_arms

    axes = [np.arange(4000.0, 4100.0) * u.AA, np.arange(9000.0, 9100.0) * u.AA]
    blue, red = decode_arms(one, axes, model=tiny)
    assert not blue.mask.any() and red.mask.all()
    with pytest.raises(ValueError, match="no token reaches"):
        decode_arms(one, axes[1:], model=tiny)


def test_units_that_other_programs_lose(make_arrays, tiny):
    wavelength, flux, sigma = make_arrays(96)
    axis = wavelength * u.AA
    tokens = spectok.encode_arrays(wavelength, flux * u.Jy, sigma**-2, model=tiny)
    expected = spectok.decode(tokens, axis, model=tiny).flux
    bare = QTable(tokens, copy=True)
    for name in ("wavelength", "wavelength_min", "wavelength_max", "scale"):
        bare[name] = np.asarray(bare[name].value)
    found = spectok.decode(bare, axis, model=tiny).flux
    assert found.unit == u.Jy and np.allclose(found.value, expected.value, rtol=1e-6)
    with pytest.raises(ValueError, match="of tables 0 and 1 one has lost the unit of its column"):
        spectok.concatenate([tokens, bare])
    wrong = QTable(tokens, copy=True)
    wrong["scale"] = wrong["scale"].value * u.ct
    with pytest.raises(ValueError, match="column scale of the token table is in ct"):
        spectok.decode(wrong, axis, model=tiny)
    wrong = QTable(tokens, copy=True)
    wrong["wavelength"] = wrong["wavelength"].value * u.ct
    with pytest.raises(ValueError, match="column wavelength of the token table is in ct"):
        spectok.decode(wrong, axis, model=tiny)


UNITS = ["electron/s", "DN", "ph/(s cm2 AA)", "MJy/sr", "mJy/beam", "erg/(s cm2)", "%", "ST", "AB",
         "3.5e-20 W/(m2 nm)", "erg/(s AA)", "erg/(s cm2 AA spat)"]  # fmt: skip


@pytest.mark.filterwarnings("ignore:The unit .* could not be saved in native FITS format")
@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("extension", WRITERS)
def test_what_encodes_can_be_written(extension, unit, make_arrays, tiny, tmp_path):
    if extension in ("parquet", "hdf5"):
        pytest.importorskip({"parquet": "pyarrow", "hdf5": "h5py"}[extension])
    wavelength, flux, sigma = make_arrays(64)
    unit = u.Unit(unit)
    tokens = spectok.encode_arrays(wavelength, flux * unit, sigma**-2, model=tiny)
    path, (write, read) = tmp_path / f"tokens.{extension}", WRITERS[extension]
    tokens.write(path, **write)
    back = QTable.read(path, **read)
    expected, found = (spectok.decode(t, wavelength * u.AA, model=tiny) for t in (tokens, back))
    assert found.flux.unit == unit
    assert np.array_equal(found.flux.value, expected.flux.value)


def test_decode_depends_on_every_token(one, tiny):
    axis = np.arange(4010.0, 4030.0) * u.AA
    changed = one.copy()
    changed["token"][5] += 1.0
    a, b = (spectok.decode(t, axis, model=tiny).flux.value for t in (one, changed))
    assert not np.allclose(a, b), "the decoder looks at the nearest token only"


def test_decode_scales(one, tiny):
    axis = np.arange(4010.0, 4030.0) * u.AA
    brighter = one.copy()
    brighter["scale"] = 7 * one["scale"]
    a, b = (spectok.decode(t, axis, model=tiny) for t in (one, brighter))
    assert np.allclose(b.flux, 7 * a.flux) and np.allclose(
        b.uncertainty.array, 7 * a.uncertainty.array
    )


@pytest.mark.parametrize("n_pixels", [1, 2, 31, 32, 33])
def test_decode_on_few_pixels(n_pixels, one, tiny):
    again = spectok.decode(one, (4100.0 + np.arange(n_pixels)) * u.AA, model=tiny)
    assert again.flux.shape == (n_pixels,) and np.isfinite(again.flux.value).all()


def test_masked_beyond_one_patch(one, tiny):
    # Valid tokens end at pixel 287; a patch is 32 pixels of 1.3 A.
    axis = np.linspace(3900.0, 4500.0, 2401)
    again = spectok.decode(one, axis * u.AA, model=tiny)
    low, high = 4000.0 - 32 * 1.3, 4000.0 + (287 + 32) * 1.3
    expected = (axis < low) | (axis > high)
    near = (np.abs(axis - low) < 1e-6) | (np.abs(axis - high) < 1e-6)
    assert np.array_equal(again.mask[~near], expected[~near])
    assert np.array_equal(np.isnan(again.flux.value), again.mask)
    assert np.array_equal(np.isnan(again.uncertainty.array), again.mask)


def test_masked_across_a_gap(tiny):
    wavelength = np.r_[4000.0 + np.arange(96), 5000.0 + 2 * np.arange(96)]
    table = spectok.encode_arrays(wavelength, np.ones(192), np.ones(192), model=tiny)
    axis = np.arange(4000.0, 5190.0, 1.0)
    again = spectok.decode(table, axis * u.AA, model=tiny)
    assert np.array_equal(~again.mask, (axis <= 4127.0) | (axis >= 4936.0))


def test_bad_stretches_are_not_invented(tiny):
    wavelength, ivar = np.arange(4000.0, 4640.0), np.ones(640)
    ivar[160:480] = 0  # ten patches
    table = spectok.encode_arrays(wavelength, np.ones(640), ivar, model=tiny)
    mask = spectok.decode(table, wavelength * u.AA, model=tiny).mask
    assert np.array_equal(np.flatnonzero(mask), np.arange(192, 448))


def test_a_spectrum_without_tokens_decodes_to_nothing(make_arrays, tiny):
    wavelength, flux, sigma = make_arrays(64, 2)
    flux[1] = np.nan
    with pytest.warns(AstropyUserWarning, match="1 of 2 spectra have not one good patch"):
        table = spectok.encode_arrays(wavelength, flux, sigma**-2, model=tiny)
    again = spectok.decode(table, wavelength * u.AA, model=tiny)
    assert not again.mask[0].any() and again.mask[1].all()
    assert np.isnan(again.flux.value[1]).all() and np.isfinite(again.flux.value[0]).all()


def test_decoded_spectra_can_be_encoded_again(one, tiny):
    again = spectok.decode(one, np.linspace(3800.0, 4400.0, 500) * u.AA, model=tiny)
    second = spectok.encode(again, model=tiny)
    assert np.isfinite(second["token"]).all() and second["object_id"][0] == one["object_id"][0]


def test_axes_that_cannot_be_used(one, tiny):
    with pytest.raises(ValueError, match="spectral_axis: .*unit 'pix'; give it in a unit of wave"):
        spectok.decode(one, np.arange(5) * u.pix, model=tiny)
    with pytest.raises(ValueError, match="spectral_axis: 1 of 3 wavelengths are not finite"):
        spectok.decode(one, [4000.0, np.nan, 4002.0] * u.AA, model=tiny)
    with pytest.raises(ValueError, match="spectral_axis: 1 wavelengths occur more than once"):
        spectok.decode(one, [4000.0, 4000.0, 4002.0] * u.AA, model=tiny)
    with pytest.raises(ValueError, match="spectral_axis: it neither ascends nor descends"):
        spectok.decode(one, [4000.0, 4005.0, 4002.0] * u.AA, model=tiny)
    with pytest.raises(TypeError, match="spectral_axis must be a one-dimensional Quantity"):
        spectok.decode(one, np.arange(4000.0, 4100.0), model=tiny)


def test_velocity_axis_to_decode_onto(one, tiny):
    velocity = np.linspace(-2000.0, 2000.0, 50) * u.km / u.s
    template = Spectrum(
        flux=np.ones(50) * u.Jy, spectral_axis=velocity,
        velocity_convention="optical", rest_value=4200 * u.AA,
    )  # fmt: skip
    again = spectok.decode(one, template.spectral_axis, model=tiny)
    by_wavelength = spectok.decode(
        one, 4200 * (1 + velocity.value / 299792.458) * u.AA, model=tiny
    )
    assert np.allclose(again.flux, by_wavelength.flux, rtol=1e-4)


# ------------------------------------------------------------------ tables gone wrong


def test_other_weights_are_refused(one):
    torch.manual_seed(3)
    other = spectok.SpectralTokenizer(spectok.ModelConfig.of_size("tiny"))
    with pytest.raises(ValueError) as raised:
        spectok.decode(one, [4000.0, 4001.0] * u.AA, model=other)
    message = str(raised.value)
    assert "'tiny-test'" in message and one.meta["SHA256"] in message
    assert "'unsaved'" in message and "encode the spectra again" in message


def test_a_model_that_is_not_at_hand(one):
    with pytest.raises(
        ValueError, match="made by the model 'tiny-test', which is not at hand; pas"
    ):
        spectok.decode(one, [4000.0, 4001.0] * u.AA)


@pytest.mark.parametrize("function", [spectok.pool, spectok.group])
def test_stacked_tables_are_refused(function, one):
    stacked = vstack([one, one], metadata_conflicts="silent")
    with pytest.raises(ValueError, match="occur more than once: .*joined by spectok.concatenate"):
        function(stacked)


@pytest.mark.parametrize(
    "function",
    [spectok.pool, spectok.embed, lambda t: spectok.decode(t, [4000.0, 4001.0] * u.AA)],
)
def test_tokens_that_another_program_made_nan_are_named(function, one):
    damaged = one.copy()
    damaged["token"][3, 2] = np.nan
    with pytest.raises(ValueError, match="1 valid tokens .*the first is token 3 of spectrum 0"):
        function(damaged)


def test_one_table_is_no_list_to_join(one):
    with pytest.raises(TypeError, match="expected a list of token tables, got one table"):
        spectok.concatenate(one)


@pytest.mark.parametrize("axis", [None, 4000.0, WCS(naxis=1), [4000.0, 4001.0]])
def test_what_is_no_axis_is_refused(axis, one, tiny):
    with pytest.raises(TypeError, match="must be a one-dimensional Quantity, or a list of them"):
        spectok.decode(one, axis, model=tiny)


def test_logarithmic_axes_are_decoded(one, tiny):
    axis = one["wavelength"][:2].to(u.AA)
    right = spectok.decode(one, axis, model=tiny)
    found = spectok.decode(one, u.Dex(np.log10(axis.value), u.dex(u.AA)), model=tiny)
    np.testing.assert_allclose(found.flux.value, right.flux.value, rtol=1e-4)


def test_stacked_and_empty_and_foreign_tables_do_not_decode(one, tiny):
    axis = [4000.0, 4001.0] * u.AA
    with pytest.raises(ValueError, match="joined by spectok.concatenate"):
        spectok.decode(vstack([one, one], metadata_conflicts="silent"), axis, model=tiny)
    with pytest.raises(ValueError, match="the token table is empty"):
        spectok.decode(one[:0], axis, model=tiny)
    with pytest.raises(
        ValueError, match="no token table: it lacks the columns token_index, scale"
    ):
        short = one.copy()
        short.remove_columns(["token_index", "scale"])
        spectok.decode(short, axis, model=tiny)
    with pytest.raises(
        ValueError, match="lacks SHA256, FLUXUNIT in its meta: .* table.meta.update"
    ):
        bare = one.copy()
        del bare.meta["SHA256"], bare.meta["FLUXUNIT"]
        spectok.decode(bare, axis, model=tiny)
    with pytest.raises(TypeError, match="expected a token table .* got Spectrum"):
        spectok.decode(spectok.decode(one, axis, model=tiny), axis, model=tiny)


def test_parts_of_a_table_decode(tokens, tiny, rms_difference):
    axis = np.arange(4000.0, 4100.0) * u.AA
    chosen = tokens[(tokens["spectrum_index"] == 6) | (tokens["spectrum_index"] == 2)]
    part = spectok.decode(chosen[::-1], axis, model=tiny)  # rows in any order
    assert part.meta["object_id"] == ["2", "6"]
    whole = spectok.decode(tokens, axis, model=tiny)
    assert rms_difference(whole.flux.value[[2, 6]], part.flux.value) < 1e-5


# ------------------------------------------------------------------ concatenate, pool, group


def test_concatenate_renumbers(tokens, one, tiny):
    both = spectok.concatenate([tokens, tokens[tokens["spectrum_index"] >= 5], tokens])
    # The gap of the second table stays: its spectra 5 to 7 follow the first table's 0 to 7.
    assert np.unique(both["spectrum_index"]).tolist() == [*range(8), 13, 14, 15, *range(16, 24)]
    assert np.array_equal(tokens_of(both, 13), tokens_of(tokens, 5))
    assert np.array_equal(tokens_of(both, 23), tokens_of(tokens, 7))
    assert both["object_id"][both["spectrum_index"] == 13][0] == "5"
    assert both.meta == tokens.meta
    axis = np.arange(4000.0, 4040.0) * u.AA
    assert spectok.decode(both, axis, model=tiny).flux.shape == (19, 40)
    assert spectok.concatenate(t for t in [tokens]).colnames == tokens.colnames


def test_concatenate_brings_scales_to_one_unit(make_arrays, tiny):
    wavelength, flux, sigma = make_arrays(64)

    def table(unit, factor):
        return spectok.encode_arrays(
            wavelength, flux * factor * u.Unit(unit), (sigma * factor) ** -2, model=tiny
        )

    a, b = table("1e-17 erg / (s cm2 AA)", 1.0), table("1e-15 erg / (s cm2 AA)", 0.01)
    both = spectok.concatenate([a, b])
    assert both["scale"].unit == a["scale"].unit
    assert np.allclose(both["scale"][2:].value, a["scale"].value, rtol=1e-6)
    again = spectok.decode(both, wavelength * u.AA, model=tiny)
    assert np.allclose(again.flux[0], again.flux[1], rtol=1e-4)
    with pytest.raises(ValueError, match="scale of table 1 is in ct, that of table 0 in .* apart"):
        spectok.concatenate([a, table("ct", 1.0)])


def test_concatenate_refuses_other_weights_and_nothing(one):
    foreign = one.copy()
    foreign.meta["SHA256"] = "0" * 64
    with pytest.raises(ValueError, match="table 1 was made by the model .* mean different things"):
        spectok.concatenate([one, foreign])
    with pytest.raises(ValueError, match="no table to concatenate"):
        spectok.concatenate([])
    with pytest.raises(ValueError, match="empty"):
        spectok.concatenate([one, one[:0]])


@pytest.mark.parametrize(
    ("how", "function"), [("mean", np.mean), ("max", np.max), ("median", np.median)]
)
def test_pool(how, function, tokens):
    vectors = spectok.pool(tokens, how)
    assert vectors["vector"].dtype == np.float32 and vectors["vector"].shape == (8, 16)
    for k in range(8):
        rows = tokens[(tokens["spectrum_index"] == k) & tokens["valid"]]
        assert np.allclose(vectors["vector"][k], function(rows["token"], axis=0), rtol=1e-6)
        assert vectors["n_tokens"][k] == len(rows)
    assert vectors["valid"].all() and vectors.meta["SHA256"] == tokens.meta["SHA256"]


def test_pool_of_a_lost_spectrum(make_arrays, tiny):
    wavelength, flux, sigma = make_arrays(64, 2)
    sigma[0] = np.nan
    with pytest.warns(AstropyUserWarning, match="not one good patch"):
        table = spectok.encode_arrays(wavelength, flux, sigma**-2, model=tiny)
    vectors = spectok.pool(table)
    assert vectors["valid"].tolist() == [False, True] and vectors["n_tokens"].tolist() == [0, 2]
    assert not vectors["vector"][0].any()
    assert (vectors["flags"][0] & spectok.TokenFlag.NO_VALID_PATCH) != 0
    assert [len(item) for item in spectok.group(table)] == [0, 2]


def test_pool_knows_its_ways(tokens):
    with pytest.raises(ValueError, match="how must be one of mean, max, median, not 'sum'"):
        spectok.pool(tokens, "sum")


def test_group(tokens):
    items = spectok.group(tokens)
    assert items.shape == (8,) and items.dtype == object
    for k, item in enumerate(items):
        rows = tokens[(tokens["spectrum_index"] == k) & tokens["valid"]]
        assert np.array_equal(item["token"], rows["token"])
        assert np.array_equal(item["wavelength"], rows["wavelength"].to_value(u.AA))
        made_by = {key: tokens.meta[key] for key in ("MODEL", "SHA256")}
        assert dict(item.dtype.metadata) == dict(item[1:].dtype.metadata) == made_by


def test_group_with_vectors(tokens, make_arrays, tiny):
    vector = np.random.default_rng(0).normal(size=(8, 5))
    both, items = spectok.group(tokens, vector), spectok.group(tokens)
    assert both.shape == (8,) and both.dtype.names == ("tokens", "vector")
    assert both["vector"].dtype == np.float32 and np.allclose(both["vector"], vector)
    assert all(np.array_equal(a, b) for a, b in zip(both["tokens"], items, strict=True))
    assert both["tokens"][3].dtype.metadata["SHA256"] == tokens.meta["SHA256"]
    # A table is matched by its spectrum_index, in any order.
    order = np.random.default_rng(1).permutation(8)
    index = np.unique(tokens["spectrum_index"])
    table = QTable({"spectrum_index": index[order], "embedding": vector[order]})
    assert np.array_equal(spectok.group(tokens, table)["vector"], both["vector"])
    pooled = spectok.pool(tokens)
    assert np.array_equal(spectok.group(tokens, pooled)["vector"], pooled["vector"])
    table.meta["SHA256"] = "b" * 64
    with pytest.raises(ValueError, match="make both with one model"):
        spectok.group(tokens, table)
    with pytest.raises(ValueError, match="of 7 spectra, the tokens of 8, .* by spectrum_index"):
        spectok.group(tokens, pooled[1:])
    with pytest.raises(ValueError, match="this table has the columns a"):
        spectok.group(tokens, QTable({"a": [1]}))
    for wrong in (vector[:7], vector[:, 0]):
        with pytest.raises(ValueError, match="for 8 spectra: give one for each"):
            spectok.group(tokens, wrong)


def test_a_model_of_times_refuses_wavelengths(make_arrays):
    config = spectok.ModelConfig.of_size("tiny", coordinate_unit="d")
    wavelength, flux, _ = make_arrays(64)
    with pytest.raises(ValueError, match="has the unit 'd' .* cannot take wavelengths"):
        spectok.encode_arrays(wavelength * u.AA, flux, model=spectok.SpectralTokenizer(config))


def test_group_knows_how_wide_patches_are(tokens):
    """Neighbouring patches of one segment touch: 32 pixels, not the 31 steps between them."""
    item = max(spectok.group(tokens), key=len)
    low, high = item["wavelength"] - item["half"], item["wavelength"] + item["half"]
    gap = (low[1:] - high[:-1]) / item["half"][1:]
    # On an uneven grid, to a hundredth of a patch; patches that are not valid leave gaps.
    assert (gap > -0.01).all() and np.median(gap) < 0.01


def test_models_of_the_wrong_kind(make_arrays):
    wavelength, flux, sigma = make_arrays(64)
    with pytest.raises(TypeError, match="model must be a SpectralTokenizer, not Linear"):
        spectok.encode_arrays(wavelength, flux, sigma, model=torch.nn.Linear(2, 2))
    with pytest.raises(ValueError, match="no model 'nonsense-v9'"):
        spectok.encode_arrays(wavelength, flux, sigma, model="nonsense-v9")


def test_encoding_leaves_the_input_alone(make_arrays, tiny):
    wavelength, flux, sigma = make_arrays(100)
    flux[3] = np.nan
    before = [a.copy() for a in (wavelength, flux, sigma)]
    spectrum = Spectrum(
        flux=flux * u.Jy, spectral_axis=wavelength * u.AA, uncertainty=StdDevUncertainty(sigma)
    )
    spectok.encode(spectrum, model=tiny, medium="air")
    spectok.encode_arrays(wavelength[::-1], flux[::-1], sigma[::-1], model=tiny)
    for now, then in zip((wavelength, flux, sigma), before, strict=True):
        assert np.array_equal(now, then, equal_nan=True)
    assert spectrum.meta.get("medium") is None


def test_a_spectrum_is_no_axis(tiny, make_arrays):
    wavelength, flux, sigma = make_arrays(64)
    tokens = spectok.encode_arrays(wavelength, flux, sigma**-2.0, model=tiny)
    spectrum = Spectrum(flux=flux * u.ct, spectral_axis=wavelength * u.AA)
    with pytest.raises(TypeError, match="pass its .spectral_axis"):
        spectok.decode(tokens, spectrum, model=tiny)
    with pytest.raises(TypeError, match="one-dimensional Quantity"):
        spectok.decode(tokens, [4500 * u.AA], model=tiny)


def test_air_spectra_ask_for_the_medium_of_the_axis(tiny, make_arrays):
    wavelength, flux, sigma = make_arrays(320)
    tokens = spectok.encode_arrays(wavelength, flux, sigma**-2.0, medium="air", model=tiny)
    axis = wavelength * u.AA
    with pytest.raises(ValueError, match="say of spectral_axis which it is"):
        spectok.decode(tokens, axis, model=tiny)
    in_air = spectok.decode(tokens, axis, medium="air", model=tiny)
    in_vacuum = spectok.decode(tokens, axis, medium="vacuum", model=tiny)
    assert in_air.meta["medium"] == "air"
    assert not np.allclose(in_air.flux.value, in_vacuum.flux.value)


def test_settings_of_the_session_change_no_token(tiny, make_arrays):
    wavelength, flux, sigma = make_arrays(320)
    expected = spectok.encode_arrays(wavelength, flux, sigma**-2.0, model=tiny)["token"]
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", torch.bfloat16):
            got = spectok.encode_arrays(wavelength, flux, sigma**-2.0, model=tiny)["token"]
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("lost", ["all units", "scale", "scale unknown", "wavelengths"])
def test_units_that_another_program_lost(one, tiny, lost):
    """FLUXUNIT says the flux's, and wavelengths are in Angstrom."""
    axis = np.linspace(4010, 4300, 50) * u.AA
    right = spectok.decode(one, axis, model=tiny)
    bare = Table(one, copy=True)
    waves = ["wavelength", "wavelength_min", "wavelength_max"]
    for name in {"all units": [*waves, "scale"], "wavelengths": waves}.get(lost, ["scale"]):
        bare[name].unit = None
    if lost == "scale unknown":
        bare["scale"].unit = u.Unit("jansky (mean)", parse_strict="silent")
    found = spectok.decode(bare, axis, model=tiny)
    assert found.flux.unit == u.Jy
    np.testing.assert_array_equal(found.flux.value, right.flux.value)


def test_units_that_contradict_are_named(one, tiny):
    axis = np.linspace(4010, 4300, 50) * u.AA
    for name, unit in (("scale", u.m), ("wavelength", u.kg)):
        wrong = Table(one, copy=True)
        wrong[name].unit = unit
        with pytest.raises(ValueError, match=f"the column {name} of the token table is in {unit}"):
            spectok.decode(wrong, axis, model=tiny)
