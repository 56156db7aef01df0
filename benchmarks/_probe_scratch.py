"""A tokenizer and its probe, trained together on the labels alone."""

from __future__ import annotations

import numpy as np
import torch
from _probe_data import encode_items

from spectok import probes
from spectok._batch import PatchLayout, SpectrumBatch
from spectok.model import ModelConfig, SpectralTokenizer
from spectok.probes._heads import Mixture
from spectok.probes._network import ProbeBatch, ProbeConfig, ProbeNetwork
from spectok.probes._sequences import make_batch
from spectok.probes._token_grid import choose_grid

RATE, BATCH, EPOCHS, SHORTEST = 1e-3, 32, 12, 16


class Scratch:
    """A tokenizer of the pretrained one's size with a probe on it, from observations to labels.

    Given a configuration, tokenizer and probe are trained together on the labels, from random
    weights: what the same network does without pretraining. Given an untrained tokenizer, it
    stays frozen under a probe: what the architecture knows by itself.
    """

    def __init__(self, model: ModelConfig | SpectralTokenizer, regression: bool) -> None:
        self.frozen = isinstance(model, SpectralTokenizer)
        torch.manual_seed(0)
        self.model = model if self.frozen else SpectralTokenizer(model)
        self.regression = regression

    def fit(self, observed, y):
        """Learn labels (n, L) or classes (n,) of the objects of an `Observation`."""
        if self.frozen:
            probe = (probes.ProbeRegressor if self.regression else probes.ProbeClassifier)()
            self.probe = probe.fit(self._items(observed), y)
            return
        torch.manual_seed(0)
        if self.regression:
            self.mean, self.std = np.nanmean(y, 0), np.nanstd(y, 0)
            standard = (y - self.mean) / self.std
            self.mixture = Mixture.of(standard, 1)
            target, loss = torch.tensor(standard).float(), self.mixture.loss
            n_outputs = self.mixture.n_outputs
        else:
            self.classes, index = np.unique(y, return_inverse=True)
            target, n_outputs = torch.tensor(index), len(self.classes)
            loss = torch.nn.functional.cross_entropy
        items = self._items(observed)
        grid = choose_grid(items, 512)
        self.probe = ProbeNetwork(
            ProbeConfig(
                token_size=self.model.config.token_size,
                n_outputs=n_outputs,
                grid_size=len(grid),
                reading=64 if self.regression else 0,
            )
        )
        self.probe.prepare(torch.from_numpy(grid), [make_batch(items)])
        both = torch.nn.ModuleList([self.model, self.probe]).train()
        optimizer = torch.optim.AdamW(both.parameters(), lr=RATE, weight_decay=0.1)
        rng = np.random.default_rng(0)
        rounds = max(SHORTEST, -(-len(items) // BATCH))
        for step in range(EPOCHS * rounds):
            for group in optimizer.param_groups:
                fall = 0.5 * (1 + np.cos(np.pi * step / (EPOCHS * rounds)))
                group["lr"] = RATE * min(1.0, (step + 1) / 50) * fall
            rows = rng.permutation(len(items))[:BATCH]
            value = loss(self._output(observed, rows), target[rows]).mean()
            optimizer.zero_grad()
            value.backward()
            torch.nn.utils.clip_grad_norm_(both.parameters(), 1.0)
            optimizer.step()
        both.eval()

    def predict(self, observed):
        """Labels or classes."""
        if self.frozen:
            return self.probe.predict(self._items(observed))
        with torch.inference_mode():
            output = torch.cat(
                [
                    self._output(observed, np.arange(k, min(k + 64, len(observed.flux))))
                    for k in range(0, len(observed.flux), 64)
                ]
            )
        if self.regression:
            return self.mixture.predict(output)[0].numpy() * self.std + self.mean
        return self.classes[output.argmax(1).numpy()]

    def _items(self, observed):
        arrays = [getattr(observed, name).numpy() for name in ("flux", "sigma", "valid")]
        return encode_items(self.model, observed.instrument.wavelength, *arrays)

    def _output(self, observed, rows):
        layout = PatchLayout.of(observed.instrument.wavelength, self.model.config.patch_size)
        parts = (getattr(observed, name).numpy() for name in ("flux", "sigma", "valid"))
        batch = SpectrumBatch.from_layouts(
            [layout] * len(rows), *([part[row] for row in rows] for part in parts)
        )
        tokens = self.model.encode(batch)
        return self.probe(ProbeBatch(tokens.value, tokens.wavelength, tokens.valid))
