"""What a probe watches, and where it was not trained: nothing rare is lost, nothing is silent."""

import numpy as np
import pytest
from astropy.utils.exceptions import AstropyUserWarning

from spectok import probes
from spectok.probes._estimator import _less_the_only


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
    assert _less_the_only(np.array([1, 4]), known, None).tolist() == [1]
    groups = np.array([0, 1, 2, 3, 1, 4])
    assert _less_the_only(np.array([1, 4]), known, groups).tolist() == []
    known[5, 1] = True
    assert _less_the_only(np.array([1, 4]), known, None).tolist() == [1, 4]


def test_a_rare_class_is_never_held_out_whole():
    items = items_at(5000.0, 200)
    drawn = []
    for seed in range(3):
        probe = probes.ProbeClassifier(max_epochs=1, random_state=seed, progress=False)
        held_out = probe._hold_out(200, None, seed)
        assert len(held_out) == 20
        # The rare one is drawn, and is not.
        for row in (held_out[3], np.setdiff1d(np.arange(200), held_out)[3]):
            probe.fit(items, np.where(np.arange(200) == row, "rare", "usual"))
            drawn.append(probe.n_held_out_)
    assert drawn == [19, 20] * 3


@pytest.mark.parametrize("make", [probes.ProbeClassifier, probes.ProbeRegressor])
def test_other_wavelengths_are_said(make):
    items = items_at(5000.0, 30)
    probe = make(max_epochs=1, progress=False).fit(items, np.arange(30) % 2)
    asked = np.concatenate([items[:3], items_at(9000.0, 2)])
    with pytest.warns(
        AstropyUserWarning, match=r"2 of 5 .* 4950 to 5262 Angstrom.*: 3, 4"
    ) as said:
        probe.predict(asked)
    assert len(said) == 1 and said[0].filename == __file__
    probe.predict(items)
