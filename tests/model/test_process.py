"""Light curves between their tokens, against scikit-learn's Gaussian process."""

import numpy as np
import pytest
import torch
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Kernel, Matern

from spectok._batch import TokenBatch
from spectok.model._process import _WHOLE, Process, what_is_seen

WIDTH, PATCH, COSINES = 6, 4, 3
BANDS = np.array([4820.0, 6410.0, 7810.0, 9250.0])


class Levels(Kernel):
    """exp(-|b1 - b2| / length) of the second coordinate alone."""

    def __init__(self, variance=1.0, length=1.0):
        self.variance, self.length = variance, length

    def __call__(self, x, y=None, eval_gradient=False):
        y = x if y is None else y
        far = np.abs(x[:, None, 1] - y[None, :, 1])
        found = self.variance * np.exp(-far / self.length)
        return (found, np.empty((*found.shape, 0))) if eval_gradient else found

    def diag(self, x):
        return np.full(len(x), self.variance)

    def is_stationary(self):
        return True


def tokens_of(n_tokens, seed=0, n_padding=0):
    """Constant curves: a token's flux at all its places is its first cosine."""
    rng = np.random.default_rng(seed)
    band = np.sort(rng.choice(BANDS, n_tokens))
    time = rng.uniform(0, 6.0 * n_tokens, n_tokens)
    flux = 3.0 * np.sin(time / 15) + band / 5000
    valid = np.r_[np.ones(n_tokens, bool), np.zeros(n_padding, bool)]

    def row(x, empty=0.0):
        return torch.from_numpy(np.r_[x, np.full(n_padding, empty)])[None]

    coefficients = torch.zeros(1, valid.size, COSINES)
    coefficients[..., 0] = row(flux)
    tokens = TokenBatch(
        torch.zeros(1, valid.size, COSINES + 1), row(time), row(rng.uniform(0, 3, n_tokens)),
        torch.from_numpy(valid)[None], torch.ones(1), None, row(band),
    )  # fmt: skip
    log_noise = row(rng.uniform(-3, -1, n_tokens)).float()[..., None]
    token = torch.zeros(1, valid.size, WIDTH)
    token[0, :n_tokens] = torch.from_numpy(rng.normal(size=(n_tokens, WIDTH)))
    return tokens, coefficients, log_noise, token


def asked(n_patches, seed=1, until=200.0):
    rng = np.random.default_rng(seed)
    band = torch.from_numpy(rng.choice([*BANDS, 5500.0], n_patches))[None]
    first = rng.uniform(-20, until, n_patches)
    time = first[:, None] + np.sort(rng.uniform(0, 20, (n_patches, PATCH)), 1)
    return torch.from_numpy(time.ravel())[None], band


@pytest.fixture(scope="module")
def process():
    torch.manual_seed(2)
    process = Process(WIDTH, PATCH)
    torch.nn.init.normal_(process.own.weight, std=0.1)
    return process.requires_grad_(False)


def test_it_is_the_textbooks(process):
    """Mean and error, by another implementation, from the same observations."""
    given = tokens_of(25)
    tokens, coefficients, log_noise, token = given
    time, band = asked(9)
    mean, sigma = process(*given, time, band)

    shape = (process.common + process.own(token.mean(1)))[0].double().numpy()
    place = (np.arange(PATCH) + 0.5) / PATCH - 0.5
    half = tokens.half[0].numpy() * 2 * PATCH / (PATCH - 1)
    when = tokens.wavelength[0].numpy()[:, None] + half[:, None] * place
    flux, filters = coefficients[0, :, 0].double().numpy(), tokens.band[0].numpy()
    noise = np.exp(log_noise[0, :, 0].double().numpy())
    about = flux - [flux[filters == one].mean() for one in filters]
    least = 0.01 * np.mean(noise**2)
    scatter, level = (np.mean(x**2) + least for x in (about, flux))  # variances
    kernel = (
        ConstantKernel(scatter * np.exp(shape[2])) * Matern(np.exp(shape[0:2]), nu=2.5)
        + ConstantKernel(scatter * np.exp(shape[5])) * Matern(np.exp(shape[3:5]), nu=2.5)
        + Levels(level * np.exp(shape[7]), np.exp(shape[6]))
    )
    x = np.stack([when.ravel(), np.repeat(np.log(filters), PATCH)], 1)
    alpha = np.repeat(noise**2, PATCH) + 1e-7 * kernel.k1.diag(x)[0]
    other = GaussianProcessRegressor(kernel, alpha=alpha, optimizer=None)
    other.fit(x, np.repeat(flux, PATCH))
    wanted = np.stack([time[0].numpy(), np.repeat(np.log(band[0].numpy()), PATCH)], 1)
    expected, error = other.predict(wanted, return_std=True)
    assert np.allclose(mean[0].numpy(), expected, atol=1e-4)
    assert np.allclose(sigma[0].numpy(), error, atol=1e-4)


def test_padding_changes_nothing(process):
    time, band = asked(5)
    alone = process(*tokens_of(7), time, band)
    padded = process(*tokens_of(7, n_padding=3), time, band)
    for one, other in zip(alone, padded, strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def both(first, second):
    """Two curves as one batch, the shorter one padded."""
    longest = max(one[0].value.shape[1] for one in (first, second))

    def stack(one, other):
        parts = (
            torch.nn.functional.pad(part, (0, 0) * (part.ndim - 2) + (0, longest - part.shape[1]))
            for part in (one, other)
        )
        return torch.cat(list(parts))

    names = ("value", "wavelength", "half", "valid")
    parts = [stack(getattr(first[0], k), getattr(second[0], k)) for k in names]
    band = stack(first[0].band, second[0].band)
    tokens = TokenBatch(*parts, torch.ones(2), None, band)
    return (tokens, *(stack(*pair) for pair in zip(first[1:], second[1:], strict=True)))


def test_beside_a_long_curve(process):
    """Each curve is solved by its own number of tokens."""
    short, long = tokens_of(9), tokens_of(3 * _WHOLE, seed=4)
    time, band = asked(5)
    together = process(*both(short, long), time.expand(2, -1), band.expand(2, -1))
    for row, one in enumerate((short, long)):
        for found, alone in zip(together, process(*one, time, band), strict=True):
            assert torch.allclose(found[row], alone[0], atol=1e-5)


def test_of_long_curves_the_nearest_tokens_say_it(process, monkeypatch):
    """However far apart the times of a patch are."""
    given = tokens_of(4 * _WHOLE)
    rng = np.random.default_rng(3)
    time = torch.from_numpy(np.sort(rng.uniform(0, 1100, (30, PATCH)), 1).ravel())[None]
    band = torch.from_numpy(rng.choice(BANDS, 30))[None]
    near, near_error = process(*given, time, band)
    monkeypatch.setattr("spectok.model._process._WHOLE", 4 * _WHOLE)
    whole, error = process(*given, time, band)
    off = (near - whole).abs() / error
    assert off.median() < 0.1
    assert off.max() < 1.0
    assert torch.allclose(near_error, error, rtol=0.5)


def test_a_small_change_of_a_bright_star(process):
    """A thousandth of its level, with a noise far below that."""
    rng = np.random.default_rng(5)
    n = 30
    when = np.sort(rng.uniform(0, 120, n))
    band = torch.full((1, n), BANDS[0], dtype=torch.float64)
    coefficients = torch.zeros(1, n, COSINES)
    coefficients[0, :, 0] = torch.from_numpy(1.0 + 1e-3 * np.sin(when / 20))
    tokens = TokenBatch(
        torch.zeros(1, n, COSINES + 1), torch.from_numpy(when)[None],
        torch.zeros(1, n, dtype=torch.float64), torch.ones(1, n, dtype=torch.bool),
        torch.ones(1), None, band,
    )  # fmt: skip
    log_noise = torch.full((1, n, 1), np.log(2e-5))
    time = torch.linspace(5, 115, 8 * PATCH, dtype=torch.float64)[None]
    mean, sigma = process(
        tokens, coefficients, log_noise, torch.zeros(1, n, WIDTH), time, band[:, :8]
    )
    truth = 1.0 + 1e-3 * torch.sin(time / 20)
    assert (mean - truth).abs().median() < 3e-5
    assert sigma.median() < 1e-4


def test_far_from_all_tokens_it_knows_little(process):
    given = tokens_of(12)
    band = given[0].band[:, :1]
    inside = given[0].wavelength[:, :1] + torch.linspace(-0.1, 0.1, PATCH)
    near, far = process(*given, inside, band)[1], process(*given, inside + 4000.0, band)[1]
    assert (far > 3 * near).all()


def test_nothing_was_seen(process):
    """No valid token: a finite answer, which whoever decodes masks."""
    tokens, *rest = tokens_of(3)
    nothing = TokenBatch(
        tokens.value, tokens.wavelength, tokens.half, torch.zeros_like(tokens.valid),
        tokens.scale, None, tokens.band,
    )  # fmt: skip
    mean, sigma = process(nothing, *rest, *asked(2))
    assert (mean == 0).all() and sigma.isfinite().all()


@pytest.mark.parametrize("size", [1e-4, 1.0, 1e9, 1e24])
def test_any_brightness(process, size):
    """Mean and error go with the unit, and the slopes are finite."""
    tokens, coefficients, log_noise, token = tokens_of(10)
    time, band = asked(3)
    first = process(tokens, coefficients, log_noise, token, time, band)
    scaled = (size * coefficients).requires_grad_()
    found = process(tokens, scaled, log_noise + np.log(size), token, time, band)
    for one, other in zip(first, found, strict=True):
        assert torch.allclose(one, other / size, rtol=1e-3, atol=1e-4)
    (found[0] / size).sum().backward()
    assert scaled.grad.isfinite().all()
    assert what_is_seen(*(part.unflatten(-1, (-1, PATCH)) for part in found)).isfinite().all()
