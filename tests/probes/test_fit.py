"""The training loop: what it keeps, when it ends, what it sees."""

import numpy as np
import pytest
import torch

from spectok.probes._fit import _SHORTEST, FitOptions, _epoch, fit_network, outputs, seeded
from spectok.probes._network import ProbeConfig, ProbeNetwork
from spectok.probes._sequences import make_batch

OPTIONS = {
    "learning_rate": 3e-3, "weight_decay": 0.1, "batch_size": 16, "max_epochs": 4, "patience": 9,
    "seed": 0, "device": "cpu", "progress": False,
}  # fmt: skip


def squares(output, target):
    return (output - target).square().mean(-1)


@pytest.fixture(scope="module")
def data(planted):
    items = planted.items[:120]
    target = torch.from_numpy((planted.number[:120, None] - 5000) / 200).float()
    return items, target


def network_of(items):
    grid = items[0]["wavelength"]
    config = ProbeConfig(
        token_size=4, n_outputs=1, grid_size=len(grid), reading=8, width=16, heads=2, queries=2
    )
    torch.manual_seed(1)
    network = ProbeNetwork(config)
    network.prepare(torch.from_numpy(grid.copy()), [make_batch(items)])
    return network


def fit(data, held_out=(), weight=None, **changes):
    items, target = data
    network = network_of(items)
    weight = torch.ones(len(items)) if weight is None else weight
    held_out = np.array(held_out, int)
    options = FitOptions(**{**OPTIONS, **changes})
    history = fit_network(network, items, target, squares, options, held_out, weight)
    return network, history


def loss_on(network, data, rows):
    items, target = data
    return float(squares(outputs(network, items[rows], 16), target[rows]).mean())


@pytest.mark.slow
def test_it_learns(data):
    network, history = fit(data, max_epochs=10)
    assert len(history["loss"]) == 10 and history["held_out"] == []
    assert history["loss"][-1] < 0.5 * history["loss"][0]
    rows = np.arange(120)
    assert loss_on(network, data, rows) < 0.3 * loss_on(network_of(data[0]), data, rows)
    assert not network.training


@pytest.mark.slow
def test_patience_waits_until_the_fit_has_begun(data):
    """A rate that still warms up says nothing of what is to come."""
    items, target = data
    held = np.arange(0, 120, 6)
    wrong = target.clone()
    wrong[held] = -wrong[held]
    history = fit((items, wrong), held, max_epochs=30, patience=1)[1]
    assert len(history["loss"]) * 16 > 200


def test_the_best_state_comes_back(data, monkeypatch):
    """Held-out labels that contradict the others: every epoch is worse than an earlier one."""
    items, target = data
    held = np.arange(0, 120, 6)
    wrong = target.clone()
    wrong[held] = -wrong[held]
    states = []
    import spectok.probes._fit as module

    plain = module.outputs

    def spied(network, *rest):
        states.append({k: v.clone() for k, v in network.state_dict().items()})
        return plain(network, *rest)

    monkeypatch.setattr(module, "outputs", spied)
    monkeypatch.setattr(module, "_SETTLED", 0)
    network, history = fit((items, wrong), held, max_epochs=30, patience=3, learning_rate=1e-2)
    best = int(np.argmin(history["held_out"]))
    assert len(history["held_out"]) == len(history["loss"]) == best + 1 + 3 < 30
    assert min(history["held_out"]) == pytest.approx(loss_on(network, (items, wrong), held))
    for name, value in network.state_dict().items():
        assert torch.equal(value, states[best][name]), name
    assert any(not torch.equal(v, states[-1][k]) for k, v in network.state_dict().items())


def test_held_out_rows_are_not_trained_on(data):
    items, target = data
    held = np.arange(0, 120, 6)
    other = target.clone()
    other[held] += 100.0
    a, b = (fit((items, t), held, max_epochs=1)[0].state_dict() for t in (target, other))
    assert all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.slow
def test_weights_count(data):
    items, target = data
    weight = torch.ones(120)
    weight[:60] = 0.0
    other = target.clone()
    other[:60] = 50.0
    a, b = (fit((items, t), weight=weight)[0].state_dict() for t in (target, other))
    assert all(torch.equal(a[name], b[name]) for name in a)
    held = np.arange(0, 120, 6)
    weight = torch.arange(120.0)
    network, history = fit(data, held, weight=weight, max_epochs=1)
    each = squares(outputs(network, items[held], 16), target[held])
    assert history["held_out"][0] == pytest.approx(float((each * weight[held]).mean()), rel=1e-5)


def test_a_fit_that_diverges_says_so(data):
    items, target = data
    with pytest.raises(RuntimeError, match="loss is nan in epoch 1: give a lower learning_rate"):
        fit((items, target * torch.nan))


@pytest.mark.parametrize(("progress", "shown"), [(True, True), (False, False), (None, False)])
def test_progress(progress, shown, data, capsys):
    fit(data, max_epochs=1, progress=progress)
    said = capsys.readouterr()
    assert ("fitting" in said.err) == shown and not said.out


@pytest.mark.parametrize("n", [1, 3, 16, 100, 700])
def test_an_epoch_sees_every_row(n):
    rng = np.random.default_rng(0)
    rows, lengths = np.arange(n) + 5, np.arange(n + 5) % 7
    batches = list(_epoch(rows, lengths, 16, rng))
    seen = np.concatenate(batches)
    count = np.bincount(seen, minlength=n + 5)[5:]
    assert set(seen) == set(rows) and count.max() - count.min() <= 1
    assert len(batches) == max(_SHORTEST, -(-n // 16))
    assert all(len(batch) == min(n, 16) for batch in batches)


def test_batches_of_an_epoch_are_of_similar_length():
    lengths = np.random.default_rng(1).integers(1, 100, 800)
    batches = list(_epoch(np.arange(800), lengths, 16, np.random.default_rng(0)))
    spread = np.mean([lengths[batch].std() for batch in batches])
    assert spread < 0.4 * lengths.std()
    other = list(_epoch(np.arange(800), lengths, 16, np.random.default_rng(1)))
    assert not np.array_equal(other[0], batches[0])


def test_outputs_in_the_order_of_the_rows(data, make_items):
    items = make_items([8, 2, 5, 8, 1, 0, 3])
    network = network_of(data[0])
    torch.nn.init.normal_(network.head[-1].weight)
    together = outputs(network, items, 3)
    alone = torch.cat([outputs(network, items[k : k + 1], 3) for k in range(len(items))])
    assert torch.allclose(together, alone, atol=1e-5)


def test_seeded_leaves_no_trace():
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    with seeded(3):
        a = torch.randn(4)
    assert torch.equal(torch.random.get_rng_state(), before)
    with seeded(3):
        assert torch.equal(torch.randn(4), a)
    with pytest.raises(KeyError), seeded(3):
        raise KeyError
    assert torch.equal(torch.random.get_rng_state(), before)
