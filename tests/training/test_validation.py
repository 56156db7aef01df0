"""What watches a run: errors that mean what they say, logs, pictures."""

import csv
from dataclasses import replace

import pytest
import torch
from matplotlib import image

pytest.importorskip("lightning", reason="the extra 'training' is not installed")

from spectok import simulate
from spectok.model import ModelConfig, SpectralTokenizer
from spectok.training import Batches, MockSpectra, Validation
from spectok.training._log import write_log


@pytest.fixture(scope="module")
def batches():
    mocks = MockSpectra({"sdss": [(1.0, simulate.Simulator("boss"))]})
    return Batches({"mock": mocks}, {"sdss": {"mock": 1.0}}, patch_size=32, n_tokens=400, seed=2)


class Shifted(SpectralTokenizer):
    """Knows the truth, but for so many standard deviations."""

    def __init__(self, batches, sigmas):
        super().__init__(ModelConfig.of_size("tiny"))
        self.truth = {float(b.seen.flux.sum()): b.target for b in batches}
        self.sigmas = sigmas

    def forward(self, batch, hidden=None, target=None):
        tokens = self.encode(batch, hidden)
        truth = self.truth[float(batch.flux.sum())]
        scale = tokens.scale[:, None]
        flux = truth.flux + self.sigmas * truth.sigma
        return tokens, flux / scale, truth.sigma / scale


@pytest.mark.parametrize(("sigmas", "within"), [(0.5, 1.0), (3.0, 0.0)])
def test_errors_are_in_units_of_the_noise(batches, sigmas, within):
    validate = Validation(batches, range(3), pictures=0)
    found = validate(Shifted(validate.batches, sigmas))
    assert found["error_visible"] == pytest.approx(sigmas, rel=1e-3)
    assert found["error_hidden"] == pytest.approx(sigmas, rel=1e-3)
    assert found["model_sigma_1"] == within


def test_what_is_hidden_is_hidden_on_its_own_grid_only():
    """The grid decides, not its length: another one of as many patches has nothing hidden."""
    boss = simulate.instrument("boss").calibrated()
    # Moved by half a pixel, so as many of them.
    other = replace(boss, name="moved", wavelength=boss.wavelength * (1 + 1.15e-4))
    found = {}
    for name, observers in {"own": (boss,), "other": (boss, other)}.items():
        mocks = MockSpectra({"sdss": [(1.0, simulate.Simulator(*observers))]}, jitter=0.0)
        batches = Batches(
            {"mock": mocks}, {"sdss": {"mock": 1.0}}, patch_size=32, n_tokens=400, seed=2
        )
        validate = Validation(batches, range(2), pictures=0)
        shapes = [(b.target.flux.shape, b.hidden.shape) for b in validate.batches]
        assert any(target == hidden for target, hidden in shapes)
        found[name] = validate(SpectralTokenizer(ModelConfig.of_size("tiny")))
    assert "error_hidden" in found["own"] and "error_hidden" not in found["other"]


def test_the_model_is_left_as_it_was(batches):
    model = SpectralTokenizer(ModelConfig.of_size("tiny")).train()
    found = Validation(batches, range(2), pictures=1)(model)
    assert model.training and 0 < found["error_visible"] < found["error_hidden"] < 10
    assert {name for name in found if name.startswith("spectrum")} == {"spectrum_0"}


@pytest.mark.slow
def test_logs_and_pictures(batches, tmp_path):
    validate = Validation(batches, range(2), pictures=2)
    model = SpectralTokenizer(ModelConfig.of_size("tiny"))
    for step in (10, 20):
        write_log(tmp_path, {"step": step, "loss": 1.0 / step, **validate(model)})
    with (tmp_path / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["10", "20"] and float(rows[1]["loss"]) == 0.05
    assert "spectrum_0" not in rows[0]
    pictures = sorted(path.name for path in (tmp_path / "pictures").iterdir())
    assert pictures == [f"spectrum_{k}-{step:07d}.png" for k in (0, 1) for step in (10, 20)]
    picture = torch.from_numpy(image.imread(tmp_path / "pictures" / pictures[0]).copy())
    # Something is drawn: text, lines and bands make many colours.
    assert len(picture.flatten(0, 1).unique(dim=0)) > 50


def test_tensorboard_reads_the_same(tmp_path):
    pytest.importorskip("tensorboard", reason="the extra 'training' is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for step in (1, 2):
        write_log(tmp_path, {"step": step, "loss": 0.5 * step})
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(e.step, e.value) for e in events.Scalars("loss")] == [(1, 0.5), (2, 1.0)]
