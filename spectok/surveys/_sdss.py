"""Choice of the reader for each generation of SDSS's files."""

from __future__ import annotations

from specutils import SpectrumList

from . import _mwm
from ._fits import Source, open_fits, path_of
from ._kinds import sdss_kind, wrong_survey
from ._plates import read_sp_plate, read_sp_spec
from ._spec import read_spec
from .apogee import BAD_BITS as APOGEE_BITS

__all__ = ["read_sdss"]


def read_sdss(source: Source) -> SpectrumList:
    """Read a file of SDSS; see `spectok.surveys.sdss.read`."""
    with open_fits(source) as hdus:
        path, kind = path_of(source), sdss_kind(hdus)
        if kind is None:
            wanted = (
                "an SDSS spec file (no table with flux, loglam, ivar and and_mask in HDU 1), "
                "nor an spSpec, spPlate, mwmStar or mwmVisit file"
            )
            raise wrong_survey(source, hdus, wanted)
        if kind == "mwm":
            return _mwm.read(path, hdus, APOGEE_BITS)
        read = {"spec": read_spec, "spSpec": read_sp_spec, "spPlate": read_sp_plate}[kind]
        return SpectrumList([read(path, hdus)])
