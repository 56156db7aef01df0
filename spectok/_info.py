"""What ``spectok info`` says of a model, a token table or a spectrum."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spectok._table_files import table_or_none

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["info"]

_SHOWN = 5  # spectra of a file
_FILES = (".fits", ".fit", ".gz", ".ecsv", ".csv", ".txt", ".dat", ".parquet", ".hdf5", ".h5")


def info(name: str | None, *, medium: str | None = None, format: str | None = None) -> None:
    """Print what is known of a model, a token table or a spectrum file.

    ``medium`` and ``format`` are those of `spectok.surveys.read`, for a spectrum file.
    """
    from spectok import list_models, load_model
    from spectok._weights import describe, model_identity

    tokens = None if name is None else table_or_none(name)
    if (medium or format) and (name is None or tokens is not None or not Path(name).is_file()):
        raise ValueError(
            f"--medium and --format say how a spectrum file is read, but "
            f"{'no file is given' if name is None else f'{name} is none'}: leave them out"
        )
    if name is not None and tokens is not None:
        _info_of_table(name, tokens)
        return
    if name is not None and Path(name).is_file():
        _info_of_spectra(name, medium, format)
        return
    if name is None:
        print(f"models: {', '.join(list_models())}")
    elif Path(name).suffix in _FILES and not Path(name).exists():
        raise FileNotFoundError(
            f"{name}: no such file, and no model of this name; models are "
            f"{', '.join(list_models())}, or folders"
        )
    model = load_model(name)
    called, sha256 = model_identity(model)
    parameters = sum(p.numel() for p in model.parameters())
    print(f"model {called}")
    _print_table({"sha256": sha256, "parameters": f"{parameters:,}", **describe(name)})


def _info_of_table(name: str, tokens: Table) -> None:
    import numpy as np
    from astropy import units as u

    from spectok import TokenFlag, pool
    from spectok._tokens import is_of_curves, meta_of

    meta = meta_of(tokens)
    vectors = pool(tokens)
    valid = np.asarray(tokens["valid"], dtype=bool)
    flags = np.asarray(vectors["flags"])
    said = {
        "spectra": f"{len(vectors):,}",
        "without a valid token": f"{int((~vectors['valid']).sum()):,}",
        "refused": f"{int(((flags & TokenFlag.REFUSED) != 0).sum()):,}",
        "tokens": f"{len(tokens):,}, {valid.mean():.1%} of them valid",
    }
    if valid.any():
        curves = is_of_curves(tokens)
        place = "time" if curves else "wavelength"
        low, high = (u.Quantity(tokens[f"{place}_{end}"][valid]).value for end in ("min", "max"))
        unit = "d" if curves else "Angstrom, in vacuum"
        said[f"{place}s"] = f"{low.min():.2f} to {high.max():.2f} {unit}"
    said["flux unit"] = meta.pop("FLUXUNIT") or "none"
    print(f"token table {name}")
    _print_table({**said, **{key.lower(): value for key, value in meta.items()}})


def _info_of_spectra(name: str, medium: str | None, format: str | None) -> None:
    """What the weights say of the spectra of a file, at a first look."""
    from spectok import surveys
    from spectok._convert import are_arms
    from spectok.probes import first_look

    spectra = surveys.read(name, format=format, medium=medium)
    table = first_look(list(spectra), medium=medium, arms=are_arms(spectra))
    print(f"{name}: {len(table)} spectra" if len(table) > 1 else name)
    for row in table[:_SHOWN]:
        said = {"object": row["object_id"]}
        if row["class"]:
            said["class"] = f"{row['class']} (probability {row['probability']:.2f})"
        if math.isfinite(row["redshift"]):
            said["redshift"] = (
                f"{row['redshift']:.4f} (probability {row['redshift_confidence']:.2f} within "
                "1,000 km/s)"
            )
        if row["nearest_id"]:
            z = row["nearest_redshift"]
            redshift = f", redshift {z:.4f}" if math.isfinite(z) else ""
            said["looks like"] = (
                f"{row['nearest_id']}: {row['nearest_class']}{redshift} "
                f"(distance {row['distance']:.3f})"
            )
            said["as far from others"] = f"{row['ordinary']:.1%} of ordinary spectra"
        if row["remark"]:
            said["but"] = row["remark"]
        _print_table(said)
    if len(table) > _SHOWN:
        print(f"  and {len(table) - _SHOWN} more: spectok.probes.first_look gives a table of all")


def _print_table(rows: Mapping[str, Any]) -> None:
    """Two columns; entries that are tables themselves follow below."""
    plain = {key: value for key, value in rows.items() if not isinstance(value, Mapping)}
    width = max(len(key) for key in plain)
    for key, value in plain.items():
        text = ", ".join(map(str, value)) if isinstance(value, list) else value
        print(f"  {key:<{width}}  {text}")
    for key, value in rows.items():
        if isinstance(value, Mapping):
            print(f"  {key}")
            _print_rows(value)


def _print_rows(rows: Mapping[str, Any]) -> None:
    """A row for each entry, a column for each thing that any of them has."""
    parts = {key: one if isinstance(one, Mapping) else {"": one} for key, one in rows.items()}
    names = list(dict.fromkeys(name for part in parts.values() for name in part))
    lines = [["", *names]] if any(names) else []
    for key, part in parts.items():
        cells = [part.get(name, "") for name in names]
        lines.append([key, *(f"{c:.4g}" if isinstance(c, float) else str(c) for c in cells)])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for first, *cells in lines:
        line = "  ".join(f"{c:>{w}}" for c, w in zip(cells, widths[1:], strict=True))
        print(f"    {first:<{widths[0]}}  {line}")
