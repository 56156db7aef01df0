"""Mock observations are those of before the simulator was put in two floors.

The reference values, three pixels of the second of three objects, were printed by spectok 0.2's
development version with torch 2.13 on one processor; bits of other processors differ, which the
tolerance allows, while another draw or another step of the simulator changes everything. Those of
SDSS and BOSS are of 28 November 2026, when the noise of the two spectrographs was measured anew.
"""

import pytest
import torch

from spectok import simulate

# truth, flux, sigma and true sigma; number of valid pixels; redshift, E(B-V) and S/N.
EXPECTED = {
    "sdss": (
        [108.7699, 63.93055, 42.34315, 110.9018, 62.36185, 42.51569],
        [3.012404, 1.948605, 1.369246, 1.84563, 1.407767, 1.170381],
        11517, [1.901567, 0.05009324, 33.15679],
    ),
    "boss": (
        [39.33384, 20.97806, 12.84112, 38.2699, 20.69868, 15.054],
        [1.665721, 0.8007993, 1.341924, 1.561453, 0.6639519, 1.581098],
        13675, [1.901567, 0.05009324, 24.18744],
    ),
    "desi": (
        [5.369723, 2.227924, 1.508018, 6.039523, 2.353531, 1.311326],
        [0.4209285, 0.1413072, 0.09885931, 0.4640975, 0.1557992, 0.108998],
        23343, [1.901567, 0.05009324, 11.78413],
    ),
    "desi-arms": (
        [5.676915, 2.252736, 1.593385, 5.159082, 2.51239, 1.627687],
        [0.4180849, 0.1398113, 0.1250014, 0.4402567, 0.1472257, 0.1316305],
        23874, [1.901567, 0.05009324, 12.23497],
    ),
    "galah": (
        [749.3477, 2005.816, 966.9582, 726.1741, 1912.122, 961.3488],
        [29.11521, 52.98106, 56.38428, 19.10873, 34.78593, 37.01801],
        44099, [0.0002265711, 0.01772032, 26.61611],
    ),
    "apogee": (
        [33.51017, 253.3255, 248.69, 30.37196, 255.6775, 254.5092],
        [2.678407, 5.317655, 6.969968, 2.588562, 5.139278, 6.736166],
        22784, [1.942038e-06, 0.01772032, 44.45899],
    ),
    "apogee-visit": (
        [282.6154, 294.4309, 190.7343, 280.5849, 288.002, 195.4627],
        [5.700573, 5.238853, 7.251252, 5.509352, 5.063119, 7.008014],
        32125, [0.0002265711, 0.01772032, 41.89599],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EXPECTED)
def test_mocks_are_those_of_before(name):
    (seen,) = simulate.Simulator(name, extra_lines=0.5).observe(3, seed=11)
    length = seen.flux.shape[1]
    pixels = [length // 7, length // 2, length - length // 5]
    fluxes, errors, n_valid, labels = EXPECTED[name]
    found = torch.cat([seen.truth[1, pixels], seen.flux[1, pixels]]).tolist()
    assert found == pytest.approx(fluxes, rel=1e-4)
    found = torch.cat([seen.sigma[1, pixels], seen.true_sigma[1, pixels]]).tolist()
    assert found == pytest.approx(errors, rel=1e-4)
    # A pixel or two may fall to the other side of a limit.
    assert abs(int(seen.valid.sum()) - n_valid) <= 2
    found = [float(seen.labels[key][1]) for key in ("redshift", "ebv", "snr")]
    assert found == pytest.approx(labels, rel=1e-4, abs=1e-9)
