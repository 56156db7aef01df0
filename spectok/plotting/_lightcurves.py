"""Light curves with what a tokenizer makes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units as u

from spectok._codec import decode, encode
from spectok._codec._network import CURVE_MODEL, Model
from spectok._convert import stream_curves
from spectok.plotting._axes import named

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_light_curve"]

_POINTS = 200  # at which a curve is decoded
_COLOURS = "viridis"


def plot_light_curve(
    curve: Any,
    *,
    model: Model = None,
    axes: Axes | None = None,
    title: str | None = None,
    **how: Any,
) -> Axes:
    """Plot a light curve's points, and the curve that is decoded from its tokens, band by band.

    Parameters
    ----------
    curve : `~astropy.timeseries.TimeSeries` or table
        One light curve, as `spectok.encode` takes it.
    model : `~spectok.SpectralTokenizer`, str or path, optional
        By default the one for light curves.
    axes : `~matplotlib.axes.Axes`, optional
        By default a new figure's.
    title : str, optional
        By default the identifier.
    **how
        ``columns``, ``bands`` and ``zero_point``, as for `spectok.encode`.

    Returns
    -------
    axes : `~matplotlib.axes.Axes`
        Times in days, fluxes in the unit of the token table.

    Raises
    ------
    ValueError
        As `spectok.encode`, and where there is not one light curve.

    Examples
    --------
    >>> from astropy.timeseries import TimeSeries
    >>> from astropy.time import Time
    >>> import spectok
    >>> from spectok import plotting
    >>> from spectok.simulate import lightcurves
    >>> one = lightcurves.observe("des", kinds=["Ia"], seed=2)
    >>> curve = TimeSeries(time=Time(56000 + one.time[0], format="mjd"), data={
    ...     "flux": one.flux[0], "flux_err": one.sigma[0], "band": one.band[0]})
    >>> model = spectok.SpectralTokenizer(spectok.ModelConfig.of_size("tiny", patch_size=4,
    ...     coordinate_unit="d", min_period=0.5, max_period=2048))
    >>> plotting.plot_light_curve(curve, model=model).get_xlabel()
    'MJD (utc) [d]'
    """
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    (rows, *more) = stream_curves(curve, **how)
    if more or rows.reason:
        raise ValueError(rows.reason or f"this table holds {1 + len(more)} light curves: give one")
    tokens = encode(curve, model=CURVE_MODEL if model is None else model, **how)
    if axes is None:
        _, axes = plt.subplots(figsize=(8, 4), layout="constrained")
    first, last = rows.wavelength.min(), rows.wavelength.max()
    place = np.linspace(first, last, _POINTS)
    scale = str(tokens.meta.get("TIMESCAL", ""))
    bands = np.unique(np.asarray(rows.band))
    colours = mpl.colormaps[_COLOURS](np.linspace(0.05, 0.9, bands.size))
    for band, colour in zip(bands, colours, strict=True):
        some = (rows.band == band) & rows.valid[0]
        axes.errorbar(
            rows.wavelength[some], rows.flux[0, some], rows.sigma[0, some],
            fmt="o", ms=3, lw=0.8, color=colour, label=f"{band:.0f} Å",
        )  # fmt: skip
        found: Any = decode(tokens, place * u.d, band=band, model=model)
        flux, error = (np.asarray(found[name].value) for name in ("flux", "flux_err"))
        axes.plot(place, flux, color=colour)
        axes.fill_between(place, flux - error, flux + error, color=colour, alpha=0.2, lw=0)
    axes.set_xlabel("time [d]" if not scale else f"MJD ({scale}) [d]")
    unit = None if rows.flux_unit is None else rows.flux_unit.unit
    axes.set_ylabel(named("flux", unit))
    axes.set_title(str(tokens["object_id"][0]) if title is None else title)
    axes.legend()
    return axes
