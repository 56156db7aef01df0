"""Plot of a spectrum, its reconstruction, and the residuals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units as u

from spectok._convert import numbers_of
from spectok.plotting._axes import (
    ERROR,
    GREY,
    HIDDEN,
    MODEL,
    let_carry,
    named,
    two_panels,
    wavelength_unit,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_reconstruction"]


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
        One-dimensional. Without an uncertainty the residuals are in the unit of the flux.
    reconstruction : like ``spectrum``
        From `spectok.decode` on the same axis or axes.
    hidden : array of bool, or list of them, optional
        Pixels that the encoder did not see: shaded, and their residuals marked.
    axes : sequence of two `~matplotlib.axes.Axes`, optional
        For the spectrum and for the residuals; by default a new figure's. Where they have
        units already, those are kept.
    title : str, optional
        Above the upper panel.

    Returns
    -------
    axes : `numpy.ndarray` of `~matplotlib.axes.Axes`, shape (2,)
        They carry the units of the spectrum (wavelengths in Angstrom where it has frequencies
        or the like): a `~astropy.units.Quantity` drawn on them is converted.

    Raises
    ------
    ValueError
        - Where a spectrum is not one-dimensional.
        - Where a spectrum has another number of pixels than its reconstruction.
        - Where a spectrum has a unit that does not convert to that of the axes.

    Examples
    --------
    >>> import spectok
    >>> from astropy import units as u
    >>> from spectok import plotting, simulate
    >>> spectrum = simulate.observe("sdss", kind="star", snr=20)[0]
    >>> again = spectok.decode(spectok.encode(spectrum), spectrum.spectral_axis)
    >>> axes = plotting.plot_reconstruction(spectrum, again)
    >>> line = axes[0].axvline(0.65646 * u.micron)  # H alpha, in vacuum
    >>> axes[1].get_xlabel(), axes[1].get_ylabel()
    ('vacuum wavelength [Å]', 'residual / error')
    """
    arms = list(spectrum) if isinstance(spectrum, (list, tuple)) else [spectrum]
    again = list(reconstruction) if isinstance(reconstruction, (list, tuple)) else [reconstruction]
    shades = hidden if isinstance(hidden, (list, tuple)) else [hidden] * len(arms)
    if len(arms) != len(again) or len(arms) != len(shades):
        raise ValueError(
            f"{len(arms)} spectra, {len(again)} reconstructions and {len(shades)} sets of hidden "
            "pixels: give one of each for every arm"
        )
    for one, other in zip(arms, again, strict=True):
        if one.flux.ndim != 1 or one.flux.shape != other.flux.shape:
            raise ValueError(
                f"plot_reconstruction draws one-dimensional spectra: got shapes {one.flux.shape} "
                f"and {other.flux.shape}; index the object first, such as spectrum[0]"
            )
    top, bottom = two_panels(axes, (8, 4.5))
    unit = let_carry(top.yaxis, arms[0].flux.unit, "the flux is")
    wave = wavelength_unit(arms[0].spectral_axis.unit)
    wave = [let_carry(one.xaxis, wave, "the wavelength is") for one in (top, bottom)][0]
    # Where nobody says how large the errors are, residuals are what they are.
    certain = any(one.uncertainty is not None for one in arms)
    fluxes, residuals, errors = [], [], []
    shaded = False
    for number, (one, other, shade) in enumerate(zip(arms, again, shades, strict=True)):
        labels = dict.fromkeys(("data", "error", "band", "model"))
        if number == 0:
            labels = {
                "data": "data", "error": "its error", "band": "model ± 1σ",
                "model": "reconstruction",
            }  # fmt: skip
        if not certain:
            labels["error"] = None
        x, flux, sigma, good = numbers_of(one, unit)
        _, model, error, known = numbers_of(other, unit)
        x = (x * u.AA).to(wave)
        hide = np.zeros(x.size, bool) if shade is None else np.asarray(shade, bool)
        seen, noise = (np.where(good, values, np.nan) * unit for values in (flux, sigma))
        top.step(x, seen, where="mid", color=GREY, lw=0.6, label=labels["data"])
        errors += top.plot(x, noise, color=ERROR, lw=0.6, label=labels["error"])
        model = np.where(known, model, np.nan)
        band = ((model - error) * unit, (model + error) * unit)
        top.fill_between(x, *band, color=MODEL, alpha=0.35, lw=0, label=labels["band"])
        top.plot(x, model * unit, color=MODEL, lw=0.9, label=labels["model"])
        with np.errstate(divide="ignore", invalid="ignore"):
            residual = (flux - model) / (sigma if certain else 1.0)
        residual = np.where(good & known, residual, np.nan)
        bottom.plot(x, np.where(hide, np.nan, residual), ".", ms=1.5, color=GREY)
        bottom.plot(x, np.where(hide, residual, np.nan), ".", ms=3, color=HIDDEN)
        _shade(top, bottom, x, hide, None if shaded else "hidden from the encoder")
        shaded |= bool(hide.any())
        fluxes.append(seen.value)
        residuals.append(residual)
    _limit(top, np.concatenate(fluxes), errors)
    if certain:
        bottom.set_ylim(-5, 5)
        for level in (-1, 1):
            bottom.axhline(level, color="0.6", lw=0.6, ls=":")
    else:
        reach = 2 * _reach(np.concatenate(residuals), 98)
        bottom.set_ylim(-reach, reach)
    bottom.axhline(0, color="k", lw=0.6)
    top.set_ylabel(named("flux", unit))
    top.set_xlabel("")  # it stands below
    bottom.set_ylabel("residual / error" if certain else named("residual", unit))
    medium = (arms[0].meta or {}).get("medium", "vacuum")
    bottom.set_xlabel(named("air wavelength" if medium == "air" else "vacuum wavelength", wave))
    top.legend(loc="upper right", ncols=3, fontsize="small", framealpha=0.9)
    if title is not None:
        top.set_title(title)
    return np.array([top, bottom])


def _shade(top: Axes, bottom: Axes, x: u.Quantity, hidden: np.ndarray, label: str | None) -> None:
    """Shade runs of pixels from edge to edge, and nothing of a gap beside them."""
    step = np.abs(np.diff(x)) if x.size > 1 else np.ones(1) * x.unit
    half = 0.5 * np.minimum(
        np.append(step, step[-1])[: x.size], np.insert(step, 0, step[0])[: x.size]
    )
    edges = np.flatnonzero(np.diff(np.r_[False, hidden, False].astype(int)))
    for first, end in edges.reshape(-1, 2):
        low, high = sorted([(x[first], half[first]), (x[end - 1], half[end - 1])])
        for axes in (top, bottom):
            axes.axvspan(
                low[0] - low[1], high[0] + high[1], color=HIDDEN, alpha=0.18, lw=0,
                label=label if axes is top else None,
            )  # fmt: skip
        label = None


def _limit(axes: Axes, flux: np.ndarray, errors: list[Any]) -> None:
    """Limits that show the spectrum, not its worst pixels; and zero, if that is not far."""
    flux = flux[np.isfinite(flux)]
    if not flux.size:
        return
    low, high = np.percentile(flux, [0.5, 99.5])
    reach = (high - low) or abs(high) or 1.0
    low, high = low - 0.15 * reach, high + 0.35 * reach
    if 0 < low < 0.6 * high:
        low = 0.0
    axes.set_ylim(low, high)
    if low > 0:
        # The errors lie far below the picture: no line, and no word of it in the legend.
        for line in errors:
            line.remove()


def _reach(values: np.ndarray, percentile: float) -> float:
    values = np.abs(values[np.isfinite(values)])
    return float(np.percentile(values, percentile)) if values.any() else 1.0
