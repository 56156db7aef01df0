"""Saving and loading of probes: weights, labels and tokenizer in one safetensors file."""

from __future__ import annotations

import dataclasses
import json
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from spectok import __version__
from spectok.probes._classifier import ProbeClassifier
from spectok.probes._heads import Mixture
from spectok.probes._labels import Labels
from spectok.probes._linear import LinearConfig, LinearNetwork
from spectok.probes._network import ProbeConfig, ProbeNetwork
from spectok.probes._redshift import RedshiftProbe
from spectok.probes._redshift_network import RedshiftConfig, RedshiftNetwork
from spectok.probes._regressor import ProbeRegressor
from spectok.probes._sklearn import check_is_fitted

__all__ = ["load_probe", "save_probe"]

_KEY = "spectok-probe"
AnyProbe = ProbeClassifier | ProbeRegressor | RedshiftProbe
_KINDS = {
    "classifier": ProbeClassifier, "regressor": ProbeRegressor, "redshift": RedshiftProbe
}  # fmt: skip
_METHODS = {
    "attention": (ProbeNetwork, ProbeConfig), "linear": (LinearNetwork, LinearConfig),
    "correlation": (RedshiftNetwork, RedshiftConfig),
}  # fmt: skip


def save_probe(probe: AnyProbe, path: str | PathLike[str]) -> Path:
    """Write a fitted probe to one safetensors file.

    Parameters
    ----------
    probe : ProbeClassifier, ProbeRegressor or RedshiftProbe
        Fitted, on any device.
    path : str or path
        A new file, such as ``teff.safetensors``.

    Returns
    -------
    path : `pathlib.Path`
        Of the file that was written.

    Raises
    ------
    FileExistsError
        Where there is such a file.
    TypeError
        For what is no probe of spectok, and for parameters that JSON cannot hold.
    sklearn.exceptions.NotFittedError
        For a probe that was not fitted.

    Examples
    --------
    >>> import tempfile, spectok
    >>> from spectok import probes, simulate
    >>> spectra = simulate.observe("sdss", 20, seed=1, snr=20)
    >>> tokens = spectok.group(spectok.encode(spectra))
    >>> redshift = [spectrum.meta["label"]["redshift"] for spectrum in spectra]
    >>> probe = probes.ProbeRegressor(max_epochs=1).fit(tokens, redshift)
    >>> path = probes.save_probe(probe, tempfile.mkdtemp() + "/redshift.safetensors")
    >>> again = probes.load_probe(path)
    >>> bool((again.predict(tokens) == probe.predict(tokens)).all())
    True
    """
    kind = next((name for name, cls in _KINDS.items() if type(probe) is cls), None)
    if kind is None:
        raise TypeError(
            f"{type(probe).__name__} is no probe of spectok; scikit-learn's models are saved as "
            "its documentation says"
        )
    check_is_fitted(probe)
    path = Path(path)
    if path.exists():
        raise FileExistsError(f"{path} is there already: give another name, or remove it")
    about = {
        "kind": kind,
        "method": probe.method_,
        "spectok": __version__,
        "parameters": {name: _pairs(value) for name, value in probe.get_params().items()},
        "config": dataclasses.asdict(probe.network_.config),
        "tokenizer": probe.tokenizer_,
        "history": probe.history_,
        "n_held_out": probe.n_held_out_,
    }
    if kind == "classifier":
        about["classes"] = probe.classes_.tolist()
        about["classes_type"] = probe.classes_.dtype.str
    elif kind == "regressor":
        about["labels"] = dataclasses.asdict(probe.labels_)
        for name in ("label_mean_", "label_std_"):
            about[name] = getattr(probe, name).tolist()
        for name in ("centre", "width"):
            about[name] = getattr(probe.mixture_, name).tolist()
    state = {k: v.detach().cpu().contiguous() for k, v in probe.network_.state_dict().items()}
    save_file(state, path, metadata={_KEY: json.dumps(about, default=_plain)})
    return path


def load_probe(path: str | PathLike[str]) -> AnyProbe:
    """Read a probe that `save_probe` wrote.

    Parameters
    ----------
    path : str or path
        A safetensors file.

    Returns
    -------
    probe : ProbeClassifier, ProbeRegressor or RedshiftProbe
        Fitted; it computes on the CPU until its ``device`` is set.

    Raises
    ------
    FileNotFoundError
        Where there is no such file.
    ValueError
        Where the file is no probe, or is damaged.

    Examples
    --------
    >>> import tempfile, spectok
    >>> from spectok import probes, simulate
    >>> tokens = spectok.group(spectok.encode(simulate.observe("sdss", 20, seed=1, snr=20)))
    >>> probe = probes.ProbeClassifier(max_epochs=1).fit(tokens, ["a", "b"] * 10)
    >>> path = probes.save_probe(probe, tempfile.mkdtemp() + "/kinds.safetensors")
    >>> probes.load_probe(path).classes_.tolist()
    ['a', 'b']
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        with safe_open(path, "pt") as file:
            written = (file.metadata() or {}).get(_KEY)
            if written is None:
                raise ValueError(f"there is no {_KEY!r} in its metadata")
            about = json.loads(written)
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        # Files of version 0.1 name no method: there was one.
        method = about.setdefault("method", "attention")
        network_class, config_class = _METHODS[method]
        network = network_class(config_class(**about["config"]))
        network.load_state_dict(state)
        given = {**about["parameters"], "device": "cpu"}
        if isinstance(given.get("redshift_range"), list):
            given["redshift_range"] = tuple(given["redshift_range"])
        if isinstance(given.get("class_weight"), list):
            given["class_weight"] = {key: value for key, value in given["class_weight"]}  # noqa: C416
        probe = _KINDS[about["kind"]](**given)
        probe.network_ = network.eval()
        _fitted(probe, about)
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"{path} is no probe that save_probe of this version wrote, or it is damaged: {error}"
        ) from error
    return probe


def _pairs(value: Any) -> Any:
    """Weights of classes as pairs: JSON has no keys but strings."""
    return list(value.items()) if isinstance(value, dict) else value


def _plain(value: Any) -> Any:
    """Plain values for JSON of numbers of a parameter search, names from FITS, a device."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, bytes):
        return value.decode("ascii")
    if isinstance(value, torch.device):
        return str(value)
    raise TypeError(f"a probe with {value!r} among its parameters or classes cannot be saved")


def _fitted(probe: AnyProbe, about: dict[str, Any]) -> None:
    """Set what a fit has left beside the network."""
    probe.tokenizer_, probe.history_ = about["tokenizer"], about["history"]
    probe.n_held_out_, probe.method_ = about["n_held_out"], about["method"]
    if about["kind"] == "classifier":
        probe.classes_ = np.array(about["classes"], dtype=about["classes_type"])
    elif about["kind"] == "regressor":
        given = about["labels"]
        probe.labels_ = Labels(tuple(given["names"]), tuple(given["units"]), given["vector"])
        probe.label_mean_, probe.label_std_ = (
            np.array(about[name]) for name in ("label_mean_", "label_std_")
        )
        probe.mixture_ = Mixture(np.array(about["centre"]), np.array(about["width"]))
