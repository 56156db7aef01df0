"""The token table, and what is made from it (layer 1)."""

from spectok._tokens._embeddings import to_embedding_table
from spectok._tokens._refusals import reasons_of, reasons_to_text, refusals
from spectok._tokens._summary import concatenate, group, pool
from spectok._tokens._table import (
    COLUMNS,
    CURVE_COLUMNS,
    FRAME_COLUMN,
    TokenSequence,
    column_unit,
    has_unit,
    id_column,
    is_of_curves,
    legible,
    meta_entry,
    meta_of,
    sequences,
    table_unit,
    to_table,
    to_token_batch,
)

__all__ = [
    "COLUMNS",
    "CURVE_COLUMNS",
    "FRAME_COLUMN",
    "TokenSequence",
    "column_unit",
    "concatenate",
    "group",
    "has_unit",
    "id_column",
    "is_of_curves",
    "legible",
    "meta_entry",
    "meta_of",
    "pool",
    "reasons_of",
    "reasons_to_text",
    "refusals",
    "sequences",
    "table_unit",
    "to_embedding_table",
    "to_table",
    "to_token_batch",
]
