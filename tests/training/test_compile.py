"""Compiled blocks give the same run."""

import shutil

import pytest
import torch

pytest.importorskip("lightning", reason="the extra 'training' is not installed")

from spectok import simulate
from spectok.model import ModelConfig, SpectralTokenizer
from spectok.training import Batches, MockSpectra, fit


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.filterwarnings("ignore")  # the compiler warns of its own doings
def test_compiled_blocks_learn_the_same(tmp_path):
    mocks = MockSpectra({"apogee": [(1.0, simulate.Simulator("apogee"))]})
    batches = Batches(
        {"mock": mocks}, {"apogee": {"mock": 1.0}}, patch_size=32, n_tokens=600, seed=4
    )
    found = []
    for compiled in (False, True):
        torch.manual_seed(0)
        model = SpectralTokenizer(ModelConfig.of_size("tiny"))
        trained = fit(
            model, batches, tmp_path / str(compiled), steps=2, accumulate=1, warmup=1,
            accelerator="cpu", compile=compiled, progress=False,
        )  # fmt: skip
        found.append(torch.cat([p.detach().flatten() for p in trained.parameters()]))
        assert (model.encoder[0]._compiled_call_impl is not None) == compiled
        # What is saved has the names of a model that was never compiled.
        assert set(trained.state_dict()) == set(
            SpectralTokenizer(ModelConfig.of_size("tiny")).state_dict()
        )
    assert float((found[0] - found[1]).norm() / found[0].norm()) < 1e-5
