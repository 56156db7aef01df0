"""A probe of one survey used on another, and what a given number of labels buys."""

from __future__ import annotations

import numpy as np
import torch
from _probe_data import CLASSES, SEED, encode_items, mocks
from _probe_fit import (
    STELLAR,
    class_records,
    classifiers,
    fitted,
    label_records,
    regressors,
    said,
)
from _probe_scratch import Scratch
from _probe_tasks import usable

from spectok import probes
from spectok._batch import PatchLayout, TokenBatch
from spectok.model import SpectralTokenizer
from spectok.simulate import Simulator

COUNTS = (10, 30, 100, 300, 1000, 3000)  # all of them: in the tasks classes and stars
FROM_SCRATCH = 1000  # a network that learns to tokenize takes 15 ms per spectrum and pass


def translate(model, items, source, target):
    """Items of one grid as tokens of another: decoded there, and encoded again."""
    patch = model.config.patch_size
    layout, onto = (PatchLayout.of(grid, patch) for grid in (source, target))
    places = layout.wavelength.reshape(layout.n_patches, -1)
    centre, half = 0.5 * (places[:, 0] + places[:, -1]), 0.5 * (places[:, -1] - places[:, 0])
    found = []
    for start in range(0, len(items), 64):
        some = items[start : start + 64]
        shape = (len(some), len(centre))
        value, valid = torch.zeros(*shape, some[0]["token"].shape[-1]), torch.zeros(shape).bool()
        for row, item in enumerate(some):
            at = np.searchsorted(centre, item["wavelength"] - 1e-6)
            value[row, at] = torch.from_numpy(item["token"].copy())
            valid[row, at] = True
        spread = lambda a: torch.from_numpy(a).expand(shape)  # noqa: B023, E731
        tokens = TokenBatch(value, spread(centre), spread(half), valid, torch.ones(len(some)))
        with torch.inference_mode():
            flux, sigma = model.decode(
                tokens, torch.from_numpy(onto.wavelength).expand(len(some), -1)
            )
        flux, sigma = (onto.scatter(part.numpy()) for part in (flux, sigma))
        # Nothing is known further than a patch from the next token.
        apart = np.abs(target[:, None] - centre).min(1) <= 2 * np.interp(target, centre, half)
        valid = np.broadcast_to(apart, flux.shape)
        found.append(encode_items(model, target, flux, sigma, valid))
    return np.concatenate(found)


def transfer(setting):
    """Fitted on one survey, used on another: the same test objects through both."""
    found = []
    n, n_test = setting.n(2000), setting.n(1000)
    names = ("sdss", "desi")
    grids = {name: setting.instrument(name).wavelength for name in names}
    for kind in (None, "star"):
        train = mocks(setting, "sdss", n, "train", kind=kind, other="desi")
        test = mocks(setting, "sdss", n_test, "test", kind=kind, other="desi")
        train, test = (dict(zip(names, _seen(both, kind), strict=True)) for both in (train, test))
        labels = train["sdss"].labels
        both = np.concatenate([train[name].items for name in names])
        twice = {name: np.tile(value, 2) for name, value in labels.items()}
        of_one = {name: _learn(train[name].items, labels, kind) for name in names}
        of_both = _learn(both, twice, kind, np.tile(np.arange(len(train["sdss"])), 2))
        for a, b in (names, names[::-1]):
            moved = translate(setting.model, test[b].items, grids[b], grids[a])
            for name, fits, asked in (
                (f"{b} probe on {b}", of_one[b], test[b].items),
                (f"{a} probe on {b}", of_one[a], test[b].items),
                (f"{a} probe on {b} decoded as {a}", of_one[a], moved),
                (f"probe of both on {b}", of_both, test[b].items),
            ):
                n_train = len(both) if fits is of_both else len(train[a])
                about = dict(data="mock", on=b, method=name, n_train=n_train)
                true = _target(test[b].labels, kind)
                found += _records(true, fits.predict(asked), kind, about)
    return found


def _seen(both, kind):
    """The objects that both instruments see, and whose labels are known."""
    keep = np.all([[len(item) > 0 for item in one.items] for one in both], axis=0)
    if kind:
        keep &= np.isfinite(both[0].labels["feh"])
    return [one[keep] for one in both]


def _learn(items, labels, kind, groups=None):
    """A probe of stars' labels, or of classes."""
    make = probes.ProbeRegressor if kind else probes.ProbeClassifier
    return make(max_epochs=12).fit(items, _target(labels, kind), groups=groups)


def label_counts(setting):
    """Accuracy against the number of training labels, 10 to 10,000."""
    torch.manual_seed(0)
    untrained = SpectralTokenizer(setting.model.config).eval()
    found = []
    for survey, kind in (("sdss", None), ("apogee", "star")):
        needs = ("feh",) if kind else ()
        every, test = (
            usable(mocks(setting, survey, setting.n(n), part, kind=kind), *needs)
            for n, part in ((10000, "train"), (2000, "test"))
        )
        for count in COUNTS:
            # Small draws differ by chance, so they are repeated.
            for seed in range(2 if count <= 100 else 1):
                rows = np.random.default_rng(seed).permutation(len(every))[:count]
                train = every[rows]
                if len(train) < count or not (kind or len(np.unique(train.labels["kind"])) == 3):
                    continue
                about = dict(data="mock", on=survey, n_train=count, seed=seed)
                make = regressors if kind else classifiers
                for name, (model, tokens) in make(seed).items():
                    found += _count(model, tokens, train, test, kind, {**about, "method": name})
        raw = _pixels(setting, survey, kind, setting.n(FROM_SCRATCH), setting.n(1000))
        for name, model in (
            ("all from scratch, other objects", Scratch(setting.model.config, bool(kind))),
            ("probe, untrained tokenizer, other objects", Scratch(untrained, bool(kind))),
        ):
            about = dict(data="mock", on=survey, n_train=setting.n(FROM_SCRATCH), seed=0)
            found += _scratch(model, raw, kind, {**about, "method": name})
    return found


def _target(labels, kind):
    if kind:
        return np.stack([labels[name] for name in STELLAR], 1)
    return CLASSES[labels["kind"].astype(int)]


def _count(model, tokens, train, test, kind, about):
    if "MLP" in about["method"] and len(train) < 30:
        return []  # it holds out a tenth, of all classes
    fitted(model, tokens, train, _target(train.labels, kind))
    return _records(_target(test.labels, kind), said(model, tokens, test), kind, about)


def _scratch(model, raw, kind, about):
    (fit, fit_labels), (ask, labels) = raw
    model.fit(fit, _target(fit_labels, kind))
    return _records(_target(labels, kind), model.predict(ask), kind, about)


def _records(true, predicted, kind, about):
    return (label_records if kind else class_records)(
        true, predicted, *([STELLAR] if kind else []), **about
    )


def _pixels(setting, survey, kind, n, n_test):
    """Observations themselves, for what learns from pixels: (train, labels), (test, labels)."""
    out = []
    for part, number in (("train", n), ("test", n_test)):
        simulator = Simulator(
            setting.instrument(survey), templates=setting.templates.part(part), kind=kind
        )
        (one,) = simulator.observe(int(number * 1.5), seed=SEED[part] + 500_000)
        good = (one.valid.float().mean(1) > 0.5).numpy()
        if kind:
            good &= np.isfinite(one.labels["feh"].numpy())
        rows = torch.from_numpy(np.flatnonzero(good)[:number])
        one = one[rows]
        out.append((one, {k: v.numpy() for k, v in one.labels.items()}))
    return out
