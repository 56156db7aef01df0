"""Spectra to tokens: the public verbs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from astropy.table import QTable

from spectok._codec._curves import are_curves, encode_curve_arrays, encode_curves
from spectok._codec._network import Model
from spectok._codec._run import encode_rows
from spectok._convert import count_of, stream_arrays, stream_spectra
from spectok._tokens import COLUMNS, CURVE_COLUMNS, FRAME_COLUMN

__all__ = ["encode", "encode_arrays"]


def encode(
    spectra: Any,
    *,
    model: Model = None,
    medium: str | None = None,
    arms: bool = False,
    object_id: Sequence[Any] | Any | None = None,
    keep: Sequence[str] = (),
    errors: str = "raise",
    device: str | torch.device | None = None,
    batch_size: int | None = None,
    precision: str | None = None,
    progress: bool | None = None,
    columns: Mapping[str, str] | None = None,
    bands: Mapping[str, Any] | None = None,
    zero_point: float | None = None,
) -> QTable:
    """Turn spectra, or light curves, into tokens.

    Parameters
    ----------
    spectra : `~specutils.Spectrum`, `~specutils.SpectrumCollection` or iterable of them
        A `~specutils.Spectrum` may be n-dimensional: every row or spaxel is a spectrum.
        Masked pixels, and those without a finite flux and a finite positive inverse variance,
        are unseen. Without an uncertainty the noise is estimated from the spectrum. A generator
        is asked for some thousand spectra at a time, and only their tokens stay in memory.
        Light curves: an `~astropy.timeseries.TimeSeries`, a light curve of lightkurve, a table
        with columns ``object_id, time, flux, error, band``, or a list of them.
    model : `~spectok.SpectralTokenizer`, str or path, optional
        By default the one that comes with the package; for light curves ``"lightcurve-v1"``.
    medium : ``"air"`` or ``"vacuum"``, optional
        Of the wavelengths; by default ``spectrum.meta["medium"]``, else vacuum.
    arms : bool
        The members of the list are arms of the same objects (DESI, GALAH): together they
        become one token sequence per object, with one scale. For several objects pass a list
        of such lists.
    object_id : sequence of str or int, optional
        One name per spectrum; by default ``spectrum.meta["object_id"]``, else its position.
        Integers stay integers where all spectra have them.
    keep : sequence of str, optional
        Keys of ``spectrum.meta``, or of the labels in ``spectrum.meta["label"]``, that become
        columns of the table, such as ``("ra", "dec", "z")``: one value for each spectrum. What is
        unknown of a spectrum is NaN or empty.
    errors : ``"raise"`` or ``"row"``
        What becomes of a spectrum that cannot be used: by default it raises, but for those
        without any data (no pixel, or wavelengths that are not finite and positive) among others
        that have some. With ``"row"`` each of them keeps one row with ``valid=False`` and the flag
        ``REFUSED``; one warning names the first, and `refusals` says why for each.
    device : str or `torch.device`, optional
        Where to compute; by default where the model is.
    batch_size : int, optional
        Spectra computed at once; by default what suits the device.
    precision : ``"bf16"``, optional
        Multiply the matrices of the encoder in bfloat16: faster where the processor (AMX,
        AVX512-bf16) or the GPU has units for it. What is fitted to each patch, and the last map,
        stay in float32, and tokens change by less than a hundredth of what they scatter over
        spectra. The table says so in ``meta["PRECIS"]``. By default all is float32.
    progress : bool, optional
        Show a progress bar; by default on a terminal and in a notebook, when it takes
        more than two seconds.
    columns : mapping of str to str, optional
        Of light curves: what the columns ``object_id``, ``time``, ``flux``, ``error`` and
        ``band`` are called, where they have no usual name.
    bands : mapping of str to number or `~astropy.units.Quantity`, optional
        Of light curves: effective wavelengths of filters whose names are not known.
    zero_point : float, optional
        Of light curves in magnitudes without a system (`astropy.units.mag`): the magnitude of
        unit flux, 25 by default.

    Returns
    -------
    tokens : `~astropy.table.QTable`
        One row per token. ``spectrum_index``, ``object_id`` and ``token_index`` say which it
        is; ``wavelength``, ``wavelength_min`` and ``wavelength_max`` (vacuum Angstrom) where
        it lies; ``n_pixels`` and ``n_valid`` how many pixels it has and how many of them are
        good; ``valid`` is False for a patch half of which is bad. ``scale`` (flux unit) is
        what the spectrum was divided by, ``flags`` holds the bits of `~spectok.TokenFlag`,
        ``token`` the C numbers themselves. A spectrum without one good patch keeps one row.
        Columns of ``keep`` follow. Of light curves ``time``, ``time_min`` and ``time_max`` (days;
        modified Julian dates in ``meta["TIMESCAL"]`` where `~astropy.time.Time` came in) stand
        in place of wavelengths, and ``band`` (effective wavelength of the filter, Angstrom) and
        ``origin`` (the object's first point) beside them; a token is valid where one point is.

    Raises
    ------
    TypeError
        For what is no spectrum.
    ValueError
        Where the model is of light curves and spectra came in, or the other way round. For axes,
        fluxes and uncertainties that cannot be used; the message says which spectrum, why, and
        what to do. For ``keep`` with names of the table's own columns, and for an unknown
        ``precision``.

    See Also
    --------
    encode_arrays : The same for plain arrays.
    decode : Tokens back to spectra.
    refusals : Why spectra have no token.
    pool : One vector per spectrum.
    group : Items for scikit-learn and for `spectok.probes`.

    References
    ----------
    Shen et al. (2025), arXiv:2510.17959, section 2.

    Examples
    --------
    >>> import spectok
    >>> from spectok import simulate
    >>> spectrum = simulate.observe("sdss")[0]
    >>> spectrum.flux.shape
    (3840,)
    >>> tokens = spectok.encode(spectrum)
    >>> tokens["token"].shape
    (120, 16)
    """
    keep = [keep] if isinstance(keep, str) else list(keep)
    curves = are_curves(spectra, model)
    taken = CURVE_COLUMNS if curves else (*COLUMNS, FRAME_COLUMN)
    own = [key for key in keep if key in taken]
    if own:
        raise ValueError(f"keep: {', '.join(own)} is a column of token tables")
    if curves:
        return encode_curves(
            spectra, model, object_id, device, batch_size, progress, precision,
            columns=columns, bands=bands, zero_point=zero_point, keep=keep, errors=errors,
            useless={"medium": medium, "arms": arms or None},
        )  # fmt: skip
    of_curves = {"columns": columns, "bands": bands, "zero_point": zero_point}
    useless = [name for name, value in of_curves.items() if value is not None]
    if useless:
        raise ValueError(f"{', '.join(useless)} means nothing to spectra, only to light curves")
    rows = stream_spectra(
        spectra, medium=medium, arms=arms, named=object_id is None, keep=keep, errors=errors
    )
    total = _count(spectra, arms)
    return encode_rows(
        rows, None, model, object_id, device, batch_size, progress, total, precision
    )


def encode_arrays(
    wavelength: Any,
    flux: Any,
    ivar: Any = None,
    mask: Any = None,
    *,
    model: Model = None,
    medium: str | None = None,
    object_id: Sequence[Any] | Any | None = None,
    errors: str = "raise",
    device: str | torch.device | None = None,
    batch_size: int | None = None,
    precision: str | None = None,
    progress: bool | None = None,
    band: Any = None,
    bands: Mapping[str, Any] | None = None,
    zero_point: float | None = None,
) -> QTable:
    """Turn plain arrays into tokens: `encode` without building Spectrum objects.

    Parameters
    ----------
    wavelength : array or `~astropy.units.Quantity`, shape (L,) or (N, L), or list of N arrays
        Angstrom where it has no unit. One grid may serve all spectra. Of light curves the times:
        `~astropy.time.Time`, days, or numbers of days.
    flux : array or `~astropy.units.Quantity`, shape (L,) or (N, L), or list of N arrays
        In any unit that `encode` takes; plain numbers are relative fluxes.
    ivar : like ``flux``, optional
        Inverse variance, in the flux's unit to the power of -2 where it has none of its own.
    mask : like ``flux``, optional
        True for bad pixels, as in astropy. Masks of masked arrays count as well.
    model, medium, object_id, errors, device, batch_size, precision, progress : as for `encode`
        What they are there. With ``errors="row"`` a member of a list may also be None.
    band : str, number, `~astropy.units.Quantity`, or sequence of them, optional
        Makes these light curves: each point's filter by its name, or by its effective wavelength
        (Angstrom), or one filter for all.
    bands, zero_point : as for `encode`
        What they are there.

    Returns
    -------
    tokens : `~astropy.table.QTable`
        As for `encode`.

    Raises
    ------
    ValueError
        As for `encode`, and where the shapes do not fit.

    See Also
    --------
    encode : The same for spectra of specutils.

    Examples
    --------
    >>> import numpy as np, spectok
    >>> wavelength = np.linspace(4000.0, 5000.0, 640)
    >>> flux = np.random.default_rng(0).normal(10.0, 1.0, (3, 640))
    >>> tokens = spectok.encode_arrays(wavelength, flux, ivar=np.ones((3, 640)))
    >>> len(tokens)
    60
    """
    if band is not None or are_curves(wavelength, model):
        return encode_curve_arrays(
            wavelength, flux, ivar, mask, band, model, object_id, device, batch_size, progress,
            precision, bands=bands, zero_point=zero_point, errors=errors,
            useless={"medium": medium},
        )  # fmt: skip
    rows = stream_arrays(wavelength, flux, ivar, mask, medium=medium, errors=errors)
    return encode_rows(
        rows, None, model, object_id, device, batch_size, progress, precision=precision
    )


def _count(spectra: Any, arms: bool) -> int | None:
    """Number of spectra that a call will give, where it can be told before."""
    if hasattr(spectra, "flux"):
        return count_of(spectra)
    if not isinstance(spectra, (list, tuple)):
        return None
    if not arms:
        return sum(count_of(one) for one in spectra)
    if not all(isinstance(one, (list, tuple)) for one in spectra):
        return None  # arms of one object, or of several in a row
    return sum(count_of(one[0]) if len(one) else 1 for one in spectra)
