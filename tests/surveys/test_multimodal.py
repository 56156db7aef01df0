"""Multimodal Universe partitions: schemas, pitfalls, order, sharding, restart."""

import collections
import pickle
import warnings

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.utils.exceptions import AstropyUserWarning
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

import spectok
from spectok._convert import to_grid
from spectok._split import name_split, sky_split
from spectok.surveys import MultimodalUniverse
from spectok.surveys._multimodal_records import SurveyRecord

# Pixels of the survey's own grid that the files keep, in air for GALAH: what the builders do,
# with fewer pixels.
GRIDS = {
    "SDSS": 10 ** (3.58 + 1e-4 * np.arange(60)),
    "DESI": 3600.0 + 0.8 * np.arange(80),
    "GALAH": np.concatenate(
        [first + step * np.arange(20) for first, step in ((4714.1, 0.046), (5649.2, 0.0547))]
        + [first + step * np.arange(20) for first, step in ((6477.3, 0.0632), (7585.4, 0.0736))]
    ),
    "APOGEE": 10 ** (4.179 + 6e-6 * np.r_[246:266, 3585:3605, 6344:6364]),
}
GALAH_STEPS = np.repeat([0.046, 0.0547, 0.0632, 0.0736], 20)


def vacuum(survey):
    """The grid in vacuum, by the package's own conversion."""
    import astropy.units as u

    medium = "air" if survey == "GALAH" else "vacuum"
    return to_grid(GRIDS[survey] * u.AA, medium=medium, where="test").wavelength


def table(survey, n_rows, seed=0):
    """Columns as the builders of the project write them; row i is object ``seed * 1000 + i``."""
    rng = np.random.default_rng(seed)
    grid = GRIDS[survey]
    flux = rng.normal(20.0, 1.0, (n_rows, grid.size)).astype("f4")
    ivar = rng.uniform(0.5, 2.0, flux.shape).astype("f4")
    number = 1000 * seed + np.arange(n_rows)
    columns = {
        "ra": rng.uniform(0.0, 360.0, n_rows),
        "dec": rng.uniform(-80.0, 80.0, n_rows),
        "healpix": np.full(n_rows, 583),
        "spectrum_flux": flux,
        "spectrum_ivar": ivar,
        "spectrum_lambda": np.tile(grid, (n_rows, 1)).astype("f4"),
        "spectrum_lsf_sigma": np.ones_like(flux),
    }
    if survey == "GALAH":
        # The builders compute (i + reference pixel + 1) * step + start; the reference is 1.
        columns["spectrum_lambda"] = (columns["spectrum_lambda"] + 2 * GALAH_STEPS).astype("f4")
        columns |= {
            "object_id": number,
            "teff": np.full(n_rows, 5000.0, "f4"),
            "fe_h": np.full(n_rows, np.nan, "f4"),
            "flag_sp": np.zeros(n_rows, "i4"),
            "spectrum_norm_flux": flux / 20,
            "spectrum_norm_lambda": columns["spectrum_lambda"],
            "spectrum_norm_ivar": ivar * 400,
            "spectrum_B_ind_start": np.zeros(n_rows, int),
        }
        return columns
    mask = np.zeros(flux.shape, bool)
    mask[:, 7] = True  # True is bad, whatever the inverse variance says
    columns["spectrum_mask"] = mask
    if survey == "SDSS":
        # Plates of other lengths are padded; the plate files are big-endian, and stay so.
        columns["spectrum_lambda"][::2, -4:] = -1.0
        columns["spectrum_flux"][::2, -4:] = 9e9
        columns["spectrum_ivar"][::2, -4:] = 0.0
        columns["spectrum_mask"][::2, -4:] = True
        for name in ("flux", "ivar", "lsf_sigma"):
            columns[f"spectrum_{name}"] = columns[f"spectrum_{name}"].astype(">f4")
        columns |= {
            "object_id": np.array([f"{n:>22}" for n in number], "S22"),
            "Z": np.linspace(0.1, 0.2, n_rows).astype("f4"),
            "Z_ERR": np.full(n_rows, 1e-4, "f4"),
            "ZWARNING": np.zeros(n_rows, "i4"),
            "VDISP": np.full(n_rows, 150.0, "f4"),
            "CLASS": np.full(n_rows, b"GALAXY", "S6"),
            "SUBCLASS": np.full(n_rows, b"", "S6"),
            "SPECTROFLUX": np.ones((n_rows, 5), "f4"),
        }
    elif survey == "DESI":
        columns |= {
            "object_id": 39627000000000000 + number,
            "TARGETID": 39627000000000000 + number,
            "Z": np.linspace(0.1, 0.2, n_rows),
            "ZERR": np.full(n_rows, 1e-4),
            "ZWARN": np.zeros(n_rows, int),
            "SPECTYPE": np.full(n_rows, b"QSO", "S6"),
            "EBV": np.zeros(n_rows, "f4"),
        }
    else:
        # The grid's logarithm went through single precision.
        columns["spectrum_lambda"] = np.tile(10 ** np.log10(grid).astype("f4"), (n_rows, 1))
        columns |= {
            "object_id": np.array([f"2M{n:016d}" for n in number], "S18"),
            "teff": np.full(n_rows, 4500.0, "f4"),
            "logg": np.full(n_rows, -9999.99, "f4"),
            "radial_velocity": np.full(n_rows, 12.0, "f4"),
            "restframe": np.ones(n_rows, bool),
            "spectrum_pseudo_continuum_flux": np.ones_like(flux),
        }
    return columns


def write_hdf5(path, columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, values in columns.items():
            file.create_dataset(name, data=values)
    return path


def write_parquet(path, columns, *, row_group_size=None):
    """As the HATS copies: a struct of lists, text by way of ``str``, one column per band."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lists, plain = {}, {}
    for name, values in columns.items():
        values = np.asarray(values)
        values = values.astype(values.dtype.newbyteorder("="))
        if name.startswith("spectrum_") and values.ndim == 2:
            edges = np.arange(0, values.size + 1, values.shape[1], dtype=np.int32)
            lists[name.removeprefix("spectrum_")] = pa.ListArray.from_arrays(
                edges, pa.array(values.ravel())
            )
        elif values.ndim == 2:
            plain |= {f"{name}_{b}": pa.array(values[:, i]) for i, b in enumerate("UGRIZ")}
        elif name == "object_id":
            plain[name] = pa.array([str(v) for v in values.tolist()], pa.large_string())
        else:
            plain[name] = pa.array(values)
    struct = pa.StructArray.from_arrays(list(lists.values()), names=list(lists))
    n_rows = len(struct)
    plain = {"_healpix_29": pa.array(np.arange(n_rows)), "spectrum": struct, **plain}
    pq.write_table(pa.table(plain), path, row_group_size=row_group_size or max(n_rows, 1))
    return path


WRITERS = {"hdf5": write_hdf5, "parquet": write_parquet}


def expected_id(survey, number):
    return {
        "SDSS": f"{number}",
        "DESI": f"{39627000000000000 + number}",
        "GALAH": f"{number}",
        "APOGEE": f"2M{number:016d}",
    }[survey]


@pytest.mark.parametrize("survey", GRIDS)
@pytest.mark.parametrize("format", WRITERS)
def test_every_schema(tmp_path, survey, format):
    columns = table(survey, 5)
    if survey == "GALAH" and format == "parquet":
        # The builder of the Parquet files has the right formula.
        columns["spectrum_lambda"] = np.tile(GRIDS["GALAH"], (5, 1)).astype("f4")
    path = WRITERS[format](tmp_path / f"001-of-001.{format}", columns)
    source = MultimodalUniverse(path, labels=["healpix"])
    records = list(source)
    assert source.n_rows == len(records) == 5
    truth = vacuum(survey)
    for row, record in enumerate(records):
        n_pixels = 56 if survey == "SDSS" and row % 2 == 0 else truth.size
        assert isinstance(record, SurveyRecord)
        assert record.survey == survey
        assert record.object_id == expected_id(survey, row)
        assert (record.ra, record.dec) == (columns["ra"][row], columns["dec"][row])
        assert record.wavelength.shape == (n_pixels,)
        assert record.wavelength.dtype == np.float64
        # Half a unit in the last place of single precision at 16000 Angstrom is 5e-4.
        tolerance = 1e-9 if survey == "APOGEE" else 6e-4
        np.testing.assert_allclose(record.wavelength, truth[:n_pixels], atol=tolerance, rtol=0)
        assert record.flux.dtype == record.ivar.dtype == np.dtype("=f4")
        np.testing.assert_array_equal(record.flux, columns["spectrum_flux"][row, :n_pixels])
        good = np.ones(n_pixels, bool)
        good[7] = survey == "GALAH"  # which has no mask
        np.testing.assert_array_equal(record.valid, good)
        np.testing.assert_array_equal(record.mask, ~good)
        np.testing.assert_array_equal(
            record.ivar, np.where(good, columns["spectrum_ivar"][row, :n_pixels], 0)
        )
    labels = records[-1].labels
    assert labels.pop("healpix") == 583
    assert (
        labels
        == {
            "SDSS": {
                "class": "GALAXY",
                "z": pytest.approx(0.2),
                "z_err": pytest.approx(1e-4),
                "zwarning": 0,
            },
            "DESI": {"class": "QSO", "z": 0.2, "z_err": 1e-4, "zwarn": 0},
            "GALAH": {"teff": 5000.0, "flag_sp": 0},
            "APOGEE": {"teff": 4500.0, "rv": 12.0},
        }[survey]
    )


def test_galah_offset_can_be_given(tmp_path):
    path = write_parquet(tmp_path / "a.parquet", table("GALAH", 1))
    (off,), (right,) = (list(MultimodalUniverse(path, galah_offset=n)) for n in (None, 2))
    np.testing.assert_allclose(right.wavelength, vacuum("GALAH"), atol=6e-4, rtol=0)
    np.testing.assert_allclose(
        off.wavelength - right.wavelength, 2 * GALAH_STEPS, atol=6e-4, rtol=0
    )


def test_real_galah(shared_data, tmp_path):
    """A real star, written by the project's formula, stands where its own reader puts it."""
    from astropy.io import fits

    from spectok.surveys import galah

    cameras = sorted((shared_data / "galah/real/com_v5").glob("*.fits"))
    parts = collections.defaultdict(list)
    for path in cameras:
        with fits.open(path) as hdus:
            header, flux = hdus[0].header, hdus[0].data
            reference = header["CRPIX1"] or 1
            pixel = np.arange(header["NAXIS1"]) + reference + 1
            parts["spectrum_lambda"].append(pixel * header["CDELT1"] + header["CRVAL1"])
            parts["spectrum_flux"].append(flux)
            with np.errstate(divide="ignore"):
                parts["spectrum_ivar"].append(1 / (flux * hdus["input_sigma"].data) ** 2)
    columns = {name: np.concatenate(arms)[None].astype("f4") for name, arms in parts.items()}
    columns |= {"object_id": [1312160026010031], "ra": [10.0], "dec": [-20.0]}
    (record,) = MultimodalUniverse(write_hdf5(tmp_path / "a.hdf5", columns), survey="galah")
    arms = galah.read(cameras[0])
    truth = [to_grid(arm.spectral_axis, medium="air", where="").wavelength for arm in arms]
    # Single precision near 7600 Angstrom: 0.003 of a pixel.
    np.testing.assert_allclose(record.wavelength, np.concatenate(truth), atol=6e-4, rtol=0)
    mask = np.concatenate([arm.mask for arm in arms])
    ivar = np.concatenate([arm.uncertainty.array for arm in arms])
    # The reader knows how opaque the air was; these files do not. Else they agree.
    oxygen = (record.wavelength > 7590) & (record.wavelength < 7710)
    np.testing.assert_array_equal(record.mask[~oxygen], mask[~oxygen])
    assert not (record.mask & ~mask).any()
    np.testing.assert_allclose(record.ivar[~mask], ivar[~mask], rtol=1e-5)


def test_bad_pixels(tmp_path):
    columns = table("DESI", 1)
    flux, ivar = columns["spectrum_flux"][0], columns["spectrum_ivar"][0]
    flux[[1, 2]] = np.nan, np.inf
    ivar[[3, 4, 5, 6]] = 0.0, -1.0, np.nan, np.inf
    columns["spectrum_lambda"][0, [0, 10, 11]] = -1.0, 0.0, np.nan
    (record,) = MultimodalUniverse(write_hdf5(tmp_path / "a.hdf5", columns))
    assert record.wavelength.size == 80 - 3
    assert np.flatnonzero(record.mask).tolist() == [0, 1, 2, 3, 4, 5, 6]  # pixels 1 to 7
    assert np.isfinite(record.flux).all() and (record.ivar[:7] == 0).all()


def test_apogee_without_data(tmp_path):
    columns = table("APOGEE", 2)
    columns["spectrum_mask"][:] = False
    columns["spectrum_ivar"][:, 3] = 1e10**-2.0  # what apStar files say where there is nothing
    columns["spectrum_flux"][:, 4] = 0.0
    columns["spectrum_ivar"][1] = 0.0
    some, none = MultimodalUniverse(write_hdf5(tmp_path / "a.hdf5", columns))
    assert np.flatnonzero(some.mask).tolist() == [3, 4]
    assert not none.valid.any()


def test_galah_flux_below_zero(tmp_path):
    columns = table("GALAH", 1)
    columns["spectrum_flux"][0, :2] = 0.0, -5.0
    (record,) = MultimodalUniverse(write_hdf5(tmp_path / "a.hdf5", columns))
    assert np.flatnonzero(record.mask).tolist() == [0, 1]


def test_first_build_of_galah(tmp_path):
    columns = table("GALAH", 1)
    columns["spectrum_flux_ivar"] = columns.pop("spectrum_ivar")
    (record,) = MultimodalUniverse(write_hdf5(tmp_path / "a.hdf5", columns))
    np.testing.assert_array_equal(record.ivar, columns["spectrum_flux_ivar"][0])


def test_arms_one_after_the_other(tmp_path):
    """A build of DESI that stacks its cameras: they overlap on one grid."""
    columns = table("DESI", 1)
    place = np.r_[0:40, 30:80]  # pixels 30 to 39 twice
    for name in ("flux", "ivar", "lambda", "mask", "lsf_sigma"):
        columns[f"spectrum_{name}"] = columns[f"spectrum_{name}"][:, place].copy()
    flux, ivar = (columns[f"spectrum_{n}"][0].astype(float) for n in ("flux", "ivar"))
    columns["spectrum_flux"][0, 40:50] += 3.0  # the second arm's pixels 30 to 39
    columns["spectrum_ivar"][0, 41] = 0.0
    columns["spectrum_mask"][0, [32, 42]] = True
    columns["spectrum_flux"][0, 31] = 7.0
    (record,) = MultimodalUniverse(write_parquet(tmp_path / "a.parquet", columns))
    np.testing.assert_allclose(record.wavelength, GRIDS["DESI"], atol=6e-4, rtol=0)
    assert np.flatnonzero(record.mask).tolist() == [7, 32]
    assert record.flux[31] == 7.0 and record.ivar[31] == pytest.approx(ivar[31])
    both = (flux[35] * ivar[35] + (flux[45] + 3) * ivar[45]) / (ivar[35] + ivar[45])
    assert record.flux[35] == pytest.approx(both, rel=1e-6)
    assert record.ivar[35] == pytest.approx(ivar[35] + ivar[45], rel=1e-6)


def test_missing_values_in_parquet(tmp_path):
    """Nulls: an unknown error and an unknown mask are no good pixels."""
    path = write_parquet(tmp_path / "a.parquet", table("DESI", 3))
    data = pq.read_table(path)
    rows = data.column("spectrum").to_pylist()
    rows[0]["ivar"] = None
    rows[1]["mask"][5] = None
    rows[1]["flux"][6] = None
    spectrum = pa.array(rows, data.schema.field("spectrum").type)
    data = data.set_column(data.schema.get_field_index("spectrum"), "spectrum", spectrum)
    data = data.set_column(data.schema.get_field_index("ra"), "ra", pa.array([None, 1.0, 2.0]))
    pq.write_table(data, path)
    first, second, _ = MultimodalUniverse(path)
    assert not first.valid.any() and first.valid.size == 80
    assert np.isnan(first.ra)
    assert np.flatnonzero(second.mask).tolist() == [5, 6, 7]


# --- order, shards, restart -----------------------------------------------------------------


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """Five files of two formats and three surveys, one of them empty; 90 objects."""
    folder = tmp_path_factory.mktemp("mixed")
    write_hdf5(folder / "sdss/healpix=1/001-of-001.hdf5", table("SDSS", 17, 1))
    write_hdf5(folder / "sdss/healpix=2/001-of-001.hdf5", table("SDSS", 1, 2))
    write_hdf5(folder / "sdss/healpix=3/001-of-001.hdf5", table("SDSS", 0, 3))
    write_parquet(folder / "desi/Npix=4.parquet", table("DESI", 42, 4), row_group_size=19)
    write_parquet(folder / "galah/Npix=5.parquet", table("GALAH", 30, 5))
    return folder


SETTINGS = {
    "seed": st.sampled_from([None, 0, 7]),
    "epoch": st.integers(0, 3),
    "chunk_rows": st.integers(1, 12),
    "n_chunks": st.integers(1, 4),
}


def make(folder, seed, chunk_rows, n_chunks, **options):
    return MultimodalUniverse(
        folder, seed=seed, chunk_rows=chunk_rows, buffer_rows=n_chunks * chunk_rows, **options
    )


@given(n_shards=st.integers(1, 9), **SETTINGS)
def test_each_row_once_over_all_shards(mixed, seed, epoch, chunk_rows, n_chunks, n_shards):
    source = make(mixed, seed, chunk_rows, n_chunks)
    assert source.n_rows == 90
    shards = [
        [record.object_id for record in source.read(epoch=epoch, shard=k, n_shards=n_shards)]
        for k in range(n_shards)
    ]
    assert max(map(len, shards)) - min(map(len, shards)) <= 1
    everything = sum(shards, [])
    assert len(everything) == 90 and len(set(everything)) == 90


@given(part=st.floats(0, 1), n_shards=st.integers(1, 3), **SETTINGS)
def test_reading_goes_on_from_any_position(
    mixed, seed, epoch, chunk_rows, n_chunks, n_shards, part
):
    options = {"epoch": epoch, "shard": n_shards - 1, "n_shards": n_shards}
    whole = list(make(mixed, seed, chunk_rows, n_chunks).read(**options))
    place = int(part * len(whole))
    position = whole[place - 1].position if place else 0
    rest = list(make(mixed, seed, chunk_rows, n_chunks).read(**options, position=position))
    assert [r.object_id for r in rest] == [r.object_id for r in whole[place:]]
    assert [r.position for r in rest] == [r.position for r in whole[place:]]
    for a, b in zip(rest[:3], whole[place:], strict=False):
        np.testing.assert_array_equal(a.flux, b.flux)


def test_order(mixed):
    def ids(source, **options):
        return [record.object_id for record in source.read(**options)]

    plain, shuffled = MultimodalUniverse(mixed), MultimodalUniverse(mixed, seed=3, chunk_rows=4)
    files = [f"{39627000000004000 + i}" for i in range(42)]
    files += [f"{5000 + i}" for i in range(30)] + [f"{1000 + i}" for i in range(17)] + ["2000"]
    assert ids(plain) == ids(plain, epoch=4) == files
    assert ids(shuffled) == ids(MultimodalUniverse(mixed, seed=3, chunk_rows=4)) != files
    assert ids(shuffled) != ids(shuffled, epoch=1)
    assert ids(shuffled) != ids(MultimodalUniverse(mixed, seed=4, chunk_rows=4))
    # Neighbours of one long row group do not come one after the other.
    place = np.array([files.index(i) for i in ids(shuffled)])
    assert (np.abs(np.diff(place)) == 1).mean() < 0.1


def test_ranks(mixed):
    sources = [MultimodalUniverse(mixed, seed=0, rank=rank, world_size=3) for rank in range(3)]
    # Through pickle, as to worker processes that are spawned.
    seen = [r.object_id for source in sources for r in pickle.loads(pickle.dumps(source))]
    assert len(seen) == len(set(seen)) == 90


def test_workers_of_a_loader(mixed):
    def load(source):
        return DataLoader(source, batch_size=8, num_workers=2, collate_fn=list)

    source = MultimodalUniverse(mixed, seed=0, rank=1, world_size=2, chunk_rows=3)
    whole = [record for batch in load(source) for record in batch]
    assert {record.shard for record in whole} == {2, 3}
    assert len({record.object_id for record in whole}) == len(whole) == 45
    used = set()
    for number, batch in enumerate(load(source)):
        if number == 3:
            break
        for record in batch:
            used.add(record.object_id)
            source.positions[record.shard] = record.position
    rest = [record.object_id for batch in load(source) for record in batch]
    assert len(used) == 24 and not used & set(rest)
    assert used | set(rest) == {record.object_id for record in whole}


def test_split(mixed):
    everything = {record.object_id: record for record in MultimodalUniverse(mixed)}
    parts = {
        part: list(MultimodalUniverse(mixed, split=part, seed=1))
        for part in ("train", "validation", "test")
    }
    assert sum(map(len, parts.values())) == 90
    for part, records in parts.items():
        assert len({r.object_id for r in records} & everything.keys()) == len(records) > 0
        assert {str(sky_split(r.ra, r.dec)) for r in records} == {part}


def test_split_without_a_position(tmp_path):
    columns = table("APOGEE", 20)
    columns["ra"][:10], columns["dec"][10:] = np.nan, -9999.0
    path = write_hdf5(tmp_path / "a.hdf5", columns)
    train = {record.object_id for record in MultimodalUniverse(path, split="train")}
    names = [expected_id("APOGEE", i) for i in range(20)]
    assert train == {n for n in names if str(name_split(n)) == "train"}
    assert 0 < len(train) < 20


# --- no more is read, and no more is in memory, than is needed ------------------------------


@pytest.fixture
def rows_read(monkeypatch):
    """Counts the rows of spectra that are read from HDF5 files."""
    counts = collections.Counter()
    original = h5py.Dataset.__getitem__

    def counting(self, key):
        values = original(self, key)
        counts[self.name] += len(values)
        return values

    monkeypatch.setattr(h5py.Dataset, "__getitem__", counting)
    return counts


def test_reads_lazily(tmp_path, rows_read):
    for k in range(4):
        write_hdf5(tmp_path / f"{k}.hdf5", table("SDSS", 100, k))
    source = MultimodalUniverse(tmp_path, seed=0, chunk_rows=10, buffer_rows=50)
    assert not rows_read
    records = source.read()
    next(records)
    assert rows_read["/spectrum_flux"] == 50
    whole = [record.object_id for record in source.read()]
    rows_read.clear()
    rest = [record.object_id for record in source.read(position=333)]
    assert rest == whole[333:]
    assert rows_read["/spectrum_flux"] == 100  # the last two buffers of 50
    records.close()


def test_unwanted_spectra_are_not_read(tmp_path, rows_read):
    columns = table("SDSS", 64)
    columns["ra"][:32], columns["dec"][:32] = 10.0, 10.0
    part = str(sky_split(10.0, 10.0))
    other = {"train": "test"}.get(part, "train")
    columns["ra"][32:], columns["dec"][32:] = next(
        (ra, 20.0) for ra in range(360) if str(sky_split(ra, 20.0)) == other
    )
    path = write_hdf5(tmp_path / "a.hdf5", columns)
    assert len(list(MultimodalUniverse(path, split=other, chunk_rows=16))) == 32
    assert rows_read["/spectrum_flux"] == 32
    assert rows_read["/ra"] == 64 + 32


def big(n_rows=1500, n_pixels=2000):
    rng = np.random.default_rng(0)
    grid = np.tile((3600 + 0.8 * np.arange(n_pixels)).astype("f4"), (n_rows, 1))
    flux = rng.normal(10, 1, grid.shape).astype("f4")
    return {
        "object_id": np.arange(n_rows),
        "TARGETID": np.arange(n_rows),
        "ra": rng.uniform(0, 360, n_rows),
        "dec": rng.uniform(-80, 80, n_rows),
        "spectrum_flux": flux,
        "spectrum_ivar": rng.uniform(0.5, 2, grid.shape).astype("f4"),
        "spectrum_lambda": grid,
        "spectrum_mask": np.zeros(grid.shape, bool),
    }


def test_memory_of_hdf5(tmp_path):
    import tracemalloc

    path = write_hdf5(tmp_path / "a.hdf5", big())  # 39 MB
    source = MultimodalUniverse(path, seed=0, chunk_rows=16, buffer_rows=64)
    tracemalloc.start()
    n_rows = sum(1 for _ in source)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert n_rows == 1500
    assert 1e6 < peak < 6e6  # a buffer of 64 rows is 1.7 MB, and the next one is read beside it


def test_memory_of_one_long_row_group(tmp_path):
    columns = big()
    path = write_parquet(tmp_path / "a.parquet", columns)
    assert pq.ParquetFile(path).num_row_groups == 1
    del columns
    source = MultimodalUniverse(path, seed=0, chunk_rows=16, buffer_rows=64)
    before = pa.total_allocated_bytes()
    peaks = [pa.total_allocated_bytes() - before for _ in source]
    assert len(peaks) == 1500
    assert 1e5 < max(peaks) < 14e6  # of 39 MB


# --- what is wrong with files ---------------------------------------------------------------


@pytest.mark.parametrize("format", WRITERS)
def test_other_schema(tmp_path, format):
    path = WRITERS[format](
        tmp_path / f"gaia.{format}",
        {"object_id": [1], "ra": [1.0], "dec": [2.0], "spectrum_coeff": np.ones((1, 5))},
    )
    with pytest.raises(
        ValueError, match=rf"gaia.{format}: not spectra .*no spectrum_lambda.*coef"
    ):
        MultimodalUniverse(path, damaged="skip")


def test_survey(tmp_path):
    path = write_hdf5(tmp_path / "a.hdf5", table("SDSS", 1))
    with pytest.raises(ValueError, match="a.hdf5: its columns are those of SDSS, not of GALAH"):
        MultimodalUniverse(path, survey="galah")
    columns = {k: v for k, v in table("SDSS", 1).items() if k != "ZWARNING"}
    path = write_hdf5(tmp_path / "b.hdf5", columns)
    with pytest.raises(ValueError, match="b.hdf5: cannot tell the survey"):
        MultimodalUniverse(path)
    assert [r.survey for r in MultimodalUniverse(path, survey="sdss")] == ["SDSS"]


def test_unknown_label(tmp_path):
    path = write_hdf5(tmp_path / "a.hdf5", table("SDSS", 1))
    with pytest.raises(ValueError, match="a.hdf5: no column redshift"):
        MultimodalUniverse(path, labels=["Z", "redshift"])
    (record,) = MultimodalUniverse(path, labels=["vdisp", "SPECTROFLUX"])
    assert record.labels["vdisp"] == 150.0 and record.labels["SPECTROFLUX"].tolist() == [1.0] * 5


@pytest.mark.parametrize("format", WRITERS)
def test_cut_short(tmp_path, format):
    good = WRITERS[format](tmp_path / f"good.{format}", table("DESI", 4, 1))
    bad = WRITERS[format](tmp_path / f"bad.{format}", table("DESI", 4, 2))
    bad.write_bytes(bad.read_bytes()[:-2000])
    empty = tmp_path / f"empty.{format}"
    empty.write_bytes(b"")
    with pytest.raises(OSError, match=f"bad.{format}: cannot be read.*fetch it again"):
        MultimodalUniverse([good, bad])
    with pytest.warns(UserWarning) as told:
        source = MultimodalUniverse([empty, bad, good], damaged="skip")
    assert len(told) == 2
    assert "empty." in str(told[0].message) and "bad." in str(told[1].message)
    assert len(list(source)) == source.n_rows == 4


def test_damaged_inside(tmp_path):
    """A page that is damaged shows only when it is read: the rest of its row group is lost."""
    good = write_parquet(tmp_path / "good.parquet", table("DESI", 40, 1))
    bad = write_parquet(tmp_path / "bad.parquet", table("DESI", 40, 2), row_group_size=20)
    column = pq.ParquetFile(bad).metadata.row_group(1).column(1)
    assert column.path_in_schema.startswith("spectrum")
    start = column.dictionary_page_offset or column.data_page_offset
    data = bytearray(bad.read_bytes())
    data[start : start + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    bad.write_bytes(data)
    options = {"chunk_rows": 8, "buffer_rows": 16, "seed": 0}
    with pytest.raises(OSError, match="bad.parquet: cannot be read"):
        list(MultimodalUniverse([good, bad], **options))
    with pytest.warns(UserWarning, match="bad.parquet: cannot be read") as told:
        records = list(MultimodalUniverse([good, bad], damaged="skip", **options))
    assert len(told) == 1
    assert len(records) == 60 and records[-1].position <= 80


def test_columns_that_do_not_fit(tmp_path):
    columns = table("DESI", 4)
    columns["spectrum_ivar"] = columns["spectrum_ivar"][:3]
    path = write_hdf5(tmp_path / "a.hdf5", columns)
    with pytest.raises(OSError, match="a.hdf5: .*shapes of its columns"):
        MultimodalUniverse(path)


def test_rows_without_a_spectrum(tmp_path):
    columns = table("SDSS", 30)
    columns["spectrum_lambda"][[4, 9]] = -1.0
    path = write_hdf5(tmp_path / "a.hdf5", columns)
    with pytest.raises(ValueError, match="a.hdf5: row 4 of group 0, object 4: .*all is padding"):
        list(MultimodalUniverse(path))
    with pytest.warns(UserWarning, match="2 rows without a spectrum; the first: .*row 4") as told:
        records = list(MultimodalUniverse(path, damaged="skip"))
    assert len(told) == 1 and len(records) == 28
    # Their places count, so positions mean the same with and without them.
    assert [r.position for r in records][:5] == [1, 2, 3, 4, 6]


def test_unequal_lengths(tmp_path):
    path = write_parquet(tmp_path / "a.parquet", table("DESI", 1))
    data = pq.read_table(path)
    rows = data.column("spectrum").to_pylist()
    rows[0]["flux"] = rows[0]["flux"][:-1]
    data = data.set_column(1, "spectrum", pa.array(rows, data.schema.field("spectrum").type))
    pq.write_table(data, path)
    with pytest.raises(ValueError, match="object 39627000000000000: its 80 wavelengths, 79 flux"):
        list(MultimodalUniverse(path))


def test_paths(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere: no such file"):
        MultimodalUniverse(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="no file that ends in .hdf5"):
        MultimodalUniverse(tmp_path)
    with pytest.raises(FileNotFoundError, match="no file was given"):
        MultimodalUniverse([])
    (tmp_path / "a.fits").write_bytes(b"")
    with pytest.raises(ValueError, match="a.fits: files end in"):
        MultimodalUniverse(tmp_path / "a.fits")


def test_hats_collection(tmp_path):
    """Margins repeat rows of the main catalog, and so does the thumbnail."""
    main, margin = tmp_path / "mmu_desi", tmp_path / "mmu_desi_10arcs"
    for root, kind in ((main, "object"), (margin, "margin")):
        write_parquet(root / "dataset/Norder=4/Dir=0/Npix=7.parquet", table("DESI", 3, 1))
        (root / "hats.properties").write_text(f"#HATS\nobs_x=1\ndataproduct_type={kind}\n")
        (root / "partition_info.csv").write_text("Norder,Npix\n4,7\n")
    write_parquet(main / "dataset/Norder=4/Dir=0/Npix=8/part0.parquet", table("DESI", 2, 2))
    write_parquet(main / "dataset/data_thumbnail.parquet", table("DESI", 1, 1))
    pq.write_metadata(pq.read_schema(main / "dataset/data_thumbnail.parquet"), main / "_metadata")
    ids = [record.object_id for record in MultimodalUniverse(tmp_path)]
    assert len(ids) == len(set(ids)) == 5
    with pytest.raises(FileNotFoundError, match="margin"):
        MultimodalUniverse(margin)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"survey": "lamost"}, "survey must be one of"),
        ({"split": "training"}, "split must be one of"),
        ({"damaged": "ignore"}, "damaged must be one of"),
        ({"labels": "Z"}, "labels must be a list"),
        ({"rank": 2, "world_size": 2}, "0 <= rank < world_size"),
        ({"chunk_rows": 0}, "1 <= chunk_rows <= buffer_rows"),
        ({"chunk_rows": 64, "buffer_rows": 32}, "1 <= chunk_rows <= buffer_rows"),
    ],
)
def test_options(mixed, options, message):
    with pytest.raises(ValueError, match=message):
        MultimodalUniverse(mixed, **options)


def test_shard_and_position(mixed):
    source = MultimodalUniverse(mixed)
    with pytest.raises(ValueError, match="0 <= shard < n_shards, not 3 and 3"):
        source.read(shard=3, n_shards=3)
    with pytest.raises(ValueError, match="must not be negative"):
        source.read(position=-1)
    assert list(source.read(position=10_000)) == []


# --- into the tokenizer ---------------------------------------------------------------------


def test_encode(tmp_path, tiny, rms_difference):
    """What stands under padding and mask does not matter; a hopeless spectrum keeps its row."""
    columns = table("SDSS", 3)
    good = columns["spectrum_mask"] == 0
    columns["spectrum_flux"][~good] = 1e9
    columns["spectrum_mask"][2] = True
    records = list(MultimodalUniverse(write_hdf5(tmp_path / "a.hdf5", columns)))
    with pytest.warns(AstropyUserWarning, match="no valid patch|good"):
        tokens = spectok.encode_arrays(**MultimodalUniverse.as_arrays(records), model=tiny)
    assert list(dict.fromkeys(tokens["object_id"])) == ["0", "1", "2"]
    assert tokens["valid"][tokens["object_id"] != "2"].all()
    assert not tokens["valid"][tokens["object_id"] == "2"].any()
    clean = spectok.encode_arrays(
        GRIDS["SDSS"][:56].astype("f4").astype(float),
        np.where(good, columns["spectrum_flux"], 0.0)[0, :56].astype(float),
        np.where(good, columns["spectrum_ivar"], 0.0)[0, :56].astype(float),
        model=tiny,
    )
    mine = tokens["token"][tokens["object_id"] == "0"]
    assert rms_difference(mine, clean["token"]) < 1e-5


def test_warns_of_nothing(mixed):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(list(MultimodalUniverse(mixed, seed=0, damaged="skip"))) == 90
