"""The simulators that pretraining draws from."""

import numpy as np
import pytest
import torch
from astropy.utils.exceptions import AstropyDeprecationWarning

from spectok.training import training_simulators


@pytest.fixture(scope="module")
def simulators():
    return training_simulators()  # analytic templates


def test_three_mocks_in_ten_are_asked_for_on_another_grid(simulators):
    assert set(simulators) == {"sdss", "desi", "galah", "apogee"}
    for survey, found in simulators.items():
        shares = {1: 0.0, 2: 0.0}
        for share, simulator in found:
            shares[len(simulator.instruments)] += share
            assert simulator.instruments[0].survey == survey
        assert shares == pytest.approx({1: 0.7, 2: 0.3})


def test_other_surveys_and_other_samplings_are_asked_for(simulators):
    asked = [s.instruments[1].name for _, s in simulators["sdss"] if len(s.instruments) > 1]
    assert asked.count("desi") == 2 and asked.count("boss modified") == 6
    steps = [
        np.median(np.diff(np.log10(s.instruments[1].wavelength)))
        for _, s in simulators["sdss"]
        if len(s.instruments) > 1
    ]
    assert min(steps) < 0.7e-4 and max(steps) > 1.5e-4


@pytest.mark.slow
def test_coarse_pixels_come_with_a_low_resolution(simulators):
    """The decoder is told of pixels only."""
    for found in simulators.values():
        for _, simulator in found:
            if not simulator.instruments[-1].name.endswith("modified"):
                continue
            own, other = simulator.instruments
            place = np.abs(own.wavelength[:, None] - other.wavelength[None, ::50]).argmin(0)
            coarser = np.gradient(other.wavelength)[::50] / np.gradient(own.wavelength)[place]
            ratio = np.median(other.lsf[::50] / own.lsf[place])
            assert ratio == pytest.approx(max(1.0, np.median(coarser)), rel=0.25)


@pytest.mark.slow
@pytest.mark.parametrize("survey", ["sdss", "desi", "galah", "apogee"])
def test_every_sort_of_pair_can_be_drawn(simulators, survey):
    found = [simulator for _, simulator in simulators[survey]]
    for simulator in (found[0], *found[-2:], found[len(found) // 3]):
        for observation in simulator.draw(2, torch.Generator().manual_seed(1)):
            shape = (2, len(observation.instrument.wavelength))
            assert observation.truth.shape == observation.flux.shape == shape
            assert torch.isfinite(observation.truth).all()


def test_what_they_cannot_be_is_said():
    with pytest.raises(
        ValueError, match="surveys must be of sdss, desi, galah, apogee, not lamost"
    ):
        training_simulators(surveys=("lamost",))
    with pytest.raises(ValueError, match="pairs must be a share below 1"):
        training_simulators(pairs=1.0)
    native = training_simulators(surveys=("galah",), pairs=0.0)["galah"]
    assert [(share, len(one.instruments)) for share, one in native] == [(1.0, 1)]


def test_the_old_name_of_the_share_with_extra_lines_works_for_one_release():
    with pytest.warns(AstropyDeprecationWarning, match="strange is called extra_lines"):
        found = training_simulators(surveys=("galah",), varied=1, strange=0.6)
    assert {one.extra_lines for _, one in found["galah"]} == {0.6}
