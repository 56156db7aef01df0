"""Plot of the tokens of a spectrum."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from astropy import units as u

from spectok.plotting._axes import let_carry, named, wavelength_unit

if TYPE_CHECKING:
    from astropy.table import Table
    from matplotlib.axes import Axes

__all__ = ["plot_tokens"]


def plot_tokens(
    tokens: Table, spectrum_index: int = 0, *, axes: Axes | None = None, title: str | None = None
) -> Axes:
    """Plot the tokens of one spectrum against wavelength, a row for each channel.

    Those of a light curve are plotted against time, band upon band from the bluest upwards.

    Parameters
    ----------
    tokens : `~astropy.table.QTable`
        From `spectok.encode`.
    spectrum_index : int
        Which spectrum of the table.
    axes : `~matplotlib.axes.Axes`, optional
        By default a new figure's. Where its wavelengths have a unit already, it is kept.
    title : str, optional
        By default the identifier and the number of tokens.

    Returns
    -------
    axes : `~matplotlib.axes.Axes`
        Its wavelengths carry their unit, Angstrom.

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
    from matplotlib.colors import AsinhNorm

    rows = tokens[np.asarray(tokens["spectrum_index"]) == spectrum_index]
    rows = rows[np.asarray(rows["valid"], dtype=bool)]
    if len(rows) == 0:
        raise ValueError(
            f"the table has no valid token of spectrum {spectrum_index}; its spectra are "
            f"{np.unique(tokens['spectrum_index']).tolist()[:20]}"
        )
    if axes is None:
        _, axes = plt.subplots(figsize=(8, 3.2), layout="constrained")
    if "band" in rows.colnames and "time" in rows.colnames:
        return _of_curve(rows, axes, title)
    low, high = (u.Quantity(rows[name]) for name in ("wavelength_min", "wavelength_max"))
    unit = let_carry(axes.xaxis, wavelength_unit(low.unit), "the wavelength of the tokens is")
    half = 0.5 * (high - low) / np.maximum(np.asarray(rows["n_pixels"]) - 1, 1)
    left, right = (low - half).to(unit), (high + half).to(unit)
    values = np.asarray(rows["token"], dtype=float)
    reach = np.percentile(np.abs(values), 99)
    # The first channel and the last are large, and what lies between them is the shape.
    straight = np.median(np.abs(values)) or reach or 1.0
    norm = AsinhNorm(straight, -reach, reach)
    for edges, token in zip(zip(left, right, strict=True), values, strict=True):
        # One patch is one column, from edge to edge of its pixels; gaps stay white.
        image = axes.pcolormesh(
            u.Quantity(edges),
            np.arange(token.size + 1) - 0.5,
            token[:, None],
            cmap="RdBu_r",
            norm=norm,
            rasterized=True,
        )
    decades = 10.0 ** np.arange(np.ceil(np.log10(3 * straight)), np.log10(max(reach, straight)))
    axes.figure.colorbar(
        image,
        ax=axes,
        label="value (asinh scale)",
        extend="both",
        ticks=[*-decades[::-1], 0.0, *decades],
        format="{x:g}",
    ).minorticks_off()
    axes.set_xlim(left.min(), right.max())
    axes.set_xlabel(named("vacuum wavelength", unit))
    axes.set_ylabel("channel of the token")
    axes.set_title(f"{rows['object_id'][0]}: {len(rows)} tokens" if title is None else title)
    return axes


def _of_curve(rows: Table, axes: Axes, title: str | None) -> Axes:
    """Tokens of a light curve: one strip for each band, its channels from below."""
    from matplotlib.colors import AsinhNorm

    values = np.asarray(rows["token"], dtype=float)
    reach = np.percentile(np.abs(values), 99) or 1.0
    norm = AsinhNorm(np.median(np.abs(values)) or reach, -reach, reach)
    low, high = (np.asarray(u.Quantity(rows[name]).value) for name in ("time_min", "time_max"))
    least = 0.004 * max(high.max() - low.min(), 1.0)
    band = np.asarray(u.Quantity(rows["band"]).value)
    bands, size = np.unique(band), values.shape[1]
    for first, last, one, token in zip(low, high, band, values, strict=True):
        base = int(np.searchsorted(bands, one)) * (size + 1)
        image = axes.pcolormesh(
            [first - least, last + least],
            base + np.arange(size + 1),
            token[:, None],
            cmap="RdBu_r",
            norm=norm,
            rasterized=True,
        )
    axes.figure.colorbar(image, ax=axes, label="value (asinh scale)", extend="both")
    axes.set_yticks(np.arange(bands.size) * (size + 1) + size / 2, [f"{b:.0f} Å" for b in bands])
    axes.set_xlabel("time [d]")
    axes.set_ylabel("filter, and its channels")
    axes.set_title(f"{rows['object_id'][0]}: {len(rows)} tokens" if title is None else title)
    return axes
