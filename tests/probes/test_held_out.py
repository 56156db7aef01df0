"""What a probe watches, and where it was not trained: nothing rare is lost, nothing is silent."""

import numpy as np
import pytest
from astropy.utils.exceptions import AstropyUserWarning

from spectok import probes
from spectok.probes._held_out import hold_out, less_the_only


def items_at(low, n, seed=0):
    """Items of eight tokens from a wavelength on."""
    rng = np.random.default_rng(seed)
    fields = [("wavelength", float), ("token", np.float32, (4,))]
    items = np.empty(n, object)
    for row in range(n):
        items[row] = np.empty(8, fields)
        items[row]["wavelength"] = low + 30.0 * np.arange(8)
        items[row]["token"] = rng.normal(0.0, 1.0, (8, 4))
    return items


def test_the_only_one_of_a_class_is_trained_on():
    known = np.zeros((6, 2), bool)
    known[:, 0] = True
    known[4] = [False, True]
    assert less_the_only(np.array([1, 4]), known, None).tolist() == [1]
    groups = np.array([0, 1, 2, 3, 1, 4])
    assert less_the_only(np.array([1, 4]), known, groups).tolist() == []
    known[5, 1] = True
    assert less_the_only(np.array([1, 4]), known, None).tolist() == [1, 4]


@pytest.mark.slow
def test_a_rare_class_is_never_held_out_whole():
    items = items_at(5000.0, 200)
    drawn = []
    for row in range(0, 200, 50):
        probe = probes.ProbeClassifier(method="attention", max_epochs=1, progress=False)
        probe.fit(items, np.where(np.arange(200) == row, "rare", "usual"))
        drawn.append(probe.n_held_out_)
    assert drawn == [20] * 4


@pytest.mark.parametrize("make", [probes.ProbeClassifier, probes.ProbeRegressor])
def test_other_wavelengths_are_said(make):
    items = items_at(5000.0, 30)
    probe = make(method="attention", max_epochs=1, progress=False).fit(items, np.arange(30) % 2)
    asked = np.concatenate([items[:3], items_at(9000.0, 2)])
    with pytest.warns(
        AstropyUserWarning, match=r"2 of 5 .* 4950 to 5262 Angstrom.*: 3, 4"
    ) as said:
        probe.predict(asked)
    assert len(said) == 1 and said[0].filename == __file__
    probe.predict(items)


@pytest.mark.parametrize("grouped", [False, True])
def test_every_class_has_its_share(grouped):
    rng = np.random.default_rng(1)
    strata = rng.permutation(np.repeat([0, 1, 2], [150, 40, 10]))
    groups = np.array([f"star {k}" for k in np.arange(200) // 2]) if grouped else None
    held = [hold_out(200, 0.2, groups, strata, seed) for seed in range(5)]
    for rows in held:
        assert np.abs(np.bincount(strata[rows], minlength=3) - [30, 8, 2]).max() <= 1 + grouped
        assert len(np.unique(rows)) == len(rows) and (np.diff(rows) > 0).all()
        if grouped:
            assert not set(groups[rows]) & set(np.delete(groups, rows))
    assert len({tuple(rows) for rows in held}) > 1
    assert np.array_equal(held[0], hold_out(200, 0.2, groups, strata, 0))


def test_more_classes_than_are_held_out():
    strata = np.arange(120) % 30
    rows = hold_out(120, 0.1, None, strata, 0)
    assert np.bincount(strata[rows], minlength=30).tolist() == [1] * 30
    # Classes of one spectrum each are learnt from, and if there is nothing else, nothing is held.
    assert len(hold_out(120, 0.1, np.arange(120) // 2, np.arange(120), 0)) <= 12
    for share in (0.5, 0.9, 0.97):
        rows = hold_out(40, share, None, np.arange(40) % 4, 0)
        assert set(np.arange(40) % 4) == set(np.delete(np.arange(40) % 4, rows))


def test_one_large_group_of_several():
    """The fold nearest to the share is taken, not the one that half of all spectra are in."""
    groups = np.r_[np.zeros(100, int), np.arange(1, 101)]
    strata = np.arange(200) % 2
    for seed in range(4):
        rows = hold_out(200, 0.1, groups, strata, seed)
        assert 5 <= len(rows) <= 30 and not (groups[rows] == 0).any()


def test_few_are_not_held_out():
    assert not len(hold_out(99, 0.1, None, np.arange(99) % 2, 0))
    with pytest.raises(ValueError, match="all spectra are of one group"):
        hold_out(200, 0.1, np.zeros(200), np.arange(200) % 2, 0)
