"""What the network said, as a token table, and what a user must be told of it."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from astropy.table import QTable
from astropy.utils.exceptions import AstropyUserWarning

from spectok import __version__
from spectok._batch import PatchLayout
from spectok._convert import FluxUnit, Rows
from spectok._flags import TokenFlag
from spectok._tokens import column_unit, table_unit, to_table
from spectok._weights import model_identity
from spectok.model import SpectralTokenizer

__all__ = ["tabulate"]

_PER_TOKEN = (
    "token_index", "wavelength", "wavelength_min", "wavelength_max", "n_pixels", "n_valid",
    "valid", "token",
)  # fmt: skip


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
    _warn(encoded, rows, spectra, names, lost, flags, flux_unit, network.config.patch_size)
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


def _warn(
    encoded: list[Any],
    rows: list[Rows],
    spectra: list[tuple[int, int]],
    names: list[str],
    lost: list[int],
    flags: list[int],
    flux_unit: FluxUnit,
    patch_size: int,
) -> None:
    """Say once for all spectra what was lost, estimated or taken for something else."""
    total = len(spectra)
    sparse = []
    for k, ((i, j), (_, valid, n_valid, *_)) in enumerate(zip(spectra, encoded, strict=True)):
        if valid.any() and n_valid[valid].sum() < 0.5 * rows[i].valid[j].sum():
            sparse.append(k)
    why = (
        f"a patch is {patch_size} pixels in one piece, more than half of them good, so give bad "
        "pixels as a mask instead of dropping them"
    )
    messages = []
    if lost:
        messages.append(
            f"{len(lost)} of {total} spectra have not one good patch and no valid token: "
            f"{_listed(lost, names)}; each keeps one row with valid=False ({why})"
        )
    if sparse:
        messages.append(
            f"{len(sparse)} of {total} spectra have most of their good pixels in "
            f"patches without a token: {_listed(sparse, names)} ({why})"
        )
    estimated = sum(bool(flag & TokenFlag.NOISE_ESTIMATED) for flag in flags)
    if estimated:
        messages.append(
            f"{estimated} of {total} spectra came without an uncertainty: their noise was "
            "estimated from the fluxes (DER_SNR) and flagged; give uncertainties if you have them"
        )
    if not table_unit(flux_unit.unit).is_equivalent(flux_unit.unit):
        messages.append(
            f"the flux unit {flux_unit.unit} cannot be written to a file; the tokens, and what "
            "is decoded from them, are dimensionless"
        )
    for message in messages:
        warnings.warn(message, AstropyUserWarning, stacklevel=5)


def _listed(which: list[int], names: list[str]) -> str:
    return ", ".join(f"{k} ({names[k]})" for k in which[:20]) + (", ..." if which[20:] else "")
