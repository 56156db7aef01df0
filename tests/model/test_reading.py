"""Tokens read at places that spectra share."""

import copy

import numpy as np
import pytest
import torch
from astropy.utils.exceptions import AstropyUserWarning

import spectok
from spectok import ModelConfig, SpectralTokenizer
from spectok._batch import TokenBatch
from spectok._tokens import sequences, to_token_batch
from spectok._weights import model_identity
from spectok.model._reading import Reading, places_of

PLACES, SIZE, READ, OUT = 12, 5, 4, 6
STEP = 1e-4 * 2**0.25


def patches(first, number, step=STEP):
    """Centres and half lengths of patches at multiples of a step, in dex."""
    edge = 10.0 ** (step * torch.arange(first, first + number + 1, dtype=torch.float64))
    return 0.5 * (edge[1:] + edge[:-1]), 0.5 * (edge[1:] - edge[:-1])


def know(reading, centre, half):
    for known, found in zip((reading.place, reading.length), places_of(centre, half), strict=True):
        known.copy_(found)


@pytest.fixture
def reading():
    torch.manual_seed(2)
    one = Reading(PLACES, SIZE, READ, OUT).eval()
    centre, half = patches(31_000, PLACES)
    know(one, centre, half)
    one.mean.copy_(torch.randn(PLACES, SIZE))
    one.scatter.copy_(0.5 + torch.rand(PLACES, SIZE))
    return one


def tokens_at(centre, half, n=3, seed=0):
    draw = torch.Generator().manual_seed(seed)
    valid = torch.rand((n, len(centre)), generator=draw) > 0.3
    return torch.randn((n, len(centre), SIZE), generator=draw), centre[None], half[None], valid


def test_the_sum_over_places_by_hand(reading):
    features, centre, half, valid = tokens_at(*patches(31_003, 7))
    found = reading(features, centre, half, valid).detach().numpy()
    parts = {k: v.double().numpy() for k, v in reading.state_dict().items()}
    for row in range(3):
        read = np.zeros(READ)
        for k in np.flatnonzero(valid[row].numpy()):
            seen = (features[row, k].numpy() - parts["mean"][3 + k]) / parts["scatter"][3 + k]
            read += np.clip(seen, -8, 8) @ parts["weight"][3 + k]
        bent = torch.nn.functional.gelu(torch.from_numpy(read)).numpy()
        inner = torch.from_numpy(parts["head.0.weight"] @ bent + parts["head.0.bias"])
        bent = torch.nn.functional.gelu(inner).numpy()
        wanted = parts["head.2.weight"] @ bent + parts["head.2.bias"]
        wanted += parts["straight.weight"] @ read + parts["straight.bias"]
        assert np.allclose(found[row], wanted, atol=1e-5)


def test_order_and_what_is_not_valid_do_not_matter(reading):
    features, centre, half, valid = tokens_at(*patches(31_000, PLACES))
    wanted = reading(features, centre, half, valid)
    order = torch.randperm(PLACES, generator=torch.Generator().manual_seed(1))
    mixed = reading(features[:, order], centre[:, order], half[:, order], valid[:, order])
    assert torch.allclose(wanted, mixed, atol=1e-6)
    other = torch.where(valid.unsqueeze(-1), features, 7.0)
    assert torch.equal(reading(other, centre, half, valid), wanted)


@pytest.mark.parametrize(
    ("first", "step", "moved", "there"),
    [
        (31_000, STEP, 0.0, True),
        (31_000, STEP, 2e-6, True),
        (31_000, STEP, 1e-4, False),  # 30 km/s: a spectrum that was not moved to rest
        (31_000, STEP * 2**0.25, 0.0, False),
        (40_000, STEP, 0.0, False),
    ],
)
def test_only_known_places_are_read(reading, first, step, moved, there):
    features, centre, half, _ = tokens_at(*patches(first, PLACES, step))
    factor = 1.0 + moved
    valid = torch.ones(3, PLACES, dtype=torch.bool)
    found = reading(features, factor * centre, factor * half, valid)
    assert bool((found != 0).all()) is there and bool((found == 0).all()) is not there


def test_wavelengths_in_single_precision_are_enough(reading):
    """Ends of patches that are off by 1e-7 change the length of one by 1e-3 of itself."""
    features, centre, half, _ = tokens_at(*patches(31_000, PLACES))
    valid = torch.ones(3, PLACES, dtype=torch.bool)
    low, high = ((centre + sign * half).float().double() for sign in (-1, 1))
    found = reading(features, 0.5 * (low + high), 0.5 * (high - low), valid)
    assert torch.equal(found, reading(features, centre, half, valid))


def test_patches_that_come_twice_are_one_place():
    centre, half = patches(31_000, PLACES)
    place, length = places_of(torch.cat([centre, centre]), torch.cat([half, half]))
    assert len(place) == len(length) == PLACES and bool((place.diff() > 0).all())
    assert torch.equal(place, places_of(centre, half)[0])


def test_patches_that_change_their_length_are_refused():
    centre = 5000.0 + 1.9 * torch.arange(200, dtype=torch.float64)
    with pytest.raises(ValueError, match="one length for each instrument on a logarithmic scale"):
        places_of(centre, torch.full_like(centre, 0.95))


def test_places_of_several_lengths_lie_side_by_side():
    """Two instruments at the same wavelengths: each finds its own."""
    both = [patches(31_000, PLACES), patches(15_500, PLACES, 2 * STEP)]
    one = Reading(2 * PLACES, SIZE, READ, OUT)
    know(one, *(torch.cat([grid[k] for grid in both]) for k in (0, 1)))
    seen = set()
    for centre, half in both:
        where, there = one.which(centre, half)
        assert there.all()
        seen |= set(where.tolist())
    assert seen == set(range(2 * PLACES))


def test_without_places_nothing_is_read():
    """Of a new model: its embeddings are those of the rest of the reader."""
    torch.manual_seed(3)
    model = SpectralTokenizer(ModelConfig.of_size("tiny", embedding_size=8, reader_places=30))
    centre, half = patches(31_000, 20)
    value = torch.randn(2, 20, 16)
    valid = torch.ones(2, 20, dtype=torch.bool)
    grid = (part.expand(2, -1) for part in (centre, half))
    batch = TokenBatch(value, *grid, valid, torch.ones(2))
    plain = SpectralTokenizer(ModelConfig.of_size("tiny", embedding_size=8))
    plain.load_state_dict(model.state_dict(), strict=False)
    with torch.inference_mode():
        assert torch.equal(model.eval().embed(batch), plain.eval().embed(batch))


def test_places_survive_storage_in_half_precision(tmp_path):
    model = SpectralTokenizer(ModelConfig.of_size("tiny", embedding_size=8, reader_places=20))
    know(model.reader.reading, *patches(31_000, 20))
    spectok.save_model(model, tmp_path / "model", half=True)
    again = spectok.load_model(tmp_path / "model")
    assert torch.equal(again.reader.reading.place, model.reader.reading.place)
    assert torch.equal(again.reader.reading.length, model.reader.reading.length)
    # And the weights are known to be those that were stored, whole numbers among them.
    known = model_identity(again)
    assert again.origin.stored == torch.float16
    assert model_identity(copy.deepcopy(again)) == known
    with torch.no_grad():
        again.reader.queries[0, 0] += 1e-3
    assert model_identity(again)[1] != known[1]
    assert again.config.reader_places == 20


def test_embeddings_of_tokens_at_rest_are_read_with_them():
    """From a spectrum to its embedding: the patches of to_rest_frame are the places."""
    rng = np.random.default_rng(0)
    wavelength = 10.0 ** (3.68 + 4e-6 * np.arange(1600))
    flux = 1.0 - 0.3 * np.exp(-0.5 * ((wavelength - 4810.0) / 0.3) ** 2)
    flux = flux + rng.normal(0, 0.01, (2, 1600))
    found = {}
    for known in (True, False):
        torch.manual_seed(5)
        model = SpectralTokenizer(ModelConfig.of_size("tiny", embedding_size=8, reader_places=40))
        if known:
            first = int(np.ceil(3.68 / STEP))
            centre, half = patches(first, 40)
            # Tokens count half of a patch to the middle of its last pixel.
            know(model.reader.reading, centre, 31 / 32 * half)
        tokens = spectok.encode_arrays(wavelength, flux, ivar=np.full((2, 1600), 1e4), model=model)
        rest = spectok.to_rest_frame(tokens, 1e-4, step=STEP)
        if known:
            batch = to_token_batch(sequences(rest))
            there = model.reader.reading.which(batch.wavelength, batch.half)[1]
            assert there.sum(1).tolist() == [40, 40]
            both = [spectok.embed(some, model=model)["embedding"] for some in (tokens, rest)]
        else:
            # And of a step that nobody knows it is said.
            with pytest.warns(AstropyUserWarning, match="2 of 2 spectra at rest have no token at"):
                both = [spectok.embed(some, model=model)["embedding"] for some in (tokens, rest)]
        found[known] = both
    seen, rest = zip(found[True], found[False], strict=True)
    assert np.array_equal(*seen) and not np.allclose(*rest)


def test_light_curves_have_no_places():
    with pytest.raises(ValueError, match="reader_places are of wavelengths"):
        ModelConfig.of_size("tiny", coordinate_unit="d", reader_places=4)


def test_a_training_may_leave_spectra_unread(reading):
    """All places of a spectrum or none, spectrum by spectrum."""
    tokens = tokens_at(*patches(31_000, PLACES), n=200)
    whole = reading(*tokens)
    reading.unread = 0.5
    torch.manual_seed(0)
    some = reading(*tokens)
    left = ~some.any(1)
    assert 70 < int(left.sum()) < 130
    assert torch.equal(some[~left], whole[~left])
    reading.unread = 1.0
    assert not reading(*tokens).any()
