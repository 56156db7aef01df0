"""``spectok pack``: survey files to the arrays that pretraining reads."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from spectok import surveys
from spectok._convert import Rows, are_arms, convert_spectra
from spectok._progress import progress_bar
from spectok._split import name_split, sky_split
from spectok._table_files import is_token_table
from spectok.training import pack_spectra

__all__ = ["pack"]

# In the order of the numbers in a pack; see spectok.training.RealSpectra.
_SURVEYS = ("sdss", "desi", "galah", "apogee")
_SHARDS = (".hdf5", ".h5", ".parquet")

_Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
_Row = tuple[int, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def pack(
    survey: str,
    paths: Sequence[str | os.PathLike],
    output: str | os.PathLike,
    *,
    split: str = "train",
    progress: bool | None = None,
) -> str:
    """Pack the spectra of one survey into one file of about four bytes per pixel.

    Parameters
    ----------
    survey : str
        sdss, desi, galah or apogee: which share of the mixture they belong to.
    paths : sequence of path
        Spectrum files, folders of them, or shards of the Multimodal Universe.
    output : path
        A ``.safetensors`` file.
    split : str
        ``"train"``: objects of the training split only, by their place on the sky, or by their
        identifier where a file does not say it; ``"all"``: everything.
    progress : bool, optional

    Returns
    -------
    said : str
        What was packed, and what was left out and why.

    Raises
    ------
    ValueError
        Where nothing is left to pack.
    """
    left: Counter[str] = Counter()
    names: list[str] = []
    packed: set[bytes] = set()
    number = _SURVEYS.index(survey)

    def rows() -> Iterator[_Row]:
        for name, where, arrays in _objects(_files(paths), left, progress):
            if split == "train" and _split_of(name, where) != "train":
                left["objects of the validation or test split"] += 1
                continue
            if not arrays[-1].any():
                left["objects without a good pixel"] += 1
                continue
            content = hashlib.blake2b(digest_size=16)
            for values in arrays:
                content.update(np.ascontiguousarray(values).data)
            if content.digest() in packed:
                left["spectra that are in it already"] += 1
                continue
            packed.add(content.digest())
            names.append(name)
            yield (number, *arrays)

    output = Path(output)
    try:
        arrays = pack_spectra(rows())
    except ValueError as error:
        if names:
            raise
        raise ValueError(f"nothing to pack: {_said(left) or 'no files'}") from error
    partial = output.with_name(output.name + ".partial")
    said = {"survey": survey, "split": split, "objects": names}
    save_file(arrays, partial, metadata={"pack": json.dumps(said)})
    os.replace(partial, output)
    size = sum(a.nbytes for a in arrays.values()) / 1e6
    without = f"; left out: {_said(left)}" if left else ""
    return f"{output}: {len(names)} spectra of {survey}, {size:.1f} MB{without}"


def _said(left: Counter[str]) -> str:
    return ", ".join(f"{count} {what}" for what, count in left.items())


def _files(paths: Sequence[str | os.PathLike]) -> list[Path]:
    found: dict[Path, Path] = {}  # each file once, however often it is named
    for path in map(Path, paths):
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.is_file())
        elif path.is_file():
            inside = [path]
        else:
            raise FileNotFoundError(f"{path}: no such file or folder; check the path")
        for one in inside:
            found.setdefault(one.resolve(), one)
    return list(found.values())


def _objects(
    files: Sequence[Path], left: Counter[str], progress: bool | None
) -> Iterator[tuple[str, tuple[float, float] | None, _Arrays]]:
    """Identifier, position, and (wavelength, flux, sigma, valid) of every object."""
    bar = progress_bar("packing", over=files, unit="file", progress=progress, patient=False)
    for path in bar:
        if path.suffix in _SHARDS:
            for record in surveys.MultimodalUniverse(path, damaged="skip"):
                sigma = np.where(record.valid, np.where(record.valid, record.ivar, 1.0) ** -0.5, 1)
                place = (record.ra, record.dec) if np.isfinite(record.ra) else None
                arrays = (record.wavelength, record.flux, sigma, record.valid)
                yield record.object_id, place, arrays
            continue
        if is_token_table(path):
            left["token tables"] += 1
            continue
        try:
            spectra = surveys.read(path)
            # Arms of the same objects stand in one sequence of pixels.
            rows, _ = convert_spectra(spectra, arms=are_arms(spectra))
        except Exception as error:  # one bad file must not cost the others
            left[f"files such as {path.name} ({type(error).__name__}: {error})"] += 1
            continue
        meta = [one.meta or {} for one in spectra]
        yield from _of_file(path, rows, meta)


def _of_file(
    path: Path, rows: Sequence[Rows], meta: Sequence[dict]
) -> Iterator[tuple[str, tuple[float, float] | None, _Arrays]]:
    for k, part in enumerate(rows):
        about = meta[min(k, len(meta) - 1)]
        for i in range(len(part.flux)):
            name = str(part.object_id[i]) if part.object_id else f"{path.stem}:{k}:{i}"
            place = None
            if "ra" in about and "dec" in about:
                ra, dec = (np.atleast_1d(np.asarray(about[c], float)) for c in ("ra", "dec"))
                place = float(ra[min(i, len(ra) - 1)]), float(dec[min(i, len(dec) - 1)])
            yield name, place, (part.wavelength, part.flux[i], part.sigma[i], part.valid[i])


def _split_of(name: str, place: tuple[float, float] | None) -> str:
    if place is not None and np.isfinite(place).all():
        return str(sky_split(*place))
    return str(name_split(name))
