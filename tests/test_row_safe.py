"""Row-safe encoding: one spectrum that cannot be used costs itself, and streams stay streams."""

import warnings

import numpy as np
import pytest
from astropy import units as u
from astropy.nddata import StdDevUncertainty
from astropy.table import QTable
from astropy.utils.exceptions import AstropyUserWarning
from specutils import Spectrum, SpectrumCollection

import spectok
from spectok import TokenFlag

N_PIXELS = 96


@pytest.fixture
def spectrum(make_arrays):
    """Function that builds a spectrum, with changes."""

    def build(**changes):
        wavelength, flux, sigma = make_arrays(N_PIXELS)
        fields = {
            "flux": flux * u.ct,
            "spectral_axis": wavelength * u.AA,
            "uncertainty": StdDevUncertainty(sigma),
        }
        return Spectrum(**fields | changes)

    return build


def valid_tokens(tokens, n_spectra):
    return [int(np.sum(tokens["valid"][tokens["spectrum_index"] == k])) for k in range(n_spectra)]


def bad_rows():
    """Arrays of one spectrum that cannot be used, and what must be said of them."""
    wavelength, flux, ivar = 4000.0 + np.arange(N_PIXELS), np.ones(N_PIXELS), np.ones(N_PIXELS)
    twice = wavelength.copy()
    twice[9] = twice[8]
    none = np.zeros(0)
    return {
        "empty": (none, none, none, "empty"),
        "padding": (np.full(N_PIXELS, -1.0), flux, ivar, "96 of 96 wavelengths"),
        "repeated wavelengths": (twice, flux, ivar, "occur more than once"),
        "short flux": (wavelength, flux[:9], ivar[:9], "96 wavelengths for fluxes"),
        "short ivar": (wavelength, flux, ivar[:9], "ivar has 1 x 9 pixels"),
        "no flux": (wavelength, None, ivar, "expected numbers"),
        "no wavelengths": (None, flux, ivar, "expected numbers"),
        "text": (wavelength, np.array(["x"] * N_PIXELS), ivar, "expected numbers"),
        "a cube": (wavelength, np.ones((2, N_PIXELS)), ivar, "expected numbers"),
    }


@pytest.mark.parametrize("case", bad_rows())
def test_a_bad_row_of_arrays_costs_only_itself(case, make_arrays, tiny):
    wavelength, flux, sigma = make_arrays(N_PIXELS)
    *bad, reason = bad_rows()[case]
    whole = (wavelength, flux, sigma**-2)
    columns = [[good, one, good] for good, one in zip(whole, bad, strict=True)]
    with pytest.warns(AstropyUserWarning, match="1 of 3 spectra cannot be used"):
        tokens = spectok.encode_arrays(*columns, model=tiny, errors="row")
    alone = spectok.encode_arrays(wavelength, flux, sigma**-2, model=tiny)
    assert valid_tokens(tokens, 3) == [3, 0, 3]
    np.testing.assert_allclose(tokens["token"][-3:], alone["token"], atol=1e-5)
    (row,) = tokens[tokens["spectrum_index"] == 1]
    assert row["flags"] & TokenFlag.REFUSED and row["flags"] & TokenFlag.NO_VALID_PATCH
    assert not row["valid"] and row["n_pixels"] == 0 and np.isfinite(row["token"]).all()
    refused = spectok.refusals(tokens)
    assert refused["spectrum_index"].tolist() == [1] and refused["refused"].all()
    assert reason in refused["reason"][0]


@pytest.mark.parametrize("errors", ["raise", "row"])
def test_rows_without_data_never_fail_the_others(errors, make_arrays, tiny):
    wavelength, flux, sigma = make_arrays(N_PIXELS)
    with pytest.warns(AstropyUserWarning, match="2 of 3 spectra cannot be used"):
        tokens = spectok.encode_arrays(
            [np.zeros(0), wavelength, np.full(N_PIXELS, np.nan)],
            [np.zeros(0), flux, flux],
            [np.zeros(0), sigma, sigma],
            model=tiny,
            errors=errors,
        )
    assert valid_tokens(tokens, 3) == [0, 3, 0]


@pytest.mark.parametrize("errors", ["raise", "row"])
def test_pixels_without_a_wavelength_are_left_out_among_others(errors, make_arrays, tiny):
    wavelength, flux, sigma = make_arrays(N_PIXELS)
    padded = np.where(np.arange(N_PIXELS) < 64, wavelength, -1.0)
    with pytest.warns(AstropyUserWarning, match="1 of 2 spectra .1. have .* are left out"):
        tokens = spectok.encode_arrays(
            [wavelength, padded], [flux] * 2, [sigma] * 2, errors=errors, model=tiny
        )
    assert valid_tokens(tokens, 2) == [3, 2]
    short = spectok.encode_arrays(wavelength[:64], flux[:64], sigma[:64], model=tiny)
    np.testing.assert_allclose(tokens["token"][3:], short["token"], atol=1e-5)
    with pytest.raises(ValueError, match="32 of 96 wavelengths"):
        spectok.encode_arrays(padded, flux, sigma, model=tiny)


def test_what_points_to_a_mistake_raises_by_default(make_arrays, tiny):
    wavelength, flux, sigma = make_arrays(N_PIXELS)
    with pytest.raises(ValueError, match="spectrum 1: 96 wavelengths for fluxes of 1 x 9"):
        spectok.encode_arrays([wavelength] * 2, [flux, flux[:9]], model=tiny)
    with pytest.raises(ValueError, match="not finite and positive"):
        spectok.encode_arrays(wavelength * np.nan, flux, model=tiny)
    with pytest.raises(ValueError, match='errors must be "raise" or "row", not \'skip\''):
        spectok.encode_arrays(wavelength, flux, model=tiny, errors="skip")


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"spectral_axis": np.arange(N_PIXELS) * u.pix}, "unit 'pix'"),
        ({"flux": np.ones(N_PIXELS) * u.mag}, "logarithmic"),
        ({"flux": np.ones(N_PIXELS) * u.Jy}, "Jy does not convert"),
        ({"meta": {"medium": "glass"}}, "medium must be"),
        ({"meta": {"object_id": ["a", "b"]}}, "names 2 objects"),
        ("spec.fits", "expected a specutils Spectrum, got str"),
        (None, "got NoneType"),
    ],
)
@pytest.mark.parametrize("arms", [False, True])
def test_a_bad_spectrum_costs_only_itself(bad, reason, arms, spectrum, tiny):
    bad = spectrum(**bad) if isinstance(bad, dict) else bad
    members = [spectrum(), bad, spectrum()]
    if arms:
        members = [[one, spectrum()] for one in members]
    with pytest.raises((TypeError, ValueError)):
        spectok.encode(members, arms=arms, model=tiny)
    with pytest.warns(AstropyUserWarning, match="1 of 3 spectra cannot be used"):
        tokens = spectok.encode(members, arms=arms, errors="row", model=tiny)
    assert [n > 0 for n in valid_tokens(tokens, 3)] == [True, False, True]
    assert (reason in spectok.refusals(tokens)["reason"][0]) or (
        arms and bad in ("spec.fits", None)
    )


def test_a_bad_first_spectrum_does_not_fix_the_unit(spectrum, tiny):
    first = spectrum(flux=np.ones(N_PIXELS) * u.Jy, spectral_axis=np.arange(N_PIXELS) * u.pix)
    with pytest.warns(AstropyUserWarning, match="0 .star 1.: the spectral axis has the unit"):
        first.meta["object_id"] = "star 1"
        tokens = spectok.encode([first, spectrum()], errors="row", model=tiny)
    assert tokens.meta["FLUXUNIT"] == "ct" and valid_tokens(tokens, 2) == [0, 3]


def test_rows_of_a_collection_stay_rows(make_arrays, tiny):
    wavelength, flux, sigma = make_arrays(N_PIXELS, 4)
    axis = np.tile(wavelength, (4, 1))
    axis[2, 7] = -1.0
    collection = SpectrumCollection(
        flux=flux * u.ct, spectral_axis=axis * u.AA, uncertainty=StdDevUncertainty(sigma),
        meta={"object_id": ["a", "b", "c", "d"], "ra": [1.0, 2.0, 3.0, 4.0]},
    )  # fmt: skip
    with pytest.warns(AstropyUserWarning, match="1 of 4 spectra cannot be used"):
        tokens = spectok.encode(collection, errors="row", keep="ra", model=tiny)
    assert valid_tokens(tokens, 4) == [3, 3, 0, 3]
    vectors = spectok.pool(tokens)  # what is refused has its own name, and what was kept of it
    assert vectors["object_id"].tolist() == ["a", "b", "c", "d"]
    assert vectors["ra"].tolist() == [1.0, 2.0, 3.0, 4.0]


def test_all_refused_is_a_table_too(make_arrays, tiny):
    wavelength, flux, _ = make_arrays(N_PIXELS)
    with pytest.warns(AstropyUserWarning, match="2 of 2 spectra cannot be used"):
        tokens = spectok.encode_arrays(
            [wavelength * np.nan] * 2, [flux] * 2, object_id=[8, 9], errors="row", model=tiny
        )
    assert tokens["object_id"].tolist() == [8, 9] and not tokens["valid"].any()
    assert spectok.pool(tokens)["valid"].tolist() == [False, False]
    with pytest.raises(ValueError, match="not one of the 2 spectra of the table has a valid"):
        spectok.decode(tokens, wavelength * u.AA, model=tiny)


FORMATS = {"fits": {}, "ecsv": {}, "parquet": {}, "hdf5": {"path": "tokens"}}


@pytest.mark.parametrize("suffix", FORMATS)
def test_reasons_and_refused_rows_survive_files_and_joins(suffix, make_arrays, tiny, tmp_path):
    if suffix in ("parquet", "hdf5"):
        pytest.importorskip({"parquet": "pyarrow", "hdf5": "h5py"}[suffix])
    wavelength, flux, sigma = make_arrays(N_PIXELS)
    flux_bad = np.full(N_PIXELS, np.nan)
    with pytest.warns(AstropyUserWarning) as caught:
        tokens = spectok.encode_arrays(
            [wavelength, wavelength[:5], wavelength],
            [flux, flux, flux_bad],
            [sigma**-2] * 3,
            model=tiny,
            errors="row",
        )
    assert len(caught) == 2  # one of refusals, one of spectra without a good patch
    path = tmp_path / f"tokens.{suffix}"
    extra = {"serialize_meta": True} if suffix == "hdf5" else {}
    tokens.write(path, **FORMATS[suffix], **extra)
    back = QTable.read(path, **FORMATS[suffix])
    both = spectok.concatenate([tokens[tokens["spectrum_index"] < 2], back])
    refused = spectok.refusals(both)
    assert refused["spectrum_index"].tolist() == [1, 3, 4]
    assert refused["refused"].tolist() == [True, True, False]
    assert refused["reason"][0] == refused["reason"][1]
    assert "all 96 pixels have a flux that is not finite" in refused["reason"][2]
    decoded = spectok.decode(both, wavelength * u.AA, model=tiny)
    assert np.isnan(decoded.flux.value).all(1).tolist() == [False, True, False, True, True]


def test_very_many_reasons_do_not_burst_a_header(make_arrays, tiny):
    wavelength, flux, _ = make_arrays(N_PIXELS)
    grids = [wavelength] + [wavelength[: 2 + k % 7] for k in range(1200)]
    with pytest.warns(AstropyUserWarning, match="1200 of 1201 spectra cannot be used"):
        tokens = spectok.encode_arrays(grids, [flux] * 1201, np.ones((1201, N_PIXELS)),
                                       errors="row", model=tiny)  # fmt: skip
    assert len(tokens.meta["REFUSED"]) < 30_000
    refused = spectok.refusals(tokens)
    assert len(refused) == 1200 and "more than 1000" in refused["reason"][-1]


def test_nothing_refused_is_an_empty_table(make_arrays, tiny):
    tokens = spectok.encode_arrays(*make_arrays(N_PIXELS), model=tiny)
    assert len(spectok.refusals(tokens)) == 0 and "REFUSED" not in tokens.meta


# ------------------------------------------------------------------ streams


def test_a_generator_is_asked_as_it_is_encoded(spectrum, tiny, monkeypatch):
    """Conversion and network alternate: never more than a window of spectra is waiting."""
    from spectok._codec import _run

    monkeypatch.setattr(_run, "_WINDOW_SPECTRA", 4)
    asked, encoded = [], []
    network = _run._encode

    def spy(rows, *args):
        encoded.append(sum(len(part.flux) for part in rows))
        assert len(asked) <= sum(encoded) + 1
        return network(rows, *args)

    monkeypatch.setattr(_run, "_encode", spy)

    def spectra():
        for k in range(10):
            asked.append(k)
            yield spectrum(meta={"object_id": k})

    tokens = spectok.encode(spectra(), model=tiny)
    assert encoded == [4, 4, 2]
    assert spectok.pool(tokens)["object_id"].tolist() == list(range(10))


def test_windows_change_nothing(make_arrays, tiny, monkeypatch, rms_difference):
    from spectok._codec import _run
    from spectok._convert import _rows

    rows = [make_arrays(n, seed=n) for n in (33, 64, 200, 97, 40)]
    columns = [[row[k] for row in rows] for k in range(3)]
    wavelength, flux, sigma = make_arrays(70, 9)
    expected = (
        spectok.encode_arrays(*columns, model=tiny),
        spectok.encode_arrays(wavelength, flux, sigma, model=tiny),
    )
    monkeypatch.setattr(_run, "_WINDOW_PIXELS", 1)
    monkeypatch.setattr(_rows, "_CHUNK", 140)
    found = (
        spectok.encode_arrays(*columns, model=tiny),
        spectok.encode_arrays(wavelength, flux, sigma, model=tiny),
    )
    for one, other in zip(expected, found, strict=True):
        assert rms_difference(one["token"], other["token"]) < 1e-5
        for name in ("spectrum_index", "object_id", "valid", "n_valid", "wavelength", "scale"):
            assert np.array_equal(one[name], other[name]), name


def test_a_generator_of_objects_in_arms(spectrum, tiny):
    objects = ([spectrum(), spectrum(spectral_axis=(6000.0 + np.arange(N_PIXELS)) * u.AA)]
               for _ in range(3))  # fmt: skip
    tokens = spectok.encode(objects, arms=True, model=tiny)
    assert valid_tokens(tokens, 3) == [6, 6, 6]


def test_names_are_counted_before_the_work(spectrum, tiny, monkeypatch):
    from spectok._codec import _run

    members = [spectrum(), spectrum()]
    with pytest.raises(ValueError, match="object_id has 1 names for 2 spectra"):
        spectok.encode(iter(members), object_id=["a"], model=tiny)
    monkeypatch.setattr(_run, "_encode", None)
    with pytest.raises(ValueError, match="object_id has 3 names for 2 spectra"):
        spectok.encode(members, object_id=["a", "b", "c"], model=tiny)


# ------------------------------------------------------------------ why there is no good patch


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"mask": np.ones(N_PIXELS, bool)}, "masked (True is bad: if your mask is True for good"),
        ({"ivar": np.zeros(N_PIXELS)}, "inverse variance of zero"),
        ({"ivar": np.full(N_PIXELS, np.inf)}, "overflow float32"),
        ({"ivar": np.full(N_PIXELS, np.nan)}, "inverse variance or error that is NaN or negative"),
        ({"ivar": -np.ones(N_PIXELS)}, "inverse variance or error that is NaN or negative"),
        ({"flux": np.full(N_PIXELS, np.inf)}, "flux that is not finite"),
        ({"flux": np.zeros(N_PIXELS), "ivar": None}, "zero and came without an uncertainty"),
        ({"mask": np.arange(N_PIXELS) % 32 != 0}, "good pixels; most of the others are masked"),
    ],
)  # fmt: skip
def test_the_warning_says_what_is_bad(changes, reason, make_arrays, tiny):
    wavelength, flux, sigma = make_arrays(N_PIXELS)
    fields = {"flux": flux, "ivar": sigma**-2} | changes
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tokens = spectok.encode_arrays(wavelength, model=tiny, **fields)
    assert any(reason in str(one.message) for one in caught)
    found = spectok.refusals(tokens)
    assert not found["refused"].any() and str(N_PIXELS) in found["reason"][0]


def test_too_few_pixels_and_several_reasons(make_arrays, tiny):
    wavelength, flux, sigma = make_arrays(N_PIXELS)
    with pytest.warns(AstropyUserWarning, match="fewer pixels than a token needs: 0 .0."):
        tokens = spectok.encode_arrays(wavelength[:9], flux[:9], sigma[:9], model=tiny)
    assert spectok.refusals(tokens)["reason"][0] == "it has 9 pixels, a token needs 17"
    flux[:40], sigma[40:] = np.nan, np.inf
    with pytest.warns(AstropyUserWarning, match="all pixels are bad; most have an inverse"):
        tokens = spectok.encode_arrays(wavelength, flux, sigma**-2, model=tiny)
    assert (
        "56 of 96 pixels have an inverse variance of zero" in spectok.refusals(tokens)["reason"][0]
    )


# ------------------------------------------------------------------ names and kept columns


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([3, 1], [3, 1]),
        (np.array([2**62, -1]), [2**62, -1]),
        (np.array([7, 8], dtype=">i4"), [7, 8]),
        ([2**70, 1], [str(2**70), "1"]),
        ([3, "b"], ["3", "b"]),
        ([b"J1", "β Pic"], ["J1", "β Pic"]),
        ([True, False], ["True", "False"]),
        ((name for name in "ab"), ["a", "b"]),
    ],
)
def test_integer_names_stay_integers(given, expected, make_arrays, tiny):
    wavelength, flux, sigma = make_arrays(N_PIXELS, 2)
    tokens = spectok.encode_arrays(wavelength, flux, sigma, object_id=given, model=tiny)
    assert spectok.pool(tokens)["object_id"].tolist() == expected
    decoded = spectok.decode(tokens, wavelength * u.AA, model=tiny)
    assert decoded.meta["object_id"] == [str(name) for name in expected]


def test_tables_of_integers_and_of_texts_join_as_text(make_arrays, tiny):
    arrays = make_arrays(N_PIXELS)
    one, two = (spectok.encode_arrays(*arrays, object_id=[name], model=tiny) for name in (7, "b"))
    assert spectok.pool(spectok.concatenate([one, two]))["object_id"].tolist() == ["7", "b"]
    assert spectok.pool(spectok.concatenate([one, one]))["object_id"].tolist() == [7, 7]


def test_metadata_can_be_kept(spectrum, tiny, tmp_path):
    members = [
        spectrum(meta={"ra": 10.5, "label": {"class": "STAR", "z": 0.1}, "plate": 266}),
        spectrum(meta={"ra": 11.5, "label": {"class": "GALAXY"}, "plate": 267}),
    ]
    keep = ("ra", "class", "z", "plate")
    tokens = spectok.encode(members, keep=keep, model=tiny)
    vectors = spectok.pool(tokens)
    assert vectors["ra"].tolist() == [10.5, 11.5]
    assert vectors["class"].tolist() == ["STAR", "GALAXY"]
    assert vectors["z"][0] == 0.1 and np.isnan(vectors["z"][1])
    assert vectors["plate"].tolist() == [266, 267]
    tokens.write(tmp_path / "tokens.fits")
    back = QTable.read(tmp_path / "tokens.fits")
    assert spectok.pool(spectok.concatenate([back, tokens]))["plate"].tolist() == [266, 267] * 2
    with pytest.raises(ValueError, match="keep: token is a column of token tables"):
        spectok.encode(members, keep="token", model=tiny)
    with pytest.warns(AstropyUserWarning, match="not one spectrum has dec in its meta"):
        assert "dec" not in spectok.encode(members, keep=["dec"], model=tiny).colnames


def test_long_integers_that_some_lack_keep_their_digits(spectrum, tiny):
    members = [spectrum(meta={"targetid": 39628427912810449, "plate": 266}), spectrum()]
    vectors = spectok.pool(spectok.encode(members, keep=["targetid", "plate"], model=tiny))
    assert vectors["targetid"].tolist() == ["39628427912810449", ""]
    assert vectors["plate"][0] == 266.0 and np.isnan(vectors["plate"][1])


def test_metadata_of_sets_and_arms_is_kept_row_by_row(make_arrays, tiny):
    wavelength, flux, sigma = make_arrays(N_PIXELS, 2)
    fields = {"flux": flux * u.ct, "uncertainty": StdDevUncertainty(sigma)}
    meta = {"ra": [1.0, 2.0] * u.deg, "label": {"z": [0.1, 0.2]}}
    arms = [
        Spectrum(**fields, spectral_axis=wavelength * u.AA, meta=meta),
        Spectrum(**fields, spectral_axis=2 * wavelength * u.AA),
    ]
    for tokens in (
        spectok.encode(arms[0], keep=("ra", "z"), model=tiny),
        spectok.encode(arms, arms=True, keep=("ra", "z"), model=tiny),
    ):
        vectors = spectok.pool(tokens)
        assert vectors["ra"].unit == u.deg and vectors["ra"].value.tolist() == [1.0, 2.0]
        assert vectors["z"].tolist() == [0.1, 0.2]


# ------------------------------------------------------------------ orders in one array


@pytest.mark.parametrize("way", ["ascending", "red first", "descending", "both ways"])
def test_overlapping_orders_in_one_array_stay_apart(way, tiny, rms_difference):
    rng = np.random.default_rng(1)
    grids = [4000.0 + 0.5 * np.arange(96), 4030.2 + 0.5 * np.arange(96)]
    fluxes = [rng.normal(10, 1, 96), rng.normal(100, 1, 96)]  # as blazes go
    arms = [
        Spectrum(flux=f * u.ct, spectral_axis=w * u.AA, uncertainty=StdDevUncertainty(np.ones(96)))
        for w, f in zip(grids, fluxes, strict=True)
    ]
    expected = spectok.encode(arms, arms=True, model=tiny)
    turn = [slice(None)] * 2
    if way == "red first":
        grids, fluxes = grids[::-1], fluxes[::-1]
    if way == "descending":
        turn = [slice(None, None, -1)] * 2
    if way == "both ways":
        turn = [slice(None), slice(None, None, -1)]
    wavelength, flux = (
        np.concatenate([a[t] for a, t in zip(parts, turn, strict=True)])
        for parts in (grids, fluxes)
    )
    with pytest.warns(AstropyUserWarning, match="overlapping orders"):
        tokens = spectok.encode_arrays(wavelength, flux, np.ones(192), model=tiny)
    assert (tokens["flags"] & TokenFlag.ORDERS).all()
    if way == "both ways":  # where two orders touch, one pixel stands alone
        assert tokens["n_valid"].sum() == 192 and tokens["valid"].sum() >= 5
        return
    assert np.array_equal(tokens["wavelength"], expected["wavelength"])
    assert rms_difference(tokens["token"], expected["token"]) < 1e-5


def test_orders_that_do_not_overlap_are_sorted_in_silence(tiny):
    wavelength = np.r_[5000.0 + np.arange(96), 4000.0 + np.arange(96)]
    tokens = spectok.encode_arrays(wavelength, np.ones(192), np.ones(192), model=tiny)
    assert not (tokens["flags"] & TokenFlag.ORDERS).any() and tokens["valid"].all()


def test_decoding_onto_orders_is_refused(make_arrays, tiny):
    tokens = spectok.encode_arrays(*make_arrays(192), model=tiny)
    axis = np.r_[4000.0 + np.arange(64), 4030.5 + np.arange(64)] * u.AA
    with pytest.raises(ValueError, match="neither ascends nor descends"):
        spectok.decode(tokens, axis, model=tiny)
