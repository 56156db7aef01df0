"""Novelty: measures of how unlike ordinary spectra a spectrum is."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence
from os import PathLike
from typing import Any

import numpy as np
import torch
from astropy.table import QTable, Table
from astropy.utils.exceptions import AstropyUserWarning

from spectok._codec import embed
from spectok._codec._network import matching
from spectok._codec._run import encode_rows
from spectok._convert import Rows, convert_spectra, is_curve
from spectok._tokens import TokenSequence, meta_of, sequences
from spectok._weights import model_identity, resolve
from spectok.model import SpectralTokenizer
from spectok.probes._embedded import Spectra, as_embedded, has_reader, named
from spectok.probes._misfit import hidden_pulls, misfit, peak
from spectok.probes._novelty_reference import FEWEST, Reference, judge_embeddings
from spectok.probes._sequences import same_tokenizer

__all__ = ["novelty", "novelty_reference"]

_METHODS = ("auto", "embedding", "tokens")
_QUARTERS, _BROAD = 4, 2
_JUDGED = ("misfit", "peak", "distance", "p_misfit", "p_peak", "p_distance")


def novelty(
    spectra: Any,
    *,
    reference: Any = None,
    method: str = "auto",
    model: SpectralTokenizer | str | PathLike[str] | None = None,
    medium: str | None = None,
    arms: bool = False,
    object_id: Sequence[str] | str | None = None,
    device: str | torch.device | None = None,
    seed: int = 0,
    progress: bool | None = None,
) -> QTable:
    """Measure how unlike ordinary spectra the given spectra are.

    Three numbers are taken of a spectrum. *misfit*: all good pixels are predicted while they
    are hidden, in blocks of 12; residuals r in units of sqrt(error^2 + model error^2); mean of
    log(1 + r^2), 0.53 for Gaussian noise. It finds wrong errors and what is strange all along.
    *peak*: the largest sum of five neighbouring residuals in units of its noise: single strange
    features. *distance*: from the embedding, or from the pooled tokens (mean and scatter of each
    cosine, the broad shape in four quarters), and where on the wavelength axis the spectrum
    lies, to the five nearest spectra of the reference; the token's number for the noise is left
    out. It finds shapes and instruments that are not in the reference.

    Each grows with S/N and differs between instruments, so each is calibrated: ``p_...`` is
    the share of the 200 spectra of the reference with the most similar S/N and wavelengths
    that are at least as odd. Below a tenth it is that of a power law through their oddest tenth
    (Hill 1975), so that the oddest can be told apart.

    Of tokens and embeddings, whose pixels are gone, and of light curves, the distance between
    embeddings alone is judged, among all spectra of the reference.

    Parameters
    ----------
    spectra : `~specutils.Spectrum`, `~specutils.SpectrumCollection` or iterable of them
        As for `spectok.encode`. Or a token table, a table of `spectok.embed`, items of
        `spectok.group` with vectors, or embeddings of shape (N, E).
    reference : `~astropy.table.Table`, optional
        Ordinary spectra, from `novelty_reference`: of your own instrument and selection, if you
        have a few hundred, because then nothing is odd but what is. Those being judged should not
        be among them. By default the one that comes with the model: mocks of SDSS, BOSS, DESI,
        GALAH and APOGEE, and 148 real spectra, most of them quasars of SDSS. For tokens and
        embeddings, also what holds embeddings of ordinary spectra, as ``spectra`` may.
    method : {"auto", "embedding", "tokens"}
        What the distance is measured between; by default embeddings where the reference has
        them.
    model : `~spectok.SpectralTokenizer`, str or path, optional
        By default the one that comes with the package.
    medium, arms, object_id, device : as for `spectok.encode`
        What they are there; the medium is air or vacuum. Of tokens and embeddings, only the
        device matters.
    seed : int
        Where the hidden blocks begin.
    progress : bool, optional
        As for `spectok.encode`.

    Returns
    -------
    oddity : `~astropy.table.QTable`
        One row per spectrum, in order: ``spectrum_index``, ``object_id``, ``snr`` (median of
        abs(flux) / error), ``misfit``, ``peak``, ``distance``, ``p_misfit``, ``p_peak``,
        ``p_distance``, ``score`` and ``valid``. ``score`` is -log10 of three times the smallest
        p, and 0 where that exceeds 1: among ordinary spectra one in a hundred is above 2 (at the
        most: Bonferroni). Of tokens and embeddings: ``spectrum_index``, ``object_id``,
        ``distance``, ``p_distance``, ``score`` (-log10 of p) and ``valid``. Spectra without one
        good patch have ``valid`` False and NaN, and a warning names them.

    Raises
    ------
    TypeError
        For what is no spectrum, or no table.
    ValueError
        - As `spectok.encode`.
        - Where no reference comes with the model.
        - Where the given reference was made with another model.
        - Where the given reference has fewer than 50 spectra.

    Notes
    -----
    A high score asks for a look at the spectrum; a low one does not say that it is ordinary.
    With the reference that comes with small-v1, wavelengths and samplings far from those of the
    known surveys are found, and some of the errors that are stated half as large as they are. A
    reference of one instrument finds such errors better, and foreign instruments worse. Single
    lines, cosmic rays and pure noise raise the score but are seldom called odd; not found are
    instruments like the known ones, blends, steps, reversed fluxes and wavelengths that are
    slightly wrong.

    References
    ----------
    Hill (1975), Annals of Statistics 3, 1163.

    Examples
    --------
    >>> from spectok import simulate
    >>> from spectok.probes import novelty
    >>> spectrum = simulate.observe("sdss", snr=10)[0]
    >>> odd = novelty(spectrum)
    >>> bool(odd["valid"][0])
    True
    """
    if method not in _METHODS:
        raise ValueError(f"method must be one of {', '.join(_METHODS)}, not {method!r}")
    if is_curve(spectra) or (isinstance(spectra, list) and any(map(is_curve, spectra[:1]))):
        # Of light curves the embedding is judged: patches of four points have no blocks to hide.
        spectra = embed(spectra, model=model, object_id=object_id, device=device)
    if _is_read(spectra):
        return _of_embeddings(spectra, reference, method, model, device)
    network = resolve(model, device)
    # Before the work: a reference that does not fit should not cost minutes.
    ordinary = (
        Reference.shipped(network) if reference is None else Reference.of_table(reference, network)
    )
    ordinary = _by(method, ordinary)
    rows, flux_unit = convert_spectra(spectra, medium=medium, arms=arms, named=object_id is None)
    tokens = encode_rows(rows, flux_unit, network, object_id, device, None, progress)
    table = _measure(rows, tokens, network, seed, progress)
    valid = np.asarray(table["valid"])
    given = ["snr", "misfit", "peak", "vector"]
    given += [] if ordinary.embedding is None else ["embedding"]
    judged = ordinary.judge(*(np.asarray(table[key])[valid] for key in given))
    judged = {name: _spread(values, valid) for name, values in judged.items()}
    least = np.min([judged[name] for name in judged if name.startswith("p_")], axis=0)
    out = table["spectrum_index", "object_id", "snr"]
    for name in _JUDGED:
        out[name] = judged[name] if name in judged else table[name]
        out[name].info.format = ".3g"
    out["score"] = -np.log10(np.minimum(3 * least, 1.0)) + 0.0  # no -0
    out["score"].info.format = ".2f"
    out["valid"] = valid
    return out


def novelty_reference(
    spectra: Any,
    *,
    model: SpectralTokenizer | str | PathLike[str] | None = None,
    medium: str | None = None,
    arms: bool = False,
    object_id: Sequence[str] | str | None = None,
    device: str | torch.device | None = None,
    seed: int = 0,
    progress: bool | None = None,
) -> QTable:
    """Measures of ordinary spectra, with which `novelty` compares others.

    Parameters
    ----------
    spectra : `~specutils.Spectrum`, `~specutils.SpectrumCollection` or iterable of them
        At least 50 usable ones, better some hundreds, over the S/N that will be judged. A few odd
        ones among them do little harm: they make others look a little less odd.
    model, medium, arms, object_id, device, seed, progress : as for `novelty`
        What they are there.

    Returns
    -------
    reference : `~astropy.table.QTable`
        One row per spectrum: ``spectrum_index``, ``object_id``, ``snr``, ``misfit``, ``peak``,
        ``vector`` (pooled tokens, and where the spectrum lies), ``embedding`` where the model
        makes one, and ``valid``. It can be written to a file and read back.

    Raises
    ------
    TypeError
        For what is no spectrum.
    ValueError
        As `spectok.encode`, and for fewer than 50 usable spectra.

    Examples
    --------
    >>> from spectok import simulate
    >>> from spectok.probes import novelty, novelty_reference
    >>> narrow = simulate.instrument("sdss").modified(window=(5000.0, 6000.0))
    >>> reference = novelty_reference(simulate.observe(narrow, 60, seed=1))
    >>> odd = novelty(simulate.observe(narrow, 2, seed=2), reference=reference)
    >>> len(odd)
    2
    """
    network = resolve(model, device)
    rows, flux_unit = convert_spectra(spectra, medium=medium, arms=arms, named=object_id is None)
    tokens = encode_rows(rows, flux_unit, network, object_id, device, None, progress)
    usable = len(np.unique(tokens["spectrum_index"][tokens["valid"]]))
    if usable < FEWEST:
        raise ValueError(
            f"a reference needs at least {FEWEST} usable spectra to say what is ordinary, and "
            f"there are {usable}"
        )
    return _measure(rows, tokens, network, seed, progress)


def _is_read(given: Any) -> bool:
    """Whether this holds tokens or vectors, and not spectra."""
    if isinstance(given, Table) or (isinstance(given, np.ndarray) and given.dtype != object):
        return True
    some = given[:1] if isinstance(given, (list, tuple, np.ndarray)) else []
    return any(isinstance(one, (np.ndarray, np.void)) for one in some)


def _by(method: str, ordinary: Reference) -> Reference:
    """The reference with what distances are measured between, and nothing else."""
    if method == "embedding" and ordinary.embedding is None:
        raise ValueError(
            "method='embedding' needs a reference with embeddings: make one with a model that "
            "has a reader, reference = spectok.probes.novelty_reference(spectra, model=...)"
        )
    return ordinary if method != "tokens" else dataclasses.replace(ordinary, embedding=None)


def _of_embeddings(given: Any, reference: Any, method: str, model: Any, device: Any) -> QTable:
    """Oddity of tokens or embeddings."""
    if method == "tokens":
        raise ValueError(
            "method='tokens' needs the spectra themselves, for their S/N: give spectra, or use "
            "method='embedding'"
        )
    side = named(given, "spectra")
    if side.vector is None and not has_reader(matching(side.meta, model, device)):
        raise ValueError(
            f"the model {side.meta.get('MODEL')!r} makes no embeddings, and without pixels "
            "nothing else can be judged: give the spectra themselves"
        )
    side = as_embedded(side, model, device)
    ordinary = _embeddings_of(reference, side, model, device)
    if ordinary.shape[1] != side.embedding.shape[1]:
        raise ValueError(
            f"the embeddings have {side.embedding.shape[1]} numbers, those of the reference "
            f"{ordinary.shape[1]}: make both with one model"
        )
    judged = judge_embeddings(side.embedding[side.valid], ordinary)
    out = QTable({"spectrum_index": side.index, "object_id": side.names})
    for name, values in zip(("distance", "p_distance"), judged, strict=True):
        out[name] = _spread(values, side.valid)
        out[name].info.format = ".3g"
    out["score"] = -np.log10(np.minimum(out["p_distance"], 1.0)) + 0.0
    out["score"].info.format = ".2f"
    out["valid"] = side.valid
    if not side.valid.all():
        warnings.warn(
            f"{(~side.valid).sum()} of {len(side)} spectra have no valid token, so that nothing "
            f"is said of them (the first is {side.index[~side.valid][0]})",
            AstropyUserWarning,
            stacklevel=3,
        )
    return out


def _embeddings_of(reference: Any, side: Spectra, model: Any, device: Any) -> np.ndarray:
    """Embeddings of ordinary spectra, (R, E), made by the model that made the others."""
    if reference is None:
        network = resolve(side.meta.get("MODEL") if model is None else model, device)
        found, made = Reference.shipped(network).embedding, model_identity(network)[1]
        if found is None:
            raise ValueError(
                "the reference that comes with this model has no embeddings: give embeddings of "
                "ordinary spectra as reference=, such as spectok.embed(spectra)"
            )
        made_by = {"MODEL": model_identity(network)[0], "SHA256": made}
    else:
        ordinary = as_embedded(named(reference, "reference"), model, device)
        found, made_by = ordinary.embedding[ordinary.valid], ordinary.meta
    same_tokenizer(made_by, side.meta, "the spectra given")
    if len(found) < FEWEST:
        raise ValueError(
            f"the reference has {len(found)} usable spectra, and at least {FEWEST} are needed to "
            "say what is ordinary"
        )
    return found


def _measure(
    rows: list[Rows],
    tokens: QTable,
    network: SpectralTokenizer,
    seed: int,
    progress: bool | None,
) -> QTable:
    """Quantities that are compared, one row per spectrum."""
    found = sequences(tokens)
    valid = np.array([bool(one.valid.any()) for one in found])
    pulls = hidden_pulls(rows, network, seed=seed, progress=progress)
    table = QTable(
        {
            "spectrum_index": [one.index for one in found],
            "object_id": [one.object_id for one in found],
            "snr": [_snr(part, j) for part in rows for j in range(len(part.flux))],
            **{
                measure.__name__: [measure(pull) if pull.size else np.nan for pull in pulls]
                for measure in (misfit, peak)
            },
            "vector": np.array([_vector(one) for one in found], np.float32),
            "valid": valid,
        }
    )
    if has_reader(network):
        table["embedding"] = np.asarray(embed(tokens, model=network)["embedding"], np.float32)
    meta = meta_of(tokens)
    table.meta.update({key: meta[key] for key in ("MODEL", "SHA256", "SPECTOK")})
    return table


def _snr(part: Rows, row: int) -> float:
    good = part.valid[row]
    return (
        float(np.median(np.abs(part.flux[row, good]) / part.sigma[row, good]))
        if good.any()
        else np.nan
    )


def _vector(one: TokenSequence) -> np.ndarray:
    """Quantities read from the tokens of a spectrum, and where it lies."""
    keep = one.valid
    # The last number of a token is the noise.
    cosines = one.token[keep, :-1].astype(float)
    if not keep.any():
        return np.full(2 * cosines.shape[1] + _QUARTERS * _BROAD + 3, np.nan)
    # Each token counts four times, so that any number of them has quarters.
    quarters = np.repeat(cosines[:, :_BROAD], _QUARTERS, axis=0)
    quarters = quarters.reshape(_QUARTERS, -1, _BROAD).mean(1)
    low, high, n_pixels = one.wavelength_min[keep], one.wavelength_max[keep], one.n_pixels[keep]
    middle = 0.5 * (low + high)
    step = (high - low) / np.maximum(n_pixels - 1, 1) / middle
    place = np.log([np.median(middle), np.median(step), high.max() / low.min()])
    # Logarithms of scatters: they spread over decades of S/N.
    return np.concatenate(
        [cosines.mean(0), np.log(cosines.std(0) + 0.02), quarters.ravel(), place]
    )


def _spread(values: np.ndarray, where: np.ndarray) -> np.ndarray:
    """NaN for those that could not be judged."""
    out = np.full(len(where), np.nan)
    out[where] = values
    return out
