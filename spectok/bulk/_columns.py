"""Columns of the output as Arrow has them, and what the files say of themselves."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from spectok import __version__
from spectok._weights import model_identity
from spectok.bulk._options import DEFAULT_KEEP, Options
from spectok.bulk._rows import Encoded
from spectok.model import SpectralTokenizer

__all__ = [
    "KEY",
    "OWN",
    "SPATIAL_INDEX",
    "UNITS",
    "about",
    "kept_columns",
    "own_fields",
    "read_about",
    "to_table",
]

KEY = b"spectok"  # of the schema's metadata
UNITS = b"spectok_flux_units"  # of one part of a file; its tally has those of all
SPATIAL_INDEX = "_healpix_29"  # which HATS catalogues are sorted by
OWN = (
    "embedding", "n_tokens", "n_valid", "flags", "status", "scale", "scale_unit", "flux_unit",
    "tokens",
)  # fmt: skip
_TOKEN_FIELDS = {
    "wavelength": pa.float64(), "wavelength_min": pa.float64(), "wavelength_max": pa.float64(),
    "n_pixels": pa.int32(), "n_valid": pa.int32(), "valid": pa.bool_(),
    "token": pa.list_(pa.float32()),
}  # fmt: skip


def kept_columns(names: Sequence[str], options: Options, where: str) -> list[str]:
    """Which columns of a table are copied, in the order that they are asked for.

    Raises
    ------
    ValueError
        For a column that was asked for and is not there, or that the output has itself.
    """
    if options.keep is None:
        kept = [name for name in DEFAULT_KEEP if name in names]
    else:
        missing = [name for name in options.keep if name not in names]
        if missing:
            raise ValueError(
                f"{where}: keep names {', '.join(missing)}, which is no column; there are "
                f"{', '.join(names)}"
            )
        kept = list(dict.fromkeys(options.keep))
    taken = set(OWN).intersection(kept)
    if taken:
        raise ValueError(f"{where}: keep names {', '.join(sorted(taken))}, a column of the output")
    if SPATIAL_INDEX in names and SPATIAL_INDEX not in kept:
        kept.insert(0, SPATIAL_INDEX)
    return kept


def own_fields(network: SpectralTokenizer, options: Options) -> list[pa.Field]:
    """The columns of the output that are not copied."""
    config = network.config
    fields = []
    if options.with_embedding:
        fields.append(pa.field("embedding", pa.list_(pa.float32(), config.embedding_size)))
    fields += [
        pa.field("n_tokens", pa.int32()),
        pa.field("n_valid", pa.int32()),
        pa.field("flags", pa.int32()),
        pa.field("status", pa.string()),
    ]
    if options.with_tokens:
        inside = [pa.field(name, pa.list_(kind)) for name, kind in _TOKEN_FIELDS.items()]
        fields += [
            pa.field("scale", pa.float64()),
            pa.field("scale_unit", pa.string()),
            pa.field("flux_unit", pa.string()),
            pa.field("tokens", pa.struct(inside)),
        ]
    return fields


def to_table(
    kept: Mapping[str, pa.ChunkedArray | pa.Array],
    encoded: Encoded | None,
    network: SpectralTokenizer,
    options: Options,
) -> pa.Table:
    """Copied columns and what was encoded, as a table with the output's schema."""
    fields = own_fields(network, options)
    if encoded is None:
        own: list[Any] = [pa.array([], field.type) for field in fields]
    else:
        found = {
            "n_tokens": encoded.n_tokens,
            "n_valid": encoded.n_valid,
            "flags": encoded.flags,
            "status": encoded.status,
            "scale": encoded.scale,
            "scale_unit": encoded.scale_unit,
            "flux_unit": encoded.unit,
        }
        own = [
            _vectors(encoded.embedding, field.type)
            if field.name == "embedding"
            else _tokens(encoded, field.type)
            if field.name == "tokens"
            else pa.array(found[field.name], field.type)
            for field in fields
        ]
    names = [*kept, *(field.name for field in fields)]
    types = [*(column.type for column in kept.values()), *(field.type for field in fields)]
    units = [] if encoded is None else sorted({unit for unit in encoded.unit if unit})
    schema = pa.schema(
        [pa.field(name, kind) for name, kind in zip(names, types, strict=True)],
        metadata={KEY: json.dumps(about(network, options)), UNITS: json.dumps(units)},
    )
    return pa.table([*kept.values(), *own], schema=schema)


def _vectors(values: np.ndarray | None, kind: pa.DataType) -> pa.Array:
    flat = pa.array(np.ascontiguousarray(values, np.float32).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, type=kind)


def _tokens(encoded: Encoded, kind: pa.DataType) -> pa.Array:
    """The rows of the token table, spectrum by spectrum, as a struct of lists."""
    offsets = pa.array(np.concatenate([[0], np.cumsum(encoded.rows)]).astype(np.int32))
    inside = []
    for number in range(kind.num_fields):
        field = kind.field(number)
        values = encoded.tokens[field.name]
        if field.name == "token":
            size = values.shape[1]
            flat = pa.array(np.ascontiguousarray(values, np.float32).reshape(-1))
            starts = pa.array(np.arange(len(values) + 1, dtype=np.int32) * size)
            values = pa.ListArray.from_arrays(starts, flat)
        else:
            values = pa.array(np.ascontiguousarray(values)).cast(field.type.value_type)
        inside.append(pa.ListArray.from_arrays(offsets, values, type=field.type))
    return pa.StructArray.from_arrays(inside, fields=[kind.field(k) for k in range(len(inside))])


def about(network: SpectralTokenizer, options: Options) -> dict[str, Any]:
    """What a file says of itself: the model, the version, the options."""
    name, sha256 = model_identity(network)
    config = network.config
    return {
        "model": name,
        "sha256": sha256,
        "version": __version__,
        "patch_size": config.patch_size,
        "context_size": config.context_size,
        "embedding_size": config.embedding_size if options.with_embedding else 0,
        "options": options.said(),
    }


def read_about(schema: pa.Schema, where: str) -> dict[str, Any]:
    """What a file says of itself.

    Raises
    ------
    ValueError
        For a file that spectok.bulk did not write.
    """
    text = (schema.metadata or {}).get(KEY)
    if text is None:
        raise ValueError(f"{where}: spectok.bulk did not write this file, or its metadata is lost")
    return json.loads(text)
