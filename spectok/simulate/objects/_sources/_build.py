"""Building of all template families from files."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from astropy import units as u
from astropy.utils.exceptions import AstropyUserWarning
from safetensors import safe_open

from spectok._progress import progress_bar
from spectok._split import sky_split
from spectok.simulate._measured import MEASURED
from spectok.simulate.objects import _registry
from spectok.simulate.objects._sources import _optical, _stars
from spectok.simulate.objects._templates import Templates

if TYPE_CHECKING:
    from specutils import Spectrum

__all__ = ["build_templates", "training_models"]


def build_templates(
    *,
    folder: str | os.PathLike | None = None,
    spectra: Iterable[Spectrum] = (),
    progress: bool | None = None,
) -> Templates:
    """Build the templates of all surveys from their public files.

    Parameters
    ----------
    folder : path-like, optional
        Folder with template files. Default: ``spectok.simulate.conf.templates``, else the
        environment variable ``SPECTOK_TEMPLATES``, else each file is downloaded once and kept in
        astropy's cache. Checksums are checked in every case.
    spectra : iterable of `~specutils.Spectrum`
        SDSS spectra as ``spectok.surveys.sdss.read`` returns them: the survey's own best fit to
        each becomes a template. Objects outside the training set of the package's one split
        are left out.
    progress : bool, optional
        Whether to show a bar; by default on a terminal.

    Returns
    -------
    templates : `~spectok.simulate.Templates`
        All families whose files are there.

    Raises
    ------
    FileNotFoundError
        If not one family can be built; the message says which files are missing and what to do.
    NotADirectoryError
        If the folder does not exist.
    OSError
        If a file has the wrong checksum.

    Warns
    -----
    astropy.utils.exceptions.AstropyUserWarning
        If some families are left out because their files are missing, or some spectra give no
        template: once each, with all names or their number.

    Examples
    --------
    >>> from spectok import simulate
    >>> templates = simulate.build_templates(folder="templates")  # doctest: +SKIP
    >>> simulate.observe("sdss", 10, templates=templates)  # doctest: +SKIP
    """
    find = partial(_registry.find_template, folder=folder)
    fits_of = _fits()
    arrays: dict[str, torch.Tensor] = {}
    about: dict[str, dict] = {}
    missing: dict[str, str] = {}
    families = {**_optical.FAMILIES, **_stars.FAMILIES}
    bar = progress_bar(
        "templates", over=families.items(), unit="family", progress=progress, patient=False
    )
    for name, build in bar:
        try:
            own, about[name] = build(find, fits_of)
        except FileNotFoundError as error:
            missing[name] = str(error)
            continue
        _add(arrays, name, own)
    if not about:
        name, reason = next(iter(missing.items()))
        raise FileNotFoundError(
            f"no template file was found for any of {', '.join(missing)}. {name}: {reason}"
        )
    if missing:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in missing.items())
        warnings.warn(
            f"templates left out: {', '.join(missing)}. {reasons}",
            AstropyUserWarning,
            stacklevel=2,
        )
    given = list(spectra)
    rows = training_models(given)
    if len(rows) < len(given):
        warnings.warn(
            f"{len(given) - len(rows)} of {len(given)} spectra give no template: they are not of "
            "the training set, or lack the survey's model, a position, a class or a redshift that "
            "the survey trusts",
            AstropyUserWarning,
            stacklevel=2,
        )
    for kind in ("galaxy", "quasar", "star") if rows else ():
        made = _optical.models(rows, kind)
        if made is not None:
            own, about[f"{kind}-sdss"] = made
            _add(arrays, f"{kind}-sdss", own)
    return Templates(arrays, about)


def _add(arrays: dict[str, torch.Tensor], name: str, own: dict[str, np.ndarray]) -> None:
    for key, value in own.items():
        value = np.ascontiguousarray(value)
        if value.dtype == np.float64:
            value = value.astype(np.float32)
        arrays[f"{name}.{key}"] = torch.from_numpy(value)


def _fits() -> dict[str, np.ndarray]:
    """Coefficients of the quasar bases, fitted to training spectra by the recipe."""
    with safe_open(MEASURED, "np") as file:
        return {
            key.removesuffix(".coeff"): file.get_tensor(key).astype(float)
            for key in file.keys()
            if key.endswith(".coeff")
        }


def training_models(spectra: Iterable[Spectrum]) -> list[dict]:
    """Collect from training spectra what templates need of the survey's best fits.

    Parameters
    ----------
    spectra : iterable of `~specutils.Spectrum`
        With ``ra``, ``dec``, ``label`` and, where the survey has one, ``model`` in ``meta``.

    Returns
    -------
    rows : list of dict
        ``wavelength``, ``model``, ``z`` and ``class``; spectra of the validation and test sets,
        those without position, model, class or redshift, and those whose redshift the survey
        itself doubts, are left out.
    """
    rows = []
    for spectrum in spectra:
        meta, label = spectrum.meta, spectrum.meta.get("label", {})
        if not {"ra", "dec", "model"} <= meta.keys() or not {"class", "z"} <= label.keys():
            continue
        if not np.isfinite([meta["ra"], meta["dec"]]).all() or label.get("zwarning", 0) != 0:
            continue
        if str(sky_split(meta["ra"], meta["dec"])) != "train":
            continue
        rows.append(
            {
                "wavelength": spectrum.spectral_axis.to_value(u.AA),
                "model": np.asarray(meta["model"], float),
                "z": float(label["z"]),
                "class": str(label["class"]).strip(),
            }
        )
    return rows
