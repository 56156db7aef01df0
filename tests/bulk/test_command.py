"""``spectok bulk``: arguments in, a report out."""

import pytest

from spectok import bulk
from spectok._cli import main


def test_a_run_and_its_status(parquet, tmp_path, capsys):
    out = str(tmp_path / "out")
    arguments = ["bulk", str(parquet), "-o", out, "--write", "both", "--keep", "object_id", "ra"]
    assert main([*arguments, "--rows-per-file", "9", "--shard", "1/2"]) == 0
    said = capsys.readouterr().out
    assert "2 of 4 files" in said and "not of one length" in said
    assert main([*arguments, "--rows-per-file", "9"]) == 0
    assert "4 of 4 files, 32 spectra" in capsys.readouterr().out
    assert main(["bulk", "--status", out]) == 0
    assert "4 of 4 files, 32 spectra" in capsys.readouterr().out
    assert bulk.status(out).finished


def test_fields_units_and_columns(parquet, tmp_path, capsys):
    arguments = ["bulk", str(parquet), "-o", str(tmp_path / "a")]
    fields = ["--field", "wavelength=lambda", "flux=flux", "--unit", "flux=Jy"]
    assert main([*arguments, *fields]) == 0
    assert main([*arguments, "--field", "flux"]) == 1
    assert "--field wants ROLE=NAME" in capsys.readouterr().err
    assert main(["bulk", str(parquet), "-o", str(tmp_path / "b"), "--spectrum", "-"]) == 1
    assert "there is no column 'lambda'" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["somewhere"], ["-o", "out"]])
def test_what_is_missing_is_said(arguments, capsys):
    assert main(["bulk", *arguments]) == 1
    assert "give what to encode and -o OUT" in capsys.readouterr().err


def test_damaged_files_make_it_fail(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.parquet").write_bytes(b"PAR1 and nothing else")
    assert main(["bulk", str(tmp_path / "in"), "-o", str(tmp_path / "out")]) == 1
    assert "a.parquet: cannot be read" in capsys.readouterr().out
    assert main(["bulk", "--status", str(tmp_path / "out")]) == 1
