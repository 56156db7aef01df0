"""Rows of numbers through the network, in batches of similar length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from astropy.table import QTable

from spectok._batch import PatchLayout, SpectrumBatch, binary_scale, buckets
from spectok._codec._network import Model, check_coordinate, device_of, exact, max_tokens
from spectok._codec._tabulate import Encoded, TableBuilder
from spectok._convert import FluxUnit, Rows, identifiers
from spectok._progress import progress_bar
from spectok._weights import resolve
from spectok.model import SpectralTokenizer

__all__ = ["encode_rows"]

# What is converted before the network is asked: enough spectra for full batches, and no more.
_WINDOW_PIXELS, _WINDOW_SPECTRA = 1 << 22, 1 << 14


def encode_rows(
    rows: Iterable[Rows],
    flux_unit: FluxUnit | None,
    model: Model,
    object_id: Sequence[Any] | Any | None,
    device: str | torch.device | None,
    batch_size: int | None,
    progress: bool | None,
    total: int | None = None,
) -> QTable:
    """Encode rows of numbers as they come.

    Parameters
    ----------
    rows : iterable of `~spectok._convert.Rows`
        Asked for some thousand spectra at a time; what was encoded of them is all that stays.
    flux_unit : `~spectok._convert.FluxUnit`, optional
        Of the table; by default that of the first rows which have one.
    model, object_id, device, batch_size, progress : as for `spectok.encode`
        What they are there.
    total : int, optional
        Number of spectra, where it is known.

    Returns
    -------
    tokens : `~astropy.table.QTable`

    Raises
    ------
    ValueError
        Where there is no spectrum, or another number of them than of names.
    """
    network = check_coordinate(resolve(model, device))
    names = None if object_id is None else identifiers(object_id)
    if names is not None and total is not None and total != len(names):
        raise ValueError(_miscounted(names, total))
    table = TableBuilder(network)
    if isinstance(rows, list):
        total = sum(len(part.flux) for part in rows)
    bar = progress_bar("encoding", total=total, unit="spectrum", progress=progress)
    with bar:
        for window in _windows(rows):
            flux_unit = flux_unit or next((w.flux_unit for w in window if w.flux_unit), None)
            with exact(network):
                encoded = _encode(window, network, batch_size, bar)
            table.add(window, encoded, names)
    if table.count == 0:
        raise ValueError("there is no spectrum to encode: the input is empty")
    if names is not None and table.count != len(names):
        raise ValueError(_miscounted(names, table.count))
    return table.finish(flux_unit)


def _windows(rows: Iterable[Rows]) -> Iterator[list[Rows]]:
    window: list[Rows] = []
    pixels = spectra = 0
    for part in rows:
        window.append(part)
        pixels += part.flux.size
        spectra += len(part.flux)
        if pixels >= _WINDOW_PIXELS or spectra >= _WINDOW_SPECTRA:
            yield window
            window, pixels, spectra = [], 0, 0
    if window:
        yield window


def _encode(
    rows: list[Rows], network: SpectralTokenizer, batch_size: int | None, bar: Any
) -> list[Encoded | None]:
    """What the network makes of every spectrum; None for those that are refused."""
    patch_size = network.config.patch_size
    layouts = [
        None if part.reason else PatchLayout.of(part.wavelength, patch_size) for part in rows
    ]
    magnitudes = [binary_scale(part.flux, part.sigma, part.valid) for part in rows]
    # Spectrum number -> (which rows, which of them).
    spectra = [(i, j) for i, part in enumerate(rows) for j in range(len(part.flux))]
    encoded: list[Encoded | None] = [None] * len(spectra)
    usable = [k for k, (i, _) in enumerate(spectra) if layouts[i] is not None]
    bar.update(len(spectra) - len(usable))
    lengths = [layouts[spectra[k][0]].n_patches for k in usable]
    for members in buckets(lengths, batch_size=batch_size, max_tokens=max_tokens(network)):
        which = [spectra[usable[k]] for k in members]
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
            value_, valid_, n_valid_ = (p[:n] for p in parts[:3])
            encoded[usable[k]] = Encoded(
                layouts[i], value_, valid_, n_valid_, parts[3] * magnitudes[i][j], parts[4]
            )
        bar.update(len(members))
    return encoded


def _miscounted(names: list[Any], number: int) -> str:
    return f"object_id has {len(names)} names for {number} spectra: give one name for each"
