"""Extinction curves of dust in the Galaxy and in galaxies."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["calzetti", "milky_way"]


def calzetti(wavelength: Tensor) -> Tensor:
    """Attenuation of starlight in galaxies, k = A / E(B-V) (Calzetti et al. 2000, equation 4).

    Parameters
    ----------
    wavelength : `torch.Tensor`
        Rest wavelength [Angstrom]; beyond 1200 to 22000 the law is carried on at its ends.

    Returns
    -------
    k : `torch.Tensor`
        Of the same shape.
    """
    x = 1e4 / wavelength.clamp(1200.0, 22000.0)  # 1 / micron
    blue = 2.659 * (-2.156 + 1.509 * x - 0.198 * x**2 + 0.011 * x**3) + 4.05
    red = 2.659 * (-1.857 + 1.040 * x) + 4.05
    return torch.where(wavelength < 6300.0, blue, red)


def milky_way(wavelength: Tensor) -> Tensor:
    """Extinction by the Galaxy, A / E(B-V) at R_V = 3.1 (Cardelli, Clayton & Mathis 1989).

    Their equations 2 (infrared) and 3 (optical), which meet at 9090 Angstrom; good from 3030
    Angstrom to 3.3 micron.

    Parameters
    ----------
    wavelength : `torch.Tensor`
        Observed wavelength [Angstrom].

    Returns
    -------
    k : `torch.Tensor`
        Of the same shape.
    """
    x = 1e4 / wavelength
    y = x - 1.82
    a = torch.zeros_like(x)
    b = torch.zeros_like(x)
    for k, (p, q) in enumerate(
        (
            (1.0, 0.0), (0.17699, 1.41338), (-0.50447, 2.28305), (-0.02427, 1.07233),
            (0.72085, -5.38434), (0.01979, -0.62251), (-0.77530, 5.30260), (0.32999, -2.09002),
        )
    ):  # fmt: skip
        a, b = a + p * y**k, b + q * y**k
    infrared = x**1.61
    a = torch.where(x < 1.1, 0.574 * infrared, a)
    b = torch.where(x < 1.1, -0.527 * infrared, b)
    return 3.1 * a + b
