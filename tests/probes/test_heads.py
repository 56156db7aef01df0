"""Densities of labels, against scipy."""

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import logsumexp

from spectok.probes._heads import Mixture


def head_of(n_labels, n_components, seed=0):
    labels = np.random.default_rng(seed).gamma(2.0, size=(500, n_labels))
    labels = (labels - labels.mean(0)) / labels.std(0)
    return Mixture.of(labels, n_components)


def output_of(head, n=7, seed=1, size=1.0):
    torch.manual_seed(seed)
    return size * torch.randn(n, head.n_outputs)


def parts_of(head, output):
    """Weights, means and widths as the docstring says, in numpy."""
    n_labels, n_components = head.centre.shape
    weight, move, log_width = (
        part.double().numpy().reshape(-1, n_labels, n_components) for part in output.chunk(3, -1)
    )
    centre, width = head.centre.double().numpy(), head.width.double().numpy()
    log_weight = weight - logsumexp(weight, axis=-1, keepdims=True)
    return np.exp(log_weight), centre + width * move, width * np.exp(np.clip(log_width, -7, 4))


@pytest.mark.parametrize("n_labels", [1, 3])
def test_one_component_is_a_normal_distribution(n_labels):
    head = head_of(n_labels, 1)
    assert head.n_outputs == 3 * n_labels
    assert (head.centre == 0).all() and (head.width == 1).all()
    output = output_of(head)
    label = torch.randn(7, n_labels)
    _, mean, log_std = output.view(7, 3, n_labels).unbind(1)
    expected = -stats.norm(mean, log_std.exp()).logpdf(label).mean(1)
    assert np.allclose(head.loss(output, label), expected, rtol=1e-4)
    value, std = head.predict(output)
    assert torch.allclose(value, mean) and torch.allclose(std, log_std.exp())


@pytest.mark.parametrize("n_components", [2, 20])
def test_many_components_are_a_mixture(n_components):
    head = head_of(2, n_components)
    output, label = output_of(head), torch.randn(7, 2)
    weight, mean, std = parts_of(head, output)
    density = (weight * stats.norm(mean, std).pdf(label.numpy()[..., None])).sum(-1)
    assert np.allclose(head.loss(output, label), -np.log(density).mean(1), rtol=1e-4)


@pytest.mark.parametrize("n_components", [1, 2, 30])
def test_the_density_integrates_to_one(n_components):
    head = head_of(1, n_components)
    output = output_of(head, n=1, size=0.5)
    grid = torch.linspace(-15, 15, 30_001)[:, None]
    density = (-head.loss(output.expand(len(grid), -1), grid)).double().exp()
    assert float(torch.trapezoid(density, grid[:, 0].double())) == pytest.approx(1.0, abs=2e-3)


def test_components_start_at_the_quantiles():
    label = np.random.default_rng(0).normal(size=(4000, 2)) * [1.0, 5.0]
    label[::7, 1] = np.nan
    head = Mixture.of(label, 4)
    expected = np.stack([
        np.quantile(column[np.isfinite(column)], [0.125, 0.375, 0.625, 0.875])
        for column in label.T
    ])  # fmt: skip
    assert np.allclose(head.centre, expected, rtol=1e-5)
    assert np.allclose(head.width[0, 1], (expected[0, 2] - expected[0, 0]) / 2, rtol=1e-5)
    # Labels that pile up leave components with a width.
    assert (Mixture.of(np.r_[np.zeros(90), np.ones(10)][:, None], 5).width > 0).all()


def test_unknown_labels_teach_nothing():
    head = head_of(2, 3)
    output = output_of(head).requires_grad_()
    label = torch.randn(7, 2)
    label[0, 1] = torch.nan
    label[1] = torch.nan
    loss = head.loss(output, label)
    assert torch.isfinite(loss).all() and loss[1] == 0
    loss.sum().backward()
    gradient = output.grad.view(7, 3, 2, 3)
    assert torch.isfinite(gradient).all()
    assert not gradient[0, :, 1].any() and not gradient[1].any()
    assert gradient[0, :, 0].any() and gradient[2, :, 1].any()
    # The mean is over the known ones: the other label of row 0 counts in full.
    alone = Mixture(head.centre[:1], head.width[:1])
    first = output.detach().view(7, 3, 2, 3)[:1, :, 0].reshape(1, -1)
    assert loss[0].item() == pytest.approx(alone.loss(first, label[:1, :1]).item(), rel=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_predict_finds_the_highest_peak(seed):
    head = head_of(1, 6)
    output = output_of(head, n=20, seed=seed)
    value, std = (part.numpy() for part in head.predict(output))
    weight, mean, width = parts_of(head, output)
    at = mean[:, 0]  # candidates: the components' means
    density = np.array([
        [(w[0] * stats.norm(m[0], s[0]).pdf(x)).sum() for x in row]
        for w, m, s, row in zip(weight, mean, width, at, strict=True)
    ])  # fmt: skip
    best = at[np.arange(20), density.argmax(1)]
    assert np.allclose(value[:, 0], best, atol=1e-5)
    # The rms about that value, from draws.
    rng = np.random.default_rng(seed)
    for row in range(3):
        k = rng.choice(6, 200_000, p=weight[row, 0] / weight[row, 0].sum())
        draw = rng.normal(mean[row, 0, k], width[row, 0, k])
        rms = np.sqrt(((draw - value[row, 0]) ** 2).mean())
        assert std[row, 0] == pytest.approx(rms, rel=0.02)


def test_together_two_neighbours_are_higher_than_one():
    head = Mixture(np.array([[0.0, 0.1, 5.0]]), np.ones((1, 3)))
    output = torch.zeros(1, 9)
    output[0, :3] = torch.log(torch.tensor([0.3, 0.3, 0.4]))
    assert float(head.predict(output)[0]) < 1.0


@pytest.mark.parametrize("size", [50.0, 1e4])
def test_wild_outputs_stay_finite(size):
    head = head_of(2, 3)
    output = output_of(head, size=size).requires_grad_()
    loss = head.loss(output, torch.randn(7, 2))
    loss.sum().backward()
    assert torch.isfinite(loss).all() and torch.isfinite(output.grad).all()
    assert all(torch.isfinite(part).all() for part in head.predict(output.detach()))
