"""A head for redshifts: learned from mocks and real training spectra, judged on both.

    python recipes/heads/redshift.py --data DIR --data2 DIR2 --templates templates.safetensors \
        --model small-v1.1 --out DIR [--cache DIR]

DIR and DIR2 hold the two sets of real spectra, ``templates.safetensors`` is from
recipes/small_v1/pack.py. A `spectok.probes.RedshiftProbe` learns from mocks of the training
templates through SDSS, BOSS and DESI (galaxies, quasars and stars, because nobody says beforehand
what a spectrum is), and from real SDSS training spectra. It is judged by mocks of other templates,
with the survey's own S/N, and by real test objects, against the survey's own redshifts where it
gave no warning; the scores go to ``redshift.json``. About 25 minutes on one core.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

import numpy as np

import spectok
from spectok import probes, simulate
from spectok._weights import model_identity
from spectok.probes import metrics

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from _probe_data import CLASSES, join  # noqa: E402
from redshift import (  # noqa: E402
    LIGHT,
    LIMIT,
    SURE,
    Setting,
    objects,
    of_kinds,
    real_sdss,
    redshifts,
    with_real,
)

SURVEYS = ("sdss", "boss", "desi")
TRAIN = {"galaxy": 2400, "quasar": 1700, "star": 500}  # of each survey
TEST = {"galaxy": 500, "quasar": 500, "star": 200}
RANGE = (-0.01, 7.0)


def judged(true, peaks, kind, places=None):
    """Scatter, outliers and errors of each class, and of the sure ones; 95 % intervals."""
    z, sure = np.asarray(peaks["redshift"]), np.asarray(peaks["confidence"]) >= SURE
    wrong = LIGHT * np.abs(z - true) > LIMIT * (1 + true)
    within = np.abs(z - true) < np.asarray(peaks["std"])
    found = {}
    for name in np.unique(kind):
        own = kind == name
        for title, some in ((name, own), (f"{name}, confidence above {SURE}", own & sure)):
            if not some.any():
                continue
            right = some & ~wrong
            for figure, rows, score, arrays in (
                ("scaled MAD", some, metrics.redshift_nmad, (true, z)),
                ("beyond 1,000 km/s", some, np.mean, (wrong,)),
                ("of those within 1,000 km/s, within the stated error", right, np.mean, (within,)),
            ):
                groups = None if places is None else places[rows]
                arrays = [array[rows].astype(float) for array in arrays]
                value, low, high = metrics.interval(score, *arrays, groups=groups)
                found[f"{title}: {figure}"] = {
                    "value": value, "low": low, "high": high, "n": int(rows.sum())
                }  # fmt: skip
    return found


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=os.environ.get("SPECTOK_DATA"))
    parser.add_argument("--data2", type=Path, required=True)
    parser.add_argument("--templates", required=True)
    parser.add_argument("--model")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=Path("heads-cache"))
    parser.add_argument("--share", type=float, default=1.0, help="of the mocks, to try it out")
    options = parser.parse_args()
    if options.data is None:
        parser.error("no data folder: give --data DIR or set SPECTOK_DATA")
    output = options.out / "redshift.safetensors"
    if output.exists():
        parser.error(f"{output} is there already: remove it, or give another --out")
    options.out.mkdir(parents=True, exist_ok=True)
    model = spectok.load_model(options.model)
    setting = Setting(
        model, simulate.load_templates(options.templates), options.cache, options.share, 0, 0, (),
        Path(options.data), options.data2,
    )  # fmt: skip
    learn = join([of_kinds(setting, survey, "train", TRAIN) for survey in SURVEYS])
    real = real_sdss(setting, tuple(CLASSES))
    train = [one for one in real if one["split"] == "train"]
    test = [one for one in real if one["split"] == "test"]

    items, z, weight, groups = with_real(learn, train)
    head = probes.RedshiftProbe(redshift_range=RANGE)
    head.fit(items, z, sample_weight=weight, groups=groups)
    probes.save_probe(head, output)

    scores = {"model": dict(zip(("name", "sha256"), model_identity(model), strict=True))}
    scores |= {"learned from": {"mocks": len(learn), "real": len(train)}}
    for survey in SURVEYS:
        some = of_kinds(setting, survey, "test", TEST)
        kind = CLASSES[some.labels["kind"].astype(int)]
        scores[f"mocks of {survey}"] = judged(
            redshifts(some), head.predict_peaks(some.items), kind
        )
    true, kind, places = (np.array([one[k] for one in test]) for k in ("z", "class", "place"))
    peaks = head.predict_peaks(objects(test))
    scores["real SDSS test spectra"] = judged(true, peaks, kind, places)
    (options.out / "redshift.json").write_text(json.dumps(scores, indent=1))
    print(json.dumps(scores, indent=1))


if __name__ == "__main__":
    main()
