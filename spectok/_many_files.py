"""Many spectrum files into one token table, for the command."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from astropy import units as u
from astropy.table import QTable

from spectok import concatenate
from spectok._file_batches import (
    Content,
    NoSpectrumError,
    encode_run,
    in_halves,
    read_content,
    runs,
    starts_of,
)
from spectok._flags import TokenFlag
from spectok._progress import progress_bar
from spectok._tokens import reasons_of, reasons_to_text
from spectok.surveys._read import one_of_a_star

__all__ = ["EncodedFiles", "encode_files", "find_files"]

# What is looked for in folders; a file that is named is read whatever it is called.
_ENDINGS = (".fits", ".fit", ".fts", ".fits.gz", ".fit.gz", ".fits.fz", ".fits.bz2", ".ecsv")


@dataclass
class EncodedFiles:
    """What became of the files.

    Attributes
    ----------
    tables : list of `~astropy.table.QTable`
        Of some files each.
    encoded : list of `pathlib.Path`
        The files that were encoded, in the order of the tables.
    failed, left_out : list of (path, reason)
        Files that could not be encoded, and those that need not be.
    interrupted : bool
        Whether Ctrl-C ended it before its time.
    """

    tables: list[QTable] = field(default_factory=list)
    encoded: list[Path] = field(default_factory=list)
    failed: list[tuple[Path, str]] = field(default_factory=list)
    left_out: list[tuple[Path, str]] = field(default_factory=list)
    interrupted: bool = False

    def joined(self) -> QTable:
        """One table of all."""
        return concatenate(self.tables)


def find_files(paths: Iterable[str | os.PathLike]) -> list[Path]:
    """Files as they were named, and those in folders that look like spectra, each of them once.

    Raises
    ------
    FileNotFoundError
        Where a folder holds none.
    """
    found: dict[Path, Path] = {}
    for path in map(Path, paths):
        inside = [path]
        if path.is_dir():
            inside = sorted(
                one
                for one in path.rglob("*")
                if one.name.lower().endswith(_ENDINGS)
                and one.is_file()
                and not one.name.startswith(".")
            )
            if not inside:
                raise FileNotFoundError(
                    f"{path}: no file in this folder ends in {', '.join(_ENDINGS)}; name the files"
                )
        for one in inside:
            found.setdefault(one.resolve(), one)
    return one_of_a_star(found.values())  # any camera of a GALAH star brings the others


def encode_files(
    files: Sequence[Path],
    *,
    model: Any = None,
    medium: str | None = None,
    format: str | None = None,
    keep: Sequence[str] = (),
    errors: str = "row",
    precision: str | None = None,
    progress: bool | None = None,
    curve_model: Any = None,
) -> EncodedFiles:
    """Encode files, those of one kind some hundred at a time; a bad one costs only itself.

    Parameters
    ----------
    files : sequence of `pathlib.Path`
    model, medium, keep, errors, precision, progress : as for `spectok.encode`
        What they are there.
    format : str, optional
        Of specutils, for files that are not recognised.
    curve_model : `~spectok.SpectralTokenizer`, str or path, optional
        What encodes the files that hold light curves; by default the one for these.

    Returns
    -------
    encoded : `EncodedFiles`
        Also after Ctrl-C: of all that had been read by then.
    """
    out = EncodedFiles()
    many = len(files) > 1
    bar = progress_bar(
        "files", over=files, unit="file", progress=progress if many else False, patient=False
    )

    def encode(contents: Sequence[Content]) -> QTable:
        return encode_run(
            contents,
            model=curve_model if contents[0].of_curves else model,
            medium=medium,
            keep=keep,
            errors=errors,
            precision=precision,
            progress=False if many else progress,
        )

    first: list[QTable] = []
    done: list[tuple[Sequence[Content], EncodedFiles]] = []

    def add(contents: Sequence[Content]) -> None:
        made = EncodedFiles()
        for part, table in in_halves(contents, encode):
            if isinstance(table, Exception):
                made.failed += [(one.path, _said(table)) for one in part]
            else:
                _add_usable(made, part, table, (first + made.tables)[:1])
        done.append((contents, made))

    waiting: Sequence[Content] = []
    try:
        for waiting in runs(_read(bar, out, medium, format)):
            add(waiting)
            first = first or done[-1][1].tables[:1]
    except KeyboardInterrupt:
        out.interrupted = True
        if waiting and (not done or done[-1][0] is not waiting):
            with suppress(KeyboardInterrupt):  # whoever insists has what was done before
                add(waiting)
    for _, made in done:
        out.tables += made.tables
        out.encoded += made.encoded
        out.failed += made.failed
    place = {path: number for number, path in enumerate(files)}
    out.failed.sort(key=lambda one: place[one[0]])
    return out


def _read(
    files: Iterable[Path], out: EncodedFiles, medium: str | None, format: str | None
) -> Iterator[Content]:
    """What is in the files, each spectrum once; what need not or cannot be read is noted."""
    seen: dict[bytes, Path] = {}
    for file in files:
        try:
            content = read_content(file, medium=medium, format=format, curves=True)
            if not content.of_curves:
                before = seen.setdefault(_fingerprint(content.spectra), file)
                if before != file:
                    out.left_out.append((file, f"the same spectra as {before}"))
                    continue
        except NoSpectrumError as error:
            out.left_out.append((file, str(error)))
            continue
        except Exception as error:  # one bad file must not cost the others
            out.failed.append((file, _said(error)))
            continue
        yield content


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _add_usable(
    out: EncodedFiles, contents: Sequence[Content], table: QTable, first: Sequence[QTable]
) -> None:
    """Add a table of files; those of which no spectrum could be used, and misfits, have failed."""
    misfit = _misfit(table, first[0]) if first else None
    if misfit is not None:
        out.failed += [(one.path, f"ValueError: {misfit}") for one in contents]
        return
    starts = starts_of(table)
    # Light curves of a table are as many as it has, and alone.
    counts = [len(one.names) for one in contents] if len(contents) > 1 else [len(starts)]
    owner = np.repeat(np.arange(len(contents)), counts)
    refused = (np.asarray(table["flags"])[starts] & TokenFlag.REFUSED) > 0
    dead = np.bincount(owner, refused, len(contents)) == counts
    reasons = reasons_of(table)
    for number, one in enumerate(contents):
        if dead[number]:
            why = reasons.get(int(np.argmax(owner == number)), "no spectrum of it can be used")
            out.failed.append((one.path, f"ValueError: {why}"))
        else:
            out.encoded.append(one.path)
    if dead.any():
        table = _without(table, dead[owner], reasons)
    if len(table):
        out.tables.append(table)


def _misfit(table: QTable, first: QTable) -> str | None:
    """Why a table does not go with the first one, if it does not."""
    if table.meta["SHA256"] != first.meta["SHA256"]:
        return (
            f"it was encoded by {table.meta['MODEL']!r}, the first file by "
            f"{first.meta['MODEL']!r}: light curves and spectra need tables of their own"
        )
    unit = u.Quantity(table["scale"]).unit
    if not unit.is_equivalent(u.Quantity(first["scale"]).unit):
        return (
            f"its flux unit {unit} does not convert to that of the first file, "
            f"{first['scale'].unit}; encode it into a table of its own"
        )
    return None


def _without(table: QTable, drop: np.ndarray, reasons: dict[int, str]) -> QTable:
    """A token table without some of its spectra, numbered again."""
    index = np.asarray(table["spectrum_index"])
    number = np.cumsum(~drop) - 1
    left = table[~drop[index]]
    left["spectrum_index"] = number[index[~drop[index]]]
    left.meta.pop("REFUSED", None)
    kept = {int(number[k]): reason for k, reason in reasons.items() if not drop[k]}
    if kept:
        left.meta["REFUSED"] = reasons_to_text(kept)
    return left


def _fingerprint(spectra: Iterable[Any]) -> bytes:
    """Of spectra: the same object may stand in several files, as GALAH's do."""
    found = hashlib.blake2b(digest_size=16)
    for one in spectra:
        for values in (one.spectral_axis.value, one.flux.value):
            found.update(np.ascontiguousarray(values).data)
    return found.digest()
