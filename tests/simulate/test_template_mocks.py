"""Mock observations from packed templates: grids, redshift, noise, pairs."""

import numpy as np
import pytest

from spectok.simulate._template_mocks import SURVEYS, TemplateMocks

LINE = 6564.6  # rest wavelength of the one line of every made-up template


def template(low, high, step):
    """A flat spectrum with one narrow emission line, on a log grid."""
    log_wavelength = np.arange(np.log10(low), np.log10(high), step)
    wavelength = 10**log_wavelength
    return 1.0 + 4.0 * np.exp(-0.5 * ((wavelength - LINE) / 3.0) ** 2), log_wavelength[0], step


@pytest.fixture(scope="module")
def arrays():
    """A pack with one or two truths of each kind and flat noise."""
    spans = {
        0: [(1000, 11000, 1e-4)] * 2,
        1: [(800, 11000, 1e-4)],
        2: [(3000, 11000, 1e-4)],
        3: [(4600, 5000, 4e-6), (5600, 5950, 4e-6), (6400, 6800, 4e-6), (7500, 7950, 4e-6)],
        4: [(15000, 17100, 6e-6)],
    }
    flux, start, step, kind, group = [], [], [], [], []
    for number, entries in spans.items():
        for entry, span in enumerate(entries):
            values, first, spacing = template(*span)
            flux.append(values.astype(np.float16))
            start.append(first)
            step.append(spacing)
            kind.append(number)
            # The four arms of a GALAH star belong together, the others stand alone.
            group.append(100 * number + (0 if number == 3 else entry))
    pack = {
        "truth.flux": np.concatenate(flux),
        "truth.offset": np.cumsum([0, *(len(values) for values in flux)]),
        "truth.start": np.array(start),
        "truth.step": np.array(step),
        "truth.kind": np.array(kind),
        "truth.group": np.array(group),
        "grid.desi": 3600 + 0.8 * np.arange(7781),
        "grid.galah": np.concatenate(
            [a + 0.06 * np.arange(3000) for a in (4713, 5648, 6478, 7585)]
        ),
        "grid.apvisit": 15150 + 0.15 * np.arange(12288),
    }
    for survey in SURVEYS:
        grid = np.linspace(3000, 18000, 50)
        pack[f"noise.{survey}.wavelength"] = grid
        pack[f"noise.{survey}.sky"] = np.ones(50, np.float32)
        pack[f"noise.{survey}.source"] = np.ones(50, np.float32)
    return pack


@pytest.mark.parametrize("survey", SURVEYS)
def test_noise_is_what_sigma_says(arrays, survey):
    mocks = TemplateMocks(arrays)
    rng = np.random.default_rng(1)
    z = []
    for _ in range(8):
        mock, _ = mocks.observe(rng, survey)
        assert mock.flux.shape == mock.sigma.shape == mock.truth.shape == mock.wavelength.shape
        assert (mock.sigma[mock.valid] > 0).all()
        z.append(((mock.flux - mock.truth) / mock.sigma)[mock.valid])
    z = np.concatenate(z)
    # n is above 10,000: the standard error of both moments is below 0.01.
    assert z.size > 10_000
    assert abs(z.mean()) < 0.05
    assert abs(z.std() - 1) < 0.05


def test_the_same_seed_gives_the_same_mock(arrays):
    mocks = TemplateMocks(arrays)
    first, second = (mocks.observe(np.random.default_rng(5), "sdss")[0] for _ in range(2))
    np.testing.assert_array_equal(first.flux, second.flux)


def test_beyond_the_template_nothing_is_valid(arrays):
    mocks = TemplateMocks(arrays)
    truth = mocks.truth_at(np.array([0]), np.array([900.0, 2000.0, 12000.0]))
    np.testing.assert_array_equal(np.isfinite(truth), [False, True, False])
    assert truth[1] == pytest.approx(1.0, abs=1e-3)


def test_a_line_is_where_the_template_has_it(arrays):
    near = LINE + np.linspace(-10, 10, 2001)
    truth = TemplateMocks(arrays).truth_at(np.array([0]), near)
    assert near[truth.argmax()] == pytest.approx(LINE, abs=0.7)  # a pixel is 1.5 Angstrom


def test_two_grids_see_the_same_object(arrays):
    mocks = TemplateMocks(arrays)
    rng = np.random.default_rng(2)
    pairs = 0
    while pairs < 6:
        first, other = mocks.observe(rng, "desi")
        if other is None:
            continue
        both = (other.wavelength > first.wavelength[0]) & (other.wavelength < first.wavelength[-1])
        both &= other.valid & (np.interp(other.wavelength, first.wavelength, first.valid) == 1)
        if both.sum() < 100:
            continue
        pairs += 1
        expected = np.interp(other.wavelength[both], first.wavelength, first.truth)
        # Narrow lines fall between the pixels of a coarse grid: nearly all pixels must agree.
        close = np.isclose(other.truth[both], expected, rtol=0.02, atol=0.02)
        assert close.mean() > 0.9
