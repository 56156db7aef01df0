"""Fetching SDSS spectra from a real HTTP server on this machine, in all its moods."""

import email
import functools
import json
import re
import socket
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO

import astropy.units as u
import numpy as np
import pytest
from astropy.config import set_temp_cache
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import MaskedColumn, QTable, Table
from astropy.utils.data import conf as data_conf
from astropy.utils.data import is_url_in_cache
from astropy.utils.exceptions import AstropyUserWarning
from hypothesis import given
from hypothesis import strategies as st

from spectok.surveys import sdss

N = 150
# plate, mjd, fiber, run2d, ra, dec: two of one star, one near it, and others far away.
CATALOGUE = [
    (751, 52251, 160, "26", 2.0234, 14.8398),
    (7037, 56570, 4, "v5_13_0", 2.0234, 14.83995),
    (752, 52252, 7, "26", 2.0264, 14.8398),
    (2812, 54633, 5, "103", 250.3, -36.4),
    (3586, 55181, 10, "v5_13_0", 359.9999, 0.5),
]
PLACE = SkyCoord(2.0234, 14.8398, unit="deg")


@functools.cache
def spec_file(plate, mjd, fiber):
    """A small file in the layout of SDSS; its flux tells which it is."""
    names = {"flux": "E", "loglam": "E", "ivar": "E", "and_mask": "J", "model": "E"}
    values = [np.full(N, fiber), 3.6 + 1e-4 * np.arange(N), np.ones(N), np.zeros(N), np.ones(N)]
    values[3][5] = 1 << 25
    columns = [
        fits.Column(name, kind, array=array)
        for (name, kind), array in zip(names.items(), values, strict=True)
    ]
    row = {"PLATE": plate, "MJD": mjd, "FIBERID": fiber, "Z": 0.25}
    hdus = [
        fits.PrimaryHDU(),
        fits.BinTableHDU.from_columns(columns),
        fits.BinTableHDU.from_columns([fits.Column(k, "D", array=[v]) for k, v in row.items()]),
    ]
    content = BytesIO()
    fits.HDUList(hdus).writeto(content)
    return content.getvalue()


class Handler(BaseHTTPRequestHandler):
    """The archive's files and the catalogue, over the ways in which astroquery asks for them."""

    def log_message(self, *args):
        pass

    def send(self, content, status=200, promised=None):
        self.send_response(status)
        self.send_header("Content-Length", str(promised or len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self):
        path, _, query = self.path.partition("?")
        self.server.asked.append(path)
        if path.startswith("/sas/"):
            mood = self.server.files.get(path, 404)
            if callable(mood):
                mood(self)
            elif isinstance(mood, int):
                self.send(b"<html>no</html>", status=mood)
            else:
                self.send(mood)
            return
        sql = urllib.parse.parse_qs(query)["cmd"][0]
        if "fDocColumns" in sql:
            self.server.columns(self)
            return
        self.server.sql.append(sql)
        groups = re.findall(r"\(plate=(\d+) AND mjd=(\d+) AND fiberID IN \(([\d,]+)\)\)", sql)
        keys = {(int(p), int(m), int(f)) for p, m, fs in groups for f in fs.split(",")}
        self.table([e for e in self.server.catalogue if e[:3] in keys], ",".join)

    def columns(self):
        self.send(json.dumps([{"Rows": [{"name": "plate"}, {"name": "ra"}]}]).encode())

    def do_POST(self):
        self.server.asked.append(self.path)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        kind = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        form = {
            part.get_param("name", header="content-disposition"): part.get_payload()
            for part in email.message_from_bytes(kind + body).get_payload()
        }
        assert "SpecObjAll" in form["uquery"]
        radius = float(form["radius"]) / 60
        found = []
        for line in form["upload"].split("\n")[1:]:
            ra, dec = map(float, line.split())
            for entry in self.server.catalogue:
                across = (entry[4] - ra + 180) % 360 - 180
                if np.hypot(across * np.cos(np.radians(dec)), entry[5] - dec) <= radius:
                    found.append(entry)
        self.table(found, ",".join)

    def table(self, entries, join):
        if self.server.page is not None:
            self.send(self.server.page)
            return
        lines = [join(map(str, (e[4], e[5], 12345, *e[:4]))) for e in entries]
        self.send("\n".join(["#Table1", "ra,dec,objid,plate,mjd,fiberID,run2d", *lines]).encode())


class Archive(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.files, self.asked, self.sql, self.page = {}, [], [], None
        self.catalogue = list(CATALOGUE)
        self.columns = Handler.columns
        self.closing = threading.Event()
        for release in range(8, 19):
            for entry in CATALOGUE:
                self.files[path_of(*entry[:4], release)] = spec_file(*entry[:3])

    def handle_error(self, request, client_address):
        """Clients that hang up are part of the tests."""

    def spectra(self):
        return [path for path in self.asked if path.startswith("/sas/")]


def path_of(plate, mjd, fiber, run2d, release=17):
    """Where the archive has a spectrum, from its own pages on the layout of each release."""
    legacy = run2d in ("26", "103", "104")
    tree = "sdss/spectro/redux" if release < 18 else "spectro/sdss/redux"
    full = "" if legacy or release < 16 else "full/"
    return (
        f"/sas/dr{release}/{tree}/{run2d}/spectra/{full}{plate:04d}/"
        f"spec-{plate:04d}-{mjd}-{fiber:04d}.fits"
    )


@pytest.fixture
def archive(tmp_path):
    from astroquery.sdss import conf

    server = Archive()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    (tmp_path / "cache").mkdir()
    with (
        set_temp_cache(tmp_path / "cache"),
        conf.set_temp("sas_baseurl", f"{server.url}/sas"),
        conf.set_temp("skyserver_baseurl", f"{server.url}/sky"),
    ):
        yield server
    server.closing.set()
    server.shutdown()
    server.server_close()
    thread.join()


def names(spectra):
    return [spectrum.meta["object_id"] for spectrum in spectra]


def warned(match):
    return pytest.warns(AstropyUserWarning, match=match)


def test_by_numbers(archive):
    (spectrum,) = sdss.fetch(751, 52251, 160)
    meta = spectrum.meta
    assert (meta["object_id"], meta["request"], meta["row"]) == (
        "0751-52251-0160",
        "0751-52251-0160",
        0,
    )
    assert (meta["data_release"], meta["run2d"], meta["medium"]) == ("DR17", "26", "vacuum")
    assert meta["url"] == archive.url + path_of(751, 52251, 160, "26")
    assert meta["label"]["z"] == 0.25
    assert (spectrum.flux.value == 160).all()
    assert np.flatnonzero(spectrum.mask).tolist() == [5]
    assert spectrum.uncertainty.uncertainty_type == "ivar"


def test_numbers_broadcast_and_keep_their_order(archive):
    plates = [7037, 751, 752, 7037]
    spectra = sdss.fetch(np.array(plates), [56570, 52251, 52252, 56570], [4, 160, 7, 4])
    assert names(spectra) == [
        "7037-56570-0004",
        "0751-52251-0160",
        "0752-52252-0007",
        "7037-56570-0004",
    ]
    assert [s.meta["row"] for s in spectra] == [0, 1, 2, 3]
    assert len(archive.sql) == 1  # one question for all of them


def test_many_rows_are_asked_in_short_questions(archive):
    archive.catalogue = [(300 + i, 51900, 1 + i, "26", 0.0, 0.0) for i in range(45)]
    for entry in archive.catalogue:
        archive.files[path_of(*entry[:4])] = archive.files[path_of(*CATALOGUE[0][:4])]
    plates = 300 + np.arange(45)
    spectra = sdss.fetch(plates, 51900, plates - 299)
    assert [s.meta["row"] for s in spectra] == list(range(45))
    assert [s.meta["request"][:4] for s in spectra] == [f"0{p}" for p in plates]
    assert len(archive.sql) == 3
    assert max(len(urllib.parse.quote(sql)) for sql in archive.sql) < 2000


@pytest.mark.parametrize("run2d", [[26, 103], ["26", "103"], [b"26", b"103"]])
@pytest.mark.parametrize("kind", [Table, QTable])
def test_by_table_with_run2d_asks_no_catalogue(archive, run2d, kind):
    table = kind({"PLATE": [751, 2812], "Mjd": [52251, 54633], "FIBERID": [160, 5]})
    table["run2D"] = run2d
    assert names(sdss.fetch(table)) == ["0751-52251-0160", "2812-54633-0005"]
    assert all(path.startswith("/sas/") for path in archive.asked)
    assert names(sdss.fetch(table[1])) == ["2812-54633-0005"]


@pytest.mark.parametrize("known", [0, 1])
def test_by_table_with_run2d_of_some_rows(archive, known):
    table = Table({"plate": [7037, 7037], "mjd": [56570, 56570], "fiberID": [4, 4]})
    table["plate"][1 - known], table["mjd"][1 - known], table["fiberID"][1 - known] = CATALOGUE[0][
        :3
    ]
    table["run2d"] = MaskedColumn(["v5_13_0", "v5_13_0"], mask=[known != 0, known != 1])
    plates = [s.meta["object_id"][:4] for s in sdss.fetch(table)]
    assert plates == (["7037", "0751"] if known == 0 else ["0751", "7037"])
    assert len(archive.sql) == 1 and "7037" not in archive.sql[0]


@pytest.mark.parametrize("release", [8, 9, 10, 12, 15, 16, 17, 18])
def test_releases(archive, release):
    table = Table({"plate": [751, 7037], "mjd": [52251, 56570], "fiberID": [160, 4]})
    spectra = sdss.fetch(table, data_release=release)
    expected = [archive.url + path_of(*CATALOGUE[i][:4], release) for i in (0, 1)]
    assert [s.meta["url"] for s in spectra] == expected
    assert {s.meta["data_release"] for s in spectra} == {f"DR{release}"}
    assert names(sdss.fetch(PLACE, data_release=release)) == names(spectra)


def test_sdss_v_rows(archive):
    path = "/sas/dr18/spectro/sdss/redux/v6_0_4/spectra/full/15000p/59146/"
    name = "15000-59146-04375786564"
    archive.files[f"{path}spec-{name}.fits"] = spec_file(1, 59146, 9)
    table = Table({"fieldID": [15000], "mjd": [59146], "catalogID": [4375786564]})
    with pytest.raises(ValueError, match="need a run2d each"):
        sdss.fetch(table, data_release=18)
    table["run2d"] = ["v6_0_4"]
    (spectrum,) = sdss.fetch(table, data_release=18)
    assert spectrum.meta["request"] == name
    # A plate number of the same reduction fits none of astroquery's paths.
    table = Table({"plate": [15000], "mjd": [59146], "fiberID": [4], "run2d": ["v6_0_4"]})
    with pytest.raises(
        OSError, match="row 0 .15000-59146-0004.: astroquery has no path(?s:.*)need fieldID"
    ):
        sdss.fetch(table, data_release=18)


def test_by_place(archive):
    archive.catalogue.reverse()
    assert names(sdss.fetch(PLACE)) == ["0751-52251-0160", "7037-56570-0004"]
    assert names(sdss.fetch(PLACE, radius=0.1 * u.arcsec)) == ["0751-52251-0160"]
    three = sdss.fetch(PLACE, radius="15 arcsec")
    assert names(three) == ["0751-52251-0160", "7037-56570-0004", "0752-52252-0007"]
    assert {s.meta["row"] for s in three} == {0}


def test_places_share_a_question_and_keep_their_rows(archive):
    ra, dec = [250.3, 2.0264, 0.0, 2.0234, 250.3], [-36.4, 14.8398, 0.5, 14.8398, -36.4]
    near = SkyCoord(ra, dec, unit="deg")
    spectra = sdss.fetch(near.galactic, radius=1 * u.arcsec)
    assert [(s.meta["row"], s.meta["object_id"][:4]) for s in spectra] == [
        (0, "2812"),
        (1, "0752"),
        (2, "3586"),  # across 0 h
        (3, "0751"),
        (3, "7037"),
        (4, "2812"),
    ]
    assert sum("X_Results" in path for path in archive.asked) == 1


def test_empty_match(archive):
    nowhere = SkyCoord(100.0, 10.0, unit="deg")
    with pytest.raises(LookupError, match=r"row 0 \(ra 100.00000, dec \+10.00000\): the cat"):
        sdss.fetch(nowhere)
    with pytest.raises(LookupError, match="0001-50000-0001.*no spectrum there\nTo mend it: che"):
        sdss.fetch(1, 50000, 1)
    archive.page = b"No objects have been found\n"  # how older releases say it
    with pytest.raises(LookupError):
        sdss.fetch(751, 52251, 160, data_release=8, cache=False)
    archive.page = None
    both = SkyCoord([100.0, 2.0234], [10.0, 14.8398], unit="deg")
    with warned("DR17: 1 not fetched, 2 fetched\n  row 0 .ra 100"):
        spectra = sdss.fetch(both)
    assert [s.meta["row"] for s in spectra] == [1, 1]


def promise_more(handler):
    handler.send(spec_file(752, 52252, 7)[:9000], promised=20000)


def never(handler):
    handler.server.closing.wait(30)


PAGE = b"<!DOCTYPE html><html><body>We are down for maintenance</body></html>"
MOODS = {
    "404": (404, "HTTP 404, no such file", "check plate, mjd, fiber and run2d"),
    "503": (503, "HTTP 503, the server is in trouble", "call again"),
    "short": (promise_more, "cut short on the way", "call again"),
    "cut": (spec_file(752, 52252, 7)[:9000], "not a readable FITS file", "not kept in the cache"),
    "empty": (b"", "not a readable FITS file", "not kept in the cache"),
    "page": (PAGE, "a web page came instead", "not kept in the cache"),
    "other": (b"SIMPLE  = T", "not a readable FITS file", "not kept in the cache"),
}


@pytest.mark.parametrize("mood", MOODS)
@pytest.mark.parametrize("cache", [True, False])
def test_goes_on_past_a_bad_file(archive, mood, cache):
    content, reason, mend = MOODS[mood]
    bad = path_of(752, 52252, 7, "26")
    archive.files[bad] = content
    table = Table(rows=[e[:4] for e in CATALOGUE[:3]], names=["plate", "mjd", "fiberid", "run2d"])
    table = table[[0, 2, 1]]
    with warned(rf"(?s)1 not fetched, 2 fetched\n  row 1 \(0752-52252-0007\).*{mend}") as caught:
        spectra = sdss.fetch(table, cache=cache)
    (message,) = [str(w.message) for w in caught]
    assert reason in message and archive.url + bad in message
    assert "spectok-" not in message  # nothing of a file the user never saw
    assert [s.meta["row"] for s in spectra] == [0, 2]
    assert not cache or not is_url_in_cache(archive.url + bad)
    # Mended, it is fetched anew, and with a cache nothing else is.
    archive.files[bad] = spec_file(752, 52252, 7)
    archive.asked.clear()
    assert names(sdss.fetch(table, cache=cache))[1] == "0752-52252-0007"
    assert archive.spectra() == [bad] if cache else len(archive.spectra()) == 3


def test_another_fits_file_is_no_spectrum(archive):
    content = BytesIO()
    fits.PrimaryHDU(np.zeros((3, 3))).writeto(content)
    archive.files[path_of(*CATALOGUE[0][:4])] = content.getvalue()
    with pytest.raises(OSError, match="row 0 .*not an SDSS"):
        sdss.fetch(751, 52251, 160)


def test_all_failures_in_one_warning(archive):
    archive.files[path_of(752, 52252, 7, "26")] = 404
    archive.files[path_of(2812, 54633, 5, "103")] = PAGE
    plates, mjds, fibers = zip(*(e[:3] for e in CATALOGUE), strict=True)
    with warned("4 not fetched") as caught:
        spectra = sdss.fetch([9, *plates, 10], [51000, *mjds, 51000], [1, *fibers, 1])
    assert len(caught) == 1
    rows = re.findall(r"row (\d) \(([\d-]+)\): (\w+ \w+)", str(caught[0].message))
    assert rows == [
        ("0", "0009-51000-0001", "the catalogue"),
        ("3", "0752-52252-0007", "HTTP 404"),
        ("4", "2812-54633-0005", "a web"),
        ("6", "0010-51000-0001", "the catalogue"),
    ]
    assert [s.meta["row"] for s in spectra] == [1, 2, 5]
    assert caught[0].filename == __file__


def test_time_out(archive):
    archive.files[path_of(751, 52251, 160, "26")] = never
    with warned(r"row 0 .*no answer within 0.3 s(?s:.*)give a longer timeout"):
        spectra = sdss.fetch([751, 752], [52251, 52252], [160, 7], timeout=0.3)
    assert names(spectra) == ["0752-52252-0007"]


def test_catalogue_times_out(archive, monkeypatch):
    monkeypatch.setattr(Handler, "table", lambda self, *_: never(self))
    with pytest.raises(OSError, match="row 0 .ra 2.02340.*no answer within 0.3 s"):
        sdss.fetch(PLACE, timeout=0.3)


def test_column_names_time_out(archive):
    archive.columns = never
    with pytest.raises(OSError, match="no answer within 0.3 s"):
        sdss.fetch(PLACE, timeout=0.3)


def test_column_names_are_not_needed(archive):
    archive.columns = lambda handler: handler.send(PAGE)
    assert len(sdss.fetch(PLACE)) == 2


@pytest.mark.parametrize(
    "page",
    [
        PAGE,
        b"<html><h1>503</h1>\n<p>a, b,\nc</html>",
        b"",
        b"plate,mjd\n1,2\n",
        b"plate,mjd,fiberID\n751,52251,160\n",
    ],
)
def test_catalogue_answers_nonsense_and_recovers(archive, page):
    archive.page = page
    for target in ((751, 52251, 160), (PLACE,)):
        with pytest.raises(OSError, match="SkyServer's answer is no table(?s:.*)needs no SkySer"):
            sdss.fetch(*target)
    archive.page = None  # and no such answer was kept
    assert len(sdss.fetch(751, 52251, 160)) == 1
    assert len(sdss.fetch(PLACE)) == 2


def test_cache(archive):
    for target in ((PLACE,), (751, 52251, 160)):
        first = sdss.fetch(*target)
        archive.asked.clear()
        second = sdss.fetch(*target)
        assert archive.asked == []
        assert names(first) == names(second)
        assert [s.meta["url"] for s in first] == [s.meta["url"] for s in second]
        sdss.fetch(*target, cache=False)
        assert len(archive.spectra()) == len(first)


def test_no_network_but_a_cache(archive, monkeypatch):
    sdss.fetch([751, 7037], [52251, 56570], [160, 4])
    monkeypatch.setattr(Handler, "do_GET", lambda self: self.close_connection)
    with data_conf.set_temp("allow_internet", False):
        assert len(sdss.fetch([751, 7037], [52251, 56570], [160, 4])) == 2


def test_a_question_in_vain_costs_no_cache(archive, monkeypatch):
    from astroquery.sdss import field_names

    sdss.fetch(PLACE)
    archive.shutdown()
    archive.server_close()
    monkeypatch.setattr(field_names, "_cached_table_fields", {})  # as in a new process
    with pytest.raises(OSError, match="no connection"):
        sdss.fetch(PLACE, radius="3 arcsec")
    monkeypatch.setattr(field_names, "_cached_table_fields", {})
    assert len(sdss.fetch(PLACE)) == 2


def test_no_server(archive):
    from astroquery.sdss import conf

    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with conf.set_temp("sas_baseurl", nobody), conf.set_temp("skyserver_baseurl", nobody):
            for target in ((PLACE,), (751, 52251, 160)):
                with pytest.raises(OSError, match="row 0 .*no connection to http://127(?s:.*)che"):
                    sdss.fetch(*target)
        with (
            conf.set_temp("sas_baseurl", nobody),
            pytest.raises(OSError, match=r"no connection .*refused.*(?s:.*)check the network"),
        ):
            sdss.fetch(751, 52251, 160)


def test_no_network_and_no_cache(archive):
    with (
        data_conf.set_temp("allow_internet", False),
        pytest.raises(OSError, match=r"(?s)no connection.*allow_internet.*only what is in the ca"),
    ):
        sdss.fetch(751, 52251, 160)


def test_one_plate_reduced_twice(archive):
    again = (751, 52251, 160, "103", 2.0234, 14.8398)
    archive.catalogue.append(again)
    archive.files[path_of(*again[:4])] = spec_file(*again[:3])
    for target in ((751, 52251, 160), (PLACE,)):
        spectra = sdss.fetch(*target)
        assert {s.meta["run2d"] for s in spectra} >= {"26", "103"}


def test_progress(archive, capsys):
    sdss.fetch(751, 52251, 160)
    assert capsys.readouterr().err == ""  # no terminal
    sdss.fetch(751, 52251, 160, progress=True)
    err = capsys.readouterr().err
    assert "searching: 100%" in err and "fetching: 100%" in err and "1/1" in err
    sdss.fetch(
        Table(rows=[CATALOGUE[0][:4]], names=("plate", "mjd", "fiber", "run2d")), progress=1
    )
    assert "searching" not in capsys.readouterr().err  # there was nothing to search


def test_real_files(archive, shared_data):
    paths = sorted((shared_data / "sdss/real").glob("spec-*.fits"))[::60]
    table = Table(names=["plate", "mjd", "fiberID", "run2d"], dtype=[int, int, int, "U8"])
    for path in paths:
        plate, mjd, fiber = map(int, path.stem.split("-")[1:4])
        run2d = "26" if plate < 3000 else "v5_13_0"
        table.add_row((plate, mjd, fiber, run2d))
        archive.files[path_of(plate, mjd, fiber, run2d)] = path.read_bytes()
    for path, spectrum in zip(paths, sdss.fetch(table), strict=True):
        (direct,) = sdss.read(path)
        assert spectrum.meta["object_id"] == direct.meta["object_id"] == spectrum.meta["request"]
        assert np.array_equal(spectrum.flux.value, direct.flux.value)
        assert np.array_equal(spectrum.mask, direct.mask)


@pytest.mark.parametrize(
    ("target", "match"),
    [
        ((751,), "pass a SkyCoord alone, a Table alone"),
        (("M 31",), "cannot fetch str 'M 31'"),
        ((PLACE, 52251, 160), "cannot fetch SkyCoord"),
        ((Table({"plate": [1]}), 1, 1), "pass the table alone"),
    ],
)
def test_what_is_no_request(target, match):
    with pytest.raises(TypeError, match=match):
        sdss.fetch(*target)


@pytest.mark.parametrize(
    ("target", "keywords", "match"),
    [
        ((751, [52251, 52252], [1, 2, 3]), {}, "lengths that do not fit"),
        (([], [], []), {}, "no rows"),
        (([751, 7.5], 52251, 1), {}, r"row 1: plate must be a positive whole number, .*7.5"),
        ((751, 52251, [3, -1]), {}, "row 1: fiberID must be"),
        ((751, np.nan, 3), {}, "row 0: mjd must be"),
        ((Table({"ra": [1.0], "dec": [2.0]}),), {}, "it has ra, dec. For places .* SkyCoord"),
        ((Table(),), {}, "it has none"),
        ((Table({"plate": [1], "mjd": [2], "fiber": ["x"]}),), {}, "row 0: fiberID must be"),
        (
            (Table({"plate": MaskedColumn([1, 2], mask=[0, 1]), "mjd": [2, 2], "fiber": [1, 1]}),),
            {},
            "row 1: plate must be",
        ),
        ((SkyCoord([1, np.nan], [2, 2], unit="deg"),), {}, "row 1: the place is not finite"),
        ((PLACE,), {"radius": 4 * u.arcmin}, "up to 3.0 arcmin"),
        ((PLACE,), {"radius": 0 * u.arcmin}, "above 0"),
        ((PLACE,), {"radius": "2"}, "radius='2' is no angle: write '2 arcsec'"),
        ((PLACE,), {"radius": 2 * u.m}, "is no angle"),
        ((PLACE,), {"data_release": 7}, "from 8 to 18, it is 7. Spectra of DR1 to DR7"),
        ((PLACE,), {"data_release": 19}, "it is 19.*newer one are read with"),
        ((PLACE,), {"data_release": "DR17"}, "it is 'DR17'"),
        ((PLACE,), {"data_release": True}, "it is True"),
        ((PLACE,), {"timeout": 0}, "timeout must be a positive"),
    ],
)
def test_wrong_requests(archive, target, keywords, match):
    with pytest.raises(ValueError, match=match):
        sdss.fetch(*target, **keywords)
    assert archive.asked == []


@given(st.lists(st.sampled_from(range(len(CATALOGUE) + 2)), min_size=1, max_size=50))
def test_rows_of_the_request_are_found_or_told(numbers):
    """Whatever repeats or lacks, each row comes out once, at its place."""
    from spectok.surveys._catalogue import Archive as Asked
    from spectok.surveys._catalogue import look_up, wanted

    everything = [*(e[:4] for e in CATALOGUE), (1, 51000, 1, ""), (2, 51000, 2, "")]

    class Client:
        def query_sql(self, sql, **options):
            known = Table(
                rows=[e[:4] for e in CATALOGUE], names=("plate", "mjd", "fiberID", "run2d")
            )
            rows = [f"plate={e[0]} " in sql for e in CATALOGUE]
            return known[rows] if any(rows) else None

    columns = list(zip(*(everything[i][:3] for i in numbers), strict=True))
    ticks = []
    rows = wanted(*map(list, columns))
    found, failures = look_up(rows, Asked(Client(), 17, 1.0, False), ticks.append)
    told = {f.row for f in failures}
    assert told == {k for k, i in enumerate(numbers) if i >= len(CATALOGUE)}
    assert sorted([f.row for f in found] + list(told)) == list(range(len(numbers)))
    assert all(f.run2d == everything[numbers[f.row]][3] for f in found)
    assert sum(ticks) == len(numbers)
