"""The tasks on real spectra: test objects only, which no training of anything has seen."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
from _probe_data import CLASSES, Spectra, encode_items, join, mocks, real_spectra
from _probe_fit import (
    STELLAR,
    label_records,
    record,
    redshift_records,
    regressors,
    said,
)
from _probe_tasks import REDSHIFT, usable
from _redshift_scan import read_templates, scan

from spectok import probes
from spectok._split import name_split
from spectok.probes import metrics

UNSEEN = ("test", "evaluation")
INDEPENDENT = "fuji"  # beginning of the source of the DESI labels that no template fit gave
GIANTS = ("teff", "logg", "m_h")
KEYS = ("teff", "logg", "fe_h")  # of labels in the records of real spectra
REPEATED = 10.0  # what a real training spectrum counts beside a mock


def _mixed(setting, kind=None):
    """Mocks of both generations of SDSS spectrographs."""
    both = [
        usable(mocks(setting, s, setting.n(3000), "train", kind=kind)) for s in ("sdss", "boss")
    ]
    # Their pixels differ in number.
    return join([replace(one, binned=np.zeros((len(one), 0))) for one in both])


def _place(one):
    return f"{one['ra']:.3f} {one['dec']:.3f}"


def real_classes(setting):
    """Classes and redshifts of SDSS and DESI; probes of mocks, and of mocks and real objects."""
    spectra = real_spectra(setting)["SDSS"]
    train = [s for s in spectra if s[0]["split"] == "train"]
    test = [s for s in spectra if s[0]["split"] in UNSEEN]
    mixed = _mixed(setting)
    names = CLASSES[mixed.labels["kind"].astype(int)]
    near = [s for s in train if len(s[2])]
    both, weight, groups = _beside(mixed.items, near)
    kinds = np.concatenate([names, [s[0]["class"] for s in near]])
    asked, true = _objects([s[2] for s in test]), np.array([s[0]["class"] for s in test])
    fit = {
        "probe of mocks": probes.ProbeClassifier(max_epochs=10).fit(mixed.items, names),
        "probe of mocks and real": probes.ProbeClassifier(max_epochs=10).fit(
            both, kinds, sample_weight=weight, groups=groups
        ),
        "linear on tokens, mocks and real": probes.linear_probe("classification").fit(
            both, kinds, logisticregression__sample_weight=weight
        ),
    }
    found = []
    places = np.array([_place(s[0]) for s in test])
    about = dict(data="real", on="SDSS", objects=len(np.unique(places)))
    for name, model in fit.items():
        found += _counted(true, model.predict(asked), places, **about, method=name)
    templates = read_templates(setting.data / "templates" / "redrock", stars=True)
    answers = [_scan(s[1], templates) for s in test]
    of = {"galaxy": "GALAXY", "quasar": "QSO", "star": "STAR"}
    found += _counted(
        true, np.array([of[a.kind] for a in answers]), places, **about, method="template fit"
    )
    return found + _redshifts(train, test, mixed, answers, about) + _desi(setting)


def _beside(items, near):
    """Items of mocks and of real training spectra; what each counts, and its object."""
    both = np.concatenate([items, _objects([s[2] for s in near])])
    weight = np.r_[np.ones(len(items)), np.full(len(near), REPEATED)]
    groups = [*(f"mock {k}" for k in range(len(items))), *(_place(s[0]) for s in near)]
    return both, weight, np.array(groups)


def _redshifts(train, test, mixed, answers, about):
    """Redshifts of the galaxies and quasars among the test objects."""
    far = [k for k, s in enumerate(test) if s[0]["class"] != "STAR" and s[0]["z"] is not None]
    near = [s for s in train if s[0]["class"] != "STAR" and s[0]["z"] is not None and len(s[2])]
    rows = mixed.labels["kind"] < 2
    both, weight, groups = _beside(mixed.items[rows], near)
    log = np.log1p(
        np.concatenate([mixed.labels["redshift"][rows].astype(float), [s[0]["z"] for s in near]])
    )
    asked = _objects([test[k][2] for k in far])
    z, kind = (np.array([test[k][0][name] for k in far]) for name in ("z", "class"))
    places = np.array([_place(test[k][0]) for k in far])
    guesses = {"template fit": np.array([answers[k].redshift for k in far])}
    probe = probes.ProbeRegressor(**{**REDSHIFT, "max_epochs": 12}).fit(
        both, log, sample_weight=weight, groups=groups
    )
    guesses["probe of mocks and real"] = np.expm1(probe.predict(asked))
    found = []
    for name, guess in guesses.items():
        for of, limit in (("GALAXY", 1000.0), ("QSO", 3000.0)):
            cell = kind == of
            found += redshift_records(
                z[cell], guess[cell], limit, places[cell], of=of, method=name, **about
            )
    return found


def _desi(setting):
    """DESI: counts only, and only labels that no template fit like the baseline's gave."""
    with open(setting.data / "desi" / "labels.csv") as file:
        sources = [row["label_source"] for row in csv.DictReader(file)]
    spectra = real_spectra(setting)["DESI"]
    if len(spectra) != len(sources):
        raise ValueError(
            f"{len(spectra)} DESI spectra, but {len(sources)} labels: they must match"
        )
    probe = setting.load("classes desi-arms")
    if probe is None:
        raise RuntimeError("do the task 'classes' first: it fits the probe of DESI's classes")
    judged = [
        s
        for s, source in zip(spectra, sources, strict=True)
        if source.startswith(INDEPENDENT) and s[0]["class"] in CLASSES and len(s[2])
    ]
    found = []
    for split in UNSEEN:
        some = [s for s in judged if s[0]["split"] == split]
        if some:
            said_ = probe.predict(_objects([s[2] for s in some]))
            right = int(np.sum(said_ == [s[0]["class"] for s in some]))
            found.append(
                dict(
                    metric="right", right=right, n=len(some), data="real", on="DESI", of="class",
                    method="probe of mocks", split=split,
                )
            )  # fmt: skip
    return found


def giants(setting):
    """403 APOGEE giants of which 100 pixels are at hand: ASPCAP's labels from three tokens."""
    data = np.load(setting.data / "apogee" / "real" / "annieslasso_671giants_100px.npz")
    split = name_split([f"annieslasso {row}" for row in data["original_row"]])
    flux, sigma = data["flux"].astype(float), data["flux_err"].astype(float)
    valid = np.isfinite(flux) & (sigma > 0) & (sigma < 1)
    sigma = np.where(valid, sigma, 1.0)
    items = encode_items(setting.model, data["wave_vac_A_approx"], flux, sigma, valid)
    y = np.stack([data[name] for name in GIANTS], 1).astype(float)
    keep = np.array([len(item) > 0 for item in items])
    spectra = Spectra(items, np.where(valid, flux, 1.0), {}, np.zeros(len(items), str))
    train, test = keep & (split != "test"), keep & (split == "test")
    found = []
    for name, (model, tokens) in regressors(max_epochs=60, patience=15).items():
        model.fit(spectra.items[train] if tokens else spectra.binned[train], y[train])
        predicted = said(model, tokens, spectra[test])
        about = dict(data="real", on="APOGEE, 100 pixels", method=name, n_train=int(train.sum()))
        found += label_records(y[test], predicted, GIANTS, **about)
    spread = np.tile(np.median(y[train], 0), (int(test.sum()), 1))
    about = dict(data="real", on="APOGEE, 100 pixels", n_train=int(train.sum()))
    return found + label_records(y[test], spread, GIANTS, method="median label", **about)


def single_stars(setting):
    """GALAH, APOGEE and SDSS stars that were in no training: one by one, for there are few."""
    spectra = real_spectra(setting)
    found = []
    for survey, mock in (("GALAH", "galah"), ("APOGEE", "apogee"), ("SDSS", "sdss")):
        probe = setting.load(f"stars {mock}")
        if probe is None:
            raise RuntimeError("do the task 'stars' first: it fits the probes of stars' labels")
        some = [
            s for s in spectra[survey]
            if s[0]["split"] in UNSEEN and s[0].get("teff") is not None and len(s[2])
        ]  # fmt: skip
        if not some:
            continue
        value, std = probe.predict(_objects([s[2] for s in some]), return_std=True)
        for (about, _, _), v, e in zip(some, value, std, strict=True):
            found += [
                dict(
                    metric="label", data="real", on=survey, method="probe of mocks", of=label,
                    object=about["id"], snr=round(about["snr"], 1), note=about.get("note", ""),
                    label=about[key], value=float(f"{v[k]:.4g}"), std=float(f"{e[k]:.3g}"),
                    n=1,
                )
                for k, (label, key) in enumerate(zip(STELLAR, KEYS, strict=True))
                if about[key] is not None
            ]  # fmt: skip
    return found


def _counted(true, predicted, places, **about):
    """Accuracies where a class has 30 spectra, and for every class how many were right."""
    found = []
    for name in np.unique(true):
        rows = true == name
        right = int((predicted[rows] == name).sum())
        found.append(dict(metric="right", right=right, n=int(rows.sum()), of=str(name), **about))
    same = (true == predicted).astype(float)
    found.append(record("accuracy", np.mean, same, groups=places, of="all", **about))
    table = metrics.confusion(true, predicted)
    found.append(
        dict(
            metric="confusion",
            n=len(true),
            table=[list(map(str, r)) for r in table],
            columns=table.colnames,
            **about,
        )
    )  # noqa: E501
    return found


def _scan(entry, templates):
    ivar = np.where(entry["valid"], entry["sigma"].astype(float) ** -2.0, 0.0)
    return scan(entry["wavelength"], entry["flux"].astype(float), ivar, templates)


def _objects(several):
    items = np.empty(len(several), object)
    items[:] = several
    return items
