"""Pictures of spectra, reconstructions and tokens (layer 4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units as u

from spectok._convert import numbers_of

if TYPE_CHECKING:
    from astropy.table import Table
    from matplotlib.axes import Axes

__all__ = ["plot_reconstruction", "plot_tokens"]

# Okabe & Ito (2008): told apart by colour-blind readers too.
_DATA, _MODEL, _HIDDEN, _ERROR = "#8c8c8c", "#0072b2", "#d55e00", "#cc79a7"


def plot_reconstruction(
    spectrum: Any,
    reconstruction: Any,
    *,
    hidden: Any = None,
    axes: Sequence[Axes] | None = None,
    title: str | None = None,
) -> np.ndarray:
    """Plot a spectrum, its error, its reconstruction with uncertainty, and the residuals.

    Parameters
    ----------
    spectrum : `~specutils.Spectrum`, or list of them (arms)
        One-dimensional, with an uncertainty.
    reconstruction : like ``spectrum``
        From `spectok.decode` on the same axis or axes.
    hidden : array of bool, or list of them, optional
        Pixels that the encoder did not see: shaded, and their residuals marked.
    axes : sequence of two `~matplotlib.axes.Axes`, optional
        For the spectrum and for the residuals; by default a new figure's.
    title : str, optional

    Returns
    -------
    axes : `numpy.ndarray` of `~matplotlib.axes.Axes`, shape (2,)

    Raises
    ------
    ValueError
        Where a spectrum is not one-dimensional, or has another number of pixels than its
        reconstruction.

    Examples
    --------
    >>> import spectok
    >>> from spectok import plotting, simulate
    >>> spectrum = simulate.observe("sdss", kind="star", snr=20)[0]
    >>> again = spectok.decode(spectok.encode(spectrum), spectrum.spectral_axis)
    >>> axes = plotting.plot_reconstruction(spectrum, again)
    >>> axes[1].get_ylabel()
    'residual / error'
    """
    import matplotlib.pyplot as plt

    arms = list(spectrum) if isinstance(spectrum, (list, tuple)) else [spectrum]
    again = list(reconstruction) if isinstance(reconstruction, (list, tuple)) else [reconstruction]
    shades = hidden if isinstance(hidden, (list, tuple)) else [hidden] * len(arms)
    if len(arms) != len(again) or len(arms) != len(shades):
        raise ValueError(
            f"{len(arms)} spectra, {len(again)} reconstructions and {len(shades)} sets of hidden "
            "pixels: give one of each for every arm"
        )
    if axes is None:
        _, axes = plt.subplots(
            2, 1, figsize=(10, 5), sharex=True, height_ratios=(3, 1), layout="constrained"
        )
    top, bottom = axes
    unit = arms[0].flux.unit
    limits = []
    for number, (one, other, shade) in enumerate(zip(arms, again, shades, strict=True)):
        if one.flux.ndim != 1 or one.flux.shape != other.flux.shape:
            raise ValueError(
                f"plot_reconstruction draws one-dimensional spectra: got shapes {one.flux.shape} "
                f"and {other.flux.shape}; index the object first, such as spectrum[0]"
            )
        label = (lambda text: text) if number == 0 else (lambda text: None)
        x, flux, sigma, good = numbers_of(one, unit)
        _, model, error, known = numbers_of(other, unit)
        hide = np.zeros(x.size, bool) if shade is None else np.asarray(shade, bool)
        seen = np.where(good, flux, np.nan)
        top.step(x, seen, where="mid", color=_DATA, lw=0.6, label=label("data"))
        top.plot(x, np.where(good, sigma, np.nan), color=_ERROR, lw=0.6, label=label("its error"))
        model = np.where(known, model, np.nan)
        band = (model - error, model + error)
        top.fill_between(x, *band, color=_MODEL, alpha=0.35, lw=0, label=label("model ± 1σ"))
        top.plot(x, model, color=_MODEL, lw=0.9, label=label("reconstruction"))
        with np.errstate(divide="ignore", invalid="ignore"):
            residual = np.where(good & known, (flux - model) / sigma, np.nan)
        bottom.plot(x, np.where(hide, np.nan, residual), ".", ms=1.5, color=_DATA)
        bottom.plot(x, np.where(hide, residual, np.nan), ".", ms=3, color=_HIDDEN)
        _shade(top, bottom, x, hide, label("hidden from the encoder"))
        limits.append(np.where(good, flux, np.nan))
    _limit(top, np.concatenate(limits))
    bottom.set_ylim(-5, 5)
    for level in (-1, 1):
        bottom.axhline(level, color="0.6", lw=0.6, ls=":")
    bottom.axhline(0, color="k", lw=0.6)
    top.set_ylabel(f"flux [{unit.to_string('unicode')}]")
    bottom.set_ylabel("residual / error")
    bottom.set_xlabel("vacuum wavelength [Å]" if _vacuum(arms[0]) else "air wavelength [Å]")
    top.legend(loc="upper right", ncols=3, fontsize="small", framealpha=0.9)
    if title is not None:
        top.set_title(title)
    return np.array([top, bottom])


def plot_tokens(tokens: Table, spectrum_index: int = 0, *, axes: Axes | None = None) -> Axes:
    """Plot the tokens of one spectrum against wavelength, a row for each channel.

    Parameters
    ----------
    tokens : `~astropy.table.QTable`
        From `spectok.encode`.
    spectrum_index : int
        Which spectrum of the table.
    axes : `~matplotlib.axes.Axes`, optional
        By default a new figure's.

    Returns
    -------
    axes : `~matplotlib.axes.Axes`

    Raises
    ------
    ValueError
        Where the table has no such spectrum, or the spectrum no valid token.

    Examples
    --------
    >>> import spectok
    >>> from spectok import plotting, simulate
    >>> tokens = spectok.encode(simulate.observe("sdss"))
    >>> plotting.plot_tokens(tokens).get_ylabel()
    'channel of the token'
    """
    import matplotlib.pyplot as plt

    rows = tokens[np.asarray(tokens["spectrum_index"]) == spectrum_index]
    rows = rows[np.asarray(rows["valid"], dtype=bool)]
    if len(rows) == 0:
        raise ValueError(
            f"the table has no valid token of spectrum {spectrum_index}; its spectra are "
            f"{np.unique(tokens['spectrum_index']).tolist()[:20]}"
        )
    if axes is None:
        _, axes = plt.subplots(figsize=(10, 3.5), layout="constrained")
    low, high = (
        u.Quantity(rows[name]).to_value(u.AA) for name in ("wavelength_min", "wavelength_max")
    )
    half = 0.5 * (high - low) / np.maximum(np.asarray(rows["n_pixels"]) - 1, 1)
    values = np.asarray(rows["token"], dtype=float)
    reach = np.percentile(np.abs(values), 99)
    for left, right, token in zip(low - half, high + half, values, strict=True):
        # One patch is one column, from edge to edge of its pixels; gaps stay white.
        image = axes.pcolormesh(
            [left, right],
            np.arange(token.size + 1) - 0.5,
            token[:, None],
            cmap="RdBu_r",
            vmin=-reach,
            vmax=reach,
            rasterized=True,
        )
    axes.figure.colorbar(image, ax=axes, label="token", extend="both")
    axes.set_xlim(low.min(), high.max())
    axes.set_xlabel("vacuum wavelength [Å]")
    axes.set_ylabel("channel of the token")
    axes.set_title(f"{rows['object_id'][0]}: {len(rows)} tokens")
    return axes


def _vacuum(spectrum: Any) -> bool:
    return (spectrum.meta or {}).get("medium", "vacuum") != "air"


def _shade(top: Axes, bottom: Axes, x: np.ndarray, hidden: np.ndarray, label: Any) -> None:
    edges = np.flatnonzero(np.diff(np.r_[False, hidden, False].astype(int)))
    for first, last in edges.reshape(-1, 2):
        for axes in (top, bottom):
            axes.axvspan(
                x[first], x[last - 1], color=_HIDDEN, alpha=0.18, lw=0,
                label=label if axes is top else None,
            )  # fmt: skip
        label = None


def _limit(axes: Axes, flux: np.ndarray) -> None:
    """Limits that show the spectrum, not its worst pixels."""
    flux = flux[np.isfinite(flux)]
    if flux.size:
        low, high = np.percentile(flux, [0.5, 99.5])
        reach = (high - low) or 1.0
        axes.set_ylim(low - 0.15 * reach, high + 0.35 * reach)
