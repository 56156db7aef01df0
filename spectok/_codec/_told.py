"""What a user must be told of spectra without tokens, and of what was estimated or guessed."""

from __future__ import annotations

import warnings
from collections import defaultdict
from typing import Any

import numpy as np
from astropy import units as u
from astropy.utils.exceptions import AstropyUserWarning

from spectok._convert import Rows
from spectok._flags import TokenFlag

__all__ = ["Told"]

_LISTED = 20
_REASONS = 5


class Told:
    """Notes on the spectra of one call, for one warning of each kind at its end.

    Parameters
    ----------
    patch_size : int

    Attributes
    ----------
    reasons : dict of int to str
        Why a spectrum has no token, by its number.
    """

    def __init__(self, patch_size: int) -> None:
        self.patch_size = patch_size
        self.reasons: dict[int, str] = {}
        self._refused: list[int] = []
        self._lost: list[int] = []
        self._kinds: dict[str, list[int]] = defaultdict(list)
        self._sparse: list[int] = []

    def refused(self, number: int, reason: str) -> None:
        """A spectrum could not be used."""
        self._refused.append(number)
        self.reasons[number] = reason

    def encoded(
        self, number: int, rows: Rows, row: int, valid: np.ndarray, n_valid: np.ndarray
    ) -> None:
        """A spectrum was encoded, perhaps into nothing."""
        if not valid.any():
            self._lost.append(number)
            kind, self.reasons[number] = self._why(rows, row)
            self._kinds[kind].append(number)
        elif n_valid[valid].sum() < 0.5 * rows.valid[row].sum():
            self._sparse.append(number)

    def _why(self, rows: Rows, row: int) -> tuple[str, str]:
        """Why a spectrum has no good patch: what it is, and that with its numbers."""
        flux, sigma, valid = rows.flux[row], rows.sigma[row], rows.valid[row]
        estimated = np.bool_(rows.flags[row] & TokenFlag.NOISE_ESTIMATED)
        left = ~valid
        counts = {}
        with np.errstate(invalid="ignore"):
            for kind, where in (
                ("have a flux that is not finite", ~np.isfinite(flux)),
                (
                    "have an inverse variance of zero, or an infinite error",
                    np.isposinf(sigma),
                ),
                (
                    "have an infinite inverse variance, or an error of zero (errors below 5e-20 "
                    "overflow float32: compute their inverse variance in float64)",
                    (sigma == 0) & ~estimated,
                ),
                (
                    "are zero and came without an uncertainty, so no noise can be estimated",
                    (sigma == 0) & estimated,
                ),
                ("have an inverse variance or error that is NaN or negative", ~(sigma >= 0)),
                ("are masked (True is bad: if your mask is True for good pixels, give ~mask)",
                 np.ones(len(flux), bool)),
            ):  # fmt: skip
                if (left & where).any():
                    counts[kind] = int((left & where).sum())
                left &= ~where
        good, total = int(valid.sum()), len(flux)
        if not good and len(counts) == 1:
            kind = next(iter(counts))
            return f"all pixels {kind}", f"all {total} pixels {kind}"
        said = ", ".join(
            f"{count} of {total} pixels {kind}"
            for kind, count in sorted(counts.items(), key=lambda item: -item[1])
        )
        if not good:
            return f"all pixels are bad; most {max(counts, key=counts.__getitem__)}", said
        need = self.patch_size // 2 + 1
        few = f"no patch has {need} good pixels"
        if total < need:
            return (
                "fewer pixels than a token needs",
                f"it has {total} pixels, a token needs {need}",
            )
        if not counts:
            remedy = "give bad pixels as a mask instead of dropping them"
            return (
                f"{few}, because of gaps ({remedy})",
                f"{good} good pixels between gaps: {few}; {remedy}",
            )
        return (
            f"{few}; most of the others {max(counts, key=counts.__getitem__)}",
            f"{good} good pixels, but {few}; {said}",
        )

    def warn(
        self, names: list[Any], flags: list[int], lost_unit: u.UnitBase | None, unknown: list[str]
    ) -> None:
        """Say once for all spectra what was lost, estimated or taken for something else."""
        total = len(names)
        messages = []
        if self._refused:
            of = self._refused[:_REASONS]
            first = "; ".join(f"{k} ({names[k]}): {self.reasons[k]}" for k in of)
            messages.append(
                f"{len(self._refused)} of {total} spectra cannot be used; each keeps one row with "
                f"valid=False and the flag REFUSED, and spectok.refusals says why. {first}"
                + ("; ..." if len(self._refused) > _REASONS else "")
            )
        if self._lost:
            why = "; ".join(
                f"{kind}: {_listed(which, names)}" for kind, which in self._kinds.items()
            )
            messages.append(
                f"{len(self._lost)} of {total} spectra have not one good patch and no valid "
                f"token; each keeps one row with valid=False. {why}"
            )
        if self._sparse:
            messages.append(
                f"{len(self._sparse)} of {total} spectra have most of their good pixels in "
                f"patches without a token: {_listed(self._sparse, names)} (a patch is "
                f"{self.patch_size} pixels in one piece, more than half of them good, so give bad "
                "pixels as a mask instead of dropping them)"
            )
        for flag, text in (
            (
                TokenFlag.NOISE_ESTIMATED,
                "came without an uncertainty: their noise was estimated from the fluxes (DER_SNR) "
                "and flagged; give uncertainties if you have them",
            ),
            (
                TokenFlag.ORDERS,
                "have wavelengths that fall back: they were taken as overlapping orders, laid end "
                "to end, and each order kept as a segment of its own; spectra of several orders "
                "are best given as lists of arms, with arms=True",
            ),
        ):
            count = sum(bool(one & flag) for one in flags)
            if count:
                messages.append(f"{count} of {total} spectra {text}")
        if lost_unit is not None:
            messages.append(
                f"the flux unit {lost_unit} cannot be written to a file; the tokens, and what is "
                "decoded from them, are dimensionless"
            )
        if unknown:
            messages.append(
                f"keep: not one spectrum has {', '.join(unknown)} in its meta or its labels; the "
                "table is without"
            )
        for message in messages:
            warnings.warn(message, AstropyUserWarning, stacklevel=5)


def _listed(which: list[int], names: list[Any]) -> str:
    some = ", ".join(f"{k} ({names[k]})" for k in which[:_LISTED])
    return some + (", ..." if which[_LISTED:] else "")
