r"""Small controlled runs: what each choice of the model is worth.

    python recipes/ablations/ablate.py recipes/small_v1/recipe.toml runs/ablations

Every run is one change from the default, with the same batches (made once and kept in the
folder), the same number of steps and the same size: width 96, 2 + 2 blocks. Two seeds each, which
draw the weights, the order of the batches and what is hidden. Runs that are done are left alone,
so several processes share the work: start it once per core with ``OMP_NUM_THREADS=1``. The
mixture is the recipe's, and so are the packs beside it (``recipes/small_v1/pack.py``).
``table.py`` makes the table of the documentation.

Scored on objects that no run saw, drawn with another seed: 48 mocks of each survey, of S/N 3 to
100, with a tenth of the pixels hidden in blocks of 12. Errors against the noise-free truth, in
units of the noise: root mean square of each spectrum's pixels (each at most 10), geometric mean
over spectra; of visible and of hidden pixels, and of BOSS tokens decoded on DESI's grid. Beside
them the hidden-block score of the real validation
objects of SDSS and DESI.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from variants import SIZE, VARIANTS, Variant

from spectok._batch import PatchLayout, SpectrumBatch
from spectok._hidden import hidden_blocks
from spectok._pretrain import read_recipe, sources_of
from spectok.model import ModelConfig, SpectralTokenizer
from spectok.simulate import Simulator, Templates, instrument, load_templates
from spectok.training import Batches, fit
from spectok.training._data import TrainingBatch
from spectok.training._hide import hide

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from regrid import BINS, exact  # noqa: E402

SEEN_WEIGHT = 0.05


class Kept:
    """Batches made once; each run draws anew what is hidden."""

    def __init__(self, batches: list[TrainingBatch], variant: Variant, seed: int) -> None:
        self.batches, self.variant, self.seed = batches, variant, seed

    def __getitem__(self, number: int) -> TrainingBatch:
        rng = np.random.default_rng((self.seed, number))
        epoch, place = divmod(number, len(self.batches))
        order = np.random.default_rng((self.seed, epoch)).permutation(len(self.batches))
        batch = self.batches[order[place]]
        hidden = hide(rng, tuple(batch.hidden.shape), self.variant.hide)
        weight = batch.weight
        if batch.target is batch.seen and not batch.noiseless.any():
            weight = torch.where(hidden, 1.0, SEEN_WEIGHT)
        target = batch.target
        if self.variant.floor:
            sigma = torch.hypot(target.sigma, self.variant.floor * target.flux.abs())
            target = replace(target, sigma=sigma)
        return replace(batch, hidden=hidden, weight=weight, target=target)


def mocks(templates: Templates, n: int, seed: int) -> list[tuple]:
    """Name, layouts and tensors of the mock observations that judge."""
    found = []
    boss = exact(instrument("boss"))
    for name in ("boss", "desi", "galah", "apogee", "boss to desi"):
        own = boss if name.startswith("boss") else exact(instrument(name))
        observers = (own, exact(instrument("desi"))) if name == "boss to desi" else (own,)
        seen, *rest = Simulator(*observers, templates=templates).observe(
            n, seed=seed, snr=(3.0, 100.0)
        )
        asked = rest[0] if rest else seen
        rng = np.random.default_rng(seed)
        hidden = np.array([hidden_blocks(v, rng) for v in seen.valid.numpy()])
        found.append((name, seen, asked, hidden & (not rest)))
    return found


def judge(model: SpectralTokenizer, sets: list[tuple], real: list[tuple]) -> dict[str, float]:
    """All scores of a model."""
    patch, scores = model.config.patch_size, {}
    for name, seen, asked, hidden in sets:
        layout, other = (PatchLayout.of(o.instrument.wavelength, patch) for o in (seen, asked))
        arrays = [a.numpy() for a in (seen.flux, seen.sigma, seen.valid)]
        batch = SpectrumBatch.from_layouts([layout] * len(hidden), *map(list, arrays))
        known = asked.valid.numpy()
        target = SpectrumBatch.from_layouts(
            [other] * len(hidden), *([k.astype(float) for k in known] for _ in range(2)), known
        )
        with torch.inference_mode():
            tokens, flux, _ = model(batch, torch.from_numpy(layout.gather(hidden)), target)
        again = np.stack([other.scatter(f) for f in (flux * tokens.scale[:, None]).numpy()])
        if asked is seen:
            noise = arrays[1]
        else:
            grid, own = asked.instrument.wavelength, seen.instrument.wavelength
            noise = np.stack([np.interp(grid, own, s) for s in arrays[1]])
            known = known & (grid > own.min()) & (grid < own.max())
        square = np.minimum(((again - asked.truth.numpy()) / noise) ** 2, 100.0)
        snr = seen.labels["snr"].numpy()
        if asked is seen:
            parts = {"visible": known & ~hidden, "hidden": known & hidden}
        else:
            parts = {"truth": known}
        for part, which in parts.items():
            for low, high in BINS:
                rows = np.flatnonzero((snr >= low) & (snr < high) & which.any(1))
                each = [np.log(square[row][which[row]].mean()) / 2 for row in rows]
                scores[f"{name} | {part} | {low:g}-{high:g}"] = float(np.exp(np.mean(each)))
    squares: dict[str, list] = {}
    for survey, wavelength, flux, sigma, valid, hidden in real:
        layout = PatchLayout.of(wavelength, patch)
        batch = SpectrumBatch.from_layouts([layout], [flux], [sigma], [valid])
        withheld = torch.from_numpy(layout.gather(hidden) & layout.present)[None]
        with torch.inference_mode():
            tokens, again, _ = model(batch, withheld)
        again = float(tokens.scale[0]) * layout.scatter(again[0].double().numpy())
        squares.setdefault(survey, []).append(((flux - again)[hidden] / sigma[hidden]) ** 2)
    for survey, parts in squares.items():
        r2 = np.concatenate(parts)
        scores[f"real {survey} | hidden | median"] = float(np.median(r2) / 0.4549)
        scores[f"real {survey} | hidden | clipped"] = float(np.minimum(r2, 100).mean())
        scores[f"real {survey} | objects"] = len(parts)
    return scores


def real_objects(pack: str) -> list[tuple]:
    """The validation objects of SDSS and DESI, with what is hidden."""
    with safe_open(pack, "numpy") as file:
        arrays = {k: file.get_tensor(k) for k in file.keys() if k.startswith("real.")}  # noqa: SIM118
        objects = json.loads(file.metadata()["real"])
    found = []
    for row, one in enumerate(objects):
        survey = ("sdss", "desi", "galah", "apogee")[arrays["real.survey"][row]]
        if one["split"] != "validation" or survey not in ("sdss", "desi"):
            continue
        start, stop = arrays["real.offset"][row : row + 2]
        wavelength, flux, sigma, valid = (
            arrays[f"real.{name}"][start:stop].astype(float)
            for name in ("wavelength", "flux", "sigma", "valid")
        )
        valid = valid > 0
        hidden = hidden_blocks(valid, np.random.default_rng((2510, row)))
        found.append((survey, wavelength, flux, np.where(valid, sigma, 1.0), valid, hidden))
    return found


def kept_batches(folder: Path, batches: Batches, number: int) -> list[TrainingBatch]:
    """The batches of all runs, made on the first call."""
    path = folder / f"batches-{number}.pt"
    if not path.exists():
        torch.save([batches[k] for k in range(number)], path.with_suffix(f".{os.getpid()}"))
        os.replace(path.with_suffix(f".{os.getpid()}"), path)
    return torch.load(path, weights_only=False)


def main() -> None:
    """Run all variants that are not done."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", type=Path, help="recipes/small_v1/recipe.toml")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--precision", default="bf16-mixed")
    parser.add_argument("--only", nargs="*", choices=list(VARIANTS), default=list(VARIANTS))
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    recipe = read_recipe(args.recipe)
    templates = load_templates(args.recipe.parent / recipe["data"]["templates"])
    batches = Batches(
        sources_of(recipe, args.recipe.parent, "cpu"),
        recipe["mixture"],
        patch_size=32,
        n_tokens=args.tokens,
        seed=77,
        draw_batches=8,
    )
    kept = kept_batches(args.folder, batches, args.steps)
    sets, real = (
        mocks(templates, 48, seed=20261123),
        real_objects(args.recipe.parent / recipe["data"]["packs"]["real"]),
    )
    for seed in range(args.seeds):
        for name in args.only:
            variant = VARIANTS[name]
            run = args.folder / f"{name.replace(' ', '_').replace('/', '_')}-{seed}"
            try:
                run.mkdir()
            except FileExistsError:
                continue
            torch.manual_seed(seed)
            model = variant.network(ModelConfig(**{**SIZE, **variant.config}))
            model = fit(
                model, Kept(kept, variant, seed), run, steps=args.steps, accumulate=1,
                warmup=50, ema_decay=0.98, checkpoint_every=400, precision=args.precision,
                accelerator="cpu", **{"learning_rate": 4e-3, **variant.fit},
            )  # fmt: skip
            scores = judge(model.eval(), sets, real)
            result = {"variant": name, "about": variant.about, "seed": seed, "scores": scores}
            (run / "scores.json").write_text(json.dumps(result, indent=1))
            (run / "checkpoint.pt").unlink()
            print(name, seed, json.dumps({k: round(v, 3) for k, v in scores.items()}), flush=True)


if __name__ == "__main__":
    main()
