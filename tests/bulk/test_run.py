"""Folders of files in, folders of files out: whole or not there, and nothing done twice."""

import json
import os
import shutil
import signal
import subprocess
import sys

import astropy.units as u
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import spectok
from spectok import bulk, simulate
from spectok._cli import main
from spectok.bulk import _partial


def rows_of(folder):
    """All rows of a run, by identifier, in the order of its files."""
    tables = [pq.read_table(path) for path in sorted(folder.rglob("*.parquet"))]
    return [row for table in tables for row in table.to_pylist()]


def same(one, other):
    assert [row["object_id"] for row in one] == [row["object_id"] for row in other]
    for a, b in zip(one, other, strict=True):
        assert a["status"] == b["status"] and a["n_valid"] == b["n_valid"]
        assert np.allclose(a["embedding"], b["embedding"], atol=1e-4)


@pytest.fixture(scope="module")
def whole(parquet, tmp_path_factory):
    """An uninterrupted run, five rows to a file."""
    folder = tmp_path_factory.mktemp("whole") / "out"
    report = bulk.encode(parquet, folder, write="both", rows_per_file=5, keep=["object_id", "ra"],
                         progress=False)  # fmt: skip
    return folder, report


def test_all_rows_are_there_once_with_their_status(whole, frame):
    folder, report = whole
    found = rows_of(folder)
    assert [row["object_id"] for row in found] == list(frame["object_id"])
    for row, expected in zip(found, frame["expected"], strict=True):
        assert row["status"].startswith(expected)
    assert report.finished and report.rows == len(frame)
    assert report.ok == (frame["expected"] == "ok").sum()
    assert report.ok + report.no_valid_token + report.errors == report.rows
    assert sum(report.reasons.values()) == report.errors
    assert set(pq.read_schema(next(folder.glob("part-*"))).names) == {
        "object_id", "ra", "embedding", "n_tokens", "n_valid", "flags", "status", "scale",
        "scale_unit", "flux_unit", "tokens",
    }  # fmt: skip


def test_the_files_say_what_made_them(whole):
    folder, _ = whole
    said = json.loads(pq.read_schema(next(folder.glob("part-*"))).metadata[b"spectok"])
    model = spectok.load_model()
    assert said["sha256"] == model.origin.sha256 and said["model"] == model.origin.name
    assert said["version"] == spectok.__version__ and said["options"]["write"] == "both"


def test_status_and_its_words(whole):
    folder, report = whole
    again = bulk.status(folder)
    assert (again.rows, again.ok, again.files_done) == (report.rows, report.ok, report.files)
    assert "spectra/s" in str(again) and "not of one length" in str(again)
    with pytest.raises(FileNotFoundError, match="no bulk run has begun here"):
        bulk.status(folder / "nowhere")


def test_a_finished_run_returns_at_once(whole, parquet, monkeypatch):
    folder, report = whole
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    monkeypatch.setattr("spectok.bulk._run._encode_piece", None)  # nothing is encoded
    again = bulk.encode(parquet, folder, write="both", rows_per_file=5, keep=["object_id", "ra"])
    assert again.rows == report.rows
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"write": "tokens"}, "write 'both' instead of 'tokens'"),
        ({"keep": ["object_id"]}, "keep .* instead of"),
        ({"rows_per_file": 6}, "rows_per_file 5 instead of 6"),
        ({"medium": "air"}, "medium None instead of 'air'"),
        ({"model": "small-v1", "write": "tokens"}, "model 'small-v1.2' instead of 'small-v1'"),
    ],
)
def test_another_run_is_refused_by_name(whole, parquet, changes, said):
    folder, _ = whole
    options = {"write": "both", "rows_per_file": 5, "keep": ["object_id", "ra"], **changes}
    with pytest.raises(ValueError, match=said):
        bulk.encode(parquet, folder, **options)


def test_other_sources_and_folders_are_refused(whole, parquet, tmp_path):
    folder, _ = whole
    options = {"write": "both", "rows_per_file": 5, "keep": ["object_id", "ra"]}
    with pytest.raises(ValueError, match="source: files 2 instead of 1"):
        bulk.encode(parquet / "file0.parquet", folder, **options)
    with pytest.raises(FileExistsError, match="holds a run already"):
        bulk.encode(parquet, folder, resume=False, **options)
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="holds other files"):
        bulk.encode(parquet, tmp_path, **options)
    with pytest.raises(FileNotFoundError, match="no such file or folder"):
        bulk.encode(tmp_path / "nothing", tmp_path / "out", **options)
    with pytest.raises(ValueError, match="output is missing"):
        bulk.encode(parquet)


KILLED = """
import os, signal, sys
import spectok.bulk
from spectok.bulk import _folder
source, output, where = sys.argv[1:]
name, count = where.split(":")
real, calls = getattr(_folder.{module}, name), []
def dies(*args, **options):
    calls.append(1)
    if len(calls) == int(count):
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*args, **options)
setattr(_folder.{module}, name, dies)
spectok.bulk.encode(source, output, write="both", rows_per_file=5, keep=["object_id", "ra"])
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "where"),
    [("os", "replace:1"), ("os", "replace:2"), ("os", "replace:4"), ("os", "fsync:2"),
     ("pq", "ParquetWriter:3")],
)  # fmt: skip
def test_killed_at_any_point_it_goes_on_to_the_same(module, where, whole, parquet, tmp_path):
    expected, _ = whole
    folder = tmp_path / "out"
    code = KILLED.format(module=module)
    arguments = [sys.executable, "-c", code, str(parquet), str(folder), where]
    done = subprocess.run(arguments, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False)
    assert done.returncode == -signal.SIGKILL
    left = list(folder.glob("*.part"))
    if (folder / "spectok_bulk.json").exists():  # what was begun, and by whom, is said
        said = bulk.status(folder).unfinished
        assert sorted(said) == sorted(path.name for path in left)
        assert all("which is gone; the next call removes it" in why for why in said.values())
    report = bulk.encode(parquet, folder, write="both", rows_per_file=5,
                         keep=["object_id", "ra"])  # fmt: skip
    assert report.finished and not report.unfinished
    same(rows_of(folder), rows_of(expected))
    assert not [path for path in folder.iterdir() if path.name.endswith(".part") and path in left]


TOGETHER = """
import os, sys, time
from pathlib import Path
import spectok.bulk
from spectok.bulk import _folder
source, output = sys.argv[1:]
real, met = _folder.pq.ParquetWriter, []
def opens(path, *args, **options):
    writer = real(path, *args, **options)
    if not met:  # neither goes on before both have the first file open
        met.append(1)
        folder = Path(output).parent
        (folder / f"open-{os.getpid()}").touch()
        until = time.monotonic() + 200
        while len(list(folder.glob("open-*"))) < 2 and time.monotonic() < until:
            time.sleep(0.01)
    return writer
_folder.pq.ParquetWriter = opens
report = spectok.bulk.encode(source, output, write="both", rows_per_file=5, shard="1/2",
                             keep=["object_id", "ra"], progress=False)
print(report)
"""


def test_two_tasks_at_once_on_one_share(whole, parquet, tmp_path):
    """By mistake the same array index twice: both end well, and nothing is there twice."""
    expected, _ = whole
    folder = tmp_path / "out"
    command = [sys.executable, "-c", TOGETHER, str(parquet), str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    tasks = [subprocess.Popen(command, env=environment) for _ in range(2)]
    assert [task.wait(300) for task in tasks] == [0, 0]
    assert len(list(tmp_path.glob("open-*"))) == 2, "they did not meet"
    assert not list(folder.glob("*.part"))
    report = bulk.encode(parquet, folder, write="both", rows_per_file=5, shard="2/2",
                         keep=["object_id", "ra"])  # fmt: skip
    assert report.finished
    same(rows_of(folder), rows_of(expected))


def test_partial_files_are_no_result(whole, parquet, tmp_path, capsys):
    """Of a process that is gone, of one elsewhere, and of one elsewhere long ago."""
    expected, report = whole
    folder = tmp_path / "out"
    shutil.copytree(expected, folder)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    names = {
        "dead": _partial.partial_of(folder / "part-000001.parquet").name.replace(
            f".{os.getpid()}.", f".{gone.pid}."
        ),
        "ours before": f"part-000001.parquet.{_partial._HOST}.{os.getpid()}.0123abcd-0.part",
        "elsewhere": "part-000002.parquet.node7.12.0123abcd-0.part",
        "long ago": "part-000002.parquet.node8.12.0123abcd-0.part",
        "ours": _partial.partial_of(folder / "part-000003.parquet").name,
    }
    for name in names.values():
        (folder / name).write_bytes(b"PAR1 and so on")
    os.utime(folder / names["long ago"], (0, 0))
    download = folder / "survey.fits.part"  # of somebody else, who may go on with it
    download.write_bytes(b"half of it")
    os.utime(download, (0, 0))
    status = bulk.status(folder)
    assert status.rows == report.rows and status.files_done == report.files
    assert set(status.unfinished) == set(names.values())
    assert main(["bulk", "--status", str(folder)]) == 0
    said = capsys.readouterr().out
    assert f"unfinished: {names['elsewhere']}: process 12 on node7, 0 min ago\n" in said
    assert f"process {gone.pid} on {_partial._HOST}, which is gone; the next call removes" in said
    assert len(bulk.read_tokens(folder)) == len(bulk.read_tokens(expected))
    options = {"write": "both", "rows_per_file": 5, "keep": ["object_id", "ra"]}
    assert bulk.encode(parquet, folder, **options).rows == report.rows
    left = {path.name for path in folder.glob("*.part")}
    assert left == {names["elsewhere"], names["ours"], download.name}


def test_a_file_cut_short_is_made_again(whole, parquet, tmp_path):
    expected, _ = whole
    folder = tmp_path / "out"
    options = {"write": "both", "rows_per_file": 5, "keep": ["object_id", "ra"]}
    bulk.encode(parquet, folder, **options)
    first = next(iter(sorted(folder.glob("part-*"))))
    first.write_bytes(first.read_bytes()[:-100])
    assert bulk.status(folder).files_done == bulk.status(folder).files - 1
    bulk.encode(parquet, folder, **options)
    same(rows_of(folder), rows_of(expected))


def test_shards_together_are_the_whole(whole, parquet, tmp_path):
    expected, _ = whole
    folder = tmp_path / "out"
    seen = 0
    for number in (2, 1, 3):
        report = bulk.encode(parquet, folder, write="both", rows_per_file=5, shard=f"{number}/3",
                             keep=["object_id", "ra"])  # fmt: skip
        assert report.files_done > seen
        seen = report.files_done
    assert report.finished
    same(rows_of(folder), rows_of(expected))


@pytest.mark.parametrize("shard", ["0/3", "4/3", "a/b", "3", (1, 2, 3)])
def test_what_is_no_share(shard, parquet, tmp_path):
    with pytest.raises(ValueError, match='from "1/64" to "64/64"'):
        bulk.encode(parquet, tmp_path / "out", shard=shard)


def test_tokens_decode_bit_for_bit(whole, frame):
    folder, _ = whole
    tokens = bulk.read_tokens(folder)
    good = [k for k, said in enumerate(frame["expected"]) if said == "ok"]
    rows = [frame["spectrum"].iloc[k] for k in good]
    ids = [frame["object_id"].iloc[k] for k in good]
    names = {"wavelength": "lambda", "flux": "flux", "ivar": "ivar", "mask": "mask"}
    direct = spectok.encode_arrays(
        **{role: [row[name] for row in rows] for role, name in names.items()}, object_id=ids
    )
    some = bulk.read_tokens(folder, ids=ids)
    for name in direct.colnames:
        if name == "token":  # batches of other sizes: the last bits
            assert np.allclose(some[name], direct[name], atol=1e-5)
        elif direct[name].dtype.kind in "US":
            assert list(map(str, some[name])) == list(map(str, direct[name]))
        else:
            assert np.array_equal(np.asarray(some[name]), np.asarray(direct[name])), name
    grid = np.linspace(4100.0, 4800.0, 300) * u.AA
    one = spectok.decode(some, grid)
    # What was read again decodes as what was written.
    again = spectok.decode(bulk.read_tokens(folder, ids=ids), grid)
    assert np.array_equal(one.flux.value, again.flux.value, equal_nan=True)
    assert len(spectok.group(tokens)) == len(frame)
    told = spectok.refusals(tokens)
    assert sum(told["refused"]) == sum(s.startswith("error") for s in frame["expected"])


def test_ids_that_are_not_there(whole, parquet, tmp_path):
    folder, _ = whole
    with pytest.raises(KeyError, match="no object_id nobody"):
        bulk.read_tokens(folder, ids=["nobody"])
    bulk.encode(parquet, tmp_path / "out")
    with pytest.raises(ValueError, match='written with write="embedding"'):
        bulk.read_tokens(tmp_path / "out")


def test_one_damaged_file_among_many(parquet, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    for path in parquet.iterdir():
        (source / path.name).write_bytes(path.read_bytes())
    (source / "file2.parquet").write_bytes((source / "file0.parquet").read_bytes()[:500])
    report = bulk.encode(source, tmp_path / "out")
    assert report.files_done == 2 and not report.finished
    ((name, why),) = report.failed.items()
    assert "file2.parquet: cannot be read" in why
    # Mended, it is taken up.
    (source / "file2.parquet").unlink()
    with pytest.raises(ValueError, match="files 3 instead of 2"):
        bulk.encode(source, tmp_path / "out")
    (source / "file2.parquet").write_bytes((source / "file0.parquet").read_bytes()[:500])
    with pytest.raises(OSError, match="file2.parquet: cannot be read"):
        bulk.encode(source / "file2.parquet", tmp_path / "other", errors="raise")


def test_columns_that_are_not_there_stop_before_anything(parquet, tmp_path):
    with pytest.raises(ValueError, match="no column 'wave'"):
        bulk.encode(parquet, tmp_path / "out", spectrum=None,
                    fields={"wavelength": "wave", "flux": "flux"})  # fmt: skip
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Spectrum files as users have them: of text, a damaged one, one of tokens."""
    folder = tmp_path_factory.mktemp("files")
    for k, one in enumerate(simulate.observe("sdss", 3, seed=2, snr=20)):
        ivar = np.where(one.mask, np.nan, one.uncertainty.array)
        lines = zip(one.spectral_axis.value, one.flux.value, ivar**-0.5, strict=True)
        text = "wavelength flux error\n" + "\n".join(
            f"{w:.4f} {f:.6g} {e:.6g}" for w, f, e in lines
        )
        (folder / f"star{k}.ecsv").write_text(
            "# %ECSV 1.0\n# ---\n# datatype:\n# - {name: wavelength, unit: Angstrom, datatype: "
            "float64}\n# - {name: flux, datatype: float64}\n# - {name: error, datatype: float64}\n"
            + text
        )
    (folder / "broken.fits").write_bytes(b"SIMPLE  =                    T" + b" " * 50)
    spectok.encode(simulate.observe("sdss", 1)).write(folder / "tokens.fits")
    return folder


@pytest.mark.filterwarnings("ignore::astropy.utils.exceptions.AstropyUserWarning")
def test_spectrum_files(files, tmp_path):
    report = bulk.encode(files, tmp_path / "out", write="both", keep=["object_id", "ra"])
    rows = {row["object_id"]: row for row in rows_of(tmp_path / "out")}
    assert len(rows) == 5 == report.rows
    assert {name for name, row in rows.items() if row["status"] == "ok"} == {
        "star0", "star1", "star2"
    }  # fmt: skip
    assert rows["broken"]["status"].startswith("error: broken.fits")
    assert "token table" in rows["tokens"]["status"]
    assert len(spectok.group(bulk.read_tokens(tmp_path / "out", ids=["star0", "star2"]))) == 2


def test_kept_texts_beside_files_that_cannot_be_read(shared_data, tmp_path):
    """Of a file that is damaged no class is known: the column is of texts all the same."""
    source = tmp_path / "in"
    source.mkdir()
    for path in sorted((shared_data / "sdss/real").glob("spec-*.fits"))[:2]:
        shutil.copy(path, source)
    (source / "a.fits").write_bytes(b"SIMPLE  =                    T" + b" " * 50)
    report = bulk.encode(source, tmp_path / "out", write="tokens", keep=["object_id", "class"],
                         rows_per_file=1)  # fmt: skip
    assert report.finished and report.rows == 3 and report.errors == 1
    report = bulk.encode(source, tmp_path / "one", write="tokens", keep=["object_id", "class"])
    assert report.finished and report.rows == 3 and report.errors == 1
    for folder in (tmp_path / "out", tmp_path / "one"):
        tokens = bulk.read_tokens(folder)
        kept = dict(zip(tokens["object_id"], tokens["class"], strict=True))
        assert len(kept) == 3 and set(kept.values()) <= {"STAR", "GALAXY", "QSO", "", None, "None"}


def test_real_files_of_several_surveys(shared_data, desi_data, tmp_path):
    """DESI's arms and SDSS's spectra, in one batch after the other."""
    some = sorted((shared_data / "sdss/real").glob("spec-*.fits"))[:3]
    source = [*some, *sorted(desi_data.glob("coadd-*.fits"))]
    report = bulk.encode(source, tmp_path / "out", keep=["object_id", "ra", "dec", "z"])
    assert report.rows > 4 and report.errors == 0
    rows = rows_of(tmp_path / "out")
    assert all(row["ra"] is not None for row in rows[:3])
    read = [spectok.surveys.read(path)[0] for path in some]
    expected = spectok.embed(read)
    for row, vector in zip(rows[:3], expected["embedding"], strict=True):
        assert np.allclose(row["embedding"], vector, atol=1e-3)


def test_hdf5_of_the_multimodal_universe(tmp_path, make_row):
    h5py = pytest.importorskip("h5py", reason="h5py is not installed")
    rows = [make_row(k) for k in range(6)]
    padded = {name: np.array([np.r_[row[name], [-1 if name == "lambda" else 0] * 20]
                              for row in rows]) for name in rows[0]}  # fmt: skip
    path = tmp_path / "001-of-001.hdf5"
    with h5py.File(path, "w") as file:
        for name, values in padded.items():
            file[f"spectrum_{name}"] = values.astype(bool if name == "mask" else "f4")
        file["object_id"] = np.array([f"b'  {k}'".encode() for k in range(6)])
        file["ra"], file["dec"] = np.zeros(6), np.zeros(6)
        file["Z"], file["ZWARNING"] = np.zeros(6), np.zeros(6, bool)
    report = bulk.encode(path, tmp_path / "out", rows_per_file=4)
    found = rows_of(tmp_path / "out")
    assert report.files == 2 and [row["object_id"] for row in found] == list("012345")
    assert {row["status"] for row in found} == {"ok"}
    expected = bulk.encode_partition(pd.DataFrame({"spectrum": rows}))
    for row, vector in zip(found, expected["embedding"], strict=True):
        assert np.allclose(row["embedding"], np.array(vector), atol=2e-2)


def test_mixed_kinds_are_refused(parquet, files, tmp_path):
    with pytest.raises(ValueError, match="mixes parquet and spectra files"):
        bulk.encode([parquet, files / "star0.ecsv"], tmp_path / "out")


def test_damage_in_the_middle_of_a_file_costs_that_file(parquet, tmp_path):
    """The footer is whole, so that only reading the rows shows it."""
    source = tmp_path / "source"
    source.mkdir()
    for path in parquet.iterdir():
        (source / path.name).write_bytes(path.read_bytes())
    content = bytearray((source / "file0.parquet").read_bytes())
    content[100 : len(content) // 2] = b"\xff" * (len(content) // 2 - 100)
    (source / "file0.parquet").write_bytes(content)
    with pytest.raises(OSError, match="file0.parquet: cannot be read"):
        bulk.encode(source / "file0.parquet", tmp_path / "alone", errors="raise")
    report = bulk.encode(source, tmp_path / "out")
    assert report.files == 2 and report.files_done == 1
    assert "file0.parquet: cannot be read" in report.failed["part-000000.parquet"]


def test_files_that_are_named_twice_are_encoded_once(parquet, files, tmp_path):
    report = bulk.encode([parquet, parquet / "file0.parquet"], tmp_path / "tables")
    assert report.files == 2
    report = bulk.encode([files / "star0.ecsv", str(files / "star0*")], tmp_path / "spectra")
    assert report.rows == 1


def test_the_cameras_of_a_star_are_one_object(shared_data, tmp_path):
    stars = sorted((shared_data / "galah/real").glob("com*/*1.fits"))
    cameras = sorted(stars[0].parent.glob(f"{stars[0].stem[:-1]}?.fits"))
    assert len(cameras) > 1
    report = bulk.encode(cameras, tmp_path / "out")
    assert report.rows == 1


def test_a_folder_of_weights_that_has_changed_is_read_again(parquet, tiny_folder, tmp_path):
    import torch

    folder = tmp_path / "mine"
    shutil.copytree(tiny_folder, folder)
    options = {"model": str(folder), "write": "tokens"}
    bulk.encode(parquet, tmp_path / "before", **options)
    model = spectok.load_model(folder)
    with torch.no_grad():
        model.to_token.bias.add_(0.5)
    shutil.rmtree(folder)
    spectok.save_model(model, folder)
    bulk.encode(parquet, tmp_path / "after", **options)
    one, other = (bulk.read_tokens(tmp_path / name).meta["SHA256"] for name in ("before", "after"))
    assert one != other
