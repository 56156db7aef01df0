"""Fisher information of spectra whose pixels share noise, and the bounds that follow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.linalg import solveh_banded

__all__ = ["autocorrelation", "information", "limits"]


def autocorrelation(taps: Sequence[float]) -> np.ndarray:
    """Autocorrelation of noise that is a moving average of white noise.

    Parameters
    ----------
    taps : sequence of float, length K
        Weights of the average.

    Returns
    -------
    shared : `numpy.ndarray`, shape (K,)
        One at first; pixels K and more apart share nothing.
    """
    shared = np.correlate(taps, taps, "full")[len(taps) - 1 :]
    return shared / shared[0]


def information(
    derivatives: np.ndarray, sigma: np.ndarray, valid: np.ndarray, shared: np.ndarray
) -> np.ndarray:
    """Fisher's matrix J C^-1 J^T of the mean of Gaussian data.

    Parameters
    ----------
    derivatives : `numpy.ndarray`, shape (P, L)
        Of the noise-free flux by each parameter.
    sigma : `numpy.ndarray`, shape (L,)
        Standard deviation of the noise.
    valid : `numpy.ndarray` of bool, shape (L,)
        Other pixels are not seen. Pixels on both sides of a gap share what their distance says.
    shared : `numpy.ndarray`, shape (K,)
        Correlation of pixels 0, 1, ... apart.

    Returns
    -------
    information : `numpy.ndarray`, shape (P, P)
    """
    columns = np.flatnonzero(valid)
    if not len(columns):
        return np.zeros((len(derivatives),) * 2)
    scaled = derivatives[:, columns] / sigma[columns]
    # Without the bad pixels the matrix is no Toeplitz one any more, but it stays banded.
    width = min(len(shared), len(columns))
    bands = np.zeros((width, len(columns)))
    bands[0] = shared[0]
    padded = np.append(shared, 0.0)
    for k in range(1, width):
        apart = columns[k:] - columns[:-k]
        bands[k, :-k] = padded[np.minimum(apart, len(shared))]
    return scaled @ solveh_banded(bands, scaled.T, lower=True)


def limits(information: np.ndarray, precision: np.ndarray) -> np.ndarray:
    """Standard deviations of all parameters, each with all others marginalised.

    Parameters
    ----------
    information : `numpy.ndarray`, shape (P, P)
    precision : `numpy.ndarray`, shape (P, P)
        What is known beforehand: the inverse covariance of the prior, zero where it is flat.

    Returns
    -------
    deviation : `numpy.ndarray`, shape (P,)
        Infinite where nothing is known.
    """
    total = information + precision
    diagonal = np.diag(total)
    told = diagonal > 0
    out = np.full(len(total), np.inf)
    # In units in which all is of order one, as parameters differ by many powers of ten.
    unit = np.sqrt(diagonal[told])
    try:
        variance = np.diag(np.linalg.inv(total[np.ix_(told, told)] / np.outer(unit, unit)))
    except np.linalg.LinAlgError:  # parameters of which only a sum is told
        return out
    with np.errstate(invalid="ignore"):
        out[told] = np.where(variance > 0, np.sqrt(variance), np.inf) / unit
    return out
