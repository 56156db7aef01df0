"""Rows of numbers through the network, in batches of similar length."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from astropy.table import QTable

from spectok._batch import PatchLayout, batches, prepare
from spectok._codec._network import (
    Model,
    check_coordinate,
    device_of,
    exact,
    max_tokens,
    network_for,
)
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
    precision: str | None = None,
) -> QTable:
    network = check_coordinate(resolve(model, device))
    computing, patch_size = network_for(network, precision), network.config.patch_size
    parts = [
        prepare(part.wavelength, part.flux, part.sigma, part.valid, patch_size) for part in rows
    ]
    layouts = [
        some[0].layout if some else PatchLayout.of(part.wavelength, patch_size)
        for some, part in zip(parts, rows, strict=True)
    ]
    ready = [one for some in parts for one in some]
    # Spectrum number -> (which rows, which of them).
    spectra = [(i, j) for i, some in enumerate(parts) for j in range(len(some))]
    names = _names(rows, object_id, len(spectra))
    encoded: list[Any] = [None] * len(spectra)
    bar = progress_bar("encoding", total=len(spectra), unit="spectrum", progress=progress)
    with bar, exact(computing):
        for members, batch in batches(
            ready, batch_size=batch_size, max_tokens=max_tokens(computing)
        ):
            tokens = computing.encode(batch.to(device_of(computing)))
            value, valid, scale, from_noise = (
                t.float().cpu().numpy() if t.is_floating_point() else t.cpu().numpy()
                for t in (tokens.value, tokens.valid, tokens.scale, tokens.from_noise)
            )
            n_valid = batch.valid.unflatten(1, (-1, patch_size)).sum(-1).numpy()
            for k, *own in zip(members, value, valid, n_valid, scale, from_noise, strict=True):
                n = ready[k].layout.n_patches
                encoded[k] = (*(p[:n] for p in own[:3]), own[3] * ready[k].unit, own[4])
            bar.update(len(members))
    return tabulate(spectra, rows, layouts, encoded, names, flux_unit, network, precision)


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
