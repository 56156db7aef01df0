"""Encode everything that a source holds, file by file, so that nothing is done twice."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from spectok._progress import progress_bar
from spectok.bulk._cells import check_columns
from spectok.bulk._columns import about, kept_columns
from spectok.bulk._distributed import encode_collection, is_collection, open_url
from spectok.bulk._files import encode_files_in_chunks
from spectok.bulk._folder import begin, is_whole, make_file
from spectok.bulk._hats import check_hats, finish_catalogue
from spectok.bulk._options import FIELDS, Options
from spectok.bulk._partition import encode_chunks
from spectok.bulk._report import BulkReport, report_of
from spectok.bulk._source import Piece, Source, open_source, shard_of, tables_of
from spectok.bulk._worker import network_of

__all__ = ["encode"]

# Wavelengths of GALAH in the Multimodal Universe's HDF5 files are so many pixels too long.
_GALAH_OFFSET = {"hdf5": 2, "parquet": 0}


def encode(
    source: Any,
    output: str | os.PathLike | None = None,
    *,
    write: str = "embedding",
    spectrum: str | Sequence[str] | None = "spectrum",
    fields: Mapping[str, str] | None = None,
    keep: Sequence[str] | None = None,
    model: Any = None,
    medium: str | None = None,
    device: Any = None,
    precision: str | None = None,
    batch_size: int | None = None,
    units: Mapping[str, str] | None = None,
    survey: str | None = "auto",
    rows_per_file: int = 4096,
    shard: str | tuple[int, int] | None = None,
    errors: str = "row",
    resume: bool = True,
    progress: bool | None = None,
) -> BulkReport | Any:
    """Encode millions of spectra into a folder of Parquet files, or a HATS catalogue.

    The work is cut into files. Each is written under another name and then renamed, so that a run
    which was killed, at any point, goes on where it was when it is called again, and the result is
    that of a run which was not. Whatever is wrong with a spectrum costs that spectrum alone.

    Parameters
    ----------
    source : path, pattern, URL, sequence of them, `lsdb.Catalog`, dask dataframe or bag
        Folders or files: spectra in any file that `spectok.surveys.read` takes; Parquet; HATS
        catalogues; HDF5 files of the Multimodal Universe. Bags hold dicts, or frames.
    output : path, optional
        A new folder, or that of the same run before. Without one, for catalogues and collections
        of Dask, nothing is computed: a lazy one of the same kind is returned.
    write : {"embedding", "tokens", "both"}
        What to write of every spectrum.
    spectrum : str or sequence of str, optional
        Column that holds the spectra, as a nested column, a struct of lists or a list of structs;
        several are arms of the same objects; None: the fields are columns of lists themselves.
        Not used for spectrum files.
    fields : mapping, optional
        How wavelength, flux, ivar and mask (True is bad) are called in it; by default
        ``{"wavelength": "lambda", "flux": "flux", "ivar": "ivar", "mask": "mask"}``.
    keep : sequence of str, optional
        Columns to copy, or of spectrum files the entries of ``meta`` or its labels; by default
        ``object_id``, ``ra`` and ``dec``, as far as they are there.
    model, medium, device, precision, batch_size : as for `spectok.encode`
        What they are there.
    units : mapping, optional
        Units of wavelength, flux and ivar, such as ``{"wavelength": "nm"}``; by default
        wavelengths are in Angstrom and fluxes relative. Spectrum files say their own.
    survey : str, optional
        "SDSS", "DESI", "GALAH" or "APOGEE": rows are those of the Multimodal Universe, and what is
        known to be wrong in them is mended as `spectok.surveys.MultimodalUniverse` does.
        "auto" (default) tells from the columns; None leaves all rows as they are.
    rows_per_file : int
        Spectra (or spectrum files) of one file of the output, at the most; partitions of HATS stay
        as they are.
    shard : str, optional
        ``"3/64"``: only the third of 64 equal shares of the files, for array jobs. All write into
        one folder.
    errors : {"row", "raise"}
        What becomes of a spectrum that cannot be used: a row with its reason, or an error.
    resume : bool
        Go on with what is in the folder.
    progress : bool, optional
        Show a bar; by default where it takes more than two seconds.

    Returns
    -------
    report : `BulkReport`
        How many spectra have tokens, what failed and why; or the lazy collection.

    Raises
    ------
    FileNotFoundError
        Where there is no such source.
    FileExistsError
        Where the folder holds something else, or with ``resume=False`` a run.
    ValueError
        For options that mean nothing, and for a folder that was begun with another model, version,
        source or other options; the message says which.

    Notes
    -----
    Columns: the kept ones; ``embedding`` (a list of fixed size); ``n_tokens`` valid tokens and the
    ``n_valid`` good pixels in them; ``flags`` (`spectok.TokenFlag`); ``status``, which is "ok",
    "no valid token" or "error: " with the reason. With tokens also ``scale``, ``flux_unit`` and
    ``tokens``, a struct of lists with all that `read_tokens` needs. The model, its sha256, the
    version and the options stand in each file's metadata.

    Examples
    --------
    >>> import spectok.bulk
    >>> report = spectok.bulk.encode("sdss/*.fits", "sdss-embeddings")  # doctest: +SKIP
    >>> print(report)  # doctest: +SKIP
    """
    options = Options(
        write=write, spectrum=spectrum, fields=FIELDS if fields is None else fields, keep=keep,
        model=model, medium=medium, device=device, precision=precision, batch_size=batch_size,
        units=units or {}, survey=survey, errors=errors,
    )  # fmt: skip
    if rows_per_file < 1:
        raise ValueError(f"rows_per_file must be at least 1, not {rows_per_file}")
    number, count = shard_of(shard)
    if isinstance(source, str) and "://" in source:
        source = open_url(source)
    if is_collection(source):
        return encode_collection(
            source, output, options, shard=(number, count), resume=resume, progress=progress
        )
    if output is None:
        raise ValueError("output is missing: say in which folder the result is to be written")
    folder = Path(output)
    network = network_of(options)
    found = open_source(source, rows_per_file)
    if found.root is not None:
        check_hats(folder)
    _check_columns(found, options)
    begin(folder, _made_with(found, network, options, rows_per_file), resume=resume)
    own = found.pieces[number - 1 :: count]
    todo = [piece for piece in own if not is_whole(folder / piece.target)]
    bar = progress_bar(
        "bulk encoding", total=len(own), initial=len(own) - len(todo), unit="file",
        progress=progress,
    )  # fmt: skip
    with bar:
        for piece in todo:
            if not is_whole(folder / piece.target):  # another task may have made it meanwhile
                _encode_piece(piece, found, folder, options)
            bar.update()
    report = report_of(folder, len(found.pieces))
    if found.root is not None and report.finished:
        finish_catalogue(found.root, folder, report.rows, report.flux_units)
    return report


def _check_columns(source: Source, options: Options) -> None:
    """Refuse options that do not fit the first file that can be read, before anything is done."""
    if source.kind == "spectra":
        return
    for piece in source.pieces:
        try:
            schema = next(tables_of(piece, source.kind)).schema
        except OSError:
            continue
        check_columns(schema, options, str(piece.files[0]))
        kept_columns(schema.names, options, str(piece.files[0]))
        return


def _made_with(
    source: Source, network: Any, options: Options, rows_per_file: int
) -> dict[str, Any]:
    return {
        **about(network, options),
        "source": {
            "kind": source.kind,
            "files": source.n_files,
            "fingerprint": source.fingerprint,
        },
        "rows_per_file": rows_per_file,
        "n_pieces": len(source.pieces),
    }


def _encode_piece(piece: Piece, source: Source, folder: Path, options: Options) -> None:
    """Write one file of the output; what cannot be read is noted, and tried again next time."""
    make_file(
        folder / piece.target,
        _tables(piece, source, options),
        errors=options.errors,
        sources=piece.files,
    )


def _tables(piece: Piece, source: Source, options: Options) -> Iterator[pa.Table]:
    if source.kind == "spectra":
        yield from encode_files_in_chunks(piece.files, options)
        return
    offset = _GALAH_OFFSET[source.kind]
    for table in tables_of(piece, source.kind):
        yield from encode_chunks(table, options, galah_offset=offset, where=str(piece.files[0]))
