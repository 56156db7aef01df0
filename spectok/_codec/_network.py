"""Which network serves a call, and on which device."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from os import PathLike
from typing import Any

import torch
from astropy import units as u

from spectok._pretrained import model_identity, resolve
from spectok.model import SpectralTokenizer

__all__ = [
    "Model",
    "column_unit",
    "device_of",
    "exact",
    "matching",
    "max_tokens",
    "table_unit",
]

Model = SpectralTokenizer | str | PathLike[str] | None


def matching(
    meta: dict[str, Any], model: Model, device: str | torch.device | None
) -> SpectralTokenizer:
    """The model that made a table, or a ValueError that says why it is not at hand."""
    try:
        network = resolve(meta["MODEL"] if model is None else model, device)
    except ValueError as error:
        raise ValueError(
            f"the tokens were made by the model {meta['MODEL']!r}, which is not at hand; pass it "
            f"as model=... ({error})"
        ) from error
    name, sha256 = model_identity(network)
    if sha256 != meta["SHA256"]:
        raise ValueError(
            f"the tokens were made by the model {meta['MODEL']!r} with the sha256 "
            f"{meta['SHA256']}, but {name!r} has {sha256}: other weights cannot read them; pass "
            "the right model, or encode the spectra again"
        )
    return network


def device_of(network: SpectralTokenizer) -> torch.device:
    """Where a network lives."""
    return next(network.parameters()).device


def max_tokens(network: SpectralTokenizer) -> int:
    """Tokens of a batch: few on a CPU, whose cache they should fit, many on a GPU."""
    return 1024 if device_of(network).type == "cpu" else 65536


@contextlib.contextmanager
def exact(network: SpectralTokenizer) -> Iterator[None]:
    """Compute in full float32 without gradients, whatever the session's settings.

    TF32 or a surrounding autocast would change tokens in the third digit, silently.
    """
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.inference_mode(), torch.autocast(device_of(network).type, enabled=False):
            yield
    finally:
        torch.set_float32_matmul_precision(before)


def table_unit(unit: u.UnitBase) -> u.UnitBase:
    """A unit that can be written down and read again; else (private units) dimensionless.

    A private name for something known (MaNGA's spaxel is a pixel) is replaced by it.
    """
    if _readable(unit):
        return unit
    known = u.CompositeUnit(unit.scale, [], [])
    for base, power in zip(unit.bases, unit.powers, strict=True):
        known = known * (base if _readable(base) else base.decompose()) ** power
    return known if _readable(known) else u.dimensionless_unscaled


def column_unit(unit: u.UnitBase) -> u.UnitBase:
    """`table_unit` without a scale that is no power of ten, which FITS cannot hold."""
    unit = table_unit(unit)
    power = math.log10(unit.scale)
    return unit if power == round(power) else u.CompositeUnit(1, unit.bases, unit.powers)


def _readable(unit: u.UnitBase) -> bool:
    try:
        return u.Unit(unit.to_string()) == unit
    except ValueError:
        return False
