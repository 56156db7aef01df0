"""Spectra, or tokens that were made before, to one vector each."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from astropy.table import QTable, Table
from astropy.utils.exceptions import AstropyUserWarning

from spectok._batch import buckets
from spectok._codec._curves import are_curves
from spectok._codec._encode import encode, encode_arrays
from spectok._codec._network import (
    CURVE_MODEL,
    Model,
    device_of,
    exact,
    matching,
    max_tokens,
)
from spectok._progress import progress_bar
from spectok._tokens import (
    FRAME_COLUMN,
    meta_of,
    sequences,
    to_embedding_table,
    to_token_batch,
)
from spectok._weights import resolve
from spectok.model._shared import joined_pixels

__all__ = ["embed", "embed_arrays"]


def embed(
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
    """Turn spectra or light curves, or their tokens, into one vector each that says what they are.

    The vectors are learned without labels, such that observations of one object by different
    instruments, at different depths and over different wavelengths have nearly the same one.
    They serve classification, regression, searches and maps; `decode` needs the tokens.

    Parameters
    ----------
    spectra : spectra as for `encode`, or a token table
        Of a token table of `encode`, also one that was read from a file, the embeddings are
        the same as of the spectra that it was made of. ``medium``, ``arms``, ``object_id``,
        ``keep``, ``errors`` and ``precision`` are then settled and are refused.
    model : `~spectok.SpectralTokenizer`, str or path, optional
        By default the one that comes with the package, or that the token table names.
    medium : ``"air"`` or ``"vacuum"``, optional
        As for `encode`.
    arms : bool
        As for `encode`: the members of the list are arms of the same objects.
    object_id : sequence of str or int, optional
        As for `encode`.
    keep : sequence of str, optional
        As for `encode`; of a token table all that was kept there is kept. The names of the
        columns below are taken.
    errors : ``"raise"`` or ``"row"``
        As for `encode`.
    device : str or `torch.device`, optional
        Where to compute; by default where the model is.
    batch_size : int, optional
        Spectra computed at once; by default what suits the device.
    precision : ``"bf16"``, optional
        Of the tokens, as for `encode`; what reads them computes in float32.
    progress : bool, optional
        Show a progress bar; by default on a terminal and in a notebook, when it takes
        more than two seconds.
    columns, bands, zero_point : as for `encode`
        Of light curves.

    Returns
    -------
    embeddings : `~astropy.table.QTable`
        One row per spectrum: ``spectrum_index``, ``object_id``, ``embedding`` (float32, shape
        (N, E)), ``n_valid`` (good pixels that it rests on) and ``flags``. Where there was no
        valid token, ``n_valid`` is 0, the embedding is zero and `~spectok.TokenFlag` has
        NO_VALID_PATCH; `refusals` says why. Columns of ``keep`` follow.

    Raises
    ------
    TypeError
        For what is no spectrum.
    ValueError
        As for `encode`; for a token table of other weights, for options that a token table has
        no use for, and for a model without a reader.

    See Also
    --------
    encode : The tokens themselves.
    pool : The plain mean of a spectrum's tokens, which knows much less.
    spectok.probes : Labels from embeddings and tokens.

    References
    ----------
    Shen et al. (2025), arXiv:2510.17959, section 4 (the contrastive option); van den Oord et al.
    (2018), arXiv:1807.03748.

    Examples
    --------
    >>> import spectok
    >>> from spectok import simulate
    >>> spectra = simulate.observe("sdss", 2)
    >>> embeddings = spectok.embed(spectra)
    >>> embeddings["embedding"].shape
    (2, 128)
    >>> again = spectok.embed(spectok.encode(spectra))
    >>> bool((again["embedding"] == embeddings["embedding"]).all())
    True
    """
    if isinstance(spectra, Table) and "token" in spectra.colnames:
        given = {
            "medium": medium, "object_id": object_id, "arms": arms or None, "keep": keep or None,
            "errors": None if errors == "raise" else errors, "precision": precision,
            "columns": columns, "bands": bands, "zero_point": zero_point,
        }  # fmt: skip
        useless = [name for name, value in given.items() if value is not None]
        if useless:
            raise ValueError(
                f"{', '.join(useless)} cannot be changed in a token table: leave it out, or "
                "encode the spectra again"
            )
        return _embed_table(spectra, model, device, batch_size, progress)
    network = _reader_for(are_curves(spectra, model), model, device)
    tokens = encode(
        spectra, model=network, medium=medium, arms=arms, object_id=object_id, keep=keep,
        errors=errors, device=device, batch_size=batch_size, precision=precision,
        progress=progress, columns=columns, bands=bands, zero_point=zero_point,
    )  # fmt: skip
    return _embed_table(tokens, network, device, batch_size, progress)


def embed_arrays(
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
    """Turn plain arrays into one vector each: `embed` without building Spectrum objects.

    Parameters
    ----------
    wavelength, flux, ivar, mask : as for `encode_arrays`
        What they are there.
    model, medium, object_id, errors, device, batch_size, precision, progress : as for `embed`
        What they are there.
    band, bands, zero_point : as for `encode_arrays`
        Of light curves.

    Returns
    -------
    embeddings : `~astropy.table.QTable`
        As for `embed`.

    Raises
    ------
    ValueError
        As for `encode_arrays`, and for a model without a reader.

    See Also
    --------
    embed : The same for spectra of specutils, and for token tables.

    Examples
    --------
    >>> import numpy as np, spectok
    >>> wavelength = np.linspace(4000.0, 5000.0, 640)
    >>> flux = np.random.default_rng(0).normal(10.0, 1.0, (3, 640))
    >>> spectok.embed_arrays(wavelength, flux, ivar=np.ones((3, 640)))["embedding"].shape
    (3, 128)
    """
    curves = band is not None or are_curves(wavelength, model)
    network = _reader_for(curves, model, device)
    tokens = encode_arrays(
        wavelength, flux, ivar, mask, model=network, medium=medium, object_id=object_id,
        errors=errors, device=device, batch_size=batch_size, precision=precision,
        progress=progress, band=band, bands=bands, zero_point=zero_point,
    )  # fmt: skip
    return _embed_table(tokens, network, device, batch_size, progress)


def _reader_for(curves: bool, model: Model, device: str | torch.device | None) -> Any:
    """The model that a call asks for, or the default of what comes in."""
    return _with_reader(resolve(CURVE_MODEL if curves and model is None else model, device))


def _with_reader(network: Any, remedy: str = "take the default model") -> Any:
    """The same model, or an error before anything is computed."""
    if network.reader is None:
        name = "this model" if network.origin is None else f"the model {network.origin.name!r}"
        raise ValueError(
            f"{name} has no reader and makes no embeddings: {remedy}, or spectok.pool for the "
            "mean of its tokens"
        )
    return network


def _embed_table(
    tokens: Table,
    model: Model,
    device: str | torch.device | None,
    batch_size: int | None,
    progress: bool | None,
) -> QTable:
    spectra, meta = sequences(tokens), meta_of(tokens)
    again = "encode the spectra again with the default model"  # which reads no other's tokens
    network = _with_reader(matching(meta, model, device), again)
    found = np.zeros((len(spectra), network.config.embedding_size), np.float32)
    reading = network.reader.reading if "FRAME" in meta else None
    # Spectra at rest without a token at a known place; and of those that are read as observed.
    missed = moved = 0
    shift = np.zeros(len(spectra))
    if reading is not None and FRAME_COLUMN in tokens.colnames:
        column = np.ma.filled(np.ma.asarray(tokens[FRAME_COLUMN], np.float64), 0.0)
        shift = column[[one.row for one in spectra]]
    lengths = [len(one.valid) for one in spectra]
    bar = progress_bar("embedding", total=len(spectra), unit="spectrum", progress=progress)
    with bar, exact(network):
        # Tokens are a small part of what their pixels were: batches may be larger.
        limit = 8 * max_tokens(network)
        for rows in buckets(lengths, batch_size=batch_size, max_tokens=limit):
            batch = to_token_batch([spectra[row] for row in rows]).to(device_of(network))
            found[rows] = network.embed(batch).cpu().numpy()
            bar.update(len(rows))
            if reading is not None:
                # Those that the reader cuts anew are read where they were observed.
                cut = joined_pixels(batch, network.config) > 0
                moved += int((cut.numpy() & (shift[rows] != 0)).sum())
                known = reading.which(batch.wavelength, batch.half)[1].to(batch.valid.device)
                lost = batch.valid.any(1) & ~(known & batch.valid).any(1)
                missed += int((lost.cpu() & ~cut).sum())
    if missed:
        warnings.warn(
            f"{missed} of {len(spectra)} spectra at rest have no token at a place that the model "
            "knows, so nothing is read there, and their embeddings differ from those of the "
            "others: of stars leave step= of spectok.to_rest_frame at its default (places are "
            "those of the surveys that the model learned from), other spectra embed as observed",
            AstropyUserWarning,
            stacklevel=3,
        )
    if moved:
        warnings.warn(
            f"{moved} of {len(spectra)} spectra at rest are of ordinary resolution, whose "
            "wavelengths this model takes as observed: their embeddings are those of other "
            "objects, at redshift 0; embed the tokens that spectok.encode returned",
            AstropyUserWarning,
            stacklevel=3,
        )
    return to_embedding_table(tokens, spectra, found)
