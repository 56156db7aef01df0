"""Pack all a training run needs into two files of plain arrays.

    python pack.py --data DIR --train train.safetensors --test test.safetensors

DIR (or the environment variable SPECTOK_DATA) holds the spectra and templates
listed in its MANIFEST.md.

``real.*``: observed objects, their arms one after the other (DESI: b, r, z, which
overlap), concatenated; object i is ``[offset[i]:offset[i + 1]]``. Wavelengths are
vacuum Angstrom; flux, sigma and the survey's model are over the median flux;
sigma is 0 where not valid. ``truth.*``: noise-free spectra, pixel j of entry i at
``10 ** (start[i] + j * step[i])``; entries of one ``group`` are arms of one star.
``noise.*``: variance = a * sky + b * source * max(flux, 0). ``gap.apogee``: detector
gaps, where the truths of kind 4 were filled in. Labels are JSON in the metadata.
"""

from __future__ import annotations

import argparse
import json
import os
import warnings
from pathlib import Path

import astropy.units as u
import lines
import noise
import numpy as np
import real
import truths
from astropy.io import fits
from safetensors.numpy import save_file

from spectok import surveys


def noise_arrays(data, training):
    """Noise models of the four surveys, from training objects."""
    by_survey = [[e for e in training if e["survey"] == k] for k in range(4)]
    found = {"sdss": noise.sdss(by_survey[0])}
    desi = [e for e in by_survey[1] if e["valid"].mean() > 0.9]
    ends = desi[0]["segments"]
    found["desi"] = noise.stacked(desi, list(zip(ends[:-1], ends[1:], strict=True)), smooth=301)
    # The sky spectra that the files carry give the shape of the lines.
    star = next(e for e in by_survey[2] if "note" not in e["record"])
    files = [data / f"galah/real/com/{star['record']['id']}{c}.fits" for c in "1234"]
    sky = np.concatenate([fits.getdata(f, "sky").astype(float) for f in files])
    ends = star["segments"]
    # Flux and sky are counts there; the entry's flux is over its scale.
    scale = star["record"]["scale"]
    found["galah"] = noise.known_sky(
        star, sky / scale, list(zip(ends[:-1], ends[1:], strict=True)), smooth=301, gain=1 / scale
    )
    visit = next(e for e in by_survey[3] if "note" not in e["record"])
    path = next(
        p
        for p in sorted((data / "apogee/real").glob("apVisit*.fits"))
        if surveys.apogee.read(p)[0].meta["object_id"] == visit["record"]["id"]
    )
    with fits.open(path, memmap=False) as hdus:
        wave, sky = hdus[4].data.astype(float), hdus[5].data.astype(float)
    chips = np.argsort(np.median(wave, axis=1))
    sky = np.concatenate([sky[c][np.argsort(wave[c])] for c in chips])
    ends = visit["segments"]
    found["apogee"] = noise.known_sky(
        visit,
        sky / visit["record"]["scale"],
        list(zip(ends[:-1], ends[1:], strict=True)),
        smooth=201,
    )
    print(
        "noise from:",
        {
            "sdss": len(by_survey[0]),
            "desi": len(desi),
            "galah": star["record"]["id"],
            "apogee": visit["record"]["id"],
        },
    )
    native = {
        "grid.desi": desi[0]["wavelength"],
        "grid.galah": star["wavelength"],
        "grid.apvisit": visit["wavelength"],
        "grid.sdss": 10.0 ** (3.5500 + 1e-4 * np.arange(4670)),
        "grid.apogee": 10.0 ** (4.179 + 6e-6 * np.arange(8575)),
    }
    arrays = {}
    for name, parts in found.items():
        for key, value in noise.normalised(*parts).items():
            arrays[f"noise.{name}.{key}"] = value
    return arrays, native


def detector_gaps(data):
    """Gaps of the 7214-pixel APOGEE grid, (2, 2) in vacuum Angstrom."""
    w = np.load(data / "apogee/generator/apogee_wavelength_7214.npz")["wavelength"]
    at = np.sort(np.argsort(np.diff(w))[-2:])
    return np.array([(w[i], w[i + 1]) for i in at])


def write(path, arrays, metadata):
    """Write under a temporary name, then rename, so that no reader sees half."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    save_file(
        {k: np.ascontiguousarray(v) for k, v in arrays.items()},
        part,
        metadata={k: json.dumps(v) for k, v in metadata.items()},
    )
    os.replace(part, path)


def summary(path, arrays):
    """Print what a pack holds."""
    print(f"\n{path}: {os.path.getsize(path) / 2**20:.1f} MiB")
    for key, value in sorted(arrays.items()):
        print(
            f"  {key:26s} {value.dtype!s:8s} {value.shape!s:14s} {value.nbytes / 2**20:7.2f} MiB"
        )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=os.environ.get("SPECTOK_DATA"))
    parser.add_argument("--train", default="train.safetensors")
    parser.add_argument("--test", default="test.safetensors")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.data is None or not Path(options.data).is_dir():
        parser.error("no data folder: give --data DIR or set SPECTOK_DATA")
    data, rng = Path(options.data), np.random.default_rng(options.seed)
    warnings.simplefilter("ignore", category=u.UnitsWarning)

    entries = [
        e
        for reader in (real.read_sdss, real.read_desi, real.read_galah, real.read_apogee)
        for e in reader(data)
    ]
    print(f"objects without one good pixel, left out: {sum(e is None for e in entries)}")
    entries = [e for e in entries if e is not None]
    sets = {
        s: [e for e in entries if e["split"] == s]
        for s in ("train", "validation", "test", "evaluation")
    }
    training = sets["train"]
    made = truths.build(data, [e for e in training if e["survey"] == 0], rng)
    if made.skipped:
        print("truths left out:", made.skipped)
    arrays, native = noise_arrays(data, training)
    wavelength, records = lines.read(data / "templates/emlines_fastspecfit.ecsv")

    seen = training + sets["validation"]
    train = {
        **real.arrays(seen),
        **made.arrays(),
        **arrays,
        **native,
        "gap.apogee": detector_gaps(data),
        "lines.wavelength": wavelength,
    }
    write(
        options.train,
        train,
        {"real": [e["record"] for e in seen], "truth": made.label, "lines": records},
    )
    unseen = sets["test"] + sets["evaluation"]
    test = real.arrays(unseen)
    write(options.test, test, {"real": [e["record"] for e in unseen]})

    print("\nsurvey  class    S/N      " + "  ".join(f"{s:>10s}" for s in sets))
    bin_of = lambda s: "<10" if s < 10 else "10-30" if s <= 30 else ">30"  # noqa: E731
    keys = sorted({(e["survey"], e["class"], bin_of(e["record"]["snr"])) for e in entries})
    for key in keys:
        counts = [
            sum((e["survey"], e["class"], bin_of(e["record"]["snr"])) == key for e in sets[s])
            for s in sets
        ]
        print(
            f"{real.SURVEYS[key[0]]:7s} {key[1]:8s} {key[2]:8s} "
            + "  ".join(f"{c:10d}" for c in counts)
        )
    kinds: dict = {}
    for kind, group, label in zip(made.kind, made.group, made.label, strict=True):
        kinds.setdefault((kind, label["source"]), set()).add(group)
    print("\ntruths: kind, source, number")
    for (kind, source), groups in sorted(kinds.items()):
        print(f"  {kind} {source:32s} {len(groups)}")
    summary(options.train, train)
    summary(options.test, test)


if __name__ == "__main__":
    main()
