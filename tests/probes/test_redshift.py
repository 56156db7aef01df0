"""Redshifts of spectra with three lines: found, with their errors, at every shift."""

import astropy.units as u
import numpy as np
import pytest
import torch
from astropy.table import Column, MaskedColumn, QTable
from astropy.utils.exceptions import AstropyUserWarning
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import spectok
from spectok.probes import RedshiftProbe, load_probe, save_probe
from spectok.probes._redshift_fit import calibrate, cross_entropy, errors_of, find_peaks
from spectok.probes._redshift_network import RedshiftConfig, RedshiftNetwork

LINES = (3728.0, 4862.0, 5008.0)
LIGHT = 299792.458
# Coarse and of few patterns: what is asked of it does not hang on how well it does.
QUICK = {"max_epochs": 1, "held_out": 0.0, "step": 1e-3, "kinds": 2, "batch_size": 32}


def spectra(n, seed, low=0.02, high=0.45):
    """Tokens of a flat spectrum with three lines, and redshifts."""
    rng = np.random.default_rng(seed)
    wavelength = 10.0 ** (np.log10(3800.0) + 2e-4 * np.arange(1600))
    z = rng.uniform(low, high, n)
    flux = np.ones((n, 1600))
    for line, strength in zip(LINES, (2.0, 1.0, 3.0), strict=True):
        away = wavelength / (line * (1 + z[:, None])) - 1
        flux += strength * np.exp(-0.5 * (away / 7e-4) ** 2)
    flux += rng.normal(0.0, 0.2, flux.shape)
    torch.manual_seed(1)
    model = spectok.SpectralTokenizer(spectok.ModelConfig.of_size("tiny"))
    tokens = spectok.encode_arrays(wavelength, flux, np.full(flux.shape, 25.0), model=model)
    return tokens, z


@pytest.fixture(scope="module")
def many():
    tokens, z = spectra(640, 5)
    return spectok.group(tokens), z


@pytest.fixture(scope="module")
def probe(many):
    items, z = many
    return RedshiftProbe(max_epochs=8, batch_size=32).fit(items[:480], z[:480])


@pytest.fixture(scope="module")
def quick(many):
    items, z = many
    return RedshiftProbe(**QUICK).fit(items[:64], z[:64])


@pytest.mark.slow
def test_redshifts_are_found(probe, many):
    items, z = many[0][480:], many[1][480:]
    found, std = probe.predict(items, return_std=True)
    away = (found - z) / (1 + z)
    assert (LIGHT * np.abs(away) < 1000).mean() > 0.95
    assert 1.4826 * np.median(np.abs(away)) < 3e-4
    assert probe.score(items, z) == np.mean(LIGHT * np.abs(away) < 1000)
    # Errors of the held-out spectra made the scale of the errors.
    near = LIGHT * np.abs(away) < 1000
    within = (np.abs(found - z) < std)[near].mean()
    assert 0.5 < within < 0.85


@pytest.mark.slow
def test_density(probe, many):
    items, z = many[0][480:500], many[1][480:500]
    grid, density = probe.predict_density(items)
    assert density.shape == (20, len(grid)) and (density >= 0).all()
    assert np.allclose((density * np.gradient(grid)).sum(1), 1.0, atol=1e-3)
    assert np.allclose(np.diff(np.log1p(grid)), np.log(10) * 2e-4)
    best = grid[density.argmax(1)]
    assert np.median(np.abs(best - z)) < 1e-3


@pytest.mark.slow
def test_peaks(probe, many):
    items = many[0][480:500]
    peaks = probe.predict_peaks(items)
    assert isinstance(peaks, QTable) and len(peaks) == 20
    assert np.array_equal(peaks["redshift"], probe.predict(items))
    total = peaks["confidence"] + peaks["second_confidence"]
    assert (total <= 1 + 1e-9).all() and (peaks["confidence"] >= peaks["second_confidence"]).all()
    apart = LIGHT * np.abs(np.log1p(peaks["redshift"]) - np.log1p(peaks["second_redshift"]))
    assert (apart > 1000).all()
    assert np.array_equal(peaks["warning"], peaks["confidence"] < 0.9)


@pytest.mark.slow
def test_redshifts_beyond_those_of_the_labels_come_with_their_range(many):
    # What is learnt between 0.02 and 0.3 holds at 0.4: a shift is a shift.
    items, z = many
    near = z < 0.3
    probe = RedshiftProbe(max_epochs=10, batch_size=32, redshift_range=(0.0, 0.5)).fit(
        items[:480][near[:480]], z[:480][near[:480]]
    )
    far = np.flatnonzero((z > 0.32) & (z < 0.36))
    assert probe.score(items[far], z[far]) > 0.6


def test_network_knows_no_place():
    config = RedshiftConfig(token_size=4, step=1e-3, first=0, size=200, shift=0, shifts=80)
    torch.manual_seed(3)
    network = RedshiftNetwork(config).eval()
    pixels = torch.zeros(2, 7, 200)
    pixels[0, :, 60:100] = torch.randn(7, 40)
    pixels[0, -1, 60:100] = 1.0
    pixels[1, :, 65:105] = pixels[0, :, 60:100]
    with torch.no_grad():
        one, other = network(pixels)
    assert one.shape == (config.n_outputs,) == (159,)
    assert torch.allclose(one[:-10], other[10:], atol=1e-4)
    assert one.std() > 1e-4


def test_scores_are_correlations():
    config = RedshiftConfig(
        token_size=4, step=1e-3, first=0, size=50, shift=0, shifts=20, finer=1, kinds=1
    )
    torch.manual_seed(4)
    network = RedshiftNetwork(config).eval()
    pixels = torch.randn(1, 7, 50)
    pixels[:, -1] = 1.0
    with torch.no_grad():
        network.last.weight.zero_()  # the first correlation alone
        network.last.bias.zero_()
        score, seen, pattern = network(pixels)[0], network.seen(pixels)[0], network.patterns()[0]
    # At shift k the first pixel sees the pattern's place shifts - 1 - k.
    direct = [float((seen * pattern[:, 19 - k : 69 - k]).sum()) for k in range(20)]
    assert score.numpy() == pytest.approx(np.array(direct), abs=1e-5)


def test_peak_of_a_known_density():
    place = torch.arange(2000, dtype=torch.float64)
    step = 1e-4
    score = torch.logaddexp(
        -0.5 * ((place - 700.3) / 3.0) ** 2, -0.5 * ((place - 1500.8) / 3.0) ** 2 - np.log(4.0)
    )
    peaks = find_peaks(score[None].float(), step)
    assert peaks.place.item() == pytest.approx(700.3, abs=0.01)
    assert peaks.spread.item() == pytest.approx(3.0, rel=0.02)
    assert peaks.share.item() == pytest.approx(0.8, abs=1e-3)
    assert peaks.second.item() == pytest.approx(1500.8, abs=0.01)
    assert peaks.second_share.item() == pytest.approx(0.2, abs=1e-3)


@pytest.mark.parametrize("edge", [0, 299])
def test_peak_at_an_end(edge):
    score = -0.1 * (torch.arange(300.0) - edge).abs()
    peaks = find_peaks(score[None], 1e-4)
    assert peaks.place.item() == edge and torch.isfinite(torch.stack(peaks)).all()


def gaussian_scores(seed, size, error, stated):
    """True and seen places, off by ``error`` (N,), and scores of the widths that are stated."""
    rng = np.random.default_rng(seed)
    true = torch.from_numpy(rng.uniform(100, size - 100, len(error)))
    seen = true + error * torch.from_numpy(rng.normal(size=len(error)))
    score = -0.5 * ((torch.arange(float(size)) - seen[:, None]) / stated[:, None]).square()
    return true, seen, score


@pytest.mark.slow
def test_calibration_finds_the_temperature_and_the_error():
    # Claims a standard deviation of 2 where it is 4.
    error = torch.full((2000,), 4.0, dtype=torch.float64)
    true, _, score = gaussian_scores(2, 600, error, error / 2)
    temperature, *numbers = calibrate(score.float(), true, 1e-4)
    assert temperature == pytest.approx(4.0, rel=0.15)
    error = errors_of(torch.tensor(4.0), *map(torch.tensor, numbers))
    assert float(error) == pytest.approx(4.0, rel=0.1)
    few = calibrate(score[:10].float(), true[:10], 1e-4)
    assert few[:2] == (1.0, 1.0)
    for spread in (0.1, 0.7, 4.0):  # what is stated without calibration: the spread, never 0
        error = float(errors_of(torch.tensor(spread), *map(torch.tensor, few[1:])))
        assert error == pytest.approx(max(spread, 0.7), rel=1e-6)


def test_spectra_without_weight_do_not_move_the_calibration():
    own = torch.where(torch.arange(800) < 400, 1.0, 6.0).double()
    true, _, score = gaussian_scores(5, 300, own, torch.ones_like(own))
    score = score.float()
    weight = (torch.arange(800) < 400).double()
    half = calibrate(score[:400], true[:400], 1e-4)
    assert calibrate(score, true, 1e-4, weight) == pytest.approx(half)
    assert calibrate(score, true, 1e-4)[0] > 2.0 * half[0]


def test_errors_follow_what_is_left_of_the_spread_without_the_kernel():
    """Half of the spectra are ten times as certain as their density, blurred by 0.7, can say."""
    own = torch.where(torch.arange(3000) < 1500, 0.07, 2.0).double()
    true, seen, score = gaussian_scores(4, 300, own, (own.square() + 0.7**2).sqrt())
    temperature, *numbers = calibrate(score.float(), true, 1e-4)
    spread = find_peaks(score.float() / temperature, 1e-4).spread
    stated = errors_of(spread, *map(torch.tensor, numbers))
    for half in (slice(0, 1500), slice(1500, 3000)):
        within = ((seen - true).abs() < stated)[half].double().mean()
        assert float(within) == pytest.approx(0.68, abs=0.08)


def test_loss_is_least_at_the_label():
    place = torch.arange(100.0)
    score = -0.5 * ((place - 40.25) / 0.7) ** 2
    tried = torch.linspace(38, 42, 81).double()
    loss = cross_entropy(score.expand(81, -1), tried)
    assert tried[loss.argmin()].item() == pytest.approx(40.25, abs=0.06)


@pytest.mark.parametrize("kind", [
    list, lambda z: 100 * z * u.percent,
    *(pytest.param(kind, marks=pytest.mark.slow)
      for kind in (np.array, Column, lambda z: z * u.dimensionless_unscaled)),
])  # fmt: skip
def test_redshifts_of_every_kind(kind, many, quick):
    items, z = many[0][:64], many[1][:64]
    found = RedshiftProbe(**QUICK).fit(items, kind(z)).predict(items)
    assert found == pytest.approx(quick.predict(items), abs=1e-6)


@pytest.mark.parametrize("hide", [
    lambda z, bad: MaskedColumn(z, mask=bad),
    *(pytest.param(hide, marks=pytest.mark.slow)
      for hide in (lambda z, bad: np.where(bad, np.nan, z),
                   lambda z, bad: np.ma.MaskedArray(z, mask=bad))),
])  # fmt: skip
def test_unknown_redshifts_teach_nothing(hide, many):
    items, z = many[0][:64], many[1][:64]
    bad = np.arange(64) % 4 == 0
    found = RedshiftProbe(**QUICK).fit(items, hide(z, bad)).predict(items)
    alone = RedshiftProbe(**QUICK).fit(items[~bad], z[~bad]).predict(items)
    assert np.array_equal(found, alone)


def test_weight_of_zero_is_as_good_as_absent(many):
    items, z = many[0][:64], many[1][:64]
    weight = (np.arange(64) % 4 > 0).astype(float)
    found = RedshiftProbe(**QUICK).fit(items, z, sample_weight=weight).predict(items)
    alone = RedshiftProbe(**QUICK).fit(items[weight > 0], z[weight > 0]).predict(items)
    assert np.array_equal(found, alone)


def test_table_and_items_are_the_same(quick):
    tokens, _ = spectra(5, 6)
    assert np.array_equal(quick.predict(tokens), quick.predict(spectok.group(tokens)))


def test_spectrum_without_a_token(quick, many):
    items = many[0][:3].copy()
    items[1] = items[1][:0]
    with pytest.warns(AstropyUserWarning, match="1 of 3 spectra have no valid token"):
        z, std = quick.predict(items, return_std=True)
    assert np.isnan(z[1]) and np.isnan(std[1]) and np.isfinite(z[[0, 2]]).all()
    with pytest.warns(AstropyUserWarning, match="no valid token"):
        peaks = quick.predict_peaks(items)
    assert peaks["warning"][1] and np.isnan(peaks["confidence"][1])
    with pytest.warns(AstropyUserWarning, match="no valid token"):
        _, density = quick.predict_density(items)
    assert np.isnan(density[1]).all() and np.isfinite(density[0]).all()


def test_other_wavelengths_are_said(quick, many):
    item = many[0][0].copy()
    item["wavelength"] *= 3
    with pytest.warns(AstropyUserWarning, match="lie mostly outside"):
        quick.predict([item])


@pytest.mark.slow
def test_same_seed_same_probe(quick, many):
    items, z = many[0][:64], many[1][:64]
    assert np.array_equal(clone(quick).fit(items, z).predict(items), quick.predict(items))
    other = RedshiftProbe(**QUICK, random_state=1).fit(items, z)
    _, one = quick.predict_density(items[:2])
    assert not np.array_equal(one, other.predict_density(items[:2])[1])


def test_saved_and_read(quick, many, tmp_path):
    path = save_probe(quick, tmp_path / "redshift.safetensors")
    again = load_probe(path)
    assert type(again) is RedshiftProbe and again.get_params() == quick.get_params()
    items = many[0][:10]
    assert all(
        np.array_equal(a, b)
        for a, b in zip(again.predict(items, True), quick.predict(items, True), strict=True)
    )
    assert again.tokenizer_ == quick.tokenizer_ and again.history_ == quick.history_


@pytest.mark.slow
def test_range_is_saved(many, tmp_path):
    items, z = many[0][:64], many[1][:64]
    probe = RedshiftProbe(**{**QUICK, "step": 4e-4}, redshift_range=(0.0, 1.0)).fit(items, z)
    grid, _ = probe.predict_density(items[:1])
    assert grid[0] == pytest.approx(0.0, abs=1e-3) and grid[-1] == pytest.approx(1.0, abs=2e-3)
    again = load_probe(save_probe(probe, tmp_path / "range.safetensors"))
    assert again.redshift_range == (0.0, 1.0)


@pytest.mark.parametrize("options, message", [
    ({"redshift_range": (0.5, 0.1)}, "two redshifts above -1"),
    ({"redshift_range": (0.2, 0.3)}, "outside redshift_range"),
    ({"step": 0.5}, "step must be"),
    ({"kinds": 0}, "kinds must be a whole number from 1"),
    ({"held_out": 1.0}, "held_out must be a share"),
])  # fmt: skip
def test_settings_that_cannot_be(options, message, many):
    with pytest.raises(ValueError, match=message):
        RedshiftProbe(**options).fit(many[0][:20], many[1][:20])


@pytest.mark.parametrize("z, message", [
    ([0.1] * 19, "19 labels for 20 spectra"),
    ([0.1] * 19 + [-1.0], "redshift of spectrum 19 is -1"),
    ([0.1] * 19 + [np.inf], "redshift of spectrum 19 is inf"),
    ([np.nan] * 20, "nothing to learn"),
    (np.full(20, 30.0) * u.AA, "redshifts cannot be in Angstrom"),
    (np.full(20, 30.0) * u.Mm / u.ms, "reach the speed of light"),
    (np.full((20, 2), 0.1), "one per spectrum"),
])  # fmt: skip
def test_labels_that_cannot_be(z, message, many):
    with pytest.raises(ValueError, match=message):
        RedshiftProbe(**QUICK).fit(many[0][:20], z)


def test_items_without_the_width_of_patches(many, make_items):
    with pytest.raises(ValueError, match="has no field 'half'"):
        RedshiftProbe(**QUICK).fit(make_items([5, 5]), [0.1, 0.2])


def test_vectors_are_no_tokens():
    with pytest.raises(TypeError, match="vectors without tokens"):
        RedshiftProbe(**QUICK).fit(np.ones((20, 8)), np.full(20, 0.1))


def test_tokens_of_another_model(quick, many, make_item):
    item = many[0][0].copy()
    fields = np.dtype(item.dtype.descr, metadata={"MODEL": "other", "SHA256": "b" * 64})
    with pytest.raises(ValueError, match="other"):
        quick.predict([item.astype(fields)])


def test_not_fitted(many):
    with pytest.raises(NotFittedError):
        RedshiftProbe().predict(many[0][:2])


def test_velocities_are_redshifts(many):
    """Those of specutils and astropy, and not v = cz."""
    z = many[1][:40]
    beta = ((1 + z) ** 2 - 1) / ((1 + z) ** 2 + 1)
    found = [
        RedshiftProbe(**QUICK).fit(many[0][:40], labels).predict(many[0][40:50])
        for labels in (z, beta * 299792.458 * u.km / u.s)
    ]
    assert found[0] == pytest.approx(found[1], rel=1e-6)
