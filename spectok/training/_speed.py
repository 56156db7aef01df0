"""How fast training goes, beside what the device could do."""

from __future__ import annotations

import time

import torch

from spectok.model import ModelConfig
from spectok.training._data import TrainingBatch

__all__ = ["Clock", "matmul_peak", "training_flop"]


def training_flop(config: ModelConfig, batch: TrainingBatch) -> float:
    """Floating point operations of one forward and backward pass, in matrix products alone.

    Two per weight and token, four per pair of tokens and width in the attention; a backward
    pass costs two forward passes. What is recomputed, padded or not a matrix product does not
    count, as usual in a model FLOP utilisation (Chowdhery et al. 2022, arXiv:2204.02311).

    Parameters
    ----------
    config : `~spectok.ModelConfig`
    batch : `TrainingBatch`

    Returns
    -------
    flop : float
    """
    width, patch, size = config.width, config.patch_size, config.token_size
    n, seen = len(batch.seen.flux), batch.seen.flux.shape[1] // patch
    asked = batch.target.flux.shape[1] // patch
    embedding = (2 * config.n_periods + 1) * width
    block = 12 * width**2
    encode = 4 * patch * width + embedding + config.encoder_blocks * block + width * size
    token = (size + config.n_cosines) * width
    cross = config.decoder_blocks * 2 * width**2  # queries and what comes out of the attention
    decode = embedding + config.decoder_blocks * block + cross + 2 * patch * width
    keys = config.decoder_blocks * 2 * width**2  # of the tokens, in the cross-attention
    products = 2 * (seen * (encode + token + keys) + asked * decode)
    pairs = config.encoder_blocks * seen**2 + config.decoder_blocks * asked * (asked + seen)
    return 3.0 * n * (products + 4 * width * pairs)


def matmul_peak(device: torch.device | str, dtype: torch.dtype, *, seconds: float = 0.3) -> float:
    """Operations per second of the best of three square matrix products, measured now.

    Parameters
    ----------
    device : str or `torch.device`
    dtype : `torch.dtype`
    seconds : float
        How long each size is measured.

    Returns
    -------
    peak : float
        [operations / s]
    """
    device = torch.device(device)
    sizes = (512, 1024, 2048) if device.type == "cpu" else (4096, 8192, 12288)
    best = 0.0
    for size in sizes:
        a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
        a @ b  # the first one pays for the start
        _wait(device)
        begun, number = time.monotonic(), 0
        while time.monotonic() - begun < seconds:
            for _ in range(4):
                a @ b
            _wait(device)
            number += 4
        best = max(best, 2.0 * size**3 * number / (time.monotonic() - begun))
    return best


class Clock:
    """Counts spectra, tokens and operations between two lines of the log.

    Parameters
    ----------
    config : `~spectok.ModelConfig`
    device : `torch.device`
    peak : float
        Operations per second of the device, see `matmul_peak`.
    """

    def __init__(self, config: ModelConfig, device: torch.device, peak: float) -> None:
        self.config, self.device, self.peak = config, device, peak
        self._restart()

    def _restart(self) -> None:
        self.begun = time.monotonic()
        self.spectra, self.tokens, self.flop = 0, 0, 0.0

    def count(self, batch: TrainingBatch) -> None:
        """A batch went through."""
        self.spectra += len(batch.seen.flux)
        self.tokens += batch.seen.flux.numel() // self.config.patch_size
        self.flop += training_flop(self.config, batch)

    def read(self) -> dict[str, float]:
        """Rates on this rank since the last reading."""
        _wait(self.device)
        seconds = max(time.monotonic() - self.begun, 1e-9)
        found = {
            "spectra_per_s": round(self.spectra / seconds, 1),
            "tokens_per_s": round(self.tokens / seconds),
            "mfu": round(self.flop / seconds / self.peak, 4),
        }
        self._restart()
        return found


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
