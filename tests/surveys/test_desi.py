"""DESI coadd and spectra files, three arms of many targets."""

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from spectok import surveys
from spectok.surveys import desi, sdss

FILES = (
    "coadd-5-169-thru20210419.fits",
    "coadd-sv3-dark-26065.fits",
    "spectra-5-169-thru20210419.fits",
    "spectra-sv3-dark-26065.fits",
)


def write_coadd(path, *, n=3, mask=True, fibermap=True, arms="BRZ", n_red=None):
    """Write a small file in the layout of DESI."""
    hdus = [fits.PrimaryHDU()]
    if fibermap:
        hdus.append(
            fits.BinTableHDU.from_columns(
                [
                    fits.Column("TARGETID", "K", array=np.arange(n) + 39633561174674576),
                    fits.Column("TARGET_RA", "D", array=np.arange(n) + 10.0),
                    fits.Column("TARGET_DEC", "D", array=np.arange(n) - 1.0),
                    fits.Column("OBJTYPE", "3A", array=["TGT"] * n),
                ],
                name="FIBERMAP",
            )
        )
    for arm, start in zip("BRZ", (3600.0, 5760.0, 7520.0), strict=True):
        if arm not in arms:
            continue
        rows = n_red if arm == "R" and n_red else n
        flux, ivar = np.ones((rows, 50)), np.ones((rows, 50))
        bits = np.zeros((rows, 50), np.int32)
        ivar[0, 4], bits[0, 7] = 0, 512
        hdus.append(fits.ImageHDU(start + 0.8 * np.arange(50), name=f"{arm}_WAVELENGTH"))
        hdus.append(fits.ImageHDU(flux.astype(">f4"), name=f"{arm}_FLUX"))
        hdus.append(fits.ImageHDU(ivar.astype(">f4"), name=f"{arm}_IVAR"))
        if mask:
            hdus.append(fits.ImageHDU(bits, name=f"{arm}_MASK"))
    fits.HDUList(hdus).writeto(path)
    return path


@pytest.mark.parametrize("name", FILES)
def test_installed_files(desi_data, name):
    arms = surveys.read(desi_data / name)
    assert [a.meta["arm"] for a in arms] == ["b", "r", "z"]
    assert [a.flux.shape[-1] for a in arms] == [2751, 2326, 2881]
    with fits.open(desi_data / name, memmap=False) as hdus:
        wanted = [str(t) for t in hdus["FIBERMAP"].data["TARGETID"]]
        for arm, prefix in zip(arms, "BRZ", strict=True):
            assert arm.meta["object_id"] == wanted
            assert (arm.meta["survey"], arm.meta["medium"]) == ("DESI", "vacuum")
            assert len(arm.meta["ra"]) == len(arm.meta["dec"]) == len(wanted)
            broken = (hdus[f"{prefix}_MASK"].data != 0) | (hdus[f"{prefix}_IVAR"].data <= 0)
            np.testing.assert_array_equal(arm.mask, broken)
            assert arm.flux.unit.to_string().startswith("1e-17") or arm.flux.unit.scale == 1e-17
            assert arm.flux.value.dtype.isnative
            assert arm.uncertainty.unit == arm.flux.unit**-2


def test_mask_and_weights(tmp_path):
    blue, *_ = desi.read(write_coadd(tmp_path / "coadd.fits"))
    assert np.argwhere(blue.mask).tolist() == [[0, 4], [0, 7]]
    assert (blue.uncertainty.array[blue.mask] == 0).all()
    assert blue.meta["label"]["objtype"] == ["TGT"] * 3


def test_without_mask_and_fibermap(tmp_path):
    arms = surveys.read(write_coadd(tmp_path / "bare.fits", mask=False, fibermap=False))
    assert np.argwhere(arms[0].mask).tolist() == [[0, 4]]
    assert all(a.meta["object_id"] == ["bare:0", "bare:1", "bare:2"] for a in arms)
    assert "ra" not in arms[0].meta


def test_single_arm(tmp_path):
    (red,) = desi.read(write_coadd(tmp_path / "red.fits", arms="R"))
    assert red.meta["arm"] == "r"


def test_inconsistent_arms(tmp_path):
    path = write_coadd(tmp_path / "odd.fits", n_red=2)
    with pytest.raises(ValueError, match="odd.fits.*different numbers of targets"):
        desi.read(path)


def test_damaged(tmp_path):
    whole = write_coadd(tmp_path / "coadd.fits").read_bytes()
    path = tmp_path / "cut.fits"
    path.write_bytes(whole[: int(0.6 * len(whole))])
    with pytest.raises(OSError, match="cut.fits.*not a readable FITS"):
        desi.read(path)


def test_other_reader_refuses(tmp_path):
    with pytest.raises(ValueError, match="coadd.fits: not an SDSS spec file .*a file of DESI"):
        sdss.read(write_coadd(tmp_path / "coadd.fits"))


def joined(arms, row):
    """Arms of one target added pixel by pixel, at wavelengths in tenths of an Angstrom."""
    total = {}
    for arm in arms:
        flux, ivar = arm.flux.value[row], arm.uncertainty.array[row]
        for wave, f, w, bad in zip(
            arm.spectral_axis.value, flux, ivar, arm.mask[row], strict=True
        ):
            at = total.setdefault(round(10 * wave), [0.0, 0.0])
            if not bad:
                at[0] += w
                at[1] += w * f
    wave = sorted(total)
    weight = np.array([total[w][0] for w in wave])
    flux = np.array([total[w][1] for w in wave]) / np.where(weight > 0, weight, 1)
    return np.array(wave) / 10, flux, weight


@pytest.mark.parametrize("name", FILES)
def test_coadd_of_installed_files(desi_data, name):
    arms = desi.read(desi_data / name)
    (whole,) = desi.read(desi_data / name, coadd=True)
    assert whole.flux.shape == (len(arms[0].flux), 7781)
    assert "arm" not in whole.meta
    assert whole.meta["object_id"] == arms[0].meta["object_id"]
    assert whole.uncertainty.unit == whole.flux.unit**-2
    live = np.flatnonzero(~whole.mask.all(axis=1))
    for row in [*live[:2], 0]:
        wave, flux, weight = joined(arms, row)
        np.testing.assert_allclose(whole.spectral_axis.value, wave, rtol=1e-9)
        np.testing.assert_allclose(whole.flux.value[row], flux, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(whole.uncertainty.array[row], weight, rtol=1e-9)
        np.testing.assert_array_equal(whole.mask[row], weight == 0)


def write_overlapping(path, rng, *, arms="BRZ", shift=0.0):
    """Write a file of arms of 50 pixels that overlap by 10, with random masks and weights."""
    hdus = [fits.PrimaryHDU()]
    for number, arm in enumerate("BRZ"):
        if arm not in arms:
            continue
        start = 3600.0 + 0.8 * 40 * number + shift * number
        pixels = {
            "WAVELENGTH": start + 0.8 * np.arange(50),
            "FLUX": rng.normal(3.0, 1.0, (2, 50)),
            "IVAR": rng.choice([0.0, 0.5, 2.0, 9.0], (2, 50)),
            "MASK": rng.choice([0, 0, 0, 1], (2, 50)).astype(np.int32),
        }
        hdus += [fits.ImageHDU(v, name=f"{arm}_{k}") for k, v in pixels.items()]
    fits.HDUList(hdus).writeto(path, overwrite=True)
    return path


@pytest.mark.slow
@given(seed=st.integers(0, 10**6))
@settings(max_examples=10)
def test_coadd_of_any_masks_and_weights(tmp_path_factory, seed):
    path = tmp_path_factory.mktemp("desi") / "coadd.fits"
    write_overlapping(path, np.random.default_rng(seed))
    arms, (whole,) = desi.read(path), desi.read(path, coadd=True)
    assert whole.flux.shape == (2, 130)
    for row in (0, 1):
        _, flux, weight = joined(arms, row)
        np.testing.assert_allclose(whole.flux.value[row], flux, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(whole.uncertainty.array[row], weight, rtol=1e-12)
        np.testing.assert_array_equal(whole.mask[row], weight == 0)


def test_coadd_leaves_a_gap(tmp_path):
    path = write_overlapping(tmp_path / "coadd.fits", np.random.default_rng(1), arms="BZ")
    (whole,) = desi.read(path, coadd=True)
    steps = np.diff(whole.spectral_axis.value)
    assert whole.flux.shape == (2, 100)
    assert np.flatnonzero(steps > 1).tolist() == [49]


def test_coadd_without_a_common_grid(tmp_path):
    path = write_overlapping(tmp_path / "odd.fits", np.random.default_rng(1), shift=0.3)
    assert len(desi.read(path)) == 3
    with pytest.raises(ValueError, match="odd.fits: the arms share no grid of 0.8 Angstrom"):
        desi.read(path, coadd=True)


def test_real(shared_data):
    paths = sorted((shared_data / "desi/real").glob("*.fits"))
    assert len(paths) >= 9
    alive = 0
    for path in paths:
        arms = surveys.read(path)
        assert [a.flux.shape[-1] for a in arms] == [2751, 2326, 2881]
        (whole,) = desi.read(path, coadd=True)
        assert whole.flux.shape == (len(arms[0].flux), 7781)
        alive += (whole.mask.mean(axis=1) < 0.1).sum()
        for arm in arms:
            assert len(arm.meta["object_id"]) == len(arm.flux)
            assert np.isfinite(arm.flux.value).all()
            assert all(len(v) == len(arm.flux) for v in arm.meta["label"].values())
    assert alive >= 24


def test_real_wavelengths(shared_data):
    arms = surveys.read(shared_data / "desi/real/quasarnp_test_coadd.fits")
    star = 11  # S/N 80, z = 0.0004: H-alpha in absorption in the red arm
    wavelength = arms[1].spectral_axis.value
    near = np.abs(wavelength - 6564.6) < 15
    lowest = wavelength[near][np.argmin(arms[1].flux.value[star][near])]
    assert lowest == pytest.approx(6564.6 * 1.0004, abs=2.0)
