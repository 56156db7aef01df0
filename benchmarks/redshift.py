"""How well redshifts are read from tokens: the redshift probe, the other probe, a template fit.

    python benchmarks/redshift.py --data DIR --data2 DIR2 --templates templates.safetensors \
        --out docs/redshift.json --rst docs/redshift_table.rst

DIR (or SPECTOK_DATA) and DIR2 hold the two sets of real spectra, templates come from
``recipes/small_v1/pack.py``. Probes learn from mock galaxies and quasars, in the proportion of
the survey, and are judged by mocks of other templates with the survey's own S/N; the template fit
(``_redshift_scan.py``), which is slow, looks at the first ``--scan`` of each kind. Real SDSS
spectra, of both sets and both spectrographs: training objects of the package's one split are
learnt from beside mocks of both spectrographs, test objects are judged by the survey's own
redshifts (where it gave no warning). ``--share 0.01`` tries everything out. Tokens of mocks are
kept in ``--cache``. Brackets are 95 % of 1000 bootstraps over objects, or Wilson's for shares.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
import time
import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path

import astropy.units as u
import numpy as np
from _probe_data import CLASSES, SEED, encode_items, join, mocks, observations
from _probe_fit import LIGHT, record
from _redshift_scan import read_templates, scan
from _redshift_table import table

import spectok
from spectok import probes, simulate
from spectok._split import sky_split
from spectok._weights import model_identity
from spectok.probes import metrics
from spectok.simulate import Simulator

sys.path.insert(0, str(Path(__file__).parents[1] / "recipes" / "measured"))

LABELS = {"galaxy": 5700, "quasar": 4300}  # to learn from: as the survey observes them
LIMIT = 1000.0  # km/s
SNR = ((0.0, 5.0), (5.0, 10.0), (10.0, np.inf))
SURE = 0.9
REGRESSOR = {
    "reading": 0, "width": 96, "dropout": 0.1, "learning_rate": 1e-3, "n_components": 64,
    "max_epochs": 18,
}  # fmt: skip
REPEATED = 10.0  # what a real training spectrum counts beside a mock


@dataclass
class Setting:
    """What the tasks need."""

    model: spectok.SpectralTokenizer
    templates: simulate.Templates
    cache: Path
    share: float
    n_test: int
    n_scan: int
    methods: tuple[str, ...]
    data: Path | None = None
    data2: Path | None = None
    known: dict = field(default_factory=dict)

    def n(self, full: int) -> int:
        """A number of objects, or its share."""
        return max(int(full * self.share), 60)

    def instrument(self, name: str, calibrated: bool = False):
        """An instrument, kept: its response takes a second to compute."""
        if name not in self.known:
            self.known[name] = simulate.instrument(name)
        return self.known[name]


def of_kinds(setting, survey, part, numbers):
    """Mock galaxies and quasars of a survey that have a token."""
    found = [mocks(setting, survey, setting.n(n), part, kind=kind) for kind, n in numbers.items()]
    both = join([replace(one, binned=np.zeros((len(one), 0))) for one in found])
    return both[np.array([len(item) > 0 for item in both.items])]


def redshifts(spectra):
    """Their redshifts, in double precision."""
    return spectra.labels["redshift"].astype(float)


def mock_task(setting, survey):
    """Redshifts of a survey's mocks by all methods."""
    train = of_kinds(setting, survey, "train", LABELS)
    test = of_kinds(setting, survey, "test", dict.fromkeys(LABELS, setting.n_test))
    about, found = dict(data="mock", on=survey), []
    kind = CLASSES[test.labels["kind"].astype(int)]
    if "redshift probe" in setting.methods:
        probe, seconds = timed(probes.RedshiftProbe(), train.items, redshifts(train))
        peaks = probe.predict_peaks(test.items)
        of = dict(about, method="redshift probe", n_train=len(train), seconds=seconds)
        found += records(redshifts(test), peaks, kind, test.labels["snr"], **of)
    if "regressor" in setting.methods:
        log = np.log1p(redshifts(train))
        probe, seconds = timed(probes.ProbeRegressor(**REGRESSOR), train.items, log)
        value, std = probe.predict(test.items, return_std=True)
        peaks = {"redshift": np.expm1(value), "std": std * np.exp(value)}
        of = dict(about, method="ProbeRegressor", n_train=len(train), seconds=seconds)
        found += records(redshifts(test), peaks, kind, test.labels["snr"], **of)
    if "template fit" in setting.methods and setting.data:
        found += scanned(setting, survey, about)
    return found


def timed(probe, items, z):
    """A fitted probe, and the processor's seconds that its fit took."""
    start = time.process_time()
    return probe.fit(items, z), round(time.process_time() - start)


def scanned(setting, survey, about):
    """The template fit of the first test mocks of each kind."""
    templates = read_templates(setting.data / "templates" / "redrock", forest=False)
    true, kinds, snr, fits = [], [], [], []
    for name in LABELS:
        simulator = Simulator(
            setting.instrument(survey), templates=setting.templates.part("test"), kind=name
        )
        n = setting.n(setting.n_test)
        done = 0
        for (one,) in observations(simulator, n, SEED["test"], None):
            for k in range(len(one.flux)):
                if done >= setting.n_scan or not one.valid[k].any():
                    continue
                ivar = np.where(one.valid[k], one.sigma[k].double() ** -2.0, 0.0)
                flux = one.flux[k].double().numpy()
                fits.append(scan(one.instrument.wavelength, flux, ivar, templates))
                true.append(float(one.labels["redshift"][k]))
                snr.append(float(one.labels["snr"][k]))
                kinds.append(CLASSES[int(one.labels["kind"][k])])
                done += 1
    peaks = {"redshift": np.array([fit.redshift for fit in fits])}
    of = dict(about, method="template fit")
    return records(np.array(true), peaks, np.array(kinds), np.array(snr), **of)


def records(true, peaks, kind, snr, groups=None, **about):
    """Scatter, bias, outliers and, where they are stated, errors and confidences."""
    found = []
    z = np.asarray(peaks["redshift"])
    away = (z - true) / (1 + true)
    right = LIGHT * np.abs(away) <= LIMIT
    for name in np.unique(kind):
        for low, high in ((0.0, np.inf), *SNR):
            cell = (kind == name) & (snr > low) & (snr <= high) & np.isfinite(z)
            of = dict(about, of=str(name), snr=[low, min(high, 1e3)])
            own = None if groups is None else groups[cell]
            if not cell.any():
                continue
            found += [
                record("scaled MAD", metrics.redshift_nmad, true[cell], z[cell], groups=own, **of),
                record("bias", metrics.bias, np.zeros(cell.sum()), away[cell], groups=own, **of),
                record("outliers", np.mean, (~right[cell]).astype(float), groups=own, **of),
            ]
            if "std" in getattr(peaks, "colnames", peaks):
                std = np.asarray(peaks["std"])[cell & right]
                within = np.abs(z - true)[cell & right] < std
                own_right = None if groups is None else groups[cell & right]
                found.append(
                    record("within 1 std", np.mean, within.astype(float), groups=own_right, **of)
                )
            if "confidence" in getattr(peaks, "colnames", peaks):
                sure = np.asarray(peaks["confidence"])
                mean = float(f"{sure[cell].mean():.4g}")
                found.append(dict(metric="mean confidence", value=mean, n=int(cell.sum()), **of))
                few = cell & (sure >= SURE)
                own_sure = None if groups is None else groups[few]
                wrong = (~right[few]).astype(float)
                if len(wrong):
                    kept = round(float(few.sum() / cell.sum()), 4)
                    found.append(
                        record(
                            "outliers of the sure",
                            np.mean,
                            wrong,
                            groups=own_sure,
                            kept=kept,
                            **of,
                        )
                    )
    return found


def real_sdss(setting, classes=("GALAXY", "QSO")):
    """Real spectra of both sets: arrays, item, class, redshift, place and split of each."""
    import real

    entries = []
    for one in real.read_sdss(setting.data):
        if one is not None and one["z"] is not None:
            about = one["record"]
            entries.append(
                {k: one[k] for k in ("wavelength", "flux", "sigma", "valid", "z", "class")}
                | {k: float(about[k]) for k in ("ra", "dec")} | {"split": one["split"]}
            )  # fmt: skip
    with open(setting.data2 / "sdss" / "labels.csv") as file:
        rows = [row for row in csv.DictReader(file) if float(row["zwarning"] or 0) == 0]
    packs = {}
    for row in rows:
        if row["file"] not in packs:
            with np.load(setting.data2 / "sdss" / row["file"]) as pack:
                packs[row["file"]] = {key: pack[key] for key in pack.files}
        entries.append(_packed(packs[row["file"]], row))
    for one in entries:
        one["place"] = f"{one['ra']:.3f} {one['dec']:.3f}"
        arrays = [one[k][None] for k in ("flux", "sigma", "valid")]
        (one["item"],) = encode_items(setting.model, one["wavelength"], *arrays)
    return [one for one in entries if len(one["item"]) and one["class"] in classes]


def _packed(pack, row):
    """A spectrum of the second set."""
    k = int(row["row"])
    a, b = pack["offsets"][k : k + 2]
    flux, ivar = (pack[name][a:b].astype(float) for name in ("flux", "ivar"))
    valid = np.isfinite(flux) & (ivar > 0)
    scale = np.median(np.abs(flux[valid]))
    sigma = np.where(valid, ivar, 1.0) ** -0.5
    ra, dec = float(row["ra"]), float(row["dec"])
    return {
        "wavelength": 10.0 ** (pack["loglam0"][k] + 1e-4 * np.arange(b - a)),
        "flux": np.where(valid, flux, 0.0) / scale, "sigma": sigma / scale, "valid": valid,
        "z": float(row["z"]), "class": row["cls"], "ra": ra, "dec": dec,
        "split": str(sky_split(ra, dec)),
    }  # fmt: skip


def real_task(setting):
    """Redshifts of real SDSS spectra, of test objects."""
    half = {kind: n // 2 for kind, n in LABELS.items()}
    both = [of_kinds(setting, name, "train", half) for name in ("sdss", "boss")]
    mixed = join(both)
    spectra = real_sdss(setting)
    train = [one for one in spectra if one["split"] == "train"]
    test = [one for one in spectra if one["split"] == "test"]
    items, z, weight, groups = with_real(mixed, train)
    true, kind = (np.array([one[k] for one in test]) for k in ("z", "class"))
    places = np.array([one["place"] for one in test])
    good = [(o["flux"][o["valid"]], o["sigma"][o["valid"]]) for o in test]
    snr = np.array([np.median(np.abs(flux / sigma)) for flux, sigma in good])
    about, found = dict(data="real", on="SDSS"), []
    for method, some in (("of mocks", len(mixed)), ("of mocks and real", len(items))):
        probe = probes.RedshiftProbe(redshift_range=(-0.01, 7.0)).fit(
            items[:some], z[:some], sample_weight=weight[:some], groups=groups[:some]
        )
        peaks = probe.predict_peaks(objects(test))
        of = dict(about, method=f"redshift probe {method}", n_train=some)
        found += records(true, peaks, kind, snr, places, **of)
    if "template fit" in setting.methods:
        templates = read_templates(setting.data / "templates" / "redrock")
        fits = []
        for one in test:
            sigma = np.where(one["valid"], one["sigma"].astype(float), np.inf)
            ivar = sigma**-2.0
            fits.append(scan(one["wavelength"], one["flux"].astype(float), ivar, templates))
        peaks = {"redshift": np.array([fit.redshift for fit in fits])}
        found += records(true, peaks, kind, snr, places, **dict(about, method="template fit"))
    return found


def with_real(mixed, train):
    """Items, redshifts, weights and groups to learn from: mocks, and real training spectra."""
    items = np.concatenate([mixed.items, objects(train)])
    z = np.concatenate([redshifts(mixed), [one["z"] for one in train]])
    weight = np.r_[np.ones(len(mixed)), np.full(len(train), REPEATED)]
    groups = [*(f"mock {k}" for k in range(len(mixed))), *(one["place"] for one in train)]
    return items, z, weight, np.array(groups)


def objects(several):
    """The items of several spectra, (N,) of object."""
    found = np.empty(len(several), object)
    found[:] = [one["item"] for one in several]
    return found


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=os.environ.get("SPECTOK_DATA"))
    parser.add_argument("--data2", type=Path, help="the second set of real spectra")
    parser.add_argument("--templates", required=True)
    parser.add_argument("--model", default=None)
    parser.add_argument("--out", type=Path, default=Path("redshift.json"))
    parser.add_argument("--rst", type=Path)
    parser.add_argument("--cache", type=Path, default=Path("probes-cache"))
    parser.add_argument("--tasks", default="sdss,desi,real")
    parser.add_argument("--methods", default="redshift probe,regressor,template fit")
    parser.add_argument("--share", type=float, default=1.0, help="of the objects")
    parser.add_argument("--test", type=int, default=1500, help="test mocks of each kind")
    parser.add_argument("--scan", type=int, default=300, help="of them fitted with templates")
    options = parser.parse_args()
    warnings.simplefilter("ignore", category=u.UnitsWarning)
    data = Path(options.data) if options.data else None
    setting = Setting(
        spectok.load_model(options.model), simulate.load_templates(options.templates),
        options.cache, options.share, options.test, options.scan,
        tuple(options.methods.split(",")), data, options.data2,
    )  # fmt: skip
    results = json.loads(options.out.read_text()) if options.out.exists() else {}
    for name in options.tasks.split(","):
        if name == "real" and (data is None or options.data2 is None):
            print("real: left out, for it needs --data and --data2")
            continue
        start = time.perf_counter()
        found = real_task(setting) if name == "real" else mock_task(setting, name)
        results[name] = {
            "model": model_identity(setting.model), "spectok": spectok.__version__,
            "share": options.share, "methods": options.methods, "results": found,
        }  # fmt: skip
        options.out.write_text(json.dumps(results, indent=1) + "\n")
        print(f"{name}: {time.perf_counter() - start:.0f} s", flush=True)
    if options.rst:
        options.rst.write_text(table(results))


if __name__ == "__main__":
    main()
