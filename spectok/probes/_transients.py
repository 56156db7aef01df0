"""What classifiers of transients read: decoded bands around the maximum, embeddings, tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from astropy import units as u
from astropy.table import QTable, Table

from spectok._codec._network import (
    CURVE_MODEL,
    check_coordinate,
    device_of,
    exact,
    matching,
)
from spectok._convert import filter_wavelengths
from spectok._progress import progress_bar
from spectok._tokens import TokenSequence, meta_of, sequences, to_token_batch
from spectok.model import SpectralTokenizer

__all__ = ["transient_features"]

# Days around the maximum at which every band is decoded: close where transients change fast.
_DAYS = np.concatenate([np.arange(-30.0, 40.0, 3.0), np.arange(40.0, 100.0, 10.0)])
_COLOUR_DAYS = (-15.0, -6.0, 0.0, 9.0, 18.0, 30.0)
_SEARCHED = 64  # times, evenly over what was observed, among which the maximum is looked for
_FAINTEST = 0.02  # of the scale: the smallest height at maximum
_CONTRAST = 20.0  # of the asinh colours: bands below 1/20 of the scale count as dark
_BATCH = 128


def transient_features(
    tokens: Table,
    *,
    bands: Sequence[Any] = ("g", "r", "i", "z"),
    model: SpectralTokenizer | str | None = None,
    device: str | torch.device | None = None,
    progress: bool | None = None,
) -> QTable:
    """Numbers by which a classifier tells transients apart, from tokens of their light curves.

    The light curve of each object is decoded, its maximum is found in the sum of the bands, and
    each band is decoded again at fixed days before and after it, in units of the flux at maximum.
    Beside these stand colours, times of maximum, the brightness, the embedding, and the tokens'
    mean and largest values. No redshift and no label is used.

    Parameters
    ----------
    tokens : `~astropy.table.QTable`
        From `spectok.encode` of light curves.
    bands : sequence of str, float or `~astropy.units.Quantity`
        At least two filters, by name or effective wavelength (numbers are in Angstrom), observed
        or not: all objects are compared in the same ones.
    model : `~spectok.SpectralTokenizer` or str, optional
        By default the one that made the tokens.
    device : str or `torch.device`, optional
        Where the network runs.
    progress : bool, optional
        Show a bar; by default where standard error is a terminal.

    Returns
    -------
    table : `~astropy.table.QTable`
        One row for each object: ``object_id``, ``spectrum_index``, ``maximum`` (time, in days as
        the tokens count them), ``n_valid`` (valid tokens) and ``features`` (float32, zeros
        without a valid token), which any classifier of scikit-learn reads.

    Raises
    ------
    ValueError
        For tokens of spectra, for fewer than two bands, or for a model without a reader.

    See Also
    --------
    spectok.training.degrade_curve : More examples from each curve that has a label.

    Notes
    -----
    Boosted trees on these features, learned from 1,103 curves of the Supernova Photometric
    Classification Challenge and four degraded copies of each, are what the documentation's page
    on light curves measures.

    Examples
    --------
    >>> import spectok
    >>> from spectok.probes import transient_features
    >>> from spectok.simulate import lightcurves
    >>> mock = lightcurves.observe("des", kinds=["Ia", "IIP"], seed=1)
    >>> ivar = [sigma**-2 for sigma in mock.sigma]
    >>> tokens = spectok.encode_arrays(mock.time, mock.flux, ivar, band=mock.band,
    ...                                model="lightcurve-v1")
    >>> transient_features(tokens).colnames
    ['object_id', 'spectrum_index', 'maximum', 'n_valid', 'features']
    """
    meta = meta_of(tokens)
    network = check_coordinate(matching(meta, model, device), "d")
    if network.reader is None:
        raise ValueError(
            f"the model has no reader (its embedding_size is 0), and features hold embeddings; "
            f"{CURVE_MODEL} has one"
        )
    filters = np.atleast_1d(filter_wavelengths(list(bands), len(bands), "bands"))
    if len(filters) < 2:
        raise ValueError(
            f"bands must be two filters or more, to have colours; it has {len(bands)}"
        )
    objects = sequences(tokens)
    order = np.argsort([len(one.valid) for one in objects], kind="stable")
    maximum = np.full(len(objects), np.nan)
    features: np.ndarray | None = None
    bar = progress_bar("features", total=len(objects), unit="curve", progress=progress)
    for start in range(0, len(objects), _BATCH):
        rows = order[start : start + _BATCH]
        found, at = _features(network, [objects[k] for k in rows], filters)
        if features is None:
            features = np.zeros((len(objects), found.shape[1]), np.float32)
        features[rows], maximum[rows] = found, at
        bar.update(len(rows))
    bar.close()
    return QTable(
        {
            "object_id": [one.object_id for one in objects],
            "spectrum_index": [one.index for one in objects],
            "maximum": maximum * u.d,
            "n_valid": [int(one.valid.sum()) for one in objects],
            "features": np.zeros((0, 1), np.float32) if features is None else features,
        },
        meta={key: meta[key] for key in ("MODEL", "TIMESCAL") if key in meta},
    )


def _features(
    network: SpectralTokenizer, objects: list[TokenSequence], bands: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Features of some objects, (N, F), and the times of their maxima, (N,)."""
    live = np.array([bool(one.valid.any()) for one in objects])
    span = np.array([_span(one) for one in objects])  # (N, 2), days since the first point
    origin = np.array([one.origin for one in objects])
    with exact(network):
        batch = to_token_batch(objects).to(device_of(network))
        embedding = network.embed(batch).float().cpu().numpy()
        seen = batch.valid.unsqueeze(-1)
        mean = torch.where(seen, batch.value, 0.0).sum(1) / seen.sum(1).clamp(min=1)
        most = torch.where(seen, batch.value, -torch.inf).amax(1)
        pooled = torch.cat([mean, most], 1).float().cpu().numpy()
        pooled = np.where(live[:, None], pooled, 0.0)
        days = span[:, :1] + np.linspace(0, 1, _SEARCHED) * (span[:, 1:] - span[:, :1])
        flux, _ = _decode(network, batch, days, bands)
        top = days[np.arange(len(days)), flux.sum(1).argmax(1)]
        flux, sigma = _decode(network, batch, top[:, None] + _DAYS, bands)
    scale = np.array([one.scale for one in objects])
    height = np.maximum(flux[:, :, np.argmin(np.abs(_DAYS))].max(1), _FAINTEST)
    relative = flux / height[:, None, None]
    error = np.log(sigma / height[:, None, None] + 1e-6)
    some = np.abs(_DAYS[:, None] - np.array(_COLOUR_DAYS)).argmin(0)
    colours = -np.diff(np.arcsinh(_CONTRAST * flux[:, :, some]), axis=1)
    beside = [np.log(scale * height), np.log(height), top - span[:, 0], span[:, 1] - top]
    parts = [
        embedding, pooled, *(x.reshape(len(objects), -1) for x in (relative, error, colours)),
        relative.max(2), _DAYS[flux.argmax(2)], np.stack(beside, 1),
    ]  # fmt: skip
    features = np.where(live[:, None], np.concatenate(parts, 1), 0.0)
    return features.astype(np.float32), np.where(live, origin + top, np.nan)


def _span(one: TokenSequence) -> tuple[float, float]:
    """First and last day of the valid tokens, since the object's first point."""
    if not one.valid.any():
        return 0.0, 1.0
    first, last = one.wavelength_min[one.valid].min(), one.wavelength_max[one.valid].max()
    return first - one.origin, last - one.origin


def _decode(
    network: SpectralTokenizer, batch: Any, days: np.ndarray, bands: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Flux and its error over the scale, (N, bands, days), at (N, days)."""
    patch = network.config.patch_size
    number, asked = days.shape
    padded = np.pad(days, ((0, 0), (0, -asked % patch)), mode="edge")
    place = torch.from_numpy(np.tile(padded, (1, len(bands))))
    of_patches = np.repeat(bands, padded.shape[1] // patch)
    filters = torch.from_numpy(np.tile(of_patches, (number, 1)))
    device = device_of(network)
    found = network.decode(batch, place.to(device), band=filters.to(device))
    shape = (number, len(bands), padded.shape[1])
    flux, sigma = (x.double().cpu().numpy().reshape(shape)[:, :, :asked] for x in found)
    return flux, sigma
