"""Times of light curves as days."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy import units as u
from astropy.time import Time, TimeDelta

from spectok._convert._masks import own_mask

__all__ = ["Clockwork", "to_days"]


@dataclass(frozen=True)
class Clockwork:
    """What days are counted from, and how.

    Attributes
    ----------
    scale : str
        Time scale, such as ``"tdb"``; empty for plain numbers of days.
    format : str
        Of the times that came in, such as ``"jd"``; empty for plain numbers.
    """

    scale: str = ""
    format: str = ""

    @property
    def absolute(self) -> bool:
        """Whether the days are modified Julian dates of a scale."""
        return bool(self.scale)


def to_days(time: Any, where: str) -> tuple[np.ndarray, Clockwork]:
    """Times of any kind as days: modified Julian dates of `~astropy.time.Time`, else numbers.

    Parameters
    ----------
    time : `~astropy.time.Time`, `~astropy.time.TimeDelta`, `~astropy.units.Quantity` or numbers
        Numbers are days.
    where : str
        Name of the light curve for messages.

    Returns
    -------
    days : `numpy.ndarray`, shape (L,)
        Float64; NaN where masked.
    clockwork : `Clockwork`

    Raises
    ------
    ValueError
        For what is no time.
    """
    clockwork = Clockwork()
    if isinstance(time, Time) and not isinstance(time, TimeDelta):
        days, clockwork = time.mjd, Clockwork(time.scale, time.format)
        if time.scale == "local":
            clockwork = Clockwork("local", time.format)
    elif isinstance(time, TimeDelta):
        days = time.to_value(u.d)
    elif isinstance(time, u.Quantity):
        if not time.unit.is_equivalent(u.d):
            raise ValueError(f"{where}: times in {time.unit} are no times; give days, or a Time")
        days = time.to_value(u.d)
    else:
        days = time
    masked = own_mask(days)
    try:
        days = np.array(_bare(days), dtype=np.float64)
        if masked is not None:
            days[masked] = np.nan
        return days, clockwork
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{where}: times must be an astropy Time, a Quantity of days or numbers of days, not "
            f"{np.asarray(_bare(days)).dtype}; texts become times by astropy.time.Time(...)"
        ) from error


def _bare(values: Any) -> Any:
    """Numbers without their mask."""
    return np.ma.getdata(getattr(values, "unmasked", values))
