"""A run that is killed, or whose disk is full, keeps its last checkpoint and goes on."""

import importlib.util
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

pytest.importorskip("lightning", reason="the extra 'training' is not installed")

from spectok.training import fit

WORKER = Path(__file__).with_name("killed_worker.py")
spec = importlib.util.spec_from_file_location("killed_worker", WORKER)
worker = importlib.util.module_from_spec(spec)
spec.loader.exec_module(worker)


def start(folder):
    return subprocess.Popen(
        [sys.executable, str(WORKER), str(folder)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_a_write_that_fails_keeps_the_old_checkpoint(tmp_path, monkeypatch):
    options = worker.OPTIONS | {"accumulate": 1}
    fit(worker.new_model(), worker.batches_of(), tmp_path, steps=1, **options)
    content = (tmp_path / "checkpoint.pt").read_bytes()
    monkeypatch.setattr(torch, "save", worker.full_disk)
    with pytest.raises(OSError, match="step 2 could not .*No space.*: make room .* checkpoint is"):
        fit(worker.new_model(), worker.batches_of(), tmp_path, steps=2, **options)
    assert (tmp_path / "checkpoint.pt").read_bytes() == content
    assert sorted(f.name for f in tmp_path.iterdir()) == ["checkpoint.pt", "log.csv"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_disk_that_is_really_full(tmp_path):
    (tmp_path / "checkpoint.partial").symlink_to("/dev/full")
    with pytest.raises(OSError, match="step 1 could not .* no checkpoint yet"):
        fit(worker.new_model(), worker.batches_of(), tmp_path, steps=1, **worker.OPTIONS)
    assert not list(tmp_path.iterdir())


def test_a_killed_run_loses_at_most_one_interval(tmp_path):
    """And ends, resumed, at the bits of one that nobody has killed."""
    process = start(tmp_path)
    checkpoint = tmp_path / "checkpoint.pt"
    while not checkpoint.exists() and process.poll() is None:
        time.sleep(0.01)
    time.sleep(random.uniform(0.0, 0.5))
    process.kill()
    said, _ = process.communicate()
    assert checkpoint.exists(), said
    step = torch.load(checkpoint)["step"]
    # What was asked for last belongs to the step that was under way.
    asked = len((tmp_path / "asked").read_text().split())
    under_way = (asked - 1) // worker.KILLED["accumulate"]
    interval = worker.KILLED["checkpoint_every"]
    assert step % interval == 0 and 0 <= under_way + 1 - step <= interval

    resumed, whole = worker.new_model(1), worker.new_model()
    fit(resumed, worker.batches_of(), tmp_path, **worker.KILLED)
    fit(whole, worker.batches_of(), tmp_path / "whole", **worker.KILLED)
    assert all(map(torch.equal, resumed.parameters(), whole.parameters()))
