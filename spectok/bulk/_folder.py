"""The folder of a bulk run: what it was begun with, its files, and which of them are whole."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from spectok.bulk._columns import KEY, UNITS
from spectok.bulk._partial import partial_of, remove_abandoned
from spectok.bulk._rows import NO_TOKEN, OK, reason_of

__all__ = [
    "begin",
    "is_whole",
    "make_file",
    "note_failure",
    "read_failures",
    "read_manifest",
    "read_tally",
    "targets_of",
]

_MANIFEST = "spectok_bulk.json"
_TALLY = "spectok_tally"  # of a file's metadata
_FAILED = ".failed.json"
_MOST_REASONS = 50  # of one file


def begin(folder: Path, made_with: Mapping[str, Any], *, resume: bool) -> None:
    """Begin a run in a folder, or go on with the one that is there.

    Raises
    ------
    FileExistsError
        Where something else lies in the folder, or a run does and ``resume`` is False.
    ValueError
        Where a run lies there that was begun with something else.
    """
    before = read_manifest(folder)
    remove_abandoned(folder)
    if before is None:
        if folder.exists() and any(not p.name.endswith(".part") for p in folder.iterdir()):
            raise FileExistsError(
                f"{folder} holds other files: give a folder of its own, or one that is empty"
            )
        folder.mkdir(parents=True, exist_ok=True)
        # Several shards begin at once: each writes the same, and the last one stays.
        _put(folder / _MANIFEST, json.dumps(made_with, indent=1) + "\n")
        return
    if not resume:
        raise FileExistsError(
            f"{folder} holds a run already: go on with it (resume=True), or give another folder"
        )
    differ = list(_differences(before, json.loads(json.dumps(made_with))))
    if differ:
        raise ValueError(
            f"{folder} was begun with {'; '.join(differ)}: go on with what it was begun with, or "
            "give another folder"
        )


def _differences(
    before: Mapping[str, Any], now: Mapping[str, Any], under: str = ""
) -> Iterator[str]:
    for key in dict.fromkeys([*before, *now]):
        one, other = before.get(key), now.get(key)
        if isinstance(one, dict) and isinstance(other, dict) and key != "fields":
            yield from _differences(one, other, f"{under}{key}: " if key == "source" else under)
        elif one != other:
            yield f"{under}{key} {one!r} instead of {other!r}"


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """What a run was begun with; None where none was."""
    try:
        text = (folder / _MANIFEST).read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    return json.loads(text)


def make_file(
    path: Path, tables: Iterable[pa.Table], *, errors: str, sources: Sequence[Path] = ()
) -> None:
    """Write a file of the output; what keeps it from being made is noted beside its place.

    Raises
    ------
    OSError
        Where the output cannot be written: an error that names none of the ``sources``.
    Exception
        With ``errors="raise"``, whatever came.
    """
    noted = path.with_name(path.name + _FAILED)
    try:
        _write(path, tables)
    except Exception as error:
        ours = isinstance(error, OSError) and not any(str(one) in str(error) for one in sources)
        if errors == "raise" or ours:
            raise
        note_failure(path, error)
        return
    noted.unlink(missing_ok=True)


def note_failure(path: Path, error: BaseException) -> None:
    """Note beside the place of a file why it could not be made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _put(path.with_name(path.name + _FAILED), json.dumps(reason_of(error)))


def _put(path: Path, text: str) -> None:
    partial = partial_of(path)
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)


def _write(path: Path, tables: Iterable[pa.Table]) -> None:
    """Write tables as one Parquet file that is whole or not there.

    Under a name that is this process's own, then renamed: whoever is killed on the way leaves what
    nobody takes for a file, and the next call removes; and where two tasks were given the same
    file by mistake, the later one replaces it by its equal.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_of(path)
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    units: set[str] = set()
    begun = time.monotonic()
    writer: Any = None
    try:
        for table in tables:
            units.update(json.loads((table.schema.metadata or {}).get(UNITS, "[]")))
            if writer is None:
                writer = pq.ParquetWriter(partial, table.schema, compression="zstd")
            if table.num_rows:
                writer.write_table(table)
            for status, number in Counter(table.column("status").to_pylist()).items():
                counts[status if status in (OK, NO_TOKEN) else "errors"] += number
                if status not in (OK, NO_TOKEN):
                    reasons[status.removeprefix("error: ")] += number
        tally = {
            "rows": counts.total(),
            "ok": counts[OK],
            "no valid token": counts[NO_TOKEN],
            "errors": counts["errors"],
            "seconds": time.monotonic() - begun,
            "reasons": dict(reasons.most_common(_MOST_REASONS)),
            "flux_units": sorted(units),
        }
        writer.add_key_value_metadata({_TALLY: json.dumps(tally)})
    except BaseException:
        if writer is not None:
            writer.close()
        partial.unlink(missing_ok=True)
        raise
    writer.close()
    with partial.open("rb+") as file:
        os.fsync(file.fileno())
    os.replace(partial, path)


def read_tally(path: Path) -> dict[str, Any] | None:
    """Counts of a file that was written whole; None for any other."""
    try:
        metadata = pq.read_metadata(path).metadata or {}
    except (OSError, pa.ArrowException):
        return None
    text = metadata.get(_TALLY.encode())
    return None if text is None or KEY not in metadata else json.loads(text)


def is_whole(path: Path) -> bool:
    """Whether a file is there, and written to its end."""
    return path.is_file() and read_tally(path) is not None


def targets_of(folder: Path) -> Iterator[Path]:
    """Files of a run's output, in order."""
    dataset = folder / "dataset"
    inside = dataset.rglob("*.parquet") if dataset.is_dir() else folder.glob("part-*.parquet")
    yield from sorted(path for path in inside if not path.name.startswith("_"))


def read_failures(folder: Path) -> dict[str, str]:
    """Files that could not be made, and why."""
    found = {}
    for path in sorted(folder.rglob(f"*{_FAILED}")):
        target = path.with_name(path.name.removesuffix(_FAILED))
        try:
            reason = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:  # it has been made meanwhile
            continue
        if not is_whole(target):
            found[str(target.relative_to(folder))] = reason
    return found
