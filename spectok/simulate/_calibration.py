"""What the calibration of an instrument got wrong: levels, slopes, waves, and the air."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from spectok.simulate._instrument import Instrument

__all__ = ["air_left", "calibration", "calibration_modes"]

_NODES = 24  # points per arm that carry the calibration


def _shapes(device: torch.device) -> tuple[Tensor, Tensor]:
    """Places in an arm from -1 to 1, and six waves at them."""
    x = torch.linspace(-1, 1, _NODES, device=device)
    return x, torch.stack([torch.sin(torch.pi * k * (x + 1) / 2) for k in range(1, 7)])


def calibration(instrument: Instrument, n: int, generator: torch.Generator) -> Tensor:
    """Logarithm of calibration errors and, where it is left in, of the blaze; (n, L)."""
    device, traits = generator.device, instrument.traits
    out = torch.empty((n, len(instrument.wavelength)), device=device)
    x, waves = _shapes(device)
    blaze = traits["blaze"] * (len(instrument.arms) if len(traits["blaze"]) == 1 else 1)
    for (first, last), usual in zip(instrument.arms, blaze, strict=True):
        draw = torch.randn((n, 9), generator=generator, device=device)
        level, slope, curve = (
            mean + amplitude * draw[:, k, None]
            for k, (mean, amplitude) in enumerate(zip(usual, traits["arm"], strict=True))
        )
        factor = level + slope * x + curve * x**2
        factor = factor + traits["wave"] * draw[:, 3:] @ waves
        out[:, first:last] = interpolate(
            factor[:, None], size=last - first, mode="linear", align_corners=True
        )[:, 0]
    return out


def calibration_modes(instrument: Instrument) -> Tensor:
    """Patterns whose sum with standard normal weights is what `calibration` draws, less its mean.

    Parameters
    ----------
    instrument : `~spectok.simulate._instrument.Instrument`

    Returns
    -------
    modes : `torch.Tensor` of float64, shape (9 * number of arms, L)
        Of each arm the level, slope and curve, and six waves; zero in the other arms.
    """
    x, waves = _shapes(torch.device("cpu"))
    arm = torch.tensor(instrument.traits["arm"])[:, None] * torch.stack([x**0, x, x**2])
    shapes = torch.cat([arm, instrument.traits["wave"] * waves]).double()
    modes = []
    for first, last in instrument.arms:
        mode = shapes.new_zeros((len(shapes), len(instrument.wavelength)))
        mode[:, first:last] = interpolate(
            shapes[:, None], size=last - first, mode="linear", align_corners=True
        )[:, 0]
        modes.append(mode)
    return torch.cat(modes)


def air_left(
    instrument: Instrument, n: int, generator: torch.Generator
) -> tuple[Tensor, Tensor | None]:
    """Optical depth that the correction for the air left, and that which it divided out."""
    left = instrument.traits["telluric"] * torch.randn(
        (n, 1), generator=generator, device=generator.device
    )
    depth = instrument.tensor("telluric", generator.device)
    shift = instrument.traits["shift"]
    if not shift:
        return left * depth, None
    # The Earth moves against the barycentre in which the wavelengths are given.
    pixels = shift * (2 * torch.rand((n, 1), generator=generator, device=generator.device) - 1)
    columns = torch.arange(len(depth), device=depth.device) + pixels.round().long()
    depth = depth[columns.clamp(0, len(depth) - 1)]
    return left * depth, depth
