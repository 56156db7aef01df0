"""Emission lines: their places, areas, widths and ratios."""

import numpy as np
import pytest
import torch
from astropy.table import Table

from spectok.simulate.objects._emission_lines import add_lines, nebular_lines

START, STEP, VELOCITY, SIZE = 3.6, 2.5e-5, 17.257, 2000


def lit(centre, width, height, n=1):
    """Lines at places [points] on nothing."""
    flux = torch.zeros(n, SIZE)
    centre = 10 ** (START + STEP * torch.as_tensor(centre).double()).reshape(n, -1)
    width = torch.as_tensor(width).float().reshape(n, -1)
    height = torch.as_tensor(height).float().reshape(n, -1)
    add_lines(flux, START, STEP, VELOCITY, centre, width.expand(centre.shape), height)
    return flux.double().numpy()


@pytest.mark.parametrize("place", [1000.0, 700.3, 456.5])
@pytest.mark.parametrize("width", [2.0, 17.0, 40.0, 250.0])
def test_area_place_and_width(place, width):
    (flux,) = lit([place], [width], [3.5])
    x = np.arange(SIZE)
    assert flux.sum() == pytest.approx(3.5, rel=1e-5)
    # What is narrower than a point is made half a point wide, or it would fall between them.
    sigma = max(width / VELOCITY, 0.6)
    assert (flux * x).sum() / 3.5 == pytest.approx(place, abs=0.02 * sigma)
    spread = np.sqrt((flux * (x - place) ** 2).sum() / 3.5)
    assert spread == pytest.approx(sigma, rel=0.03)
    expected = 3.5 / (sigma * np.sqrt(2 * np.pi)) * np.exp(-0.5 * ((x - place) / sigma) ** 2)
    assert np.abs(flux - expected).max() < 0.01 * expected.max()


def test_lines_add_up_and_absorb():
    both = lit([500.0, 510.0], [60.0], [1.0, -0.4])
    np.testing.assert_allclose(
        both, lit([500.0], [60.0], [1.0]) + lit([510.0], [60.0], [-0.4]), atol=1e-6
    )


def test_each_spectrum_has_its_own():
    flux = lit([[100.0], [900.0]], [[30.0], [90.0]], [[1.0], [2.0]], n=2)
    np.testing.assert_allclose(flux[0], lit([100.0], [30.0], [1.0])[0], atol=1e-5)
    np.testing.assert_allclose(flux[1], lit([900.0], [90.0], [2.0])[0], atol=1e-5)


def test_lines_beyond_the_ends():
    assert not lit([-300.0, 2400.0, 1e5, -1e5], [60.0], [1.0] * 4).any()
    # Half of a line on the first point is inside, with that point's own half.
    flux = lit([0.0, SIZE - 1.0], [60.0], [1.0, 1.0])[0]
    peak = VELOCITY / 60 / np.sqrt(2 * np.pi)
    assert flux[: SIZE // 2].sum() == pytest.approx(0.5 + peak / 2, abs=1e-3)
    np.testing.assert_allclose(flux, flux[::-1], atol=1e-5)


# nebular_lines


@pytest.fixture(scope="module")
def drawn():
    wavelength, width, equivalent = nebular_lines(4000, torch.Generator().manual_seed(3))
    return wavelength.double().numpy(), width.numpy(), equivalent.double().numpy()


def strength(drawn, wavelength):
    place = np.abs(drawn[0] - wavelength).argmin()
    assert abs(drawn[0][place] - wavelength) < 0.5
    return drawn[2][:, place]


# Their ratios are atomic constants; dust between the two changes them a little, most in sulphur's.
@pytest.mark.parametrize(
    ("strong", "weak", "ratio"),
    [(5008.24, 4960.30, 2.98), (6585.27, 6549.86, 3.05), (6302.05, 6365.54, 3.05),
     (9533.2, 9071.1, 2.47)],
)  # fmt: skip
def test_forbidden_doublets(drawn, strong, weak, ratio):
    np.testing.assert_allclose(strength(drawn, strong) / strength(drawn, weak), ratio, rtol=0.07)


def test_balmer_decrement(drawn):
    alpha, beta, gamma, delta = (strength(drawn, w) for w in (6564.6, 4862.7, 4341.7, 4102.9))
    # Case B at 10,000 K (Osterbrock & Ferland 2006, table 4.4), and dust only reddens it.
    assert (alpha / beta).min() == pytest.approx(2.86, abs=0.03)
    assert (gamma / beta).max() == pytest.approx(0.468, abs=0.005)
    assert (delta / beta).max() == pytest.approx(0.259, abs=0.005)
    # One E(B-V) explains all: Calzetti's k is 3.33, 4.60, 5.12 and 5.39 at the four lines.
    ebv = np.log10(alpha / beta / 2.86) / (0.4 * (4.60 - 3.33))
    np.testing.assert_allclose(gamma / beta, 0.468 * 10 ** (-0.4 * ebv * 0.53), rtol=0.03)
    assert 0.3 < ebv.max() < 0.45 and -0.02 < ebv.min()


def test_spread_of_what_is_drawn(drawn):
    wavelength, width, equivalent = drawn
    assert 39 < width.min() < 42 and 240 < width.max() < 252
    assert np.isfinite(equivalent).all() and (equivalent >= 0).all()
    beta = strength(drawn, 4862.7)
    assert 0.3 < beta.min() < 0.4 and 40 < beta.max() < 51
    # From star formation to active nuclei: [O III] over H-beta about 0.3 to above 5.
    ratio = np.log10(strength(drawn, 5008.24) / beta)
    assert np.percentile(ratio, 2) < -0.1 and np.percentile(ratio, 98) > 0.7
    # [N II] and H-alpha vary on their own.
    assert np.std(np.log10(strength(drawn, 6585.27) / strength(drawn, 6564.6))) > 0.2


def test_wavelengths_against_the_list_of_another_project(drawn, shared_data):
    known = Table.read(shared_data / "templates" / "emlines_fastspecfit.ecsv")
    places = np.unique(known["restwave"][known["restwave"] > 3000])
    nearest = drawn[0][np.abs(drawn[0] - places[:, None]).argmin(1)]
    velocity = np.abs(nearest / places - 1) * 299792.458
    missing = places[velocity > 500]
    assert missing.tolist() == [6313.81], "a weak line of sulphur"
    assert velocity[velocity < 500].max() < 3
