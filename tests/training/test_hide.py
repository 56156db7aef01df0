"""What is hidden: shares, blocks of the lengths said, the same for the same generator."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spectok.training._hide import HIDDEN_SHARE, check_hidden, hide, hide_more


def drawn(shape, seed=0, share=HIDDEN_SHARE):
    return hide(np.random.default_rng(seed), shape, share).numpy()


def runs_of(row):
    """Lengths of the runs of hidden pixels that end within the row."""
    edge = np.flatnonzero(np.diff(np.concatenate([[0], row.astype(int), [0]])))
    begin, end = edge[::2], edge[1::2]
    return (end - begin)[(begin > 0) & (end < len(row))]


@given(
    seed=st.integers(0, 500),
    n_spectra=st.integers(1, 9),
    n_pixels=st.sampled_from([1, 5, 40, 256, 4000]),
)
def test_it_depends_on_the_generator_alone(seed, n_spectra, n_pixels):
    hidden = drawn((n_spectra, n_pixels), seed)
    assert hidden.shape == (n_spectra, n_pixels) and hidden.dtype == bool
    assert np.array_equal(hidden, drawn((n_spectra, n_pixels), seed))
    assert n_pixels < 256 or not np.array_equal(hidden, drawn((n_spectra, n_pixels), seed + 1))


def test_neither_the_default_generator_nor_threads_matter():
    first, threads = drawn((8, 4000)), torch.get_num_threads()
    state = torch.get_rng_state()
    try:
        torch.set_num_threads(threads + 1)
        torch.manual_seed(1)
        assert np.array_equal(first, drawn((8, 4000)))
    finally:
        torch.set_num_threads(threads)
        torch.set_rng_state(state)


def test_nothing_is_hidden_where_nothing_shall_be():
    assert not drawn((50, 1000), share=(0.0, 0.0)).any()


@pytest.fixture
def blocks_alone(monkeypatch):
    """Neither gaps nor single pixels."""
    monkeypatch.setattr("spectok.training._hide._GAPS", 0.0)
    monkeypatch.setattr("spectok.training._hide._SINGLE", (0.0,))


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.05, 0.3, 0.6])
def test_blocks_cover_the_share_that_is_asked_for(share, blocks_alone):
    """Blocks that overlap cover less."""
    rows = drawn((2000, 2000), share=(share, share))
    # Chance that none of the size blocks that could cover a pixel began, size being 12 mostly.
    size = np.concatenate([np.full(57, 12), np.arange(2, 40)])
    weight = np.concatenate([np.full(57, 0.6 / 57), np.full(38, 0.4 / 38)])
    expected = float((weight * (1 - (1 - share / size) ** size)).sum())
    # Fewer could begin before one of the first pixels.
    assert rows[:, 40:].mean() == pytest.approx(expected, rel=0.02)


def test_six_spectra_in_ten_have_blocks_of_twelve_pixels(blocks_alone):
    rows = [runs_of(row) for row in drawn((2000, 1000), share=(0.02, 0.02))]
    # Where blocks touch or overlap a run is longer.
    shortest = [min(runs) for runs in rows if len(runs) > 1 and (runs == min(runs)).sum() > 1]
    count = np.bincount(shortest)
    assert len(count) == 40 and not count[:2].any() and (count[2:30] > 0).all()
    assert count.argmax() == 12 and 0.5 < count[12] / len(shortest) < 0.7
    assert np.delete(count, 12).max() < 0.15 * count[12]


@pytest.mark.slow
def test_some_spectra_have_a_long_gap_and_some_single_pixels():
    rows = drawn((3000, 4000), share=(0.02, 0.02))
    gaps = np.mean([max(runs_of(row), default=0) > 60 for row in rows])
    # 0.15 of them, of 32 to 256 pixels; few blocks of 39 touch at this share.
    assert gaps == pytest.approx(0.15 * 196 / 224, abs=0.03)
    single = np.array([(runs_of(row) == 1).sum() / 4000 for row in rows])
    assert np.mean(single < 0.002) == pytest.approx(1 / 3, abs=0.05)
    assert np.mean(single > 0.04) == pytest.approx(1 / 3, abs=0.05)


def test_hiding_is_neither_little_nor_all():
    share = drawn((300, 4000)).mean(1)
    assert 0.08 < share.mean() < 0.35 and share.max() < 0.7
    assert drawn((300, 200)).any(1).mean() > 0.9


def test_each_spectrum_draws_its_own():
    rows = drawn((40, 400))
    assert len({row.tobytes() for row in rows}) > 35


# ------------------------------------------------------------------ heavier hiding

PATCH = 32


def more(shape=(200, 20 * PATCH), seed=0, **hidden):
    rng = np.random.default_rng(seed)
    return hide_more(rng, shape, PATCH, check_hidden(hidden)).numpy()


@pytest.mark.parametrize("visible", [(0, 0), (0, 3), (2, 2)])
def test_patches_are_hidden_whole_but_for_a_few_pixels(visible):
    found = more(patches={"share": (0.3, 0.75), "visible": visible}).reshape(200, 20, PATCH)
    count = found.sum(2)
    shown = PATCH - count[count > 0]
    assert set(shown) == set(range(visible[0], visible[1] + 1))
    share = (count > 0).mean(1)
    assert share.min() == 0.3 and share.max() == 0.75
    assert share.mean() == pytest.approx(0.525, abs=0.03)
    # Any patch, and any pixel of it.
    assert (found.mean((0, 2)) > 0.35).all() and (found.mean((0, 1)) > 0.35).all()


def test_one_patch_is_left_whatever_is_asked():
    found = more((50, 2 * PATCH), patches={"share": (1.0, 1.0)}).reshape(50, 2, PATCH)
    assert (found.all(2).sum(1) == 1).all()
    assert not more((5, PATCH), patches={"share": (1.0, 1.0)}).any()


def test_a_stretch_is_one_piece_anywhere():
    found = more(stretches={"share": (0.2, 0.5)})
    edges = np.diff(np.pad(found, ((0, 0), (1, 1))).astype(int), axis=1)
    assert ((edges == 1).sum(1) == 1).all()
    share = found.mean(1)
    assert 0.2 - 1e-3 <= share.min() < 0.23 and 0.47 < share.max() <= 0.5 + 1e-3
    assert found[:, :20].any() and found[:, -20:].any()


def test_windows_are_as_many_and_as_wide_as_said():
    found = more(lines={"number": (1, 3), "pixels": (8, 10)})
    runs = np.concatenate([runs_of(row) for row in found])
    single = runs[runs <= 10]
    assert set(single) == {8, 9, 10} and len(single) > 0.9 * len(runs)
    count = np.array([len(runs_of(row)) for row in found])
    assert count.max() == 3 and count.min() <= 1


@pytest.mark.parametrize("kind", ["patches", "stretches", "lines"])
def test_each_spectrum_draws_whether_it_has_a_kind(kind):
    share = more((2000, 4 * PATCH), **{kind: {"chance": 0.25}}).any(1).mean()
    assert share == pytest.approx(0.25, abs=0.03)
    assert not more(**{kind: {"chance": 0.0}}).any()
    assert np.array_equal(more(**{kind: {}}), more(**{kind: {}}))
    assert not np.array_equal(more(**{kind: {}}), more(seed=1, **{kind: {}}))


@pytest.mark.parametrize(
    ("hidden", "message"),
    [
        ({"arms": {}}, "hidden may have patches, stretches, lines, not arms"),
        ({"lines": {"width": 3}}, "lines may have chance, number, pixels, not width"),
        ({"patches": {"share": (0.5, 1.5)}}, "share of patches must be a range"),
        ({"stretches": {"share": (0.5, 0.2)}}, "share of stretches must be a range"),
        ({"lines": {"chance": 2}}, "chance of lines must be from 0 to 1, not 2"),
    ],
)
def test_what_means_nothing_is_refused(hidden, message):
    with pytest.raises(ValueError, match=message):
        check_hidden(hidden)
