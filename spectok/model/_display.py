"""How a network shows itself: a few lines in place of torch's hundred (layer 1: torch only)."""

from __future__ import annotations

import html
from typing import Any, Protocol

__all__ = ["Origin", "as_html", "as_text"]


class Origin(Protocol):
    """What is known of where a model's weights came from.

    Whoever reads weights leaves it at ``model.origin``, so that the network needs to know
    nothing of files and checksums.
    """

    def about(self, model: Any) -> tuple[str, dict[str, str]]:
        """Name of the model's weights as they are now, and what else to say of them."""


def as_text(model: Any) -> str:
    """The few lines that a model prints."""
    title, rows = _about(model)
    width = max(map(len, rows))
    return "\n".join([title, *(f"  {key:{width}}  {value}" for key, value in rows.items())])


def as_html(model: Any) -> str:
    """The same as a table for notebooks."""
    title, rows = _about(model)
    body = "".join(
        f'<tr><th style="text-align: left">{html.escape(key)}</th>'
        f'<td style="text-align: left">{html.escape(value)}</td></tr>'
        for key, value in rows.items()
    )
    return f"<div><i>{html.escape(title)}</i><table>{body}</table></div>"


def _about(model: Any) -> tuple[str, dict[str, str]]:
    config, origin = model.config, model.origin
    first = next(model.parameters())
    number = sum(p.numel() for p in model.parameters())
    blocks = f"{config.encoder_blocks} + {config.decoder_blocks} blocks of width {config.width}"
    if first.is_meta:  # torch's device without numbers
        name, known = "unsaved", {"sha256": "none, it has no numbers yet"}
    elif origin is None:
        name, known = "unsaved", {"sha256": "none, it was neither loaded nor saved yet"}
    else:
        name, known = origin.about(model)
    embedding = {}
    if config.embedding_size:
        embedding["embedding"] = f"{config.embedding_size} numbers for each spectrum"
    dtype = str(first.dtype).removeprefix("torch.")
    mode = "training" if model.training else "evaluation"
    return f"{type(model).__name__} {name}", {
        "size": f"{config.size}: {blocks}" if config.size else blocks,
        "parameters": f"{number:,}",
        "token": f"{config.token_size} numbers for each patch of {config.patch_size} "
        + ("points of a light curve" if config.of_times else "pixels"),
        **embedding,
        **known,
        "computes": f"on {first.device}, {dtype}, {mode} mode",
    }
