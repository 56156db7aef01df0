"""Frames in, frames out: every row has its status, whatever is wrong with others."""

import pickle

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import spectok
from spectok.bulk import encode_partition


def dense(column):
    return np.array(column.tolist(), np.float32)


def good_rows(frame, number):
    rows = zip(frame["spectrum"], frame["expected"], strict=True)
    return [row for row, said in rows if said == "ok"][:number]


def test_every_row_has_its_status(frame):
    found = encode_partition(frame, write="both")
    assert len(found) == len(frame) and list(found["object_id"]) == list(frame["object_id"])
    for said, expected in zip(found["status"], frame["expected"], strict=True):
        assert said.startswith(expected), (said, expected)
    good = found["status"] == "ok"
    assert (found["n_tokens"][good] > 0).all() and (found["n_tokens"][~good] == 0).all()
    assert (np.abs(dense(found["embedding"][~good])) == 0).all()


def test_it_is_what_embed_arrays_makes(frame):
    found = encode_partition(frame)
    good = np.flatnonzero(found["status"] == "ok")
    rows = [frame["spectrum"].iloc[k] for k in good]
    arrays = {
        "wavelength": [row["lambda"] for row in rows],
        "flux": [row["flux"] for row in rows],
        "ivar": [row["ivar"] for row in rows],
        "mask": [row["mask"] for row in rows],
    }
    expected = spectok.embed_arrays(**arrays)
    assert np.allclose(dense(found["embedding"].iloc[good]), expected["embedding"], atol=1e-4)
    assert list(found["n_valid"].iloc[good]) == list(expected["n_valid"])


def test_an_empty_frame_has_the_same_columns(frame):
    for write in ("embedding", "tokens", "both"):
        full, none = (encode_partition(f, write=write) for f in (frame[:2], frame[:0]))
        assert len(none) == 0 and list(none.dtypes) == list(full.dtypes)
        assert list(none.columns) == list(full.columns)
        assert all(isinstance(kind, pd.ArrowDtype) for kind in none.dtypes)


def test_the_index_is_kept(frame):
    moved = frame[:4].set_axis([7, 3, 9, 1])
    assert list(encode_partition(moved).index) == [7, 3, 9, 1]


def forms(frame):
    """The same rows in every form that a column of spectra has."""
    rows = good_rows(frame, 4)
    ids = {"object_id": list("abcd")}
    arrow = pd.arrays.ArrowExtensionArray
    yield "dicts", pd.DataFrame({**ids, "spectrum": rows}), {}
    yield "struct of lists", pd.DataFrame({**ids, "spectrum": arrow(pa.array(rows))}), {}
    items = [
        [dict(zip(row, values, strict=True)) for values in zip(*row.values(), strict=True)]
        for row in rows
    ]
    yield "list of structs", pd.DataFrame({**ids, "spectrum": arrow(pa.array(items))}), {}
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    yield "columns", pd.DataFrame({**ids, **columns}), {"spectrum": None}
    wide = {name: arrow(pa.array(values)) for name, values in columns.items()}
    yield "columns of Arrow", pd.DataFrame({**ids, **wide}), {"spectrum": None}
    sliced = pa.chunked_array([pa.array(rows[3:] + rows)[1:3], pa.array(rows)[2:]])
    yield "slices", pd.DataFrame({**ids, "spectrum": arrow(sliced)}), {}


def test_all_forms_of_a_column_say_the_same(frame):
    expected = None
    for name, given, options in forms(frame):
        found = encode_partition(given, **options)
        assert list(found["status"]) == ["ok"] * 4, name
        vectors = dense(found["embedding"])
        expected = vectors if expected is None else expected
        assert np.allclose(vectors, expected, atol=1e-4), name


def test_a_nested_column(frame):
    nested = pytest.importorskip("nested_pandas", reason="nested-pandas is not installed")
    array = pa.array(good_rows(frame, 3))
    series = pd.Series(pd.arrays.ArrowExtensionArray(array), dtype=nested.NestedDtype(array.type))
    found = encode_partition(pd.DataFrame({"object_id": list("abc"), "spectrum": series}))
    assert list(found["status"]) == ["ok"] * 3


def test_arms_are_one_spectrum(make_row):
    arms = {
        "spectra_b": [make_row(1, 640, 3600.0), make_row(1, 640, 3600.0), None],
        "spectra_r": [make_row(2, 640, 4500.0), None, None],
    }
    frame = pd.DataFrame({"object_id": list("abc"), **arms})
    found = encode_partition(frame, spectrum=["spectra_b", "spectra_r"])
    assert list(found["status"])[:2] == ["ok", "ok"]
    assert found["status"].iloc[2].startswith("error: it has no spectrum")
    assert list(found["n_tokens"]) == [40, 20, 0]
    broken = {**make_row(2, 640, 4500.0), "flux": np.zeros(3)}
    frame = pd.DataFrame({"spectra_b": [make_row(1)], "spectra_r": [broken]})
    (said,) = encode_partition(frame, spectrum=["spectra_b", "spectra_r"])["status"]
    assert said.startswith("error: spectra_r: its lists are not of one length")


def test_units(make_row):
    row = make_row(1)
    frame = pd.DataFrame({"spectrum": [{**row, "lambda": row["lambda"] / 10}]})
    units = {"wavelength": "nm", "flux": "1e-17 erg/s/cm2/A"}
    found = encode_partition(frame, write="tokens", units=units)
    assert found["status"].iloc[0] == "ok"
    assert found["flux_unit"].iloc[0] == "1e-17 erg / (Angstrom s cm2)"
    plain = encode_partition(pd.DataFrame({"spectrum": [row]}))
    assert found["n_tokens"].iloc[0] == plain["n_tokens"].iloc[0]
    with pytest.raises(ValueError, match="units"):
        encode_partition(frame, units={"wavelength": "furlongs per"})


@pytest.mark.parametrize("filler", [-1.0, 0.0, np.nan])
def test_padding_is_taken_off(filler, make_row):
    row = make_row(1)
    padded = {
        k: np.r_[v, np.full(50, filler if k == "lambda" else 0, v.dtype)] for k, v in row.items()
    }
    found = encode_partition(pd.DataFrame({"spectrum": [padded, row]}))
    assert found["n_valid"].iloc[0] == found["n_valid"].iloc[1] > 600


def test_rows_of_the_multimodal_universe_are_mended(make_row):
    """GALAH's wavelengths are in air: 83 km/s."""
    row = {k: v for k, v in make_row(1, 640, 6500.0).items() if k != "mask"}
    signs = {"spectrum_norm_flux": [0.0], "spectrum_norm_lambda": [0.0]}
    frame = pd.DataFrame({"object_id": ["1"], "spectrum": [row], **signs})
    mended, plain = (
        encode_partition(frame, write="tokens", survey=survey) for survey in ("auto", None)
    )
    first = [found["tokens"].iloc[0]["wavelength"][0] for found in (mended, plain)]
    assert 1.7 < first[0] - first[1] < 1.9


def test_errors_may_be_raised(frame):
    with pytest.raises(ValueError, match="it has no spectrum"):
        encode_partition(frame, errors="raise")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"write": "all"}, "write must be one of"),
        ({"spectrum": "spec"}, "no column 'spec'.*spectrum="),
        ({"fields": {"wavelength": "wave", "flux": "flux"}}, "none is 'wave'"),
        ({"fields": {"flux": "flux"}}, "fields must name wavelength and flux"),
        ({"keep": ["name"]}, "keep names name, which is no column"),
        ({"keep": ["object_id", "status"]}, "keep names status"),
        ({"precision": "fp8"}, "precision must be"),
        ({"model": "no-such-model"}, "no model 'no-such-model'"),
    ],
)
def test_what_is_wrong_with_the_options_is_said(options, message, frame):
    with pytest.raises(ValueError, match=message):
        encode_partition(frame.assign(status=1), **options)


def test_a_model_without_a_reader_writes_tokens(frame, tiny):
    with pytest.raises(ValueError, match='write="tokens"'):
        encode_partition(frame[:1], model=tiny)
    assert encode_partition(frame[:1], model=tiny, write="tokens")["status"].iloc[0] == "ok"


def test_it_travels():
    assert pickle.loads(pickle.dumps(encode_partition)) is encode_partition


def test_wavelengths_in_any_order(make_row):
    row = make_row(1)
    mixed = np.random.default_rng(0).permutation(640)
    twice = np.r_[row["lambda"][:1], row["lambda"][:-1]]
    rows = [
        row,
        {name: values[::-1] for name, values in row.items()},
        {name: values[mixed] for name, values in row.items()},
        {**row, "lambda": twice},
        {**row, "lambda": -row["lambda"]},
    ]
    found = encode_partition(pd.DataFrame({"spectrum": rows}))
    assert list(found["status"])[:3] == ["ok"] * 3
    vectors = dense(found["embedding"])
    assert np.allclose(vectors[1:3], vectors[:1], atol=1e-4)
    assert found["status"].iloc[3].startswith("error: 1 wavelengths occur more than once")
    # Pixels below zero are padding where others are above; here all are.
    assert found["status"].iloc[4].startswith("error: 640 of 640 wavelengths are not finite")


def test_one_row_that_breaks_a_batch_is_found(frame, monkeypatch):
    """What no check foresaw: an error in the middle of a batch costs one row."""
    import spectok.bulk._rows as rows

    real = rows.encode_rows
    marker = frame["spectrum"].iloc[2]["flux"][5]

    def breaks(parts, *args, **options):
        if any(part.flux.size > 5 and part.flux[0, 5] == marker for part in parts):
            raise RuntimeError("out of something")
        return real(parts, *args, **options)

    monkeypatch.setattr(rows, "encode_rows", breaks)
    found = encode_partition(frame)
    assert found["status"].iloc[2] == "error: RuntimeError: out of something"
    for k in (k for k in range(len(frame)) if k != 2):
        assert found["status"].iloc[k].startswith(frame["expected"].iloc[k])


def test_threads_share_one_model(frame, monkeypatch):
    from concurrent.futures import ThreadPoolExecutor

    from spectok.bulk import _worker

    loaded = []
    real = _worker.resolve
    monkeypatch.setattr(_worker, "_networks", {})
    monkeypatch.setattr(_worker, "resolve", lambda *a: loaded.append(a) or real(*a))
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda k: encode_partition(frame[k : k + 3]), range(0, 12, 3)))
    assert len(loaded) == 1 and sum(map(len, parts)) == 12
