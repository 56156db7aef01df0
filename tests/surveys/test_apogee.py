"""APOGEE apVisit, apStar and aspcapStar files."""

import numpy as np
import pytest
from astropy.io import fits

from spectok import surveys
from spectok.surveys import apogee, galah

N = 100


def write_star(path, *, n_rows=1, aspcap=False, in_primary=False):
    """Write a small apStar or aspcapStar file."""
    flux = np.full((n_rows, N), 100.0) if n_rows > 1 else np.full(N, 100.0)
    error, bits = np.full(flux.shape, 2.0), np.zeros(flux.shape, np.int16)
    flux[..., 3], error[..., 5] = 0, 1e10
    bits[..., 20:35] = 1 << np.arange(15)
    primary = fits.PrimaryHDU()
    primary.header["OBJID"] = "2M00000000+0000000"
    primary.header["RA"], primary.header["DEC"] = 12.0, 34.0
    images = [flux, error, np.ones(flux.shape, np.float32) if aspcap else bits]
    hdus = [primary, *(fits.ImageHDU(x) for x in images)]
    for hdu in [primary] if in_primary else hdus[1:]:
        hdu.header.update({"CRVAL1": 4.179, "CDELT1": 6e-6, "CRPIX1": 1})
    if aspcap:
        param = fits.Column("PARAM", "7E", array=[[4800, 2.5, -9999, -0.1, 0.0, 0.1, 0.05]])
        name = fits.Column("APOGEE_ID", "18A", array=["2M00000000+0000000"])
        numbers = {"TEFF": 4810.0, "MG_FE": 0.2, "TIII_FE": -9999.99, "NVISITS": 3.0}
        columns = [fits.Column(k, "E", array=[v]) for k, v in numbers.items()]
        hdus.append(fits.BinTableHDU.from_columns([name, param, *columns]))
    fits.HDUList(hdus).writeto(path)
    return path


@pytest.mark.parametrize("n_rows", [1, 4])
@pytest.mark.parametrize("in_primary", [False, True])
def test_star(tmp_path, n_rows, in_primary):
    path = write_star(tmp_path / "apStar.fits", n_rows=n_rows, in_primary=in_primary)
    (spectrum,) = surveys.read(path)
    assert spectrum.flux.shape == (N,)
    np.testing.assert_allclose(np.log10(spectrum.spectral_axis.value[[0, -1]]), [4.179, 4.179594])
    bad = set(np.flatnonzero(spectrum.mask).tolist())
    assert bad == {3, 5} | {20 + bit for bit in apogee.BAD_BITS.values()}
    meta = spectrum.meta
    assert (meta["survey"], meta["medium"], meta["kind"]) == ("APOGEE", "vacuum", "star")
    assert meta["object_id"] == "2M00000000+0000000"
    assert (meta["ra"], meta["dec"]) == (12.0, 34.0)
    assert meta["frame"] == "rest"


def test_star_of_sdss_v(tmp_path):
    """Float64 images, 64-bit flags, other header cards, noisy visits below the combination."""
    path = write_star(tmp_path / "apStar.fits", n_rows=4)
    with fits.open(path) as hdus:
        images = [np.array(hdu.data, dtype=t) for hdu, t in zip(hdus[1:], "ddq", strict=True)]
        images[1][1:] *= 1e4  # visits a thousand times noisier say nothing of the first row
        primary = fits.PrimaryHDU(header=hdus[0].header)
        primary.header.update({"VRAD": 15.5, "RV_TEFF": 6190.0, "RV_LOGG": -9999.99})
        cards = {"CRVAL1": 4.179, "CDELT1": 6e-6, "CRPIX1": 1}
        new = [fits.ImageHDU(image) for image in images]
        for hdu in new:
            hdu.header.update(cards)
        fits.HDUList([primary, *new]).writeto(path, overwrite=True)
    (spectrum,) = apogee.read(path)
    assert np.flatnonzero(spectrum.mask)[:2].tolist() == [3, 5]
    np.testing.assert_allclose(spectrum.uncertainty.array[~spectrum.mask], 0.25)
    assert spectrum.meta["label"] == {"rv": 15.5, "rv_teff": 6190.0}


def test_aspcap(tmp_path):
    (spectrum,) = surveys.read(write_star(tmp_path / "aspcapStar.fits", aspcap=True))
    assert spectrum.flux.unit == ""
    assert np.flatnonzero(spectrum.mask).tolist() == [3, 5]
    label = spectrum.meta["label"]
    assert label["teff"] == pytest.approx(4810)  # the calibrated column, not PARAM
    assert label["m_h"] == pytest.approx(-0.1)
    assert label["mg_fe"] == pytest.approx(0.2)
    assert not {"log10vdop", "tiii_fe", "nvisits"} & set(label)  # -9999 is no label
    assert spectrum.meta["frame"] == "rest"
    assert (spectrum.meta["model"] == 1).all()


def write_visit(path):
    """Write a small apVisit file: three detectors, red to blue, descending."""
    flux, error = np.full((3, N), 100.0), np.full((3, N), 2.0)
    bits = np.zeros((3, N), np.int16)
    flux[0, 2], error[1, 4], bits[2, 6] = 0, 7e6, 1
    wave = np.array(
        [np.linspace(hi, lo, N) for lo, hi in ((16480, 16950), (15860, 16430), (15150, 15800))]
    )
    primary = fits.PrimaryHDU()
    primary.header["OBJID"] = "2M1"
    images = [flux.astype(">f4"), error.astype(">f4"), bits, wave]
    fits.HDUList([primary, *(fits.ImageHDU(x) for x in images)]).writeto(path)
    return path


def test_visit(tmp_path):
    arms = surveys.read(write_visit(tmp_path / "apVisit.fits"))
    assert [a.meta["arm"] for a in arms] == ["c", "b", "a"]
    for arm, pixel in zip(arms, (6, 4, 2), strict=True):
        assert (np.diff(arm.spectral_axis.value) > 0).all()
        # The file's pixel counted from the other end, as the axis was turned.
        assert np.flatnonzero(arm.mask).tolist() == [N - 1 - pixel]
        assert arm.meta["frame"] == "observatory"
    assert arms[0].spectral_axis.value[-1] < arms[1].spectral_axis.value[0]


def test_refusals(tmp_path):
    path = write_visit(tmp_path / "apVisit.fits")
    with pytest.raises(ValueError, match="not a GALAH com file .*a file of APOGEE"):
        galah.read(path)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(OSError, match="apVisit.fits.*not a readable FITS"):
        apogee.read(path)
    other = tmp_path / "image.fits"
    fits.HDUList([fits.PrimaryHDU(), *(fits.ImageHDU(np.ones((3, 9))) for _ in range(4))]).writeto(
        other
    )
    with pytest.raises(ValueError, match="image.fits: not an APOGEE"):
        apogee.read(other)


def test_real(shared_data):
    paths = sorted((shared_data / "apogee/real").glob("apVisit-*.fits"))
    assert paths
    for path in paths:
        arms = surveys.read(path)
        assert [a.flux.shape for a in arms] == [(4096,)] * 3
        for arm in arms:
            assert arm.mask.mean() < 0.1
            good = ~arm.mask
            sigma = arm.uncertainty.array[good] ** -0.5
            assert sigma.max() < 3000 * np.median(sigma)
            assert np.median(arm.flux.value[good] / sigma) > 30
        assert arms[0].meta["object_id"].startswith("2M")
        assert {"ra", "dec"} <= set(arms[0].meta)
        assert {"rv", "rv_teff", "snr"} <= set(arms[0].meta["label"])


def test_real_wavelengths(shared_data):
    """Airglow stands still in vacuum, uncorrected for the Earth: OH lines in the sky images."""
    lines = np.loadtxt(shared_data / "apogee/sky_mask/skylines_crires.oh.vac.apogee", usecols=1)
    for path in (shared_data / "apogee/real").glob("apVisit-*.fits"):
        with fits.open(path, memmap=False) as hdus:
            sky = [np.array(row[::-1], float) for row in hdus[5].data]
        velocity = np.arange(-120.0, 120.0, 1.0)
        total = np.zeros(velocity.size)
        for arm, counts in zip(apogee.read(path), sky[::-1], strict=True):
            wavelength = arm.spectral_axis.value
            counts = np.clip(counts - np.median(counts), 0, np.percentile(counts, 99.5))
            inside = lines[(lines > wavelength[20]) & (lines < wavelength[-20])]
            shifted = inside * (1 + velocity[:, None] / 299792.458)
            total += np.interp(shifted, wavelength, counts).sum(axis=1)
        # In air the peak would stand at 82 km/s, in the barycentre's frame at -12 to -15.
        assert velocity[np.argmax(total)] == pytest.approx(0, abs=4)
