"""A head for redshifts for weights whose tokens are those of others: the same head.

    python recipes/heads/carry.py --head OLD/redshift.safetensors --of small-v1.1 \
        --model small-v1.2 --out DIR

A `spectok.probes.RedshiftProbe` reads tokens alone, so weights that differ in the reader only
need no new one: the file is written again under the name of the other weights. Their tokenizers
are compared first.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import torch

import spectok
from spectok import probes
from spectok._weights import model_identity


def tokenizer_of(model):
    """What makes and decodes tokens: settings and weights that are not the reader's."""
    config = dataclasses.asdict(model.config)
    config = {k: v for k, v in config.items() if k != "embedding_size" and "reader" not in k}
    weights = {k: v for k, v in model.state_dict().items() if not k.startswith("reader.")}
    return config, weights


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--head", type=Path, required=True)
    parser.add_argument("--of", required=True, help="the weights that it was trained for")
    parser.add_argument("--model", required=True, help="the weights that it shall serve, too")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    old, new = spectok.load_model(options.of), spectok.load_model(options.model)
    (config, weights), (other_config, other) = tokenizer_of(old), tokenizer_of(new)
    if (
        config != other_config
        or weights.keys() != other.keys()
        or not all(torch.equal(weights[key], other[key]) for key in weights)
    ):
        parser.error(f"tokens of {options.of} and {options.model} differ: train a head")
    head = probes.load_probe(options.head)
    if not isinstance(head, probes.RedshiftProbe):
        parser.error(f"{options.head} is no RedshiftProbe: it may read embeddings, which differ")
    identity = dict(zip(("MODEL", "SHA256"), model_identity(old), strict=True))
    if head.tokenizer_["SHA256"] != identity["SHA256"]:
        parser.error(
            f"{options.head} was trained for {head.tokenizer_['MODEL']}, of other weights"
        )
    identity = dict(zip(("MODEL", "SHA256"), model_identity(new), strict=True))
    head.tokenizer_ = {**head.tokenizer_, **identity}
    options.out.mkdir(parents=True, exist_ok=True)
    print(probes.save_probe(head, options.out / options.head.name))


if __name__ == "__main__":
    main()
