"""Extinction laws against published values."""

import pytest
import torch

from spectok.simulate.objects._dust import calzetti, milky_way


def law(function, micron):
    return float(function(torch.tensor([1e4 * micron]))[0])


# Cardelli, Clayton & Mathis (1989), table 3: 1 / micron, A / A(V) at R_V = 3.1.
@pytest.mark.parametrize(
    ("band", "x", "ratio"),
    [("U", 2.78, 1.569), ("B", 2.27, 1.337), ("V", 1.82, 1.000), ("R", 1.43, 0.751),
     ("I", 1.11, 0.479), ("J", 0.80, 0.282), ("H", 0.63, 0.190), ("K", 0.46, 0.114)],
)  # fmt: skip
def test_milky_way(band, x, ratio):
    # 3.1 is A / E(B-V) at V; the table's values are rounded, and I lies where two pieces meet.
    assert law(milky_way, 1 / x) / 3.1 == pytest.approx(ratio, rel=0.02)


def test_milky_way_has_no_step_in_what_is_simulated():
    wavelength = torch.linspace(3500.0, 17000.0, 20000)
    k = milky_way(wavelength)
    assert (k[1:] < k[:-1] + 1e-4).all(), "it falls with wavelength"
    assert (k[:-1] - k[1:]).max() < 0.03


# Calzetti et al. (2000): R_V = 4.05, and the values at Balmer lines in common use.
@pytest.mark.parametrize(
    ("micron", "k"), [(0.55, 4.05), (0.6563, 3.33), (0.4861, 4.60), (2.2, 0.37)]
)
def test_calzetti(micron, k):
    assert law(calzetti, micron) == pytest.approx(k, abs=0.015)


def test_calzetti_is_held_beyond_its_ends():
    assert law(calzetti, 0.05) == law(calzetti, 0.12) > 11
    assert law(calzetti, 9.9) == law(calzetti, 2.2) > 0
