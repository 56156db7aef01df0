"""Segments, patches, padding and buckets."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spectok._batch import (
    PatchLayout,
    SpectrumBatch,
    batches,
    binary_scale,
    buckets,
    find_segments,
    padded,
    prepare,
)


@pytest.mark.parametrize(
    ("wavelength", "start"),
    [
        pytest.param([5000.0], [0], id="single pixel"),
        pytest.param([5000.0, 5001.0], [0], id="two pixels"),
        pytest.param(np.arange(4000.0, 4100.0), [0], id="linear"),
        pytest.param(10 ** (3.6 + 1e-4 * np.arange(3000)), [0], id="logarithmic"),
        pytest.param(np.delete(np.arange(4000.0, 4100.0), 50), [0], id="one missing, linear"),
        pytest.param(
            np.delete(10 ** (4.179 + 6e-6 * np.arange(300)), 150), [0], id="one missing, log"
        ),
        pytest.param(
            np.delete(10 ** (3.6 + 1e-4 * np.arange(300)), 150), [0], id="one missing, SDSS"
        ),
        pytest.param(
            np.delete(np.arange(4000.0, 4100.0), [50, 51]), [0, 50], id="two missing: a gap"
        ),
        pytest.param(
            np.r_[np.arange(4000.0, 4100.0), np.arange(5000.0, 5100.0)], [0, 100], id="gap"
        ),
        pytest.param(
            np.r_[np.arange(4000.0, 4100.0), np.arange(4090.0, 4200.0)], [0, 100], id="overlap"
        ),
        pytest.param(
            np.r_[np.arange(4000.0, 4100.0), np.arange(4000.0, 4100.0)], [0, 100], id="same grid"
        ),
        # Of the two steps that differ, the longer one is the break: coarse pixels start anew.
        pytest.param([0.0, 1.0, 2.0, 5.0, 8.0, 11.0], [0, 3], id="to coarser"),
        pytest.param([0.0, 3.0, 6.0, 7.0, 8.0, 9.0], [0, 2], id="to finer"),
        pytest.param([0.0, 1.0, 2.0, 20.0, 38.0, 39.0, 40.0], [0, 3, 4], id="lone pixel in a gap"),
    ],
)
def test_find_segments(wavelength, start):
    assert find_segments(np.asarray(wavelength, dtype=float)).tolist() == start


def test_slowly_growing_steps_are_one_segment():
    wavelength = 1000.0 + np.cumsum(1.05 ** np.arange(200))
    assert find_segments(wavelength).tolist() == [0]


@st.composite
def grids(draw):
    """Up to four arms with gaps, overlaps and samplings of their own."""
    parts, low = [], 3000.0
    for _ in range(draw(st.integers(1, 4))):
        low += draw(st.floats(-40.0, 900.0))
        step = draw(st.sampled_from([0.05, 0.8, 1.0, 2.5, 17.0]))
        n_pixels = draw(st.integers(1, 90))
        parts.append(low + step * np.arange(n_pixels))
        low = parts[-1][-1]
    return np.concatenate(parts)


@given(wavelength=grids(), patch_size=st.integers(1, 40), seed=st.integers(0, 99))
def test_gather_and_scatter_undo_each_other(wavelength, patch_size, seed):
    layout = PatchLayout.of(wavelength, patch_size)
    values = np.random.default_rng(seed).normal(size=(2, wavelength.size))
    places = layout.gather(values)
    assert places.shape == (2, layout.n_patches * patch_size)
    assert np.array_equal(layout.scatter(places), values)
    assert np.array_equal(layout.scatter(layout.wavelength), wavelength)
    assert layout.present.sum() == wavelength.size


@given(wavelength=grids(), patch_size=st.integers(1, 40))
def test_no_patch_straddles_a_segment(wavelength, patch_size):
    layout = PatchLayout.of(wavelength, patch_size)
    segment = np.zeros(wavelength.size, int)
    segment[find_segments(wavelength)[1:]] = 1
    segment = np.cumsum(segment)[layout.index].reshape(-1, patch_size)
    assert (segment == segment[:, :1]).all()
    low, high, n_pixels = layout.patch_range()
    assert n_pixels.sum() == wavelength.size and (n_pixels >= 1).all()
    assert (low <= high).all()
    assert set(low) <= set(wavelength) and set(high) <= set(wavelength)
    # Padding goes on in wavelength, so that no place of a patch repeats another.
    places = layout.wavelength.reshape(-1, patch_size)
    assert (np.diff(places, axis=1) > 0).all()


def test_a_gap_wastes_at_most_one_patch_per_segment():
    wavelength = np.r_[np.arange(4000.0, 4033.0), np.arange(5000.0, 5033.0)]
    layout = PatchLayout.of(wavelength, 32)
    assert layout.n_patches == 4
    assert layout.patch_range()[2].tolist() == [32, 1, 32, 1]


@pytest.mark.parametrize("batch_size", [None, 1, 7, 64])
def test_buckets_hand_out_every_row_once_and_pad_little(batch_size):
    rng = np.random.default_rng(1)
    lengths = np.r_[rng.integers(60, 130, 300), np.full(50, 244), rng.integers(1, 600, 100), 512]
    lengths = lengths[rng.permutation(lengths.size)]
    chunks = list(buckets(lengths, batch_size=batch_size))
    assert np.array_equal(np.sort(np.concatenate(chunks)), np.arange(lengths.size))
    computed = sum(lengths[rows].max() * len(rows) for rows in chunks)
    assert computed < 1.05 * lengths.sum()
    if batch_size:
        assert max(map(len, chunks)) <= batch_size
    else:
        assert all(len(r) == 1 or len(r) * lengths[r].max() <= 1024 for r in chunks)


def test_buckets_of_nothing_and_of_nonsense():
    assert list(buckets([])) == []
    for wrong in (0, -3):  # 0 once went round for ever
        with pytest.raises(ValueError, match=f"batch_size must be at least 1, not {wrong}"):
            list(buckets([3, 4], batch_size=wrong))


@given(exponent=st.integers(-250, 250), seed=st.integers(0, 50))
def test_magnitude_loses_no_bit(exponent, seed):
    rng = np.random.default_rng(seed)
    flux = rng.normal(3.0, 1.0, (3, 50)) * 2.0**exponent
    sigma = rng.uniform(0.1, 1.0, (3, 50)) * 2.0**exponent
    valid = rng.random((3, 50)) < 0.8
    by = binary_scale(flux, sigma, valid)
    assert (np.frexp(by)[0] == 0.5).all(), "not powers of two"
    scaled = flux / by[:, None]
    assert np.array_equal(scaled * by[:, None], flux)
    typical = np.nanmedian(np.where(valid, np.abs(scaled), np.nan), axis=1)
    assert ((typical > 0.1) & (typical < 10)).all()


def test_magnitude_of_nothing_is_one():
    nothing = np.zeros((1, 4), bool)
    assert binary_scale(np.full((1, 4), np.nan), np.full((1, 4), np.inf), nothing) == 1


def test_magnitude_heeds_no_outlier():
    flux, sigma = np.ones((1, 9)), np.ones((1, 9))
    sigma[0, 3] = 1e30
    assert binary_scale(flux, sigma, np.ones((1, 9), bool)) == 1


def test_batch_pads_with_what_nobody_sees():
    short, long = np.arange(4000.0, 4040.0), np.arange(4000.0, 4200.0)
    layouts = [PatchLayout.of(w, 32) for w in (short, long)]
    flux = [np.full(40, np.nan), np.ones(200)]
    sigma = [np.full(40, np.inf), np.ones(200)]
    valid = [np.zeros(40, bool), np.ones(200, bool)]
    batch = SpectrumBatch.from_layouts(layouts, flux, sigma, valid)
    assert batch.flux.shape == (2, 7 * 32) and batch.flux.dtype == torch.float32
    assert batch.wavelength.dtype == torch.float64
    assert all(torch.isfinite(t).all() for t in (batch.flux, batch.sigma, batch.wavelength))
    assert batch.valid.sum(1).tolist() == [0, 200]
    assert (batch.sigma > 0).all()


def test_batch_keeps_numbers_beyond_float32_finite():
    wavelength = np.arange(4000.0, 4032.0)
    flux, sigma = np.ones(32), np.ones(32)
    flux[3], sigma[4], sigma[5] = -1e60, 1e60, 1e-60
    layout = PatchLayout.of(wavelength, 32)
    batch = SpectrumBatch.from_layouts([layout], [flux], [sigma], [np.ones(32, bool)])
    assert torch.isfinite(batch.flux).all() and torch.isfinite(batch.sigma).all()
    assert (batch.sigma > 0).all()


@pytest.mark.parametrize("rows", [slice(1, 3), torch.tensor([2, 0])])
def test_some_of_a_batch(rows):
    rng = np.random.default_rng(2)
    layout = PatchLayout.of(np.arange(4000.0, 4064.0), 32)
    flux, sigma = rng.normal(size=(3, 64)), rng.uniform(1, 2, (3, 64))
    batch = SpectrumBatch.from_layouts([layout] * 3, flux, sigma, rng.random((3, 64)) < 0.5)
    some = batch[rows]
    for name in ("flux", "sigma", "wavelength", "valid"):
        assert torch.equal(getattr(some, name), getattr(batch, name)[rows])
    assert len(some.flux) == 2


# ------------------------------------------------------------------ prepared spectra


@pytest.mark.parametrize("fill", [0, -1, 2.5, None])
def test_padded_rows(fill):
    rng = np.random.default_rng(0)
    rows = [rng.normal(size=(n, 3)) for n in (4, 1, 6)]
    found = padded(rows, np.float32, fill=fill)
    assert found.shape == (3, 6, 3) and found.dtype == np.float32
    for to, row in zip(found, rows, strict=True):
        assert np.array_equal(to[: len(row)], row.astype(np.float32))
        beyond = row[-1].astype(np.float32) if fill is None else fill
        assert (to[len(row) :] == beyond).all()


def spectra_of(seed=0, sizes=(40, 300, 64, 290, 31)):
    """Prepared spectra of several grids, two of each, as bright as a survey's files hold them."""
    rng = np.random.default_rng(seed)
    found = []
    for n in sizes:
        flux = rng.normal(3e-17, 1e-17, (2, n))
        valid = rng.random((2, n)) < 0.9
        flux[~valid] = np.nan
        wavelength = 4000.0 + np.arange(n) * rng.uniform(0.5, 2)
        found += prepare(wavelength, flux, np.full((2, n), 2e-18), valid, 32)
    return found


def test_prepared_spectra_of_one_grid_share_its_layout():
    spectra = spectra_of()
    assert spectra[0].layout is spectra[1].layout is not spectra[2].layout
    for one in spectra:
        assert np.log2(one.unit) == np.round(np.log2(one.unit))
        assert 0.3 < np.nanmedian(one.flux) / one.unit < 3


@pytest.mark.parametrize("options", [{}, {"batch_size": 3}, {"max_tokens": 12}])
def test_batches_hold_every_spectrum_once_as_it_is_alone(options):
    spectra, seen = spectra_of(), []
    for rows, batch in batches(spectra, **options):
        seen += rows.tolist()
        assert len(rows) == len(batch.flux) <= options.get("batch_size", 99)
        for row, k in enumerate(rows):
            alone, size = SpectrumBatch.of([spectra[k]]), spectra[k].layout.index.size
            for name in ("flux", "sigma", "wavelength", "valid"):
                together, own = getattr(batch, name)[row], getattr(alone, name)[0]
                assert torch.equal(together[:size], own)
            assert not batch.valid[row, size:].any()
            assert torch.isfinite(batch.flux[row]).all() and (batch.sigma[row] > 0).all()
    assert sorted(seen) == list(range(len(spectra)))


def test_a_batch_is_made_when_it_is_asked_for(monkeypatch):
    """So that memory does not grow with the number of spectra."""
    made = []
    of = SpectrumBatch.of
    monkeypatch.setattr(
        SpectrumBatch, "of", lambda spectra: made.append(len(spectra)) or of(spectra)
    )
    stream = batches(spectra_of(), batch_size=1)
    assert not made
    next(stream), next(stream)
    assert made == [1, 1]


def test_junk_under_bad_pixels_is_not_even_divided():
    before = np.seterr(all="raise")
    try:
        flux = np.array([[1e-17, 1e308, 5e-324, np.nan, np.inf, 2e-17]])
        valid = np.array([[True, False, False, False, False, True]])
        (one,) = prepare(4000.0 + np.arange(6), flux, np.full((1, 6), 1e-300), valid, 2)
        batch = SpectrumBatch.of([one])
    finally:
        np.seterr(**before)
    assert batch.flux[0, 1:5].eq(0).all() and torch.isfinite(batch.flux).all()
