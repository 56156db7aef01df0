"""The token table, and what is made from it (layer 1)."""

from spectok._tokens._summary import concatenate, group, pool
from spectok._tokens._table import TokenSequence, meta_of, sequences, to_table, to_token_batch

__all__ = [
    "TokenSequence",
    "concatenate",
    "group",
    "meta_of",
    "pool",
    "sequences",
    "to_table",
    "to_token_batch",
]
