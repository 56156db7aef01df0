"""Views of stars for the reader: the same ones in the optical and in the near infrared.

    python recipes/small_v2/stars.py --model MODEL --templates templates.safetensors --out FILE

MODEL (``runs/small-v2/model``) makes the tokens, ``templates.safetensors`` is what
recipes/small_v1/pack.py writes. The pack (see `spectok.training.open_views`) has the same mock
stars, drawn by their labels from the emulators of both surveys, in six views:

galah, apogee
    As the surveys deliver them: GALAH's move by their velocities, APOGEE's are at rest.
galah-rest, galah-rest-again, apogee-rest, apogee-rest-again
    Other exposures, at rest on patches that begin at the same wavelengths for all stars, as
    `spectok.to_rest_frame` cuts them: GALAH's with the true velocity.

Three quarters of an hour on one core for 12,288 stars. The reader learns from them beside the
other packs, whose views are of the same tokens:

    python recipes/small_v1_1/views.py --model MODEL --only optical --data DIR \
        --templates templates.safetensors --out VIEWS        # and --only real
    python recipes/small_v1_1/train.py --model MODEL --views VIEWS --folder runs/reader \
        --shares optical=0.6,real=0.12,stars=0.28 --step 3.2e-3 --steps 3000
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections import defaultdict
from itertools import product
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from tqdm import tqdm

import spectok
from spectok import simulate
from spectok._batch import PatchLayout, SpectrumBatch, TokenBatch
from spectok.model._recut import recut
from spectok.model._shared import ascending
from spectok.simulate.instruments._exposure import expose

CHUNK, BATCH, SEED = 256, 32, 31_000_000
# What to_rest_frame takes by default for spectra on the surveys' own grids, in dex.
STEPS = {"galah": 1e-4 * 2**0.25, "apogee": 1e-4 * 2**0.75}
SNR = {"galah": (8.0, 150.0), "apogee": (15.0, 400.0)}
AT_REST = ("-rest", "-rest-again")
FASTEST = 1.2e-3  # redshift beyond which a star's ends are cut: 360 km/s
GAP = 5.0  # pixels that are missing between two arms, at the least


@dataclasses.dataclass
class Survey:
    """A survey's instrument, where its patches lie, and where shared ones do."""

    model: spectok.SpectralTokenizer
    instrument: simulate.Instrument
    layout: PatchLayout
    first: torch.Tensor  # edges of the shared patches, (1, S)
    last: torch.Tensor

    @classmethod
    def of(cls, name, model):
        """The survey of a name, for the tokens of a model."""
        instrument, patch = simulate.instrument(name), model.config.patch_size
        layout = PatchLayout.of(instrument.wavelength, patch)
        first, last = shared_patches(instrument.wavelength, STEPS[name])
        return cls(model, instrument, layout, first[None], last[None])

    def tokens(self, observed):
        """Tokens of mocks in ascending wavelength, a batch at a time."""
        arrays = [getattr(observed, name).numpy() for name in ("flux", "sigma", "valid")]
        for start in range(0, len(observed.flux), BATCH):
            parts = [array[start : start + BATCH] for array in arrays]
            batch = SpectrumBatch.from_layouts([self.layout] * len(parts[0]), *parts)
            with torch.inference_mode():
                found = ascending(self.model.encode(batch))
            yield found

    def at_rest(self, observed):
        """The same without their velocities, on the shared patches."""
        z = observed.labels["redshift"].double()
        if self.instrument.traits["at_rest"]:
            z = torch.zeros_like(z)
        patch, context = self.model.config.patch_size, self.model.config.context_size
        for tokens, some in zip(self.tokens(observed), z.split(BATCH), strict=True):
            factor = (1.0 + some).unsqueeze(-1)
            places = {key: getattr(tokens, key) / factor for key in ("wavelength", "half", "end")}
            moved = dataclasses.replace(tokens, **places)
            first, last = (edge.expand(len(some), -1) for edge in (self.first, self.last))
            with torch.inference_mode():
                value, which = recut(moved, first, last, patch_size=patch, context_size=context)
            valid = 2 * (which >= 0).sum(-1) >= patch
            value = torch.where(valid.unsqueeze(-1), value, 0.0)
            half = 0.5 * (last - first) * ((patch - 1) / patch)
            yield TokenBatch(value, 0.5 * (first + last), half, valid, tokens.scale)


def shared_patches(wavelength, step):
    """Edges of the patches at multiples of a step (dex) that every star covers, arm by arm."""
    wavelength = np.sort(wavelength)
    width = np.diff(wavelength)
    ends = np.flatnonzero(width > GAP * np.median(width))
    which = []
    for arm in np.split(wavelength, ends + 1):
        low = np.log10(arm[0] * (1 + FASTEST)) / step
        high = np.log10(arm[-1] * (1 - FASTEST)) / step
        which.append(np.arange(np.ceil(low), np.floor(high)))
    edge = torch.from_numpy(np.concatenate(which)) * step
    return 10.0**edge, 10.0 ** (edge + step)


def views(model, templates, number):
    """Arrays of the pack, and its metadata."""
    simulator = simulate.Simulator(*STEPS, templates=templates.part("train"))
    surveys = {name: Survey.of(name, model) for name in STEPS}
    arrays, grids = defaultdict(list), {}
    for chunk in tqdm(range(-(-number // CHUNK)), desc="stars", unit="chunk"):
        for generator, order in simulator.chunks(CHUNK, SEED + chunk):
            scenes = simulator.samples(len(order), generator)
            for (name, survey), again in product(surveys.items(), ("", *AT_REST)):
                scene = scenes[survey.instrument.grid]
                seen = expose(scene, survey.instrument, generator, snr=SNR[name])[order]
                view = f"{name}{again}"
                for tokens in survey.at_rest(seen) if again else survey.tokens(seen):
                    arrays[f"{view}.value"].append(tokens.value.half())
                    arrays[f"{view}.valid"].append(tokens.valid)
                    grids[f"{view}.wavelength"] = tokens.wavelength[:1].clone()
                    grids[f"{view}.half"] = tokens.half[:1].clone()
    # APOGEE's own patches are at rest, too, and all its stars share them.
    shared = [f"{name}{again}" for name, again in product(STEPS, AT_REST)]
    found = {key: torch.cat(parts) for key, parts in arrays.items()}
    return found | grids, {"shared": ",".join([*shared, "apogee"])}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", required=True)
    parser.add_argument("--templates", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--stars", type=int, default=12_288)
    options = parser.parse_args()
    model = spectok.load_model(options.model)
    templates = simulate.load_templates(options.templates)
    arrays, about = views(model, templates, options.stars)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    partial = options.out.with_suffix(".partial")
    save_file(arrays, partial, metadata=about)
    partial.rename(options.out)
    print(json.dumps({key: list(array.shape) for key, array in arrays.items()}, indent=1))


if __name__ == "__main__":
    main()
