"""Template families: tables, bases and emulators of rest-frame spectra, in torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from spectok.simulate._fine_grid import FineGrid

__all__ = ["EMULATING", "LABELS", "Drawn", "Family"]

LABELS = ("teff", "logg", "feh", "alpha", "vbroad", "age", "metallicity")
"""Labels that a family may know of its spectra: [K], [dex], ..., [Gyr] of populations."""

EMULATING = ("kernel", "quadratic", "network")
"""Forms whose spectra follow from labels; the others are tables of spectra or of vectors."""

# Arrays of each form whose last axis is wavelength, and which are padded at both ends.
_COLUMNS = {
    "table": ("flux",),
    "basis": ("vectors",),
    "kernel": ("vectors", "mean"),
    "quadratic": ("vectors",),
    "network": ("w0", "b0", "w1", "b1"),
}


@dataclass(frozen=True, eq=False)
class Drawn:
    """Spectra drawn from a family, still in the rest frame.

    Attributes
    ----------
    flux : `torch.Tensor`, shape (R, C)
        Rows from which the spectra are mixed, padded.
    rows : `torch.Tensor` of int64, shape (n, J)
    weights : `torch.Tensor`, shape (n, J)
    first, last : `torch.Tensor` of int64, shape (n,)
        Columns between which a spectrum is known, without the padding.
    labels : dict of str to `torch.Tensor`, shape (n,)
    entry : `torch.Tensor` of int64, shape (n,)
        The template that counts most.
    """

    flux: Tensor
    rows: Tensor
    weights: Tensor
    first: Tensor
    last: Tensor
    labels: dict[str, Tensor]
    entry: Tensor


class Family:
    """Family of template spectra of one origin, which draws some and redshifts them.

    Parameters
    ----------
    name : str
    about : dict
        ``kind`` (galaxy, quasar, star), ``form``, ``fine`` (name of the fine grid),
        ``segments`` and ``step`` of its own grid, ``blur`` (`lsf_sigma` by the name that it has
        in files), ``weight``, ``redshift`` range, ``mix`` (spectra per mixture), ``labels``
        (names), ``gaps``.
    arrays : mapping of str to `torch.Tensor`
    fine : `~spectok.simulate._fine_grid.FineGrid`
        Where the spectra are wanted.
    """

    def __init__(
        self, name: str, about: dict, arrays: Mapping[str, Tensor], fine: FineGrid
    ) -> None:
        self.name, self.about, self.fine = name, about, fine
        self.kind, self.form = about["kind"], about["form"]
        self.grid = FineGrid(tuple((a, n) for a, n in about["segments"]), about["step"])
        if len(self.grid.segments) != len(fine.segments):
            raise ValueError(
                f"templates {name}: {len(self.grid.segments)} segments, but the fine grid has "
                f"{len(fine.segments)}: each needs its own"
            )
        ratio = self.grid.step / fine.step
        self.phases = round(ratio)
        if abs(ratio - self.phases) > 1e-6:
            raise ValueError(
                f"templates {name}: their step of {self.grid.step:g} dex is no whole multiple of "
                f"{fine.step:g}, the step of the fine grid"
            )
        self.pad = self._room()
        self.arrays = {
            key: self._padded(value) if key in _COLUMNS[self.form] else value
            for key, value in arrays.items()
        }

    @property
    def lsf_sigma(self) -> float:
        """Standard deviation of the line-spread function that is in the spectra [km/s]."""
        return self.about["blur"]

    def _room(self) -> int:
        """Columns of padding such that every spectrum wanted is a window of the padded rows."""
        if "redshift" in self.about:
            return max(n for _, n in self.fine.segments) // self.phases + 8
        reach = [0.0]
        for (own, count), (start, points) in zip(
            self.grid.segments, self.fine.segments, strict=True
        ):
            step = self.grid.step
            end = start + self.fine.step * points
            reach += [(own - start) / step, (end - own) / step - count]
        # And the velocities of stars, 750 km/s at most: six times their spread in the halo.
        return int(max(reach)) + int(1.1e-3 / self.grid.step) + 8

    def _padded(self, array: Tensor) -> Tensor:
        """Repeat the first and last column of each segment ``pad`` times."""
        shape = (*array.shape[:-1], self.pad)
        parts = []
        for start, stop in self.grid.bounds():
            part = array[..., start:stop]
            parts += [part[..., :1].expand(shape), part, part[..., -1:].expand(shape)]
        return torch.cat(parts, -1).contiguous()

    def draw(
        self,
        n: int,
        generator: torch.Generator,
        *,
        perturb: tuple[str, float] | None = None,
        given: Mapping[str, Tensor] | None = None,
    ) -> Drawn:
        """Draw n spectra.

        Parameters
        ----------
        n : int
        generator : `torch.Generator`
        perturb : (str, float), optional
            A label, and what is added to it after all is drawn, in units of the family's
            ``jitter``: for derivatives, with the same draws. Emulating forms only; in others,
            and for names that are none of its labels, nothing changes. It computes in float64.
        given : mapping of str to `torch.Tensor`, shape (n,), optional
            Labels that are not drawn but have these values. Emulating forms only; other names
            than its labels are not looked at.

        Returns
        -------
        drawn : Drawn
        """
        device, arrays = generator.device, self.arrays
        if self.form in ("table", "basis"):
            table = arrays["flux" if self.form == "table" else "coeff"]
            rows = torch.randint(
                len(table), (n, self.about.get("mix", 1)), generator=generator, device=device
            )
            weights = torch.rand(rows.shape, generator=generator, device=device) ** 3 + 1e-6
            # A mixture of many equal parts would make all spectra alike.
            weights = weights / weights.sum(1, keepdim=True)
            entry = rows.gather(1, weights.argmax(1, keepdim=True))[:, 0]
            labels = {}
            if "labels" in arrays:
                mixed = (weights[..., None] * arrays["labels"][rows]).sum(1)
                labels = dict(zip(self.about["labels"], mixed.unbind(1), strict=True))
            if self.form == "table":
                first, last = arrays["first"][rows], arrays["last"][rows]
                return Drawn(table, rows, weights, first.amax(1), last.amin(1), labels, entry)
            coeff = (weights[..., None] * table[rows]).sum(1)
            flux = (coeff @ arrays["vectors"]).clamp(min=0)
        else:
            value, entry = self.draw_labels(n, generator)
            for k, name in enumerate(self.about["labels"]):
                if given is not None and name in given:
                    value[:, k] = given[name]
            if perturb is not None:
                value = self._perturbed(value, *perturb)
            labels = dict(zip(self.about["labels"], value.unbind(1), strict=True))
            flux = self.emulate(value)
        own = torch.arange(n, device=device)
        whole = torch.ones(n, dtype=torch.int64, device=device)
        return Drawn(
            flux, own[:, None], whole[:, None].float(), 0 * whole, self.grid.size * whole,
            labels, entry,
        )  # fmt: skip

    def draw_labels(
        self,
        n: int,
        generator: torch.Generator,
        *,
        within: Mapping[str, tuple[float, float]] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Draw labels around real ones, and tell which: for the emulating forms only.

        Parameters
        ----------
        n : int
        generator : `torch.Generator`
        within : mapping of str to (float, float), optional
            Bounds of labels: only real stars inside of all are drawn around, and nothing leaves
            them.

        Returns
        -------
        value : `torch.Tensor`, shape (n, number of labels)
        entry : `torch.Tensor` of int64, shape (n,)
        """
        arrays, device = self.arrays, generator.device
        low, high = arrays["low"], arrays["high"]
        stars = torch.arange(len(arrays["labels"]), device=device)
        if within is not None:
            low, high = low.clone(), high.clone()
            for k, name in enumerate(self.about["labels"]):
                if name in within:
                    low[k] = max(float(low[k]), within[name][0])
                    high[k] = min(float(high[k]), within[name][1])
            inside = (arrays["labels"] >= low) & (arrays["labels"] <= high)
            stars = stars[inside.all(1)]
            if not len(stars):
                raise ValueError(f"no star of the templates {self.name} has labels in {within}")
        entry = stars[torch.randint(len(stars), (n,), generator=generator, device=device)]
        value = arrays["labels"][entry]
        noise = torch.randn(value.shape, generator=generator, device=device)
        value = value + arrays["jitter"] * noise
        return torch.maximum(torch.minimum(value, high), low), entry

    def _perturbed(self, value: Tensor, label: str, amount: float) -> Tensor:
        """Labels with one of them changed, in float64: differences of spectra need the digits."""
        value, names = value.double(), self.about["labels"]
        if label in names:
            k = names.index(label)
            value[:, k] += amount * self.arrays["jitter"][k].double()
        return value

    def emulate(self, value: Tensor) -> Tensor:
        """Spectra of given labels: differentiable, for the emulating forms only.

        Parameters
        ----------
        value : `torch.Tensor`, shape (n, number of labels)
            In the order and units of ``about["labels"]``.

        Returns
        -------
        flux : `torch.Tensor`, shape (n, C)
            On the family's padded grid, in the precision of the labels.

        Notes
        -----
        Kernel regression, the quadratic model of The Cannon (Ness et al. 2015), and the
        one-layer network of The Payne (Ting et al. 2019).
        """
        arrays = {key: array.to(value.dtype) for key, array in self.arrays.items()}
        if self.form == "kernel":
            # The first label is a temperature: lines follow its inverse.
            scaled = torch.cat([50400 / value[:, :1], value[:, 1:]], 1)
            scaled = (scaled - arrays["centre"]) / arrays["width"]
            distance = (scaled[:, None] - arrays["nodes"]).square().sum(-1)
            return (
                torch.exp(-0.5 * distance) @ arrays["alpha"] @ arrays["vectors"] + arrays["mean"]
            )
        if self.form == "quadratic":
            x = value - arrays["pivot"]
            i, j = torch.triu_indices(x.shape[1], x.shape[1], device=x.device)
            terms = torch.cat([torch.ones_like(x[:, :1]), x, x[:, i] * x[:, j]], 1)
            return terms @ arrays["vectors"]
        x = (value - arrays["low_in"]) / (arrays["high_in"] - arrays["low_in"]) - 0.5
        hidden = torch.einsum("hlc,nl->nhc", arrays["w0"], x) + arrays["b0"]
        return (torch.sigmoid(hidden) * arrays["w1"]).sum(1) + arrays["b1"]

    def place(self, drawn: Drawn, log_shift: Tensor) -> Tensor:
        """Spectra on the fine grid, shifted and interpolated by cubic pieces.

        Parameters
        ----------
        drawn : Drawn
        log_shift : `torch.Tensor` of float64, shape (n,)
            log10 of 1 + redshift.

        Returns
        -------
        flux : `torch.Tensor`, shape (n, F)
        """
        n, fine = len(drawn.rows), self.fine
        out = drawn.flux.new_empty((n, fine.size), dtype=torch.float32)
        offset, width = 0, drawn.flux.shape[-1]
        for (own, count), (start, _), (begin, end) in zip(
            self.grid.segments, fine.segments, fine.bounds(), strict=True
        ):
            room = count + 2 * self.pad
            x = (start - log_shift - own) / self.grid.step + self.pad
            for phase in range(self.phases):
                target = out[:, begin + phase : end : self.phases]
                length = target.shape[1] + 3
                place = x + phase / self.phases
                base = place.floor()
                # All windows of this length, as a view: picking one copies one stretch.
                windows = drawn.flux.as_strided(
                    (len(drawn.flux), room - length + 1, length), (width, 1, 1), offset
                )
                at = (base.long() - 1).clamp(0, room - length)
                seen = windows[drawn.rows[:, 0], at].float()
                if drawn.rows.shape[1] > 1:
                    seen *= drawn.weights[:, :1]
                    for row, weight in zip(drawn.rows.T[1:], drawn.weights.T[1:], strict=True):
                        seen.addcmul_(windows[row, at].float(), weight[:, None])
                _cubic(seen, (place - base).float()[:, None], target)
            offset += room
        return out

    def known(self, drawn: Drawn, log_shift: Tensor) -> tuple[Tensor, Tensor]:
        """log10 of the observed wavelengths between which each spectrum is known, (n,) each."""
        start = self.grid.segments[0][0]
        final, count = self.grid.segments[-1]
        low = start + drawn.first * self.grid.step + log_shift
        missing = self.grid.size - drawn.last
        high = final + (count - 1 - missing) * self.grid.step + log_shift
        return low, high


def _cubic(seen: Tensor, part: Tensor, out: Tensor) -> None:
    """Interpolate by Catmull and Rom's cubic, a part of a step after the second column."""
    square, cube = part**2, part**3
    length = out.shape[1]
    torch.mul(seen[:, :length], (2 * square - part - cube) / 2, out=out)
    out.addcmul_(seen[:, 1 : length + 1], (2 - 5 * square + 3 * cube) / 2)
    out.addcmul_(seen[:, 2 : length + 2], (part + 4 * square - 3 * cube) / 2)
    out.addcmul_(seen[:, 3 : length + 3], (cube - square) / 2)
