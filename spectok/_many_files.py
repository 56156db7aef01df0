"""Many spectrum files into one token table, for the command."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from astropy import units as u
from astropy.table import QTable

from spectok import concatenate, encode, refusals, surveys
from spectok._convert import are_arms
from spectok._curve_files import read_curves
from spectok._progress import progress_bar
from spectok._table_files import is_token_table
from spectok.surveys._fits import stem_of
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
        One for each file that was encoded.
    failed, left_out : list of (path, reason)
        Files that could not be encoded, and those that need not be.
    interrupted : bool
        Whether Ctrl-C ended it before its time.
    """

    tables: list[QTable] = field(default_factory=list)
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
    """Encode files one after the other; a bad one costs only itself.

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
        Also after Ctrl-C: what had been encoded by then.
    """
    out = EncodedFiles()
    seen: dict[bytes, Path] = {}
    many = len(files) > 1
    bar = progress_bar(
        "files", over=files, unit="file", progress=progress if many else False, patient=False
    )
    try:
        for file in bar:
            try:
                if is_token_table(file):
                    out.left_out.append((file, "it is a token table, and no spectrum"))
                    continue
                curves = read_curves(file) if format is None else None
                if curves is not None:
                    table = encode(
                        curves, model=curve_model, keep=keep, errors=errors, precision=precision,
                        progress=False if many else progress,
                    )  # fmt: skip
                    out.tables.append(_checked(table, file, out.tables))
                    continue
                spectra = surveys.read(file, format=format, medium=medium)
                content = _content(spectra)
                if content in seen:
                    out.left_out.append((file, f"the same spectra as {seen[content]}"))
                    continue
                table = encode(
                    spectra,
                    model=model,
                    medium=medium,
                    arms=are_arms(spectra),
                    keep=keep,
                    errors=errors,
                    precision=precision,
                    progress=False if many else progress,
                )
                out.tables.append(_checked(table, file, out.tables))
                seen[content] = file
            except Exception as error:  # one bad file must not cost the others
                out.failed.append((file, f"{type(error).__name__}: {error}"))
    except KeyboardInterrupt:
        out.interrupted = True
    return out


def _checked(table: QTable, file: Path, before: Sequence[QTable]) -> QTable:
    """A table that fits those before, with names that say which file it comes from."""
    n_spectra = len(set(table["spectrum_index"]))
    refused = refusals(table)
    if refused["refused"].sum() == n_spectra:
        raise ValueError(refused["reason"][0])
    if before and table.meta["SHA256"] != before[0].meta["SHA256"]:
        raise ValueError(
            f"it was encoded by {table.meta['MODEL']!r}, the first file by "
            f"{before[0].meta['MODEL']!r}: light curves and spectra need tables of their own"
        )
    unit = u.Quantity(table["scale"]).unit
    if before and not unit.is_equivalent(u.Quantity(before[0]["scale"]).unit):
        raise ValueError(
            f"its flux unit {unit} does not convert to that of the first file, "
            f"{before[0]['scale'].unit}; encode it into a table of its own"
        )
    names = np.asarray(table["object_id"])
    if names.dtype.kind == "U" and (names == table["spectrum_index"].astype(str)).all():
        # Positions in a file say little in a table of many: its name joins them.
        stem = stem_of(file)
        table["object_id"] = [stem if n_spectra == 1 else f"{stem}:{i}" for i in names]
    return table


def _content(spectra: Iterable[Any]) -> bytes:
    """A fingerprint of spectra: the same object may stand in several files, as GALAH's do."""
    found = hashlib.blake2b(digest_size=16)
    for one in spectra:
        for values in (one.spectral_axis.value, one.flux.value):
            found.update(np.ascontiguousarray(values).data)
    return found.digest()
