"""Collections of template families, and the file that holds one."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from spectok._split import SETS, name_split
from spectok.simulate._fine_grid import FineGrid
from spectok.simulate.objects._family import Family

__all__ = ["Templates", "load_templates", "save_templates"]

# Arrays with one row per template; those of emulators are the stars around which labels are
# drawn, and not the nodes of a kernel. The first is always there.
_TABLE = ("flux", "first", "last", "labels", "redshift")
_BASIS = ("coeff", "labels", "redshift")
_EMULATOR = ("labels",)


class Templates:
    """Families of templates in arrays, ready for a device.

    Parameters
    ----------
    arrays : mapping of str to `torch.Tensor`
        ``NAME.KEY`` of every family.
    about : dict of str to dict
        What each family is.

    See Also
    --------
    build_templates : What makes them of public files.
    load_templates : What reads them.

    Examples
    --------
    >>> from spectok import simulate
    >>> simulate.Templates({}, {}).part("train").about
    {}
    """

    def __init__(self, arrays: Mapping[str, Tensor], about: dict[str, dict]) -> None:
        self.arrays, self.about = dict(arrays), about
        self._families: dict[tuple[str, str], list[Family]] = {}

    def __repr__(self) -> str:
        lines = [f"{k}: {v['kind']}, {v['source']}" for k, v in self.about.items()]
        return "<Templates\n  " + "\n  ".join(lines) + ">"

    def families(self, fine_name: str, fine: FineGrid, device: torch.device) -> list[Family]:
        """All families of a fine grid, on a device; kept for the next call.

        Parameters
        ----------
        fine_name : str
            ``"optical"``, ``"hermes"`` or ``"h"``.
        fine : `~spectok.simulate._fine_grid.FineGrid`
            The grid of this name.
        device : `torch.device`
            Where they are wanted.

        Returns
        -------
        families : list of `~spectok.simulate.objects._family.Family`
            In the order of ``about``; empty where none covers the grid.
        """
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

    def part(self, name: str) -> Templates:
        """The templates of one set of the package's split: mocks of two sets share none.

        Each template falls into a set by its family and number: of tables the spectrum, of
        bases the coefficients, of emulators the star around which labels are drawn (the
        emulator itself is the same in all sets). What learns from mocks of ``"train"`` is
        judged on those of ``"test"``.

        Parameters
        ----------
        name : str
            ``"train"`` (70 %), ``"validation"`` (5 %) or ``"test"`` (25 %).

        Returns
        -------
        templates : Templates
            Families without a template in the set are left out. Labels of mocks name templates
            by their number in the whole collection (kept in arrays ``entry``).

        Raises
        ------
        ValueError
            For another name.

        Examples
        --------
        >>> from spectok.simulate.objects._analytic import analytic_templates
        >>> whole = analytic_templates()
        >>> train, test = whole.part("train"), whole.part("test")
        >>> [len(t.arrays["analytic-optical-stars.flux"]) for t in (whole, train, test)]
        [48, 29, 17]
        """
        if name not in SETS:
            raise ValueError(f"a part is {', '.join(SETS)}, not {name!r}")
        arrays, about = {}, {}
        for family, description in self.about.items():
            keys = {"table": _TABLE, "basis": _BASIS}.get(description["form"], _EMULATOR)
            # Names of families may hold dots, those of their arrays do not.
            own = {
                key.rpartition(".")[2]: value
                for key, value in self.arrays.items()
                if key.rpartition(".")[0] == family
            }
            entry = own.pop("entry", torch.arange(len(own[keys[0]])))
            names = name_split([f"{family}:{number}" for number in entry.tolist()])
            kept = torch.from_numpy(np.flatnonzero(names == name))
            if not len(kept):
                continue
            about[family] = description
            for key, value in {**own, "entry": entry}.items():
                rows = key in keys or key == "entry"
                arrays[f"{family}.{key}"] = value[kept] if rows else value
        return Templates(arrays, about)


def _working(array: Tensor) -> Tensor:
    """Half precision for the large tables, which are gathered; single for all that is computed."""
    large = array.dim() == 2 and array.dtype == torch.float16 and array.shape[0] > 40
    return array if large or not array.is_floating_point() else array.float()


def save_templates(templates: Templates, path: str | os.PathLike) -> None:
    """Write templates to one file, which needs neither astropy nor the sources to be read.

    Parameters
    ----------
    templates : Templates
        All of them, of any grids.
    path : path-like
        A safetensors file.

    Raises
    ------
    FileNotFoundError
        If there is no folder to write it into.

    Examples
    --------
    >>> from spectok import simulate
    >>> simulate.save_templates(simulate.Templates({}, {}), "none.safetensors")
    >>> simulate.load_templates("none.safetensors").about
    {}
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
        A safetensors file.

    Returns
    -------
    templates : Templates
        On the CPU; what uses them moves what it needs.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is none of templates, or damaged.

    Examples
    --------
    >>> from spectok import simulate
    >>> simulate.save_templates(simulate.Templates({}, {}), "none.safetensors")
    >>> templates = simulate.load_templates("none.safetensors")
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
