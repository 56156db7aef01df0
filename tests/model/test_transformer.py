"""Attention by wavelengths: only distances count, and a new network looks near."""

import numpy as np
import pytest
import torch

from spectok.model import ModelConfig, SpectralTokenizer
from spectok.model._transformer import (
    Attention,
    _PlainAttention,
    _turn,
    attention_mask,
    rotation,
)


def new_model(size="small"):
    torch.manual_seed(3)
    return SpectralTokenizer(ModelConfig.of_size(size)).eval()


def patches(model, spacing, number=100, n_spectra=4):
    """Random patches and their centres."""
    generator = torch.Generator().manual_seed(4)
    x = torch.randn((n_spectra, number, model.config.width), generator=generator)
    centre = 5000.0 + spacing * torch.arange(number, dtype=torch.float64)
    return x, centre.expand(n_spectra, -1)


def scores(model, layer, x, centre):
    """Weights of the attention before the softmax, (N, H, T, T)."""
    at = model._rotation(centre, x)
    turned = [
        _turn(part.unflatten(-1, (layer.heads, -1)).transpose(1, 2), at)
        for part in (layer.query(x), layer.key_value(x)[..., : x.shape[-1]])
    ]
    return turned[0] @ turned[1].mT * turned[0].shape[-1] ** -0.5


def test_a_turn_is_a_product_of_complex_numbers():
    generator = torch.Generator().manual_seed(1)
    x = torch.randn((2, 3, 5, 8), generator=generator)
    cycles = torch.rand((2, 5, 4), generator=generator)
    found = _turn(x, rotation(cycles)).numpy()
    expected = (x[..., :4] + 1j * x[..., 4:]).numpy()
    expected = expected * np.exp(2j * np.pi * cycles[:, None].numpy())
    assert np.abs(found[..., :4] + 1j * found[..., 4:] - expected).max() < 1e-5


@pytest.mark.parametrize("shift", [-1234.5678, 0.01, 11000.0])
def test_scores_depend_on_differences_of_wavelength_only(shift):
    model = new_model()
    x, centre = patches(model, 25.0)
    with torch.inference_mode():
        for layer in (model.encoder[0].attend_self, model.decoder[0].attend_cross):
            a, b = (scores(model, layer, x, at) for at in (centre, centre + shift))
            assert (a - b).abs().max() < 1e-4 * a.std()
            other = scores(model, layer, x, centre * 1.001)
            assert (a - other).abs().max() > 0.1 * a.std()


def test_attention_depends_on_differences_of_wavelength_only(rms_difference):
    model = new_model()
    x, centre = patches(model, 1.5)
    with torch.inference_mode():
        found = []
        for shift in (0.0, 4321.0):
            at = model._rotation(centre + shift, x)
            found.append(model.encoder[0].attend_self(x, x, None, at, at))
    assert rms_difference(*found) < 1e-4


def test_self_attention_and_attention_over_a_copy_agree(rms_difference):
    model = new_model("tiny")
    x, centre = patches(model, 25.0, number=12)
    mask = attention_mask(torch.arange(12).expand(4, -1) % 3 > 0)
    with torch.inference_mode():
        at = model._rotation(centre, x)
        layer = model.encoder[0].attend_self
        assert rms_difference(layer(x, x, mask, at, at), layer(x, x.clone(), mask, at, at)) < 1e-5


@pytest.mark.parametrize("spacing", [1.5, 25.0, 60.0])
def test_a_new_model_looks_at_its_neighbourhood(spacing):
    """At patches of GALAH, DESI and of low resolution alike."""
    model = new_model()
    x, centre = patches(model, spacing)
    x = torch.nn.functional.layer_norm(x, x.shape[-1:])
    distance = (torch.arange(100)[:, None] - torch.arange(100)).abs()
    for block in (model.encoder[0], model.decoder[0]):
        with torch.inference_mode():
            weight = scores(model, block.attend_self, x, centre).softmax(-1).mean(0)
        # The steepest head, and all but the first, which has no preference.
        for of_head, least in ((weight[-1], 5), (weight[1:].mean(0), 2.5)):
            near_to_far = [
                of_head[(distance >= low) & (distance < high)].mean().item()
                for low, high in ((0, 1), (1, 3), (3, 9), (9, 27), (27, 81))
            ]
            assert near_to_far == sorted(near_to_far, reverse=True)
            assert near_to_far[1] > least * near_to_far[3]
        assert weight[0].diagonal().mean() == pytest.approx(0.01, rel=0.3)


def test_a_row_without_a_valid_token_attends_to_all():
    assert attention_mask(torch.ones(2, 3, dtype=torch.bool)) is None
    valid = torch.tensor([[True, False, True], [False, False, False]])
    assert attention_mask(valid)[:, 0, 0].tolist() == [[True, False, True], [True] * 3]


@pytest.mark.parametrize("masked", [False, True])
def test_the_attention_that_cpus_train_with_is_the_same(masked):
    """Value and gradients of the plain products, beside autograd's way through torch's own."""
    generator = torch.Generator().manual_seed(1)

    def draw(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    n, heads, asked, seen, size = 3, 2, 5, 7, 8
    parts = [draw(n, heads, length, size) for length in (asked, seen, seen)]
    at, context_at = (
        tuple(part.double() for part in rotation(draw(n, length, size // 2)))
        for length in (asked, seen)
    )
    mask = draw(n, 1, 1, seen) > 0 if masked else None
    if masked:
        mask[..., 0] = True
    found = []
    for plain in (True, False):
        q, k, v = (part.clone().requires_grad_() for part in parts)
        if plain:
            out = _PlainAttention.apply(q, k, v, mask, *at, *context_at)
        else:
            q_, k_ = _turn(q, at), _turn(k, context_at)
            out = torch.nn.functional.scaled_dot_product_attention(q_, k_, v, attn_mask=mask)
        out.sin().sum().backward()
        found.append((out.detach(), q.grad, k.grad, v.grad))
    for one, other in zip(*found, strict=True):
        assert torch.allclose(one, other, rtol=1e-10, atol=1e-12)


def test_training_in_bfloat16_goes_through_it():
    torch.manual_seed(1)
    attention = Attention(16, 2)
    x = torch.randn(2, 6, 16)
    at = rotation(torch.rand(2, 6, 4))
    with torch.autocast("cpu", torch.bfloat16):
        out = attention(x, x, None, at, at)
    exact = attention(x, x, None, at, at)
    names, queue = set(), [out.grad_fn]
    while queue:
        node = queue.pop()
        names.add(type(node).__name__)
        queue += [parent for parent, _ in node.next_functions if parent is not None]
    assert "_PlainAttentionBackward" in names
    assert torch.allclose(out.float(), exact, atol=0.05)
