"""Pack the spectra that small-v2 learns from: those of small-v1, and the second set's.

    python recipes/small_v2/spectra.py --data DIR --more DIR2 --train train.safetensors \
        --test test.safetensors

DIR is as in ``recipes/small_v1/pack.py``, which also writes the templates; DIR2 is the folder of
the second set (see ``more.py``). The one split by place on the sky holds for both: an object that
is in both sets, or in several exposures, is in one of train, validation and test. The files are
laid out as those of small-v1; ``test.safetensors`` has the second set's test coadds alone, as the
first set's are in small-v1's.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections import Counter
from pathlib import Path

import astropy.units as u

from spectok.training import pack_spectra

sys.path += [str(Path(__file__).parents[1] / name) for name in ("measured", "small_v1")]
import more  # noqa: E402
import pack as first  # noqa: E402
import real  # noqa: E402


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--more", type=Path, required=True)
    parser.add_argument("--train", default="train.safetensors")
    parser.add_argument("--test", default="test.safetensors")
    options = parser.parse_args()
    warnings.simplefilter("ignore", category=u.UnitsWarning)
    old, new = real.read_all(options.data), more.read_more(options.more)
    # A spectrum of both sets once: the first set's.
    known = {entry["record"]["id"] for entry in old if entry is not None}
    second = [e for e in new if e is not None and e["record"]["id"] not in known]
    entries = [e for e in old if e is not None] + second
    sets = {name: [e for e in entries if e["split"] == name] for name in ("train", "validation")}
    fields = ("survey", "wavelength", "flux", "sigma", "valid")
    train = pack_spectra([e[k] for k in fields] for e in sets["train"])
    first.write(
        options.train,
        train | real.arrays(sets["validation"]),
        {"train": first.records(sets["train"]), "real": first.records(sets["validation"])},
    )
    test = [e for e in second if e["split"] == "test" and "exposure" not in e["record"]["id"]]
    first.write(options.test, real.arrays(test), {"real": first.records(test)})
    for name, found in {**sets, "test (second set)": test}.items():
        counted = Counter(real.SURVEYS[e["survey"]] for e in found)
        print(name, dict(counted))


if __name__ == "__main__":
    main()
