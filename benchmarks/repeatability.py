"""How far pooled tokens move where the object stays the same, on real SDSS spectra.

    python benchmarks/repeatability.py --data DIR [--model small-v1] [--out repeatability.json]

DIR (or the environment variable SPECTOK_DATA) holds the spectra listed in its MANIFEST.md. Takes
40 s on one core. A vector is the mean of a spectrum's tokens (`spectok.pool`); distances are
Euclidean, between vectors as they are (``raw``) and with every dimension over its standard
deviation over objects (``standardised``). Every distance is given relative to the median distance
between different objects of its class (by the survey's label): 0 is the same vector, 1 says that
the change moves a spectrum as far as the next object of the class. These different objects, and
those that are changed, are test, validation and evaluation objects, the best spectrum of each.

- ``trimmed``: without the first 1 to 31 pixels: the median of the 31 distances, and the worst;
- ``shifted``: all wavelengths 0.1 Angstrom longer;
- ``noisier``: noise of one sigma added, the errors sqrt(2) times as large;
- ``repeat plates``: median over the pairs of observations of one object;
- ``epochs``: the same for the quasar SDSS-RM 017, observed twelve times in twelve years, with its
  own variability; ``of BOSS`` leaves out the one of another spectrograph.

Given is the median over objects with 95 % of 1000 bootstraps over the objects of numerator and
denominator (over the epochs of the one quasar). ``sets`` counts the objects of the numerator by
set: most repeats are of training objects, because too few others were observed twice.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import sys
import warnings
from pathlib import Path

import astropy.units as u
import numpy as np
from tqdm import tqdm

import spectok

sys.path.insert(0, str(Path(__file__).parents[1] / "recipes" / "measured"))
import real  # noqa: E402

UNSEEN = ("test", "validation", "evaluation")
QUASAR = "213.351 53.091"  # SDSS-RM 017
FEWEST = 5  # objects of a class or of a figure


def vectors(spectra, model):
    """Pooled tokens (N, C) of tuples of wavelength, flux, sigma and valid."""
    wavelength, flux, sigma, valid = (list(column) for column in zip(*spectra, strict=True))
    ivar = [np.where(v, s, np.inf) ** -2.0 for s, v in zip(sigma, valid, strict=True)]
    mask = [~v for v in valid]
    tokens = spectok.encode_arrays(wavelength, flux, ivar, mask, model=model, progress=False)
    return np.asarray(spectok.pool(tokens)["vector"], float)


def changed(spectrum, rng):
    """Copies of a spectrum: 31 trimmed, one shifted, one noisier."""
    wavelength, flux, sigma, valid = spectrum
    noise = sigma * rng.standard_normal(len(flux))
    return [
        *(tuple(a[n:] for a in spectrum) for n in range(1, 32)),
        (wavelength + 0.1, flux, sigma, valid),
        (wavelength, flux + noise, sigma * 2**0.5, valid),
    ]


def distances(these):
    """Between all pairs of vectors (N, C): (N, N)."""
    return np.linalg.norm(these[:, None] - these, axis=-1)


def typical(distance, rows):
    """Median over pairs of rows, but for those of a row with itself, drawn twice."""
    first, second = (rows[i] for i in np.triu_indices(len(rows), 1))
    other = first != second
    return np.median(distance[first[other], second[other]]) if other.any() else np.nan


def relative(figure, n, reference):
    """``figure(rows, far)`` for all of n rows, with its interval over resampled rows.

    ``far`` has the typical distance of every class, of the matrices in ``reference``.
    """
    rng = np.random.default_rng(0)
    pick = lambda n: rng.integers(0, n, n)  # noqa: E731
    value = figure(np.arange(n), {c: typical(d, np.arange(len(d))) for c, d in reference.items()})
    draws = [
        figure(pick(n), {c: typical(d, pick(len(d))) for c, d in reference.items()})
        for _ in range(1000)
    ]
    return [float(f"{x:.3g}") for x in (value, *np.nanpercentile(draws, (2.5, 97.5)))]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=os.environ.get("SPECTOK_DATA"))
    parser.add_argument("--model", default=None)
    parser.add_argument("--seed", type=int, default=2026, help="of the noise that is added")
    parser.add_argument("--out")
    options = parser.parse_args()
    if options.data is None or not Path(options.data).is_dir():
        parser.error("no data folder: give --data DIR or set SPECTOK_DATA")
    warnings.simplefilter("ignore", category=u.UnitsWarning)
    model = spectok.load_model(options.model)

    entries = [e for e in real.read_sdss(Path(options.data)) if e is not None]
    spectra = [tuple(e[k] for k in ("wavelength", "flux", "sigma", "valid")) for e in entries]
    snr = np.array([e["record"]["snr"] for e in entries])
    places = collections.defaultdict(list)
    for row, e in enumerate(entries):
        places[f"{e['record']['ra']:.3f} {e['record']['dec']:.3f}"].append(row)
    best = {place: rows[np.argmax(snr[rows])] for place, rows in places.items()}
    kind = {place: entries[row]["class"] for place, row in best.items()}
    split = {place: entries[row]["split"] for place, row in best.items()}
    number = collections.Counter(kind[p] for p in places if split[p] in UNSEEN)
    usable = [p for p in places if number[kind[p]] >= FEWEST]
    unseen = [p for p in usable if split[p] in UNSEEN]
    again = [p for p in usable if len(places[p]) > 1 and p != QUASAR]

    plain = vectors(spectra, model)
    rng = np.random.default_rng(options.seed)
    moved = np.array(
        [vectors(changed(spectra[best[p]], rng), model) for p in tqdm(unseen, "encode")]
    )
    if not (np.abs(plain).sum(-1).all() and np.abs(moved).sum(-1).all()):
        raise ValueError("a spectrum has no valid token: its vector is no vector")

    first = np.array([best[p] for p in unseen])
    found = {"model": options.model or "default", "unseen objects": dict(number)}
    for metric, unit in (("raw", 1.0), ("standardised", plain[first].std(0))):
        one = plain / unit
        rows_of = lambda name: [best[p] for p in unseen if kind[p] == name]  # noqa: E731
        reference = {c: distances(one[rows_of(c)]) for c in sorted({kind[p] for p in unseen})}
        apart = lambda rows: typical(distances(one[rows]), np.arange(len(rows)))  # noqa: B023, E731
        away = np.linalg.norm(moved / unit - one[first][:, None], axis=-1)
        figures = {
            "trimmed, median": (unseen, np.median(away[:, :31], 1)),
            "trimmed, worst": (unseen, away[:, :31].max(1)),
            "shifted": (unseen, away[:, 31]),
            "noisier": (unseen, away[:, 32]),
            "repeat plates": (again, np.array([apart(places[p]) for p in again])),
        }
        out = found[metric] = {}
        for name, (objects, values) in figures.items():
            for group in ("all", *reference):
                of = [i for i, p in enumerate(objects) if group in ("all", kind[p])]
                if len(of) < FEWEST:
                    continue
                classes = np.array([kind[objects[i]] for i in of])
                out[f"{name} | {group}"] = {
                    "relative": relative(
                        lambda rows, far, v=values[of], c=classes: np.median(
                            v[rows] / [far[k] for k in c[rows]]
                        ),
                        len(of),
                        reference,
                    ),
                    "objects": len(of),
                    "sets": dict(collections.Counter(split[objects[i]] for i in of)),
                    "median S/N": round(float(np.median([snr[best[objects[i]]] for i in of])), 1),
                }
        epochs = np.array(places[QUASAR])
        boss = np.array([row for row in epochs if spectra[row][0][-1] > 9500])
        for name, rows in (("epochs | QSO", epochs), ("epochs of BOSS | QSO", boss)):
            between = distances(one[rows])
            out[name] = {
                "relative": relative(
                    lambda rows, far, d=between: typical(d, rows) / far["QSO"],
                    len(rows),
                    reference,
                ),
                "objects": 1,
                "epochs": len(rows),
                "sets": {split[QUASAR]: 1},
                "median S/N": round(float(np.median(snr[rows])), 1),
            }
        for name, result in out.items():
            print(f"{metric:13s} {name:28s} {result}")
    if options.out:
        with open(options.out, "w", encoding="utf-8") as file:
            json.dump(found, file, indent=1)


if __name__ == "__main__":
    main()
