"""Fisher's information with noise that pixels share."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectok.simulate._fisher import autocorrelation, information, limits


def moving_average(taps, length):
    """The matrix that makes noise of white noise, row by row."""
    matrix = np.zeros((length, length + len(taps) - 1))
    for i in range(length):
        matrix[i, i : i + len(taps)] = taps
    return matrix / np.sqrt(np.square(taps).sum())


@given(
    taps=st.sampled_from([(1.0,), (1.0, 0.58), (1.0, 0.4, -0.15), (0.3, 1.0, 0.3)]),
    share=st.sampled_from([0.0, 0.02, 0.5, 0.9, 1.0]),
    seed=st.integers(0, 99),
)
def test_information_is_that_of_the_dense_covariance(taps, share, seed):
    rng = np.random.default_rng(seed)
    length = 60
    derivatives, sigma = rng.normal(size=(4, length)), rng.uniform(0.5, 2.0, length)
    valid = rng.random(length) < share
    matrix = moving_average(taps, length)
    covariance = (matrix @ matrix.T * np.outer(sigma, sigma))[np.ix_(valid, valid)]
    seen = derivatives[:, valid]
    expected = seen @ np.linalg.inv(covariance) @ seen.T
    found = information(derivatives, sigma, valid, autocorrelation(taps))
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


def test_what_is_under_a_mask_is_not_seen():
    rng = np.random.default_rng(1)
    derivatives, sigma = rng.normal(size=(2, 30)), np.ones(30)
    valid = rng.random(30) < 0.7
    shared = autocorrelation([1.0, 0.5])
    first = information(derivatives, sigma, valid, shared)
    derivatives[:, ~valid], sigma[~valid] = np.nan, 0.0
    assert np.array_equal(information(derivatives, sigma, valid, shared), first)


def test_limits_marginalise():
    rng = np.random.default_rng(2)
    root = rng.normal(size=(5, 9))
    units = 10.0 ** np.array([-8, -3, 0, 4, 8])
    matrix = (root @ root.T) * np.outer(units, units)
    prior = np.diag([0.0, 1.0, 0.0, 2.0, 0.0]) * units**2
    expected = np.sqrt(np.diag(np.linalg.inv(root @ root.T + np.diag([0, 1.0, 0, 2.0, 0]))))
    np.testing.assert_allclose(limits(matrix, prior) * units, expected, rtol=1e-10)
    # Knowing more never widens; not knowing the others does.
    assert (limits(matrix, 0 * prior) > limits(matrix, prior)).all()
    assert (limits(matrix, 0 * prior) > np.diag(matrix) ** -0.5).all()


def test_what_nothing_tells_is_without_limit():
    flat = np.zeros((3, 3))
    matrix = np.diag([4.0, 0.0, 1.0])
    np.testing.assert_array_equal(limits(matrix, flat), [0.5, np.inf, 1.0])
    np.testing.assert_array_equal(limits(matrix, np.diag([0.0, 4.0, 0.0])), [0.5, 0.5, 1.0])
    # Only the sum of two is known.
    assert np.isinf(limits(np.ones((2, 2)), np.zeros((2, 2)))).all()


def test_autocorrelation():
    assert autocorrelation([2.0]) == pytest.approx([1.0])
    power = 1 + 0.16 + 0.0225
    expected = [1.0, (0.4 - 0.15 * 0.4) / power, -0.15 / power]
    assert autocorrelation([1.0, 0.4, -0.15]) == pytest.approx(expected)
