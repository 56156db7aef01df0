"""Spectrum objects of any shape, collections, lists and arms to rows of numbers."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from astropy.utils.exceptions import AstropyUserWarning

from spectok._convert._flux import FluxUnit, sigma_from_uncertainty
from spectok._convert._masks import own_mask
from spectok._convert._medium import header_medium, wcs_medium
from spectok._convert._names import mapping_of, names_of
from spectok._convert._rows import Rows, join_arms, make_rows, plain_numbers
from spectok._convert._units import check_flux_unit
from spectok._convert._wavelength import check_medium

__all__ = ["are_arms", "convert_spectra"]


def convert_spectra(
    spectra: Any, *, medium: str | None = None, arms: bool = False, named: bool = True
) -> tuple[list[Rows], FluxUnit]:
    """Spectra of any kind to rows of numbers in one unit.

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

    Returns
    -------
    rows : list of `Rows`
    flux_unit : `FluxUnit`

    Raises
    ------
    TypeError
        For anything that is not a spectrum.
    ValueError
        As `make_rows`, `FluxUnit` and `join_arms`.
    """
    reader = _Reader(medium, named)
    if _is_spectrum(spectra) or _is_collection(spectra):
        if arms:
            raise ValueError("arms=True wants a list of spectra, one for each arm, not one")
        rows = list(reader.read(spectra, "spectrum 0"))
    elif isinstance(spectra, (str, bytes, np.ndarray)) or not isinstance(spectra, Iterable):
        raise TypeError(
            f"expected a specutils Spectrum, a SpectrumCollection, a SpectrumList or an iterable "
            f"of spectra, got {type(spectra).__name__}; plain arrays go to spectok.encode_arrays"
            + (" and files to spectok.surveys.read" if isinstance(spectra, (str, bytes)) else "")
        )
    else:
        members = list(spectra)
        if arms and members and all(isinstance(member, (list, tuple)) for member in members):
            rows = [
                reader.read_arms(member, f"object {number}")
                for number, member in enumerate(members)
            ]
        elif arms and members:
            objects = _objects(members)
            rows = [
                reader.read_arms(
                    part, "the list of arms" if len(objects) == 1 else f"object {number}"
                )
                for number, part in enumerate(objects)
            ]
        else:
            _warn_of_arms(members)
            rows = [
                part
                for number, member in enumerate(members)
                for part in reader.read(member, f"spectrum {number}")
            ]
    if not rows:
        raise ValueError("there is no spectrum to encode: the input is empty")
    return rows, reader.flux_unit


def are_arms(members: Sequence[Any]) -> bool:
    """Whether spectra are arms of the same objects, as a reader marked them."""
    metas = [mapping_of(getattr(member, "meta", None)) for member in members]
    return len(metas) > 1 and all("arm" in meta for meta in metas)


def _objects(members: Sequence[Any]) -> list[list[Any]]:
    """A flat list of arms, object by object, where it names both (files of many stars).

    A new object begins with an arm that the last one has already, under another name.
    """
    objects: list[list[Any]] = [[]]
    last, seen = None, set()
    for member in members:
        meta = mapping_of(getattr(member, "meta", None))
        name, arm = names_of(meta), str(meta.get("arm"))
        if objects[-1] and name is not None and name != last and arm in seen:
            objects.append([])
            seen = set()
        objects[-1].append(member)
        seen.add(arm)
        last = name
    return objects


def _warn_of_arms(members: Sequence[Any]) -> None:
    """Arms that a reader marked as such, encoded apart, are most often a slip."""
    if not are_arms(members):
        return
    metas = [mapping_of(member.meta) for member in members]
    if all(names_of(meta) == names_of(metas[0]) for meta in metas):
        warnings.warn(
            f"these {len(metas)} spectra look like arms of the same objects; with arms=True they "
            "become one token sequence per object",
            AstropyUserWarning,
            stacklevel=4,
        )


class _Reader:
    """Reads one spectrum after the other; the first one fixes the flux unit."""

    def __init__(self, medium: str | None, named: bool) -> None:
        self.medium = medium if medium is None else check_medium(medium, "medium")
        self.named = named
        self.flux_unit: FluxUnit | None = None

    def read(self, spectrum: Any, where: str) -> Iterator[Rows]:
        """Rows of one object, one set of rows for each spectral axis that it has."""
        if _is_collection(spectrum):
            yield from self._collection(spectrum, where)
            return
        if not _is_spectrum(spectrum):
            hint = "; did you mean arms=True?" if isinstance(spectrum, (list, tuple)) else ""
            if hasattr(spectrum, "header"):
                hint = "; spectok.surveys.read makes spectra of an open HDUList"
            raise TypeError(
                f"{where}: expected a specutils Spectrum, got {type(spectrum).__name__}{hint}"
            )
        place = getattr(spectrum, "spectral_axis_index", None)
        place = -1 if place is None else place
        flux = spectrum.flux
        yield self._rows(
            spectrum, spectrum.spectral_axis, flux, spectrum.uncertainty, spectrum.mask, place,
            names_of(spectrum.meta) if self.named else None, where,
        )  # fmt: skip

    def read_arms(self, members: Sequence[Any], where: str) -> Rows:
        """Arms of the same objects as one set of rows."""
        parts = []
        for number, member in enumerate(members):
            name = f"{where}, arm {number}"
            if not _is_spectrum(member):
                raise TypeError(
                    f"{name}: an arm must be a specutils Spectrum, not {type(member).__name__}"
                )
            parts += self.read(member, name)
        if not parts:
            raise ValueError(f"{where}: there is no arm")
        return join_arms(parts, where)

    def _collection(self, collection: Any, where: str) -> Iterator[Rows]:
        axis = collection.spectral_axis
        n_pixels = axis.shape[-1]
        uncertainty, mask = collection.uncertainty, collection.mask
        names = names_of(collection.meta) if self.named else None
        for number, row in enumerate(np.ndindex(axis.shape[:-1])):
            part = uncertainty
            if uncertainty is not None:
                part = type(uncertainty)(uncertainty.array[row], unit=uncertainty.unit)
            yield self._rows(
                collection,
                axis[row].reshape(n_pixels),
                collection.flux[row],
                part,
                None if mask is None else np.asarray(mask)[row],
                -1,
                None if names is None or number >= len(names) else [names[number]],
                f"{where}, row {number}",
            )

    def _rows(
        self, spectrum: Any, axis: Any, flux: Any, uncertainty: Any, mask: Any, place: int,
        names: list[str] | None, where: str,
    ) -> Rows:  # fmt: skip
        unit = check_flux_unit(flux.unit, where)
        if not flux.size:
            raise ValueError(
                f"{where}: there is no spectrum to encode: its flux has the shape {flux.shape}"
            )
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
        return make_rows(
            axis,
            values,
            sigma,
            None if mask is None else flat(np.broadcast_to(mask, flux.shape)),
            flux_unit=self.flux_unit,
            unit=unit,
            sigma_unit=sigma_unit,
            medium=medium,
            object_id=names,
            where=where,
        )


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
