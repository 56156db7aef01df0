"""SDSS spec files: columns of either case, masks, identifiers, damaged files; SDSS-V."""

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from specutils import SpectrumList

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
        with pytest.raises(OSError, match=f"{name}"):
            surveys.read(path)
    for read in (sdss.read, surveys.read):
        with pytest.raises(FileNotFoundError, match="missing.fits: no such file"):
            read(tmp_path / "missing.fits")


def test_damaged_wavelengths(tmp_path):
    path = write_spec(tmp_path / "spec-0266-51602-0007.fits")
    with fits.open(path, mode="update") as hdus:
        hdus[1].data["loglam"][5] = np.nan
    with pytest.raises(ValueError, match="SDSS spectrum 0266-51602-0007: wavelengths .*damaged"):
        sdss.read(path)


@pytest.mark.parametrize("module", [desi, galah, apogee])
def test_other_readers_refuse(tmp_path, module):
    path = write_spec(tmp_path / "spec.fits")
    with pytest.raises(ValueError, match="spec.fits: not an? .*file of SDSS: .*surveys.sdss.read"):
        module.read(path)


def test_other_fits_is_refused_with_its_reason(tmp_path):
    path = tmp_path / "image.fits"
    fits.PrimaryHDU(np.zeros((4, 4))).writeto(path)
    with pytest.raises(OSError, match="image.fits: no wavelengths: neither a table nor keywords"):
        surveys.read(path)
    with pytest.raises(ValueError, match="image.fits: not an SDSS spec file"):
        sdss.read(path)


def test_a_file_of_no_survey(tmp_path):
    from specutils import Spectrum

    path = tmp_path / "own.fits"
    own = Spectrum(flux=np.arange(20.0) * u.Jy, spectral_axis=np.arange(5000.0, 5020.0) * u.AA)
    own.write(path, format="tabular-fits")
    (spectrum,) = surveys.read(path, medium="vacuum")
    assert spectrum.flux.unit == u.Jy


def write_sdss_v(path):
    """Write a spec file in the layout of SDSS-V: field and catalogue number, no plate."""
    write_spec(path, upper=True, specobj=False)
    row = {"FIELD": 15000, "MJD": 59146, "CATALOGID": 4375721553, "SDSS_ID": 42}
    columns = [fits.Column(k, "K", array=[v]) for k, v in row.items()]
    reals = {"PLUG_RA": 10.5, "PLUG_DEC": -1.5, "Z": 0.001, "XCSAO_TEFF": 5800.0}
    reals |= {"XCSAO_LOGG": 4.4, "XCSAO_FEH": 0.1, "XCSAO_RV": 12.0, "Z_NOQSO": np.nan}
    columns += [fits.Column(k, "D", array=[v]) for k, v in reals.items()]
    columns += [fits.Column("CLASS", "6A", array=["STAR"])]
    with fits.open(path) as hdus:
        header = hdus[0].header
        for card in ("PLATEID", "FIBERID"):
            header[card] = ""
        header["VERS2D"], header["TELESCOP"] = "v6_1_3", "SDSS 2.5-M"
        spall = fits.BinTableHDU.from_columns(columns, name="SPALL")
        exposure = fits.BinTableHDU(hdus[1].data, name="B1-00353048")
        fits.HDUList([hdus[0], hdus[1], spall, exposure]).writeto(path, overwrite=True)
    return path


def test_sdss_v(tmp_path):
    path = write_sdss_v(tmp_path / "spec-015000-59146-4375721553.fits")
    (spectrum,) = surveys.read(path)  # of a full file the coadded spectrum, no exposures
    meta = spectrum.meta
    assert (meta["object_id"], meta["frame"]) == ("015000-59146-4375721553", "barycentric")
    assert (meta["ra"], meta["dec"]) == (10.5, -1.5)
    assert (meta["label"]["class"], meta["label"]["xcsao_teff"]) == ("STAR", 5800.0)
    assert "z_noqso" not in meta["label"]  # NaN is no label
    assert spectrum.mask.sum() == 1
    # specutils' loader has the same fluxes and wavelengths, and masks all of this file.
    theirs = SpectrumList.read(path, format="SDSS-V spec")[0]
    np.testing.assert_array_equal(
        spectrum.flux.value[~spectrum.mask], theirs.flux.value[~spectrum.mask]
    )
    np.testing.assert_allclose(spectrum.spectral_axis.value, theirs.spectral_axis.value, rtol=1e-6)
    assert theirs.mask.all()


def test_no_star_of_zero_temperature(tmp_path):
    path = write_spec(tmp_path / "spec.fits")
    with fits.open(path) as hdus:
        zeros = [fits.Column(f"ELODIE_{n}", "E", array=[0.0]) for n in ("TEFF", "LOGG", "FEH")]
        table = fits.BinTableHDU.from_columns(hdus[2].columns + fits.ColDefs(zeros))
        fits.HDUList([hdus[0], hdus[1], table]).writeto(path, overwrite=True)
    (spectrum,) = sdss.read(path)
    assert not [key for key in spectrum.meta["label"] if key.startswith("elodie")]
    assert spectrum.meta["frame"] == "heliocentric"


def write_mwm(path, *, visits=None, filled=("BOSS/APO", "APOGEE/LCO")):
    """Write an mwmStar file, or an mwmVisit file of so many visits, in Astra's layout."""
    primary = fits.PrimaryHDU()
    cards = {"V_ASTRA": "0.6.0", "SDSS_ID": 99560000, "RA": 113.0, "DEC": -31.0}
    primary.header.update(cards)
    primary.add_checksum()
    hdus = [primary]
    for name in ("BOSS/APO", "BOSS/LCO", "APOGEE/APO", "APOGEE/LCO"):
        n = (visits or 1) if name in filled else 0
        boss = name.startswith("BOSS")
        start, step = (3.5523, 1e-4) if boss else (4.179, 6e-6)
        rng = np.random.default_rng(len(name))
        flux = rng.normal(50, 1, (n, N)).astype("f4")
        ivar, flags = np.full((n, N), 4.0, "f4"), np.zeros((n, N), "f4")
        ivar[:, 7], flux[:, 7] = 0, np.nan
        flags[:, 20:35] = 1 << np.arange(15)
        temperature = "xcsao_teff" if boss else "doppler_teff"
        columns = [
            fits.Column("sdss_id", "K", array=np.full(n, 99560000)),
            fits.Column("telescope", "6A", array=["apo25m"] * n),
            fits.Column("snr", "E", array=np.full(n, 100.0)),
            fits.Column(temperature, "E", array=5000.0 + np.arange(n)),
        ]
        if visits is None:
            wavelength = np.tile(10 ** (start + step * np.arange(N)), (n, 1))
            columns += [fits.Column("wavelength", f"{N}E", array=wavelength.astype("f4"))]
            mjds = ("min_mjd", "max_mjd")
            columns += [fits.Column("v_rad", "E", array=np.full(n, 115.0))]
        else:
            mjds = ("mjd",)
            columns += [fits.Column("in_stack", "L", array=np.arange(n) > 0)]
        columns += [fits.Column(mjd, "J", array=np.full(n, 60000)) for mjd in mjds]
        pixels = {"flux": flux, "ivar": ivar, "pixel_flags": flags}
        columns += [fits.Column(k, f"{N}E", array=v) for k, v in pixels.items()]
        hdu = fits.BinTableHDU.from_columns(columns, name=name)
        hdu.header.update({"INSTRMNT": name.split("/")[0], "CRVAL": start, "CDELT": step})
        hdu.header.update({"CRPIX": 1, "NPIXELS": N, "CTYPE": "LOG-LINEAR"})
        hdu.add_checksum()
        hdus.append(hdu)
    fits.HDUList(hdus).writeto(path)
    return path


@pytest.mark.parametrize("visits", [None, 1, 3])
def test_mwm(tmp_path, visits):
    path = write_mwm(tmp_path / "mwm.fits", visits=visits)
    boss, infrared = surveys.read(path)
    assert (boss.meta["instrument"], infrared.meta["instrument"]) == ("BOSS", "APOGEE")
    theirs = SpectrumList.read(path, format="SDSS-V mwm")
    for own, other in zip((boss, infrared), theirs, strict=True):
        assert own.flux.shape == other.flux.shape == ((3, N) if visits == 3 else (N,))
        np.testing.assert_array_equal(own.flux.value[~own.mask], other.flux.value[~own.mask])
        np.testing.assert_allclose(own.spectral_axis.value, other.spectral_axis.value, rtol=1e-7)
        assert own.flux.unit == other.flux.unit
        assert own.uncertainty.unit == own.flux.unit**-2
        assert own.meta["medium"] == "vacuum"
        assert "arm" not in own.meta  # two instruments are not arms of one
    # BOSS's flags are of the OR kind: only the weight decides. APOGEE's are those of apStar.
    assert np.flatnonzero(np.atleast_2d(boss.mask)[-1]).tolist() == [7]
    broken = {7} | {20 + bit for bit in apogee.BAD_BITS.values()}
    assert set(np.flatnonzero(np.atleast_2d(infrared.mask)[-1]).tolist()) == broken
    meta = boss.meta
    if visits == 3:
        assert meta["object_id"] == ["99560000"] * 3
        assert meta["frame"] == ["as observed", "rest", "rest"]  # the first was not stacked
        assert meta["label"]["xcsao_teff"] == [5000.0, 5001.0, 5002.0]
        assert meta["ra"] == [113.0] * 3
    else:
        assert (meta["object_id"], meta["ra"]) == ("99560000", 113.0)
        assert meta["label"]["xcsao_teff"] == 5000.0
        assert meta["frame"] == ("as observed" if visits else "rest")


def test_mwm_without_spectra(tmp_path):
    with pytest.raises(ValueError, match="mwm.fits: every table of this mwm file is empty"):
        sdss.read(write_mwm(tmp_path / "mwm.fits", filled=()))


@pytest.mark.slow
def test_real(shared_data):
    good, alive = [], []
    paths = sorted((shared_data / "sdss/real").glob("spec-*.fits"))
    assert len(paths) > 100
    for path in paths:
        (spectrum,) = sdss.read(path)
        assert path.stem == "spec-" + spectrum.meta["object_id"]
        assert spectrum.flux.shape == spectrum.meta["model"].shape == spectrum.mask.shape
        assert np.isfinite(spectrum.flux.value).all()
        assert {"ra", "dec"} <= set(spectrum.meta)
        assert {"class", "z", "zwarning"} <= set(spectrum.meta["label"])
        assert spectrum.meta["label"].get("elodie_teff", 5000.0) > 2000
        ok = ~spectrum.mask
        alive.append(ok.mean() > 0.5)
        if not ok.any():  # one unplugged fibre
            continue
        residual = (spectrum.flux.value - spectrum.meta["model"])[ok]
        good.append(np.median(residual**2 * spectrum.uncertainty.array[ok]) / 0.4549)
    assert np.mean(alive) > 0.99
    assert np.median(good) == pytest.approx(1.0, abs=0.1)


def test_or_mask_is_no_mask(shared_data):
    """Flagged in one exposure: a large share of the pixels, and as good as the others."""
    flagged, squared, clean = [], [], []
    for path in sorted((shared_data / "sdss/real").glob("spec-*.fits"))[::8]:
        (spectrum,) = sdss.read(path)
        with fits.open(path, memmap=False) as hdus:
            names = {name.lower(): name for name in hdus[1].columns.names}
            ever = hdus[1].data[names["or_mask"]] != 0
        ok = ~spectrum.mask
        r2 = (spectrum.flux.value - spectrum.meta["model"]) ** 2 * spectrum.uncertainty.array
        flagged.append(ever.mean())
        squared.append(r2[ok & ever])
        clean.append(r2[ok & ~ever])
    assert np.mean(flagged) > 0.3
    ratio = np.median(np.concatenate(squared)) / np.median(np.concatenate(clean))
    assert ratio == pytest.approx(1.0, abs=0.15)
