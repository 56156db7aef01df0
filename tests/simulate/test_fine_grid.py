"""The fine grids on which spectra are computed."""

import numpy as np
import pytest

from spectok import simulate
from spectok.simulate._fine_grid import FINE, FineGrid
from spectok.simulate.instruments._spectrographs import INSTRUMENTS


def test_points_of_segments():
    grid = FineGrid(((3.6, 3), (3.7, 2)), 1e-4)
    np.testing.assert_allclose(
        np.log10(grid.wavelength()), [3.6, 3.6001, 3.6002, 3.7, 3.7001], rtol=0, atol=1e-12
    )
    assert grid.size == 5 and grid.bounds() == [(0, 3), (3, 5)]
    assert grid.velocity == pytest.approx(299792.458 * (10**1e-4 - 1), rel=2e-4)


def test_segment_of_a_wavelength():
    grid = FineGrid(((3.6, 3), (3.7, 2)), 1e-4)
    first, last = grid.segment_of(10 ** np.array([3.70005, 3.6, 3.60015]))
    assert first.tolist() == [3, 0, 0] and last.tolist() == [5, 3, 3]
    for outside in (3.5999, 3.65, 3.7002):
        with pytest.raises(ValueError, match="not inside the simulated range, 3981.1 to 5013.0"):
            grid.segment_of(10 ** np.array([3.6001, outside]))


@pytest.mark.parametrize("name", INSTRUMENTS)
def test_every_instrument_lies_on_a_grid_with_room_for_its_lines(name):
    instrument = simulate.instrument(name)
    assert instrument.grid in FINE.values()
    fine = instrument.grid.wavelength()
    first, last = instrument.grid.segment_of(instrument.wavelength)
    room = 4 * instrument.lsf / 299792.458 * instrument.wavelength
    assert (instrument.wavelength - room > fine[first]).all()
    assert (instrument.wavelength + room < fine[last - 1]).all()
