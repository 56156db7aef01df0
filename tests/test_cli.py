"""The command: what it writes, what it says, how it ends."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.nddata import StdDevUncertainty
from astropy.table import QTable
from specutils import Spectrum
from specutils.utils.wcs_utils import air_to_vac

import spectok
from spectok import simulate
from spectok._cli import main
from spectok._demo import _there_and_back


@pytest.fixture
def mock_files(tmp_path):
    """Two readable spectrum files of one survey, without identifiers."""
    paths = []
    for number, spectrum in enumerate(simulate.observe("sdss", 2, seed=3, snr=20)):
        ivar = np.where(spectrum.mask, np.nan, spectrum.uncertainty.array)
        table = QTable(
            {
                "wavelength": spectrum.spectral_axis.value[:640] * u.AA,
                "flux": spectrum.flux[:640],
                "uncertainty": ivar[:640] ** -0.5 * spectrum.flux.unit,
            }
        )
        table.meta["MEDIUM"] = "vacuum"  # a file that does not say it is warned of
        paths.append(tmp_path / f"star{number}.ecsv")
        table.write(paths[-1])
    return [str(path) for path in paths]


@pytest.fixture
def model(tiny_folder):
    return ["--model", str(tiny_folder)]


def test_help_imports_nothing_heavy():
    """The only way to answer at once is not to import torch, astropy and specutils."""
    code = (
        "import sys; from spectok._cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "heavy = {'torch', 'astropy', 'specutils', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for command in ("encode", "embed", "decode", "plot", "info", "demo"):
        assert command in done.stdout


def test_module_runs_as_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "spectok", "--version"], capture_output=True, text=True
    )
    assert done.returncode == 0
    assert done.stdout.startswith("spectok 0.")


def test_without_a_command_shows_help(capsys):
    assert main([]) == 2
    assert "COMMAND" in capsys.readouterr().out


@pytest.mark.parametrize("suffix", ["fits", "ecsv", "parquet", "hdf5"])
def test_encode_then_decode(mock_files, model, tmp_path, capsys, suffix):
    output = str(tmp_path / f"tokens.{suffix}")
    assert main(["encode", *mock_files, "-o", output, *model]) == 0
    assert "40 valid tokens of 2 spectra from 2 of 2 files" in capsys.readouterr().out
    decoded = tmp_path / f"spectra.{suffix}"
    grid = ["--grid", "3850", "3950", "0.5"]
    assert main(["decode", output, "-o", str(decoded), *grid, *model]) == 0
    options = {"path": "tokens"} if suffix == "hdf5" else {}
    table = QTable.read(decoded, **options)
    assert list(table["object_id"].astype(str)) == ["star0", "star1"]
    assert table["flux"].shape == table["uncertainty"].shape == (2, 200)
    assert np.isfinite(table["flux"].value).all()
    assert not table["mask"].any()


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["fits", "ecsv", "parquet", "hdf5"])
def test_encode_then_embed(mock_files, tmp_path, capsys, suffix):
    tokens, output = (str(tmp_path / f"{name}.{suffix}") for name in ("tokens", "vectors"))
    assert main(["encode", *mock_files, "-o", tokens]) == 0
    capsys.readouterr()
    assert main(["embed", tokens, "-o", output]) == 0
    assert capsys.readouterr().out == f"{output}: 2 embeddings of 128 numbers\n"
    options = {"path": "tokens"} if suffix == "hdf5" else {}
    table = QTable.read(output, **options)
    assert list(table["object_id"].astype(str)) == ["star0", "star1"]
    expected = spectok.embed(QTable.read(tokens, **options))
    assert np.array_equal(np.asarray(table["embedding"]), expected["embedding"])
    assert main(["embed", tokens, "-o", output]) == 1
    assert "give another output, or --overwrite it" in capsys.readouterr().err


def test_embed_with_a_model_without_a_reader(mock_files, model, tmp_path, capsys):
    tokens = str(tmp_path / "tokens.fits")
    assert main(["encode", mock_files[0], "-o", tokens, *model]) == 0
    capsys.readouterr()
    assert main(["embed", tokens, "-o", str(tmp_path / "v.fits"), *model]) == 1
    assert "has no reader" in capsys.readouterr().err
    assert not (tmp_path / "v.fits").exists()


def test_decode_like_a_file(mock_files, model, tmp_path):
    tokens, spectra = str(tmp_path / "tokens.fits"), str(tmp_path / "spectra.fits")
    assert main(["encode", mock_files[0], "-o", tokens, *model]) == 0
    assert main(["decode", tokens, "-o", spectra, "--like", mock_files[1], *model]) == 0
    assert QTable.read(spectra)["flux"].shape == (1, 640)


def test_desi_coadd_has_one_sequence_per_target(desi_data, model, tmp_path):
    output = tmp_path / "tokens.fits"
    file = str(desi_data / "coadd-sv3-dark-26065.fits")
    with pytest.warns(UserWarning, match="3 of 5 spectra have not one good patch"):
        assert main(["encode", file, "-o", str(output), *model]) == 0
    tokens = QTable.read(output)
    assert len(set(tokens["object_id"])) == 5
    live = tokens[np.asarray(tokens["valid"])]
    assert len(set(live["object_id"])) == 2
    assert live["wavelength"].max().value > 9000  # all three arms


def test_a_bad_file_costs_only_itself(mock_files, model, tmp_path, capsys):
    bad = tmp_path / "broken.fits"
    bad.write_bytes(b"SIMPLE  =                    T" + b"\0" * 3000)
    missing = str(tmp_path / "nowhere.fits")
    output = tmp_path / "tokens.fits"
    arguments = ["encode", mock_files[0], str(bad), missing, mock_files[1], "-o", str(output)]
    assert main([*arguments, *model]) == 1
    said = capsys.readouterr()
    assert "2 spectra from 2 of 4 files" in said.out
    assert "broken.fits" in said.err
    assert "nowhere.fits: no such file" in said.err
    assert "2 of 4 files failed" in said.err
    assert len(set(QTable.read(output)["object_id"])) == 2


def test_nothing_readable_writes_nothing(model, tmp_path, capsys):
    output = tmp_path / "tokens.fits"
    assert main(["encode", str(tmp_path / "no.fits"), "-o", str(output), *model]) == 1
    assert "nothing was written" in capsys.readouterr().err
    assert not output.exists()


def test_other_flux_units_are_a_bad_file(mock_files, model, tmp_path, capsys):
    table = QTable.read(mock_files[1])
    for name in ("flux", "uncertainty"):
        table[name] = table[name].value * 1.0
    table["flux"].unit = table["uncertainty"].unit = "ct"
    counts = tmp_path / "counts.ecsv"
    table.write(counts)
    output = tmp_path / "tokens.fits"
    assert main(["encode", mock_files[0], str(counts), "-o", str(output), *model]) == 1
    said = capsys.readouterr().err
    assert "counts.ecsv" in said
    assert "does not convert" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["encode", "a.fits", "-o", "tokens.txt"], "tables end in .fits"),
        (["encode", "a.fits", "-o", "no/such/folder/tokens.fits"], "does not exist"),
        (["decode", "no.fits", "-o", "out.fits", "--grid", "1", "2", "1"], "no such file"),
        (["info", "small-v999"], "no model 'small-v999'"),
        (["plot", "no.fits"], "no such file"),
        (["demo", "no.fits"], "no such file"),
    ],
)
def test_mistakes_are_one_clear_line(arguments, message, capsys):
    assert main(arguments) == 1
    said = capsys.readouterr().err
    assert message in said
    assert said.startswith(f"spectok {arguments[0]}: ")
    assert said.count("\n") == 1


def test_a_bad_grid_is_refused(mock_files, model, tmp_path, capsys):
    tokens = str(tmp_path / "tokens.fits")
    main(["encode", mock_files[0], "-o", tokens, *model])
    output = str(tmp_path / "spectra.fits")
    assert main(["decode", tokens, "-o", output, "--grid", "5000", "4000", "1", *model]) == 1
    assert "START < STOP" in capsys.readouterr().err


def test_info_of_a_model_and_of_a_table(mock_files, model, tmp_path, capsys):
    tokens = str(tmp_path / "tokens.ecsv")
    main(["encode", mock_files[0], "-o", tokens, *model])
    capsys.readouterr()
    assert main(["info", tokens]) == 0
    of_table = capsys.readouterr().out
    assert main(["info", model[1]]) == 0
    of_model = capsys.readouterr().out
    sha256 = next(line.split()[-1] for line in of_model.splitlines() if "sha256" in line)
    assert len(sha256) == 64
    assert sha256 in of_table
    assert re.search(r"parameters +[\d,]+\n", of_model)


@pytest.mark.slow
def test_plot_of_a_spectrum_and_of_tokens(mock_files, model, tmp_path):
    tokens = str(tmp_path / "tokens.fits")
    main(["encode", mock_files[0], "-o", tokens, *model])
    for file, name in ((mock_files[0], "spectrum.png"), (tokens, "tokens.png")):
        picture = tmp_path / name
        assert main(["plot", file, "-o", str(picture), *model]) == 0
        assert picture.read_bytes()[:4] == b"\x89PNG"


@pytest.mark.slow
def test_demo_writes_table_and_picture(tmp_path, capsys, desi_data):
    assert main(["demo", "-o", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert said.count("a dead fibre?") == 3
    tokens = QTable.read(tmp_path / "spectok-demo-tokens.fits")
    assert len(set(tokens["object_id"])) == 6
    picture = tmp_path / "spectok-demo.png"
    assert picture.stat().st_size > 50_000
    for path in (tmp_path / "spectok-demo-tokens.fits", picture):
        assert str(path.resolve()) in said


def test_demo_of_a_file(mock_files, tmp_path, capsys):
    assert main(["demo", mock_files[0], "-o", str(tmp_path)]) == 0
    ((snr, score),), _ = printed(capsys)
    assert snr > 5
    assert 0.3 < score < 5
    assert (tmp_path / "spectok-demo.png").is_file()


def spectrum_of(flux, sigma, **options):
    wavelength = np.linspace(4000.0, 5000.0, flux.shape[options.get("spectral_axis_index", -1)])
    uncertainty = None if sigma is None else StdDevUncertainty(sigma)
    return Spectrum(flux=flux, spectral_axis=wavelength * u.AA, uncertainty=uncertainty, **options)


@pytest.fixture
def noisy():
    """A flat spectrum of signal to noise 10 in Jy."""
    return np.random.default_rng(0).normal(10.0, 1.0, 960) * u.Jy


def printed(capsys):
    """Signal to noise and score of each spectrum that the demo printed."""
    said = capsys.readouterr().out
    return [
        tuple(map(float, found))
        for found in re.findall(r"S/N (\S+) per pixel.*0\.4549 = (\S+) ", said)
    ], said


@pytest.mark.slow
def test_demo_reads_errors_in_their_own_unit(noisy, capsys):
    _there_and_back("mJy", [spectrum_of(noisy, np.full(960, 1000.0) * u.mJy)])
    ((snr, score),), _ = printed(capsys)
    assert snr == pytest.approx(10, rel=0.1)
    assert 0.5 < score < 2


@pytest.mark.parametrize("place", [0, 2])
def test_demo_of_a_cube(noisy, capsys, place):
    flux = np.moveaxis(np.tile(noisy, (2, 3, 1)), -1, place)
    sigma = np.ones(flux.shape) * u.Jy
    _there_and_back("cube", [spectrum_of(flux, sigma, spectral_axis_index=place)])
    scores, _ = printed(capsys)
    assert len(scores) == 6
    assert all(0.5 < score < 2 for _, score in scores)


def test_demo_without_errors_gives_no_score(noisy, capsys):
    _, panel = _there_and_back("bare", [spectrum_of(noisy, None)])
    scores, said = printed(capsys)
    assert not scores
    assert "no errors came with it" in said
    assert panel is not None


def test_demo_of_air_wavelengths(noisy, capsys):
    """The same spectrum with its axis in air and in vacuum has the same score."""
    sigma = np.ones(960) * u.Jy
    in_air = spectrum_of(noisy, sigma, meta={"medium": "air"})
    vacuum = air_to_vac(np.linspace(4000.0, 5000.0, 960) * u.AA, scheme="iteration")
    in_vacuum = Spectrum(
        flux=noisy, spectral_axis=vacuum, uncertainty=StdDevUncertainty(sigma), meta={}
    )
    for spectrum in (in_air, in_vacuum):
        _there_and_back("one", [spectrum])
    scores, _ = printed(capsys)
    assert len(scores) == 2
    assert scores[0] == scores[1]


@pytest.mark.slow
def test_plot_of_air_wavelengths(model, tmp_path, shared_data):
    """Decoding refuses to guess the medium of spectra in air: the command must say it."""
    file = shared_data / "galah" / "real" / "com" / "2101150001010011.fits"
    picture = tmp_path / "star.png"
    assert main(["plot", str(file), "-o", str(picture), *model]) == 0
    assert picture.stat().st_size > 20_000


def test_decode_like_several_spectra_is_refused(mock_files, model, tmp_path, capsys, monkeypatch):
    tokens = str(tmp_path / "tokens.fits")
    main(["encode", mock_files[0], "-o", tokens, *model])
    monkeypatch.setattr("spectok.surveys.read", lambda path, **_: simulate.observe("sdss", 2))
    output = str(tmp_path / "spectra.fits")
    assert main(["decode", tokens, "-o", output, "--like", "two.fits", *model]) == 1
    assert "holds 2 spectra" in capsys.readouterr().err


def test_a_device_that_is_not_there(mock_files, tmp_path, capsys):
    output = str(tmp_path / "tokens.fits")
    assert main(["encode", *mock_files, "-o", output, "--device", "abacus"]) == 1
    said = capsys.readouterr().err
    assert "device 'abacus' cannot be used; at hand: cpu" in said
    assert said.count("\n") == 1


# ------------------------------------------------------------------ nothing lost, nothing twice


def n_spectra(path):
    return len(set(QTable.read(path)["spectrum_index"]))


@pytest.mark.slow
def test_nothing_is_overwritten_unasked(mock_files, model, tmp_path, capsys):
    output = tmp_path / "tokens.fits"
    assert main(["encode", mock_files[0], "-o", str(output), *model]) == 0
    before = output.read_bytes()
    assert main(["encode", *mock_files, "-o", str(output), *model]) == 1
    grid = ["--grid", "3850", "3950", "1"]
    assert main(["decode", str(output), "-o", str(output), *grid, *model]) == 1
    assert main(["decode", str(output), "-o", str(output), *grid, "--overwrite", *model]) == 1
    said = capsys.readouterr().err.splitlines()
    assert "exists: give another output, or --overwrite it" in said[0]
    assert all("is read by this command" in line for line in said[1:])
    assert output.read_bytes() == before
    assert main(["encode", *mock_files, "-o", str(output), "--overwrite", *model]) == 0
    assert n_spectra(output) == 2
    # A spectrum that is named as an input is no output, whatever is asked for.
    source = tmp_path / "spectrum.fits"
    source.write_bytes(Path(mock_files[0]).read_bytes())
    before = source.read_bytes()
    both = [str(source), mock_files[1], "-o", str(source), "--overwrite", *model]
    assert main(["encode", *both]) == 1
    assert "is read by this command: give another output" in capsys.readouterr().err
    assert source.read_bytes() == before
    spectra = str(tmp_path / "spectra.fits")
    for extra, status in (([], 0), ([], 1), (["--overwrite"], 0)):
        assert main(["decode", str(output), "-o", spectra, *grid, *extra, *model]) == status
    assert [p.name for p in tmp_path.iterdir() if "part" in p.name] == []


def test_a_failed_write_leaves_the_old_table(mock_files, model, tmp_path, monkeypatch, capsys):
    output = tmp_path / "tokens.fits"
    assert main(["encode", mock_files[0], "-o", str(output), *model]) == 0
    before = output.read_bytes()

    def full(self, path, **options):
        path.write_bytes(b"half of it")
        raise OSError("no space left on device")

    monkeypatch.setattr(QTable, "write", full)
    assert main(["encode", *mock_files, "-o", str(output), "--overwrite", *model]) == 1
    assert "no space left" in capsys.readouterr().err
    assert output.read_bytes() == before
    assert not [p for p in tmp_path.iterdir() if "part" in p.name]


@pytest.mark.slow
def test_token_tables_among_the_files_are_left_out(mock_files, model, tmp_path, capsys):
    output, other = (str(tmp_path / name) for name in ("tokens.fits", "more.ecsv"))
    assert main(["encode", mock_files[0], "-o", output, *model]) == 0
    arguments = ["encode", output, *mock_files, "-o", other, *model]
    assert main(arguments) == 0
    said = capsys.readouterr()
    assert "2 spectra from 2 of 3 files" in said.out
    assert "tokens.fits: left out: it is a token table" in said.err
    assert main(["encode", output, "-o", str(tmp_path / "none.fits"), *model]) == 1
    assert "no file was encoded; nothing was written" in capsys.readouterr().err
    # The output of an earlier run among the files, as *.ecsv has it.
    assert main([*arguments[:1], other, *arguments[1:], "--overwrite"]) == 0
    assert n_spectra(other) == 2


def test_the_same_spectra_are_encoded_once(mock_files, model, tmp_path, capsys):
    copy = tmp_path / "copy.ecsv"
    copy.write_bytes(Path(mock_files[0]).read_bytes())
    output = str(tmp_path / "tokens.fits")
    files = [mock_files[0], mock_files[0], str(copy), mock_files[1]]
    assert main(["encode", *files, "-o", output, *model]) == 0
    assert "copy.ecsv: left out: the same spectra as" in capsys.readouterr().err
    assert n_spectra(output) == 2


def test_folders_are_searched(mock_files, model, tmp_path, capsys):
    folder = tmp_path / "archive" / "night"
    folder.mkdir(parents=True)
    for file in mock_files:
        (folder / Path(file).name).write_bytes(Path(file).read_bytes())
    (folder / "notes.txt").write_text("clouds")
    (folder / ".hidden.fits").write_text("no FITS")
    output = str(tmp_path / "tokens.fits")
    assert main(["encode", str(tmp_path / "archive"), "-o", output, *model]) == 0
    assert n_spectra(output) == 2
    (tmp_path / "empty").mkdir()
    assert main(["encode", str(tmp_path / "empty"), "-o", output, "--overwrite", *model]) == 1
    assert "no file in this folder ends in .fits" in capsys.readouterr().err


def test_ctrl_c_keeps_what_was_encoded(mock_files, model, tmp_path, capsys, monkeypatch):
    from spectok import surveys

    def read(path, **options):
        if str(path) == mock_files[1]:
            raise KeyboardInterrupt
        return surveys_read(path, **options)

    surveys_read = surveys.read
    monkeypatch.setattr("spectok.surveys.read", read)
    output = str(tmp_path / "tokens.fits")
    assert main(["encode", *mock_files, "-o", output, *model]) == 130
    assert "interrupted after 1 of 2 files" in capsys.readouterr().err
    assert n_spectra(output) == 1


def test_ctrl_c_elsewhere_is_one_line(tmp_path, capsys, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("spectok._demo.run", stop)
    assert main(["demo"]) == 130
    assert capsys.readouterr().err == "spectok demo: interrupted\n"


def test_a_grid_that_no_token_reaches_writes_nothing(mock_files, model, tmp_path, capsys):
    tokens, output = str(tmp_path / "tokens.fits"), tmp_path / "spectra.fits"
    main(["encode", mock_files[0], "-o", tokens, *model])
    grid = ["--grid", "385", "395", "1"]  # nm
    assert main(["decode", tokens, "-o", str(output), *grid, *model]) == 1
    assert "no token reaches any of its pixels" in capsys.readouterr().err
    assert not output.exists()


def masked_file(path, n_bad=640):
    wavelength = 4000.0 + np.arange(640)
    flux = np.random.default_rng(0).normal(10.0, 1.0, 640)
    flux[:n_bad] = np.nan
    table = {"wavelength": wavelength * u.AA, "flux": flux * u.Jy, "error": np.ones(640) * u.Jy}
    QTable(table, meta={"MEDIUM": "vacuum"}).write(path)
    return str(path)


@pytest.mark.filterwarnings("ignore:.*not one good patch")
def test_nothing_but_bad_spectra_is_a_failure(model, tmp_path, capsys):
    file = masked_file(tmp_path / "dead.ecsv")
    output = tmp_path / "tokens.fits"
    assert main(["encode", file, "-o", str(output), *model]) == 1
    assert "not one spectrum has a valid token" in capsys.readouterr().err
    assert n_spectra(output) == 1  # the row stays, with its reason
    assert main(["demo", file, "-o", str(tmp_path)]) == 1
    assert main(["plot", file, "-o", str(tmp_path / "a.png"), *model]) == 1
    assert "has a valid token, so there is nothing to decode" in capsys.readouterr().err


@pytest.mark.slow
def test_pictures_are_written_here_and_never_over_data(
    mock_files, model, tmp_path, capsys, monkeypatch
):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    assert main(["plot", mock_files[0], *model]) == 0
    assert [path.name for path in here.iterdir()] == ["star0.png"]
    assert main(["plot", mock_files[0], "-o", mock_files[0], *model]) == 1
    assert "pictures end in .png" in capsys.readouterr().err
    picture = here / "star0.png"
    assert main(["plot", str(picture), *model]) == 1
    assert "is read by this command" in capsys.readouterr().err


def test_keep_and_format(desi_data, model, tmp_path, capsys):
    output = str(tmp_path / "tokens.fits")
    file = str(desi_data / "coadd-sv3-dark-26065.fits")
    with pytest.warns(UserWarning, match="not one good patch"):
        assert main(["encode", file, "-o", output, "--keep", "ra", "dec", *model]) == 0
    tokens = QTable.read(output)
    assert np.isfinite(tokens["ra"]).all() and len(set(tokens["dec"])) == 5
    capsys.readouterr()
    assert main(["encode", file, "-o", str(tmp_path / "b.fits"), "--format", "nonsense"]) == 1
    assert "nonsense" in capsys.readouterr().err


def test_info_of_a_table_says_what_is_in_it(mock_files, model, tmp_path, capsys):
    file = masked_file(tmp_path / "half.ecsv", n_bad=320)
    tokens = str(tmp_path / "tokens.fits")
    main(["encode", file, "-o", tokens, *model])
    capsys.readouterr()
    assert main(["info", tokens]) == 0
    said = capsys.readouterr().out
    assert re.search(r"spectra +1\n", said)
    assert re.search(r"tokens +20, 50.0% of them valid", said)
    assert re.search(r"wavelengths +4320.00 to 4639.00 Angstrom", said)
    assert re.search(r"flux unit +Jy", said)


def test_info_of_a_spectrum_is_a_first_look(mock_files, tmp_path, capsys):
    assert main(["info", mock_files[0]]) == 0
    said = capsys.readouterr().out
    assert re.search(r"object +\S+", said) and re.search(r"looks like +\S+: \w+, redshift", said)
    assert re.search(r"as far from others +[\d.]+% of ordinary spectra", said)
    assert "no class and no redshift: they were learned from spectra that cover 1,500" in said
    (tmp_path / "nothing.txt").write_text("nothing")
    assert main(["info", str(tmp_path / "nothing.txt")]) == 1
    assert "nothing.txt" in capsys.readouterr().err


def test_info_of_a_whole_spectrum_says_its_class_and_redshift(tmp_path, capsys):
    from spectok import simulate

    (quasar,) = simulate.observe("sdss", 1, kind="quasar", seed=8, snr=40)
    file = str(tmp_path / "quasar.fits")
    quasar.write(file, format="tabular-fits")
    assert main(["info", file, "--medium", "vacuum", "--format", "tabular-fits"]) == 0
    said = capsys.readouterr().out
    assert re.search(r"class +QSO \(probability [01]\.\d\d\)", said) and "but" not in said
    found = re.search(
        r"redshift +(\d\.\d{4}) \(probability ([01]\.\d\d) within 1,000 km/s\)", said
    )
    true = quasar.meta["label"]["redshift"]
    assert float(found[1]) == pytest.approx(true, abs=0.003 * (1.0 + true))
    assert float(found[2]) > 0.9


def test_how_to_read_what_is_no_spectrum_file_is_refused(mock_files, model, tmp_path, capsys):
    tokens = str(tmp_path / "tokens.fits")
    main(["encode", mock_files[0], "-o", tokens, *model])
    for name, said in ((tokens, f"{tokens} is none"), ("small-v1", "small-v1 is none")):
        assert main(["info", name, "--medium", "air"]) == 1
        assert said in capsys.readouterr().err
    assert main(["info", "--format", "tabular-fits"]) == 1
    assert "no file is given" in capsys.readouterr().err


def test_names_that_fits_cannot_hold_are_escaped(tmp_path, tiny, make_arrays):
    import spectok
    from spectok._table_files import write_table

    tokens = spectok.encode_arrays(*make_arrays(64), object_id=["β Pic"], model=tiny)
    with pytest.warns(UserWarning, match="FITS holds ASCII only; other letters in object_id"):
        write_table(tokens, str(tmp_path / "t.fits"))
    assert QTable.read(tmp_path / "t.fits")["object_id"][0] == "\\u03b2 Pic"
    assert tokens["object_id"][0] == "β Pic"
    write_table(tokens, str(tmp_path / "t.ecsv"))
    assert QTable.read(tmp_path / "t.ecsv")["object_id"][0] == "β Pic"


def test_files_of_another_kind_are_named(mock_files, tmp_path, capsys):
    spectrum = mock_files[0]
    assert main(["embed", spectrum, "-o", str(tmp_path / "v.fits")]) == 1
    said = capsys.readouterr().err
    assert f"{spectrum}: this is no token table: spectok encode makes one of spectra" in said
    grid = ["--grid", "4000", "4500", "1"]
    assert main(["decode", spectrum, "-o", str(tmp_path / "d.fits"), *grid]) == 1
    said = capsys.readouterr().err
    assert "it lacks the columns token, spectrum_index" in said and "encode its spectra" in said
    assert main(["info", str(tmp_path / "nothing.fits")]) == 1
    assert "nothing.fits: no such file, and no model of this name" in capsys.readouterr().err
    vectors = QTable({"spectrum_index": [0], "embedding": [[1.0, 2.0]]})
    vectors.write(tmp_path / "v.ecsv")
    assert main(["info", str(tmp_path / "v.ecsv")]) == 1
    assert "this is a table of embeddings, no spectrum" in capsys.readouterr().err
