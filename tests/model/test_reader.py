"""The reader: tokens to one embedding."""

import numpy as np
import pytest
import torch

from spectok import ModelConfig, SpectralTokenizer
from spectok._batch import TokenBatch


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(3)
    return SpectralTokenizer(ModelConfig.of_size("tiny", embedding_size=24)).eval()


def batch_of(seed, n=3, number=21, size=16):
    """Tokens in ascending wavelength, the last three of the first spectrum not valid."""
    draw = torch.Generator().manual_seed(seed)
    value = torch.randn((n, number, size), generator=draw)
    wavelength = (4000.0 + 30.0 * torch.arange(number).double()).expand(n, -1)
    valid = torch.ones(n, number, dtype=torch.bool)
    valid[0, -3:] = False
    value = torch.where(valid.unsqueeze(-1), value, 0.0)
    return TokenBatch(value, wavelength, torch.full_like(wavelength, 14.5), valid, torch.ones(n))


def embed(model, batch):
    with torch.inference_mode():
        return model.embed(batch)


def changed(batch, **parts):
    names = ("value", "wavelength", "half", "valid", "scale")
    return TokenBatch(*(parts.get(name, getattr(batch, name)) for name in names))


def test_shape(model):
    found = embed(model, batch_of(1))
    assert found.shape == (3, 24) and found.dtype == torch.float32
    assert found.isfinite().all()


def test_order_of_tokens_does_not_matter(model):
    batch = batch_of(1)
    mixed = torch.randperm(21, generator=torch.Generator().manual_seed(0))
    parts = {name: getattr(batch, name)[:, mixed] for name in ("value", "wavelength", "valid")}
    assert torch.equal(embed(model, changed(batch, **parts)), embed(model, batch))


def test_padding_does_not_matter(model):
    """To rounding: the sums of an attention over more keys are added in another order."""
    batch = batch_of(1)
    padded = changed(
        batch,
        value=torch.nn.functional.pad(batch.value, (0, 0, 0, 9)),
        wavelength=torch.cat([batch.wavelength, batch.wavelength[:, -1:].expand(-1, 9)], 1),
        half=torch.cat([batch.half, torch.zeros(3, 9, dtype=torch.float64)], 1),
        valid=torch.nn.functional.pad(batch.valid, (0, 9)),
    )
    difference = embed(model, padded) - embed(model, batch)
    assert difference.abs().max() < 1e-5 * embed(model, batch).std()


def test_what_is_not_valid_is_not_seen(model):
    batch = batch_of(1)
    value = batch.value.clone()
    value[0, -3:] = 7.0
    assert torch.equal(embed(model, changed(batch, value=value)), embed(model, batch))


def test_every_token_and_its_place_is_seen(model):
    batch = batch_of(1)
    before = embed(model, batch)
    for k in range(18):
        value = batch.value.clone()
        value[:, k] += 1.0
        assert ((embed(model, changed(batch, value=value)) - before).abs().amax(1) > 1e-6).all(), k
    moved = embed(model, changed(batch, wavelength=batch.wavelength * 1.01))
    longer = embed(model, changed(batch, half=batch.half * 2.0))
    assert ((moved - before).abs().amax(1) > 1e-5).all()
    assert ((longer - before).abs().amax(1) > 1e-5).all()


def test_no_valid_token_is_zero(model):
    batch = batch_of(1)
    valid = batch.valid.clone()
    valid[1] = False
    found = embed(model, changed(batch, valid=valid))
    assert (found[1] == 0).all() and (found[0] != 0).any()
    assert torch.equal(found[[0, 2]], embed(model, batch)[[0, 2]])


def test_tokens_beyond_all_bounds_stay_finite(model):
    batch = batch_of(1)
    assert embed(model, changed(batch, value=batch.value * 1e6)).isfinite().all()


def test_one_token(model):
    assert embed(model, batch_of(2, n=2, number=1)).shape == (2, 24)


def test_phases_are_those_of_the_logarithm():
    """A redshift adds the same phase to every wavelength."""
    from spectok.model._embedding import phases

    place = torch.tensor(np.log([4000.0, 5000.0, 16000.0]))
    shift = np.log(1.37)
    moved = (phases(place + shift, (2e-3, 8.0), 24) - phases(place, (2e-3, 8.0), 24)).double()
    period = np.exp(np.linspace(np.log(2e-3), np.log(8.0), 24))
    expected = torch.tensor(shift / period)
    off = moved - expected
    assert (off - off.round()).abs().max() < 1e-6


def test_without_a_reader():
    model = SpectralTokenizer(ModelConfig.of_size("tiny"))
    assert model.reader is None
    with pytest.raises(ValueError, match="has no reader"):
        model.embed(batch_of(1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"embedding_size": -1}, "embedding_size must be at least 0, not -1"),
        ({"reader_group": 0}, "reader_group must be at least 1, not 0"),
        ({"reader_width": 20, "reader_heads": 4}, "not a multiple of twice reader_heads 4"),
    ],
)
def test_impossible_sizes(change, message):
    with pytest.raises(ValueError, match=message):
        ModelConfig.of_size("tiny", **change)
