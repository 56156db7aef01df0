"""Training of the reader by matching views."""

import csv
import dataclasses

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from spectok import ModelConfig, SpectralTokenizer
from spectok._batch import TokenBatch
from spectok.model._shared import on_shared_patches
from spectok.training import ViewPack, cut_views, fit_reader, open_views, shared_places
from spectok.training._match import Drawer, match_loss

NUMBER, SIZE = 24, 16


def view_of(seed, objects, noise):
    """Tokens of objects that differ in their first cosines, with noise of this view's own."""
    rng = np.random.default_rng(seed)
    kept = np.random.default_rng(0).normal(size=(objects, 1, SIZE)).repeat(NUMBER, 1)
    value = torch.from_numpy(kept + noise * rng.normal(size=(objects, NUMBER, SIZE))).float()
    place = 4000.0 * torch.exp(0.01 * torch.arange(NUMBER, dtype=torch.float64))[None]
    valid = torch.from_numpy(rng.random((objects, NUMBER)) > 0.05)
    return {
        "value": torch.where(valid.unsqueeze(-1), value, 0.0),
        "wavelength": place,
        "half": 0.005 * place,
        "valid": valid,
    }


@pytest.fixture
def pack():
    truth = torch.rand((64, 100), generator=torch.Generator().manual_seed(0))
    truth[:, :7] = torch.nan
    return ViewPack({"a": view_of(1, 64, 0.3), "b": view_of(2, 64, 0.6)}, truth)


def new_model():
    torch.manual_seed(1)
    return SpectralTokenizer(ModelConfig.of_size("tiny", embedding_size=12, reader_width=32))


def test_loss_by_hand():
    rng = np.random.default_rng(3)
    first, second = rng.normal(size=(2, 5, 4))
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (first, second)]
    both = np.concatenate(unit)
    costs = []
    for k in range(10):
        others = [j for j in range(10) if j != k]
        logits = 7.0 * both[others] @ both[k]
        own = 7.0 * both[(k + 5) % 10] @ both[k]
        costs.append(np.log(np.exp(logits).sum()) - own)
    loss, right = match_loss(torch.from_numpy(first), torch.from_numpy(second), torch.tensor(7.0))
    assert float(loss) == pytest.approx(np.mean(costs), rel=1e-6)
    assert 0.0 <= float(right) <= 1.0
    assert float(match_loss(torch.eye(4), torch.eye(4), torch.tensor(9.0))[1]) == 1.0


def test_draws_are_a_function_of_the_generator(pack):
    one, truth = pack.draw(np.random.default_rng(5), 16, 4)
    two, again = pack.draw(np.random.default_rng(5), 16, 4)
    assert all(torch.equal(a[k], b[k]) for a, b in zip(one, two, strict=True) for k in a)
    assert torch.equal(truth.nan_to_num(), again.nan_to_num())


def test_two_views_of_the_same_objects():
    """Rows belong together, whole groups are cut, and nothing unusable comes."""
    number = torch.arange(40.0)
    views = {}
    for name in ("a", "b"):
        view = view_of(1, 40, 0.0)
        view["value"] = number[:, None, None].expand(-1, NUMBER, SIZE).clone()
        view["valid"] = torch.ones(40, NUMBER, dtype=torch.bool)
        views[name] = view
    views["a"]["valid"][:10] = False
    pack = ViewPack(views, number[:, None])
    lengths = set()
    for seed in range(40):
        (one, two), truth = pack.draw(np.random.default_rng(seed), 30, 4)
        assert torch.equal(one["value"][:, 0, 0], two["value"][:, 0, 0])
        assert torch.equal(one["value"][:, 0, 0], truth[:, 0])
        assert (truth[:, 0] >= 10).all()
        for view in (one, two):
            n = view["value"].shape[1]
            assert view["wavelength"].shape == view["half"].shape == (1, n)
            assert (view["wavelength"].diff() > 0).all()
            lengths.add(n)
    assert len(lengths) >= 3 and all(n % 4 == 0 for n in lengths)


@pytest.mark.slow
def test_it_learns_to_match(pack, tmp_path):
    model = fit_reader(
        new_model(), {"toy": (1.0, pack)}, tmp_path, steps=60, batch=32, warmup=5,
        ema_decay=0.5, accelerator="cpu", checkpoint_every=20, progress=False,
    )  # fmt: skip
    rows = np.genfromtxt(tmp_path / "log.csv", delimiter=",", names=True)
    assert rows["match"][-1] < 0.7 * rows["match"][0]
    assert rows["drawing"][-1] < rows["drawing"][0]
    assert not model.training and not any(p.requires_grad for p in model.parameters())


def test_packs_are_drawn_on_grids_of_their_own(pack, tmp_path):
    views = {"a": view_of(3, 40, 0.3), "b": view_of(4, 40, 0.3)}
    other = ViewPack(views, torch.rand((40, 30), generator=torch.Generator().manual_seed(1)))
    packs = {"one.first": (0.5, pack), "other": (0.5, other), "bare": (0.5, ViewPack(views))}
    fit_reader(
        new_model(), packs, tmp_path, steps=12, batch=16, accelerator="cpu",
        checkpoint_every=12, progress=False,
    )  # fmt: skip
    (row,) = csv.DictReader((tmp_path / "log.csv").read_text().splitlines())
    assert all(0.0 <= float(row[f"right {name}"]) <= 1.0 for name in packs)
    assert np.isfinite(float(row["drawing"]))


def test_errors_of_drawing_are_in_units_of_what_is_usual():
    truth = 5.0 + 0.02 * torch.randn((300, 200), generator=torch.Generator().manual_seed(2))
    truth[:, :20] = torch.nan
    draw = Drawer(4, truth)
    # Before it has learned, the mean of all: off by what is usual, whole and in what is narrow.
    with torch.no_grad():
        assert float(draw(torch.randn(300, 4), truth)) == pytest.approx(2.0, rel=1e-3)
    # By hand, without the average over neighbours: scatter of asinh(flux) where it is known.
    known = truth[:, 20:].double().asinh().numpy()
    assert float(draw.whole) == pytest.approx(known.std(0).mean(), rel=0.02)


def test_only_the_reader_changes(pack, tmp_path):
    before = {k: v.clone() for k, v in new_model().state_dict().items()}
    model = fit_reader(
        new_model(), {"toy": (1.0, pack)}, tmp_path, steps=3, batch=16, accelerator="cpu",
        progress=False,
    )  # fmt: skip
    moved = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    assert moved and all(k.startswith("reader.") for k in moved)


@pytest.mark.slow
@pytest.mark.parametrize("places", [0, NUMBER])
def test_resumed_is_uninterrupted(pack, tmp_path, places):
    """With places, where numbers are dropped by chance, too: whatever else draws chance beside."""
    options = dict(batch=16, accelerator="cpu", progress=False, checkpoint_every=2, warmup=2)
    packs = {"toy": (1.0, ViewPack(pack.views, pack.truth, ("a",)))}

    def new_model():
        return with_places(places)

    def draw(model):
        torch.rand(3)
        return {}

    whole = fit_reader(new_model(), packs, tmp_path / "whole", steps=6, validate=draw, **options)

    class Cut(Exception):
        pass

    def stop(model):
        if (tmp_path / "cut" / "checkpoint.pt").exists():
            raise Cut
        return {}

    with pytest.raises(Cut):
        fit_reader(new_model(), packs, tmp_path / "cut", steps=6, validate=stop, **options)
    again = fit_reader(new_model(), packs, tmp_path / "cut", steps=6, **options)
    for key, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[key]), key


def test_a_checkpoint_of_other_packs_is_refused(pack, tmp_path):
    other = ViewPack({"a": view_of(3, 40, 0.3), "b": view_of(4, 40, 0.3)}, torch.rand(40, 100))
    options = dict(batch=16, accelerator="cpu", progress=False)
    both = {"one": (0.5, pack), "two": (0.5, other)}
    fit_reader(new_model(), both, tmp_path, steps=2, **options)
    turned = dict(reversed(both.items()))
    with pytest.raises(ValueError, match="made with packs .*one.*two.* instead of .*two.*one"):
        fit_reader(new_model(), turned, tmp_path, steps=4, **options)
    with pytest.raises(ValueError, match="does not fit this run"):
        fit_reader(new_model(), {"one": (1.0, pack)}, tmp_path, steps=4, **options)
    fit_reader(new_model(), both, tmp_path, steps=4, **options)


def test_validation_sees_the_averaged_reader(pack, tmp_path):
    seen = []
    shared = ViewPack(pack.views, pack.truth, ("a",))
    view = pack.views["a"]

    def embeddings(reader):
        features = reader.features(view["value"], view["valid"])
        with torch.inference_mode():
            return reader(features, view["wavelength"], view["half"], view["valid"])

    def validate(model):
        seen.append(embeddings(model.reader))
        return {"figure": 1.5}

    model = fit_reader(
        with_places(NUMBER), {"toy": (1.0, shared)}, tmp_path, steps=2, batch=16,
        accelerator="cpu", validate=validate, progress=False,
    )  # fmt: skip
    # Nothing of it is dropped, then or later.
    (found,) = seen
    assert torch.allclose(found, embeddings(model.reader), atol=1e-6)
    assert torch.equal(embeddings(model.reader), embeddings(model.reader.train()))
    assert "figure" in (tmp_path / "log.csv").read_text().splitlines()[0]


def test_refusals(pack, tmp_path):
    with pytest.raises(ValueError, match="has no reader: set embedding_size"):
        fit_reader(
            SpectralTokenizer(ModelConfig.of_size("tiny")), {"toy": (1.0, pack)}, tmp_path, steps=1
        )
    with pytest.raises(ValueError, match="positive shares"):
        fit_reader(new_model(), {"toy": (0.0, pack)}, tmp_path, steps=1)
    with pytest.raises(ValueError, match="two views at least, not 1"):
        ViewPack({"a": view_of(1, 4, 0.1)})
    with pytest.raises(ValueError, match="same objects"):
        ViewPack({"a": view_of(1, 4, 0.1), "b": view_of(1, 5, 0.1)})


def test_views_without_tokens_are_refused_with_a_reason():
    views = {"a": view_of(1, 8, 0.1), "empty": view_of(2, 8, 0.1)}
    views["empty"]["valid"][:] = False
    with pytest.raises(ValueError, match="two of the views a, empty: leave out the views"):
        ViewPack(views).draw(np.random.default_rng(0), 8, 4)


def test_packs_on_disk(pack, tmp_path):
    arrays = {f"{n}.{k}": v for n, view in pack.views.items() for k, v in view.items()}
    save_file(arrays | {"truth": pack.truth}, tmp_path / "views.pack")
    again = open_views(tmp_path / "views.pack")
    assert torch.equal(again.views["b"]["value"], pack.views["b"]["value"])
    assert torch.equal(again.truth.nan_to_num(), pack.truth.nan_to_num())
    del arrays["a.half"]
    save_file(arrays, tmp_path / "lost.pack")
    with pytest.raises(ValueError, match=r"lost.pack is no pack of views, it lacks a.half"):
        open_views(tmp_path / "lost.pack")


def with_places(number):
    torch.manual_seed(1)
    sizes = dict(embedding_size=12, reader_width=32, reader_places=number, reader_reading=8)
    return SpectralTokenizer(ModelConfig.of_size("tiny", **sizes))


def test_places_are_those_of_the_shared_views(tmp_path):
    """And features are standardised at each of them, over the tokens that are valid."""
    views = {"a": view_of(1, 64, 0.3), "b": view_of(2, 64, 0.6), "seen": view_of(3, 64, 0.6)}
    views["b"] |= {key: 1.5 * views["b"][key] for key in ("wavelength", "half")}
    views["b"]["half"] = 1.2 * views["b"]["half"]
    views["seen"] |= {key: 1.01 * views["seen"][key] for key in ("wavelength", "half")}
    pack = ViewPack(views, shared=("a", "b"))
    model = with_places(2 * NUMBER)
    before = model.reader.reading.weight.detach().clone()
    fit_reader(
        model, {"toy": (1.0, pack)}, tmp_path, steps=2, batch=16, accelerator="cpu",
        progress=False,
    )  # fmt: skip
    reading = model.reader.reading
    place, length = shared_places([pack])
    assert torch.equal(reading.place, place) and torch.equal(reading.length, length)
    assert not torch.equal(reading.weight, before)
    for name, known in (("a", True), ("b", True), ("seen", False)):
        view = views[name]
        where, there = reading.which(view["wavelength"][0], view["half"][0])
        assert bool(there.all()) is known and bool(there.any()) is known
        if not known:
            continue
        seen = model.reader.features(view["value"], view["valid"])[..., :SIZE].double().numpy()
        mask = np.broadcast_to(~view["valid"].numpy()[..., None], seen.shape)
        some = np.ma.masked_array(seen, mask)
        assert np.allclose(reading.mean[where], some.mean(0), atol=1e-5)
        assert np.allclose(reading.scatter[where], np.maximum(some.std(0), 0.05), atol=1e-4)


@pytest.mark.slow
def test_matching_of_moved_lines_needs_places(tmp_path):
    """Objects differ at single places only, each view with signs and an order of its own there."""
    rng = np.random.default_rng(4)
    kept, views = rng.normal(size=(256, NUMBER, 1)), {}
    for name in ("a", "b"):
        order, sign = rng.permutation(NUMBER), rng.choice([-1.0, 1.0], NUMBER)
        view = view_of(1, 256, 0.0)
        value = np.zeros((256, NUMBER, SIZE))
        value[..., 0] = (kept[..., 0] * sign)[:, order]
        view["value"] = torch.from_numpy(value).float()
        view["valid"][:] = True
        view |= {k: (1.0 if name == "a" else 2.0) * view[k] for k in ("wavelength", "half")}
        views[name] = view
    right = {}
    for shared in ((), ("a", "b")):
        pack = ViewPack(views, shared=shared)
        folder = tmp_path / f"{len(shared)}"
        model = fit_reader(
            with_places(len(shared) * NUMBER), {"toy": (1.0, pack)}, folder, steps=300, batch=64,
            warmup=5, accelerator="cpu", checkpoint_every=100, progress=False,
        )  # fmt: skip
        # Of the whole reader: in a training step half of the spectra are matched without places.
        first, second = (
            torch.nn.functional.normalize(model.embed(TokenBatch(
                view["value"], view["wavelength"].expand(256, -1), view["half"].expand(256, -1),
                view["valid"], torch.ones(256),
            )), dim=-1)
            for view in views.values()
        )  # fmt: skip
        found = (first @ second.T).argmax(1) == torch.arange(256)
        right[len(shared)] = float(found.float().mean())
    # By chance one in 256 is.
    assert right[0] < 0.03 and right[2] > 0.12


def test_views_that_are_not_shared_are_refused(tmp_path):
    views = {"a": view_of(1, 8, 0.3), "b": view_of(2, 8, 0.6)}
    with pytest.raises(ValueError, match="view 'c' is to be on shared patches, but is not there"):
        ViewPack(views, shared=("a", "c"))
    many = views["b"] | {"wavelength": views["b"]["wavelength"].expand(8, -1)}
    with pytest.raises(
        ValueError, match="'b' is to be on shared patches, but has a grid for each"
    ):
        ViewPack({"a": views["a"], "b": many}, shared=("b",))
    with pytest.raises(TypeError, match="shared must be a tuple of names, not 'ab'"):
        ViewPack(views, shared="ab")
    pack = ViewPack(views, shared=("a",))
    with pytest.raises(ValueError, match="reader_places=5, and .* have 24 places"):
        fit_reader(with_places(5), {"toy": (1.0, pack)}, tmp_path, steps=1)


def test_which_views_are_shared_is_stored(tmp_path):
    views = {"a": view_of(1, 8, 0.3), "b": view_of(2, 8, 0.6)}
    arrays = {f"{name}.{k}": v.clone() for name, view in views.items() for k, v in view.items()}
    save_file(arrays, tmp_path / "plain")
    assert open_views(tmp_path / "plain").shared == ()
    save_file(arrays, tmp_path / "shared", metadata={"shared": "a, b"})
    assert open_views(tmp_path / "shared").shared == ("a", "b")
    assert len(shared_places([open_views(tmp_path / "shared")])[0]) == NUMBER


STEP = 0.01 / np.log(10.0)  # dex: the length of the patches of view_of


def cutting(places=0):
    torch.manual_seed(1)
    return SpectralTokenizer(
        ModelConfig.of_size(
            "tiny", embedding_size=12, reader_width=32, reader_step=STEP, reader_places=places
        )
    )


def sharp_view(objects=64):
    """Patches twenty times as short as those of view_of."""
    view = view_of(3, objects, 0.3)
    return {**view, "half": view["half"] / 20, "wavelength": 5000.0 + view["wavelength"] / 20}


def test_views_are_cut_as_the_model_cuts_tokens(pack):
    """Value by value what the reader is given by the model itself; sharp views stay."""
    model = cutting()
    mixed = ViewPack({**pack.views, "sharp": sharp_view()}, pack.truth)
    cut = cut_views(mixed, model.config)
    assert cut.shared == ("a", "b") and cut.truth is pack.truth
    assert cut.views["sharp"] is mixed.views["sharp"]
    view, given = pack.views["a"], cut.views["a"]
    assert torch.equal(given["wavelength"], cut.views["b"]["wavelength"])
    batch = TokenBatch(
        view["value"], view["wavelength"].expand(64, -1), view["half"].expand(64, -1),
        view["valid"], torch.ones(64),
    )  # fmt: skip
    ((_, wanted),) = on_shared_patches(batch, model.config)
    where = torch.isin(wanted.wavelength[0], given["wavelength"][0])
    assert torch.equal(wanted.value[:, where], given["value"])
    assert torch.equal(wanted.valid[:, where], given["valid"])
    assert not wanted.valid[:, ~where].any()


def test_what_pads_a_patch_is_not_cut(pack):
    """Where the views say how far patches reach, nothing is said of what lies beyond."""
    place = pack.views["a"]["wavelength"]
    end = place + pack.views["a"]["half"]
    end[0, -1] = place[0, -1] - 0.6 * pack.views["a"]["half"][0, -1]
    ends = {name: {**view, "end": end} for name, view in pack.views.items()}
    whole, cut = (cut_views(ViewPack(v), cutting().config) for v in (pack.views, ends))
    more = whole.views["a"]["valid"].sum(0)
    n = cut.views["a"]["valid"].shape[1]
    assert torch.equal(more[: n - 1], cut.views["a"]["valid"].sum(0)[: n - 1])
    assert whole.views["a"]["valid"].sum() > cut.views["a"]["valid"].sum()


def test_a_reader_on_shared_patches_learns_from_views_that_are_cut(pack, tmp_path):
    for view in pack.views.values():
        view["valid"][:, 10:13] = False
        view["value"][:, 10:13] = 0.0
    cut = cut_views(pack, cutting().config)
    places, _ = shared_places([cut])
    model = cutting(len(places))
    with pytest.raises(ValueError, match="views a, b of the pack 'toy' are on their own"):
        fit_reader(model, {"toy": (1.0, pack)}, tmp_path / "uncut", steps=1, accelerator="cpu")
    fit_reader(
        model, {"toy": (1.0, cut)}, tmp_path / "cut", steps=30, batch=32, warmup=5,
        accelerator="cpu", progress=False, checkpoint_every=10,
    )  # fmt: skip
    with open(tmp_path / "cut" / "log.csv") as file:
        right = [float(row["right"]) for row in csv.DictReader(file)]
    assert right[-1] > 2 * right[0]
    # What no object shows has no say.
    unseen = ~cut.views["a"]["valid"].any(0) & ~cut.views["b"]["valid"].any(0)
    assert unseen.any() and not model.reader.reading.weight[unseen].any()


def test_views_that_cannot_be_cut_are_refused(pack):
    with pytest.raises(ValueError, match="its reader_step is 0"):
        cut_views(pack, new_model().config)
    both = {key: torch.cat([pack.views["a"][key], sharp_view()[key]])
            for key in ("value", "valid")}  # fmt: skip
    for key in ("wavelength", "half"):
        both[key] = torch.cat([v[key].expand(64, -1) for v in (pack.views["a"], sharp_view())])
    mixed = ViewPack({"mixed": both, "other": both})
    with pytest.raises(ValueError, match="object 64 of the view 'mixed' has patches of quite"):
        cut_views(mixed, cutting().config)


def test_a_view_of_two_ranges_has_all_patches_between(pack):
    """Chunks of objects that nothing joins: every patch has its place, seen or not."""
    far = {**view_of(5, 600, 0.3)}
    place = far["wavelength"].expand(600, -1).clone()
    place[300:] *= 2.0
    view = {**far, "wavelength": place, "half": 0.005 * place}
    cut = cut_views(ViewPack({"a": view, "b": view}), cutting().config).views["a"]
    edge = (cut["wavelength"][0].log10() / STEP).floor()
    assert torch.equal(edge.diff(), torch.ones(len(edge) - 1, dtype=torch.float64))
    assert (cut["half"] > 0).all()
    assert not cut["valid"][:300, -5:].any() and not cut["valid"][300:, :5].any()
    assert cut["valid"][:300, :5].any() and cut["valid"][300:, -5:].any()


def test_what_begins_late_in_a_view_is_not_overlooked():
    """Whether a view is cut is a matter of all its objects, not of the first ones."""
    view = view_of(1, 600, 0.3)
    view["valid"][:300] = False
    pack = ViewPack({"a": view, "b": view_of(2, 600, 0.3)})
    assert cut_views(pack, cutting().config).shared == ("a", "b")
    empty = {**view, "valid": torch.zeros_like(view["valid"])}
    empty["valid"][599, 3] = True  # a patch that hardly any object shows, but none more often
    rare = cut_views(ViewPack({"a": empty, "b": view}), cutting().config).views["a"]
    assert rare["valid"].sum() >= 1


def test_views_that_were_cut_for_another_step_are_refused(pack, tmp_path):
    cut = cut_views(pack, cutting().config)
    assert cut_views(cut, cutting().config).shared == cut.shared  # twice is once
    torch.manual_seed(1)
    config = dataclasses.replace(cutting().config, reader_step=0.6 * STEP)
    with pytest.raises(ValueError, match="shared view 'a' is on other patches than those of"):
        cut_views(cut, config)
    with pytest.raises(ValueError, match="shared view 'a' is on other patches than those of"):
        fit_reader(
            SpectralTokenizer(config), {"toy": (1.0, cut)}, tmp_path, steps=1, accelerator="cpu"
        )
