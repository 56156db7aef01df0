"""Rows of numbers through the network, in batches of similar length."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from astropy.table import QTable

from spectok._batch import PatchLayout, SpectrumBatch, binary_scale, buckets
from spectok._codec._network import Model, check_coordinate, device_of, exact, max_tokens
from spectok._codec._tabulate import tabulate
from spectok._convert import FluxUnit, Rows
from spectok._progress import progress_bar
from spectok._weights import resolve

__all__ = ["encode_rows"]


def encode_rows(
    rows: list[Rows],
    flux_unit: FluxUnit,
    model: Model,
    object_id: Sequence[str] | str | None,
    device: str | torch.device | None,
    batch_size: int | None,
    progress: bool | None,
) -> QTable:
    network = check_coordinate(resolve(model, device))
    patch_size = network.config.patch_size
    layouts = [PatchLayout.of(part.wavelength, patch_size) for part in rows]
    magnitudes = [binary_scale(part.flux, part.sigma, part.valid) for part in rows]
    # Spectrum number -> (which rows, which of them).
    spectra = [(i, j) for i, part in enumerate(rows) for j in range(len(part.flux))]
    names = _names(rows, object_id, len(spectra))
    encoded: list[Any] = [None] * len(spectra)
    bar = progress_bar("encoding", total=len(spectra), unit="spectrum", progress=progress)
    with bar, exact(network):
        lengths = [layouts[i].n_patches for i, _ in spectra]
        for members in buckets(lengths, batch_size=batch_size, max_tokens=max_tokens(network)):
            which = [spectra[k] for k in members]
            batch = SpectrumBatch.from_layouts(
                [layouts[i] for i, _ in which],
                [rows[i].flux[j] / magnitudes[i][j] for i, j in which],
                [rows[i].sigma[j] / magnitudes[i][j] for i, j in which],
                [rows[i].valid[j] for i, j in which],
            )
            tokens = network.encode(batch.to(device_of(network)))
            value, valid, scale, from_noise = (
                t.float().cpu().numpy() if t.is_floating_point() else t.cpu().numpy()
                for t in (tokens.value, tokens.valid, tokens.scale, tokens.from_noise)
            )
            n_valid = batch.valid.unflatten(1, (-1, patch_size)).sum(-1).numpy()
            for k, (i, j), *parts in zip(
                members, which, value, valid, n_valid, scale, from_noise, strict=True
            ):
                n = layouts[i].n_patches
                encoded[k] = (*(p[:n] for p in parts[:3]), parts[3] * magnitudes[i][j], parts[4])
            bar.update(len(members))
    return tabulate(spectra, rows, layouts, encoded, names, flux_unit, network)


def _names(rows: list[Rows], object_id: Sequence[str] | str | None, number: int) -> list[str]:
    if object_id is not None:
        if isinstance(object_id, str) or not isinstance(object_id, Iterable):
            object_id = [object_id]
        names = [str(name) for name in object_id]
        if len(names) != number:
            raise ValueError(
                f"object_id has {len(names)} names for {number} spectra: give one name for each"
            )
        return names
    names = []
    for part in rows:
        own = part.object_id
        if own is not None and len(own) != len(part.flux):
            own = None
        names += own or [str(len(names) + j) for j in range(len(part.flux))]
    return names
