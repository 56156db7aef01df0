"""The template fit of the benchmarks: against brute force, and on redshifts that are known."""

import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def module():
    import importlib.util

    # Tests of an installed wheel stand alone; in a checkout a lost benchmark fails.
    if not BENCHMARKS.is_dir():
        pytest.skip("the benchmarks are not beside the tests")
    path = BENCHMARKS / "_redshift_scan.py"
    spec = importlib.util.spec_from_file_location("_redshift_scan", path)
    found = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up there.
    sys.modules[spec.name] = found
    spec.loader.exec_module(found)
    yield found
    del sys.modules[spec.name]


@pytest.fixture(scope="module")
def toy(module):
    """Three vectors with lines at rest on 2,000 to 8,000 Angstrom."""
    wavelength = 10 ** np.arange(3.3, 3.9, 2.5e-5)
    rng = np.random.default_rng(8)
    vectors = [1.5 + np.sin(wavelength / 300.0), np.cos(wavelength / 210.0)]
    lines = 10 ** rng.uniform(3.31, 3.89, 60)
    heights = rng.normal(0.0, 1.0, 60)
    width = lines * 150 / 3e5
    profile = np.exp(-0.5 * ((wavelength[:, None] - lines) / width) ** 2)
    vectors.append(profile @ heights)

    def make(**options):
        options = {"low": 0.0, "high": 0.8} | options
        return module.make_template("galaxy", "toy", wavelength, np.array(vectors), **options)

    return make


def observed(template, redshift, rng, noise=0.1, wavelength=None):
    """The template's sum of vectors at a redshift, with noise."""
    wavelength = np.arange(3800.0, 9200.0, 0.4) if wavelength is None else wavelength
    own = 10.0 ** ((template.first + np.arange(template.length)) * 1e-4)
    flux = np.interp(wavelength / (1 + redshift), own, [1.0, 0.5, 0.8] @ template.vectors)
    return wavelength, flux + rng.normal(0.0, noise, len(flux)), np.full(len(flux), noise**-2)


@pytest.mark.parametrize("forest", [False, True])
@pytest.mark.parametrize("n_polynomial", [0, 3])
def test_chi_square_is_that_of_least_squares(module, toy, monkeypatch, n_polynomial, forest):
    monkeypatch.setattr(module, "FOREST", (2300.0, 3500.0))
    template = toy(forest=forest)
    wavelength, flux, ivar = observed(template, 0.31, np.random.default_rng(0))
    ivar[300:600] = 0.0
    flux[400] = np.nan
    fit = module.scan(wavelength, flux, ivar, [template], n_polynomial=n_polynomial)
    redshift, chi2 = fit.curves["toy"]
    first, y, weight = module.rebin(wavelength, flux, ivar)
    axis = 10.0 ** ((first + np.arange(len(y))) * 1e-4)
    polynomial = np.polynomial.legendre.legvander(np.linspace(-1, 1, len(y)), 2)[:, :n_polynomial]
    for k in (5, 700, 1500, len(redshift) - 3):
        rest = np.rint(np.log10(axis / (1 + redshift[k])) / 1e-4).astype(int) - template.first
        inside = (rest >= 0) & (rest < template.length)
        columns = np.where(inside, template.vectors[:, rest.clip(0, template.length - 1)], 0.0).T
        if forest:
            at_rest = 10.0 ** ((rest + template.first) * 1e-4)
            through = np.exp(-0.00554 * (axis / 3500.0) ** 3.182)
            blue = (at_rest > 2300.0) & (at_rest < 3500.0)
            columns = columns * np.where(blue, through, 1.0)[:, None]
        columns = np.hstack([columns, polynomial])
        good = inside & (weight > 0)
        root = np.sqrt(weight[good])
        # Components of a small vector left at an end may be dropped by either.
        coefficients = np.linalg.lstsq(columns[good] * root[:, None], y[good] * root, rcond=None)
        misfit = ((y[good] - columns[good] @ coefficients[0]) ** 2 * weight[good]).sum()
        expected = misfit + ((weight > 0) & ~inside).sum()
        if inside[weight > 0].mean() < 0.5:
            assert np.isinf(chi2[k])
        else:
            assert chi2[k] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("redshift", [0.0123, 0.3, 0.5678])
def test_redshift_of_a_template_is_found(module, toy, redshift):
    template, rng = toy(), np.random.default_rng(1)
    wrong = []
    for _ in range(5):
        fit = module.scan(*observed(template, redshift, rng, noise=0.4), [template])
        wrong.append((fit.redshift - redshift) / (1 + redshift) * 299792.458)
        assert not fit.warning and fit.dchi2 > 100.0
        assert fit.chi2 == pytest.approx(fit.n_pixels, rel=0.2)
    # A tenth of the grid's 69 km/s.
    assert np.max(np.abs(wrong)) < 7.0


def test_noise_gives_a_warning(module, toy):
    template, rng = toy(), np.random.default_rng(2)
    wavelength, _, ivar = observed(template, 0.3, rng)
    fits = [
        module.scan(wavelength, rng.normal(0.0, 0.05, len(ivar)), ivar, [template])
        for _ in range(10)
    ]
    assert np.mean([fit.warning for fit in fits]) >= 0.7


def test_end_of_the_range_gives_a_warning(module, toy):
    spectrum = observed(toy(), 0.3, np.random.default_rng(3))
    # The nearest redshift allowed stops on the slope of the minimum.
    fit = module.scan(*spectrum, [toy(high=0.2999)])
    assert fit.redshift == pytest.approx(0.2999, abs=2e-4) and fit.warning


def test_wavelength_that_must_be_seen(module, toy):
    spectrum = observed(toy(), 0.3, np.random.default_rng(4))
    fit = module.scan(*spectrum, [toy(needs=7200.0)])
    redshift, _ = fit.curves["toy"]
    assert redshift.max() == pytest.approx(9200.0 / 7200.0 - 1, abs=1e-3)


def test_rebin_keeps_flux_and_weight(module):
    wavelength = np.arange(4000.0, 5000.0, 0.8)
    flux = 3.0 + wavelength / 1000.0
    ivar = np.random.default_rng(5).uniform(1.0, 2.0, len(flux))
    first, mean, weight = module.rebin(wavelength, flux, ivar)
    grid = 10.0 ** ((first + np.arange(len(mean))) * 1e-4)
    # The pixels at both ends stand half outside the grid.
    assert weight.sum() == pytest.approx(ivar.sum(), rel=2e-3)
    # Two uneven pixels' mean is off by a part of their step.
    assert np.abs(mean - 3.0 - grid / 1000.0)[2:-2].max() < 5e-4
    # A grid that is the target's own stays as it is.
    own = 10.0 ** (np.arange(36000, 36500) * 1e-4)
    start, same, same_weight = module.rebin(own, np.arange(500.0), np.ones(500))
    assert start == 36000
    assert same == pytest.approx(np.arange(500.0), abs=1e-3) and same_weight == pytest.approx(
        1.0, abs=1e-3
    )


@pytest.mark.parametrize(
    ("wavelength", "ivar", "message"),
    [
        (np.array([1.0, 2.0, 3.0]) * 1e3, [1.0, 1.0], "shapes"),
        (np.array([4000.0, 3999.0, 4001.0]), [1.0] * 3, "ascend"),
        (np.array([4000.0, 4001.0, 4002.0, 4300.0]), [1.0] * 4, "gaps"),
        (np.array([4000.0, 4001.0, 4002.0]), [1.0, -1.0, 1.0], "not negative"),
        (np.array([4000.0, 4001.0, 4002.0]), [0.0] * 3, "no good pixel"),
        (np.arange(20000.0, 20100.0), [1.0] * 100, "no template reaches"),
    ],
)
def test_refusals(module, toy, wavelength, ivar, message):
    with pytest.raises(ValueError, match=message):
        module.scan(wavelength, np.ones(len(ivar)), np.array(ivar), [toy()])


@pytest.mark.slow
def test_real_galaxies(module, shared_data):
    from spectok import surveys

    templates = module.read_templates(shared_data / "templates/redrock", stars=True)
    assert {t.kind for t in templates} == {"galaxy", "quasar", "star"}
    (spectrum,) = surveys.sdss.read(shared_data / "sdss/real/spec-0266-51602-0162.fits")
    ivar = np.where(spectrum.mask, 0.0, spectrum.uncertainty.array)
    fit = module.scan(spectrum.spectral_axis.value, spectrum.flux.value, ivar, templates)
    assert fit.kind == "galaxy" and not fit.warning
    assert fit.redshift == pytest.approx(0.063316, abs=1e-4)  # the survey's own
