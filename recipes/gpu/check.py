"""What a GPU makes of the tokenizer: the same tokens as a CPU, and how fast. PyTorch alone.

    python recipes/gpu/check.py [--device cuda] [--out check.json]

Mock spectra of the four surveys. Tokens, decoded fluxes and embeddings of the device are compared
with those of the CPU: root mean square of the difference over the scatter of the numbers, at most
1e-4 in float32 and 1e-2 in bfloat16, also where four pixels in ten are bad. Speed is that of
`SpectralTokenizer.encode` and `embed` on tensors that lie on the device, for the embedded weights
and a new ``base``, beside the device's own matrix products. Exits 1 where a comparison fails. The
tests that need astropy are in tests/test_cuda.py.
"""

from __future__ import annotations

import argparse
import copy
import json
import time

import torch

import spectok
from spectok import simulate
from spectok._batch import PatchLayout
from spectok.model import ModelConfig, SpectralTokenizer
from spectok.training._speed import matmul_peak
from spectok.training._window import lay_out

SURVEYS = ("sdss", "desi", "galah", "apogee")


def spectra(survey, n, device, patch, bad=0.0):
    """A batch of mock observations."""
    simulator = simulate.Simulator(survey, device=device)
    generator = torch.Generator(device).manual_seed(11)
    (seen,) = simulator.draw(n, generator)
    valid = seen.valid
    if bad:
        # Drawn on the CPU, so that every device has the same.
        drawn = torch.rand(valid.shape, generator=torch.Generator().manual_seed(5)).to(device)
        valid = valid & (drawn > bad)
    layout = PatchLayout.of(seen.instrument.wavelength, patch)
    return lay_out(layout, seen.flux, seen.sigma, valid)


def difference(one, other, where):
    """Root mean square over the scatter of the numbers."""
    one, other = one.double().cpu()[where], other.double().cpu()[where]
    return float((one - other).square().mean().sqrt() / other.std())


def compare(model, device):
    """Largest differences between the device and the CPU."""
    here = copy.deepcopy(model).cpu()
    there = copy.deepcopy(model).to(device)
    found = {"tokens": 0.0, "decoded": 0.0, "embedding": 0.0, "tokens, bfloat16": 0.0}
    with torch.inference_mode():
        for survey in SURVEYS:
            for bad in (0.0, 0.4):
                batch = spectra(survey, 5, "cpu", model.config.patch_size, bad)
                want, got = here.encode(batch), there.encode(batch.to(device))
                valid = want.valid
                grid = batch.wavelength
                one = here.decode(want, grid)[0]
                other = there.decode(got, grid.to(device))[0]
                with torch.autocast(torch.device(device).type, torch.bfloat16):
                    rounded = there.encode(batch.to(device))
                now = {
                    "tokens": difference(got.value, want.value, valid),
                    "decoded": difference(other, one, batch.valid),
                    "embedding": difference(there.embed(got), here.embed(want), slice(None)),
                    "tokens, bfloat16": difference(rounded.value, want.value, valid),
                }
                found = {key: max(found[key], value) for key, value in now.items()}
    return found


def speed(model, survey, n, device, precision, seconds=2.0):
    """Spectra a second through encode and embed, batches of n that lie on the device."""
    batch = spectra(survey, n, device, model.config.patch_size)
    kind, cuda = torch.device(device).type, torch.device(device).type == "cuda"

    def once():
        with torch.inference_mode(), torch.autocast(kind, torch.bfloat16, enabled=precision):
            tokens = model.encode(batch)
            if model.reader is not None:
                model.embed(tokens)

    once()
    if cuda:
        torch.cuda.synchronize()
    begun, number = time.monotonic(), 0
    while time.monotonic() - begun < seconds:
        once()
        if cuda:
            torch.cuda.synchronize()
        number += n
    return number / (time.monotonic() - begun)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--model", default=None)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--out", default=None)
    options = parser.parse_args()
    model = spectok.load_model(options.model)
    found = {
        "device": torch.cuda.get_device_name() if options.device == "cuda" else options.device,
        "torch": torch.__version__,
        "matrix products, TFLOP/s": {
            str(kind): matmul_peak(options.device, kind) / 1e12
            for kind in (torch.float32, torch.bfloat16)
        },
        "difference from the CPU": compare(model, options.device),
        "spectra/s": {},
    }
    base = SpectralTokenizer(ModelConfig.of_size("base")).eval().requires_grad_(False)
    for name, one in (("embedded weights", model), ("new base", base)):
        one = one.to(options.device)
        for survey in SURVEYS:
            for kind in ("float32", "bfloat16"):
                key = f"{name}, {survey}, batch {options.batch}, {kind}"
                found["spectra/s"][key] = round(
                    speed(one, survey, options.batch, options.device, kind == "bfloat16",
                          options.seconds), 1
                )  # fmt: skip
                print(key, found["spectra/s"][key], flush=True)
    if options.out:
        with open(options.out, "w") as file:
            json.dump(found, file, indent=1)
    print(json.dumps(found["difference from the CPU"], indent=1))
    far = [
        key
        for key, value in found["difference from the CPU"].items()
        if value > (1e-2 if "bfloat16" in key else 1e-4)
    ]
    if far:
        print(f"differ from the CPU's by too much: {', '.join(far)}")
    return bool(far)


if __name__ == "__main__":
    raise SystemExit(main())
