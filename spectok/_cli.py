"""The ``spectok`` command: arguments in, calls of the package, messages out."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from spectok._arguments import make_parser
from spectok._table_files import check_output, read_table, table_or_none, write_table

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
    except (OSError, ValueError, TypeError, ImportError) as error:
        # What a user can mend is said in one line; anything else is a bug and keeps its trace.
        print(f"spectok {args.command}: {error}", file=sys.stderr)
        return 1


def _encode(args: argparse.Namespace) -> int:
    from astropy import units as u
    from tqdm.auto import tqdm

    from spectok import concatenate, encode, surveys
    from spectok._convert import are_arms
    from spectok._weights import resolve

    check_output(args.output)
    model = resolve(args.model, args.device)  # once, and before any file is read
    tables, failed = [], []
    bar = tqdm(
        args.files, desc="files", unit="file", disable=None if len(args.files) > 1 else True
    )
    for file in bar:
        try:
            spectra = surveys.read(file)
            table = encode(
                spectra,
                model=model,
                medium=args.medium,
                arms=are_arms(spectra),
                progress=None if len(args.files) == 1 else False,
            )
            if (table["object_id"] == table["spectrum_index"].astype(str)).all():
                # Positions in a file say little in a table of many: its name joins them.
                stem = Path(file).name.split(".")[0]
                single = table["spectrum_index"].max() == 0
                table["object_id"] = [
                    stem if single else f"{stem}:{i}" for i in table["spectrum_index"]
                ]
            unit = u.Quantity(table["scale"]).unit
            if tables and not unit.is_equivalent(u.Quantity(tables[0]["scale"]).unit):
                raise ValueError(
                    f"its flux unit {unit} does not convert to that of the first file, "
                    f"{tables[0]['scale'].unit}; encode it into a table of its own"
                )
            tables.append(table)
        except Exception as error:  # one bad file must not cost the others
            failed.append((file, f"{type(error).__name__}: {error}"))
    if tables:
        joined = concatenate(tables)
        write_table(joined, args.output)
        n_spectra = len(set(joined["spectrum_index"]))
        print(
            f"{args.output}: {int(joined['valid'].sum())} valid tokens of {n_spectra} spectra "
            f"from {len(tables)} of {len(args.files)} files"
        )
    for file, reason in failed:
        print(f"spectok encode: {file}: {reason}", file=sys.stderr)
    if failed:
        print(
            f"spectok encode: {len(failed)} of {len(args.files)} files failed"
            + ("" if tables else "; nothing was written"),
            file=sys.stderr,
        )
    return 1 if failed else 0


def _decode(args: argparse.Namespace) -> int:
    import numpy as np
    from astropy import units as u
    from astropy.table import QTable

    from spectok import decode, surveys
    from spectok._convert import are_arms

    check_output(args.output)
    tokens = read_table(args.tokens)
    if args.grid:
        start, stop, step = args.grid
        if not (step > 0 and stop > start):
            raise ValueError(f"--grid wants START < STOP and STEP > 0, not {start} {stop} {step}")
        axes = [np.arange(start, stop, step) * u.AA]
        medium = args.medium or "vacuum"
    else:
        spectra = surveys.read(args.like)
        if len(spectra) > 1 and not are_arms(spectra):
            raise ValueError(f"{args.like} holds {len(spectra)} spectra; --like wants one grid")
        axes = [one.spectral_axis for one in spectra]
        medium = args.medium or (spectra[0].meta or {}).get("medium", "vacuum")
    parts = []
    for axis in axes:
        spectrum = decode(tokens, axis, model=args.model, medium=medium, device=args.device)
        flux = np.atleast_2d(spectrum.flux)
        names = spectrum.meta["object_id"]
        parts.append(
            {
                "object_id": names if isinstance(names, list) else [names],
                "spectral_axis": np.tile(np.asarray(axis), (len(flux), 1)) * axis.unit,
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
    return 0


def _plot(args: argparse.Namespace) -> int:
    import matplotlib

    matplotlib.use("Agg")
    from spectok import decode, encode, plotting, surveys
    from spectok._convert import are_arms
    from spectok._demo import flatten

    output = args.output or str(Path(args.file).with_suffix(".png"))
    tokens = table_or_none(args.file)
    if tokens is not None:
        axes = plotting.plot_tokens(tokens, args.index)
    else:
        spectra = surveys.read(args.file)
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
        again = []
        for one in spectra:
            medium = args.medium or one.meta.get("medium")
            again.append(decode(tokens, one.spectral_axis, medium=medium, **options))
        title = f"{Path(args.file).name}: {tokens['object_id'][0]}"
        axes = plotting.plot_reconstruction(list(spectra), again, title=title)[0]
    axes.figure.savefig(output, dpi=130)
    print(output)
    return 0


def _info(args: argparse.Namespace) -> int:
    import json

    from spectok import list_models, load_model
    from spectok._tokens import meta_of
    from spectok._weights import describe, model_identity

    _versions()
    tokens = None if args.name is None else table_or_none(args.name)
    if tokens is not None:
        print(f"token table {args.name}: {len(tokens)} tokens")
        for key, value in meta_of(tokens).items():
            print(f"  {key.lower()}: {value}")
        return 0
    if args.name is None:
        print(f"models: {', '.join(list_models())}")
    model = load_model(args.name)
    name, sha256 = model_identity(model)
    print(f"model {name}")
    print(f"  sha256: {sha256}")
    print(f"  parameters: {sum(p.numel() for p in model.parameters()):,}")
    for key, value in describe(args.name).items():
        print(f"  {key}: {value if isinstance(value, str) else json.dumps(value)}")
    return 0


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

    print(pack(args.survey, args.paths, args.output, split=args.split))
    return 0


def _demo(args: argparse.Namespace) -> int:
    from spectok._demo import run

    run(args.file, args.output)
    return 0


def _versions() -> None:
    from importlib.metadata import version

    from spectok import __version__

    print(f"spectok {__version__}")
    for package in ("torch", "astropy", "specutils", "numpy"):
        print(f"  {package} {version(package)}")


_COMMANDS = {
    "encode": _encode,
    "decode": _decode,
    "plot": _plot,
    "info": _info,
    "pretrain": _pretrain,
    "pack": _pack,
    "demo": _demo,
}
