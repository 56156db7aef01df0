"""What a processor or GPU has units for (no astropy here)."""

from __future__ import annotations

import platform

import torch

__all__ = ["BFLOAT16_UNITS", "multiplies_bfloat16"]

BFLOAT16_UNITS = "AMX, AVX512-bf16, or an NVIDIA GPU since Ampere"  # for messages

_X86 = ("x86_64", "amd64", "i686")
_UNITS = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether a device has units that multiply matrices in bfloat16; others emulate it."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type != "cpu" or platform.machine().lower() not in _X86:
        return True  # not known of others
    has = (getattr(torch.cpu, name, None) for name in _UNITS)
    return any(bool(one()) for one in has if one is not None)
