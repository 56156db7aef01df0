"""Public docstrings: their examples run, and they say what numpydoc asks for."""

import doctest
import enum
import importlib
import inspect
import pkgutil
import re
import warnings

import pytest

import spectok

MODULES = [
    module.name
    for module in pkgutil.walk_packages(spectok.__path__, "spectok.")
    if not module.name.endswith("__main__")
]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE

# Modules whose __all__ users may rely on.
PUBLIC = [
    "spectok",
    "spectok.bulk",
    "spectok.plotting",
    "spectok.probes",
    "spectok.probes.metrics",
    "spectok.simulate",
    "spectok.surveys",
    "spectok.simulate.lightcurves",
    "spectok.surveys.apogee",
    "spectok.surveys.desi",
    "spectok.surveys.galah",
    "spectok.surveys.sdss",
    "spectok.training",
]

# Their examples are only shown: they need what no test has.
SHOWN = {
    "spectok.bulk.encode": "a source of spectra",
    "spectok.bulk.read_tokens": "what a run has written",
    "spectok.bulk.status": "what a run has written",
    "spectok.save_hub_card": "an extra that may be absent",
    "spectok.simulate.build_templates": "files of templates",
    "spectok.simulate.label_bounds": "templates with emulators",
    "spectok.surveys.MultimodalUniverse": "partitions of the Multimodal Universe",
    "spectok.surveys.apogee.read": "a file of APOGEE",
    "spectok.surveys.galah.read": "a file of GALAH",
    "spectok.surveys.sdss.fetch": "a network",
    "spectok.surveys.sdss.read": "a file of SDSS",
}

# What numpydoc asks for and this package does not do.
NOT_ASKED = {
    "ES01": "a summary that says it all needs no second one",
    "SA01": "See Also stands where it helps only",
    "RT02": "a returned value has a name, as numpydoc itself recommends",
    "SS05": "it takes every first word that ends in s, such as Tokens, for a verb",
}


def public_objects():
    """Name, object and class it belongs to, of each public function, class and method."""
    for module in PUBLIC:
        for name in importlib.import_module(module).__all__:
            public = getattr(importlib.import_module(module), name)
            if inspect.isclass(public):
                yield f"{module}.{name}", public, None
                for key, value in vars(public).items():
                    kinds = (property, classmethod, staticmethod)
                    if not key.startswith("_") and (
                        inspect.isfunction(value) or isinstance(value, kinds)
                    ):
                        yield f"{module}.{name}.{key}", value, public
            elif inspect.isroutine(inspect.unwrap(public)):
                yield f"{module}.{name}", public, None


OBJECTS = {name: (public, owner) for name, public, owner in public_objects()}


# Their examples train something or make many mocks.
SLOW = {
    "spectok.plotting._tokens", "spectok.probes._bootstrap", "spectok.probes._classifier",
    "spectok.probes._first_look", "spectok.probes._neighbours", "spectok.probes._novelty",
    "spectok.probes._redshift", "spectok.probes._regressor", "spectok.probes._save",
    "spectok.probes._simple", "spectok.training._loop", "spectok.training._match",
}  # fmt: skip
assert set(MODULES) >= SLOW, "a slow module has another name now"


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in MODULES],
)
def test_examples_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert doctest.testmod(importlib.import_module(name), optionflags=FLAGS).failed == 0


@pytest.mark.parametrize("name", [name for name, (_, owner) in OBJECTS.items() if not owner])
def test_public_objects_have_an_example(name):
    public, _ = OBJECTS[name]
    examples = doctest.DocTestParser().get_examples(inspect.getdoc(public))
    assert examples, f"{name} has no example"
    run = [one for one in examples if not one.options.get(doctest.SKIP)]
    run = [one.source for one in run if not re.match("(from|import) ", one.source)]
    if not inspect.isclass(public):  # an object may come from elsewhere, a function is called
        run = [one for one in run if f"{name.split('.')[-1]}(" in one]
    runs = bool(run)
    assert runs != (name in SHOWN), f"{name}: is its example run, or only shown?"


def test_every_public_module_is_looked_at():
    public = {name for name in MODULES if "._" not in name} | {"spectok"}
    # The network's parts are for those who build networks; what others need is in spectok, and
    # what the simulator's floors have for others in spectok.simulate.
    inner = {"spectok.model", "spectok.simulate.instruments", "spectok.simulate.objects"}
    assert public - inner == set(PUBLIC)


@pytest.mark.parametrize("name", OBJECTS)
def test_numpydoc(name):
    validate = pytest.importorskip("numpydoc.validate", reason="the extra 'docs' is not installed")
    public, owner = OBJECTS[name]
    not_asked = dict(NOT_ASKED)
    if owner:
        not_asked["EX01"] = "the example of a class shows its methods"
    if inspect.isclass(public) and issubclass(public, enum.Enum):
        not_asked["PR01"] = "parameters that enum gives to every enumeration"
    if getattr(public, "_is_protocol", False):
        not_asked["PR01"] = "a protocol is not called"
    with warnings.catch_warnings():
        # It looks at everything, scikit-learn's deprecated names included.
        warnings.simplefilter("ignore")
        found = validate.validate(name)["errors"]
    errors = [f"{code}: {text}" for code, text in found if code not in not_asked]
    assert not errors, f"{name}: {'; '.join(errors)}"
