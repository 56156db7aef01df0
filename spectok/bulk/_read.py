"""Tokens from the files of a bulk run, as a table that decodes."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from astropy import units as u
from astropy.table import QTable

from spectok._tokens import id_column, reasons_to_text, to_table
from spectok.bulk._columns import OWN, SPATIAL_INDEX, read_about
from spectok.bulk._folder import read_manifest, targets_of
from spectok.bulk._rows import PER_TOKEN

__all__ = ["read_tokens"]


def read_tokens(path: str | os.PathLike, ids: Iterable[Any] | None = None) -> QTable:
    """Read tokens of a bulk run: the table that `spectok.encode` would have given.

    Parameters
    ----------
    path : path
        The folder of a run with ``write="tokens"`` or ``"both"``, or one of its files.
    ids : iterable of str or int, optional
        ``object_id`` of the spectra that are wanted; by default all, which may be more than the
        memory holds.

    Returns
    -------
    tokens : `~astropy.table.QTable`
        What `spectok.decode`, `spectok.group` and `spectok.embed` take, bit for bit. Spectra are
        in the order of the files.

    Raises
    ------
    FileNotFoundError
        Where there is no such file.
    ValueError
        For files without tokens, of several models, or of fluxes that cannot stand in one column.
    KeyError
        For ids that are not there.

    Examples
    --------
    >>> import spectok.bulk
    >>> ids = ["39627652591521181"]
    >>> tokens = spectok.bulk.read_tokens("tokens-of-dr1", ids)  # doctest: +SKIP
    >>> spectrum = spectok.decode(tokens, wavelength)  # doctest: +SKIP
    """
    place = Path(path)
    if not place.exists():
        raise FileNotFoundError(f"{place}: no such file or folder")
    files = [place]
    if place.is_dir():
        files = list(targets_of(place))
        if not files:
            kind = (
                "no run has begun here" if read_manifest(place) is None else "no file is done yet"
            )
            raise FileNotFoundError(f"{place}: {kind}")
    wanted = None if ids is None else [*ids]
    parts, said = [], []
    for file in files:
        schema = pq.read_schema(file)
        said.append(read_about(schema, str(file)))
        if "tokens" not in schema.names:
            raise ValueError(
                f'{file} has no tokens: it was written with write="embedding"; encode again with '
                'write="both"'
            )
        table = pq.read_table(file)
        if wanted is not None:
            table = _of_ids(table, wanted)
        if table.num_rows:
            parts.append(_without_types(table))
    if len({one["sha256"] for one in said}) > 1:
        raise ValueError(
            f"the files were made by {', '.join(sorted({one['model'] for one in said}))}: read "
            "those of one model"
        )
    if wanted is not None:
        there = {str(name) for part in parts for name in part.column("object_id").to_pylist()}
        missing = [str(name) for name in wanted if str(name) not in there]
        if missing:
            raise KeyError(f"{place} has no object_id {', '.join(missing[:10])}")
    if not parts:
        raise ValueError(f"{place} has no spectrum")
    return _as_tokens(pa.concat_tables(parts, promote_options="default"), said[0], place)


def _without_types(table: pa.Table) -> pa.Table:
    """Kept columns of which nothing is known in a file take the type of the other files."""
    for number, name in enumerate(table.column_names):
        if name not in OWN and table.column(name).null_count == len(table):
            table = table.set_column(number, name, pa.nulls(len(table)))
    return table


def _of_ids(table: pa.Table, wanted: list[Any]) -> pa.Table:
    if "object_id" not in table.column_names:
        raise ValueError("no object_id was kept, so spectra cannot be asked for by it")
    names = pc.cast(table.column("object_id"), pa.string())
    return table.filter(pc.is_in(names, value_set=pa.array([str(name) for name in wanted])))


def _as_tokens(table: pa.Table, about: dict[str, Any], place: Path) -> QTable:
    status = table.column("status").to_pylist()
    # What could not be used has no unit, and goes with any.
    used = np.array([not text.startswith("error") for text in status])
    with_units = table.filter(pa.array(used)) if used.any() else table
    units, scale_units = (
        sorted(set(with_units.column(name).to_pylist())) for name in ("flux_unit", "scale_unit")
    )
    if len(units) > 1:
        raise ValueError(
            f"{place} holds fluxes in {', '.join(unit or 'no unit' for unit in units)}, which "
            "do not stand in one column: ask for ids of one unit"
        )
    tokens = table.column("tokens").combine_chunks()
    lists = {name: tokens.field(name) for name in PER_TOKEN}
    n = pc.list_value_length(lists["valid"]).to_numpy()
    columns: dict[str, Any] = {
        name: values.flatten().to_numpy(zero_copy_only=False)
        for name, values in lists.items()
        if name != "token"
    }
    rows = lists["token"].flatten()
    columns["token"] = rows.flatten().to_numpy().reshape(len(rows), -1)
    names = (
        table.column("object_id").to_pylist()
        if "object_id" in table.column_names
        else [str(k) for k in range(len(n))]
    )
    meta = {
        "MODEL": about["model"],
        "SHA256": about["sha256"],
        "PATCH": about["patch_size"],
        "FLUXUNIT": units[0],
        "SPECTOK": about["version"],
    }
    if about["context_size"]:
        meta["CONTEXT"] = about["context_size"]
    if about["options"]["precision"]:
        meta["PRECIS"] = about["options"]["precision"]
    reasons = {
        k: text.removeprefix("error: ")
        for k, text in enumerate(status)
        if text.startswith("error")
    }
    if reasons:
        meta["REFUSED"] = reasons_to_text(reasons)
    out = to_table(
        {
            "spectrum_index": np.repeat(np.arange(len(n)), n),
            "object_id": np.repeat(id_column(names), n),
            "token_index": np.concatenate([np.arange(k) for k in n]),
            "scale": np.repeat(table.column("scale").to_numpy(), n) * u.Unit(scale_units[0]),
            "flags": np.repeat(table.column("flags").to_numpy().astype(np.int32), n),
            **columns,
        },
        meta,
    )
    for name in table.column_names:
        if name not in (*OWN, SPATIAL_INDEX) and name not in out.colnames:
            out[name] = np.repeat(table.column(name).to_numpy(), n)
    return out
