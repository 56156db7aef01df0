"""Tables for the documentation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

__all__ = ["list_table"]


def list_table(rows: Iterable[Sequence[str]]) -> str:
    """An RST ``list-table``; the first row is its header."""
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in rows:
        lines += [f"   {'* -' if i == 0 else '  -'} {cell}" for i, cell in enumerate(row)]
    return "\n".join(lines) + "\n"
