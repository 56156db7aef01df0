"""What a processor has units for."""

import platform

import pytest
import torch

from spectok._processor import multiplies_bfloat16


@pytest.mark.parametrize(
    ("amx", "avx512", "expected"),
    [(True, False, True), (False, True, True), (False, False, False), (None, None, False)],
)
def test_processors(monkeypatch, amx, avx512, expected):
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    for name, has in (("_is_amx_tile_supported", amx), ("_is_avx512_bf16_supported", avx512)):
        if has is None:  # older versions of PyTorch do not know
            monkeypatch.delattr(torch.cpu, name, raising=False)
        else:
            monkeypatch.setattr(torch.cpu, name, lambda has=has: has, raising=False)
    assert multiplies_bfloat16(torch.device("cpu")) is expected


@pytest.mark.parametrize(("generation", "expected"), [((7, 5), False), ((8, 0), True)])
def test_gpus(monkeypatch, generation, expected):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: generation)
    assert multiplies_bfloat16(torch.device("cuda", 0)) is expected


def test_others_are_taken_at_their_word(monkeypatch):
    assert multiplies_bfloat16(torch.device("meta"))
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert multiplies_bfloat16(torch.device("cpu"))
