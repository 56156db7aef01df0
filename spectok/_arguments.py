"""The arguments of the ``spectok`` command."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping

__all__ = ["make_parser"]


def make_parser(run: Mapping[str, Callable[[argparse.Namespace], int]]) -> argparse.ArgumentParser:
    """The parser of all commands; ``run`` says what each of them does."""
    parser = argparse.ArgumentParser(
        prog="spectok", description="Turn astronomical spectra into tokens and back."
    )
    parser.add_argument("--version", action="store_true", help="print versions and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    def add(name: str, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(run=run[name])
        return command

    def add_overwrite(command: argparse.ArgumentParser) -> None:
        command.add_argument(
            "--overwrite", action="store_true", help="replace an output that exists"
        )

    def add_model(command: argparse.ArgumentParser) -> None:
        command.add_argument("--model", help="name or folder (default: the embedded one)")
        command.add_argument("--device", help="where to compute, such as cpu or cuda")

    command = add("encode", "encode spectrum files, or light curves, into one token table")
    command.add_argument(
        "files", nargs="+", metavar="FILE",
        help="spectrum files, folders of them, or tables of light curves",
    )  # fmt: skip
    command.add_argument("-o", "--output", required=True, help="tokens.{fits,ecsv,parquet,hdf5}")
    command.add_argument("--medium", choices=("air", "vacuum"), help="of the wavelengths")
    command.add_argument("--format", help="of specutils, for files that are not recognised")
    command.add_argument(
        "--keep", nargs="+", default=(), metavar="KEY",
        help="columns from the files, such as ra dec z",
    )  # fmt: skip
    command.add_argument(
        "--errors", choices=("row", "raise"), default="row",
        help="of spectra that cannot be used: keep a row (default), or fail the file",
    )  # fmt: skip
    command.add_argument(
        "--precision", choices=("bf16",), help="bf16: faster on processors and GPUs that have it"
    )
    add_overwrite(command)
    add_model(command)

    command = add("bulk", "encode millions of spectra into a folder of Parquet, or HATS")
    command.add_argument(
        "source", nargs="*", metavar="SRC",
        help="files, folders, patterns or one HATS catalogue",
    )  # fmt: skip
    command.add_argument("-o", "--output", help="folder: new, or of the same run before")
    command.add_argument(
        "--status", metavar="OUT", help="say how far the run in this folder is, and do nothing"
    )
    command.add_argument(
        "--write", choices=("embedding", "tokens", "both"), default="embedding",
        help="of each spectrum (default: embedding)",
    )  # fmt: skip
    command.add_argument(
        "--spectrum", nargs="+", default=["spectrum"], metavar="COLUMN",
        help="that holds the spectra (several: arms; - : the fields are columns themselves)",
    )  # fmt: skip
    command.add_argument(
        "--field", nargs="+", default=(), metavar="ROLE=NAME",
        help="how wavelength, flux, ivar and mask are called",
    )  # fmt: skip
    command.add_argument(
        "--unit", nargs="+", default=(), metavar="ROLE=UNIT",
        help="of wavelength, flux and ivar, such as wavelength=nm",
    )  # fmt: skip
    command.add_argument(
        "--keep", nargs="+", metavar="COLUMN", help="to copy (default: object_id ra dec)"
    )
    command.add_argument("--medium", choices=("air", "vacuum"), help="of the wavelengths")
    command.add_argument(
        "--rows-per-file", type=int, default=4096, help="of the output (default: 4096)"
    )
    command.add_argument("--shard", metavar="K/N", help="only share K of N, for array jobs")
    command.add_argument(
        "--errors", choices=("row", "raise"), default="row",
        help="of spectra that cannot be used: keep a row (default), or stop",
    )  # fmt: skip
    command.add_argument(
        "--precision", choices=("bf16",), help="bf16: faster on processors and GPUs that have it"
    )
    command.add_argument("--batch-size", type=int, help="spectra computed at once")
    add_model(command)

    command = add("embed", "make one vector per spectrum of a token table")
    command.add_argument("tokens", help="token table")
    command.add_argument("-o", "--output", required=True, help="vectors.{fits,ecsv,parquet,hdf5}")
    add_overwrite(command)
    add_model(command)

    command = add("decode", "decode a token table into spectra")
    command.add_argument("tokens", help="token table")
    command.add_argument("-o", "--output", required=True, help="spectra.{fits,ecsv,parquet,hdf5}")
    grid = command.add_mutually_exclusive_group(required=True)
    grid.add_argument("--like", metavar="FILE", help="take the grid of this spectrum file")
    grid.add_argument(
        "--grid", nargs=3, type=float, metavar=("START", "STOP", "STEP"),
        help="Angstrom; of light curves days, as the table counts them",
    )  # fmt: skip
    command.add_argument("--band", help="of light curves: the filter, such as r or TESS")
    command.add_argument(
        "--medium", choices=("air", "vacuum"), help="of the grid (default: FILE's, else vacuum)"
    )
    command.add_argument("--format", help="of specutils, for FILE")
    add_overwrite(command)
    add_model(command)

    command = add("plot", "plot a spectrum file with its reconstruction, or a token table")
    command.add_argument("file", help="spectrum file or token table")
    command.add_argument("-o", "--output", help="picture (default: FILE's name with .png, here)")
    command.add_argument("--index", type=int, default=0, help="which spectrum (default: 0)")
    command.add_argument("--medium", choices=("air", "vacuum"), help="of the wavelengths")
    command.add_argument("--format", help="of specutils, for FILE")
    add_model(command)

    command = add("info", "say what is known of a model, a token table or a spectrum; versions")
    command.add_argument("name", nargs="?", help="model, folder, token table or spectrum file")
    command.add_argument("--medium", choices=("air", "vacuum"), help="of a spectrum's wavelengths")
    command.add_argument("--format", help="of specutils, for a spectrum file")

    command = add("pretrain", "pretrain a tokenizer, or go on where it was cut")
    command.add_argument("recipe", help="TOML file; see the documentation")
    command.add_argument("--folder", help="of the run (default: what the recipe says)")
    command.add_argument("--steps", type=int, help="instead of the recipe's")
    command.add_argument("--precision", help="such as 32-true, bf16-mixed")
    command.add_argument("--accelerator", help="such as cpu, cuda")
    command.add_argument("--devices", help="number of devices of this machine, or auto")

    command = add("pack", "pack spectra for pretraining into one file of 4 bytes a pixel")
    command.add_argument(
        "survey", help="sdss, desi, galah or apogee", choices=("sdss", "desi", "galah", "apogee")
    )
    command.add_argument("paths", nargs="+", help="spectrum files, folders of them, or shards of "
                         "the Multimodal Universe")  # fmt: skip
    command.add_argument("-o", "--output", required=True, help="pack.safetensors")
    command.add_argument(
        "--split", default="train", choices=("train", "all"),
        help="train (default): objects of spectok's training split only",
    )  # fmt: skip

    add_overwrite(command)

    command = add("demo", "encode and decode real DESI spectra, or a file of your own")
    command.add_argument("file", nargs="?", help="spectrum file")
    command.add_argument("-o", "--output", default=".", help="folder (default: this one)")
    return parser
