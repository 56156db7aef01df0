"""What tests of the simulator share."""

from dataclasses import replace
from functools import cache, partial

import pytest
import torch

from spectok.simulate.objects._registry import find_template
from spectok.simulate.objects._sources import _build, _optical, _stars
from spectok.simulate.objects._templates import Templates


def _zero(value):
    if isinstance(value, dict):
        return {key: _zero(v) for key, v in value.items()}
    if isinstance(value, (tuple, list)):
        return type(value)(_zero(v) for v in value)
    return 0.0


@pytest.fixture(scope="session")
def quiet():
    """Function (instrument, **traits) -> the same without any fault but those given."""

    def make(instrument, **traits):
        off = {key: _zero(value) for key, value in instrument.traits.items()}
        kept = {"snr": instrument.traits["snr"], "error": 1.0, "photon_error": 1.0}
        kept["taps"] = (1.0,)
        return replace(instrument, traits={**off, **kept, **traits}, detail={})

    return make


@pytest.fixture(scope="session")
def generator():
    """Function (seed) -> torch.Generator."""
    return lambda seed: torch.Generator().manual_seed(seed)


@pytest.fixture(scope="session")
def built(shared_data):
    """Function (name) -> arrays and description of one family, from the real files."""
    find = partial(find_template, folder=shared_data)

    @cache
    def build(name):
        return {**_optical.FAMILIES, **_stars.FAMILIES}[name](find, _build._fits())

    return build


@pytest.fixture(scope="session")
def real_templates(built):
    """Function (*names) -> templates of these families only."""

    @cache
    def make(*names):
        arrays, about = {}, {}
        for name in names:
            own, about[name] = built(name)
            _build._add(arrays, name, own)
        return Templates(arrays, about)

    return make


def _toy(form, grid, *, phases=1, n=5, seed=0, **about):
    """Arrays and description of a small family of any form, for a fine grid."""
    import numpy as np

    rng = np.random.default_rng(seed)
    step = phases * grid.step
    segments = [(start - 30.37 * step, count // phases + 61) for start, count in grid.segments]
    columns = sum(count for _, count in segments)

    def normal(*shape):
        return torch.as_tensor(rng.normal(size=shape), dtype=torch.float32)

    labels = torch.stack([5000 + 300 * normal(n), 4 + 0.3 * normal(n)], 1)
    arrays = {
        "table": lambda: {
            "flux": (2 + normal(n, columns)).half(),
            "first": torch.as_tensor(rng.integers(0, 9, n)),
            "last": columns - torch.as_tensor(rng.integers(0, 9, n)),
        },
        "basis": lambda: {
            "vectors": torch.cat([4 + normal(1, columns), normal(2, columns)]),
            "coeff": torch.cat([torch.ones(n, 1), 0.1 * normal(n, 2)], 1),
        },
        "kernel": lambda: {
            "vectors": normal(3, columns), "mean": normal(columns), "alpha": normal(n, 3),
            "nodes": normal(n, 2), "centre": torch.tensor([10.0, 4.0]),
            "width": torch.tensor([1.0, 0.5]),
        },
        "quadratic": lambda: {
            "vectors": normal(6, columns) / 1000, "pivot": torch.tensor([5000.0, 4.0]),
        },
        "network": lambda: {
            "w0": normal(4, 2, columns), "b0": normal(4, columns), "w1": normal(4, columns),
            "b1": normal(columns), "low_in": torch.tensor([4000.0, 3.0]),
            "high_in": torch.tensor([6000.0, 5.0]),
        },
    }[form]()  # fmt: skip
    arrays |= {"labels": labels}
    if form not in ("table", "basis"):
        arrays |= {
            "low": torch.tensor([4800.0, 3.5]),
            "high": torch.tensor([5300.0, 4.5]),
            "jitter": torch.tensor([20.0, 0.1]),
        }
    return arrays, {
        "kind": "star", "form": form, "segments": segments, "step": step, "weight": 1.0,
        "blur": 0.0, "labels": ["teff", "logg"], "source": "random numbers", **about,
    }  # fmt: skip


@pytest.fixture(scope="session")
def toy():
    """Function (form, grid, ...) -> arrays and description of a small random family."""
    return _toy
