"""Records of a SPARCL client as spectra, known by their shape: the client is not needed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from specutils import Spectrum, SpectrumList

from ._fits import FLUX_UNIT, build, known, native, scalar
from ._missing import broken
from ._spec import BAD_BITS

__all__ = ["from_sparcl"]

_ARRAYS = ("wavelength", "flux", "ivar", "mask")
_LABELS = {
    "class": ("spectype",),
    "subclass": ("subclass", "subtype"),
    "z": ("redshift",),
    "z_err": ("redshift_err",),
    "zwarning": ("redshift_warning",),
}
_INCLUDE = (
    "include=['sparcl_id', 'specid', 'data_release', 'wavelength', 'flux', 'ivar', 'mask', "
    "'model', 'ra', 'dec', 'redshift', 'redshift_err', 'redshift_warning', 'spectype']"
)


def from_sparcl(records: Any) -> SpectrumList:
    """Make spectra of what ``SparclClient.retrieve`` returned.

    SPARCL, the archive of spectra at NOIRLab, holds SDSS, BOSS and DESI, each spectrum on
    one grid (DESI's arms are coadded). Its ``mask`` is that of the survey: for SDSS and BOSS
    the AND mask, of which `spectok.surveys.sdss.BAD_BITS` make a pixel bad; for DESI any bit
    does. A pixel without a positive inverse variance is bad in both.

    Parameters
    ----------
    records : results of ``retrieve``, or iterable of records
        Anything with ``records``, or the records themselves; each gives its fields as
        items or as attributes. ``wavelength``, ``flux``, ``ivar``, ``mask``, shape (L,),
        ``specid`` or ``sparcl_id``, and ``data_release`` must be there.

    Returns
    -------
    spectra : `~specutils.SpectrumList`
        One `~specutils.Spectrum` of shape (L,) per record: flux in 1e-17 erg/s/cm2/A on
        vacuum Angstrom. The ``meta`` has "survey", "medium" (air or vacuum), "frame", "object_id"
        (plate-mjd-fibre of SDSS and TARGETID of DESI, as the readers of their files give
        it), "data_release", "sparcl_id", "specid", "ra", "dec" [deg], "label" (class,
        subclass, z, z_err, zwarning) and "model", as far as they came.

    Raises
    ------
    ValueError
        The message says which record.

        - If there is none.
        - If one lacks fields.
        - If one is of another survey.
        - If one has arrays of different lengths.

    Examples
    --------
    >>> import numpy as np
    >>> from spectok import surveys
    >>> record = {
    ...     "wavelength": np.linspace(3600, 9824, 7781), "flux": np.ones(7781),
    ...     "ivar": np.ones(7781), "mask": np.zeros(7781, int), "data_release": "DESI-EDR",
    ...     "specid": 39628427912810449, "redshift": 0.1,
    ... }
    >>> (spectrum,) = surveys.from_sparcl([record])
    >>> spectrum.meta["object_id"]
    '39628427912810449'
    """
    some = getattr(records, "records", records)
    if isinstance(some, Mapping) or not isinstance(some, Iterable) or isinstance(some, str):
        raise ValueError(
            f"no records in a {type(records).__name__}: pass what client.retrieve(...) returned, "
            "or a list of its records"
        )
    spectra = SpectrumList(_spectrum(i, record) for i, record in enumerate(some))
    if not spectra:
        raise ValueError(
            "there is no record: see the info of what client.retrieve(...) returned, and "
            "client.missing(ids) for those that SPARCL does not have"
        )
    return spectra


def _field(record: Any, *names: str) -> Any:
    """The first of some fields that is there and not None."""
    for name in names:
        try:
            value = record[name]
        except (KeyError, TypeError, IndexError):
            value = getattr(record, name, None)
        if value is not None:
            return value
    return None


def _spectrum(number: int, record: Any) -> Spectrum:
    release = _field(record, "data_release", "_dr")
    ids = {"sparcl_id": _field(record, "sparcl_id"), "specid": _field(record, "specid")}
    missing = [name for name in _ARRAYS if _field(record, name) is None]
    missing += [] if release is not None else ["data_release"]
    missing += [] if any(i is not None for i in ids.values()) else ["specid"]
    if missing:
        raise ValueError(
            f"record {number} lacks {', '.join(missing)}, which client.retrieve(...) gives only "
            f"when asked: pass it {_INCLUDE}"
        )
    survey = _survey(number, str(release))
    wavelength, flux, ivar, bits = (np.asarray(_field(record, name)) for name in _ARRAYS)
    if not flux.ndim == 1 or not flux.shape == wavelength.shape == ivar.shape == bits.shape:
        shapes = [array.shape for array in (wavelength, flux, ivar, bits)]
        raise ValueError(
            f"record {number} ({ids}): wavelength, flux, ivar and mask have the shapes {shapes}, "
            "not one of (L,); retrieve it again"
        )
    bad = broken(bits, BAD_BITS) if survey == "SDSS" else bits != 0
    label = {key: scalar(_field(record, *names)) for key, names in _LABELS.items()}
    found = {**ids, "ra": _field(record, "ra"), "dec": _field(record, "dec")}
    meta = {
        "survey": survey,
        "medium": "vacuum",
        "frame": "heliocentric" if survey == "SDSS" else "barycentric",
        "object_id": _object_id(survey, **ids),
        "data_release": str(release),
        "label": known(label),
        **{key: scalar(value) for key, value in found.items() if value is not None},
    }
    if (model := _field(record, "model")) is not None:
        meta["model"] = native(model)
    return build(wavelength, flux, ivar, bad, unit=FLUX_UNIT, meta=meta)


def _survey(number: int, release: str) -> str:
    for start, survey in (("SDSS", "SDSS"), ("BOSS", "SDSS"), ("DESI", "DESI")):
        if release.upper().startswith(start):
            return survey
    raise ValueError(
        f"record {number} is of {release!r}: the mask bits are known of SDSS, BOSS and DESI "
        "only. Pass its arrays to spectok.encode_arrays, with a mask of your own"
    )


def _object_id(survey: str, sparcl_id: Any, specid: Any) -> str:
    """The survey's own name of the object, from the 64 bits of its specid."""
    if specid is None:
        return str(sparcl_id)
    name = str(scalar(specid))
    if survey == "SDSS" and name.lstrip("-").isdigit():
        # SPARCL's integers are signed, SDSS's are not. The layout is that of DR8 and later.
        bits = int(name) % (1 << 64)
        plate, fiber = bits >> 50, (bits >> 38) & 0xFFF
        mjd = 50000 + ((bits >> 24) & 0x3FFF)
        if plate and 1 <= fiber <= 1000 and mjd > 51000:
            return f"{plate:04d}-{mjd}-{fiber:04d}"
    return name
