"""SDSS spec files: columns of either case, masks, identifiers, damaged files."""

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits

from spectok import surveys
from spectok.surveys import apogee, desi, galah, sdss

N = 200


def write_spec(path, *, upper=False, and_mask=None, specobj=True, lite=True):
    """Write a small file in the layout of SDSS."""
    rng = np.random.default_rng(1)
    columns = {
        "flux": rng.normal(5, 1, N),
        "loglam": 3.58 + 1e-4 * np.arange(N),
        "ivar": np.full(N, 4.0),
        "and_mask": np.zeros(N, np.int32) if and_mask is None else and_mask,
        "or_mask": np.full(N, 1 << 24, np.int32),
        "model": np.full(N, 5.0),
    }
    columns["ivar"][3] = 0
    formats = {"and_mask": "J", "or_mask": "J"}
    table = fits.BinTableHDU.from_columns(
        [
            fits.Column(k.upper() if upper else k, formats.get(k, "E"), array=v)
            for k, v in columns.items()
        ]
    )
    primary = fits.PrimaryHDU()
    for key, value in {"PLATEID": 266, "MJD": 51602, "FIBERID": 7, "RA": 1.0, "DEC": 2.0}.items():
        primary.header[key] = value  # RA and DEC here are the plate's
    hdus = [primary, table]
    if specobj:
        row = {
            "PLATE": 266,
            "MJD": 51602,
            "FIBERID": 7,
            "PLUG_RA": 10.5,
            "PLUG_DEC": -1.5,
            "Z": 0.1,
        }
        hdus.append(
            fits.BinTableHDU.from_columns(
                [fits.Column(k, "D", array=[v]) for k, v in row.items()]
                + [fits.Column("CLASS", "6A", array=["GALAXY"])]
            )
        )
    if not lite:
        hdus += [
            fits.BinTableHDU.from_columns([fits.Column("LINE", "E", array=[0.0])]),
            table.copy(),
        ]
    fits.HDUList(hdus).writeto(path)
    return path


@pytest.mark.parametrize("upper", [False, True])
@pytest.mark.parametrize("lite", [False, True])
def test_layouts(tmp_path, upper, lite):
    path = write_spec(tmp_path / "spec-0266-51602-0007.fits", upper=upper, lite=lite)
    (spectrum,) = surveys.read(path)
    assert spectrum.flux.unit == u.Unit("1e-17 erg / (s cm2 Angstrom)")
    assert spectrum.spectral_axis.unit == u.AA
    np.testing.assert_allclose(spectrum.spectral_axis.value[0], 10**3.58, rtol=1e-6)
    assert spectrum.uncertainty.uncertainty_type == "ivar"
    assert spectrum.uncertainty.unit == spectrum.flux.unit**-2
    assert np.flatnonzero(spectrum.mask).tolist() == [3]  # OR bits break no pixel
    meta = spectrum.meta
    assert (meta["survey"], meta["medium"], meta["object_id"]) == (
        "SDSS",
        "vacuum",
        "0266-51602-0007",
    )
    assert (meta["ra"], meta["dec"]) == (10.5, -1.5)
    assert (meta["label"]["class"], meta["label"]["z"]) == ("GALAXY", 0.1)
    assert (meta["model"] == 5.0).all()
    assert spectrum.flux.value.dtype.isnative
    assert meta["model"].dtype.isnative


def test_mask_bits(tmp_path):
    bits = np.zeros(N, np.int32)
    bits[10:42] = 1 << np.arange(32, dtype=np.int64).astype(np.int32).clip(0, 30)
    (spectrum,) = sdss.read(write_spec(tmp_path / "spec.fits", and_mask=bits))
    bad = {i - 10 for i in np.flatnonzero(spectrum.mask[10:41]) + 10}
    assert bad == set(sdss.BAD_BITS.values())
    assert 23 not in bad  # bright sky alone
    assert (spectrum.uncertainty.array[spectrum.mask] == 0).all()


def test_without_specobj(tmp_path):
    (spectrum,) = sdss.read(write_spec(tmp_path / "spec.fits", specobj=False))
    assert spectrum.meta["object_id"] == "0266-51602-0007"
    assert "ra" not in spectrum.meta  # the plate's centre is not the object's place


def test_damaged(tmp_path):
    whole = write_spec(tmp_path / "spec.fits").read_bytes()
    for name, content in (
        ("empty.fits", b""),
        ("noise.fits", bytes(range(256)) * 40),
        ("cut.fits", whole[: len(whole) // 2]),
        ("page.fits", b"<html>404 not found</html>"),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(OSError, match=rf"{name}.*not a readable FITS"):
            sdss.read(path)
        with pytest.raises(OSError, match=f"{name}.*nothing could read it. Tried"):
            surveys.read(path)
    for read in (sdss.read, surveys.read):
        with pytest.raises(FileNotFoundError, match="missing.fits: no such file"):
            read(tmp_path / "missing.fits")


@pytest.mark.parametrize("module", [desi, galah, apogee])
def test_other_readers_refuse(tmp_path, module):
    path = write_spec(tmp_path / "spec.fits")
    with pytest.raises(ValueError, match="spec.fits: not an? .*surveys.read"):
        module.read(path)


def test_other_fits_is_refused_with_what_was_tried(tmp_path):
    path = tmp_path / "image.fits"
    fits.PrimaryHDU(np.zeros((4, 4))).writeto(path)
    with pytest.raises(
        OSError, match="no survey of SDSS, DESI, GALAH, APOGEE .*SpectrumList.read"
    ):
        surveys.read(path)
    with pytest.raises(ValueError, match="image.fits: not an SDSS spec file"):
        sdss.read(path)


def test_falls_back_to_specutils(tmp_path):
    from specutils import Spectrum

    path = tmp_path / "own.fits"
    own = Spectrum(flux=np.arange(20.0) * u.Jy, spectral_axis=np.arange(5000.0, 5020.0) * u.AA)
    own.write(path, format="tabular-fits")
    (spectrum,) = surveys.read(path)
    assert spectrum.flux.unit == u.Jy


def test_real(shared_data):
    good = []
    for path in sorted((shared_data / "sdss/real").glob("spec-*.fits"))[::12]:
        (spectrum,) = surveys.read(path)
        assert path.stem == "spec-" + spectrum.meta["object_id"]
        assert spectrum.flux.shape == spectrum.meta["model"].shape == spectrum.mask.shape
        assert np.isfinite(spectrum.flux.value).all()
        assert {"ra", "dec"} <= set(spectrum.meta)
        ok = ~spectrum.mask
        residual = (spectrum.flux.value - spectrum.meta["model"])[ok]
        good.append(np.median(residual**2 * spectrum.uncertainty.array[ok]) / 0.4549)
    assert np.median(good) == pytest.approx(1.0, abs=0.25)
