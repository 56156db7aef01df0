"""Foreign images to spectra: one spectrum, rows of them, bands of IRAF, cubes."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from astropy import units as u
from specutils import Spectrum

from spectok._convert import header_medium

from ._axis import header_axis, iraf_unit, spectral_number, to_axis, warn
from ._columns import flux_unit, make_spectrum
from ._iraf import aperture_axes, are_orders, is_multispec
from ._quality import bad_pixels
from ._roles import find_roles, plain

__all__ = ["read_images"]


def read_images(hdus: Any, where: str) -> list[Spectrum]:
    """Make spectra of the images of a FITS file.

    The image of the flux is named so (``FLUX``, ``SCI``, ``DATA``), or the first one; errors,
    masks and wavelengths are found by the names of the extensions (``ERR``, ``STAT``, ``IVAR``,
    ``DQ``, ``WAVELENGTH``). A file of several sets (``EXTVER``) gives several spectra.

    Raises
    ------
    ValueError
        If no image has wavelengths.
    """
    images = [hdu for hdu in hdus if hdu.is_image and hdu.shape]
    if not images:
        raise ValueError(f"{where}: neither a table nor an image with data; it is no spectrum")
    versions = sorted({hdu.ver for hdu in images if hdu.name.upper() in ("SCI", "DATA")})
    if len(versions) < 2:
        return _read_set(images, hdus, where)
    out = []
    for version in versions:
        part = [hdu for hdu in images if hdu.ver == version]
        out += _read_set(part, hdus, f"{where}, set {version}")
    return out


def _read_set(images: list[Any], hdus: Any, where: str) -> list[Spectrum]:
    """One flux image with what belongs to it."""
    by_name = {_name(hdu, i): hdu for i, hdu in enumerate(images)}
    roles = find_roles(by_name)
    flux_hdu = by_name[roles.flux] if roles.flux is not None else images[0]
    header = flux_hdu.header.copy()
    primary = hdus[0].header
    for key in ("TELESCOP", "INSTRUME", "VACUUM", "AIRORVAC", "SDQFLAGS", "DC-FLAG", "WFITTYPE"):
        if key in primary and key not in header:
            header[key] = primary[key]
    number = spectral_number(header)
    shape = flux_hdu.shape
    if number is None:
        number = 1
        if len(shape) > 2 and f"CTYPE{len(shape)}" in header:
            number = len(shape)
    place = len(shape) - number
    rows = _row_roles(header, shape, place)
    n_pixels = shape[place]
    medium = header_medium(header) or header_medium(primary)
    flux = np.moveaxis(np.asarray(flux_hdu.data), place, -1)
    error, kind, bad = None, roles.kind, None
    if rows is not None:
        bands = {name: flux[row] for name, row in rows.items()}
        own = find_roles(bands)
        error, kind = None if own.error is None else bands[own.error], own.kind
        if own.mask is not None:
            bad = bad_pixels(bands[own.mask], own.mask, header, where, inverse=own.inverse)
        flux = bands[str(own.flux)]  # it has one: _row_roles saw to it
    for found in (roles.error, roles.mask):
        if found is not None and by_name[found].shape != shape:
            warn(
                f"{where}: the image {found} has the shape {by_name[found].shape}, the flux "
                f"{shape}: ignored"
            )
    if roles.error is not None and by_name[roles.error].shape == shape:
        error = np.moveaxis(np.asarray(by_name[roles.error].data), place, -1)
    if roles.mask is not None and by_name[roles.mask].shape == shape:
        values = np.moveaxis(np.asarray(by_name[roles.mask].data), place, -1)
        bad = bad_pixels(values, roles.mask, header, where, inverse=roles.inverse)
    if place == len(shape) - 1 and flux.shape[:-1].count(1) == flux.ndim - 1:
        # IRAF's lone spectra have empty axes of apertures and bands.
        flux = flux.reshape(n_pixels)
        error = None if error is None else np.reshape(error, n_pixels)
        bad = None if bad is None else np.reshape(bad, n_pixels)
    unit = flux_unit(header.get("BUNIT", primary.get("BUNIT")), where)
    if is_multispec(header):
        return _apertures(header, flux, error, kind, unit, medium, where)
    axis, told = _wavelengths(by_name, roles.wave, header, n_pixels, number, where, hdus, rows)
    error_unit = None
    if roles.error is not None and by_name[roles.error].header.get("BUNIT"):
        error_unit = flux_unit(by_name[roles.error].header["BUNIT"], where)
    if error is not None and kind == "std":
        error = np.where(np.asarray(error) == 0, np.nan, error)  # zero: no error is known
    spectrum = make_spectrum(
        axis, flux, error, kind, bad, unit=unit, error_unit=error_unit,
        medium=told or medium, meta={}, where=where,
    )  # fmt: skip
    return [spectrum]


def _apertures(
    header: Any, flux: np.ndarray, error: np.ndarray | None, kind: str, unit: u.UnitBase,
    medium: str | None, where: str,
) -> list[Spectrum]:  # fmt: skip
    """Rows of IRAF's multispec format, each with wavelengths of its own."""
    flux = np.atleast_2d(flux)
    flux = flux.reshape(-1, flux.shape[-1])
    axes = aperture_axes(header, len(flux), flux.shape[-1], where)
    orders = are_orders(axes)
    spectra = []
    for row, values in enumerate(axes):
        name = f"{where}, aperture {row + 1}"
        axis, told = to_axis(values, iraf_unit(header) or None, name, what="WAT2")
        spectra.append(
            make_spectrum(
                axis,
                flux[row],
                None if error is None else error.reshape(flux.shape)[row],
                kind,
                None,
                unit=unit,
                error_unit=None,
                medium=told or medium,
                meta={"arm": f"order {row + 1}"} if orders else {},
                where=name,
            )  # fmt: skip
        )
    return spectra


def _name(hdu: Any, number: int) -> str:
    """An extension's name; numbered where it has none that is its own."""
    return hdu.name or f"image {number}"


def _wavelengths(
    by_name: dict[str, Any], named: str | None, header: Any, n_pixels: int, number: int,
    where: str, hdus: Any, rows: dict[str, Any] | None,
) -> tuple[u.Quantity, str | None]:  # fmt: skip
    """Wavelengths of an image that is named so, of a row of it, or of the header."""
    if named is not None and by_name[named].shape == (n_pixels,):
        hdu = by_name[named]
        roles = find_roles([named])
        unit = hdu.header.get("BUNIT") or hdu.header.get("CUNIT1") or header.get("WAVEUNIT")
        return to_axis(hdu.data, unit, where, log=roles.log, what=f"image {named}")
    wave = None if rows is None else find_roles(rows).wave
    if wave is not None and len(header.get("CTYPE1", "")) == 0 and "COEFF0" not in header:
        if "CRVAL1" not in header:
            raise ValueError(f"{where}: the wavelengths of its rows are not read; no keyword")
    for hdu in hdus[1:]:  # a table of wavelengths beside the image
        columns = getattr(hdu, "columns", None)
        if columns is None or number != 1 and f"CRVAL{number}" in header:
            continue
        roles = find_roles(columns.names)
        if roles.wave is None or roles.flux is not None:
            continue
        values = np.ravel(hdu.data[roles.wave])
        if values.size == n_pixels:
            unit = columns[roles.wave].unit
            return to_axis(values, unit, where, log=roles.log, what=f"column {roles.wave}")
    return header_axis(header, n_pixels, number, where, hdus)


_LABELS = re.compile(r"^(ROW|ARRAY|BANDID|PLANE)(\d+)$")
_WORDS = (
    # LAMOST and 2dF label their rows, IRAF its bands, in sentences.
    ("ivar", r"inverse.variance|invvar|\bivar\b"),
    ("andmask", r"and.?mask"),
    ("ormask", r"or.?mask"),
    ("sigma", r"\bsigma\b|\berror\b|noise"),
    ("variance", r"varianc"),
    ("wavelength", r"wave"),
    ("sky", r"\bsky\b|background"),
    ("raw", r"\braw\b"),
    ("continuum", r"continuum"),
    ("flux", r"^spectrum\b|\bflux\b|\bspectrum\b"),
)


def _row_roles(header: Any, shape: tuple[int, ...], place: int) -> dict[str, Any] | None:
    """Rows of an image by the names that its header gives them: {name: index}."""
    if len(shape) < 2 or place != len(shape) - 1:
        return None
    found: dict[str, Any] = {}
    for key in header:
        match = _LABELS.match(str(key))
        if not match:
            continue
        row = int(match[2]) - (0 if "ROW0" in header or "ARRAY0" in header else 1)
        text = str(header[key]).strip().lower().split(" - ")[0]  # IRAF: "raw - background fit"
        word = next((name for name, words in _WORDS if re.search(words, text)), plain(text))
        if word and 0 <= row < shape[0]:
            found.setdefault(word, row)
    if "flux" not in found or len(found) < 2:
        return None
    return found
