"""Models of the Hugging Face Hub, from a real server on this machine."""

import hashlib
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

import spectok
from spectok._weights import _store
from spectok._weights._hub import find_hub_files

hub = pytest.importorskip("huggingface_hub", reason="the extra 'hub' is not installed")

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(ThreadingHTTPServer):
    """Serves one repository, ``owner/tiny``, and counts what is asked for."""

    daemon_threads = True

    def __init__(self, folder):
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder, self.asked = folder, []


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, body):
        self.server.asked.append(self.path)
        match = re.fullmatch(r"/owner/tiny/resolve/(main|v1)/([\w.]+)", self.path)
        file = self.server.folder / match[2] if match else None
        if file is None or not file.is_file():
            kind = "EntryNotFound" if match else "RepoNotFound"
            self.send_response(404)
            self.send_header("X-Error-Code", kind)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        content = file.read_bytes()
        self.send_response(200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)


@pytest.fixture
def served(tiny_folder, tmp_path, monkeypatch):
    server = Hub(tiny_folder)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(_store, "_loaded", {})
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("name", ["hf://owner/tiny", "hf://owner/tiny@v1"])
def test_a_model_of_the_hub_is_fetched_and_checked(served, tiny, name):
    model = spectok.load_model(name)
    assert model.config == tiny.config and model.origin.sha256 == tiny.origin.sha256
    assert model.origin.name == name


def test_it_encodes_and_decodes_under_its_name(served):
    grid = np.linspace(4000.0, 5000.0, 640)
    tokens = spectok.encode_arrays(grid, np.sin(grid / 30) + 3, ivar=np.full(640, 99.0),
                                   model="hf://owner/tiny")  # fmt: skip
    assert tokens.meta["MODEL"] == "hf://owner/tiny"
    asked = len(served.asked)
    spectok.pool(tokens)
    spectok.encode_arrays(grid, grid, ivar=np.ones(640), model="hf://owner/tiny")
    assert len(served.asked) == asked, "once loaded, the Hub is not asked again"


def test_without_a_network_the_cache_serves(served, monkeypatch):
    find_hub_files("hf://owner/tiny", "config.json", "model.safetensors")
    served.shutdown()
    served.server_close()
    assert spectok.load_model("hf://owner/tiny").origin.name == "hf://owner/tiny"


def test_damaged_weights_are_refused(served, tiny_folder, tmp_path):
    folder = tmp_path / "damaged"
    folder.mkdir()
    content = (tiny_folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[:-8])
    (folder / "config.json").write_bytes((tiny_folder / "config.json").read_bytes())
    served.folder = folder
    with pytest.raises(ValueError, match="is truncated or was changed"):
        spectok.load_model("hf://owner/tiny")


@pytest.mark.parametrize("name", ["hf://owner/other", "hf://owner/tiny@v9"])
def test_what_is_not_there_is_named(served, name):
    with pytest.raises(OSError, match=f"{name}: config.json cannot be fetched .* check the name"):
        spectok.load_model(name)


def test_a_repository_without_the_files(served, tmp_path):
    served.folder = tmp_path
    with pytest.raises(OSError, match="a model there has config.json and model.safetensors"):
        spectok.load_model("hf://owner/tiny")


@pytest.mark.parametrize("name", ["hf://", "hf://tiny", "hf://a/b/c"])
def test_names_of_another_form(name):
    with pytest.raises(ValueError, match="write hf://owner/name"):
        spectok.load_model(name)


def test_without_the_library(monkeypatch):
    import builtins

    real = builtins.__import__

    def without(name, *args, **options):
        if name.startswith("huggingface_hub"):
            raise ImportError(name)
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r'pip install "\.\[hub\]"'):
        find_hub_files("hf://owner/tiny", "config.json")
