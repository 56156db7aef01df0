"""Files that come with the weights: heads that answer at once, and names of training spectra."""

from __future__ import annotations

import json
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units as u
from astropy.table import QTable

from spectok._weights import model_identity, resolve
from spectok.probes._save import AnyProbe, load_probe

if TYPE_CHECKING:
    from spectok.model import SpectralTokenizer

__all__ = ["CATALOGUE", "catalogue", "heads_of", "load_head"]

CATALOGUE = "catalogue"
_FILE = "catalogue.safetensors"


def load_head(name: str, *, model: SpectralTokenizer | str | None = None) -> AnyProbe:
    """Load a probe that comes with the weights: no labels and no training of one's own needed.

    ``small-v1.2`` has two, of optical spectra: ``"class"`` (galaxy, quasar or star) reads what
    `spectok.embed` returns, and ``"redshift"``, a `RedshiftProbe`, token tables. How good they
    are, on mocks and on real spectra, stands on the card of the weights, on the page "Models" of
    the documentation.

    Parameters
    ----------
    name : str
        Name of the head.
    model : `~spectok.SpectralTokenizer`, str or path, optional
        Whose; by default the model that comes with the package.

    Returns
    -------
    probe : `ProbeClassifier`, `ProbeRegressor` or `RedshiftProbe`
        Fitted. It takes tokens or embeddings that were made with the same model.

    Raises
    ------
    ValueError
        For a head that there is not, and for a model without any.

    See Also
    --------
    first_look : What all heads say of spectra.
    catalogue : The spectra to compare with.

    Examples
    --------
    >>> import spectok
    >>> from spectok import probes, simulate
    >>> quasars = simulate.observe("sdss", 2, kind="quasar", seed=3, snr=30)
    >>> probe = probes.load_head("class")
    >>> probe.classes_.tolist()
    ['GALAXY', 'QSO', 'STAR']
    >>> probe.predict(spectok.embed(quasars)).shape
    (2,)
    >>> peaks = probes.load_head("redshift").predict_peaks(spectok.encode(quasars))
    >>> peaks.colnames[:3]
    ['redshift', 'std', 'confidence']
    """
    folder, owner, sha256 = _shipped_for(model)
    there = _heads_in(folder)
    if name not in there:
        raise ValueError(
            f"no head {name!r} comes with the model {owner!r}: "
            + (f"there are {', '.join(there)}" if there else "it has none")
        )
    with resources.as_file(folder / f"{name}.safetensors") as path:
        probe = load_probe(path)
    _same_weights(probe.tokenizer_.get("SHA256"), owner, sha256, f"the head {name!r}")
    return probe


def heads_of(model: SpectralTokenizer | str | None) -> list[str]:
    """Names of the heads that come with a model."""
    return _heads_in(_shipped_for(model)[0])


def _heads_in(folder: Any) -> list[str]:
    if not folder.is_dir():
        return []
    files = (entry.name for entry in folder.iterdir())
    names = (name.removesuffix(".safetensors") for name in files if name != _FILE)
    return sorted(names)


def catalogue(*, model: SpectralTokenizer | str | None = None) -> QTable:
    """Embeddings of the public training spectra, with their names, classes and redshifts.

    What `neighbours` compares a spectrum with where no other reference is given. They are SDSS's
    (and a few of DESI's) training spectra of the package's one split: whoever tests a probe on
    them tests on what the weights have seen.

    Parameters
    ----------
    model : `~spectok.SpectralTokenizer`, str or path, optional
        Whose embeddings; by default those of the model that comes with the package.

    Returns
    -------
    table : `~astropy.table.QTable`
        One row per spectrum: ``spectrum_index``, ``object_id`` (SDSS: plate-mjd-fiber),
        ``survey``, ``class``, ``subclass``, ``redshift`` (NaN where the survey doubts it),
        ``snr``, ``ra``, ``dec`` and ``embedding``.

    Raises
    ------
    ValueError
        For a model without one.

    References
    ----------
    Sloan Digital Sky Survey, https://www.sdss.org; DESI Collaboration (2024), AJ 168, 58.

    Examples
    --------
    >>> from spectok import probes
    >>> table = probes.catalogue()
    >>> table["embedding"].shape[1]
    128
    >>> sorted(set(table["class"].tolist()))
    ['GALAXY', 'QSO', 'STAR']
    """
    from safetensors import safe_open

    folder, owner, sha256 = _shipped_for(model)
    if not (folder / _FILE).is_file():
        raise ValueError(
            f"no catalogue comes with the model {owner!r}: give a table of spectok.embed as "
            "reference="
        )
    with resources.as_file(folder / _FILE) as path, safe_open(path, "numpy") as stored:
        made = stored.metadata()
        arrays = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    _same_weights(made["sha256"], owner, sha256, "the catalogue")
    text = {name: np.array(values) for name, values in json.loads(made["columns"]).items()}
    table = QTable(
        {
            "spectrum_index": np.arange(len(arrays["z"])),
            **text,
            "redshift": arrays["z"],
            "snr": arrays["snr"],
            "ra": arrays["ra"] * u.deg,
            "dec": arrays["dec"] * u.deg,
            "embedding": arrays["embedding"].astype(np.float32),
        }
    )
    table.meta.update({"MODEL": made["model"], "SHA256": made["sha256"]})
    table["embedding"].info.format = ".3f"
    return table


def _shipped_for(model: SpectralTokenizer | str | None) -> tuple[Any, str, str]:
    """The folder of what comes with a model, the model's name and the sha256 of its weights."""
    name, sha256 = model_identity(resolve(model, None))
    return resources.files("spectok.probes") / "heads" / name, name, sha256


def _same_weights(made_with: str | None, name: str, sha256: str, what: str) -> None:
    if made_with != sha256:
        raise ValueError(
            f"{what} that comes with {name!r} was made with other weights (sha256 {made_with}, "
            f"these have {sha256}): load the model {name!r} of this version of spectok"
        )
