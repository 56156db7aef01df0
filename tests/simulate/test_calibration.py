"""Errors of calibration as patterns with normal weights."""

import numpy as np
import pytest
import torch

from spectok import simulate
from spectok.simulate._calibration import calibration, calibration_modes


@pytest.mark.parametrize("name", ["sdss", "desi-arms", "galah", "apogee"])
def test_modes_are_what_is_drawn(generator, name):
    instrument = simulate.instrument(name)
    modes = calibration_modes(instrument)
    assert modes.shape == (9 * len(instrument.arms), len(instrument.wavelength))
    drawn = calibration(instrument, 5, generator(1)).double()
    # The same weights from the same generator; the mean is what weights of nought leave.
    again = generator(1)
    weights = torch.cat([torch.randn((5, 9), generator=again) for _ in instrument.arms], 1)
    mean = drawn - weights.double() @ modes
    assert (mean - mean[0]).abs().max() < 1e-5
    assert drawn.std() > 0.01
    x = np.linspace(-1, 1, instrument.arms[0][1])
    usual = instrument.traits["blaze"][0]
    expected = usual[0] + usual[1] * x + usual[2] * np.interp(x, *_parabola())
    np.testing.assert_allclose(mean[0, : len(x)], expected, atol=1e-5)


def _parabola():
    nodes = np.linspace(-1, 1, 24)
    return nodes, nodes**2


def test_arms_are_independent():
    instrument = simulate.instrument("galah")
    modes = calibration_modes(instrument).reshape(4, 9, -1)
    for k, (first, last) in enumerate(instrument.arms):
        outside = np.ones(len(instrument.wavelength), bool)
        outside[first:last] = False
        assert not modes[k][:, outside].any() and modes[k][:, ~outside].any(1).all()
    assert not calibration_modes(instrument.calibrated()).any()
