"""Rows of numbers through the network, in batches of similar length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

import torch
from astropy.table import QTable

from spectok._batch import Prepared, batches, binary_scale, prepare
from spectok._codec._network import (
    Model,
    check_coordinate,
    device_of,
    exact,
    max_tokens,
    network_for,
)
from spectok._codec._tabulate import Encoded, TableBuilder
from spectok._convert import FluxUnit, Rows, identifiers
from spectok._curves import curve_layout
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
    precision: str | None = None,
    coordinate: str = "Angstrom",
) -> QTable:
    """Encode rows of numbers as they come.

    Parameters
    ----------
    rows : iterable of `~spectok._convert.Rows`
        Asked for some thousand spectra at a time; what was encoded of them is all that stays.
    flux_unit : `~spectok._convert.FluxUnit`, optional
        Of the table; by default that of the first rows which have one.
    model, object_id, device, batch_size, progress, precision : as for `spectok.encode`
        What they are there.
    total : int, optional
        Number of spectra, where it is known.
    coordinate : str
        Unit of what comes in: ``"d"`` for light curves.

    Returns
    -------
    tokens : `~astropy.table.QTable`

    Raises
    ------
    ValueError
        Where there is no spectrum, or another number of them than of names; for an unknown
        precision.
    """
    network = check_coordinate(resolve(model, device), coordinate)
    names = None if object_id is None else identifiers(object_id)
    if names is not None and total is not None and total != len(names):
        raise ValueError(_miscounted(names, total))
    computing = network_for(network, precision)
    table = TableBuilder(network, precision)
    if isinstance(rows, list):
        total = sum(len(part.flux) for part in rows)
    bar = progress_bar("encoding", total=total, unit="spectrum", progress=progress)
    with bar:
        for window in _windows(rows):
            flux_unit = flux_unit or next((w.flux_unit for w in window if w.flux_unit), None)
            with exact(computing):
                encoded = _encode(window, computing, batch_size, bar)
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
    patch_size, device = network.config.patch_size, device_of(network)
    ready: list[Prepared] = []
    places: list[int] = []  # of these, among all spectra
    number = 0
    for part in rows:
        if part.band is not None:
            layout = curve_layout(part.wavelength, part.band, patch_size)
            unit = binary_scale(part.flux, part.sigma, part.valid)[0]
            ready.append(Prepared(layout, part.flux[0], part.sigma[0], part.valid[0], unit))
            places.append(number)
        elif not part.reason:
            ready += prepare(part.wavelength, part.flux, part.sigma, part.valid, patch_size)
            places += range(number, number + len(part.flux))
        number += len(part.flux)
    encoded: list[Encoded | None] = [None] * number
    bar.update(number - len(ready))
    for members, batch in batches(ready, batch_size=batch_size, max_tokens=max_tokens(network)):
        tokens = network.encode(batch.to(device))
        from_noise = cast("torch.Tensor", tokens.from_noise)  # which encoding always says
        parts = (
            part.cpu().numpy() for part in (tokens.value, tokens.valid, tokens.scale, from_noise)
        )
        n_valid = batch.valid.unflatten(1, (-1, patch_size)).sum(-1).numpy()
        for k, value, valid, scale, noise, good in zip(members, *parts, n_valid, strict=True):
            own, n = ready[k], ready[k].layout.n_patches
            encoded[places[k]] = Encoded(
                own.layout, value[:n], valid[:n], good[:n], scale * own.unit, noise
            )
        bar.update(len(members))
    return encoded


def _miscounted(names: list[Any], number: int) -> str:
    return f"object_id has {len(names)} names for {number} spectra: give one name for each"
