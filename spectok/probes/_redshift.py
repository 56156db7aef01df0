"""Redshift probe on frozen tokens."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from astropy.table import QTable

from spectok.probes._estimator import Probe, say_elsewhere, say_empty
from spectok.probes._fit import FitOptions, seeded
from spectok.probes._held_out import hold_out
from spectok.probes._redshift_fit import (
    LIGHT,
    WINDOW,
    Peaks,
    calibrate,
    find_peaks,
    fit_redshifts,
    scores,
)
from spectok.probes._redshift_grid import log_grid, placed, with_widths
from spectok.probes._redshift_labels import log_range, read_redshifts
from spectok.probes._redshift_network import RedshiftConfig, RedshiftNetwork
from spectok.probes._redshift_peaks import (
    errors_at,
    place_step,
    redshifts_at,
    table_of_peaks,
)
from spectok.probes._sequences import Inputs, as_inputs, same_sizes, same_tokenizer
from spectok.probes._sklearn import RegressorMixin, check_is_fitted, check_random_state

__all__ = ["RedshiftProbe"]

_CHUNK = 1024  # spectra whose pixels and scores are held at once


class RedshiftProbe(RegressorMixin, Probe):
    """Redshifts of spectra, with their probability density, from frozen tokens.

    On a grid of log wavelength a redshift is a shift, so this probe is equivariant: tokens
    become pixels of such a grid, and what stands there (lines, breaks, continuum) is correlated
    with patterns at rest, which are learnt from the labels. Every redshift gets a score, and
    the scores are a probability density: a spectrum with one line may have several peaks.
    Classes are not asked for: galaxies, quasars and stars (redshifts near 0) learn together.

    Parameters
    ----------
    step : float
        Of the grid of wavelengths, in dex; the density has twice as many places.
    redshift_range : (float, float), optional
        Redshifts that are considered; by default those of the labels and 2 % of 1 + z beyond.
    kinds : int
        Sets of patterns at rest that are learnt.
    width : int
        Of the small network that makes one score of the correlations with them.
    learning_rate, weight_decay : float
        Of Adam with decoupled weight decay; the rate falls to zero as half a cosine.
    batch_size : int
        Spectra of a training step.
    max_epochs, patience : int
        Passes over the spectra, and how many without progress on those held out end the fit.
    held_out : float
        Share of the spectra on which the fit is watched, and by which probabilities and errors
        are corrected; none where that would be fewer than 10.
    random_state : int, `numpy.random.RandomState` or None
        Seed of the first weights, the order and the held-out spectra; None draws another one
        for every fit.
    device : str
        Where to compute.
    progress : bool, optional
        Show a bar; by default after two seconds.

    Attributes
    ----------
    network_ : `torch.nn.Module`
        The fitted network.
    history_ : dict of list of float
        Loss of the training and of the held-out spectra after every epoch: minus the log
        probability of the labels.
    tokenizer_ : dict
        Name and sha256 of the model whose tokens the probe knows; others are refused.

    See Also
    --------
    ProbeRegressor : Any other label.

    References
    ----------
    Cross-correlation in log wavelength: Tonry & Davis (1979), AJ 84, 1511. Peaks that are closer
    than 1,000 km/s count as one, as in Bolton et al. (2012), AJ 144, 144.

    Examples
    --------
    >>> import spectok
    >>> from spectok import probes, simulate
    >>> spectra = simulate.observe("sdss", 40, seed=1, kind="galaxy")
    >>> tokens = spectok.group(spectok.encode(spectra))
    >>> redshift = [spectrum.meta["label"]["redshift"] for spectrum in spectra]
    >>> probe = probes.RedshiftProbe(max_epochs=1).fit(tokens, redshift)
    >>> z, std = probe.predict(tokens, return_std=True)
    >>> z.shape, std.shape
    ((40,), (40,))
    """

    def __init__(
        self,
        *,
        step: float = 4e-4,
        redshift_range: tuple[float, float] | None = None,
        kinds: int = 6,
        width: int = 16,
        learning_rate: float = 3e-3,
        weight_decay: float = 1e-3,
        batch_size: int = 64,
        max_epochs: int = 6,
        patience: int = 4,
        held_out: float = 0.1,
        random_state: int | np.random.RandomState | None = 0,
        device: str = "cpu",
        progress: bool | None = None,
    ) -> None:
        # scikit-learn reads the parameters from this signature. Not all of `Probe`'s exist here.
        self.step = step
        self.redshift_range = redshift_range
        self.kinds = kinds
        self.width = width
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.patience = patience
        self.held_out = held_out
        self.random_state = random_state
        self.device = device
        self.progress = progress

    def fit(
        self, tokens: Any, z: Any, *, groups: Any = None, sample_weight: Any = None
    ) -> RedshiftProbe:
        """Learn what spectra look like at rest from their redshifts.

        Parameters
        ----------
        tokens : `~astropy.table.Table` or sequence of `numpy.ndarray`
            Token table of N spectra, or `spectok.group` of it.
        z : array-like, `~astropy.units.Quantity` or column, shape (N,)
            Redshifts, or radial velocities with their unit (relativistic, as in specutils). Masked
            and NaN entries are unknown and teach nothing.
        groups : array-like, shape (N,), optional
            Objects that the spectra are of: all spectra of one object are held out together.
        sample_weight : array-like, shape (N,), optional
            How much each spectrum counts, also where probabilities and errors are corrected;
            those of 0 not at all.

        Returns
        -------
        self : RedshiftProbe
            The object itself, fitted.

        Raises
        ------
        TypeError
            For what is no token table nor items of one.
        ValueError
            - For items without the width of their patches, and numbers that do not match.
            - For redshifts of -1 and below, outside ``redshift_range``, or not known, and for
              numbers in a unit that is no velocity's.
        """
        inputs, z = with_widths(as_inputs(tokens)), read_redshifts(z)
        rows, weight = self._training_rows(inputs, len(z), groups, sample_weight)
        rows = np.flatnonzero(rows & np.isfinite(z))
        if not len(rows):
            raise ValueError(
                "no spectrum with a token and a weight has a redshift: there is nothing to learn"
            )
        items, z, weight = inputs.tokens[rows], z[rows], weight[rows]
        groups = None if groups is None else np.asarray(groups)[rows]
        seed = self.random_state
        if seed is None or isinstance(seed, np.random.RandomState):
            seed = check_random_state(seed).randint(np.iinfo(np.int32).max)
        seed = int(seed)
        held_out = hold_out(len(items), self.held_out, groups, None, seed)
        first, size = log_grid(items, self.step)
        low, high = log_range(z, self.redshift_range)
        shift, last = math.floor(low / self.step), math.ceil(high / self.step)
        config = RedshiftConfig(
            token_size=inputs.sizes[0], step=self.step, first=first, size=size, shift=shift,
            shifts=last - shift + 1, kinds=self.kinds, width=self.width,
        )  # fmt: skip
        with seeded(seed):
            network = RedshiftNetwork(config)
        place = torch.from_numpy((np.log10(1.0 + z) / self.step - shift) * config.finer)
        pixels = placed(items, first, size, self.step)
        options = FitOptions(
            self.learning_rate, self.weight_decay, self.batch_size, self.max_epochs,
            self.patience, seed, self.device, self.progress,
        )  # fmt: skip
        self.history_ = fit_redshifts(
            network, pixels, place, torch.as_tensor(weight / weight.mean(), dtype=torch.float32),
            held_out, options,
        )  # fmt: skip
        watched = scores(network, pixels[held_out], self.batch_size)
        found = calibrate(
            watched, place[held_out], self.step / config.finer,
            torch.from_numpy(weight[held_out]),
        )  # fmt: skip
        for name, number in zip(("temperature", "factor", "least"), found, strict=True):
            getattr(network, name).fill_(number)
        self.network_, self.tokenizer_, self.method_ = network, inputs.made_by, "correlation"
        self.n_held_out_ = len(held_out)
        return self

    def predict(
        self, tokens: Any, return_std: bool = False
    ) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Redshifts of spectra; NaN for those without a valid token.

        Parameters
        ----------
        tokens : `~astropy.table.Table` or sequence of `numpy.ndarray`
            Token table of N spectra, or `spectok.group` of it.
        return_std : bool
            Give the standard deviation, too.

        Returns
        -------
        z : `numpy.ndarray`, shape (N,)
            Peak of the density, where most of it lies within 1,000 km/s.
        std : the same, optional
            Standard deviation of the peak itself: whether it is the right one is for
            ``confidence`` of `predict_peaks` to say.

        Raises
        ------
        ValueError
            For tokens of another model.
        """
        peaks = self._peaks(self._known(tokens))
        z = redshifts_at(peaks.place, self.network_.config)
        return (z, errors_at(peaks, self.network_)) if return_std else z

    def predict_peaks(self, tokens: Any) -> QTable:
        """The two most probable redshifts of spectra, and how sure they are.

        Parameters
        ----------
        tokens : `~astropy.table.Table` or sequence of `numpy.ndarray`
            Token table of N spectra, or `spectok.group` of it.

        Returns
        -------
        peaks : `~astropy.table.QTable`
            One row per spectrum: ``redshift`` and ``std`` as from `predict`; ``confidence``, the
            probability that the redshift is right within 1,000 km/s; ``second_redshift`` and
            ``second_confidence`` of the best peak elsewhere; ``warning``, True where
            ``confidence`` is below 0.9. NaN, and a warning, without a valid token.

        Raises
        ------
        ValueError
            For tokens of another model.

        Examples
        --------
        >>> import spectok
        >>> from spectok import probes, simulate
        >>> spectra = simulate.observe("sdss", 20, seed=1, kind="galaxy")
        >>> tokens = spectok.group(spectok.encode(spectra))
        >>> redshift = [spectrum.meta["label"]["redshift"] for spectrum in spectra]
        >>> probe = probes.RedshiftProbe(max_epochs=1).fit(tokens, redshift)
        >>> probe.predict_peaks(tokens).colnames[:3]
        ['redshift', 'std', 'confidence']
        """
        return table_of_peaks(self._peaks(self._known(tokens)), self.network_)

    def predict_density(self, tokens: Any) -> tuple[np.ndarray, np.ndarray]:
        """Probability density of the redshift of spectra.

        Parameters
        ----------
        tokens : `~astropy.table.Table` or sequence of `numpy.ndarray`
            Token table of N spectra, or `spectok.group` of it.

        Returns
        -------
        z : `numpy.ndarray`, shape (Z,)
            Redshifts, evenly spaced in log(1 + z).
        density : `numpy.ndarray`, shape (N, Z)
            Per unit of redshift; its sum times the spacing is 1. NaN for spectra without a
            valid token.

        Raises
        ------
        ValueError
            For tokens of another model.

        Examples
        --------
        >>> import numpy as np
        >>> import spectok
        >>> from spectok import probes, simulate
        >>> spectra = simulate.observe("sdss", 20, seed=1, kind="galaxy")
        >>> tokens = spectok.group(spectok.encode(spectra))
        >>> redshift = [spectrum.meta["label"]["redshift"] for spectrum in spectra]
        >>> probe = probes.RedshiftProbe(max_epochs=1).fit(tokens, redshift)
        >>> z, density = probe.predict_density(tokens)
        >>> np.allclose((density * np.gradient(z)).sum(1), 1.0, atol=1e-3)
        True
        """
        inputs = self._known(tokens)
        share = torch.cat([score.double().softmax(1) for score in self._scores(inputs)]).numpy()
        z = redshifts_at(torch.arange(share.shape[1], dtype=torch.float64), self.network_.config)
        density = share / (place_step(self.network_.config) * math.log(10.0) * (1.0 + z))
        density[~inputs.filled] = np.nan
        return z, density

    def score(self, tokens: Any, z: Any, sample_weight: Any = None) -> float:
        """Share of the spectra whose redshift is right within 1,000 km/s, of the known ones.

        Parameters
        ----------
        tokens : `~astropy.table.Table` or sequence of `numpy.ndarray`
            Token table of N spectra, or `spectok.group` of it.
        z : as for `fit`
            True redshifts.
        sample_weight : array-like, shape (N,), optional
            How much each spectrum counts.

        Returns
        -------
        score : float
            Spectra without a valid token count as wrong.
        """
        true, found = read_redshifts(z), self.predict(tokens)
        known = np.isfinite(true)
        if len(true) != len(found) or not known.any():
            raise ValueError(f"{known.sum()} known redshifts for {len(found)} spectra: one each")
        right = LIGHT * np.abs(found - true) <= WINDOW * (1.0 + true)
        weight = np.ones(len(true)) if sample_weight is None else np.asarray(sample_weight)
        return float(np.average(right[known], weights=weight[known]))

    def _known(self, tokens: Any) -> Inputs:
        """Spectra that this probe can read; what it cannot is refused or named."""
        check_is_fitted(self)
        inputs = with_widths(as_inputs(tokens))
        same_tokenizer(self.tokenizer_, inputs.made_by, "the tokens given")
        config = self.network_.config
        same_sizes((inputs.sizes[0], 0), (config.token_size, 0))
        ends = 10.0 ** (config.step * (config.first + np.array([0, config.size - 1])))
        say_elsewhere(inputs.tokens, ends)
        say_empty(~inputs.filled, "NaN", stacklevel=4)
        return inputs

    def _scores(self, inputs: Inputs) -> Iterator[torch.Tensor]:
        """Scores (n, Z) of some spectra at a time, so that a million need no more memory."""
        config = self.network_.config
        network = self.network_.to(self.device)
        for start in range(0, len(inputs), _CHUNK):
            some = inputs.tokens[start : start + _CHUNK]
            pixels = placed(some, config.first, config.size, config.step)
            yield scores(network, pixels, self.batch_size)
        network.to("cpu")

    def _peaks(self, inputs: Inputs) -> Peaks:
        """Peaks of all spectra; NaN for those without a valid token."""
        step = place_step(self.network_.config)
        parts = zip(*(find_peaks(score, step) for score in self._scores(inputs)), strict=True)
        filled = torch.from_numpy(inputs.filled)
        return Peaks(*(torch.where(filled, torch.cat(part), torch.nan) for part in parts))

    def _check_settings(self) -> None:
        """Refuse settings that would fail later without a word on which it was."""
        least = {
            "kinds": 1, "width": 1, "batch_size": 1, "max_epochs": 1, "patience": 1,
        }  # fmt: skip
        for name, smallest in least.items():
            value = getattr(self, name)
            if not isinstance(value, (int, np.integer)) or value < smallest:
                raise ValueError(f"{name} must be a whole number from {smallest}, not {value!r}")
        if not 0.0 <= self.held_out < 1.0:
            raise ValueError(f"held_out must be a share of [0, 1), not {self.held_out}")
        if not 1e-5 <= self.step <= 1e-2:
            raise ValueError(f"step must be from 1e-5 to 1e-2 dex, not {self.step!r}")
