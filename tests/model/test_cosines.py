"""The closed-form code: scale, fit against numpy, tokens there and back, the curve through all."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spectok.model._cosines import (
    asinh,
    coefficients_of,
    contrast_of,
    cosines,
    fit_cosines,
    make_token,
    median_scale,
    position_in_patch,
    sum_of_cosines,
)
from spectok.model._embedding import patch_place, patchify

PATCH, NUMBER = 32, 15


def own_positions(patch_size=PATCH):
    """Where evenly spaced pixels lie in their patch."""
    return (np.arange(patch_size) + 0.5) / patch_size


def basis_of(positions=None):
    positions = own_positions() if positions is None else positions
    return torch.from_numpy(np.cos(np.pi * np.outer(positions, np.arange(NUMBER)))).float()


def fit(flux, sigma, visible):
    """`fit_cosines` of arrays (N, T, P) on even pixels, as float64 arrays."""
    arrays = (torch.from_numpy(np.asarray(a, np.float32)) for a in (flux, sigma))
    found = fit_cosines(*arrays, torch.from_numpy(visible), basis_of()[None, None])
    return tuple(f.double().numpy() for f in found)


def reference_fit(flux, sigma, visible):
    """The posterior mean in float64, of one patch: its definition, written down anew."""
    flux, sigma = flux[visible], sigma[visible]
    design = np.cos(np.pi * np.outer(own_positions(), np.arange(NUMBER)))[visible]
    noise = np.exp(np.log(sigma).mean())
    weight = np.clip((noise / sigma) ** 2, np.exp(-20), 30.0)
    mean = np.average(flux, weights=weight)
    signal = (flux - mean) / noise
    power = max((weight * signal**2).mean() - 1, 0.02)
    # cos^2 is 1/2 on average: the prior's curves vary by this power.
    variance = np.arange(1.0, NUMBER) ** -2
    variance *= 2 * power / variance.sum()
    prior = np.append(1e3, np.minimum(variance, 1e3))
    normal = design.T @ (weight[:, None] * design) + np.diag(1 / prior)
    found = np.linalg.solve(normal, design.T @ (weight * signal)) * noise
    found[0] += mean
    return found, np.log(noise)


# ------------------------------------------------------------------ cosines


def test_cosines_are_numpys():
    position = np.linspace(0.0, 1.0, 257)
    for number in (1, 2, 3, NUMBER, 40):
        expected = np.cos(np.pi * position[:, None] * np.arange(number))
        found = cosines(torch.from_numpy(position), number)
        assert found.shape == expected.shape
        assert np.abs(found.numpy() - expected).max() < 1e-11
    single = cosines(torch.from_numpy(position).float(), NUMBER).numpy()
    expected = np.cos(np.pi * position[:, None] * np.arange(NUMBER))
    assert single.dtype == np.float32 and np.abs(single - expected).max() < 1e-4


@pytest.mark.parametrize("patch_size", [2, 20, 32])
@pytest.mark.parametrize("step", [0.05, 1.3, 40.0])
def test_position_in_patch(patch_size, step):
    wavelength = torch.from_numpy(5000.0 + step * np.arange(3 * patch_size))[None]
    centre, half = patch_place(wavelength, patch_size)
    found = position_in_patch(
        patchify(wavelength, patch_size), centre[..., None], half[..., None], patch_size
    )
    assert found.dtype == torch.float64
    assert np.allclose(found, own_positions(patch_size), atol=1e-9)
    edge = position_in_patch(wavelength[:, 0] - step / 2, centre[:, 0], half[:, 0], patch_size)
    assert edge.item() == pytest.approx(0.0, abs=1e-9)
    beyond = position_in_patch(wavelength[:, -1], centre[:, 0], half[:, 0], patch_size)
    assert beyond.item() == pytest.approx(3 - 0.5 / patch_size)


# ------------------------------------------------------------------ the fit


@given(
    seed=st.integers(0, 10_000),
    snr=st.sampled_from([0.1, 1.0, 10.0, 300.0]),
    uneven=st.sampled_from([0.0, 0.5, 3.0]),
    share=st.sampled_from([0.1, 0.6, 1.0]),
)
def test_fit_is_the_posterior_mean(seed, snr, uneven, share):
    rng = np.random.default_rng(seed)
    shape = (2, 3, PATCH)
    sigma = np.exp(rng.normal(0.0, uneven, shape)) / snr
    flux = 1 + rng.normal(0.0, 0.3, shape).cumsum(-1) + sigma * rng.normal(size=shape)
    sigma, flux = (a.astype(np.float32).astype(float) for a in (sigma, flux))
    visible = rng.random(shape) < share
    visible[..., rng.integers(PATCH)] = True
    found, log_noise = fit(flux, sigma, visible)
    assert found.shape == (2, 3, NUMBER) and log_noise.shape == (2, 3, 1)
    for at in np.ndindex(2, 3):
        expected, noise = reference_fit(flux[at], sigma[at], visible[at])
        assert log_noise[at] == pytest.approx(noise, abs=1e-5)
        size = np.abs(flux[at][visible[at]]).max()
        # Float32 holds the cosines that came in, which hidden pixels magnify.
        assert np.abs(found[at] - expected).max() < 1e-4 * size


def test_bright_patches_are_recovered():
    """Noise-free sums of the same cosines come back, but for the bound on the prior: 1e-4."""
    rng = np.random.default_rng(1)
    truth = rng.normal(0.0, 0.3, (4, 5, NUMBER)) / np.arange(1, NUMBER + 1)
    truth[..., 0] = 1.0
    flux = truth @ basis_of().double().numpy().T
    sigma = np.full(flux.shape, 1e-5)
    visible = np.ones(flux.shape, bool)
    found, log_noise = fit(flux, sigma, visible)
    assert np.abs(found - truth).max() < 1e-4 * np.abs(truth[..., 1:]).max()
    assert np.allclose(log_noise, np.log(1e-5))
    # Six pixels fewer: still more of them than cosines.
    visible[..., 7:20:2] = False
    assert np.abs(fit(flux, sigma, visible)[0] - truth).max() < 5e-3


@pytest.mark.parametrize(
    ("snr", "bound"), [(0.03, 0.06), (0.3, 0.06), (3.0, 0.2), (10.0, 0.3), (100.0, 0.6)]
)
def test_faint_patches_lie_below_the_noise(snr, bound):
    """What the fit errs by, in units of a pixel's variance.

    The mean alone costs 1/32 and what the signal varies by, here 0.04 S/N^2; a least-squares
    fit of 15 cosines 15/32.
    """
    rng = np.random.default_rng(2)
    shape = (1, 2000, PATCH)
    wave = 1 + 0.3 * np.cos(np.pi * own_positions() * 2 + rng.uniform(0, 6, (1, 2000, 1)))
    sigma = np.full(shape, 1 / snr)
    found, _ = fit(wave + sigma * rng.normal(size=shape), sigma, np.ones(shape, bool))
    wrong = ((found @ basis_of().double().numpy().T - wave) * snr) ** 2
    assert 1 / PATCH < wrong.mean() < bound


def test_the_mean_is_not_shrunk():
    """Of pure noise about a level, what is left is the level, as well as 32 pixels know it."""
    rng = np.random.default_rng(3)
    shape = (1, 4000, PATCH)
    found, _ = fit(5 + rng.normal(size=shape), np.ones(shape), np.ones(shape, bool))
    assert found[..., 0].mean() == pytest.approx(5.0, abs=4 / np.sqrt(32 * 4000))
    assert found[..., 0].std() == pytest.approx(1 / np.sqrt(32), rel=0.1)


@pytest.mark.parametrize("junk", [0.0, 1e30, -1e30, np.inf, np.nan])
def test_what_is_not_visible_changes_no_bit(junk):
    rng = np.random.default_rng(4)
    flux, sigma = rng.normal(1, 1, (3, 4, PATCH)), rng.uniform(0.1, 1, (3, 4, PATCH))
    visible = rng.random(flux.shape) < 0.5
    reference = fit(flux, sigma, visible)
    changed = fit(np.where(visible, flux, junk), np.where(visible, sigma, junk), visible)
    for a, b in zip(reference, changed, strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize("flux", [0.0, 1.0, 1e18, -1e18])
@pytest.mark.parametrize("sigma", [1e-18, 1.0, 1e18])
@pytest.mark.parametrize("share", [0.0, 0.03, 0.5, 1.0])
def test_extremes_stay_finite(flux, sigma, share):
    rng = np.random.default_rng(5)
    shape = (1, 40, PATCH)
    visible = rng.random(shape) < share
    for pattern in (np.ones(shape), rng.normal(size=shape), rng.random(shape) < 0.1):
        for errors in (np.full(shape, sigma), np.where(rng.random(shape) < 0.1, 1.0, sigma)):
            for found in fit(flux * pattern, errors, visible):
                assert np.isfinite(found).all()


def test_nothing_visible_is_nothing():
    shape = (1, 2, PATCH)
    coefficients, log_noise = fit(np.full(shape, 7.0), np.full(shape, 3.0), np.zeros(shape, bool))
    assert not coefficients.any() and not log_noise.any()


def test_no_bad_gradients_under_invisible_pixels():
    flux = torch.full((1, 2, PATCH), torch.nan)
    flux[0, 0, ::2] = torch.linspace(0.0, 1.0, PATCH // 2)
    visible = torch.isfinite(flux)
    flux.requires_grad_()
    found, _ = fit_cosines(flux, torch.ones_like(flux), visible, basis_of()[None, None])
    found.square().sum().backward()
    assert torch.isfinite(flux.grad).all() and not flux.grad[~visible].any()


# ------------------------------------------------------------------ the curve through patches


def curve(coefficients, centre, half, target, valid=None, patch_size=PATCH):
    coefficients = torch.as_tensor(coefficients, dtype=torch.float32)[None]
    centre, half, target = (
        torch.as_tensor(np.asarray(a, float))[None] for a in (centre, half, target)
    )
    valid = torch.ones_like(centre, dtype=bool) if valid is None else torch.tensor(valid)[None]
    return sum_of_cosines(coefficients, centre, half, valid, target, patch_size)[0].numpy()


def levels(*values):
    coefficients = np.zeros((len(values), NUMBER))
    coefficients[:, 0] = values
    return coefficients


@pytest.fixture
def patches():
    """Coefficients, centre, half length and own grid of 6 patches with a gap after the third."""
    grid = 5000.0 + 1.3 * np.arange(6 * PATCH)
    grid[3 * PATCH :] += 500.0
    centre, half = (a[0].numpy() for a in patch_place(torch.from_numpy(grid)[None], PATCH))
    return np.random.default_rng(6).normal(size=(6, NUMBER)), centre, half, grid


def test_on_its_own_grid_it_is_the_fit(patches):
    coefficients, centre, half, grid = patches
    expected = (coefficients @ basis_of().double().numpy().T).ravel()
    assert np.abs(curve(coefficients, centre, half, grid) - expected).max() < 1e-4


def test_between_the_pixels_it_is_the_same_curve(patches):
    coefficients, centre, half, grid = patches
    target = grid[PATCH] + 1.3 * np.linspace(-0.49, PATCH - 0.51, 201)
    position = (target - grid[PATCH]) / (1.3 * PATCH) + 0.5 / PATCH
    expected = np.cos(np.pi * np.outer(position, np.arange(NUMBER))) @ coefficients[1]
    assert np.abs(curve(coefficients, centre, half, target) - expected).max() < 1e-4


def test_over_a_gap_it_is_the_straight_line(patches):
    coefficients, centre, half, grid = patches
    left, right = grid[3 * PATCH - 1] + 0.65, grid[3 * PATCH] - 0.65
    target = np.linspace(left, right, 51)
    ends = [coefficients[2] @ (-1.0) ** np.arange(NUMBER), coefficients[3].sum()]
    expected = np.interp(target, [left, right], ends)
    assert np.abs(curve(coefficients, centre, half, target) - expected).max() < 1e-4


def test_beyond_the_ends_it_is_constant(patches):
    coefficients, centre, half, grid = patches
    for distance in (1.0, 30.0, 5000.0):
        low, high = curve(coefficients, centre, half, [grid[0] - distance, grid[-1] + distance])
        assert low == pytest.approx(coefficients[0].sum(), abs=1e-4)
        assert high == pytest.approx(coefficients[5] @ (-1.0) ** np.arange(NUMBER), abs=1e-4)


def test_where_arms_overlap_it_is_the_mean():
    # 4980 to 5020 and 5010 to 5050: both know the last ten.
    half = 20.0 * (PATCH - 1) / PATCH
    target = [4985.0, 5005.0, 5012.0, 5018.0, 5025.0]
    found = curve(levels(1.0, 3.0), [5000.0, 5030.0], [half, half], target)
    assert found.tolist() == [1.0, 1.0, 2.0, 2.0, 3.0]


def test_invalid_patches_are_ignored(patches):
    coefficients, centre, half, grid = patches
    valid = [True, False, True, True, True, False]
    some = np.array(valid)
    expected = curve(coefficients[some], centre[some], half[some], grid)
    changed = np.where(some[:, None], coefficients, 1e4)
    assert np.array_equal(curve(changed, centre, half, grid, valid), expected)
    # What they leave is bridged, and carried on beyond the last.
    lost = expected[PATCH : 2 * PATCH]
    assert np.allclose(np.diff(lost, 2), 0, atol=1e-4)
    assert np.ptp(expected[5 * PATCH :]) == 0


def test_order_of_patches_does_not_matter(patches):
    coefficients, centre, half, grid = patches
    order = np.random.default_rng(7).permutation(6)
    shuffled = curve(coefficients[order], centre[order], half[order], grid)
    assert np.array_equal(shuffled, curve(coefficients, centre, half, grid))


def test_a_lone_patch_and_none():
    target = np.linspace(4000.0, 6000.0, 101)
    assert (curve(levels(2.0), [5000.0], [20.0], target) == 2).all()
    nothing = curve(levels(0.0, 0.0), [5000.0, 5000.0], [0.0, 0.0], target, [False, False])
    assert not nothing.any()


def test_hidden_pixels_of_bright_patches_cost_no_digits():
    """In float32 the curve over the hidden pixels erred by 1e-3, on each device by its own."""
    rng = np.random.default_rng(8)
    flux = 1 + 0.3 * np.sin(np.arange(PATCH) / 3 + rng.uniform(0, 6, (1, 50, 1)))
    sigma = np.full(flux.shape, 1 / 3000)
    flux = (flux + sigma * rng.normal(size=flux.shape)).astype(np.float32).astype(float)
    visible = np.ones(flux.shape, bool)
    visible[..., 9:21] = False
    expected = [
        reference_fit(*patch)[0] for patch in zip(flux[0], sigma[0], visible[0], strict=True)
    ]
    wrong = (fit(flux, sigma, visible)[0][0] - expected) @ basis_of().double().numpy().T
    assert np.abs(wrong).max() < 2e-5


# ------------------------------------------------------------------ scale and asinh


@pytest.mark.parametrize(
    ("flux", "sigma", "scale", "from_noise"),
    [
        ([1.0, 2.0, 30.0], [0.1, 0.1, 9.0], 2.0, False),
        ([-1.0, -2.0, -3.0], [0.1, 0.4, 9.0], 0.4, True),
        ([0.0, 0.0, 0.0], [0.1, 0.1, 0.1], 0.1, True),
        ([0.05, 0.2, 0.0], [0.1, 0.1, 0.1], 0.1, True),
    ],
)
def test_scale(flux, sigma, scale, from_noise):
    valid = torch.ones(1, 3, dtype=torch.bool)
    got, noise = median_scale(torch.tensor([flux]), torch.tensor([sigma]), valid)
    assert got.item() == pytest.approx(scale) and noise.item() is from_noise


def test_scale_heeds_good_pixels_only():
    flux = torch.tensor([[1.0, np.nan, 3.0, 1e30, 2.0]])
    sigma = torch.tensor([[1.0, np.nan, 1.0, np.inf, 1.0]])
    valid = torch.tensor([[True, False, True, False, True]])
    assert median_scale(flux, sigma, valid)[0].item() == 2.0
    scale, _ = median_scale(flux, sigma, torch.zeros_like(valid))
    assert scale.item() == 1.0


def test_asinh_over_all_magnitudes():
    x = np.concatenate(
        [-np.geomspace(1e-30, 1e18, 500)[::-1], [0], np.geomspace(1e-30, 1e18, 500)]
    )
    got = asinh(torch.from_numpy(x).float()).double().numpy()
    assert np.allclose(got, np.arcsinh(x.astype(np.float32).astype(float)), rtol=3e-7, atol=0)
    assert torch.isfinite(asinh(torch.tensor([3e38, -3e38, torch.inf]))).all()


# ------------------------------------------------------------------ what a token holds

COEFFICIENT = st.floats(-1e4, 1e4, width=32)


@given(st.lists(COEFFICIENT, min_size=1, max_size=6), st.floats(-20, 20, width=32))
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
