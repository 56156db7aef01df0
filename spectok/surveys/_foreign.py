"""Reader of files of other surveys: contents told by names, or a refusal with its reason."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from astropy import units as u
from specutils import Spectrum, SpectrumCollection, SpectrumList

from spectok._convert import AIR_STARTS, header_medium, mapping_of, wcs_medium

from ._axis import check_plausible, warn
from ._columns import flux_unit, read_columns, refuse_own
from ._fits import stem_of
from ._images import read_images
from ._iraf import is_multispec
from ._lamost import is_lamost, read_lamost
from ._roles import find_roles, split_name
from ._table import FitsTable, is_table

__all__ = ["gate", "needs_a_loader", "read_foreign", "read_with_specutils"]

# Their wavelengths are in vacuum, whatever the header does not say.
_SPACE = ("HST", "JWST", "FUSE", "IUE", "GALEX", "SPITZER", "HERSCHEL", "ROMAN", "EUCLID", "GAIA",
          "CHANDRA", "XMM", "NUSTAR", "AKARI", "ISO")  # fmt: skip
# Loaders of specutils for one instrument each, whose files need more than names; the generic
# ones guess (any column in the flux's unit is an error to them) and are never asked.
_LOADERS = (
    "6dFGS-split", "6dFGS-combined", "6dFGS-tabular", "2SLAQ-LRG", "2dFGRS",
    "Data Central AAOmega", "Data Central Multiline-Single", "Data Central Single-Split", "GAMA",
    "GAMA-2QZ", "GAMA-2SLAQ-QSO", "GAMA-2dFGRS", "GAMA-LT", "GAMA-MGC", "GAMA-WiggleZ", "OzDES",
    "SAMI-1d-spec", "SAMI-cube", "WiggleZ", "Subaru-pfsObject",
)  # fmt: skip


def read_foreign(hdus: Any, where: str) -> list[Spectrum]:
    """Make spectra of open HDUs that no survey recognises.

    Raises
    ------
    ValueError
        If nothing in it is a spectrum, with the reason.
    """
    if is_lamost(hdus):
        return read_lamost(hdus, stem_of(where))
    if not len(hdus):
        raise ValueError(f"{where}: it is closed or empty: nothing can be read from it")
    every = [hdu for hdu in hdus if is_table(hdu)]
    tables = [hdu for hdu in every if FitsTable(hdu).n_rows]
    for hdu in tables:
        refuse_own(FitsTable(hdu).names, where)
    readable = [hdu for hdu in tables if _has_spectra(hdu)]
    if readable:
        return [
            spectrum
            for hdu in readable
            for spectrum in _from_table(
                hdu, hdus, where if len(readable) == 1 else f"{where}[{hdu.name}]"
            )
        ]
    if any(hdu.is_image and hdu.shape for hdu in hdus):
        return read_images(hdus, where)
    if tables:
        return _from_table(tables[0], hdus, where)  # says which columns it lacks
    if every:
        raise ValueError(f"{where}: its table has no row; it is no spectrum")
    raise ValueError(f"{where}: it holds no table and no image with data; it is no spectrum")


def _has_spectra(hdu: Any) -> bool:
    roles = find_roles(split_name(name)[0] for name in FitsTable(hdu).names)
    return roles.wave is not None and roles.flux is not None


def needs_a_loader(hdus: Any) -> bool:
    """Tell whether a file may need a loader for one instrument: images without names or labels."""
    if any(is_table(hdu) and _has_spectra(hdu) for hdu in hdus):
        return False
    if is_multispec(hdus[0].header):
        return False
    shapes = [hdu.shape for hdu in hdus if hdu.is_image and hdu.shape]
    return any(len(shape) == 2 for shape in shapes) or (
        len(shapes) > 1 and all(len(shape) == 1 for shape in shapes)
    )


def _from_table(hdu: Any, hdus: Any, where: str) -> list[Spectrum]:
    table = FitsTable(hdu)
    header = hdu.header.copy()
    for key, value in hdus[0].header.items():
        if key and key not in header and key not in ("COMMENT", "HISTORY"):
            header[key] = value
    return read_columns(_Lazy(table), table.units, header, where)


class _Lazy(dict):
    """Columns of a table by name, decoded when asked for."""

    def __init__(self, table: FitsTable) -> None:
        super().__init__(dict.fromkeys(table.names))
        self._table = table

    def __getitem__(self, name: str) -> np.ndarray:
        values = self._table[name]
        null = self._table.nulls.get(name)
        if null is None or values.dtype.kind not in "iu":
            return values
        missing = values == null
        # Identifiers of 64 bits keep their digits: float64 has 53.
        if not missing.any() or np.abs(values[~missing].astype(float)).max(initial=0) > 2**53:
            return values
        return np.where(missing, np.nan, values)


def read_with_specutils(path: Any, format: str | None = None) -> list[Spectrum] | None:
    """Read a file with a loader of specutils: the one named, or the one that recognises it.

    Returns
    -------
    spectra : list, or None
        None if no format is given and no loader for one instrument recognises the file.
    """
    from astropy.io import registry
    from specutils.io.registers import io_registry

    classes = (SpectrumList, Spectrum, SpectrumCollection)
    readers = {kind: {str(f) for f in io_registry.get_formats(kind, "Read")["Format"]}
               for kind in classes}  # fmt: skip
    if format is not None:
        kinds = [kind for kind in classes if format in readers[kind]]
        if not kinds:
            every = sorted(set().union(*readers.values()))
            raise ValueError(
                f"no loader of specutils is named {format!r}; it has {', '.join(every)}"
            )
        return _unpack(kinds[0].read(path, format=format))
    for kind in classes:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            names = io_registry.identify_format("read", kind, str(path), None, [str(path)], {})
        names = [name for name in names if name in _LOADERS]
        if names:
            try:
                return _unpack(kind.read(path, format=names[0]))
            except registry.IORegistryError:
                continue
    return None


def _unpack(found: Any) -> list[Spectrum]:
    if isinstance(found, Spectrum):
        return [found]
    if isinstance(found, SpectrumCollection):
        return [found[i] for i in range(len(found))]
    return [one for part in found for one in _unpack(part)]


def gate(
    spectra: Sequence[Spectrum], source: Any, where: str, medium: str | None, header: Any = None
) -> SpectrumList:
    """Ask of spectra of any reader what a user would: names, medium, plausible wavelengths.

    Raises
    ------
    ValueError
        If there is none, or an axis is of pixels.
    """
    if not spectra:
        raise ValueError(f"{where}: it holds no spectrum")
    name, unstated = stem_of(source), []
    for number, spectrum in enumerate(spectra):
        axis = spectrum.spectral_axis
        if axis.unit == u.dimensionless_unscaled or axis.unit.is_equivalent(u.pix):
            raise ValueError(
                f"{where}: its spectral axis is in {str(axis.unit) or 'no unit'}: pixel numbers, "
                "no wavelengths; calibrate it first"
            )
        check_plausible(axis, where)
        meta = spectrum.meta
        meta.setdefault("object_id", name)
        if len(spectra) > 1 and "arm" not in meta and meta["object_id"] == name:
            meta["object_id"] = f"{name}:{number}"
        told = meta.get("medium") or header_medium(mapping_of(meta.get("header")))
        told = told or header_medium(header) or wcs_medium(getattr(spectrum, "wcs", None))
        if medium is not None:
            told = medium
        if told is None and _may_be_air(axis, meta.get("header") if header is None else header):
            unstated.append(number)
        meta["medium"] = told or "vacuum"
    if unstated:
        warn(
            f"{where}: the file does not say whether its wavelengths are in air or in vacuum "
            "(83 km/s apart); they are taken as vacuum: pass medium= if you know it"
        )
    return SpectrumList([_with_unit(spectrum, where) for spectrum in spectra])


def _with_unit(spectrum: Spectrum, where: str) -> Spectrum:
    """The spectrum, with a flux unit that astropy took for something else as its text means it."""
    unit = spectrum.flux.unit
    if u.A not in getattr(unit, "bases", ()) and not isinstance(unit, u.UnrecognizedUnit):
        return spectrum
    uncertainty = spectrum.uncertainty
    if uncertainty is not None:
        uncertainty = type(uncertainty)(uncertainty.array)
    return Spectrum(
        flux=spectrum.flux.value * flux_unit(unit.to_string(), where),
        spectral_axis=spectrum.spectral_axis,
        uncertainty=uncertainty,
        mask=spectrum.mask,
        meta=spectrum.meta,
    )


def _may_be_air(axis: Any, header: Any) -> bool:
    telescope = str(mapping_of(header).get("TELESCOP", "")).upper()
    if telescope.startswith(_SPACE):
        return False
    if not axis.unit.is_equivalent(u.AA):  # frequencies and energies are of vacuum
        return False
    return bool(np.nanmax(axis.to_value(u.AA)) > AIR_STARTS)
