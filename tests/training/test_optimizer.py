"""Which weights take which optimizer, and the learning rate."""

import pytest
import torch

from spectok.model import ModelConfig, SpectralTokenizer
from spectok.training import _optimizer
from spectok.training._optimizer import learning_rate_at, optimizers_of, take_step


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return SpectralTokenizer(ModelConfig.of_size("tiny"))


def names_in(model, group):
    names = {id(p): name for name, p in model.named_parameters()}
    return [names[id(p)] for p in group["params"]]


def options(name):
    return {"name": name, "rate": 1e-3, "decay": 0.01, "fused": False}


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_every_weight_has_one_optimizer_and_norms_and_biases_do_not_decay(model, name):
    found = optimizers_of(model, **options(name))
    groups = [group for one in found for group in one.param_groups]
    names = [n for group in groups for n in names_in(model, group)]
    assert sorted(names) == sorted(n for n, _ in model.named_parameters())
    for group in groups:
        assert group["lr"] == 1e-3
        for p in group["params"]:
            assert group["weight_decay"] == (0.01 if p.ndim > 1 else 0.0)
    kept = [n for g in groups if not g["weight_decay"] for n in names_in(model, g)]
    assert any("norm" in n for n in kept) and any(n.endswith("bias") for n in kept)


def test_muon_takes_all_matrices_but_those_of_the_heads(model):
    """Tokens and pixels are written by AdamW, as Jordan et al. do with the last layer."""
    first, second = optimizers_of(model, **options("muon"))
    assert type(first) is torch.optim.AdamW and type(second) is torch.optim.Muon
    (group,) = second.param_groups
    names = names_in(model, group)
    blocks = [
        *model.encoder.named_parameters("encoder"),
        *model.decoder.named_parameters("decoder"),
    ]
    assert {n for n, p in blocks if p.ndim == 2} < set(names)
    assert all(p.ndim == 2 for p in group["params"])
    rest = [n for g in first.param_groups for n in names_in(model, g)]
    parameters = dict(model.named_parameters())
    matrices = {n for n in rest if parameters[n].ndim > 1}
    assert matrices == {"to_token.weight", "to_pixels.weight"}


def test_adamw_takes_all(model):
    (one,) = optimizers_of(model, **options("adamw"))
    assert type(one) is torch.optim.AdamW and one.param_groups[0]["betas"] == (0.9, 0.95)


def test_muon_makes_steps_as_large_as_those_of_adamw():
    """One learning rate does for both: 0.2 of it is the root mean square of a step."""
    model = SpectralTokenizer(ModelConfig.of_size("tiny"))
    _, muon = optimizers_of(model, **options("muon") | {"decay": 0.0})
    matrices = muon.param_groups[0]["params"]
    before = [p.detach().clone() for p in matrices]
    torch.manual_seed(1)
    for p in matrices:
        p.grad = torch.randn_like(p)
    muon.step()
    for p, old in zip(matrices, before, strict=True):
        size = float((p.detach() - old).square().mean().sqrt())
        assert size == pytest.approx(0.2e-3, rel=0.3)


def orthogonal(gradient):
    """Five steps of Newton and Schulz in float64, coefficients of Jordan et al. (2024)."""
    x = gradient.double() / gradient.double().norm()
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x


@pytest.mark.parametrize("shape", [(24, 40), (40, 24)])
def test_muon_is_in_float32_where_bfloat16_is_emulated(monkeypatch, shape):
    torch.manual_seed(3)
    gradient = torch.randn(shape)
    expected = orthogonal(gradient if shape[0] < shape[1] else gradient.T)
    expected = expected if shape[0] < shape[1] else expected.T
    off, hooked = {}, []
    for has_units in (True, False):
        monkeypatch.setattr(_optimizer, "multiplies_bfloat16", lambda device, has=has_units: has)
        weight = torch.nn.Parameter(torch.zeros(shape))
        weight.grad = gradient.clone()
        # The first step of its momentum is the gradient itself, but for its length.
        muon = torch.optim.Muon([weight], lr=1.0, weight_decay=0.0, adjust_lr_fn="original")
        muon.register_step_pre_hook(
            lambda one, *_: hooked.append(one.param_groups[0]["params"][0].grad.clone())
        )
        take_step([muon], torch.device("cpu"))
        step = -weight.detach().double()
        step *= expected.norm() / step.norm()
        off[has_units] = float((step - expected).abs().max() / expected.abs().max())
        assert torch.equal(hooked[-1], gradient) and weight.grad is None
    assert len(hooked) == 2, "hooks of a step are called once"
    assert off[False] < 1e-5 < 1e-3 < off[True]


def test_a_torch_without_muon_says_so(model, monkeypatch):
    monkeypatch.delattr("torch.optim.Muon")
    with pytest.raises(ValueError, match="needs PyTorch 2.9, .*: take 'adamw'"):
        optimizers_of(model, **options("muon"))
    assert len(optimizers_of(model, **options("adamw"))) == 1


def test_an_unknown_optimizer_is_refused(model):
    with pytest.raises(ValueError, match="must be 'adamw' or 'muon', not 'sgd'"):
        optimizers_of(model, **options("sgd"))


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


def test_a_constant_learning_rate():
    def rate(step):
        return learning_rate_at(step, peak=2.0, warmup=10, steps=110, schedule="constant")

    assert rate(0) == pytest.approx(0.2)
    assert {rate(step) for step in (9, 10, 60, 110, 5000)} == {2.0}


@pytest.mark.parametrize("step", [0, 500])
def test_an_unknown_schedule_is_refused(step):
    with pytest.raises(ValueError, match="must be 'cosine' or 'constant', not 'linear'"):
        learning_rate_at(step, peak=1.0, warmup=10, steps=110, schedule="linear")
