"""Catalogues of LSDB and collections of Dask."""

import contextlib
import json
import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import spectok
from spectok import bulk
from spectok.bulk import _distributed, _worker
from spectok.bulk._options import Options

pytest.importorskip("dask.dataframe", reason="the extra 'bulk' is not installed")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # lsdb's own imports warn
    lsdb = pytest.importorskip("lsdb", reason="the extra 'bulk' is not installed")
    import nested_pandas
    from dask import bag, config, dataframe

# What they warn of among themselves is not ours.
pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.filterwarnings("error::astropy.utils.exceptions.AstropyUserWarning"),
]


def dense(column):
    return np.array(column.tolist(), np.float32)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    with config.set(scheduler="synchronous"):
        yield


@pytest.fixture(scope="module")
def frame(frame):
    """Nested columns hold no lists of unequal length."""
    return frame[~frame["expected"].str.contains("one length")].reset_index(drop=True)


@pytest.fixture(scope="module")
def parquet(frame, tmp_path_factory):
    folder = tmp_path_factory.mktemp("parquet")
    table = pa.Table.from_pandas(frame, preserve_index=False)
    for k, part in enumerate((table.slice(0, 12), table.slice(12))):
        pq.write_table(part, folder / f"file{k}.parquet")
    return folder


@pytest.fixture(scope="module")
def catalogue(frame, tmp_path_factory):
    """The frame as a HATS catalogue with a nested column, in several partitions."""
    folder = tmp_path_factory.mktemp("hats") / "mocks"
    rows = pa.array(list(frame["spectrum"]))
    nested = pd.Series(
        pd.arrays.ArrowExtensionArray(rows), dtype=nested_pandas.NestedDtype(rows.type)
    )
    given = nested_pandas.NestedFrame(frame.drop(columns="spectrum").assign(spectrum=nested))
    made = lsdb.from_dataframe(
        given, ra_column="ra", dec_column="dec", partition_rows=8, margin_threshold=None,
        lowest_order=4, highest_order=8,
    )  # fmt: skip
    assert made.npartitions > 2
    made.write_catalog(folder, catalog_name="mocks", as_collection=False)
    return folder


@pytest.fixture(scope="module")
def expected(frame):
    return bulk.encode_partition(frame).set_index("object_id")


def check(found, expected):
    found = found.set_index("object_id")
    assert sorted(found.index) == sorted(expected.index)
    for name in expected.index:
        one, other = found.loc[name], expected.loc[name]
        assert one["status"] == other["status"], name
        assert np.allclose(one["embedding"], other["embedding"], atol=1e-4)


def test_map_partitions_as_it_stands(catalogue, expected):
    opened = lsdb.open_catalog(catalogue)
    lazy = opened.map_partitions(bulk.encode_partition)
    found = lazy.compute()
    check(found, expected)
    assert str(found["embedding"].dtype) == "fixed_size_list<item: float>[128][pyarrow]"


@pytest.mark.slow
def test_a_lazy_catalogue_joins_and_is_searched(catalogue, frame):
    opened = lsdb.open_catalog(catalogue)
    lazy = bulk.encode(opened)
    assert type(lazy) is type(opened)
    cone = lazy.cone_search(ra=11.0, dec=0.0, radius_arcsec=1800.0).compute()
    away = np.hypot((frame["ra"] - 11.0) * np.cos(np.radians(frame["dec"])), frame["dec"])
    assert sorted(cone["object_id"]) == sorted(frame["object_id"][away < 0.5])
    joined = opened.join(
        lazy, left_on="object_id", right_on="object_id", suffixes=("", "_encoded")
    ).compute()
    assert len(joined) == len(frame) and "embedding" in "".join(joined.columns)
    with pytest.raises(ValueError, match="keep must have dec and ra"):
        bulk.encode(opened, keep=["object_id"])


@pytest.mark.slow
@pytest.mark.parametrize("opened", [True, False], ids=["catalogue", "path"])
def test_a_catalogue_to_a_catalogue(opened, catalogue, expected, frame, tmp_path):
    source = lsdb.open_catalog(catalogue) if opened else catalogue
    report = bulk.encode(source, tmp_path / "vectors", write="both")
    assert report.finished and report.rows == len(frame)
    again = lsdb.open_catalog(tmp_path / "vectors")
    check(again.compute(), expected)
    info = again.hc_structure.catalog_info
    assert info.catalog_name == "vectors" and info.total_rows == len(frame)
    told = info.model_dump()
    assert told["spectok_sha256"] == spectok.load_model().origin.sha256
    assert told["spectok_flux_unit"] == "relative"
    assert json.loads(told["spectok_options"])["write"] == "both"
    cone = again.cone_search(ra=11.0, dec=0.0, radius_arcsec=1800.0).compute()
    away = np.hypot((frame["ra"] - 11.0) * np.cos(np.radians(frame["dec"])), frame["dec"])
    assert sorted(cone["object_id"]) == sorted(frame["object_id"][away < 0.5])
    # Finished, it returns at once; taken apart, it is made whole.
    files = sorted((tmp_path / "vectors").rglob("Npix*.parquet"))
    for path in files:  # what lies in a pixel's file lies in the pixel
        order = int(path.parent.parent.name.removeprefix("Norder="))
        index = pq.ParquetFile(path).read(["_healpix_29"]).column(0).to_numpy()
        assert set(index >> 2 * (29 - order)) == {int(path.stem.removeprefix("Npix="))}
    before = {path: path.stat().st_mtime_ns for path in files}
    files[1].unlink()
    assert bulk.encode(source, tmp_path / "vectors", write="both").finished
    changed = [p for p in files if p.stat().st_mtime_ns != before[p]]
    assert changed == [files[1]]
    assert len(lsdb.open_catalog(tmp_path / "vectors").compute()) == len(frame)
    tokens = bulk.read_tokens(tmp_path / "vectors", ids=["obj000"])
    assert spectok.pool(tokens)["valid"].all()
    with pytest.raises(ValueError, match="write 'both' instead of 'embedding'"):
        bulk.encode(source, tmp_path / "vectors")


def test_arms_of_desi(tmp_path, make_row):
    """DESI DR1 in HATS has three nested columns."""
    names = ["spectra_b", "spectra_r", "spectra_z"]
    starts = (3600.0, 5760.0, 7520.0)
    columns = {
        name: pa.array([make_row(k, 640, start) for k in range(6)])
        for name, start in zip(names, starts, strict=True)
    }
    frame = nested_pandas.NestedFrame(
        {"targetid": np.arange(6), "target_ra": np.linspace(10, 20, 6), "target_dec": np.zeros(6)}
    )
    for name, values in columns.items():
        arrow = pd.arrays.ArrowExtensionArray(values)
        frame[name] = pd.Series(arrow, dtype=nested_pandas.NestedDtype(values.type))
    made = lsdb.from_dataframe(
        frame, ra_column="target_ra", dec_column="target_dec", margin_threshold=None
    )
    made.write_catalog(tmp_path / "desi", catalog_name="desi", as_collection=False)
    keep = ["targetid", "target_ra", "target_dec"]
    bulk.encode(tmp_path / "desi", tmp_path / "out", spectrum=names, keep=keep)
    found = lsdb.open_catalog(tmp_path / "out").compute()
    assert set(found["status"]) == {"ok"} and set(found["n_tokens"]) == {60}


def test_a_dataframe_and_a_bag(frame, expected, parquet, tmp_path):
    given = dataframe.read_parquet(parquet)
    check(bulk.encode(given).compute(), expected)
    report = bulk.encode(given, tmp_path / "out")
    assert report.finished and report.rows == len(frame)
    found = [pq.read_table(p).to_pandas() for p in sorted((tmp_path / "out").glob("part-*"))]
    check(pd.concat(found), expected)
    records = bag.from_sequence(frame.to_dict("records"), npartitions=3)
    check(pd.DataFrame(bulk.encode(records).compute()), expected)
    report = bulk.encode(records, tmp_path / "bag")
    assert report.finished and report.files == 3


@pytest.fixture(params=["synchronous", "threads", "distributed"])
def scheduler(request):
    if request.param != "distributed":
        with config.set(scheduler=request.param, num_workers=2):
            yield request.param
        return
    distributed = pytest.importorskip("distributed")
    with (
        config.set(scheduler=None),
        distributed.LocalCluster(
            n_workers=1,
            threads_per_worker=1,
            processes=False,
            dashboard_address=None,
            protocol="tcp://",  # of which tests know that it stays on this machine
        ) as cluster,
        distributed.Client(cluster),
    ):
        yield request.param


@pytest.fixture
def good(frame, tmp_path):
    """A dataframe of rows with nothing wrong, in two partitions."""
    (tmp_path / "good").mkdir()
    rows = frame[frame["expected"] == "ok"]
    for k, part in enumerate((rows[:8], rows[8:])):
        table = pa.Table.from_pandas(part, preserve_index=False)
        pq.write_table(table, tmp_path / f"good/{k}.parquet")
    return dataframe.read_parquet(tmp_path / "good")


@pytest.fixture
def broken(good):
    """The same, but one partition of the two cannot be computed."""

    def breaks(part):
        if len(part) and part["object_id"].iloc[0] != "obj000":
            raise RuntimeError("lost")
        return part

    return good.map_partitions(breaks, meta=good._meta)


def test_a_partition_that_cannot_be_computed(scheduler, broken, good, tmp_path):
    """It costs itself, says why, and is tried again; or stops all."""
    report = bulk.encode(broken, tmp_path / "out")
    assert report.files == 2 and report.files_done == 1
    assert report.failed == {"part-000001.parquet": "RuntimeError: lost"}
    assert bulk.status(tmp_path / "out").failed == report.failed
    assert bulk.encode(good, tmp_path / "out").finished
    with pytest.raises(RuntimeError, match="lost"):
        bulk.encode(broken, tmp_path / "raised", errors="raise")


def test_progress_moves_as_partitions_are_done(scheduler, frame, tmp_path, monkeypatch):
    seen = []

    class Bar(contextlib.nullcontext):
        def update(self, number=1):
            seen.append((number, len(list((tmp_path / "out").glob("part-*.parquet")))))

    monkeypatch.setattr(_distributed, "progress_bar", lambda *_, **__: Bar())
    records = bag.from_sequence(frame.to_dict("records"), npartitions=6)
    assert bulk.encode(records, tmp_path / "out").finished
    assert [number for number, _ in seen] == [1] * 6
    assert seen[0][1] < 6, "the bar waited for the last one"


def test_an_output_that_cannot_be_written_stops_all(scheduler, frame, tmp_path, monkeypatch):
    calls = []

    def full(*args, **options):
        calls.append(1)
        raise OSError("no space left on device")

    monkeypatch.setattr(_distributed, "make_file", full)
    records = bag.from_sequence(frame.to_dict("records"), npartitions=16)
    with pytest.raises(OSError, match="no space left"):
        bulk.encode(records, tmp_path / "out")
    assert not bulk.status(tmp_path / "out").failed


def test_columns_that_are_not_there_stop_before_anything(parquet, catalogue, tmp_path):
    for source in (dataframe.read_parquet(parquet), lsdb.open_catalog(catalogue)):
        with pytest.raises(ValueError, match="no column 'spec'"):
            bulk.encode(source, tmp_path / "out", spectrum="spec")
        assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_two_workers_on_a_local_cluster(catalogue, expected):
    """Workers are spawned, not forked; each loads the model once and has its own threads."""
    distributed = pytest.importorskip("distributed")

    def of_worker():  # here, so that it travels by value: workers know nothing of the tests
        import torch

        from spectok.bulk import _worker

        return len(_worker._networks), torch.get_num_threads()

    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, processes=True
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        found = bulk.encode(lsdb.open_catalog(catalogue)).compute()
        check(found, expected)
        said = client.run(of_worker)
        assert len(said) == 2
        for loaded, threads in said.values():
            assert loaded <= 1 and threads == 1


def test_a_worker_sets_its_threads_once(monkeypatch):
    """Without Dask's nanny, which sets OMP_NUM_THREADS, the worker's number of threads counts."""

    class Worker:
        class state:
            nthreads = 3

    asked = []
    monkeypatch.setattr(_worker, "_threads_set", False)
    monkeypatch.setattr(_worker, "_dask_worker", lambda: Worker)
    monkeypatch.setattr(_worker.torch, "set_num_threads", asked.append)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    for _ in range(2):
        _worker.network_of(Options())
    assert asked == [3]
