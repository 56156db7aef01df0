"""DESI: ``coadd`` and ``spectra`` files, many targets in three arms."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from specutils import SpectrumList

from ._files import FLUX_UNIT, build, native, open_fits

__all__ = ["read", "recognise"]

_ARMS = ("b", "r", "z")


def recognise(hdus) -> bool:
    """Tell whether open HDUs are a DESI coadd or spectra file."""
    names = {hdu.name.upper() for hdu in hdus}
    return any({f"{a}_FLUX", f"{a}_IVAR", f"{a}_WAVELENGTH"} <= names for a in "BRZ")


def read(path: str | os.PathLike) -> SpectrumList:
    """Read a DESI ``coadd`` or ``spectra`` file.

    A pixel is bad where its MASK is not zero or its inverse variance not
    positive. Dead fibres stay in, wholly masked: nothing vanishes.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    specutils.SpectrumList
        One `~specutils.Spectrum` per arm, in the order b, r, z, of flux shape
        (n_target, n_pixel) in 1e-17 erg/s/cm2/A on vacuum Angstrom. The
        ``meta`` of **each** arm has "survey", "medium", "arm", "object_id"
        (TARGETIDs as a list of strings, or "stem:row" where the file has no
        fibermap), "ra" and "dec" (lists, degrees; where known) and "label".

    Raises
    ------
    FileNotFoundError, OSError
        If the file is missing or damaged.
    ValueError
        If it is no DESI file, or its arms differ in their number of targets.

    Examples
    --------
    >>> from spectok.surveys import desi
    >>> blue, red, infrared = desi.read("coadd-sv3-dark-9144.fits")  # doctest: +SKIP
    """
    path = Path(path)
    with open_fits(path) as hdus:
        if not recognise(hdus):
            raise ValueError(
                f"{path}: not a DESI coadd or spectra file (no B_, R_ or Z_ FLUX, IVAR and "
                "WAVELENGTH); use spectok.surveys.read to have the survey found"
            )
        by_name = {hdu.name.upper(): hdu for hdu in hdus}
        arms = [a for a in _ARMS if f"{a.upper()}_FLUX" in by_name]
        fluxes = {a: np.atleast_2d(native(by_name[f"{a.upper()}_FLUX"].data)) for a in arms}
        counts = {a: len(flux) for a, flux in fluxes.items()}
        if len(set(counts.values())) != 1:
            raise ValueError(
                f"{path}: the arms hold different numbers of targets ({counts}); "
                "the file is inconsistent: fetch it again"
            )
        common = _identify(path, by_name.get("FIBERMAP"), counts[arms[0]])
        spectra = []
        for arm in arms:
            prefix, flux = arm.upper(), fluxes[arm]
            bad = np.zeros(flux.shape, bool)
            if f"{prefix}_MASK" in by_name:
                bad = np.atleast_2d(native(by_name[f"{prefix}_MASK"].data, np.int64)) != 0
            spectra.append(
                build(
                    by_name[f"{prefix}_WAVELENGTH"].data,
                    flux,
                    np.atleast_2d(by_name[f"{prefix}_IVAR"].data),
                    bad,
                    unit=FLUX_UNIT,
                    meta={"survey": "DESI", "medium": "vacuum", "arm": arm, **common},
                )
            )
    return SpectrumList(spectra)


def _identify(path: Path, fibermap, n_target: int) -> dict:
    """Identifiers, positions and labels of the rows."""
    if fibermap is None:
        return {"object_id": [f"{path.stem}:{row}" for row in range(n_target)], "label": {}}
    table, names = fibermap.data, fibermap.columns.names
    if len(table) != n_target:
        raise ValueError(
            f"{path}: FIBERMAP has {len(table)} rows but the flux has {n_target}; "
            "the file is inconsistent: fetch it again"
        )
    common: dict = {"object_id": [str(int(t)) for t in table["TARGETID"]]}
    if "TARGET_RA" in names and "TARGET_DEC" in names:
        common["ra"] = [float(x) for x in table["TARGET_RA"]]
        common["dec"] = [float(x) for x in table["TARGET_DEC"]]
    common["label"] = (
        {"objtype": [str(x).strip() for x in table["OBJTYPE"]]} if "OBJTYPE" in names else {}
    )
    return common
