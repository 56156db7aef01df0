"""What a step costs: counted, against what PyTorch counts itself."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

pytest.importorskip("lightning", reason="the extra 'training' is not installed")

from spectok import simulate
from spectok.model import ModelConfig, SpectralTokenizer
from spectok.model._cosines import fit_cosines
from spectok.training import Batches, MockSpectra
from spectok.training._objective import Objective, Opaque
from spectok.training._speed import Clock, matmul_peak, training_flop


@pytest.fixture(scope="module")
def batches():
    boss = simulate.instrument("boss").calibrated()
    pair = simulate.Simulator(boss, boss.modified(window=(5000.0, 7000.0)))
    mocks = MockSpectra({"sdss": [(1.0, simulate.Simulator("boss"))], "desi": [(1.0, pair)]})
    mixture = {"sdss": {"mock": 1.0}, "desi": {"mock": 1.0}}
    return Batches({"mock": mocks}, mixture, patch_size=32, n_tokens=300, seed=2)


def counted(function):
    """Operations in matrix products, as PyTorch counts them."""
    with FlopCounterMode(display=False) as counter:
        function()
    return counter.get_total_flops()


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{}, {"width": 64, "heads": 4, "decoder_blocks": 2}])
def test_operations_are_those_that_pytorch_counts(batches, changes):
    """Apart from the fit of the cosines, which is no part of the network."""
    config = ModelConfig.of_size("tiny", **changes)
    model = SpectralTokenizer(config)
    for number in range(4):
        batch = batches[number]
        shape = (*batch.seen.flux.unflatten(1, (-1, 32)).shape,)
        ones = torch.ones(shape)
        basis = torch.rand(1, *shape[1:], config.token_size - 1)
        fit = counted(lambda one=ones, b=basis: fit_cosines(one, one, one > 0, b))

        def step(batch=batch):
            # In bfloat16 the attention is made of products that PyTorch counts.
            with torch.autocast("cpu", dtype=torch.bfloat16):
                total, _ = Objective(model)(Opaque(batch))
            total.backward()

        assert 0.93 < training_flop(config, batch) / (counted(step) - fit) < 1.07


def test_the_clock_counts_between_two_readings(batches):
    config = ModelConfig.of_size("tiny")
    clock = Clock(config, torch.device("cpu"), peak=1e12)
    batch = batches[0]
    clock.count(batch)
    clock.count(batch)
    assert clock.spectra == 2 * len(batch.seen.flux)
    assert clock.tokens == 2 * batch.seen.flux.numel() // 32
    read = clock.read()
    assert read["spectra_per_s"] > 0 and read["mfu"] >= 0
    assert read["tokens_per_s"] == pytest.approx(
        read["spectra_per_s"] * batch.seen.flux.shape[1] / 32, rel=0.05
    )
    assert clock.read()["tokens_per_s"] == 0


@pytest.mark.slow
def test_the_peak_is_that_of_a_processor():
    assert 1e8 < matmul_peak("cpu", torch.float32, seconds=0.01) < 1e15
