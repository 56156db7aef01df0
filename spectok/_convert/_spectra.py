"""Spectrum objects of any shape, collections, lists and arms to rows of numbers."""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from spectok._convert._arms import ArmsNoted, count_of, objects_of, shape_of
from spectok._convert._flux import FluxUnit, sigma_from_uncertainty
from spectok._convert._keep import kept_values
from spectok._convert._masks import own_mask
from spectok._convert._medium import header_medium, wcs_medium
from spectok._convert._names import mapping_of, names_of
from spectok._convert._refusals import Refusals
from spectok._convert._rows import (
    Rows,
    chunk,
    first_known,
    join_arms,
    make_rows,
    pieces,
    plain_numbers,
)
from spectok._convert._units import check_flux_unit
from spectok._convert._wavelength import NoDataError, check_medium

__all__ = ["convert_spectra", "stream_spectra"]


def convert_spectra(
    spectra: Any, *, medium: str | None = None, arms: bool = False, named: bool = True
) -> tuple[list[Rows], FluxUnit | None]:
    """Spectra of any kind to rows of numbers in one unit, all at once.

    Parameters
    ----------
    spectra, medium, arms, named : as for `stream_spectra`
        What they are there.

    Returns
    -------
    rows : list of `Rows`
    flux_unit : `FluxUnit`

    Raises
    ------
    TypeError, ValueError
        As `stream_spectra`; not one spectrum is refused without an error.
    """
    rows = list(stream_spectra(spectra, medium=medium, arms=arms, named=named, errors="strict"))
    if not rows:
        raise ValueError("there is no spectrum to encode: the input is empty")
    return rows, rows[0].flux_unit


def stream_spectra(
    spectra: Any,
    *,
    medium: str | None = None,
    arms: bool = False,
    named: bool = True,
    keep: Sequence[str] = (),
    errors: str = "raise",
) -> Iterator[Rows]:
    """Spectra of any kind to rows of numbers in one unit, as they are asked for.

    Parameters
    ----------
    spectra : `~specutils.Spectrum`, `~specutils.SpectrumCollection`, or iterable of them
        The first one fixes the flux unit; the others must convert to it.
    medium : str, optional
        Overrides each spectrum's ``meta["medium"]``.
    arms : bool
        The members are arms of the same objects. An iterable of lists: each list is one
        object's (or one set of objects') arms.
    named : bool
        Read the names that spectra have; False where others are given.
    keep : sequence of str
        Keys of ``spectrum.meta``, or of ``meta["label"]``, to keep.
    errors : str
        ``"raise"``: what cannot be used raises; only spectra without data (no pixel, wavelengths
        that are not finite and positive) are refused rows, unless all are. ``"row"``: every
        spectrum that cannot be used is a refused row. ``"strict"``: everything raises.

    Yields
    ------
    rows : `Rows`
        At most some megabytes at a time.

    Raises
    ------
    TypeError
        For anything that is not a spectrum.
    ValueError
        As `make_rows`, `FluxUnit` and `join_arms`.
    """
    reader = _Reader(medium, named, keep, errors)
    if _is_spectrum(spectra) or _is_collection(spectra):
        if arms:
            raise ValueError("arms=True wants a list of spectra, one for each arm, not one")
        reader.shape = shape_of(spectra)
        return reader.all_of([spectra])
    if isinstance(spectra, (str, bytes, np.ndarray)) or not isinstance(spectra, Iterable):
        raise TypeError(
            f"expected a specutils Spectrum, a SpectrumCollection, a SpectrumList or an iterable "
            f"of spectra, got {type(spectra).__name__}; plain arrays go to spectok.encode_arrays"
            + (" and files to spectok.surveys.read" if _is_path(spectra) else "")
            + (", column by column" if hasattr(spectra, "colnames") else "")
        )
    return reader.all_arms_of(spectra) if arms else reader.all_of(spectra)


class _Reader:
    """Reads one spectrum after the other; the first one fixes the flux unit."""

    def __init__(self, medium: str | None, named: bool, keep: Sequence[str], errors: str) -> None:
        self.medium = medium if medium is None else check_medium(medium, "medium")
        self.named = named
        self.keep = keep
        self.refusals = Refusals(errors)
        self.flux_unit: FluxUnit | None = None
        self.shape: tuple[int, ...] | None = None

    def all_of(self, members: Iterable[Any]) -> Iterator[Rows]:
        """Rows of spectra and sets of them, one after the other."""
        arms = ArmsNoted()
        for number, member in enumerate(members):
            arms.note(member)
            yield from self.read(member, f"spectrum {number}")
        arms.warn()
        self.refusals.check()

    def all_arms_of(self, members: Iterable[Any]) -> Iterator[Rows]:
        """Rows of objects that come in arms: all members of one, or a list for each object."""
        members = iter(members)
        first = list(itertools.islice(members, 1))
        if first and isinstance(first[0], (list, tuple)):
            for number, arms in enumerate(itertools.chain(first, members)):
                yield from self.read_arms(arms, f"object {number}")
        elif first:
            objects = objects_of([*first, *members])
            for number, arms in enumerate(objects):
                alone = len(objects) == 1
                yield from self.read_arms(
                    arms, "the list of arms" if alone else f"object {number}"
                )
        self.refusals.check()

    def read(self, spectrum: Any, where: str) -> Iterator[Rows]:
        """Rows of one object, one set of rows for each spectral axis that it has."""
        if _is_collection(spectrum):
            every = int(np.prod(spectrum.spectral_axis.shape[:-1]))
            for number, row in enumerate(np.ndindex(spectrum.spectral_axis.shape[:-1])):
                name = f"{where}, row {number}"
                make = functools.partial(self._row_of, spectrum, number, row, name)
                yield from self._guarded(make, [spectrum], every, name, slice(number, number + 1))
            return
        make = functools.partial(self._plain, spectrum, where)
        yield from self._guarded(make, [spectrum], count_of(spectrum), where)

    def read_arms(self, members: Any, where: str) -> Iterator[Rows]:
        """Arms of the same objects as one set of rows."""
        listed = isinstance(members, (list, tuple))
        count = count_of(members[0]) if listed and len(members) else 1
        make = functools.partial(self._joined, members, where)
        yield from self._guarded(make, members if listed else [], count, where)

    def _guarded(
        self,
        make: Callable[[], Iterable[Rows]],
        members: Sequence[Any],
        count: int,
        where: str,
        part_of: slice = slice(None),
    ) -> Iterator[Rows]:
        """What ``make`` yields of some of ``count`` spectra, or refused rows in its place."""
        before = self.flux_unit
        done = 0
        try:
            for part in make():
                self.refusals.usable = True
                done += len(part.flux)
                yield part
        except Exception as error:
            self.flux_unit = before
            self.refusals.note(error)
            left = range(count)[part_of][done:]
            names = self._names_of(members)
            if names is not None and len(names) == count:
                names = [names[k] for k in left]
            refused = Rows.refused(len(left), error, where, names)
            for key, column in self._kept(members, count).items():
                refused.kept[key] = [column[k] for k in left]
            yield refused

    def _names_of(self, members: Sequence[Any]) -> list[Any] | None:
        """Names of what is refused, where it says any."""
        for member in members if self.named else ():
            try:
                names = names_of(getattr(member, "meta", None))
            except Exception:  # what cannot be read need not know its name
                names = None
            if names is not None:
                return names
        return None

    def _kept(self, members: Sequence[Any], count: int) -> dict[str, list[Any]]:
        out = [
            {key: kept_values(getattr(member, "meta", None), key, count) for key in self.keep}
            for member in members
        ]
        return first_known(out) if out else {key: [None] * count for key in self.keep}

    def _joined(self, members: Sequence[Any], where: str) -> Iterator[Rows]:
        if not isinstance(members, (list, tuple)):
            raise TypeError(
                f"{where}: expected the list of its arms, got {type(members).__name__}; give a "
                "list for each object, or the arms of one object"
            )
        parts: list[Rows] = []
        for number, member in enumerate(members):
            name = f"{where}, arm {number}"
            if not _is_spectrum(member):
                raise TypeError(
                    f"{name}: an arm must be a specutils Spectrum, not {type(member).__name__}"
                )
            parts += self._plain(member, name, whole=True)
        if not parts:
            raise ValueError(f"{where}: there is no arm")
        yield join_arms(parts, where)

    def _plain(self, spectrum: Any, where: str, whole: bool = False) -> Iterator[Rows]:
        if not _is_spectrum(spectrum):
            hint = "; did you mean arms=True?" if isinstance(spectrum, (list, tuple)) else ""
            if hasattr(spectrum, "header"):
                hint = "; spectok.surveys.read makes spectra of an open HDUList"
            elif _is_path(spectrum):
                hint = (
                    "; spectok.surveys.read makes spectra of files, and columns of tables go to "
                    "spectok.encode_arrays(wavelength, flux, ivar)"
                )
            elif isinstance(spectrum, np.ndarray):
                hint = "; plain arrays go to spectok.encode_arrays(wavelength, flux, ivar)"
            raise TypeError(
                f"{where}: expected a specutils Spectrum, got {type(spectrum).__name__}{hint}"
            )
        place = getattr(spectrum, "spectral_axis_index", None)
        place = -1 if place is None else place
        flux = spectrum.flux
        yield from self._rows(
            spectrum, spectrum.spectral_axis, flux, spectrum.uncertainty, spectrum.mask, place,
            names_of(spectrum.meta) if self.named else None, where, whole,
        )  # fmt: skip

    def _row_of(
        self, collection: Any, number: int, row: tuple[int, ...], where: str
    ) -> Iterator[Rows]:
        axis = collection.spectral_axis
        uncertainty, mask = collection.uncertainty, collection.mask
        names = names_of(collection.meta) if self.named else None
        part = uncertainty
        if uncertainty is not None:
            part = type(uncertainty)(uncertainty.array[row], unit=uncertainty.unit)
        for rows in self._rows(
            collection,
            axis[row].reshape(axis.shape[-1]),
            collection.flux[row],
            part,
            None if mask is None else np.asarray(mask)[row],
            -1,
            None if names is None or number >= len(names) else [names[number]],
            where,
            True,
        ):
            every = int(np.prod(axis.shape[:-1]))
            kept = self._kept([collection], every)
            yield replace(rows, kept={key: [column[number]] for key, column in kept.items()})

    def _rows(
        self, spectrum: Any, axis: Any, flux: Any, uncertainty: Any, mask: Any, place: int,
        names: list[Any] | None, where: str, whole: bool,
    ) -> Iterator[Rows]:  # fmt: skip
        unit = check_flux_unit(flux.unit, where)
        if not flux.size:
            raise NoDataError(f"{where}: there is no spectrum to encode: its flux has no pixel")
        if self.flux_unit is None:
            self.flux_unit = FluxUnit(unit, where)
        elif unit != self.flux_unit.unit:
            FluxUnit(unit, where)  # refuses magnitudes with their own reason

        def flat(values: Any) -> np.ndarray:
            values = np.moveaxis(np.asarray(values), place, -1)
            return values.reshape(-1, values.shape[-1])

        sigma, sigma_unit = None, unit
        masked = own_mask(flux)
        if masked is not None:
            mask = masked if mask is None else (np.asarray(mask) != 0) | masked
        if uncertainty is not None:
            sigma, sigma_unit = sigma_from_uncertainty(
                uncertainty, FluxUnit(unit, where), flux.shape, where
            )
            sigma = flat(sigma)
        values = flat(plain_numbers(flux))
        if names is not None and len(names) == 1:
            names = names * len(values)  # a cube of one object
        medium = self.medium or _medium_of(spectrum, where)
        if names is not None and len(names) != len(values):
            raise ValueError(
                f"{where}: meta['object_id'] names {len(names)} objects, but there are "
                f"{len(values)} spectra (part of a set keeps the names of the whole); give the "
                "names as object_id=, one for each spectrum"
            )
        kept = self._kept([spectrum], len(values))
        bad = None if mask is None else flat(np.broadcast_to(mask, flux.shape))
        # A cube becomes float64 piece by piece.
        for some in pieces(len(values), len(values) if whole else chunk(values.shape[-1])):
            rows = make_rows(
                axis,
                values[some],
                None if sigma is None else sigma[some],
                None if bad is None else bad[some],
                flux_unit=self.flux_unit,
                unit=unit,
                sigma_unit=sigma_unit,
                medium=medium,
                object_id=None if names is None else names[some],
                where=where,
            )
            kept_here = {key: column[some] for key, column in kept.items()}
            yield replace(rows, kept=kept_here, shape=self.shape)


def _is_path(value: Any) -> bool:
    return isinstance(value, (str, bytes, os.PathLike))


def _is_spectrum(value: Any) -> bool:
    from specutils import Spectrum

    return isinstance(value, Spectrum)


def _medium_of(spectrum: Any, where: str) -> str:
    """What a spectrum says of its wavelengths: its ``meta``, its header, its WCS; else vacuum."""
    meta = mapping_of(getattr(spectrum, "meta", None))
    stated = meta.get("medium")
    if stated is None:
        stated = header_medium(meta.get("header")) or header_medium(meta)
    return check_medium(stated or wcs_medium(getattr(spectrum, "wcs", None)), where)


def _is_collection(value: Any) -> bool:
    from specutils import SpectrumCollection

    return isinstance(value, SpectrumCollection)
