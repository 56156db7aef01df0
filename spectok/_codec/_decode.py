"""Tokens to spectra on any grid."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from astropy import units as u
from astropy.nddata import NDDataRef, StdDevUncertainty
from astropy.table import Table

from spectok._batch import PatchLayout, SpectrumBatch
from spectok._codec._curves import decode_curves
from spectok._codec._network import Model, device_of, exact, matching, max_tokens
from spectok._convert import FluxUnit, Grid, check_medium, to_grid
from spectok._flags import TokenFlag
from spectok._tokens import (
    TokenSequence,
    column_unit,
    has_unit,
    is_of_curves,
    meta_entry,
    meta_of,
    sequences,
    table_unit,
    to_token_batch,
)

if TYPE_CHECKING:
    from astropy.timeseries import TimeSeries
    from specutils import Spectrum, SpectrumList

__all__ = ["decode", "decode_arms"]


def decode(
    tokens: Table,
    spectral_axis: u.Quantity | Iterable[u.Quantity],
    *,
    model: Model = None,
    medium: str | None = None,
    device: str | torch.device | None = None,
    band: Any = None,
) -> Spectrum | SpectrumList | NDDataRef | TimeSeries | list[TimeSeries]:
    """Turn tokens into spectra on any grid.

    Parameters
    ----------
    tokens : `~astropy.table.QTable`
        From `encode`, or read back from a file.
    spectral_axis : `~astropy.units.Quantity`, or list of them
        Where to evaluate: any unit that converts to a wavelength, ascending or descending.
        One axis serves all spectra; a list has one axis for each; a scalar is one wavelength.
        Of light curves the times: `~astropy.time.Time`, or days as the table counts them.
    model : `~spectok.SpectralTokenizer`, str or path, optional
        By default the one that the table names.
    medium : ``"air"`` or ``"vacuum"``, optional
        Of ``spectral_axis``; vacuum by default, and to be said for spectra that came in air.
    device : str or `torch.device`, optional
        Where to compute.
    band : str, number, `~astropy.units.Quantity`, or sequence of them, optional
        Of light curves, which need it: the filter of all times by its name or effective
        wavelength, or of each.

    Returns
    -------
    spectrum : `~specutils.Spectrum`, `~specutils.SpectrumList` or `~astropy.nddata.NDDataRef`
        In the flux unit that came in, on the caller's axis, with the model's standard
        deviation as uncertainty: what it thinks that it may be wrong by, the noise of the
        observation not included. For several spectra on one axis of shape (N, L), or, where the
        table holds all spectra of one cube, of the cube's shape, the spectral axis in its place;
        a list for a list of axes. For a scalar an `~astropy.nddata.NDDataRef` without the
        spectral axis (a scalar for one spectrum), with ``flux``, ``uncertainty``, ``mask`` and
        ``spectral_axis``. Pixels further than one patch from every valid token are masked and
        NaN. ``meta["object_id"]`` has the identifiers as text. Of light curves a
        `~astropy.timeseries.TimeSeries` for each object, one alone for one object, with ``band``,
        ``flux``, ``flux_err`` and ``mask``.

    Raises
    ------
    TypeError
        For an axis without a unit, and for what is no table.
    ValueError
        Where the table was made by other weights, or is no token table, or the axis cannot
        be used, or no token reaches a single one of its pixels.

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
    if isinstance(tokens, Table) and is_of_curves(tokens):
        if medium is not None:
            raise ValueError("medium means nothing to light curves: leave it out")
        return decode_curves(tokens, spectral_axis, band, model, device)
    if band is not None:
        raise ValueError("band= is of light curves, and these are tokens of spectra: leave it out")
    from specutils import SpectrumList

    decoder = _Decoder(tokens, model, medium, device)
    # Logarithmic quantities, such as those in dex(AA).
    spectral_axis = getattr(spectral_axis, "physical", spectral_axis)
    if isinstance(spectral_axis, u.Quantity) and spectral_axis.ndim < 2:
        axis = spectral_axis.reshape(1) if spectral_axis.isscalar else spectral_axis
        (spectrum,) = decoder.spectra_on([(decoder.spectra, axis)], _shape_of(tokens, decoder))
        return _pixel(spectrum, spectral_axis) if spectral_axis.isscalar else spectrum
    if hasattr(spectral_axis, "spectral_axis"):
        raise TypeError("spectral_axis must be an axis, not a spectrum: pass its .spectral_axis")
    axes = [u.Quantity(axis, subok=True, copy=False) for axis in _quantities(spectral_axis)]
    if len(axes) != len(decoder.spectra):
        raise ValueError(
            f"{len(axes)} spectral axes for {len(decoder.spectra)} spectra: give one for all or a "
            "list with one for each"
        )
    pairs = [([one], axis) for one, axis in zip(decoder.spectra, axes, strict=True)]
    return SpectrumList(decoder.spectra_on(pairs))


def decode_arms(
    tokens: Table,
    axes: Iterable[u.Quantity],
    *,
    model: Model = None,
    medium: str | None = None,
    device: str | torch.device | None = None,
) -> list[Spectrum]:
    """All spectra of a table on each of several axes, such as those of their arms.

    Parameters
    ----------
    tokens, model, medium, device : as for `decode`
        What they are there.
    axes : iterable of `~astropy.units.Quantity`

    Returns
    -------
    spectra : list of `~specutils.Spectrum`
        One for each axis, as `decode` gives it for one axis. An arm that no token reaches is
        masked as a whole.

    Raises
    ------
    ValueError
        As `decode`, and where no token reaches any of the axes.
    """
    decoder = _Decoder(tokens, model, medium, device)
    pairs = [(decoder.spectra, axis) for axis in axes]
    return decoder.spectra_on(pairs, _shape_of(tokens, decoder))


class _Decoder:
    """A table, read once, and the network that made it."""

    def __init__(
        self, tokens: Table, model: Model, medium: str | None, device: str | torch.device | None
    ) -> None:
        self.spectra = sequences(tokens)
        meta = meta_of(tokens)
        self.network = matching(meta, model, device)
        if medium is None and any(one.flags & TokenFlag.FROM_AIR for one in self.spectra):
            raise ValueError(
                "these spectra came with wavelengths in air, so say of spectral_axis which it is: "
                'medium="air" (the axis that they came with) or medium="vacuum"'
            )
        self.medium = check_medium(medium, "medium")
        self.unit = FluxUnit(u.Unit(meta["FLUXUNIT"]), "the token table")
        self.scale_unit = _unit_of_scale(tokens["scale"], self.unit)

    def spectra_on(
        self,
        pairs: Sequence[tuple[list[TokenSequence], u.Quantity]],
        shape: tuple[int, ...] | None = None,
    ) -> list[Spectrum]:
        """Spectra on axes, unless no token reaches any of them."""
        grids = [to_grid(axis, medium=self.medium, where="spectral_axis") for _, axis in pairs]
        for grid in grids:
            if grid.order is not None and not (np.diff(grid.order) == -1).all():
                raise ValueError(
                    "spectral_axis: it neither ascends nor descends, and a Spectrum holds no "
                    "other; sort it, or decode arm by arm"
                )
        covered = [
            np.stack([one.covers(grid.wavelength) for one in spectra])
            for (spectra, _), grid in zip(pairs, grids, strict=True)
        ]
        if not any(some.any() for some in covered):
            raise ValueError(_unreached(self.spectra, grids))
        return [
            self._spectrum_on(spectra, axis, grid, some, shape)
            for (spectra, axis), grid, some in zip(pairs, grids, covered, strict=True)
        ]

    def _spectrum_on(
        self,
        spectra: list[TokenSequence],
        axis: u.Quantity,
        grid: Grid,
        covered: np.ndarray,
        shape: tuple[int, ...] | None,
    ) -> Spectrum:
        from specutils import Spectrum

        flux, sigma = self._network_on(spectra, grid.wavelength, covered)
        scale = np.array([one.scale for one in spectra])[:, None]
        scale = scale * self.scale_unit.to(table_unit(self.unit.internal))
        factor = scale / self.unit.factor(self.unit.unit, grid.wavelength, "the token table")
        flux, sigma = (
            grid.unsort(np.where(covered, values * factor, np.nan)) for values in (flux, sigma)
        )
        arrays: tuple[np.ndarray, ...] = (flux, sigma, grid.unsort(~covered))
        place = None
        if shape is not None:
            place = shape.index(-1)
            whole = tuple(n for n in shape if n != -1)
            arrays = tuple(np.moveaxis(a.reshape(*whole, -1), -1, place) for a in arrays)
        elif len(spectra) == 1:
            arrays = tuple(a[0] for a in arrays)
        flux, sigma, mask = arrays
        # As text: integers of 64 bits are safe in no header and no JSON.
        names = [str(one.object_id) for one in spectra]
        return Spectrum(
            flux=u.Quantity(flux, self.unit.unit, copy=False),
            spectral_axis=axis,
            uncertainty=StdDevUncertainty(sigma),
            mask=mask,
            meta={"medium": self.medium, "object_id": names if len(names) > 1 else names[0]},
            **({} if place is None else {"spectral_axis_index": place}),
        )

    def _network_on(
        self, spectra: list[TokenSequence], wavelength: np.ndarray, covered: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Flux and its standard deviation over the scale, shape (N, L); NaN where not covered."""
        network = self.network
        layout = PatchLayout.of(wavelength, network.config.patch_size)
        flux, sigma = np.full(covered.shape, np.nan), np.full(covered.shape, np.nan)
        places = torch.from_numpy(layout.wavelength)
        step = max(max_tokens(network) // layout.n_patches, 1)
        with exact(network):
            for first in range(0, len(spectra), step):
                some = slice(first, first + step)
                batch = to_token_batch(spectra[some]).to(device_of(network))
                wanted = torch.from_numpy(layout.gather(covered[some]) & layout.present)
                target = SpectrumBatch(wanted, wanted, places.expand(len(wanted), -1), wanted)
                target = target.to(device_of(network))
                decoded = network.decode(batch, target.wavelength, target.valid)
                flux[some], sigma[some] = (
                    layout.scatter(d.cpu().double().numpy()) for d in decoded
                )
        return flux, sigma


def _quantities(spectral_axis: Any) -> list[u.Quantity]:
    try:
        axes = list(spectral_axis)
    except TypeError:  # a number, None, a WCS
        axes = [spectral_axis]
    if not all(isinstance(axis, u.Quantity) and axis.ndim == 1 for axis in axes):
        raise TypeError(
            "spectral_axis must be a one-dimensional Quantity, or a list of them: give the "
            "wavelengths a unit, such as spectral_axis * u.AA"
        )
    return axes


def _unit_of_scale(column: Any, unit: FluxUnit) -> u.UnitBase:
    """The unit of a scale; as the flux unit says, where another program has lost it."""
    expected = column_unit(unit.internal)
    given = u.Unit(column.unit) if has_unit(column) else u.dimensionless_unscaled
    if given.is_equivalent(expected):
        return given
    if given == u.dimensionless_unscaled:
        return expected
    raise ValueError(
        f"the column scale of the token table is in {given}, but the spectra came in "
        f"{unit.unit} (FLUXUNIT in its meta): something has changed the table"
    )


def _shape_of(tokens: Table, decoder: _Decoder) -> tuple[int, ...] | None:
    """Shape of the array that the spectra came in, if they are all there."""
    text = meta_entry(tokens, "SHAPE")
    if not text:
        return None
    shape = tuple(int(n) for n in str(text).split())
    index = [one.index for one in decoder.spectra]
    return shape if index == list(range(-int(np.prod(shape)))) else None


def _unreached(spectra: list[TokenSequence], grids: Sequence[Grid]) -> str:
    """Why there is nothing to decode."""
    live = [one for one in spectra if one.valid.any()]
    if not live:
        return (
            f"not one of the {len(spectra)} spectra of the table has a valid token, so there is "
            "nothing to decode; spectok.refusals says why"
        )
    low, high = (f(grid.wavelength[k] for grid in grids) for f, k in ((min, 0), (max, -1)))
    first = min(one.wavelength_min[one.valid].min() for one in live)
    last = max(one.wavelength_max[one.valid].max() for one in live)
    return (
        f"spectral_axis: no token reaches any of its pixels: it runs from {low:.6g} to "
        f"{high:.6g} Angstrom (vacuum), the tokens from {first:.6g} to {last:.6g}; check its "
        "unit, or ask for wavelengths that were observed"
    )


class _Pixel(NDDataRef):
    """Decoded spectra at one wavelength."""

    @property
    def flux(self) -> u.Quantity:
        return u.Quantity(self.data, self.unit)

    @property
    def spectral_axis(self) -> u.Quantity:
        return self.meta["spectral_axis"]


def _pixel(spectrum: Spectrum, axis: u.Quantity) -> _Pixel:
    place = getattr(spectrum, "spectral_axis_index", None)
    place = -1 if place is None else place
    take = partial(np.take, indices=0, axis=place)
    return _Pixel(
        take(spectrum.flux.value),
        unit=spectrum.flux.unit,
        uncertainty=StdDevUncertainty(take(spectrum.uncertainty.array)),
        mask=take(spectrum.mask),
        meta={**spectrum.meta, "spectral_axis": axis},
    )
