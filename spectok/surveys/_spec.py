"""SDSS ``spec`` files: the coadded spectrum, its mask, and the row of the catalogue."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from specutils import Spectrum

from ._fits import FLUX_UNIT, build, known, native, row_values, scalar, stem_of
from ._missing import broken
from ._table import FitsTable, is_table

__all__ = ["BAD_BITS", "read_spec"]

# Bits of SPPIXMASK (https://www.sdss4.org/dr17/algorithms/bitmasks/#SPPIXMASK)
# which say that a pixel holds no measurement. They are looked for in the AND
# mask: set in every exposure. Not among them, because the pixel was measured
# and its inverse variance already tells how well: NOSKY and BRIGHTSKY (bits 22
# and 23: bright night-sky lines), LOWFLAT, NEARBADPIXEL, PARTIALREJECT,
# SCATTEREDLIGHT, CROSSTALK and BADSKYCHI; and BADTRACE, BADFLAT and the other
# remarks on a whole fibre (bits 1, 2 and 4 to 12), which cover entire spectra
# of S/N 20: in six spectra that have them, flagged pixels with a positive
# inverse variance agree with the survey's model as well as their neighbours.
# The OR mask is never asked: a bit there says that one exposure of several was
# bad, and the coadded pixel is as good as its inverse variance says.
BAD_BITS = {
    "NOPLUG": 0,
    "BADARC": 3,
    "FULLREJECT": 18,
    "NODATA": 24,
    "COMBINEREJ": 25,
    "BADFLUXFACTOR": 26,
}

_LABELS = {
    "class": "class",
    "subclass": "subclass",
    "z": "z",
    "z_err": "z_err",
    "zwarning": "zwarning",
    "class_noqso": "class_noqso",
    "z_noqso": "z_noqso",
    "vdisp": "vdisp",
    "vdisp_err": "vdisp_err",
    "sn_median": "sn_median_all",
}
# The best-fitting stars of two libraries; a temperature of zero says that there is none.
_STARS = {
    "elodie": {
        "elodie_teff": "elodie_teff",
        "elodie_logg": "elodie_logg",
        "elodie_feh": "elodie_feh",
        "elodie_sptype": "elodie_sptype",
    },
    "xcsao": {
        "xcsao_teff": "xcsao_teff",
        "xcsao_logg": "xcsao_logg",
        "xcsao_feh": "xcsao_feh",
        "xcsao_rv": "xcsao_rv",
    },
}


def read_spec(path: Path, hdus: Any) -> Spectrum:
    """Read the coadded spectrum of a ``spec`` file, full or lite."""
    table = FitsTable(hdus[1])
    meta = {"survey": "SDSS", "medium": "vacuum", **_describe(path, hdus)}
    if "model" in table:
        meta["model"] = native(table["model"])
    return build(
        10.0 ** native(table["loglam"]),
        table["flux"],
        table["ivar"],
        broken(table["and_mask"], BAD_BITS),
        unit=FLUX_UNIT,
        meta=meta,
    )


def _describe(path: Path, hdus) -> dict:
    """Identifier, position, frame and labels, from the tables and the header."""
    header = hdus[0].header
    label, place, ids = {}, {}, {}
    columns = {"ra": "plug_ra", "dec": "plug_dec"}
    names = {"p": "plate", "m": "mjd", "f": "fiberid", "field": "field", "c": "catalogid"}
    if len(hdus) > 2 and is_table(hdus[2]) and hdus[2].header["NAXIS2"]:
        table = FitsTable(hdus[2])
        label = known(row_values(table, _LABELS))
        # Filled with zeros where it was not fitted: in the releases before BOSS, and in stars.
        if "class_noqso" not in label:
            label.pop("z_noqso", None)
        if not label.get("vdisp_err", 0) > 0:
            for name in ("vdisp", "vdisp_err"):
                label.pop(name, None)
        for library, wanted in _STARS.items():
            found = known(row_values(table, wanted))
            if found.get(f"{library}_teff", 0) > 0:
                label.update(found)
        place = known(row_values(table, columns))
        ids = row_values(table, names)
    # The primary header's RA and DEC are the plate's centre, not the object's.
    for key, card in (("ra", "PLUG_RA"), ("dec", "PLUG_DEC")):
        if key not in place and isinstance(header.get(card), float):
            place[key] = header[card]
    for key, card in (("p", "PLATEID"), ("m", "MJD"), ("f", "FIBERID")):
        if key not in ids and card in header:
            ids[key] = scalar(header[card])
    ids = {key: value for key, value in ids.items() if isinstance(value, int)}
    if {"p", "m", "f"} <= set(ids):
        name = f"{ids['p']:04d}-{ids['m']}-{ids['f']:04d}"
    elif {"field", "m", "c"} <= set(ids):
        name = f"{ids['field']:06d}-{ids['m']}-{ids['c']}"
    else:
        name = stem_of(path).removeprefix("spec-")
    # SDSS-V (reduction v6) moved from the Sun to the barycentre: 0.02 km/s at most.
    sdss_v = str(header.get("VERS2D", "")).startswith("v6")
    frame = "barycentric" if sdss_v else "heliocentric"
    return {"frame": frame, "object_id": name, "label": label, **place}
