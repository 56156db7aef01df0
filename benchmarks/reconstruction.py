r"""Hidden-block score of a model on the test objects, which no training has seen.

    python benchmarks/reconstruction.py test.safetensors --train train.safetensors \
        --model small-v1 --output scores.json

Takes ten seconds on one core. Both packs come from ``recipes/small_v1/pack.py``; the validation
objects, which serve every choice that is made by scores, are in ``train.safetensors``
(``--split validation``).

Blocks of 12 good pixels, a tenth of every spectrum, are withheld from the encoder: their flux,
their error and their share in the scale. Scored are residuals r of these pixels in units of their
errors:

- ``median``: median of r^2 over 0.4549, the median of chi-square with one degree of freedom;
- ``clipped``: mean of min(r^2, 100).

1 is the noise itself. Both are also given on line pixels, where SDSS's best-fit ``model`` departs
from its 101-pixel median by more than 3 sigma. Intervals are 95 % of 300 bootstraps over objects.

Beside the model: ``cosines``, what its tokens hold before any training (so the difference is what
the network adds); ``linear``, interpolation; ``running median`` of 31 pixels; with ``--train``,
``patch PCA``, a linear code of patches with as many coefficients as a token has numbers, its
components and their variances from the training spectra of the survey (of all surveys where one
has fewer than 1000 complete patches, as GALAH and APOGEE have); and ``survey's model``, SDSS's
best fit, which saw every pixel.
"""

from __future__ import annotations

import argparse
import json

import numpy as np
import torch
from _yardsticks import by_components, by_line, by_median, fit_components
from safetensors import safe_open
from scipy.ndimage import median_filter
from tqdm import tqdm

import spectok
from spectok._batch import PatchLayout, SpectrumBatch
from spectok._hidden import hidden_blocks
from spectok.model import SpectralTokenizer

SURVEYS = ("sdss", "desi", "galah", "apogee")
SNR_BINS = ((0.0, 10.0), (10.0, 30.0), (30.0, np.inf))
FEWEST = 5  # objects; a cell with fewer has no verdict


def by_model(model, wavelength, flux, sigma, valid, hidden):
    """The tokenizer's reconstruction and its own error on the spectrum's grid."""
    layout = PatchLayout.of(wavelength, model.config.patch_size)
    batch = SpectrumBatch.from_layouts([layout], [flux], [sigma], [valid])
    withheld = torch.from_numpy(layout.gather(hidden) & layout.present)[None]
    with torch.inference_mode():
        tokens, again, error = model(batch, withheld)
    scale = float(tokens.scale[0])
    # A spectrum that lost all its patches has no reconstruction.
    if not tokens.valid.any():
        return None, None
    return (scale * layout.scatter(a[0].double().numpy()) for a in (again, error))


def line_pixels(model: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Where the survey's fit departs from its continuum by more than 3 sigma."""
    known = np.isfinite(model).all() and np.any(model)
    if not known:
        return np.zeros(model.size, bool)
    return np.abs(model - median_filter(model, 101, mode="nearest")) > 3 * sigma


def score(squares: list[np.ndarray], rng: np.random.Generator) -> dict:
    """Median and clipped mean of r^2 over objects, with 95 % intervals."""
    squares = [s for s in squares if s.size]
    if len(squares) < FEWEST:
        return {"objects": len(squares)}

    def both(parts):
        pixels = np.concatenate(parts)
        return np.median(pixels) / 0.4549, np.minimum(pixels, 100.0).mean()

    draws = np.array(
        [both([squares[i] for i in rng.integers(0, len(squares), len(squares))])
         for _ in range(300)]
    )  # fmt: skip
    median, clipped = both(squares)
    low, high = np.percentile(draws, [2.5, 97.5], axis=0)
    return {
        "objects": len(squares),
        "pixels": int(sum(s.size for s in squares)),
        "median": [round(float(x), 3) for x in (median, low[0], high[0])],
        "clipped": [round(float(x), 3) for x in (clipped, low[1], high[1])],
    }


def main() -> None:
    """Score a model and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pack", help="test.safetensors of recipes/small_v1/pack.py")
    parser.add_argument("--train", help="train.safetensors of the same; without it no patch PCA")
    parser.add_argument("--model", default=None, help="name or folder; default: the embedded one")
    parser.add_argument(
        "--split", default="test", choices=("test", "validation", "evaluation"),
        help="which objects; evaluation: files without a licence, whatever their position",
    )  # fmt: skip
    parser.add_argument("--output", default=None, help="write the scores to this JSON file")
    args = parser.parse_args()
    model = spectok.load_model(args.model)
    # Untrained, the network adds nothing, whatever its seed.
    untrained = SpectralTokenizer(model.config).eval()
    size = (model.config.token_size, model.config.patch_size)
    components = fit_components(args.train, *size) if args.train else {}
    with safe_open(args.pack, "numpy") as file:
        arrays = {k: file.get_tensor(k) for k in file.keys() if k.startswith("real.")}  # noqa: SIM118
        objects = json.loads(file.metadata()["real"])
    residuals: dict = {}
    cover: dict = {}
    rows = [i for i, one in enumerate(objects) if one["split"] == args.split]
    if not rows:
        sets = sorted({one["split"] for one in objects})
        parser.error(f"{args.pack} has no {args.split} objects, only {', '.join(sets)}")
    for row in tqdm(rows):
        start, stop = arrays["real.offset"][row : row + 2]
        wavelength, flux, sigma, valid, fit = (
            arrays[f"real.{name}"][start:stop].astype(float)
            for name in ("wavelength", "flux", "sigma", "valid", "model")
        )
        valid = valid > 0
        hidden = hidden_blocks(valid, np.random.default_rng((2510, row)))
        again, error = by_model(model, wavelength, flux, sigma, valid, hidden)
        if again is None or not hidden.any():
            continue
        seen = valid & ~hidden
        survey = SURVEYS[arrays["real.survey"][row]]
        guesses = {
            "spectok": again,
            "cosines": next(by_model(untrained, wavelength, flux, sigma, valid, hidden)),
            "linear": by_line(wavelength, flux, seen),
            "running median": by_median(wavelength, flux, seen, hidden),
        }
        if components:
            own = components.get(survey, components["pooled"])
            guesses["patch PCA"] = by_components(own, wavelength, flux, sigma, seen)
        if np.isfinite(fit).all() and np.any(fit):
            guesses["survey's model"] = fit
        # As in the readers: S/N of the whole spectrum, by its good pixels.
        snr = float(np.median(np.abs(flux[valid]) / sigma[valid]))
        lines = line_pixels(fit, sigma) & hidden
        # Repeat observations are one object in the bootstrap.
        name = f"{objects[row]['ra']:.3f} {objects[row]['dec']:.3f}" if objects[row].get(
            "ra") is not None else str(objects[row]["id"])  # fmt: skip
        cells = ["all", *(f"{a:.0f}-{b:.0f}" for a, b in SNR_BINS if a <= snr < b)]
        for method, guess in guesses.items():
            for pixels, where in (("hidden", hidden), ("lines", lines)):
                square = ((flux[where] - guess[where]) / sigma[where]) ** 2
                for cell in cells:
                    key = (survey, cell, pixels, method)
                    residuals.setdefault(key, {}).setdefault(name, []).append(square)
        z = np.abs(flux - again)[hidden] / np.hypot(sigma, error)[hidden]
        cover.setdefault(survey, []).append(z)
    rng = np.random.default_rng(0)
    scores = {
        " | ".join(key): score([np.concatenate(v) for v in found.values()], rng)
        for key, found in residuals.items()
    }
    for survey, parts in cover.items():
        z = np.concatenate(parts)
        scores[f"{survey} | calibration"] = {
            "within 1 sigma": round(float((z < 1).mean()), 3),
            "within 2 sigma": round(float((z < 2).mean()), 3),
        }
    for key in sorted(scores):
        print(f"{key:48s} {scores[key]}")
    if args.output:
        with open(args.output, "w", encoding="utf-8") as file:
            json.dump(scores, file, indent=1, sort_keys=True)


if __name__ == "__main__":
    main()
