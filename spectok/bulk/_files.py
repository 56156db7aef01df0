"""Spectrum files to the columns of the output: several files at once, a bad one alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from astropy import units as u
from astropy.table import QTable

from spectok import surveys
from spectok._codec import encode
from spectok._convert import are_arms, count_of
from spectok._table_files import is_token_table
from spectok.bulk._columns import to_table
from spectok.bulk._options import DEFAULT_KEEP, Options
from spectok.bulk._rows import encode_some, quiet, reason_of
from spectok.bulk._worker import network_of
from spectok.surveys._fits import stem_of

__all__ = ["encode_files_in_chunks"]

_SPECTRA = 256  # that are encoded at once


class _Object:
    """What one row of the output, or several, are made of: a spectrum, or the arms of objects.

    Attributes
    ----------
    spectra : list
        One spectrum, or the arms.
    names : list of str
        One for each spectrum.
    reason : str
        Why the file cannot be read; it is one row then.
    """

    def __init__(
        self, spectra: list[Any], names: list[str], *, arms: bool = False, reason: str = ""
    ) -> None:
        self.spectra, self.names, self.arms, self.reason = spectra, names, arms, reason

    @property
    def kind(self) -> tuple[Any, ...]:
        """What must agree in one call: arms or not, and the kind of the flux."""
        if self.reason:
            return (self,)  # alone
        return self.arms, str(getattr(self.spectra[0].flux.unit, "physical_type", ""))


def encode_files_in_chunks(files: Sequence[Path], options: Options) -> Iterator[pa.Table]:
    """Parts of the output, some files at a time: one row for each spectrum of each file.

    A file that cannot be read is one row, whose status says why.
    """
    network = network_of(options)
    asked = DEFAULT_KEEP if options.keep is None else options.keep
    keep = [name for name in asked if name != "object_id"]
    some: list[_Object] = []
    for file in files:
        some += _read(file, options)
        if sum(len(one.names) for one in some) >= _SPECTRA:
            yield _encoded(some, keep, network, options)
            some = []
    if some:
        yield _encoded(some, keep, network, options)


def _read(file: Path, options: Options) -> list[_Object]:
    """The objects of a file, with a name for each of its spectra."""
    stem = stem_of(file)
    try:
        if is_token_table(file):
            raise ValueError("it is a token table, and no spectrum")
        with quiet():
            spectra = list(surveys.read(file, medium=options.medium))
        arms = are_arms(spectra)
        found: list[_Object] = []
        for part in [spectra] if arms else [[one] for one in spectra]:
            count = count_of(part[0])
            own = (part[0].meta or {}).get("object_id")
            names = [own] if isinstance(own, (str, int, np.integer)) else list(own or [])
            if len(names) != count:
                first = sum(len(one.names) for one in found)
                several = count > 1 or len(spectra) > 1 and not arms
                names = [f"{stem}:{first + k}" if several else stem for k in range(count)]
            found.append(_Object(part, [str(name) for name in names], arms=arms))
        return found
    except Exception as error:  # one bad file must not cost the others
        if options.errors == "raise":
            raise
        return [_Object([], [stem], reason=f"{file.name}: {reason_of(error)}")]


def _encoded(
    some: Sequence[_Object], keep: Sequence[str], network: Any, options: Options
) -> pa.Table:
    """One table of all, in their order; neighbours of one kind are encoded in one call."""
    groups: list[list[_Object]] = []
    for one in some:
        if groups and groups[-1][0].kind == one.kind:
            groups[-1].append(one)
        else:
            groups.append([one])
    return pa.concat_tables(
        [_of_group(group, keep, network, options) for group in groups], promote_options="default"
    )


def _of_group(
    group: Sequence[_Object], keep: Sequence[str], network: Any, options: Options
) -> pa.Table:
    # Of each object: its names, and what is kept of it, once it has been encoded.
    rows: dict[int, tuple[list[str], dict[str, list[Any]]]] = {}
    place = {id(one): number for number, one in enumerate(group)}

    def tokens_of(objects: Sequence[_Object]) -> QTable:
        first = objects[0]
        if first.reason:
            raise ValueError(first.reason)
        tokens = encode(
            [one.spectra if one.arms else one.spectra[0] for one in objects],
            model=network, medium=options.medium, arms=first.arms, keep=keep, errors="row",
            object_id=[name for one in objects for name in one.names], device=options.device,
            batch_size=options.batch_size, precision=options.precision, progress=False,
        )  # fmt: skip
        index = np.asarray(tokens["spectrum_index"])
        begins = np.flatnonzero(np.r_[True, index[1:] != index[:-1]])
        columns = {
            name: _values(tokens[name][begins])
            if name in tokens.colnames
            else [None] * len(begins)
            for name in keep
        }
        at = 0
        for one in objects:
            part = slice(at, at + len(one.names))
            rows[place[id(one)]] = one.names, {n: c[part] for n, c in columns.items()}
            at = part.stop
        return tokens

    with quiet():
        encoded = encode_some(group, tokens_of, network, options)
    names: list[str] = []
    kept: dict[str, list[Any]] = {name: [] for name in keep}
    for number, one in enumerate(group):
        # What failed as a whole is one row, whatever it held.
        own, columns = rows.get(number, (one.names[:1], {name: [None] for name in keep}))
        names += own
        for name in keep:
            kept[name] += columns[name]
    out: dict[str, Any] = {"object_id": pa.array(names, pa.string())}
    return to_table(
        out | {name: _column(values) for name, values in kept.items()}, encoded, network, options
    )


def _values(column: Any) -> list[Any]:
    """A column of a token table as plain values; degrees where it has a unit of angles."""
    if isinstance(column, u.Quantity):
        column = column.to_value(u.deg) if column.unit.is_equivalent(u.deg) else column.value
    return np.asarray(column).tolist()


def _column(values: Sequence[Any]) -> pa.Array:
    """Numbers as float64, all else as text: files differ, and the columns must not."""
    numbers = [
        None if value is None else float(value)
        for value in values
        if value is None or isinstance(value, (int, float)) and not isinstance(value, bool)
    ]
    if len(numbers) == len(values):
        return pa.array(numbers, pa.float64())
    return pa.array([None if value is None else str(value) for value in values], pa.string())
