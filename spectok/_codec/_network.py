"""Which network serves a call, and on which device."""

from __future__ import annotations

import contextlib
import os
import threading
import warnings
from collections.abc import Iterator
from os import PathLike
from typing import Any

import torch
from astropy.utils.exceptions import AstropyUserWarning

from spectok._processor import BFLOAT16_UNITS, multiplies_bfloat16
from spectok._weights import bfloat16_copy, model_identity, resolve
from spectok.model import SpectralTokenizer

__all__ = [
    "CURVE_MODEL",
    "Model",
    "device_of",
    "check_coordinate",
    "exact",
    "matching",
    "max_tokens",
    "network_for",
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


def check_coordinate(network: SpectralTokenizer, unit: str = "Angstrom") -> SpectralTokenizer:
    """The network, if its coordinate is what comes in: wavelengths, or times (``"d"``).

    Raises
    ------
    ValueError
        For a model of another coordinate: its weights know nothing of wavelengths, or times.
    """
    own = network.config.coordinate_unit
    if own == unit:
        return network
    if unit == "d":
        raise ValueError(
            f"these are light curves, and the coordinate of {_called(network)} has the unit "
            f"{own!r} (its config.coordinate_unit): it takes spectra; pass a model of light "
            f"curves, such as model={CURVE_MODEL!r}"
        )
    raise ValueError(
        f"the coordinate of {_called(network)} has the unit {own!r} (its config.coordinate_unit), "
        f"so it takes light curves, and cannot take wavelengths in {unit}: pass a model of "
        "spectra, such as model=None"
    )


def _called(network: SpectralTokenizer) -> str:
    return f"the model {model_identity(network)[0]!r}"


CURVE_MODEL = "lightcurve-v1"
"""What serves light curves where no model is named."""


def device_of(network: SpectralTokenizer) -> torch.device:
    """Where a network lives."""
    return next(network.parameters()).device


def max_tokens(network: SpectralTokenizer) -> int:
    """Tokens of a batch: few on a CPU, whose cache they should fit, many on a GPU."""
    # In bfloat16 as well: eight SDSS spectra at a time took 0.85 of the time of sixteen.
    return 1024 if device_of(network).type == "cpu" else 65536


def network_for(network: SpectralTokenizer, precision: str | None) -> SpectralTokenizer:
    """What computes in a precision: the network itself, or a copy with rounded weights.

    Raises
    ------
    ValueError
        For another precision than None and ``"bf16"``.
    """
    if precision is None:
        return network
    if precision != "bf16":
        raise ValueError(f'precision must be "bf16" or None, which is float32, not {precision!r}')
    device = device_of(network)
    if not multiplies_bfloat16(device):
        warnings.warn(
            f"precision='bf16': {_name_of(device)} has no units that multiply matrices in "
            f"bfloat16 ({BFLOAT16_UNITS}), so this takes longer "
            "than float32 and gives the same tokens less exactly: leave it out here",
            AstropyUserWarning,
            stacklevel=4,
        )
    return bfloat16_copy(network)


def _name_of(device: torch.device) -> str:
    return "this processor" if device.type == "cpu" else f"the device {device}"


class _FullPrecision:
    """Float32 products in full float32, for as long as one thread or several need it.

    Whether they may be rounded (TF32, bfloat16) is a setting of the whole process. It is touched
    only where somebody has allowed it, by the first thread that comes in, and given back by the
    last one that leaves; no thread sees another one's half-way state.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.inside = 0
        self.before: list[tuple[Any, str]] = []

    def enter(self) -> None:
        with self.lock:
            if self.inside == 0:
                backends = (
                    torch.backends.cuda.matmul,
                    torch.backends.mkldnn.matmul,  # type: ignore[attr-defined]  # set at import
                )
                rounded = [(one, one.fp32_precision) for one in backends]
                self.before = [(one, was) for one, was in rounded if was not in _FULL]
                for one, _ in self.before:
                    one.fp32_precision = "ieee"
            self.inside += 1

    def leave(self) -> None:
        with self.lock:
            self.inside -= 1
            if self.inside == 0:
                for one, was in self.before:
                    if one.fp32_precision == "ieee":  # nobody else has set it meanwhile
                        one.fp32_precision = was


_FULL = ("ieee", "none")  # "none": nobody said anything
_full_precision = _FullPrecision()
_forked = False


def _after_fork() -> None:
    """In a forked child: locks may be held by threads that are not there any more."""
    global _full_precision, _forked
    _full_precision, _forked = _FullPrecision(), True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@contextlib.contextmanager
def exact(network: SpectralTokenizer) -> Iterator[None]:
    """Compute in full float32 without gradients, whatever the session's settings.

    TF32 or a surrounding autocast would change tokens in the third digit, silently. In a process
    that was forked after torch had started its threads, which the child does not have and would
    wait for without end, one thread computes.
    """
    global _forked
    if _forked:
        torch.set_num_threads(1)
        _forked = False
    _full_precision.enter()
    try:
        with torch.inference_mode(), torch.autocast(device_of(network).type, enabled=False):
            yield
    finally:
        _full_precision.leave()
