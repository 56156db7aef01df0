"""A map of many spectra for a browser: hover to see what one is, click to see more."""

from __future__ import annotations

import html
from importlib import resources
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spectok.plotting._map_parts import colourings, curves, nearest, texts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from astropy.table import Table
    from bokeh.document import Document

__all__ = ["InteractiveMap", "interactive_map"]

_MANY = 100_000
_ICONS = ("circle", "triangle", "square", "diamond", "inverted_triangle", "star")


class InteractiveMap:
    """A map for a browser, as `spectok.plotting.interactive_map` makes it.

    The last line of a notebook's cell shows it. It needs no network: all that it draws, and the
    library that draws it, stand in one page.

    Parameters
    ----------
    page : str
        The whole page, in HTML.

    Examples
    --------
    >>> from spectok import plotting
    >>> chart = plotting.InteractiveMap("<!DOCTYPE html><p>a map</p>")
    >>> chart
    <InteractiveMap, 0.0 MB: save("map.html") writes it>
    """

    def __init__(self, page: str) -> None:
        self.html = page

    def save(self, path: str | PathLike[str], *, overwrite: bool = False) -> None:
        """Write the page to a file, which any browser opens.

        Parameters
        ----------
        path : path
            Of the file, such as ``"map.html"``.
        overwrite : bool, optional
            Replace a file of that name.

        Raises
        ------
        FileExistsError
            Where there is such a file and ``overwrite`` is not True.
        """
        if Path(path).exists() and not overwrite:
            raise FileExistsError(f"{fspath(path)} exists: give overwrite=True, or another name")
        Path(path).write_text(self.html, encoding="utf-8")

    def __repr__(self) -> str:
        size = len(self.html.encode()) / 1e6
        return f'<InteractiveMap, {size:.1f} MB: save("map.html") writes it>'

    def _repr_html_(self) -> str:
        # A page within the page: neither's style or scripts reach the other's.
        # One column, and so a higher page, where the cell is narrow.
        return (
            "<style>.spectok-map{container-type:inline-size}"
            ".spectok-map iframe{width:100%;height:600px;border:0}"
            "@container (max-width:599px){.spectok-map iframe{height:1130px}}</style>"
            '<div class="spectok-map"><iframe title="map of spectra" loading="lazy" '
            f'srcdoc="{html.escape(self.html)}"></iframe></div>'
        )


def interactive_map(
    coordinates: Any,
    table: Table,
    *,
    colour: str | Sequence[str] = ("class", "redshift"),
    marker: str | None = None,
    columns: Sequence[str] | None = None,
    name: str = "object_id",
    link: str | None = None,
    spectra: Sequence[Any] | None = None,
    n_neighbours: int = 5,
    title: str = "Map of spectra",
) -> InteractiveMap:
    """Make a map of spectra for a browser: hovering says what one is, a click says more.

    A click shows all that the table knows of a spectrum, its nearest neighbours by *embedding*
    (a map in two dimensions tears some of them away; they are ringed on it), its page on the web
    and its picture, where there are any. Needs bokeh: ``pip install ".[maps]"``.

    Parameters
    ----------
    coordinates : array, shape (N, 2)
        A place for each spectrum, such as UMAP makes of the vectors of `spectok.embed`.
    table : `~astropy.table.Table`, N rows
        What is known of the spectra, such as `spectok.embed` or `spectok.probes.catalogue` gives.
        Neighbours are looked for in its column ``embedding``, where there is one.
    colour : str or sequence of str, optional
        Columns to colour by, the first one at first. Words are classes; numbers have a scale
        from their 2nd to their 98th percentile; what is not known is grey. Of the default ones
        those that are there.
    marker : str, optional
        A column of a few words, each of which has a symbol of its own.
    columns : sequence of str, optional
        What hovering and clicking shows; by default every column of single values but
        ``spectrum_index`` and ``link``.
    name : str, optional
        The column that names a spectrum.
    link : str, optional
        A column of addresses of pages on the web; empty where there is none.
    spectra : sequence of `~specutils.Spectrum` or None, N entries, optional
        Those that a click is to draw, as medians of some hundred bins.
    n_neighbours : int, optional
        How many a click shows.
    title : str, optional
        Above the map.

    Returns
    -------
    map : `InteractiveMap`
        A notebook shows it; ``save`` writes it to one file of HTML, which needs no network.

    Raises
    ------
    ImportError
        Without bokeh.
    ValueError
        - For coordinates of another shape or not finite, and numbers of rows that differ.
        - For columns that there are not, or that do not hold one value per spectrum.
        - For links that are no addresses of the web.
        - For more than 100,000 spectra, more than a browser draws: take a sample of them.

    See Also
    --------
    plot_embedding : The same for paper.

    Examples
    --------
    >>> import numpy as np
    >>> from spectok import plotting, probes
    >>> table = probes.catalogue()
    >>> vectors = table["embedding"] - table["embedding"].mean(0)
    >>> places = vectors @ np.linalg.svd(vectors, full_matrices=False)[2][:2].T
    >>> chart = plotting.interactive_map(places, table)
    >>> chart.save("map.html")  # doctest: +SKIP
    """
    try:
        import bokeh  # noqa: F401
    except ImportError as error:
        raise ImportError(
            'maps for a browser need bokeh: pip install ".[maps]" in a checkout'
        ) from error
    places = _checked(coordinates, table)
    wanted = [colour] if isinstance(colour, str) else list(colour)
    if wanted == ["class", "redshift"]:
        wanted = [one for one in wanted if one in table.colnames]
    if columns is None:
        skipped = {"spectrum_index", link}
        columns = [one for one in table.colnames if table[one].ndim == 1 and one not in skipped]
    for one in (*wanted, *columns, *filter(None, (name, marker, link))):
        if one not in table.colnames:
            raise ValueError(f"the table has no column {one!r}: it has {table.colnames}")
        if table[one].ndim != 1:
            raise ValueError(f"the column {one!r} has more than one value per spectrum")
    if spectra is not None and len(spectra) != len(table):
        raise ValueError(
            f"{len(table)} rows, but {len(spectra)} spectra: give one, or None, for each"
        )
    shown = {one: texts(table[one]) for one in columns}
    names = texts(table[name])
    words = None if marker is None else texts(table[marker])
    if words is not None and len(set(words)) > len(_ICONS):
        raise ValueError(
            f"the column {marker!r} has {len(set(words))} different words, and there are "
            f"{len(_ICONS)} markers: merge some"
        )
    document = _document(
        places,
        shown,
        colourings(table, wanted),
        (marker, words),
        {
            "names": names,
            "links": _links(table, link, names),
            "neighbours": nearest(table, n_neighbours),
            "curves": curves(spectra),
        },
        title,
    )
    from bokeh.embed import file_html
    from bokeh.resources import INLINE

    here = resources.files("spectok.plotting")
    page = file_html(
        document,
        INLINE,
        title=title,
        template=(here / "map.html").read_text(encoding="utf-8"),
    )
    return InteractiveMap(page)


def _checked(coordinates: Any, table: Any) -> np.ndarray:
    if not hasattr(table, "colnames"):
        raise TypeError(
            f"what is known of the spectra is a table, not {type(table).__name__}: "
            "astropy.table.Table(...) makes one"
        )
    places = np.asarray(coordinates, dtype=float)
    if places.ndim != 2 or places.shape[1] != 2 or not len(places):
        raise ValueError(
            f"coordinates must have the shape (N, 2), not {places.shape}: a place for each "
            "spectrum, such as umap.UMAP().fit_transform(vectors) gives"
        )
    if len(places) != len(table):
        raise ValueError(f"{len(places)} places, but a table of {len(table)} rows")
    lost = int((~np.isfinite(places).all(1)).sum())
    if lost:
        raise ValueError(
            f"{lost} of {len(places)} coordinates are not finite: leave those rows out of both"
        )
    if len(places) > _MANY:
        raise ValueError(
            f"{len(places):,} spectra are more than a browser draws ({_MANY:,}): take a sample, "
            "or plot_embedding"
        )
    return places


def _links(table: Any, link: str | None, names: list[str]) -> list[str]:
    if link is None:
        return []
    found = ["" if one == "not known" else one for one in texts(table[link])]
    for own, address in zip(names, found, strict=True):
        if address and not address.startswith(("https://", "http://")):
            raise ValueError(
                f"the link of {own} is {address!r}: an address of the web begins with https://"
            )
    return found


def _document(
    places: np.ndarray,
    shown: dict[str, list[str]],
    colours: dict[str, tuple[list[str], str]],
    marked: tuple[str | None, list[str] | None],
    more: dict[str, Any],
    title: str,
) -> Document:
    """What bokeh draws: the map, its legend, what a click tells and a spectrum."""
    from bokeh.document import Document
    from bokeh.models import ColumnDataSource, CustomJS, HoverTool
    from bokeh.models.widgets import Div, Select
    from bokeh.plotting import figure
    from bokeh.transform import factor_mark

    own = {f"text {one}": text for one, text in shown.items()}
    own |= {f"colour {one}": values for one, (values, _) in colours.items()}
    first = f"colour {next(iter(colours))}" if colours else "#0072b2"
    marker, words = marked
    symbol: Any = "circle"
    if words is not None:
        own["marker"] = words
        factors = _by_number(words)
        symbol = factor_mark("marker", list(_ICONS[: len(factors)]), factors)
    source = ColumnDataSource({"x": places[:, 0], "y": places[:, 1], **own})
    ring = ColumnDataSource({"x": [], "y": [], "size": [], "width": []})
    picture = ColumnDataSource({"x": [], "y": []})
    size = float(np.clip(200 / np.sqrt(len(places)), 3, 8))
    chart = figure(
        name="chart", height=480, sizing_mode="stretch_width", toolbar_location="above",
        tools="pan,wheel_zoom,box_zoom,reset,tap,save", active_drag="box_zoom",
    )  # fmt: skip
    chart.axis.visible = chart.grid.visible = False  # only who lies beside whom means something
    chart.toolbar.logo = None
    drawn = chart.scatter(
        "x", "y", source=source, size=size, marker=symbol, fill_color=first, line_color="white",
        line_width=0.3, fill_alpha=0.85, nonselection_fill_alpha=0.85,
        nonselection_line_color="white",
    )  # fmt: skip
    chart.scatter(
        "x", "y", source=ring, size="size", fill_color=None, line_color="black", line_width="width"
    )
    tips = [(one, "@{text %s}" % one) for one in shown]  # noqa: UP031
    chart.add_tools(HoverTool(renderers=[drawn], tooltips=tips, point_policy="snap_to_data"))
    legends = {one: text for one, (_, text) in colours.items()}
    if words is not None:
        legends = {one: text + _symbols(marker, words) for one, text in legends.items()}
    legend = Div(name="legend", text=next(iter(legends.values()), ""), sizing_mode="stretch_width")
    detail = Div(
        name="detail", text="Click on a spectrum to see more of it.", sizing_mode="stretch_width"
    )
    small = figure(
        name="picture", height=190, sizing_mode="stretch_width", tools="", visible=False,
        x_axis_label="wavelength [Å]", y_axis_label="flux / its median",
    )  # fmt: skip
    small.toolbar_location = None
    small.line("x", "y", source=picture, line_color="#0072b2")
    script = (resources.files("spectok.plotting") / "map.js").read_text(encoding="utf-8")
    source.selected.js_on_change(
        "indices",
        CustomJS(
            args={
                "source": source, "ring": ring, "picture": picture, "detail": detail,
                "small": small, "size": size, "columns": list(shown), **more,
            },
            code=script,
        ),
    )  # fmt: skip
    choice = Select(
        name="choice", title="colour", options=list[Any](legends), value=next(iter(legends), ""),
        visible=len(legends) > 1, width=200,
    )  # fmt: skip
    choice.js_on_change(
        "value",
        CustomJS(
            args={"drawn": drawn, "legend": legend, "legends": legends},
            code="""
const colour = {field: "colour " + this.value};
for (const glyph of [drawn.glyph, drawn.nonselection_glyph, drawn.selection_glyph]) {
    if (glyph && glyph.fill_color !== undefined) glyph.fill_color = colour;
}
legend.text = legends[this.value];
""",
        ),
    )
    document = Document(title=title)
    for one in (chart, legend, detail, small, choice):
        document.add_root(one)
    return document


def _symbols(marker: str | None, words: list[str]) -> str:
    """The words of the markers, as a line of the legend."""
    glyphs = dict(zip(_ICONS, "●▲■◆▼★", strict=True))
    found = [
        f"{glyphs[icon]} {html.escape(word)} ({words.count(word):,})"
        for icon, word in zip(_ICONS, _by_number(words), strict=False)
    ]
    return f"<div>{html.escape(marker or '')}: {' &nbsp; '.join(found)}</div>"


def _by_number(words: list[str]) -> list[str]:
    """Different words, the most frequent first."""
    return sorted(set(words), key=lambda word: (-words.count(word), word))
