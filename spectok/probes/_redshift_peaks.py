"""Peaks of redshift densities, in places of scores, as redshifts, errors and a table."""

from __future__ import annotations

import math

import numpy as np
from astropy.table import QTable
from torch import Tensor

from spectok.probes._redshift_fit import Peaks, errors_of
from spectok.probes._redshift_network import RedshiftConfig, RedshiftNetwork

__all__ = ["errors_at", "place_step", "redshifts_at", "table_of_peaks"]

_SURE = 0.9  # probability within 1,000 km/s below which a redshift is flagged


def place_step(config: RedshiftConfig) -> float:
    """Dex between two scores."""
    return config.step / config.finer


def redshifts_at(place: Tensor, config: RedshiftConfig) -> np.ndarray:
    """Redshifts at places of scores (N,)."""
    return 10.0 ** ((config.shift + place.numpy() / config.finer) * config.step) - 1.0


def errors_at(peaks: Peaks, network: RedshiftNetwork) -> np.ndarray:
    """Standard deviations of the redshifts of peaks, (N,)."""
    places = errors_of(peaks.spread, network.factor, network.least).numpy()
    per_place = place_step(network.config) * math.log(10.0)
    return places * per_place * (1.0 + redshifts_at(peaks.place, network.config))


def table_of_peaks(peaks: Peaks, network: RedshiftNetwork) -> QTable:
    """What `RedshiftProbe.predict_peaks` returns."""
    confidence = peaks.share.numpy()
    table = QTable(
        {
            "redshift": redshifts_at(peaks.place, network.config),
            "std": errors_at(peaks, network),
            "confidence": confidence,
            "second_redshift": redshifts_at(peaks.second, network.config),
            "second_confidence": peaks.second_share.numpy(),
            "warning": ~(confidence >= _SURE),
        }
    )
    for name in table.colnames[:-1]:
        table[name].info.format = ".3f" if name.endswith("confidence") else ".5f"
    return table
