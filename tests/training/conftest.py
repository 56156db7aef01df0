"""A source of spectra for the tests of batches and of the loop, and what tells batches apart."""

import numpy as np
import pytest
import torch

from spectok._batch import PatchLayout
from spectok.training import Batches
from spectok.training._window import Drawn, lay_out


class Waves:
    """Slow waves of at most 256 pixels: with noise, or noiseless and asked for elsewhere."""

    def __init__(self, noiseless=False):
        self.noiseless = noiseless
        self.asked = []

    def draw(self, rng, survey, n, n_patches, patch_size):
        self.asked.append(n)
        n_pixels = min(256, n_patches * patch_size)
        wavelength = 4000.0 + np.arange(n_pixels)
        phase = rng.uniform(0, 2 * np.pi, (n, 1))
        flux = 1 + 0.5 * np.sin(wavelength / 20 + phase) + 0.1 * rng.normal(size=(n, n_pixels))
        seen = laid_out(wavelength, patch_size, flux, rng.random((n, n_pixels)) > 0.02)
        if not self.noiseless:
            return Drawn(seen, seen, noiseless=False)
        other = np.linspace(4001.0, 3999.0 + n_pixels, n_pixels // 2)
        truth = 1 + 0.5 * np.sin(other / 20 + phase)
        target = laid_out(other, patch_size, truth, np.ones(truth.shape, bool))
        return Drawn(seen, target, noiseless=True)


def laid_out(wavelength, patch_size, flux, valid):
    layout = PatchLayout.of(wavelength, patch_size)
    flux = torch.from_numpy(flux).float()
    return lay_out(layout, flux, torch.full_like(flux, 0.1), torch.from_numpy(valid))


@pytest.fixture(autouse=True)
def no_peak(monkeypatch):
    """A run measures for a second what the device could do, which no test of the loop needs."""
    monkeypatch.setattr("spectok.training._loop.matmul_peak", lambda *of: 1e12)


@pytest.fixture(scope="session")
def waves():
    """The class `Waves`."""
    return Waves


@pytest.fixture(scope="session")
def batches_of():
    """Function (kind=Batches, **options) -> batches of 32 tokens of both sorts of waves."""

    def make(kind=Batches, *, sources=None, **options):
        sources = sources or {"waves": Waves(), "mocks": Waves(noiseless=True)}
        default = {"patch_size": 32, "n_tokens": 32, "seed": 3, "patches": {"sdss": 8}}
        return kind(sources, {"sdss": dict.fromkeys(sources, 1.0)}, **default | options)

    return make


@pytest.fixture(scope="session")
def same():
    """Function (batch, batch) -> whether they are equal to the last bit."""

    def tensors_of(batch):
        for part in (batch.seen, batch.target):
            yield from (part.flux, part.sigma, part.wavelength, part.valid)
        yield from (batch.hidden, batch.weight, batch.noiseless)

    def equal(a, b):
        return all(torch.equal(x, y) for x, y in zip(tensors_of(a), tensors_of(b), strict=True))

    return equal


@pytest.fixture(scope="session")
def padding():
    """Function (batches) -> share of tokens, of both sides, that stand for no pixel at all."""

    def share(batches, patch_size=32):
        empty = total = 0
        for batch in batches:
            for part in (batch.seen, batch.target):
                # A patch that holds any pixel ascends, also in what continues its segment.
                patch = part.wavelength.unflatten(1, (-1, patch_size))
                empty += int((patch[..., 0] == patch[..., -1]).sum())
                total += patch.shape[0] * patch.shape[1]
        return empty / total

    return share
