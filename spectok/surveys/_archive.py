"""Download of SDSS spectra through astroquery, one by one, with all failures told at the end."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from urllib.error import HTTPError

import numpy as np
from astropy.coordinates import Angle, SkyCoord
from astropy.table import Row, Table
from astropy.units import Quantity, UnitsError
from astropy.utils.data import clear_download_cache, is_url_in_cache
from astropy.utils.exceptions import AstropyUserWarning
from specutils import Spectrum, SpectrumList

from spectok._progress import progress_bar

from ._catalogue import Archive, Wanted, look_up, search, wanted
from ._failures import Damaged, Failure, explain, report
from ._sdss import read_sdss

__all__ = ["fetch"]

# Paths on the server that astroquery knows. Spectra of DR1 to DR7 are in all of these.
FIRST_RELEASE, LAST_RELEASE = 8, 18


def fetch(
    target: SkyCoord | Table | Row | int | Sequence[int] | np.ndarray,
    mjd: int | Sequence[int] | np.ndarray | None = None,
    fiber: int | Sequence[int] | np.ndarray | None = None,
    *,
    radius: Quantity | str = "2 arcsec",
    data_release: int | None = None,
    progress: bool | None = None,
    cache: bool = True,
    timeout: float | None = None,
) -> SpectrumList:
    """Fetch SDSS, BOSS and eBOSS spectra from the archive.

    What cannot be fetched is left out, and one warning at the end names every such row with
    its reason. Whole files stay in astropy's download cache, damaged ones do not: calling
    again fetches what is missing.

    Parameters
    ----------
    target : `~astropy.coordinates.SkyCoord`, `~astropy.table.Table`, int or array of int
        Places on the sky; or a table with the columns plate, mjd and fiberID in any case;
        or plate numbers, together with ``mjd`` and ``fiber``. A column run2d (the version
        of the reduction), if there is one, saves a question to the catalogue. Tables with
        fieldID, mjd, catalogID and run2d fetch SDSS-V spectra of DR18.
    mjd, fiber : int or array of int, optional
        With plate numbers only, of shapes that broadcast with them.
    radius : `~astropy.units.Quantity` or str
        Of the search around each place, at most 3 arcmin. All spectra in it are fetched.
    data_release : int, optional
        8 to 18; by default ``astroquery.sdss.conf.default_release``, which is 17.
    progress : bool, optional
        Show a progress bar; by default on a terminal and in a notebook,
        when it takes more than two seconds.
    cache : bool
        Use and fill the caches of astropy (files) and astroquery (catalogue).
    timeout : float, optional
        Seconds without an answer after which to give a request up; by default
        ``astroquery.sdss.conf.timeout``, which is 60.

    Returns
    -------
    spectra : `~specutils.SpectrumList`
        As `spectok.surveys.sdss.read` gives them, in the order of the request, around one
        place the nearest first. The ``meta`` of each has also "row" (of the request, from
        0), "request" (plate-mjd-fiber), "run2d", "data_release" ("DR17") and "url".

    Raises
    ------
    TypeError
        If the request is none of the above.
    ValueError
        If a row of it holds no number; the message names the row.
    LookupError
        If the catalogue knows not one of the spectra.
    OSError
        If not one could be fetched for any other reason.

    Examples
    --------
    >>> from astropy.coordinates import SkyCoord
    >>> from spectok.surveys import sdss
    >>> (spectrum,) = sdss.fetch(751, 52251, 160)  # doctest: +SKIP
    >>> place = SkyCoord("0h8m05.63s +14d50m23.3s")
    >>> spectra = sdss.fetch(place, radius="5 arcsec", data_release=16)  # doctest: +SKIP
    """
    archive = _archive(data_release, timeout, cache)
    bar_of = partial(progress_bar, unit="spectrum", progress=progress)
    if isinstance(target, SkyCoord) and mjd is None and fiber is None:
        total = target.size
        with bar_of("searching", total=total) as bar:
            found, failures = search(target, _radius(radius, archive), archive, bar.update)
    else:
        rows = wanted(target, mjd, fiber)
        unknown = sum(row.run2d is None for row in rows)
        with bar_of("searching", total=unknown) as bar:
            found, failures = look_up(rows, archive, bar.update)
    spectra = SpectrumList()
    with (
        bar_of("fetching", total=len(found)) as bar,
        tempfile.TemporaryDirectory(prefix="spectok-") as folder,
    ):
        for one in sorted(found, key=lambda one: one.row):
            got = _download(one, archive, Path(folder))
            (failures if isinstance(got, Failure) else spectra).append(got)
            bar.update()
    if failures:
        text = report(failures, len(spectra), archive.release)
        if not spectra:
            raise (LookupError if all(f.absent for f in failures) else OSError)(text)
        warnings.warn(text, AstropyUserWarning, stacklevel=2)
    return spectra


def _archive(release: int | None, timeout: float | None, cache: bool) -> Archive:
    from astroquery.sdss import SDSSClass, conf

    release = conf.default_release if release is None else release
    if (
        not isinstance(release, int | np.integer)
        or isinstance(release, bool)
        or not FIRST_RELEASE <= release <= LAST_RELEASE
    ):
        raise ValueError(
            f"data_release must be a whole number from {FIRST_RELEASE} to {LAST_RELEASE}, it is "
            f"{release!r}. Spectra of DR1 to DR7 were published again in every later release; "
            f"files of a newer one are read with spectok.surveys.sdss.read"
        )
    timeout = conf.timeout if timeout is None else timeout
    if not 0 < timeout < np.inf:
        raise ValueError(f"timeout must be a positive number of seconds, it is {timeout!r}")
    client = SDSSClass()
    client.TIMEOUT = timeout  # where astroquery asks for the names of columns
    return Archive(client, int(release), float(timeout), cache)


def _radius(radius: Quantity | str, archive: Archive) -> Angle:
    largest = archive.client.MAX_CROSSID_RADIUS
    try:
        angle = Angle(radius)
    except (ValueError, UnitsError) as error:
        raise ValueError(f"radius={radius!r} is no angle: write '2 arcsec'") from error
    if not (angle.isscalar and 0 < angle <= largest):
        raise ValueError(f"radius must be one angle above 0 and up to {largest}, it is {angle}")
    return angle


def _download(one: Wanted, archive: Archive, folder: Path) -> Spectrum | Failure:
    """One spectrum, or why there is none."""
    match, url = Table([{**one.keys, "run2d": one.run2d}]), ""
    path = folder / f"spec-{one.name}.fits"
    try:
        (file,) = archive.client.get_spectra_async(
            matches=match, show_progress=False, **archive.options
        )
        url = file._target  # has no public name
        path.write_bytes(file.get_string())
        (spectrum,) = _read(path)
    except Exception as error:
        if isinstance(error, Damaged) and archive.cache and is_url_in_cache(url):
            clear_download_cache(url)
        if isinstance(error, HTTPError):
            error.close()  # it holds the connection
        why = explain(error, archive.timeout)
        return why._replace(row=one.row, name=one.name, reason=f"{why.reason}, {url}".rstrip(", "))
    finally:
        path.unlink(missing_ok=True)
    spectrum.meta.update(
        row=one.row,
        request=one.name,
        run2d=one.run2d,
        data_release=f"DR{archive.release}",
        url=url,
    )
    return spectrum


def _read(path: Path) -> SpectrumList:
    if path.read_bytes()[:200].lstrip().startswith(b"<"):
        raise Damaged("a web page came instead of a spectrum")
    try:
        return read_sdss(path)
    except (OSError, ValueError) as error:
        reason = str(error).removeprefix(f"{path}: ")
        raise Damaged(reason.split(";")[0]) from error
