"""Samples of objects: noise-free spectra and labels, which instruments observe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

__all__ = ["CLASSES", "KINDS", "Sample"]

KINDS = ("galaxy", "quasar", "star")
CLASSES = ("GALAXY", "QSO", "STAR")  # of the same, as SDSS and DESI write them


@dataclass(frozen=True, eq=False)
class Sample:
    """Objects on a fine grid.

    Attributes
    ----------
    flux : `torch.Tensor`, shape (n, F)
        Noise-free flux density, on no particular scale.
    low, high : `torch.Tensor` of float64, shape (n,)
        log10 of the wavelengths between which each spectrum is known.
    gaps : list of list of (float, float)
        For each family, rest log10 wavelengths between which its spectra say nothing.
    family : `torch.Tensor` of int64, shape (n,)
        Which family each object is of.
    lsf_sigma : sequence of float
        For each family, the standard deviation of the line-spread function that is in its
        spectra [km/s].
    names : sequence of str
        Of the families.
    labels : dict of str to `torch.Tensor`, shape (n,)
        ``kind`` (index into `KINDS`), ``redshift``, ``ebv`` (of the Galaxy), ``ebv_host``,
        ``vsini``, ``extra_lines`` (1 with lines that no template has), ``template`` (entry of the
        family), and the names of `LABELS`; NaN where not known.
    """

    flux: Tensor
    low: Tensor
    high: Tensor
    gaps: list
    family: Tensor
    lsf_sigma: Sequence[float]
    names: Sequence[str]
    labels: dict[str, Tensor]
