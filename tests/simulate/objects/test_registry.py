"""Finding template files: folders, downloads from a real HTTP server, checksums."""

import gc
import gzip
import hashlib
import re
import socket
import threading
from http.client import IncompleteRead
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from astropy.config import get_config, set_temp_cache
from astropy.utils.data import conf as data_conf
from astropy.utils.data import is_url_in_cache

from spectok import simulate
from spectok.simulate.objects import _registry
from spectok.simulate.objects._registry import FILES, find_template

CONTENT = b"SIMPLE  =                    T" * 100
NAME, PACKED, ARRAYS = "folder/small.fits", "folder/packed.fits", "folder/packed.npz"
ADDRESS = "owner/repository/" + "0a" * 20 + "/small.fits"


class Server(ThreadingHTTPServer):
    """Serves what it holds, and notes what was asked for."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked, self.held, self.mood = [], {"/" + ADDRESS: CONTENT}, "good"
        self.root = f"http://127.0.0.1:{self.server_port}/"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        content = self.server.held.get(self.path)
        if content is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[:100] if self.server.mood == "short" else content)

    def log_message(self, *args):
        pass


@pytest.fixture(autouse=True)
def files(monkeypatch, tmp_path):
    """Three registered files, an empty cache, and nothing configured."""
    digest = hashlib.sha256(CONTENT).hexdigest()
    monkeypatch.setitem(FILES, NAME, (digest, ADDRESS, "BSD-3"))
    monkeypatch.setitem(FILES, PACKED, (digest, None, "BSD-3"))
    monkeypatch.setitem(FILES, ARRAYS, (digest, None, "BSD-3"))
    monkeypatch.delenv("SPECTOK_TEMPLATES", raising=False)
    (tmp_path / "cache").mkdir()
    with set_temp_cache(tmp_path / "cache"), simulate.conf.set_temp("templates", ""):
        yield


@pytest.fixture
def server(monkeypatch):
    made = Server()
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setattr(_registry, "_ROOT", made.root)
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


def put(folder, name=NAME, content=CONTENT):
    path = Path(folder) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


# the registry itself


@pytest.mark.parametrize("name", [name for name in FILES if not name.startswith("folder/")])
def test_registered_files_are_well_described(name):
    sha256, address, licence = FILES[name]
    assert re.fullmatch("[0-9a-f]{64}", sha256) and licence
    if address is not None:
        # An owner, a repository, one commit for ever, and the file.
        assert re.fullmatch(r"[\w.-]+/[\w.-]+/[0-9a-f]{40}/[\w./-]+", address)
        assert address.rsplit(".", 1)[1] == name.rsplit(".", 1)[1]


def test_no_two_files_share_a_name_or_a_checksum():
    own = [name for name in FILES if not name.startswith("folder/")]
    assert len({FILES[name][0] for name in own}) == len(own)
    assert len({Path(name).name for name in own}) == len(own), "they are found by it too"


def test_unknown_name():
    with pytest.raises(KeyError):
        find_template("folder/unheard.fits")


# downloads


def test_a_file_is_downloaded_once(server):
    path = find_template(NAME)
    assert path.read_bytes() == CONTENT and server.asked == ["/" + ADDRESS]
    assert is_url_in_cache(server.root + ADDRESS)
    assert find_template(NAME) == path and len(server.asked) == 1


def test_what_is_in_the_cache_needs_no_network(server):
    path = find_template(NAME)
    with data_conf.set_temp("allow_internet", False):
        assert find_template(NAME) == path


def test_a_wrong_checksum_leaves_nothing_in_the_cache(server):
    server.held["/" + ADDRESS] = CONTENT[:-1] + b"F"
    for turn in (1, 2):
        with pytest.raises(OSError, match="wrong checksum.*removed from the cache;") as info:
            find_template(NAME)
        assert not isinstance(info.value, FileNotFoundError), "it is not just left out"
        assert server.root + ADDRESS in str(info.value)
        assert not is_url_in_cache(server.root + ADDRESS) and len(server.asked) == turn
    server.held["/" + ADDRESS] = CONTENT
    assert find_template(NAME).read_bytes() == CONTENT


@pytest.mark.parametrize("mood", ["missing", "short"])
def test_failed_downloads(server, mood):
    server.mood = mood
    if mood == "missing":
        server.held.clear()
    with pytest.raises(FileNotFoundError, match="small.fits: cannot be downloaded.*SPECTOK_TEMPL"):
        find_template(NAME)
    assert not is_url_in_cache(server.root + ADDRESS)
    gc.collect()  # a connection left open would warn here


def test_a_torn_answer_is_a_failed_download_too(monkeypatch):
    def torn(*args, **options):
        raise IncompleteRead(b"half")

    monkeypatch.setattr(_registry, "download_file", torn)
    with pytest.raises(FileNotFoundError, match="small.fits: cannot be downloaded"):
        find_template(NAME)


def test_no_network_and_no_cache(monkeypatch):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        root = f"http://127.0.0.1:{closed.getsockname()[1]}/"
    monkeypatch.setattr(_registry, "_ROOT", root)
    with pytest.raises(FileNotFoundError, match="Without a network set SPECTOK_TEMPLATES, or"):
        find_template(NAME)
    with data_conf.set_temp("allow_internet", False):
        with pytest.raises(FileNotFoundError, match="cannot be downloaded"):
            find_template(NAME)


def test_files_without_a_public_copy_are_not_asked_for(server):
    with pytest.raises(FileNotFoundError, match="no public copy: set SPECTOK_TEMPLATES, or spect"):
        find_template(PACKED)
    assert server.asked == []


# folders


@pytest.mark.parametrize("name", [NAME, "small.fits"])
@pytest.mark.parametrize("packed", [False, True])
def test_files_in_a_folder(server, tmp_path, name, packed):
    path = put(tmp_path, name + ".gz" * packed, gzip.compress(CONTENT) if packed else CONTENT)
    assert find_template(NAME, folder=tmp_path) == path
    assert find_template(NAME, folder=str(tmp_path)) == path
    assert server.asked == []


def test_which_folder(server, tmp_path, monkeypatch):
    paths = {key: put(tmp_path / key) for key in ("argument", "item", "variable")}
    monkeypatch.setenv("SPECTOK_TEMPLATES", str(tmp_path / "variable"))
    assert find_template(NAME) == paths["variable"]
    with simulate.conf.set_temp("templates", str(tmp_path / "item")):
        assert find_template(NAME) == paths["item"]
        assert find_template(NAME, folder=tmp_path / "argument") == paths["argument"]
    assert find_template(NAME) == paths["variable"]
    assert server.asked == []


def test_the_item_stands_in_the_section_of_the_module(tmp_path):
    section = get_config("spectok.simulate", rootname="spectok")
    assert simulate.conf.templates == ""
    section["templates"] = str(tmp_path)
    try:
        assert simulate.conf.templates == str(tmp_path)
    finally:
        section["templates"] = ""


def test_what_a_folder_lacks_is_downloaded(server, tmp_path):
    assert find_template(NAME, folder=tmp_path).read_bytes() == CONTENT
    assert len(server.asked) == 1


def test_what_a_folder_lacks_and_nobody_serves(server, tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder/packed.fits there .nor packed.fits"):
        find_template(PACKED, folder=tmp_path)


def test_compressed_arrays_are_not_compressed_twice(tmp_path):
    put(tmp_path, ARRAYS + ".gz", gzip.compress(CONTENT))
    with pytest.raises(FileNotFoundError, match="no folder/packed.npz there"):
        find_template(ARRAYS, folder=tmp_path)


def test_no_such_folder(server, tmp_path, monkeypatch):
    monkeypatch.setenv("SPECTOK_TEMPLATES", str(tmp_path / "typo"))
    with pytest.raises(NotADirectoryError, match="typo: no such folder of template files; mend"):
        find_template(NAME)
    assert server.asked == []


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (NAME, CONTENT[:-1], "wrong checksum .*, expected "),
        (NAME, b"", "wrong checksum"),
        (NAME + ".gz", gzip.compress(CONTENT + b" "), "wrong checksum"),
        (NAME + ".gz", gzip.compress(CONTENT)[:-20], "damaged gzip file"),
        (NAME + ".gz", CONTENT, "damaged gzip file"),
        (NAME + ".gz", gzip.compress(CONTENT)[:15] + b"\xff" * 60, "damaged gzip file"),
    ],
)
def test_damaged_files_in_a_folder(tmp_path, name, content, message):
    path = put(tmp_path, name, content)
    with pytest.raises(OSError, match=message) as info:
        find_template(NAME, folder=tmp_path)
    assert f"{path}: fetch the file again, or remove it from the folder" in str(info.value)
    assert path.is_file(), "a user's file is left alone"
