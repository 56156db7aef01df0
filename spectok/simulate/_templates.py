"""Collections of template families, and the file that holds one."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from spectok.simulate._family import Family
from spectok.simulate._grid import FineGrid

__all__ = ["Templates", "load_templates", "save_templates"]


class Templates:
    """Families of templates in arrays, ready for a device.

    Parameters
    ----------
    arrays : mapping of str to `torch.Tensor`
        ``NAME.KEY`` of every family.
    about : dict of str to dict
        What each family is.
    """

    def __init__(self, arrays: Mapping[str, Tensor], about: dict[str, dict]) -> None:
        self.arrays, self.about = dict(arrays), about
        self._families: dict[tuple[str, str], list[Family]] = {}

    def __repr__(self) -> str:
        lines = [f"{k}: {v['kind']}, {v['source']}" for k, v in self.about.items()]
        return "<Templates\n  " + "\n  ".join(lines) + ">"

    def families(self, fine_name: str, fine: FineGrid, device: torch.device) -> list[Family]:
        """All families of a fine grid, on a device; kept for the next call."""
        key = (fine_name, str(device))
        if key not in self._families:
            self._families[key] = [
                Family(
                    name,
                    about,
                    {
                        k.removeprefix(name + "."): _working(v).to(device)
                        for k, v in self.arrays.items()
                        if k.startswith(name + ".")
                    },
                    fine,
                )
                for name, about in self.about.items()
                if about["fine"] == fine_name
            ]
        return self._families[key]


def _working(array: Tensor) -> Tensor:
    """Half precision for the large tables, which are gathered; single for all that is computed."""
    large = array.dim() == 2 and array.dtype == torch.float16 and array.shape[0] > 40
    return array if large or not array.is_floating_point() else array.float()


def save_templates(templates: Templates, path: str | os.PathLike) -> None:
    """Write templates to one file, which needs neither astropy nor the sources to be read.

    Parameters
    ----------
    templates : Templates
    path : path-like
        A safetensors file.

    Raises
    ------
    FileNotFoundError
        If there is no folder to write it into.

    Examples
    --------
    >>> from spectok import simulate
    >>> simulate.save_templates(templates, "templates.safetensors")  # doctest: +SKIP
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path.parent}: no such folder to write {path.name} into")
    part = path.with_name(path.name + ".part")
    arrays = {key: value.contiguous() for key, value in templates.arrays.items()}
    save_file(arrays, part, metadata={"about": json.dumps(templates.about)})
    part.replace(path)


def load_templates(path: str | os.PathLike) -> Templates:
    """Read templates that `save_templates` wrote.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    templates : Templates

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is none of templates, or damaged.

    Examples
    --------
    >>> from spectok import simulate
    >>> templates = simulate.load_templates("templates.safetensors")  # doctest: +SKIP
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no such file; make it with simulate.build_templates and save_templates"
        )
    try:
        with safe_open(path, "pt") as file:
            about = json.loads((file.metadata() or {})["about"])
            arrays = {key: file.get_tensor(key) for key in file.keys()}
    except (SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{path}: not a file of templates ({type(error).__name__}: {error}); make it anew "
            "with simulate.build_templates and save_templates"
        ) from error
    return Templates(arrays, about)
