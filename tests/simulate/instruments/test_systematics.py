"""Errors of calibration as patterns with normal weights."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from spectok import simulate
from spectok.simulate.instruments._systematics import (
    bad_pixels,
    calibration,
    calibration_modes,
    cosmic_rays,
)


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


@pytest.mark.parametrize("rate", [0.4, 3.0])
def test_cosmic_rays(generator, rate):
    n, length = 20000, 400
    sigma = torch.linspace(1.0, 3.0, length).expand(n, length).contiguous()
    flux = torch.zeros(n, length)
    noticed = cosmic_rays(flux, sigma, rate, generator(1))
    ratio = (flux / sigma).numpy()
    assert ratio.min() == 0, "they add light"
    # Each hits a pixel with 4 to 160 times its error, and its neighbour with less.
    first = (ratio > 0) & ~np.roll(ratio > 0, 1, axis=1)
    assert ratio[first].min() > 3.9 and ratio.max() < 2.1 * 10**2.2
    assert first.sum() == pytest.approx(rate * n, abs=5 * np.sqrt(rate * n) + 0.02 * rate * n)
    # Three in four are noticed, with both of their pixels; nothing else is.
    noticed = noticed.numpy()
    assert not (noticed & (ratio == 0)).any()
    share = noticed[first].mean()
    assert share == pytest.approx(0.75, abs=5 * np.sqrt(0.19 / first.sum()) + 0.01)
    assert (noticed == np.roll(noticed, 1, axis=1))[np.roll(first, 1, axis=1)].mean() > 0.99


def test_no_cosmic_rays(generator):
    flux = torch.ones(50, 100)
    assert not cosmic_rays(flux, torch.ones(50, 100), 0.0, generator(1)).any()
    assert (flux == 1).all()


def spectrograph(bad, length, *, dead=0.0, arms=None):
    return SimpleNamespace(
        wavelength=np.zeros(length), arms=arms or ((0, length),), traits={"bad": bad, "dead": dead}
    )


@pytest.mark.parametrize(
    ("bad", "length", "n"), [(0.002, 1000, 8000), (0.0002, 4000, 3000), (0.02, 8575, 300)]
)
def test_share_of_bad_pixels(generator, bad, length, n):
    marked = bad_pixels(spectrograph(bad, length), n, generator(2)).numpy()
    assert marked.shape == (n, length)
    starts = (marked & ~np.roll(marked, 1, axis=1)).sum()
    # Runs overlap now and then, and their lengths scatter as much as their number.
    assert marked.mean() == pytest.approx(bad, rel=0.15 + 7 / np.sqrt(starts))
    runs = np.diff(np.flatnonzero(np.diff(np.pad(marked, ((0, 0), (1, 1))).ravel().astype(int))))
    assert 1 <= runs[::2].min() and np.percentile(runs[::2], 97) <= 16


def test_dead_arms(generator):
    arms = ((0, 100), (100, 250), (250, 300))
    marked = bad_pixels(spectrograph(0.0, 300, dead=0.2, arms=arms), 4000, generator(3))
    share = [float(marked[:, a:b].all(1).float().mean()) for a, b in arms]
    assert share[0] == 0, "something of every object is left"
    assert share[1:] == pytest.approx([0.2, 0.2], abs=5 * np.sqrt(0.16 / 4000))
    whole = marked[:, 100:250]
    assert (whole.all(1) == whole.any(1)).all()


def test_nothing_bad(generator):
    assert not bad_pixels(spectrograph(0.0, 100), 50, generator(1)).any()
