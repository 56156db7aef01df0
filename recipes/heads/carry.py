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


def same_tokenizer(one, other):
    """Whether two models make and decode the same tokens: all is alike but the reader."""
    configs, weights = [], []
    for model in (one, other):
        config = dataclasses.asdict(model.config)
        configs.append({k: v for k, v in config.items() if not k.startswith(("embed", "reader"))})
        state = model.state_dict()
        weights.append({k: v for k, v in state.items() if not k.startswith("reader.")})
    return (
        configs[0] == configs[1]
        and weights[0].keys() == weights[1].keys()
        and all(torch.equal(value, weights[1][key]) for key, value in weights[0].items())
    )


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
    if not same_tokenizer(old, new):
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
