"""Light curves to tokens, and tokens to light curves at any times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from astropy import units as u
from astropy.table import QTable, Table
from astropy.time import Time
from astropy.timeseries import TimeSeries

from spectok._batch import Prepared, SpectrumBatch
from spectok._codec._network import (
    CURVE_MODEL,
    Model,
    check_coordinate,
    device_of,
    exact,
    matching,
)
from spectok._codec._run import encode_rows
from spectok._convert import (
    curve_count,
    filter_wavelengths,
    is_curve,
    stream_curve_arrays,
    stream_curves,
    to_days,
)
from spectok._curves import curve_layout
from spectok._tokens import TokenSequence, meta_of, sequences, to_token_batch
from spectok._weights import resolve

__all__ = ["are_curves", "decode_curves", "encode_curve_arrays", "encode_curves"]


def are_curves(spectra: Any, model: Model) -> bool:
    """Whether what came in is light curves: by what it is, else by the model that it is for."""
    several = isinstance(spectra, (list, tuple)) and len(spectra)
    first = spectra[0] if several else spectra
    if is_curve(first) or isinstance(first, Time):
        return True
    if isinstance(first, u.Quantity) and first.unit.is_equivalent(u.d):
        return True
    if hasattr(first, "spectral_axis") or isinstance(first, u.Quantity) or model is None:
        return False
    # Numbers are times, and an iterator, which must not be asked, is of light curves, where the
    # model is.
    return resolve(model).config.of_times


def encode_curves(
    curves: Any,
    model: Model,
    object_id: Any,
    device: str | torch.device | None,
    batch_size: int | None,
    progress: bool | None,
    precision: str | None,
    *,
    columns: Mapping[str, str] | None,
    bands: Mapping[str, Any] | None,
    zero_point: float | None,
    keep: Sequence[str],
    errors: str,
    useless: Mapping[str, Any],
) -> QTable:
    """Encode a `~astropy.timeseries.TimeSeries`, a table of light curves, or several."""
    network = _network_of_curves(model, device, useless)
    rows = stream_curves(
        curves, columns=columns, bands=bands, zero_point=zero_point, keep=keep, errors=errors
    )
    return encode_rows(
        rows, None, network, object_id, device, batch_size, progress,
        curve_count(curves) if object_id is None else None, precision, "d",
    )  # fmt: skip


def encode_curve_arrays(
    time: Any,
    flux: Any,
    ivar: Any,
    mask: Any,
    band: Any,
    model: Model,
    object_id: Any,
    device: str | torch.device | None,
    batch_size: int | None,
    progress: bool | None,
    precision: str | None,
    *,
    bands: Mapping[str, Any] | None,
    zero_point: float | None,
    errors: str,
    useless: Mapping[str, Any],
) -> QTable:
    """Encode arrays of times, fluxes and filters."""
    network = _network_of_curves(model, device, useless)
    rows = stream_curve_arrays(
        time, flux, ivar, mask, band, bands=bands, zero_point=zero_point, errors=errors
    )
    return encode_rows(
        rows, None, network, object_id, device, batch_size, progress, None, precision, "d"
    )


def _network_of_curves(model: Model, device: Any, useless: Mapping[str, Any]) -> Any:
    given = [name for name, value in useless.items() if value is not None]
    if given:
        raise ValueError(f"{', '.join(given)} means nothing to light curves: leave it out")
    return check_coordinate(resolve(CURVE_MODEL if model is None else model, device), "d")


def decode_curves(
    tokens: Table,
    times: Any,
    band: Any,
    model: Model,
    device: str | torch.device | None,
) -> TimeSeries | list[TimeSeries]:
    """Light curves at any times through any filters, from a token table.

    Parameters
    ----------
    tokens : `~astropy.table.QTable`
        Of light curves.
    times : `~astropy.time.Time` or `~astropy.units.Quantity`, shape (L,), or list of them
        In the table's own days where it is a Quantity; one for all objects, or one for each.
    band : str, number, `~astropy.units.Quantity`, or sequence of them
        Filter of all points, or of each.
    model, device : as for `spectok.decode`
        What they are there.

    Returns
    -------
    curve : `~astropy.timeseries.TimeSeries`, or list of them
        Of one object, or of each.

    Raises
    ------
    ValueError
        Without a band, and where no token reaches any of the times.
    """
    spectra, meta = sequences(tokens), meta_of(tokens)
    network = check_coordinate(matching(meta, model, device), "d")
    if band is None:
        raise ValueError(
            "light curves are decoded through a filter: give band=, its name (such as 'r') or "
            "effective wavelength"
        )
    several = isinstance(times, (list, tuple))
    given = list(times) if several else [times] * len(spectra)
    if len(given) != len(spectra):
        raise ValueError(
            f"{len(given)} sets of times for {len(spectra)} light curves: give one for all or "
            "one for each"
        )
    asked = [_asked(one, str(meta.get("TIMESCAL", ""))) for one in given]
    where = "the times to decode at"
    bands = [filter_wavelengths(band, one.size, where) for one in asked]
    covered = [one.covers(days) for one, days in zip(spectra, asked, strict=True)]
    if not any(some.any() for some in covered):
        raise ValueError(_unreached(spectra, asked))
    unit = u.Unit(meta["FLUXUNIT"])
    found = [
        _at(network, one, days, filters, some)
        for one, days, filters, some in zip(spectra, asked, bands, covered, strict=True)
    ]
    curves = [
        TimeSeries(
            time=_as_time(asked_for, days),
            data={
                "band": filters * u.AA,
                "flux": u.Quantity(flux, unit),
                "flux_err": u.Quantity(sigma, unit),
                "mask": ~some,
            },
            meta={"object_id": str(one.object_id)},
        )
        for asked_for, days, filters, some, (flux, sigma), one in zip(
            given, asked, bands, covered, found, spectra, strict=True
        )
    ]
    return curves[0] if len(curves) == 1 and not several else curves


def _asked(times: Any, scale: str) -> np.ndarray:
    """Times as the table counts them, (L,)."""
    if isinstance(times, Time):
        if not scale:
            raise ValueError(
                "the light curves came with numbers of days, so ask for numbers of days: "
                "times * u.d"
            )
        times = times if times.scale == scale else getattr(times, scale)
    elif not isinstance(times, u.Quantity):
        raise TypeError(
            "times must be an astropy Time, or a Quantity of days as in the column time of the "
            f"table, such as times * u.d, not {type(times).__name__}"
        )
    days, _ = to_days(times, "the times to decode at")
    days = np.atleast_1d(days)
    if days.ndim != 1 or not np.isfinite(days).all():
        raise ValueError("the times to decode at must be finite, of one dimension")
    return days


def _as_time(asked: Any, days: np.ndarray) -> Any:
    """What was asked for, as a TimeSeries takes it."""
    if isinstance(asked, Time):
        return asked.reshape(-1)
    from astropy.time import TimeDelta

    return TimeDelta(days * u.d)


def _at(
    network: Any, one: TokenSequence, days: np.ndarray, bands: np.ndarray, covered: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Flux and its standard deviation at times in any order; NaN where not covered."""
    flux, sigma = np.full(days.size, np.nan), np.full(days.size, np.nan)
    order = np.lexsort((days, bands))
    order = order[covered[order]]
    if not order.size or not one.valid.any():
        return flux, sigma
    patch_size = network.config.patch_size
    layout = curve_layout(days[order], bands[order], patch_size, origin=one.origin)
    ones = np.ones(order.size)
    target = SpectrumBatch.of([Prepared(layout, ones, ones, ones > 0)])
    device = device_of(network)
    with exact(network):
        batch = to_token_batch([one]).to(device)
        target = target.to(device)
        decoded = network.decode(batch, target.wavelength, target.valid, target.band)
    flux[order], sigma[order] = (
        one.scale * layout.scatter(part[0].cpu().double().numpy()) for part in decoded
    )
    return flux, sigma


def _unreached(spectra: list[TokenSequence], asked: list[np.ndarray]) -> str:
    live = [one for one in spectra if one.valid.any()]
    if not live:
        return (
            f"not one of the {len(spectra)} light curves of the table has a valid token, so there "
            "is nothing to decode; spectok.refusals says why"
        )
    first = min(one.wavelength_min[one.valid].min() for one in live)
    last = max(one.wavelength_max[one.valid].max() for one in live)
    low, high = min(one.min() for one in asked), max(one.max() for one in asked)
    return (
        f"no token reaches any of these times: they run from {low:.6g} to {high:.6g} d, the "
        f"tokens from {first:.6g} to {last:.6g} d; ask for times that were observed"
    )
