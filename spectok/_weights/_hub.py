"""Weights of other people on the Hugging Face Hub: ``hf://owner/name``."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["HUB", "find_hub_files"]

HUB = "hf://"


def find_hub_files(name: str, *files: str) -> list[Path]:
    """Find the files of a repository of the Hub in its cache, or fetch them, once.

    Parameters
    ----------
    name : str
        ``hf://owner/name``, or ``hf://owner/name@revision`` (a branch, a tag or a commit).
    *files : str
        Their names in the repository.

    Returns
    -------
    paths : list of `pathlib.Path`
        In the cache that the environment variables of `huggingface_hub` name.

    Raises
    ------
    ImportError
        Without `huggingface_hub`.
    ValueError
        For a name that is not of this form.
    OSError
        If there is no such repository, revision or file, or it cannot be reached.
    """
    repository, _, revision = name.removeprefix(HUB).partition("@")
    if len([part for part in repository.split("/") if part]) != 2:
        raise ValueError(
            f"{name!r} is no model of the Hub: write hf://owner/name, or hf://owner/name@revision"
        )
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
    except ImportError as error:
        raise ImportError(f'{name}: needs huggingface_hub: pip install "spectok[hub]"') from error
    found = []
    for file in files:
        try:
            path = hf_hub_download(
                repository,
                file,
                revision=revision or None,
                # Read now: the library reads them when it is imported.
                endpoint=os.environ.get("HF_ENDPOINT"),
                cache_dir=os.environ.get("HF_HUB_CACHE"),
            )
        except LocalEntryNotFoundError as error:
            raise OSError(
                f"{name}: {file} is not in the cache of the Hub, and the Hub cannot be reached: "
                "try again with a network, or download the two files and give their folder"
            ) from error
        except (HfHubHTTPError, OSError) as error:
            said = " ".join(str(error).split())
            raise OSError(
                f"{name}: {file} cannot be fetched ({type(error).__name__}: {said[:300]}): check "
                "the name; a model there has config.json and model.safetensors, as "
                "spectok.save_model writes them"
            ) from error
        found.append(Path(path))
    return found
