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
    redshift_records,
    regressors,
    said,
)
from _probe_scratch import Scratch
from _probe_tasks import REDSHIFT, usable

from spectok import probes
from spectok._batch import PatchLayout, TokenBatch
from spectok.model import SpectralTokenizer
from spectok.simulate import Simulator

COUNTS = (10, 30, 100, 300, 1000, 3000, 10000)
MOST_FROM_SCRATCH = (
    1000  # a network that learns to tokenize, too, takes 15 ms per spectrum and pass
)


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
    n, n_test = setting.n(5000), setting.n(1500)
    grids = {name: setting.instrument(name).wavelength for name in ("sdss", "desi")}
    for kind in (None, "star"):
        names = ("sdss", "desi")
        train = dict(
            zip(names, mocks(setting, "sdss", n, "train", kind=kind, other="desi"), strict=True)
        )  # noqa: E501
        test = dict(
            zip(
                names, mocks(setting, "sdss", n_test, "test", kind=kind, other="desi"), strict=True
            )
        )  # noqa: E501
        # Objects that both see.
        keep = {}
        for name, both in (("train", train), ("test", test)):
            keep[name] = np.all([[len(i) > 0 for i in both[s].items] for s in names], axis=0)
            if kind:
                keep[name] &= np.isfinite(both["sdss"].labels["feh"])
        train = {s: train[s][keep["train"]] for s in names}
        test = {s: test[s][keep["test"]] for s in names}
        for a, b in (names, names[::-1]):
            moved = translate(setting.model, test[b].items, grids[b], grids[a])
            both = np.concatenate([train[a].items, train[b].items])
            ways = {
                f"{b} probe on {b}": (train[b].items, test[b].items, 1),
                f"{a} probe on {b}": (train[a].items, test[b].items, 1),
                f"{a} probe on {b} decoded as {a}": (train[a].items, moved, 1),
                f"probe of both on {b}": (both, test[b].items, 2),
            }
            for name, (items, asked, times) in ways.items():
                about = dict(data="mock", on=b, method=name, n_train=len(items))
                labels = {k: np.tile(v, times) for k, v in train[a].labels.items()}
                found += _judge(items, labels, asked, test[b], kind, about)
    return found


def _judge(items, labels, asked, test, kind, about):
    if kind:
        stack = lambda one: np.stack([one[name] for name in STELLAR], 1)  # noqa: E731
        probe = probes.ProbeRegressor(max_epochs=12).fit(items, stack(labels))
        return label_records(stack(test.labels), probe.predict(asked), STELLAR, **about)
    names = CLASSES[labels["kind"].astype(int)]
    probe = probes.ProbeClassifier(max_epochs=8).fit(items, names)
    true = CLASSES[test.labels["kind"].astype(int)]
    found = class_records(true, probe.predict(asked), **about)
    far, ask = labels["kind"] < 2, test.labels["kind"] < 2
    probe = probes.ProbeRegressor(**{**REDSHIFT, "max_epochs": 12}).fit(
        items[far], np.log1p(labels["redshift"][far].astype(float))
    )
    z = np.expm1(probe.predict(asked[ask]))
    true = test.labels["redshift"][ask].astype(float)
    return found + redshift_records(true, z, 3000.0, of="GALAXY and QSO", **about)


def label_counts(setting):
    """Accuracy against the number of training labels, 10 to 10,000."""
    torch.manual_seed(0)
    untrained = SpectralTokenizer(setting.model.config).eval()
    found = []
    for survey, kind in (("sdss", None), ("apogee", "star")):
        needs = ("feh",) if kind else ()
        every = usable(
            mocks(setting, survey, setting.n(12000 if not kind else 10000), "train", kind=kind),
            *needs,
        )  # noqa: E501
        test = usable(
            mocks(setting, survey, setting.n(3000 if not kind else 2000), "test", kind=kind),
            *needs,
        )  # noqa: E501
        raw = _pixels(setting, survey, kind, setting.n(MOST_FROM_SCRATCH), setting.n(1000))
        for count in COUNTS:
            if count > len(every):
                break
            # Small draws differ by chance, so they are repeated.
            for seed in range(5 if count <= 100 else 2 if count <= 1000 else 1):
                rows = np.random.default_rng(seed).permutation(len(every))[:count]
                train = every[rows]
                if not kind and len(np.unique(train.labels["kind"])) < 3:
                    continue
                about = dict(data="mock", on=survey, n_train=count, seed=seed)
                epochs = 12 if count > 3000 else 20
                make = regressors if kind else classifiers
                for name, (model, tokens) in make(seed, max_epochs=epochs).items():
                    found += _count(model, tokens, train, test, kind, {**about, "method": name})
                if seed == 0 and count <= MOST_FROM_SCRATCH:
                    for name, model in (
                        ("trained from scratch", Scratch(setting.model.config, bool(kind))),
                        ("untrained tokenizer, probe", Scratch(untrained, bool(kind))),
                    ):
                        found += _scratch(model, raw, count, kind, {**about, "method": name})
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


def _scratch(model, raw, count, kind, about):
    (fit, fit_labels), (ask, labels) = raw
    rows = np.random.default_rng(0).permutation(len(fit.flux))[:count]
    target = _target({k: v[rows] for k, v in fit_labels.items()}, kind)
    if not kind and len(np.unique(target)) < 3:
        return []
    model.fit(fit[torch.from_numpy(rows)], target)
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
