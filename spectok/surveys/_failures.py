"""Failures of downloads in words: why each spectrum did not come, and how to mend it."""

from __future__ import annotations

import http.client
import urllib.error
from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Damaged", "Failure", "Unusable", "explain", "report"]

_AGAIN = "call again (files that came whole are in the cache and are not fetched twice)"
_NETWORK = (
    "check the network, the addresses astroquery.sdss.conf.sas_baseurl and skyserver_baseurl, and "
    "astropy.utils.data.conf.allow_internet; only what is in the cache can be had without them"
)


class Failure(NamedTuple):
    """One row of a request that came to nothing."""

    reason: str
    mend: str
    row: int = -1
    name: str = ""
    absent: bool = False  # the catalogue answered, and knows no such spectrum


class Unusable(ValueError):
    """The catalogue's server answered with something else."""


class Damaged(OSError):
    """A file came, and is no whole SDSS spectrum."""


def explain(error: Exception, timeout: float) -> Failure:
    """Put an exception of astroquery, requests, urllib or the reader into words."""
    import requests

    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    status = None
    if isinstance(error, urllib.error.HTTPError):
        status = error.code
    elif isinstance(error, requests.HTTPError) and error.response is not None:
        status = error.response.status_code
    if isinstance(error, Damaged):
        return Failure(str(error), f"it is not kept in the cache; {_AGAIN}")
    if isinstance(error, Unusable):
        first = (str(error).strip().splitlines() or [""])[0]
        return Failure(
            f"SkyServer's answer is no table of spectra ({first:.100})",
            "call again later; a table with plate, mjd, fiberID and run2d needs no SkyServer",
        )
    if status == 404:
        return Failure(
            "HTTP 404, no such file",
            "check plate, mjd, fiber and run2d, and try another data_release",
        )
    if status is not None:
        return Failure(f"HTTP {status}, the server is in trouble", f"later, {_AGAIN}")
    if isinstance(cause, TimeoutError | requests.Timeout):
        return Failure(f"no answer within {timeout:g} s", f"give a longer timeout, or {_AGAIN}")
    if isinstance(error, urllib.error.ContentTooShortError | http.client.HTTPException):
        return Failure("cut short on the way", _AGAIN)
    if isinstance(error, urllib.error.URLError | requests.ConnectionError | ConnectionError):
        request = getattr(error, "request", None)  # requests' own words are a page long
        what = f"to {request.url.split('?')[0]}" if request is not None else f"({cause})"
        return Failure(f"no connection {what}", _NETWORK)
    if isinstance(error, KeyError):
        return Failure(
            f"astroquery has no path for it, {error} is not known",
            "spectra of SDSS-V (run2d v6_0_4) need fieldID, mjd, catalogID and run2d in a table",
        )
    return Failure(f"{type(error).__name__}: {error}", _AGAIN)


def report(failures: Sequence[Failure], n_spectra: int, release: int) -> str:
    """All failures in one text, and each way to mend them once."""
    failures = sorted(failures, key=lambda failure: failure.row)
    lines = [f"  row {f.row} ({f.name}): {f.reason}" for f in failures]
    ways = dict.fromkeys(f.mend for f in failures)
    return "\n".join(
        [
            f"SDSS DR{release}: {len(failures)} not fetched, {n_spectra} fetched",
            *lines,
            "To mend it: " + "; ".join(ways) + ".",
        ]
    )
