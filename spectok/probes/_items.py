"""What probes take: one item of tokens per spectrum, and batches of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from astropy.table import Table

from spectok._tokens import group
from spectok.probes._network import ProbeBatch

__all__ = ["as_items", "batches_of", "make_batch", "same_tokenizer", "tokenizer_of"]


def as_items(tokens: Any) -> np.ndarray:
    """Token table, or what `spectok.group` made of one, to items: (N,) of object.

    Raises
    ------
    TypeError, ValueError
        Where it is neither, is empty, or its items differ in token size or tokenizer.
    """
    if isinstance(tokens, Table):
        return group(tokens)
    if isinstance(tokens, np.ndarray) and tokens.dtype.names:
        raise TypeError(
            "this is the item of one spectrum; give several, such as items[:1] for the first"
        )
    if not hasattr(tokens, "__len__"):
        raise TypeError(
            f"expected a token table or items of spectok.group, got {type(tokens).__name__}: give "
            "what spectok.encode makes of spectra"
        )
    items = np.empty(len(tokens), dtype=object)
    items[:] = list(tokens)
    if not len(items):
        raise ValueError("there is no spectrum to work on")
    for row, item in enumerate(items):
        names = getattr(getattr(item, "dtype", None), "names", None) or ()
        # A token table has these columns, too, but also the tokens that are not valid.
        if not isinstance(item, np.ndarray) or not {"wavelength", "token"} <= set(names):
            raise TypeError(
                f"spectrum {row} is a {type(item).__name__}, not an item of spectok.group: give "
                "the token table of spectok.encode (of several, spectok.concatenate makes one), "
                "or spectok.group(tokens)"
            )
        if not (np.isfinite(item["token"]).all() and (item["wavelength"] > 0).all()):
            raise ValueError(
                f"spectrum {row} has tokens that are not finite, or wavelengths that are not "
                "positive: spectok.encode makes none, encode it again"
            )
    size, known = items[0]["token"].shape[-1], tokenizer_of(items)
    for row, item in enumerate(items):
        if item["token"].shape[-1] != size:
            raise ValueError(
                f"the tokens of spectrum {row} have {item['token'].shape[-1]} numbers, those of "
                f"spectrum 0 {size}: encode all with one model"
            )
        same_tokenizer(known, tokenizer_of([item]), f"spectrum {row}")
    return items


def tokenizer_of(items: Sequence[np.ndarray]) -> dict[str, Any]:
    """Name and checksum of the model that made the items: none where they lost it."""
    found = (item.dtype.metadata for item in items if item.dtype.metadata)
    return dict(next(found, {}))


def same_tokenizer(expected: dict[str, Any], given: dict[str, Any], what: str) -> None:
    """Refuse tokens of another model, where both are known."""
    if expected and given and expected.get("SHA256") != given.get("SHA256"):
        raise ValueError(
            f"{what}: its tokens were made by {given.get('MODEL')!r} (sha256 "
            f"{str(given.get('SHA256'))[:12]}), others by {expected.get('MODEL')!r} "
            f"({str(expected.get('SHA256'))[:12]}): they mean different things; encode all "
            "spectra with one model"
        )


def make_batch(items: Sequence[np.ndarray]) -> ProbeBatch:
    """Items padded to the longest of them."""
    longest = max(1, *(len(item) for item in items))
    size = items[0]["token"].shape[-1]
    token = np.zeros((len(items), longest, size), np.float32)
    wavelength = np.ones((len(items), longest))
    valid = np.zeros((len(items), longest), bool)
    for row, item in enumerate(items):
        token[row, : len(item)] = item["token"]
        wavelength[row, : len(item)] = item["wavelength"]
        valid[row, : len(item)] = True
    return ProbeBatch(*(torch.from_numpy(part) for part in (token, wavelength, valid)))


def batches_of(lengths: np.ndarray, batch_size: int) -> Iterator[np.ndarray]:
    """Rows in batches of similar length, for prediction."""
    order = np.argsort(lengths, kind="stable")
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]
