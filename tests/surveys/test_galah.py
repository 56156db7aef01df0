"""GALAH com files: relative errors, air wavelengths, four cameras."""

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning

from spectok import surveys
from spectok.surveys import desi, galah

STARTS = (4714.0, 5649.0, 6480.0, 7587.0)


def write_camera(folder, camera, *, old=False, star="210115000101001", place=True, more=()):
    """Write one camera's file of either generation."""
    flux = np.full(64, 1000.0)
    flux[5], flux[6] = 0.0, -3.0
    error = np.full(64, 0.05)
    error[9] = np.nan
    primary = fits.PrimaryHDU(flux)
    primary.header.update({"CRVAL1": STARTS[camera - 1], "CDELT1": 0.05, "CRPIX1": 1.0})
    if not old:
        cards = {"TEFF_R": 5000.0, "LOGG_R": "None", "RVCOM_OK": 1, "BARYEFF": -13.5}
        primary.header.update(cards)
        primary.header["RA_ICRS"], primary.header["DEC_ICRS"] = (
            (87.0, 8.0) if place else (0.0, 0.0)
        )
    primary.header["MEANRA"] = 86.0
    name = "input_sigma" if old else "relative_error"
    path = folder / f"{star}{camera}.fits"
    hdus = [primary, fits.ImageHDU(error, name=name), *more]
    fits.HDUList(hdus).writeto(path, overwrite=True)
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
        assert arm.meta["label"] == ({} if old else {"teff": 5000.0, "rv_ok": 1})
        assert arm.meta.get("frame") == (None if old else "barycentric")


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


def test_frame_of_what_is_no_star(tmp_path):
    path = write_camera(tmp_path, 1)
    with fits.open(path, mode="update") as hdus:
        hdus[0].header["BARYEFF"] = "None"
    with pytest.warns(AstropyUserWarning, match="beside it"):
        (arm,) = galah.read(path)
    assert (arm.meta["frame"], arm.meta["v_barycentric"]) == ("observatory", 0.0)


def read_one(folder, **options):
    """Write and read one camera alone."""
    with pytest.warns(AstropyUserWarning, match="beside it"):
        (arm,) = galah.read(write_camera(folder, 4, **options))
    return arm


def test_noise_is_divided_by_the_transmission(tmp_path):
    """The file's variance, 2,500, is flux 1,000 + sky and read-out noise 1,500."""
    transmission = np.ones(64)
    transmission[20:23] = 0.8, 0.6, 0.49
    arm = read_one(tmp_path, more=[fits.ImageHDU(transmission, name="teluric")])
    variance = 1 / arm.uncertainty.array[[19, 20, 21]]
    # Counted were 1,000 t from the star, and the rest; both flux and noise were divided by t.
    wanted = [(1000 * t + 1500) / t**2 for t in (1.0, 0.8, 0.6)]
    np.testing.assert_allclose(variance, wanted)
    assert np.flatnonzero(arm.mask).tolist() == [5, 6, 9, 22]  # opaque


@pytest.mark.parametrize("normalised", [False, True])
def test_data_release_3(tmp_path, normalised):
    """Four images, or five with the normalised spectrum on a grid of its own."""
    before = np.full(64, 1100.0)  # sky and flux, before the corrections
    before[30] = 300.0  # a transmission of 0.3 at most
    more = [fits.ImageHDU(before, name="no_sky_subspectrum")]
    more += [fits.ImageHDU(np.full(64, 0.04), name="no_sky_sigma")]
    if normalised:
        more += [fits.ImageHDU(np.ones(60))]
        more[-1].header.update({"CRVAL1": 4710.0, "CDELT1": 0.05, "CRPIX1": 1.0})
    arm = read_one(tmp_path, old=True, more=more)
    assert arm.flux.unit == u.count
    assert arm.spectral_axis.value[0] == STARTS[3]
    assert np.flatnonzero(arm.mask).tolist() == [5, 6, 9, 30]
    np.testing.assert_allclose(arm.uncertainty.array[~arm.mask] ** -0.5, 50.0)


def test_reference_pixel_zero_is_the_first(tmp_path):
    path = write_camera(tmp_path, 1)
    with fits.open(path, mode="update") as hdus:
        hdus[0].header["CRPIX1"] = 0
    with pytest.warns(AstropyUserWarning, match="beside it"):
        (arm,) = galah.read(path)
    assert arm.spectral_axis.value[0] == STARTS[0]


def test_fit(tmp_path):
    wave = np.concatenate([start + 0.05 * np.arange(20) for start in STARTS])
    columns = {"wave": wave, "sob": np.full(80, 0.9), "uob": np.full(80, 0.1)}
    columns["smod"] = np.full(80, 0.95)
    columns["uob"][[3, 25]] = 0.0, np.nan
    used = np.arange(80) != 50
    table = fits.BinTableHDU.from_columns(
        [fits.Column(k, "D", array=v) for k, v in columns.items()]
        + [fits.Column("mob", "L", array=used)]
    )
    path = tmp_path / "170710001601232_allstar_fit_spectrum.fits"
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(path)
    arms = surveys.read(path)
    assert [a.meta["arm"] for a in arms] == ["1", "2", "3", "4"]
    assert [np.flatnonzero(a.mask).tolist() for a in arms] == [[3], [5], [], []]
    for arm, start in zip(arms, STARTS, strict=True):
        assert arm.flux.unit == u.dimensionless_unscaled
        assert arm.spectral_axis.value[0] == start
        assert (arm.meta["medium"], arm.meta["frame"]) == ("air", "rest")
        assert arm.meta["object_id"] == "170710001601232"
        np.testing.assert_allclose(arm.uncertainty.array[~arm.mask], 100.0)
        assert (arm.meta["model"] == 0.95).all()
    # A pixel that the survey's fit left out is no bad one.
    assert np.flatnonzero(~arms[2].meta["used_in_fit"]).tolist() == [10]


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
    with pytest.raises(ValueError, match="not a DESI coadd .*a file of GALAH"):
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


@pytest.mark.slow
def test_all_real_files(shared_data):
    paths = sorted((shared_data / "galah/real").rglob("*.fits"))
    assert len(paths) >= 23
    for path in paths:
        arms = surveys.read(path)
        assert [a.meta["arm"] for a in arms] == ["1", "2", "3", "4"]
        for arm in arms:
            assert arm.mask.mean() < (0.15 if arm.meta["arm"] == "4" else 0.001)
            assert np.isfinite(arm.flux.value).all()
            assert arm.meta["object_id"].isdigit()


# Two pairs of lines of the O2 A band that stand apart: vacuum wavenumbers of HITRAN [1/cm].
OXYGEN = (13021.290830, 13023.078592, 13010.812336, 13012.582458)


def test_oxygen_is_at_rest_in_air(shared_data):
    """The Earth's own lines: in air, and shifted by the barycentric correction of the header."""
    from specutils.utils.wcs_utils import vac_to_air

    air = vac_to_air(1e8 / np.array(OXYGEN) * u.AA).value
    for path in (shared_data / "galah/real/com").glob("*4.fits"):
        arm = galah.read(path)[3]
        with fits.open(path, memmap=False) as hdus:
            absorbed = arm.flux.value * hdus["teluric"].data
        wavelength = arm.spectral_axis.value
        velocity = np.arange(-120.0, 120.0, 1.0)
        places = air * (1 + velocity[:, None] / 299792.458)
        depth = np.interp(places, wavelength, absorbed).sum(axis=1)
        assert velocity[np.argmin(depth)] == pytest.approx(arm.meta["v_barycentric"], abs=3)
