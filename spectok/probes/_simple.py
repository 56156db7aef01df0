"""Simple probes: scikit-learn's own models on one vector per spectrum."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from spectok.probes._grid import choose_grid, on_grid
from spectok.probes._items import as_items, make_batch, same_tokenizer, tokenizer_of
from spectok.probes._sklearn import (
    BaseEstimator,
    KNeighborsClassifier,
    KNeighborsRegressor,
    LogisticRegression,
    Pipeline,
    RidgeCV,
    StandardScaler,
    TransformerMixin,
    check_is_fitted,
    make_pipeline,
)

__all__ = ["PoolTokens", "knn_probe", "linear_probe"]

_TASKS = ("classification", "regression")
_HOWS = ("mean", "grid")


class PoolTokens(TransformerMixin, BaseEstimator):
    """One vector per spectrum, as a step of a scikit-learn pipeline.

    Parameters
    ----------
    how : {"grid", "mean"}
        ``"grid"``: tokens side by side on a grid of wavelengths that is learnt from the spectra
        given to ``fit``, (K times C) numbers; a place without a token gets the mean of those
        that have one. ``"mean"``: the mean token, as `spectok.pool` gives it, C numbers.
    largest : int
        Most places of the grid.

    Attributes
    ----------
    grid_ : `numpy.ndarray`, shape (K,)
        Vacuum Angstrom.

    Examples
    --------
    >>> import spectok
    >>> from spectok import probes, simulate
    >>> tokens = spectok.encode(simulate.observe("sdss", 5, seed=1))
    >>> probes.PoolTokens("mean").fit_transform(tokens).shape
    (5, 16)
    """

    def __init__(self, how: str = "grid", *, largest: int = 512) -> None:
        self.how = how
        self.largest = largest

    def fit(self, tokens: Any, y: Any = None) -> PoolTokens:
        """Learn the grid, and the mean token of each of its places.

        Parameters
        ----------
        tokens : `~astropy.table.Table` or sequence of `numpy.ndarray`
            Token table, or `spectok.group` of it.
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
        items = as_items(tokens)
        if not any(len(item) for item in items):
            raise ValueError("not one spectrum has a valid token: there is nothing to learn from")
        self.tokenizer_ = tokenizer_of(items)
        self.size_ = items[0]["token"].shape[-1]
        self.grid_ = choose_grid(items, self.largest) if self.how == "grid" else np.zeros(0)
        value, known = self._placed(items)
        count = np.maximum(known.sum(0), 1)[:, None]
        mean = (value * known[..., None]).sum(0, dtype=np.float64) / count
        self.mean_ = mean.astype(np.float32)
        return self

    def transform(self, tokens: Any) -> np.ndarray:
        """Vectors of spectra.

        Parameters
        ----------
        tokens : `~astropy.table.Table` or sequence of `numpy.ndarray`
            As for `fit`.

        Returns
        -------
        vectors : `numpy.ndarray` of float32, shape (N, K C) or (N, C)
            K places of the grid, or the mean token, with C numbers each.

        Raises
        ------
        ValueError
            For tokens of another model, and for spectra without a valid token.
        """
        check_is_fitted(self)
        items = as_items(tokens)
        same_tokenizer(self.tokenizer_, tokenizer_of(items), "the tokens given")
        empty = [row for row, item in enumerate(items) if not len(item)]
        if empty:
            raise ValueError(
                f"{len(empty)} of {len(items)} spectra have no valid token (the first is "
                f"{empty[0]}): leave out the empty items"
            )
        if items[0]["token"].shape[-1] != self.size_:
            raise ValueError(
                f"these tokens have {items[0]['token'].shape[-1]} numbers, those of the fit "
                f"{self.size_}: encode with the same model"
            )
        value, known = self._placed(items)
        return np.where(known[..., None], value, self.mean_).reshape(len(items), -1)

    def _placed(self, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Tokens on the grid (N, K, C), and which are known; the mean is a grid of one place."""
        shape = (len(items), max(len(self.grid_), 1))
        value = np.zeros((*shape, self.size_), np.float32)
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
        See `PoolTokens`. On the grid every place has weights of its own; the mean token
        forgets where a line stood.

    Returns
    -------
    probe : `sklearn.pipeline.Pipeline`
        `PoolTokens`, `~sklearn.preprocessing.StandardScaler` and
        `~sklearn.linear_model.LogisticRegression` or `~sklearn.linear_model.RidgeCV`. Labels
        are plain numbers or classes: scikit-learn knows no units.

    Raises
    ------
    ValueError
        For another task.

    See Also
    --------
    ProbeClassifier, ProbeRegressor : Small networks on all tokens.

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
        task, LogisticRegression(C=0.01, max_iter=1000), RidgeCV(alphas=np.logspace(0, 6, 13))
    )
    return make_pipeline(PoolTokens(how), StandardScaler(), model)


def knn_probe(task: str, *, n_neighbors: int = 10, how: str = "mean") -> Pipeline:
    """Vote or mean of the nearest neighbours of one vector per spectrum.

    Parameters
    ----------
    task : {"classification", "regression"}
    n_neighbors : int
        How many vote.
    how : {"mean", "grid"}
        See `PoolTokens`.

    Returns
    -------
    probe : `sklearn.pipeline.Pipeline`
        `PoolTokens` and `~sklearn.neighbors.KNeighborsClassifier` or
        `~sklearn.neighbors.KNeighborsRegressor`. Vectors are not standardised: the high cosines
        of a token depend on where its patch starts, and would drown the rest.

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
    return make_pipeline(PoolTokens(how), model)


def _choose(task: str, classifier: Any, regressor: Any) -> Any:
    if task not in _TASKS:
        raise ValueError(f"task must be one of {', '.join(_TASKS)}, not {task!r}")
    return classifier if task == "classification" else regressor
