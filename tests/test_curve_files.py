"""The command and light curves."""

import numpy as np
import pytest
import torch
from astropy import units as u
from astropy.io import fits
from astropy.table import QTable

import spectok
from spectok._cli import main
from spectok._curve_files import read_curves
from spectok.simulate import lightcurves


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(3)
    config = spectok.ModelConfig.of_size(
        "tiny", coordinate_unit="d", patch_size=4, token_size=6, embedding_size=8, reader_group=1
    )
    folder = tmp_path_factory.mktemp("m") / "curves"
    return ["--model", str(spectok.save_model(spectok.SpectralTokenizer(config), folder))]


@pytest.fixture
def table():
    mocks = lightcurves.observe("des", 3, seed=1)
    names = np.array(["g", "r", "i", "z"])
    band = np.concatenate(mocks.band)
    return QTable(
        {
            "object_id": np.repeat(["a", "b", "c"], [len(t) for t in mocks.time]),
            "mjd": np.concatenate(mocks.time) * u.d,
            "flux": np.concatenate(mocks.flux) * u.uJy,
            "flux_err": np.concatenate(mocks.sigma) * u.uJy,
            "band": names[np.searchsorted([4820.0, 6410.0, 7810.0, 9250.0], band)],
        }
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["curves.ecsv", "curves.fits"])
def test_there_and_back(name, table, model, tmp_path, capsys):
    file, tokens, vectors, again = (
        str(tmp_path / one) for one in (name, "t.fits", "v.ecsv", "d.ecsv")
    )
    table.write(file)
    assert main(["encode", file, "-o", tokens, *model]) == 0
    found = QTable.read(tokens)
    wanted = spectok.encode(table, model=model[1])
    np.testing.assert_allclose(found["token"], wanted["token"], atol=1e-5)
    assert main(["embed", tokens, "-o", vectors, *model]) == 0
    assert len(QTable.read(vectors)) == 3
    grid = ["--grid", "0", "60", "5", "--band", "r"]
    assert main(["decode", tokens, "-o", again, *grid, *model]) == 0
    long = QTable.read(again)
    assert set(long["object_id"]) == {"a", "b", "c"} and long["flux"].unit == u.uJy
    assert np.isfinite(long["flux"].value).all()
    assert main(["info", tokens]) == 0
    assert "times" in capsys.readouterr().out
    # What comes out is a light curve again.
    assert read_curves(tmp_path / "d.ecsv") is not None


def test_decoding_needs_a_band_and_times(table, model, tmp_path, capsys):
    tokens, out = str(tmp_path / "t.ecsv"), str(tmp_path / "d.ecsv")
    spectok.encode(table, model=model[1]).write(tokens)
    assert main(["decode", tokens, "-o", out, "--grid", "0", "60", "5", *model]) == 1
    assert "give band=" in capsys.readouterr().err
    assert main(["decode", tokens, "-o", out, "--like", tokens, *model]) == 1
    assert "--grid START STOP STEP in days" in capsys.readouterr().err


def test_a_spectrum_is_no_light_curve(tmp_path):
    spectrum = QTable({"wavelength": [1.0, 2.0] * u.AA, "flux": [1.0, 2.0]})
    for name in ("a.ecsv", "a.fits"):
        spectrum.write(tmp_path / name)
        assert read_curves(tmp_path / name) is None
    (tmp_path / "b.fits").write_bytes(b"nothing")
    assert read_curves(tmp_path / "b.fits") is None


def test_files_of_tess_are_read(tmp_path):
    """Its columns, as the mission writes them."""
    time = 1400.0 + 0.02 * np.arange(80)
    columns = [
        fits.Column("TIME", "D", "BJD - 2457000, days", array=time),
        fits.Column("PDCSAP_FLUX", "E", "e-/s", array=1000 + np.sin(time)),
        fits.Column("PDCSAP_FLUX_ERR", "E", "e-/s", array=np.ones(80)),
        fits.Column("QUALITY", "J", array=np.arange(80) == 7),
    ]
    first = fits.PrimaryHDU()
    first.header["TELESCOP"], first.header["OBJECT"] = "TESS", "TIC 1"
    second = fits.BinTableHDU.from_columns(columns, name="LIGHTCURVE")
    second.header.update(BJDREFI=2457000, BJDREFF=0.0, TIMESYS="TDB", TELESCOP="TESS")
    second.header["EXTVER"] = 1
    fits.HDUList([first, second]).writeto(tmp_path / "tess.fits")
    curve = read_curves(tmp_path / "tess.fits")
    assert curve is not None and abs(curve.time.jd[0] - 2458400.0) < 1e-6
    config = spectok.ModelConfig.of_size("tiny", coordinate_unit="d", patch_size=4, token_size=6)
    tokens = spectok.encode(curve, model=spectok.SpectralTokenizer(config))
    assert tokens["n_pixels"].sum() == 79  # without the one that is flagged
    assert tokens.meta["TIMESCAL"] == "tdb" and set(tokens["band"].value) == {7865.0}
