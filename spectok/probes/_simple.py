"""Simple probes: scikit-learn's own models on one vector per spectrum."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch

from spectok.probes._linear import ALPHAS, STRENGTH, scales
from spectok.probes._sequences import Inputs, as_inputs, make_batch, same_sizes, same_tokenizer
from spectok.probes._sklearn import (
    BaseEstimator,
    KNeighborsClassifier,
    KNeighborsRegressor,
    LogisticRegression,
    Pipeline,
    RidgeCV,
    TransformerMixin,
    check_is_fitted,
    make_pipeline,
)
from spectok.probes._token_grid import choose_grid, on_grid

__all__ = ["PoolTokens", "knn_probe", "linear_probe"]

_TASKS = ("classification", "regression")
_HOWS = ("mean", "grid")


class PoolTokens(TransformerMixin, BaseEstimator):
    """One vector per spectrum, as a step of a scikit-learn pipeline.

    Where spectra have vectors of their own, these stand beside the pooled tokens, or alone where
    there are no tokens.

    Parameters
    ----------
    how : {"grid", "mean"}
        ``"grid"``: tokens side by side on a grid of wavelengths that is learnt from the spectra
        given to ``fit``, (K times C) numbers; a place without a token gets the mean of those
        that have one. ``"mean"``: the mean token, as `spectok.pool` gives it, C numbers.
    largest : int
        Most places of the grid.
    purpose : {"any", "linear", "distances"}
        For what is ``"linear"`` in them, numbers are standardised, and those of tokens and of
        the spectra's vectors count alike. For ``"distances"``, the last number of a token, the
        log of its noise, is left out, which would rule them; and tokens are not read where there
        are vectors.

    Attributes
    ----------
    grid_ : `numpy.ndarray`, shape (K,)
        Vacuum Angstrom.

    Examples
    --------
    >>> import spectok
    >>> from spectok import simulate
    >>> from spectok.probes._simple import PoolTokens
    >>> tokens = spectok.encode(simulate.observe("sdss", 5, seed=1))
    >>> PoolTokens("mean").fit_transform(tokens).shape
    (5, 16)
    """

    def __init__(self, how: str = "grid", *, largest: int = 512, purpose: str = "any") -> None:
        self.how = how
        self.largest = largest
        self.purpose = purpose

    def fit(self, tokens: Any, y: Any = None) -> PoolTokens:
        """Learn the grid, and the mean token of each of its places.

        Parameters
        ----------
        tokens : `~astropy.table.Table`, sequence or `numpy.ndarray`
            Token table or `spectok.group` of it, with or without vectors; a table of
            `spectok.embed`; or numbers of shape (N, E).
        y : object
            Not used.

        Returns
        -------
        self : PoolTokens
            The object itself, fitted.

        Raises
        ------
        ValueError
            For another ``how``, and where no spectrum has a valid token.
        """
        if self.how not in _HOWS:
            raise ValueError(f"how must be one of {', '.join(_HOWS)}, not {self.how!r}")
        inputs = self._read(tokens)
        if not inputs.filled.any():
            raise ValueError("not one spectrum has a valid token: there is nothing to learn from")
        self.tokenizer_, self.sizes_ = inputs.made_by, inputs.sizes
        items = inputs.sequences
        self.grid_ = np.zeros(0)
        if items is not None:
            self.grid_ = choose_grid(items, self.largest) if self.how == "grid" else self.grid_
            value, known = self._placed(items)
            count = np.maximum(known.sum(0), 1)[:, None]
            mean = (value * known[..., None]).sum(0, dtype=np.float64) / count
            self.mean_ = mean.astype(np.float32)
        if self.purpose == "linear":
            self.scales_ = scales(self._pooled(inputs[inputs.filled]), inputs.sizes[1])
        return self

    def transform(self, tokens: Any) -> np.ndarray:
        """Vectors of spectra.

        Parameters
        ----------
        tokens : `~astropy.table.Table`, sequence or `numpy.ndarray`
            As for `fit`.

        Returns
        -------
        vectors : `numpy.ndarray` of float32, shape (N, S)
            K places of the grid, or the mean token, with C numbers each, and the E numbers of the
            spectra's vectors.

        Raises
        ------
        ValueError
            - For tokens of another model.
            - For spectra without a valid token.
            - For other inputs than those of the fit.
        """
        check_is_fitted(self)
        inputs = self._read(tokens)
        same_tokenizer(self.tokenizer_, inputs.made_by, "the tokens given")
        empty = np.flatnonzero(~inputs.filled)
        if len(empty):
            raise ValueError(
                f"{len(empty)} of {len(inputs)} spectra have no valid token (the first is "
                f"{empty[0]}): leave out the empty items"
            )
        same_sizes(inputs.sizes, self.sizes_)
        found = self._pooled(inputs)
        if self.purpose == "linear":
            found = ((found - self.scales_[0]) / self.scales_[1]).astype(np.float32)
        return found

    def _pooled(self, inputs: Inputs) -> np.ndarray:
        """Tokens and vectors of spectra side by side, (N, S)."""
        parts = []
        if inputs.sequences is not None:
            value, known = self._placed(inputs.sequences)
            parts.append(np.where(known[..., None], value, self.mean_).reshape(len(inputs), -1))
        if inputs.vector is not None:
            parts.append(inputs.vector)
        return np.concatenate(parts, axis=1)

    def _read(self, tokens: Any) -> Inputs:
        """Tokens that are pooled."""
        inputs = as_inputs(tokens)
        if self.purpose != "distances" or inputs.sequences is None:
            return inputs
        if inputs.vector is not None:
            return dataclasses.replace(inputs, sequences=None)
        # The noise is a token's last number.
        items = np.empty(len(inputs), object)
        for row, item in enumerate(inputs.sequences):
            fields = np.dtype(
                [("wavelength", float), ("token", np.float32, (inputs.sizes[0] - 1,))]
            )
            items[row] = np.empty(len(item), fields)
            items[row]["wavelength"] = item["wavelength"]
            items[row]["token"] = item["token"][:, :-1]
        return dataclasses.replace(inputs, sequences=items)

    def _placed(self, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Tokens on the grid (N, K, C), and which are known; the mean is a grid of one place."""
        shape = (len(items), max(len(self.grid_), 1))
        value = np.zeros((*shape, items[0]["token"].shape[-1]), np.float32)
        known = np.zeros(shape, bool)
        if self.how == "mean":
            for row, item in enumerate(items):
                known[row] = len(item) > 0
                if len(item):
                    value[row, 0] = item["token"].mean(0)
            return value, known
        grid = torch.from_numpy(self.grid_)
        for start in range(0, len(items), 256):
            batch = make_batch(items[start : start + 256])
            found = on_grid(batch.token, batch.wavelength, batch.valid, grid)
            value[start : start + 256], known[start : start + 256] = (p.numpy() for p in found)
        return value, known


def linear_probe(task: str, *, how: str = "grid") -> Pipeline:
    """Logistic or ridge regression on one vector per spectrum.

    Parameters
    ----------
    task : {"classification", "regression"}
    how : {"grid", "mean"}
        How tokens become a vector: side by side on a grid of wavelengths that is learnt from
        the training spectra, where every place has weights of its own; or their mean, which
        forgets where a line stood. A spectrum's own vector (`spectok.embed`) stands beside the
        tokens, or alone where there are none.

    Returns
    -------
    probe : `sklearn.pipeline.Pipeline`
        Standardised vectors, and `~sklearn.linear_model.LogisticRegression`, in which all
        classes count alike (``class_weight="balanced"``), or
        `~sklearn.linear_model.RidgeCV`. It takes what
        `ProbeClassifier` takes. Labels are plain numbers or classes: scikit-learn knows no units.

    Raises
    ------
    ValueError
        For another task.

    See Also
    --------
    ProbeClassifier, ProbeRegressor : With units, uncertainties, and networks for many labels.

    Examples
    --------
    >>> import spectok
    >>> from spectok import probes, simulate
    >>> spectra = simulate.observe("apogee", 30, seed=1, snr=100)
    >>> tokens = spectok.group(spectok.encode(spectra))
    >>> teff = [spectrum.meta["label"]["teff"] for spectrum in spectra]
    >>> probe = probes.linear_probe("regression").fit(tokens, teff)
    >>> probe.predict(tokens).shape
    (30,)
    """
    model = _choose(
        task,
        LogisticRegression(C=STRENGTH, tol=1e-6, max_iter=5000, class_weight="balanced"),
        RidgeCV(alphas=ALPHAS),
    )
    return make_pipeline(PoolTokens(how, purpose="linear"), model)


def knn_probe(task: str, *, n_neighbors: int = 10, how: str = "mean") -> Pipeline:
    """Vote or mean of the nearest neighbours of one vector per spectrum.

    Parameters
    ----------
    task : {"classification", "regression"}
    n_neighbors : int
        How many vote.
    how : {"mean", "grid"}
        How tokens become a vector, as for `linear_probe`; but their last number, the log of the
        noise, is left out: it would rule all distances. Where spectra have vectors of their own
        (`spectok.embed`), only these are read.

    Returns
    -------
    probe : `sklearn.pipeline.Pipeline`
        With `~sklearn.neighbors.KNeighborsClassifier` or
        `~sklearn.neighbors.KNeighborsRegressor`; it takes what `ProbeClassifier` takes. Vectors
        are not standardised: the high cosines of a token depend on where its patch starts, and
        would drown the rest.

    Raises
    ------
    ValueError
        For another task.

    Examples
    --------
    >>> import spectok
    >>> from spectok import probes, simulate
    >>> spectra = simulate.observe("sdss", 30, seed=1, snr=20)
    >>> tokens = spectok.group(spectok.encode(spectra))
    >>> kind = [spectrum.meta["label"]["class"] for spectrum in spectra]
    >>> probe = probes.knn_probe("classification", n_neighbors=3).fit(tokens, kind)
    >>> probe.predict(tokens).shape
    (30,)
    """
    model = _choose(
        task,
        KNeighborsClassifier(n_neighbors, weights="distance"),
        KNeighborsRegressor(n_neighbors, weights="distance"),
    )
    return make_pipeline(PoolTokens(how, purpose="distances"), model)


def _choose(task: str, classifier: Any, regressor: Any) -> Any:
    if task not in _TASKS:
        raise ValueError(f"task must be one of {', '.join(_TASKS)}, not {task!r}")
    return classifier if task == "classification" else regressor
