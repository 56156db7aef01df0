"""The loop: it learns, resumes to the last bit, and stops at NaN."""

import csv
import itertools

import pytest
import torch

pytest.importorskip("lightning", reason="the extra 'training' is not installed")

import spectok
from spectok.model import ModelConfig, SpectralTokenizer
from spectok.training import Batches, _ranks, fit
from spectok.training._objective import Objective, Opaque


@pytest.fixture
def batches(batches_of):
    return batches_of()


@pytest.fixture
def model():
    torch.manual_seed(5)
    return SpectralTokenizer(ModelConfig.of_size("tiny"))


OPTIONS = {"accumulate": 2, "warmup": 2, "accelerator": "cpu", "progress": False}


def log_of(folder):
    with (folder / "log.csv").open() as file:
        return list(csv.DictReader(file))


def state_of(model):
    return [p.detach().clone() for p in model.parameters()]


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


@pytest.mark.parametrize(
    ("stop_at", "draw_batches", "optimizer"),
    [
        (8, 1, "muon"),  # the others ask the same of other places and rules
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in itertools.product((8, 11), (1, 3), ("muon", "adamw"))
            if case != (8, 1, "muon")
        ),
    ],
)
def test_resumed_is_uninterrupted_to_the_last_bit(
    stop_at, draw_batches, optimizer, model, batches_of, tmp_path
):
    options = OPTIONS | {"steps": 6, "checkpoint_every": 2, "optimizer": optimizer}
    batches = batches_of(draw_batches=draw_batches)
    start = {name: value.clone() for name, value in model.state_dict().items()}
    whole = state_of(fit(model, batches, tmp_path / "whole", **options))
    raw = state_of(model)

    torch.manual_seed(77)  # nothing may hang on the state of the generator
    other = SpectralTokenizer(model.config)
    other.load_state_dict(start)
    broken = batches_of(Interrupted, draw_batches=draw_batches)
    broken.stop_at = stop_at
    with pytest.raises(KeyboardInterrupt):
        fit(other, broken, tmp_path / "parts", **options)
    fresh = SpectralTokenizer(model.config)
    again = batches_of(draw_batches=draw_batches)  # keeps no spectra of the first
    parts = state_of(fit(fresh, again, tmp_path / "parts", **options))
    assert all(torch.equal(a, b) for a, b in zip(whole, parts, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(raw, state_of(fresh), strict=True))
    # The log goes on where it was, and its losses are means over what they say.
    logs = [log_of(tmp_path / part) for part in ("whole", "parts")]
    assert [row["step"] for row in logs[1]] == ["2", "4", "6"]
    for a, b in zip(*logs, strict=True):
        assert float(a["loss"]) == pytest.approx(float(b["loss"]), rel=1e-12)


@pytest.mark.parametrize("name", ["16-mixed", "bf16-true", "64-true"])
def test_a_precision_that_it_does_not_know_is_refused(name, model, batches, tmp_path):
    with pytest.raises(ValueError, match=f"precision must be one of 32-true, .*, not '{name}'"):
        fit(model, batches, tmp_path / "run", steps=1, precision=name, **OPTIONS)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_finished_run_is_not_run_again(model, batches, tmp_path):
    trained = state_of(fit(model, batches, tmp_path, steps=2, **OPTIONS))
    again = fit(SpectralTokenizer(model.config), batches, tmp_path, steps=2, **OPTIONS)
    assert all(torch.equal(a, b) for a, b in zip(trained, state_of(again), strict=True))


@pytest.mark.slow
def test_the_logged_loss_of_a_prolonged_run(model, batches, tmp_path):
    """Resumed between checkpoints, the mean is over the steps that it holds."""
    options = OPTIONS | {"warmup": 100, "learning_rate": 1e-9}  # the rate hangs on all steps
    fit(model, batches, tmp_path / "a", steps=4, checkpoint_every=1, **options)
    fit(model, batches, tmp_path / "b", steps=3, checkpoint_every=2, **options)
    fit(model, batches, tmp_path / "b", steps=4, checkpoint_every=2, **options)
    single, mean = ([float(row["loss"]) for row in log_of(tmp_path / part)] for part in ("a", "b"))
    assert mean == pytest.approx([(single[0] + single[1]) / 2, single[2], single[3]], rel=1e-4)


@pytest.mark.slow
def test_nan_stops_the_run_and_keeps_the_checkpoint(model, batches_of, tmp_path):
    class Later(Batches):
        def __getitem__(self, number):
            batch = super().__getitem__(number)
            if number >= 8:
                batch.target.flux[batch.target.valid] = torch.nan
            return batch

    later = batches_of(Later)
    with pytest.raises(FloatingPointError) as raised:
        fit(model, later, tmp_path, steps=9, checkpoint_every=2, **OPTIONS)
    message = str(raised.value)
    assert message.startswith("the loss became nan at step 4: lower the learning rate, or ")
    assert "look at batches 8 to 9" in message and str(tmp_path / "checkpoint.pt") in message
    kept = torch.load(tmp_path / "checkpoint.pt", weights_only=False)
    assert kept["step"] == 4
    assert all(torch.isfinite(v).all() for v in kept["objective"].values())


def test_nan_before_the_first_checkpoint_promises_none(model, batches_of, tmp_path):
    class Bad(Batches):
        def __getitem__(self, number):
            batch = super().__getitem__(number)
            batch.target.flux[batch.target.valid] = torch.nan
            return batch

    bad = batches_of(Bad)
    with pytest.raises(
        FloatingPointError, match="at step 0: .* batches 0 to 1; no checkpoint yet"
    ):
        fit(model, bad, tmp_path, steps=3, **OPTIONS)


@pytest.mark.slow
def test_checkpoints_are_moved_into_place(model, batches, tmp_path, monkeypatch):
    """A run killed while it writes leaves the last whole checkpoint."""
    fit(model, batches, tmp_path, steps=2, **OPTIONS)
    # Where it is installed, TensorBoard has a folder too.
    names = {f.name for f in tmp_path.iterdir()} - {"tensorboard"}
    assert names == {"checkpoint.pt", "log.csv"}
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


def test_objective_without_model_error_is_the_papers(model, waves, batches_of):
    batch = batches_of(sources={"waves": waves()})[0]
    with torch.no_grad():
        total, count = Objective(model, model_error=False)(Opaque(batch))
        tokens, flux, _ = model(batch.seen, batch.hidden, batch.target)
    scale = tokens.scale[:, None]
    residual = (batch.target.flux / scale - flux) / (batch.target.sigma / scale)
    weight = batch.weight * batch.target.valid
    assert float(total) == pytest.approx(float((weight * residual**2).sum()), rel=1e-5)
    assert float(count) == pytest.approx(float(weight.sum()), rel=1e-6)


@pytest.mark.parametrize("name", ["steps", "accumulate", "checkpoint_every"])
def test_counts_of_nothing_are_refused_by_name(name, model, batches, tmp_path):
    options = OPTIONS | {"steps": 2, name: 0}
    with pytest.raises(ValueError, match=f"{name} must be at least 1, not 0"):
        fit(model, batches, tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_checkpoint_of_another_run_is_refused_in_a_sentence(batches, tmp_path):
    def run(steps=2, optimizer="muon", **changes):
        config = ModelConfig.of_size("tiny", **changes)
        options = OPTIONS | {"steps": steps, "optimizer": optimizer}
        return fit(SpectralTokenizer(config), batches, tmp_path, **options)

    run(1)
    kept = (tmp_path / "checkpoint.pt").read_bytes()
    for changes, reason in (
        ({"width": 64}, "does not fit this run"),
        ({"optimizer": "adamw"}, "does not fit this run"),
        # Its weights have the same shapes, and would be taken without a word.
        ({"heads": 4}, "was made with heads 2 instead of 4"),
        ({"max_period": 9e4}, "was made with max_period 65536.0 instead of 90000.0"),
    ):
        with pytest.raises(ValueError, match=reason) as raised:
            run(**changes)
        message = str(raised.value)
        assert str(tmp_path / "checkpoint.pt") in message and "give a folder of its own" in message
        assert len(message) < 800
        assert (tmp_path / "checkpoint.pt").read_bytes() == kept


@pytest.mark.slow
@pytest.mark.parametrize("content", [b"", b"no checkpoint", None], ids=["empty", "text", "cut"])
def test_a_damaged_checkpoint_is_refused_in_a_sentence(content, model, batches, tmp_path):
    fit(model, batches, tmp_path, steps=1, **OPTIONS)
    kept = tmp_path / "checkpoint.pt"
    kept.write_bytes(kept.read_bytes()[:5000] if content is None else content)
    with pytest.raises(ValueError, match="does not fit this run, or is damaged"):
        fit(SpectralTokenizer(model.config), batches, tmp_path, steps=2, **OPTIONS)


@pytest.mark.slow
def test_a_checkpoint_of_0_1_goes_on(model, batches, tmp_path):
    fit(model, batches, tmp_path, steps=1, **OPTIONS)
    kept = torch.load(tmp_path / "checkpoint.pt", weights_only=False)
    del kept["made_with"]
    torch.save(kept, tmp_path / "checkpoint.pt")
    fit(SpectralTokenizer(model.config), batches, tmp_path, steps=2, **OPTIONS)
    assert [row["step"] for row in log_of(tmp_path)] == ["1", "2"]


@pytest.mark.slow
@pytest.mark.parametrize("first", [True, False], ids=["with, then without", "without, then with"])
def test_the_log_stays_aligned_with_and_without_validation(first, model, batches, tmp_path):
    for steps, watched in ((2, first), (4, not first), (6, first)):
        validate = (lambda network: {"score": 0.5}) if watched else None
        fit(
            model, batches, tmp_path, steps=steps, checkpoint_every=2, validate=validate, **OPTIONS
        )
    rows = log_of(tmp_path)
    assert [row["step"] for row in rows] == ["2", "4", "6"]
    assert [row["score"] for row in rows] == (["0.5", "", "0.5"] if first else ["", "0.5", ""])
    assert all(float(row["tokens_per_s"]) > 0 and float(row["learning_rate"]) > 0 for row in rows)
    assert all(None not in row for row in rows), "a line has more numbers than the head has names"


def test_half_a_line_of_the_log_does_not_spoil_the_next(model, batches, tmp_path):
    fit(model, batches, tmp_path, steps=1, **OPTIONS)
    with (tmp_path / "log.csv").open("a") as file:
        file.write("2,1.0")
    fit(model, batches, tmp_path, steps=2, **OPTIONS)
    assert [row["step"] for row in log_of(tmp_path)] == ["1", "2", "2"]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_another_number_of_workers_ends_at_the_same_weights(workers, model, batches, tmp_path):
    options = OPTIONS | {"checkpoint_every": 1, "schedule": "constant"}
    other = SpectralTokenizer(model.config)
    other.load_state_dict(model.state_dict())
    whole = fit(model, batches, tmp_path / "whole", steps=3, **options)
    fit(other, batches, tmp_path / "parts", steps=1, **options)
    again = fit(other, batches, tmp_path / "parts", steps=3, num_workers=workers, **options)
    for a, b in zip(state_of(whole), state_of(again), strict=True):
        assert torch.allclose(a, b, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_every_precision_runs(precision, model, batches, tmp_path, monkeypatch):
    monkeypatch.setattr(_ranks, "multiplies_bfloat16", lambda device: True)
    trained = fit(model, batches, tmp_path, steps=2, precision=precision, **OPTIONS)
    assert all(torch.isfinite(p).all() for p in trained.parameters())
    assert float(log_of(tmp_path)[-1]["loss"]) > 0


def test_bfloat16_that_is_emulated_is_warned_of(model, batches, tmp_path, monkeypatch):
    monkeypatch.setattr(_ranks, "multiplies_bfloat16", lambda device: False)
    with pytest.warns(UserWarning, match="precision='bf16-mixed': .* take '32-true' here"):
        fit(model, batches, tmp_path, steps=1, precision="bf16-mixed", **OPTIONS)
