"""Which of SDSS's mask bits say that a pixel is broken? Asked of real ``spec`` files.

For each bit, in the AND mask and in the OR mask: the number of pixels that have it,
how many of them have no weight (inverse variance zero), and how far the others are
from the survey's best-fit model, as the median of r^2 in units of the variance over
0.4549, divided by the same of the file's other good pixels. 1 is as good as any.

    python benchmarks/sdss_mask.py --data DIR
"""

import argparse
import os
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table

NAMES = dict(enumerate("NOPLUG BADTRACE BADFLAT BADARC MANYBADCOLUMNS MANYREJECTED".split()))
NAMES |= dict(enumerate("LARGESHIFT BADSKYFIBER NEARWHOPPER WHOPPER".split(), start=6))
NAMES |= dict(enumerate("NEARBADPIXEL LOWFLAT FULLREJECT PARTIALREJECT".split(), start=16))
NAMES |= dict(enumerate("SCATTEREDLIGHT CROSSTALK NOSKY BRIGHTSKY NODATA".split(), start=20))
NAMES |= dict(enumerate("COMBINEREJ BADFLUXFACTOR BADSKYCHI REDMONSTER".split(), start=25))


def columns(path):
    """Weight, squared residual over the file's median of it, and the two masks."""
    with fits.open(path, memmap=False) as hdus:
        names = {name.lower(): name for name in hdus[1].columns.names}
        flux, ivar, model = (
            np.asarray(hdus[1].data[names[n]], float) for n in ("flux", "ivar", "model")
        )
        masks = [np.asarray(hdus[1].data[names[n]], np.int64) for n in ("and_mask", "or_mask")]
    squared = (flux - model) ** 2 * ivar
    good = ivar > 0
    typical = np.median(squared[good]) if good.any() else 1.0
    return ivar, squared / typical, *masks


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("SPECTOK_DATA"))
    arguments = parser.parse_args()
    if arguments.data is None:
        parser.error("give --data DIR, or set SPECTOK_DATA")
    paths = sorted(Path(arguments.data).rglob("spec-*.fits"))
    if not paths:
        parser.error(f"no spec files below {arguments.data}")
    parts = [columns(path) for path in paths]
    ivar, squared, *masks = (np.concatenate(part) for part in zip(*parts, strict=True))
    alive = ivar > 0
    print(f"{len(paths)} files, {ivar.size} pixels, {(~alive).sum()} without weight")
    for kind, mask in zip(("AND", "OR"), masks, strict=True):
        any_ = mask != 0
        print(
            f"{kind} mask not zero: {any_.mean():.1%} of the pixels; those with a weight "
            f"are {np.median(squared[any_ & alive]):.2f} times as far from the model"
        )
    rows = []
    for bit, name in sorted(NAMES.items()):
        row = {"bit": bit, "name": name}
        for kind, mask in zip(("and", "or"), masks, strict=True):
            has = (mask >> bit) & 1 == 1
            some = (has & alive).any()
            row[kind] = int(has.sum())
            row[f"{kind}_dead"] = int((has & ~alive).sum())
            row[f"{kind}_r2"] = np.median(squared[has & alive]) if some else np.nan
        if row["or"]:
            rows.append(row)
    table = Table(rows)
    for name in ("and_r2", "or_r2"):
        table[name].format = ".2f"
    table.pprint_all()


if __name__ == "__main__":
    main()
