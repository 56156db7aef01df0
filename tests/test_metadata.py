"""What the package says of itself agrees: version, date, authors, licence, keywords, minima."""

import configparser
import json
import re
import subprocess
import sys
import tomllib
from datetime import date
from pathlib import Path

import pytest

import spectok

ROOT = Path(__file__).parents[1]
FILES = ("pyproject.toml", "CITATION.cff", "codemeta.json", ".zenodo.json", "CHANGES.rst")
if not all((ROOT / name).is_file() for name in FILES):
    pytest.skip("the tests stand alone, without the files beside them", allow_module_level=True)

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CODEMETA = json.loads((ROOT / "codemeta.json").read_text(encoding="utf-8"))
ZENODO = json.loads((ROOT / ".zenodo.json").read_text(encoding="utf-8"))
PAPER = "2510.17959"


@pytest.fixture(scope="module")
def cff():
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    return yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def released():
    """Version and day of the latest release: the first heading of the changelog with a day."""
    changes = (ROOT / "CHANGES.rst").read_text(encoding="utf-8")
    return re.search(r"^(\S+) \((\d{4}-\d\d-\d\d)\)\n=+$", changes, re.MULTILINE).groups()


def name_of(requirement):
    """A requirement's name in one spelling: "lazy_loader>=0.4" -> "lazy-loader"."""
    return re.match(r"[\w.-]+", requirement)[0].lower().replace("_", "-")


def minima_of(requirements):
    """The least version of each requirement that has one."""
    found = ((name_of(one), re.search(r">=([\w.]+)", one)) for one in requirements)
    return {name: least[1] for name, least in found if least}


def test_version_is_the_latest_release(released):
    # Between two releases the version is that of the coming one, such as 0.2.dev0.
    if ".dev" not in spectok.__version__:
        assert spectok.__version__ == released[0]
    assert PROJECT["dynamic"] == ["version"], "the version stands in spectok/__init__.py only"


def test_release_is_the_same_everywhere(cff, released):
    version, day = released
    assert {cff["version"], CODEMETA["version"], ZENODO["version"]} == {version}
    assert {str(cff["date-released"]), CODEMETA["datePublished"]} == {day}
    assert ZENODO["publication_date"] == day
    assert date.fromisoformat(day) <= date.today()


def test_authors_licence_and_keywords_are_the_same_everywhere(cff):
    authors = [one["name"] for one in PROJECT["authors"]]
    for others in (cff["authors"], CODEMETA["author"], ZENODO["creators"]):
        assert [one["name"] for one in others] == authors
    assert cff["license"] == ZENODO["license"] == PROJECT["license"]
    assert CODEMETA["license"] == f"https://spdx.org/licenses/{PROJECT['license']}"
    assert cff["keywords"] == CODEMETA["keywords"] == ZENODO["keywords"] == PROJECT["keywords"]


def test_titles_are_the_same_everywhere(cff):
    name, description = PROJECT["name"], PROJECT["description"]
    assert (CODEMETA["name"], CODEMETA["description"]) == (name, description)
    title = f"{name}: {description[0].lower()}{description[1:]}"
    assert cff["title"] == ZENODO["title"] == title
    assert f"title   = {{{title}}}" in spectok.__citation__
    assert CODEMETA["runtimePlatform"] == f"Python {PROJECT['requires-python']}"


def test_citation_file_has_what_its_format_asks_for(cff):
    # Of version 1.2.0; cffconvert --validate looks at the rest.
    assert {"cff-version", "message", "title", "authors"} <= cff.keys()
    assert cff["cff-version"] == "1.2.0" and cff["type"] == "software"
    (paper,) = cff["references"]
    assert {"type", "title", "authors"} <= paper.keys()
    assert paper["url"].endswith(PAPER)


def test_bibtex_has_the_software_and_the_paper(cff):
    entries = re.findall(r"^@(\w+)\{(.*?)^\}$", spectok.__citation__, re.MULTILINE | re.DOTALL)
    assert [kind for kind, _ in entries] == ["software", "article"]
    software, paper = (" ".join(body.split()) for _, body in entries)
    assert f"version = {{{spectok.__version__}}}" in software
    assert all(f"{{{one['name']}}}" in software for one in PROJECT["authors"])
    assert f"year = {{{cff['date-released'].year}}}" in software
    assert f"license = {{{PROJECT['license']}}}" in software
    assert f"eprint = {{{PAPER}}}" in paper
    (reference,) = cff["references"]
    names = " and ".join(f"{a['family-names']}, {a['given-names']}" for a in reference["authors"])
    assert f"author = {{{names}}}" in paper
    assert f"title = {{{reference['title']}}}" in paper
    assert spectok.__bibtex__ == spectok.__citation__
    assert spectok.__citation__.count("{") == spectok.__citation__.count("}")


def test_citing_is_light():
    code = "import sys, spectok; spectok.__citation__; print('torch' in sys.modules)"
    code += "; print('astropy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout.split(), done.stderr) == (["False", "False"], "")


@pytest.fixture(scope="module")
def pins():
    """What tox's oldestdeps installs: {name: version}."""
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini", encoding="utf-8")
    lines = tox["testenv:oldestdeps"]["deps"].split("\n")
    lines = [line for line in lines if line and not line.startswith("#")]
    # A version that the environment may replace: {env:NAME:version}.
    lines = [re.sub(r"\{env:\w+:([\w.]+)\}", r"\1", line) for line in lines]
    return {name_of(line): line.split("==")[1] for line in lines}


def test_oldest_dependencies_are_the_minima_of_the_package(pins):
    extras = PROJECT["optional-dependencies"]
    # What the extra `test` installs, which takes in `tables` and `training`.
    asked = [*PROJECT["dependencies"], *extras["tables"], *extras["training"], *extras["test"]]
    minima = minima_of(asked)
    assert pins == minima


def test_a_dependency_has_one_minimum():
    asked = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    found = {}
    for name, least in (pair for one in asked for pair in minima_of(one).items()):
        assert found.setdefault(name, least) == least, f"{name} has two minima"


@pytest.mark.parametrize(
    ("tool", "places"),
    [
        ("ruff", (".ci/run", "tox.ini", ".pre-commit-config.yaml")),
        ("mypy", (".ci/run", "tox.ini")),
    ],
)
def test_a_tool_has_one_pin(tool, places):
    here = [ROOT / name for name in places if (ROOT / name).is_file()]
    found = [re.findall(rf"{tool}(>=[\d.]+,<[\d.]+)", one.read_text("utf-8")) for one in here]
    assert here and all(found), f"{tool} has no pin in one of {places}"
    assert len({pin for pins in found for pin in pins}) == 1


@pytest.mark.parametrize(
    "name", [".pre-commit-config.yaml", ".readthedocs.yaml", ".github/workflows/ci.yml"]
)
def test_settings_of_services_can_be_read(name):
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    path = ROOT / name
    if not path.is_file():
        pytest.skip(f"no {name} here: a source distribution has none")
    text = path.read_text(encoding="utf-8")
    assert isinstance(yaml.safe_load(text), dict)
    # Every environment of tox that is asked for is one.
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini", encoding="utf-8")
    for asked in re.findall(r"tox -e ([\w,-]+)", text):
        for one in asked.split(","):
            assert one == "py-test" or f"testenv:{one}" in tox, f"tox.ini has no {one}"


def test_supported_pythons_are_tried():
    path = ROOT / ".github/workflows/ci.yml"
    if not path.is_file():
        pytest.skip("no workflow here: a source distribution has none")
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    tried = workflow["jobs"]["test"]["strategy"]["matrix"]["python"]
    oldest = PROJECT["requires-python"].removeprefix(">=")
    assert tried[0] == oldest
    said = [one.rsplit(" ", 1)[1] for one in PROJECT["classifiers"] if ":: 3." in one]
    assert said == tried, "pyproject.toml's classifiers say what is tried"
