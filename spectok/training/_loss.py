"""The objective: a Gaussian likelihood of the good pixels (torch only)."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["gaussian_loss"]


def gaussian_loss(
    flux: Tensor,
    sigma: Tensor,
    valid: Tensor,
    predicted: Tensor,
    model_sigma: Tensor | None = None,
    *,
    weight: Tensor | None = None,
    noiseless: Tensor | None = None,
    degrees_of_freedom: float | None = None,
) -> tuple[Tensor, Tensor]:
    """Sum of the pixels' negative log likelihoods, and their number.

    With variance ``v = sigma^2 + model_sigma^2`` the loss of a pixel is
    ``(flux - predicted)^2 / v + ln(v / sigma^2)``. Without ``model_sigma`` this is the paper's
    loss, ``(flux - predicted)^2 / sigma^2``. Sum and number come apart, because the mean over
    several devices or several batches is the ratio of the sums, not the mean of the means.

    Parameters
    ----------
    flux, sigma : `torch.Tensor`, shape (N, L)
        In units of the spectrum's scale.
    valid : `torch.Tensor` of bool, shape (N, L)
        Pixels that count.
    predicted : `torch.Tensor`, shape (N, L)
        What the network says of the flux.
    model_sigma : `torch.Tensor`, shape (N, L), optional
        Standard deviation of the model.
    weight : `torch.Tensor`, shape (N, L), optional
        What each pixel counts for; 1 by default.
    noiseless : `torch.Tensor` of bool, shape (N, 1), optional
        Spectra whose ``flux`` is the truth of a simulation. Their squared residual is replaced
        by its expectation over the noise of an observation, ``(flux - predicted)^2 + sigma^2``:
        the same mean gradient as from noisy fluxes that the network has not seen, without
        their scatter.
    degrees_of_freedom : float, optional
        Of Student's t distribution instead of the Gaussian one, with the same ``v``: a few
        pixels that nothing foretells (the maximum of a transient that was not observed) then
        pull less. Without ``model_sigma`` it means nothing.

    Returns
    -------
    total, count : `torch.Tensor`, scalars
        Weighted sum of the pixels' losses, and sum of the weights.

    References
    ----------
    Shen et al. (2025), arXiv:2510.17959, section 2.

    Examples
    --------
    >>> import torch
    >>> from spectok.training import gaussian_loss
    >>> flux, predicted = torch.tensor([[1.0, 2.0]]), torch.tensor([[1.5, 2.0]])
    >>> gaussian_loss(flux, torch.full((1, 2), 0.5), torch.tensor([[True, True]]), predicted)
    (tensor(1.), tensor(2.))
    """
    # Bad pixels are replaced before anything is computed: NaN * 0 would be NaN.
    sigma = torch.where(valid, sigma, 1.0)
    residual = torch.where(valid, flux - predicted, 0.0)
    square = (residual / sigma) ** 2
    if noiseless is not None:
        square = square + noiseless.to(square.dtype)
    if model_sigma is None:
        loss = square
    else:
        ratio = 1.0 + (torch.where(valid, model_sigma, 0.0) / sigma) ** 2
        loss = square / ratio
        if degrees_of_freedom is not None:
            loss = (degrees_of_freedom + 1.0) * torch.log1p(loss / degrees_of_freedom)
        loss = loss + ratio.log()
    counted = valid.to(loss.dtype) if weight is None else torch.where(valid, weight, 0.0)
    return (loss * counted).sum(), counted.sum()
