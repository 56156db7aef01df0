"""The ``spectok`` command: arguments in, calls of the package, messages out."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from spectok._arguments import make_parser
from spectok._table_files import (
    check_output,
    check_picture,
    read_table,
    refuse_existing,
    table_or_none,
    write_table,
)

__all__ = ["main"]

# Nothing but the standard library is imported up here: --help answers at once.


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    parser = make_parser(_COMMANDS)
    args = parser.parse_args(arguments)
    if args.version:
        _versions()
        return 0
    if args.command is None:
        parser.print_help()
        return 2
    try:
        return args.run(args)
    except KeyboardInterrupt:
        print(f"spectok {args.command}: interrupted", file=sys.stderr)
        return 130
    except (OSError, ValueError, TypeError, ImportError) as error:
        # What a user can mend is said in one line; anything else is a bug and keeps its trace.
        print(f"spectok {args.command}: {error}", file=sys.stderr)
        return 1


def _encode(args: argparse.Namespace) -> int:
    from spectok._many_files import encode_files, find_files
    from spectok._table_files import is_token_table
    from spectok._weights import resolve

    files = find_files(args.files)
    # The table of an earlier run among the inputs would be left out anyway, and may be replaced.
    named = [file for file in files if file.resolve() != Path(args.output).resolve()]
    same = [file for file in files if file not in named and not is_token_table(file)]
    check_output(args.output, overwrite=args.overwrite, inputs=same)
    model = resolve(args.model, args.device)  # once, and before any file is read
    done = encode_files(
        named,
        model=model,
        medium=args.medium,
        format=args.format,
        keep=args.keep,
        errors=args.errors,
        precision=args.precision,
        curve_model=None if args.model is None else model,
    )
    n_valid = 0
    if done.tables:
        joined = done.joined()
        write_table(joined, args.output)
        n_spectra, n_valid = len(set(joined["spectrum_index"])), int(joined["valid"].sum())
        print(
            f"{args.output}: {n_valid} valid tokens of {n_spectra} spectra from "
            f"{len(done.encoded)} of {len(named)} files"
        )
    for file, reason in done.left_out:
        _say(f"spectok encode: {file}: left out: {reason}")
    for file, reason in done.failed:
        _say(f"spectok encode: {file}: {reason}")
    if done.failed:
        _say(f"spectok encode: {len(done.failed)} of {len(named)} files failed")
    if done.interrupted:
        _say(f"spectok encode: interrupted after {len(done.encoded)} of {len(named)} files")
    if not done.tables:
        _say("spectok encode: no file was encoded; nothing was written")
    elif not n_valid:
        _say("spectok encode: not one spectrum has a valid token")
    if done.interrupted:
        return 130
    return 1 if done.failed or not n_valid else 0


def _bulk(args: argparse.Namespace) -> int:
    from spectok import bulk

    if args.status is not None:
        report = bulk.status(args.status)
        print(report)
        return 1 if report.failed else 0
    if not args.source or args.output is None:
        raise ValueError("give what to encode and -o OUT, or --status OUT")
    source = args.source[0] if len(args.source) == 1 else args.source
    spectrum = args.spectrum[0] if len(args.spectrum) == 1 else args.spectrum
    fields = _pairs(args.field, "--field")
    report = bulk.encode(
        source,
        args.output,
        write=args.write,
        spectrum=None if spectrum == "-" else spectrum,
        fields=fields or None,
        units=_pairs(args.unit, "--unit"),
        keep=args.keep,
        model=args.model,
        medium=args.medium,
        device=args.device,
        precision=args.precision,
        batch_size=args.batch_size,
        rows_per_file=args.rows_per_file,
        shard=args.shard,
        errors=args.errors,
    )
    print(report)
    return 1 if report.failed or not report.rows else 0


def _pairs(given: Sequence[str], what: str) -> dict[str, str]:
    """ROLE=NAME as a dict."""
    wrong = [text for text in given if not all(text.partition("=")[::2])]
    if wrong:
        raise ValueError(f"{what} wants ROLE=NAME, not {wrong[0]}")
    return {key: value for key, _, value in (text.partition("=") for text in given)}


def _embed(args: argparse.Namespace) -> int:
    from spectok import embed

    check_output(args.output, overwrite=args.overwrite, inputs=[args.tokens])
    table = read_table(args.tokens)
    if "token_index" not in table.colnames:
        raise ValueError(
            f"{args.tokens}: this is no token table: spectok encode makes one of spectra"
        )
    vectors = embed(table, model=args.model, device=args.device)
    write_table(vectors, args.output)
    number, size = vectors["embedding"].shape
    print(f"{args.output}: {number} embeddings of {size} numbers")
    empty = int((vectors["n_valid"] == 0).sum())
    if empty:
        _say(f"spectok embed: {empty} of {number} spectra have no valid token; theirs is zero")
    return 1 if empty == number else 0


def _decode(args: argparse.Namespace) -> int:
    import numpy as np
    from astropy import units as u
    from astropy.table import QTable

    from spectok import surveys
    from spectok._codec import decode_arms
    from spectok._convert import are_arms
    from spectok._curve_files import decode_long
    from spectok._tokens import is_of_curves

    inputs = [args.tokens] if args.like is None else [args.tokens, args.like]
    if args.grid:
        start, stop, step = args.grid
        if not (step > 0 and stop > start):
            raise ValueError(f"--grid wants START < STOP and STEP > 0, not {start} {stop} {step}")
    check_output(args.output, overwrite=args.overwrite, inputs=inputs)
    tokens = read_table(args.tokens)
    if is_of_curves(tokens):
        if not args.grid:
            raise ValueError("light curves are decoded at times: --grid START STOP STEP in days")
        days = np.arange(start, stop, step)
        table = decode_long(tokens, days, args.band, args.model, args.device)
        write_table(table, args.output)
        print(f"{args.output}: {len(table)} points of {len(set(table['object_id']))} light curves")
        return 0
    if args.grid:
        axes = [np.arange(start, stop, step) * u.AA]
        medium = args.medium or "vacuum"
    else:
        spectra = surveys.read(args.like, format=args.format, medium=args.medium)
        if len(spectra) > 1 and not are_arms(spectra):
            raise ValueError(f"{args.like} holds {len(spectra)} spectra; --like wants one grid")
        axes = [one.spectral_axis for one in spectra]
        medium = args.medium or (spectra[0].meta or {}).get("medium", "vacuum")
    for key in [key for key in tokens.meta if str(key).upper() == "SHAPE"]:
        del tokens.meta[key]  # a table has one row for each spectrum, those of a cube as well
    decoded = decode_arms(tokens, axes, model=args.model, medium=medium, device=args.device)
    parts = []
    for axis, spectrum in zip(axes, decoded, strict=True):
        flux: u.Quantity = np.atleast_2d(spectrum.flux)
        wavelength = np.asarray(axis), axis.unit
        if axis.unit.is_equivalent(u.km / u.s):  # rest value and convention fit in no column
            wavelength = axis.to_value(u.AA), u.AA
        names = spectrum.meta["object_id"]
        parts.append(
            {
                "object_id": names if isinstance(names, list) else [names],
                "spectral_axis": np.tile(wavelength[0], (len(flux), 1)) * wavelength[1],
                "flux": flux,
                "uncertainty": np.atleast_2d(spectrum.uncertainty.array) * flux.unit,
                "mask": np.atleast_2d(spectrum.mask),
            }
        )
    # Arms stand one after the other in the row of their object.
    table = QTable({"object_id": parts[0]["object_id"]})
    for name in ("spectral_axis", "flux", "uncertainty", "mask"):
        table[name] = np.concatenate([part[name] for part in parts], axis=1)
    table.meta["MEDIUM"] = medium
    write_table(table, args.output)
    print(f"{args.output}: {len(table)} spectra of {table['flux'].shape[1]} pixels")
    empty = int(np.asarray(table["mask"]).all(1).sum())
    if empty:
        _say(f"spectok decode: {empty} of {len(table)} spectra have no token on this grid")
    return 0


def _plot(args: argparse.Namespace) -> int:
    import matplotlib

    matplotlib.use("Agg")
    from spectok import encode, plotting, surveys
    from spectok._codec import decode_arms
    from spectok._convert import are_arms
    from spectok._curve_files import read_curves
    from spectok._demo import flatten

    # Here, and not in the archive's folder.
    output = args.output or Path(args.file).with_suffix(".png").name
    check_picture(output, args.file)
    tokens = table_or_none(args.file)
    if tokens is not None:
        axes = plotting.plot_tokens(tokens, args.index)
    elif args.format is None and (curves := read_curves(Path(args.file))) is not None:
        axes = plotting.plot_light_curve(curves, model=args.model)
    else:
        spectra = surveys.read(args.file, format=args.format, medium=args.medium)
        arms = are_arms(spectra)
        if not arms:
            if not 0 <= args.index < len(spectra):
                raise ValueError(f"{args.file} has {len(spectra)} spectra, no number {args.index}")
            spectra = spectra[args.index : args.index + 1]
        if any(one.flux.ndim > 1 for one in spectra):
            stacks = [flatten(one) for one in spectra]
            if not 0 <= args.index < len(stacks[0].flux):
                n_spectra = len(stacks[0].flux)
                raise ValueError(f"{args.file} has {n_spectra} spectra, no number {args.index}")
            spectra = [one[args.index] for one in stacks]
        options = {"model": args.model, "device": args.device}
        tokens = encode(spectra, arms=arms, medium=args.medium, **options)
        medium = args.medium or (spectra[0].meta or {}).get("medium")
        again = decode_arms(
            tokens, [one.spectral_axis for one in spectra], medium=medium, **options
        )
        title = f"{Path(args.file).name}: {tokens['object_id'][0]}"
        axes = plotting.plot_reconstruction(list(spectra), again, title=title)[0]
    axes.figure.savefig(output, dpi=130)  # type: ignore[union-attr]  # it is no SubFigure
    print(output)
    return 0


def _info(args: argparse.Namespace) -> int:
    from spectok._info import info

    _versions()
    info(args.name, medium=args.medium, format=args.format)
    return 0


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _pretrain(args: argparse.Namespace) -> int:
    from spectok._pretrain import pretrain

    folder = pretrain(
        args.recipe,
        folder=args.folder,
        steps=args.steps,
        precision=args.precision,
        accelerator=args.accelerator,
        devices=args.devices,
    )
    # torchrun and Lightning number the processes: one of them reports.
    if os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0")) == "0":
        print(f"{folder}: model; load it with spectok.load_model({str(folder)!r})")
    return 0


def _pack(args: argparse.Namespace) -> int:
    from spectok._pack import pack

    refuse_existing(args.output, overwrite=args.overwrite, inputs=args.paths)
    print(pack(args.survey, args.paths, args.output, split=args.split))
    return 0


def _demo(args: argparse.Namespace) -> int:
    from spectok._demo import run

    return 0 if run(args.file, args.output) else 1


def _versions() -> None:
    from importlib.metadata import version

    from spectok import __version__

    print(f"spectok {__version__}")
    for package in ("torch", "astropy", "specutils", "numpy"):
        print(f"  {package} {version(package)}")


_COMMANDS = {
    "encode": _encode,
    "bulk": _bulk,
    "embed": _embed,
    "decode": _decode,
    "plot": _plot,
    "info": _info,
    "pretrain": _pretrain,
    "pack": _pack,
    "demo": _demo,
}
