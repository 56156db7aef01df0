"""Survey files to packs: what goes in, what is left out and said."""

import re

import numpy as np
import pytest
from safetensors import safe_open

pytest.importorskip("lightning", reason="the extra 'training' is not installed")

from spectok import surveys
from spectok._cli import main
from spectok._pack import pack
from spectok.training import RealSpectra, open_pack


def test_files_become_a_pack(shared_data, tmp_path):
    files = sorted((shared_data / "sdss").rglob("spec-*.fits"))[:4]
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "notes.fits").write_text("no FITS file")
    output = tmp_path / "pack.safetensors"
    said = pack("sdss", [*files, tmp_path / "folder"], output, split="all", progress=False)
    assert "4 spectra of sdss" in said and "left out: 1 files such as notes.fits" in said
    real = RealSpectra(open_pack(output))
    assert len(real.rows["sdss"]) == 4
    for row, file in enumerate(files):
        (spectrum,) = surveys.sdss.read(file)
        wavelength, flux, sigma, valid = real.spectrum(row)
        good = ~spectrum.mask
        assert np.array_equal(valid, good)
        assert np.allclose(wavelength, spectrum.spectral_axis.value, rtol=2e-6)
        scale = np.median(np.abs(spectrum.flux.value[good]))
        assert np.allclose(flux[good], spectrum.flux.value[good] / scale, rtol=1e-3, atol=1e-3)
        error = spectrum.uncertainty.array[good] ** -0.5 / scale
        assert np.allclose(sigma[good], error, rtol=1e-3)
    with safe_open(output, "numpy") as file:
        assert '"survey": "sdss"' in file.metadata()["pack"]


def test_only_training_objects_unless_asked(shared_data, tmp_path):
    files = sorted((shared_data / "sdss").rglob("spec-*.fits"))[:12]
    everything = pack("sdss", files, tmp_path / "a.safetensors", split="all", progress=False)
    training = pack("sdss", files, tmp_path / "b.safetensors", progress=False)
    n_all, n_train = (
        len(open_pack(tmp_path / f"{k}.safetensors")["spectra.survey"]) for k in "ab"
    )
    without = re.search(r"(\d+) objects without a good pixel", everything)
    n_bad = int(without[1]) if without else 0
    assert 0 < n_train < n_all == 12 - n_bad
    # Some of those without a good pixel may be of the other sets.
    left = int(re.search(r"(\d+) objects of the validation or test split", training)[1])
    assert n_all - n_train <= left <= n_all - n_train + n_bad


def test_arms_become_one_spectrum(desi_data, tmp_path):
    (file, *_) = sorted(desi_data.rglob("coadd*.fits"))
    said = pack("desi", [file], tmp_path / "p.safetensors", split="all", progress=False)
    real = RealSpectra(open_pack(tmp_path / "p.safetensors"))
    rows = real.rows["desi"]
    assert len(rows) and f"{len(rows)} spectra of desi" in said
    assert len(real.spectrum(int(rows[0]))[0]) == 2751 + 2326 + 2881


def test_nothing_to_pack_is_said(tmp_path, capsys):
    (tmp_path / "x.txt").write_text("nothing")
    output = str(tmp_path / "p.safetensors")
    assert main(["pack", "sdss", str(tmp_path), "-o", output]) == 1
    assert "nothing to pack: 1 files such as x.txt" in capsys.readouterr().err
    assert main(["pack", "sdss", str(tmp_path / "lost"), "-o", output]) == 1
    assert "no such file or folder" in capsys.readouterr().err


def test_what_is_there_is_packed_once_and_not_replaced(shared_data, tmp_path, capsys):
    files = sorted((shared_data / "sdss").rglob("spec-*.fits"))[:2]
    copy = tmp_path / "copy.fits"
    copy.write_bytes(files[0].read_bytes())
    output = tmp_path / "p.safetensors"
    said = pack("sdss", [*files, files[0], copy], output, split="all", progress=False)
    assert "2 spectra of sdss" in said and "1 spectra that are in it already" in said
    before = output.read_bytes()
    assert main(["pack", "sdss", str(files[0]), "-o", str(output)]) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert output.read_bytes() == before
    again = ["pack", "sdss", str(files[0]), "-o", str(output), "--split", "all", "--overwrite"]
    assert main(again) == 0
    assert len(open_pack(output)["spectra.survey"]) == 1
