"""Regressor of labels from frozen tokens."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from spectok.probes._estimator import Probe, say_empty
from spectok.probes._heads import Mixture
from spectok.probes._labels import read_labels
from spectok.probes._linear import fit_labels
from spectok.probes._sequences import as_inputs
from spectok.probes._sklearn import RegressorMixin, check_is_fitted, r2_score

__all__ = ["ProbeRegressor"]


class ProbeRegressor(RegressorMixin, Probe):
    """Labels of spectra, with their uncertainty, from frozen tokens, embeddings, or both.

    The same architecture as `ProbeClassifier`; its head gives mean and standard deviation of
    every label. With few labels, a ridge regression takes its place. Labels are standardised
    inside and come back in the units they had.

    Parameters
    ----------
    method : {"auto", "attention", "linear"}
        ``"attention"``: a small network on the tokens, beside which a vector of each spectrum
        may stand. ``"linear"``: ridge regression of every label on tokens on a grid of
        wavelengths, vectors, or both; its strength is that of the smallest leave-one-out errors,
        whose rms is the standard deviation of every prediction. ``"auto"``: linear for fewer than
        200 labelled spectra and where there are no tokens, attention otherwise. ``method_`` says
        which it was.
    n_components : int
        Normal distributions that make up the density of a label: 1 for most; some tens, spread
        over the range of the training labels, where a spectrum leaves several readings, as a
        redshift from one line. A linear reading has one.
    reading : int
        Numbers that are read from the tokens on the grid; 0 leaves the grid out, which is
        better where nothing has a fixed place, as for redshifts.
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
        The only spectra with a label are not among them.
    random_state : int, `numpy.random.RandomState` or None
        Seed of the first weights, the order and the held-out spectra; None draws another one
        for every fit.
    device : str
        Where to compute.
    progress : bool, optional
        Show a bar; by default after two seconds.

    Attributes
    ----------
    method_ : str
        ``"attention"`` or ``"linear"``.
    network_ : `torch.nn.Module`
        What was fitted: a network, or the numbers of the ridge regression in the shape of one.
    n_held_out_ : int
        Spectra on which the fit was watched.
    history_ : dict of list of float
        Loss of the training and of the held-out spectra after every epoch: minus the log
        density of standardised labels. Empty if linear.
    tokenizer_ : dict
        Name and sha256 of the model whose tokens the probe knows; others are refused.

    References
    ----------
    Shen et al. (2025), arXiv:2510.17959, section 3 and table 3; densities as in Bishop (1994).

    Examples
    --------
    >>> import astropy.units as u, spectok
    >>> from spectok import probes, simulate
    >>> spectra = simulate.observe("apogee", 40, seed=1, snr=80)
    >>> tokens = spectok.group(spectok.encode(spectra))
    >>> teff = [spectrum.meta["label"]["teff"] for spectrum in spectra] * u.K
    >>> probe = probes.ProbeRegressor(max_epochs=2).fit(tokens, teff)
    >>> value, std = probe.predict(tokens, return_std=True)
    >>> value.shape, std.unit
    ((40,), Unit("K"))
    """

    def __init__(
        self,
        *,
        method: str = "auto",
        n_components: int = 1,
        reading: int = 64,
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
        self.n_components = n_components

    def fit(
        self, tokens: Any, y: Any, *, groups: Any = None, sample_weight: Any = None
    ) -> ProbeRegressor:
        """Learn the labels of spectra.

        Parameters
        ----------
        tokens : `~astropy.table.Table`, sequence or `numpy.ndarray`
            Token table of N spectra or `spectok.group` of it, with or without vectors; a table of
            `spectok.embed`; or numbers of shape (N, E).
        y : array-like, `~astropy.units.Quantity`, column or `~astropy.table.Table`
            (N,), (N, L), or a table with one column per label. Masked and NaN entries are
            unknown: a spectrum teaches the labels that it has. scikit-learn's own tools, such
            as `~sklearn.model_selection.cross_val_score`, cut arrays and quantities, no tables.
        groups : array-like, shape (N,), optional
            Objects that the spectra are of: all spectra of one object are held out together.
        sample_weight : array-like, shape (N,), optional
            How much each spectrum counts, those of 0 not at all.

        Returns
        -------
        self : ProbeRegressor
            The object itself, fitted.

        Raises
        ------
        TypeError
            - For what holds neither tokens nor vectors.
            - For labels that are no numbers.
        ValueError
            - For another number of labels than of spectra.
            - For labels that are infinite.
            - For a label that is never known, or always the same.
        """
        if self.n_components < 1:
            raise ValueError(f"n_components must be at least 1, not {self.n_components}")
        inputs, (value, labels) = as_inputs(tokens), read_labels(y)
        rows, weight = self._training_rows(inputs, len(value), groups, sample_weight)
        rows &= np.isfinite(value).any(1)
        value = value[rows]
        for name, column in zip(labels.names or range(value.shape[1]), value.T, strict=True):
            found = np.unique(column[np.isfinite(column)])
            if len(found) < 2:
                said = f"is {found[0]:g} for every" if len(found) else "is known for no"
                raise ValueError(
                    f"label {name!r} {said} spectrum that has a valid token and a weight: there "
                    "is nothing to learn"
                )
        mean, std = np.nanmean(value, 0), np.nanstd(value, 0)
        standard = (value - mean) / std
        linear = self._choose(inputs[rows]) == "linear"
        mixture = Mixture.of(standard, 1 if linear else self.n_components)
        self._fit(
            inputs[rows],
            torch.as_tensor(standard, dtype=torch.float32),
            mixture.loss,
            mixture.n_outputs,
            fit_labels,
            None if groups is None else np.asarray(groups)[rows],
            weight[rows],
        )
        self.mixture_, self.labels_, self.label_mean_, self.label_std_ = mixture, labels, mean, std
        return self

    def predict(self, tokens: Any, return_std: bool = False) -> Any:
        """Labels of spectra; NaN for those without a valid token.

        Parameters
        ----------
        tokens : `~astropy.table.Table`, sequence or `numpy.ndarray`
            Spectra, as for `fit`.
        return_std : bool
            Give the standard deviation, too.

        Returns
        -------
        value : `numpy.ndarray`, `~astropy.units.Quantity` or `~astropy.table.QTable`
            What the training labels were, with their units: where the density is largest.
        std : the same, optional
            Root mean square of the density about the value.

        Raises
        ------
        ValueError
            For tokens of another model.
        """
        output, empty = self._outputs(tokens)
        say_empty(empty, "NaN")
        value, std = (part.double().numpy() for part in self.mixture_.predict(output))
        value = value * self.label_std_ + self.label_mean_
        std = std * self.label_std_
        value[empty], std[empty] = np.nan, np.nan
        value, std = self.labels_.write(value), self.labels_.write(std, spread=True)
        return (value, std) if return_std else value

    def predict_density(self, tokens: Any, values: Any, *, label: int | str = 0) -> Any:
        """Probability density of a label of spectra, at given values.

        Parameters
        ----------
        tokens : `~astropy.table.Table` or sequence of `numpy.ndarray`
            N spectra.
        values : array-like or `~astropy.units.Quantity`, shape (M,)
            Where the density is asked for, in any unit that converts to the label's.
        label : int or str
            Which label, by its number or the name of its column.

        Returns
        -------
        density : `numpy.ndarray` or `~astropy.units.Quantity`, shape (N, M)
            Per unit of the label; its integral over the label is 1. NaN for spectra without a
            valid token.

        Raises
        ------
        ValueError
            - For tokens of another model.
            - For a label that the probe does not know.
            - For values that are not one finite number each.

        Examples
        --------
        >>> import numpy as np
        >>> import spectok
        >>> from spectok import probes, simulate
        >>> spectra = simulate.observe("sdss", 40, seed=1, kind="galaxy")
        >>> tokens = spectok.group(spectok.encode(spectra))
        >>> redshift = [spectrum.meta["label"]["redshift"] for spectrum in spectra]
        >>> probe = probes.ProbeRegressor(n_components=8, reading=0, max_epochs=2)
        >>> density = probe.fit(tokens, redshift).predict_density(tokens, np.linspace(0, 1, 50))
        >>> density.shape
        (40, 50)
        """
        check_is_fitted(self)
        which = self.labels_.which(label)
        place = self.labels_.values_of(which, values)
        output, empty = self._outputs(tokens)
        say_empty(empty, "NaN")
        mean, std = self.label_mean_[which], self.label_std_[which]
        standard = torch.as_tensor((place - mean) / std, dtype=torch.float32)
        density = self.mixture_.density(output, standard, which).double().numpy() / std
        density[empty] = np.nan
        return self.labels_.per_unit(which, density)

    def score(self, tokens: Any, y: Any, sample_weight: Any = None) -> float:
        """Coefficient of determination, the mean over labels, of the known ones.

        Parameters
        ----------
        tokens : `~astropy.table.Table`, sequence or `numpy.ndarray`
            Spectra, as for `fit`.
        y : as for `fit`
            In any units that convert.
        sample_weight : array-like, shape (N,), optional
            How much each spectrum counts.

        Returns
        -------
        score : float
            1 is perfect; 0 is what the mean label gives.
        """
        true = self.labels_.like(y)
        value = self.labels_.like(self.predict(tokens))
        if len(true) != len(value):
            raise ValueError(f"{len(true)} labels for {len(value)} spectra: give one for each")
        weight = np.ones(len(true)) if sample_weight is None else np.asarray(sample_weight)
        known = np.isfinite(true) & np.isfinite(value)
        scores = [
            r2_score(true[k, column], value[k, column], sample_weight=weight[k])
            for column, k in enumerate(known.T)
        ]
        return float(np.mean(scores))
