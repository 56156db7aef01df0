"""Many files into one table: the same as one by one, but encoded together."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from astropy import units as u
from astropy.io import fits
from astropy.table import QTable
from astropy.time import Time
from astropy.timeseries import TimeSeries

import spectok
from spectok import _file_batches, _many_files, surveys
from spectok._convert import are_arms
from spectok._many_files import encode_files

pytestmark = pytest.mark.filterwarnings("ignore::astropy.utils.exceptions.AstropyUserWarning")


def write(path, seed, n_pixels=640, unit="Jy", **meta):
    rng = np.random.default_rng(seed)
    flux = rng.normal(10.0, 1.0, n_pixels)
    table = QTable(
        {
            "wavelength": (4000.0 + np.arange(n_pixels)) * u.AA,
            "flux": flux * u.Unit(unit),
            "error": np.ones(n_pixels) * u.Unit(unit),
        }
    )
    table.meta.update(MEDIUM="vacuum", **meta)
    table.write(path)
    return path


@pytest.fixture
def files(tmp_path):
    """Of several lengths, two units that convert and, in the middle, one that is broken."""
    paths = []
    for k in range(9):
        unit = "Jy" if k != 4 else "mJy"
        name = tmp_path / f"star{k}.ecsv"
        paths.append(write(name, k, 640 + 320 * (k % 3), unit, z=0.1 * k))
    paths.insert(6, tmp_path / "broken.fits")
    paths[6].write_bytes(b"SIMPLE  =                    T" + b"\0" * 3000)
    return paths


def one_by_one(files, **options):
    tables = []
    for file in files:
        spectra = surveys.read(file)
        table = spectok.encode(spectra, arms=are_arms(spectra), **options)
        names = np.asarray(table["object_id"]).astype(str)
        if (names == table["spectrum_index"].astype(str)).all():
            table["object_id"] = [file.stem] * len(table)
        tables.append(table)
    return spectok.concatenate(tables)


def same(found, wanted):
    assert found.colnames == wanted.colnames and found.meta == wanted.meta
    rms = np.sqrt(np.mean(wanted["token"] ** 2))
    for name in wanted.colnames:
        one, other = found[name], wanted[name]
        assert getattr(one, "unit", None) == getattr(other, "unit", None), name
        if name == "token":  # batches of other sizes: the last bits
            assert np.abs(one - other).max() < 1e-5 * rms
        else:
            np.testing.assert_array_equal(np.ma.getdata(one), np.ma.getdata(other), name)


def test_the_same_as_one_by_one(files, tiny):
    done = encode_files(files, model=tiny, keep=["z"], progress=False)
    good = [file for file in files if file.suffix == ".ecsv"]
    assert done.encoded == good and len(done.tables) < len(good)
    ((broken, why),) = done.failed
    assert broken.name == "broken.fits" and "not a readable FITS file" in why
    same(done.joined(), one_by_one(good, model=tiny, keep=["z"]))


def test_real_files_are_the_same_as_one_by_one(shared_data, desi_data):
    """Names from the files, arms, spectra of fibres without an object."""
    files = sorted((shared_data / "sdss/real").glob("spec-*.fits"))[:12]
    files += sorted(desi_data.glob("coadd-*.fits"))
    done = encode_files(files, keep=["ra", "z"], progress=False)
    assert len(done.tables) == 2 and not done.failed
    same(done.joined(), one_by_one(files, keep=["ra", "z"]))


def test_files_are_read_as_they_are_needed(files, tiny, monkeypatch):
    monkeypatch.setattr(_file_batches, "_SPECTRA", 3)
    waiting, most = 0, []
    read, encode = _many_files.read_content, _many_files.encode_run

    def reads(*args, **options):
        nonlocal waiting
        content = read(*args, **options)
        waiting += 1
        return content

    def encodes(contents, **options):
        nonlocal waiting
        most.append(waiting)
        waiting -= len(contents)
        return encode(contents, **options)

    monkeypatch.setattr(_many_files, "read_content", reads)
    monkeypatch.setattr(_many_files, "encode_run", encodes)
    done = encode_files(files, model=tiny, progress=False)
    assert len(done.encoded) == 9 and max(most) <= 4  # a full batch, and the next file


@pytest.mark.parametrize(("errors", "n_failed"), [("row", 1), ("raise", 2)])
def test_bad_spectra_cost_their_file(errors, n_failed, files, tiny, tmp_path, monkeypatch):
    """Of one file nothing can be used, of another one spectrum of two."""
    read = surveys.read
    (good,) = read(files[0])
    descending = type(good)(
        flux=good.flux, spectral_axis=np.r_[4000.0, 4000.0, 4001.0 + np.arange(638)] * u.AA
    )
    given = {files[1]: [descending], files[2]: [*read(files[2]), descending]}
    monkeypatch.setattr(
        "spectok.surveys.read", lambda path, **o: given.get(path) or read(path, **o)
    )
    files = [file for file in files if file.suffix == ".ecsv"]
    done = encode_files(files, model=tiny, errors=errors, progress=False)
    assert [path for path, _ in done.failed] == files[1 : 1 + n_failed]
    assert all("wavelength" in why for _, why in done.failed)
    table = done.joined()
    index = np.unique(table["spectrum_index"])
    assert list(index) == list(range(len(index)))
    told = spectok.refusals(table)
    if errors == "row":
        assert list(told["object_id"]) == ["star2:1"] and "wavelength" in told["reason"][0]
    else:
        assert len(told) == 0
    rest = [file for file in files if file not in files[1:3]]
    others = np.isin(table["object_id"], [file.stem for file in rest])
    wanted = one_by_one(rest, model=tiny)
    np.testing.assert_allclose(table["token"][others], wanted["token"], atol=1e-5)


def interrupted(monkeypatch, at):
    """Encoding is interrupted at these calls."""
    encode, calls = _many_files.encode_run, []

    def stops(contents, **options):
        calls.append(len(contents))
        if len(calls) in at:
            raise KeyboardInterrupt
        return encode(contents, **options)

    monkeypatch.setattr(_many_files, "encode_run", stops)
    monkeypatch.setattr(_file_batches, "_SPECTRA", 3)


@pytest.mark.parametrize(("at", "n_encoded"), [((2,), 4), ((2, 3), 3), ((1, 2), 0)])
def test_ctrl_c_keeps_what_was_read(at, n_encoded, files, tiny, monkeypatch):
    """A second one gives up what was being encoded, and nothing else."""
    interrupted(monkeypatch, at)
    done = encode_files(files, model=tiny, progress=False)
    assert done.interrupted and done.encoded == files[:n_encoded]
    if n_encoded:
        same(done.joined(), one_by_one(files[:n_encoded], model=tiny))


def test_light_curves_of_many_files(tmp_path):
    torch.manual_seed(0)
    config = spectok.ModelConfig.of_size("tiny", coordinate_unit="d", patch_size=4, token_size=6)
    model = spectok.SpectralTokenizer(config)
    rng = np.random.default_rng(0)
    files, curves = [], []
    for k in range(4):
        time = Time(59000.0 + np.sort(rng.uniform(0, 20, 60)), format="mjd", scale="tdb")
        curve = TimeSeries(
            {"flux": rng.normal(5, 1, 60) * u.uJy, "flux_err": np.ones(60) * u.uJy}, time=time
        )
        curve.meta["band"] = "r"
        if k % 2:
            curve.meta["object_id"] = f"SN{k}"
        files.append(tmp_path / f"curve{k}.ecsv")
        curve.write(files[-1])
        curves.append(curve)
    done = encode_files(files, curve_model=model, progress=False)
    assert len(done.tables) == 1 and done.encoded == files
    found, wanted = done.joined(), spectok.encode(curves, model=model)
    assert list(dict.fromkeys(found["object_id"])) == ["curve0", "SN1", "curve2", "SN3"]
    np.testing.assert_allclose(found["token"], wanted["token"], atol=1e-5)
    # Spectra among them need a table of their own.
    spectrum = write(tmp_path / "spectrum.ecsv", 0)
    done = encode_files([*files, spectrum], curve_model=model, progress=False)
    ((path, why),) = done.failed
    assert path == spectrum and "need tables of their own" in why


def test_headers_of_large_tables_are_not_looked_through(tmp_path, tiny, monkeypatch):
    """A catalogue of 130 columns beside a spectrum cost more than the spectrum."""
    columns = [fits.Column(f"c{k}", "E", array=np.zeros(1)) for k in range(130)]
    spectrum = write(tmp_path / "a.fits", 0)
    with fits.open(spectrum, mode="append") as hdus:
        hdus.append(fits.BinTableHDU.from_columns(columns, name="SPALL"))
    asked = []
    of = fits.BinTableHDU.columns

    def columns_of(self):
        asked.append(self.name)
        return of.__get__(self)

    monkeypatch.setattr(fits.BinTableHDU, "columns", property(columns_of))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        done = encode_files([Path(spectrum)], model=tiny, progress=False)
    assert len(done.encoded) == 1 and "SPALL" not in asked
