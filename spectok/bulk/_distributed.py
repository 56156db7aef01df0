"""Catalogues of LSDB and collections of Dask: the same work, on whatever workers there are."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from spectok._progress import progress_bar
from spectok.bulk._columns import SPATIAL_INDEX, about
from spectok.bulk._computed import OutputError, compute
from spectok.bulk._folder import begin, is_whole, make_file, note_failure
from spectok.bulk._hats import finish_catalogue
from spectok.bulk._options import Options
from spectok.bulk._partition import encode_chunks, frame_to_table, partition
from spectok.bulk._report import BulkReport, report_of
from spectok.bulk._worker import network_of

__all__ = ["encode_collection", "is_collection", "open_url"]


def is_collection(source: Any) -> bool:
    """Whether this is a catalogue of LSDB, or a dataframe or bag of Dask."""
    return all(hasattr(source, name) for name in ("map_partitions", "to_delayed", "npartitions"))


def open_url(url: str) -> Any:
    """A HATS catalogue from an address, through LSDB.

    Raises
    ------
    ImportError
        Without `lsdb`.
    """
    try:
        import lsdb
    except ImportError as error:
        raise ImportError(
            f'{url}: to read a catalogue from an address needs lsdb: pip install ".[bulk]" in a '
            "checkout"
        ) from error
    return lsdb.open_catalog(url)


def encode_collection(
    source: Any,
    output: str | os.PathLike | None,
    options: Options,
    *,
    shard: tuple[int, int] = (1, 1),
    resume: bool = True,
    progress: bool | None = None,
) -> BulkReport | Any:
    """Encode partition by partition; without an output, lazily."""
    if output is None:
        return _lazy(source, options)
    import dask

    folder = Path(output)
    network = network_of(options)
    _check(source, options)
    parts = source.to_delayed()
    targets = _targets(source, len(parts))
    begin(
        folder,
        {
            **about(network, options),
            "source": {"kind": _kind_of(source), "name": _name_of(source)},
            "n_pieces": len(parts),
        },
        resume=resume,
    )
    number, count = shard
    own = list(zip(parts, targets, strict=True))[number - 1 :: count]
    todo = [(part, folder / target) for part, target in own if not is_whole(folder / target)]
    # Workers write into the folder themselves, which all of them see.
    write = dask.delayed(_write_partition, pure=False)
    shared = dask.delayed(options, traverse=False)
    tasks = {target: write(part, str(target), shared) for part, target in todo}
    bar = progress_bar(
        "bulk encoding", total=len(own), initial=len(own) - len(todo), unit="partition",
        progress=progress,
    )  # fmt: skip

    def done(target: Path, error: Exception | None) -> None:
        bar.update()
        if error is None:
            return
        if options.errors == "raise" or isinstance(error, OutputError):
            raise error
        note_failure(target, error)

    with bar:
        compute(tasks, done)
    report = report_of(folder, len(parts))
    catalogue = getattr(source, "hc_structure", None)
    if catalogue is not None and report.finished:
        finish_catalogue(catalogue.catalog_info, folder, report.rows, report.flux_units)
    return report


def _check(source: Any, options: Options) -> None:
    """Refuse options that do not fit the columns, where these are known before."""
    kind = _kind_of(source)
    if kind != "bag":
        partition(source.meta if kind == "catalogue" else source._meta, options)


def _lazy(source: Any, options: Options) -> Any:
    kind = _kind_of(source)
    if kind == "bag":
        return source.map_partitions(_encode_records, options)
    if kind == "catalogue":
        missing = {
            getattr(source.hc_structure.catalog_info, name) for name in ("ra_column", "dec_column")
        } - set(partition(source.meta, options).columns)
        if missing:
            raise ValueError(
                f"keep must have {' and '.join(sorted(missing))}: a catalogue without positions "
                "cannot be searched"
            )
        return source.map_partitions(partition, options)
    return source.map_partitions(partition, options, meta=partition(source._meta, options))


def _kind_of(source: Any) -> str:
    if hasattr(source, "hc_structure"):
        return "catalogue"
    return "dataframe" if hasattr(source, "_meta") else "bag"


def _name_of(source: Any) -> str:
    """What is known of a collection before anything of it is computed."""
    if hasattr(source, "hc_structure"):
        return str(source.hc_structure.catalog_info.catalog_name)
    return ", ".join(map(str, source.columns)) if hasattr(source, "columns") else "bag"


def _targets(source: Any, number: int) -> Sequence[str]:
    if not hasattr(source, "hc_structure"):
        return [f"part-{k:06d}.parquet" for k in range(number)]
    return [
        f"dataset/Norder={pixel.order}/Dir={pixel.dir}/Npix={pixel.pixel}.parquet"
        for pixel in source.get_healpix_pixels()
    ]


def _write_partition(part: Any, path: str, options: Options) -> None:
    """Encode one partition into its file, on a worker."""
    target = Path(path)
    try:
        make_file(target, _tables(part, target.name, options), errors=options.errors)
    except OSError as error:
        raise OutputError(str(error)) from error


def _tables(part: Any, where: str, options: Options) -> Iterator[pa.Table]:
    frame = _as_frame(part)
    table = frame_to_table(frame, options)
    if frame.index.name == SPATIAL_INDEX and SPATIAL_INDEX not in table.column_names:
        table = table.add_column(0, SPATIAL_INDEX, pa.array(frame.index.to_numpy()))
    yield from encode_chunks(table, options, where=where)


def _as_frame(part: Any) -> Any:
    """A partition of a bag is a list of dicts, or of frames."""
    import pandas as pd

    if isinstance(part, pd.DataFrame):
        return part
    rows = list(part)
    if rows and all(isinstance(row, pd.DataFrame) for row in rows):
        return pd.concat(rows, ignore_index=True)
    return pd.DataFrame(rows)


def _encode_records(part: Any, options: Options) -> list[dict[str, Any]]:
    """Records of a bag to records with what was encoded."""
    return partition(_as_frame(part), options).to_dict("records")
