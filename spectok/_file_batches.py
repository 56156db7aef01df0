"""Spectrum files, read one after the other, whose spectra are encoded some at a time."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from astropy.table import QTable

from spectok import surveys
from spectok._codec import encode
from spectok._convert import are_arms, count_of, curve_name, names_of
from spectok._curve_files import read_curves
from spectok._table_files import first_table, is_token_table
from spectok.surveys._fits import stem_of

__all__ = [
    "Content", "NoSpectrumError", "encode_run", "in_halves", "read_content", "runs", "starts_of",
]  # fmt: skip

# What is in memory before it is encoded: enough spectra for full batches.
_SPECTRA, _PIXELS = 256, 1 << 21

Given = TypeVar("Given")
Made = TypeVar("Made")


class NoSpectrumError(ValueError):
    """A file is something else, on purpose."""


@dataclass(frozen=True, eq=False)
class Content:
    """What was read from a file, or one object of it.

    Attributes
    ----------
    path : `pathlib.Path`
    spectra : list
        Spectra, the arms of objects, or one table of light curves.
    names : list of int or str
        One for each spectrum; none for tables of several light curves, which have their own.
    arms : bool
    reason : str
        Why the file cannot be read; there is no spectrum then.
    """

    path: Path
    spectra: list[Any]
    names: list[Any]
    arms: bool = False
    reason: str = ""

    @property
    def of_curves(self) -> bool:
        return any(not hasattr(one, "spectral_axis") for one in self.spectra)

    @property
    def kind(self) -> Hashable:
        """What must agree where several are encoded in one call."""
        if not self.spectra or not self.names:
            return id(self)  # alone
        if self.of_curves:
            (table,) = self.spectra
            time = getattr(table, "time", None)
            clock = (getattr(time, "scale", None), getattr(time, "format", None))
            return (*clock, *((name, str(table[name].info.unit)) for name in table.colnames))
        units = {str(one.flux.unit) for one in self.spectra}
        return (self.arms, *units) if len(units) == 1 else id(self)

    @property
    def n_pixels(self) -> int:
        return sum(len(one) if self.of_curves else one.flux.size for one in self.spectra)

    def objects(self) -> list[Content]:
        """One for each object, or set of objects."""
        if self.arms or len(self.spectra) < 2:
            return [self]
        found, first = [], 0
        for one in self.spectra:
            names = self.names[first : first + count_of(one)]
            found.append(Content(self.path, [one], names))
            first += len(names)
        return found


def read_content(
    path: Path, *, medium: str | None = None, format: str | None = None, curves: bool = False
) -> Content:
    """Read a file: its spectra, each with a name.

    Parameters
    ----------
    path : `pathlib.Path`
    medium, format : as for `spectok.surveys.read`
        What they are there.
    curves : bool
        Read light curves as well.

    Raises
    ------
    NoSpectrumError
        For a token table.
    ValueError
        Where there is no spectrum in it.
    Exception
        What `spectok.surveys.read` raises.
    """
    first = first_table(path)
    if is_token_table(path, first):
        raise NoSpectrumError("it is a token table, and no spectrum")
    stem = stem_of(path)
    table = read_curves(path, first) if curves and format is None else None
    if table is not None:
        name = curve_name(table)
        return Content(path, [table], [] if name is None else [name or stem])
    spectra = list(surveys.read(path, format=format, medium=medium))
    if not spectra:
        raise ValueError("it holds no spectrum")
    arms = are_arms(spectra)
    parts = [spectra] if arms else [[one] for one in spectra]
    counts = [count_of(part[0]) for part in parts]
    names: list[Any] = []
    for part, count in zip(parts, counts, strict=True):
        own = _own_names(part)
        if own is not None and len(own) in (1, count):
            names += own if len(own) == count else own * count
        elif sum(counts) == 1:
            names.append(stem)
        else:  # positions in a file say little among many files
            names += [f"{stem}:{len(names) + k}" for k in range(count)]
    return Content(path, spectra, names, arms)


def _own_names(members: Sequence[Any]) -> list[Any] | None:
    for one in members:
        try:
            names = names_of(one.meta)
        except Exception:  # what cannot be read need not know its name
            continue
        if names is not None:
            return names
    return None


def runs(contents: Iterable[Content]) -> Iterator[list[Content]]:
    """Neighbours of one kind, as many as are encoded at once.

    What was read before Ctrl-C is given before that is raised.
    """
    some: list[Content] = []
    spectra = pixels = 0
    try:
        for one in contents:
            full = spectra >= _SPECTRA or pixels >= _PIXELS
            if some and (full or one.kind != some[0].kind):
                yield some
                some, spectra, pixels = [], 0, 0
            some.append(one)
            spectra += len(one.names)
            pixels += one.n_pixels
    except KeyboardInterrupt:
        if some:
            yield some
        raise
    if some:
        yield some


def encode_run(contents: Sequence[Content], *, medium: str | None, **options: Any) -> QTable:
    """One token table of what is of one kind, with `spectok.encode`."""
    first = contents[0]
    if first.reason:
        raise ValueError(first.reason)
    if first.of_curves:
        given = [one.spectra[0] for one in contents]
    else:
        options |= {"arms": first.arms, "medium": medium}
        given = [one.spectra for one in contents]
        if not first.arms:
            given = [spectrum for spectra in given for spectrum in spectra]
    names = [name for one in contents for name in one.names]
    return encode(given, object_id=names or None, **options)


def in_halves(
    given: Sequence[Given], work: Callable[[Sequence[Given]], Made]
) -> Iterator[tuple[Sequence[Given], Made | Exception]]:
    """Work on all at once; where that fails, on halves, down to the one that is to blame.

    Yields
    ------
    part : sequence
        Some of what was given, in its order.
    made : object or Exception
        What was made of it, or why of this one nothing could be.
    """
    try:
        made: Made | Exception = work(given)
    except Exception as error:
        made = error
    if not isinstance(made, Exception) or len(given) == 1:
        yield given, made
        return
    half = len(given) // 2
    yield from in_halves(given[:half], work)
    yield from in_halves(given[half:], work)


def starts_of(tokens: QTable) -> np.ndarray:
    """First row of each spectrum of a token table as `spectok.encode` makes it."""
    index = np.asarray(tokens["spectrum_index"])
    return np.flatnonzero(np.r_[True, index[1:] != index[:-1]])
