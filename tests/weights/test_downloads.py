"""Named downloads: from a real HTTP server on this machine, in all its moods, and a mirror."""

import gc
import hashlib
import re
import shutil
import socket
import threading
import warnings
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources

import pytest
import torch
from astropy.config import get_config
from astropy.utils.data import conf as data_conf
from astropy.utils.data import is_url_in_cache

import spectok
from spectok._cli import main
from spectok._weights import DEFAULT, _store, describe, model_identity, resolve
from spectok._weights._downloads import CONFIG, DOWNLOADS, WEIGHTS, Download

NAME = "elsewhere-v1"
PAGE = b"\n<!DOCTYPE html><html>Please log in</html>"


class Server(ThreadingHTTPServer):
    """Serves what it holds, and notes what was asked for."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked, self.held, self.mood = [], {}, "good"
        self.done = threading.Event()
        self.root = f"http://127.0.0.1:{self.server_port}/weights/{NAME}/"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        file = self.path.rsplit("/", 1)[1]
        self.server.asked.append(file)
        content, mood = self.server.held.get(file), self.server.mood
        if mood == "silent":
            self.server.done.wait(20)
            self.close_connection = True
            return
        if content is None or mood == "trouble":
            self.send_error(404 if content is None else 503)
            return
        self.send_response(200)
        if mood == "chunks":  # one that is longer than what comes of it
            self.send_header("Transfer-Encoding", "chunked")
            content = b"%x\r\n" % len(content) + content[:100]
        elif mood != "untold":
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[:100] if mood in ("short", "untold") else content)
        self.close_connection = True

    def log_message(self, *args):
        pass


@pytest.fixture(autouse=True)
def fresh(monkeypatch, tmp_path):
    """An empty cache, no model in memory, and nothing configured."""
    (tmp_path / "cache" / "spectok").mkdir(parents=True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("SPECTOK_WEIGHTS", raising=False)
    monkeypatch.setattr(_store, "_loaded", {})
    with spectok.conf.set_temp("weights", ""):
        yield


@pytest.fixture
def server(monkeypatch, tiny_folder):
    """Has the tiny model, which is registered under `NAME`."""
    made = Server()
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    made.held = {file: (tiny_folder / file).read_bytes() for file in (CONFIG, WEIGHTS)}
    monkeypatch.setitem(DOWNLOADS, NAME, entry(made.root, tiny_folder))
    yield made
    made.done.set()
    made.shutdown()
    made.server_close()
    thread.join()


def entry(address, folder):
    weights, config = (sha256((folder / file).read_bytes()) for file in (WEIGHTS, CONFIG))
    return Download(address, weights, config, (folder / WEIGHTS).stat().st_size)


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def in_cache(url):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there is no cache yet
        return is_url_in_cache(url, pkgname="spectok")


def refusal(name=NAME):
    """What is said; always an OSError, in one line, with the name and the address."""
    with pytest.raises(OSError) as raised:
        spectok.load_model(name)
    said = str(raised.value)
    assert "\n" not in said and said.startswith(f"the model '{name}': ")
    return said


# ------------------------------------------------------------------ the registry itself


def complaints(name, entry):
    """What is wrong with an entry."""
    if not re.fullmatch(r"[a-z0-9][\w.-]*-v\d+(\.\d+)?", name):
        yield "the name has no version"
    if (resources.files("spectok") / "weights" / name).is_dir():
        yield "the name is that of an embedded model"
    if not re.fullmatch(r"https://[\w.-]+/[\w./~%-]*/", entry.address):
        yield "the address is no https folder"
    for checksum in (entry.weights, entry.config):
        if not re.fullmatch("[0-9a-f]{64}", checksum):
            yield "a checksum is no sha256"
    if entry.size < 1000:
        yield "the size is not in bytes"


def test_registered_downloads_are_well_described():
    assert {name: list(complaints(name, e)) for name, e in DOWNLOADS.items()} == dict.fromkeys(
        DOWNLOADS, []
    )


def test_badly_described_downloads_are_found():
    good = Download("https://example.org/a/", "0" * 64, "f" * 64, 9_000_000)
    assert not list(complaints("base-v1", good))
    assert len(list(complaints("base", good))) == 1
    assert len(list(complaints(DEFAULT, good))) == 1
    bad = Download("http://example.org/a", "0" * 63, "F" * 64, 9)
    assert len(list(complaints("base-v1", bad))) == 4


def test_names_of_downloads_follow_the_embedded_ones(server, monkeypatch, tmp_path):
    for name in ("a-v1", DEFAULT, "z-v1", "no model"):
        (tmp_path / "embedded" / name).mkdir(parents=True)
        if name != "no model":
            own = '{"config": {"coordinate_unit": "Angstrom"}}'
            (tmp_path / "embedded" / name / CONFIG).write_text(own)
    monkeypatch.setattr(_store, "_embedded", lambda: tmp_path / "embedded")
    monkeypatch.setitem(DOWNLOADS, "b-v1", DOWNLOADS[NAME])
    names = spectok.list_models()
    assert names[:3] == [DEFAULT, "a-v1", "z-v1"]
    assert names[3:] == sorted(DOWNLOADS) and {"b-v1", NAME} <= DOWNLOADS.keys()
    assert server.asked == []


def test_embedded_models_need_no_download(server):
    with data_conf.set_temp("allow_internet", False):
        spectok.load_model(DEFAULT)
    assert server.asked == []


# ------------------------------------------------------------------ downloads


def test_a_model_is_downloaded_once(server, tiny):
    model = spectok.load_model(NAME)
    assert model_identity(model) == (NAME, model_identity(tiny)[1])
    assert all(map(torch.equal, model.parameters(), tiny.parameters()))
    assert sorted(server.asked) == [CONFIG, WEIGHTS]
    assert in_cache(server.root + WEIGHTS) and in_cache(server.root + CONFIG)
    server.mood = "trouble"
    assert model_identity(spectok.load_model(NAME)) == model_identity(model)
    assert len(server.asked) == 2


def test_what_is_in_the_cache_needs_no_server(server):
    spectok.load_model(NAME)
    server.shutdown()
    with data_conf.set_temp("allow_internet", False):
        assert model_identity(spectok.load_model(NAME))[0] == NAME


def test_tokens_name_the_download_and_decode_by_it(server, make_arrays):
    wavelength, flux, sigma = make_arrays(64)
    tokens = spectok.encode_arrays(wavelength, flux, sigma**-2, model=NAME)
    assert tokens.meta["MODEL"] == NAME and resolve(NAME) is resolve(NAME)
    from astropy import units as u

    assert spectok.decode(tokens, wavelength * u.AA).shape == (64,)


def test_a_description_costs_no_weights(server, tiny):
    assert describe(NAME)["width"] == tiny.config.width
    assert server.asked == [CONFIG]


def test_info(server, tiny, capsys):
    assert main(["info", NAME]) == 0
    said = capsys.readouterr().out
    assert (
        f"model {NAME}" in said
        and model_identity(tiny)[1] in said
        and re.search(r"^  width +32$", said, re.M)
    )
    assert main(["info"]) == 0
    assert NAME in re.search("^models: (.*)", capsys.readouterr().out, re.M)[1].split(", ")


def test_a_failed_info_is_one_line(server, capsys):
    server.held.clear()
    assert main(["info", NAME]) == 1
    said = capsys.readouterr().err
    assert said.startswith("spectok info: the model ") and said.count("\n") == 1


# ------------------------------------------------------------------ what may go wrong


@pytest.mark.parametrize(
    ("file", "change", "what"),
    [
        (CONFIG, lambda content: content[:-1] + b"?", "another file"),
        (CONFIG, lambda content: content[:200], "another file"),
        (CONFIG, lambda content: PAGE, "a web page (of a proxy, or to log in?)"),
        (WEIGHTS, lambda content: content[:-1] + b"?", "another file"),
        (WEIGHTS, lambda content: content[:200], "200 bytes long instead of "),
        (WEIGHTS, lambda content: b"", "0 bytes long instead of "),
        (WEIGHTS, lambda content: PAGE, "a web page (of a proxy, or to log in?)"),
    ],
)
def test_a_wrong_file_is_not_kept(server, file, change, what):
    good = server.held[file]
    server.held[file] = wrong = change(good)
    for _ in range(2):
        said = refusal()
        assert f"what came from {server.root}{file} is {what}" in said
        assert f"with the sha256 {sha256(wrong)} instead of {sha256(good)}" in said
        assert "it was removed from the cache: try again" in said and "by hand" in said
        assert not in_cache(server.root + file)
    assert server.asked.count(file) == 2
    server.held[file] = good
    assert model_identity(spectok.load_model(NAME))[0] == NAME


def test_a_file_that_spoils_in_the_cache_is_fetched_anew(server, tmp_path):
    spectok.load_model(NAME)
    (cached,) = (p for p in (tmp_path / "cache").rglob("contents") if p.stat().st_size > 1e5)
    cached.write_bytes(cached.read_bytes()[:-1])
    assert "bytes long instead of" in refusal()
    assert model_identity(spectok.load_model(NAME))[0] == NAME
    assert server.asked.count(WEIGHTS) == 2 and server.asked.count(CONFIG) == 1


@pytest.mark.parametrize(
    ("mood", "what"),
    [
        ("missing", "HTTP Error 404: Not Found; if it moved, a newer spectok knows where"),
        ("trouble", "HTTP Error 503: Service Unavailable; "),
        ("short", "it was cut short on the way: try again"),
        ("chunks", "it was cut short on the way: try again"),
        ("silent", "timed out"),
    ],
)
def test_failed_downloads(server, mood, what):
    server.mood = mood
    if mood == "missing":
        server.held.clear()
    with data_conf.set_temp("remote_timeout", 0.3 if mood == "silent" else 10.0):
        said = refusal()
    assert f"its {CONFIG} cannot be downloaded from {server.root}{CONFIG} ({what}" in said
    assert f"get {server.root}{CONFIG} and {server.root}{WEIGHTS} (0." in said
    assert not in_cache(server.root + CONFIG)
    server.done.set()
    gc.collect()  # a connection left open would warn here


def test_a_cut_that_the_server_does_not_tell(server):
    """HTTP/1.0 without a length: only the size and the checksum show it."""
    server.mood = "untold"
    assert f"what came from {server.root}{CONFIG} is another file" in refusal()
    assert not in_cache(server.root + CONFIG)


def test_the_weights_fail_after_the_configuration_came(server):
    del server.held[WEIGHTS]
    assert f"its {WEIGHTS} cannot be downloaded from {server.root}{WEIGHTS}" in refusal()
    assert in_cache(server.root + CONFIG)


def test_no_network(monkeypatch, tiny_folder):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}/"
    monkeypatch.setitem(DOWNLOADS, NAME, entry(address, tiny_folder))
    said = refusal()
    assert "Connection refused" in said and f"cannot be downloaded from {address}{CONFIG}" in said
    assert f"by hand into a folder {NAME}, and load it by its path" in said


def test_a_network_that_may_not_be_used(server):
    with data_conf.set_temp("allow_internet", False):
        said = refusal()
    assert "(astropy.utils.data.conf.allow_internet is False); get http" in said
    assert server.asked == []


def test_by_hand_as_the_message_says(server, tmp_path, tiny_folder, monkeypatch):
    shutil.copytree(tiny_folder, tmp_path / NAME)
    monkeypatch.chdir(tmp_path)
    server.held.clear()
    (path,) = re.findall(r"load_model\('(.*?)'\)", refusal())
    assert model_identity(spectok.load_model(path))[0] == NAME
    monkeypatch.setenv("SPECTOK_WEIGHTS", str(tmp_path))
    assert model_identity(spectok.load_model(NAME))[0] == NAME


# ------------------------------------------------------------------ a mirror


@pytest.fixture
def mirror(tmp_path, tiny_folder):
    shutil.copytree(tiny_folder, tmp_path / "mirror" / NAME)
    return tmp_path / "mirror"


def test_a_folder_of_the_group(server, mirror, monkeypatch, tmp_path):
    with spectok.conf.set_temp("weights", str(mirror)):
        monkeypatch.setenv("SPECTOK_WEIGHTS", str(tmp_path / "typo"))  # the item goes first
        assert model_identity(spectok.load_model(NAME))[0] == NAME
    monkeypatch.setenv("SPECTOK_WEIGHTS", str(mirror))
    assert model_identity(spectok.load_model(NAME))[0] == NAME
    assert server.asked == []


def test_the_item_stands_at_the_head_of_the_configuration(mirror):
    configuration = get_config("spectok", rootname="spectok")
    configuration["weights"] = str(mirror)
    try:
        assert spectok.conf.weights == str(mirror)
    finally:
        configuration["weights"] = ""


def test_what_the_folder_lacks_is_downloaded(server, mirror, monkeypatch):
    monkeypatch.setenv("SPECTOK_WEIGHTS", str(mirror))
    (mirror / NAME / WEIGHTS).unlink()
    assert model_identity(spectok.load_model(NAME))[0] == NAME
    assert server.asked == [WEIGHTS]


def test_what_neither_has(server, mirror, monkeypatch):
    monkeypatch.setenv("SPECTOK_WEIGHTS", str(mirror))
    (mirror / NAME / CONFIG).unlink()
    server.held.clear()
    assert f"its {CONFIG} is not in {mirror / NAME} and cannot be downloaded from" in refusal()


def test_other_weights_under_the_name_are_refused(server, mirror, monkeypatch):
    monkeypatch.setenv("SPECTOK_WEIGHTS", str(mirror))
    file = mirror / NAME / WEIGHTS
    good = file.read_bytes()
    file.write_bytes(good[:-2] + b"xx")
    said = refusal()
    assert f"{file} is another file, with the sha256 {sha256(file.read_bytes())} inst" in said
    assert sha256(good) in said and "get it again, or remove it from the folder" in said
    assert file.is_file() and server.asked == [], "a user's file is left alone"


def test_no_such_folder(server, tmp_path, monkeypatch):
    monkeypatch.setenv("SPECTOK_WEIGHTS", str(tmp_path / "typo"))
    with pytest.raises(NotADirectoryError, match="typo: no such folder of weights; mend spectok"):
        spectok.load_model(NAME)
    spectok.load_model(DEFAULT)  # which does not look there
    assert server.asked == []
