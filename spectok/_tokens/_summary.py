"""What users do with token tables: one vector or one item per spectrum, and joins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from astropy import units as u
from astropy.table import QTable, Table, vstack

from spectok._tokens._refusals import reasons_of, reasons_to_text, refused_of
from spectok._tokens._table import (
    check_table,
    has_unit,
    id_column,
    kept_of,
    legible,
    meta_of,
    sequences,
)

__all__ = ["concatenate", "group", "pool"]

_POOLS: dict[str, Callable[..., np.ndarray]] = {
    "mean": np.mean,
    "max": np.max,
    "median": np.median,
}


def pool(tokens: Table, how: str = "mean") -> QTable:
    """The plain mean, maximum or median of each spectrum's tokens.

    It says how bright, noisy and coloured a spectrum is, and little of what the object is: for
    classes, labels, searches and maps take `spectok.embed`.

    Parameters
    ----------
    tokens : `~astropy.table.QTable`
        From `spectok.encode`.
    how : str
        ``"mean"``, ``"max"`` or ``"median"`` over a spectrum's valid tokens.

    Returns
    -------
    vectors : `~astropy.table.QTable`
        One row per spectrum: ``spectrum_index``, ``object_id``, ``n_tokens``, ``valid`` (False
        where there was no valid token; the vector is then zero), ``flags``, ``vector``
        (float32, shape (N, C)), and what ``keep`` of `spectok.encode` kept.

    Raises
    ------
    ValueError
        For another ``how``, and for tables that are no token tables.

    See Also
    --------
    spectok.embed : One vector per spectrum that was learned for these purposes.
    group : All tokens of every spectrum.

    References
    ----------
    Shen et al. (2025), arXiv:2510.17959, section 3 (mean-pooled embeddings).

    Examples
    --------
    >>> import numpy as np, spectok
    >>> wavelength = np.linspace(4000.0, 5000.0, 640)
    >>> flux = np.random.default_rng(0).normal(10.0, 1.0, (2, 640))
    >>> tokens = spectok.encode_arrays(wavelength, flux, ivar=np.ones((2, 640)))
    >>> spectok.pool(tokens)["vector"].shape
    (2, 16)
    """
    if how not in _POOLS:
        raise ValueError(f"how must be one of {', '.join(_POOLS)}, not {how!r}")
    spectra = sequences(tokens)
    vectors = np.zeros((len(spectra), spectra[0].token.shape[-1]), np.float32)
    for row, s in enumerate(spectra):
        if s.valid.any():
            vectors[row] = _POOLS[how](s.token[s.valid], axis=0)
    table = QTable(
        {
            "spectrum_index": [s.index for s in spectra],
            "object_id": id_column([s.object_id for s in spectra]),
            "n_tokens": [int(s.valid.sum()) for s in spectra],
            "valid": [bool(s.valid.any()) for s in spectra],
            "flags": [s.flags for s in spectra],
            "vector": vectors,
        }
    )
    for name, column in kept_of(tokens, spectra).items():
        if name not in table.colnames:
            table[name] = column
    table.meta.update(meta_of(tokens) | refused_of(tokens))
    return legible(table)


def group(tokens: Table, vectors: Any = None) -> np.ndarray:
    """The tokens of each spectrum as one item, for scikit-learn and the like.

    Parameters
    ----------
    tokens : `~astropy.table.QTable`
        From `spectok.encode`.
    vectors : `~astropy.table.Table` or `numpy.ndarray`, optional
        What is to stand beside the tokens: the table of `spectok.embed` of the same spectra, or
        other numbers of shape (N, E), in ascending ``spectrum_index``.

    Returns
    -------
    items : `numpy.ndarray`, shape (N,)
        In ascending ``spectrum_index``. Each item is a structured array of the spectrum's T
        valid tokens in ascending wavelength, with the fields ``wavelength`` (float64, vacuum
        Angstrom), ``half`` (float64, Angstrom from there to the patch's outer edges) and
        ``token`` (float32, C); of light curves in ascending time, with ``time`` (days since the
        object's first point) in place of wavelength, and ``band`` (Angstrom).
        ``item.dtype.metadata`` names the model that made the tokens,
        which is how `spectok.probes` refuses those of another. With vectors, the array of N is
        itself structured: the field ``tokens`` holds these items, ``vector`` (float32, E) the
        vectors, not a number where a spectrum has none.

    Raises
    ------
    ValueError
        For tables that are no token tables, and for vectors of other spectra or another model.

    See Also
    --------
    pool : One vector per spectrum.

    Examples
    --------
    >>> import numpy as np, spectok
    >>> wavelength = np.linspace(4000.0, 5000.0, 640)
    >>> flux = np.random.default_rng(0).normal(10.0, 1.0, (2, 640))
    >>> tokens = spectok.encode_arrays(wavelength, flux, ivar=np.ones((2, 640)))
    >>> items = spectok.group(tokens)
    >>> len(items), items[0]["token"].shape
    (2, (20, 16))
    """
    spectra = sequences(tokens)
    size = spectra[0].token.shape[-1]
    meta = meta_of(tokens)
    # What made the tokens travels with every item, so that a probe can refuse another model's.
    made_by: dict[str, Any] = {
        key: meta[key] for key in ("MODEL", "SHA256", "CONTEXT", "FRAME") if key in meta
    }
    place = "wavelength" if spectra[0].band is None else "time"
    beside = [] if spectra[0].band is None else [("band", np.float64)]
    fields = np.dtype(
        [(place, np.float64), ("half", np.float64), *beside, ("token", np.float32, (size,))],
        metadata=made_by,
    )
    # From the middle of the first pixel to its edge, padding of the last patch included.
    to_edge = meta["PATCH"] / max(meta["PATCH"] - 1, 1)
    items = np.empty(len(spectra), dtype=object)
    for row, s in enumerate(spectra):
        items[row] = np.empty(int(s.valid.sum()), fields)
        items[row][place] = (s.wavelength - s.origin)[s.valid]
        if s.band is not None:
            items[row]["band"] = s.band[s.valid]
        items[row]["half"] = to_edge * (s.wavelength - s.wavelength_min)[s.valid]
        items[row]["token"] = s.token[s.valid]
    if vectors is None:
        return items
    given = _vectors_of(vectors, [s.index for s in spectra], meta)
    both = np.empty(len(items), [("tokens", object), ("vector", np.float32, given.shape[1:])])
    both["tokens"], both["vector"] = items, given
    return both


def _vectors_of(given: Any, index: list[int], meta: dict[str, Any]) -> np.ndarray:
    """Vectors of these spectra, (N, E)."""
    if isinstance(given, Table):
        name = next((n for n in ("embedding", "vector") if n in given.colnames), None)
        if name is None or "spectrum_index" not in given.colnames:
            raise ValueError(
                "vectors must be a table of spectok.embed or an array of shape (N, E), and this "
                f"table has the columns {', '.join(given.colnames)}"
            )
        known = {str(key).upper(): value for key, value in given.meta.items()}
        if known.get("SHA256", meta["SHA256"]) != meta["SHA256"]:
            raise ValueError(
                f"the vectors were made by the model {known.get('MODEL')!r}, the tokens by "
                f"{meta['MODEL']!r}: make both with one model"
            )
        at = {int(k): row for row, k in enumerate(given["spectrum_index"])}
        if sorted(at) != sorted(index) or len(given) != len(index):
            raise ValueError(
                f"the vectors are of {len(given)} spectra, the tokens of {len(index)}, and they "
                "must be the same by spectrum_index: make them with spectok.embed(tokens)"
            )
        given = np.ma.asarray(given[name])[[at[k] for k in index]]
    vectors = np.ma.filled(np.ma.asarray(given, np.float32), np.nan)
    if vectors.ndim != 2 or len(vectors) != len(index):
        raise ValueError(
            f"vectors of shape {vectors.shape} for {len(index)} spectra: give one for each, of "
            "shape (N, E)"
        )
    return vectors


def concatenate(tables: Sequence[Table]) -> QTable:
    """Join token tables of several calls into one.

    Parameters
    ----------
    tables : sequence of `~astropy.table.QTable`
        From `spectok.encode`, all with the same weights and flux units that convert.

    Returns
    -------
    tokens : `~astropy.table.QTable`
        ``spectrum_index`` runs on from table to table, each table's gaps kept; ``object_id``
        stays as it was, and becomes text where only some tables have integers. The scale is in
        the flux unit of the first table. Columns of ``keep`` that a table lacks are masked there.

    Raises
    ------
    ValueError
        Where there is no table, where weights differ, where flux units do not convert, or where
        some tokens were brought to rest and others were not.

    Examples
    --------
    >>> import numpy as np, spectok
    >>> wavelength = np.linspace(4000.0, 5000.0, 640)
    >>> flux = np.random.default_rng(0).normal(10.0, 1.0, (2, 640))
    >>> tokens = spectok.encode_arrays(wavelength, flux, ivar=np.ones((2, 640)))
    >>> len(spectok.pool(spectok.concatenate([tokens, tokens])))
    4
    """
    if isinstance(tables, Table):
        raise TypeError("expected a list of token tables, got one table: there is nothing to join")
    tables = list(tables)
    if not tables:
        raise ValueError("there is no table to concatenate")
    joined: list[QTable] = []
    reasons: dict[int, str] = {}
    first, offset = None, 0
    for number, table in enumerate(tables):
        check_table(table)
        meta = meta_of(table)
        first = first or meta
        for key in ("SHA256", "PATCH"):
            if meta[key] != first[key]:
                raise ValueError(
                    f"table {number} was made by the model {meta['MODEL']!r} ({key} {meta[key]}), "
                    f"table 0 by {first['MODEL']!r} ({first[key]}): their tokens mean different "
                    "things; encode the spectra again with one model"
                )
        if meta.get("FRAME") != first.get("FRAME"):
            raise ValueError(
                f"table {number} has tokens {meta.get('FRAME', 'as observed')!r}, table 0 "
                f"{first.get('FRAME', 'as observed')!r}: bring all spectra to rest, with one step "
                "(spectok.to_rest_frame), or none"
            )
        if meta.get("PRECIS") != first.get("PRECIS"):
            # The table says the worse of what its parts are.
            first = {**first, "PRECIS": meta.get("PRECIS") or first["PRECIS"]}
        part = QTable(table, copy=True)
        part.meta.clear()
        index = np.asarray(part["spectrum_index"])
        part["spectrum_index"] = index + offset
        reasons |= {k + offset: reason for k, reason in reasons_of(table).items()}
        offset += int(index.max()) + 1
        if joined and has_unit(part["scale"]) != has_unit(joined[0]["scale"]):
            raise ValueError(
                f"of tables 0 and {number} one has lost the unit of its column scale, as other "
                "programs leave it: set table['scale'].unit again before they are joined"
            )
        if meta["FLUXUNIT"] != first["FLUXUNIT"]:
            part["scale"] = _rescaled(part["scale"], joined[0]["scale"], number)
        joined.append(part)
    _same_kind_of_names(joined)
    out = vstack(joined, metadata_conflicts="silent")
    out.meta.update(first)
    if reasons:
        out.meta["REFUSED"] = reasons_to_text(reasons)
    return out


def _same_kind_of_names(tables: list[QTable]) -> None:
    """Make identifiers text in all tables, unless all have integers."""
    columns = [np.asarray(table["object_id"]) for table in tables]
    if all(column.dtype.kind in "iu" for column in columns):
        return
    for table, column in zip(tables, columns, strict=True):
        if column.dtype.kind == "S":
            column = np.char.decode(column, "utf-8")
        table["object_id"] = column.astype(str)


def _rescaled(scale: Any, like: Any, number: int) -> u.Quantity:
    ours, theirs = u.Quantity(scale), u.Quantity(like)
    try:
        return ours.to(theirs.unit)
    except u.UnitConversionError as error:
        raise ValueError(
            f"the scale of table {number} is in {ours.unit}, that of table 0 in {theirs.unit}: "
            "these do not convert; keep the tables apart"
        ) from error
