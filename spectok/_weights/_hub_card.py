"""Model cards as the Hugging Face Hub reads them: ``README.md`` with YAML at its head."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from spectok import __version__
from spectok._weights._identity import model_identity
from spectok._weights._store import load_model

__all__ = ["save_hub_card"]

_TEXT = """
# {name}

{kind}, made with spectok {version}; the method is that of
[Shen et al. (2025)](https://arxiv.org/abs/2510.17959).

```python
import spectok

tokens = spectok.encode({what}, model="hf://OWNER/{name}")
```

spectok.load_model checks the weights against their sha256, `{sha256}`, which every table of
tokens names: cite it together with the name and the version.

## What was said of the weights

{said}

## Sizes

{sizes}

## Figures

{figures}
"""


def save_hub_card(
    path: str | PathLike[str], *, license: str, datasets: Sequence[str] = ()
) -> Path:
    """Write the card of a saved model as the Hugging Face Hub shows it.

    Afterwards the folder can be uploaded as it is, and others load it with
    ``spectok.load_model("hf://owner/name")``. Everything on the card is taken from the model's
    own ``config.json``.

    Parameters
    ----------
    path : str or path
        A folder that `save_model` wrote.
    license : str
        Under which the weights are given away, as the Hub names it, such as ``"bsd-3-clause"``.
    datasets : sequence of str
        Names of data sets of the Hub that the weights were trained on.

    Returns
    -------
    file : `pathlib.Path`
        ``README.md`` in the folder.

    Raises
    ------
    ImportError
        Without huggingface_hub (the extra ``hub``).
    FileExistsError
        Where the folder has a ``README.md`` already: it may be somebody's own work.
    FileNotFoundError
        Where the folder lacks one of the model's two files.

    See Also
    --------
    save_model : Write the folder.

    Examples
    --------
    >>> import spectok, tempfile
    >>> model = spectok.SpectralTokenizer(spectok.ModelConfig.of_size("tiny"))
    >>> card = {"trained_on": "nothing", "scores": {"class": {"value": 0.5, "n": 10}}}
    >>> folder = spectok.save_model(model, tempfile.mkdtemp() + "/mine-v1", card=card)
    >>> file = spectok.save_hub_card(folder, license="bsd-3-clause")  # doctest: +SKIP
    """
    try:
        from huggingface_hub import ModelCard, ModelCardData
    except ImportError as error:
        raise ImportError(
            'cards of the Hub need huggingface_hub: pip install ".[hub]" in a checkout'
        ) from error
    folder = Path(path)
    file = folder / "README.md"
    if file.exists():
        raise FileExistsError(f"{file} is there already; move it away to have a new one written")
    model = load_model(folder)  # which checks both files
    config, said = model.config, dict(model.card)
    figures = list(_figures(said))
    name, sha256 = model_identity(model)
    of_spectra = not config.of_times
    data = ModelCardData(
        license=license,
        library_name="spectok",
        pipeline_tag="feature-extraction",
        tags=["astronomy", "spectroscopy" if of_spectra else "light-curves", "tokenizer"],
        datasets=list(datasets) or None,
        model_name=name,
        eval_results=_results(figures) or None,
    )
    text = _TEXT.format(
        name=name,
        kind="A tokenizer of spectra" if of_spectra else "A tokenizer of light curves",
        what="spectra" if of_spectra else "curves",
        version=__version__,
        sha256=sha256,
        said=_listed({k: v for k, v in said.items() if not isinstance(v, dict)}),
        sizes=_listed(dataclasses.asdict(config)),
        figures=_table(figures),
    )
    ModelCard(f"---\n{data.to_yaml()}\n---\n{text}").save(file)
    return file


def _figures(card: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every figure of a card with its name: its value, its interval and its n, where given."""
    for key, one in card.items():
        if not isinstance(one, dict):
            continue
        where = (*above, str(key))
        if "value" in one:
            yield " | ".join(where), one
        for what, numbers in one.items():
            # As benchmarks/reconstruction.py writes them: a figure and its interval.
            if isinstance(numbers, (list, tuple)) and len(numbers) == 3:
                value, low, high = numbers
                yield (
                    " | ".join((*where, str(what))),
                    {"value": value, "low": low, "high": high, "n": one.get("objects")},
                )
        yield from _figures(one, where)


def _results(figures: list[tuple[str, dict[str, Any]]]) -> list[Any]:
    from huggingface_hub import EvalResult

    return [
        EvalResult(
            task_type="feature-extraction",
            dataset_type="custom",
            dataset_name=name,
            metric_type="custom",
            metric_name=name,
            metric_value=one["value"],
        )
        for name, one in figures
    ]


def _listed(values: dict[str, Any]) -> str:
    rows = (f"- {key.replace('_', ' ')}: {value}" for key, value in values.items())
    return "\n".join(rows) or "Nothing."


def _table(figures: list[tuple[str, dict[str, Any]]]) -> str:
    if not figures:
        return "None."
    rows = ["| what | value | interval | n |", "| --- | --- | --- | --- |"]
    for name, one in figures:
        low, high, number = one.get("low"), one.get("high"), one.get("n")
        interval = "" if low is None or high is None else f"{low} to {high}"
        cells = (name.replace("|", "/"), one["value"], interval, "" if number is None else number)
        rows.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(rows)
