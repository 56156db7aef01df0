"""``spectok pretrain``: a recipe in TOML to a call of `spectok.training.fit`.

Needs PyTorch, Lightning and the arrays that were packed, but neither astropy nor specutils.
"""

from __future__ import annotations

import inspect
import tomllib
from pathlib import Path
from typing import Any

from spectok._deprecated import warn_deprecated

__all__ = ["pretrain", "read_recipe", "sources_of"]

# Keys of the sections of a recipe; those of [training] are the arguments of fit.
_DATA = ("templates", "packs", "tokens", "draw_batches", "seed", "seen_weight", "hidden_share",
         "hidden")  # fmt: skip
_MOCK = ("pairs", "varied", "extra_lines", "jitter", "snr", "snr_share")
_SEED = 1  # of the batches
_SECTIONS = ("folder", "start", "model", "data", "mock", "mixture", "training", "validation")


def read_recipe(path: str | Path) -> dict[str, Any]:
    """Read and check a recipe.

    Raises
    ------
    ValueError
        For a file that is no TOML, for a section or key that means nothing (a word misspelt must
        not cost a week of computing), and for one seed of training and validation.
    """
    from spectok.model import ModelConfig
    from spectok.training import fit

    with open(path, "rb") as file:
        try:
            recipe = tomllib.load(file)
        except tomllib.TOMLDecodeError as error:
            raise ValueError(f"{path} is no TOML: {error}") from error
    arguments = [
        name
        for name, one in inspect.signature(fit).parameters.items()
        if one.kind is inspect.Parameter.KEYWORD_ONLY and name not in ("validate", "progress")
    ]
    known = {
        "model": ("size", *ModelConfig.__dataclass_fields__),
        "data": _DATA,
        "mock": _MOCK,
        "training": arguments,
        "validation": ("batches", "pictures", "seed"),
    }
    _check(path, "the recipe", recipe, _SECTIONS)
    _drop_balance(path, recipe.get("training", {}))
    _rename(path, recipe, "mock", "strange", "extra_lines")
    _rename(path, recipe, "data", "together", "draw_batches")
    for section, keys in known.items():
        _check(path, f"[{section}]", recipe.get(section, {}), keys)
    if "mixture" not in recipe:
        raise ValueError(f"{path} lacks [mixture]")
    if "steps" not in recipe.get("training", {}):
        raise ValueError(f"{path} lacks steps in [training]")
    seed = recipe.get("data", {}).get("seed", _SEED)
    if recipe.get("validation", {}).get("seed") == seed:
        raise ValueError(
            f"{path}: [validation] and [data] have the same seed {seed}, so a run would be "
            "watched on what it learns from: leave the first one out, or give another"
        )
    return recipe


def _check(path: str | Path, where: str, found: dict[str, Any], known: Any) -> None:
    wrong = [key for key in found if key not in known]
    if wrong:
        raise ValueError(
            f"{path}: {where} has {', '.join(wrong)}, which means nothing; it may have "
            f"{', '.join(known)}"
        )


def _drop_balance(path: str | Path, training: dict[str, Any]) -> None:
    """Recipes of 0.1 may say how hard pixels are weighed, which is no option any more."""
    if training.pop("balance", 0.0):
        raise ValueError(
            f"{path}: [training] has a balance other than 0, which slowed learning and is gone: "
            "take the line out, and the loss is the likelihood itself"
        )


def _rename(path: str | Path, recipe: dict[str, Any], section: str, old: str, new: str) -> None:
    """Give a key of a recipe of 0.1 its name of today."""
    found = recipe.get(section, {})
    if old not in found:
        return
    if new in found:
        raise ValueError(
            f"{path}: [{section}] has {new} and {old}, its old name: take one of them out"
        )
    warn_deprecated(
        f"{path}: {old} in [{section}] is called {new} since spectok 0.2; the old name goes "
        "with 0.3",
        stacklevel=3,
    )
    found[new] = found.pop(old)


def pretrain(
    path: str | Path,
    *,
    folder: str | Path | None = None,
    progress: bool | None = None,
    **changes: Any,
) -> Path:
    """Run a recipe, or go on with it; returns the folder of the model.

    Parameters
    ----------
    path : path
        The recipe. Files that it names are found from its own folder.
    folder : path, optional
        Where the run is written; by default what the recipe says.
    progress : bool, optional
    **changes
        Arguments of `spectok.training.fit` instead of the recipe's.

    Returns
    -------
    folder : path
        ``model`` in the folder of the run: the averaged weights in half precision, written at
        every checkpoint, which `spectok.load_model` takes.

    Raises
    ------
    ValueError
        For a recipe that cannot be run.
    """
    import shutil

    import torch

    from spectok import load_model, save_model
    from spectok.model import ModelConfig, SpectralTokenizer
    from spectok.training import Batches, Validation, fit

    recipe, base = read_recipe(path), Path(path).parent
    options = {**recipe["training"], **{k: v for k, v in changes.items() if v is not None}}
    folder = Path(folder or base / recipe.get("folder", Path(path).stem))
    data = {"tokens": 1024, "draw_batches": 1, "seed": _SEED, **recipe.get("data", {})}
    torch.manual_seed(data["seed"])
    if "start" in recipe:
        model = load_model(_from(base, recipe["start"]) or recipe["start"])
        if recipe.get("model"):
            raise ValueError(f"{path}: [model] and start exclude each other, weights have a size")
    else:
        sizes = dict(recipe.get("model", {}))
        model = SpectralTokenizer(ModelConfig.of_size(sizes.pop("size", "base"), **sizes))
    sources = sources_of(recipe, base, _device_of(options.get("accelerator", "auto")))

    def batches(mixture: dict[str, Any], seed: int, tokens: int, draw_batches: int) -> Batches:
        return Batches(
            sources,
            mixture,
            patch_size=model.config.patch_size,
            n_tokens=tokens,
            seed=seed,
            draw_batches=draw_batches,
            **{k: data[k] for k in ("seen_weight", "hidden_share", "hidden") if k in data},
        )

    watched = recipe.get("validation", {})
    validation = Validation(
        # Another seed than the training's, so other mock observations. A run that goes on
        # elsewhere with new batches names the first one's, so that its errors are comparable.
        batches(_watched(recipe["mixture"]), watched.get("seed", data["seed"] + 2**31), 1024, 1),
        range(watched.get("batches", 16)),
        pictures=watched.get("pictures", 4),
    )

    def validate(average: SpectralTokenizer) -> dict[str, Any]:
        partial = folder / "model.partial"
        shutil.rmtree(partial, ignore_errors=True)
        save_model(average, partial, half=True, card={"recipe": Path(path).name})
        shutil.rmtree(folder / "model", ignore_errors=True)
        partial.rename(folder / "model")
        return validation(average)

    fit(
        model,
        batches(recipe["mixture"], data["seed"], data["tokens"], data["draw_batches"]),
        folder,
        validate=validate,
        progress=progress,
        **options,
    )
    return folder / "model"


def _watched(mixture: dict[str, Any]) -> dict[str, Any]:
    """Mocks alone, where there are any: other real spectra than the training's are not at hand."""
    mocks = {s: {"mock": shares["mock"]} for s, shares in mixture.items() if "mock" in shares}
    return mocks or mixture


def _device_of(accelerator: str) -> str:
    """Where mock observations are made: on this process's device."""
    import os

    import torch

    if accelerator == "cpu" or not torch.cuda.is_available():
        return "cpu"
    rank = int(os.environ.get("LOCAL_RANK", 0))
    torch.cuda.set_device(rank)
    return f"cuda:{rank}"


def sources_of(recipe: dict[str, Any], base: Path, device: str) -> dict[str, Any]:
    """Sources by the names that the mixture gives them: ``mock``, and the packs'."""
    from spectok import simulate
    from spectok.training import MockSpectra, RealSpectra, open_pack, training_simulators

    data, mock = recipe.get("data", {}), dict(recipe.get("mock", {}))
    sources: dict[str, Any] = {
        name: RealSpectra(open_pack(_from(base, file) or file), device=device)
        for name, file in data.get("packs", {}).items()
    }
    used = {name for shares in recipe["mixture"].values() for name in shares}
    if "mock" in used:
        templates = data.get("templates")
        curriculum = {k: mock.pop(k) for k in ("pairs", "varied", "extra_lines") if k in mock}
        simulators = training_simulators(
            simulate.load_templates(_from(base, templates) or templates) if templates else None,
            surveys=tuple(s for s, shares in recipe["mixture"].items() if "mock" in shares),
            device=device,
            **curriculum,
        )
        if "snr" in mock:
            mock["snr"] = tuple(mock["snr"])
        sources["mock"] = MockSpectra(simulators, **mock)
    return sources


def _from(base: Path, name: str) -> Path | None:
    """A file or folder beside the recipe, or None."""
    path = base / name
    return path if path.exists() else None
