"""Spectra for the benchmark of the probes: mocks of known truth, and real ones, as tokens."""

from __future__ import annotations

import functools
import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from spectok import simulate
from spectok._batch import PatchLayout, SpectrumBatch
from spectok._weights import model_identity
from spectok.simulate import Simulator

sys.path.insert(0, str(Path(__file__).parents[1] / "recipes" / "measured"))

CLASSES = np.array(["GALAXY", "QSO", "STAR"])
BIN = 8  # pixels that are averaged into one for the baselines without a tokenizer
# Objects for fits and for tests come of other templates and other seeds.
SEED = {"train": 7_000_000, "validation": 8_000_000, "test": 9_000_000}


@dataclass
class Spectra:
    """Objects as probes see them.

    ``items`` as from `spectok.group`; ``binned`` (n, B), flux over its median in bins of pixels,
    for what works without a tokenizer; ``labels`` by name; ``families``, what mocks are made of.
    """

    items: np.ndarray
    binned: np.ndarray
    labels: dict[str, np.ndarray]
    families: np.ndarray

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, rows) -> Spectra:
        return Spectra(
            self.items[rows],
            self.binned[rows],
            {name: value[rows] for name, value in self.labels.items()},
            self.families[rows],
        )


def encode_items(model, wavelength, flux, sigma, valid, *, size=64):
    """Items of `spectok.group`, from arrays (n, L) on one grid whose arms may overlap."""
    layout = PatchLayout.of(wavelength, model.config.patch_size)
    name, sha256 = model_identity(model)
    fields = np.dtype(
        [
            ("wavelength", float), ("half", float),
            ("token", np.float32, (model.config.token_size,)),
        ],
        metadata={
            "MODEL": name, "SHA256": sha256, "CONTEXT": model.config.context_size
        },
    )  # fmt: skip
    to_edge = model.config.patch_size / (model.config.patch_size - 1)
    items = np.empty(len(flux), object)
    for start in range(0, len(flux), size):
        rows = range(start, min(start + size, len(flux)))
        batch = SpectrumBatch.from_layouts(
            [layout] * len(rows), *([part[row] for row in rows] for part in (flux, sigma, valid))
        )
        with torch.inference_mode():
            tokens = model.encode(batch)
        place = tokens.wavelength.numpy()
        for k, row in enumerate(rows):
            keep = tokens.valid[k].numpy()
            # Arms that overlap: a probe sees ascending wavelengths, as group gives them.
            keep = np.flatnonzero(keep)[np.argsort(place[k][keep], kind="stable")]
            items[row] = np.empty(len(keep), fields)
            items[row]["wavelength"] = place[k][keep]
            items[row]["half"] = to_edge * tokens.half[k].numpy()[keep]
            items[row]["token"] = tokens.value[k].numpy()[keep]
    return items


def bin_flux(flux, sigma, valid):
    """Flux over its median, weighted by errors in bins of pixels; empty bins hold 1."""
    weight = np.where(valid, sigma**-2.0, 0.0)
    whole = flux.shape[1] // BIN * BIN
    total = weight[:, :whole].reshape(len(flux), -1, BIN).sum(-1)
    value = (np.where(valid, flux, 0.0) * weight)[:, :whole].reshape(len(flux), -1, BIN).sum(-1)
    value = np.divide(value, total, out=np.full_like(value, np.nan), where=total > 0)
    level = np.nanmedian(value, axis=1, keepdims=True)
    noise = 1.4826 * np.nanmedian(np.abs(np.diff(value, axis=1)), axis=1, keepdims=True)
    value = value / np.maximum(level, noise)
    return np.nan_to_num(np.clip(value, -5, 10), nan=1.0).astype(np.float32)


def observations(simulator, n, seed, snr, chunk=500):
    """Observations of n objects, some at a time."""
    for start in range(0, n, chunk):
        yield simulator.observe(min(chunk, n - start), seed=seed + start, snr=snr)


@functools.cache
def simulation():
    """Checksum of all that decides what a seed's mocks are: code and measured quantities."""
    found = hashlib.sha256()
    folder = Path(simulate.__file__).parent
    for path in sorted((*folder.rglob("*.py"), *folder.rglob("*.safetensors"))):
        found.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return found.hexdigest()[:16]


def mocks(setting, survey, n, part, *, kind=None, snr=None, other=None, seed=0):
    """n mocks of a survey, kept in the cache; with ``other`` the same objects through both."""
    model, cache = setting.model, setting.cache
    origin = f"{model_identity(model)[1]} {simulation()}"
    key = f"{origin} {survey} {n} {part} {kind} {snr} {other} {seed}"
    path = cache / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.npz"
    names = [survey, *([other] if other else [])]
    if path.exists():
        return _read(path, model, names)
    both = [setting.instrument(name, calibrated=bool(other)) for name in names]
    simulator = Simulator(*both, templates=setting.templates.part(part), kind=kind)
    found = [[] for _ in names]
    bar = tqdm(total=n, desc=f"{survey} {part}", unit="spectrum", mininterval=10)
    for observed in observations(simulator, n, SEED[part] + seed, snr):
        for kept, one in zip(found, observed, strict=True):
            arrays = [getattr(one, name).numpy() for name in ("flux", "sigma", "valid")]
            items = encode_items(model, one.instrument.wavelength, *arrays)
            labels = {k: v.numpy() for k, v in one.labels.items()}
            kept.append(Spectra(items, bin_flux(*arrays), labels, np.array(one.families)))
        bar.update(len(items))
    bar.close()
    cache.mkdir(parents=True, exist_ok=True)
    _write(path, [join(kept) for kept in found])
    return _read(path, model, names)


def join(parts):
    """Spectra of several calls as one."""
    return Spectra(
        np.concatenate([p.items for p in parts]),
        np.concatenate([p.binned for p in parts]),
        {k: np.concatenate([p.labels[k] for p in parts]) for k in parts[0].labels},
        np.concatenate([p.families for p in parts]),
    )


def _write(path, several):
    arrays = {}
    for k, one in enumerate(several):
        arrays[f"{k}.token"] = np.concatenate(list(one.items))["token"]
        arrays[f"{k}.wavelength"] = np.concatenate(list(one.items))["wavelength"]
        arrays[f"{k}.half"] = np.concatenate(list(one.items))["half"]
        arrays[f"{k}.count"] = np.array([len(item) for item in one.items])
        arrays[f"{k}.binned"], arrays[f"{k}.families"] = one.binned, one.families.astype(str)
        arrays |= {f"{k}.label.{name}": value for name, value in one.labels.items()}
    part = path.with_suffix(".part.npz")
    np.savez(part, **arrays)
    part.replace(path)


def _read(path, model, names):
    name, sha256 = model_identity(model)
    fields = np.dtype(
        [
            ("wavelength", float), ("half", float),
            ("token", np.float32, (model.config.token_size,)),
        ],
        metadata={
            "MODEL": name, "SHA256": sha256, "CONTEXT": model.config.context_size
        },
    )  # fmt: skip
    found = []
    with np.load(path) as file:
        for k in range(len(names)):
            flat = np.empty(len(file[f"{k}.token"]), fields)
            for key in ("token", "wavelength", "half"):
                flat[key] = file[f"{k}.{key}"]
            items = np.empty(len(file[f"{k}.count"]), object)
            items[:] = np.split(flat, np.cumsum(file[f"{k}.count"])[:-1])
            labels = {
                key.split(".")[2]: file[key] for key in file.files if key.startswith(f"{k}.label.")
            }
            found.append(Spectra(items, file[f"{k}.binned"], labels, file[f"{k}.families"]))
    return found[0] if len(found) == 1 else found


def real_spectra(setting):
    """Every real spectrum with its record: list of (record, entry, item), by survey."""
    import real

    found = {name: [] for name in real.SURVEYS}
    for entry in real.read_all(setting.data):
        if entry is None:
            continue
        arrays = [entry[k][None] for k in ("flux", "sigma", "valid")]
        (item,) = encode_items(setting.model, entry["wavelength"], *arrays)
        found[real.SURVEYS[entry["survey"]]].append((entry["record"], entry, item))
    return found
