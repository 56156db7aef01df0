"""Tokens of light curves as probes read them: on one line, with their time and filter beside."""

from __future__ import annotations

import numpy as np

__all__ = ["is_curve_item", "on_a_line"]

_USUAL_BAND, _USUAL_TIME = 6000.0, 20.0  # Angstrom and days


def is_curve_item(item: object) -> bool:
    """Whether this is what `spectok.group` makes of a light curve."""
    names = getattr(getattr(item, "dtype", None), "names", None) or ()
    return isinstance(item, np.ndarray) and {"time", "band", "token"} <= set(names)


def on_a_line(item: np.ndarray) -> np.ndarray:
    """The same tokens with one coordinate, as those of spectra have.

    Bands lie one after the other, each with its days since the object's first point: a place is
    the sum of effective wavelength and days. As places of two bands may meet where a survey is
    long, each token has both numbers beside its own as well.
    """
    size = item["token"].shape[-1]
    fields = np.dtype(
        [("wavelength", np.float64), ("half", np.float64), ("token", np.float32, (size + 2,))],
        metadata=dict(item.dtype.metadata or {}),
    )
    out = np.empty(len(item), fields)
    out["wavelength"], out["half"] = item["band"] + item["time"], item["half"]
    out["token"][:, :size] = item["token"]
    out["token"][:, size] = 4.0 * np.log(item["band"] / _USUAL_BAND)
    out["token"][:, size + 1] = np.arcsinh(item["time"] / _USUAL_TIME)
    return out[np.argsort(out["wavelength"], kind="stable")]
