"""Sequences of tokens, vectors, or both, of every spectrum: the inputs of probes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from astropy.table import Table

from spectok._batch import padded
from spectok._tokens import group
from spectok.probes._curves import is_curve_item, on_a_line
from spectok.probes._network import ProbeBatch

__all__ = [
    "Inputs",
    "as_inputs",
    "as_sequences",
    "batches_of",
    "make_batch",
    "same_sizes",
    "same_tokenizer",
    "tokenizer_of",
]

_VECTORS = ("embedding", "vector")  # columns of spectok.embed and of spectok.pool
_BESIDE = ("tokens", "vector")  # fields of spectok.group with vectors


@dataclass(frozen=True, eq=False)
class Inputs:
    """N spectra as probes read them.

    Attributes
    ----------
    sequences : `numpy.ndarray` of object, shape (N,), or None
        Tokens of every spectrum, items as `spectok.group` gives them.
    vector : `numpy.ndarray` of float32, shape (N, E), or None
        An embedding or other numbers; of spectra without a valid token they mean nothing.
    filled : `numpy.ndarray` of bool, shape (N,)
        Which spectra have something to read.
    made_by : dict
        Name and checksum of the model behind them; empty where it is not known.
    """

    sequences: np.ndarray | None
    vector: np.ndarray | None
    filled: np.ndarray
    made_by: dict[str, Any]

    def __len__(self) -> int:
        return len(self.filled)

    def __getitem__(self, rows: Any) -> Inputs:
        return Inputs(
            None if self.sequences is None else self.sequences[rows],
            None if self.vector is None else self.vector[rows],
            self.filled[rows],
            self.made_by,
        )

    @property
    def tokens(self) -> np.ndarray:
        """The items, where there must be some.

        Raises
        ------
        TypeError
            Where there are vectors only.
        """
        if self.sequences is None:
            raise TypeError(
                "these are vectors without tokens, and tokens are needed here: give the token "
                "table of spectok.encode, or spectok.group(tokens)"
            )
        return self.sequences

    @property
    def sizes(self) -> tuple[int, int]:
        """Numbers of a token and of a vector; 0 where there is none."""
        token = 0 if self.sequences is None else self.sequences[0]["token"].shape[-1]
        return token, 0 if self.vector is None else self.vector.shape[1]

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of every spectrum, (N,)."""
        if self.sequences is None:
            return np.zeros(len(self), int)
        return np.array([len(item) for item in self.sequences], int)


def as_inputs(given: Any) -> Inputs:
    """Read whatever holds tokens or vectors of spectra.

    Parameters
    ----------
    given : `~astropy.table.Table`, sequence or `numpy.ndarray`
        A token table, a table of `spectok.embed` or `spectok.pool`, items of `spectok.group`
        with or without vectors, or an array of numbers of shape (N, E).

    Raises
    ------
    TypeError, ValueError
        Where it is none of these, is empty, has numbers that are not finite, or where its items
        differ in size or tokenizer.
    """
    if isinstance(given, Inputs):
        return given
    if hasattr(given, "spectral_axis"):
        raise TypeError(
            f"this is a {type(given).__name__}, and probes read what is made of spectra: give "
            "spectok.encode(spectra) or spectok.embed(spectra)"
        )
    if isinstance(given, Table):
        found = next((n for n in _VECTORS if n in given.colnames), None)
        if found and "token" not in given.colnames:
            return _of_table(given, found)
        return _of_items(group(given))
    names = getattr(getattr(given, "dtype", None), "names", None) or ()
    if isinstance(given, np.ndarray) and given.ndim == 1 and set(names) >= set(_BESIDE):
        return _of_both(given)
    if isinstance(given, (list, tuple)) and given and _is_both(given[0]):
        both = np.empty(len(given), given[0].dtype)
        for row, one in enumerate(given):
            both[row] = one
        return _of_both(both)
    if not names and _is_numbers(given) and np.ndim(given) == 2:
        unit = getattr(given, "unit", None)
        if unit is not None and unit.physical_type != "dimensionless":
            raise TypeError(
                f"these numbers have the unit {unit}, and vectors have none: give "
                "spectok.embed_arrays(wavelength, flux) of fluxes, or the plain values"
            )
        return _of_array(np.ma.filled(np.ma.asarray(given, np.float32), np.nan))
    return _of_items(given)


def as_sequences(tokens: Any) -> np.ndarray:
    """Token table, or what `spectok.group` made of one, to items: (N,) of object.

    Raises
    ------
    TypeError, ValueError
        As `as_inputs`, and for vectors without tokens.
    """
    return as_inputs(tokens).tokens


def _is_both(one: Any) -> bool:
    return isinstance(one, np.void) and set(one.dtype.names or ()) >= set(_BESIDE)


def _is_numbers(given: Any) -> bool:
    """Whether this is an array, of numbers: lists of lists are not guessed about."""
    kind = getattr(getattr(given, "dtype", None), "kind", None)
    # A table of pandas has one type a column; a tensor has a type of its own.
    if kind is None and not isinstance(given, (list, tuple)):
        kind = getattr(np.asarray(given), "dtype", np.dtype(object)).kind
    return kind in tuple("fiu")


def _of_table(table: Table, name: str) -> Inputs:
    """From a table with one vector a row."""
    vector = np.ma.asarray(table[name])
    if vector.ndim != 2 or not len(vector):
        raise ValueError(
            f"the column {name!r} must hold one vector for each of one spectrum or more, and its "
            f"shape is {vector.shape}: make the table with spectok.embed"
        )
    filled = np.ones(len(vector), bool)
    for key in ("n_valid", "valid"):
        if key in table.colnames:
            filled &= np.asarray(table[key]) > 0
    numbers = np.ma.filled(vector.astype(np.float32), np.nan)
    _refuse_broken(numbers, filled)
    meta = {str(key).upper(): value for key, value in table.meta.items()}
    made_by: dict[str, Any] = {
        key: meta[key] for key in ("MODEL", "SHA256", "FRAME") if key in meta
    }
    return Inputs(None, np.where(filled[:, None], numbers, 0.0), filled, made_by)


def _of_array(vector: np.ndarray) -> Inputs:
    if not vector.size:
        raise ValueError("there is no spectrum to work on")
    filled = np.ones(len(vector), bool)
    _refuse_broken(vector, filled)
    return Inputs(None, vector, filled, {})


def _of_both(both: np.ndarray) -> Inputs:
    """From items with vectors beside them."""
    if not len(both):
        raise ValueError("there is no spectrum to work on")
    inputs = _of_items(both["tokens"])
    vector = np.asarray(both["vector"], np.float32).reshape(len(both), -1)
    _refuse_broken(vector, inputs.filled)
    vector = np.where(inputs.filled[:, None], vector, 0.0)
    return Inputs(inputs.sequences, vector, inputs.filled, inputs.made_by)


def _refuse_broken(vector: np.ndarray, filled: np.ndarray) -> None:
    bad = filled & ~np.isfinite(vector).all(1)
    if bad.any():
        raise ValueError(
            f"the vectors of {bad.sum()} of {len(bad)} spectra (the first is "
            f"{int(np.flatnonzero(bad)[0])}) have numbers that are not finite: leave them out"
        )


def _of_items(tokens: Any) -> Inputs:
    """From items of tokens."""
    if isinstance(tokens, np.ndarray) and tokens.dtype.names:
        raise TypeError(
            "this is the item of one spectrum; give several, such as items[:1] for the first"
        )
    if not hasattr(tokens, "__len__"):
        raise TypeError(
            f"expected a token table or items of spectok.group, or a table of spectok.embed, got "
            f"{type(tokens).__name__}: give what spectok.encode makes of spectra"
        )
    items = np.empty(len(tokens), dtype=object)
    items[:] = [on_a_line(one) if is_curve_item(one) else one for one in tokens]
    if not len(items):
        raise ValueError("there is no spectrum to work on")
    for row, item in enumerate(items):
        names = getattr(getattr(item, "dtype", None), "names", None) or ()
        # A token table has these columns, too, but also the tokens that are not valid.
        if not isinstance(item, np.ndarray) or not {"wavelength", "token"} <= set(names):
            raise TypeError(
                f"spectrum {row} is a {type(item).__name__}, not an item of spectok.group: give "
                "the token table of spectok.encode (of several, spectok.concatenate makes one), "
                "spectok.group(tokens), a table of spectok.embed or an array of shape (N, E)"
            )
        if not (np.isfinite(item["token"]).all() and (item["wavelength"] > 0).all()):
            raise ValueError(
                f"spectrum {row} has tokens that are not finite, or wavelengths that are not "
                "positive: spectok.encode makes none, encode it again"
            )
    size, known = items[0]["token"].shape[-1], tokenizer_of(items)
    for row, item in enumerate(items):
        if item["token"].shape[-1] != size:
            raise ValueError(
                f"the tokens of spectrum {row} have {item['token'].shape[-1]} numbers, those of "
                f"spectrum 0 {size}: encode all with one model"
            )
        same_tokenizer(known, tokenizer_of([item]), f"spectrum {row}")
    return Inputs(items, None, np.array([len(item) > 0 for item in items]), known)


def tokenizer_of(items: np.ndarray | Sequence[np.ndarray]) -> dict[str, Any]:
    """Name and checksum of the model that made the items: none where they lost it."""
    found = (item.dtype.metadata for item in items if item.dtype.metadata)
    return dict(next(found, {}))


def same_tokenizer(expected: dict[str, Any], given: dict[str, Any], what: str) -> None:
    """Refuse tokens of another model or on other patches, where both are known."""
    if not expected or not given:
        return
    if expected.get("SHA256") != given.get("SHA256"):
        raise ValueError(
            f"{what}: its tokens were made by {given.get('MODEL')!r} (sha256 "
            f"{str(given.get('SHA256'))[:12]}), others by {expected.get('MODEL')!r} "
            f"({str(expected.get('SHA256'))[:12]}): they mean different things; encode all "
            "spectra with one model"
        )
    if expected.get("FRAME") != given.get("FRAME"):
        raise ValueError(
            f"{what}: its tokens are {given.get('FRAME', 'as observed')!r}, others "
            f"{expected.get('FRAME', 'as observed')!r}: they mean different things; bring all "
            "spectra to rest, with one step (spectok.to_rest_frame), or none"
        )


def same_sizes(given: tuple[int, int], expected: tuple[int, int]) -> None:
    """Refuse spectra with other kinds or sizes of inputs than those that were learnt from."""
    for size, wanted, what, remedy in zip(
        given,
        expected,
        ("tokens", "vectors"),
        ("encode with the same model", "give vectors of the same kind"),
        strict=True,
    ):
        if size and wanted and size != wanted:
            raise ValueError(
                f"these {what} have {size} numbers, those that the probe was trained on {wanted}: "
                f"{remedy}"
            )
        if bool(size) != bool(wanted):
            has, had = ("no ", "") if wanted else ("", "no ")
            raise ValueError(
                f"the probe was trained on spectra with {had}{what}, and these have {has}{what}: "
                "give what was given to fit (spectok.group(tokens, vectors) has both)"
            )


def make_batch(inputs: Inputs | np.ndarray | Sequence[np.ndarray]) -> ProbeBatch:
    """Spectra padded to the longest of them; vectors alone have one place, which is not valid."""
    if not isinstance(inputs, Inputs):
        items = np.empty(len(inputs), object)
        items[:] = list(inputs)
        inputs = Inputs(items, None, np.ones(len(items), bool), {})
    size = max(inputs.sizes[0], 1)
    rows: Sequence[np.ndarray] | np.ndarray
    if inputs.sequences is not None:
        rows = inputs.sequences
    else:
        rows = [np.zeros(0, [("wavelength", float), ("token", np.float32, (size,))])] * len(inputs)
    # The row of one place at the end, cut off again, makes one where no spectrum has any.
    token = padded([*(row["token"] for row in rows), np.zeros((1, size))], np.float32)[:-1]
    wavelength = padded([*(row["wavelength"] for row in rows), np.ones(1)], fill=1)[:-1]
    valid = padded([*(np.ones(len(row), bool) for row in rows), np.ones(1, bool)], bool)[:-1]
    vector = None if inputs.vector is None else torch.from_numpy(inputs.vector)
    return ProbeBatch(
        torch.from_numpy(token), torch.from_numpy(wavelength), torch.from_numpy(valid), vector
    )


def batches_of(lengths: np.ndarray, batch_size: int) -> Iterator[np.ndarray]:
    """Rows in batches of similar length, for prediction."""
    order = np.argsort(lengths, kind="stable")
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]
