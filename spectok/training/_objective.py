"""Network and loss as one module, so that Lightning Fabric wraps both."""

from __future__ import annotations

from typing import Any

import torch

from spectok.model import SpectralTokenizer
from spectok.training._data import TrainingBatch
from spectok.training._loss import gaussian_loss

__all__ = ["Objective", "Opaque"]


class Objective(torch.nn.Module):
    """Network and loss as one module: encode what is visible, decode the target, compare.

    Parameters
    ----------
    model : `~spectok.SpectralTokenizer`
        The network; it is trained in place.
    model_error : bool
        False holds the model's own error at zero: the paper's loss.
    degrees_of_freedom : float, optional
        Of Student's t distribution instead of the Gaussian one.

    References
    ----------
    Shen et al. (2025), arXiv:2510.17959, section 2 (decoding and reconstruction).

    Examples
    --------
    >>> from spectok import ModelConfig, SpectralTokenizer
    >>> from spectok.training._objective import Objective
    >>> objective = Objective(SpectralTokenizer(ModelConfig.of_size("tiny")), model_error=False)
    >>> objective.model_error
    False
    """

    def __init__(
        self,
        model: SpectralTokenizer,
        *,
        model_error: bool = True,
        degrees_of_freedom: float | None = None,
    ) -> None:
        super().__init__()
        self.model, self.model_error = model, model_error
        self.degrees_of_freedom = degrees_of_freedom

    def forward(self, opaque: Opaque) -> tuple[torch.Tensor, torch.Tensor]:
        """Loss of a batch.

        Parameters
        ----------
        opaque : `~spectok.training._objective.Opaque`
            Carries a `TrainingBatch`.

        Returns
        -------
        loss : `torch.Tensor`, scalar
            Weighted sum over the pixels of the target that count.
        weight : `torch.Tensor`, scalar
            Sum of their weights.
        """
        batch = opaque.batch
        tokens, flux, model_sigma = self.model(batch.seen, batch.hidden, batch.target)
        scale = tokens.scale[:, None]
        # Where nothing was visible there is nothing to learn from.
        usable = batch.target.valid & tokens.valid.any(1, keepdim=True)
        return gaussian_loss(
            batch.target.flux / scale,
            batch.target.sigma / scale,
            usable,
            flux,
            model_sigma if self.model_error else None,
            weight=batch.weight,
            noiseless=batch.noiseless,
            degrees_of_freedom=self.degrees_of_freedom,
        )


class Opaque:
    """Carries a batch past Fabric, which would cast its float64 wavelengths to float32."""

    def __init__(self, batch: TrainingBatch | tuple[Any, Any]) -> None:
        self.batch: Any = batch
