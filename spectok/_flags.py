"""What befell a spectrum on its way to tokens, as bits (layer 0)."""

from __future__ import annotations

import enum

__all__ = ["TokenFlag"]


class TokenFlag(enum.IntFlag):
    """Bits of the ``flags`` column of a token table.

    Examples
    --------
    >>> from spectok import TokenFlag
    >>> bool(TokenFlag(5) & TokenFlag.REVERSED)
    True
    """

    NOISE_ESTIMATED = 1
    """No uncertainty came with the spectrum: it was estimated (DER_SNR)."""
    FROM_AIR = 2
    """Wavelengths were converted from air to vacuum."""
    REVERSED = 4
    """The spectral axis was not ascending in wavelength and was sorted."""
    UNIT_CONVERTED = 8
    """The flux density was per frequency or in photons and was converted to per wavelength."""
    SCALE_FROM_NOISE = 16
    """The median flux lies below the median error, which became the scale."""
    NO_VALID_PATCH = 32
    """Not one patch is good enough: the spectrum has no token."""
    REFUSED = 64
    """The spectrum could not be used at all: `spectok.refusals` says why."""
    ORDERS = 128
    """The wavelengths fell back: overlapping orders in one array, each kept as a segment."""
