"""Recipes: read, refused, run, cut and resumed, without astropy."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.utils.exceptions import AstropyDeprecationWarning
from safetensors.numpy import save_file

pytest.importorskip("lightning", reason="the extra 'training' is not installed")

import spectok
from spectok._cli import main
from spectok._pretrain import pretrain, read_recipe, sources_of
from spectok.training import pack_spectra

RECIPES = Path(__file__).parents[1] / "recipes"
RECIPE = """
folder = "run"
[model]
size = "tiny"
[data]
packs = {real = "pack.safetensors"}
tokens = 200
[mock]
varied = 1
[mixture]
sdss = {real = 1, mock = 1}
apogee = {mock = 1}
[training]
steps = 2
accumulate = 1
accelerator = "cpu"
[validation]
batches = 2
pictures = 1
"""


@pytest.fixture
def recipe(tmp_path):
    rng = np.random.default_rng(0)
    wavelength = 10 ** (3.56 + 1e-4 * np.arange(4000))
    sigma = np.full(4000, 0.1)
    spectra = [(0, wavelength, rng.normal(1, 0.1, 4000), sigma, sigma > 0) for _ in range(3)]
    save_file(pack_spectra(spectra), tmp_path / "pack.safetensors")
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE)
    return path


@pytest.mark.slow
def test_a_recipe_runs_goes_on_and_leaves_a_model(recipe):
    folder = pretrain(recipe, progress=False)
    assert folder == recipe.parent / "run" / "model"
    first = spectok.load_model(folder)
    assert first.config.width == 32
    pretrain(recipe, progress=False, steps=3)
    with (folder.parent / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["2", "3"]
    for name in ("loss", "tokens_per_s", "mfu", "error_visible", "error_hidden"):
        assert all(float(row[name]) > 0 for row in rows), name
    assert len(list((folder.parent / "pictures").glob("*.png"))) == 2
    again = spectok.load_model(folder)
    assert any(
        not (a == b).all() for a, b in zip(first.parameters(), again.parameters(), strict=True)
    )


@pytest.mark.slow
def test_a_run_is_watched_on_mocks(recipe, monkeypatch):
    """Real spectra of the pack are those of the training."""
    import spectok.training

    watched = []

    class Seen(spectok.training.Validation):
        def __init__(self, batches, *arguments, **options):
            super().__init__(batches, *arguments, **options)
            watched.append((batches.mixture, batches.seed))
            assert all(batch.noiseless.all() for batch in self.batches)

    monkeypatch.setattr(spectok.training, "Validation", Seen)
    pretrain(recipe, progress=False)
    mocks = {"sdss": {"mock": 1}, "apogee": {"mock": 1}}
    assert watched == [(mocks, 1 + 2**31)]
    # A run with new batches, watched on the first one's.
    recipe.write_text(f"{RECIPE}seed = {1 + 2**31}\n".replace("[data]", "[data]\nseed = 2"))
    pretrain(recipe, progress=False, folder=recipe.parent / "again")
    assert watched[1] == watched[0]


def test_a_run_is_not_watched_on_what_it_learns_from(recipe):
    recipe.write_text(f"{RECIPE}seed = 1\n")
    with pytest.raises(ValueError, match="have the same seed 1"):
        pretrain(recipe, progress=False)


@pytest.mark.slow
def test_weights_are_a_start(recipe):
    folder = pretrain(recipe, progress=False)
    text = RECIPE.replace('[model]\nsize = "tiny"\n', "").replace(
        'folder = "run"', 'folder = "more"\nstart = "run/model"'
    )
    recipe.write_text(text)
    more = pretrain(recipe, progress=False)
    assert more.parent.name == "more" and spectok.load_model(more).config.width == 32
    assert folder != more
    recipe.write_text(text.replace("[data]", '[model]\nsize = "tiny"\n[data]'))
    with pytest.raises(ValueError, match="exclude each other"):
        pretrain(recipe, progress=False)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("steps = 2", "step = 2", r"\[training\] has step, which means nothing"),
        ("steps = 2", "", r"lacks steps in \[training\]"),
        ("[mixture]", "[mixtures]", "the recipe has mixtures, which means nothing"),
        ("tokens = 200", "tokens 200", "is no TOML"),
        ("varied = 1", "colour = 1", r"\[mock\] has colour"),
        ("real = 1,", "reel = 1,", "the mixture names reel, but the sources are real, mock"),
    ],
)
def test_what_is_misspelt_is_named(recipe, old, new, message):
    recipe.write_text(RECIPE.replace(old, new))
    with pytest.raises(ValueError, match=message):
        pretrain(recipe, progress=False)


@pytest.mark.slow
def test_a_recipe_may_hide_more(recipe):
    text = recipe.read_text()
    heavy = "[data.hidden]\npatches = {share = [0.5, 0.7], visible = [1, 2]}\n[mock]"
    recipe.write_text(text.replace("[mock]", heavy))
    pretrain(recipe, progress=False, steps=1)
    recipe.write_text(text.replace("[mock]", heavy.replace("visible", "shown")))
    with pytest.raises(ValueError, match="patches may have chance, share, visible, not shown"):
        pretrain(recipe, progress=False, steps=1)


def test_recipes_of_0_1_are_read_or_refused_with_the_reason(recipe):
    text = recipe.read_text()
    recipe.write_text(text.replace("accumulate = 1", "accumulate = 1\nbalance = 0.0"))
    assert "balance" not in read_recipe(recipe)["training"]
    recipe.write_text(text.replace("accumulate = 1", "accumulate = 1\nbalance = 0.5"))
    with pytest.raises(ValueError, match="balance other than 0, which slowed learning"):
        read_recipe(recipe)


def test_recipes_of_0_1_may_call_extra_lines_strange(recipe):
    text = recipe.read_text()
    recipe.write_text(text.replace("varied = 1", "varied = 1\nstrange = 0.4"))
    with pytest.warns(AstropyDeprecationWarning, match="strange in .mock. is called extra_lines"):
        read = read_recipe(recipe)
    assert "strange" not in read["mock"] and read["mock"]["extra_lines"] == 0.4
    (_, one), *_ = next(iter(sources_of(read, recipe.parent, "cpu")["mock"].simulators.values()))
    assert one.extra_lines == 0.4
    recipe.write_text(text.replace("varied = 1", "varied = 1\nstrange = 0.4\nextra_lines = 0.1"))
    with pytest.raises(ValueError, match="extra_lines and strange, its old name"):
        read_recipe(recipe)


def test_recipes_of_0_1_may_call_draw_batches_together(recipe):
    text = recipe.read_text()
    recipe.write_text(text.replace("tokens = 200", "tokens = 200\ntogether = 2"))
    with pytest.warns(AstropyDeprecationWarning, match="together in .data. is called") as caught:
        read = read_recipe(recipe)
    assert read["data"]["draw_batches"] == 2 and "together" not in read["data"]
    assert {one.filename for one in caught} == {__file__}
    recipe.write_text(text.replace("tokens = 200", "tokens = 200\ntogether = 2\ndraw_batches = 2"))
    with pytest.raises(ValueError, match="draw_batches and together, its old name"):
        read_recipe(recipe)


def test_the_recipes_of_the_repository_can_be_read():
    # Tests of an installed wheel stand alone; in a checkout a lost recipe fails.
    if not RECIPES.is_dir():
        pytest.skip("the recipes are not beside the tests")
    found = sorted(RECIPES.rglob("*.toml"))
    assert [path.parent.name for path in found] == ["gpu", "paper", "small_v1", "small_v2"]
    for path in found:
        assert read_recipe(path)["training"]["steps"] > 1000


@pytest.mark.parametrize(
    ("name", "rank", "said"),
    [("RANK", "0", 1), ("RANK", "1", 0), ("LOCAL_RANK", "1", 0), ("LOCAL_RANK", "0", 1)],
)
def test_one_of_the_ranks_reports(name, rank, said, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    monkeypatch.setenv(name, rank)
    monkeypatch.setattr("spectok._pretrain.pretrain", lambda *a, **options: tmp_path / "model")
    assert main(["pretrain", "recipe.toml"]) == 0
    assert capsys.readouterr().out.count("load it with") == said


@pytest.mark.slow
def test_it_runs_where_astropy_is_not(recipe):
    """Compute nodes often have PyTorch and little else."""
    code = (
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in ('astropy', 'specutils', 'astroquery', 'h5py'):\n"
        "            raise ImportError(name + ' is not here')\n"
        "sys.meta_path.insert(0, Refuse())\n"
        "from spectok._cli import main\n"
        f"sys.exit(main(['pretrain', {str(recipe)!r}, '--steps', '1']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "load it with spectok.load_model" in done.stdout
