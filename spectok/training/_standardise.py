"""What is usual among the tokens of packs: what the reader subtracts and divides by."""

from __future__ import annotations

import torch
from torch import Tensor

from spectok.model._reader import Reader, token_features
from spectok.model._reading import Reading
from spectok.training._views import ViewPack, shared_places

__all__ = ["MEASURED", "standardise"]

MEASURED = 2000  # objects of a pack that tell what is usual in it
# Of a feature over many spectra; and at one place, where most have little: noise is not to be
# made large.
_LEAST_SCATTER, _LEAST_SCATTER_AT = 1e-3, 0.05


def standardise(reader: Reader, packs: list[ViewPack]) -> None:
    """Set the mean and scatter of the features to those of the packs' tokens."""
    found = []
    for pack in packs:
        for view in pack.views.values():
            value, valid = (_some(view[key]) for key in ("value", "valid"))
            found.append(token_features(value.float(), reader.context_size)[valid])
    seen = torch.cat(found)
    reader.mean.copy_(seen.mean(0))
    reader.scatter.copy_(seen.std(0).clamp(min=_LEAST_SCATTER))
    if reader.reading is not None:
        _set_places(reader, reader.reading, packs)


def _some(array: Tensor) -> Tensor:
    """So many rows as are measured, from the first to the last."""
    return array[:: max(len(array) // MEASURED, 1)]


def _set_places(reader: Reader, reading: Reading, packs: list[ViewPack]) -> None:
    """Set the places of a reader, and the mean and scatter of the features at each of them."""
    place, length = shared_places(packs)
    if len(place) != len(reading.place):
        raise ValueError(
            f"this model has reader_places={len(reading.place)}, and the shared views of the "
            f"packs have {len(place)} places: make it with reader_places={len(place)}"
        )
    reading.place.copy_(place)
    reading.length.copy_(length)
    total, square = torch.zeros(2, *reading.mean.shape)
    number = torch.zeros(len(place), 1)
    for pack in packs:
        for name in pack.shared:
            view = pack.views[name]
            where = reading.which(view["wavelength"][0], view["half"][0])[0]
            value, valid = (_some(view[key]) for key in ("value", "valid"))
            # Zeros where not valid.
            seen = reader.features(value.float(), valid)[..., : total.shape[1]]
            total[where] += seen.sum(0)
            square[where] += seen.square().sum(0)
            number[where] += valid.sum(0).unsqueeze(-1)
    with torch.no_grad():
        # What none of them shows is left out at first.
        reading.weight.mul_((number > 0).unsqueeze(-1))
    number = number.clamp(min=1)
    mean = total / number
    reading.mean.copy_(mean)
    variance = (square / number - mean.square()).clamp(min=0.0)
    reading.scatter.copy_(variance.sqrt().clamp(min=_LEAST_SCATTER_AT))
