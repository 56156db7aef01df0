"""The network: sizes, invariances, the decoder, and what it must never do."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import softmax

import spectok
from spectok._batch import PatchLayout, SpectrumBatch
from spectok.model import ModelConfig, SpectralTokenizer
from spectok.model._embedding import patch_place

PATCH = 32


@pytest.fixture
def batch(make_arrays):
    """Three spectra of 8 patches with scattered bad pixels; the tensors may be changed."""
    return make_batch(make_arrays)


def make_batch(make_arrays, n_spectra=3, n_patches=8, bad=0.05):
    wavelength, flux, sigma = make_arrays(PATCH * n_patches, n_spectra)
    valid = np.random.default_rng(8).random(flux.shape) > bad
    layout = PatchLayout.of(wavelength, PATCH)
    return SpectrumBatch.from_layouts([layout] * n_spectra, flux, sigma, valid)


def replaced(batch, **changes):
    fields = {name: getattr(batch, name) for name in ("flux", "sigma", "wavelength", "valid")}
    return SpectrumBatch(**(fields | changes))


def count(*modules):
    return sum(p.numel() for module in modules for p in module.parameters())


@pytest.mark.parametrize(
    ("size", "total", "encoder"),
    [
        ("tiny", 38_832, 18_000),
        ("small", 3_175_568, 1_369_360),
        ("base", 44_332_624, 19_023_376),
    ],
)
def test_number_of_parameters(size, total, encoder):
    with torch.device("meta"):
        model = SpectralTokenizer(ModelConfig.of_size(size))
    assert count(model) == total
    parts = (model.embed_patch, model.embed_wavelength, model.encoder, model.norm_token,
             model.to_token)  # fmt: skip
    assert count(*parts) == encoder


def test_base_is_the_papers():
    config = ModelConfig.of_size("base")
    with torch.device("meta"):
        model = SpectralTokenizer(config)
    # A plain ViT encoder of the paper's numbers has 18.95 million; ours has beside that only
    # the map that brings the place and the length of a patch to the width.
    blocks = count(model.encoder, model.embed_patch, model.norm_token, model.to_token)
    assert blocks == pytest.approx(18.95e6, rel=0.005)
    assert count(model.embed_wavelength) == (2 * 32 + 1) * 512 + 512
    assert (config.encoder_blocks, config.decoder_blocks) == (6, 6)
    assert (config.width, config.heads, config.patch_size) == (512, 8, 32)


def test_small_fits_into_the_package():
    with torch.device("meta"):
        model = SpectralTokenizer(ModelConfig.of_size("small"))
    assert 2 * count(model) < 20e6, "more than 20 MB in float16"


# ------------------------------------------------------------------ invariances


def test_same_input_same_bits(tiny, batch):
    with torch.inference_mode():
        assert torch.equal(tiny.encode(batch).value, tiny.encode(batch).value)


def test_order_of_patches_carries_no_information(tiny, batch, rms_difference):
    order = torch.randperm(8, generator=torch.Generator().manual_seed(1))

    def shuffle(pixels):
        return pixels.unflatten(1, (8, PATCH))[:, order].flatten(1)

    shuffled = SpectrumBatch(
        *(shuffle(t) for t in (batch.flux, batch.sigma, batch.wavelength, batch.valid))
    )
    with torch.inference_mode():
        a, b = tiny.encode(batch), tiny.encode(shuffled)
        assert rms_difference(a.value[:, order], b.value) < 1e-5
        assert torch.equal(a.wavelength[:, order], b.wavelength)
        assert torch.equal(a.scale, b.scale)
        # And from permuted tokens the same spectrum comes back.
        on = batch.wavelength
        flux, sigma = tiny.decode(a, on)
        flux_, sigma_ = tiny.decode(b, on)
    assert rms_difference(flux, flux_) < 1e-4 and rms_difference(sigma, sigma_) < 1e-4


def test_lengths_of_patches_do_carry_information(tiny, batch):
    """A spectrum stretched about the middle of each patch: the same centres."""
    centre, _ = patch_place(batch.wavelength, PATCH)
    centre = centre.repeat_interleave(PATCH, dim=1)
    stretched = replaced(batch, wavelength=centre + 0.7 * (batch.wavelength - centre))
    with torch.inference_mode():
        a, b = tiny.encode(batch), tiny.encode(stretched)
    assert torch.allclose(a.wavelength, b.wavelength, rtol=1e-12)
    assert (a.value - b.value).abs().max() > 1e-2


def test_wavelengths_do_carry_information(tiny, batch):
    shifted = replaced(batch, wavelength=batch.wavelength + 2.0)
    with torch.inference_mode():
        a, b = tiny.encode(batch).value, tiny.encode(shifted).value
    assert (a - b).abs().max() > 1e-2


def test_batch_order(tiny, batch, rms_difference):
    flipped = SpectrumBatch(
        *(t.flip(0) for t in (batch.flux, batch.sigma, batch.wavelength, batch.valid))
    )
    with torch.inference_mode():
        assert rms_difference(tiny.encode(batch).value.flip(0), tiny.encode(flipped).value) < 1e-5


def test_shared_and_separate_grids_agree(tiny, batch, rms_difference):
    """A batch on one grid embeds it once; that must be no more than a saving."""
    other = batch.wavelength.clone()
    other[0] += 50.0
    with torch.inference_mode():
        a = tiny.encode(batch).value[1:]
        b = tiny.encode(replaced(batch, wavelength=other)).value[1:]
    assert rms_difference(a, b) < 1e-5


# ------------------------------------------------------------------ what is not to be seen


@pytest.mark.parametrize("junk", [0.0, 1e30, -1e30, math.inf, math.nan])
def test_bad_pixels_are_unseen(junk, tiny, batch):
    changed = replaced(
        batch,
        flux=torch.where(batch.valid, batch.flux, junk),
        sigma=torch.where(batch.valid, batch.sigma, junk),
    )
    with torch.inference_mode():
        a, b = tiny.encode(batch), tiny.encode(changed)
    assert torch.equal(a.value, b.value) and torch.equal(a.scale, b.scale)


@pytest.mark.parametrize("junk", [0.0, 1e30, math.nan])
def test_hidden_pixels_are_unseen(junk, tiny, batch):
    hidden = torch.zeros_like(batch.valid)
    hidden[:, 40:52] = hidden[:, 70:130] = hidden[:, 200] = True
    changed = replaced(
        batch,
        flux=torch.where(hidden, junk, batch.flux),
        sigma=torch.where(hidden, junk, batch.sigma),
    )
    with torch.inference_mode():
        a, b = tiny.encode(batch, hidden), tiny.encode(changed, hidden)
        seen = tiny.encode(batch)
    assert torch.equal(a.value, b.value) and torch.equal(a.scale, b.scale)
    assert torch.equal(a.valid, b.valid)
    assert not torch.allclose(a.value, seen.value), "hiding changed nothing"


def test_hidden_pixels_have_no_share_in_the_scale(tiny, batch):
    hidden = torch.zeros_like(batch.valid)
    hidden[:, : 5 * PATCH] = True
    raised = replaced(batch, flux=torch.where(hidden, 100 * batch.flux, batch.flux))
    with torch.inference_mode():
        assert torch.equal(tiny.encode(batch, hidden).scale, tiny.encode(raised, hidden).scale)


def test_hiding_does_not_count_as_bad(tiny, batch):
    whole = replaced(batch, valid=torch.ones_like(batch.valid))
    hidden = torch.zeros_like(batch.valid)
    hidden[:, :31] = True  # all but one of a patch
    hidden[:, PATCH : 2 * PATCH] = True  # and a whole one: nothing is left to be a token
    with torch.inference_mode():
        valid = tiny.encode(whole, hidden).valid
    assert valid[0].tolist() == [True, False] + [True] * 6


def test_a_bad_pixel_differs_from_a_zero_and_noise_from_none(tiny, batch):
    whole = replaced(batch, valid=torch.ones_like(batch.valid))
    valid = whole.valid.clone()
    valid[:, 45] = False
    flux = whole.flux.clone()
    flux[:, 45] = 0.0
    sigma = whole.sigma.clone()
    sigma[:, 45] = 1e3
    with torch.inference_mode():
        values = [
            tiny.encode(b).value[:, 1]
            for b in (
                whole,
                replaced(whole, valid=valid),
                replaced(whole, flux=flux),
                replaced(whole, sigma=sigma),
            )  # fmt: skip
        ]
    for i in range(4):
        for j in range(i):
            assert (values[i] - values[j]).abs().max() > 1e-3, (i, j)


# ------------------------------------------------------------------ nothing, and extremes


def test_rows_without_a_good_pixel_are_zeros(tiny, batch):
    valid = batch.valid.clone()
    valid[1] = False
    junk = batch.flux.clone()
    junk[1] = math.nan
    with torch.inference_mode():
        tokens = tiny.encode(replaced(batch, flux=junk, sigma=junk.abs() + 1, valid=valid))
        flux, sigma = tiny.decode(tokens, batch.wavelength, valid)
    assert not tokens.value[1].any() and not tokens.valid[1].any()
    assert tokens.scale[1] == 1
    for tensor in (tokens.value, tokens.scale, flux, sigma):
        assert torch.isfinite(tensor).all()


def test_a_dead_row_disturbs_nobody(tiny, batch, rms_difference):
    valid = batch.valid.clone()
    valid[1] = False
    with torch.inference_mode():
        a, b = tiny.encode(batch).value, tiny.encode(replaced(batch, valid=valid)).value
    assert rms_difference(a[[0, 2]], b[[0, 2]]) < 1e-5


@pytest.mark.parametrize(
    ("flux", "sigma"),
    [
        (1.0, 1e-5), (1e30, 1e30), (1e30, 1.0), (0.0, 1.0), (-1.0, 1e-5), (-1e30, 1e-30),
        (1.0, 1e30), (1e-30, 1e-30), (0.0, 1e-30),
    ],
)  # fmt: skip
def test_extreme_inputs_stay_finite(flux, sigma, tiny, batch):
    shape = batch.flux.shape
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    extreme = replaced(batch, flux=flux * (1 + 0.1 * noise), sigma=torch.full(shape, sigma))
    one = batch.flux.clone(), batch.sigma.clone()
    one[0][:, 50], one[1][:, 60] = flux, sigma
    for given in (extreme, replaced(batch, flux=one[0], sigma=one[1])):
        with torch.inference_mode():
            tokens = tiny.encode(given)
            decoded = tiny.decode(tokens, given.wavelength, given.valid)
        for tensor in (tokens.value, tokens.scale, *decoded):
            assert torch.isfinite(tensor).all()
        assert (tokens.scale > 0).all() and (decoded[1] > 0).all()


def test_gradients_are_finite_with_nan_under_the_mask(tiny_folder, batch):
    from spectok.training import gaussian_loss

    model = spectok.load_model(tiny_folder).requires_grad_(True)
    flux = torch.where(batch.valid, batch.flux, math.nan)
    sigma = torch.where(batch.valid, batch.sigma, math.nan)
    valid = batch.valid.clone()
    valid[2] = False  # and a row of nothing
    given = replaced(batch, flux=flux, sigma=sigma, valid=valid)
    tokens, predicted, model_sigma = model(given)
    scale = tokens.scale[:, None]
    total, number = gaussian_loss(flux / scale, sigma / scale, valid, predicted, model_sigma)
    (total / number).backward()
    assert torch.isfinite(total.detach())
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, f"{name} has no gradient"
        assert torch.isfinite(parameter.grad).all(), name


# ------------------------------------------------------------------ the decoder


def linear(x, layer):
    return x @ layer.weight.double().numpy().T + layer.bias.double().numpy()


def norm(x, layer):
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + layer.eps)
    return x * layer.weight.double().numpy() + layer.bias.double().numpy()


def attend(x, wavelength, layer, config):
    """Plain attention of (S, D) with turned queries and keys, as complex numbers."""
    heads = config.heads
    size = x.shape[-1] // heads
    period = np.geomspace(config.min_period, config.max_period, size // 2)
    turn = np.exp(2j * np.pi * wavelength[:, None] / period)
    queries, (keys, values) = linear(x, layer.query), np.split(linear(x, layer.key_value), 2, -1)
    out = []
    for part in np.split(np.arange(heads * size), heads):
        q, k = (
            (a[:, part[: size // 2]] + 1j * a[:, part[size // 2 :]]) * turn
            for a in (queries, keys)
        )
        out.append(softmax((q @ k.conj().T).real / np.sqrt(size), axis=-1) @ values[:, part])
    return linear(np.concatenate(out, -1), layer.out)


@pytest.mark.parametrize("grid", ["own", "other"])
def test_without_cross_attention_it_is_the_papers_decoder(
    grid, tiny_folder, batch, rms_difference
):
    """Tokens plus the embedding of the output patches through plain blocks, written down anew.

    What comes out, times the noise, is added to the sum of cosines; on other grids tokens are
    interpolated between the centres of their patches.
    """
    model = spectok.load_model(tiny_folder)
    with torch.no_grad():
        for block in model.decoder:
            block.attend_cross.out.weight.zero_()
            block.attend_cross.out.bias.zero_()
    wavelength = batch.wavelength[0].numpy()
    first, step = wavelength[0], 1.3
    if grid == "other":
        wavelength = first + 3.21 + 1.7 * np.arange(5 * PATCH)
    target = torch.from_numpy(wavelength).expand(len(batch.flux), -1)
    with torch.inference_mode():
        tokens = model.encode(replaced(batch, valid=torch.ones_like(batch.valid)))
        flux, sigma = model.decode(tokens, target)
    assert np.allclose(tokens.wavelength[0], first + step * (15.5 + PATCH * np.arange(8)))
    low, high = wavelength[::PATCH], wavelength[PATCH - 1 :: PATCH]
    centre, half = (low + high) / 2, (high - low) / 2
    period = np.geomspace(model.config.min_period, model.config.max_period, 8)
    angle = 2 * np.pi * centre[:, None] / period
    place = np.concatenate([np.sin(angle), np.cos(angle), np.log(half)[:, None] - 2], axis=-1)
    embedded = linear(place, model.embed_output.project)
    # Where each wavelength lies among the patches, which adjoin.
    place, patch = np.modf(((wavelength - first) / step + 0.5) / PATCH)

    def interpolated(values, at):
        columns = [np.interp(at, tokens.wavelength[0].numpy(), column) for column in values.T]
        return np.stack(columns, axis=-1)

    for row, value in enumerate(tokens.value.double().numpy()):
        coefficients, log_noise = np.sinh(value[:, :15]) / 8, value[:, 15:]
        contrast = 0.5 * np.arcsinh(coefficients / np.exp(log_noise))
        token = linear(np.concatenate([value, contrast], axis=-1), model.from_token)
        x = interpolated(token, centre) + embedded
        for block in model.decoder:
            x = x + attend(norm(x, block.norm_self), centre, block.attend_self, model.config)
            hidden = linear(norm(x, block.norm_feed), block.feed[0])
            x = x + linear(hidden * stats.norm.cdf(hidden), block.feed[2])
        change, log_sigma = np.split(linear(norm(x, model.norm_output), model.to_pixels), 2, -1)
        cosines = np.cos(np.pi * place[:, None] * np.arange(15))
        smooth = (cosines * coefficients[patch.astype(int)]).sum(-1)
        noise = np.exp(interpolated(log_noise, wavelength)[:, 0])
        assert np.abs(change).max() > 0.1, "the network changes nothing"
        assert rms_difference(smooth + noise * np.sinh(change.ravel()), flux[row]) < 1e-5
        assert rms_difference(noise * np.exp(log_sigma.ravel()), sigma[row]) < 1e-5


def test_the_wildest_weights_decode_to_something_finite(tiny_folder, batch):
    model = spectok.load_model(tiny_folder)
    with torch.inference_mode():
        for last in (model.to_token, model.to_pixels):
            last.weight.mul_(1e4)
        tokens = model.encode(batch)
        torch.manual_seed(0)
        for value in (tokens.value, 1e3 * torch.randn_like(tokens.value)):
            assert torch.isfinite(value).all()
            given = dataclasses.replace(tokens, value=value)
            for decoded in model.decode(given, batch.wavelength):
                assert torch.isfinite(decoded).all()


def test_a_new_decoder_has_no_cross_attention():
    model = SpectralTokenizer(ModelConfig.of_size("tiny"))
    for block in model.decoder:
        assert not block.attend_cross.out.weight.any() and not block.attend_cross.out.bias.any()


def test_cross_attention_sees_valid_tokens_only(tiny, batch, rms_difference):
    valid = batch.valid.clone()
    valid[:, 2 * PATCH : 4 * PATCH] = False
    with torch.inference_mode():
        tokens = tiny.encode(replaced(batch, valid=valid))
        assert tokens.valid[0].tolist() == [True] * 2 + [False] * 2 + [True] * 4
        reference = tiny.decode(tokens, batch.wavelength)[0]
        value = torch.where(tokens.valid.unsqueeze(-1), tokens.value, 77.0)
        changed = tiny.decode(dataclasses.replace(tokens, value=value), batch.wavelength)[0]
    assert torch.equal(reference, changed)


def test_what_is_not_wanted_does_not_matter(tiny, batch, rms_difference):
    """Padding of the output grid is left out of the attention."""
    wanted = torch.ones_like(batch.valid)
    wanted[:, 6 * PATCH :] = False
    elsewhere = batch.wavelength.clone()
    elsewhere[:, 6 * PATCH :] += 3000.0
    with torch.inference_mode():
        tokens = tiny.encode(batch)
        a, b = (tiny.decode(tokens, w, wanted)[0] for w in (batch.wavelength, elsewhere))
        short = tiny.decode(tokens, batch.wavelength[:, : 6 * PATCH])[0]
    assert rms_difference(a[:, : 6 * PATCH], b[:, : 6 * PATCH]) < 1e-5
    assert rms_difference(short, a[:, : 6 * PATCH]) < 1e-5


# ------------------------------------------------------------------ configuration


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 33}, "width 33 is not a multiple of heads 2"),
        ({"heads": 32}, "width 32 over heads 32 is 1, but must be even"),
        ({"patch_size": 1}, "patch_size must be at least 2, not 1"),
        ({"token_size": 1}, "token_size must be at least 2, not 1"),
        ({"n_periods": 0}, "n_periods must be at least 1, not 0"),
        ({"coordinate_unit": "nm"}, "coordinate_unit must be one of Angstrom, d, not 'nm'"),
        ({"min_period": 9.0, "max_period": 3.0}, "0 < min_period < max_period, not 9.0 and 3.0"),
    ],
)
def test_impossible_sizes_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        ModelConfig.of_size("tiny", **changes)


def test_unknown_size_is_refused():
    with pytest.raises(ValueError, match="no model size 'huge'; choose one of tiny, small, base"):
        ModelConfig.of_size("huge")


def test_other_patch_and_token_sizes_work(make_arrays):
    torch.manual_seed(0)
    config = ModelConfig.of_size("tiny", patch_size=20, token_size=14)
    model = SpectralTokenizer(config).eval()
    wavelength, flux, sigma = make_arrays(130)
    tokens = spectok.encode_arrays(wavelength, flux, sigma**-2, model=model)
    assert tokens["token"].shape == (7, 14)
