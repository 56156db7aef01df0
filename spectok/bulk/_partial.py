"""Files that are being written: names of their own, and whose they were where nobody goes on."""

from __future__ import annotations

import itertools
import os
import platform
import re
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

__all__ = ["partial_of", "remove_abandoned", "unfinished"]

_FIRST_NAMESPACE = 4026531836  # of Linux's process numbers: that of the machine itself


def _host() -> str:
    """Name of the machine, or of the container, where process numbers mean something."""
    host = re.sub(r"[^A-Za-z0-9-]", "-", platform.node()) or "host"
    try:
        namespace = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return host
    return host if namespace == _FIRST_NAMESPACE else f"{host}-{namespace}"


_HOST = _host()
# Containers start again with the same name and the same number: the run says which is which.
_RUN = secrets.token_hex(4)
_number = itertools.count()
_NAME = re.compile(
    r"(?P<target>.+)\.(?P<host>[\w-]+)\.(?P<pid>\d+)\.(?P<run>[0-9a-f]{8})-\d+\.part"
)
_DAY = 86400.0  # after which a file of another machine is taken for abandoned [s]


def partial_of(path: Path) -> Path:
    """A name beside a file for this process to write it under, which nobody else takes."""
    return path.with_name(f"{path.name}.{_HOST}.{os.getpid()}.{_RUN}-{next(_number)}.part")


def unfinished(folder: Path) -> dict[str, tuple[str, bool]]:
    """Partial files of a run: who wrote them, and whether nobody does any more."""
    return {
        str(path.relative_to(folder)): (said, abandoned)
        for path, said, abandoned in _partials(folder)
    }


def remove_abandoned(folder: Path) -> None:
    """Remove the partial files of processes that are gone."""
    for path, _, abandoned in _partials(folder):
        if abandoned:
            path.unlink(missing_ok=True)  # others may be at it as well


def _partials(folder: Path) -> Iterator[tuple[Path, str, bool]]:
    for path in sorted(folder.rglob("*.part")):
        found = _NAME.fullmatch(path.name)
        if found is None:  # somebody else's
            continue
        try:
            age = time.time() - path.stat().st_mtime
        except FileNotFoundError:  # it has become whole
            continue
        pid = int(found["pid"])
        by = f"process {pid} on {found['host']}"
        if found["host"] == _HOST and not _alive(pid, found["run"]):
            yield path, f"{by}, which is gone", True
        else:
            yield path, f"{by}, {_since(age)} ago", age > _DAY


def _alive(pid: int, run: str) -> bool:
    """Whether a process of this machine may still be writing."""
    if pid == os.getpid():
        return run == _RUN
    if os.name == "nt":  # where there is no asking without ending it
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _since(seconds: float) -> str:
    hours, minutes = divmod(int(max(seconds, 0)) // 60, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
