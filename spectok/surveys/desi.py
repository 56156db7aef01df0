"""DESI: ``coadd`` and ``spectra`` files, many targets in three arms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from astropy.io.fits import HDUList
from specutils import Spectrum, SpectrumList

from ._fits import FLUX_UNIT, Source, build, native, open_fits, path_of, scalar, stem_of
from ._kinds import desi_kind, wrong_survey
from ._table import FitsTable

__all__ = ["read", "recognise"]

_ARMS = ("b", "r", "z")
_STEP = 0.8  # Angstrom, of the grid which all arms share
_LABELS = {
    "objtype": "OBJTYPE",
    "morphtype": "MORPHTYPE",
    "desi_target": "DESI_TARGET",
    "bgs_target": "BGS_TARGET",
    "mws_target": "MWS_TARGET",
    "fiberstatus": "FIBERSTATUS",
    "coadd_fiberstatus": "COADD_FIBERSTATUS",
}


def recognise(hdus: HDUList) -> bool:
    """Tell whether open HDUs are a DESI coadd or spectra file.

    Parameters
    ----------
    hdus : `~astropy.io.fits.HDUList`
        An open file.

    Returns
    -------
    recognised : bool
        Whether `read` knows it.

    Examples
    --------
    >>> from astropy.io import fits
    >>> from spectok.surveys import desi
    >>> desi.recognise(fits.HDUList([fits.PrimaryHDU()]))
    False
    """
    return desi_kind(hdus) is not None


def read(path: Source, *, coadd: bool = False) -> SpectrumList:
    """Read a DESI ``coadd`` or ``spectra`` file, of a healpixel or of a tile.

    A pixel is bad where its MASK is not zero (so DESI's own coaddition has it) or
    its inverse variance not positive. Dead fibres stay in, wholly masked: nothing
    vanishes.

    Parameters
    ----------
    path : path-like or `~astropy.io.fits.HDUList`
        A ``coadd-*.fits`` or ``spectra-*.fits`` file.
    coadd : bool
        Join the arms into one spectrum on the 0.8 Angstrom grid that they share,
        without resampling: where arms overlap, the mean of their good pixels
        weighted by inverse variance, of the summed weight. By default the arms
        come as they are, as `spectok.encode` takes them with ``arms=True``.

    Returns
    -------
    specutils.SpectrumList
        One `~specutils.Spectrum` per arm, in the order b, r, z, of flux shape
        (n_target, n_pixel) in 1e-17 erg/s/cm2/A on vacuum Angstrom; or, with
        ``coadd``, a single one (7,781 pixels for three arms). The ``meta`` of
        **each** has "survey", "medium" (air or vacuum), "frame", "object_id" (TARGETIDs as a list
        of strings, or "stem:row" where the file has no fibermap), "ra" and "dec"
        (lists, degrees; where known) and "label" (lists: objtype, morphtype,
        target bits, fibre status; the redshifts are in other files). Arms have
        "arm" as well. In a ``spectra`` file a row is one exposure, so identifiers
        repeat.

    Raises
    ------
    FileNotFoundError
        If the file is missing.
    OSError
        If the file is damaged.
    ValueError
        - If it is no DESI file.
        - If its arms differ in their number of targets.
        - If the arms are to be coadded and share no grid.

    Examples
    --------
    A file of DESI's early data release is installed with specutils:

    >>> from importlib import resources
    >>> from spectok.surveys import desi
    >>> folder = resources.files("specutils") / "io/default_loaders/tests/desi_test_data"
    >>> blue, red, infrared = desi.read(folder / "coadd-sv3-dark-26065.fits")
    >>> blue.flux.shape
    (5, 2751)
    >>> (whole,) = desi.read(folder / "coadd-sv3-dark-26065.fits", coadd=True)
    >>> whole.flux.shape
    (5, 7781)
    """
    with open_fits(path) as hdus:
        path = path_of(path)
        if not recognise(hdus):
            wanted = "a DESI coadd or spectra file (no B_, R_ or Z_ FLUX, IVAR and WAVELENGTH)"
            raise wrong_survey(path, hdus, wanted)
        by_name = {hdu.name.upper(): hdu for hdu in hdus}
        arms = [a for a in _ARMS if f"{a.upper()}_FLUX" in by_name]
        fluxes = {a: np.atleast_2d(native(by_name[f"{a.upper()}_FLUX"].data)) for a in arms}
        counts = {a: len(flux) for a, flux in fluxes.items()}
        if len(set(counts.values())) != 1:
            raise ValueError(
                f"{path}: the arms hold different numbers of targets ({counts}); "
                "the file is inconsistent: fetch it again"
            )
        common = {"survey": "DESI", "medium": "vacuum", "frame": "barycentric"}
        common |= _identify(path, by_name.get("FIBERMAP"), counts[arms[0]])
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
                    meta={**common, "arm": arm},
                )
            )
    return SpectrumList([_join(path, spectra, common)] if coadd else spectra)


def _join(path: Path, arms: list[Spectrum], meta: dict) -> Spectrum:
    """Coadd arms on their common grid, weighted by inverse variance."""
    axes = [arm.spectral_axis.value for arm in arms]
    start = min(axis[0] for axis in axes)
    steps = [(axis - start) / _STEP for axis in axes]
    # A hundredth of a pixel: single precision may have held the wavelengths.
    if any(np.abs(step - np.round(step)).max() > 0.01 for step in steps):
        raise ValueError(
            f"{path}: the arms share no grid of {_STEP} Angstrom, so they cannot be coadded "
            "without resampling; read them with coadd=False"
        )
    places = [np.round(step).astype(int) for step in steps]
    # Without the middle arm the gap stays a gap: no pixel is made up.
    grid = np.unique(np.concatenate(places))
    shape = (len(arms[0].flux), grid.size)
    weight, weighted = np.zeros(shape), np.zeros(shape)
    for arm, place in zip(arms, places, strict=True):
        # Bad pixels have no weight; a pixel occurs once in an arm, so plain += is safe.
        ivar = arm.uncertainty.array
        column = np.searchsorted(grid, place)
        weight[:, column] += ivar
        weighted[:, column] += ivar * arm.flux.value
    good = weight > 0
    flux = np.divide(weighted, weight, out=np.zeros(shape), where=good)
    return build(start + _STEP * grid, flux, weight, ~good, unit=FLUX_UNIT, meta=dict(meta))


def _identify(path: Path, fibermap, n_target: int) -> dict:
    """Identifiers, positions and labels of the rows."""
    if fibermap is None:
        return {"object_id": [f"{stem_of(path)}:{row}" for row in range(n_target)], "label": {}}
    table = FitsTable(fibermap)
    if table.n_rows != n_target:
        raise ValueError(
            f"{path}: FIBERMAP has {table.n_rows} rows but the flux has {n_target}; "
            "the file is inconsistent: fetch it again"
        )
    common: dict = {"object_id": [str(int(t)) for t in table["TARGETID"]]}
    if table.has(("TARGET_RA", "TARGET_DEC")):
        common["ra"] = [float(x) for x in table["TARGET_RA"]]
        common["dec"] = [float(x) for x in table["TARGET_DEC"]]
    common["label"] = {
        key: [scalar(x) for x in table[column]]
        for key, column in _LABELS.items()
        if column in table
    }
    return common
