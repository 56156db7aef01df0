"""Progress bars: shown on terminals and in notebooks, quiet elsewhere and for short work."""

import io
import subprocess
import sys

import pytest

from spectok import _progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def drawn(monkeypatch):
    """Function (is_terminal, **options) -> what a bar of three steps writes."""

    def draw(terminal, **options):
        out = Terminal() if terminal else io.StringIO()
        monkeypatch.setattr(sys, "stderr", out)
        options = {"total": 3, "progress": None, "patient": False, **options}
        with _progress.progress_bar("encoding", unit="spectrum", **options) as bar:
            bar.update(3)
        return out.getvalue()

    monkeypatch.delitem(sys.modules, "ipykernel.zmqshell", raising=False)
    return draw


def test_on_a_terminal_and_nowhere_else(drawn):
    assert "encoding" in drawn(True)
    assert drawn(False) == ""
    assert "3/3" in drawn(False, progress=True)
    assert drawn(True, progress=False) == ""


def test_in_a_notebook_whose_output_is_no_terminal(drawn, monkeypatch):
    monkeypatch.setitem(sys.modules, "ipykernel.zmqshell", object())
    assert "encoding" in drawn(False)
    assert drawn(False, progress=False) == ""


def test_short_work_is_quiet_unless_a_bar_is_wanted(drawn):
    assert drawn(True, patient=True) == ""
    assert "3/3" in drawn(True, patient=True, progress=True)


def test_nothing_to_do_is_nothing_to_show(drawn):
    assert drawn(True, total=0, progress=True) == ""


def test_a_bar_iterates(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    bar = _progress.progress_bar("packing", over="abc", unit="file", progress=None)
    assert list(bar) == ["a", "b", "c"]


def test_a_notebook_without_ipywidgets_is_not_warned():
    # What tqdm looks for: a kernel's shell in the process, and ipywidgets, which is not there.
    code = (
        "import sys, types\n"
        "sys.modules['ipykernel.zmqshell'] = types.ModuleType('zmqshell')\n"
        "sys.modules['IPython'] = shell = types.ModuleType('IPython')\n"
        "shell.get_ipython = lambda: None\n"
        "sys.modules['ipywidgets'] = None\n"
        "from spectok._progress import progress_bar\n"
        "with progress_bar('x', total=2, unit='y', progress=None, patient=False) as bar:\n"
        "    bar.update(2)\n"
    )
    command = [sys.executable, "-W", "always", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "IProgress" not in done.stderr
    assert "2/2" in done.stderr
