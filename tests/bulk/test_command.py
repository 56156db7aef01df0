"""``spectok bulk``: arguments in, a report out."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from spectok import bulk
from spectok._cli import main


def test_a_run_and_its_status(parquet, tmp_path, capsys):
    out = str(tmp_path / "out")
    arguments = ["bulk", str(parquet), "-o", out, "--write", "both", "--keep", "object_id", "ra"]
    assert main([*arguments, "--rows-per-file", "9", "--shard", "1/2"]) == 0
    said = capsys.readouterr().out
    assert "2 of 4 files" in said and "not of one length" in said
    assert "files to do          2\n" in said
    assert main([*arguments, "--rows-per-file", "9"]) == 0
    assert "4 of 4 files, 32 spectra" in capsys.readouterr().out
    assert main(["bulk", "--status", out]) == 0
    assert "4 of 4 files, 32 spectra" in capsys.readouterr().out
    assert bulk.status(out).finished and bulk.status(out).flux_units == []


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_the_recipe_of_an_array_job(parquet, tmp_path):
    """As Slurm calls it: the whole array, then one of its tasks again."""
    recipe = Path(__file__).parents[2] / "recipes" / "slurm_bulk.sh"
    if not recipe.parent.is_dir():  # a wheel's tests stand alone; a checkout has it
        pytest.skip("recipes are not installed with the package")
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "spectok"
    command.write_text('#!/bin/sh\nprintf "%s " "$OMP_NUM_THREADS" "$@"\n')
    command.chmod(0o755)

    def run(**variables):
        path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
        clean = {k: v for k, v in os.environ.items() if not k.startswith("SLURM")}
        return subprocess.run(
            ["bash", recipe, "SRC", "OUT", "--write", "both"], text=True, check=True,
            capture_output=True, env={**clean, "PATH": path, **variables},
        ).stdout  # fmt: skip

    array = {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_MAX": "64", "SLURM_CPUS_PER_TASK": "4"}
    assert run(**array) == "4 bulk SRC -o OUT --shard 3/64 --write both "
    again = {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_MAX": "3", "SHARDS": "64"}
    assert run(**again) == "1 bulk SRC -o OUT --shard 3/64 --write both "
    assert run() == "1 bulk SRC -o OUT --shard 1/1 --write both "


def test_fields_units_and_columns(parquet, tmp_path, capsys):
    arguments = ["bulk", str(parquet), "-o", str(tmp_path / "a")]
    fields = ["--field", "wavelength=lambda", "flux=flux", "--unit", "flux=Jy"]
    assert main([*arguments, *fields]) == 0
    assert bulk.status(tmp_path / "a").flux_units == ["Jy"]
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
