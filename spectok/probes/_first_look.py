"""First look at spectra: all that the weights know of each, in one row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.table import QTable, Table

from spectok._codec import embed, encode
from spectok._tokens import group, sequences
from spectok._weights import resolve
from spectok.probes._nearest import nearest_vectors
from spectok.probes._novelty_reference import Reference, judge_embeddings
from spectok.probes._shipped import catalogue, heads_of, load_head

if TYPE_CHECKING:
    import torch

    from spectok.model import SpectralTokenizer

__all__ = ["first_look"]

# A spectrum of which fewer ordinary ones than this share are as far from all others: of 235 real
# test spectra (recipes/heads/train.py) one is below it with the default weights.
_STRANGE = 0.01
_OF_STARS = 0.004  # redshifts up to which stars are found
# Wavelengths [Angstrom] where heads have learned, and how much of a spectrum must lie there.
_OPTICAL, _LEAST, _SPAN = (3500.0, 10600.0), 0.8, 1500.0


def first_look(
    spectra: Any,
    *,
    model: SpectralTokenizer | str | None = None,
    medium: str | None = None,
    arms: bool = False,
    device: str | torch.device | None = None,
) -> QTable:
    """Say of spectra what they probably are, and which known spectra they look like.

    Parameters
    ----------
    spectra : spectra as for `spectok.embed`, or a table of it, or a token table
        What is to be looked at.
    model : `~spectok.SpectralTokenizer`, str or path, optional
        One that heads come with; by default the model that comes with the package.
    medium, arms, device : as for `spectok.encode`
        What they are there.

    Returns
    -------
    table : `~astropy.table.QTable`
        One row per spectrum: ``spectrum_index``, ``object_id``; ``class`` and its
        ``probability``, as if all classes were equally frequent; ``redshift``, its standard
        deviation ``redshift_std`` and ``redshift_confidence``, the probability that it is right
        within 1,000 km/s (of tables of `spectok.embed` nothing: redshifts are read from tokens);
        ``ordinary``, the share of
        ordinary spectra that lie as far from others; the nearest spectrum of the `catalogue`:
        ``nearest_id``, ``nearest_class``, ``nearest_redshift`` and its ``distance`` (one minus
        the cosine); and ``remark``, which says why something is left out. What is left out is
        empty or NaN.

    Raises
    ------
    ValueError
        For a model that nothing comes with.

    Notes
    -----
    A first look, not a measurement: how often classes and redshifts are right stands on the card
    of the weights, on the page "Models" of the documentation. `load_head` gives the probes
    themselves, with all probabilities. `ProbeClassifier`, `ProbeRegressor` and `RedshiftProbe`
    learn from labels of your own.

    Examples
    --------
    >>> from spectok import probes, simulate
    >>> table = probes.first_look(simulate.observe("sdss", 2, seed=3, snr=30))
    >>> table.colnames[:4]
    ['spectrum_index', 'object_id', 'class', 'probability']
    """
    network = resolve(model, device)
    known = catalogue(model=network)
    given, tokens = spectra, None
    if not (isinstance(spectra, Table) and "embedding" in spectra.colnames):
        tokens = spectra
        if not (isinstance(spectra, Table) and "token" in spectra.colnames):
            tokens = encode(spectra, model=network, medium=medium, arms=arms, device=device)
        given = embed(tokens, model=network, device=device)
    n = len(given)
    valid = np.asarray(given["n_valid"]) > 0
    vector = np.asarray(given["embedding"], np.float32)
    out = QTable({name: given[name] for name in ("spectrum_index", "object_id")})
    remark = np.where(valid, "", "no valid token").astype(object)
    there = heads_of(network)

    optical = valid if tokens is None else _are_optical(tokens)
    kind, probability = np.full(n, "", "U8"), np.full(n, np.nan)
    if "class" in there and optical.any():
        head = load_head("class", model=network)
        share = head.predict_proba(given[optical])
        kind[optical] = head.classes_[share.argmax(1)]
        probability[optical] = share.max(1)
    out["class"], out["probability"] = kind, probability
    peaks, sure = np.full((3, n), np.nan), np.zeros(n, bool)
    if "redshift" in there and tokens is not None and optical.any():
        found = load_head("redshift", model=network).predict_peaks(group(tokens)[optical])
        for row, name in zip(peaks, ("redshift", "std", "confidence"), strict=True):
            row[optical] = found[name]
        sure[optical] = ~found["warning"]
    out["redshift"], out["redshift_std"], out["redshift_confidence"] = peaks
    if tokens is None:
        remark[valid] = (
            "an embedding alone: no redshift, and not known whether the spectrum lies where "
            "classes were learned"
        )
    star, near = kind == "STAR", np.abs(peaks[0]) < _OF_STARS
    against = sure & (kind != "") & (star != near)
    remark[against] = [
        f"class and redshift contradict each other: {'no star has' if one else 'stars have'} this "
        "redshift"
        for one in star[against]
    ]
    remark[valid & ~optical] = (
        "no class and no redshift: they were learned from spectra that cover 1,500 Angstrom or "
        "more between 3,500 and 10,600"
    )

    ordinary = np.full(n, np.nan)
    reference = Reference.shipped(network)
    if reference.embedding is not None and valid.any():
        ordinary[valid] = judge_embeddings(vector[valid], reference.embedding)[1]
    out["ordinary"] = ordinary
    strange = ordinary < _STRANGE
    odd = f"further from others than {1 - _STRANGE:.1%} of ordinary spectra: trust nothing here"
    remark[strange] = [f"{text}; {odd}" if text else odd for text in remark[strange]]

    row, away = np.zeros(n, int), np.full(n, np.nan)
    if valid.any():
        found, distance = nearest_vectors(vector[valid], known["embedding"], 1, own=False)
        row[valid], away[valid] = found[:, 0], distance[:, 0]
    for name, column in (("id", "object_id"), ("class", "class"), ("redshift", "redshift")):
        values_ = np.asarray(known[column])[row]
        empty = np.nan if values_.dtype.kind == "f" else ""
        out[f"nearest_{name}"] = np.where(valid, values_, empty)
    out["distance"] = away
    out["remark"] = remark.astype(str)
    for name in ("probability", "redshift_confidence", "ordinary", "distance"):
        out[name].info.format = ".3f"
    for name in ("redshift", "redshift_std"):
        out[name].info.format = ".5f"
    return out


def _are_optical(tokens: Table) -> np.ndarray:
    """Which spectra lie where classes were learned."""
    found = []
    for one in sequences(tokens):
        at = one.wavelength[one.valid]
        inside = np.mean((at > _OPTICAL[0]) & (at < _OPTICAL[1])) if at.size else 0.0
        found.append(bool(inside >= _LEAST and np.ptp(at) >= _SPAN and not _has_gaps(at)))
    return np.array(found, bool)


def _has_gaps(at: np.ndarray) -> bool:
    """Whether less than half of the range is covered: GALAH's four short arms."""
    step = np.diff(np.sort(at))
    return bool(step[step > 100.0].sum() > 0.5 * np.ptp(at))
