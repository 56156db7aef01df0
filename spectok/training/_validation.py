"""What a run is watched by: errors on batches that it does not learn from, and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch

from spectok._batch import SpectrumBatch
from spectok.model import SpectralTokenizer
from spectok.training._data import Batches, TrainingBatch

__all__ = ["Validation"]

_LARGEST = 10.0  # of an error in units of the noise


class Validation:
    """Errors of reconstructions in units of the noise, and pictures of them.

    Parameters
    ----------
    batches : `Batches`
        Of another seed than those of the training, so that no mock observation comes twice. A
        source of real spectra would hand out those of the training again.
    numbers : sequence of int
        Which of them.
    pictures : int
        Spectra to draw, of batches one after the other; none without matplotlib.

    Examples
    --------
    >>> from spectok import ModelConfig, SpectralTokenizer
    >>> from spectok.simulate import Simulator
    >>> from spectok.training import Batches, MockSpectra, Validation
    >>> mocks = MockSpectra({"sdss": [(1.0, Simulator("boss"))]})
    >>> batches = Batches({"mock": mocks}, {"sdss": {"mock": 1.0}}, patch_size=32, n_tokens=500,
    ...                   seed=99)
    >>> validate = Validation(batches, range(2))
    >>> model = SpectralTokenizer(ModelConfig.of_size("tiny"))
    >>> sorted(validate(model))[:2]
    ['error_hidden', 'error_visible']
    """

    def __init__(self, batches: Batches, numbers: Sequence[int], *, pictures: int = 4) -> None:
        self.batches = [batches[number] for number in numbers]
        # Compute nodes may do without matplotlib.
        self.pictures = pictures if find_spec("matplotlib") else 0

    def __call__(self, model: SpectralTokenizer) -> dict[str, Any]:
        """Errors by name, and the pictures as figures.

        ``error_visible`` and ``error_hidden`` are geometric means over spectra of the root
        mean square of (decoded - target) / sigma, each pixel at most 10. Where the target is
        noisy its noise is in it, 1 at the best; mock observations have targets without.
        ``model_sigma_1`` is the share of hidden pixels within one sigma, noise and model error
        added in quadrature where the target is noisy.
        """
        found: dict[str, list[float]] = {"visible": [], "hidden": [], "within": []}
        figures = {}
        device = next(model.parameters()).device
        training = model.training
        model.eval()
        for number, batch in enumerate(self.batches):
            batch = batch.to(device)
            with torch.inference_mode():
                tokens, flux, sigma = model(batch.seen, batch.hidden, batch.target)
            scale = tokens.scale[:, None]
            noise = torch.where(batch.target.valid, batch.target.sigma, 1.0)
            pull = (flux * scale - batch.target.flux) / noise
            usable = batch.target.valid & tokens.valid.any(1, keepdim=True)
            # What is hidden is known on the grid that was seen.
            own = torch.equal(batch.target.wavelength, batch.seen.wavelength)
            hidden = batch.hidden if own else torch.zeros_like(usable)
            for name, where in (("visible", usable & ~hidden), ("hidden", usable & hidden)):
                for row in torch.nonzero(where.sum(1) > 10).flatten().tolist():
                    square = pull[row][where[row]].square().clamp(max=_LARGEST**2).mean()
                    found[name].append(float(square.log()) / 2)
            error = torch.hypot(sigma * scale, torch.where(batch.noiseless, 0.0, noise))
            ratio = ((pull * noise).abs() / error)[usable & hidden]
            found["within"] += (ratio < 1).float().cpu().tolist()
            if number < self.pictures:
                figures[f"spectrum_{number}"] = _draw(batch, flux * scale, sigma * scale)
        model.train(training)
        out: dict[str, Any] = {
            f"error_{name}": round(float(np.exp(np.mean(found[name]))), 4)
            for name in ("visible", "hidden")
            if found[name]
        }
        if found["within"]:
            out["model_sigma_1"] = round(float(np.mean(found["within"])), 4)
        return out | figures


def _draw(batch: TrainingBatch, flux: torch.Tensor, sigma: torch.Tensor) -> Any:
    """The first spectrum of a batch, what was hidden, and its reconstruction."""
    from matplotlib.figure import Figure

    seen, target = (_row(part) for part in (batch.seen, batch.target))
    hidden = batch.hidden[0].cpu().numpy()
    again, error = (a[0].cpu().numpy() for a in (flux, sigma))
    figure = Figure(figsize=(12, 6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    wavelength, observed, _, valid = seen
    shown = np.where(valid & ~hidden, observed, np.nan)
    above.plot(wavelength, shown, color="0.6", lw=0.6, label="seen by the encoder")
    grid, wanted, noise, known = target
    order = np.argsort(grid, kind="stable")
    label = "truth" if bool(batch.noiseless[0]) else "observed"
    above.plot(grid[order], np.where(known, wanted, np.nan)[order], color="k", lw=0.8, label=label)
    again = np.where(known, again, np.nan)
    above.plot(grid[order], again[order], color="C0", lw=0.8, label="decoded")
    above.fill_between(
        grid[order], (again - error)[order], (again + error)[order], color="C0", alpha=0.3, lw=0
    )
    middle = observed[valid] if valid.any() else np.zeros(1)
    low, high = np.percentile(middle, (0.5, 99.5))
    above.set_ylim(low - 0.2 * (high - low), high + 0.2 * (high - low))
    above.set_ylabel("flux [as given]")
    above.legend(loc="upper right")
    pull = np.where(known, (again - wanted) / noise, np.nan)
    below.plot(grid[order], pull[order], color="C0", lw=0.5)
    below.set(ylim=(-5, 5), ylabel="(decoded - target)\n/ noise", xlabel="wavelength [Angstrom]")
    below.axhline(0, color="k", lw=0.5)
    for panel in (above, below):
        panel.fill_between(
            wavelength, 0, 1, where=hidden, color="C1", alpha=0.2, lw=0,
            transform=panel.get_xaxis_transform(),
        )  # fmt: skip
    return figure


def _row(part: SpectrumBatch) -> tuple[np.ndarray, ...]:
    return tuple(a[0].cpu().numpy() for a in (part.wavelength, part.flux, part.sigma, part.valid))
