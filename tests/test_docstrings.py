"""The examples in the docstrings run, and every public function has one."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import spectok

MODULES = [
    module.name
    for module in pkgutil.walk_packages(spectok.__path__, "spectok.")
    if not module.name.endswith("__main__")
]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert doctest.testmod(importlib.import_module(name), optionflags=FLAGS).failed == 0


@pytest.mark.parametrize("name", spectok.__all__)
def test_public_functions_have_an_example(name):
    public = getattr(spectok, name)
    if inspect.isfunction(public):
        assert ">>> " in inspect.getdoc(public), f"spectok.{name} has no example"
