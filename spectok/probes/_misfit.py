"""Distances of pixels from what the tokenizer predicts from their neighbours."""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import uniform_filter1d

from spectok._batch import SpectrumBatch, batches, padded, prepare
from spectok._codec._network import device_of, exact, max_tokens
from spectok._convert import Rows
from spectok._hidden import BLOCK
from spectok._progress import progress_bar
from spectok.model import SpectralTokenizer

__all__ = ["hidden_pulls", "misfit", "peak"]

# One block of five is hidden at a time: five times, and every pixel was hidden once.
_TIMES = 5
_RUN = 5  # pixels: a line of these surveys is about as wide
_LARGEST = 30.0  # of one pixel, so that no single one decides


def hidden_pulls(
    rows: list[Rows],
    network: SpectralTokenizer,
    *,
    seed: int = 0,
    progress: bool | None = None,
) -> list[np.ndarray]:
    """Residuals of all good pixels, each of them hidden when it was predicted.

    Every fifth block of 12 pixels is withheld from the encoder, five times, so that every good
    pixel is withheld once. Where blocks begin follows from ``seed``, and not from what else is
    in the call.

    Parameters
    ----------
    rows : list of `~spectok._convert.Rows`
    network : `~spectok.SpectralTokenizer`
    seed : int
    progress : bool, optional

    Returns
    -------
    pulls : list of `numpy.ndarray`
        For each spectrum, in order of the pixels and of those in valid patches only: (flux -
        decoded) / sqrt(sigma^2 + model error^2).
    """
    patch = network.config.patch_size
    shift = int(np.random.default_rng(seed).integers(BLOCK * _TIMES))
    spectra = [
        one
        for part in rows
        for one in prepare(part.wavelength, part.flux, part.sigma, part.valid, patch)
    ]
    out: list[np.ndarray] = [np.empty(0)] * len(spectra)
    bar = progress_bar("hiding", total=len(spectra), unit="spectrum", progress=progress)
    with bar, exact(network):
        for members, batch in batches(spectra, max_tokens=max_tokens(network)):
            batch = batch.to(device_of(network))
            groups = [(spectra[k].layout.index + shift) // BLOCK % _TIMES for k in members]
            group = torch.from_numpy(padded(groups, int, fill=-1))
            pull = _pulls(batch, group.to(batch.valid.device), network)
            for row, k in enumerate(members):
                found = pull[row]
                out[k] = found[np.isfinite(found)]
            bar.update(len(members))
    return out


def _pulls(batch: SpectrumBatch, group: torch.Tensor, network: SpectralTokenizer) -> np.ndarray:
    """Residuals at the places of a batch (N, T * P); NaN where there is none."""
    pull = torch.full_like(batch.flux, torch.nan)
    for number in range(_TIMES):
        hidden = batch.valid & (group == number)
        tokens, flux, error = network(batch, hidden)
        scale = tokens.scale[:, None]
        judged = hidden & tokens.valid.repeat_interleave(network.config.patch_size, 1)
        away = (batch.flux - flux * scale) / torch.hypot(batch.sigma, error * scale)
        pull = torch.where(judged, away, pull)
    return pull.double().cpu().numpy()


def misfit(pull: np.ndarray) -> float:
    """Mean of log(1 + r^2): 0.53 for Gaussian noise of the stated size.

    A pixel counts by its logarithm, so that many pixels decide and not a few outliers.
    """
    return float(np.log1p(pull**2).mean())


def peak(pull: np.ndarray) -> float:
    """Largest sum of five neighbours in units of its own noise, up or down.

    What few pixels show: a line, a cosmic ray, an edge.
    """
    run = uniform_filter1d(
        np.clip(pull, -_LARGEST, _LARGEST), min(_RUN, pull.size), mode="nearest"
    )
    return float(np.abs(run).max() * _RUN**0.5)
