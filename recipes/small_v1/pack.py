"""Pack all a training run needs into plain arrays, so that training needs no astropy.

    python recipes/small_v1/pack.py --data DIR --train train.safetensors --test test.safetensors \
        --templates templates.safetensors

DIR (or the environment variable SPECTOK_DATA) holds the spectra and templates listed in its
MANIFEST.md. Takes a minute on two cores.

``templates.safetensors`` is what `spectok.simulate.save_templates` writes; the best fits of SDSS
among them are those of the training spectra. ``train.safetensors`` holds the training spectra as
`spectok.training.pack_spectra` lays them out (``spectra.*``) and the validation spectra as in the
test file. In ``test.safetensors``, ``real.*`` are test spectra and those without a licence, their
arms one after the other, concatenated: spectrum i is ``[offset[i]:offset[i + 1]]``. Wavelengths
are vacuum Angstrom; flux, sigma and the survey's model are over the median flux; sigma is 0 where
not valid. What each spectrum is stands in the metadata, as JSON.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
import warnings
from pathlib import Path

import astropy.units as u
import numpy as np
from safetensors.numpy import save_file

from spectok import simulate, surveys
from spectok.training import pack_spectra

sys.path.insert(0, str(Path(__file__).parents[1] / "measured"))
import real  # noqa: E402


def training_sdss(data, training):
    """The training spectra of SDSS as the reader returns them."""
    # By name, not by position alone: files without a licence must not become templates.
    names = {e["record"]["id"] for e in training if e["survey"] == 0}
    with open(data / "sdss/labels.csv") as file:
        for row in csv.DictReader(file):
            if row["key"] in names:
                yield surveys.sdss.read(data / row["file"])[0]


def write(path, arrays, metadata):
    """Write under a temporary name, then rename, so that no reader sees half."""
    path = Path(path)
    part = path.with_name(path.name + ".part")
    save_file(
        {k: np.ascontiguousarray(v) for k, v in arrays.items()},
        part,
        metadata={k: json.dumps(v) for k, v in metadata.items()},
    )
    os.replace(part, path)


def records(entries):
    """What the spectra are."""
    return [e["record"] for e in entries]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=os.environ.get("SPECTOK_DATA"))
    parser.add_argument("--train", default="train.safetensors")
    parser.add_argument("--test", default="test.safetensors")
    parser.add_argument("--templates", default="templates.safetensors")
    options = parser.parse_args()
    if options.data is None or not Path(options.data).is_dir():
        parser.error("no data folder: give --data DIR or set SPECTOK_DATA")
    data = Path(options.data)
    warnings.simplefilter("ignore", category=u.UnitsWarning)

    entries = real.read_all(data)
    print(f"objects without one good pixel, left out: {sum(e is None for e in entries)}")
    entries = [e for e in entries if e is not None]
    sets = {
        s: [e for e in entries if e["split"] == s]
        for s in ("train", "validation", "test", "evaluation")
    }
    templates = simulate.build_templates(folder=data, spectra=training_sdss(data, sets["train"]))
    simulate.save_templates(templates, options.templates)
    fields = ("survey", "wavelength", "flux", "sigma", "valid")
    train = pack_spectra([e[k] for k in fields] for e in sets["train"])
    write(
        options.train,
        train | real.arrays(sets["validation"]),
        {"train": records(sets["train"]), "real": records(sets["validation"])},
    )
    unseen = sets["test"] + sets["evaluation"]
    write(options.test, real.arrays(unseen), {"real": records(unseen)})

    print("\nsurvey  class    S/N      " + "  ".join(f"{s:>10s}" for s in sets))
    bin_of = lambda s: "<10" if s < 10 else "10-30" if s <= 30 else ">30"  # noqa: E731
    keys = [(e["survey"], e["class"], bin_of(e["record"]["snr"])) for e in entries]
    for survey, kind, snr in sorted(set(keys)):
        counts = [
            sum((e["survey"], e["class"], bin_of(e["record"]["snr"])) == (survey, kind, snr)
                for e in sets[s])
            for s in sets
        ]  # fmt: skip
        numbers = "  ".join(f"{c:10d}" for c in counts)
        print(f"{real.SURVEYS[survey]:7s} {kind:8s} {snr:8s} {numbers}")
    print(f"\n{templates}\n")
    for path in (options.templates, options.train, options.test):
        print(f"{path}: {os.path.getsize(path) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
