"""Token tables in the rest frame, on patches that spectra share."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
import torch
from astropy import units as u
from astropy.table import QTable, Table
from astropy.utils.exceptions import AstropyUserWarning

from spectok._batch import buckets, padded
from spectok._convert import to_redshifts
from spectok._tokens import (
    FRAME_COLUMN,
    TokenSequence,
    is_of_curves,
    legible,
    meta_of,
    sequences,
    to_token_batch,
)
from spectok.model._limits import LOWEST_EDGE
from spectok.model._recut import recut

__all__ = ["to_rest_frame"]

# Lengths of new patches are 1e-4 dex times a power of this: those of all spectra of one grid are
# the same, at most a fifth shorter than its own, and those of SDSS exactly its own.
_RUNG = 2.0**0.25
_UNIT = 1e-4  # dex
_STEPS = (1e-6, 1.0)  # dex: what a step may be
_MOST_NEW = 64  # times as many patches as there were
_LONGEST = 8.0  # times their length: a new pixel must not be wider than a patch was
_TOKENS = 2048  # of a batch
_SPEEDS = ("rv", "vrad", "vel", "radial_vel", "vhelio", "v_")  # how such columns begin


def to_rest_frame(tokens: Table, redshift: Any, *, step: float | None = None) -> QTable:
    """Take redshifts or velocities out of tokens, and cut them into patches that spectra share.

    The patches of a survey's native grid begin at the same *observed* wavelengths in all spectra,
    so that a line lies elsewhere in its patch in each of them, and the numbers of a token mean
    something else. Here wavelengths are divided by 1 + z and the spectra cut into patches anew,
    at the same *rest* wavelengths for all. Probes of stars' labels need this where spectra
    are as sharp as GALAH's: an ordinary star's velocity moves lines by a third of a patch.

    Parameters
    ----------
    tokens : `~astropy.table.QTable`
        From `encode`.
    redshift : float, array of shape (N,), `~astropy.units.Quantity`, or str
        Of all spectra, or of each in ascending ``spectrum_index``: a redshift, or a radial
        velocity with its unit (relativistic, as in specutils). Or the name of a column of the
        table that has them (see ``keep`` of `encode`). 0 moves nothing, and only cuts anew. For
        spectra that were refused it may be NaN.
    step : float, optional
        Length of the new patches in dex of wavelength; they begin at multiples of it. By default
        each spectrum's own: the median length of its patches, rounded down to one of four
        values in every octave (SDSS keeps its own 0.0032). Give it for spectra of several
        instruments which shall share their patches.

    Returns
    -------
    tokens : `~astropy.table.QTable`
        Of the same spectra and the same model, with the columns of ``tokens`` and
        ``frame_redshift``, the redshift that was taken out (in all, where this is not the first
        time; a second call takes out more). Fluxes per wavelength and ``scale`` stay as they
        were observed; fluxes per frequency or photon are decoded at rest wavelengths, and thus
        smaller by (1 + z)**2 or 1 + z. A new patch is valid where valid tokens cover half of it
        (of a spectrum that has none such, the fullest is), and ``n_valid`` counts in its own
        pixels. ``meta["FRAME"]`` names the step, and probes refuse tokens on other patches than
        they learned from.

    Raises
    ------
    TypeError
        For a redshift that is no number, array, Quantity or name of a column, and a step that is
        no plain number.
    ValueError
        - For tokens of light curves, and for what is no token table.
        - For redshifts that are not finite or not above -1, in another unit than a velocity's, or
          not as many as there are spectra.
        - For a column that the table does not have.
        - For a step outside 1e-6 to 1 dex, so short that it makes 64 times as many patches, or
          longer than eight of them.
        - For a column of velocities, by its name, that has no unit.

    See Also
    --------
    decode : The spectra on a grid; of these tokens, on one of rest wavelengths.
    spectok.probes.RedshiftProbe : Redshifts and velocities, where they are not known.

    Notes
    -----
    Closed form, nothing is learned: the curve that a token's cosines draw is averaged over the P
    pixels of each new patch and described by as many cosines. Where patches of an instrument
    differ in length on a logarithmic scale, as on a linear grid, the finest structure of the
    shorter ones is lost, and a good one that stands alone between bad ones may be, unless
    ``step`` says less. A warning says where spectra got patches of several lengths. Structure
    that crosses the border of two old patches keeps the small step that tokens have there. Errors
    that `decode` states of such tokens are those of a spectrum that was observed at these
    wavelengths.

    `embed` with the default weights is for stars of GALAH and APOGEE at rest; of other spectra it
    takes the tokens as they were observed.

    Examples
    --------
    >>> import numpy as np, spectok
    >>> from astropy import units as u
    >>> wavelength = np.linspace(6500.0, 6700.0, 3200)
    >>> flux = np.random.default_rng(0).normal(10.0, 1.0, (2, 3200))
    >>> tokens = spectok.encode_arrays(wavelength, flux, ivar=np.ones((2, 3200)))
    >>> rest = spectok.to_rest_frame(tokens, [-30.0, 120.0] * u.km / u.s)
    >>> items = spectok.group(rest)
    >>> shared = np.intersect1d(items[0]["wavelength"], items[1]["wavelength"])
    >>> len(tokens) // 2, len(shared)
    (100, 109)
    """
    if isinstance(tokens, Table) and is_of_curves(tokens):
        raise ValueError("these are tokens of light curves, which have no rest wavelengths")
    if step is not None and not isinstance(step, Real):
        raise TypeError(f"step must be a plain number of dex, not {type(step).__name__}")
    if step is not None and not _STEPS[0] <= step <= _STEPS[1]:
        raise ValueError(f"step must be from {_STEPS[0]:g} to {_STEPS[1]:g} dex, not {step!r}")
    spectra, meta = sequences(tokens), meta_of(tokens)
    taken = _redshifts(tokens, spectra, redshift)
    patch, context = int(meta["PATCH"]), int(meta.get("CONTEXT", 0))
    moved = [_moved(one, 1.0 + z) for one, z in zip(spectra, taken, strict=True)]
    edges = [_new_edges(one, step, patch) for one in moved]
    found: list[_Cut] = [_nothing(one) for one in moved]
    has = [row for row, (first, _) in enumerate(edges) if len(first)]
    joined = np.array([_joined(moved[row], step, patch) for row in has], int)
    for number in np.unique(joined):
        alike = [row for row, k in zip(has, joined, strict=True) if k == number]
        for some_of in buckets([len(edges[row][0]) for row in alike], max_tokens=_TOKENS):
            rows = [alike[k] for k in some_of]
            first, last = (
                torch.from_numpy(padded([edges[row][k] for row in rows], fill=None))
                for k in (0, 1)
            )
            some = [moved[row] for row in rows]
            with torch.inference_mode():
                value, which = recut(
                    to_token_batch(some), first, last, patch_size=patch, context_size=context,
                    joined=int(number),
                )  # fmt: skip
            for row, one, own, of in zip(rows, some, value.numpy(), which.numpy(), strict=True):
                length = len(edges[row][0])
                share = one.n_valid / np.maximum(one.n_pixels, 1)
                found[row] = _Cut.of(edges[row], own[:length], of[:length], share, patch)
    return _table(tokens, spectra, found, taken, _frame_of(edges, step))


@dataclasses.dataclass(frozen=True)
class _Cut:
    """New patches of one spectrum: the columns of the table that hold one number for each."""

    wavelength: np.ndarray
    wavelength_min: np.ndarray
    wavelength_max: np.ndarray
    n_pixels: np.ndarray
    n_valid: np.ndarray
    valid: np.ndarray
    token: np.ndarray

    @classmethod
    def of(
        cls,
        edges: tuple[np.ndarray, np.ndarray],
        value: np.ndarray,
        which: np.ndarray,
        share: np.ndarray,
        patch: int,
    ) -> _Cut:
        """Of new patches, the old one of each of their pixels, and what of those is good."""
        first, last = edges
        centre = 0.5 * (first + last)
        half = 0.5 * (last - first) * ((patch - 1) / patch)  # to the middle of its last pixel
        inside = which >= 0
        n_valid = np.rint(np.where(inside, share[which], 0.0).sum(1)).astype(np.int64)
        covered = inside.sum(1)
        # Half of a patch; and where none has as much, the fullest: no spectrum loses all.
        valid = 2 * covered >= min(patch, 2 * int(covered.max()))
        value = np.where(valid[:, None], value, 0.0).astype(np.float32)
        n_pixels = np.full(len(centre), patch)
        return cls(centre, centre - half, centre + half, n_pixels, n_valid, valid, value)


def _nothing(one: TokenSequence) -> _Cut:
    """One row of a spectrum without a valid token, as it was."""
    columns = [getattr(one, field.name)[:1] for field in dataclasses.fields(_Cut)]
    return _Cut(*columns)


def _redshifts(tokens: Table, spectra: Sequence[TokenSequence], given: Any) -> np.ndarray:
    """Redshift of each spectrum, (N,); 0 for those that have no token."""
    where = "redshift"
    if isinstance(given, str):
        if given not in tokens.colnames:
            raise ValueError(
                f"redshift={given!r}, but the token table has no such column: keep it with "
                f"spectok.encode(..., keep=[{given!r}]), or give an array"
            )
        name, where = given, f"the column {given!r}"
        given = tokens[given][[one.row for one in spectra]]
        if getattr(given, "unit", None) is None and name.lower().startswith(_SPEEDS):
            raise ValueError(
                f"{where} has no unit and seems to hold velocities: set it, such as "
                f"tokens[{name!r}] = tokens[{name!r}] * u.km / u.s"
            )
    elif given is None:
        raise TypeError(f"{where} must be numbers, a Quantity or the name of a column, not None")
    z = to_redshifts(given, where)
    if z.shape not in ((), (len(spectra),)):
        raise ValueError(
            f"{where} has the shape {z.shape}, and there are {len(spectra)} spectra: give one "
            "number, or one for each"
        )
    z = np.broadcast_to(z, len(spectra)).copy()
    has = np.array([one.valid.any() for one in spectra])
    bad = has & ~(np.isfinite(z) & (z > -1.0))
    if bad.any():
        one = spectra[int(bad.argmax())]
        raise ValueError(
            f"{where}: {int(bad.sum())} of {len(z)} are not finite or not above -1 (the first is "
            f"{z[bad.argmax()]} of spectrum {one.index}, {one.object_id!r}): leave out spectra "
            "whose redshift is not known; velocities need their unit, such as * u.km / u.s"
        )
    z[~has] = 0.0
    return z


def _reach(one: TokenSequence, patch: int) -> tuple[np.ndarray, np.ndarray]:
    """Where each patch begins and ends, to the outer edges of its real pixels."""
    half_pixel = (one.wavelength - one.wavelength_min) / max(patch - 1, 1)
    low = np.maximum(one.wavelength_min - half_pixel, LOWEST_EDGE * one.wavelength)
    return low, one.wavelength_max + half_pixel


def _length(one: TokenSequence, patch: int) -> float:
    """Median length of all patches, good or not, in dex: the same whatever is masked."""
    half = (one.wavelength - one.wavelength_min) * (patch / max(patch - 1, 1))
    low = np.maximum(one.wavelength - half, LOWEST_EDGE * one.wavelength)
    return float(np.median(np.log10((one.wavelength + half) / low)))


def _joined(one: TokenSequence, step: float | None, patch: int) -> int:
    """Pixels that become one in new patches of a length; the default is never longer."""
    return 1 if step is None else max(round(step / _length(one, patch)), 1)


def _moved(one: TokenSequence, factor: float) -> TokenSequence:
    """The same tokens at wavelengths over a factor."""
    return dataclasses.replace(
        one,
        wavelength=one.wavelength / factor,
        wavelength_min=one.wavelength_min / factor,
        wavelength_max=one.wavelength_max / factor,
    )


def _new_edges(
    one: TokenSequence, step: float | None, patch: int
) -> tuple[np.ndarray, np.ndarray]:
    """Outer edges of the new patches that valid tokens touch."""
    if not one.valid.any():
        return np.empty(0), np.empty(0)
    low, high = _reach(one, patch)
    length = _length(one, patch)
    if step is None:
        # A grid whose lengths are a rung but for rounding stays on it.
        step = _UNIT * _RUNG ** math.floor(math.log(length / _UNIT, _RUNG) + 1e-2)
    # Which multiples of the step are covered: intervals begun less intervals ended. A patch that
    # only touches a multiple does not reach beyond it.
    begin = np.floor(np.log10(low[one.valid]) / step + 1e-6).astype(np.int64)
    end = np.maximum(np.ceil(np.log10(high[one.valid]) / step - 1e-6).astype(np.int64), begin + 1)
    number = int(end.max() - begin.min())
    events = np.zeros(number + 1, np.int64)
    np.add.at(events, begin - begin.min(), 1)
    np.add.at(events, end - begin.min(), -1)
    which = np.flatnonzero(events.cumsum()[:-1] > 0) + begin.min()
    if len(which) > _MOST_NEW * len(begin) or step > _LONGEST * length:
        raise ValueError(
            f"step={step:.3g} dex would cut spectrum {one.index} ({one.object_id!r}) into "
            f"{len(which)} patches, and it has {len(begin)}: give a step near the length of its "
            f"patches, {length:.2g} dex in the median"
        )
    return 10.0 ** (which * step), 10.0 ** ((which + 1) * step)


def _frame_of(edges: Sequence[tuple[np.ndarray, np.ndarray]], step: float | None) -> str:
    """What the table says of its patches; warns where they are not of one length."""
    steps = {step} if step is not None else {
        # The rung itself, of a length that is one but for rounding.
        _UNIT * _RUNG ** round(math.log(np.log10(last[0] / first[0]) / _UNIT, _RUNG))
        for first, last in edges if len(first)
    }  # fmt: skip
    if len(steps) > 1:
        lengths = ", ".join(f"{one:.3g}" for one in sorted(steps))
        warnings.warn(
            f"the spectra were cut into patches of several lengths ({lengths} dex), so not all "
            "share them: they are of several instruments, or of grids that differ, as where an "
            "arm is missing; give step= where they shall",
            AstropyUserWarning,
            stacklevel=3,
        )
    # So many digits that patches of a step that is copied from here are the same.
    return f"rest, step {min(steps):.8g}" if len(steps) == 1 else "rest"


def _table(
    tokens: Table,
    spectra: Sequence[TokenSequence],
    found: Sequence[_Cut],
    taken: np.ndarray,
    frame: str,
) -> QTable:
    """The new token table: rows of the old one, with new patches."""
    number = [len(cut.wavelength) for cut in found]
    rows = np.repeat([one.row for one in spectra], number)
    table = QTable(tokens, copy=False)[rows]
    table["token_index"] = np.concatenate([np.arange(n) for n in number])
    for field in dataclasses.fields(_Cut):
        column = np.concatenate([getattr(cut, field.name) for cut in found])
        table[field.name] = column * u.AA if field.name.startswith("wavelength") else column
    now = np.repeat(taken, number)
    if FRAME_COLUMN in table.colnames:
        before = np.ma.filled(np.ma.asarray(table[FRAME_COLUMN], np.float64), 0.0)
        now = (1.0 + before) * (1.0 + now) - 1.0
    table[FRAME_COLUMN] = now
    table.meta["FRAME"] = frame
    return legible(table)
