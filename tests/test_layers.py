"""The package's layers: imports go downwards only, and `import spectok` stays instant."""

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

import spectok

PACKAGE = Path(__file__).parents[1] / "spectok"
if not PACKAGE.is_dir():
    # Tests of an installed wheel stand alone.
    PACKAGE = Path(spectok.__file__).parent
TOP = 6
LAYER = {
    "_buckets": -1,
    "_batch": 0,
    "_conf": 0,
    "_curves": 1,
    "_deprecated": 0,
    "_flags": 0,
    "_hidden": 0,
    "_processor": 0,
    "_progress": 0,
    "_split": 0,
    "model": 1,
    "_convert": 1,
    "_tokens": 1,
    "_weights": 2,
    "_codec": 3,
    "surveys": 4,
    "simulate": 4,
    "probes": 4,
    "plotting": 4,
    "bulk": TOP,
    "training": 5,
    "_arguments": TOP,
    "_cli": TOP,
    "_curve_files": TOP,
    "_demo": TOP,
    "_file_batches": TOP,
    "_info": TOP,
    "_many_files": TOP,
    "_pack": TOP,
    "_pretrain": TOP,
    "_table_files": TOP,
    "__main__": TOP,
    "__init__": TOP,
}
WITHOUT_ASTROPY = ("_batch", "_buckets", "_curves", "_pretrain", "_processor", "_split", "model")
# Simulation runs inside training steps; what reads files and makes spectra may see astropy.
MAY_SEE_ASTROPY = {"simulate": ("objects/_registry", "objects/_sources", "_observe")}
# Floors inside a room: what stands on one imports from lower ones; what is not listed is on top.
ATTIC = 2
FLOOR = {
    "simulate": {"_fine_grid": 0, "_measured": 0, "_sample": 0, "objects": 1, "instruments": 1}
}
ASTRONOMY = ("astropy", "specutils", "astroquery")
LONGEST = 400

MODULES = {str(path.relative_to(PACKAGE)): path for path in sorted(PACKAGE.rglob("*.py"))}


def part_of(name):
    """The part of the package a file belongs to: 'model/_display.py' -> 'model'."""
    return name.removesuffix(".py").split("/")[0]


def targets(name, source):
    """Every module that a file of the package imports, anywhere in it, by its full name."""
    package = ["spectok", *name.split("/")[:-1]]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *filter(None, [node.module])])
            # `from spectok import _codec` imports a module, `from spectok import encode`
            # whatever stands behind that name.
            yield from (f"{module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and node.args:
            function = getattr(node.func, "attr", getattr(node.func, "id", None))
            first = getattr(node.args[0], "value", None)
            if function in ("import_module", "__import__", "load") and isinstance(first, str):
                yield first


def without_astropy(name):
    """Whether a file must not see astropy."""
    own, _, inner = name.removesuffix(".py").partition("/")
    if own in MAY_SEE_ASTROPY:
        return not any(f"{inner}/".startswith(f"{one}/") for one in MAY_SEE_ASTROPY[own])
    return own in WITHOUT_ASTROPY


def violations(name, source):
    """Sentences on the imports of a file that go upwards, sideways or to astropy."""
    own = part_of(name)
    for target in targets(name, source):
        root, _, rest = target.partition(".")
        if root in ASTRONOMY and without_astropy(name):
            yield f"spectok/{name} imports {target}: it never sees {root}"
        if root != "spectok" or rest == "__version__":  # the version is a literal at the root
            continue
        other = rest.split(".")[0] if rest.split(".")[0] in LAYER else "__init__"
        downwards = LAYER[other] < LAYER[own] or LAYER[own] == TOP
        if other != own and not downwards:
            yield (
                f"spectok/{name} (layer {LAYER[own]}) imports {target} "
                f"(layer {LAYER[other]}): imports go downwards only"
            )


def floor_violations(name, source):
    """Sentences on the imports of a file from the floors above or beside it in its room."""
    room, _, inner = name.removesuffix(".py").partition("/")
    floors, own = FLOOR.get(room, {}), inner.split("/")[0]
    level = floors.get(own, ATTIC)
    for target in targets(name, source):
        root, other, *rest = [*target.split("."), "", ""]
        if (root, other) != ("spectok", room) or level == ATTIC or rest[0] == own:
            continue
        if floors.get(rest[0], ATTIC) >= level:
            yield f"spectok/{name} imports {target}, which is not below it"


def circle(sources):
    """Files that import each other, directly or by way of others, anywhere in them; or None."""
    names = {f"spectok/{name}".removesuffix(".py").replace("/", "."): name for name in sources}
    names = {module.removesuffix(".__init__"): name for module, name in names.items()}
    graph = {module: set() for module in names}
    for module, name in names.items():
        for target in targets(name, sources[name]):
            while target and target not in names:
                target = target.rpartition(".")[0]
            graph[module] |= {target} - {module, ""}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return None


def test_package_is_found():
    assert "__init__.py" in MODULES, f"no package under {PACKAGE}"


def test_folders_are_packages():
    missing = {path.parent for path in MODULES.values()} - {
        path.parent for path in MODULES.values() if path.name == "__init__.py"
    }
    assert not missing, "without an __init__.py these are left out of the wheel"


@pytest.mark.parametrize("name", MODULES)
def test_layer(name):
    assert part_of(name) in LAYER, (
        f"spectok/{name} has no layer: add {part_of(name)!r} to LAYER in tests/test_layers.py"
    )
    source = MODULES[name].read_text(encoding="utf-8")
    assert not list(violations(name, source))
    assert not list(floor_violations(name, source))


def test_no_circles():
    assert (
        circle({name: path.read_text(encoding="utf-8") for name, path in MODULES.items()}) is None
    )


def test_circles_are_found():
    sources = {
        "surveys/_a.py": "from spectok.surveys import _b",
        "surveys/_b.py": "def late():\n    from ._c import something",
        "surveys/_c.py": "from spectok.surveys._a import anything",
    }
    assert len(circle(sources)) == 4, "three files, and the first again"
    assert circle(sources | {"surveys/_c.py": "import numpy"}) is None


@pytest.mark.parametrize("name", MODULES)
def test_length(name):
    n_lines = len(MODULES[name].read_text(encoding="utf-8").splitlines())
    assert n_lines <= LONGEST, f"spectok/{name} has {n_lines} lines: split it"


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("_batch.py", "import astropy.units as u"),
        ("model/_display.py", "def late():\n    from astropy import units"),
        ("model/_display.py", "import importlib\nimportlib.import_module('specutils')"),
        ("model/_display.py", "from .. import _tokens"),
        ("model/_display.py", "from ..training.loop import fit"),
        ("_tokens.py", "from ._convert import to_arrays"),
        ("_weights/_store.py", "from spectok import encode"),
        ("_codec.py", "import spectok"),
        ("_codec.py", "from spectok.surveys import sdss"),
        ("training/loop.py", "from spectok._pretrain import pretrain"),
        ("simulate/objects/_sampling.py", "from spectok.training import training_simulators"),
        ("simulate/objects/_sampling.py", "from astropy import units"),
        ("simulate/objects/_sampling.py", "from spectok.surveys import sdss"),
        ("simulate/objects/_sampling.py", "from spectok.simulate.instruments import _noise"),
        ("simulate/objects/_sources/_build.py", "from ...instruments._noise import draw_snr"),
        ("simulate/instruments/_noise.py", "from spectok.simulate import objects"),
        ("simulate/_fine_grid.py", "from .objects._dust import calzetti"),
        ("simulate/objects/_dust.py", "from spectok.simulate import Simulator"),
        ("plotting/_axes.py", "from .._cli import main"),
    ],
)
def test_rules_catch(name, source):
    assert [*violations(name, source), *floor_violations(name, source)]


@pytest.mark.parametrize(
    ("name", "source"),
    [
        (
            "model/_tokenizer.py",
            "from ._config import ModelConfig\nfrom .._batch import SpectrumBatch",
        ),
        ("model/_tokenizer.py", "import torch\nfrom spectok.model import _config"),
        ("_tokens.py", "from astropy.table import QTable\nfrom . import __version__"),
        ("_codec.py", "from . import _batch, _convert\nfrom ._weights import load_model"),
        ("surveys/desi.py", "from . import sdss\nfrom .._codec import encode"),
        ("simulate/objects/_sources/_resampling.py", "from astropy.io import fits"),
        ("simulate/objects/_sampling.py", "from .._sample import Sample"),
        ("simulate/_simulator.py", "from .instruments._noise import draw_snr"),
        ("training/_curriculum.py", "from spectok.simulate import Simulator"),
        ("_cli.py", "import spectok\nfrom ._demo import run\nfrom .training import loop"),
    ],
)
def test_rules_allow(name, source):
    assert not [*violations(name, source), *floor_violations(name, source)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("spectok", ("torch", "specutils", "astropy")),
        ("spectok.model", ("astropy", "specutils")),
        ("spectok._weights", ("astropy", "specutils")),
        ("spectok._batch", ("astropy", "specutils")),
        ("spectok.surveys._multimodal", ("astropy", "specutils", "h5py", "pyarrow")),
        ("spectok.simulate", ("torch", "astropy", "specutils")),
        ("spectok.simulate._simulator", ("astropy", "specutils")),
    ],
)
def test_import_is_light(module, unwanted):
    code = f"import sys, {module}; print(*[m for m in {unwanted!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


@pytest.mark.slow
def test_simulating_is_light(tmp_path):
    code = (
        "import sys; from spectok import simulate; "
        "coarse = simulate.instrument('sdss').modified(sampling=2.0); "
        "simulate.Simulator('sdss', coarse).observe(2); "
        "simulate.save_templates(simulate.Templates({}, {}), sys.argv[1]); "
        "simulate.load_templates(sys.argv[1]); "
        "print(*[m for m in ('astropy', 'specutils') if m in sys.modules])"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "templates")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
