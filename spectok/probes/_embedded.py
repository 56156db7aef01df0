"""Spectra with embeddings, given or made by the model behind the tokens."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from spectok._codec import embed
from spectok._codec._network import matching
from spectok._tokens import meta_of, sequences
from spectok.probes._sequences import as_inputs

if TYPE_CHECKING:
    import torch

    from spectok.model import SpectralTokenizer

__all__ = ["Spectra", "as_embedded", "can_embed", "has_reader", "named"]


@dataclasses.dataclass(frozen=True, eq=False)
class Spectra:
    """N spectra that can be told apart.

    Attributes
    ----------
    what : str
        What the caller's argument is called.
    table : `~astropy.table.Table` or None
        Their token table.
    vector : array of float32, shape (N, E), or None
        Their embeddings, which mean nothing where ``valid`` is False.
    index, names : arrays, shape (N,)
        Their ``spectrum_index`` and ``object_id``; counted where they have none.
    valid : array of bool, shape (N,)
        Whether they have a valid token.
    meta : dict
        Of the table.
    """

    what: str
    table: Table | None
    vector: NDArray[np.float32] | None
    index: NDArray[np.int64]
    names: NDArray
    valid: NDArray[np.bool_]
    meta: dict[str, Any]

    @property
    def embedding(self) -> NDArray[np.float32]:
        """The vectors, where there must be some.

        Raises
        ------
        TypeError
            Where there are none: `as_embedded` makes them.
        """
        if self.vector is None:
            raise TypeError(f"{self.what} has no embeddings: make them by spectok.embed(tokens)")
        return self.vector

    def __len__(self) -> int:
        return len(self.index)


def named(given: Any, what: str) -> Spectra:
    """Read tokens or embeddings, with the names of the spectra.

    Raises
    ------
    TypeError, ValueError
        As `as_inputs`, and for items of tokens, which can be neither embedded nor decoded.
    """
    if isinstance(given, Table) and "token" in given.colnames:
        found = sequences(given)
        return Spectra(
            what,
            given,
            None,
            np.array([one.index for one in found]),
            np.array([one.object_id for one in found]),
            np.array([bool(one.valid.any()) for one in found]),
            dict(meta_of(given)),
        )
    inputs = as_inputs(given)
    if inputs.vector is None:
        raise TypeError(
            f"{what} holds tokens without embeddings: give the token table of spectok.encode, the "
            "table of spectok.embed, or spectok.group(tokens, spectok.embed(tokens))"
        )
    index: NDArray = np.arange(len(inputs))
    names: NDArray = index.astype(str)
    meta = dict(inputs.made_by)
    if isinstance(given, Table):
        columns = {name: np.ma.getdata(given[name]) for name in given.colnames}
        index = np.asarray(columns.get("spectrum_index", index))
        names = np.asarray(columns.get("object_id", names))
        names = np.char.decode(names, "utf-8") if names.dtype.kind == "S" else names
        names = names.astype(str) if names.dtype.kind == "O" else names
    return Spectra(what, None, inputs.vector, index, names, inputs.filled, meta)


def has_reader(network: SpectralTokenizer) -> bool:
    """Whether a model makes embeddings."""
    return network.reader is not None


def can_embed(side: Spectra, model: SpectralTokenizer | str | None) -> bool:
    """Whether spectra have embeddings, or the model behind their tokens makes them."""
    if side.vector is not None:
        return True
    return has_reader(matching(side.meta, model, None))


def as_embedded(
    side: Spectra, model: SpectralTokenizer | str | None, device: str | torch.device | None
) -> Spectra:
    """Spectra with their embeddings, made of the tokens where there are none."""
    if side.vector is not None:
        return side
    made = embed(side.table, model=model, device=device)
    return dataclasses.replace(side, vector=np.asarray(made["embedding"], np.float32))
