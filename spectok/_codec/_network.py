"""Which network serves a call, and on which device."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from os import PathLike
from typing import Any

import torch

from spectok._weights import model_identity, resolve
from spectok.model import SpectralTokenizer

__all__ = [
    "Model",
    "device_of",
    "check_coordinate",
    "exact",
    "matching",
    "max_tokens",
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
    check_coordinate(network)
    name, sha256 = model_identity(network)
    if sha256 != meta["SHA256"]:
        raise ValueError(
            f"the tokens were made by the model {meta['MODEL']!r} with the sha256 "
            f"{meta['SHA256']}, but {name!r} has {sha256}: other weights cannot read them; pass "
            "the right model, or encode the spectra again"
        )
    return network


def check_coordinate(network: SpectralTokenizer, unit: str = "Angstrom") -> SpectralTokenizer:
    """The network, if its coordinate is the wavelength.

    Raises
    ------
    ValueError
        For a model of another coordinate: its weights know nothing of wavelengths.
    """
    own = network.config.coordinate_unit
    if own != unit:
        raise ValueError(
            f"this model's coordinate has the unit {own!r} (its config.coordinate_unit), so it "
            f"cannot take wavelengths in {unit}: pass a model of spectra, such as model=None"
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
