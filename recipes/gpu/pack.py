"""Put what a run on a bare GPU machine needs into one small folder.

    python recipes/gpu/pack.py --templates templates.safetensors --train train.safetensors \
        --start MODEL --out DIR

``templates.safetensors`` is from ``recipes/small_v1/pack.py``, ``train.safetensors`` from
``recipes/small_v2/spectra.py``, MODEL a folder that holds weights: those of the newest state, or
what ``recipes/small_v2/widen.py`` made. The folder has all three, compressed (about 40 MB): the
training spectra alone, without those of validation, and the weights in half precision.
"""

from __future__ import annotations

import argparse
import gzip
import shutil
from pathlib import Path

from safetensors.numpy import load_file, save

import spectok


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("templates", "train", "start", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    spectra = {k: a for k, a in load_file(options.train).items() if k.startswith("spectra.")}
    with gzip.open(options.out / "train.safetensors.gz", "wb") as file:
        file.write(save(spectra))
    with (
        open(options.templates, "rb") as given,
        gzip.open(options.out / "templates.safetensors.gz", "wb") as file,
    ):
        shutil.copyfileobj(given, file)
    start = options.out / "start"
    shutil.rmtree(start, ignore_errors=True)
    spectok.save_model(spectok.load_model(options.start), start, half=True)
    for path in sorted(options.out.rglob("*")):
        if path.is_file():
            print(f"{path.relative_to(options.out)}: {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
