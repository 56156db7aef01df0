"""Give trained weights numbers of context: the start of small-v2.

    python recipes/small_v2/widen.py start

The tokenizer of small-v1, whose tokens are 15 cosines and the noise, with 8 numbers more that
nothing reads yet: until it is trained, it reconstructs what small-v1 does.
"""

from __future__ import annotations

import argparse
import dataclasses

import torch

import spectok

CONTEXT = 8


def widened(model, context=CONTEXT):
    """The same tokenizer with a context that its decoder does not read yet."""
    torch.manual_seed(1)
    old = model.config
    if old.context_size:
        raise ValueError("the model has a context already")
    config = dataclasses.replace(
        old, token_size=old.token_size + context, context_size=context, embedding_size=0
    )
    new = spectok.SpectralTokenizer(config)
    state = {k: v for k, v in model.state_dict().items() if not k.startswith("reader.")}
    begin, end = old.n_cosines, old.n_cosines + context
    for part in ("weight", "bias"):
        own, before = new.to_token.state_dict()[part].clone(), state[f"to_token.{part}"]
        own[:begin], own[end:] = before[:begin], before[begin:]
        state[f"to_token.{part}"] = own
    before = state["from_token.weight"]
    none = before.new_zeros(len(before), context)
    state["from_token.weight"] = torch.cat([before[:, :begin], none, before[:, begin:]], dim=1)
    new.load_state_dict(state)
    return new


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder")
    parser.add_argument("--model", default="small-v1")
    options = parser.parse_args()
    print(spectok.save_model(widened(spectok.load_model(options.model)), options.folder))


if __name__ == "__main__":
    main()
