"""The one split by object: fixed, fair, and blind to everything but the place."""

import csv
from collections import Counter

import numpy as np
import pytest

from spectok._split import SETS, name_split, sky_split


def test_fixed_for_ever():
    # These may never change: published figures hang on them.
    ra = [0.0, 10.68, 83.63, 187.7, 266.4, 359.999, 123.4]
    dec = [0.0, 41.27, 22.01, 12.39, -29.0, -89.99, 90.0]
    assert list(sky_split(ra, dec)) == [
        "train",
        "train",
        "train",
        "train",
        "train",
        "train",
        "validation",
    ]
    names = ["39633561174674576", "210115000101001", "2M08002084+4044415", "a", "b", "c"]
    assert list(name_split(names)) == ["train", "train", "test", "train", "train", "train"]


@pytest.mark.slow
def test_fractions():
    rng = np.random.default_rng(0)
    n = 20000
    sets = sky_split(rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n))))
    for name, wanted in zip(SETS, (0.70, 0.05, 0.25), strict=True):
        assert np.mean(sets == name) == pytest.approx(wanted, abs=0.012)
    sets = name_split([f"star {i}" for i in range(n)])
    for name, wanted in zip(SETS, (0.70, 0.05, 0.25), strict=True):
        assert np.mean(sets == name) == pytest.approx(wanted, abs=0.012)


def test_shapes_and_turns():
    assert sky_split(10.0, 0.0).shape == ()
    assert sky_split(np.zeros((3, 1)), np.zeros(4)).shape == (3, 4)
    assert name_split("x").shape == ()
    ra = np.linspace(0, 359.9, 50)
    assert (sky_split(ra, 30.0) == sky_split(ra - 360, 30.0)).all()


def _numbers(sets):
    return [SETS.index(s) for s in sets]


@pytest.mark.slow
def test_cells_are_of_equal_width():
    # At the pole all right ascensions are one place: the band there has three cells.
    assert np.count_nonzero(np.diff(_numbers(sky_split(np.arange(0, 360, 0.5), 89.99)))) <= 2
    ra = np.arange(0, 360, 0.01)
    for dec in (0.1, 60.1):
        n_changes = np.count_nonzero(np.diff(_numbers(sky_split(ra, dec))))
        # Two adjacent cells differ with probability 1 - (0.7^2 + 0.05^2 + 0.25^2).
        expected = 0.445 * 360 * np.cos(np.radians(dec)) / 0.25
        assert n_changes == pytest.approx(expected, rel=0.15)


@pytest.mark.parametrize(("ra", "dec"), [(np.nan, 0), (0, np.inf), (0, 90.1), ([1, 2], [0, -91])])
def test_bad_positions_are_named(ra, dec):
    with pytest.raises(ValueError, match=r"position [01] .*-90 <= dec <= 90"):
        sky_split(ra, dec)


def test_empty_name():
    with pytest.raises(ValueError, match="name"):
        name_split(["a", "  "])


@pytest.mark.slow
def test_repeats_stay_together(shared_data):
    """Repeat plates and epochs within 3 arcsec fall into one set."""
    from spectok.surveys import sdss

    ra, dec, cls = [], [], []
    with open(shared_data / "sdss/labels.csv", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            meta = sdss.read(shared_data / row["file"])[0].meta
            ra.append(meta["ra"])
            dec.append(meta["dec"])
            cls.append(row["cls"])
    ra, dec = np.array(ra), np.array(dec)
    sets = sky_split(ra, dec)
    step = (ra[:, None] - ra) * np.cos(np.radians(dec))
    near = np.triu(np.hypot(step, dec[:, None] - dec) * 3600 < 3.0, k=1)
    first, second = np.nonzero(near)
    assert len(first) >= 66  # the 12 epochs of one quasar alone are 66 pairs
    assert (sets[first] == sets[second]).all()
    counts = Counter(zip(cls, sets.tolist(), strict=True))
    assert all(counts[c, s] > 0 for c in ("GALAXY", "QSO", "STAR") for s in ("train", "test"))
