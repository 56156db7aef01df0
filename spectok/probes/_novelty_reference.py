"""Reference of novelty: ordinary spectra, and ranks of others among them."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources

import numpy as np
from astropy.table import Table
from scipy.spatial.distance import cdist

from spectok._weights import model_identity
from spectok.model import SpectralTokenizer

__all__ = ["FEWEST", "PLACE", "Reference", "judge_embeddings"]

FEWEST = 50  # spectra of a reference; a share of fewer says little
PLACE = 3  # the last numbers of a vector say where on the wavelength axis a spectrum lies
_COLUMNS = ("snr", "misfit", "peak", "vector", "valid")

_NEAREST = 5  # spectra whose mean distance counts
_SIMILAR = 200  # spectra of similar S/N and wavelengths, among which oddity is counted
_TAIL = 0.1  # share of these that shows how the rest of the tail falls off
# Weight of the wavelength axis beside log S/N: a factor of 2 there is as far as one of 32 in S/N.
_PLACE_WEIGHT = 5.0
_FURTHEST = 20.0  # of one number of a vector, in units of its scatter


@dataclass(frozen=True, eq=False)
class Reference:
    """Ordinary spectra.

    Attributes
    ----------
    snr, misfit, peak : arrays, shape (R,)
    vector : array, shape (R, V)
        What pooled tokens say; the last `PLACE` numbers are those of the wavelength axis.
    embedding : array, shape (R, E), or None
        What distances are measured between, where there is one, in place of pooled tokens.
    """

    snr: np.ndarray
    misfit: np.ndarray
    peak: np.ndarray
    vector: np.ndarray
    embedding: np.ndarray | None = None

    @classmethod
    def of_table(cls, table: Table, network: SpectralTokenizer) -> Reference:
        """From what `spectok.probes.novelty_reference` returned, or a file has kept."""
        if not isinstance(table, Table):
            raise TypeError(
                f"reference must be a table from novelty_reference, not {type(table).__name__}"
            )
        missing = [name for name in _COLUMNS if name not in table.colnames]
        if missing:
            raise ValueError(
                f"the reference lacks the columns {', '.join(missing)}: make it with "
                "spectok.probes.novelty_reference"
            )
        name, sha256 = model_identity(network)
        made = {str(key).upper(): value for key, value in table.meta.items()}
        if made.get("SHA256") != sha256:
            raise ValueError(
                f"the reference was made with the model {made.get('MODEL')!r}, and the spectra "
                f"are to be judged by {name!r}: pass the same model= to both, or make a reference "
                "with novelty_reference(spectra, model=...)"
            )
        valid = np.asarray(table["valid"], bool)
        if valid.sum() < FEWEST:
            raise ValueError(
                f"the reference has {valid.sum()} usable spectra, and at least {FEWEST} are "
                "needed to say what is ordinary"
            )
        kept = [*_COLUMNS[:4], *(["embedding"] if "embedding" in table.colnames else [])]
        return cls(*(np.asarray(table[key], float)[valid] for key in kept))

    @classmethod
    def shipped(cls, network: SpectralTokenizer) -> Reference:
        """The one that comes with the package for a model's weights."""
        from safetensors import safe_open

        name, sha256 = model_identity(network)
        file = resources.files("spectok.probes") / "reference" / f"{name}.safetensors"
        # As for a model that has none: the user can make one.
        how = (
            "make one from ordinary spectra, reference = spectok.probes.novelty_reference("
            "spectra, model=...), and pass it as reference="
        )
        if not file.is_file():
            raise ValueError(f"no reference for novelty comes with the model {name!r}: {how}")
        with resources.as_file(file) as path, safe_open(path, "numpy") as stored:
            made = stored.metadata()
            kept = [key for key in stored.keys() if key in (*_COLUMNS, "embedding")]  # noqa: SIM118
            arrays = {key: stored.get_tensor(key).astype(float) for key in kept}
        if made["sha256"] != sha256:
            raise ValueError(
                f"the reference that comes with {name!r} was made with other weights (sha256 "
                f"{made['sha256']}, these have {sha256}): {how}"
            )
        return cls(**arrays)

    def judge(
        self,
        snr: np.ndarray,
        misfit: np.ndarray,
        peak: np.ndarray,
        vector: np.ndarray,
        embedding: np.ndarray | None = None,
    ) -> dict[str, np.ndarray]:
        """Distance, and shares of the reference that are as odd, of N spectra."""
        told, others = (
            (self.vector[:, :-PLACE], vector[:, :-PLACE])
            if self.embedding is None
            else (self.embedding, embedding)
        )
        middle, spread = _scatter(told)
        own, others = (
            _place(s, (t - middle) / spread, v[:, -PLACE:])
            for s, t, v in ((self.snr, told, self.vector), (snr, others, vector))
        )
        away, among = _nearest(others, own), _nearest(own, own, same=True)
        similar = _similar(snr, vector, self.snr, self.vector)
        return {
            "distance": away,
            "p_misfit": _share(misfit, self.misfit, similar),
            "p_peak": _share(peak, self.peak, similar),
            "p_distance": _share(away, among, similar),
        }


def judge_embeddings(given: np.ndarray, ordinary: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distances of embeddings (N, E) to ordinary ones (R, E), and shares as far: (N,) each."""
    middle, spread = _scatter(ordinary)
    own, others = (
        np.clip((np.asarray(e, float) - middle) / spread, -_FURTHEST, _FURTHEST)
        / ordinary.shape[1] ** 0.5
        for e in (ordinary, given)
    )
    away, among = _nearest(others, own), _nearest(own, own, same=True)
    every = np.arange(len(among))[None]
    shares = [_share(away[k : k + 1000], among, every) for k in range(0, len(away), 1000)]
    return away, np.concatenate(shares) if shares else np.empty(0)


def _scatter(told: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Middle and scatter of every number."""
    middle = np.median(told, axis=0)
    return middle, np.maximum(1.4826 * np.median(np.abs(told - middle), axis=0), 1e-3)


def _place(snr: np.ndarray, told: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Coordinates in which a distance is measured: tokens, wavelength axis and S/N.

    Tokens change with the noise and the sampling, so that only spectra of similar S/N and
    instruments are neighbours. Their scatters count as one coordinate of unit scatter: a
    reference of one instrument says nothing of how much others differ.
    """
    told = np.clip(told, -_FURTHEST, _FURTHEST) / told.shape[1] ** 0.5
    return np.column_stack([told, _PLACE_WEIGHT * place, _log(snr)])


def _log(snr: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(snr, 1e-3))


def _nearest(these: np.ndarray, those: np.ndarray, *, same: bool = False) -> np.ndarray:
    """Mean distance to the nearest of those; of a spectrum of the reference, to the others."""
    out = []
    for first in range(0, len(these), 1000):
        distance = cdist(these[first : first + 1000], those)
        if same:
            distance[np.arange(len(distance)), first + np.arange(len(distance))] = np.inf
        out.append(np.partition(distance, _NEAREST - 1, axis=1)[:, :_NEAREST].mean(1))
    return np.concatenate(out) if out else np.empty(0)


def _similar(
    snr: np.ndarray, vector: np.ndarray, own_snr: np.ndarray, own_vector: np.ndarray
) -> np.ndarray:
    """Which spectra of the reference are of similar S/N and wavelengths, (N, K)."""
    these, those = (
        np.column_stack([_log(s), _PLACE_WEIGHT * v[:, -PLACE:]])
        for s, v in ((snr, vector), (own_snr, own_vector))
    )
    number = min(_SIMILAR, len(those))
    return np.argsort(cdist(these, those), axis=1, kind="stable")[:, :number]


def _share(value: np.ndarray, own: np.ndarray, similar: np.ndarray) -> np.ndarray:
    """Share of similar spectra that are at least as odd.

    Beyond the oddest tenth of them, as if the tail fell off by a power law (Hill 1975): no share
    of 200 spectra is below 0.5 %, and the oddest are to be told apart.
    """
    number = similar.shape[1]
    rank = max(int(_TAIL * number), 10)
    tail = np.sort(np.maximum(own[similar], 1e-9), axis=1)[:, -rank:]
    edge = tail[:, 0]
    slope = np.log(tail[:, 1:] / tail[:, :1]).mean(1) if rank > 1 else np.ones(len(tail))
    share = (1 + (own[similar] >= value[:, None]).sum(1)) / (number + 1)
    beyond = (rank / number) * (np.maximum(value, 1e-9) / edge) ** (-1 / np.maximum(slope, 1e-3))
    return np.where(value > edge, np.maximum(beyond, 1e-12), share)
