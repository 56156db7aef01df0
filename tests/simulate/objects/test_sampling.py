"""Objects before an instrument: redshifts, dust, the forest, lines and labels."""

import numpy as np
import pytest
import torch

from spectok.simulate._fine_grid import FINE, FineGrid
from spectok.simulate._sample import CLASSES, KINDS
from spectok.simulate.objects._emission_lines import add_extra_lines, light_up
from spectok.simulate.objects._family import LABELS
from spectok.simulate.objects._forest import absorb
from spectok.simulate.objects._sampling import _smooth_factor, draw_sample
from spectok.simulate.objects._templates import Templates

CPU = torch.device("cpu")
OPTICAL = FINE["optical"]
WAVELENGTH = OPTICAL.wavelength()


def flat(kind, fine="optical", **about):
    """A family that shines the same at every wavelength."""
    grid = FINE[fine]
    segments = [(start - 0.01, count + int(0.02 / grid.step)) for start, count in grid.segments]
    columns = sum(count for _, count in segments)
    arrays = {
        "flat.flux": torch.ones(1, columns), "flat.first": torch.tensor([0]),
        "flat.last": torch.tensor([columns]), "flat.labels": torch.tensor([[5800.0]]),
    }  # fmt: skip
    description = {
        "kind": kind, "form": "table", "segments": segments, "step": grid.step, "fine": fine,
        "weight": 1.0, "blur": 0.0, "source": "nothing", "labels": ["teff"], **about,
    }  # fmt: skip
    (family,) = Templates(arrays, {"flat": description}).families(fine, grid, CPU)
    return family


def sample_of(family, n, generator, **options):
    return draw_sample([family], [1.0], family.fine, n, generator, **options)


# labels


def test_labels_of_every_object(generator):
    families = [flat("galaxy", redshift=(0.1, 0.5)), flat("star", vsini=(50.0, 0.2))]
    sample = draw_sample(families, [0.5, 0.5], OPTICAL, 400, generator(1))
    assert set(sample.labels) == {
        "kind", "redshift", "ebv", "ebv_host", "vsini", "extra_lines", "template", *LABELS
    }  # fmt: skip
    kind = sample.labels["kind"].long()
    assert [KINDS[k] for k in kind.unique()] == ["galaxy", "star"] and len(CLASSES) == 3
    assert (sample.family == (kind == 2)).all()
    assert float((kind == 2).float().mean()) == pytest.approx(0.5, abs=5 * 0.5 / 20)
    assert torch.isnan(sample.labels["vsini"]).equal(kind == 0), "a galaxy has no v sin i"
    assert (sample.labels["teff"] == 5800).all() and torch.isnan(sample.labels["logg"]).all()
    rest = torch.isfinite(sample.flux).all(1) & (sample.flux > 0).all(1)
    assert rest.all() and sample.labels["redshift"].dtype == torch.float64


def test_redshifts_of_galaxies_stay_in_their_range(generator):
    redshift = sample_of(flat("galaxy", redshift=(0.1, 0.5)), 500, generator(1)).labels["redshift"]
    assert 0.1 <= redshift.min() < 0.12 and 0.45 < redshift.max() <= 0.5
    assert redshift.median() < 0.28, "more near than far"


def test_velocities_of_stars(generator):
    velocity = sample_of(flat("star"), 2000, generator(2)).labels["redshift"] * 299792.458
    assert float(velocity.mean()) == pytest.approx(0, abs=8)
    assert 45 < velocity.std() < 70 and velocity.abs().max() < 750
    still = sample_of(flat("star", "h"), 300, generator(2), at_rest=True).labels["redshift"]
    assert float(still.std()) * 299792.458 == pytest.approx(0.3, rel=0.2)


def test_templates_at_a_redshift_of_their_own_stay_near_it(generator):
    family = flat("quasar", redshift=(0.0, 5.0))
    family.arrays["redshift"] = torch.tensor([2.0])
    ratio = sample_of(family, 500, generator(3)).labels["redshift"] / 2
    # A normal distribution of 0.1, cut at two standard deviations.
    assert float(ratio.log().std()) == pytest.approx(0.096, rel=0.15)
    assert float(ratio.log().abs().max()) < 0.2001


def test_rotation_is_a_label(generator):
    vsini = sample_of(flat("star", vsini=(50.0, 0.2)), 800, generator(4)).labels["vsini"].log10()
    assert float(vsini.mean()) == pytest.approx(np.log10(50), abs=0.04)
    assert float(vsini.std()) == pytest.approx(0.2, rel=0.15)


# smooth factors


def test_dust_and_tilt_have_no_effect_in_the_middle(generator):
    factors, ebv, _ = _smooth_factor(OPTICAL, torch.zeros(300), False, None, generator(5))
    # The middle lies between the two nodes in the middle.
    half = factors[0].shape[1] // 2
    middle = factors[0][:, half - 1 : half + 1].log().mean(1).exp()
    torch.testing.assert_close(middle, torch.ones(300), atol=1e-3, rtol=0)
    assert (ebv >= 0).all() and float(ebv.mean()) == pytest.approx(0.05, rel=0.3)


def test_dust_of_the_galaxy_follows_its_label(generator):
    factors, ebv, _ = _smooth_factor(OPTICAL, torch.zeros(4000), False, None, generator(6))
    blue = -2.5 * factors[0][:, 0].log10()
    # Cardelli et al. (1989): A(3530 A) / A(V) = 1.60, at 6080 A 0.88; the tilt comes on top.
    slope = np.polyfit(ebv.numpy(), blue.numpy(), 1)[0]
    assert slope == pytest.approx(3.1 * (1.60 - 0.88), rel=0.1)


def test_normalised_templates_get_a_black_body_back(generator):
    fine = FINE["hermes"]
    teff = torch.tensor([4000.0, 6000.0, 12000.0])
    plain, _, _ = _smooth_factor(fine, torch.zeros(3), False, None, generator(7))
    shaped, _, _ = _smooth_factor(fine, torch.zeros(3), False, teff, generator(7))
    ratio = torch.cat(shaped, 1) / torch.cat(plain, 1)
    place = np.concatenate(
        [10 ** (a + fine.step * (n - 1) * np.linspace(0, 1, 48)) for a, n in fine.segments]
    )
    planck = place**-5 / np.expm1(1.438777e8 / place / teff.double().numpy()[:, None])
    off = ratio.double().numpy() / planck
    np.testing.assert_allclose(off / off.mean(1, keepdims=True), 1.0, atol=1e-4)


# the forest


def test_the_forest_absorbs_only_blueward_of_lyman_alpha(generator):
    redshift = torch.tensor([2.5, 3.0, 0.5])
    flux = torch.ones(3, OPTICAL.size)
    absorb(flux, OPTICAL, redshift, generator(8))
    for one, z in zip(flux.numpy(), redshift.numpy(), strict=True):
        edge = 1215.67 * (1 + z)
        assert (one[WAVELENGTH > edge + 1] == 1).all()
        blue = one[WAVELENGTH < edge - 1]
        assert len(blue) == 0 or blue.std() > 0.1
    assert (flux >= 0).all()


@pytest.mark.parametrize("redshift", [2.2, 3.0, 3.8, 4.4])
def test_the_forest_keeps_the_templates_mean(generator, redshift):
    # Templates hold the mean transmission already: clouds scatter about it.
    flux = torch.ones(300, OPTICAL.size)
    absorb(flux, OPTICAL, torch.full((300,), redshift), generator(9))
    near = np.abs(WAVELENGTH - 1190 * (1 + redshift)) < 60
    assert float(flux[:, near].mean()) == pytest.approx(1, abs=0.05)


# lines


def test_galaxies_shine_in_lines_at_their_redshift(generator):
    redshift = torch.tensor([0.05, 0.2, 0.31], dtype=torch.float64)
    flux = torch.ones(3, OPTICAL.size)
    light_up(flux, OPTICAL, redshift, 1.1, generator(10))
    for one, z in zip(flux.double().numpy() - 1, redshift.numpy(), strict=True):
        place = 5008.24 * (1 + z)
        near = np.abs(np.log(WAVELENGTH / place)) * 299792.458 < 800
        centre = (one * np.log(WAVELENGTH))[near].sum() / one[near].sum()
        assert np.abs(centre - np.log(place)) * 299792.458 < 1
        # Nothing far from any line.
        assert np.abs(one[np.abs(WAVELENGTH / (1 + z) - 5500) < 80]).max() == 0


def test_equivalent_widths_are_at_rest(generator):
    # The same galaxies at two redshifts: lines keep their width at rest in Angstrom.
    areas = []
    for z in (0.05, 0.4):
        flux = torch.ones(40, OPTICAL.size)
        light_up(flux, OPTICAL, torch.full((40,), z, dtype=torch.float64), 1.1, generator(11))
        near = np.abs(WAVELENGTH / (1 + z) - 4862.7) < 20
        step = np.gradient(WAVELENGTH)
        areas.append(((flux.double().numpy() - 1) * step)[:, near].sum(1) / (1 + z))
    np.testing.assert_allclose(areas[0], areas[1], rtol=0.02)
    assert 0.3 < areas[0].min() and areas[0].max() < 51


def test_the_share_of_galaxies_with_lines(generator):
    flux = torch.ones(400, OPTICAL.size)
    light_up(flux, OPTICAL, torch.full((400,), 0.1, dtype=torch.float64), 0.3, generator(12))
    assert float((flux != 1).any(1).float().mean()) == pytest.approx(0.3, abs=5 * 0.46 / 20)
    assert torch.isfinite(flux).all()


@pytest.mark.parametrize("fine", FINE)
def test_one_object_in_five_has_extra_lines(generator, fine):
    grid = FINE[fine]
    flux = torch.full((500, grid.size), 2.0)
    add_extra_lines(flux, grid, generator(13))
    chosen = (flux != 2).any(1)
    assert float(chosen.float().mean()) == pytest.approx(0.2, abs=5 * 0.4 / 500**0.5)
    assert flux.min() >= 0.2 * (1 - 1e-6) and flux.max() < 20
    # Narrow: most of the spectrum is as it was.
    assert (flux[chosen] != 2).float().mean() < 0.3


def test_a_scene_without_any_far_quasar(generator):
    small = FineGrid(((3.6, 500),), 2.5e-5)
    flux = torch.ones(2, 500)
    absorb(flux, small, torch.tensor([0.1, 1.0]), generator(1))
    add_extra_lines(flux[:0], small, generator(1))
    assert (flux == 1).all()
