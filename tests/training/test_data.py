"""Batches: a function of number and seed alone, of one source and one length."""

import numpy as np
import pytest
import torch
from astropy.utils.exceptions import AstropyDeprecationWarning
from torch.utils.data import DataLoader

from spectok.training import (
    Batches,
    MockSpectra,
    RealSpectra,
    pack_spectra,
    training_simulators,
)
from spectok.training._data import _SHUFFLED

EACH_WAY = pytest.mark.parametrize("draw_batches", [1, 4])


@pytest.fixture(scope="module", params=[1, 4], ids=["alone", "at_once"])
def batches(request, batches_of):
    return batches_of(draw_batches=request.param)


def test_a_batch_depends_on_its_number_and_the_seed_alone(batches, batches_of, same):
    """Neither on what was asked for before, nor on draws that have been thrown away."""
    first = batches[7]
    for number in (3, 8, 2000, 5, 64):
        batches[number]
    assert same(first, batches[7])
    assert same(first, batches_of(draw_batches=batches.draw_batches)[7])
    assert not same(first, batches[8])
    assert not same(first, batches_of(draw_batches=batches.draw_batches, seed=4)[7])


@pytest.mark.parametrize("num_workers", [0, 2])
def test_workers_hand_out_the_same_batches(batches, num_workers, same):
    loader = DataLoader(batches, sampler=range(1, 9, 2), batch_size=None, num_workers=num_workers)
    for number, batch in zip(range(1, 9, 2), loader, strict=True):
        assert same(batch, batches[number])


def test_what_a_batch_holds(waves, batches_of):
    batch = batches_of(sources={"waves": waves()})[0]
    assert batch.seen.wavelength.dtype == torch.float64
    assert batch.hidden.shape == batch.seen.flux.shape and batch.hidden.any()
    assert batch.target is batch.seen
    # A noisy pixel that was seen counts less than one that was not.
    valid = batch.seen.valid
    assert (batch.weight[batch.hidden & valid] == 1).all()
    assert torch.allclose(batch.weight[~batch.hidden & valid], torch.tensor(0.2))
    assert batch.noiseless.shape == (len(batch.seen.flux), 1) and not batch.noiseless.any()
    moved = batch.to("cpu")
    assert moved.target is moved.seen


def test_truth_counts_in_full(waves, batches_of):
    batch = batches_of(sources={"mocks": waves(noiseless=True)})[0]
    assert batch.noiseless.all() and (batch.weight == 1).all()
    assert batch.hidden.shape == batch.seen.flux.shape != batch.target.flux.shape


def test_a_batch_is_of_one_source_and_one_length(batches_of):
    """And has as many spectra as its tokens allow."""
    kinds, lengths = set(), set()
    for batch in map(batches_of().__getitem__, range(40)):
        n_patches = batch.seen.flux.shape[1] // 32
        assert len(batch.seen.flux) == round(32 / n_patches)
        kinds.add(bool(batch.noiseless[0]))
        lengths.add(n_patches)
        assert (batch.noiseless == batch.noiseless[0]).all()
    assert kinds == {True, False} and {8, 6, 4} < lengths and len(lengths) <= 6


def test_hidden_share_is_passed_on(waves, batches_of):
    def seen(share):
        batches = batches_of(sources={"waves": waves()}, hidden_share=share)
        return [batches[number] for number in range(20)]

    for batch in seen((0.0, 0.0)):
        assert not batch.hidden.any() and torch.allclose(batch.weight, torch.tensor(0.2))
    means = [
        float(torch.cat([b.hidden.float().flatten() for b in seen(share)]).mean())
        for share in ((0.02, 0.02), (0.5, 0.5))
    ]
    assert means[0] < 0.15 < 0.3 < means[1]


def test_batches_drawn_at_once_come_apart_and_none_is_lost(waves, batches_of):
    """Each spectrum of so many draws is handed out once, in another order than drawn."""
    source = waves()
    batches = batches_of(sources={"waves": source}, draw_batches=4)
    seen = [batches[number] for number in range(4 * _SHUFFLED)]
    first = [float(flux) for batch in seen for flux in batch.seen.flux.sum(1)]
    assert len(source.asked) == _SHUFFLED and sum(source.asked) == len(first) == len(set(first))
    # Neighbours rarely are of one draw: those would have one length, and lengths are many.
    shapes = [batch.seen.flux.shape[1] for batch in seen]
    assert np.mean(np.diff(shapes) != 0) > 0.5
    assert len(batches[4 * _SHUFFLED].seen.flux) and len(source.asked) == _SHUFFLED + 1
    # What is hidden is drawn for each batch.
    one = [b.hidden for b in seen if b.hidden.shape == seen[0].hidden.shape]
    assert len(one) > 4 and not any(torch.equal(one[0], other) for other in one[1:])


@EACH_WAY
def test_spectra_without_good_pixels_are_left_out(draw_batches, waves, batches_of):
    """In either part; all others of the draw stay."""

    class Half(waves):
        def draw(self, *args):
            drawn = super().draw(*args)
            drawn.seen.valid[1::4, 3:] = False
            drawn.target.valid[2::4, 3:] = False
            return drawn

    for noiseless in (False, True):
        source = Half(noiseless)
        batches = batches_of(sources={"half": source}, draw_batches=draw_batches)
        found = [batches[number] for number in range(_SHUFFLED * draw_batches)]
        for batch in found:
            for part in (batch.seen, batch.target):
                assert (part.valid.float().mean(1) > 0.4).all()
        kept = [sum(k % 4 in (0, 3) for k in range(n)) for n in source.asked]
        # The batches of a draw are alike: where they do not come out even, some are in two.
        expected = sum(draw_batches * -(-n // draw_batches) for n in kept)
        assert sum(len(batch.seen.flux) for batch in found) == expected


class Dead:
    """Not one good pixel, of not one spectrum even where ``empty``."""

    def __init__(self, source, empty):
        self.source, self.empty, self.asked = source, empty, 0

    def draw(self, rng, survey, n, *shape):
        self.asked += n
        drawn = self.source.draw(rng, survey, n, *shape)
        drawn.seen.valid[:] = False
        return drawn[:0] if self.empty else drawn


@EACH_WAY
@pytest.mark.parametrize("empty", [False, True])
def test_sources_of_nothing_are_named_and_not_asked_on_and_on(
    draw_batches, empty, waves, batches_of
):
    dead = Dead(waves(), empty)
    batches = batches_of(sources={"dead": dead}, draw_batches=draw_batches)
    with pytest.raises(ValueError, match=r"of \d+ sdss spectra in a row .*: look at .* dead$"):
        batches[0]
    assert 1000 < dead.asked < 1500


@pytest.mark.slow
def test_sources_are_asked_in_proportion(waves):
    """To their shares of tokens, whatever the length of a survey's spectra."""
    sources = {name: waves() for name in "abc"}
    patches = {"short": 2, "long": 8}
    mixture = {"short": {"a": 2.0, "b": 1.0}, "long": {"b": 1.0, "c": 2.0}}
    tokens = dict.fromkeys([("short", "a"), ("short", "b"), ("long", "b"), ("long", "c")], 0)

    for name, source in sources.items():

        def draw(rng, survey, n, n_patches, patch_size, name=name, source=source):
            tokens[survey, name] += n * n_patches
            return type(source).draw(source, rng, survey, n, n_patches, patch_size)

        source.draw = draw
    batches = Batches(sources, mixture, patch_size=32, n_tokens=64, seed=3, patches=patches)
    for number in range(600):
        batches[number]
    total = sum(tokens.values())
    assert total == pytest.approx(600 * 64, rel=0.02)
    shares = [count / total for count in tokens.values()]
    assert shares == pytest.approx([1 / 3, 1 / 6, 1 / 6, 1 / 3], abs=0.05)


def test_a_survey_of_unknown_length_is_named(waves):
    with pytest.raises(ValueError, match="patches must say how many .* of manga has"):
        Batches({"a": waves()}, {"manga": {"a": 1.0}}, patch_size=32, n_tokens=64, seed=3)


def test_a_source_that_the_mixture_invents_is_named(waves):
    with pytest.raises(ValueError, match="mixture names real, but the sources are mock"):
        Batches(
            {"mock": waves()}, {"sdss": {"real": 1.0, "mock": 1.0}},
            patch_size=32, n_tokens=64, seed=3,
        )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("draw_batches", [1, 4])
def test_next_to_nothing_is_padding(padding, draw_batches):
    """In batches of all four surveys, on both sides."""
    simulators = training_simulators()
    batches = Batches(
        {"mock": MockSpectra(simulators)}, {name: {"mock": 1.0} for name in simulators},
        patch_size=32, n_tokens=512, seed=1, draw_batches=draw_batches,
    )  # fmt: skip
    found = [batches[number] for number in range(64)]
    assert padding(found) < 0.05
    # Nor are there few pixels in the patches.
    assert np.mean([float(b.seen.valid.float().mean()) for b in found]) > 0.85


def test_heavier_hiding_comes_on_top(waves, batches_of):
    """The blocks stay those that they were, and so does all else."""
    lines = {"lines": {"number": (3, 3), "pixels": (20, 20)}}
    plain, heavy = (batches_of(sources={"waves": waves()}, hidden=kind)[3] for kind in ({}, lines))
    assert torch.equal(plain.seen.flux, heavy.seen.flux)
    assert (heavy.hidden | plain.hidden).equal(heavy.hidden)
    # Three windows of 20 pixels in spectra of 32, part of them in what is hidden anyway.
    assert 10 < (heavy.hidden & ~plain.hidden).sum(1).float().mean() < 32
    assert (heavy.weight[heavy.hidden] == 1).all()


@pytest.mark.parametrize(
    "shares", [{"waves": 0.0}, {"waves": -0.2}, {"waves": float("nan")}, {}], ids=str
)
def test_a_mixture_of_nothing_is_refused_at_once(waves, batches_of, shares):
    with pytest.raises(ValueError, match="the mixture's shares of sdss must be"):
        Batches({"waves": waves()}, {"sdss": shares}, patch_size=32, n_tokens=9, seed=1)
    with pytest.raises(ValueError, match="names no survey"):
        Batches({"waves": waves()}, {}, patch_size=32, n_tokens=9, seed=1)


def test_few_short_spectra_fill_large_batches():
    ones = np.ones(20)
    pack = pack_spectra([(0, 4000 + ones.cumsum(), ones, 0.1 * ones, ones > 0)])
    source = {"mine": RealSpectra(pack)}
    batches = Batches(source, {"sdss": {"mine": 1.0}}, patch_size=32, n_tokens=30000, seed=1)
    batch = batches[0]
    assert len(batch.seen.flux) > 100 and batch.seen.flux.isfinite().all()


def test_the_old_name_of_draw_batches_warns(batches_of, same):
    with pytest.warns(AstropyDeprecationWarning, match="together is called draw_batches"):
        old = batches_of(together=4)
    assert same(old[3], batches_of(draw_batches=4)[3])
