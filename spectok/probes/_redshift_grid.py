"""Tokens on a grid in the logarithm of wavelength, on which a redshift is a shift."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from spectok.model._cosines import coefficients_of, cosines, cosines_and_noise
from spectok.model._limits import LARGEST_TOKEN
from spectok.probes._sequences import Inputs

__all__ = ["N_CHANNELS", "channels_of", "log_grid", "on_log_grid", "placed", "with_widths"]

N_CHANNELS = 7
_PIXELS = 32  # of a patch; only the size of "noise" below hangs on it
_BROAD, _NARROW, _WIDE = 8e-4, 0.008, 0.08  # dex: running means reach this far to both sides


def with_widths(inputs: Inputs) -> Inputs:
    """The inputs, which must be items that know how wide their patches are."""
    if inputs.sequences is None:
        raise TypeError(
            "these are vectors without tokens, and a redshift is read from tokens: give the token "
            "table of spectok.encode, or spectok.group(tokens)"
        )
    for row, item in enumerate(inputs.sequences):
        if "half" not in item.dtype.names:
            raise ValueError(
                f"the item of spectrum {row} has no field 'half', the widths of its patches: "
                "spectok.group of an earlier version made it; group the token table again"
            )
    return inputs


def log_grid(items: np.ndarray | Sequence[np.ndarray], step: float) -> tuple[int, int]:
    """First pixel and number of pixels of the grid that holds all patches.

    Pixel k is centred at ``10**(k * step)`` Angstrom.
    """
    filled = [item for item in items if len(item)]
    low = min(float((item["wavelength"] - item["half"]).min()) for item in filled)
    high = max(float((item["wavelength"] + item["half"]).max()) for item in filled)
    first, last = math.floor(math.log10(low) / step), math.ceil(math.log10(high) / step)
    return first, last - first + 1


def on_log_grid(
    items: np.ndarray | Sequence[np.ndarray], first: int, size: int, step: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Means of the decoded cosines over the pixels of the grid, and their noise.

    Parameters
    ----------
    items : sequence of `numpy.ndarray`
        N items of `spectok.group`.
    first, size : int
        See `log_grid`.
    step : float
        Of the grid, in dex.

    Returns
    -------
    flux, noise : `torch.Tensor`, shape (N, size)
        Over the scale of the spectrum; zero and one where not covered.
    covered : `torch.Tensor` of bool, shape (N, size)
        Whether a pixel's middle lies in a valid patch.
    """
    target = 10.0 ** (step * (first + np.arange(size)))
    shape = (len(items), size)
    flux, noise = np.zeros(shape, np.float32), np.ones(shape, np.float32)
    covered = np.zeros(shape, bool)
    for row, item in enumerate(items):
        if not len(item):
            continue
        low = item["wavelength"] - item["half"]
        order = np.argsort(low, kind="stable")
        low, length = low[order], 2.0 * item["half"][order].clip(min=1e-9)
        token = torch.from_numpy(item["token"][order]).clamp(-LARGEST_TOKEN, LARGEST_TOKEN)
        token = cosines_and_noise(token, int(dict(item.dtype.metadata or {}).get("CONTEXT", 0)))
        # A pixel of the grid averages: what oscillates within it is lost, and its noise falls.
        width = item["wavelength"][order] * (step * math.log(10.0)) / length
        number = torch.arange(token.shape[-1] - 1)
        share = torch.from_numpy(width).float()[:, None]
        value = coefficients_of(token) * torch.sinc(0.5 * share * number)
        sigma = token[:, -1].exp().numpy() / np.sqrt(np.maximum(_PIXELS * width, 1.0 / _PIXELS))
        which = np.searchsorted(low, target, side="right") - 1
        place = (target - low[which]) / length[which]
        inside = (which >= 0) & (place <= 1.0)
        which, place = which[inside], place[inside]
        basis = cosines(torch.from_numpy(place).float(), len(number))
        flux[row, inside] = (value[torch.from_numpy(which)] * basis).sum(-1).numpy()
        noise[row, inside], covered[row] = sigma[which], inside
    return torch.from_numpy(flux), torch.from_numpy(noise), torch.from_numpy(covered)


def channels_of(flux: Tensor, noise: Tensor, covered: Tensor, step: float) -> Tensor:
    """Channels for redshifts: lines and breaks, in units of the noise and of the flux.

    Parameters
    ----------
    flux, noise, covered : `torch.Tensor`, shape (N, S)
        From `on_log_grid`.
    step : float
        Of the grid, in dex.

    Returns
    -------
    channels : `torch.Tensor` of float16, shape (N, 7, S)
        What the flux has beyond its narrow running mean over the noise (asinh), the mean of that
        over a broad line, and the same over the narrow mean; what the narrow mean has beyond a
        wide one, over that one and over the noise; the wide one over the noise; and whether a
        pixel is covered. Zero where it is not.
    """
    weight = covered.float()
    narrow = _running_mean(flux, weight, round(_NARROW / step))
    wide = _running_mean(flux, weight, round(_WIDE / step))
    detail, shape = flux - narrow, narrow - wide
    line = torch.where(covered, torch.asinh(detail / noise), 0.0)
    found = [
        line,
        _running_mean(line, torch.ones_like(line), max(round(_BROAD / step), 1)),
        (detail / (narrow.abs() + noise)).clamp(-4.0, 4.0),
        2.0 * (shape / (wide.abs() + noise)).clamp(-3.0, 3.0),
        0.5 * torch.asinh(shape / noise),
        0.3 * torch.asinh(wide / noise),
        torch.ones_like(flux),
    ]
    return torch.where(covered[:, None], torch.stack(found, 1), 0.0).half()


def placed(items: np.ndarray | Sequence[np.ndarray], first: int, size: int, step: float) -> Tensor:
    """Channels of items, (N, 7, S), a few spectra at a time."""
    found = torch.empty((len(items), N_CHANNELS, size), dtype=torch.float16)
    for start in range(0, len(items), 256):
        some = slice(start, start + 256)
        found[some] = channels_of(*on_log_grid(items[some], first, size, step), step)
    return found


def _running_mean(flux: Tensor, weight: Tensor, reach: int) -> Tensor:
    """Weighted mean over up to ``reach`` pixels on both sides, (N, S)."""
    total = pad(torch.stack([flux * weight, weight]).double().cumsum(-1), (1, 0))
    place = torch.arange(flux.shape[-1])
    low, high = (place - reach).clamp(min=0), (place + reach + 1).clamp(max=len(place))
    value, count = total[..., high] - total[..., low]
    return (value / count.clamp(min=1e-6)).float()
