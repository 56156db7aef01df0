"""Make the packs of views from which the readers of small-v1.1 and small-v1.2 learn.

    python recipes/small_v1_1/views.py --data DIR --templates templates.safetensors --out DIR

DIR (or SPECTOK_DATA) holds the real spectra, ``data2`` lies beside it; ``templates.safetensors``
is what recipes/small_v1/pack.py writes. Tokens are those of small-v1, whose tokenizer stays as it
is (--model: of another). Three files, see `spectok.training.open_views`:

optical.safetensors
    Mock objects of the training templates through SDSS, BOSS, DESI and one of 24 instruments with
    windows and samplings of their own, each at a depth of its own, and their noise-free spectra.
stars.safetensors
    The same stars through GALAH (twice), APOGEE's combined spectra and its visits, and their
    noise-free spectra in both.
real.safetensors
    Real SDSS training objects: coadds, repeats and single exposures, and as many noisier,
    recalibrated, shortened versions of them as make six views of each.

25 minutes on one core with AVX2 for the optical views of 22,784 objects. --only writes one of
the three. (The weights small-v1.1 that come with the package saw 3,072 stars, without their
noise-free spectra, which the recipe of that time did not write.)
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from tqdm import tqdm

import spectok
from spectok import simulate
from spectok._batch import PatchLayout, SpectrumBatch
from spectok.model._shared import ascending
from spectok.simulate._fine_grid import FINE
from spectok.simulate.instruments._exposure import expose
from spectok.simulate.instruments._observation import join
from spectok.training._curriculum import _varied

sys.path.insert(0, str(Path(__file__).parents[1] / "measured"))

CHUNK, BATCH = 256, 16
VARIED, SEED = 24, 5
SNR = (1.5, 60.0)  # of the optical views; SDSS's own in six of ten chunks
STARS = {
    "galah": ("galah", (8.0, 150.0)),
    "galah-again": ("galah", (8.0, 150.0)),
    "apogee": ("apogee", (15.0, 400.0)),
    "apogee-visit": ("apogee-visit", (10.0, 150.0)),
}
# Points of the simulator's fine grids that are averaged in the noise-free spectra.
POINTS = {"optical": 16, "hermes": 32, "h": 16}
VIEWS = 6  # of a real object


def of_batch(model, batch):
    """Tokens of every spectrum of a batch, in ascending wavelength, by what they are."""
    with torch.inference_mode():
        tokens = ascending(model.encode(batch))
    parts = {key: getattr(tokens, key) for key in ("value", "wavelength", "half", "valid", "end")}
    parts["value"] = parts["value"].half()
    return [dict(zip(parts, one, strict=True)) for one in zip(*parts.values(), strict=True)]


def of_observation(model, observed):
    """Tokens of mocks."""
    layout = PatchLayout.of(observed.instrument.wavelength, model.config.patch_size)
    arrays = [getattr(observed, name).numpy() for name in ("flux", "sigma", "valid")]
    found = []
    for start in range(0, len(observed.flux), BATCH):
        some = [array[start : start + BATCH] for array in arrays]
        found += of_batch(model, SpectrumBatch.from_layouts([layout] * len(some[0]), *some))
    return found


def stacked(name, tokens):
    """Arrays of one view; its grid once where all objects share it."""
    longest = max(len(one["value"]) for one in tokens)

    def padded(key, array):
        last = array[-1:] if key != "valid" else array.new_zeros(1)
        missing = longest - len(array)
        return torch.cat([array, last.expand(missing, *array.shape[1:])]) if missing else array

    arrays = {key: torch.stack([padded(key, one[key]) for one in tokens]) for key in tokens[0]}
    if bool((arrays["wavelength"] == arrays["wavelength"][:1]).all()):
        arrays |= {key: arrays[key][:1].clone() for key in ("wavelength", "half", "end")}
    return {f"{name}.{key}": array.contiguous() for key, array in arrays.items()}


def without_noise(scene, name):
    """Noise-free spectra on a coarser grid, over their median; NaN where not known."""
    grid, points, parts = FINE[name], POINTS[name], []
    known_from, known_to = scene.low[:, None], scene.high[:, None]
    for (start, _), (first, end) in zip(grid.segments, grid.bounds(), strict=True):
        whole = first + (end - first) // points * points
        flux = scene.flux[:, first:whole].unflatten(1, (-1, points)).mean(-1)
        place = torch.arange(flux.shape[1]) * points + (points - 1) / 2
        place = start + grid.step * place
        known = (place > known_from) & (place < known_to)
        parts.append(torch.where(known, flux, torch.nan))
    flux = torch.cat(parts, 1)
    return flux / flux.nanmedian(1, keepdim=True).values


def optical(model, templates, number):
    """Views of mock objects, and what they are without noise."""
    rng = np.random.default_rng(SEED)
    own = {name: simulate.instrument(name) for name in ("sdss", "boss", "desi")}
    natives = list(own.values())
    varied = [_varied(rng, natives[k % 3]) for k in range(VARIED)]
    simulator = simulate.Simulator("sdss", templates=templates.part("train"))
    tokens, truths = defaultdict(list), []
    for chunk in tqdm(range(-(-number // CHUNK)), desc="optical", unit="chunk"):
        rng = np.random.default_rng((77, chunk))
        observers = {**own, "varied": varied[rng.integers(VARIED)]}
        shallow = {name: rng.random() < 0.6 for name in observers}
        seen = defaultdict(list)
        for generator, order in simulator.chunks(CHUNK, 10_000_000 + chunk):
            scene = simulator.sample(len(order), generator)
            truths.append(without_noise(scene, "optical")[order].half())
            for name, observer in observers.items():
                snr = None if name == "sdss" and shallow[name] else SNR
                seen[name].append(expose(scene, observer, generator, snr=snr)[order])
        for name, parts in seen.items():
            tokens[name] += of_observation(model, join(parts))
    arrays = {"truth": torch.cat(truths)}
    for name, found in tokens.items():
        arrays |= stacked(name, found)
    return arrays


def stars(model, templates, number):
    """Views of the same stars in the optical and the near infrared, and both without noise."""
    names = ("galah", "apogee", "apogee-visit")
    simulator = simulate.Simulator(*names, templates=templates.part("train"))
    observers = {name: simulate.instrument(name) for name in names}
    tokens, truths = defaultdict(list), []
    for chunk in tqdm(range(-(-number // CHUNK)), desc="stars", unit="chunk"):
        seen = defaultdict(list)
        for generator, order in simulator.chunks(CHUNK, 30_000_000 + chunk):
            scenes = simulator.samples(len(order), generator)
            truth = [without_noise(scenes[FINE[name]], name) for name in ("hermes", "h")]
            truths.append(torch.cat(truth, 1)[order].half())
            for view, (name, snr) in STARS.items():
                one = observers[name]
                seen[view].append(expose(scenes[one.grid], one, generator, snr=snr)[order])
        for view, parts in seen.items():
            tokens[view] += of_observation(model, join(parts))
    arrays = {"truth": torch.cat(truths)}
    for view, found in tokens.items():
        arrays |= stacked(view, found)
    return arrays


def another(rng, wavelength, flux, sigma, valid):
    """As another observation might show it: noisier, calibrated otherwise, begun elsewhere."""
    place = np.log(wavelength / wavelength[0]) / np.log(wavelength[-1] / wavelength[0])
    waves = sum(rng.normal(0, 0.05) * np.sin(np.pi * k * place) for k in range(1, 5))
    gain = np.exp(waves + rng.normal(0, 0.15) * (place - 0.5))
    extra = 10 ** rng.uniform(-0.7, 0.6)
    flux = (flux + extra * sigma * rng.normal(size=len(flux))) * gain
    sigma = sigma * np.hypot(1, extra) * gain
    first = int(rng.integers(1, 32)) if rng.random() < 0.5 else 0
    return wavelength[first:], flux[first:], sigma[first:], valid[first:]


def real(model, data):
    """Views of the real training objects."""
    import more

    rng = np.random.default_rng(3)
    objects = defaultdict(list)
    more_data = data.parent / "data2"
    for one in more.first_set(data) + more.coadds(more_data) + more.exposures(more_data):
        if one.split == "train" and one.valid.any():
            objects[one.place].append((one.wavelength, one.flux, one.sigma, one.valid))
    views = [[] for _ in range(VIEWS)]
    for seen in objects.values():
        seen = seen[:8]
        several = seen[:3]
        while len(several) < VIEWS:
            several.append(another(rng, *seen[rng.integers(len(seen))]))
        for k, place in enumerate(rng.permutation(VIEWS)):
            views[k].append(several[place])
    arrays = {}
    for k, spectra in enumerate(views):
        found = []
        for wavelength, flux, sigma, valid in tqdm(spectra, desc=f"real {k}", unit="spectrum"):
            layout = PatchLayout.of(wavelength, model.config.patch_size)
            level = np.median(np.abs(flux[valid])) or 1.0
            batch = SpectrumBatch.from_layouts([layout], [flux / level], [sigma / level], [valid])
            found += of_batch(model, batch)
        arrays |= stacked(f"real{k}", found)
    return arrays


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=os.environ.get("SPECTOK_DATA"))
    parser.add_argument("--templates", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--objects", type=int, default=22_784)
    parser.add_argument("--stars", type=int, default=12_288)
    parser.add_argument("--only", choices=("optical", "stars", "real"))
    parser.add_argument("--model", default="small-v1", help="whose tokens")
    options = parser.parse_args()
    if options.data is None or not Path(options.data).is_dir():
        parser.error("no data folder: give --data DIR or set SPECTOK_DATA")
    warnings.simplefilter("ignore", category=UserWarning)
    options.out.mkdir(parents=True, exist_ok=True)
    model = spectok.load_model(options.model)
    templates = simulate.load_templates(options.templates)
    for name, arrays in (
        ("optical", lambda: optical(model, templates, options.objects)),
        ("stars", lambda: stars(model, templates, options.stars)),
        ("real", lambda: real(model, Path(options.data))),
    ):
        if options.only not in (None, name):
            continue
        partial = options.out / f"{name}.partial"
        save_file(arrays(), partial)
        partial.rename(options.out / f"{name}.safetensors")


if __name__ == "__main__":
    main()
