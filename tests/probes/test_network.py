"""The network: what must not matter does not, and everything else does."""

import numpy as np
import pytest
import torch

from spectok.probes._network import ProbeBatch, ProbeConfig, ProbeNetwork
from spectok.probes._sequences import make_batch
from spectok.probes._token_grid import choose_grid

LENGTHS = [3, 8, 8, 5, 1, 12]


def network_of(items, *, reading=8, blocks=1, seed=0, grid=None):
    """A network whose last map is not zero, prepared on items."""
    grid = choose_grid(items, 512) if grid is None else grid
    config = ProbeConfig(
        token_size=items[0]["token"].shape[-1], n_outputs=3, grid_size=len(grid),
        reading=reading, width=16, heads=2, blocks=blocks, queries=2,
    )  # fmt: skip
    torch.manual_seed(seed)
    network = ProbeNetwork(config)
    torch.nn.init.normal_(network.head[-1].weight)
    network.prepare(torch.from_numpy(grid), [make_batch(items)])
    return network.eval()


@pytest.fixture(scope="module")
def items(make_items):
    return make_items(LENGTHS)


@pytest.fixture(scope="module")
def network(items):
    return network_of(items)


def say(network, items):
    with torch.inference_mode():
        return network(make_batch(items))


@pytest.mark.parametrize("reading", [0, 8])
@pytest.mark.parametrize("blocks", [0, 2])
def test_alone_and_in_a_batch_of_other_lengths(reading, blocks, items):
    network = network_of(items, reading=reading, blocks=blocks)
    together = say(network, items)
    assert together.shape == (len(items), 3) and together.std(0).min() > 0.05
    for row in range(len(items)):
        assert torch.allclose(say(network, items[row : row + 1])[0], together[row], atol=1e-5)


def test_padding_is_unseen(items, network):
    batch = make_batch(items)
    junk = torch.where(batch.valid.unsqueeze(-1), batch.token, 1e4)
    place = torch.where(batch.valid, batch.wavelength, 4321.0)
    with torch.inference_mode():
        other = network(ProbeBatch(junk, place, batch.valid))
    assert torch.allclose(other, say(network, items), atol=1e-5)


def test_order_of_tokens_does_not_matter(items, network):
    rng = np.random.default_rng(1)
    turned = items.copy()
    for row, item in enumerate(items):
        turned[row] = item[rng.permutation(len(item))]
    assert any((a != b).any() for a, b in zip(items, turned, strict=True))
    assert torch.allclose(say(network, turned), say(network, items), atol=1e-5)


@pytest.mark.parametrize("reading", [0, 8])
def test_wavelengths_and_tokens_matter(reading, items):
    network = network_of(items, reading=reading)
    before = say(network, items[1:2])
    for name, index in (("wavelength", 2), ("token", (2, 1))):
        other = items[1:2].copy()
        other[0] = other[0].copy()
        other[0][name][index] += 7.0
        assert (say(network, other) - before).abs().max() > 1e-3, name


def test_every_parameter_learns(items, network):
    network.zero_grad()
    network(make_batch(items)).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name
        assert torch.isfinite(parameter.grad).all(), name


def test_a_new_network_says_its_bias(items):
    grid = choose_grid(items, 512)
    config = ProbeConfig(token_size=4, n_outputs=3, grid_size=len(grid), width=16, heads=2)
    network = ProbeNetwork(config).eval()
    network.prepare(torch.from_numpy(grid), [make_batch(items)])
    assert torch.equal(say(network, items), network.head[-1].bias.expand(len(items), -1))


def test_without_the_grid(items):
    network = network_of(items, reading=0)
    assert network.read is None and torch.isfinite(say(network, items)).all()


def test_reading_takes_what_stands_on_the_grid(items):
    network = network_of(items[1:2])
    with torch.no_grad():  # the queries find nothing
        network.query.zero_()
        network.key_value.weight.zero_()
    between, changed = (np.empty(1, object) for _ in range(2))
    between[0] = np.concatenate([items[1], items[1][2:3]])
    between[0]["wavelength"][-1] += 3.0
    changed[0] = items[1].copy()
    changed[0]["token"][2] += 1.0
    own = say(network, items[1:2])
    assert torch.allclose(say(network, between), own, atol=1e-5)
    assert not torch.allclose(say(network, changed), own, atol=1e-2)


def test_the_fast_path_of_one_grid_is_the_slow_one(items):
    same = items[[1, 2]]
    full = network_of(same)
    fast = say(full, same)
    batch = make_batch(same)
    assert (batch.wavelength == full.grid).all()
    # One more place of padding, and the grids are no longer equal.
    padded = ProbeBatch(
        torch.nn.functional.pad(batch.token, (0, 0, 0, 1)),
        torch.nn.functional.pad(batch.wavelength, (0, 1), value=1.0),
        torch.nn.functional.pad(batch.valid, (0, 1)),
    )
    with torch.inference_mode():
        assert torch.allclose(full(padded), fast, atol=1e-5)


def test_spectra_beyond_the_grid(items, make_items, network):
    far = make_items([6, 6], start=15000.0, seed=4)
    found = say(network, far)
    assert torch.isfinite(found).all()
    # Nothing is read on the grid, but the queries still tell them apart.
    with torch.no_grad():
        reading = network_of(items)
        reading.query.zero_()
        reading.key_value.weight.zero_()
    blind = say(reading, far)
    assert torch.allclose(blind[0], blind[1], atol=1e-6)
    assert not torch.allclose(found[0], found[1], atol=1e-2)


@pytest.mark.parametrize("size", [1e4, -1e4, 60.0, 0.0])
def test_extreme_tokens_stay_finite(size, make_items):
    items = make_items([8, 8, 3])
    for item in items:
        item["token"][1:] = size
    network = network_of(items).train()
    found = network(make_batch(items))
    found.square().sum().backward()
    assert torch.isfinite(found).all()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters())


@pytest.mark.parametrize("rows", [[2], [0, 2], [2, 2]])
def test_empty_items_say_something_finite(rows, make_items, network):
    items = make_items([8, 4, 0])[rows]
    assert torch.isfinite(say(network, items)).all()


def test_phases_are_computed_in_float64():
    from spectok.model._embedding import phases

    place = torch.tensor([[16_943.21, 15_151.515, 16_999.999]], dtype=torch.float64)
    found = phases(place, (4.0, 65536.0), 5)
    period = np.geomspace(4.0, 65536.0, 5)
    expected = (place.numpy()[..., None] / period) % 1.0
    off = np.abs(found.numpy() - expected)
    assert np.minimum(off, 1 - off).max() < 1e-6
    assert found.dtype == torch.float32
    # The wrong way is far off.
    rough = (place.float().numpy()[..., None] / period.astype(np.float32)) % 1.0
    assert np.abs(rough - expected).max() > 1e-5


def test_the_grid_keeps_its_float64(items, network):
    """On devices that have none, and after a cast of the weights."""
    import copy

    other = copy.deepcopy(network).half()
    assert other.grid.dtype == torch.float64 and other.query.dtype == torch.float16
    assert copy.deepcopy(network).to("meta").grid.device.type == "cpu"
    assert set(network.state_dict()) >= {"grid", "grid_mean", "token_mean"}


def test_standardised_by_what_is_known(make_items):
    items = make_items([8] * 50, seed=3)
    items[3] = items[3][:4]
    network = network_of(items)
    token = np.concatenate([item["token"] for item in items]).astype(np.float64)
    cosines = np.sinh(token[:, :-1]) / 8.0
    contrast = 0.5 * np.arcsinh(cosines * np.exp(-token[:, -1:]))
    every = np.concatenate([token, contrast], 1)
    assert np.allclose(network.token_mean, every.mean(0), atol=1e-5)
    assert np.allclose(network.token_std, every.std(0), rtol=1e-4)
    # The sixth place of the grid: row 3 has no token there.
    sixth = np.stack([item["token"][6] for row, item in enumerate(items) if row != 3])
    assert np.allclose(network.grid_mean[6, :4], sixth.mean(0), atol=1e-5)
    assert np.allclose(network.grid_std[6, :4], sixth.std(0), rtol=1e-4)


def test_what_never_varies_is_divided_by_one(make_items):
    items = make_items([8] * 5)
    for item in items:
        item["token"][:, 2] = 3.0
    network = network_of(items)
    assert network.token_std[2] == 1 and (network.grid_std[:, 2] == 1).all()
    assert torch.isfinite(say(network, items)).all()
