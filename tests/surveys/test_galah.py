"""GALAH com files: relative errors, air wavelengths, four cameras."""

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning

from spectok import surveys
from spectok.surveys import desi, galah

STARTS = (4714.0, 5649.0, 6480.0, 7587.0)


def write_camera(folder, camera, *, old=False, star="210115000101001", place=True):
    """Write one camera's file of either generation."""
    flux = np.full(64, 1000.0)
    flux[5], flux[6] = 0.0, -3.0
    error = np.full(64, 0.05)
    error[9] = np.nan
    primary = fits.PrimaryHDU(flux)
    primary.header.update({"CRVAL1": STARTS[camera - 1], "CDELT1": 0.05, "CRPIX1": 1.0})
    if not old:
        primary.header["TEFF_R"] = 5000.0
        primary.header["LOGG_R"] = "None"
        primary.header["RA_ICRS"], primary.header["DEC_ICRS"] = (
            (87.0, 8.0) if place else (0.0, 0.0)
        )
    primary.header["MEANRA"] = 86.0
    name = "input_sigma" if old else "relative_error"
    path = folder / f"{star}{camera}.fits"
    fits.HDUList([primary, fits.ImageHDU(error, name=name)]).writeto(path)
    return path


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("given", [1, 3])
def test_four_cameras(tmp_path, old, given):
    paths = [write_camera(tmp_path, c, old=old) for c in (1, 2, 3, 4)]
    arms = surveys.read(paths[given - 1])
    assert [a.meta["arm"] for a in arms] == ["1", "2", "3", "4"]
    assert [round(a.spectral_axis.value[0]) for a in arms] == [round(s) for s in STARTS]
    for arm in arms:
        assert arm.meta["medium"] == "air"
        assert arm.meta["object_id"] == "210115000101001"
        assert arm.flux.unit == u.count
        assert np.flatnonzero(arm.mask).tolist() == [5, 6, 9]
        # 5 % of 1000 counts is 50 counts, not 0.05.
        np.testing.assert_allclose(arm.uncertainty.array[~arm.mask] ** -0.5, 50.0)
        assert ("ra" in arm.meta) is not old
        assert arm.meta["label"] == ({} if old else {"teff": 5000.0})


def test_missing_camera_is_named(tmp_path):
    for camera in (1, 2, 4):
        path = write_camera(tmp_path, camera)
    with pytest.warns(AstropyUserWarning, match="no 2101150001010013.fits beside it"):
        arms = galah.read(path)
    assert [a.meta["arm"] for a in arms] == ["1", "2", "4"]


def test_renamed_file_comes_alone(tmp_path):
    path = write_camera(tmp_path, 1).rename(tmp_path / "star.fits")
    with pytest.warns(AstropyUserWarning, match="star.fits: the name is not a GALAH one"):
        assert len(galah.read(path)) == 1


def test_zero_position_is_none(tmp_path):
    for camera in (1, 2, 3, 4):
        path = write_camera(tmp_path, camera, place=False)
    assert "ra" not in galah.read(path)[0].meta


def test_damaged_sister(tmp_path):
    paths = [write_camera(tmp_path, c) for c in (1, 2, 3, 4)]
    paths[2].write_bytes(paths[2].read_bytes()[:3000])
    with pytest.raises(OSError, match="2101150001010013.fits.*not a readable FITS"):
        galah.read(paths[0])


def test_without_wavelengths(tmp_path):
    path = write_camera(tmp_path, 1)
    with fits.open(path, mode="update") as hdus:
        del hdus[0].header["CRVAL1"]
    with pytest.raises(ValueError, match="no CRVAL1"):
        galah.read(path)


def test_other_reader_refuses(tmp_path):
    with pytest.raises(ValueError, match="not a DESI coadd"):
        desi.read(write_camera(tmp_path, 1))


@pytest.mark.parametrize("folder", ["com", "com_v5"])
def test_real(shared_data, folder):
    from specutils.utils.wcs_utils import air_to_vac

    rest = []
    for path in sorted((shared_data / "galah/real" / folder).glob("*1.fits")):
        arms = surveys.read(path)
        assert [a.flux.shape for a in arms] == [(4096,)] * 4
        snr = [np.median(a.flux.value * a.uncertainty.array**0.5) for a in arms]
        assert min(snr) > 10
        red = arms[2]
        wavelength, flux = red.spectral_axis.value, red.flux.value
        near = np.abs(wavelength - 6562.8) < 3
        core = wavelength[near][np.argmin(np.convolve(flux, np.ones(15) / 15, "same")[near])]
        rest.append(core / (1 + red.meta["label"].get("rv", 0.0) / 299792.458))
    # H-alpha at rest, in air: in vacuum it would stand at 6564.6.
    assert np.median(rest) == pytest.approx(6562.8, abs=0.3)
    assert air_to_vac(6562.8 * u.AA).value == pytest.approx(6564.61, abs=0.01)
