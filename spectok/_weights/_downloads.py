"""Weights that do not come with the package: where they lie, and how they get here."""

from __future__ import annotations

import hashlib
import os
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple
from urllib.error import ContentTooShortError, HTTPError, URLError

__all__ = ["CONFIG", "DOWNLOADS", "WEIGHTS", "Download", "find_file"]

WEIGHTS, CONFIG = "model.safetensors", "config.json"

# Astropy is imported where something is to be fetched: it takes longer than a small model.


class Download(NamedTuple):
    """Where the two files of a model lie, and what they must be."""

    address: str  # of their folder, with the slash at its end
    weights: str  # sha256 of model.safetensors
    config: str  # sha256 of config.json
    size: int  # of model.safetensors, in bytes


# A name never changes its weights: entries are added, and their checksums never edited.
DOWNLOADS: dict[str, Download] = {}


def find_file(name: str, file: str) -> Path:
    """Find a file of a named download in the user's folder, or fetch it, once.

    Parameters
    ----------
    name : str
        A key of `DOWNLOADS`.
    file : str
        `WEIGHTS` or `CONFIG`.

    Returns
    -------
    path : `pathlib.Path`
        In the folder that ``spectok.conf.weights``, else the environment variable
        ``SPECTOK_WEIGHTS``, names, if it has the file, in a folder of the model's name; else
        in astropy's cache for spectok.

    Raises
    ------
    NotADirectoryError
        If there is no such folder.
    OSError
        If the file cannot be downloaded, or is not the registered one.
    """
    from spectok._conf import conf

    folder = conf.weights or os.environ.get("SPECTOK_WEIGHTS")
    if not folder:
        return _fetch(name, file, "")
    if not Path(folder).is_dir():
        raise NotADirectoryError(
            f"{folder}: no such folder of weights; mend spectok.conf.weights or SPECTOK_WEIGHTS, "
            "whichever names it"
        )
    path = Path(folder) / name / file
    if not path.is_file():
        return _fetch(name, file, f"is not in {Path(folder) / name} and ")
    wrong = _wrong(path, name, file)
    if wrong:
        raise OSError(
            f"the model {name!r}: {path} is {wrong}; get it again, or remove it from the folder"
        )
    return path


def _fetch(name: str, file: str, before: str) -> Path:
    from astropy.utils.data import clear_download_cache, download_file

    url = DOWNLOADS[name].address + file
    try:
        path = Path(download_file(url, cache=True, pkgname="spectok"))
    except (OSError, HTTPException) as error:
        if isinstance(error, HTTPError):
            error.close()  # it is the answer, too, and holds the connection
        raise OSError(
            f"the model {name!r}: its {file} {before}cannot be downloaded from {url} "
            f"({_reason(error)}); {_by_hand(name)}"
        ) from error
    wrong = _wrong(path, name, file)
    if wrong:
        clear_download_cache(url, pkgname="spectok")
        raise OSError(
            f"the model {name!r}: what came from {url} is {wrong}; it was removed from the cache: "
            f"try again, and if that does not help, {_by_hand(name)}"
        )
    return path


def _wrong(path: Path, name: str, file: str) -> str:
    """What is wrong with a file, empty if nothing is."""
    known = DOWNLOADS[name]
    expected = known.weights if file == WEIGHTS else known.config
    with path.open("rb") as content:
        start = content.read(100)
        content.seek(0)
        found = hashlib.file_digest(content, "sha256").hexdigest()
    if found == expected:
        return ""
    size = path.stat().st_size
    if start.lstrip().startswith(b"<"):
        what = "a web page (of a proxy, or to log in?)"
    elif file == WEIGHTS and size != known.size:
        what = f"{size} bytes long instead of {known.size}"
    else:
        what = "another file"
    return f"{what}, with the sha256 {found} instead of {expected}"


def _reason(error: Exception) -> str:
    """Why nothing came, in a few words on one line."""
    from astropy.utils.data import conf

    if not conf.allow_internet:
        return "astropy.utils.data.conf.allow_internet is False"
    if isinstance(error, ContentTooShortError | HTTPException):
        return "it was cut short on the way: try again"
    if isinstance(error, HTTPError):
        return f"{error}; if it moved, a newer spectok knows where"
    cause = error.reason if isinstance(error, URLError) else error
    return " ".join(str(cause).split()) or type(cause).__name__


def _by_hand(name: str) -> str:
    known = DOWNLOADS[name]
    return (
        f"get {known.address}{CONFIG} and {known.address}{WEIGHTS} ({known.size / 1e6:.3g} MB) "
        f"by hand into a folder {name}, and load it by its path, as in "
        f"load_model('./{name}'), or by its name with SPECTOK_WEIGHTS, or spectok.conf.weights, "
        "set to the folder above it"
    )
