"""Batches of light curves."""

import numpy as np
import pytest
import torch

import spectok
from spectok.simulate import lightcurves
from spectok.training import Curve, LightCurveBatches, ViewPack, fit, fit_reader
from spectok.training._lightcurves import _withheld, batch_of_curves, degrade_curve


@pytest.fixture(scope="module")
def curves():
    found = lightcurves.observe("des", 30, seed=2)
    parts = (found.time, found.band, found.flux, found.sigma)
    return [Curve(*one) for one in zip(*parts, strict=True)]


def config(**changes):
    sizes = {"patch_size": 4, "token_size": 8, "context_size": 3, "embedding_size": 8}
    return spectok.ModelConfig.of_size(
        "tiny", coordinate_unit="d", min_period=0.5, max_period=2048.0, reader_group=1,
        reader_width=16, reader_heads=2, reader_blocks=1, **sizes, **changes,
    )  # fmt: skip


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_batch_is_a_function_of_its_number(curves, share):
    first, again = (
        LightCurveBatches(patch_size=4, n_curves=5, seed=1, real=curves, real_share=share)
        for _ in range(2)
    )
    one, same, other = first[3], again[3], first[4]
    assert torch.equal(one.seen.flux, same.seen.flux) and torch.equal(one.weight, same.weight)
    assert one.seen.flux.shape != other.seen.flux.shape or not torch.equal(
        one.seen.flux, other.seen.flux
    )
    assert bool(one.noiseless.all()) == (share == 0.0)
    assert one.target.valid.any(1).all() and one.seen.valid.any(1).all()


def test_real_points_that_were_seen_count_less(curves):
    batch = LightCurveBatches(patch_size=4, n_curves=9, seed=1, real=curves, real_share=1.0)[0]
    seen = batch.weight[batch.target.valid].unique()
    assert seen.tolist() == [pytest.approx(0.2), 1.0]
    for row in range(9):
        own = set(batch.seen.flux[row][batch.seen.valid[row]].tolist())
        target, weight = batch.target.flux[row], batch.weight[row]
        for flux, w in zip(
            target[batch.target.valid[row]].tolist(),
            weight[batch.target.valid[row]].tolist(),
            strict=True,
        ):
            assert (flux in own) == (w < 0.5)


def test_what_is_asked_for_counts_from_what_was_seen(curves):
    """Curves whose fluxes are their times: seen and asked for, they are on one axis."""
    clocks = [Curve(one.time, one.band, one.time, np.full_like(one.time, 1e-6)) for one in curves]
    batch = LightCurveBatches(patch_size=4, n_curves=16, seed=1, real=clocks, real_share=1.0)[0]
    seen, target = batch.seen, batch.target
    for row in range(16):
        since = (seen.flux[row] - seen.wavelength[row])[seen.valid[row]]
        asked_since = (target.flux[row] - target.wavelength[row])[target.valid[row]]
        assert (since - since[0]).abs().max() < 1e-3
        assert (asked_since - since[0]).abs().max() < 1e-3


def test_something_is_always_seen(curves):
    rng = np.random.default_rng(0)
    for one in curves * 20:
        assert (~_withheld(rng, one)).sum() >= 4
        assert degrade_curve(one, rng, share=(0.0, 0.1)).time.size >= 4


def test_noise_that_is_added_is_stated():
    many = Curve(
        np.arange(4000.0), np.full(4000, 5e3), np.zeros(4000), np.ones(4000), np.zeros(4000)
    )
    rng = np.random.default_rng(1)
    for _ in range(6):
        worse = degrade_curve(many, rng, share=(0.5, 1.0))
        added = worse.sigma**2 - 1
        assert abs(worse.flux.var() - added.mean()) < 0.1 * max(added.mean(), 1e-9)


def test_shares_that_are_none(curves):
    for share in ((-0.1, 0.5), (0.9, 0.2), (0.5, 1.1)):
        with pytest.raises(ValueError, match="ascending numbers between 0 and 1"):
            degrade_curve(curves[0], np.random.default_rng(1), share=share)


def test_nothing_to_learn_from():
    with pytest.raises(ValueError, match="nothing to learn from"):
        LightCurveBatches(patch_size=4, n_curves=2, seed=1, surveys={})


def test_it_learns_and_its_reader_does(curves, tmp_path):
    torch.manual_seed(1)
    batches = LightCurveBatches(patch_size=4, n_curves=8, seed=1, real=curves)
    model = spectok.SpectralTokenizer(config())
    before = {key: value.clone() for key, value in model.state_dict().items()}
    model = fit(
        model, batches, tmp_path / "run", steps=2, accumulate=1, warmup=1, accelerator="cpu",
        progress=False,
    )  # fmt: skip
    after = model.state_dict()
    moved = {key.split(".")[0] for key in before if not torch.equal(before[key], after[key])}
    assert {"embed_band", "embed_output_band", "encoder", "decoder"} <= moved
    with torch.inference_mode():
        batch, _ = batch_of_curves(curves[:12], 4)
        tokens = model.encode(batch)
    order = tokens.wavelength.argsort(1)
    view = {
        "value": tokens.value.gather(1, order[..., None].expand_as(tokens.value)),
        **{
            k: getattr(tokens, k).gather(1, order) for k in ("wavelength", "half", "valid", "band")
        },
    }
    pack = ViewPack({"first": view, "second": view})
    model = fit_reader(
        model, {"toy": (1.0, pack)}, tmp_path / "reader", steps=2, batch=8, drawing=0.0,
        accelerator="cpu", progress=False,
    )  # fmt: skip
    with torch.inference_mode():
        assert model.embed(tokens).isfinite().all()
