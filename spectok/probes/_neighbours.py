"""Nearest spectra of every spectrum, across surveys."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.table import QTable, Table

from spectok._codec import embed
from spectok._tokens import is_of_curves
from spectok.probes._decoded import nearest_decoded
from spectok.probes._embedded import Spectra, as_embedded, can_embed, named
from spectok.probes._shipped import CATALOGUE, catalogue

if TYPE_CHECKING:
    import torch

    from spectok.model import SpectralTokenizer

__all__ = ["neighbours"]

_METHODS = ("auto", "embedding", "flux")


def neighbours(
    tokens: Any,
    reference: Any = None,
    *,
    n: int = 5,
    method: str = "auto",
    continuum: bool = True,
    model: SpectralTokenizer | str | None = None,
    device: str | torch.device | None = None,
) -> QTable:
    r"""The nearest reference spectra of every spectrum, across surveys.

    By their embeddings: the distance of two spectra is one minus the cosine between these, over
    all numbers. Any two spectra have one, whatever their wavelengths. Where there is no
    embedding, by what their tokens decode to. What a token's numbers mean depends on the sampling
    of its patch, so tokens of two surveys are not compared themselves: both tables are decoded
    onto one coarse grid (ten pixels of the coarser survey per point, evenly in the logarithm of
    the wavelength), and the distance is one minus the cosine over the points that both cover,

    .. math:: 1 - \frac{\sum_p w_p x_p y_p}{\sqrt{\sum_p w_p x_p^2 \sum_p w_p y_p^2}},

    where a point's weight w falls with the decoder's errors of both. It does not depend on the
    brightness of either. Redshift is not taken out: neighbours look alike as observed.

    Parameters
    ----------
    tokens : `~astropy.table.Table`, sequence or `numpy.ndarray`
        From `spectok.embed` or `spectok.encode`; or what else holds an embedding of every
        spectrum: items of `spectok.group` with vectors, or numbers of shape (N, E). Spectra are
        embedded.
    reference : as ``tokens``, or ``"catalogue"``, optional
        Made with the same weights; ``"catalogue"``: the `catalogue` of public spectra that comes
        with them. By default ``tokens``, and then no spectrum is its own neighbour; of a single
        spectrum the catalogue.
    n : int
        Neighbours per spectrum.
    method : {"auto", "embedding", "flux"}
        ``"auto"``: embeddings where both sides have one or their model makes one, else flux.
        ``"flux"`` takes token tables only.
    continuum : bool
        False compares lines and breaks of the flux only, what is left after subtracting a running
        mean, and so not embeddings. The same object in another survey is found more often with
        the continuum; objects of the same class and redshift without it.
    model : `~spectok.SpectralTokenizer`, str or path, optional
        By default the one that the tables name.
    device : str or `torch.device`, optional
        Where to embed or decode.

    Returns
    -------
    table : `~astropy.table.QTable`
        For every spectrum n rows, the nearest first and of the equally near the first in the
        reference: ``spectrum_index`` and ``object_id`` of the spectrum, ``rank`` from 1,
        ``neighbour_index`` and ``neighbour_id`` (its ``spectrum_index`` and ``object_id`` in
        ``reference``) and ``distance`` (0 to 2). Where too few reference spectra share
        wavelengths with a spectrum, or it has no valid token, the rest of its rows have the index
        -1, an empty name and a distance of NaN, and one warning counts those spectra. Where the
        reference has the columns ``class`` and ``redshift``, as the catalogue has, those of the
        neighbours follow.
        ``meta["METHOD"]`` says which method it was.

    Raises
    ------
    TypeError
        - For what holds neither tokens nor vectors.
        - For a method for which there is no input.
    ValueError
        - For n below 1, or another method.
        - For sides of different weights or sizes.
        - Where no spectrum shares wavelengths with any reference.

    Notes
    -----
    ``benchmarks/probes.py`` (task ``across``) measures how often an object that two surveys
    observe is its own first neighbour, beside pooled tokens and flux. The search among embeddings
    compares all with all, a block at a time (scikit-learn, which the extra ``probes`` brings):
    ten queries among a million take some seconds.

    Examples
    --------
    >>> import spectok
    >>> from spectok import simulate
    >>> from spectok.probes import neighbours
    >>> sdss, desi = simulate.observe_pairs("sdss", "desi", 4, seed=1, snr=30)
    >>> found = neighbours(spectok.encode(sdss), spectok.encode(desi), n=1, method="flux")
    >>> found["neighbour_index"].tolist()
    [0, 1, 2, 3]
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, not {n}")
    if method not in _METHODS:
        raise ValueError(f"method must be one of {', '.join(_METHODS)}, not {method!r}")
    if method == "embedding" and not continuum:
        raise ValueError(
            "an embedding has no continuum that could be left out: use method='flux', or leave "
            "continuum=False out"
        )
    if _are_spectra(tokens):
        tokens = embed(tokens, model=model, device=device)
    asked = named(tokens, "tokens")
    # What made a lone vector must be known: numbers of anything else mean nothing there.
    lone = len(asked) == 1 and "SHA256" in asked.meta and method != "flux" and continuum
    if reference is None and lone or isinstance(reference, str):
        reference = _shipped(reference, asked, model)
    own = reference is None
    sides = [asked, *([] if own else [named(reference, "reference")])]
    if method == "auto":
        able = continuum and all(can_embed(side, model) for side in sides)
        method = "embedding" if able else "flux"
    if method == "embedding":
        sides = [as_embedded(side, model, device) for side in sides]
    _same_model(sides)
    asked, known = sides[0], sides[-1]
    search = _by_embedding if method == "embedding" else _by_flux
    index, distance = search(asked, None if own else known, n, continuum, model, device)
    _warn(asked, known, index, own)
    flat = index.ravel()
    there = np.maximum(flat, 0)
    nothing = "" if known.names.dtype.kind in "US" else -1
    table = QTable(
        {
            "spectrum_index": np.repeat(asked.index, n),
            "object_id": np.repeat(asked.names, n),
            "rank": np.tile(np.arange(1, n + 1), len(asked)),
            "neighbour_index": np.where(flat >= 0, known.index[there], -1),
            "neighbour_id": np.where(flat >= 0, known.names[there], nothing),
            "distance": distance.ravel(),
        }
    )
    if isinstance(reference, Table) and {"class", "redshift"} <= set(reference.colnames):
        for name, empty in (("class", ""), ("redshift", np.nan)):
            values = np.ma.getdata(reference[name])[there]
            table[f"neighbour_{name}"] = np.where(flat >= 0, values, empty)
    table.meta.update(asked.meta)
    table.meta["METHOD"] = method
    return table


def _are_spectra(given: Any) -> bool:
    first = given[0] if isinstance(given, (list, tuple)) and len(given) else given
    return hasattr(first, "spectral_axis")


def _shipped(reference: str | None, asked: Spectra, model: Any) -> Table | None:
    """The catalogue that comes with the weights, where it was asked for or nothing else is."""
    if reference not in (None, CATALOGUE):
        raise ValueError(f"reference must be a table or {CATALOGUE!r}, not {reference!r}")
    try:
        return catalogue(model=asked.meta.get("MODEL") if model is None else model)
    except ValueError:
        if reference is not None:
            raise
        return None  # the model has none: a lone spectrum has no neighbours


def _same_model(sides: list[Spectra]) -> None:
    """Refuse two sides whose numbers mean different things."""
    meta, other = sides[0].meta, sides[-1].meta
    for key in ("SHA256", "PATCH"):
        if key in meta and key in other and meta[key] != other[key]:
            raise ValueError(
                f"the tokens were made by the model {meta['MODEL']!r} ({key} {meta[key]}), the "
                f"reference by {other['MODEL']!r} ({other[key]}): encode both with one model"
            )
    if "SHA256" in meta and "SHA256" in other and ("FRAME" in meta) != ("FRAME" in other):
        raise ValueError(
            f"the tokens are {meta.get('FRAME', 'as observed')!r}, the reference "
            f"{other.get('FRAME', 'as observed')!r}: bring both to rest (spectok.to_rest_frame), "
            "or none"
        )


def _by_flux(
    asked: Spectra, known: Spectra | None, n: int, continuum: bool, model: Any, device: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Rows and distances (N, n) of the nearest by decoded flux."""
    for side in (asked, known):
        if side is not None and side.table is None:
            raise TypeError(
                f"method='flux' decodes, and {side.what} holds no token table: give that of "
                "spectok.encode; for method='embedding', a table of spectok.embed"
            )
        if side is not None and is_of_curves(side.table):
            raise ValueError(
                "method='flux' compares decoded spectra, and these are light curves: use "
                "method='embedding'"
            )
    reference = None if known is None else known.table
    return nearest_decoded(
        asked.table, reference, n, continuum=continuum, model=model, device=device
    )


def _by_embedding(
    asked: Spectra, known: Spectra | None, n: int, continuum: bool, model: Any, device: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Rows and distances (N, n) of the nearest by embedding."""
    from spectok.probes._nearest import nearest_vectors  # needs scikit-learn, the flux does not

    own = known is None
    known = asked if known is None else known
    if asked.embedding.shape[1] != known.embedding.shape[1]:
        raise ValueError(
            f"the embeddings have {asked.embedding.shape[1]} numbers, those of the reference "
            f"{known.embedding.shape[1]}: make both with one model"
        )
    left, right = np.flatnonzero(asked.valid), np.flatnonzero(known.valid)
    for rows, side in ((left, asked), (right, known)):
        if not len(rows):
            raise ValueError(
                f"no spectrum of {side.what} has a valid token: there is nothing to compare"
            )
    index, distance = np.full((len(asked), n), -1), np.full((len(asked), n), np.nan)
    count = min(n, len(right) - own)
    if count:
        found, away = nearest_vectors(
            asked.embedding[left], known.embedding[right], count, own=own
        )
        index[left, :count], distance[left, :count] = right[found], away
    return index, distance


def _warn(asked: Spectra, known: Spectra, index: np.ndarray, own: bool) -> None:
    """One warning for all that could not be compared."""
    parts = []
    n_unusable = 0 if own else int((~known.valid).sum())
    for which, text in (
        (~asked.valid, "have no valid token"),
        ((index[:, 0] < 0) & asked.valid, "share no wavelengths with any reference spectrum"),
        ((index[:, 0] >= 0) & (index[:, -1] < 0), "have fewer neighbours than asked for"),
    ):
        if which.any():
            first = asked.index[np.flatnonzero(which)[0]]
            parts.append(f"{which.sum()} of {len(asked)} spectra (first: {first}) {text}")
    if n_unusable:
        parts.append(f"{n_unusable} of {len(known)} reference spectra have no valid token")
    if parts:
        warnings.warn(f"neighbours: {'; '.join(parts)}", stacklevel=3)
