"""Maps for a browser: what they hold, and what hovering and clicking show in one."""

import os
import shutil

import numpy as np
import pytest
from astropy import units as u
from astropy.table import MaskedColumn, QTable, Table

pytest.importorskip("bokeh", reason="maps need bokeh")
from spectok import plotting, simulate
from spectok.plotting._map_parts import colourings, curves, nearest, texts

CHROME = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    return QTable(
        {
            "spectrum_index": np.arange(20),
            "object_id": ["<b>first</b>", *(f"object {i}" for i in range(1, 20))],
            "class": ["GALAXY", "QSO"] * 10,
            "redshift": np.where(np.arange(20) == 4, np.nan, np.linspace(0.1, 2, 20)),
            "teff": np.arange(20) * 100 * u.K,
            "page": ["https://example.org/?a=1&b=2", *[""] * 19],
            "embedding": rng.normal(size=(20, 8)).astype(np.float32),
        }
    )


@pytest.fixture
def places():
    return np.stack([np.arange(20) % 5, np.arange(20) // 5], 1).astype(float)


def test_a_page_needs_nothing_else(table, places, tmp_path):
    chart = plotting.interactive_map(places, table, link="page", title="A <map>")
    assert "A &lt;map&gt;" in chart.html
    # Scripts and styles stand in it.
    assert "<script src" not in chart.html and "<link" not in chart.html
    chart.save(tmp_path / "map.html")
    assert (tmp_path / "map.html").read_text(encoding="utf-8") == chart.html
    with pytest.raises(FileExistsError, match="overwrite=True"):
        chart.save(tmp_path / "map.html")
    chart.save(tmp_path / "map.html", overwrite=True)
    assert chart._repr_html_().count("<iframe") == 1
    assert "MB" in repr(chart)


def test_words_of_columns(table):
    assert texts(table["redshift"])[4] == "not known"
    assert texts(table["teff"])[3] == "300 K"
    assert texts(MaskedColumn([1, 2], mask=[False, True])) == ["1", "not known"]
    assert texts(np.array([b"GALAXY", b""])) == ["GALAXY", "not known"]


def test_colours_and_legends(table):
    found = colourings(table, ["class", "redshift"])
    colours, legend = found["class"]
    assert colours[0] == colours[2] != colours[1]
    assert "GALAXY (10)" in legend
    colours, legend = found["redshift"]
    assert len(set(colours)) > 10 and colours[4] == "#d0d0d0"
    assert "not known (1)" in legend


def test_rare_classes_share_a_colour():
    words = [f"class {i}" for i in range(12) for _ in range(12 - i)]
    colours, legend = colourings(Table({"class": words}), ["class"])["class"]
    assert len(set(colours)) == 8
    assert "other (15)" in legend  # 5 + 4 + 3 + 2 + 1


def test_neighbours_are_those_by_cosine(table):
    vectors = np.asarray(table["embedding"], float)
    vectors /= np.linalg.norm(vectors, axis=1)[:, None]
    away = 1 - vectors @ vectors.T
    np.fill_diagonal(away, np.inf)
    for row, (which, far) in enumerate(nearest(table, 3)):
        assert which == away[row].argsort()[:3].tolist()
        np.testing.assert_allclose(far, np.sort(away[row])[:3], atol=1e-4)


def test_spectra_without_an_embedding_have_no_neighbours(table):
    table["embedding"][2] = np.nan
    found = nearest(table, 19)
    assert found[2] == [[], []]
    assert all(2 not in which and len(which) == 18 for i, (which, _) in enumerate(found) if i != 2)


def test_small_pictures():
    spectrum = simulate.observe("sdss", kind="star", snr=20)[0]
    spectrum.mask[:100] = True
    found = curves([None, spectrum])
    assert list(found) == ["1"]
    wavelength, flux = found["1"]
    assert len(wavelength) == len(flux) == 150
    assert flux[0] is None and 0.5 < np.median([one for one in flux if one is not None]) < 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"coordinates": np.zeros((20, 3))}, "shape"),
        ({"coordinates": np.zeros((19, 2))}, "19 places, but a table of 20 rows"),
        ({"coordinates": np.full((20, 2), np.nan)}, "20 of 20 coordinates are not finite"),
        ({"colour": "kind"}, "no column 'kind'"),
        ({"colour": "embedding"}, "more than one value"),
        ({"link": "object_id"}, "begins with https://"),
        ({"marker": "object_id"}, "20 different words"),
        ({"spectra": [None]}, "20 rows, but 1 spectra"),
    ],
)
def test_maps_that_cannot_be_made(table, places, change, message):
    given = {"coordinates": places, "table": table} | change
    with pytest.raises(ValueError, match=message):
        plotting.interactive_map(**given)


def test_what_is_known_is_a_table(places):
    with pytest.raises(TypeError, match="a table, not ndarray"):
        plotting.interactive_map(places, places)


@pytest.mark.slow
@pytest.mark.skipif(CHROME is None, reason="no Chromium to hover and click in")
def test_hovering_and_clicking_in_a_browser(table, places, tmp_path):
    browsers = pytest.importorskip("playwright.sync_api", reason="playwright drives the browser")
    spectra = [simulate.observe("sdss", kind="star", snr=20)[0], *[None] * 19]
    plotting.interactive_map(places, table, link="page", spectra=spectra).save(tmp_path / "a.html")
    arguments = ["--no-sandbox"] if os.name == "posix" and os.geteuid() == 0 else []
    with browsers.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROME, args=arguments)
        page = browser.new_page(viewport={"width": 1000, "height": 700})
        asked, wrong = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto((tmp_path / "a.html").as_uri())
        page.wait_for_function("window.Bokeh && Bokeh.documents[0] && Bokeh.documents[0].is_idle")
        x, y = page.evaluate(
            """() => {
                const chart = Bokeh.documents[0].get_model_by_name("chart");
                const view = Bokeh.index.find_one_by_id(chart.id);
                const corner = view.el.getBoundingClientRect();
                const data = chart.renderers[0].data_source.data;
                return [corner.x + view.frame.x_scale.compute(data.x[0]),
                        corner.y + view.frame.y_scale.compute(data.y[0])];
            }"""
        )
        page.mouse.move(x, y)
        page.get_by_text("0.1", exact=True).wait_for()
        # Words of the table are words, in the tooltip and beside the map.
        assert page.get_by_text("<b>first</b>", exact=True).count() == 1
        page.mouse.click(x, y)
        link = page.get_by_role("link", name="https://example.org/?a=1&b=2")
        link.wait_for()
        assert link.get_attribute("href") == "https://example.org/?a=1&b=2"
        near = page.get_by_role("listitem").all_inner_texts()
        best, far = nearest(table, 5)[0]
        assert len(near) == 5
        assert near[0].startswith(f"object {best[0]}: ") and f"({far[0]})" in near[0]
        model = "Bokeh.documents[0].get_model_by_name"
        assert page.evaluate(f"{model}('picture').visible")
        page.get_by_role("combobox").select_option("redshift")
        page.get_by_text("redshift: ", exact=False).first.wait_for()
        assert page.evaluate(f"{model}('chart').renderers[0].glyph.fill_color.field") == (
            "colour redshift"
        )
        browser.close()
    assert asked == [(tmp_path / "a.html").as_uri()] and not wrong
