"""The same stars through instruments that see different wavelengths."""

import pytest
import torch

from spectok import simulate

NAMES = ("hermes-lte", "hermes-munari", "h-payne", "h-payne-dwarfs", "h-grid")


@pytest.fixture(scope="module")
def simulator(real_templates):
    return simulate.Simulator("galah", "apogee-visit", templates=real_templates(*NAMES))


def test_labels_velocity_and_rotation_are_the_same(simulator):
    galah, apogee = simulator.observe(100, seed=1)
    for name in ("teff", "logg", "feh", "alpha", "redshift"):
        assert torch.equal(galah.labels[name], apogee.labels[name]), name
    assert torch.equal(galah.labels["vbroad"], apogee.labels["vsini"])
    assert galah.flux.shape == (100, 16384) and apogee.flux.shape == (100, 12288)
    # Each has a depth of its own.
    assert not torch.allclose(galah.labels["snr"], apogee.labels["snr"])


@pytest.mark.slow
def test_labels_stay_inside_of_what_both_emulators_know(simulator):
    labels = simulator.observe(500, seed=2)[0].labels
    for family in simulator.across.values():
        for k, name in enumerate(family.about["labels"]):
            if name in ("teff", "logg", "feh", "alpha"):
                assert (labels[name] >= family.arrays["low"][k] - 1e-4).all()
                assert (labels[name] <= family.arrays["high"][k] + 1e-4).all()


@pytest.mark.slow
def test_hot_stars_have_weak_lines_in_both(simulator):
    """The spectra follow their labels: lines deepen as stars get cooler, on either grid."""
    both = simulator.observe(300, seed=3, snr=300.0)
    teff = both[0].labels["teff"]
    hot, cool = teff > teff.quantile(0.8), teff < teff.quantile(0.2)
    for one in both:
        level = torch.where(one.valid, one.truth, torch.nan)
        depth = torch.stack(
            [
                part.nanquantile(0.05, 1) / part.nanquantile(0.95, 1)
                for part in level.split(512, 1)
                if part.isfinite().any(1).all()
            ]
        ).mean(0)
        assert depth[hot].mean() > depth[cool].mean() + 0.03, one.instrument.name


def test_spectra_at_rest_keep_their_own_small_error(real_templates):
    both = simulate.Simulator("galah", "apogee", templates=real_templates(*NAMES)).observe(50)
    assert (both[0].labels["redshift"].abs() > 1e-5).float().mean() > 0.5
    assert both[1].labels["redshift"].abs().max() < 1e-5


@pytest.mark.slow
def test_one_seed_one_sample(simulator):
    one, two = (simulator.observe(10, seed=7) for _ in range(2))
    assert all(torch.equal(a.flux, b.flux) for a, b in zip(one, two, strict=True))
    assert torch.equal(simulator.observe(5, seed=7)[1].flux, one[1].flux[:5])


def test_refusals(real_templates):
    with pytest.raises(ValueError, match="no emulator of stars at the wavelengths 'optical'"):
        simulate.Simulator("sdss", "apogee", templates=real_templates("h-payne", "star-mastar"))
    with pytest.raises(ValueError, match="can only share stars"):
        simulate.Simulator("galah", "apogee", kind="galaxy", templates=real_templates(*NAMES))
