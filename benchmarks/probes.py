"""What tokens know: every task of the probes, on mocks and on real spectra.

    python benchmarks/probes.py --data DIR --templates templates.safetensors \
        --test test.safetensors --out docs/probes.json --plots docs/images
    python benchmarks/probes.py --out docs/probes.json --rst docs/probes_table.rst

DIR (or the environment variable SPECTOK_DATA) holds the spectra listed in its MANIFEST.md; the
packs come from ``recipes/small_v1/pack.py``. All tasks take about two hours of one core; results
are written after every task, and tasks that are in the file already, with this model and share,
are left alone (``--again`` does them anew). Mocks are kept as tokens in ``--cache``, where those
of another simulator are not found; empty it when templates change. ``--share 0.01`` tries
everything out.

The tokenizer is frozen and was trained without labels, on mocks of all templates. Mocks that a
probe learns from and those that it is judged by have other seeds and other templates
(`spectok.simulate.Templates.part`); of the emulated stars of GALAH and APOGEE, other stars about
whose labels they are drawn, but the same emulators. Real spectra that judge are test objects of
the package's one split, and those without a licence, which no training has seen. Every figure
has its 95 % interval, 1000 bootstraps over objects or, for shares, Wilson's, with the fitted
probe as it is: another seed of the fit is another probe (the task ``labels`` repeats small fits).
Figures of fewer than five objects and shares of fewer than 30 are not given.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import _probe_real
import _probe_space
import _probe_table
import _probe_tasks
import _probe_transfer
import astropy.units as u
import torch
from _novelty import novelty_task

import spectok
from spectok import probes, simulate
from spectok._weights import model_identity


@dataclass
class Setting:
    """What the tasks need."""

    model: spectok.SpectralTokenizer
    templates: simulate.Templates
    data: Path | None
    test: Path | None
    cache: Path
    plots: Path | None
    share: float

    def n(self, full: int) -> int:
        """A number of objects, or its share."""
        return max(int(full * self.share), 60)

    def save(self, name: str, probe) -> None:
        """Keep a fitted probe for the tasks on real spectra."""
        path = self._path(name)
        path.unlink(missing_ok=True)
        probes.save_probe(probe, path)

    def load(self, name: str):
        """A probe that another task fitted; None where it was not done."""
        path = self._path(name)
        return probes.load_probe(path) if path.exists() else None

    def _path(self, name: str) -> Path:
        model = model_identity(self.model)[1][:8]
        return self.cache / f"{name} {model} {self.share}.safetensors".replace(" ", "-")

    def instrument(self, name: str, calibrated: bool = False):
        """An instrument, kept for the next task: its response takes a second to compute."""
        if not hasattr(self, "_known"):
            self._known = {}
        key = (name, calibrated)
        if key not in self._known:
            one = simulate.instrument(name)
            self._known[key] = one.calibrated() if calibrated else one
        return self._known[key]


def novelty(setting):
    """Calibration and detection of the novelty score."""
    n = setting.n(100)
    return novelty_task(
        setting.test, setting.templates.part("test"), setting.model, 2026, n, data=setting.data
    )


TASKS = {
    "classes": _probe_tasks.classes,
    "stars": _probe_tasks.stars,
    "redshifts": _probe_tasks.redshifts,
    "latent": _probe_space.latent,
    "transfer": _probe_transfer.transfer,
    "labels": _probe_transfer.label_counts,
    "across": _probe_space.across,
    "novelty": novelty,
    "real classes": _probe_real.real_classes,
    "giants": _probe_real.giants,
    "single stars": _probe_real.single_stars,
}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=os.environ.get("SPECTOK_DATA"))
    parser.add_argument("--templates")
    parser.add_argument("--test", type=Path, help="test.safetensors, for the novelty score")
    parser.add_argument("--model", default=None)
    parser.add_argument("--out", type=Path, default=Path("probes.json"))
    parser.add_argument("--cache", type=Path, default=Path("probes-cache"))
    parser.add_argument("--plots", type=Path)
    parser.add_argument("--tasks", default=",".join(TASKS), help="of " + ", ".join(TASKS))
    parser.add_argument("--again", action="store_true", help="do tasks that are done already")
    parser.add_argument("--share", type=float, default=1.0, help="of the objects")
    parser.add_argument("--rst", type=Path, help="write tables from --out, and do nothing else")
    options = parser.parse_args()
    if options.rst:
        options.rst.write_text(_probe_table.tables(read(options.out)))
        return
    if options.templates is None:
        parser.error("give --templates, from recipes/small_v1/pack.py")
    unknown = [name for name in options.tasks.split(",") if name not in TASKS]
    if unknown:
        parser.error(f"no task {', '.join(unknown)}")
    warnings.simplefilter("ignore", category=u.UnitsWarning)
    data = Path(options.data) if options.data else None
    setting = Setting(
        spectok.load_model(options.model), simulate.load_templates(options.templates), data,
        options.test, options.cache, options.plots, options.share,
    )  # fmt: skip
    needs = {"real classes": data, "giants": data, "single stars": data, "novelty": options.test}
    for name in options.tasks.split(","):
        if done(read(options.out), name, setting) and not options.again:
            continue
        if name in needs and needs[name] is None:
            print(f"{name}: left out, for it needs --data or --test")
            continue
        start = time.perf_counter()
        print(f"== {name}", flush=True)
        found = TASKS[name](setting)
        store(options.out, name, found, time.perf_counter() - start, setting)


def read(path):
    """The results so far."""
    return json.loads(path.read_text()) if path.exists() else {}


def done(results, name, setting):
    """Whether the file has a task, of this model and this share of the objects."""
    about = results.get("tasks", {}).get(name, {}).get("about", {})
    return (about.get("sha256"), about.get("share")) == (
        model_identity(setting.model)[1], setting.share,
    )  # fmt: skip


def store(path, name, found, seconds, setting):
    """Add a task's results to the file; another process may have added others meanwhile."""
    results = read(path)
    model = model_identity(setting.model)
    about = {
        "model": model[0],
        "sha256": model[1],
        "spectok": spectok.__version__,
        "torch": torch.__version__,
        "scikit-learn": importlib.metadata.version("scikit-learn"),
        "machine": platform.machine(),
        "date": datetime.date.today().isoformat(),
        "share": setting.share,
    }
    command = (
        "python benchmarks/probes.py --data DIR --templates templates.safetensors "
        f'--test test.safetensors --tasks "{name}"'
    )
    task = {"seconds": round(seconds), "command": command, "about": about, "results": found}
    results.setdefault("tasks", {})[name] = task
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(results, indent=1) + "\n")
    os.replace(part, path)
    print(f"{name}: {seconds:.0f} s, {len(found)} results", flush=True)


if __name__ == "__main__":
    main()
