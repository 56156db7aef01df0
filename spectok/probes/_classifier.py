"""Classifier of frozen tokens."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import torch
from astropy.utils.exceptions import AstropyUserWarning
from torch import Tensor

from spectok.probes._estimator import Probe, say_empty
from spectok.probes._linear import fit_classes
from spectok.probes._sequences import as_inputs
from spectok.probes._sklearn import ClassifierMixin, compute_sample_weight

__all__ = ["ProbeClassifier"]

_MANY = 10  # spectra that are seldom all of one class


class ProbeClassifier(ClassifierMixin, Probe):
    """Classes of spectra from their frozen tokens, their embeddings, or both.

    With many labels, learned queries attend over the tokens with their wavelengths, and a small
    head gives the probabilities: the same architecture as `ProbeRegressor`, but that by default
    no tokens are read on a grid. With few, that learns the training spectra by heart, and a
    logistic regression on the tokens side by side, and on the embedding, is better. Follows
    scikit-learn: cloning, `~sklearn.model_selection.cross_val_score` and searches over parameters
    work on the items of `spectok.group` and on arrays.

    Parameters
    ----------
    method : {"auto", "attention", "linear"}
        ``"attention"``: a small network on the tokens, beside which a vector of each spectrum
        may stand. ``"linear"``: regularised logistic regression on tokens on a grid of
        wavelengths, vectors, or both. ``"auto"``: linear for fewer than 200 labelled spectra and
        where there are no tokens, attention otherwise. ``method_`` says which it was.
    class_weight : {"balanced"}, dict or None
        What classes count in the fit, as in scikit-learn
        (`sklearn.utils.class_weight.compute_sample_weight`). By default all count alike,
        however many spectra they have, and probabilities are those of a sample in which all are
        equally frequent; with None, those of one like the training spectra, where rare classes
        are seldom predicted.
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
        Share of the spectra of every class on which the fit of a network is watched; none where
        that would be fewer than 10. The only spectra of a class are not among them.
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
    method_ : str
        ``"attention"`` or ``"linear"``.
    network_ : `torch.nn.Module`
        What was fitted: a network, or the numbers of the logistic regression in the shape of one.
    n_held_out_ : int
        Spectra on which the fit was watched.
    history_ : dict of list of float
        Loss of the training and of the held-out spectra after every epoch; empty if linear.
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

    def __init__(
        self,
        *,
        method: str = "auto",
        class_weight: str | dict | None = "balanced",
        reading: int = 0,
        width: int = 64,
        heads: int = 4,
        blocks: int = 1,
        queries: int = 4,
        dropout: float = 0.3,
        learning_rate: float = 2e-3,
        weight_decay: float = 0.1,
        batch_size: int = 64,
        max_epochs: int = 20,
        patience: int = 6,
        held_out: float = 0.1,
        random_state: int | np.random.RandomState | None = 0,
        device: str = "cpu",
        progress: bool | None = None,
    ) -> None:
        # scikit-learn reads the parameters from this signature.
        super().__init__(
            method=method, reading=reading, width=width, heads=heads, blocks=blocks,
            queries=queries, dropout=dropout, learning_rate=learning_rate,
            weight_decay=weight_decay, batch_size=batch_size, max_epochs=max_epochs,
            patience=patience, held_out=held_out, random_state=random_state, device=device,
            progress=progress,
        )  # fmt: skip
        self.class_weight = class_weight

    def fit(
        self, tokens: Any, y: Any, *, groups: Any = None, sample_weight: Any = None
    ) -> ProbeClassifier:
        """Learn the classes of spectra.

        Parameters
        ----------
        tokens : `~astropy.table.Table`, sequence or `numpy.ndarray`
            Token table of N spectra or `spectok.group` of it, with or without vectors; a table of
            `spectok.embed`; or numbers of shape (N, E).
        y : array-like, shape (N,)
            Their classes: strings or whole numbers.
        groups : array-like, shape (N,), optional
            Objects that the spectra are of: all spectra of one object are held out together.
        sample_weight : array-like, shape (N,), optional
            How much each spectrum counts, those of 0 not at all; times ``class_weight``.

        Returns
        -------
        self : ProbeClassifier
            The object itself, fitted.

        Raises
        ------
        TypeError
            - For what holds neither tokens nor vectors.
            - For classes that are numbers, but not whole ones.
        ValueError
            - For another number of classes than of spectra.
            - For unknown classes (masked, NaN, None).
            - For a single class.
            - For a ``class_weight`` that scikit-learn does not know.
        """
        inputs, label = as_inputs(tokens), _classes(y)
        rows, weight = self._training_rows(inputs, len(label), groups, sample_weight)
        self.classes_, index = np.unique(label[rows], return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                f"all spectra are of class {self.classes_.tolist()[0]!r}: give two at least"
            )
        weight = weight[rows]
        if self.class_weight is not None:
            weight = weight * compute_sample_weight(self.class_weight, label[rows])
        self._fit(
            inputs[rows],
            torch.as_tensor(index),
            _cross_entropy,
            len(self.classes_),
            fit_classes,
            None if groups is None else np.asarray(groups)[rows],
            weight,
        )
        return self

    def predict_proba(self, tokens: Any) -> np.ndarray:
        """Probability of every class; NaN for spectra without a valid token.

        Parameters
        ----------
        tokens : `~astropy.table.Table`, sequence or `numpy.ndarray`
            Spectra, as for `fit`.

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
        tokens : `~astropy.table.Table`, sequence or `numpy.ndarray`
            Spectra, as for `fit`.

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
        found = output.argmax(-1).numpy()
        if len(found) >= _MANY and (found == found[0]).all():
            warnings.warn(_one_class(self, found, self.classes_), AstropyUserWarning, stacklevel=2)
        return self.classes_[found]


def _one_class(probe: ProbeClassifier, found: np.ndarray, classes: np.ndarray) -> str:
    """Message for spectra that are all predicted to be of one class, and what to try."""
    tries = ["more labels of the other classes"]
    if probe.method_ == "attention":
        tries.append("method='linear'")
    if probe.class_weight is None:
        tries.append("class_weight='balanced'")
    return (
        f"all {len(found)} spectra are said to be {classes.tolist()[found[0]]!r}, of "
        f"{len(classes)} classes that the probe knows: unless they are, it has learnt little else "
        f"than which class is frequent; try {' or '.join(tries)}, and look at "
        "sklearn.metrics.balanced_accuracy_score on spectra with labels"
    )


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
