"""What makes a folder of partitions a HATS catalogue: properties, the list of pixels, metadata."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from spectok.bulk._columns import read_about
from spectok.bulk._folder import targets_of

__all__ = ["check_hats", "finish_catalogue"]

# Of the source, and not of what was made of it.
_NOT_INHERITED = (
    "default_columns", "hats_estsize", "hats_max_rows", "hats_max_bytes", "skymap_order",
    "skymap_alt_orders", "moc_sky_fraction",
)  # fmt: skip


def check_hats(folder: Path) -> None:
    """Refuse, before anything is computed, where a catalogue could not be finished.

    Raises
    ------
    ImportError
        Without `hats`.
    """
    if find_spec("hats") is None:
        raise ImportError(
            f'{folder}: to write a HATS catalogue needs hats: pip install ".[bulk]" in a checkout'
        )


def finish_catalogue(source: Any, folder: Path, n_rows: int, flux_units: Sequence[str]) -> None:
    """Write what `lsdb.open_catalog` needs beside the partitions of a finished run.

    Parameters
    ----------
    source : `pathlib.Path` or `hats.catalog.TableProperties`
        The catalogue that the partitions were made of, or its properties.
    folder : `pathlib.Path`
        The output; written again where it was finished before.
    n_rows : int
    flux_units : sequence of str
        Of the fluxes that came in; empty where they were relative.
    """
    import pyarrow.parquet as pq
    from hats.catalog import PartitionInfo, TableProperties
    from hats.io.parquet_metadata import write_parquet_metadata
    from hats.io.paths import get_healpix_from_path

    files = list(targets_of(folder))
    about = read_about(pq.read_schema(files[0]), str(files[0]))
    before = TableProperties.read_from_dir(source) if isinstance(source, Path) else source
    told = before.model_dump(by_alias=False, exclude_none=True)
    for name in _NOT_INHERITED:
        told.pop(name, None)
    told |= {
        "catalog_name": folder.name,
        "total_rows": n_rows,
        "spectok_model": about["model"],
        "spectok_sha256": about["sha256"],
        "spectok_version": about["version"],
        "spectok_flux_unit": ", ".join(flux_units) or "relative",
        "spectok_options": json.dumps(about["options"]),
    }
    pixels = [get_healpix_from_path(str(file)) for file in files]
    write_parquet_metadata(folder, create_metadata=True)
    PartitionInfo.from_healpix(pixels).write_to_file(catalog_path=folder)
    # Last: who finds the properties finds the rest.
    TableProperties(**told).to_properties_file(folder)
