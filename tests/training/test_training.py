"""Batches, and the loop: it learns, resumes to the last bit, and stops at NaN."""

import csv

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("lightning", reason="the extra 'training' is not installed")

import spectok
from spectok.model import ModelConfig, SpectralTokenizer
from spectok.training import Batches, Example, Objective, fit
from spectok.training._data import hide
from spectok.training._loop import learning_rate_at
from spectok.training._objective import Opaque


class Waves:
    """Examples of slow waves: on their own grid with noise, or, noiseless, on another one."""

    def __init__(self, noiseless=False):
        self.noiseless = noiseless

    def examples(self, rng, survey, n):
        return [self.example(rng) for _ in range(n)]

    def example(self, rng):
        wavelength = 4000.0 + 1.0 * np.arange(256)
        phase = rng.uniform(0, 2 * np.pi)
        sigma = np.full(256, 0.1)
        truth = 1 + 0.5 * np.sin(wavelength / 20 + phase)
        flux = truth + sigma * rng.normal(size=256)
        valid = rng.random(256) > 0.02
        if not self.noiseless:
            return Example(
                wavelength, flux, sigma, valid, wavelength, flux, sigma, valid, noiseless=False
            )
        other = np.linspace(4010.0, 4240.0, 100)
        truth = 1 + 0.5 * np.sin(other / 20 + phase)
        return Example(
            wavelength, flux, sigma, valid, other, truth, np.full(100, 0.1), np.ones(100, bool),
            noiseless=True,
        )  # fmt: skip


@pytest.fixture
def batches():
    return batches_of(waves=Waves(), mocks=Waves(noiseless=True))


def batches_of(seed=3, **sources):
    mixture = {"sdss": dict.fromkeys(sources, 1.0)}
    return Batches(sources, mixture, patch_size=32, n_tokens=600, seed=seed)


@pytest.fixture
def model():
    torch.manual_seed(5)
    return SpectralTokenizer(ModelConfig.of_size("tiny"))


OPTIONS = {"accumulate": 2, "warmup": 2, "accelerator": "cpu", "progress": False}


def tensors_of(batch):
    for part in (batch.seen, batch.target):
        yield from (part.flux, part.sigma, part.wavelength, part.valid)
    yield from (batch.hidden, batch.weight, batch.noiseless)


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(tensors_of(a), tensors_of(b), strict=True))


def log_of(folder):
    with (folder / "log.csv").open() as file:
        return list(csv.DictReader(file))


def state_of(model):
    return [p.detach().clone() for p in model.parameters()]


# ------------------------------------------------------------------ batches


def test_a_batch_depends_on_its_number_and_the_seed_alone(batches):
    first = batches[7]
    batches[3], batches[8]  # noqa: B018
    assert same(first, batches[7])
    assert same(first, batches_of(waves=Waves(), mocks=Waves(noiseless=True))[7])
    assert not same(first, batches[8])
    assert not same(first, batches_of(seed=4, waves=Waves(), mocks=Waves(noiseless=True))[7])


def test_workers_hand_out_the_same_batches(batches):
    from torch.utils.data import DataLoader

    loader = DataLoader(batches, sampler=range(4), batch_size=None)
    for number, batch in enumerate(loader):
        assert same(batch, batches[number])


def test_what_a_batch_holds():
    batch = batches_of(waves=Waves())[0]
    assert batch.seen.wavelength.dtype == torch.float64
    assert batch.hidden.shape == batch.seen.flux.shape and batch.hidden.any()
    assert torch.equal(batch.seen.flux, batch.target.flux)
    # A noisy pixel that was seen counts less than one that was not.
    valid = batch.seen.valid
    assert (batch.weight[batch.hidden & valid] == 1).all()
    assert torch.allclose(batch.weight[~batch.hidden & valid], torch.tensor(0.2))
    assert not batch.noiseless.any()


def test_truth_counts_in_full_on_its_own_grid():
    batch = batches_of(mocks=Waves(noiseless=True))[0]
    assert batch.noiseless.all() and (batch.weight == 1).all()
    assert not torch.equal(batch.seen.wavelength[:, :32], batch.target.wavelength[:, :32])


def test_sources_of_nothing_are_named_and_not_asked_for_ever():
    with pytest.raises(
        ValueError, match=r"\d+ sdss examples in a row .* look at the sources dead"
    ):
        batches_of(dead=Dead())[0]


class Dead(Waves):
    """Not one good pixel."""

    def example(self, rng):
        example = super().example(rng)
        example.valid[:] = False
        return example


@given(seed=st.integers(0, 500), n_pixels=st.sampled_from([1, 5, 40, 256, 4000]))
def test_hide(seed, n_pixels):
    hidden = hide(np.random.default_rng(seed), n_pixels)
    assert hidden.shape == (n_pixels,) and hidden.dtype == bool
    assert hidden.any()
    assert np.array_equal(hidden, hide(np.random.default_rng(seed), n_pixels))


def test_hiding_is_neither_little_nor_all():
    share = [hide(np.random.default_rng(seed), 4000).mean() for seed in range(300)]
    assert 0.08 < np.mean(share) < 0.35 and np.max(share) < 0.7


class Wide(Waves):
    """2,000 pixels, of which the truth is asked for in one narrow window on a finer grid."""

    handed_out = 0

    def example(self, rng):
        self.handed_out += 1
        wavelength = 4000.0 + np.arange(2000.0)
        other = np.linspace(5900.0, 5990.0, 250)
        flux, truth = np.ones(2000), np.ones(250)
        return Example(
            wavelength, flux, flux, flux > 0, other, truth, truth, truth > 0, noiseless=True
        )


def test_a_window_contains_what_is_asked_for():
    """Cut anywhere, most windows of 96 pixels would have nothing of the other grid."""
    wide = Wide()
    batch = Batches(
        {"wide": wide}, {"sdss": {"wide": 1.0}}, patch_size=32, n_tokens=60, seed=1,
        patches={"sdss": 3},
    )[0]  # fmt: skip
    assert wide.handed_out == len(batch.seen.flux), "some were refused"
    assert batch.seen.flux.shape[0] >= 20 and batch.seen.flux.shape[1] <= 96
    assert batch.target.flux.shape[1] <= 96  # never more than the encoder sees
    for row, valid in enumerate(batch.target.valid):
        seen, asked = batch.seen.wavelength[row], batch.target.wavelength[row][valid]
        assert len(asked) and asked.min() >= seen.min() and asked.max() <= seen.max()
    # Not always the blue end of it, where more than fits is asked for.
    assert len(set(batch.target.wavelength[:, 0].tolist())) > 5


def test_sources_are_asked_in_proportion():
    """And for several examples at a time."""
    asked = {"a": [], "b": []}

    class Counting(Waves):
        def __init__(self, name):
            super().__init__()
            self.name = name

        def examples(self, rng, survey, n):
            asked[self.name].append(n)
            return super().examples(rng, survey, n)

    sources = {name: Counting(name) for name in asked}
    batches = Batches(
        sources, {"sdss": {"a": 3.0, "b": 1.0}}, patch_size=32, n_tokens=800, seed=3,
        patches={"sdss": 8},
    )  # fmt: skip
    n = sum(len(batches[number].seen.flux) for number in range(8))
    total = {name: sum(counts) for name, counts in asked.items()}
    assert total["a"] + total["b"] == n
    assert 0.65 < total["a"] / n < 0.85
    assert sum(map(len, asked.values())) <= 16


def test_a_source_that_hands_out_nothing_is_named():
    class Empty(Waves):
        def examples(self, rng, survey, n):
            return []

    with pytest.raises(ValueError, match="look at the sources empty"):
        batches_of(empty=Empty())[0]


# ------------------------------------------------------------------ the loop


def test_learning_rate():
    def rate(step):
        return learning_rate_at(step, peak=1.0, warmup=10, steps=110)

    assert rate(0) == pytest.approx(0.1) and rate(9) == pytest.approx(1.0)
    assert rate(10) == pytest.approx(1.0)
    assert rate(60) == pytest.approx(0.01 + 0.99 / 2)
    assert rate(110) == pytest.approx(0.01) and rate(10_000) == pytest.approx(0.01)
    assert learning_rate_at(0, peak=1.0, warmup=0, steps=10) == pytest.approx(1.0)
    falling = [rate(step) for step in range(10, 111)]
    assert falling == sorted(falling, reverse=True)


def loss_on(model, batches, numbers):
    objective = Objective(model)
    with torch.no_grad():
        parts = [objective(Opaque(batches[number])) for number in numbers]
    return float(sum(total for total, _ in parts) / sum(count for _, count in parts))


def test_a_few_steps_lower_the_loss(tiny_folder, batches, tmp_path):
    # A new model is a running mean and hard to beat in seconds; this one talks nonsense.
    model = spectok.load_model(tiny_folder)
    before = loss_on(model, batches, range(900, 904))
    trained = fit(model, batches, tmp_path, steps=25, learning_rate=3e-3, ema_decay=0.5, **OPTIONS)
    assert loss_on(trained, batches, range(900, 904)) < 0.7 * before
    assert [int(row["step"]) for row in log_of(tmp_path)] == [25]


class Interrupted(Batches):
    """Stops the run, as a lost machine would, before a batch is handed out."""

    stop_at: int

    def __getitem__(self, number):
        if number >= self.stop_at:
            raise KeyboardInterrupt
        return super().__getitem__(number)


@pytest.mark.parametrize("stop_at", [8, 11])
def test_resumed_is_uninterrupted_to_the_last_bit(stop_at, model, batches, tmp_path):
    options = OPTIONS | {"steps": 6, "checkpoint_every": 2}
    start = {name: value.clone() for name, value in model.state_dict().items()}
    whole = state_of(fit(model, batches, tmp_path / "whole", **options))
    raw = state_of(model)

    torch.manual_seed(77)  # nothing may hang on the state of the generator
    other = SpectralTokenizer(model.config)
    other.load_state_dict(start)
    broken = Interrupted(batches.sources, batches.mixture, patch_size=32, n_tokens=600, seed=3)
    broken.stop_at = stop_at
    with pytest.raises(KeyboardInterrupt):
        fit(other, broken, tmp_path / "parts", **options)
    fresh = SpectralTokenizer(model.config)
    parts = state_of(fit(fresh, batches, tmp_path / "parts", **options))
    assert all(torch.equal(a, b) for a, b in zip(whole, parts, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(raw, state_of(fresh), strict=True))
    # The log goes on where it was, and its losses are means over what they say.
    logs = [log_of(tmp_path / part) for part in ("whole", "parts")]
    assert [row["step"] for row in logs[1]] == ["2", "4", "6"]
    for a, b in zip(*logs, strict=True):
        assert float(a["loss"]) == pytest.approx(float(b["loss"]), rel=1e-12)


def test_a_finished_run_is_not_run_again(model, batches, tmp_path):
    trained = state_of(fit(model, batches, tmp_path, steps=2, **OPTIONS))
    again = fit(SpectralTokenizer(model.config), batches, tmp_path, steps=2, **OPTIONS)
    assert all(torch.equal(a, b) for a, b in zip(trained, state_of(again), strict=True))


def test_the_logged_loss_of_a_prolonged_run(model, batches, tmp_path):
    """Resumed between checkpoints, the mean is over the steps that it holds."""
    options = OPTIONS | {"warmup": 100, "learning_rate": 1e-9}  # the rate hangs on all steps
    fit(model, batches, tmp_path / "a", steps=4, checkpoint_every=1, **options)
    fit(model, batches, tmp_path / "b", steps=3, checkpoint_every=2, **options)
    fit(model, batches, tmp_path / "b", steps=4, checkpoint_every=2, **options)
    single, mean = ([float(row["loss"]) for row in log_of(tmp_path / part)] for part in ("a", "b"))
    assert mean == pytest.approx([(single[0] + single[1]) / 2, single[2], single[3]], rel=1e-4)


def test_nan_stops_the_run_and_keeps_the_checkpoint(model, tmp_path):
    class Later(Batches):
        def __getitem__(self, number):
            batch = super().__getitem__(number)
            if number >= 8:
                batch.target.flux[batch.target.valid] = torch.nan
            return batch

    later = Later({"w": Waves()}, {"sdss": {"w": 1.0}}, patch_size=32, n_tokens=300, seed=1)
    with pytest.raises(FloatingPointError) as raised:
        fit(model, later, tmp_path, steps=9, checkpoint_every=2, **OPTIONS)
    message = str(raised.value)
    assert message.startswith("the loss became nan at step 4: lower the learning rate, or ")
    assert "look at batches 8 to 9" in message and str(tmp_path / "checkpoint.pt") in message
    kept = torch.load(tmp_path / "checkpoint.pt", weights_only=False)
    assert kept["step"] == 4
    assert all(torch.isfinite(v).all() for v in kept["objective"].values())


def test_nan_before_the_first_checkpoint_promises_none(model, tmp_path):
    class Bad(Batches):
        def __getitem__(self, number):
            batch = super().__getitem__(number)
            batch.target.flux[batch.target.valid] = torch.nan
            return batch

    bad = Bad({"w": Waves()}, {"sdss": {"w": 1.0}}, patch_size=32, n_tokens=300, seed=1)
    with pytest.raises(
        FloatingPointError, match="at step 0: .* batches 0 to 1; no checkpoint yet"
    ):
        fit(model, bad, tmp_path, steps=3, **OPTIONS)


def test_checkpoints_are_moved_into_place(model, batches, tmp_path, monkeypatch):
    """A run killed while it writes leaves the last whole checkpoint."""
    fit(model, batches, tmp_path, steps=2, **OPTIONS)
    assert sorted(f.name for f in tmp_path.iterdir()) == ["checkpoint.pt", "log.csv"]
    content = (tmp_path / "checkpoint.pt").read_bytes()

    def half_written(content, file):
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", half_written)
    with pytest.raises(KeyboardInterrupt):
        fit(model, batches, tmp_path, steps=4, **OPTIONS)
    assert (tmp_path / "checkpoint.pt").read_bytes() == content


def test_validation_is_logged(model, batches, tmp_path):
    seen = []

    def validate(network):
        seen.append(network)
        return {"score": 1.25}

    trained = fit(
        model, batches, tmp_path, steps=2, checkpoint_every=1, validate=validate, **OPTIONS
    )
    rows = log_of(tmp_path)
    assert [row["score"] for row in rows] == ["1.25", "1.25"]
    assert seen[0] is trained, "not the averaged model"


def test_a_frozen_model_trains(tiny_folder, batches, tmp_path):
    model = spectok.load_model(tiny_folder)
    before = state_of(model)
    fit(model, batches, tmp_path, steps=1, **OPTIONS)
    assert any(not torch.equal(a, b) for a, b in zip(before, state_of(model), strict=True))


def test_wavelengths_reach_the_network_in_float64(model, batches):
    seen = []
    model.embed_wavelength.register_forward_pre_hook(lambda _, args: seen.append(args[0].dtype))
    loss_on(model, batches, [0])
    assert seen == [torch.float64]


def test_objective_without_model_error_is_the_papers(model, batches):
    batch = batches_of(waves=Waves())[0]
    with torch.no_grad():
        total, count = Objective(model, model_error=False)(Opaque(batch))
        tokens, flux, _ = model(batch.seen, batch.hidden, batch.target)
    scale = tokens.scale[:, None]
    residual = (batch.target.flux / scale - flux) / (batch.target.sigma / scale)
    weight = batch.weight * batch.target.valid
    assert float(total) == pytest.approx(float((weight * residual**2).sum()), rel=1e-5)
    assert float(count) == pytest.approx(float(weight.sum()), rel=1e-6)
