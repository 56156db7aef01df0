"""The same tokens on a GPU; skipped where there is none."""

import numpy as np
import pytest
import torch

import spectok
from spectok import simulate

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@pytest.fixture(scope="module")
def spectra():
    return [simulate.observe(survey, seed=4)[0] for survey in ("sdss", "desi", "apogee")]


def test_tokens_agree_across_devices(spectra, rms_difference):
    assert not torch.backends.cuda.matmul.allow_tf32
    here = spectok.encode(spectra)
    there = spectok.encode(spectra, device="cuda")
    assert rms_difference(here["token"], there["token"]) < 1e-4
    np.testing.assert_allclose(here["scale"], there["scale"], rtol=1e-6)


def test_decoding_agrees_across_devices(spectra):
    tokens = spectok.encode(spectra)
    axis = spectra[0].spectral_axis
    here = spectok.decode(tokens, axis)
    there = spectok.decode(tokens, axis, device="cuda")
    np.testing.assert_array_equal(here.mask, there.mask)
    scale = np.nanmedian(here.flux.value)
    np.testing.assert_allclose(here.flux.value, there.flux.value, atol=1e-3 * scale, rtol=1e-3)


def test_a_batch_of_other_lengths_changes_nothing(spectra, rms_difference):
    alone = spectok.encode(spectra[0], device="cuda")
    together = spectok.encode(spectra, device="cuda")
    together = together[np.asarray(together["spectrum_index"]) == 0]
    assert rms_difference(alone["token"], together["token"]) < 1e-5
