"""Sizes of a tokenizer (layer 1: no torch needed)."""

from __future__ import annotations

import dataclasses
from typing import Any

__all__ = ["ModelConfig"]

# Fields that came after 0.1.0, each with what it was before it could be said: how the
# configuration of older weights is read. Not today's defaults, which may change.
_BEFORE: dict[str, Any] = {
    "context_size": 0,
    "embedding_size": 0,
    "reader_width": 128,
    "reader_heads": 4,
    "reader_blocks": 3,
    "reader_queries": 4,
    "reader_group": 4,
    "reader_places": 0,
    "reader_reading": 64,
    "reader_step": 0.0,
}
# Units of the coordinate: of wavelengths in vacuum, and of times.
_UNITS = ("Angstrom", "d")

_SIZES: dict[str, dict[str, int]] = {
    "tiny": {"width": 32, "heads": 2, "encoder_blocks": 1, "decoder_blocks": 1, "n_periods": 8},
    "small": {"width": 192, "heads": 3, "encoder_blocks": 3, "decoder_blocks": 3, "n_periods": 16},
    "base": {"width": 512, "heads": 8, "encoder_blocks": 6, "decoder_blocks": 6, "n_periods": 32},
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Sizes of a tokenizer; stored beside its weights.

    Parameters
    ----------
    patch_size : int
        Pixels of a patch, P: 2 or more.
    token_size : int
        Numbers of a token, C: cosines of its patch, ``context_size`` numbers of context, and
        the noise.
    context_size : int
        Numbers of a token, X, that the encoder is free to choose: what it read from the rest
        of the spectrum. C - 1 - X cosines are left, of which there must be one.
    width, heads : int
        Width of the transformer, D, and its attention heads; D / heads is even.
    encoder_blocks, decoder_blocks : int
        Depth of either half.
    n_periods : int
        Periods of the wavelength embedding, K.
    min_period, max_period : float
        Shortest and longest of them, in ``coordinate_unit``.
    coordinate_unit : str
        What the coordinate is: ``"Angstrom"`` for vacuum wavelengths, ``"d"`` for times in
        days, of light curves. `spectok.encode` refuses spectra where the model's is not
        Angstrom, and light curves where it is not days.
    embedding_size : int
        Numbers of an embedding, E; 0 for a tokenizer without a reader, which makes none.
    reader_width, reader_heads : int
        Width of the reader, and its attention heads.
    reader_blocks, reader_queries : int
        Its blocks, and the learned queries that collect what they found.
    reader_group : int
        Neighbouring tokens that the reader joins into one.
    reader_places : int
        Places, a wavelength and a length each, at which the reader reads tokens with weights of
        their own, for spectra on patches that they share: at rest (`spectok.to_rest_frame`), or
        by ``reader_step``; 0 leaves that out.
    reader_reading : int
        Numbers that are read there.
    reader_step : float
        Length in dex of the patches, beginning at its multiples, into which tokens are cut before
        they are read, so that spectrographs share them; spectra whose own patches are more than
        ten times as short or as long keep those. 0 reads all tokens on their own.

    Raises
    ------
    ValueError
        For sizes that do not fit each other or are too small, and for an unknown unit.

    References
    ----------
    Shen et al. (2025), arXiv:2510.17959, section 2 and equation 1.

    Examples
    --------
    >>> from spectok import ModelConfig
    >>> ModelConfig.of_size("base").width
    512
    """

    patch_size: int = 32
    token_size: int = 16
    context_size: int = 0
    width: int = 512
    heads: int = 8
    encoder_blocks: int = 6
    decoder_blocks: int = 6
    n_periods: int = 32
    min_period: float = 8.0
    max_period: float = 65536.0
    coordinate_unit: str = "Angstrom"
    embedding_size: int = 0
    reader_width: int = 128
    reader_heads: int = 4
    reader_blocks: int = 3
    reader_queries: int = 4
    reader_group: int = 4
    reader_places: int = 0
    reader_reading: int = 64
    reader_step: float = 0.0

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        if self.width // self.heads % 2:
            raise ValueError(
                f"width {self.width} over heads {self.heads} is {self.width // self.heads}, but "
                "must be even: attention turns its channels in pairs"
            )
        if self.reader_width % (2 * self.reader_heads):
            raise ValueError(
                f"reader_width {self.reader_width} is not a multiple of twice reader_heads "
                f"{self.reader_heads}: attention turns its channels in pairs"
            )
        # A patch has a length, a token holds a cosine and a noise; and there may be no reader.
        least = {
            "patch_size": 2, "token_size": 2, "embedding_size": 0, "context_size": 0,
            "reader_places": 0,
        }  # fmt: skip
        whole = ("patch_size", "token_size", "encoder_blocks", "decoder_blocks", "n_periods")
        reader = (
            "reader_blocks", "reader_queries", "reader_group", "reader_places", "reader_reading"
        )  # fmt: skip
        for name in (*whole, "context_size", "embedding_size", *reader):
            if getattr(self, name) < least.get(name, 1):
                raise ValueError(
                    f"{name} must be at least {least.get(name, 1)}, not {getattr(self, name)}"
                )
        if self.n_cosines < 1:
            raise ValueError(
                f"token_size {self.token_size} has no room for a cosine beside the noise and "
                f"context_size {self.context_size}"
            )
        if self.reader_places and self.of_times:
            raise ValueError("reader_places are of wavelengths: 0 for a model of light curves")
        if not (0.0 <= self.reader_step <= 1.0) or (self.reader_step and self.of_times):
            raise ValueError(
                "reader_step must be from 0 to 1 dex, and 0 for a model of light curves, not "
                f"{self.reader_step}"
            )
        if not 0 < self.min_period < self.max_period:
            raise ValueError(
                f"periods must satisfy 0 < min_period < max_period, "
                f"not {self.min_period} and {self.max_period}"
            )
        if self.coordinate_unit not in _UNITS:
            raise ValueError(
                f"coordinate_unit must be one of {', '.join(_UNITS)}, not {self.coordinate_unit!r}"
            )

    @property
    def n_cosines(self) -> int:
        """Cosines of a token: what the context and the noise leave of its numbers."""
        return self.token_size - 1 - self.context_size

    @property
    def of_times(self) -> bool:
        """Whether the model is one of light curves: of times, and of bands beside them."""
        return self.coordinate_unit == "d"

    @property
    def size(self) -> str:
        """The named size that has these widths and depths, or an empty string."""
        for name, sizes in _SIZES.items():
            if all(getattr(self, key) == value for key, value in sizes.items()):
                return name
        return ""

    @classmethod
    def of_size(cls, size: str, **changes: Any) -> ModelConfig:
        """The configuration of a named size: ``tiny``, ``small`` or ``base`` (the paper's).

        Parameters
        ----------
        size : str
            Name of the size.
        **changes
            Fields that differ from it.

        Returns
        -------
        config : ModelConfig
            Its sizes, with the changes.

        Raises
        ------
        ValueError
            For an unknown size.
        """
        if size not in _SIZES:
            raise ValueError(f"no model size {size!r}; choose one of {', '.join(_SIZES)}")
        return cls(**{**_SIZES[size], **changes})

    @classmethod
    def from_stored(cls, stored: dict[str, Any]) -> ModelConfig:
        """The configuration that lies beside stored weights.

        Parameters
        ----------
        stored : dict
            Fields by name. Every field must be there, because today's defaults may not be
            those of the weights; only fields that are younger than the weights may be missing,
            and are what they were before they could be chosen.

        Returns
        -------
        config : ModelConfig

        Raises
        ------
        KeyError
            For a field that is missing.
        TypeError
            For what is no dict.
        ValueError
            For a field that this version does not know, and for impossible sizes.
        """
        if not isinstance(stored, dict):
            raise TypeError(f"it is no table of fields but {type(stored).__name__}")
        names = {field.name for field in dataclasses.fields(cls)}
        unknown = stored.keys() - names
        if unknown:
            raise ValueError(
                f"it has the unknown {', '.join(sorted(unknown))}: was it written by a newer "
                "spectok?"
            )
        given = {**_BEFORE, **stored}
        return cls(**{name: given[name] for name in sorted(names)})
