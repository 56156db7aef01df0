"""Weights on the disk: embedded ones, downloads, folders of one's own."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from importlib import resources
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors

from spectok._weights._copies import working_copy
from spectok._weights._downloads import CONFIG, DOWNLOADS, WEIGHTS, find_file
from spectok._weights._hub import HUB, find_hub_files
from spectok._weights._identity import Identity, is_changed, serialise, state_of
from spectok.model import ModelConfig, SpectralTokenizer

__all__ = [
    "DEFAULT",
    "describe",
    "list_models",
    "load_model",
    "resolve",
    "save_model",
]

DEFAULT = "small-v1.2"


def list_models(coordinate_unit: str | None = None) -> list[str]:
    """Names of the pretrained tokenizers that `load_model` knows.

    Parameters
    ----------
    coordinate_unit : str, optional
        Only those of this coordinate: ``"Angstrom"`` for spectra, ``"d"`` for light curves.

    Returns
    -------
    names : list of str
        Those that come with the package, the default first and those of light curves last; then
        those that `load_model` downloads when they are first asked for (of spectra). A name never
        changes its weights.

    Examples
    --------
    >>> import spectok
    >>> spectok.list_models()
    ['small-v1.2', 'small-v1', 'small-v1.1', 'lightcurve-v1']
    >>> spectok.list_models("d")
    ['lightcurve-v1']
    """
    names = [*_embedded_names(), *sorted(DOWNLOADS)]
    if coordinate_unit is None:
        return names
    return [name for name in names if _unit_of(name) == coordinate_unit]


def load_model(name_or_path: str | PathLike[str] | None = None) -> SpectralTokenizer:
    """Load a pretrained tokenizer.

    Parameters
    ----------
    name_or_path : str or path, optional
        A name of `list_models`, a folder written by `save_model`, or ``hf://owner/name`` (with
        ``@revision`` for a branch, a tag or a commit) for a repository of the Hugging Face Hub
        that holds the same two files; by default the tokenizer that comes with the package.
        Names that do not come with it are downloaded once, checked, and kept in astropy's cache
        for spectok; or they are found, each in a folder of its name, in the folder that the
        configuration item ``spectok.conf.weights``, else the environment variable
        ``SPECTOK_WEIGHTS``, names.

    Returns
    -------
    model : `~spectok.SpectralTokenizer`
        In evaluation mode, float32, on the CPU. Its ``config`` has its sizes.

    Raises
    ------
    ValueError
        For an unknown name, and for weights that are damaged or do not fit their
        configuration.
    FileNotFoundError
        Where a folder lacks one of its two files.
    OSError
        Where a download fails, or a file is not the registered one.
    ImportError
        For a model of the Hub where huggingface_hub is not installed.

    See Also
    --------
    list_models : Names of the pretrained ones.
    save_model : Write one's own.

    Examples
    --------
    >>> import spectok
    >>> model = spectok.load_model("small-v1.2")
    >>> model.config.token_size, model.config.embedding_size
    (16, 128)
    """
    return _read(*_locate(name_or_path, CONFIG, WEIGHTS))


def describe(name_or_path: str | PathLike[str] | None = None) -> dict[str, Any]:
    """Sizes of a model, and what its maker says of it: the card."""
    _, file = _locate(name_or_path, CONFIG)
    described = json.loads(file.read_text(encoding="utf-8"))
    return {**described["config"], **described.get("card", {})}


def save_model(
    model: SpectralTokenizer,
    path: str | PathLike[str],
    *,
    half: bool = False,
    card: dict[str, Any] | None = None,
) -> Path:
    """Write a tokenizer to a folder: ``model.safetensors`` and ``config.json``.

    Parameters
    ----------
    model : `~spectok.SpectralTokenizer`
        Of any size, on any device.
    path : str or path
        A folder, made where it is not there; its last part becomes the model's name.
    half : bool
        Store float16: half the size, and, rounded, other weights with another checksum.
    card : dict, optional
        What to say of the weights beside their sizes (data, time, scores); goes into
        ``config.json``. By default what was said of them when they were loaded, unless they
        have changed since.

    Returns
    -------
    folder : `pathlib.Path`
        Where they lie: what `load_model` takes.

    Raises
    ------
    FileExistsError
        Where the folder holds a model already: names do not change their weights.

    See Also
    --------
    load_model : Read it again.

    Examples
    --------
    >>> import spectok, tempfile
    >>> model = spectok.SpectralTokenizer(spectok.ModelConfig.of_size("tiny"))
    >>> folder = spectok.save_model(model, tempfile.mkdtemp() + "/mine-v1")
    >>> spectok.load_model(folder).config == model.config
    True
    """
    folder = Path(path)
    if (folder / WEIGHTS).exists() or (folder / CONFIG).exists():
        raise FileExistsError(f"{folder} holds a model already; save under a new name")
    folder.mkdir(parents=True, exist_ok=True)
    content = serialise(model, torch.float16 if half else torch.float32)
    if card is None and not is_changed(model):
        card = model.card
    config = {
        "config": dataclasses.asdict(model.config),
        "sha256": hashlib.sha256(content).hexdigest(),
        **({"card": card} if card else {}),
    }
    (folder / WEIGHTS).write_bytes(content)
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    return folder


_loaded: dict[tuple[str, str], SpectralTokenizer] = {}


def resolve(
    model: SpectralTokenizer | str | PathLike[str] | None,
    device: str | torch.device | None = None,
) -> SpectralTokenizer:
    """The model that a function was asked to use; named ones are loaded once and kept."""
    if isinstance(model, torch.nn.Module):
        if not isinstance(model, SpectralTokenizer):
            raise TypeError(f"model must be a SpectralTokenizer, not {type(model).__name__}")
        return working_copy(model, device)
    name = DEFAULT if model is None else fspath(model)
    device = "cpu" if device is None else device
    if name not in list_models() and not name.startswith(HUB):
        return working_copy(load_model(name), device)  # a folder may change
    key = (name, str(device))
    if key not in _loaded:
        _loaded[key] = working_copy(load_model(name), device)
    return _loaded[key]


def _locate(name_or_path: str | PathLike[str] | None, *files: str) -> tuple[Any, ...]:
    """The name of a model, and where those of its files are; downloads are fetched."""
    name = DEFAULT if name_or_path is None else fspath(name_or_path)
    if name in _embedded_names():
        folder: Any = _embedded() / name
    elif name in DOWNLOADS:
        return name, *(find_file(name, file) for file in files)
    elif name.startswith(HUB):
        return name, *find_hub_files(name, *files)
    elif Path(name).is_dir():
        folder, name = Path(name), Path(name).resolve().name
    else:
        known = ", ".join(list_models())
        raise ValueError(f"no model {name!r}: neither a folder, nor one of {known}")
    for file in files:
        if not (folder / file).is_file():
            raise FileNotFoundError(
                f"{folder} has no {file}: a model is a folder with {CONFIG} and {WEIGHTS}, "
                "as spectok.save_model writes it"
            )
    return name, *(folder / file for file in files)


def _embedded() -> Any:
    return resources.files("spectok") / "weights"


def _embedded_names() -> list[str]:
    names = (entry.name for entry in _embedded().iterdir() if (entry / CONFIG).is_file())
    return sorted(names, key=lambda name: (name != DEFAULT, _unit_of(name) != _SPECTRA, name))


_SPECTRA = "Angstrom"


def _unit_of(name: str) -> str:
    """The unit of an embedded model's coordinate; what is downloaded is of spectra."""
    file = _embedded() / name / CONFIG
    if not file.is_file():
        return _SPECTRA
    described = json.loads(file.read_text(encoding="utf-8"))
    return described["config"].get("coordinate_unit", _SPECTRA)


def _read(name: str, config_file: Any, weights_file: Any) -> SpectralTokenizer:
    try:
        described = json.loads(config_file.read_text(encoding="utf-8"))
        config = ModelConfig.from_stored(described["config"])
        expected = described["sha256"]
    except KeyError as error:
        raise ValueError(
            f"{config_file} is not a model's configuration: it lacks {error}"
        ) from error
    except (ValueError, TypeError) as error:  # also undecodable bytes and impossible sizes
        raise ValueError(f"{config_file} is not a model's configuration: {error}") from error
    content = weights_file.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    if sha256 != expected:
        raise ValueError(
            f"{weights_file} has the sha256 {sha256}, but {CONFIG} says {expected}: the "
            f"file ({len(content)} bytes) is truncated or was changed; get it again"
        )
    # Whatever the session says (its default dtype, an inference mode around the call): what is
    # stored is computed with in float32, and can be trained on.
    with torch.inference_mode(False):
        model = SpectralTokenizer(config).float()
        try:
            tensors = load_tensors(content)
            model.load_state_dict(
                {k: v.float() if v.is_floating_point() else v for k, v in tensors.items()}
            )
            stored = next(v.dtype for v in tensors.values() if v.is_floating_point())
        except (RuntimeError, SafetensorError) as error:
            raise ValueError(
                f"the weights in {weights_file} do not fit their configuration: {error}"
            ) from error
    model.eval().requires_grad_(False)
    model.origin = Identity(name, sha256, stored, state_of(model))
    model.card = described.get("card", {})
    return model
