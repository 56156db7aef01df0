"""Spectra to tokens and back (layer 3)."""

from spectok._codec._decode import decode, decode_arms
from spectok._codec._embed import embed, embed_arrays
from spectok._codec._encode import encode, encode_arrays
from spectok._codec._rest_frame import to_rest_frame

__all__ = [
    "decode",
    "decode_arms",
    "embed",
    "embed_arrays",
    "encode",
    "encode_arrays",
    "to_rest_frame",
]
