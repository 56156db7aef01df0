"""What the numbers of a token mean, there and back."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spectok.model._token import coefficients_of, contrast_of, make_token

NUMBER = st.floats(-1e4, 1e4, width=32)


@given(st.lists(NUMBER, min_size=1, max_size=6), st.floats(-20, 20, width=32))
def test_coefficients_come_back(cosines, log_noise):
    cosines = torch.tensor([cosines], dtype=torch.float32)
    token = make_token(cosines, torch.tensor([[log_noise]]))
    assert token.shape == (1, cosines.shape[1] + 1)
    assert token[0, -1] == log_noise
    assert np.allclose(token[..., :-1], np.arcsinh(8.0 * cosines.numpy()), rtol=1e-5, atol=1e-6)
    assert torch.allclose(coefficients_of(token), cosines, rtol=1e-4, atol=1e-7)


def test_contrast_is_in_units_of_the_noise():
    cosines = torch.tensor([[2.0, -0.3]]).expand(3, 2)
    log_noise = torch.tensor([[-3.0], [0.0], [3.0]])
    found = contrast_of(make_token(cosines, log_noise))
    expected = 0.5 * np.arcsinh(cosines.numpy() / np.exp(log_noise.numpy()))
    assert np.allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("log_noise", [-60.0, 60.0])
@pytest.mark.parametrize("value", [-60.0, 0.0, 60.0])
def test_contrast_of_what_no_spectrum_has_is_finite(value, log_noise):
    token = torch.tensor([[value, value, log_noise]])
    assert torch.isfinite(contrast_of(token)).all()


def test_tokens_of_the_network_are_made_so(tiny, make_arrays):
    """The decoder and the probes read what the encoder wrote."""
    import spectok

    wavelength, flux, sigma = make_arrays(128)
    one, brighter = (
        spectok.encode_arrays(wavelength, flux + k, sigma**-2, model=tiny) for k in (0.0, 20.0)
    )
    level = [
        float(coefficients_of(torch.as_tensor(np.asarray(t["token"])))[0, 0] * t["scale"][0].value)
        for t in (one, brighter)
    ]
    # The tiny model changes its tokens a little, but the first cosine is the patch's level.
    assert level[1] - level[0] == pytest.approx(20.0, rel=0.3)
