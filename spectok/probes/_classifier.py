"""Classes from frozen tokens."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spectok.probes._estimator import Probe, say_empty
from spectok.probes._items import as_items
from spectok.probes._sklearn import ClassifierMixin

__all__ = ["ProbeClassifier"]


class ProbeClassifier(ClassifierMixin, Probe):
    """Classes of spectra from their frozen tokens.

    Learned queries attend over the tokens with their wavelengths, and a small head gives the
    probabilities: the same architecture as `ProbeRegressor`, but that by default no tokens are
    read on a grid. Follows scikit-learn: cloning, `~sklearn.model_selection.cross_val_score`
    and searches over parameters work on the items of `spectok.group`.

    Parameters
    ----------
    reading : int
        Numbers that are read from the tokens on a grid; 0 leaves the grid out. It helps where
        the lines that tell classes apart always stand at the same place, as between kinds of
        stars, and overfits where they do not, as between stars, galaxies and quasars.
    width, heads, blocks, queries : int
        Width, attention heads, transformer blocks over the tokens, and learned queries.
    dropout : float
        Share of the numbers that a training step does not see.
    learning_rate, weight_decay : float
        Of Adam with decoupled weight decay; the rate falls to zero as half a cosine.
    batch_size : int
        Spectra of a training step.
    max_epochs, patience : int
        Passes over the spectra, and how many without progress on those held out end the fit.
    held_out : float
        Share of the spectra on which the fit is watched; none where that would be fewer than 10.
        The only spectra of a class, or with a label, are not among them.
    random_state : int, `numpy.random.RandomState` or None
        Seed of the first weights, the order and the held-out spectra; None draws another one
        for every fit.
    device : str
        Where to compute.
    progress : bool, optional
        Show a bar; by default after two seconds.

    Attributes
    ----------
    classes_ : `numpy.ndarray`
        The classes that were learned, sorted.
    network_ : `torch.nn.Module`
        The fitted network.
    history_ : dict of list of float
        Loss of the training and of the held-out spectra after every epoch.
    tokenizer_ : dict
        Name and sha256 of the model whose tokens the probe knows; others are refused.

    References
    ----------
    Shen et al. (2025), arXiv:2510.17959, section 3 and table 3.

    Examples
    --------
    >>> import spectok
    >>> from spectok import probes, simulate
    >>> spectra = simulate.observe("sdss", 40, seed=1, snr=20)
    >>> tokens = spectok.group(spectok.encode(spectra))
    >>> kind = [spectrum.meta["label"]["class"] for spectrum in spectra]
    >>> probe = probes.ProbeClassifier(max_epochs=2).fit(tokens, kind)
    >>> probe.predict_proba(tokens).shape
    (40, 3)
    """

    def fit(
        self, tokens: Any, y: Any, *, groups: Any = None, sample_weight: Any = None
    ) -> ProbeClassifier:
        """Learn the classes of spectra.

        Parameters
        ----------
        tokens : `~astropy.table.Table` or sequence of `numpy.ndarray`
            Token table of N spectra, or `spectok.group` of it.
        y : array-like, shape (N,)
            Their classes: strings or whole numbers.
        groups : array-like, shape (N,), optional
            Objects that the spectra are of: all spectra of one object are held out together.
        sample_weight : array-like, shape (N,), optional
            How much each spectrum counts, those of 0 not at all;
            `sklearn.utils.class_weight.compute_sample_weight` makes classes count alike.

        Returns
        -------
        self : ProbeClassifier
            The object itself, fitted.

        Raises
        ------
        TypeError, ValueError
            For what is no token table nor items, for numbers that do not match, for unknown
            classes (masked, NaN, None) and for a single class.
        """
        items, label = as_items(tokens), _classes(y)
        rows, weight = self._training_rows(items, len(label), groups, sample_weight)
        self.classes_, index = np.unique(label[rows], return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                f"all spectra are of class {self.classes_.tolist()[0]!r}: give two at least"
            )
        self._fit(
            items[rows],
            torch.as_tensor(index),
            _cross_entropy,
            len(self.classes_),
            None if groups is None else np.asarray(groups)[rows],
            weight[rows],
        )
        return self

    def predict_proba(self, tokens: Any) -> np.ndarray:
        """Probability of every class; NaN for spectra without a valid token.

        Parameters
        ----------
        tokens : `~astropy.table.Table` or sequence of `numpy.ndarray`
            Token table of N spectra, or `spectok.group` of it.

        Returns
        -------
        probability : `numpy.ndarray`, shape (N, K)
            In the order of ``classes_``.

        Raises
        ------
        ValueError
            For tokens of another model.
        """
        output, empty = self._outputs(tokens)
        say_empty(empty, "NaN")
        probability = output.double().softmax(-1).numpy()
        probability[empty] = np.nan
        return probability

    def predict(self, tokens: Any) -> np.ndarray:
        """Most probable classes.

        Parameters
        ----------
        tokens : `~astropy.table.Table` or sequence of `numpy.ndarray`
            Token table of N spectra, or `spectok.group` of it.

        Returns
        -------
        label : `numpy.ndarray`, shape (N,)
            Of ``classes_``.

        Raises
        ------
        ValueError
            For tokens of another model, and for spectra without a valid token, which have no
            class.
        """
        output, empty = self._outputs(tokens)
        if empty.any():
            raise ValueError(
                f"{empty.sum()} of {len(empty)} spectra have no valid token and so no class (the "
                f"first is {int(np.flatnonzero(empty)[0])}): leave out the empty items, or use "
                "predict_proba, which gives NaN for them"
            )
        return self.classes_[output.argmax(-1).numpy()]


def _classes(y: Any) -> np.ndarray:
    """Classes as a plain array, every one known."""
    masked = isinstance(y, np.ma.MaskedArray)
    label = np.asarray(np.ma.getdata(y) if masked else y)
    if label.ndim != 1:
        raise ValueError(f"classes have the shape (N,), not {label.shape}")
    mask = np.ma.getmaskarray(y).copy() if masked else np.zeros(len(label), bool)
    if label.dtype.kind == "f":
        mask |= ~np.isfinite(label)
    elif label.dtype.kind == "O" or isinstance(y, (list, tuple)):
        # numpy makes the string "nan" of a NaN in a list of strings.
        mask |= [one is None or (isinstance(one, float) and math.isnan(one)) for one in y]
    if mask.any():
        raise ValueError(
            f"{mask.sum()} of {len(mask)} spectra have no class (the first is "
            f"{int(np.flatnonzero(mask)[0])}): leave them out"
        )
    if label.dtype.kind == "f" and (label % 1 != 0).any():
        raise TypeError("classes are strings or whole numbers; for other numbers: ProbeRegressor")
    return label


def _cross_entropy(output: Tensor, index: Tensor) -> Tensor:
    return torch.nn.functional.cross_entropy(output, index, reduction="none")
