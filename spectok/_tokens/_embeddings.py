"""The table of embeddings: one row per spectrum."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from astropy.table import QTable, Table

from spectok._tokens._refusals import refused_of
from spectok._tokens._table import TokenSequence, id_column, kept_of, legible, meta_of

__all__ = ["to_embedding_table"]

# What tokens carry beside: units of a flux mean nothing to an embedding, nor does a patch.
_META = ("MODEL", "SHA256", "SPECTOK", "PRECIS", "FRAME")


def to_embedding_table(
    tokens: Table, spectra: Sequence[TokenSequence], embedding: np.ndarray
) -> QTable:
    """Embeddings (N, E) of the spectra of a token table, as a table of their own."""
    table = QTable(
        {
            "spectrum_index": [one.index for one in spectra],
            "object_id": id_column([one.object_id for one in spectra]),
            "embedding": embedding,
            "n_valid": [int(one.n_valid[one.valid].sum()) for one in spectra],
            "flags": np.array([one.flags for one in spectra], np.int32),
        }
    )
    for name, column in kept_of(tokens, spectra).items():
        if name not in table.colnames:
            table[name] = column
    meta = meta_of(tokens)
    table.meta.update({key: meta[key] for key in _META if key in meta})
    if "FRAME" in meta:
        # At rest; but an embedding has no patches, so it has no step either: those of several
        # instruments are compared.
        table.meta["FRAME"] = str(meta["FRAME"]).partition(",")[0]
    table.meta.update(refused_of(tokens))
    return legible(table)
