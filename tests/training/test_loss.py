"""The likelihood, against scipy and by hand."""

import numpy as np
import pytest
import torch
from scipy import stats

from spectok.training import gaussian_loss


@pytest.fixture
def numbers():
    rng = np.random.default_rng(0)
    shape = (2, 50)
    flux, predicted = rng.normal(1, 1, shape), rng.normal(1, 1, shape)
    sigma, model_sigma = rng.uniform(0.1, 2, shape), rng.uniform(0.01, 3, shape)
    valid = rng.random(shape) < 0.8
    return flux, sigma, valid, predicted, model_sigma


def loss(*arrays, **options):
    total, count = gaussian_loss(*(torch.as_tensor(a) for a in arrays), **options)
    return total.item(), count.item()


def test_it_is_the_likelihood_up_to_a_constant(numbers):
    flux, sigma, valid, predicted, model_sigma = numbers
    log_p = stats.norm(predicted, np.hypot(sigma, model_sigma)).logpdf(flux)
    # Of the Gaussian's -2 ln p = r^2 / v + ln v + ln 2 pi; ln sigma^2 is constant for a model.
    expected = -2 * log_p - np.log(2 * np.pi) - 2 * np.log(sigma)
    total, count = loss(*numbers)
    assert total == pytest.approx(expected[valid].sum()) and count == valid.sum()


def test_with_degrees_of_freedom_it_is_students(numbers):
    flux, sigma, valid, predicted, model_sigma = numbers
    log_p = stats.t(4.0, predicted, np.hypot(sigma, model_sigma)).logpdf(flux)
    # A constant of the distribution, and ln sigma^2, do not change with the model.
    constant = stats.t(4.0).logpdf(0.0)
    expected = -2 * (log_p - constant) - 2 * np.log(sigma)
    total, count = loss(*numbers, degrees_of_freedom=4.0)
    assert total == pytest.approx(expected[valid].sum()) and count == valid.sum()
    many = loss(*numbers, degrees_of_freedom=1e8)[0]
    assert many == pytest.approx(loss(*numbers)[0], rel=1e-4)


def test_without_model_error_it_is_the_papers(numbers):
    flux, sigma, valid, predicted, _ = numbers
    total, count = loss(flux, sigma, valid, predicted)
    assert total == pytest.approx((((flux - predicted) / sigma)[valid] ** 2).sum())
    assert count == valid.sum()
    vanishing = np.full(flux.shape, 1e-9)
    assert loss(flux, sigma, valid, predicted, vanishing)[0] == pytest.approx(total)


def test_weights(numbers):
    flux, sigma, valid, predicted, model_sigma = numbers
    weight = np.random.default_rng(1).uniform(0, 2, flux.shape)
    variance = sigma**2 + model_sigma**2
    cost = (flux - predicted) ** 2 / variance + np.log(variance / sigma**2)
    total, count = loss(*numbers, weight=torch.as_tensor(weight))
    assert total == pytest.approx((weight * cost)[valid].sum())
    assert count == pytest.approx(weight[valid].sum())


def test_noiseless_truth_costs_what_noise_would_on_average(numbers):
    truth, sigma, valid, predicted, model_sigma = numbers
    noiseless = torch.tensor([[True], [True]])
    total, _ = loss(*numbers, noiseless=noiseless)
    noise = np.random.default_rng(2).normal(size=(4000, *truth.shape)) * sigma
    variance = sigma**2 + model_sigma**2
    cost = (truth + noise - predicted) ** 2 / variance + np.log(variance / sigma**2)
    assert total == pytest.approx(cost.mean(0)[valid].sum(), rel=0.02)
    # Row by row: only where it is said.
    one, _ = loss(*numbers, noiseless=torch.tensor([[True], [False]]))
    none, _ = loss(*numbers)
    extra = (sigma**2 / variance)[0][valid[0]].sum()
    assert one - none == pytest.approx(extra)


@pytest.mark.parametrize("junk", [np.nan, np.inf, 0.0])
def test_bad_pixels_cost_nothing_and_pull_nothing(junk, numbers):
    flux, sigma, valid, predicted, model_sigma = numbers
    reference = loss(*numbers)
    flux, sigma = np.where(valid, flux, junk), np.where(valid, sigma, junk)
    at = [torch.as_tensor(a).requires_grad_() for a in (predicted, model_sigma)]
    total, count = gaussian_loss(
        torch.as_tensor(flux), torch.as_tensor(sigma), torch.as_tensor(valid), *at
    )
    assert (total.item(), count.item()) == pytest.approx(reference)
    total.backward()
    for tensor in at:
        assert torch.isfinite(tensor.grad).all()
        assert not tensor.grad[~torch.as_tensor(valid)].any()


def test_nothing_valid_is_zero_over_zero(numbers):
    flux, sigma, valid, predicted, model_sigma = numbers
    assert loss(flux, sigma, np.zeros_like(valid), predicted, model_sigma) == (0.0, 0.0)
