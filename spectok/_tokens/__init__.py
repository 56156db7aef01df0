"""The token table, and what is made from it (layer 1)."""

from spectok._tokens._embeddings import to_embedding_table
from spectok._tokens._summary import concatenate, group, pool
from spectok._tokens._table import (
    TokenSequence,
    column_unit,
    meta_of,
    sequences,
    table_unit,
    to_table,
    to_token_batch,
)

__all__ = [
    "TokenSequence",
    "column_unit",
    "concatenate",
    "group",
    "meta_of",
    "pool",
    "sequences",
    "table_unit",
    "to_embedding_table",
    "to_table",
    "to_token_batch",
]
