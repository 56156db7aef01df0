"""Tokens read with weights of their own at places that spectra share (layer 1: torch only).

Letters of shapes: N spectra of T tokens of C numbers; K places; R numbers read.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spectok.model._limits import LARGEST_FEATURE, LEAST_HALF

__all__ = ["Reading", "places_of"]

# Whole numbers stay what they are in weights of half precision: a place is ln(wavelength), and a
# length ln(length / wavelength), in units of 1e-9. Places of the n-th length are n * 1e11 further.
_UNIT, _APART = 1e9, 10**11
_NEAR = 10_000  # 1e-5 in ln(wavelength), 3 km/s: a thirtieth of a patch of GALAH
_ALIKE = 1_000_000  # 1e-3 in ln(length): what wavelengths in float32 leave of it
_NOWHERE = 2**62  # further than any patch, and a difference to it is still a whole number


def places_of(wavelength: Tensor, half: Tensor) -> tuple[Tensor, Tensor]:
    """Places and lengths, int64 (K,), of patches by centres and half lengths, float64 (T,).

    Half lengths as in a `~spectok._batch.TokenBatch`. Every patch once, ascending; patches of one
    length, to a thousandth, lie together.

    Raises
    ------
    ValueError
        For patches whose lengths change from one to the next, as on a linear grid.
    """
    place, length = _place(wavelength), _length(wavelength, half)
    length, order = length.sort(stable=True)
    number = (length.diff(prepend=length[:1]) > _ALIKE).cumsum(0)
    if bool((length - length[torch.searchsorted(number, number)] > _ALIKE).any()):
        raise ValueError(
            "shared patches must have one length for each instrument on a logarithmic scale, and "
            "these change from one to the next: cut them with spectok.to_rest_frame, or views "
            "with spectok.training.cut_views"
        )
    place, order_of_places = (place[order] + _APART * number).sort(stable=True)
    length = length[order_of_places]
    new = place.diff(prepend=place[:1] - _APART) > _NEAR
    return place[new], length[new]


def _place(wavelength: Tensor) -> Tensor:
    return (wavelength.clamp(min=LEAST_HALF).log() * _UNIT).round().long()


def _length(wavelength: Tensor, half: Tensor) -> Tensor:
    share = half.clamp(min=LEAST_HALF) / wavelength.clamp(min=LEAST_HALF)
    return (share.log() * _UNIT).round().long()


class Reading(nn.Module):
    """A few numbers from tokens whose patches lie where those of other spectra lie, too.

    At a known place a token's numbers always mean the same wavelengths, and of stars at rest the
    same lines, so every place has weights of its own, and what is read is the sum over all
    places: what a smooth function of wavelength, as in the rest of the reader, cannot tell
    apart. Tokens at other places, as of sharp spectra that were not moved to rest, count nothing
    here.

    Parameters
    ----------
    places : int
        Places that are known, K; none until training sets them.
    token_size : int
        Numbers of a token, C.
    number : int
        Numbers that are read, R.
    size : int
        Numbers that are made of them, E.

    Attributes
    ----------
    dropped, unread : float
        Share of the tokens' numbers that is not read, and of the spectra of which none is: 0 but
        in the steps of a training.
    """

    place: Tensor
    length: Tensor
    mean: Tensor
    scatter: Tensor

    def __init__(self, places: int, token_size: int, number: int, size: int) -> None:
        super().__init__()
        self.dropped = self.unread = 0.0
        # As of places_of.
        self.register_buffer("place", torch.full((places,), _NOWHERE))
        self.register_buffer("length", torch.full((places,), _NOWHERE))
        # Of the features at each place over many spectra.
        self.register_buffer("mean", torch.zeros(places, token_size))
        self.register_buffer("scatter", torch.ones(places, token_size))
        spread = (places * token_size) ** -0.5
        self.weight = nn.Parameter(spread * torch.randn(places, token_size, number))
        self.head = nn.Sequential(
            nn.Linear(number, 2 * number), nn.GELU(), nn.Linear(2 * number, size)
        )
        self.straight = nn.Linear(number, size)

    def which(self, wavelength: Tensor, half: Tensor) -> tuple[Tensor, Tensor]:
        """Number of the place of each patch (N, T), and whether it has one."""
        place, length = (part.to(wavelength.device) for part in (self.place, self.length))
        # The first patch of each length stands for all.
        first = torch.cat([place.new_ones(1, dtype=torch.bool), place.diff() > _APART // 2])
        away = (_length(wavelength, half).unsqueeze(-1) - length[first]).abs()
        away, number = away.min(-1)
        asked = _place(wavelength) + _APART * number
        after = torch.searchsorted(place, asked).clamp(max=len(place) - 1)
        before = (after - 1).clamp(min=0)
        nearer = (place[after] - asked).abs() < (place[before] - asked).abs()
        found = torch.where(nearer, after, before)
        return found, ((place[found] - asked).abs() <= _NEAR) & (away <= _ALIKE)

    def forward(self, features: Tensor, wavelength: Tensor, half: Tensor, valid: Tensor) -> Tensor:
        """What is added to an embedding: zeros for spectra without a token at a known place.

        Parameters
        ----------
        features : `torch.Tensor`, shape (N, T, C)
            Standardised numbers of the tokens.
        wavelength, half : `torch.Tensor`, float64, shape (N or 1, T)
        valid : `torch.Tensor` of bool, shape (N, T)

        Returns
        -------
        found : `torch.Tensor`, shape (N, E)
        """
        where, there = (part.to(valid.device) for part in self.which(wavelength, half))
        there = there & valid
        if self.unread:
            there = there & (torch.rand(len(valid), 1, device=valid.device) >= self.unread)
        where = where.expand_as(valid)
        seen = (features - self.mean[where]) / self.scatter[where]
        seen = seen.clamp(-LARGEST_FEATURE, LARGEST_FEATURE) * there.unsqueeze(-1)
        # (N, T, C) -> (N, K, C): adding, so that tokens without a place leave alone what is there
        n, places, size = len(valid), *self.mean.shape
        grid = seen.new_zeros(n, places, size)
        grid = grid.scatter_add(1, where.unsqueeze(-1).expand(-1, -1, size), seen)
        grid = nn.functional.dropout(grid, self.dropped)
        read = grid.flatten(1) @ self.weight.flatten(0, 1)  # (N, K * C) @ (K * C, R)
        found = self.head(nn.functional.gelu(read)) + self.straight(read)
        return torch.where(there.any(1, keepdim=True), found, 0.0)
