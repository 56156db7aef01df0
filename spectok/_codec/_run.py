"""Rows of numbers through the network, and into a token table."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from astropy.table import QTable
from astropy.utils.exceptions import AstropyUserWarning
from tqdm.auto import tqdm

from spectok import __version__
from spectok._batch import PatchLayout, SpectrumBatch, buckets, magnitude
from spectok._codec._network import Model, column_unit, device_of, max_tokens, ready, table_unit
from spectok._convert import FluxUnit, Rows
from spectok._flags import TokenFlag
from spectok._pretrained import model_identity
from spectok._tokens import to_table
from spectok.model import SpectralTokenizer

__all__ = ["encode_rows"]

_PER_TOKEN = (
    "token_index", "wavelength", "wavelength_min", "wavelength_max", "n_pixels", "n_valid",
    "valid", "token",
)  # fmt: skip


def encode_rows(
    rows: list[Rows],
    flux_unit: FluxUnit,
    model: Model,
    object_id: Sequence[str] | str | None,
    device: str | torch.device | None,
    batch_size: int | None,
    progress: bool | None,
) -> QTable:
    network = ready(model, device)
    patch_size = network.config.patch_size
    layouts = [PatchLayout.of(part.wavelength, patch_size) for part in rows]
    magnitudes = [magnitude(part.flux, part.sigma, part.valid) for part in rows]
    # Spectrum number -> (which rows, which of them).
    spectra = [(i, j) for i, part in enumerate(rows) for j in range(len(part.flux))]
    names = _names(rows, object_id, len(spectra))
    encoded: list[Any] = [None] * len(spectra)
    with _bar(len(spectra), "encoding", progress) as bar, torch.inference_mode():
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


def tabulate(
    spectra: list[tuple[int, int]],
    rows: list[Rows],
    layouts: list[PatchLayout],
    encoded: list[Any],
    names: list[str],
    flux_unit: FluxUnit,
    network: SpectralTokenizer,
) -> QTable:
    ranges = [layout.patch_range() for layout in layouts]
    centres = [_centre(layout) for layout in layouts]
    columns: dict[str, list[Any]] = {name: [] for name in _PER_TOKEN}
    count, flags, scales, lost = [], [], [], []
    for k, ((i, j), (value, valid, n_valid, scale, from_noise)) in enumerate(
        zip(spectra, encoded, strict=True)
    ):
        flag = int(rows[i].flags[j])
        keep = slice(None)
        if not valid.any():
            lost.append(k)
            flag |= TokenFlag.NO_VALID_PATCH
            keep = slice(0, 1)
        elif from_noise:
            flag |= TokenFlag.SCALE_FROM_NOISE
        low, high, n_pixels = (part[keep] for part in ranges[i])
        parts = (np.arange(len(low)), centres[i][keep], low, high, n_pixels)
        for name, part in zip(
            _PER_TOKEN, (*parts, n_valid[keep], valid[keep], value[keep]), strict=True
        ):
            columns[name].append(part)
        count.append(len(low))
        flags.append(flag)
        scales.append(scale)
    if lost:
        shown = ", ".join(f"{k} ({names[k]})" for k in lost[:20])
        warnings.warn(
            f"{len(lost)} of {len(spectra)} spectra have not one good patch and no valid token: "
            f"{shown}{', ...' if len(lost) > 20 else ''}; each keeps one row with valid=False",
            AstropyUserWarning,
            stacklevel=4,
        )
    estimated = sum(bool(f & TokenFlag.NOISE_ESTIMATED) for f in flags)
    if estimated:
        warnings.warn(
            f"{estimated} of {len(spectra)} spectra came without an uncertainty: their noise was "
            "estimated from the fluxes (DER_SNR) and flagged; give uncertainties if you have them",
            AstropyUserWarning,
            stacklevel=4,
        )
    name, sha256 = model_identity(network)
    unit = column_unit(flux_unit.internal)
    return to_table(
        {
            "spectrum_index": np.repeat(np.arange(len(spectra)), count),
            "object_id": np.repeat(np.array(names, dtype=str), count),
            "scale": np.repeat(np.array(scales, dtype=np.float64), count)
            * table_unit(flux_unit.internal).to(unit)
            * unit,
            "flags": np.repeat(np.array(flags, dtype=np.int32), count),
            **{key: np.concatenate(parts) for key, parts in columns.items()},
        },
        {
            "MODEL": name,
            "SHA256": sha256,
            "PATCH": network.config.patch_size,
            "FLUXUNIT": table_unit(flux_unit.unit).to_string(),
            "SPECTOK": __version__,
        },
    )


def _centre(layout: PatchLayout) -> np.ndarray:
    places = layout.wavelength.reshape(layout.n_patches, -1)
    return 0.5 * (places[:, 0] + places[:, -1])


def _names(rows: list[Rows], object_id: Sequence[str] | str | None, number: int) -> list[str]:
    if object_id is not None:
        names = [object_id] if isinstance(object_id, str) else [str(name) for name in object_id]
        if len(names) != number:
            raise ValueError(f"object_id has {len(names)} names for {number} spectra")
        return names
    names = []
    for part in rows:
        own = part.object_id
        if own is not None and len(own) != len(part.flux):
            own = None
        names += own or [str(len(names) + j) for j in range(len(part.flux))]
    return names


def _bar(total: int, what: str, progress: bool | None) -> Any:
    """A bar that keeps quiet for the first two seconds."""
    disable = None if progress is None else not progress
    delay = 2.0 if progress is None else 0.0
    return tqdm(total=total, desc=what, unit="spectrum", disable=disable, delay=delay)
