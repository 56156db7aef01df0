"""Map of many spectra in two dimensions."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.utils.exceptions import AstropyUserWarning

from spectok.plotting._axes import CLASSES, bare, mask_of, named, numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_embedding", "words_of"]

_MARKERS = "osD^vP*X"
_UNKNOWN = "0.82"


def plot_embedding(
    coordinates: Any,
    values: Any = None,
    *,
    label: str | None = None,
    method: str | None = None,
    axes: Axes | None = None,
    title: str | None = None,
) -> Axes:
    """Plot a map of spectra in two dimensions, coloured by a quantity or by classes.

    Parameters
    ----------
    coordinates : array, shape (N, 2)
        A place for each spectrum, such as UMAP makes of the vectors of `spectok.embed`.
    values : array of str, array of numbers or `~astropy.units.Quantity`, shape (N,), optional
        Words are classes, each with a colour and a marker; numbers become a colour bar with
        their unit, from the 2nd to the 98th percentile. NaN, masked and empty ones are drawn
        in grey beneath the others.
    label : str, optional
        What the values are.
    method : str, optional
        What made the coordinates; names the axes.
    axes : `~matplotlib.axes.Axes`, optional
        By default a new figure's.
    title : str, optional
        Above the map.

    Returns
    -------
    axes : `~matplotlib.axes.Axes`
        Those that were given, or new ones.

    Raises
    ------
    TypeError
        For a table, such as that of `spectok.embed`.
    ValueError
        - For coordinates of another shape.
        - For another number of values than of coordinates.
        - For more than 64 classes.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy import units as u
    >>> from spectok import plotting
    >>> places = np.random.default_rng(0).normal(size=(100, 2))
    >>> axes = plotting.plot_embedding(places, np.arange(100) * 60 * u.K, label="Teff")
    >>> axes.figure.axes[1].get_ylabel()
    'Teff [K]'
    >>> axes = plotting.plot_embedding(places, ["STAR"] * 60 + ["QSO"] * 40)
    >>> [text.get_text() for text in axes.get_legend().get_texts()]
    ['QSO (40)', 'STAR (60)']
    """
    import matplotlib.pyplot as plt

    if hasattr(coordinates, "colnames"):
        raise TypeError(
            "coordinates are an array of shape (N, 2), not a table: make them of its vectors, as "
            'in umap.UMAP().fit_transform(table["embedding"])'
        )
    places = np.asarray(coordinates, dtype=float)
    if places.ndim != 2 or places.shape[1] != 2:
        raise ValueError(
            f"coordinates must have the shape (N, 2), not {places.shape}: a place for each "
            "spectrum, such as umap.UMAP().fit_transform(vectors) gives"
        )
    if values is not None and np.shape(values) != (len(places),):
        raise ValueError(
            f"{len(places)} places, but values of shape {np.shape(values)}: give one for each"
        )
    there = np.isfinite(places).all(1)
    if not there.all():
        warnings.warn(
            f"{(~there).sum()} of {len(places)} coordinates are not finite and are not drawn",
            AstropyUserWarning,
            stacklevel=2,
        )
        places = places[there]
        values = None if values is None else _at(values, there)
    if axes is None:
        _, axes = plt.subplots(figsize=(6.5, 5), layout="constrained")
    size = float(np.clip(2e4 / max(len(places), 1), 4, 30))
    draw: dict[str, Any] = {"s": size, "linewidths": 0, "rasterized": True}
    if values is None:
        axes.scatter(places[:, 0], places[:, 1], c=CLASSES[0], **draw)
    elif np.asarray(values).dtype.kind in "USOb":
        _classes(axes, places, words_of(values), label, draw)
    else:
        _numbers(axes, places, values, label, draw)
    x, y = (f"{method} 1", f"{method} 2") if method else ("coordinate 1", "coordinate 2")
    # Only what lies beside what means something.
    axes.set(xlabel=x, ylabel=y, xticks=[], yticks=[])
    if title is not None:
        axes.set_title(title)
    return axes


def _at(values: Any, rows: np.ndarray) -> Any:
    return (
        [one for one, keep in zip(values, rows, strict=True) if keep]
        if isinstance(values, (list, tuple))
        else values[rows]
    )


def words_of(values: Any) -> np.ndarray:
    """Names of classes, empty where they are unknown."""
    plain = bare(getattr(values, "unmasked", values))
    # NaN is what differs from itself; FITS gives bytes.
    return np.array(
        [
            "" if hidden or one is None or one != one
            else one.decode() if isinstance(one, bytes) else str(one)
            for one, hidden in zip(plain, mask_of(values), strict=True)
        ]
    )  # fmt: skip


def _classes(
    axes: Axes, places: np.ndarray, words: np.ndarray, label: str | None, draw: dict
) -> None:
    classes, count = np.unique(words[words != ""], return_counts=True)
    if len(classes) > len(CLASSES) * len(_MARKERS):
        raise ValueError(
            f"{len(classes)} classes cannot be told apart: merge some, or, if these are numbers, "
            "give them as numbers"
        )
    rest = _unknown(axes, places[words == ""], draw)
    shown = {}
    # The rare ones last, on top.
    for k in np.argsort(-count, kind="stable"):
        style: dict[str, Any] = {"color": CLASSES[k % len(CLASSES)]}
        style["marker"] = _MARKERS[(k + k // len(CLASSES)) % len(_MARKERS)]
        name = f"{classes[k]} ({count[k]:,})"
        own = places[words == classes[k]]
        shown[k] = axes.scatter(own[:, 0], own[:, 1], label=name, **style, **draw)
    handles = [shown[k] for k in sorted(shown)] + rest
    scale = np.sqrt(30 / draw["s"])
    axes.legend(handles=handles, title=label, markerscale=scale, fontsize="small", loc="best")


def _numbers(axes: Axes, places: np.ndarray, values: Any, label: str | None, draw: dict) -> None:
    unit = getattr(values, "unit", None)
    values = numbers(values)
    known = np.isfinite(values)
    if not known.any():
        raise ValueError("not one of the values is known (finite and not masked)")
    _unknown(axes, places[~known], draw)
    values = values[known]
    low, high = np.percentile(values, (2, 98))
    x, y = places[known].T
    shown = axes.scatter(x, y, c=values, cmap="viridis", vmin=low, vmax=high, **draw)
    beyond = (values.min() < low, values.max() > high)
    extend = {(True, True): "both", (True, False): "min", (False, True): "max"}
    axes.figure.colorbar(
        shown, ax=axes, label=named(label or "value", unit), extend=extend.get(beyond, "neither")
    )
    if not known.all():
        axes.legend(markerscale=np.sqrt(30 / draw["s"]), fontsize="small", loc="best")


def _unknown(axes: Axes, places: np.ndarray, draw: dict) -> list[Any]:
    """Points drawn for the spectra of which nothing is known."""
    if not len(places):
        return []
    name = f"not known ({len(places):,})"
    return [axes.scatter(*places.T, color=_UNKNOWN, label=name, **draw)]
