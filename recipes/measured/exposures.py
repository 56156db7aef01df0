"""Measure noise and calibration between repeated exposures of SDSS's spectrographs.

    python recipes/measured/exposures.py --more DIR2

DIR2 holds the second set, whose exposures are pairs of the same object by the same camera, in one
night and on pixels of their own. Only objects
of the training set are used. The second exposure is brought to the first one's pixels (cubic
convolution; the noise it then has is that of the weights). Printed for each spectrograph, camera
and S/N, with intervals over objects (95 %, bootstrap): the scatter of the difference over its
stated error (by the median of squares, off sky lines and on them), and the waves of calibration:
the ratio of the two, smoothed over 200 pixels, less its mean, where S/N allows. The same of the
simulator's calibration for two independent draws.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import median_filter, uniform_filter1d

from spectok._split import sky_split
from spectok.simulate import instrument
from spectok.simulate.instruments._systematics import calibration


def frames(folder):
    """Pairs of frames of one camera: key, spectrograph, camera and two times the arrays."""
    arrays = dict(np.load(folder / "sdss_exposures.npz"))
    pairs = defaultdict(list)
    for row in csv.DictReader(open(folder / "labels.csv")):
        if str(sky_split(float(row["ra"]), float(row["dec"]))) != "train":
            continue
        k = int(row["row"])
        one = slice(*arrays["offsets"][k : k + 2])
        place = (arrays["loglam0_1e9"][k] + np.cumsum(arrays["step_1e9"][one], dtype="i8")) * 1e-9
        flux, ivar = (arrays[name][one].astype(float) for name in ("flux", "ivar"))
        good = np.isfinite(flux) & (ivar > 0)
        sigma = np.where(good, np.where(good, ivar, 1) ** -0.5, np.inf)
        which = "boss" if row["survey"].startswith("BOSS") else "sdss"
        key = (row["object_id"], row["coadd_key"], which, row["camera"][0])
        pairs[key].append((place, np.where(good, flux, 0), sigma))
    return {key: found for key, found in pairs.items() if len(found) == 2}


def resampled(place, flux, sigma, onto):
    """Flux and error at other places: cubic convolution (Keys 1981)."""
    at = np.interp(onto, place, np.arange(len(place)))
    base = np.clip(np.floor(at).astype(int), 1, len(place) - 3)
    x = at - base
    weights = np.array([
        -0.5 * x + x**2 - 0.5 * x**3, 1 - 2.5 * x**2 + 1.5 * x**3,
        0.5 * x + 2 * x**2 - 1.5 * x**3, -0.5 * x**2 + 0.5 * x**3,
    ])  # fmt: skip
    columns = base + np.arange(-1, 3)[:, None]
    variance = np.where(weights == 0, 0, weights**2 * sigma[columns] ** 2).sum(0)
    inside = (onto > place[1]) & (onto < place[-2])
    return (weights * flux[columns]).sum(0), np.where(inside, variance, np.inf) ** 0.5


def compare(first, second):
    """Scatter of the difference off and on sky lines, the waves of the ratio, and S/N."""
    place, flux, sigma = first
    other, error = resampled(*second, place)
    total = np.hypot(sigma, error)
    ok = np.isfinite(total)
    if ok.sum() < 1000:
        return None
    snr = float(np.median(np.abs(flux / sigma)[ok]))
    weight = np.where(ok, 1 / total**2, 0)
    smooth = lambda v: uniform_filter1d(v, 201)  # noqa: E731
    product = smooth(weight * flux * other)
    ratio = product / np.maximum(smooth(weight * flux**2), 1e-9)
    # Noise in the denominator biases it alike all along where the spectrum is bright.
    waves = np.std(np.log(np.maximum(ratio[ok], 0.1))) if snr > 12 else np.nan
    level = ratio if snr > 3 else np.ones(len(flux))
    error = np.where(ok, np.hypot(level * sigma, error), 1)
    pull = np.where(ok, (other - level * flux) / error, 0)
    log = np.log10(np.where(ok, sigma, np.median(sigma[ok])))
    line = log - median_filter(log, 101) > 0.1
    scale = lambda v: np.sqrt(np.median(v**2) / 0.4549) if len(v) > 30 else np.nan  # noqa: E731
    third = np.array_split(np.flatnonzero(ok & ~line), 3)
    return [scale(pull[ok & ~line]), scale(pull[ok & line]), *(scale(pull[t]) for t in third),
            waves, snr]  # fmt: skip


def shown(values, groups, rng):
    """Median and 95 % over objects."""
    some = np.isfinite(values)
    values, groups = values[some], np.array(groups)[some]
    names = np.unique(groups)
    if len(names) < 5:
        return f"- ({len(names)} objects)"
    of = {name: values[groups == name] for name in names}
    draws = [np.median(np.concatenate([of[n] for n in rng.choice(names, len(names))]))
             for _ in range(400)]  # fmt: skip
    low, high = np.percentile(draws, (2.5, 97.5))
    return f"{np.median(values):.3f} ({low:.3f}-{high:.3f}, {len(names)} objects)"


def simulated_waves(name):
    """Scatter of the logarithm of two calibrations' ratio over each half, smoothed alike."""
    one = instrument(name)
    draw = calibration(one, 200, torch.Generator().manual_seed(1)).double().numpy()
    half = np.array_split(uniform_filter1d(draw[::2] - draw[1::2], 201, axis=1), 2, axis=1)
    return [float(np.median(part.std(1))) for part in half]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--more", type=Path, required=True, help="folder of the second set")
    options = parser.parse_args()
    rng = np.random.default_rng(1)
    rows, about = [], []
    for key, (first, second) in sorted(frames(options.more / "sdss_exposures").items()):
        found = compare(first, second)
        if found is not None:
            rows.append(found)
            about.append(key)
    rows = np.array(rows)
    titles = ("off sky lines", "on sky lines", "blue third", "middle third", "red third", "waves")
    for which in ("sdss", "boss"):
        print(f"{which}: the simulator's waves, blue and red half:", simulated_waves(which))
        for camera in "BR":
            mine = np.array([a[2:] == (which, camera) for a in about])
            for low, high in ((0, 3), (3, 10), (10, 1000)):
                some = mine & (rows[:, -1] >= low) & (rows[:, -1] < high)
                if some.sum() < 5:
                    continue
                groups = [a[0] for a, s in zip(about, some, strict=True) if s]
                print(f" camera {camera}, S/N {low} to {high}: {some.sum()} pairs")
                for k, title in enumerate(titles):
                    print(f"   {title:14s} {shown(rows[some, k], groups, rng)}")


if __name__ == "__main__":
    main()
