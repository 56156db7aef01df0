r"""Hidden-block score on instruments that no training has seen: the *evaluation only* spectra.

    python benchmarks/unseen.py DIR --model small-v1.1 [--model OTHER] --out unseen.json

DIR is the second set of real spectra (see its MANIFEST): LAMOST's low resolution, GALAH's old
reduction, and 20 instruments from the far ultraviolet to 5 micron. As in ``reconstruction.py``,
blocks of 12 good pixels, a tenth of each spectrum, are withheld; scored is the median of the
squared residual in units of the stated error (1: the noise itself) and the mean of what of it is
below 100. LAMOST's stated errors are 1.0 to 1.6 times too small, and many of the others are worse,
so a score is read beside the yardsticks', never alone. Intervals are 95 % of 300 bootstraps over
objects; an instrument with fewer than five objects has none, and says nothing but whether it
works. Air wavelengths become vacuum; where the source does not state the medium, they are left as
they are. ``--rst FILE`` writes the documentation's table. A minute on one core for each model.
"""

from __future__ import annotations

import argparse
import csv
import json
import warnings
from pathlib import Path

import numpy as np
from _rst import list_table
from _yardsticks import by_line, by_median
from reconstruction import by_model, score
from tqdm import tqdm

import spectok
from spectok._convert import to_grid
from spectok._hidden import hidden_blocks
from spectok.surveys._quality import LAMOST_BITS

FOLDERS = ("lamost", "galah", "other")
_LAMOST = sum(1 << bit for bit in LAMOST_BITS.values())


def spectra_of(folder: Path):
    """Instrument, object, wavelength in vacuum, flux, error and valid of each spectrum."""
    from astropy import units as u

    files: dict[str, dict] = {}
    with open(folder / "labels.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        if row["file"] not in files:
            files[row["file"]] = dict(np.load(folder / row["file"]))
        arrays, number = files[row["file"]], int(row["row"])
        begin, end = arrays["offsets"][number : number + 2]
        flux, ivar = (arrays[k][begin:end].astype(float) for k in ("flux", "ivar"))
        medium, bad = row.get("medium", "vacuum"), np.zeros(len(flux), bool)
        if folder.name == "lamost":
            wavelength = 10.0 ** (arrays["loglam0"][number] + 1e-4 * np.arange(len(flux)))
            bad = (arrays["and_mask"][begin:end] & _LAMOST) != 0
            name = "LAMOST low resolution"
        elif folder.name == "galah":
            pixels = np.arange(len(flux))
            wavelength = arrays["wave0_air"][number] + arrays["dwave"][number] * pixels
            name, medium = "GALAH, old reduction", "air"
        else:
            wavelength, name = arrays["wavelength"][begin:end], row["survey"]
            bad = arrays["mask"][begin:end] != 0
        good = ~bad & np.isfinite(flux) & np.isfinite(ivar) & (ivar > 0)
        there = np.isfinite(wavelength) & (wavelength > 0)
        grid = to_grid(
            wavelength[there] * u.AA,
            medium="air" if medium == "air" else "vacuum",
            where=row["key"],
        )
        flux, ivar, good = (grid.sort(a[there][None])[0] for a in (flux, ivar, good))
        if good.sum() < 300:
            continue
        sigma = np.where(good, np.where(good, ivar, 1.0) ** -0.5, 0.0)
        scale = np.median(np.abs(flux[good])) or 1.0
        yield (
            name, row["object_id"], grid.wavelength, np.where(good, flux / scale, 0.0),
            sigma / scale, good,
        )  # fmt: skip


def as_table(scores: dict[str, dict]) -> str:
    """Median and clipped mean of every method, an instrument a row."""
    methods = list(next(iter(scores.values())))
    heads = [f"{method}: {what}" for what in ("median", "clipped") for method in methods]
    rows = [["instrument", "objects", *heads]]
    order = sorted(
        scores, key=lambda cell: (cell != "LAMOST low resolution", cell == "others", cell)
    )
    for cell in order:
        own = scores[cell]
        name = "all but LAMOST's low resolution" if cell == "others" else cell
        row = [name, str(own[methods[0]]["objects"])]
        for what in ("median", "clipped"):
            for method in methods:
                value, *interval = own[method][what]
                row.append(f"{value:.2f}" + (
                    f" ({interval[0]:.2f}-{interval[1]:.2f})" if interval else ""
                ))  # fmt: skip
        rows.append(row)
    return list_table(rows)


def main() -> None:
    """Score and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", action="append", default=[])
    parser.add_argument("--out", help="JSON file")
    parser.add_argument("--rst", type=Path)
    options = parser.parse_args()
    names = options.model or [None]
    models = {name or "the embedded one": spectok.load_model(name) for name in names}
    found: dict[tuple[str, str], dict[str, list[np.ndarray]]] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # units and orders of foreign files
        every = [one for name in FOLDERS for one in spectra_of(options.folder / name)]
    for number, (instrument, name, wavelength, flux, sigma, valid) in enumerate(tqdm(every)):
        hidden = hidden_blocks(valid, np.random.default_rng((2510, number)))
        if not hidden.any():
            continue
        seen = valid & ~hidden
        guesses = {
            label: next(by_model(model, wavelength, flux, sigma, valid, hidden))
            for label, model in models.items()
        }
        guesses["linear"] = by_line(wavelength, flux, seen)
        guesses["running median"] = by_median(wavelength, flux, seen, hidden)
        for method, guess in guesses.items():
            if guess is None:
                continue
            square = ((flux[hidden] - guess[hidden]) / sigma[hidden]) ** 2
            for cell in {instrument, "LAMOST low resolution" if "low" in instrument else "others"}:
                found.setdefault((cell, method), {}).setdefault(name, []).append(square)
    rng = np.random.default_rng(0)
    scores: dict[str, dict] = {}
    for (cell, method), objects in found.items():
        squares = [np.concatenate(parts) for parts in objects.values()]
        scores.setdefault(cell, {})[method] = score(squares, rng)
        if len(squares) < 5:
            pixels = np.concatenate(squares)
            scores[cell][method] |= {
                "median": [round(float(np.median(pixels)) / 0.4549, 3)],
                "clipped": [round(float(np.minimum(pixels, 100.0).mean()), 3)],
            }
    for cell in sorted(scores, key=lambda cell: (cell != "LAMOST low resolution", cell)):
        print(cell)
        for method, one in scores[cell].items():
            said = ", ".join(f"{k} {one[k]}" for k in ("median", "clipped", "objects") if k in one)
            print(f"    {method:20s} {said}")
    if options.rst:
        options.rst.write_text(as_table(scores), encoding="utf-8")
    if options.out:
        Path(options.out).write_text(json.dumps(scores, indent=1, sort_keys=True))


if __name__ == "__main__":
    main()
