"""What a map for a browser holds: words, colours, neighbours and small pictures."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

import numpy as np

from spectok.plotting._axes import CLASSES, bare, mask_of, named, numbers
from spectok.plotting._embedding import words_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from astropy.table import Table

__all__ = ["colourings", "curves", "nearest", "texts"]

_UNKNOWN, _GREY = "not known", "#d0d0d0"
_BINS = 150
_BLOCK = 1024


def texts(column: Any) -> list[str]:
    """A column as words, numbers with their unit."""
    if np.asarray(column).dtype.kind in "USOb":
        return [word or _UNKNOWN for word in words_of(column)]
    unit = getattr(column, "unit", None)
    unit = "" if unit is None or str(unit) == "" else f" {unit:unicode}"
    plain, hidden = np.asarray(bare(column)), mask_of(column)
    return [
        _UNKNOWN
        if gone or (plain.dtype.kind == "f" and not np.isfinite(value))
        else f"{value:.5g}{unit}"
        if plain.dtype.kind == "f"
        else f"{value}{unit}"
        for value, gone in zip(plain, hidden, strict=True)
    ]


def colourings(table: Table, wanted: Sequence[str]) -> dict[str, tuple[list[str], str]]:
    """For each column a colour for every spectrum, and a legend in HTML."""
    return {
        one: (_by_class if np.asarray(table[one]).dtype.kind in "USOb" else _by_number)(
            one, table[one]
        )
        for one in wanted
    }


def _by_class(name: str, column: Any) -> tuple[list[str], str]:
    words = words_of(column)
    classes, count = np.unique(words[words != ""], return_counts=True)
    if len(classes) > len(CLASSES):
        # The others would have colours that are taken.
        kept = np.sort(np.argsort(-count, kind="stable")[: len(CLASSES) - 1])
        others = int(count.sum() - count[kept].sum())
        of = {classes[k]: CLASSES[i] for i, k in enumerate(kept)}
        entries = [(of[classes[k]], classes[k], int(count[k])) for k in kept]
        entries.append((CLASSES[-1], "other", others))
        colours = [of.get(word, CLASSES[-1]) if word else _GREY for word in words]
    else:
        of = dict(zip(classes, CLASSES, strict=False))
        entries = [(of[one], one, int(n)) for one, n in zip(classes, count, strict=True)]
        colours = [of.get(word, _GREY) for word in words]
    unknown = int((words == "").sum())
    if unknown:
        entries.append((_GREY, _UNKNOWN, unknown))
    legend = " &nbsp; ".join(
        f'<span style="color:{colour}">■</span> {html.escape(str(word))} ({n:,})'
        for colour, word, n in entries
    )
    return colours, f"<div>{html.escape(name)}: {legend}</div>"


def _by_number(name: str, column: Any) -> tuple[list[str], str]:
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    unit, values = getattr(column, "unit", None), numbers(column)
    known = np.isfinite(values)
    if not known.any():
        raise ValueError(f"not one value of {name!r} is known (finite and not masked)")
    low, high = np.percentile(values[known], (2, 98))
    scale = colormaps["viridis"]
    share = (values - low) / ((high - low) or 1.0)
    colours = [
        to_hex(scale(float(np.clip(one, 0, 1)))) if good else _GREY
        for one, good in zip(share, known, strict=True)
    ]
    stops = ",".join(to_hex(scale(i / 8)) for i in range(9))
    legend = (
        f"<div>{html.escape(named(name, unit))}: {low:.3g} "
        '<span style="display:inline-block;vertical-align:middle;width:120px;height:12px;'
        f'background:linear-gradient(to right,{stops})"></span> {high:.3g}'
    )
    if not known.all():
        legend += f' &nbsp; <span style="color:{_GREY}">■</span> {_UNKNOWN} ({(~known).sum():,})'
    return colours, f"{legend}</div>"


def nearest(table: Table, n: int) -> list[list[Any]]:
    """For each spectrum rows of the n nearest by embedding and one minus their cosines."""
    if "embedding" not in table.colnames or n < 1:
        return []
    vectors = np.asarray(bare(table["embedding"]), dtype=np.float32)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    known = np.isfinite(length[:, 0]) & (length[:, 0] > 0)
    unit = np.where(known[:, None], vectors, 0) / np.where(known[:, None], length, 1)
    n = min(n, int(known.sum()) - 1)
    if n < 1:
        return []
    found: list[list[Any]] = []
    for start in range(0, len(unit), _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, len(unit)))
        away = 1 - unit[rows] @ unit.T
        away[:, ~known] = np.inf
        away[rows - start, rows] = np.inf
        near = np.argpartition(away, n - 1, axis=1)[:, :n]
        near = np.take_along_axis(near, np.take_along_axis(away, near, 1).argsort(1), 1)
        for row, which, far in zip(rows, near, np.take_along_axis(away, near, 1), strict=True):
            cosines = [round(float(one), 4) for one in far]
            found.append([which.tolist(), cosines] if known[row] else [[], []])
    return found


def curves(spectra: Sequence[Any] | None) -> dict[str, list[list[Any]]]:
    """By row, wavelengths and medians of the good pixels over their median, in bins."""
    from spectok._convert import numbers_of

    found: dict[str, list[list[Any]]] = {}
    for row, spectrum in enumerate(spectra if spectra is not None else ()):
        if spectrum is None:
            continue
        wavelength, flux, _, good = numbers_of(spectrum)
        if np.ndim(flux) != 1:
            raise ValueError(
                f"spectrum {row} has {np.ndim(flux)} dimensions: a picture is of one row of it"
            )
        if not good.any():
            continue
        middle = np.median(np.abs(flux[good])) or 1.0
        edge = np.array_split(np.arange(len(flux)), min(_BINS, len(flux)))
        found[str(row)] = [
            [round(float(np.mean(wavelength[at])), 1) for at in edge],
            [
                round(float(np.median(flux[at][good[at]]) / middle), 3) if good[at].any() else None
                for at in edge
            ],
        ]
    return found
