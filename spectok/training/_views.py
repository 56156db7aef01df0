"""Views: tokens of the same objects as several observations show them (no astropy here).

A view is one observation of every object of a pack: by one instrument, or by one of many. What
differs between two views of an object (instrument, depth, wavelengths, masks, calibration) is
what an embedding must not depend on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from os import PathLike

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor

from spectok.model._reading import places_of

__all__ = ["ViewPack", "open_views", "shared_places"]

_TRIES = 20  # after which a pack is refused
_KEYS = ("value", "wavelength", "half", "valid")
_OF_CURVES = "band"  # which views of light curves have beside


@dataclass(frozen=True)
class ViewPack:
    """Tokens of N objects in several views, and what the objects are in truth where it is known.

    Parameters
    ----------
    views : mapping of str to mapping of str to `torch.Tensor`
        For each view by name ``value`` (N, T, C), ``wavelength`` and ``half`` (N or 1, T;
        float64, ascending) and ``valid`` (N, T; bool): a `~spectok._batch.TokenBatch` in
        ascending wavelength, without its scale. Of light curves, where times stand for
        wavelengths, ``band`` (N, T; float64) as well; of spectra perhaps ``end`` (N or 1, T;
        float64), where the last real pixels of patches end, for `cut_views`.
    truth : `torch.Tensor`, shape (N, B), optional
        Noise-free flux over its median on one grid for all objects of the pack; NaN where not
        known.
    shared : tuple of str
        Views on patches that begin at the same wavelengths for all objects, at rest
        (`spectok.to_rest_frame`) or as observed (`cut_views`): a reader with places learns
        weights of each patch's own, a reader without sees views like all others.

    Raises
    ------
    TypeError
        For ``shared`` that is a string.
    ValueError
        For views of different numbers of objects, for a single view, and for shared views that
        are not there or whose objects have patches of their own.

    Examples
    --------
    >>> import torch
    >>> from spectok.training import ViewPack
    >>> place = 4000.0 + 30.0 * torch.arange(10, dtype=torch.float64)[None]
    >>> view = {"value": torch.zeros(5, 10, 16), "wavelength": place, "half": 0 * place + 15.0,
    ...         "valid": torch.ones(5, 10, dtype=torch.bool)}
    >>> len(ViewPack({"first": view, "second": view}))
    5
    """

    views: Mapping[str, Mapping[str, Tensor]]
    truth: Tensor | None = None
    shared: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        sizes = {name: len(view["value"]) for name, view in self.views.items()}
        if len(sizes) < 2:
            raise ValueError(f"matching needs two views at least, not {len(sizes)}")
        if self.truth is not None:
            sizes["truth"] = len(self.truth)
        if len(set(sizes.values())) > 1:
            raise ValueError(f"views must be of the same objects, but have {sizes} of them")
        if isinstance(self.shared, str):
            raise TypeError(f"shared must be a tuple of names, not {self.shared!r}")
        for name in self.shared:
            if name not in self.views or len(self.views[name]["wavelength"]) > 1:
                there = "has a grid for each object" if name in self.views else "is not there"
                raise ValueError(f"the view {name!r} is to be on shared patches, but {there}")

    def __len__(self) -> int:
        return len(next(iter(self.views.values()))["value"])

    def draw(
        self, rng: np.random.Generator, n: int, group: int
    ) -> tuple[list[dict[str, Tensor]], Tensor | None]:
        """Two views of n objects, each cut in its own way, and the truth.

        Objects without a valid token in one of the two are left out.

        Parameters
        ----------
        rng : `numpy.random.Generator`
            All chance comes from it.
        n : int
            Objects at the most.
        group : int
            Tokens that the reader joins: what is cut off is whole groups.

        Returns
        -------
        pair : list of dict of str to `torch.Tensor`
            As ``views``, of fewer objects and tokens.
        truth : `torch.Tensor` or None
            Noise-free spectra of the same objects, where the pack has them.

        Raises
        ------
        ValueError
            Where hardly one object has valid tokens in two views.
        """
        for _ in range(_TRIES):
            pair, truth = self._draw(rng, n, group)
            if len(pair[0]["value"]) > 1:
                return pair, truth
        raise ValueError(
            f"in {_TRIES} draws hardly one of {min(n, len(self))} objects had valid tokens in two "
            f"of the views {', '.join(self.views)}: leave out the views that are empty"
        )

    def _draw(
        self, rng: np.random.Generator, n: int, group: int
    ) -> tuple[list[dict[str, Tensor]], Tensor | None]:
        """One try."""
        rows = torch.from_numpy(rng.choice(len(self), min(n, len(self)), replace=False))
        names = rng.choice(list(self.views), 2, replace=False)
        pair = [_cut(rng, self.views[str(name)], rows, group) for name in names]
        some = torch.stack([view["valid"].any(1) for view in pair]).all(0)
        truth = None if self.truth is None else self.truth[rows][some]
        if not some.all():
            pair = [
                {k: v[some] if len(v) == len(some) else v for k, v in view.items()}
                for view in pair
            ]
        return pair, truth


def _cut(
    rng: np.random.Generator, view: Mapping[str, Tensor], rows: Tensor, group: int
) -> dict[str, Tensor]:
    """Some rows of a view without some of its tokens: single groups, a window, or stretches."""
    # Views of many instruments are padded to the longest.
    used = view["valid"][rows].any(0).nonzero()
    number = int(used[-1]) + 1 if len(used) else 1
    # Where groups begin must not matter.
    first = int(rng.integers(group)) if number > 4 * group else 0
    whole = max((number - first) // group, 1)
    kind, kept = rng.random(), np.arange(whole)
    if kind < 0.55:
        kept = np.sort(rng.permutation(whole)[: max(int(whole * rng.uniform(0.4, 0.85)), 4)])
    elif kind < 0.8:
        length = max(int(whole * rng.uniform(0.6, 1.0)), min(4, whole))
        begin = int(rng.integers(0, whole - length + 1))
        kept = kept[begin : begin + length]
    else:
        left = np.ones(whole, bool)
        for _ in range(3):
            length = int(whole * rng.uniform(0.05, 0.15))
            begin = int(rng.integers(0, whole - length + 1))
            left[begin : begin + length] = False
        kept = np.flatnonzero(left)
    columns = first + (kept[:, None] * group + np.arange(group)).ravel()
    index = torch.from_numpy(columns[columns < number])
    cut = {}
    for key in (*_KEYS, _OF_CURVES) if _OF_CURVES in view else _KEYS:
        array = view[key]
        own = array[rows] if len(array) > 1 or key in ("value", "valid") else array
        cut[key] = own.index_select(1, index)
    return cut


def open_views(path: str | PathLike[str]) -> ViewPack:
    """Read a pack of views.

    Parameters
    ----------
    path : path
        A safetensors file with ``VIEW.value``, ``VIEW.wavelength``, ``VIEW.half`` and
        ``VIEW.valid`` for each view, of light curves ``VIEW.band``, and perhaps ``VIEW.end`` and
        ``truth``. In its metadata ``shared``, names of views, with commas between.

    Returns
    -------
    pack : ViewPack
        All in memory.

    Raises
    ------
    ValueError
        For a file that holds no views.

    Examples
    --------
    >>> import torch
    >>> from safetensors.torch import save_file
    >>> from spectok.training import open_views
    >>> place = 4000.0 + 30.0 * torch.arange(10, dtype=torch.float64)[None]
    >>> view = {"value": torch.zeros(5, 10, 16), "wavelength": place, "half": 0 * place + 15.0,
    ...         "valid": torch.ones(5, 10, dtype=torch.bool)}
    >>> names = ("deep", "shallow")
    >>> save_file({f"{n}.{k}": v.clone() for n in names for k, v in view.items()}, "views.pack")
    >>> sorted(open_views("views.pack").views)
    ['deep', 'shallow']
    """
    with safe_open(path, "pt") as file:
        names = sorted({key.rpartition(".")[0] for key in file.keys()} - {""})
        lost = [
            f"{name}.{key}"
            for name in names
            for key in _KEYS
            if f"{name}.{key}" not in file.keys()  # noqa: SIM118 - no mapping
        ]
        if not names or lost:
            raise ValueError(
                f"{path} is no pack of views"
                + (f", it lacks {', '.join(lost)}" if lost else "")
                + ": see spectok.training.open_views for what is in one"
            )
        there = set(file.keys())
        views = {
            name: {
                key: file.get_tensor(f"{name}.{key}")
                for key in (*_KEYS, _OF_CURVES, "end")
                if f"{name}.{key}" in there
            }
            for name in names
        }
        truth = file.get_tensor("truth") if "truth" in file.keys() else None  # noqa: SIM118
        shared = (file.metadata() or {}).get("shared", "")
    return ViewPack(
        views, truth, tuple(name.strip() for name in shared.split(",") if name.strip())
    )


def shared_places(packs: Iterable[ViewPack]) -> tuple[Tensor, Tensor]:
    """Places of all shared views; their number is the ``reader_places`` of a model.

    Parameters
    ----------
    packs : iterable of ViewPack
        With ``shared`` views.

    Returns
    -------
    place, length : `torch.Tensor` of int64, shape (K,)
        See `spectok.model._reading.places_of`.

    Examples
    --------
    >>> import torch
    >>> from spectok.training import ViewPack, shared_places
    >>> place = 4000.0 + 30.0 * torch.arange(10, dtype=torch.float64)[None]
    >>> view = {"value": torch.zeros(5, 10, 16), "wavelength": place, "half": 0 * place + 15.0,
    ...         "valid": torch.ones(5, 10, dtype=torch.bool)}
    >>> place, length = shared_places([ViewPack({"a": view, "b": view}, shared=("a", "b"))])
    >>> len(place)
    10
    """
    views = [pack.views[name] for pack in packs for name in pack.shared]
    none = torch.empty(0, dtype=torch.float64)
    wavelength, half = (
        torch.cat([none, *(view[key][0] for view in views)]) for key in ("wavelength", "half")
    )
    return places_of(wavelength, half)
