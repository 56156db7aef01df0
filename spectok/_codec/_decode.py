"""Tokens to spectra on any grid."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from astropy import units as u
from astropy.nddata import StdDevUncertainty
from astropy.table import Table

from spectok._batch import PatchLayout, SpectrumBatch
from spectok._codec._network import Model, device_of, exact, matching, max_tokens
from spectok._convert import FluxUnit, check_medium, to_grid
from spectok._flags import TokenFlag
from spectok._tokens import (
    TokenSequence,
    column_unit,
    meta_of,
    sequences,
    table_unit,
    to_token_batch,
)
from spectok.model import SpectralTokenizer

if TYPE_CHECKING:
    from specutils import Spectrum, SpectrumList

__all__ = ["decode"]


def decode(
    tokens: Table,
    spectral_axis: u.Quantity | Iterable[u.Quantity],
    *,
    model: Model = None,
    medium: str | None = None,
    device: str | torch.device | None = None,
) -> Spectrum | SpectrumList:
    """Turn tokens into spectra on any grid.

    Parameters
    ----------
    tokens : `~astropy.table.QTable`
        From `encode`, or read back from a file.
    spectral_axis : `~astropy.units.Quantity`, or list of them
        Where to evaluate: any unit that converts to a wavelength, ascending or descending.
        One axis serves all spectra; a list has one axis for each.
    model : `~spectok.SpectralTokenizer`, str or path, optional
        By default the one that the table names.
    medium : ``"air"`` or ``"vacuum"``, optional
        Of ``spectral_axis``; vacuum by default, and to be said for spectra that came in air.
    device : str or `torch.device`, optional
        Where to compute.

    Returns
    -------
    spectrum : `~specutils.Spectrum` or `~specutils.SpectrumList`
        In the flux unit that came in, on the caller's axis, with the model's standard
        deviation as uncertainty: what it thinks that it may be wrong by, the noise of the
        observation not included. n-dimensional for several spectra on one axis, a list for a
        list of axes. Pixels further than one patch from every valid token are masked and NaN.

    Raises
    ------
    TypeError
        For an axis without a unit, and for what is no table.
    ValueError
        Where the table was made by other weights, or is no token table, or the axis cannot
        be used.

    See Also
    --------
    encode : Spectra to tokens.

    References
    ----------
    Shen et al. (2025), arXiv:2510.17959, section 2 (decoding).

    Examples
    --------
    >>> import numpy as np, spectok
    >>> from astropy import units as u
    >>> wavelength = np.linspace(4000.0, 5000.0, 640) * u.AA
    >>> flux = np.random.default_rng(0).normal(10.0, 1.0, 640)
    >>> tokens = spectok.encode_arrays(wavelength, flux, ivar=np.ones(640))
    >>> spectok.decode(tokens, np.linspace(410, 490, 100) * u.nm).flux.shape
    (100,)
    """
    from specutils import SpectrumList

    spectra = sequences(tokens)
    meta = meta_of(tokens)
    network = matching(meta, model, device)
    if medium is None and any(one.flags & TokenFlag.FROM_AIR for one in spectra):
        raise ValueError(
            "these spectra came with wavelengths in air, so say of spectral_axis which it is: "
            'medium="air" (the axis that they came with) or medium="vacuum"'
        )
    medium = check_medium(medium, "medium")
    unit = FluxUnit(u.Unit(meta["FLUXUNIT"]), "the token table")
    scale_unit = _scale_unit(tokens["scale"], unit)
    if isinstance(spectral_axis, u.Quantity) and spectral_axis.ndim == 1:
        return _decode_on(spectra, spectral_axis, network, medium, unit, scale_unit)
    if hasattr(spectral_axis, "spectral_axis"):
        raise TypeError("spectral_axis must be an axis, not a spectrum: pass its .spectral_axis")
    lone = isinstance(spectral_axis, u.Quantity) and spectral_axis.isscalar
    axes = [spectral_axis] if lone else list(spectral_axis)
    if not all(isinstance(axis, u.Quantity) and axis.ndim == 1 for axis in axes):
        raise TypeError(
            "spectral_axis must be a one-dimensional Quantity, or a list of them: give the "
            "wavelengths a unit, such as spectral_axis * u.AA"
        )
    if len(axes) != len(spectra):
        raise ValueError(
            f"{len(axes)} spectral axes for {len(spectra)} spectra: give one for all or a list "
            "with one for each"
        )
    return SpectrumList(
        [
            _decode_on([one], u.Quantity(axis, subok=True), network, medium, unit, scale_unit)
            for one, axis in zip(spectra, axes, strict=True)
        ]
    )


def _scale_unit(column: Any, unit: FluxUnit) -> u.UnitBase:
    """The unit of the column scale; as FLUXUNIT says, where another program lost it."""
    given, written = getattr(column, "unit", None), column_unit(unit.internal)
    if given is None or isinstance(given, u.UnrecognizedUnit) or given == u.dimensionless_unscaled:
        return written
    if not given.is_equivalent(written):
        raise ValueError(
            f"the column scale of the token table is in {given}, and FLUXUNIT in its meta says "
            f"{unit.unit}: give the column its unit, {written}"
        )
    return given


def _decode_on(
    spectra: list[TokenSequence],
    axis: u.Quantity,
    network: SpectralTokenizer,
    medium: str,
    unit: FluxUnit,
    scale_unit: u.UnitBase,
) -> Spectrum:
    """Spectra on one axis."""
    from specutils import Spectrum

    grid = to_grid(axis, medium=medium, where="spectral_axis")
    if grid.order is not None and not (np.diff(grid.order) == -1).all():
        raise ValueError(
            "spectral_axis: it neither ascends nor descends, and a Spectrum holds no other; sort "
            "it, or decode arm by arm"
        )
    layout = PatchLayout.of(grid.wavelength, network.config.patch_size)
    covered = np.stack([one.covers(grid.wavelength) for one in spectra])
    shape = covered.shape
    flux, sigma = np.full(shape, np.nan), np.full(shape, np.nan)
    wavelength = torch.from_numpy(layout.wavelength)
    step = max(max_tokens(network) // layout.n_patches, 1)
    with exact(network):
        for first in range(0, len(spectra), step):
            some = slice(first, first + step)
            batch = to_token_batch(spectra[some]).to(device_of(network))
            wanted = torch.from_numpy(layout.gather(covered[some]) & layout.present)
            target = SpectrumBatch(wanted, wanted, wavelength.expand(len(wanted), -1), wanted)
            target = target.to(device_of(network))
            decoded = network.decode(batch, target.wavelength, target.valid)
            flux[some], sigma[some] = (layout.scatter(d.cpu().double().numpy()) for d in decoded)
    scale = np.array([one.scale for one in spectra])[:, None]
    scale = scale * scale_unit.to(table_unit(unit.internal))
    factor = scale / unit.factor(unit.unit, grid.wavelength, "the token table")
    flux, sigma = (
        grid.unsort(np.where(covered, values * factor, np.nan)) for values in (flux, sigma)
    )
    mask = grid.unsort(~covered)
    if len(spectra) == 1:
        flux, sigma, mask = flux[0], sigma[0], mask[0]
    names = [one.object_id for one in spectra]
    return Spectrum(
        flux=u.Quantity(flux, unit.unit, copy=False),
        spectral_axis=axis,
        uncertainty=StdDevUncertainty(sigma),
        mask=mask,
        meta={"medium": medium, "object_id": names if len(names) > 1 else names[0]},
    )
