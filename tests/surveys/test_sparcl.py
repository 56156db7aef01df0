"""Records as SPARCL's client returns them, without the client."""

from collections import UserList
from types import SimpleNamespace

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

import spectok
from spectok import surveys
from spectok.surveys import sdss

N = 200
UUID = "bf0b1583-2d27-4b66-b2c7-7e7177e25c01"


class Record(dict):
    """A dictionary whose entries are attributes too, as the client has it."""

    def __init__(self, *args, **fields):
        super().__init__(*args, **fields)
        self.__dict__ = self


class Retrieved(UserList):
    """What ``retrieve`` returns: as a list it begins with a header, ``records`` does not."""

    def __init__(self, records):
        super().__init__([{"status": {"success": True, "info": [], "warnings": []}}, *records])

    @property
    def records(self):
        return self.data[1:]


def record(**changes):
    rng = np.random.default_rng(3)
    fields = {
        "_dr": "SDSS-DR16",
        "sparcl_id": UUID,
        "specid": 2634622337315530752,
        "data_release": "SDSS-DR16",
        "wavelength": 10 ** (3.58 + 1e-4 * np.arange(N)),
        "flux": rng.normal(5.0, 1.0, N),
        "ivar": np.full(N, 4.0),
        "mask": np.zeros(N, np.int32),
        "model": np.full(N, 5.0),
        "ra": 49.2,
        "dec": 5.2,
        "redshift": 0.1,
        "redshift_err": 1e-5,
        "redshift_warning": 0,
        "spectype": "GALAXY",
    }
    return Record({k: v for k, v in (fields | changes).items() if v is not None})


@pytest.mark.parametrize(
    "shape",
    [
        Retrieved,
        list,
        iter,
        lambda records: Retrieved([SimpleNamespace(**r) for r in records]),
        lambda records: [dict(r) for r in records],
        lambda records: [
            {k: v.tolist() if hasattr(v, "tolist") else v for k, v in r.items()} for r in records
        ],
    ],
)
def test_shapes(shape):
    first, second = surveys.from_sparcl(shape([record(), record(redshift=0.3)]))
    assert first.flux.unit == u.Unit("1e-17 erg / (s cm2 Angstrom)")
    assert first.uncertainty.unit == first.flux.unit**-2
    assert first.spectral_axis.unit == u.AA
    np.testing.assert_array_equal(first.flux.value, record().flux)
    np.testing.assert_array_equal(first.uncertainty.array, 4.0)
    np.testing.assert_allclose(first.spectral_axis.value, record().wavelength)
    assert not first.mask.any()
    meta = first.meta
    assert (meta["survey"], meta["medium"], meta["frame"]) == ("SDSS", "vacuum", "heliocentric")
    assert (meta["object_id"], meta["sparcl_id"]) == ("2340-53733-0060", UUID)
    assert (meta["data_release"], meta["ra"], meta["dec"]) == ("SDSS-DR16", 49.2, 5.2)
    assert meta["label"] == {"class": "GALAXY", "z": 0.1, "z_err": 1e-5, "zwarning": 0}
    assert (meta["model"] == 5.0).all()
    assert second.meta["label"]["z"] == 0.3


@pytest.mark.parametrize(
    ("release", "survey", "expected"),
    [
        ("SDSS-DR16", "SDSS", set(sdss.BAD_BITS.values())),
        ("BOSS-DR16", "SDSS", set(sdss.BAD_BITS.values())),
        ("DESI-EDR", "DESI", set(range(31))),
        ("DESI-DR1", "DESI", set(range(31))),
    ],
)
def test_mask_bits_are_the_surveys_own(release, survey, expected):
    bits = np.zeros(N, np.int32)
    bits[10:41] = 1 << np.arange(31)
    ivar = np.full(N, 4.0)
    ivar[3] = 0.0
    (spectrum,) = surveys.from_sparcl([record(data_release=release, mask=bits, ivar=ivar)])
    assert set(np.flatnonzero(spectrum.mask)) == {3} | {10 + bit for bit in expected}
    assert (spectrum.uncertainty.array[spectrum.mask] == 0).all()
    assert spectrum.meta["survey"] == survey


def test_release_by_the_clients_own_field():
    (spectrum,) = surveys.from_sparcl([record(data_release=None, _dr="BOSS-DR16")])
    assert spectrum.meta["data_release"] == "BOSS-DR16"


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"specid": 2634648175838783488}, "2340-53733-0154"),  # of astroquery's examples
        ({"specid": 845594848269461504}, "0751-52251-0160"),
        ({"specid": np.int64(-9199727451598204928)}, "8213-58193-0002"),  # 64 bits, signed
        ({"specid": "9247016622111346688"}, "8213-58193-0002"),
        ({"specid": 7}, "7"),  # none of SDSS's
        ({"specid": None}, UUID),
        ({"specid": 39628427912810449, "data_release": "DESI-EDR"}, "39628427912810449"),
        ({"specid": -3, "data_release": "DESI-EDR"}, "-3"),
    ],
)
def test_object_id(changes, name):
    (spectrum,) = surveys.from_sparcl([record(**changes)])
    assert spectrum.meta["object_id"] == name


@given(
    st.integers(1, 16383),
    st.integers(1, 1000),
    st.integers(51001, 66383),
    st.integers(0, 16383),
)
def test_object_id_of_any_spectrum(plate, fiber, mjd, run2d):
    specid = plate * 2**50 + fiber * 2**38 + (mjd - 50000) * 2**24 + run2d * 2**10
    signed = int(np.array(specid, np.uint64).astype(np.int64))
    (spectrum,) = surveys.from_sparcl([record(specid=signed)])
    assert spectrum.meta["object_id"] == f"{plate:04d}-{mjd}-{fiber:04d}"


def test_what_is_optional():
    bare = record(ra=None, dec=None, redshift=None, redshift_err=None, spectype=None, model=None)
    (spectrum,) = surveys.from_sparcl([bare])
    assert not {"ra", "dec", "model"} & set(spectrum.meta)
    assert spectrum.meta["label"] == {"zwarning": 0}
    (spectrum,) = surveys.from_sparcl([record(redshift=np.nan, spectype="")])
    assert set(spectrum.meta["label"]) == {"z_err", "zwarning"}
    (desi,) = surveys.from_sparcl([record(data_release="DESI-DR1", subtype="LRG")])
    assert desi.meta["label"]["subclass"] == "LRG"


@pytest.mark.parametrize("lost", ["wavelength", "flux", "ivar", "mask"])
def test_missing_fields(lost):
    with pytest.raises(ValueError, match=rf"record 1 lacks {lost}, .*include=\[.*'{lost}'"):
        surveys.from_sparcl(Retrieved([record(), record(**{lost: None})]))


def test_fields_of_the_clients_default_are_not_enough():
    default = {
        k: v for k, v in record().items() if k in ("flux", "wavelength", "ra", "dec", "_dr")
    }
    with pytest.raises(ValueError, match="record 0 lacks ivar, mask, specid, .*include="):
        surveys.from_sparcl([default])
    with pytest.raises(ValueError, match="lacks data_release"):
        surveys.from_sparcl([record(_dr=None, data_release=None)])


@pytest.mark.parametrize(
    ("records", "match"),
    [
        (Retrieved([]), "there is no record: .*client.missing"),
        ([], "there is no record"),
        (record(), "no records in a Record: pass what client.retrieve"),
        (None, "no records in a NoneType"),
        ("abc", "no records in a str"),
        ([record(data_release="LAMOST-DR7")], "record 0 is of 'LAMOST-DR7'.*encode_arrays"),
        ([record(mask=np.zeros(N - 1, int))], rf"record 0 .*{UUID}.*shapes .*\({N - 1},\)"),
        ([record(flux=np.zeros((2, N)))], r"record 0 .*not one of \(L,\)"),
    ],
)
def test_wrong_records(records, match):
    with pytest.raises(ValueError, match=match):
        surveys.from_sparcl(records)


def test_bad_pixels_are_finite_and_encode(tiny):
    flux = record().flux
    flux[7] = np.nan
    spectra = surveys.from_sparcl([record(flux=flux)])
    assert np.isfinite(spectra[0].flux.value).all()
    assert np.flatnonzero(spectra[0].mask).tolist() == [7]
    tokens = spectok.encode(spectra, model=tiny)
    assert set(tokens["object_id"]) == {"2340-53733-0060"}


def test_same_as_the_file(shared_data):
    path = sorted((shared_data / "sdss/real").glob("spec-*.fits"))[0]
    with fits.open(path) as hdus:
        names = {name.lower(): name for name in hdus[1].columns.names}
        column = {name: np.array(hdus[1].data[names[name]]) for name in names}
        plate, mjd, fiber = (int(x) for x in path.stem.split("-")[1:4])
    specid = plate * 2**50 + fiber * 2**38 + (mjd - 50000) * 2**24
    (direct,) = sdss.read(path)
    (same,) = surveys.from_sparcl(
        [
            record(
                wavelength=10 ** column["loglam"].astype(float),
                flux=column["flux"],
                ivar=column["ivar"],
                mask=column["and_mask"],
                specid=specid,
            )
        ]
    )
    assert same.meta["object_id"] == direct.meta["object_id"]
    assert same.meta["frame"] == direct.meta["frame"]
    np.testing.assert_array_equal(same.flux.value, direct.flux.value)
    np.testing.assert_array_equal(same.mask, direct.mask)
    np.testing.assert_array_equal(same.uncertainty.array, direct.uncertainty.array)
