"""Tokens of different spectra side by side on one grid of wavelengths."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from spectok.model._interpolate import interpolate_tokens

__all__ = ["choose_grid", "on_grid"]

_LOOKED_AT = 200  # spectra


def choose_grid(items: np.ndarray | Sequence[np.ndarray], largest: int) -> np.ndarray:
    """Wavelengths near which the tokens of these spectra lie, ascending, vacuum Angstrom.

    Spectra of one grid keep their own; those of others add what lies further than half a
    patch from what is there, so the spectra of several surveys share one grid. If it has more
    than ``largest`` places, it is thinned evenly.
    """
    filled = [item for item in items if len(item)]
    step = max(1, len(filled) // _LOOKED_AT)
    grid = np.unique(filled[0]["wavelength"])
    for item in filled[step::step]:
        place = np.unique(item["wavelength"])
        new = place[_distance(place, grid) > 0.5 * _spacing(place)]
        grid = np.unique(np.concatenate([grid, new]))
    if len(grid) > largest:
        grid = grid[np.linspace(0, len(grid) - 1, largest).round().astype(int)]
    return grid


def on_grid(
    token: Tensor, wavelength: Tensor, valid: Tensor, grid: Tensor
) -> tuple[Tensor, Tensor]:
    """Tokens (N, T, C) at the places of a grid (K,): (N, K, C), and which are known, (N, K).

    Linear between the neighbours; unknown is what lies further from the next valid token than
    from the next place of the grid.
    """
    if wavelength.shape[1] == len(grid) and bool((wavelength == grid).all()):
        return token, valid
    wanted = grid.expand(len(wavelength), -1)
    value = interpolate_tokens(token, wavelength, valid, wanted)
    reach = torch.as_tensor(_spacing(grid.cpu().numpy()), device=wavelength.device)
    known = _nearest(wavelength, valid, wanted) <= 1.01 * reach
    return value, known.to(value.device)


def _nearest(wavelength: Tensor, valid: Tensor, wanted: Tensor) -> Tensor:
    """Distance of places (N, K) to the nearest valid token, (N, K)."""
    keys = torch.where(valid.to(wavelength.device), wavelength, torch.inf).sort(1)[0]
    after = torch.searchsorted(keys, wanted.contiguous())
    last = keys.shape[1] - 1
    above = keys.gather(1, after.clamp(max=last))
    below = keys.gather(1, (after - 1).clamp(min=0))
    return torch.minimum((above - wanted).abs(), (below - wanted).abs())


def _distance(place: np.ndarray, grid: np.ndarray) -> np.ndarray:
    after = np.searchsorted(grid, place)
    above = np.abs(grid[after.clip(max=len(grid) - 1)] - place)
    return np.minimum(above, np.abs(grid[(after - 1).clip(min=0)] - place))


def _spacing(place: np.ndarray) -> np.ndarray:
    """Distance of each place to the nearer of its neighbours."""
    if len(place) < 2:
        return np.full(len(place), 50.0)
    step = np.diff(place)
    return np.minimum(np.r_[step[0], step], np.r_[step, step[-1]])
