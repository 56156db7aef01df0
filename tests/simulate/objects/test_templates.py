"""Collections of families, and the file that holds one."""

import json

import pytest
import torch
from safetensors.torch import save_file

from spectok import simulate
from spectok._split import SETS, name_split
from spectok.simulate._fine_grid import FINE
from spectok.simulate.objects._analytic import analytic_templates
from spectok.simulate.objects._templates import Templates

CPU = torch.device("cpu")


@pytest.fixture
def small(toy):
    """Two families, one with an array that is not contiguous."""
    arrays, about = {}, {}
    for name, form in (("one", "table"), ("two", "quadratic")):
        own, about[name] = toy(form, FINE["hermes"], n=50, fine="hermes")
        arrays |= {f"{name}.{key}": value for key, value in own.items()}
    arrays["two.vectors"] = arrays["two.vectors"].T.contiguous().T
    return Templates(arrays, about)


def test_round_trip(small, tmp_path):
    path = tmp_path / "templates.safetensors"
    simulate.save_templates(small, path)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    again = simulate.load_templates(str(path))
    assert again.about == json.loads(json.dumps(small.about))
    assert again.arrays.keys() == small.arrays.keys()
    for key, value in small.arrays.items():
        assert again.arrays[key].dtype == value.dtype and torch.equal(again.arrays[key], value)
    # The same objects come of both.
    first, second = (
        simulate.Simulator("galah", templates=one).observe(4, seed=1)[0] for one in (small, again)
    )
    assert torch.equal(first.flux, second.flux) and first.families == second.families


def test_an_older_file_is_replaced_only_by_a_whole_one(small, tmp_path):
    path = tmp_path / "templates.safetensors"
    simulate.save_templates(small, path)
    before = path.read_bytes()
    small.about["one"]["source"] = object()  # which no file can hold
    with pytest.raises(TypeError):
        simulate.save_templates(small, path)
    assert path.read_bytes() == before
    with pytest.raises(FileNotFoundError):
        simulate.save_templates(analytic_templates(), tmp_path / "nowhere" / "file")


def test_families_of_a_grid(small):
    families = small.families("hermes", FINE["hermes"], CPU)
    assert [family.name for family in families] == ["one", "two"]
    assert small.families("hermes", FINE["hermes"], CPU) is families, "they are made once"
    assert small.families("h", FINE["h"], CPU) == []
    # Many half-precision rows are gathered and stay; what is computed with is single precision.
    assert families[0].arrays["flux"].dtype == torch.float16
    assert families[1].arrays["vectors"].dtype == torch.float32
    assert families[0].arrays["first"].dtype == torch.int64


def test_names_that_begin_alike_are_kept_apart(toy):
    arrays, about = {}, {}
    for name in ("star", "star.old", "stars"):
        own, about[name] = toy("table", FINE["h"], fine="h", seed=len(name))
        arrays |= {f"{name}.{key}": value for key, value in own.items()}
    families = Templates(arrays, about).families("h", FINE["h"], CPU)
    assert len({float(f.arrays["flux"].float().sum()) for f in families}) == 3


def test_what_it_holds_is_shown(small):
    assert repr(small).splitlines()[1:] == ["  one: star, random numbers",
                                            "  two: star, random numbers>"]  # fmt: skip


def test_no_such_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing: no such file; make it with sim"):
        simulate.load_templates(tmp_path / "nothing")


@pytest.mark.parametrize("damage", ["text", "cut", "weights", "about", "empty"])
def test_files_that_hold_no_templates(small, tmp_path, damage):
    path = tmp_path / "file"
    simulate.save_templates(small, path)
    if damage == "text":
        path.write_text("SIMPLE  = T")
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-1000])
    elif damage == "weights":
        save_file({"weight": torch.ones(3)}, path)
    elif damage == "about":
        save_file({"weight": torch.ones(3)}, path, metadata={"about": "{no json"})
    else:
        path.write_bytes(b"")
    with pytest.raises(ValueError, match="file: not a file of templates .*; make it anew"):
        simulate.load_templates(path)


# parts


def rows_of(templates, family):
    """Numbers in the whole collection of a part's templates."""
    return set(templates.arrays[f"{family}.entry"].tolist())


def test_parts_share_no_template(toy):
    arrays, about = {}, {}
    for name, form in (("one", "table"), ("one.b", "basis"), ("two", "network")):
        own, about[name] = toy(form, FINE["h"], n=60, fine="h", redshift=(0.1, 0.5))
        if form == "basis":
            own["redshift"] = torch.arange(60.0)
        arrays |= {f"{name}.{key}": value for key, value in own.items()}
    whole = Templates(arrays, about)
    parts = {name: whole.part(name) for name in SETS}
    for family, main in (("one", "flux"), ("one.b", "coeff"), ("two", "labels")):
        rows = [rows_of(part, family) for part in parts.values() if family in part.about]
        assert sum(map(len, rows)) == 60 and set.union(*rows) == set(range(60))
        for name, part in parts.items():
            entry = part.arrays[f"{family}.entry"]
            assert {str(name_split(f"{family}:{k}")) for k in entry.tolist()} == {name}
            for key in (k for k in arrays if k.rpartition(".")[0] == family):
                kept = part.arrays[key]
                by_row = key.rpartition(".")[2] in (main, "labels", "first", "last", "redshift")
                assert torch.equal(kept, arrays[key][entry] if by_row else arrays[key])
    # A part of a part knows the numbers of the whole.
    again = parts["test"].part("test")
    assert all(torch.equal(again.arrays[k], v) for k, v in parts["test"].arrays.items())
    assert parts["test"].part("train").about == {}


@pytest.mark.parametrize("form", ["table", "basis", "kernel"])
def test_mocks_of_a_part_name_templates_of_the_whole(toy, form, tmp_path):
    arrays, about = toy(form, FINE["h"], n=60, fine="h")
    whole = Templates({f"toy.{key}": value for key, value in arrays.items()}, {"toy": about})
    simulate.save_templates(whole.part("test"), tmp_path / "test")
    test = simulate.load_templates(tmp_path / "test")
    (seen,) = simulate.Simulator("apogee", templates=test).observe(50, seed=1)
    drawn = {int(k) for k in seen.labels["template"]}
    assert drawn <= rows_of(test, "toy") and len(drawn) > 5
    if form == "table":
        by_row = arrays["labels"][seen.labels["template"].long(), 0]
        assert torch.equal(seen.labels["teff"], by_row)


def test_redshifts_go_with_their_templates(toy):
    arrays, about = toy("table", FINE["optical"], n=60, fine="optical", redshift=(0.0, 5.0))
    arrays["redshift"] = 0.05 * torch.arange(1.0, 61.0)
    whole = Templates(
        {f"toy.{key}": value for key, value in arrays.items()},
        {"toy": {**about, "kind": "galaxy"}},
    )
    (seen,) = simulate.Simulator("sdss", templates=whole.part("test")).observe(20)
    own = 0.05 * (seen.labels["template"].double() + 1)
    assert (seen.labels["redshift"] / own).log().abs().max() < 0.21
    assert own.max() > 1.5


def test_families_without_a_template_in_a_part_are_left_out(toy):
    own, about = toy("table", FINE["h"], n=1, fine="h")
    whole = Templates({f"toy.{k}": v for k, v in own.items()}, {"toy": about})
    set_of = str(name_split("toy:0"))
    assert list(whole.part(set_of).about) == ["toy"]
    for name in set(SETS) - {set_of}:
        empty = whole.part(name)
        assert empty.about == {} and empty.arrays == {}
        with pytest.raises(ValueError, match="no template covers apogee"):
            simulate.Simulator("apogee", templates=empty)


def test_no_such_part(small):
    with pytest.raises(ValueError, match="a part is train, validation, test, not 'all'"):
        small.part("all")


# the analytic ones


@pytest.mark.parametrize(("fine", "kinds"), [("optical", {"star", "galaxy", "quasar"}),
                                             ("hermes", {"star"}), ("h", {"star"})])  # fmt: skip
def test_analytic_templates(fine, kinds):
    families = analytic_templates().families(fine, FINE[fine], CPU)
    assert {family.kind for family in families} == kinds
    for family in families:
        flux = family.arrays["flux"].float()
        assert torch.isfinite(flux).all() and (flux > 0).all()
        assert len(torch.unique(flux[:, family.pad + 5000 % flux.shape[1]])) > 10, "they differ"


def test_analytic_stars_have_lines_where_they_belong():
    (family,) = (f for f in analytic_templates().families("optical", FINE["optical"], CPU)
                 if f.kind == "star")  # fmt: skip
    flux = family.arrays["flux"][:, family.pad : -family.pad].double()
    wavelength = torch.as_tensor(family.grid.wavelength())
    teff = family.arrays["labels"][:, 0].double()
    # Balmer lines grow with temperature: they are what hot stars have more than cool ones.
    ratio = flux[teff > 6500].log().mean(0) - flux[teff < 5000].log().mean(0)
    for line in (6564.6, 4862.7):
        near = (wavelength / line - 1).abs() * 299792 < 1000
        lowest = wavelength[near][ratio[near].argmin()]
        assert abs(float(lowest / line - 1)) * 299792 < 60
    # Hotter stars are bluer: the flux is over its median.
    shine = flux[:, (wavelength - 4500).abs() < 50].mean(1)
    assert torch.corrcoef(torch.stack([teff, shine]))[0, 1] > 0.9
