r"""Write the card of a model from its run and its scores.

    python benchmarks/reconstruction.py test.safetensors --train train.safetensors \
        --model small-v1 --output scores.json
    python recipes/small_v1/card.py runs/small-v1/model train.safetensors \
        templates.safetensors runs/small-v1/log.csv scores.json --regrid regrid.json \
        --repeatability repeatability.json --notes notes.rst --rst CARD.rst --json card.json

What cannot be computed (the hardware, where the model loses and why) comes from ``notes.rst``.
"""

from __future__ import annotations

import argparse
import collections
import csv
import json
import sys
from pathlib import Path

from safetensors import safe_open

from spectok.simulate import load_templates

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from _rst import list_table  # noqa: E402

SURVEYS = {"sdss": "SDSS", "desi": "DESI", "galah": "GALAH", "apogee": "APOGEE"}
CELLS = ("all", "0-10", "10-30", "30-inf")
KINDS = {
    ("optical", "galaxy"): "galaxies",
    ("optical", "quasar"): "quasars",
    ("optical", "star"): "optical stars",
    ("hermes", "star"): "GALAH stars",
    ("h", "star"): "APOGEE stars",
}
METHODS = ("spectok", "cosines", "linear", "running median", "patch PCA", "survey's model")


def interval(values: list[float]) -> str:
    """A value with its 95 % interval."""
    return "{:.2f} ({:.2f}-{:.2f})".format(*values)


def short(values: list[float]) -> str:
    """A value with its 95 % interval, two digits each."""
    return "{:.2g} ({:.2g}-{:.2g})".format(*values)


def table(scores: dict, pixels: str) -> list[str]:
    """Scores of one kind of pixels as an RST table."""
    rows = [("survey", "S/N", "method", "objects", "median r² / 0.4549", "mean min(r², 100)")]
    for survey, name in SURVEYS.items():
        for cell in CELLS:
            for method in METHODS:
                found = scores.get(f"{survey} | {cell} | {pixels} | {method}")
                if not found or not found["objects"]:
                    continue
                if "median" not in found:
                    if method == "spectok":
                        rows.append((name, cell, "any", str(found["objects"]), "-", "-"))
                    continue
                rows.append(
                    (name, cell, method, str(found["objects"]), interval(found["median"]),
                     interval(found["clipped"]))
                )  # fmt: skip
    return [list_table(rows)]


def real_spectra(pack: str) -> tuple[list[dict], str]:
    """The real spectra that the model was trained on, and their numbers in words."""
    with safe_open(pack, "numpy") as file:
        used = json.loads(file.metadata()["train"])
    count = collections.Counter(one["survey"] for one in used)
    return used, ", ".join(f"{n} {survey}" for survey, n in count.items())


def data(pack: str, templates: str) -> list[str]:
    """What the model was trained on, counted from the pack."""
    used, numbers = real_spectra(pack)
    source = collections.Counter((one["source"], one["licence"]) for one in used)
    kinds: dict[str, list[str]] = {}
    for family in load_templates(templates).about.values():
        kinds.setdefault(KINDS[family["fine"], family["kind"]], []).append(family["source"])
    return [
        f"Real spectra: {numbers}.",
        "",
        "Sources of the real spectra, with their terms as found:",
        "",
        *(f"- {name}: {n} spectra ({licence})" for (name, licence), n in source.most_common()),
        "",
        "Templates of the mocks:",
        "",
        *(f"- {kind}: {'; '.join(names)}" for kind, names in kinds.items()),
        "",
    ]


def truth(found: dict) -> list[str]:
    """Errors against the noise-free truth of mocks, in units of the noise."""
    rows = [("mocks", "S/N", "objects", "spectok, median", "spectok, rms", "linear, median")]
    for name in ("boss, own grid", "desi, own grid", "boss to desi", "apogee to visit"):
        for snr, one in found[name].items():
            cells = [interval(one[key]) for key in ("model median", "model rms", "linear median")]
            rows.append((name, snr.replace("-inf", " and more"), str(one["n"]), *cells))
    wide = found["resolution"]["own grid"]["over BOSS"][0]
    return [
        "Error against the truth",
        "~~~~~~~~~~~~~~~~~~~~~~~",
        "",
        "Decoded minus noise-free flux of *mock* observations without errors of calibration, in",
        "units of the noise of the input: median of its absolute value over 0.6745, and root mean",
        "square with each pixel at most 10. All cases stand in the benchmarks.",
        "",
        list_table(rows),
        f"A line as narrow as BOSS makes them is {wide:.2f} times as wide after decoding.",
        "",
    ]


def repeats(found: dict) -> list[str]:
    """Distances between pooled tokens of one object, relative to those between objects."""
    names = {
        "trimmed, median | all": "trimmed by 1 to 31 pixels, median",
        "trimmed, worst | all": "trimmed by 1 to 31 pixels, worst",
        "shifted | all": "shifted by 0.1 Angstrom",
        "noisier | all": "as much noise again",
        "repeat plates | all": "repeat plates",
        "epochs | QSO": "epochs of SDSS-RM 017",
    }
    rows = [("same object", "raw", "standardised", "objects", "sets")]
    for key, name in names.items():
        raw, standard = (found[metric][key] for metric in ("raw", "standardised"))
        sets = ", ".join(f"{n} {split}" for split, n in raw["sets"].items())
        rows.append(
            (name, short(raw["relative"]), short(standard["relative"]),
             str(raw["objects"]) + (f" ({raw['epochs']} epochs)" if "epochs" in raw else ""), sets)
        )  # fmt: skip
    return [
        "Repeatability",
        "~~~~~~~~~~~~~",
        "",
        "Distance between pooled tokens (mean) of *real* SDSS spectra of one object, relative to",
        "the median distance between different objects of its class; also with each number",
        "divided by its scatter over objects.",
        "",
        list_table(rows),
    ]


def main() -> None:
    """Write the card as RST and as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="folder of the weights")
    parser.add_argument("pack")
    parser.add_argument("templates")
    parser.add_argument("log")
    parser.add_argument("scores")
    parser.add_argument("--regrid", required=True, help="what benchmarks/regrid.py wrote")
    parser.add_argument("--repeatability", required=True)
    parser.add_argument("--notes", required=True)
    parser.add_argument("--rst", required=True)
    parser.add_argument("--json", required=True)
    args = parser.parse_args()
    scores = json.loads(Path(args.scores).read_text(encoding="utf-8"))
    with open(args.log, newline="", encoding="utf-8") as file:
        steps = int(list(csv.DictReader(file))[-1]["step"])
    sha256 = json.loads((args.model / "config.json").read_text(encoding="utf-8"))["sha256"]
    calibration = [
        f"- {name}: {found['within 1 sigma']:.0%} within 1, {found['within 2 sigma']:.0%} within 2"
        for survey, name in SURVEYS.items()
        if (found := scores.get(f"{survey} | calibration"))
    ]
    text = [
        *Path(args.notes).read_text(encoding="utf-8").rstrip().splitlines(),
        "",
        "Data",
        "~~~~",
        "",
        *data(args.pack, args.templates),
        f"Steps: {steps:,} of 2,048 tokens ({steps * 2048 / 1e6:.0f} million tokens).",
        "",
        f"sha256 of the weights: ``{sha256}``.",
        "",
        "Hidden-block score",
        "~~~~~~~~~~~~~~~~~~",
        "",
        "Residuals r, in units of their errors, of blocks of 12 good pixels (a tenth of each test",
        "spectrum) that the encoder did not see; 1 is the noise. In brackets 95 % of bootstraps",
        "over objects. Cells of fewer than five objects state their number only. Cosines are what",
        "the tokens hold before any training. Patch PCA is a linear code of patches with as many",
        "coefficients as a token has numbers, learned from the training spectra of the survey (of",
        "all surveys for GALAH and APOGEE). The survey's model is SDSS's own best fit: it saw",
        "every pixel and knew class and redshift.",
        "",
        *table(scores, "hidden"),
        "On line pixels (where SDSS's best fit departs from its 101-pixel median by more than 3",
        "sigma):",
        "",
        *table(scores, "lines"),
        "Calibration: share of hidden pixels within 1 and 2 sigma of error and model error added",
        "in quadrature (a Gaussian has 68 % and 95 %):",
        "",
        *calibration,
        "",
        *truth(json.loads(Path(args.regrid).read_text(encoding="utf-8"))),
        *repeats(json.loads(Path(args.repeatability).read_text(encoding="utf-8"))),
        "Made by ``benchmarks/reconstruction.py``, ``benchmarks/regrid.py``,",
        "``benchmarks/repeatability.py`` and ``recipes/small_v1/card.py``.",
    ]
    Path(args.rst).write_text("\n".join(text) + "\n", encoding="utf-8")
    mocked = ", ".join(SURVEYS.values())
    summary = {
        "trained_on": f"mocks of {mocked}; real spectra: {real_spectra(args.pack)[1]}",
        "steps": steps,
        "scores": {
            key: found
            for key, found in sorted(scores.items())
            if key.split(" | ")[-1] in ("spectok", "calibration")
        },
    }
    Path(args.json).write_text(json.dumps(summary, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
