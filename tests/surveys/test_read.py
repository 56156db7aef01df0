"""Finding the survey: paths, lists, patterns, open files; SDSS's old generations."""

import warnings

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import StdDevUncertainty
from specutils import Spectrum, SpectrumList

import spectok
from spectok import surveys
from spectok.surveys import sdss
from spectok.surveys._fits import stem_of

from .foreign_files import N, flux

START = 3.5797


def write_sp_spec(path, *, rows=5):
    """Write a file of DR1 to DR7: rows of flux, flux less continuum, error, mask and template."""
    data = np.zeros((rows, N), "f4")
    data[0], data[1], data[2] = flux(), flux() - 10, 0.5
    data[2, 3] = 0
    if rows > 3:
        data[3, [10, 11]] = 1 << 18, 1 << 23  # FULLREJECT; BRIGHTSKY alone breaks no pixel
    primary = fits.PrimaryHDU(data)
    cards = {"COEFF0": START, "COEFF1": 1e-4, "PLATEID": 266, "MJD": 51602, "FIBERID": 7,
             "RAOBJ": 10.5, "DECOBJ": -1.5, "Z": 0.1, "SPEC_CLN": 2, "DC-FLAG": 1, "VACUUM": 1,
             "CTYPE1": "", "CRVAL1": START, "CD1_1": 1e-4, "CRPIX1": 1, "WFITTYPE": "LOG-LINEAR",
             "TELESCOP": "SDSS 2.5-M"}  # fmt: skip
    primary.header.update(cards)
    fits.HDUList([primary]).writeto(path)
    return path


@pytest.mark.parametrize("rows", [3, 4, 5])
def test_sp_spec(tmp_path, rows):
    path = write_sp_spec(tmp_path / "spSpec-51602-0266-007.fit", rows=rows)
    for read in (surveys.read, sdss.read):
        (spectrum,) = read(path)
        right = 10 ** (START + 1e-4 * np.arange(N))
        np.testing.assert_allclose(spectrum.spectral_axis.to_value(u.AA), right, rtol=1e-9)
        np.testing.assert_allclose(spectrum.uncertainty.array[~spectrum.mask], 4.0)
        assert np.flatnonzero(spectrum.mask).tolist() == ([3, 10] if rows > 3 else [3])
        meta = spectrum.meta
        assert (meta["object_id"], meta["ra"], meta["medium"]) == (
            "0266-51602-0007",
            10.5,
            "vacuum",
        )
        assert meta["label"] == {"class": "GALAXY", "z": 0.1}
        assert ("model" in meta) == (rows > 4)


def test_sp_plate(tmp_path):
    shape = (3, N)
    mask = np.zeros(shape, "i4")
    mask[1, 4] = 1 << 24
    primary = fits.PrimaryHDU(flux(shape).astype("f4"))
    primary.header.update({"COEFF0": START, "COEFF1": 1e-4, "PLATEID": 3586, "MJD": 55181})
    values = {"FIBERID": [1, 2, 3], "RA": [1.0] * 3, "DEC": [2.0] * 3}
    columns = [fits.Column(name, "D", array=array) for name, array in values.items()]
    images = [fits.ImageHDU(np.full(shape, 4.0, "f4")), fits.ImageHDU(mask), fits.ImageHDU(mask),
              fits.ImageHDU(np.ones(shape, "f4"))]  # fmt: skip
    plugmap = fits.BinTableHDU.from_columns(columns)
    fits.HDUList([primary, *images, plugmap]).writeto(tmp_path / "spPlate-3586-55181.fits")
    (spectrum,) = surveys.read(tmp_path / "spPlate-3586-55181.fits")
    assert spectrum.flux.shape == shape
    assert spectrum.meta["object_id"][2] == "3586-55181-0003"
    assert np.argwhere(spectrum.mask).tolist() == [[1, 4]]
    assert spectrum.spectral_axis[-1].to_value(u.AA) == pytest.approx(
        10 ** (START + 1e-4 * (N - 1))
    )


def write_own(path, seed=1):
    spectrum = Spectrum(
        flux=flux(seed=seed) * u.Jy,
        spectral_axis=(5000 + np.arange(float(N))) * u.AA,
        uncertainty=StdDevUncertainty(np.ones(N)),
    )
    spectrum.write(path, format="tabular-fits")
    return path


def read(*args, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return surveys.read(*args, **options)


def test_lists_and_patterns(tmp_path):
    names = ["ADP.2014-05-15T16-08-02.250.fits", "ADP.2015-01-02T10-00-00.100.fits"]
    paths = [write_own(tmp_path / name, seed) for seed, name in enumerate(names)]
    for given in (paths, [str(path) for path in paths], tmp_path / "*.fits", iter(paths)):
        found = read(given)
        assert isinstance(found, SpectrumList)
        assert [one.meta["object_id"] for one in found] == [name[:-5] for name in names]
    for given, why in (
        (tmp_path / "*.fit", "no such file"),
        (tmp_path, "this is a folder"),
        ([], "no file is given"),
        ([paths[0], tmp_path / "missing.fits"], "missing.fits: no such file"),
    ):  # fmt: skip
        with pytest.raises(FileNotFoundError, match=why):
            read(given)


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("ADP.2014-05-15T16-08-02.250.fits", "ADP.2014-05-15T16-08-02.250"),
        ("J100000.12+020000.0.fits.gz", "J100000.12+020000.0"),
        ("spec-0266-51602-0031.fits", "spec-0266-51602-0031"),
        ("star_v1.5.csv", "star_v1.5"),
        ("noending", "noending"),
        (".fits", ".fits"),
    ],
)
def test_names_keep_their_dots(name, stem):
    assert stem_of(name) == stem


@pytest.mark.parametrize("opened", ["file", "memory", "data touched"])
def test_open_files(tmp_path, opened):
    """What astroquery hands over: an HDUList, which stays open and whole."""
    path = write_sp_spec(tmp_path / "spSpec-51602-0266-007.fit")
    (right,) = surveys.read(path)
    with fits.open(path) as hdus:
        if opened == "memory":
            hdus = fits.HDUList([hdu.copy() for hdu in hdus])
        elif opened == "data touched":
            assert hdus[0].data is not None
        (spectrum,) = surveys.read(hdus)
        assert hdus[0].data.shape == (5, N)
    np.testing.assert_array_equal(spectrum.flux.value, right.flux.value)
    assert spectrum.meta["object_id"] == "0266-51602-0007"


def test_open_table(tmp_path):
    path = write_own(tmp_path / "own.fits")
    (right,) = read(path)
    with fits.open(path) as hdus:
        (lazy,) = read(hdus)
        assert hdus[1].data is not None
        (touched,) = read(hdus)
        (copied,) = read(fits.HDUList([hdu.copy() for hdu in hdus]))
    for found in (lazy, touched, copied):
        np.testing.assert_array_equal(found.flux.value, right.flux.value)


def test_encode_names_the_reader_for_open_files():
    with pytest.raises(TypeError, match="surveys.read makes spectra of an open HDUList"):
        spectok.encode(fits.HDUList([fits.PrimaryHDU()]))


def test_each_file_is_opened_once(tmp_path, monkeypatch):
    path, opened = write_sp_spec(tmp_path / "spSpec-51602-0266-007.fit"), []
    original = fits.open

    def counting(*args, **options):
        opened.append(args)
        return original(*args, **options)

    monkeypatch.setattr(fits, "open", counting)
    surveys.read(path)
    assert len(opened) == 1


def test_numbers_of_a_name_make_no_galah_star(tmp_path):
    """Four files whose names end in 1 to 4 and which are no cameras stay four."""
    for camera in range(1, 5):
        write_own(tmp_path / f"210115000101001{camera}.fits", camera)
    assert len(read(tmp_path / "*.fits")) == 4


def write_camera(folder, star, camera):
    header = fits.Header({"CRVAL1": (4713.0, 5648.0, 6478.0, 7585.0)[camera - 1], "CDELT1": 0.06})
    path = folder / f"{star}{camera}.fits"
    error = fits.ImageHDU(np.full(N, 0.01, "f4"), name="relative_error")
    fits.HDUList([fits.PrimaryHDU(100 * flux(seed=camera).astype("f4"), header), error]).writeto(
        path
    )
    return path


def test_cameras_of_a_star_are_read_once(tmp_path, tiny):
    stars = ("210115000101001", "210115000101002")
    paths = [write_camera(tmp_path, star, camera) for star in stars for camera in (1, 2, 3, 4)]
    arms = surveys.read(paths)
    assert [arm.meta["object_id"] for arm in arms] == [stars[0]] * 4 + [stars[1]] * 4
    tokens = spectok.encode(arms, arms=True, model=tiny)
    assert list(dict.fromkeys(tokens["object_id"])) == list(stars)
    assert set(tokens["spectrum_index"]) == {0, 1}


def test_command_encodes_a_star_once(tmp_path, tiny_folder, capsys):
    from spectok._cli import main

    paths = [str(write_camera(tmp_path, "210115000101001", camera)) for camera in (1, 2, 3, 4)]
    output = str(tmp_path / "t.fits")
    assert main(["encode", *paths, "-o", output, "--model", str(tiny_folder)]) == 0
    assert "of 1 spectra from 1 of 1 files" in capsys.readouterr().out
    decoded = str(tmp_path / "d.fits")
    grid = ["--grid", "0.47", "0.49", "0.001"]
    command = ["decode", output, "-o", decoded, "--medium", "air", "--model", str(tiny_folder)]
    assert main([*command, *grid]) == 1
    said = capsys.readouterr().err
    assert "no token reaches any of its pixels" in said and "Angstrom" in said
    assert not (tmp_path / "d.fits").exists()
    assert main([*command, "--grid", "4713", "4720", "0.06"]) == 0
    (own,) = surveys.read(decoded)  # what spectok wrote
    assert own.meta["medium"] == "air"
    assert own.meta["object_id"] == "210115000101001"
    assert own.flux.unit == u.ct


def test_modules_of_the_room_import_in_no_circle():
    """Readers know how files are opened, and nothing of each other."""
    import ast
    from graphlib import TopologicalSorter
    from pathlib import Path

    folder = Path(surveys.__file__).parent
    graph = {}
    for path in folder.glob("*.py"):
        found = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level == 1:
                names = [node.module] if node.module else [alias.name for alias in node.names]
                found |= {name for name in names if (folder / f"{name}.py").is_file()}
        graph[path.stem] = found
    assert graph["_read"]
    list(TopologicalSorter(graph).static_order())  # CycleError names the circle
    for reader in ("desi", "galah", "apogee", "_spec", "_lamost"):
        assert not graph[reader] & {"_read", "_sdss", "sdss", "desi", "galah", "apogee"}
